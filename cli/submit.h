/* Submitting without attending: shared by `submit` and `job create`. */
#ifndef BERTH_CLI_SUBMIT_H
#define BERTH_CLI_SUBMIT_H

#include "cli/submission.h"

struct submit_options {
    bool follow, wait, json;
};

/* Checks, uploads, posts, tells; returns the exit code. */
int submit_prepared(struct submission *s, const struct job_options *options,
                    const struct submit_options *how);
/* One operand that is named as a job file. */
bool submit_is_file(int argc, char **argv);

#endif
