/* What every way of starting a container shares: the tables of capabilities and hidden paths, and the child's
 * first steps. */
#include "executor/shim/start.h"

#include "base/fault.h"
#include "base/fs.h"
#include "proto/kv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HIGH_FD 100

/* Docker's default set (moby, oci/caps/defaults.go). */
/* its two passes over this list don't agree */
/* clang-format off */
#define EACH_IMAGE_CAPABILITY(X)                                                                             \
    X(CAP_CHOWN)                                                                                             \
    X(CAP_DAC_OVERRIDE)                                                                                      \
    X(CAP_FSETID)                                                                                            \
    X(CAP_FOWNER)                                                                                            \
    X(CAP_MKNOD)                                                                                             \
    X(CAP_NET_RAW) X(CAP_SETGID) X(CAP_SETUID) X(CAP_SETFCAP) X(CAP_SETPCAP) X(CAP_NET_BIND_SERVICE)         \
        X(CAP_SYS_CHROOT) X(CAP_KILL) X(CAP_AUDIT_WRITE)
/* clang-format on */

#define CAPABILITY_NAME(c) #c,
const char *const start_image_capabilities[] = {EACH_IMAGE_CAPABILITY(CAPABILITY_NAME) NULL};

#define CAPABILITY_BIT(c) /* NOLINT(bugprone-macro-parentheses): one more operand */ | (1ULL << (c))
uint64_t start_image_capability_bits(void)
{
    return 0 EACH_IMAGE_CAPABILITY(CAPABILITY_BIT);
}

/* Podman's lists (containers/common, pkg/config and specgen). */
const char *const start_masked_paths[] = {"/proc/acpi",          "/proc/kcore",      "/proc/keys",
                                          "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
                                          "/proc/sched_debug",   "/proc/scsi",       "/sys/firmware",
                                          "/sys/fs/selinux",     "/sys/dev/block",   NULL};
const char *const start_readonly_paths[] = {"/proc/asound", "/proc/bus",           "/proc/fs", "/proc/irq",
                                            "/proc/sys",    "/proc/sysrq-trigger", NULL};

bool start_cgroup_namespace(const struct shim *s)
{
    return s->has_cgroup && s->tree.n == 1 && s->tree.h[0].v2;
}

void start_flags(const struct shim *s, char *out)
{
    if (s->spec.tty)
        *out++ = 't';
    *out++ = 's';
    *out++ = 'l';
    *out = '\0';
}

int start_args_fd(const struct shim *s, struct error *err)
{
    struct buf b = {0};
    for (size_t i = 0; i < s->spec.args.n; i++)
        kv_add(&b, "arg", s->spec.args.v[i]);
    for (size_t i = 0; i < s->spec.env.n; i++)
        kv_add(&b, "env", s->spec.env.v[i]);
    if (s->spec.cwd)
        kv_add(&b, "cwd", s->spec.cwd);
    if (s->spec.tty) {
        kv_add_int(&b, "rows", s->spec.rows);
        kv_add_int(&b, "cols", s->spec.cols);
    }
    if (s->spec.processes > 1) {
        kv_add_int(&b, "processes", s->spec.processes);
        kv_add_int(&b, "first_rank", s->spec.first_rank);
    }
    kv_add_int(&b, "umask", s->spec.umask);
    if (s->init_maps_user) {
        kv_add_int(&b, "as_uid", s->spec.uid);
        kv_add_int(&b, "as_gid", s->spec.gid);
    }
    int fd = memfd_create("berth-args", MFD_CLOEXEC);
    bool ok = fd >= 0 && fs_write_all(fd, b.data, b.len) && lseek(fd, 0, SEEK_SET) == 0;
    if (!ok)
        error_errno(err, errno, "can't pass the arguments on");
    buf_finish(&b);
    return ok ? fd : -1;
}

/* Without a cpuset the lease still stands for the processes that don't ask for more. */
static void bind_cpus(const char *list)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    while (list && *list) {
        char *end;
        unsigned long first = strtoul(list, &end, 10), last = first;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        for (unsigned long cpu = first; cpu <= last && cpu < CPU_SETSIZE; cpu++)
            CPU_SET(cpu, &set);
        list = *end == ',' ? end + 1 : NULL;
    }
    if (CPU_COUNT(&set))
        sched_setaffinity(0, sizeof set, &set);
}

static void restore_oom_score(int value)
{
    char text[16];
    int n = snprintf(text, sizeof text, "%d", value);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, text, (size_t)n) != n) {
        /* it was never changed, then */
    }
    close(fd);
}

pid_t start_clone(struct shim *s, uint64_t flags)
{
    struct clone_args args = {.flags = flags, .exit_signal = SIGCHLD};
    char path[CGROUP_PATH_MAX * 2];
    int fd = -1;
    if (s->has_cgroup && s->tree.n == 1 && s->tree.h[0].v2) {
        snprintf(path, sizeof path, "%s/%s", s->tree.h[0].base, s->spec.cgroup_name);
        fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)fd;
        s->born_in_cgroup = true;
        pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
        if (pid != 0)
            close(fd);
        if (pid >= 0)
            return pid;
        s->born_in_cgroup = false;
    }
    return (pid_t)syscall(SYS_clone, (unsigned long)flags | SIGCHLD, NULL, NULL, NULL, NULL);
}

void start_child_setup(const struct shim *s, struct start_fds fds)
{
    /* Before it is in the group that its killers look at, the child dies with the shim by itself; and all the
     * way to init. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 ||
        (getppid() != s->pid && getppid() != 0)) /* 0: in another PID namespace */
        _exit(125);
    FAULT("shim.child_started");
    if (s->has_cgroup && !s->born_in_cgroup)
        cgroup_join(&s->tree, s->spec.cgroup_name, 0);
    if (!s->has_cgroup || !(s->tree.controllers & CGROUP_CPUSET))
        bind_cpus(s->spec.cpus);
    restore_oom_score(s->saved_oom_adj);
    umask(022);
    int high[6] = {fds.in, fds.out, fds.err, fds.init[0], fds.init[1], fds.init[2]};
    for (size_t i = 0; i < 6; i++)
        high[i] = high[i] < 0 ? -1 : fcntl(high[i], F_DUPFD, HIGH_FD);
    for (int i = 0; i < 6; i++) {
        if (high[i] >= 0)
            dup2(high[i], i);
        else
            close(i);
    }
    close_range(6, ~0u, 0);
    for (int signo = 1; signo < NSIG; signo++)
        signal(signo, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}
