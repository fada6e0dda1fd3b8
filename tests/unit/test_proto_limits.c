/* The bounds of what a job file may hold, at the limit and one past it; and what reading one costs. */
#include "base/buf.h"
#include "proto/jobspec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

/* Whether the file is accepted; else the first problem's field and text. */
static bool accepts(const char *text, struct error *err)
{
    *err = (struct error){0};
    cJSON *file = json_parse(text, strlen(text), err);
    struct job_spec *s = file ? job_spec_parse(file, NULL, err) : NULL;
    bool ok = s != NULL;
    job_spec_destroy(s);
    cJSON_Delete(file);
    return ok;
}

static void add_repeated(struct buf *out, const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_add_str(out, text);
}

/* {"command":"x", BEFORE unit x count AFTER }: accepted with `limit` units, refused by name with one more. */
static void assert_limit(const char *before, const char *unit, size_t limit, const char *after,
                         const char *field)
{
    for (size_t past = 0; past < 2; past++) {
        struct error err;
        _cleanup_buf_ struct buf json = {0};
        buf_add_str(&json, "{\"command\":\"x\",");
        buf_add_str(&json, before);
        add_repeated(&json, unit, limit + past);
        buf_add_str(&json, after);
        buf_add_str(&json, "}");
        if (accepts(json.data, &err) != !past)
            fail_msg("%s: %zu of %s: %s", field, limit + past, unit, err.message);
        if (past && (strcmp(err.field, field) != 0 || !strstr(err.message, "at most")))
            fail_msg("%s: refused as %s: %s", field, err.field, err.message);
    }
}

#define CODE "\"submission\":{\"code\":{\"path\":\"/c\",\"manifest\":\"" HEX "\","
#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void texts_hold_at_the_limit_and_one_past_it(void **state)
{
    (void)state;
    assert_limit(CODE "\"git\":{\"commit\":\"" HEX "\",\"dirty\":null,\"remote\":\"", "r", JOB_REMOTE_MAX,
                 "\"}}}", "submission.code.git.remote");
    assert_limit("\"submission\":{\"hostname\":\"", "h", JOB_HOST_MAX, "\"}", "submission.hostname");
    assert_limit("\"submission\":{\"client\":\"", "c", JOB_CLIENT_MAX, "\"}", "submission.client");
    assert_limit("\"inputs\":{\"a\":\"", "i", JOB_LITERAL_MAX, "\"}", "inputs.a");
    assert_limit("\"description\":\"", "d", JOB_DESCRIPTION_MAX, "\"", "description");
    assert_limit("\"environment\":{\"name\":\"", "n", JOB_TEXT_MAX, "\"}", "environment.name");
    assert_limit("\"environment\":{\"description\":\"", "n", JOB_DESCRIPTION_MAX, "\"}",
                 "environment.description");
}

static void assert_count_limit(const char *before, const char *form, size_t limit, const char *after,
                               const char *field)
{
    for (size_t past = 0; past < 2; past++) {
        struct error err;
        _cleanup_buf_ struct buf json = {0};
        buf_add_str(&json, "{\"command\":\"x\",");
        buf_add_str(&json, before);
        for (size_t i = 0; i < limit + past; i++) {
            if (i)
                buf_add_char(&json, ',');
            buf_printf(&json, form, (int)i);
        }
        buf_add_str(&json, after);
        buf_add_str(&json, "}");
        if (accepts(json.data, &err) != !past)
            fail_msg("%s: %zu: %s", field, limit + past, err.message);
        if (past && strcmp(err.field, field) != 0)
            fail_msg("%s: refused as %s: %s", field, err.field, err.message);
    }
}

static void counts_hold_at_the_limit_and_one_past_it(void **state)
{
    (void)state;
    assert_count_limit("\"environment_variables\":{", "\"V%d\":1", JOB_VARIABLES_MAX, "}",
                       "environment_variables");
    assert_count_limit("\"submission\":{\"environment\":{", "\"V%d\":1", JOB_VARIABLES_MAX, "}}",
                       "submission.environment");
    assert_count_limit(CODE "\"left_out\":[", "\"p%d\"", JOB_LEFT_OUT_MAX, "]}}", "submission.code.left_out");
    assert_count_limit("\"tags\":{", "\"t%d\":1", JOB_TAGS_MAX, "}", "tags");
    assert_count_limit("\"inputs\":{", "\"i%d\":1", JOB_INPUTS_MAX, "}", "inputs");
    assert_count_limit("\"mounts\":[", "\"/m%d\"", JOB_MOUNTS_MAX, "]", "mounts");
    assert_count_limit("\"compute\":[", "\"any\"", JOB_COMPUTE_MAX, "]", "compute");
    assert_count_limit("\"after\":[", "\"j%d\"", JOB_AFTER_MAX, "]", "after");
    assert_count_limit("\"environment\":{\"tags\":{", "\"t%d\":1", JOB_TAGS_MAX, "}}", "environment.tags");
}

