/* Moments as people write them. */
#include "proto/units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#define NOW INT64_C(1800000000000)

static int64_t read(const char *text)
{
    int64_t ms = -1;
    return units_parse_time(text, NOW, &ms) ? ms : -1;
}

static void moments_with_an_offset_are_the_same_everywhere(void **state)
{
    (void)state;
    assert_int_equal(read("2026-12-24T18:00:00Z"), INT64_C(1798135200000));
    assert_int_equal(read("2026-12-24T19:00:00+01:00"), INT64_C(1798135200000));
    assert_int_equal(read("2026-12-24 12:30-05:30"), INT64_C(1798135200000));
    assert_int_equal(read("1970-01-01T00:00:01Z"), 1000);
}

static void moments_without_one_are_this_machines(void **state)
{
    (void)state;
    setenv("TZ", "UTC-3", 1); /* three hours east */
    tzset();
    assert_int_equal(read("2026-12-24T21:00:00"), INT64_C(1798135200000));
    assert_int_equal(read("2026-12-24 21:00"), INT64_C(1798135200000));
    assert_int_equal(read("2026-12-24"), INT64_C(1798135200000) - 21 * INT64_C(3600000));
}

static void spans_count_from_now(void **state)
{
    (void)state;
    assert_int_equal(read("+2h"), NOW + 7200000);
    assert_int_equal(read("-90"), NOW - 90000);
    assert_int_equal(read("+0"), NOW);
}

static void all_else_is_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "now",
                                        "tomorrow",
                                        "2026",
                                        "2026-13-01",
                                        "2026-02-31",
                                        "2026-02-29",
                                        "2026-1-1",
                                        "2026-01-01T",
                                        "2026-01-01T24:00",
                                        "2026-01-01T10",
                                        "2026-01-01T10:60",
                                        "2026-01-01T10:00:60Z",
                                        "2026-01-01T10:00:00+24:00",
                                        "2026-01-01T10:00:00z1",
                                        "2026-01-01T10:00:00Zx",
                                        "2026-01-01x",
                                        "1969-12-31T23:59:59Z",
                                        "+",
                                        "+-2h",
                                        "-99999999d",
                                        "+1e9",
                                        "2026-01-01T10:00:00+1",
                                        "2026-01-01T10:00:00.5Z",
                                        "0000-00-00",
                                        "2026-00-10"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (read(texts[i]) != -1)
            fail_msg("%s was taken", texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(moments_with_an_offset_are_the_same_everywhere),
                                       cmocka_unit_test(moments_without_one_are_this_machines),
                                       cmocka_unit_test(spans_count_from_now),
                                       cmocka_unit_test(all_else_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
