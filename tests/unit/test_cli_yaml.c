/* Job files: YAML to JSON, types of scalars, and where errors are. */
#include "cli/yaml.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static char *convert(const char *text)
{
    struct error err = {0};
    struct yaml_file *file = yaml_parse("job.yml", text, strlen(text), &err);
    if (!file)
        fail_msg("%s", err.message);
    char *json = json_text(yaml_json(file));
    yaml_free(file);
    return json;
}

static void check(const char *text, const char *expected)
{
    _cleanup_free_ char *json = convert(text);
    assert_string_equal(json, expected);
}

static void check_error(const char *text, const char *where, const char *word)
{
    struct error err = {0};
    struct yaml_file *file = yaml_parse("job.yml", text, strlen(text), &err);
    assert_null(file);
    if (strncmp(err.message, where, strlen(where)) != 0 || !strstr(err.message, word))
        fail_msg("\"%s\" should start with \"%s\" and hold \"%s\"", err.message, where, word);
}

static void test_a_job_file_becomes_the_same_tree(void **state)
{
    (void)state;
    check("command: python train.py\n"
          "code: .\n"
          "resources:\n  gpus: 2\n"
          "mounts: [/data, /scratch:rw]\n",
          "{\"command\":\"python train.py\",\"code\":\".\",\"resources\":{\"gpus\":2},"
          "\"mounts\":[\"/data\",\"/scratch:rw\"]}");
    check("command: >-\n  python train.py\n  --epochs 3\n", "{\"command\":\"python train.py --epochs 3\"}");
    check("command: |\n  a\n  b\n", "{\"command\":\"a\\nb\\n\"}");
}

static void test_plain_scalars_are_typed_and_quoted_ones_are_text(void **state)
{
    (void)state;
    check("a: 3\nb: -4\nc: 0.002\nd: true\ne: null\nf:\ng: ~\n",
          "{\"a\":3,\"b\":-4,\"c\":0.002,\"d\":true,\"e\":null,\"f\":null,\"g\":null}");
    check("a: '3'\nb: \"true\"\nc: !!str 3\n", "{\"a\":\"3\",\"b\":\"true\",\"c\":\"3\"}");
    check("a: yes\nb: off\nc: 1.2.3\nd: 12:30\n",
          "{\"a\":\"yes\",\"b\":\"off\",\"c\":\"1.2.3\",\"d\":\"12:30\"}");
}

static void test_a_number_that_would_lose_its_spelling_stays_text(void **state)
{
    (void)state;
    check("a: 1.10\nb: 007\nc: 0x1f\nd: 1e-3\ne: 123456789012345678901\nf: .5\ng: +1\nh: -0\n",
          "{\"a\":\"1.10\",\"b\":\"007\",\"c\":\"0x1f\",\"d\":\"1e-3\",\"e\":\"123456789012345678901\",\"f\":"
          "\".5\","
          "\"g\":\"+1\",\"h\":-0}");
}

static void test_anchors_and_merged_mappings_are_followed(void **state)
{
    (void)state;
    check("a: &x {p: 1, q: 2}\nb: *x\nc:\n  <<: *x\n  q: 3\n",
          "{\"a\":{\"p\":1,\"q\":2},\"b\":{\"p\":1,\"q\":2},\"c\":{\"q\":3,\"p\":1}}");
    check("a: &x {p: 1}\nb: &y {q: 2}\nc:\n  <<: [*x, *y]\n",
          "{\"a\":{\"p\":1},\"b\":{\"q\":2},\"c\":{\"p\":1,\"q\":2}}");
}

static void test_what_holds_itself_is_refused(void **state)
{
    (void)state;
    check_error("c:\n  <<: &x [*x, {r: 1}]\n", "job.yml:2:", "only mappings");
    check_error("a: &x {b: *x}\n", "job.yml:1:", "deep");
    check_error("a: &x {<<: *x}\n", "job.yml:1:", "deep");
}