/* A byte that takes six as JSON counts six. */
static void the_whole_file_is_measured_as_it_travels(void **state)
{
    (void)state;
    static const char start[] = "{\"command\":\"x\",\"environment_variables\":{", name[] = "\"A%c\":\"";
    for (size_t past = 0; past < 2; past++) {
        struct error err;
        _cleanup_buf_ struct buf json = {0};
        size_t left = JOB_FILE_MAX_BYTES + past - (sizeof start - 1) - 2; /* and }} */
        buf_add_str(&json, start);
        for (int v = 0; left; v++) {
            size_t frame = strlen(name) - 1 + 1 + (v ? 1 : 0), room = left - frame;
            size_t n = room / 6 < 100000 ? room / 6 : 100000, rest = n < 100000 ? room % 6 : 0;
            if (v)
                buf_add_char(&json, ',');
            buf_printf(&json, name, 'a' + v);
            add_repeated(&json, "\x01", n);
            add_repeated(&json, "y", rest);
            buf_add_char(&json, '"');
            left -= frame + 6 * n + rest;
        }
        buf_add_str(&json, "}}");
        cJSON *file = json_parse(json.data, json.len, &err);
        assert_non_null(file);
        char *text = json_text(file);
        assert_int_equal(strlen(text), JOB_FILE_MAX_BYTES + past);
        assert_int_equal(json_size(file), strlen(text));
        free(text);
        cJSON_Delete(file);
        if (accepts(json.data, &err) != !past)
            fail_msg("%zu past: %s", past, err.message);
        if (past)
            assert_string_equal(err.field, "environment_variables");
    }
}

static void sizes_are_those_of_the_text(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",
        "[]",
        "\"\"",
        "[[],{},[1]]",
        "[0,-1,9,10,-10,2147483647,-2147483648,2147483648,0.5,-0.0]",
        "{\"a\":{\"b\":[1,-2.5,1e300,true,false,null,\"\\n\\t\\\"\\\\\\u0001\xc3\xa4/\"]},\"\\u0002\":\"\"}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        cJSON *j = json_parse(texts[i], strlen(texts[i]), NULL);
        char *text = json_text(j);
        assert_int_equal(json_size(j), strlen(text));
        free(text);
        cJSON_Delete(j);
    }
}

