/* Berth's own journal as a trace for the simulator. */
#ifndef BERTH_SCHEDULER_SIM_JOURNAL_H
#define BERTH_SCHEDULER_SIM_JOURNAL_H

#include "scheduler/sim/trace.h"

/*
 * Reads the nodes and every ended job that ran: its request, its submit, its run time from the first time it
 * was running to its end, its principal. `path` is a state folder, or the journal's folder in it; the Berth
 * that it belongs to may be running. Times count from the first submit. A record that can't be understood is
 * a bad line, whose number is the job's; trace->left_out counts jobs that ended without having run.
 */
bool sim_journal_read(const char *path, struct trace *trace, struct error *err);
/* The path is one of those. */
bool sim_journal_is(const char *path);
/* The folder of the journal itself; NULL: no journal is there. The caller frees it. */
char *sim_journal_folder(const char *path);

#endif
