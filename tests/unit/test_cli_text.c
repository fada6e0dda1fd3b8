/* What people see: options, tables, carriage returns, times. */
#include "cli/options.h"
#include "cli/outcome.h"
#include "cli/show.h"
#include "cli/table.h"
#include "cli/words.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "proto/jobspec.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* ---- options ---- */

struct words {
    bool all, tty, interactive;
    const char *name;
    struct opt_list env;
    struct opt_number count;
};

static const struct opt table[] = {
    {"all", 'a', NULL, "all of them", OPT_FLAG, offsetof(struct words, all)},
    {"tty", 't', NULL, "a terminal", OPT_FLAG, offsetof(struct words, tty)},
    {"interactive", 'i', NULL, "input", OPT_FLAG, offsetof(struct words, interactive)},
    {"name", 'n', "NAME", "a name", OPT_STRING, offsetof(struct words, name)},
    {"env", 'e', "K=V", "a variable", OPT_LIST, offsetof(struct words, env)},
    {"count", 0, "N", "how many", OPT_NUMBER, offsetof(struct words, count)},
    {0},
};

static bool parse(const char *line, bool stop, struct words *out, char **operands, int *count,
                  struct error *err)
{
    static char copy[256];
    static char *argv[32];
    int argc = 0;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *p = strtok(copy, " "); p; p = strtok(NULL, " "))
        argv[argc++] = p;
    *out = (struct words){0};
    bool help;
    bool ok = opt_parse(table, out, stop, argc, argv, count, &help, err);
    for (int i = 0; ok && i < *count; i++)
        operands[i] = argv[i];
    return ok;
}

static void test_options_may_stand_anywhere_and_be_clustered(void **state)
{
    (void)state;
    struct words w;
    char *operands[32];
    int count;
    assert_true(parse("one -it --name=x two --count 7 -e A=1 -eB=2", false, &w, operands, &count, NULL));
    assert_int_equal(count, 2);
    assert_string_equal(operands[1], "two");
    assert_true(w.interactive && w.tty && !w.all);
    assert_string_equal(w.name, "x");
    assert_int_equal(w.count.value, 7);
    assert_int_equal(w.env.count, 2);
    assert_string_equal(w.env.items[1], "B=2");
    opt_finish(table, &w);
}

static void test_a_command_begins_at_the_first_operand_or_behind_two_dashes(void **state)
{
    (void)state;
    struct words w;
    char *operands[32];
    int count;
    assert_true(parse("-n x python3 train.py --epochs 3 -a", true, &w, operands, &count, NULL));
    assert_int_equal(count, 5);
    assert_string_equal(operands[2], "--epochs");
    assert_false(w.all);
    assert_true(parse("-a -- --weird -x", true, &w, operands, &count, NULL));
    assert_int_equal(count, 2);
    assert_string_equal(operands[0], "--weird");
}

