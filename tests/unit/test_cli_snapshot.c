/* Code folders, state folders and git's facts, on a real filesystem. */
#include "cli/git.h"
#include "cli/snapshot.h"
#include "cli/up.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char root[64];

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/berth-unit-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    return fs_remove_tree(AT_FDCWD, root, NULL) ? 0 : -1;
}

static void put(const char *path, const char *text)
{
    _cleanup_free_ char *full = xasprintf("%s/%s", root, path);
    _cleanup_free_ char *folder = xstrndup(full, (size_t)(strrchr(full, '/') - full));
    assert_true(fs_mkdirs(folder, 0755, NULL));
    _cleanup_file_ FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
}

static const struct code_item *find(const struct code_snapshot *s, const char *path)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->items[i].path, path) == 0)
            return &s->items[i];
    return NULL;
}

static bool is_left_out(const struct code_snapshot *s, const char *path)
{
    for (size_t i = 0; i < s->left_out_count; i++)
        if (strcmp(s->left_out[i], path) == 0)
            return true;
    return false;
}

static void test_a_snapshot_has_what_the_ignore_files_leave_and_names_what_they_take(void **state)
{
    (void)state;
    put("train.py", "print(1)\n");
    put(".gitignore", "data/\n*.ckpt\n");
    put("data/big.bin", "0123456789");
    put("data/deep/more.bin", "01234");
    put("sub/x.ckpt", "c");
    put("sub/.gitignore", "!x.ckpt\nlocal\n");
    put("sub/local", "l");
    struct code_snapshot s;
    struct error err = {0};
    if (!code_snapshot_take(root, NULL, true, NULL, NULL, &s, &err))
        fail_msg("%s", err.message);
    assert_non_null(find(&s, "train.py"));
    assert_non_null(find(&s, "sub/x.ckpt"));
    assert_null(find(&s, "data"));
    assert_null(find(&s, "sub/local"));
    assert_true(is_left_out(&s, "data"));
    assert_true(is_left_out(&s, "sub/local"));
    assert_int_equal(s.left_out_count, 2);
    assert_int_equal(s.left_out_files, 3);
    assert_string_equal(s.largest, "data/big.bin");
    /* sha256 of "print(1)\n" */
    assert_string_equal(find(&s, "train.py")->sha,
                        "cc42155088fca5730758db72b2a5bca33112a941dfaa2d43098ec422ce4ea213");
    code_snapshot_finish(&s);
}

static void test_amlignore_stands_in_place_of_gitignore(void **state)
{
    (void)state;
    put(".gitignore", "a\n");
    put(".amlignore", "b\n");
    put("a", "1");
    put("b", "1");
    struct code_snapshot s;
    assert_true(code_snapshot_take(root, NULL, true, NULL, NULL, &s, NULL));
    assert_non_null(find(&s, "a"));
    assert_null(find(&s, "b"));
    code_snapshot_finish(&s);
}

static void test_links_stay_links_and_special_files_are_skipped(void **state)
{
    (void)state;
    put("dir/file", "x");
    char path[256];
    static const struct {
        const char *name, *target;
    } links[] = {
        {"inside", "dir/file"}, {"dangling", "nowhere"}, {"out", "../../etc"}, {"far", "/etc/passwd"}};
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", root, links[i].name);
        assert_int_equal(symlink(links[i].target, path), 0);
    }
    snprintf(path, sizeof path, "%s/pipe", root);
    assert_int_equal(mkfifo(path, 0600), 0);
    struct code_snapshot s;
    assert_true(code_snapshot_take(root, NULL, true, NULL, NULL, &s, NULL));
    assert_int_equal(s.special, 1);
    assert_int_equal(s.links_out, 2);
    assert_int_equal(s.links_dangling, 1);
    assert_string_equal(find(&s, "dangling")->target, "nowhere");
    assert_null(find(&s, "pipe"));
    _cleanup_free_ char *line = xasprintf("120000 8 - %lld inside", (long long)find(&s, "inside")->mtime_ns);
    assert_non_null(memmem(s.manifest.data, s.manifest.len, line, strlen(line)));
    assert_non_null(memmem(s.manifest.data, s.manifest.len, " inside\0dir/file\n", 17));
    code_snapshot_finish(&s);
}

