/*
 * What the processes of one task write, in one log: whole lines, each with its process's rank in front ("[3]
 * ", or "[3]+" where the newline is ours: ranks.c). Inside the task, in its first process, and only where
 * there are several: a single one writes into the log's pipe itself.
 */
#ifndef BERTH_SHIM_RANKS_H
#define BERTH_SHIM_RANKS_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ranks;

/* For `count` processes, the first of which has that rank; what they write goes to this process's own
 * standard output and error. NULL: no memory. */
struct ranks *ranks_create(int count, int64_t first_rank);
/* In the parent: the pipes of process k; false with errno set. */
bool ranks_open(struct ranks *r, int k);
/* In the child k: takes their ends for standard output and error. */
void ranks_enter(const struct ranks *r, int k);
/* In the parent, after the fork: closes the child's ends. */
void ranks_opened(struct ranks *r, int k);
/* Fills in what to wait for; `room` is at least ranks_poll_max. */
size_t ranks_poll_max(const struct ranks *r);
size_t ranks_poll(const struct ranks *r, struct pollfd *p);
/* Moves what can be moved without waiting. */
void ranks_move(struct ranks *r);
/* The processes are gone: moves all that is in their pipes, and waits for the log to take it, or for the end
 * of what is at the other side of `watched`. */
void ranks_drain(struct ranks *r, int watched);

#endif