static void test_wrong_options_are_told_with_the_nearest_right_one(void **state)
{
    (void)state;
    static const struct {
        const char *line, *word;
    } bad[] = {{"--nmae x", "unknown option --nmae"}, {"-x", "unknown option -x"},
               {"--name", "needs a value"},           {"--count no", "whole number"},
               {"--count -1", "whole number"},        {"--all=1", "takes no value"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct words w;
        char *operands[32];
        int count;
        struct error err = {0};
        assert_false(parse(bad[i].line, false, &w, operands, &count, &err));
        if (!strstr(err.message, bad[i].word))
            fail_msg("%s: %s", bad[i].line, err.message);
        opt_finish(table, &w);
    }
    struct words w;
    char *operands[32];
    int count;
    struct error err = {0};
    assert_false(parse("--nmae x", false, &w, operands, &count, &err));
    assert_non_null(strstr(err.hint, "--name"));
}

/* ---- words ---- */

static void check_longest(enum word_kind kind, const char *before, char filler, size_t longest)
{
    char word[WORD_NAME_MAX + 16];
    size_t n = strlen(before);
    memcpy(word, before, n);
    memset(word + n, filler, longest + 1);
    word[n + longest + 1] = '\0';
    assert_false(word_check(kind, "word", word, NULL));
    word[n + longest] = '\0';
    assert_true(word_check(kind, "word", word, NULL));
}

static void test_names_have_a_largest_length(void **state)
{
    (void)state;
    check_longest(WORD_NAME, "", 'n', WORD_NAME_MAX);
    check_longest(WORD_JOB, "", 'n', JOB_NAME_MAX);
    check_longest(WORD_JOB, "", '1', 19);
    check_longest(WORD_JOB, "array@", '1', 9);
}

static void test_a_bad_name_is_shown_on_one_line_with_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        enum word_kind kind;
        const char *word, *message;
    } cases[] = {
        {WORD_JOB, "", "invalid word \"\": it is empty"},
        {WORD_JOB, "a\nb", "invalid word \"a\\x0ab\": it may have letters"},
        {WORD_JOB, "a@b", "invalid word \"a@b\": an element of an array is NAME@INDEX"},
        {WORD_NAME, "a/b", "invalid word \"a/b\": a name has no slash"},
        {WORD_NAME, "a\tb", "invalid word \"a\\x09b\": a name has no control characters"},
        {WORD_TEXT, "\xff", "invalid word \"\\xff\": it is not UTF-8"},
        {WORD_PATH, "", "invalid word \"\": it is empty"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err = {0};
        assert_false(word_check(cases[i].kind, "word", cases[i].word, &err));
        if (strncmp(err.message, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s", err.message);
    }
    assert_true(word_check(WORD_PATH, "word", "\xff/\n", NULL) && word_check(WORD_ANY, "word", "", NULL));
    assert_true(word_check(WORD_JOB, "word", "17", NULL) && word_check(WORD_JOB, "word", "a.b@3", NULL));
}

/* ---- tables ---- */

static void write_page(struct table *t, const char *id, const char *state, const char *why, int width,
                       struct buf *out)
{
    table_add(t, id, TERM_PLAIN);
    table_add(t, state, TERM_PLAIN);
    table_add(t, why, TERM_PLAIN);
    table_write(t, width, false, out);
    table_next_page(t);
}

static void test_later_pages_of_a_table_stand_under_its_titles(void **state)
{
    (void)state;
    static const struct table_column columns[] = {
        {"ID", true, 0, 0, 0}, {"STATE", false, 0, 0, 0}, {"WHY", false, 5, 4, 1}};
    struct table t;
    _cleanup_buf_ struct buf whole = {0}, narrow = {0}, dropped = {0};
    table_init(&t, columns, 3);
    write_page(&t, "100", "Completed", "", 0, &whole);
    write_page(&t, "7", "Failed", "exit code 1", 0, &whole); /* wider than the first: whole all the same */
    assert_string_equal(whole.data, " ID  STATE      WHY\n"
                                    "100  Completed  -\n"
                                    "  7  Failed     exit code 1\n");
    table_finish(&t);
    table_init(&t, columns, 3);
    write_page(&t, "100", "Running", "", 20, &narrow);
    write_page(&t, "7", "Failed", "exit code 1", 20, &narrow); /* the last takes what the line has left */
    assert_string_equal(narrow.data, " ID  STATE    WHY\n"
                                     "100  Running  -\n"
                                     "  7  Failed   exit \xe2\x80\xa6\n");
    table_finish(&t);
    table_init(&t, columns, 3);
    write_page(&t, "100", "Completed", "a reason", 16, &dropped);
    write_page(&t, "7", "Failed", "b", 16, &dropped);
    assert_string_equal(dropped.data, " ID  STATE\n"
                                      "100  Completed\n"
                                      "  7  Failed\n");
    table_finish(&t);
}

static void test_a_table_fits_the_width_and_is_whole_when_piped(void **state)
{
    (void)state;
    static const struct table_column columns[] = {
        {"NAME", false, 1, 6, 0}, {"N", true, 0, 0, 1}, {"WHY", false, 9, 4, 2}};
    struct table t;
    table_init(&t, columns, 3);
    table_add(&t, "a-rather-long-name", TERM_PLAIN);
    table_addf(&t, "%d", 12);
    table_add(&t, "waits for its turn and free resources", TERM_RED);
    table_add(&t, "b", TERM_PLAIN);
    table_addf(&t, "%d", 3);
    table_add(&t, "", TERM_PLAIN);
    _cleanup_buf_ struct buf whole = {0}, narrow = {0};
    table_write(&t, 0, false, &whole);
    assert_non_null(strstr(whole.data, "a-rather-long-name  12  waits for its turn and free resources\n"));
    assert_non_null(strstr(whole.data, "b                    3  -\n"));
    table_write(&t, 40, false, &narrow);
    for (char *line = strtok(narrow.data, "\n"); line; line = strtok(NULL, "\n"))
        assert_true(term_columns(line) <= 40);
    _cleanup_buf_ struct buf tiny = {0};
    table_write(&t, 8, false, &tiny);
    assert_string_equal(tiny.data, "NAME\na-rathe\xe2\x80\xa6\nb\n");
    table_finish(&t);
}

static void test_text_of_other_people_can_not_command_the_terminal(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf out = {0};
    term_add_safe(&out, "a\033[31mb\n\x7f\xc2\x9b", false);
    assert_string_equal(out.data, "a\\x1b[31mb\\x0a\\x7f\\x9b");
}

static void test_what_can_command_or_reorder_a_terminal_is_shown(void **state)
{
    (void)state;
    static const struct {
        const char *in, *one_line, *layout;
    } cases[] = {
        {"plain \xc3\xa9 \xf0\x9f\x99\x82", "plain \xc3\xa9 \xf0\x9f\x99\x82",
         "plain \xc3\xa9 \xf0\x9f\x99\x82"},
        {"a\tb\nc", "a\\x09b\\x0ac", "a\tb\nc"},
        {"\033]0;title\007\r\b", "\\x1b]0;title\\x07\\x0d\\x08", "\\x1b]0;title\\x07\\x0d\\x08"},
        {"\xc2\x80\xc2\x9f\xc2\xa0", "\\x80\\x9f\xc2\xa0", "\\x80\\x9f\xc2\xa0"},
        {"\x9b"
         "31m\xff\xc3",
         "\\x9b31m\\xff\\xc3", "\\x9b31m\\xff\\xc3"},
        {"\xc0\x9b\xed\xa0\x80", "\\xc0\\x9b\\xed\\xa0\\x80", "\\xc0\\x9b\\xed\\xa0\\x80"},
        {"\xe2\x80\xae"
         "exe\xe2\x81\xa6\xe2\x80\xa8",
         "\\u202eexe\\u2066\\u2028", "\\u202eexe\\u2066\\u2028"},
        {"\xf3\xa0\x81\x81", "\\ue0041", "\\ue0041"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        _cleanup_buf_ struct buf one_line = {0}, layout = {0};
        text_add_safe(&one_line, cases[i].in, strlen(cases[i].in), TEXT_ONE_LINE);
        text_add_safe(&layout, cases[i].in, strlen(cases[i].in), TEXT_LAYOUT);
        assert_string_equal(one_line.data, cases[i].one_line);
        assert_string_equal(layout.data, cases[i].layout);
    }
}

static void test_safe_json_has_the_same_value(void **state)
{
    (void)state;
    static const char text[] = "{\"\xc2\x9b\":\"\x7f\xe2\x80\xae\xf3\xa0\x81\x81 \xc3\xa9\"}";
    _cleanup_buf_ struct buf safe = {0};
    text_add_safe_json(&safe, text, strlen(text));
    assert_string_equal(safe.data, "{\"\\u009b\":\"\\u007f\\u202e\\udb40\\udc41 \xc3\xa9\"}");
    _cleanup_json_ cJSON *before = cJSON_Parse(text), *after = cJSON_Parse(safe.data);
    assert_true(cJSON_Compare(before, after, true));
}

/* ---- ends and times ---- */

static int code_of(const char *json)
{
    _cleanup_json_ cJSON *job = json_parse(json, strlen(json), NULL);
    return outcome_exit_code(job);
}

static void test_the_exit_code_is_the_jobs_own(void **state)
{
    (void)state;
    assert_int_equal(code_of("{\"state\":\"Completed\",\"exit_code\":0}"), 0);
    assert_int_equal(code_of("{\"state\":\"Failed\",\"exit_code\":3}"), 3);
    assert_int_equal(code_of("{\"state\":\"Failed\",\"exit_code\":137}"), 137);
    assert_int_equal(code_of("{\"state\":\"Failed\",\"exit_code\":null}"), 1);
    assert_int_equal(code_of("{\"state\":\"Canceled\",\"exit_code\":null}"), 130);
    assert_int_equal(code_of("{\"state\":\"Canceled\",\"exit_code\":143}"), 143);
}

static void test_a_cause_of_death_comes_with_its_evidence(void **state)
{
    (void)state;
    static const char text[] =
        "{\"cause\":{\"kind\":\"oom\",\"text\":\"killed for memory\",\"evidence\":{\"oom_kills\":\"1\","
        "\"memory_peak_bytes\":1073741824,\"stopped_for\":\"cancel\",\"forced\":0,\"new_thing\":3,"
        "\"rebooted\":\"0\"}}}";
    _cleanup_json_ cJSON *job = json_parse(text, strlen(text), NULL);
    _cleanup_buf_ struct buf out = {0};
    outcome_add_cause(&out, job, "");
    assert_non_null(strstr(out.data, "killed for memory\n"));
    assert_non_null(strstr(out.data, "  processes killed for memory: 1\n"));
    assert_non_null(strstr(out.data, "  most memory in use: 1G (1073741824)\n"));
    assert_non_null(strstr(out.data, "  new thing: 3\n"));
    assert_null(strstr(out.data, "stopped")); /* the cause says it */
    assert_null(strstr(out.data, "forced"));
    assert_null(strchr(out.data, '_'));
    assert_null(strstr(out.data, "node"));
}

static void test_times_are_told_as_people_do(void **state)
{
    (void)state;
    char out[32];
    assert_string_equal(show_ago(0, 1000, out), "-");
    assert_string_equal(show_ago(1000, 2000, out), "just now");
    assert_string_equal(show_ago(1000, 61000, out), "1m ago");
    assert_string_equal(show_ago(1000, 1000 + 72 * 3600000LL, out), "3d ago");
    _cleanup_json_ cJSON *list = json_parse("[0,1,2,5,7,8]", 13, NULL);
    _cleanup_buf_ struct buf ranges = {0};
    show_add_ranges(&ranges, list);
    assert_string_equal(ranges.data, "0-2,5,7-8");
}

int main(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_may_stand_anywhere_and_be_clustered),
        cmocka_unit_test(test_a_command_begins_at_the_first_operand_or_behind_two_dashes),
        cmocka_unit_test(test_wrong_options_are_told_with_the_nearest_right_one),
        cmocka_unit_test(test_names_have_a_largest_length),
        cmocka_unit_test(test_a_bad_name_is_shown_on_one_line_with_what_is_wrong),
        cmocka_unit_test(test_later_pages_of_a_table_stand_under_its_titles),
        cmocka_unit_test(test_a_table_fits_the_width_and_is_whole_when_piped),
        cmocka_unit_test(test_text_of_other_people_can_not_command_the_terminal),
        cmocka_unit_test(test_what_can_command_or_reorder_a_terminal_is_shown),
        cmocka_unit_test(test_safe_json_has_the_same_value),
        cmocka_unit_test(test_the_exit_code_is_the_jobs_own),
        cmocka_unit_test(test_a_cause_of_death_comes_with_its_evidence),
        cmocka_unit_test(test_times_are_told_as_people_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