static void test_the_manifest_is_sorted_and_its_odd_names_encoded(void **state)
{
    (void)state;
    put("b", "");
    put("a b\n%", "");
    put("a/x", "");
    put("a.c", "");
    struct code_snapshot s;
    assert_true(code_snapshot_take(root, NULL, true, NULL, NULL, &s, NULL));
    assert_string_equal(s.items[0].path, "a");
    assert_string_equal(s.items[1].path, "a b\n%");
    assert_string_equal(s.items[2].path, "a.c");
    assert_string_equal(s.items[3].path, "a/x");
    static const char empty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const int64_t ns = find(&s, "a b\n%")->mtime_ns;
    _cleanup_free_ char *line = xasprintf("644 0 %s %lld a%%20b%%0A%%25\n", empty, (long long)ns);
    assert_non_null(memmem(s.manifest.data, s.manifest.len, line, strlen(line)));
    assert_memory_equal(s.manifest.data, "berth-tree 2\n40755 0 - ", 23);
    code_snapshot_finish(&s);
}

static void test_modification_times_are_in_the_manifest(void **state)
{
    (void)state;
    put("a", "same");
    put("b", "same");
    _cleanup_close_ int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    const struct timespec a[2] = {{.tv_nsec = UTIME_OMIT}, {1700000000, 123456789}},
                          b[2] = {{.tv_nsec = UTIME_OMIT}, {-2, 999999999}};
    assert_int_equal(utimensat(dir, "a", a, 0), 0);
    assert_int_equal(utimensat(dir, "b", b, 0), 0);
    struct code_snapshot s;
    assert_true(code_snapshot_take(root, NULL, true, NULL, NULL, &s, NULL));
    assert_true(find(&s, "a")->mtime_ns == INT64_C(1700000000123456789));
    assert_true(find(&s, "b")->mtime_ns == -1000000001);
    assert_string_equal(find(&s, "a")->sha, find(&s, "b")->sha);
    assert_non_null(memmem(s.manifest.data, s.manifest.len, " 1700000000123456789 a\n", 23));
    assert_non_null(memmem(s.manifest.data, s.manifest.len, " -1000000001 b\n", 15));
    code_snapshot_finish(&s);
}

static void check_refused(const char *path, enum error_code code, const char *word)
{
    struct code_snapshot s;
    struct error err = {0};
    assert_false(code_snapshot_take(path, NULL, true, NULL, NULL, &s, &err));
    code_snapshot_finish(&s);
    assert_int_equal(err.code, code);
    if (!strstr(err.message, word) || !err.hint[0])
        fail_msg("\"%s\" should hold \"%s\" and come with a hint", err.message, word);
}

static void test_a_home_and_the_root_folder_are_refused(void **state)
{
    (void)state;
    char *old = xstrdup(getenv("HOME"));
    setenv("HOME", root, 1);
    check_refused(root, ERROR_LIMIT, "home folder");
    if (old)
        setenv("HOME", old, 1);
    free(old);
    check_refused("/", ERROR_LIMIT, "whole machine");
    check_refused("/nowhere/at/all", ERROR_NOT_FOUND, "/nowhere/at/all");
    put("file", "x");
    _cleanup_free_ char *file = xasprintf("%s/file", root);
    check_refused(file, ERROR_INVALID, "not a folder");
}

static void test_a_folder_over_a_gigabyte_is_refused_before_it_is_read(void **state)
{
    (void)state;
    _cleanup_free_ char *path = xasprintf("%s/huge", root);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(ftruncate(fd, (2LL << 30)), 0);
    check_refused(root, ERROR_LIMIT, "larger than 1 GB");
}

