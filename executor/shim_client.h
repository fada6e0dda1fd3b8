/*
 * The executor's end of a shim's ctl socket, on the libuv loop. Works the same for a shim just launched and
 * for one adopted after a restart. All callbacks come from the loop, never from inside a call of this file.
 */
#ifndef BERTH_EXECUTOR_SHIM_CLIENT_H
#define BERTH_EXECUTOR_SHIM_CLIENT_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define SHIM_STDIN_OUTSTANDING_MAX (1u << 20)

enum shim_state { SHIM_STARTING, SHIM_RUNNING, SHIM_PAUSED, SHIM_ENDING };

struct shim_client;

struct shim_client_callbacks {
    /* The present state is told once after connecting, then each change. `detail` may be "" (a full log disk:
     * "log_disk_full", and "log_disk_ok" when there is room again, in the state of before). */
    void (*state)(void *data, enum shim_state state, const char *detail);
    /* TASK_DIR/exit is durably written. Processes may be left for a moment: wait for `gone`. */
    void (*exited)(void *data);
    /* The shim has ended. After `exited`: nothing of the task is left. Without: the shim died; go to reap.h.
     * Last callback. */
    void (*gone)(void *data);
    /* `bytes` more of stdin were taken by the task. */
    void (*stdin_taken)(void *data, size_t bytes);
};

/* NULL where the socket does not answer: the shim is dead (reap.h). `cb` is copied. */
struct shim_client *shim_client_open(uv_loop_t *loop, const char *task_dir,
                                     const struct shim_client_callbacks *cb, void *data, struct error *err);
/* No callback after it. NULL is allowed. */
void shim_client_close(struct shim_client *c);

/* SIGTERM to all of the task, grace_ms later the end by force. `reason` is one word (cancel, preempt, drain,
 * time_limit). A second call can only shorten the grace. */
void shim_client_stop(struct shim_client *c, uint64_t grace_ms, const char *reason);
void shim_client_kill(struct shim_client *c); /* by force, at once; reason as given before, else cancel */
void shim_client_pause(struct shim_client *c, bool pause);
void shim_client_limit(struct shim_client *c, int64_t limit_ms); /* of its whole run; 0: none */
/* ERROR_LIMIT when more than SHIM_STDIN_OUTSTANDING_MAX would be outstanding; ERROR_CONFLICT without stdin.
 */
bool shim_client_stdin(struct shim_client *c, const void *bytes, size_t n, bool eof, struct error *err);
void shim_client_contact(struct shim_client *c, int64_t contact_ms); /* boot clock */
void shim_client_resize(struct shim_client *c, unsigned rows, unsigned cols);
void shim_client_signal(struct shim_client *c, int signo); /* to the main process group of each process */

#endif
