/*
 * Which jobs a listing or a batch is about: by state, user, workspace, tags, name, or as elements of an
 * array. Everything that is said must hold. One look at a job costs at most SELECTOR_COST_TAGS units of
 * selector_cost, whatever its job file has; selector_matches touches nothing but its arguments, so it may run
 * in any thread.
 */
#ifndef BERTH_SCHEDULER_SELECTOR_H
#define BERTH_SCHEDULER_SELECTOR_H

#include "scheduler/jobs.h"

#define SELECTOR_TAGS_MAX 8
#define SELECTOR_TEXT_MAX 1024 /* bytes of one of its words */
#define SELECTOR_COST_TAGS 8

struct daemon;

/* As it is asked for; NULL: not said. */
struct selector_words {
    const char *state;     /* names of states, and live, started, ended, all, with commas between */
    const char *user;      /* a user */
    const char *workspace; /* a workspace */
    const char *array;     /* an array's address: its elements that have begun */
    const char *name;      /* names, with * for any characters and ? for one */
    const char *tag;       /* KEY=VALUE, or KEY with any value; several on lines of their own */
};

struct selector {
    unsigned states;   /* a bit of each enum job_state; 0: all */
    int64_t principal; /* -1: all; 0: somebody without jobs */
    char *workspace;   /* owned; NULL: all */
    uint32_t workspace_id;
    uint64_t array; /* its elements; 0: all jobs that are no elements */
    char *name;     /* owned; NULL: all */
    char *tag;      /* owned; NULL: all */
};

/* False with *err, the field set. `asker` is a principal, 0: one without jobs. selector_finish in either
 * case. */
bool selector_read(struct selector *s, struct daemon *d, uint32_t asker, const struct selector_words *words,
                   struct error *err);
void selector_finish(struct selector *s);
/* The states of such a list; false with *err. */
bool selector_read_states(const char *words, unsigned *out, struct error *err);
bool selector_matches(const struct selector *s, const struct job *job);
/* In units of a look at a job's numbers. */
uint32_t selector_cost(const struct selector *s);
/* More than the journal's columns decide. */
bool selector_is_fine(const struct selector *s);
bool selector_has_live(const struct selector *s);
bool selector_has_ended(const struct selector *s);
/* * stands for any characters, ? for one. The time is at most the product of both lengths. */
bool selector_glob(const char *pattern, const char *text);

#endif
