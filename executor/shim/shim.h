/*
 * The shim: keeper of one task (docs/PROTOCOL.md section 5). One process, one thread, one loop; a small
 * static program, so it uses libc, base and proto/kv alone. Started with fixed descriptors
 * (executor/launch.c): 3 the task's folder, 4 the lock on `shim`, 5 the listening ctl socket, from 6 on
 * descriptors to keep open for life (GPU locks).
 *
 * The same program, started with "--init", is the first process inside (init.c).
 */
#ifndef BERTH_SHIM_SHIM_H
#define BERTH_SHIM_SHIM_H

#include "base/buf.h"
#include "base/error.h"
#include "executor/cgroup.h"
#include "executor/shim/explain.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SHIM_TASK_FD 3
#define SHIM_LOCK_FD 4
#define SHIM_CTL_FD 5
#define SHIM_FIRST_KEPT_FD 6

#define SPEC_BYTES_MAX (32u << 20)
#define PATH_BYTES_MAX 4096
#define MESSAGE_BYTES_MAX 1024 /* of a message from init */
#define ID_RANGES_MAX 2

/* Where the shim works, in its own mount namespace: a tmpfs over /tmp. Short paths, and folders that every id
 * can walk. */
#define NEST "/tmp"
#define NEST_ROOT NEST "/root"
#define NEST_BUNDLE NEST "/bundle"
#define NEST_RUNTIME NEST "/runtime"
#define NEST_FILES NEST "/files" /* of the task's own, to be mounted over an image's */
#define NEST_PID_FILE NEST "/pid"
#define NEST_RUNTIME_LOG NEST "/runtime.log"

struct strings {
    const char **v; /* NULL-ended; the strings lie in the spec's buffer */
    size_t n;
};

/* The spec as read (spec.c); all strings borrowed from `text`. */
struct spec {
    struct buf text;
    const char *task, *name, *home, *shell;
    int64_t uid, gid;
    struct strings groups;
    const char *image, *image_path, *runtime, *runtime_path;
    struct strings args, env;
    const char *cwd, *work_target, *code_target;
    struct strings bind_sources, bind_targets, bind_flags;
    const char *cpus, *mems;
    int64_t memory_bytes, pids, shm_bytes;
    struct strings gpu_minors, gpu_caps;
    int64_t time_limit_ms, log_limit_bytes, grace_ms;
    int64_t stop_signal, warn_ms, warn_signal; /* 0: SIGTERM; no warning; SIGUSR1 */
    int64_t tty, stdin_open, split_streams, rows, cols;
    const char *log_path, *err_path;
    const char *cache_dir, *cache_target;
    struct strings covers, allow_sockets, cgroups;
    const char *cgroup_name;
    int64_t sub_uid, sub_uid_count, sub_gid, sub_gid_count;
    int64_t fence_after_ms; /* 0: it waits for its scheduler for ever */
    int64_t processes, first_rank;
    int64_t read_only, umask;
};

bool spec_read(struct spec *s, int dir_fd, struct error *err);
bool spec_is_host(const struct spec *s);
/* All values of a key, in order, borrowed from data; the array is never freed. */
struct strings kv_list(const char *data, size_t len, const char *key);

/* A mapping of ids between the task (inside) and the shim's own user namespace (outside). */
struct id_range {
    uint32_t inside, outside, count;
};
struct id_map {
    struct id_range uids[ID_RANGES_MAX], gids[ID_RANGES_MAX];
    size_t n_uids, n_gids;
};

/* Evidence and outcome, gathered as things happen (verdict.c turns them into the exit record). */
struct outcome {
    bool payload_started, payload_exited;
    bool told;               /* the payload's end came after it was told to end */
    int64_t left;            /* processes that still ran when the payload had ended by itself */
    char left_name[16];      /* of the first of them; printable */
    int code, signal;        /* as the payload ended */
    int failed;              /* of several processes: 1 + the one that failed first; 0: none has */
    int exec_errno;          /* the payload's exec failed */
    const char *stop_reason; /* why the shim ended it: cancel, time_limit, log_limit, ...; NULL: it did not */
    bool forced;             /* it was killed: for one of the next two, or since no grace was due */
    bool grace_expired;      /* the grace period ran out first */
    bool force_asked;        /* berth cancel --force */
    int warn_signal;         /* sent ahead of the time limit; 0: none was */
    int64_t warned;          /* processes that had asked for it */
    int64_t warned_at_ms;    /* wall clock */
    int64_t foreign_signal, foreign_pid, foreign_uid; /* a signal that came to init from elsewhere */
    char start_kind[16], start_text[1024];            /* what failed before the payload ran */
    int start_errno;                   /* of that, where it was about what is Berth's own; 0: not known */
    int image_errno;                   /* of that, where the image's directory could not be opened */
    char exit_text[EXPLAIN_BYTES_MAX]; /* why a shell could not execute a program */
    int64_t disk_free_bytes; /* of the working folder's disk when the task was over; -1: not known */
    bool log_gave_up;
    bool code_lost;    /* the working directory stands no more where the code directory was */
    bool not_empty;    /* processes were left when the record was written */
    char refused[256]; /* limits that the kernel refused */
    char notes[512];   /* fallbacks taken */
};

