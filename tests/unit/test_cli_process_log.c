/* cli/process_log: one process's bytes out of the records of several. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cli/process_log.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char text[] =
    "[0] one\n[1] other\r\n[0]+two\n[1] 10%\r[1] 20%\r\n[0] and a half\r\n[10] ten\nnobody's\n[x] [0] no\n"
    "\n[0]\n[0] \n[0] [1] x\n[1]+end\n[0]+last\n";
static const struct {
    int64_t rank;
    const char *bytes;
} rows[] = {
    {0, "one\ntwoand a half\r\n\n[1] x\nlast"}, {1, "other\r\n10%\r20%\r\nend"}, {10, "ten\n"}, {2, ""}};

static void each_process_has_its_bytes_whatever_the_pieces(void **state)
{
    (void)state;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        for (size_t piece = 1; piece < sizeof text; piece++) {
            char got[sizeof text] = "";
            struct process_log log = {.rank = rows[r].rank, .fd = memfd_create("log", 0)};
            for (size_t at = 0; at < sizeof text - 1; at += piece)
                assert_true(process_log_add(&log, text + at,
                                            at + piece < sizeof text - 1 ? piece : sizeof text - 1 - at));
            assert_true(pread(log.fd, got, sizeof got - 1, 0) >= 0);
            assert_string_equal(got, rows[r].bytes);
            close(log.fd);
        }
    }
}

static void a_prefix_at_its_limit_is_read_and_one_past_it_is_nobodys(void **state)
{
    (void)state;
    static const char at[] = "[9223372036854775807] a\n", past[] = "[00009223372036854775807] b\n";
    char got[16] = "";
    struct process_log log = {.rank = INT64_MAX, .fd = memfd_create("log", 0)};
    assert_true(process_log_add(&log, at, sizeof at - 1) && process_log_add(&log, past, sizeof past - 1));
    assert_true(process_log_add(&log, at, sizeof at - 1));
    assert_int_equal(pread(log.fd, got, sizeof got - 1, 0), 4);
    assert_string_equal(got, "a\na\n");
    close(log.fd);
}

static void an_output_that_takes_no_more_ends_it(void **state)
{
    (void)state;
    struct process_log log = {.fd = -1};
    assert_false(process_log_add(&log, "[0] x\n", 6));
    assert_int_not_equal(log.write_error, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_process_has_its_bytes_whatever_the_pieces),
        cmocka_unit_test(a_prefix_at_its_limit_is_read_and_one_past_it_is_nobodys),
        cmocka_unit_test(an_output_that_takes_no_more_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
