/*
 * User namespaces: the one that a rootless shim enters to be able to mount, and the ones that stand for a map
 * of ids.
 */
#include "executor/shim/shim.h"

#include "base/cleanup.h"
#include "base/fault.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static bool write_proc(pid_t pid, const char *file, const char *text, struct error *err)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        return error_errno(err, errno, "can't write %s", path);
    return true;
}

static void format_map(const struct id_range *r, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%" PRIu32 " %" PRIu32 " %" PRIu32 "\n", r[i].inside, r[i].outside, r[i].count);
}

bool userns_write_maps(pid_t pid, const struct id_map *m, bool deny_setgroups, struct error *err)
{
    _cleanup_buf_ struct buf uids = {0}, gids = {0};
    format_map(m->uids, m->n_uids, &uids);
    format_map(m->gids, m->n_gids, &gids);
    if (!uids.len || !gids.len)
        return error_set(err, ERROR_INTERNAL, "an empty map of ids");
    return write_proc(pid, "uid_map", uids.data, err) &&
           (!deny_setgroups || write_proc(pid, "setgroups", "deny", err)) &&
           write_proc(pid, "gid_map", gids.data, err);
}

/* newuidmap PID INSIDE OUTSIDE COUNT...: setuid helpers that write what /etc/subuid allows. */
static bool run_map_helper(const char *program, pid_t pid, const struct id_range *r, size_t n)
{
    char text[1 + 3 * ID_RANGES_MAX][16];
    char *argv[3 + 3 * ID_RANGES_MAX] = {(char *)program};
    size_t used = 0;
    snprintf(text[used++], sizeof *text, "%d", (int)pid);
    for (size_t i = 0; i < n; i++) {
        snprintf(text[used++], sizeof *text, "%" PRIu32, r[i].inside);
        snprintf(text[used++], sizeof *text, "%" PRIu32, r[i].outside);
        snprintf(text[used++], sizeof *text, "%" PRIu32, r[i].count);
    }
    for (size_t i = 0; i < used; i++)
        argv[i + 1] = text[i];
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(null, 1);
        dup2(null, 2);
        execvp(program, argv);
        _exit(127);
    }
    int status;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* A child outside the new namespace writes its maps: 1 all ranges, 0 none (then the shim maps itself alone).
 */
static bool map_with_helpers(pid_t child_of, const struct id_map *m, int go, int answer)
{
    char c;
    if (read(go, &c, 1) != 1)
        return false;
    c = run_map_helper("newuidmap", child_of, m->uids, m->n_uids) &&
                run_map_helper("newgidmap", child_of, m->gids, m->n_gids)
            ? '1'
            : '0';
    return write(answer, &c, 1) == 1;
}

bool userns_enter(struct shim *s, struct error *err)
{
    const struct spec *spec = &s->spec;
    struct id_map own = {.uids = {{0, (uint32_t)geteuid(), 1}},
                         .gids = {{0, (uint32_t)getegid(), 1}},
                         .n_uids = 1,
                         .n_gids = 1};
    bool ranges = !spec_is_host(spec) && spec->sub_uid_count > 0 && spec->sub_gid_count > 0;
    struct id_map full = own;
    if (ranges) {
        full.uids[full.n_uids++] =
            (struct id_range){1, (uint32_t)spec->sub_uid, (uint32_t)spec->sub_uid_count};
        full.gids[full.n_gids++] =
            (struct id_range){1, (uint32_t)spec->sub_gid, (uint32_t)spec->sub_gid_count};
    }
    int go[2] = {-1, -1}, answer[2] = {-1, -1};
    pid_t helper = 0;
    if (ranges) {
        pid_t self = getpid();
        if (pipe2(go, O_CLOEXEC) != 0 || pipe2(answer, O_CLOEXEC) != 0 || (helper = fork()) < 0)
            return error_errno(err, errno, "can't start the id mapping helper");
        if (helper == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            close(go[1]);
            _exit(map_with_helpers(self, &full, go[0], answer[1]) ? 0 : 1);
        }
        close(go[0]);
        close(answer[1]);
    }
    bool made = unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
    int e = errno;
    char c = '0';
    if (ranges) {
        if (made && (write(go[1], "g", 1) != 1 || read(answer[0], &c, 1) != 1))
            c = '0';
        close(go[1]);
        close(answer[0]);
        while (waitpid(helper, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    if (!made)
        return error_errno(err, e, "can't create a user namespace");
    s->self_contained_ids = c == '1';
    if (c == '1')
        return true;
    if (ranges)
        snprintf(s->outcome.notes, sizeof s->outcome.notes,
                 "newuidmap refused the ids of /etc/subuid: only the user's own id is inside");
    return userns_write_maps(getpid(), &own, true, err);
}

int userns_of_map(const struct id_map *m, struct error *err)
{
    pid_t child = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    if (child < 0) {
        error_errno(err, errno, "can't create a user namespace for its ids");
        return -1;
    }
    int fd = -1;
    if (userns_write_maps(child, m, false, err)) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/ns/user", (int)child);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            error_errno(err, errno, "can't open %s", path);
    }
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
    return fd;
}
