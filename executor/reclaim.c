/* The namespace lives as long as one child, which walks the tree inside it; newuidmap and newgidmap, which
 * are setuid, write its maps from outside. The walk follows no link and leaves no filesystem. */
#include "executor/reclaim.h"

#include "base/cleanup.h"
#include "base/fs.h"
#include "executor/beneath.h"
#include "executor/subids.h"
#include "executor/user.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define DEPTH_MAX 400 /* two descriptors each, of the usual 1,024; collection looks 128 deep */

static bool take_entry(int folder, const char *name, bool first, int depth);

/* Takes fd. */
static bool take_contents(int fd, int depth)
{
    _cleanup_dir_ DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return false;
    }
    bool ok = true;
    struct dirent *entry;
    while ((entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            ok = take_entry(dirfd(dir), entry->d_name, false, depth + 1) && ok;
    return ok;
}

/* Inside the namespace, where id 0 is the user. All acts on the descriptor: the name may mean something else
 * a moment later. */
static bool take_entry(int folder, const char *name, bool first, int depth)
{
    struct stat st;
    _cleanup_close_ int path = first ? openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC)
                                     : beneath_openat(folder, name, O_PATH, 0, true);
    if (path < 0)
        return errno == EXDEV;
    if (depth > DEPTH_MAX || fstat(path, &st) != 0)
        return false;
    bool ok = (st.st_uid == 0 && st.st_gid == 0) || fchownat(path, "", 0, 0, AT_EMPTY_PATH) == 0;
    mode_t wanted = S_ISDIR(st.st_mode) ? 0700 : 0600;
    if ((S_ISDIR(st.st_mode) || S_ISREG(st.st_mode)) && (st.st_mode & wanted) != wanted)
        ok = fs_chmod_fd(path, (st.st_mode & 0777) | wanted) && ok;
    if (!S_ISDIR(st.st_mode))
        return ok;
    int fd = openat(path, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && take_contents(fd, depth) && ok;
}

typedef bool reclaim_fn(int dirfd, const char *path);

static bool take_tree(int dirfd, const char *path)
{
    return take_entry(dirfd, path, true, 0);
}

static bool remove_tree(int dirfd, const char *path)
{
    return fs_remove_tree(dirfd, path, NULL);
}

static void __attribute__((noreturn)) child(reclaim_fn *act, int dirfd, const char *path, int tell, int go)
{
    char c = 'u';
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (unshare(CLONE_NEWUSER) != 0 || write(tell, &c, 1) != 1 || read(go, &c, 1) != 1 || c != 'g' ||
        setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0)
        _exit(1);
    _exit(act(dirfd, path) ? 0 : 2);
}

static bool map_ids(const char *program, pid_t pid, unsigned own, uint32_t first, uint32_t count)
{
    char text[4][16];
    snprintf(text[0], sizeof *text, "%d", (int)pid);
    snprintf(text[1], sizeof *text, "%u", own);
    snprintf(text[2], sizeof *text, "%u", (unsigned)first);
    snprintf(text[3], sizeof *text, "%u", (unsigned)count);
    char *argv[] = {(char *)(uintptr_t)program,
                    text[0],
                    (char[]){"0"},
                    text[1],
                    (char[]){"1"},
                    (char[]){"1"},
                    text[2],
                    text[3],
                    NULL};
    pid_t helper = fork();
    if (helper == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        for (int fd = 0; fd < 3; fd++)
            dup2(null, fd);
        execvp(program, argv);
        _exit(127);
    }
    int status = 1;
    while (helper > 0 && waitpid(helper, &status, 0) < 0 && errno == EINTR) {
    }
    return helper > 0 && status == 0;
}

static bool run_child(reclaim_fn *act, int dirfd, const char *path, const struct subids *ids,
                      struct error *err)
{
    int tell[2], go[2];
    if (pipe2(tell, O_CLOEXEC) != 0)
        return error_errno(err, errno, "can't make a pipe");
    if (pipe2(go, O_CLOEXEC) != 0) {
        error_errno(err, errno, "can't make a pipe");
        close(tell[0]);
        close(tell[1]);
        return false;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(tell[0]);
        close(go[1]);
        child(act, dirfd, path, tell[1], go[0]);
    }
    int failed = errno, status = 1 << 8;
    char c = 0;
    close(tell[1]);
    close(go[0]);
    if (pid > 0) {
        bool mapped = read(tell[0], &c, 1) == 1 &&
                      map_ids("newuidmap", pid, geteuid(), ids->uid, ids->uid_count) &&
                      map_ids("newgidmap", pid, getegid(), ids->gid, ids->gid_count);
        c = mapped ? 'g' : 'n';
        ssize_t ignored = write(go[1], &c, 1);
        (void)ignored; /* the status says all */
    }
    close(go[1]);
    close(tell[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (pid < 0)
        return error_errno(err, failed, "can't fork");
    if (status == 0)
        return true;
    return error_set(err, ERROR_DENIED,
                     WIFEXITED(status) && WEXITSTATUS(status) == 2
                         ? "not all files of sub-ids could be taken back"
                         : "no user namespace with the user's sub-ids can be made (newuidmap)");
}

static bool act_in_namespace(reclaim_fn *act, int dirfd, const char *path, struct error *err)
{
    if (geteuid() == 0 || faccessat(dirfd, path, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        return true;
    char principal[32];
    struct user user;
    struct subids ids;
    snprintf(principal, sizeof principal, "uid:%u", (unsigned)geteuid());
    if (!user_resolve(principal, -1, &user, err))
        return false;
    subids_find(user.name, user.uid, false, &ids);
    user_finish(&user);
    return ids.uid_count == 0 || ids.gid_count == 0 || run_child(act, dirfd, path, &ids, err);
}

bool reclaim_tree(int dirfd, const char *path, struct error *err)
{
    return act_in_namespace(take_tree, dirfd, path, err);
}

bool reclaim_remove_tree(int dirfd, const char *path, struct error *err)
{
    struct error first = {0};
    if (fs_remove_tree(dirfd, path, &first))
        return true;
    /* in the namespace there is permission for all of it, at any depth; what that left says the error */
    if (geteuid() != 0 && first.code == ERROR_DENIED) {
        act_in_namespace(remove_tree, dirfd, path, NULL);
        return fs_remove_tree(dirfd, path, err);
    }
    if (err)
        *err = first;
    return false;
}
