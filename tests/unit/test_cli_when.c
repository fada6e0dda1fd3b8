/* Options that take a duration or a moment: all of them take the same. */
#include "cli/when.h"

#include "base/clock.h"
#include "cli/job_options.h"
#include "proto/jobspec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

static const char *const good[] = {"+2h",
                                   "+1h30",
                                   "+0",
                                   "now",
                                   "tomorrow",
                                   "tomorrow 18:00",
                                   "23:59:59",
                                   "2100-12-24T18:00:00Z",
                                   "2100-12-24",
                                   "2100-12-24 18:00",
                                   "2100-12-24T18:00:05",
                                   "2100-12-24T19:00:00+01:00"},
                         *const bad[] = {"",
                                         "-2h",
                                         "soon",
                                         "24:00",
                                         "+",
                                         "+-1h",
                                         "+1h90",
                                         "2h",
                                         "2100-02-30",
                                         "2100-12-24T18:00:00Zx",
                                         "+99999999999999999999"};

static void moments_are_read_alike_by_every_option(void **state)
{
    (void)state;
    struct error err = {0};
    int64_t now = clock_wall_ms(), ms;
    setenv("TZ", "UTC-3", 1);
    tzset();
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct job_options options = {.begin = good[i]};
        cJSON *file = cJSON_CreateObject();
        cJSON_AddStringToObject(file, "command", "x");
        if (!when_read_moment("--from", good[i], now, &ms, &err) || !job_options_apply(&options, file, &err))
            fail_msg("%s: %s", good[i], err.message);
        struct job_spec *s = job_spec_parse(file, NULL, &err);
        if (!s) {
            fail_msg("%s: %s", good[i], err.message);
            return;
        }
        bool span = *good[i] == '+' || strcmp(good[i], "now") == 0;
        assert_int_equal(span ? now + s->begin_after_ms : s->begin_ms, ms);
        job_spec_destroy(s);
        cJSON_Delete(file);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct job_options options = {.begin = bad[i]};
        cJSON *file = cJSON_CreateObject();
        assert_false(when_read_moment("--from", bad[i], now, &ms, &err));
        assert_non_null(strstr(err.message, "--from takes a time"));
        assert_false(job_options_apply(&options, file, &err));
        assert_non_null(strstr(err.message, "--begin takes a time"));
        assert_non_null(strstr(err.message, bad[i]));
        cJSON_Delete(file);
    }
}

static void a_clock_alone_is_the_next_one_or_the_last(void **state)
{
    (void)state;
    struct error err = {0};
    int64_t noon = INT64_C(1800003600000), ms; /* 2027-01-15 12:00, three hours east */
    setenv("TZ", "UTC-3", 1);
    tzset();
    assert_true(when_read_moment("--from", "13:00", noon, &ms, &err) && ms == noon + 3600000);
    assert_true(when_read_moment("--from", "11:00", noon, &ms, &err) && ms == noon + 23 * 3600000);
    assert_true(when_read_past("--at", "11:00", noon, &ms, &err) && ms == noon - 3600000);
    assert_true(when_read_past("--at", "13:00", noon, &ms, &err) && ms == noon - 23 * 3600000);
    assert_true(when_read_past("--at", "yesterday", noon, &ms, &err) && ms == noon - 36 * 3600000);
    assert_false(when_read_past("--at", "tomorrow", noon, &ms, &err));
    assert_non_null(strstr(err.message, "--at tomorrow is still to come"));
}

static void an_hour_and_thirty_is_an_hour_and_a_half(void **state)
{
    (void)state;
    struct error err = {0};
    struct job_options options = {.time = "1h30"};
    cJSON *file = cJSON_CreateObject();
    assert_true(job_options_apply(&options, file, &err));
    assert_int_equal(json_int(json_get(file, "limits"), "timeout", 0), 5400);
    options.time = "1h30s5";
    assert_false(job_options_apply(&options, file, &err));
    assert_non_null(strstr(err.message, "--time takes a duration"));
    assert_non_null(strstr(err.message, "\"1h30s5\""));
    cJSON_Delete(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(moments_are_read_alike_by_every_option),
                                       cmocka_unit_test(a_clock_alone_is_the_next_one_or_the_last),
                                       cmocka_unit_test(an_hour_and_thirty_is_an_hour_and_a_half)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