struct log_stream {
    int in_fd, file_fd; /* -1: closed */
    uint64_t bytes;     /* in the file from this task */
    uint64_t base;      /* offset in the file where it began */
    bool no_splice, is_tty;
    struct buf pending;     /* read, but not yet written (no_splice only) */
    int dir_fd;             /* of its directory; -1 */
    int64_t drop_looked_ms; /* boot clock: when the drop file was last looked for */
    bool dropping;          /* it is there: output is read and not kept */
    uint64_t dropped;       /* bytes since then */
};

struct ctl;

struct shim {
    pid_t pid; /* its own */
    struct spec spec;
    int signal_waits;       /* for a payload that has not begun; 0: none */
    uint64_t code_mount_id; /* code_mount.c */
    char *code_mount_at;
    struct cgroup_tree tree;
    struct cgroup_limits limits;
    bool has_cgroup;
    bool born_in_cgroup; /* the task's first process was */
    bool rootless;       /* started without root: `ns` is a user namespace of our own */
    bool own_mounts;     /* the root was built; false: plain process */
    bool no_namespaces;  /* the kernel gives this user none */
    bool container_userns;
    bool init_maps_user; /* ... but runc insists on a root inside: init makes it (runc, rootless, host) */
    struct id_map map;   /* of the container's user namespace */
    uint32_t inside_uid, inside_gid;
    bool image_caps; /* Docker's capabilities, else none */
    bool self_contained_ids;
    int saved_oom_adj;
    int root_fd;        /* the finished root; -1 */
    bool root_writable; /* by the rights that the task has on it */
    int exe_fd;         /* this program */
    int runtime_fd;     /* crun, runc */

    int status_fd; /* our end of the channel to init */
    int init_status_fd;
    int out_w, err_w, in_r; /* the task's ends of the pipes, closed once it is started */
    int stdin_fd;           /* our end of the task's stdin, -1 */
    struct buf stdin_pending;
    bool stdin_eof;
    int tty_fd; /* pty master, -1 */

    pid_t runtime_pid; /* crun or runc while it runs */
    pid_t init_pid;    /* as we see it; 0 unknown yet */
    uint64_t init_start;
    bool init_gone;

    struct log_stream out, err;
    bool log_blocked;
    bool log_over;     /* past the limit: the rest is thrown away */
    bool fence_over;   /* it ran out */
    bool ranks_killed; /* of several processes: all but init */
    int fence_fd;      /* its timer; -1 */

    const char *state; /* starting, running, paused, ending */
    int64_t started_ms, ended_ms;
    int64_t runs_since_ms, limit_at_ms, warn_at_ms, kill_at_ms, retry_at_ms,
        give_up_at_ms; /* CLOCK_BOOTTIME; 0: none */
    struct outcome outcome;
    struct ctl *ctl;
    int64_t fence_at_ms; /* CLOCK_BOOTTIME; with spec.fence_after_ms */
};

/* record.c: the files that the executor reads */
bool record_shim(const struct shim *s, struct error *err);
void record_state(const struct shim *s);
/* Reserves the room that the exit record needs, so that a full disk can't keep it from being written. */
bool record_exit_reserve(struct error *err);
bool record_exit(const char *bytes, size_t n, struct error *err);

/* log.c */
enum pump { PUMP_IDLE, PUMP_MORE, PUMP_EOF, PUMP_FULL };
bool log_open(struct shim *s, struct error *err);
enum pump log_pump(struct shim *s, struct log_stream *l);
/* The last bytes of what the task wrote, NUL-ended; returns their number. */
size_t log_tail(const struct log_stream *l, char *out, size_t size);

/* ctl.c */
struct pollfd;
#define CTL_POLLS_MAX 17
bool ctl_init(struct shim *s);
size_t ctl_poll(struct shim *s, struct pollfd *p);
void ctl_serve(struct shim *s, const struct pollfd *p, size_t n);
void ctl_tell(struct shim *s, const char *line); /* to all; without newline */
void ctl_stdin_room(struct shim *s, size_t bytes);
bool ctl_connected(const struct shim *s); /* an executor holds its end open, now */
void ctl_finish(struct shim *s);          /* gives what is queued a moment to leave */

