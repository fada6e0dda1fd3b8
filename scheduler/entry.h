/* The one header of the scheduler that the program `berth` includes. */
#ifndef BERTH_SCHEDULER_ENTRY_H
#define BERTH_SCHEDULER_ENTRY_H

/* `berth scheduler`: runs the daemon until it is told to end; argv[0] is the verb. Returns the exit code. */
int scheduler_main(int argc, char **argv);

/* `berth sim`: plays a trace through the core in virtual time; argv[0] is the verb. Returns the exit code. */
int sim_main(int argc, char **argv);
/* Its options without the dashes, for the shell's completion; NULL past the last. */
const char *sim_option(unsigned index);

#endif
