/* Signals by name, as job files and start orders write them. */
#ifndef BERTH_PROTO_SIGNALS_H
#define BERTH_PROTO_SIGNALS_H

/* "SIGUSR1", "USR1", "usr1" or "10": its number. 0 where it is none, or one that no program can take notice
 * of (KILL, STOP). */
int signal_by_name(const char *text);

#endif
