/* executor/site_mounts: what an administrator mounts into every job. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/fs.h"
#include "executor/site_mounts.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool read_text(const char *text, struct site_mounts *out, struct error *err)
{
    char path[] = "/tmp/berth-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && fs_write_all(fd, text, strlen(text)));
    close(fd);
    bool ok = site_mounts_read(path, out, err);
    unlink(path);
    return ok;
}

static void lines_are_read_as_mount_takes_them(void **state)
{
    (void)state;
    struct site_mounts m;
    struct error err = {0};
    assert_true(read_text("# data\n/data\n\n  /scratch:/s:rw  # fast\n/last", &m, &err));
    assert_int_equal(m.count, 3);
    assert_string_equal(m.items[0].target, "/data");
    assert_false(m.items[0].writable);
    assert_string_equal(m.items[1].source, "/scratch");
    assert_string_equal(m.items[1].target, "/s");
    assert_true(m.items[1].writable);
    site_mounts_finish(&m);
}

static void wrong_line_is_named(void **state)
{
    (void)state;
    struct site_mounts m;
    struct error err = {0};
    assert_false(read_text("/data\nrelative\n", &m, &err));
    assert_non_null(strstr(err.message, "line 2"));
    assert_int_equal(m.count, 0);
}

static void missing_and_empty_files_are_empty_lists(void **state)
{
    (void)state;
    struct site_mounts m;
    struct error err = {0};
    assert_true(site_mounts_read("/nonexistent/mounts", &m, &err));
    assert_int_equal(m.count, 0);
    assert_true(read_text("", &m, &err));
    assert_int_equal(m.count, 0);
    site_mounts_finish(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_read_as_mount_takes_them),
        cmocka_unit_test(wrong_line_is_named),
        cmocka_unit_test(missing_and_empty_files_are_empty_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
