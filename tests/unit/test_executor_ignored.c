/* executor/ignored: what becomes of each kind of ignored file, and that nothing is opened but as the user. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "executor/ignored.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OTHER 54321
#define PATHS_MAX 16

struct place {
    char top[64], code[80];
    int code_fd, work;
    struct ignored_file files[PATHS_MAX];
    struct error err;
};

static int set_up(void **state)
{
    struct place *p = xcalloc(1, sizeof *p);
    strcpy(p->top, "/tmp/berth-ignored-XXXXXX");
    assert_non_null(mkdtemp(p->top));
    assert_int_equal(chmod(p->top, 0755), 0);
    snprintf(p->code, sizeof p->code, "%s/code", p->top);
    assert_int_equal(mkdir(p->code, 0755), 0);
    p->code_fd = open(p->code, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_free_ char *work = xasprintf("%s/work", p->top);
    assert_int_equal(mkdir(work, 0755), 0);
    p->work = open(work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    close(p->code_fd);
    close(p->work);
    fs_remove_tree(AT_FDCWD, p->top, NULL);
    free(p);
    return 0;
}

static void write_file(int at, const char *path, const char *text, mode_t mode)
{
    _cleanup_close_ int fd = openat(at, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_true(fs_write_all(fd, text, strlen(text)));
    assert_int_equal(fchmod(fd, mode), 0);
}

static void write_hole(int at, const char *path, off_t size)
{
    write_file(at, path, "x", 0644);
    _cleanup_close_ int fd = openat(at, path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(ftruncate(fd, size), 0);
}

static bool take(struct place *p, const struct user *user, char *const *paths)
{
    struct ignored_request request = {
        .folder = p->code, .paths = paths, .user = user, .work_fd = p->work, .live_at = "/live"};
    memset(p->files, 0, sizeof p->files);
    memset(&p->err, 0, sizeof p->err);
    return ignored_take(&request, p->files, &p->err);
}

static void take_as_me(struct place *p, char *const *paths)
{
    const struct user me = {.uid = getuid(), .gid = getgid()};
    if (!take(p, &me, paths))
        fail_msg("%s", p->err.message);
}

static void assert_link(struct place *p, const char *path, const char *target)
{
    char text[256];
    ssize_t n = readlinkat(p->work, path, text, sizeof text - 1);
    assert_true(n > 0);
    text[n] = '\0';
    assert_string_equal(text, target);
}

static void assert_content(struct place *p, const char *path, const char *content)
{
    struct error err;
    _cleanup_buf_ struct buf text = {0};
    assert_true(fs_read_file(p->work, path, 4096, &text, &err));
    buf_add(&text, "", 1);
    assert_string_equal(text.data, content);
}

static void each_kind_has_its_own_place(void **state)
{
    struct place *p = *state;
    char *const paths[] = {(char *)".env",   (char *)"pipe",    (char *)"in",   (char *)"out", (char *)"dir",
                           (char *)"dirout", (char *)"nowhere", (char *)"gone", NULL};
    struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1234567890, .tv_nsec = 987654321}};
    struct stat st;
    write_file(p->code_fd, ".env", "KEY=1\n", 04750);
    assert_int_equal(utimensat(p->code_fd, ".env", times, 0), 0);
    assert_int_equal(mkfifoat(p->code_fd, "pipe", 0644), 0);
    assert_int_equal(mkdirat(p->code_fd, "dir", 0755), 0);
    assert_int_equal(symlinkat(".env", p->code_fd, "in"), 0);
    assert_int_equal(symlinkat("/etc/hostname", p->code_fd, "out"), 0);
    assert_int_equal(symlinkat("/etc", p->code_fd, "dirout"), 0);
    assert_int_equal(symlinkat("/no/such/file", p->code_fd, "nowhere"), 0);
    take_as_me(p, paths);
    static const enum ignored_kind kinds[] = {IGNORED_FILE,  IGNORED_REFUSED, IGNORED_LINK, IGNORED_LIVE,
                                              IGNORED_MOUNT, IGNORED_MOUNT,   IGNORED_LINK, IGNORED_GONE};
    for (size_t i = 0; paths[i]; i++)
        if (p->files[i].kind != kinds[i])
            fail_msg("%s: %d, not %d", paths[i], (int)p->files[i].kind, (int)kinds[i]);
    assert_content(p, ".env", "KEY=1\n");
    assert_int_equal(fstatat(p->work, ".env", &st, 0), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0750);
    assert_int_equal(st.st_mtim.tv_sec, 1234567890);
    assert_int_equal(st.st_mtim.tv_nsec, 987654321);
    assert_link(p, "in", ".env");
    assert_link(p, "out", "/live/out");
    assert_link(p, "nowhere", "/no/such/file");
    assert_int_not_equal(fstatat(p->work, "pipe", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(fstatat(p->code_fd, ".env", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 04750);
}

static void a_directory_without_write_permission_is_filled_and_stays_as_it_was(void **state)
{
    struct place *p = *state;
    char *const paths[] = {(char *)"sub/.env", NULL};
    struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 2}};
    struct stat st;
    assert_int_equal(mkdirat(p->code_fd, "sub", 0755), 0);
    write_file(p->code_fd, "sub/.env", "x", 0600);
    assert_int_equal(mkdirat(p->work, "sub", 0555), 0);
    assert_int_equal(utimensat(p->work, "sub", times, 0), 0);
    take_as_me(p, paths);
    assert_content(p, "sub/.env", "x");
    assert_int_equal(fstatat(p->work, "sub", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0555);
    assert_int_equal(st.st_mtim.tv_sec, 2);
}

static void what_is_too_large_is_a_link_to_the_live_file(void **state)
{
    struct place *p = *state;
    char *const paths[] = {(char *)"3g", (char *)"1", (char *)"2", (char *)"3",
                           (char *)"4",  (char *)"5", NULL};
    write_hole(p->code_fd, paths[0], INT64_C(3) << 30);
    for (size_t i = 1; i < 6; i++)
        write_hole(p->code_fd, paths[i], IGNORED_COPY_MAX_BYTES - 1);
    take_as_me(p, paths);
    if (p->files[0].kind == IGNORED_FILE)
        skip(); /* a file system that shares the bytes */
    assert_int_equal(p->files[0].kind, IGNORED_LIVE);
    assert_link(p, "3g", "/live/3g");
    for (size_t i = 1; i < 5; i++)
        assert_int_equal(p->files[i].kind, IGNORED_FILE);
    assert_int_equal(p->files[5].kind, IGNORED_LIVE);
    assert_link(p, "5", "/live/5");
}

