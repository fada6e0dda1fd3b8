/* What people see: options, tables, carriage returns, times. */
#include "cli/follow.h"
#include "cli/options.h"
#include "cli/outcome.h"
#include "cli/show.h"
#include "cli/table.h"

#include "base/cleanup.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

/* ---- carriage returns ---- */

static void check_redraw(const char *in, size_t n, size_t piece, const char *expected, size_t expected_n)
{
    int fd = memfd_create("redraw", MFD_CLOEXEC);
    struct redraw r = {.fd = fd, .collapse = true};
    for (size_t at = 0; at < n; at += piece)
        redraw_add(&r, in + at, n - at < piece ? n - at : piece);
    redraw_end(&r);
    char got[4096];
    ssize_t len = pread(fd, got, sizeof got, 0);
    close(fd);
    if (len != (ssize_t)expected_n || memcmp(got, expected, expected_n) != 0)
        fail_msg("pieces of %zu: got \"%.*s\", expected \"%.*s\"", piece, (int)len, got, (int)expected_n,
                 expected);
}

static void test_redraws_collapse_to_the_last_state_of_each_line_however_they_are_cut(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"a\nb\n", "a\nb\n"},
        {"10%\r20%\r30%\n", "30%\n"},
        {"\r 10%\r 20%\nnext\n", " 20%\nnext\n"},
        {"dos\r\nline\r\n", "dos\r\nline\r\n"},
        {"10%\r20%\r\nx", "20%\r\nx"},
        {"no newline\rlast", "last"},
        {"10%\r", "10%\r"},
        {"", ""},
        {"\n\n", "\n\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t piece = 1; piece < 8; piece++)
            check_redraw(cases[i].in, strlen(cases[i].in), piece, cases[i].out, strlen(cases[i].out));
}

static void test_lines_with_a_nul_are_no_drawings(void **state)
{
    (void)state;
    static const char binary[] = "e12\r\0\xff\r\nend\n";
    for (size_t piece = 1; piece < 8; piece++)
        check_redraw(binary, sizeof binary - 1, piece, binary, sizeof binary - 1);
}

static void test_a_line_without_end_is_shown_in_pieces_and_takes_bounded_memory(void **state)
{
    (void)state;
    int fd = memfd_create("redraw", MFD_CLOEXEC);
    struct redraw r = {.fd = fd, .collapse = true};
    char piece[1000];
    memset(piece, 'x', sizeof piece);
    for (int i = 0; i < 1000; i++) {
        redraw_add(&r, piece, sizeof piece);
        assert_true(r.held.len <= REDRAW_HELD_MAX);
    }
    redraw_end(&r);
    assert_int_equal(lseek(fd, 0, SEEK_END), 1000000);
    close(fd);
}

/* ---- tables ---- */

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
        "{\"cause\":{\"kind\":\"oom\",\"text\":\"killed for memory\",\"evidence\":{\"oom_kill\":1,"
        "\"peak_bytes\":1073741824}}}";
    _cleanup_json_ cJSON *job = json_parse(text, strlen(text), NULL);
    _cleanup_buf_ struct buf out = {0};
    outcome_add_cause(&out, job, "");
    assert_non_null(strstr(out.data, "killed for memory\n"));
    assert_non_null(strstr(out.data, "oom_kill: 1\n"));
    assert_non_null(strstr(out.data, "peak_bytes: 1G"));
}

static void test_times_are_told_as_people_do(void **state)
{
    (void)state;
    char out[32];
    assert_string_equal(show_ago(0, 1000, out), "-");
    assert_string_equal(show_ago(1000, 2000, out), "now");
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
        cmocka_unit_test(test_redraws_collapse_to_the_last_state_of_each_line_however_they_are_cut),
        cmocka_unit_test(test_lines_with_a_nul_are_no_drawings),
        cmocka_unit_test(test_a_line_without_end_is_shown_in_pieces_and_takes_bounded_memory),
        cmocka_unit_test(test_a_table_fits_the_width_and_is_whole_when_piped),
        cmocka_unit_test(test_text_of_other_people_can_not_command_the_terminal),
        cmocka_unit_test(test_the_exit_code_is_the_jobs_own),
        cmocka_unit_test(test_a_cause_of_death_comes_with_its_evidence),
        cmocka_unit_test(test_times_are_told_as_people_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
