/* Why a task ended, and what else its owner should know, from what was seen of it. */
#ifndef BERTH_SHIM_JUDGE_H
#define BERTH_SHIM_JUDGE_H

#include "executor/shim/shim.h"

#define VERDICT_NOTES_MAX 4

struct verdict {
    int code, signal;
    const char *kind; /* "" for success */
    char text[1024], advice[1024];
    char notes[VERDICT_NOTES_MAX][256]; /* what the end does not show, also of a task that ended well */
    int n_notes;
};

/* Reads of `s` the spec, the outcome and log_over; `tail` is the end of its log, NUL-ended. */
void judge(const struct shim *s, const struct cgroup_usage *u, const char *tail, struct verdict *v);
/* Whether the shim's stop is why the command ended. */
bool judge_was_stopped(const struct outcome *o);
/* As signals are named without SIG; "?" for one without a name. */
const char *judge_signal_word(int signo);

#endif