static void what_stands_in_the_place_already_stops_it(void **state)
{
    struct place *p = *state;
    char *const paths[] = {(char *)".env", NULL};
    const struct user me = {.uid = getuid(), .gid = getgid()};
    write_file(p->code_fd, ".env", "x", 0600);
    write_file(p->work, ".env", "other", 0600);
    assert_false(take(p, &me, paths));
    assert_non_null(strstr(p->err.message, ".env"));
    assert_content(p, ".env", "other");
}

static atomic_bool over;

/* A file, a link to a secret of root's and a hard link to it in turn, and a directory that leads to one. */
static void *swap(void *place)
{
    struct place *p = place;
    for (unsigned i = 0; !over; i++) {
        symlinkat("../secret", p->code_fd, "new");
        renameat(p->code_fd, "new", p->code_fd, "f");
        linkat(p->code_fd, "../secret", p->code_fd, "new", 0);
        renameat(p->code_fd, "new", p->code_fd, "f");
        write_file(p->code_fd, "new", "mine", 0644);
        renameat(p->code_fd, "new", p->code_fd, "f");
        renameat(p->code_fd, "d", p->code_fd, "d2");
        symlinkat("../closed", p->code_fd, "d");
        unlinkat(p->code_fd, "d", 0);
        renameat(p->code_fd, "d2", p->code_fd, "d");
    }
    return NULL;
}

