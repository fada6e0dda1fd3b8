/*
 * Being at a job's side: its log to standard output, keys and signals to it, until it has ended or the user
 * leaves. Ctrl-C sends SIGINT to a job that runs, a second one cancels it, a third detaches; of one that
 * waits the first cancels and the second detaches. With a terminal (-t) keys go to the job as they are;
 * "~." behind Enter detaches.
 */
#ifndef BERTH_CLI_ATTEND_H
#define BERTH_CLI_ATTEND_H

#include "cli/client.h"

#define EXIT_DETACHED 130          /* the user left by Ctrl-C; the job goes on */
#define EXIT_NO_READER 141         /* whoever read our output left: 128 + SIGPIPE, as a shell has it */
#define ATTEND_KEYS_MAX (64 << 10) /* bytes of one stdin request */

struct attend_options {
    bool interactive; /* standard input to the job */
    bool tty;         /* raw keys, window size */
    bool cancels;     /* Ctrl-C is for the job (run), else it leaves (stream) */
};

/* From here on SIGINT and its like wait to be read: nothing is lost between submitting and attending. */
void attend_block_signals(void);
/* Attends; tells the end; returns the exit code: the job's own, where it ended. */
int attend_job(struct client *client, const char *job, const struct attend_options *options);

#endif
