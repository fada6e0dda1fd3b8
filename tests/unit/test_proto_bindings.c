/* Placeholders in job files, and long values in refusals. */
#include "base/buf.h"
#include "proto/excerpt.h"
#include "proto/jobspec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* The problems of a file; false where it is accepted. */
static bool refused(const char *text, struct job_spec_problems *problems)
{
    struct error err = {0};
    *problems = (struct job_spec_problems){0};
    cJSON *file = json_parse(text, strlen(text), &err);
    if (!file)
        fail_msg("%s: %s", text, err.message);
    struct job_spec *s = job_spec_parse(file, problems, &err);
    bool is = s == NULL;
    job_spec_destroy(s);
    cJSON_Delete(file);
    return is;
}

static void assert_accepted(const char *text)
{
    struct job_spec_problems p;
    if (refused(text, &p))
        fail_msg("%s: %s: %s", text, p.items[0].field, p.items[0].message);
}

/* Exactly one problem, of that field, with those words. */
static void assert_one(const char *text, const char *field, const char *words)
{
    struct job_spec_problems p;
    if (!refused(text, &p))
        fail_msg("accepted: %s", text);
    if (p.total != 1 || strcmp(p.items[0].field, field) != 0 || !strstr(p.items[0].message, words))
        fail_msg("%s: %zu problems, the first %s: %s", text, p.total, p.items[0].field, p.items[0].message);
    job_spec_problems_finish(&p);
}

static void placeholders_that_a_job_has_are_accepted(void **state)
{
    (void)state;
    assert_accepted("{\"command\":\"a ${{inputs.x}} ${{ outputs.default }}\",\"inputs\":{\"x\":1},"
                    "\"environment_variables\":{\"A\":\"${{inputs.x}}\"}}");
    assert_accepted("{\"argv\":[\"a\",\"${{array.index}}\"],\"array\":\"1-3\"}");
    assert_accepted("{\"command\":\"grep -E 'a$[[:space:]]' $[[ -f x ]] ${x} $HOME }} {{\"}");
}

static void placeholders_that_name_nothing_are_refused_by_name_in_every_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {{"${{outputs.model}}", "${{outputs.model}} names nothing"},
                 {"${{search_space.lr}}", "${{search_space.lr}} names nothing"},
                 {"${{ parent.inputs.x }}", "${{parent.inputs.x}} names nothing"},
                 {"${{parent.jobs.a.outputs.b}}", "parent.jobs.a.outputs.b"},
                 {"${{inputs.nope}}", "${{inputs.nope}} is not among"},
                 {"${{array.index}}", "is for arrays"},
                 {"${{array.count}}", "${{array.count}} names nothing"},
                 {"${{name}}", "${{name}} names nothing"},
                 {"${{}}", "${{}} names nothing"},
                 {"${{inputs.x", "not closed"},
                 {"$[[inputs.x]]", "$[[inputs.x]] is not replaced"},
                 {"$[[ x ]]", "$[[x]] is not replaced"}};
    static const struct {
        const char *form, *field;
    } places[] = {
        {"{\"command\":\"run %s\"}", "command"},
        {"{\"argv\":[\"run\",\"--a=%s\"]}", "argv"},
        {"{\"command\":\"x\",\"environment_variables\":{\"A\":\"%s\"}}", "environment_variables.A"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t k = 0; k < sizeof places / sizeof *places; k++) {
            char json[256];
            snprintf(json, sizeof json, places[k].form, cases[i].text);
            assert_one(json, places[k].field, cases[i].words);
        }
}

static void where_nothing_is_replaced_there_are_none(void **state)
{
    (void)state;
    assert_one("{\"command\":\"x\",\"inputs\":{\"a\":\"${{search_space.lr}}\"}}", "inputs.a", "alone");
    assert_one("{\"command\":\"x\",\"inputs\":{\"a\":{\"path\":\"/d/${{inputs.b}}\"}}}", "inputs.a", "alone");
    assert_one("{\"command\":\"x\",\"mounts\":[\"/d/${{inputs.a}}\"]}", "mounts", "alone");
    assert_one("{\"command\":\"x\",\"mounts\":[\"/d:/e/$[[x]]\"]}", "mounts", "alone");
    assert_one("{\"command\":\"x\",\"environment\":\"/i/${{inputs.a}}\"}", "environment.image", "alone");
}

