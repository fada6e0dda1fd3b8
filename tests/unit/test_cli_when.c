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
                                   "2100-12-24T18:00:00Z",
                                   "2100-12-24",
                                   "2100-12-24 18:00",
                                   "2100-12-24T18:00:05",
                                   "2100-12-24T19:00:00+01:00"},
                         *const bad[] = {"",
                                         "-2h",
                                         "now",
                                         "tomorrow",
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
        assert_int_equal(*good[i] == '+' ? now + s->begin_after_ms : s->begin_ms, ms);
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
                                       cmocka_unit_test(an_hour_and_thirty_is_an_hour_and_a_half)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
