/*
 * Findings about this machine: what is there, what is missing, and the command that mends it. Everything
 * works without a running Berth and changes nothing.
 */
#ifndef BERTH_CLI_DOCTOR_H
#define BERTH_CLI_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

enum doctor_level { DOCTOR_OK, DOCTOR_WARN, DOCTOR_MISSING };

struct doctor_finding {
    enum doctor_level level;
    char *subject, *text, *mend; /* mend: a command or a step, or NULL */
};

struct doctor {
    struct doctor_finding *items; /* owned */
    size_t count;
    bool is_root;
    const char *state_dir; /* absolute */
};

/* `mend` may be NULL. */
void doctor_add(struct doctor *doctor, enum doctor_level level, const char *subject, const char *mend,
                const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void doctor_finish(struct doctor *doctor);

/* Each adds its findings. */
void doctor_check_runtimes(struct doctor *doctor); /* doctor_tools.c: crun, runc, newuidmap, sub-ids */
void doctor_check_kernel(
    struct doctor *doctor); /* doctor_kernel.c: version, calls, overlay, user namespaces */
void doctor_check_cgroups(struct doctor *doctor); /* doctor_cgroup.c */
void doctor_check_gpus(struct doctor *doctor);    /* doctor_tools.c */
void doctor_check_state(struct doctor *doctor);   /* doctor_place.c: state folder */
void doctor_check_login(struct doctor *doctor);   /* doctor_place.c: lingering, hidepid, limits */

/* First line that a program prints, within two seconds; NULL where it can't be run. The caller frees. */
char *doctor_first_line(const char *const *argv);
/* All that a program prints (at most max bytes), within timeout_ms; NULL where it can't be run or does not
 * end. */
char *doctor_capture(const char *const *argv, size_t max, int timeout_ms);
/* Path of a program on $PATH or in the sbin folders; the caller frees; NULL. */
char *doctor_which(const char *program);
/* A one-line file without its newline, or NULL. The caller frees. */
char *doctor_read_line(const char *path);
/* The user's login name; the caller frees. */
char *doctor_user(void);

#endif
