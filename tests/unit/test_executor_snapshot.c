/* executor: manifests from people, blobs from the scheduler, and the tree made of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "executor/beneath.h"
#include "executor/blob_cache.h"
#include "executor/snapshot.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"   /* sha256 of "abc" */
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" /* of nothing */
#define SHA EMPTY

struct place {
    char folder[64];
    struct blob_cache cache;
    int root;
    struct timespec made; /* when the tree of a test stood */
};

static void put(struct place *p, const char *sha, const char *bytes)
{
    struct error err = {0};
    struct blob_writer *writer = blob_writer_create(&p->cache, sha, &err);
    assert_non_null(writer);
    assert_true(blob_writer_add(writer, bytes, strlen(bytes), &err));
    assert_true(blob_writer_commit(writer, &err));
}

static int set_up(void **state)
{
    struct place *p = xcalloc(1, sizeof *p);
    struct error err = {0};
    strcpy(p->folder, "/tmp/berth-snapshot-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    char path[128];
    snprintf(path, sizeof path, "%s/blobs", p->folder);
    assert_true(blob_cache_init(&p->cache, path, &err));
    snprintf(path, sizeof path, "%s/work", p->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    p->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    put(p, ABC, "abc");
    put(p, EMPTY, "");
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    close(p->root);
    blob_cache_finish(&p->cache);
    fs_remove_tree(AT_FDCWD, p->folder, NULL);
    free(p);
    return 0;
}

static bool parses(const char *lines, size_t len)
{
    struct buf text = {0};
    struct error err = {0};
    struct snapshot s;
    buf_add_str(&text, "berth-tree 1\n");
    buf_add(&text, lines, len);
    bool ok = snapshot_parse(text.data, text.len, &s, &err);
    assert_true(ok || (err.message[0] && s.entries == NULL));
    snapshot_finish(&s);
    buf_finish(&text);
    return ok;
}

#define assert_refused(lines) assert_false(parses(lines, sizeof(lines) - 1))
#define assert_accepted(lines) assert_true(parses(lines, sizeof(lines) - 1))

static void a_manifest_that_leads_out_of_the_folder_is_refused(void **state)
{
    (void)state;
    assert_accepted("644 3 " ABC " a\n");
    assert_refused("644 3 " ABC " /etc/passwd\n");
    assert_refused("644 3 " ABC " ../a\n");
    assert_refused("644 3 " ABC " a/../../b\n");
    assert_refused("644 3 " ABC " a/./b\n");
    assert_refused("644 3 " ABC " a//b\n");
    assert_refused("644 3 " ABC " a/\n");
    assert_refused("644 3 " ABC " .\n");
    assert_refused("644 3 " ABC " \n");
    assert_refused("644 3 " ABC " %2e%2e/a\n");
    assert_refused("644 3 " ABC " a%00b\n");
    assert_refused("40755 0 - /\n");
    assert_refused("120000 1 - ../l\0x\n");
}

static void a_manifest_that_writes_through_a_link_or_a_file_is_refused(void **state)
{
    (void)state;
    assert_refused("120000 4 - l\0/etc\n644 3 " ABC " l/passwd\n");
    assert_refused("644 3 " ABC " f\n644 3 " ABC " f/x\n");
    assert_refused("120000 1 - l\0.\n644 3 " ABC " l-between\n644 3 " ABC " l/x\n");
    assert_accepted("120000 4 - l\0/etc\n644 3 " ABC " m\n");
}

static void a_manifest_of_wrong_form_is_refused(void **state)
{
    (void)state;
    assert_refused("644 3 " ABC " a");                    /* cut off */
    assert_refused("644 3 " ABC " b\n644 3 " ABC " a\n"); /* not sorted */
    assert_refused("644 3 " ABC " a\n644 3 " ABC " a\n"); /* twice */
    assert_refused("4755 3 " ABC " a\n");                 /* setuid */
    assert_refused("20644 3 " ABC " a\n");                /* a device */
    assert_refused("844 3 " ABC " a\n");
    assert_refused("644 -3 " ABC " a\n");
    assert_refused("644 99999999999999999999 " ABC " a\n");
    assert_refused("644 3 abc a\n");
    assert_refused("644 3 BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD a\n");
    assert_refused("120000 1 - l\n");
    assert_refused("120000 1 - l\0\n");
    assert_refused("644 3 " ABC " a%4\n");
    assert_refused("644 3 " ABC " a%zz\n");
    assert_refused("garbage\n");
    struct snapshot s;
    struct error err = {0};
    assert_false(snapshot_parse("berth-tree 3\n", 13, &s, &err));
    assert_int_equal(err.code, ERROR_VERSION);
    assert_false(snapshot_parse("", 0, &s, &err));
}

static void a_path_may_be_as_deep_as_the_limit_and_no_deeper(void **state)
{
    (void)state;
    struct buf line = {0};
    for (int extra = 0; extra < 2; extra++) {
        buf_clear(&line);
        buf_add_str(&line, "644 3 " ABC " ");
        for (int i = 1; i < SNAPSHOT_DEPTH_MAX + extra; i++)
            buf_add_str(&line, "d/");
        buf_add_str(&line, "f\n");
        assert_int_equal(parses(line.data, line.len), extra == 0);
    }
    buf_finish(&line);
}

static void a_tree_is_made_with_modes_links_and_odd_names(void **state)
{
    struct place *p = *state;
    struct error err = {0};
    struct snapshot s;
    const char manifest[] = "berth-tree 1\n"
                            "644 3 " ABC " a%20file\n"
                            "40555 0 - closed\n"
                            "755 0 " EMPTY " closed/run\n"
                            "644 3 " ABC " implied/deep/f\n"
                            "120000 11 - out\0/etc/passwd\n";
    assert_true(snapshot_parse(manifest, sizeof manifest - 1, &s, &err));
    assert_int_equal(s.files, 3);
    assert_int_equal(s.bytes, 6);
    assert_true(snapshot_materialise(&s, SHA, &p->cache, p->root, getuid(), getgid(), &err));
    struct stat st;
    assert_int_equal(fstatat(p->root, "a file", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0644);
    assert_int_equal(st.st_size, 3);
    assert_int_equal(st.st_mtim.tv_sec, snapshot_mtime(SHA).tv_sec);
    assert_int_equal(fstatat(p->root, "closed/run", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0755);
    assert_int_equal(fstatat(p->root, "closed", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mode, S_IFDIR | 0555);
    assert_int_equal(fstatat(p->root, "implied/deep", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mode, S_IFDIR | 0755);
    char target[32] = {0};
    assert_int_equal(readlinkat(p->root, "out", target, sizeof target), 11);
    assert_string_equal(target, "/etc/passwd");
    snapshot_finish(&s);
}

static void a_file_whose_blob_has_another_size_is_refused(void **state)
{
    struct place *p = *state;
    struct error err = {0};
    struct snapshot s;
    const char manifest[] = "berth-tree 1\n644 4 " ABC " a\n";
    assert_true(snapshot_parse(manifest, sizeof manifest - 1, &s, &err));
    assert_false(snapshot_materialise(&s, SHA, &p->cache, p->root, getuid(), getgid(), &err));
    snapshot_finish(&s);
}

static void a_folder_that_was_swapped_for_a_link_is_not_followed(void **state)
{
    struct place *p = *state;
    struct error err = {0};
    struct snapshot s;
    const char manifest[] = "berth-tree 1\n644 3 " ABC " d/f\n";
    assert_true(snapshot_parse(manifest, sizeof manifest - 1, &s, &err));
    assert_int_equal(symlinkat("/tmp", p->root, "d"), 0);
    assert_false(snapshot_materialise(&s, SHA, &p->cache, p->root, getuid(), getgid(), &err));
    snapshot_finish(&s);
}

/* Waits for the next tick of the filesystem's clock, as the launch of a task does. */
static void end_making(struct place *p)
{
    struct stat st = {0};
    int fd = openat(p->root, "tick", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(futimens(fd, NULL) == 0 && fstat(fd, &st) == 0);
    p->made = st.st_mtim;
    do
        assert_true(futimens(fd, NULL) == 0 && fstat(fd, &st) == 0);
    while (st.st_mtim.tv_nsec == p->made.tv_nsec);
    close(fd);
}

static bool unchanged(struct place *p, const struct snapshot *s, const char *name)
{
    _cleanup_close_ int fd = openat(p->root, name, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return snapshot_unchanged(s, SHA, name, fd, &p->made);
}

static void changed_files_are_told_from_touched_ones(void **state)
{
    struct place *p = *state;
    struct error err = {0};
    struct snapshot s;
    const char manifest[] = "berth-tree 1\n644 3 " ABC " a\n644 3 " ABC " b\n644 3 " ABC " c\n";
    assert_true(snapshot_parse(manifest, sizeof manifest - 1, &s, &err));
    assert_true(snapshot_materialise(&s, SHA, &p->cache, p->root, getuid(), getgid(), &err));
    end_making(p);
    _cleanup_close_ int b = openat(p->root, "b", O_WRONLY | O_CLOEXEC),
                        c = openat(p->root, "c", O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(b, "abd", 3), 3);
    assert_int_equal(futimens(c, NULL), 0);
    close(openat(p->root, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    assert_true(unchanged(p, &s, "a"));
    assert_false(unchanged(p, &s, "b"));
    assert_true(unchanged(p, &s, "c"));
    assert_false(unchanged(p, &s, "new"));
    snapshot_finish(&s);
}

static void a_change_whose_time_was_set_back_is_found(void **state)
{
    struct place *p = *state;
    struct error err = {0};
    struct snapshot s;
    struct stat st;
    const char manifest[] = "berth-tree 2\n644 3 " ABC " 1000000007 a\n";
    assert_true(snapshot_parse(manifest, sizeof manifest - 1, &s, &err));
    assert_true(snapshot_materialise(&s, SHA, &p->cache, p->root, getuid(), getgid(), &err));
    end_making(p);
    assert_true(unchanged(p, &s, "a"));
    _cleanup_close_ int fd = openat(p->root, "a", O_WRONLY | O_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(write(fd, "abd", 3), 3);
    assert_int_equal(futimens(fd, (struct timespec[]){st.st_atim, st.st_mtim}), 0);
    assert_false(unchanged(p, &s, "a"));
    snapshot_finish(&s);
}

static void assert_time(int at, const char *name, int64_t s, int64_t ns)
{
    struct stat st;
    assert_int_equal(fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mtim.tv_sec, s);
    assert_int_equal(st.st_mtim.tv_nsec, ns);
}

static void one_content_has_the_times_of_each_snapshot(void **state)
{
    struct place *p = *state;
    struct error err = {0};
    static const char *const manifests[] = {
        "berth-tree 2\n644 3 " ABC " 1700000000123456789 a\n755 3 " ABC " -1 b\n40755 0 - 5000000001 d\n"
        "600 3 " ABC " 0 d/a\n",
        "berth-tree 2\n644 3 " ABC " 1600000000000000001 a\n",
    };
    const char link[] = "berth-tree 2\n120000 1 - 7000000008 l\0a\n";
    int roots[2];
    for (int i = 0; i < 2; i++) {
        struct snapshot s;
        char name[8];
        snprintf(name, sizeof name, "%d", i);
        assert_int_equal(mkdirat(p->root, name, 0755), 0);
        roots[i] = openat(p->root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(snapshot_parse(manifests[i], strlen(manifests[i]), &s, &err));
        assert_true(snapshot_materialise(&s, SHA, &p->cache, roots[i], getuid(), getgid(), &err));
        snapshot_finish(&s);
    }
    struct snapshot s;
    assert_true(snapshot_parse(link, sizeof link - 1, &s, &err));
    assert_true(snapshot_materialise(&s, SHA, &p->cache, p->root, getuid(), getgid(), &err));
    snapshot_finish(&s);
    assert_time(roots[0], "a", 1700000000, 123456789);
    assert_time(roots[0], "b", -1, 999999999);
    assert_time(roots[0], "d", 5, 1);
    assert_time(roots[0], "d/a", 0, 0);
    assert_time(roots[1], "a", 1600000000, 1);
    assert_time(p->root, "l", 7, 8);
    close(roots[0]);
    close(roots[1]);
}

static bool parses_timed(const char *time)
{
    char text[160];
    struct snapshot s;
    int n = snprintf(text, sizeof text, "berth-tree 2\n644 3 " ABC " %s a\n", time);
    bool ok = snapshot_parse(text, (size_t)n, &s, NULL);
    snapshot_finish(&s);
    return ok;
}

static void a_modification_time_of_wrong_form_is_refused(void **state)
{
    (void)state;
    assert_true(parses_timed("9223372036854775807"));
    assert_false(parses_timed("9223372036854775808"));
    assert_true(parses_timed("-9223372036854775807"));
    assert_false(parses_timed("--1"));
    assert_false(parses_timed("-"));
    assert_false(parses_timed("1.5"));
    assert_false(parses_timed(""));
    const char untimed[] = "berth-tree 2\n644 3 " ABC " a\n";
    struct snapshot s;
    assert_false(snapshot_parse(untimed, sizeof untimed - 1, &s, NULL));
}

static void snapshots_of_other_contents_get_other_times(void **state)
{
    (void)state;
    struct timespec a = snapshot_mtime(ABC), b = snapshot_mtime(EMPTY);
    assert_int_not_equal(a.tv_sec, b.tv_sec);
    assert_true(a.tv_sec > 315532800); /* zip files know nothing before 1980 */
}

static void a_blob_with_other_bytes_never_appears(void **state)
{
    struct place *p = *state;
    struct error err = {0};
    char sha[BLOB_SHA_MAX];
    memset(sha, '1', 64);
    sha[64] = '\0';
    struct blob_writer *writer = blob_writer_create(&p->cache, sha, &err);
    assert_true(blob_writer_add(writer, "abc", 3, &err));
    assert_false(blob_writer_commit(writer, &err));
    assert_false(blob_cache_has(&p->cache, sha));
    assert_true(blob_cache_has(&p->cache, ABC));
}

static void the_sweep_keeps_the_blobs_used_last(void **state)
{
    struct place *p = *state;
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    char path[BLOB_SHA_MAX + 1];
    snprintf(path, sizeof path, "%.2s/%s", ABC, &ABC[2]);
    assert_int_equal(utimensat(p->cache.fd, path, old, 0), 0);
    assert_true(blob_cache_sweep(&p->cache, 3, NULL));
    assert_true(blob_cache_has(&p->cache, ABC));
    assert_int_equal(utimensat(p->cache.fd, path, old, 0), 0);
    assert_true(blob_cache_sweep(&p->cache, 0, NULL));
    assert_false(blob_cache_has(&p->cache, ABC));
    assert_true(blob_cache_has(&p->cache, EMPTY));
}

static void a_cache_of_another_boot_is_emptied(void **state)
{
    struct place *p = *state;
    struct error err = {0};
    char folder[128];
    snprintf(folder, sizeof folder, "%s/blobs", p->folder);
    struct blob_cache again;
    assert_true(blob_cache_init(&again, folder, &err));
    assert_true(blob_cache_has(&again, ABC));
    blob_cache_finish(&again);
    assert_true(fs_write_atomic(p->cache.fd, "boot-id", "another", 7, 0600, &err));
    assert_true(blob_cache_init(&again, folder, &err));
    assert_false(blob_cache_has(&again, ABC));
    blob_cache_finish(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_manifest_that_leads_out_of_the_folder_is_refused),
        cmocka_unit_test(a_manifest_that_writes_through_a_link_or_a_file_is_refused),
        cmocka_unit_test(a_manifest_of_wrong_form_is_refused),
        cmocka_unit_test(a_path_may_be_as_deep_as_the_limit_and_no_deeper),
        cmocka_unit_test_setup_teardown(a_tree_is_made_with_modes_links_and_odd_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_whose_blob_has_another_size_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_that_was_swapped_for_a_link_is_not_followed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(changed_files_are_told_from_touched_ones, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_change_whose_time_was_set_back_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_content_has_the_times_of_each_snapshot, set_up, tear_down),
        cmocka_unit_test(a_modification_time_of_wrong_form_is_refused),
        cmocka_unit_test(snapshots_of_other_contents_get_other_times),
        cmocka_unit_test_setup_teardown(a_blob_with_other_bytes_never_appears, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_sweep_keeps_the_blobs_used_last, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_cache_of_another_boot_is_emptied, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
