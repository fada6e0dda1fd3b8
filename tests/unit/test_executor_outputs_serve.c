/* executor/outputs_serve: what a running task's user can make of his ./outputs, and what he gets of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "executor/outputs_serve.h"
#include "executor/user.h"
#include "proto/listing.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct place {
    char folder[64], to[80], brought[96];
    struct user user;
};

static void write_file(const struct place *p, const char *path, const char *text, mode_t mode)
{
    _cleanup_free_ char *full = xasprintf("%s/%s", p->folder, path);
    _cleanup_close_ int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_true(fs_write_all(fd, text, strlen(text)));
    assert_int_equal(fchmod(fd, mode), 0);
}

static void make_directory(const struct place *p, const char *path, mode_t mode)
{
    _cleanup_free_ char *full = xasprintf("%s/%s", p->folder, path);
    assert_int_equal(mkdir(full, mode), 0);
    assert_int_equal(chmod(full, mode), 0);
}

static void make_link(const struct place *p, const char *target, const char *path)
{
    _cleanup_free_ char *full = xasprintf("%s/%s", p->folder, path);
    assert_int_equal(symlink(target, full), 0);
}

/* As root the user is another one, as in a task of the service's. */
static int set_up(void **state)
{
    struct place *p = xcalloc(1, sizeof *p);
    p->user = getuid() ? (struct user){.uid = getuid(), .gid = getgid()}
                       : (struct user){.uid = 54321, .gid = 54321};
    strcpy(p->folder, "/tmp/berth-serve-XXXXXX");
    assert_non_null(mkdtemp(p->folder)); /* 0700: the user has no way to it by name */
    snprintf(p->to, sizeof p->to, "%s/stored", p->folder);
    snprintf(p->brought, sizeof p->brought, "%s/" OUTPUTS_NOW_PREFIX "a1", p->to);
    make_directory(p, "work", 0755);
    make_directory(p, "work/outputs", 0755);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    fs_remove_tree(AT_FDCWD, p->folder, NULL);
    free(p);
    return 0;
}

/* What is brought; NULL with err where nothing is. The caller frees it. */
static char *bring(const struct place *p, const char *path, struct error *err)
{
    _cleanup_buf_ struct buf text = {0};
    const struct outputs_serve_place place = {p->folder, p->to, "a1", path, 3};
    memset(err, 0, sizeof *err);
    bool ok = outputs_serve_bring(&place, &p->user, err);
    assert_int_equal(access(p->brought, F_OK) == 0, ok);
    if (!ok)
        return NULL;
    assert_true(fs_read_file(AT_FDCWD, p->brought, 1 << 20, &text, err));
    outputs_serve_clear(p->to);
    assert_int_not_equal(access(p->brought, F_OK), 0);
    return text.data ? buf_take(&text) : xstrdup("");
}

static void assert_refused(const struct place *p, const char *path, enum error_code code)
{
    struct error err;
    _cleanup_free_ char *got = bring(p, path, &err);
    if (got || err.code != code)
        fail_msg("%s: %s, %s", path, got ? got : "-", err.message);
}

static void a_file_is_brought_as_it_stands(void **state)
{
    const struct place *p = *state;
    struct error err;
    make_directory(p, "work/outputs/deep", 0755);
    write_file(p, "work/outputs/deep/log", "half", 0644);
    _cleanup_free_ char *half = bring(p, "deep/log", &err);
    assert_string_equal(half, "half");
    write_file(p, "work/outputs/deep/log", "", 0644);
    _cleanup_free_ char *empty = bring(p, "deep/log", &err);
    assert_string_equal(empty, "");
    assert_refused(p, "gone", ERROR_NOT_FOUND);
}

