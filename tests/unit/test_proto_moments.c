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

static void near_days_and_clocks_are_this_machines(void **state)
{
    int64_t day = 86400000, midnight = INT64_C(1799960400000); /* 2027-01-15, UTC-3 */
    (void)state;
    setenv("TZ", "UTC-3", 1);
    tzset();
    assert_int_equal(read("now"), NOW);
    assert_int_equal(read("today"), midnight);
    assert_int_equal(read("tomorrow"), midnight + day);
    assert_int_equal(read("yesterday 09:30"), midnight - day + 34200000);
    assert_int_equal(read("tomorrow 18:00:05"), midnight + day + 64805000);
    assert_int_equal(read("00:05"), midnight + 300000);
    assert_int_equal(read("23:59"), midnight + day - 60000);
}

static void all_else_is_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "Now",
                                        "now ",
                                        "tomorrows",
                                        "tomorrow18:00",
                                        "tomorrow 24:00",
                                        "tomorrow 9:00",
                                        "18",
                                        "18:60",
                                        "18:00Z",
                                        "1:00",
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_with_an_offset_are_the_same_everywhere),
        cmocka_unit_test(moments_without_one_are_this_machines), cmocka_unit_test(spans_count_from_now),
        cmocka_unit_test(near_days_and_clocks_are_this_machines), cmocka_unit_test(all_else_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