static void what_was_refused_itself_is_not_missed_where_it_is_used(void **state)
{
    (void)state;
    assert_one("{\"command\":\"${{inputs.a}} ${{inputs.a}}\",\"inputs\":{\"a\":{\"path\":\"s3://x\"}}}",
               "inputs.a", "not honoured");
    assert_one("{\"command\":\"${{inputs.a}}\",\"inputs\":[1]}", "inputs", "must be a mapping");
    assert_one("{\"command\":\"${{array.index}}\",\"array\":\"5-1\"}", "array", "ends before");
    assert_one("{\"command\":\"${{outputs.m}}\",\"outputs\":{\"m\":{}}}", "outputs", "not honour");
    assert_one("{\"command\":\"${{search_space.m}}\",\"search_space\":{\"m\":{}}}", "search_space",
               "not honour");
    /* and what is missed is reported once */
    assert_one("{\"argv\":[\"${{inputs.a}}\",\"${{inputs.a}}\",\"${{ inputs.a }}\"]}", "argv", "not among");
}

/* An older scheduler accepted it, and it may run: its executor still reads it. */
static void an_accepted_file_is_read_by_its_executor(void **state)
{
    (void)state;
    struct error err = {0};
    cJSON *file = cJSON_CreateObject();
    char *text = calloc(1, JOB_FILE_MAX_BYTES + 1);
    assert_non_null(text);
    memset(text, ' ', JOB_FILE_MAX_BYTES);
    cJSON_AddStringToObject(file, "command", "echo $[[x]] ${{outputs.x}}");
    cJSON *inputs = cJSON_AddObjectToObject(file, "inputs");
    for (size_t i = 0; i < JOB_FILE_MAX_BYTES / JOB_LITERAL_MAX + 1; i++) {
        char name[16];
        snprintf(name, sizeof name, "i%zu", i);
        text[JOB_LITERAL_MAX] = '\0';
        cJSON_AddStringToObject(inputs, name, text);
    }
    free(text);
    assert_null(job_spec_parse(file, NULL, &err));
    struct job_spec *s = job_spec_parse_accepted(file, &err);
    if (!s)
        fail_msg("%s", err.message);
    job_spec_destroy(s);
    cJSON_Delete(file);
}

static void long_values_are_shown_by_head_and_tail(void **state)
{
    (void)state;
    char a[2 * EXCERPT_WHOLE_MAX + 1], whole[EXCERPT_WHOLE_MAX + 2];
    memset(a, 'a', sizeof a - 1);
    a[sizeof a - 1] = '\0';
    struct excerpt one = excerpt_of(a);
    a[sizeof a - 2] = 'b';
    struct excerpt other = excerpt_of(a);
    assert_string_not_equal(one.text, other.text);
    assert_non_null(strstr(one.text, " bytes...]a"));
    assert_true(strlen(one.text) <= EXCERPT_WHOLE_MAX);
    for (size_t past = 0; past < 2; past++) {
        memset(whole, 'w', sizeof whole);
        whole[EXCERPT_WHOLE_MAX + past] = '\0';
        assert_int_equal(strcmp(excerpt_of(whole).text, whole) == 0, !past);
    }
    /* cut between characters, wherever they begin */
    for (int shift = 0; shift < 3; shift++) {
        _cleanup_buf_ struct buf text = {0};
        buf_add(&text, "xyz", (size_t)shift);
        for (int i = 0; i < EXCERPT_WHOLE_MAX; i++)
            buf_add_str(&text, "\xe2\x82\xac");
        struct excerpt e = excerpt_of(text.data);
        assert_true(json_is_utf8(e.text, strlen(e.text)));
    }
}

static void two_long_values_of_one_field_are_told_apart(void **state)
{
    (void)state;
    char json[2048], value[401], field[301];
    struct job_spec_problems p, q;
    memset(value, 'v', sizeof value - 1);
    memset(field, 'F', sizeof field - 1);
    value[400] = field[300] = '\0';
    snprintf(json, sizeof json,
             "{\"command\":\"x\",\"runtime\":\"%s1\",\"environment_variables\":{\"%s-1\":\"\"}}", value,
             field);
    assert_true(refused(json, &p));
    snprintf(json, sizeof json,
             "{\"command\":\"x\",\"runtime\":\"%s2\",\"environment_variables\":{\"%s-2\":\"\"}}", value,
             field);
    assert_true(refused(json, &q));
    assert_string_not_equal(p.items[0].message, q.items[0].message);
    assert_string_not_equal(p.items[1].field, q.items[1].field);
    job_spec_problems_finish(&p);
    job_spec_problems_finish(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(placeholders_that_a_job_has_are_accepted),
        cmocka_unit_test(placeholders_that_name_nothing_are_refused_by_name_in_every_place),
        cmocka_unit_test(where_nothing_is_replaced_there_are_none),
        cmocka_unit_test(what_was_refused_itself_is_not_missed_where_it_is_used),
        cmocka_unit_test(an_accepted_file_is_read_by_its_executor),
        cmocka_unit_test(long_values_are_shown_by_head_and_tail),
        cmocka_unit_test(two_long_values_of_one_field_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