static void no_path_leads_out_and_no_link_is_followed(void **state)
{
    const struct place *p = *state;
    write_file(p, "secret", "secret", 0644);
    write_file(p, "work/code.py", "code", 0644);
    make_link(p, "../../secret", "work/outputs/up");
    make_link(p, "/etc/passwd", "work/outputs/far");
    make_link(p, "/etc", "work/outputs/etc");
    make_link(p, "/proc/self", "work/outputs/self");
    static const char *const out[] = {"up",           "far",        "etc/passwd",
                                      "self/environ", "../code.py", "../../secret"};
    for (size_t i = 0; i < sizeof out / sizeof *out; i++) {
        struct error err;
        _cleanup_free_ char *got = bring(p, out[i], &err);
        if (got)
            fail_msg("%s: %s", out[i], got);
    }
    _cleanup_free_ char *fifo = xasprintf("%s/work/outputs/fifo", p->folder);
    assert_int_equal(mkfifo(fifo, 0666), 0);
    assert_refused(p, "fifo", ERROR_INVALID); /* and nobody waits for its writer */
}

static void what_its_user_may_not_read_is_not_read(void **state)
{
    const struct place *p = *state;
    struct error err;
    if (getuid() != 0)
        skip();
    write_file(p, "work/outputs/roots", "secret", 0600);
    make_directory(p, "work/outputs/closed", 0700);
    write_file(p, "work/outputs/closed/in", "secret", 0644);
    assert_refused(p, "roots", ERROR_DENIED);
    assert_refused(p, "closed/in", ERROR_DENIED);
    _cleanup_free_ char *list = bring(p, NULL, &err);
    assert_non_null(strstr(list, "\"path\":\"closed\",\"why\":\"Permission denied\""));
    assert_null(strstr(list, "closed/in"));
}

static void a_listing_has_files_links_and_what_is_left_out(void **state)
{
    const struct place *p = *state;
    struct error err;
    make_directory(p, "work/outputs/ck", 0755);
    make_directory(p, "work/outputs/empty", 0755);
    write_file(p, "work/outputs/ck/1", "12345", 0640);
    make_link(p, "ck/1", "work/outputs/latest");
    make_link(p, "/etc/shadow", "work/outputs/far");
    _cleanup_free_ char *list = bring(p, NULL, &err);
    assert_non_null(strstr(list, "{\"attempt\":3,\"files\":[{\"path\":\"ck/1\",\"size\":5,\"mode\":416,"));
    assert_non_null(strstr(list, "\"links\":[{\"path\":\"latest\",\"target\":\"ck/1\"}]"));
    assert_non_null(strstr(list, "\"directories\":[{\"path\":\"empty\"}]"));
    assert_non_null(strstr(list, "\"path\":\"far\",\"why\":"));
    assert_non_null(strstr(list, "\"final\":false,\"running\":true}"));
}

static void outputs_that_the_job_replaced_are_said(void **state)
{
    const struct place *p = *state;
    struct error err;
    _cleanup_free_ char *outputs = xasprintf("%s/work/outputs", p->folder);
    assert_int_equal(rmdir(outputs), 0);
    _cleanup_free_ char *none = bring(p, NULL, &err);
    assert_non_null(strstr(none, "\"files\":[],"));
    make_link(p, "/etc", "work/outputs");
    assert_refused(p, NULL, ERROR_CONFLICT);
    assert_refused(p, "passwd", ERROR_DENIED);
}

static void a_file_that_is_larger_than_the_disk_is_not_copied(void **state)
{
    const struct place *p = *state;
    write_file(p, "work/outputs/sparse", "", 0644);
    _cleanup_free_ char *sparse = xasprintf("%s/work/outputs/sparse", p->folder);
    if (truncate(sparse, INT64_C(8) << 40) != 0) /* no disk of a test has that */
        skip();
    assert_refused(p, "sparse", ERROR_NO_SPACE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_brought_as_it_stands, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_path_leads_out_and_no_link_is_followed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_its_user_may_not_read_is_not_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_listing_has_files_links_and_what_is_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(outputs_that_the_job_replaced_are_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_is_larger_than_the_disk_is_not_copied, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
