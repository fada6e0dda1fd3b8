/* Ignore files, as gitignore(5) describes them. tests/integration/test_cli_ignore compares with git itself.
 */
#include "proto/ignore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void check(const char *rules, const char *path, bool is_folder, bool left_out)
{
    struct ignore ignore = {0};
    ignore_push(&ignore, "", rules, strlen(rules));
    if (ignore_matches(&ignore, path, is_folder) != left_out)
        fail_msg("\"%s\" should%s leave out %s", rules, left_out ? "" : " not", path);
    ignore_finish(&ignore);
}

static void test_a_pattern_without_slash_matches_names_at_any_depth(void **state)
{
    (void)state;
    check("*.o", "a.o", false, true);
    check("*.o", "x/y/a.o", false, true);
    check("*.o", "a.obj", false, false);
    check("build", "x/build", true, true);
    check("?.py", "ab.py", false, false);
    check("[a-c]1", "b1", false, true);
    check("[!a-c]1", "b1", false, false);
    check("[[:digit:]]x", "7x", false, true);
}

static void test_a_slash_anchors_a_pattern_to_its_folder(void **state)
{
    (void)state;
    check("/data", "data", true, true);
    check("/data", "x/data", true, false);
    check("a/b", "a/b", false, true);
    check("a/b", "x/a/b", false, false);
    check("a/*.c", "a/b/x.c", false, false);
}

static void test_a_slash_at_the_end_means_folders_alone(void **state)
{
    (void)state;
    check("data/", "data", true, true);
    check("data/", "data", false, false);
    check("data/", "x/data", true, true);
}

static void test_two_stars_cross_folders(void **state)
{
    (void)state;
    check("**/foo", "foo", false, true);
    check("**/foo", "a/b/foo", false, true);
    check("a/**", "a/b/c", false, true);
    check("a/**", "a", true, false);
    check("a/**/b", "a/b", false, true);
    check("a/**/b", "a/x/y/b", false, true);
    check("a/**/b/**/c", "a/1/b/2/3/c", false, true);
    check("a/**/b/**/c", "a/1/2/3/c", false, false);
}

static void test_a_later_rule_wins_and_an_exclamation_mark_takes_back(void **state)
{
    (void)state;
    check("*.log\n!keep.log\n", "keep.log", false, false);
    check("!keep.log\n*.log\n", "keep.log", false, true);
    check("\\!x\n", "!x", false, true);
}

static void test_comments_blank_lines_and_trailing_spaces_count_for_nothing(void **state)
{
    (void)state;
    check("# *.c\n\n", "# *.c", false, false);
    check("\\#x", "#x", false, true);
    check("x   \n", "x", false, true);
    check("x\\ \n", "x ", false, true);
    check("x\r\n", "x", false, true);
    check("\xef\xbb\xbfx\n", "x", false, true);
    check("[unclosed", "[unclosed", false, false);
}

static void test_rules_of_a_deeper_folder_come_first(void **state)
{
    (void)state;
    struct ignore ignore = {0};
    ignore_push(&ignore, "", "*.txt\n", 6);
    ignore_push(&ignore, "a", "!x.txt\n/y.txt\n", 14);
    assert_false(ignore_matches(&ignore, "a/x.txt", false));
    assert_true(ignore_matches(&ignore, "a/y.txt", false));
    assert_true(ignore_matches(&ignore, "ab/x.txt", false));
    ignore_pop(&ignore);
    assert_true(ignore_matches(&ignore, "a/x.txt", false));
    ignore_finish(&ignore);
}

static void test_many_stars_cost_no_more_than_their_product(void **state)
{
    (void)state;
    char pattern[401] = "", path[401] = "";
    for (int i = 0; i < 100; i++) {
        strcat(pattern, "*a");
        strcat(path, "aa");
    }
    strcat(path, "b");
    assert_false(ignore_glob(pattern, path)); /* would run for ages by naive backtracking */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_pattern_without_slash_matches_names_at_any_depth),
        cmocka_unit_test(test_a_slash_anchors_a_pattern_to_its_folder),
        cmocka_unit_test(test_a_slash_at_the_end_means_folders_alone),
        cmocka_unit_test(test_two_stars_cross_folders),
        cmocka_unit_test(test_a_later_rule_wins_and_an_exclamation_mark_takes_back),
        cmocka_unit_test(test_comments_blank_lines_and_trailing_spaces_count_for_nothing),
        cmocka_unit_test(test_rules_of_a_deeper_folder_come_first),
        cmocka_unit_test(test_many_stars_cost_no_more_than_their_product),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
