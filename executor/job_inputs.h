/* Another job's stored outputs as an input: made readable for its user, who is this task's too. */
#ifndef BERTH_EXECUTOR_JOB_INPUTS_H
#define BERTH_EXECUTOR_JOB_INPUTS_H

#include "base/error.h"
#include "executor/order.h"

#include <stdbool.h>
#include <sys/types.h>

/* The directory that stands for an input of the order; NULL: the order names none. Borrowed. */
const char *job_inputs_path(const struct order *order, const char *input);
/* Gives directories and files that Berth made in the stored trees to the user: no way leads him there but the
 * read-only mount. Blocks. False with *err, which names the input, where a job has left no outputs. */
bool job_inputs_open(const struct order *order, uid_t uid, gid_t gid, struct error *err);

#endif
