/* Brings a job's outputs into a directory of the caller's. */
#ifndef BERTH_CLI_OUTPUTS_FETCH_H
#define BERTH_CLI_OUTPUTS_FETCH_H

#include "cli/outputs.h"

/* Those that `answer` lists, into o->folder, which is made. Says how many, and what is missing. Returns the
 * exit code. */
int outputs_fetch(struct client *client, const char *job, const struct outputs_options *o,
                  const cJSON *answer);

#endif
