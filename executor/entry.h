/* What the berth program may call of the executor. */
#ifndef BERTH_EXECUTOR_ENTRY_H
#define BERTH_EXECUTOR_ENTRY_H

/* `berth executor ...`: argv[0] is the verb. Runs until its parent's pipe closes or SIGTERM; returns the exit
 * code. Tasks go on without it. */
int executor_main(int argc, char **argv);

#endif
