/* The inside of a task, shared by task.c (to the launch), task_run.c (with a shim) and task_end.c (after it).
 */
#ifndef BERTH_EXECUTOR_TASK_PRIVATE_H
#define BERTH_EXECUTOR_TASK_PRIVATE_H

#include "base/list.h"
#include "executor/fetch.h"
#include "executor/finish.h"
#include "executor/health.h"
#include "executor/prepare.h"
#include "executor/shim_client.h"
#include "executor/task.h"

struct task_input { /* stdin that no shim has taken yet */
    struct list link;
    uint64_t seq;
    size_t len;
    bool eof;
    char *bytes;
};

struct task {
    struct task_context *context;
    struct order *order;
    char *folder;
    enum life life;
    bool working;                     /* a piece of work is on the thread pool */
    bool unwanted;                    /* say nothing, end, remove */
    bool released;                    /* the scheduler has recorded the end */
    bool no_folder;                   /* it could not be made: nothing to collect or remove */
    bool shim_lost;                   /* it died without an exit record */
    bool emptied;                     /* nothing of it runs any more */
    bool gpu_note;                    /* said who holds the GPU */
    bool log_note;                    /* said that the log's disk is full */
    bool gpus_clean;                  /* they were looked at, or never used */
    bool dirty_note;                  /* said what keeps the GPUs */
    bool judging;                     /* it is found out whose failure its end is */
    bool judged;                      /* that was found out for its exit record */
    char *failure;                    /* what failed before it had a shim, while it is judged */
    char *took;                       /* its working directory, where it found no space on the disk */
    int64_t needs_bytes, needs_files; /* of its code, once they are known */
    struct health_question question;
    int collect_tries;
    struct error accept_err;
    struct preparation prep;
    bool prep_live; /* prep is initialised */
    struct fetch *fetch;
    struct shim_client *client;
    struct finishing finishing;
    cJSON *exit; /* of the event, once known */
    uv_timer_t timer;
    void (*timer_fn)(struct task *task);
    struct {
        bool wanted, force;
        char reason[32];
        int64_t grace_ms;
    } stop;
    int64_t limit_ms;  /* its time limit if that was changed since the order; -1: it wasn't */
    struct list input; /* struct task_input */
    size_t input_bytes;
    unsigned rows, cols; /* 0: no resize yet */
    int signo;           /* a signal for a shim that is still to come; 0: none */
};

/* events, unless nobody wants the task */
void task_say(struct task *task, const char *type, unsigned mark, cJSON *fields);
void task_say_state(struct task *task, const char *state, unsigned mark);
void task_note(struct task *task, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void task_after(struct task *task, int64_t ms, void (*fn)(struct task *));

void task_free(struct task *task); /* after the loop has closed its timer */

/* task_judge.c */
/* No shim ever ran. `place`: of Berth's own, that `err` is about, or FAILURE_NONE. */
void task_end_failed(struct task *task, const char *kind, enum failure place, const struct error *err);
bool task_judge_exit(struct task *task); /* true: task_exit_known is called again when it is judged */
/* task_run.c */
void task_meet_shim(struct task *task); /* the shim lives, as far as is known */
void task_drop_input(struct task *task);
/* task_end.c */
void task_end_early(struct task *task, const char *kind, int code, const char *text); /* no shim ever ran */
void task_end_cancelled(struct task *task);        /* the same, stopped before */
void task_exit_known(struct task *task);           /* the exit record is there */
void task_kill_rest(struct task *task, bool lost); /* the shim is dead: what is left of the task goes */
void task_emptied(struct task *task);              /* nothing runs any more */
void task_remove(struct task *task);               /* once no work is under way */
bool task_remove_if_done(struct task *task);       /* true: it is being removed, let go of it */

#endif
