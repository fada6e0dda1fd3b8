/*
 * A task's environment and the places it names, built from nothing (never the daemon's own environment).
 * Later wins: the machine's basics, the submitting shell's (host only), Berth's own, the job's.
 */
#ifndef BERTH_EXECUTOR_ENVIRON_H
#define BERTH_EXECUTOR_ENVIRON_H

#include "base/error.h"
#include "executor/order.h"
#include "executor/user.h"

#include <stddef.h>

#define ENVIRON_INPUTS_IN_IMAGE "/berth/inputs"    /* NAME below it */
#define ENVIRON_INPUTS_IN_HOST "/run/berth/inputs" /* of other jobs' outputs; others stand where they lie */
#define ENVIRON_WORK_IN_HOST "/run/berth/work"     /* the empty working folder of a host job without code */

/* Where things stand inside the task. */
struct places {
    const char *code; /* the same for as long as the job runs, whatever becomes of the code directory */
    char *work;       /* where the task folder's work/ appears */
    char *cwd;
    char *outputs; /* kept */
};

/* A list of texts that ends with NULL; the caller finishes it. */
struct text_list {
    char **items;
    size_t count, capacity;
};

void text_list_add(struct text_list *list, char *text); /* takes the text */
void text_list_finish(struct text_list *list);

void places_init(struct places *places, const struct order *order);
void places_finish(struct places *places);
/* Where an input stands inside: the literal, or the path. The caller frees it. */
char *places_input(const struct order *order, const struct job_input_item *input);

/* What the program is: argv with the bindings put in; `command` runs by /bin/sh -c. */
bool environ_argv(const struct order *order, const struct places *places, struct text_list *out,
                  struct error *err);
/* "NAME=value" each, no name twice. `root_inside`: the user is root in a folder image's user namespace. */
bool environ_build(const struct order *order, const struct user *user, const struct places *places,
                   const char *node, bool root_inside, struct text_list *out, struct error *err);

#endif