static void test_a_bomb_of_aliases_is_refused(void **state)
{
    (void)state;
    char text[4096] = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
    for (int i = 1; i < 9; i++) {
        char line[200];
        snprintf(line, sizeof line, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1,
                 i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
        strcat(text, line);
    }
    check_error(text, "job.yml:", "too many values");
}

static void test_a_syntax_error_names_file_line_column_and_shows_the_line(void **state)
{
    (void)state;
    check_error("command: x\ncode: [a, b\nname: y\n", "job.yml:", "name: y");
    struct error err = {0};
    const char *tab = "command: x\n\tcode: .\n";
    assert_null(yaml_parse("job.yml", tab, strlen(tab), &err));
    assert_non_null(strstr(err.hint, "line 2 starts with a tab"));
    check_error("a: 1\nb: \"open\n", "job.yml:", "not valid YAML");
    check_error("a: *nothing\n", "job.yml:1:", "alias");
}

static void test_what_is_no_single_yaml_document_is_refused(void **state)
{
    (void)state;
    check_error("", "job.yml is empty", "empty");
    check_error("# only a remark\n", "job.yml is empty", "empty");
    check_error("a: 1\n---\nb: 2\n", "job.yml holds more than one document", "one job");
    check_error("a: 1\na: 2\n", "job.yml:2:", "a: 2");
    check_error("[1, 2]: x\n", "job.yml:1:", "text");
    struct error err = {0};
    assert_null(yaml_parse("job.yml", "a\0b", 3, &err));
    assert_non_null(strstr(err.message, "NUL"));
    assert_null(yaml_parse("job.yml", "a: \xff\xfe\n", 6, &err));
}

static void test_deep_nesting_is_refused(void **state)
{
    (void)state;
    char text[1001];
    memset(text, '[', 500);
    memset(text + 500, ']', 500);
    text[1000] = '\0';
    struct error err = {0};
    assert_null(yaml_parse("job.yml", text, 1000, &err));
}

static void test_fields_know_their_lines(void **state)
{
    (void)state;
    const char *text = "command: x\nresources:\n  shm_size: 1g\n  gpus: 2\ninputs:\n  data:\n    path: ./x\n";
    struct error err = {0};
    struct yaml_file *file = yaml_parse("job.yml", text, strlen(text), &err);
    assert_non_null(file);
    assert_int_equal(yaml_line(file, "command"), 1);
    assert_int_equal(yaml_line(file, "resources"), 2);
    assert_int_equal(yaml_line(file, "resources.gpus"), 4);
    assert_int_equal(yaml_line(file, "resources.nothing"), 2);
    assert_int_equal(yaml_line(file, "inputs.data.path"), 7);
    assert_int_equal(yaml_line(file, "nothing"), 0);
    yaml_free(file);
}

static int64_t cost_of(const char *text)
{
    struct error err = {0};
    struct timespec from, to;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    struct yaml_file *file = yaml_parse("job.yml", text, strlen(text), &err);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    if (!file)
        fail_msg("%s", err.message);
    yaml_free(file);
    return (int64_t)(to.tv_sec - from.tv_sec) * 1000000000 + (to.tv_nsec - from.tv_nsec);
}

/* `head`, then n lines of `form` with their numbers. */
static void fill(struct buf *out, const char *head, const char *form, int n)
{
    buf_add_str(out, head);
    for (int i = 0; i < n; i++)
        buf_printf(out, form, i, i);
}

static void test_reading_costs_no_more_than_linear_time(void **state)
{
    (void)state;
    static const struct {
        const char *head, *form;
        int n;
    } cases[] = {{"", "field_%d: 1\n", 4000},
                 {"a:\n", "  - value %d\n", 4000},
                 {"a: &x 1\nb:\n", "  - *x\n", YAML_ALIASES_MAX / 4},
                 {"a: &x {y: 1}\n", "b%d: {<<: *x, z: %d}\n", YAML_ALIASES_MAX / 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        _cleanup_buf_ struct buf small = {0}, large = {0};
        fill(&small, cases[i].head, cases[i].form, cases[i].n);
        fill(&large, cases[i].head, cases[i].form, 4 * cases[i].n);
        double ratio = 16;
        for (int attempt = 0; attempt < 8 && ratio >= 8; attempt++) { /* others use the machine */
            int64_t one = cost_of(small.data), four = cost_of(large.data);
            ratio = (double)four / (double)(one > 0 ? one : 1);
        }
        if (ratio >= 8)
            fail_msg("%s: four times as much costs %.1f times as much", cases[i].form, ratio);
    }
}

static void test_anchors_and_aliases_have_limits(void **state)
{
    (void)state;
    static const struct {
        const char *head, *form;
        int limit;
    } cases[] = {{"a:\n", "  - &a%d 1\n", YAML_ANCHORS_MAX}, {"a: &x 1\nb:\n", "  - *x\n", YAML_ALIASES_MAX}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int past = 0; past < 2; past++) {
            _cleanup_buf_ struct buf text = {0};
            struct error err = {0};
            fill(&text, cases[i].head, cases[i].form, cases[i].limit + past);
            struct yaml_file *file = yaml_parse("job.yml", text.data, text.len, &err);
            assert_int_equal(file != NULL, !past);
            yaml_free(file);
        }
    check("a: 'x &y & z && w'\nb: make &>log\n", "{\"a\":\"x &y & z && w\",\"b\":\"make &>log\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_job_file_becomes_the_same_tree),
        cmocka_unit_test(test_plain_scalars_are_typed_and_quoted_ones_are_text),
        cmocka_unit_test(test_a_number_that_would_lose_its_spelling_stays_text),
        cmocka_unit_test(test_anchors_and_merged_mappings_are_followed),
        cmocka_unit_test(test_what_holds_itself_is_refused),
        cmocka_unit_test(test_a_bomb_of_aliases_is_refused),
        cmocka_unit_test(test_reading_costs_no_more_than_linear_time),
        cmocka_unit_test(test_anchors_and_aliases_have_limits),
        cmocka_unit_test(test_a_syntax_error_names_file_line_column_and_shows_the_line),
        cmocka_unit_test(test_what_is_no_single_yaml_document_is_refused),
        cmocka_unit_test(test_deep_nesting_is_refused),
        cmocka_unit_test(test_fields_know_their_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
