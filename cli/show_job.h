/* `berth show`, for `job show` too. */
#ifndef BERTH_CLI_SHOW_JOB_H
#define BERTH_CLI_SHOW_JOB_H

#include "cli/cli.h"
#include "proto/json.h"

void show_job(const cJSON *job);
/* Shows each of the named jobs; returns the exit code. */
int show_named(const struct args_base *base, bool json, int count, char **names);

#endif