static void texts_of_too_many_values_are_refused_unread(void **state)
{
    (void)state;
    struct error err = {0};
    static const char text[] = "[1,{\"a,[{\\\"\":2},[]]"; /* six at the most */
    cJSON *j = json_parse_bounded(text, sizeof text - 1, 6, &err);
    assert_non_null(j);
    cJSON_Delete(j);
    assert_null(json_parse_bounded(text, sizeof text - 1, 5, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
}

static void what_git_says_has_its_form(void **state)
{
    (void)state;
    struct error err;
    static const char *const bad[] = {"3",
                                      "\"\\u0001\"",
                                      "{\"commit\":\"xyz\"}",
                                      ("{\"commit\":\"" HEX "0\"}"),
                                      "{\"remote\":{}}",
                                      "{\"remote\":\"a\\u001bb\"}",
                                      "{\"dirty\":\"0\"}",
                                      "{\"more\":1}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        _cleanup_buf_ struct buf json = {0};
        buf_printf(&json, "{\"command\":\"x\"," CODE "\"git\":%s}}}", bad[i]);
        if (accepts(json.data, &err) || strncmp(err.field, "submission.code.git", 19) != 0)
            fail_msg("%s: %s", bad[i], err.message);
    }
    assert_true(accepts("{\"command\":\"x\"," CODE "\"git\":{\"commit\":\"" HEX
                        "\",\"remote\":null,\"dirty\":\"" HEX "\"}}}}",
                        &err));
}

/* ---- cost ---- */

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t cost_of(const char *text)
{
    struct error err = {0};
    struct job_spec_problems problems = {0};
    cJSON *file = json_parse(text, strlen(text), &err);
    assert_non_null(file);
    int64_t before = cpu_ns();
    job_spec_destroy(job_spec_parse(file, &problems, &err));
    int64_t cost = cpu_ns() - before;
    assert_true(problems.count <= JOB_ERRORS_MAX);
    job_spec_problems_finish(&problems);
    cJSON_Delete(file);
    return cost;
}

/* Four times as much costs less than eight times as much: linear, where quadratic is sixteen times. Tried
 * again, since others use the machine. */
static void assert_linear(const char *what, void (*fill)(struct buf *out, int n), int n)
{
    _cleanup_buf_ struct buf small = {0}, large = {0};
    fill(&small, n);
    fill(&large, 4 * n);
    double ratio = 0;
    for (int attempt = 0; attempt < 8; attempt++) {
        int64_t one = cost_of(small.data), four = cost_of(large.data);
        ratio = (double)four / (double)(one > 0 ? one : 1);
        if (ratio < 8)
            return;
    }
    fail_msg("%s: four times as much costs %.1f times as much", what, ratio);
}

static void unknown_fields(struct buf *out, int n)
{
    buf_add_str(out, "{\"command\":\"x\"");
    for (int i = 0; i < n; i++)
        buf_printf(out, ",\"unknown_field_%d\":1", i);
    buf_add_str(out, "}");
}

static void variables(struct buf *out, int n)
{
    buf_add_str(out, "{\"command\":\"x\",\"environment_variables\":{");
    for (int i = 0; i < n; i++)
        buf_printf(out, "%s\"V%d\":\"\"", i ? "," : "", i);
    buf_add_str(out, "}}");
}

static void bindings(struct buf *out, int n)
{
    buf_add_str(out, "{\"argv\":[\"x\"");
    for (int i = 0; i < n; i++)
        buf_printf(out, ",\"${{inputs.i%d}}\"", i);
    buf_add_str(out, "],\"inputs\":{");
    for (int i = 0; i < n && i < JOB_INPUTS_MAX; i++)
        buf_printf(out, "%s\"i%d\":1", i ? "," : "", i);
    buf_add_str(out, "}}");
}

static void missing_bindings(struct buf *out, int n)
{
    buf_add_str(out, "{\"argv\":[\"x\"");
    for (int i = 0; i < n; i++)
        buf_printf(out, ",\"${{inputs.x%d}}\"", i);
    buf_add_str(out, "],\"inputs\":{");
    for (int i = 0; i < n && i < JOB_INPUTS_MAX; i++)
        buf_printf(out, "%s\"i%d\":1", i ? "," : "", i);
    buf_add_str(out, "}}");
}

static void kinds(struct buf *out, int n)
{
    buf_add_str(out, "{\"command\":\"x\",\"retry\":{\"count\":1,\"on\":[\"x\"");
    add_repeated(out, ",\"x\"", (size_t)n);
    buf_add_str(out, "]}}");
}

static void reading_costs_no_more_than_linear_time(void **state)
{
    (void)state;
    assert_linear("unknown fields", unknown_fields, 20000);
    assert_linear("variables", variables, JOB_VARIABLES_MAX / 4);
    assert_linear("bindings", bindings, JOB_INPUTS_MAX / 4);
    assert_linear("bindings that are missing", missing_bindings, JOB_INPUTS_MAX / 4);
    assert_linear("kinds of ends", kinds, 20000);
}

static void at_most_64_problems_are_named_and_the_others_counted(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf json = {0};
    struct job_spec_problems problems = {0};
    struct error err = {0};
    unknown_fields(&json, JOB_ERRORS_MAX + 7);
    cJSON *file = json_parse(json.data, json.len, &err);
    assert_null(job_spec_parse(file, &problems, &err));
    assert_int_equal(problems.count, JOB_ERRORS_MAX);
    assert_int_equal(problems.total, JOB_ERRORS_MAX + 7);
    job_spec_problems_finish(&problems);
    cJSON_Delete(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_hold_at_the_limit_and_one_past_it),
        cmocka_unit_test(counts_hold_at_the_limit_and_one_past_it),
        cmocka_unit_test(the_whole_file_is_measured_as_it_travels),
        cmocka_unit_test(sizes_are_those_of_the_text),
        cmocka_unit_test(texts_of_too_many_values_are_refused_unread),
        cmocka_unit_test(what_git_says_has_its_form),
        cmocka_unit_test(reading_costs_no_more_than_linear_time),
        cmocka_unit_test(at_most_64_problems_are_named_and_the_others_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
