/* The kernel: calls that Berth uses where they are, overlay, user namespaces. Each call is tried with
 * arguments that can't succeed, so that ENOSYS tells apart a kernel without it. */
#include "cli/doctor.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif

#define LANDLOCK_VERSION_FLAG 1 /* LANDLOCK_CREATE_RULESET_VERSION, linux/landlock.h */
#define LANDLOCK_ABI_WITH_SCOPES 6

static void check_calls(struct doctor *d)
{
    static const struct {
        const char *name, *without;
        long number;
        const char *since;
    } calls[] = {
        {"mount_setattr", "mounts of a `host` job are made read-only one by one", SYS_mount_setattr, "5.12"},
        {"openat2", "outputs are collected one folder at a time", SYS_openat2, "5.6"},
        {"pidfd_open", "processes are watched by their start times", SYS_pidfd_open, "5.3"},
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        bool there = syscall(calls[i].number, -1, NULL, -1, NULL, 0) >= 0 || errno != ENOSYS;
        if (there)
            doctor_add(d, DOCTOR_OK, calls[i].name, NULL, "there");
        else
            doctor_add(d, DOCTOR_WARN, calls[i].name, "a newer kernel",
                       "not in this kernel (Linux %s has it): %s", calls[i].since, calls[i].without);
    }
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);
    if (abi >= LANDLOCK_ABI_WITH_SCOPES)
        doctor_add(d, DOCTOR_OK, "Landlock", NULL, "version %ld: abstract sockets can be closed to jobs",
                   abi);
    else
        doctor_add(d, DOCTOR_WARN, "Landlock", "Linux 6.12 or later with CONFIG_SECURITY_LANDLOCK",
                   "%s: abstract sockets of this machine stay open to jobs",
                   abi > 0 ? "too old for scopes" : "not there");
}

static bool filesystem_known(const char *name)
{
    _cleanup_file_ FILE *f = fopen("/proc/filesystems", "re");
    char line[128];
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        const char *tab = strrchr(line, '\t');
        if (tab && strcmp(tab + 1, name) == 0)
            return true;
    }
    return false;
}

static void check_overlay(struct doctor *d)
{
    struct utsname u;
    if (filesystem_known("overlay")) {
        doctor_add(d, DOCTOR_OK, "overlay", NULL, "there");
        return;
    }
    uname(&u);
    _cleanup_free_ char *module = xasprintf("/lib/modules/%s/kernel/fs/overlayfs", u.release);
    if (access(module, F_OK) == 0)
        doctor_add(d, DOCTOR_WARN, "overlay", "sudo modprobe overlay",
                   "not loaded; image jobs without root need it loaded");
    else
        doctor_add(d, DOCTOR_MISSING, "overlay", "a kernel with CONFIG_OVERLAY_FS",
                   "not in this kernel: image jobs can't run");
}

static bool can_make_user_namespace(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 ? 0 : 1);
    int status = 1;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void check_user_namespaces(struct doctor *d)
{
    static const struct {
        const char *path, *bad, *mend;
    } switches[] = {
        {"/proc/sys/kernel/unprivileged_userns_clone", "0", "sudo sysctl kernel.unprivileged_userns_clone=1"},
        {"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
         "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"},
        {"/proc/sys/user/max_user_namespaces", "0", "sudo sysctl user.max_user_namespaces=15000"},
    };
    if (can_make_user_namespace()) {
        doctor_add(d, DOCTOR_OK, "user namespaces", NULL, "you can make them");
        return;
    }
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
        _cleanup_free_ char *value = doctor_read_line(switches[i].path);
        if (value && strcmp(value, switches[i].bad) == 0) {
            doctor_add(d, DOCTOR_MISSING, "user namespaces", switches[i].mend, "switched off by %s",
                       switches[i].path);
            return;
        }
    }
    doctor_add(d, d->is_root ? DOCTOR_WARN : DOCTOR_MISSING, "user namespaces",
               "run Berth outside this container, or allow unshare in its seccomp profile",
               "the kernel refuses them here");
}

void doctor_check_kernel(struct doctor *d)
{
    struct utsname u;
    if (uname(&u) == 0) {
        char *end;
        long major = strtol(u.release, &end, 10), minor = *end == '.' ? strtol(end + 1, NULL, 10) : 0;
        bool old = major < 5 || (major == 5 && minor < 10);
        doctor_add(d, old ? DOCTOR_WARN : DOCTOR_OK, "kernel", old ? "Linux 5.10 or later" : NULL,
                   "Linux %s, %s", u.release, u.machine);
    }
    check_calls(d);
    check_overlay(d);
    check_user_namespaces(d);
}
