/*
 * Job records: what people see of a job beyond what the core knows (names, causes, leases as text, ends). The
 * live ones and the last JOBS_ENDED_KEPT ended ones are in memory; the others are read from the journal's
 * table when asked for.
 *
 * A record has two encodings in the journal: `fixed`, written once at submit (what never changes), and `doc`
 * (what does). Both are JSON objects.
 */
#ifndef BERTH_SCHEDULER_JOBS_H
#define BERTH_SCHEDULER_JOBS_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "proto/ids.h"
#include "proto/json.h"
#include "proto/states.h"
#include "scheduler/core/core.h"
#include "scheduler/journal.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define JOBS_ENDED_KEPT 1000 /* in memory */
#define JOB_NOTES_MAX 32     /* of one job; older ones are forgotten */
#define JOB_ADVICE_MAX 16
#define JOB_NOTE_MAX_BYTES 1024
#define JOB_CAUSE_MAX_BYTES 4096
#define JOB_LIVE_BYTES_MAX (UINT64_C(1) << 30) /* of one principal's job files that have not ended */
#define JOB_LISTING_MAX 1000                   /* objects in one answer */
#define JOB_LISTING_MAX_BYTES (1u << 20)       /* of them; one object is always there */
#define JOB_LISTING_LOOK_MAX 20000             /* live jobs looked at for one answer */
#define JOB_LISTING_READ_MAX 4000              /* ended ones that are read for it and may not be wanted */

/* One rank of one attempt. */
struct task {
    uint32_t attempt, rank;
    uint32_t node;
    char *node_name;
    enum task_state state;
    bool exited, released, collected;
    bool exit_known; /* the node told code and cause (a lost task has none) */
    int32_t code, signal;
    int64_t started_ms, ended_ms; /* of the payload; 0: not known */
    int64_t log_bytes;            /* at the end */
    char *lease;                  /* JSON as in docs/PROTOCOL.md */
    char *outputs;                /* JSON of the collected event, or NULL */
    struct attempt_end *end;      /* attempts.h; NULL: no other attempt follows */
};

struct job_note {
    int64_t at_ms;
    char *text;
    uint32_t attempt; /* during which it was made */
};

struct job {
    struct list link;       /* of the table's live or ended list */
    struct list dirty_link; /* of the table's dirty list */
    struct job *same_name;  /* the next of its name in memory (job_names.h) */
    uint64_t id;
    char *name;
    uint32_t number; /* of its user's jobs of that name, from 1; an element has its array's */
    bool superseded; /* its user has a newer one of the name */
    char *request;   /* the key that it was submitted with; NULL: none */
    uint32_t principal;
    uint32_t workspace; /* number of its name; 0: the default one */
    enum job_state state;
    enum core_reason reason;
    int64_t
        promised_ms; /* while it waits: its latest start; 0: none was promised. Not kept: see engine_look */
    int64_t kept_until_ms; /* while it waits: until when it leaves free capacity to others; 0: it doesn't */
    const char *runs_as;   /* while it waits: the class that a cap leaves it; NULL: the one it asked for. Not
                              kept, as above */
    uint32_t attempt;
    int64_t submitted_ms, started_ms, ended_ms;
    char *fixed; /* JSON object */

    /* what orders need beyond the job file */
    uid_t uid;
    int64_t time_limit_ms, grace_ms;
    bool limit_changed;            /* since an order was written with it, maybe: nodes are told again */
    bool cancel_due, cancel_force; /* unrecorded.h: canceled once the journal can be written */
    char manifest[65];             /* "" without code */
    uint32_t file_bytes;           /* of its job file; 0: an element, or of an older Berth */
    bool wants_stdin, split_streams;
    bool distributed;   /* its tasks get a port to meet at */
    uint32_t processes; /* of each task */

    /* the end */
    bool has_exit_code;
    bool held_by_operator;
    int32_t exit_code;
    enum end_kind cause;
    char *cause_text, *evidence; /* evidence: JSON or NULL */
    char *canceled_by;           /* principal, or NULL */
    char *held_by;               /* who held it last by an update; NULL: nobody did */
    char *held_text;             /* its reason while it is held, from held_by */