/* life.c: what ctl asks for */
void life_stop(struct shim *s, int64_t grace_ms, const char *reason);
void life_kill(struct shim *s, const char *reason);
void life_pause(struct shim *s, bool pause);
void life_limit(struct shim *s, int64_t limit_ms); /* of its whole run; 0: none */
void life_resize(struct shim *s, unsigned rows, unsigned cols);
/* As a terminal does it: to the foreground process group of the task's terminal, else to the group of each
 * main process. It is not told to end: what becomes of it is its own. */
void life_signal(struct shim *s, int signo);
void life_set_state(struct shim *s, const char *state);

/* userns.c */
/* Rootless: puts the shim into a user namespace in which it is root. */
bool userns_enter(struct shim *s, struct error *err);
/* A descriptor of a user namespace with this map, for idmapped mounts; -1. */
int userns_of_map(const struct id_map *m, struct error *err);
bool userns_write_maps(pid_t pid, const struct id_map *m, bool deny_setgroups, struct error *err);

/* root.c, root_image.c: builds the task's root at NEST_ROOT */
bool root_prepare(struct shim *s, struct error *err);

/* oci.c, plain.c: start the first process inside; on failure `err`. */
bool oci_start(struct shim *s, struct error *err);
bool oci_started(struct shim *s, int status,
                 struct error *err); /* the runtime has ended with this wait status */
bool plain_start(struct shim *s, struct error *err);

/* fence.c */
#define CONTACT_BYTES_MAX 256
/* Reads when the executor last had contact, from `contact` in the task's folder. */
bool fence_open(struct shim *s, struct error *err);
void fence_contact(struct shim *s, int64_t contact_ms); /* CLOCK_BOOTTIME */
void fence_look(struct shim *s);                        /* ends the task where the fence has run out */

/* verdict.c */
void verdict_write(struct shim *s);
int64_t verdict_disk_free(void); /* bytes on the disk of the task's folder; -1: not known */

/* init.c */
int init_main(int argc, char **argv);
struct init_options {
    int status_fd;
    bool tty, seccomp, landlock, first; /* first: process 1 of its own PID namespace */
    const char *cwd;                    /* NULL: where it is */
    int processes;                      /* of the user's, side by side; 0 and 1: one */
    int64_t first_rank;                 /* of them */
    mode_t umask;
    int64_t as_uid, as_gid; /* > 0: root of a user namespace looks like this user to the payload */
};
int init_run(const struct init_options *o, char **argv, char **env);

/* payload.c: inside the task */
struct ranks;
/* Why the payload could not be executed, reported by the child that tried. */
struct payload_failure {
    int e;                       /* 0: it could */
    bool cwd;                    /* its working directory could not be entered */
    char why[EXPLAIN_BYTES_MAX]; /* what is wrong with the program; "" for nothing known */
};
/* Starts the user's process k. Its pid, or -1 for no process; `ranks` may be NULL. */
pid_t payload_start(const struct init_options *o, struct ranks *ranks, int k, char **argv, char **env,
                    struct payload_failure *failure);
/* What is wrong with a program that the command names, after a shell's exit code 126 or 127: looked at by a
 * child in the working directory. False where nothing is known. */
bool payload_explain(const struct init_options *o, char **argv, char **env, char *out, size_t size);

/* left.c: inside the task */
/* The processes that descend from the caller, and the name of the first ("" for none); printable. */
int64_t left_count(char *name, size_t size);

/* warn.c: inside the task */
/* Sends the signal to every process that handles it or waits for it, and to no other: a warning kills nobody.
 * `session` 0: to all of the PID namespace, else to that session and process group. Returns how many there
 * were. */
int64_t warn_processes(int signo, pid_t session);

/* terminal.c: inside the task */
/* Opens a terminal and makes it the standard descriptors and this session's own; its master goes to the shim.
 */
bool terminal_open(int status_fd, int64_t rows, int64_t cols);

/* keyring.c */
/* Gives this process a session keyring of its own (keyrings(7)), so that it holds none of the service's keys.
 */
bool keyring_join(struct error *err);

/* confine.c */
bool confine_seccomp(void);  /* on the payload, just before its exec */
bool confine_landlock(void); /* on init, for all that it starts: abstract sockets of outside are out of reach;
                                false where the kernel can't */

extern char **environ;

/* code_mount.c */
/* Remembers where the mount of the working directory stands. */
void code_mount_note(struct shim *s, uint64_t mount_id);
/* Whether it stands there no more. */
bool code_mount_lost(const struct shim *s);

#endif
