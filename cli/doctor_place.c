/* Where Berth lives: the state folder, the login, its limits. */
#include "cli/doctor.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "cli/up.h"
#include "cli/show.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define STATE_ROOM_MIN_BYTES (INT64_C(5) << 30)
#define FILES_MIN 4096
#define WATCHES_MIN 8192

/* The folder, or the nearest one above it that exists. The caller frees. */
static char *existing_part(const char *path)
{
    char *part = xstrdup(path);
    struct stat st;
    while (stat(part, &st) != 0 && strcmp(part, "/") != 0) {
        char *slash = strrchr(part, '/');
        slash[slash == part] = '\0';
    }
    return part;
}

void doctor_check_state(struct doctor *d)
{
    _cleanup_free_ char *place = existing_part(d->state_dir);
    char network[32], room[32];
    struct statvfs fs;
    struct stat st;
    if (access(place, W_OK) != 0)
        doctor_add(d, DOCTOR_MISSING, "state folder", "berth up --state-dir DIR", "%s can't be written: %s",
                   place, strerror(errno));
    else if (fs_is_network(place, network))
        doctor_add(d, DOCTOR_MISSING, "state folder", "berth up --state-dir DIR, on a local disk",
                   "%s lies on a network filesystem (%s), which Berth refuses", d->state_dir, network);
    else
        doctor_add(d, DOCTOR_OK, "state folder", NULL, "%s%s", d->state_dir,
                   strcmp(place, d->state_dir) ? " (made at first start)" : "");
    if (statvfs(place, &fs) == 0) {
        int64_t bytes = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
        bool little = bytes < STATE_ROOM_MIN_BYTES;
        doctor_add(d, little ? DOCTOR_WARN : DOCTOR_OK, "room",
                   little ? "berth up --state-dir DIR, on a larger disk" : NULL,
                   "%s free there for logs, snapshots and outputs", show_bytes(bytes, room));
    }
    if (stat(d->state_dir, &st) == 0 && st.st_uid != geteuid())
        doctor_add(d, DOCTOR_MISSING, "state folder", "berth up --state-dir DIR", "%s belongs to uid %u",
                   d->state_dir, (unsigned)st.st_uid);
    int pid = up_lock_holder(d->state_dir);
    if (pid)
        doctor_add(d, DOCTOR_OK, "Berth", NULL, "runs on that folder (pid %d)", pid);
}

/* Options of the mount at /proc, from /proc/self/mounts. */
static void check_hidepid(struct doctor *d)
{
    _cleanup_file_ FILE *f = fopen("/proc/self/mounts", "re");
    char line[4096], mount[1024], type[64], options[2048];
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%*s %1023s %63s %2047s", mount, type, options) != 3 || strcmp(mount, "/proc") != 0)
            continue;
        const char *hidepid = strstr(options, "hidepid=");
        if (hidepid && hidepid[8] != '0' && strncmp(hidepid + 8, "off", 3) != 0)
            doctor_add(d, DOCTOR_WARN, "hidepid", "sudo mount -o remount,hidepid=0 /proc",
                       "other users' processes are hidden from you, so that a GPU's holder can't be named");
    }
}

static void check_limits(struct doctor *d)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        bool few = files.rlim_max != RLIM_INFINITY && files.rlim_max < FILES_MIN;
        doctor_add(d, few ? DOCTOR_WARN : DOCTOR_OK, "open files",
                   few ? "raise nofile in /etc/security/limits.conf" : NULL, "up to %llu",
                   (unsigned long long)files.rlim_max);
    }
    _cleanup_free_ char *watches = doctor_read_line("/proc/sys/fs/inotify/max_user_watches");
    if (watches && strtol(watches, NULL, 10) < WATCHES_MIN)
        doctor_add(d, DOCTOR_WARN, "inotify", "sudo sysctl fs.inotify.max_user_watches=65536",
                   "only %s watches for all followers of logs", watches);
    struct rlimit locked;
    if (!d->is_root && getrlimit(RLIMIT_MEMLOCK, &locked) == 0 && locked.rlim_max != RLIM_INFINITY &&
        locked.rlim_max < (64 << 20))
        doctor_add(d, DOCTOR_WARN, "locked memory", "raise memlock in /etc/security/limits.conf",
                   "%llu KiB: RDMA and pinned buffers may need more",
                   (unsigned long long)locked.rlim_max / 1024);
}

static void check_linger(struct doctor *d)
{
    if (d->is_root || access("/run/systemd/system", F_OK) != 0)
        return;
    _cleanup_free_ char *user = doctor_user();
    _cleanup_free_ char *file = xasprintf("/var/lib/systemd/linger/%s", user);
    _cleanup_free_ char *mend = xasprintf("sudo loginctl enable-linger %s", user);
    if (access(file, F_OK) == 0)
        doctor_add(d, DOCTOR_OK, "lingering", NULL, "on: your jobs outlive your logout");
    else
        doctor_add(d, DOCTOR_WARN, "lingering", mend,
                   "off: systemd may end your Berth and its jobs when you log out");
}

void doctor_check_login(struct doctor *d)
{
    check_linger(d);
    if (!d->is_root)
        check_hidepid(d);
    check_limits(d);
}
