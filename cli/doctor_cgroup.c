/* Control groups: which version, and what may be limited from here. */
#include "cli/doctor.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

static bool is_cgroup2(const char *path)
{
    struct statfs fs;
    return statfs(path, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

static bool has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; (p = strstr(p, word)); p += n)
        if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
            return true;
    return false;
}

/* This process's path in the one hierarchy of version 2. */
static char *own_path(void)
{
    _cleanup_file_ FILE *f = fopen("/proc/self/cgroup", "re");
    char line[4096];
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::", 3) == 0)
            return xasprintf("/sys/fs/cgroup%s", line + 3);
    }
    return NULL;
}

static void check_controllers(struct doctor *d, const char *list)
{
    static const struct {
        const char *name, *without;
    } wanted[] = {{"cpuset", "CPUs"}, {"memory", "memory"}, {"pids", "numbers of processes"}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!has_word(list, wanted[i].name))
            doctor_add(d, DOCTOR_WARN, "cgroup",
                       "sudo mkdir -p /etc/systemd/system/user@.service.d && printf "
                       "'[Service]\\nDelegate=cpu cpuset io memory "
                       "pids\\n' | sudo tee /etc/systemd/system/user@.service.d/delegate.conf && sudo "
                       "systemctl daemon-reload, then "
                       "log in again",
                       "the controller %s is not delegated to you: jobs' %s can't be limited", wanted[i].name,
                       wanted[i].without);
}

static void check_delegation(struct doctor *d)
{
    bool systemd = access("/run/systemd/system", F_OK) == 0;
    _cleanup_free_ char *bus = xasprintf("/run/user/%u/bus", (unsigned)geteuid());
    _cleanup_free_ char *user_slice =
        xasprintf("/sys/fs/cgroup/user.slice/user-%u.slice/user@%u.service/cgroup.controllers",
                  (unsigned)geteuid(), (unsigned)geteuid());
    _cleanup_free_ char *controllers = doctor_read_line(user_slice);
    if (systemd && access(bus, F_OK) == 0 && controllers) {
        doctor_add(d, DOCTOR_OK, "cgroup", NULL, "your systemd delegates: %s", controllers);
        check_controllers(d, controllers);
        return;
    }
    _cleanup_free_ char *path = own_path();
    _cleanup_free_ char *procs = path ? xasprintf("%s/cgroup.procs", path) : NULL;
    if (procs && access(procs, W_OK) == 0) {
        _cleanup_free_ char *list_path = xasprintf("%s/cgroup.controllers", path);
        _cleanup_free_ char *list = doctor_read_line(list_path);
        doctor_add(d, DOCTOR_OK, "cgroup", NULL, "%s is yours, with: %s", path,
                   list && *list ? list : "no controllers");
        check_controllers(d, list ? list : "");
        return;
    }
    doctor_add(d, DOCTOR_WARN, "cgroup",
               systemd
                   ? "log in with a session of your own (ssh, not su), or sudo loginctl enable-linger $USER"
                   : "run the service as root: sudo berth up",
               "no cgroup is delegated to you: CPUs and memory of your jobs can't be limited");
}

void doctor_check_cgroups(struct doctor *d)
{
    if (is_cgroup2("/sys/fs/cgroup")) {
        _cleanup_free_ char *list = doctor_read_line("/sys/fs/cgroup/cgroup.controllers");
        doctor_add(d, DOCTOR_OK, "cgroup", NULL, "version 2, with: %s", list ? list : "?");
        if (!d->is_root)
            check_delegation(d);
        return;
    }
    bool hybrid = is_cgroup2("/sys/fs/cgroup/unified");
    bool v1 = access("/sys/fs/cgroup/memory", F_OK) == 0 || access("/sys/fs/cgroup/pids", F_OK) == 0;
    if (!v1 && !hybrid) {
        doctor_add(d, DOCTOR_MISSING, "cgroup", "mount -t cgroup2 none /sys/fs/cgroup",
                   "no control groups are mounted: nothing can be limited");
        return;
    }
    doctor_add(
        d, DOCTOR_WARN, "cgroup", "boot with systemd.unified_cgroup_hierarchy=1",
        "version 1%s: limits work for root; killing a job freezes it first, since there is no cgroup.kill",
        hybrid ? " (hybrid)" : "");
    if (!d->is_root)
        doctor_add(d, DOCTOR_WARN, "cgroup", "run the service as root: sudo berth up",
                   "version 1 can't be delegated: CPUs and memory of your jobs can't be limited");
    if (d->is_root && access("/sys/fs/cgroup/memory", W_OK) != 0)
        doctor_add(d, DOCTOR_WARN, "cgroup", "mount -o remount,rw /sys/fs/cgroup/memory",
                   "the memory controller can't be written here");
}
