/* How a job ended, for people and for the exit code. */
#ifndef BERTH_CLI_OUTCOME_H
#define BERTH_CLI_OUTCOME_H

#include "base/buf.h"
#include "cli/client.h"

#define EXIT_CANCELED 130 /* of a job that was canceled before it had an exit code */

/* The job's own exit code; 1 for one that failed without any. */
int outcome_exit_code(const cJSON *job);
/* The last lines of `run`, on standard error: state, duration, cause of death with its evidence, advice, what
 * was kept. */
void outcome_tell(struct client *client, const cJSON *job);
/* "killed for memory: ..." with one indented line for each piece of evidence; nothing where the job has no
 * cause. */
void outcome_add_cause(struct buf *out, const cJSON *job, const char *indent);

#endif