    struct task *tasks; /* of all attempts, in their order */
    uint32_t task_count;
    struct job_note *notes; /* NULL, or room for JOB_NOTES_MAX: most jobs have none */
    uint32_t note_count;
    char **advice; /* NULL, or room for JOB_ADVICE_MAX */
    uint32_t advice_count;

    struct job_array *array; /* arrays.h; NULL: it is none */
    uint64_t array_job;      /* of an element: its array's id; 0: it is none */
    uint32_t array_index;
    bool unborn; /* an element that has not begun: in no table, never written */

    bool inserted;  /* the journal has its fixed part (or it is in a batch) */
    bool dirty;     /* to be written with the open batch */
    bool evictable; /* ended, and its last state is durable */
};

struct job_table {
    struct map by_id, by_name, by_request; /* by_name, by_request: job_names.c */
    struct list live, ended,
        dirty; /* live: as they came, oldest first; ended: least recently ended or read first */
    uint32_t live_count, ended_count;
    struct map live_bytes; /* of job files by principal: the number itself is the value */
    uint64_t next_id;
    struct job *unborn; /* the last that was asked for; owned */
};

void jobs_init(struct job_table *t);
void jobs_finish(struct job_table *t);

struct job *job_create(uint64_t id, const char *name);
void job_destroy(struct job *job);
/* Puts it into memory: the table owns it from here on. */
void jobs_add(struct job_table *t, struct job *job);
/* Whether one more job file of `bytes` fits into what a principal may have waiting and running. */
bool jobs_admit(const struct job_table *t, uint32_t principal, uint64_t bytes, struct error *err);
void jobs_remove(struct job_table *t, struct job *job);       /* and destroys it */
struct job *jobs_get(const struct job_table *t, uint64_t id); /* NULL where it is not in memory */
/* From memory, else from the journal. NULL: there is none. The pointer is valid until the loop's next turn.
 */
struct job *jobs_find_id(struct job_table *t, struct journal_reader *reader, uint64_t id);

/* One of its own rules is another now: in what people see, and in the journal with the next batch. Takes over
 * `value`. */
void jobs_change_rule(struct job_table *t, struct job *job, const char *field, cJSON *value);
/* Notes that it changed: written with the next batch. */
void jobs_touch(struct job_table *t, struct job *job);
/* Adds all changed ones to the journal's open batch. */
void jobs_write_dirty(struct job_table *t, struct journal *journal);
/* Its state has just become final: it moves to the ended ones. */
void jobs_end(struct job_table *t, struct job *job);
/* And that is durable: it may leave the memory. */
void jobs_ended(struct job_table *t, struct job *job);

struct task *job_task(const struct job *job, uint32_t attempt, uint32_t rank); /* NULL where it has none */
struct task *job_add_task(struct job *job, uint32_t attempt, uint32_t rank);
void job_note(struct job *job, int64_t at_ms, const char *text);
/* Takes away the notes that hold these words. */
void job_forget_notes(struct job *job, const char *words);
/* The last note of the present attempt; NULL. Borrowed. */
const char *job_last_note(const struct job *job);
/* Who holds it by an update; NULL: nobody. */
void job_set_held_by(struct job *job, const char *name, bool operator);
void job_advise(struct job *job, const char *text); /* once each */
bool job_is_final(const struct job *job);

/* job_doc.c: the encodings */
char *job_doc_write(const struct job *job);
struct job *job_doc_read(const struct journal_job *row, struct error *err);
enum job_object_parts {
    JOB_OBJECT_SHORT = 0,
    JOB_OBJECT_FULL = 1, /* with attempts and notes */
    JOB_OBJECT_PRIVATE =
        2, /* for its owner and administrators; else without what others may not see (visible.h) */
};
/* The API's job object, appended to out; `parts` is a sum of job_object_parts. `extra` (or NULL) is put in as
 * the last fields, without braces. */
void job_object_write(const struct job *job, unsigned parts, const char *extra, struct buf *out);
/* What its node said last of its preparation is in it: for its owner and administrators. */
const char *job_reason_text(const struct job *job);

#endif
