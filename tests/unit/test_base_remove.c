/* base: removal of a tree whose user works against it: exchanged names, any depth, closed directories, flags
 * and mounts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define OTHER_UID 54321
#define EXCHANGE_ROUNDS 300
#define EXCHANGE_PAIRS 8
#define DEEP_LEVELS 100000

struct place {
    char path[64];
    int root;
};

static int set_up(void **state)
{
    struct place *p = xcalloc(1, sizeof *p);
    strcpy(p->path, "/dev/shm/berth-remove-XXXXXX"); /* in memory: 100,000 directories take a disk 10 s */
    if (!mkdtemp(p->path)) {
        strcpy(p->path, "/tmp/berth-remove-XXXXXX");
        assert_non_null(mkdtemp(p->path));
    }
    assert_int_equal(chmod(p->path, 0711), 0);
    p->root = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(p->root >= 0);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    close(p->root);
    assert_true(fs_remove_tree(AT_FDCWD, p->path, NULL));
    free(p);
    return 0;
}

static int make_directory(int at, const char *name)
{
    assert_int_equal(mkdirat(at, name, 0755), 0);
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void make_file(int at, const char *name)
{
    int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void assert_removed(struct place *p, const char *name)
{
    struct error err = {0};
    if (!fs_remove_tree(p->root, name, &err))
        fail_msg("%s", err.message);
    assert_int_equal(faccessat(p->root, name, F_OK, AT_SYMLINK_NOFOLLOW), -1);
}

/* Exchanges each closed directory dN with the link lN until it is killed, by a descriptor that no permission
 * above stands in the way of. */
static pid_t exchange(int tree, uid_t uid)
{
    int started[2];
    char c;
    assert_int_equal(pipe2(started, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0) {
        close(started[1]);
        assert_int_equal(read(started[0], &c, 1), 1);
        close(started[0]);
        return pid;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (uid && (setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0))
        _exit(1);
    for (int passes = 0;; passes++) {
        if (passes == 1 && write(started[1], "", 1) != 1)
            _exit(1);
        for (int i = 0; i < EXCHANGE_PAIRS; i++) {
            char d[8], l[8];
            snprintf(d, sizeof d, "d%d", i);
            snprintf(l, sizeof l, "l%d", i);
            renameat2(tree, d, tree, l, RENAME_EXCHANGE);
        }
    }
}

static void names_exchanged_with_links_lead_to_nothing_outside(void **state)
{
    struct place *p = *state;
    struct stat before, st;
    uid_t uid = getuid() == 0 ? OTHER_UID : 0;
    _cleanup_close_ int outside = make_directory(p->root, "outside");
    make_file(outside, "program");
    make_file(outside, "kept");
    assert_int_equal(fchmodat(outside, "program", 04755, 0), 0);
    assert_int_equal(fstatat(outside, "program", &before, 0), 0);
    for (int round = 0; round < EXCHANGE_ROUNDS; round++) {
        _cleanup_close_ int tree = make_directory(p->root, "tree");
        for (int i = 0; i < EXCHANGE_PAIRS; i++) {
            char d[8], l[8];
            snprintf(d, sizeof d, "d%d", i);
            snprintf(l, sizeof l, "l%d", i);
            int fd = make_directory(tree, d);
            make_file(fd, "f");
            assert_true(!uid || fchown(fd, uid, uid) == 0);
            assert_int_equal(fchmod(fd, 0), 0);
            close(fd);
            assert_int_equal(symlinkat(i % 2 ? "../outside" : "../outside/program", tree, l), 0);
        }
        assert_true(!uid || fchown(tree, uid, uid) == 0);
        pid_t pid = exchange(tree, uid);
        struct error err = {0};
        bool ok = fs_remove_tree(p->root, "tree", &err);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_true(ok || !uid); /* without root its user can go on without end */
        if (!ok)
            assert_removed(p, "tree");
        assert_int_equal(fstatat(outside, "program", &st, 0), 0);
        assert_int_equal(st.st_mode, before.st_mode);
        assert_int_equal(st.st_uid, before.st_uid);
        assert_int_equal(faccessat(outside, "kept", F_OK, 0), 0);
        assert_int_equal(fstat(outside, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0755);
    }
}

static void any_depth_is_removed_with_few_descriptors(void **state)
{
    struct place *p = *state;
    struct rlimit limit, few;
    int at = make_directory(p->root, "deep");
    for (int i = 0; i < DEEP_LEVELS; i++) {
        int next = make_directory(at, i % 1000 ? "d" : ".berth-removed-0");
        close(at);
        at = next;
    }
    make_file(at, "f");
    close(at);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    few = (struct rlimit){FS_REMOVE_LEVELS + 16, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_removed(p, "deep");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Nested as deep as there are descriptors for, one less and one more. */
static void depths_around_the_limit_of_open_directories_are_removed(void **state)
{
    struct place *p = *state;
    for (int levels = FS_REMOVE_LEVELS - 1; levels <= FS_REMOVE_LEVELS + 1; levels++) {
        int at = make_directory(p->root, "deep");
        for (int i = 1; i < levels; i++) {
            int next = make_directory(at, "d");
            make_file(at, "f");
            close(at);
            at = next;
        }
        close(at);
        assert_removed(p, "deep");
    }
}

static void closed_directories_of_an_ordinary_user_are_removed(void **state)
{
    struct place *p = *state;
    _cleanup_close_ int tree = make_directory(p->root, "tree"), in = make_directory(tree, "closed"),
                        deeper = make_directory(in, "read-only");
    make_file(deeper, "f");
    assert_int_equal(fchmod(deeper, 0500), 0);
    assert_int_equal(fchmod(in, 0), 0);
    if (getuid() != 0) {
        assert_removed(p, "tree");
        return;
    }
    assert_true(fchown(deeper, OTHER_UID, OTHER_UID) == 0 && fchown(in, OTHER_UID, OTHER_UID) == 0 &&
                fchown(tree, OTHER_UID, OTHER_UID) == 0 && fchown(p->root, OTHER_UID, OTHER_UID) == 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(setresgid(OTHER_UID, OTHER_UID, OTHER_UID) == 0 &&
                      setresuid(OTHER_UID, OTHER_UID, OTHER_UID) == 0 && fs_remove_tree(p->root, "tree", NULL)
                  ? 0
                  : 1);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(faccessat(p->root, "tree", F_OK, 0), -1);
}

static bool set_flags(int at, const char *name, int flags)
{
    _cleanup_close_ int fd = openat(at, name, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
}

static void immutable_files_and_directories_are_removed(void **state)
{
    struct place *p = *state;
    _cleanup_close_ int tree = make_directory(p->root, "tree"), in = make_directory(tree, "in");
    make_file(in, "immutable");
    make_file(in, "append-only");
    int flags = FS_IMMUTABLE_FL;
    if (!set_flags(in, "immutable", flags) || !set_flags(in, "append-only", FS_APPEND_FL))
        skip(); /* no such flags on this filesystem, or not for this user */
    assert_true(set_flags(tree, "in", flags));
    assert_true(set_flags(p->root, "tree", flags));
    assert_removed(p, "tree");
}

static void a_mount_is_left_and_named_and_all_else_goes(void **state)
{
    struct place *p = *state;
    _cleanup_close_ int tree = make_directory(p->root, "tree"), outside = make_directory(p->root, "outside");
    make_file(outside, "kept");
    close(make_directory(tree, "mounted"));
    close(make_directory(tree, "other"));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char from[96], to[96];
        struct error err = {0};
        snprintf(from, sizeof from, "%s/outside", p->path);
        snprintf(to, sizeof to, "%s/tree/mounted", p->path);
        if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, "") != 0 ||
            mount(from, to, "none", MS_BIND, "") != 0)
            _exit(77); /* needs root; a bind mount of the same filesystem, which st_dev does not show */
        int again = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        bool ok = fs_remove_tree(again, "tree", &err);
        _exit(!ok && err.code == ERROR_CONFLICT && strstr(err.message, "mounted") ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
    assert_int_equal(faccessat(tree, "other", F_OK, 0), -1);
    assert_int_equal(faccessat(outside, "kept", F_OK, 0), 0);
    assert_removed(p, "tree");
}

static void links_files_and_missing_names_are_removed_as_they_are(void **state)
{
    struct place *p = *state;
    _cleanup_close_ int outside = make_directory(p->root, "outside");
    make_file(outside, "kept");
    make_file(p->root, "file");
    assert_int_equal(symlinkat("outside", p->root, "link"), 0);
    assert_removed(p, "link");
    assert_removed(p, "file");
    assert_removed(p, "missing");
    assert_int_equal(faccessat(outside, "kept", F_OK, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_exchanged_with_links_lead_to_nothing_outside, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(any_depth_is_removed_with_few_descriptors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(depths_around_the_limit_of_open_directories_are_removed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(closed_directories_of_an_ordinary_user_are_removed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(immutable_files_and_directories_are_removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_mount_is_left_and_named_and_all_else_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(links_files_and_missing_names_are_removed_as_they_are, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