static void test_a_folder_may_have_as_many_files_as_the_limit_and_no_more(void **state)
{
    (void)state;
    char name[32];
    _cleanup_close_ int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i <= SNAPSHOT_DEFAULT_MAX_FILES; i++) {
        if (i == SNAPSHOT_DEFAULT_MAX_FILES) {
            struct code_snapshot s;
            assert_true(code_snapshot_take(root, NULL, true, NULL, NULL, &s, NULL));
            assert_int_equal(s.files, SNAPSHOT_DEFAULT_MAX_FILES);
            code_snapshot_finish(&s);
        }
        snprintf(name, sizeof name, "%d", i);
        _cleanup_close_ int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
    }
    check_refused(root, ERROR_LIMIT, "more than 50000 files");
    put(".gitignore", "1*\n"); /* what is ignored does not count */
    struct code_snapshot s;
    assert_true(code_snapshot_take(root, NULL, true, NULL, NULL, &s, NULL));
    code_snapshot_finish(&s);
}

static void test_an_unreadable_file_is_refused_by_name(void **state)
{
    (void)state;
    if (geteuid() == 0)
        skip(); /* root reads everything; tests/integration/test_cli tries it as an ordinary user */
    put("secret", "x");
    _cleanup_free_ char *path = xasprintf("%s/secret", root);
    assert_int_equal(chmod(path, 0), 0);
    check_refused(root, ERROR_DENIED, "secret");
}

static void test_credentials_leave_a_remote_url(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } urls[] = {
        {"https://user:token@example.org/a.git", "https://example.org/a.git"},
        {"https://example.org/a@b.git", "https://example.org/a@b.git"},
        {"ssh://git:pw@example.org:22/a", "ssh://example.org:22/a"},
        {"git@example.org:a.git", "git@example.org:a.git"},
        {"https://example.org/a?token=x#y", "https://example.org/a"},
        {"https://u:p@ss@example.org/", "https://example.org/"},
        {"/local/path", "/local/path"},
    };
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        _cleanup_free_ char *url = xstrdup(urls[i].in);
        git_strip_credentials(url);
        assert_string_equal(url, urls[i].out);
    }
}

static struct up_options state_options(const char *state_dir)
{
    return (struct up_options){.state_dir = state_dir, .socket = "", .ready_fd = -1, .lock_fd = -1};
}

static void test_a_state_folder_is_made_private_and_versioned(void **state)
{
    (void)state;
    _cleanup_free_ char *path = xasprintf("%s/a/b/state", root);
    struct up_options options = state_options(path);
    assert_true(up_prepare_state(&options, NULL));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    put("a/b/state/version", "berth-state 1\n");
    assert_true(up_prepare_state(&options, NULL));
    struct error err = {0};
    put("a/b/state/version", "berth-state 2\n");
    assert_false(up_prepare_state(&options, &err));
    assert_int_equal(err.code, ERROR_VERSION);
    assert_non_null(strstr(err.message, "newer"));
    put("a/b/state/version", "something else\n");
    assert_false(up_prepare_state(&options, &err));
    assert_int_equal(err.code, ERROR_INVALID);
}

static void test_a_locked_state_folder_names_its_holder(void **state)
{
    (void)state;
    int holder = 0;
    struct error err = {0};
    int lock = up_lock_state(root, NULL, &err);
    assert_true(lock >= 0);
    assert_int_equal(up_lock_holder(root), getpid());
    assert_int_equal(up_lock_state(root, &holder, &err), -1);
    assert_int_equal(holder, getpid());
    assert_int_equal(err.code, ERROR_CONFLICT);
    close(lock);
    assert_int_equal(up_lock_holder(root), 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, make_root, remove_root)
    const struct CMUnitTest tests[] = {
        CASE(test_a_snapshot_has_what_the_ignore_files_leave_and_names_what_they_take),
        CASE(test_amlignore_stands_in_place_of_gitignore),
        CASE(test_links_stay_links_and_special_files_are_skipped),
        CASE(test_the_manifest_is_sorted_and_its_odd_names_encoded),
        CASE(test_modification_times_are_in_the_manifest),
        CASE(test_a_home_and_the_root_folder_are_refused),
        CASE(test_a_folder_over_a_gigabyte_is_refused_before_it_is_read),
        CASE(test_a_folder_may_have_as_many_files_as_the_limit_and_no_more),
        CASE(test_an_unreadable_file_is_refused_by_name),
        CASE(test_credentials_leave_a_remote_url),
        CASE(test_a_state_folder_is_made_private_and_versioned),
        CASE(test_a_locked_state_folder_names_its_holder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
