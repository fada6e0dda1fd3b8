/* The one header of the scheduler that the program `berth` includes. */
#ifndef BERTH_SCHEDULER_ENTRY_H
#define BERTH_SCHEDULER_ENTRY_H

#include "base/error.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

/* `berth scheduler`: runs the daemon until it is told to end; argv[0] is the verb. Returns the exit code. */
int scheduler_main(int argc, char **argv);

/* `berth sim`: plays a trace through the core in virtual time; argv[0] is the verb. Returns the exit code. */
int sim_main(int argc, char **argv);
/* Its options without the dashes, for the shell's completion; NULL past the last. */
const char *sim_option(unsigned index);

/*
 * `berth replay`: reads the journal of a state folder, whether or not its Berth runs, and changes nothing.
 * Without `at_ms` (0) and `policy` (NULL) it applies every kept row and decides each again, and tells where
 * that differs from what was recorded; with `at_ms` (since 1970; 0: none) it shows that moment; with `policy`
 * it plays the kept jobs by that policy and compares waits. Tells errors itself; returns the exit code: 0, 1
 * where it was refused or differs, 2 for words that make no sense.
 */
int replay_run(const char *state_dir, int64_t at_ms, const char *policy, bool json);

/* What `berth log` asks for. Zero or NULL: no bound. */
struct audit_query {
    int64_t since_ms, until_ms; /* since 1970 */
    const char *user, *what;    /* who made the change; the kind ("submit") */
    uint64_t job;               /* the id */
    uint32_t limit;             /* lines */
    bool not_kept;              /* set by what reads: the journal is from before lines were kept */
};

/* `berth log` where no Berth runs: the lines of a state folder's journal, the newest first, as GET /v1/audit
 * has them, whether or not its Berth runs. The caller deletes the array. NULL with *err. */
cJSON *audit_kept(const char *state_dir, struct audit_query *query, struct error *err);

#endif
