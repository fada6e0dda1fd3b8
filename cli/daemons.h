/* The daemons' own main functions, as verbs of the one executable. A build without a part says so by name. */
#ifndef BERTH_CLI_DAEMONS_H
#define BERTH_CLI_DAEMONS_H

#include "base/error.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

int daemon_scheduler(void *args, int argc, char **argv);
int daemon_executor(void *args, int argc, char **argv);
int daemon_gpu_probe(void *args, int argc, char **argv);

/* No daemon, but part of the scheduler like one: it parses its own arguments and prints its own help. */
int daemon_sim(void *args, int argc, char **argv);
const char *daemon_sim_option(unsigned index); /* without the dashes; NULL past the last */

/* berth replay on a state folder; see replay_run. */
int daemon_replay(const char *state_dir, int64_t at_ms, const char *policy, bool json);
/* berth log on a state folder; see audit_kept. */
struct audit_query;
cJSON *daemon_log(const char *state_dir, struct audit_query *query, struct error *err);

#endif
