/*
 * The outputs of a task that runs, as they stand, brought to where its scheduler takes them
 * (scheduler/outputs_now.h). Its tree is its user's, who changes it meanwhile: it is read by a process that
 * has become the user and can open nothing that he can't, below the task's ./outputs alone.
 */
#ifndef BERTH_EXECUTOR_OUTPUTS_SERVE_H
#define BERTH_EXECUTOR_OUTPUTS_SERVE_H

#include "executor/task.h"

#define OUTPUTS_SERVE_FREE_MIN (INT64_C(256) << 20) /* bytes that a copy leaves free */

struct outputs_serve_place {
    const char *folder;       /* the task's */
    const char *outputs_path; /* of its order */
    const char *ask;          /* names what is brought */
    const char *path;         /* below ./outputs; NULL: the listing of all */
    uint32_t attempt;
};

/* Answers the scheduler, later. `task` is NULL where it is not here. */
void outputs_serve_ask(struct task_context *context, const struct task *task, const char *ask,
                       const char *path);
/* Blocks. false with err where nothing was brought. */
bool outputs_serve_bring(const struct outputs_serve_place *place, const struct user *user, struct error *err);
/* What a crash left of them. */
void outputs_serve_clear(const char *outputs_path);

#endif