static void nothing_that_is_exchanged_meanwhile_gives_the_user_more_than_he_may_read(void **state)
{
    struct place *p = *state;
    if (getuid() != 0)
        skip();
    const struct user other = {.uid = OTHER, .gid = OTHER};
    char *const paths[] = {(char *)"f", (char *)"d/f", NULL};
    char path[128];
    pthread_t thread;
    int copied = 0;
    snprintf(path, sizeof path, "%s/secret", p->top);
    write_file(AT_FDCWD, path, "secret", 0600);
    snprintf(path, sizeof path, "%s/closed", p->top);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/closed/f", p->top);
    write_file(AT_FDCWD, path, "secret", 0644);
    write_file(p->code_fd, "f", "mine", 0644);
    assert_int_equal(mkdirat(p->code_fd, "d", 0755), 0);
    write_file(p->code_fd, "d/f", "mine", 0644);
    assert_int_equal(mkdirat(p->work, "d", 0755), 0);
    assert_int_equal(fchownat(p->work, "d", OTHER, OTHER, 0), 0);
    assert_int_equal(fchown(p->work, OTHER, OTHER), 0);
    over = false;
    assert_int_equal(pthread_create(&thread, NULL, swap, p), 0);
    for (int i = 0; i < 300; i++) {
        struct stat st;
        if (!take(p, &other, paths))
            fail_msg("%s", p->err.message);
        for (size_t k = 0; k < 2; k++) {
            if (p->files[k].kind == IGNORED_FILE) {
                struct error err;
                _cleanup_buf_ struct buf text = {0};
                assert_int_equal(fstatat(p->work, paths[k], &st, AT_SYMLINK_NOFOLLOW), 0);
                assert_int_equal(st.st_uid, OTHER);
                assert_true(fs_read_file(p->work, paths[k], 64, &text, &err));
                assert_true(text.len <= 4 && memcmp(text.data ? text.data : "", "mine", text.len) == 0);
                copied++;
            }
            unlinkat(p->work, paths[k], 0);
        }
    }
    over = true;
    pthread_join(thread, NULL);
    assert_true(copied > 0);
}

static void what_the_user_may_not_read_is_left_out(void **state)
{
    struct place *p = *state;
    if (getuid() != 0)
        skip();
    const struct user other = {.uid = OTHER, .gid = OTHER};
    char *const paths[] = {(char *)"of-root", (char *)"shadow", NULL};
    write_file(p->code_fd, "of-root", "secret", 0600);
    assert_int_equal(symlinkat("/etc/shadow", p->code_fd, "shadow"), 0);
    assert_int_equal(fchown(p->work, OTHER, OTHER), 0);
    if (!take(p, &other, paths))
        fail_msg("%s", p->err.message);
    assert_int_equal(p->files[0].kind, IGNORED_REFUSED);
    assert_int_equal(p->files[0].error, EACCES);
    assert_int_equal(p->files[1].kind,
                     IGNORED_LIVE); /* mounted as the user names it, and read with his rights */
}

static void a_code_directory_that_is_gone_is_gone_whole(void **state)
{
    struct place *p = *state;
    char *const paths[] = {(char *)"a", (char *)"b/c", NULL};
    strcat(p->code, "2");
    take_as_me(p, paths);
    assert_int_equal(p->files[0].kind, IGNORED_GONE);
    assert_int_equal(p->files[1].kind, IGNORED_GONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_kind_has_its_own_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_directory_without_write_permission_is_filled_and_stays_as_it_was,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_too_large_is_a_link_to_the_live_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_stands_in_the_place_already_stops_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            nothing_that_is_exchanged_meanwhile_gives_the_user_more_than_he_may_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_the_user_may_not_read_is_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_code_directory_that_is_gone_is_gone_whole, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
