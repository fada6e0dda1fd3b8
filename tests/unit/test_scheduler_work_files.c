/* Which work files stay: shares of users, age, what is announced first, and what is never taken. */
#include "base/fs.h"
#include "scheduler/work_files.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define HOUR_MS (3600LL * 1000)
#define DAY_MS (24 * HOUR_MS)
#define NOW_MS (1000 * DAY_MS)

/* ---- judged ---- */

struct row {
    const char *name;
    struct work_files all[5];
    enum work_fate fates[5]; /* in the order of `all` */
};

#define W(id, who, at, goes, size, is_live, has_begun)                                                       \
    {                                                                                                        \
        .job = (id), .principal = (who), .at_ms = (at), .goes_ms = (goes), .bytes = (size),                  \
        .live = (is_live), .begun = (has_begun)                                                              \
    }

/* The share is 100. */
static const struct row rows[] = {
    {"all within the share",
     {W(1, 1, NOW_MS - 3 * HOUR_MS, 0, 50, 0, 0), W(2, 1, NOW_MS - HOUR_MS, 0, 50, 0, 0)},
     {WORK_STAYS, WORK_STAYS}},
    {"past it the oldest is announced",
     {W(1, 1, NOW_MS - 3 * HOUR_MS, 0, 50, 0, 0), W(2, 1, NOW_MS - 2 * HOUR_MS, 0, 50, 0, 0),
      W(3, 1, NOW_MS - HOUR_MS, 0, 50, 0, 0)},
     {WORK_GOES_LATER, WORK_STAYS, WORK_STAYS}},
    {"what was announced goes in its time, not before",
     {W(1, 1, NOW_MS - 30 * HOUR_MS, NOW_MS, 50, 0, 0), W(2, 1, NOW_MS - 29 * HOUR_MS, NOW_MS + 1, 50, 0, 0),
      W(3, 1, NOW_MS - HOUR_MS, 0, 99, 0, 0)},
     {WORK_MAKES_ROOM, WORK_GOES_LATER, WORK_STAYS}},
    {"announced, and the share holds them again",
     {W(1, 1, NOW_MS - 30 * HOUR_MS, NOW_MS, 50, 0, 0), W(2, 1, NOW_MS - HOUR_MS, 0, 50, 0, 0)},
     {WORK_STAYS, WORK_STAYS}},
    {"past twice the share nothing waits",
     {W(1, 1, NOW_MS - 4 * HOUR_MS, 0, 90, 0, 0), W(2, 1, NOW_MS - 3 * HOUR_MS, 0, 90, 0, 0),
      W(3, 1, NOW_MS - 2 * HOUR_MS, 0, 90, 0, 0)},
     {WORK_MAKES_ROOM, WORK_GOES_LATER, WORK_STAYS}},
    {"another's files push out nobody's",
     {W(1, 1, NOW_MS - 5 * HOUR_MS, 0, 100, 0, 0), W(2, 2, NOW_MS - 2 * HOUR_MS, 0, 150, 0, 0),
      W(3, 2, NOW_MS - HOUR_MS, 0, 10, 0, 0)},
     {WORK_STAYS, WORK_GOES_LATER, WORK_STAYS}},
    {"the newest stays, however large and old",
     {W(1, 1, NOW_MS - 90 * DAY_MS, 0, 10000, 0, 0), W(2, 2, NOW_MS - 90 * DAY_MS, NOW_MS - 1, 10000, 0, 0)},
     {WORK_STAYS, WORK_STAYS}},
    {"those of unfinished jobs count and stay",
     {W(1, 1, NOW_MS - 9 * DAY_MS, 0, 120, 1, 0), W(2, 1, NOW_MS - HOUR_MS, 0, 50, 0, 0),
      W(3, 1, NOW_MS, 0, 10, 0, 0)},
     {WORK_STAYS, WORK_GOES_LATER, WORK_STAYS}},
    {"seven days are enough, and then they don't count",
     {W(1, 1, NOW_MS - 7 * DAY_MS - 1, 0, 90, 0, 0), W(2, 1, NOW_MS - 7 * DAY_MS, 0, 50, 0, 0),
      W(3, 1, NOW_MS, 0, 50, 0, 0)},
     {WORK_TOO_OLD, WORK_STAYS, WORK_STAYS}},
    {"a removal that was cut off is ended", {W(1, 1, NOW_MS, 0, 1, 0, 1)}, {WORK_MAKES_ROOM}},
};

static void each_share_has_its_own_order(void **state)
{
    (void)state;
    static const uint64_t share[] = {100, 100, 100};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct work_files copy[5];
        struct work_list l = {copy, 0};
        memcpy(copy, rows[i].all, sizeof copy);
        while (l.count < 5 && copy[l.count].job)
            l.count++;
        work_files_judge(&l, share, NOW_MS);
        for (size_t k = 0; k < l.count; k++) {
            print_message("%s: job %d: %d\n", rows[i].name, (int)copy[k].job, (int)copy[k].fate);
            assert_int_equal(copy[k].fate, rows[i].fates[copy[k].job - 1]);
        }
    }
}

/* ---- on disk ---- */

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/berth-test-work-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return fs_remove_tree(AT_FDCWD, folder, NULL) ? 0 : -1;
}

static void put(const char *path, size_t n)
{
    static char zeros[1 << 20];
    char full[256];
    snprintf(full, sizeof full, "%s/%s", folder, path);
    char *slash = strrchr(full, '/');
    *slash = '\0';
    assert_true(fs_mkdirs(full, 0700, NULL));
    *slash = '/';
    assert_true(fs_write_atomic(AT_FDCWD, full, zeros, n, 0600, NULL));
}

static bool there(const char *path)
{
    char full[256];
    snprintf(full, sizeof full, "%s/%s", folder, path);
    return access(full, F_OK) == 0;
}

/* One sweep; all jobs are principal 1's. Returns how many have news. */
static size_t sweep(uint64_t share, int64_t now_ms)
{
    const uint64_t shares[] = {share, share};
    struct work_list l;
    size_t news = 0;
    work_files_find(folder, &l);
    for (size_t i = 0; i < l.count; i++)
        l.items[i].principal = 1;
    work_files_judge(&l, shares, now_ms);
    work_files_apply(folder, &l, now_ms);
    for (size_t i = 0; i < l.count; i++)
        news += l.items[i].news;
    work_files_finish(&l);
    return news;
}

static const char *told(uint64_t job, bool stored)
{
    static char text[WORK_TEXT_BYTES];
    work_files_tell(folder, job, stored, text);
    return text;
}

static void put_three(void)
{
    put("1/1.0/work/a", 1 << 20);
    put("1/2.1/work/a", 1 << 20);
    put("1/1.0/outputs/b", 1);
    put("2/1.0/work/a", 1 << 20);
    put("nojob/1.0/work/a", 1);
}

static void what_goes_is_announced_first_and_told_afterwards(void **state)
{
    (void)state;
    char day[WORK_DATE_BYTES], expected[WORK_TEXT_BYTES];
    put_three();
    int64_t now_ms = (int64_t)time(NULL) * 1000 + HOUR_MS, later_ms = now_ms + WORK_NOTICE_MS;
    assert_int_equal(sweep(5 << 20, now_ms), 0);
    assert_string_equal(told(1, true), "");
    assert_int_equal(sweep(2 << 20, now_ms), 1);
    snprintf(expected, sizeof expected, "go on %s to free space", work_files_date(later_ms, day));
    assert_string_equal(told(1, true), expected);
    assert_int_equal(sweep(2 << 20, later_ms - 1), 0);
    assert_true(there("1/1.0/work/a"));
    assert_int_equal(sweep(2 << 20, later_ms), 1);
    assert_false(there("1/1.0/work") || there("1/2.1/work"));
    assert_true(there("1/1.0/outputs/b") && there("2/1.0/work/a") && there("nojob/1.0/work/a"));
    snprintf(expected, sizeof expected, "were removed %s to free space", work_files_date(later_ms, day));
    assert_string_equal(told(1, false), expected);
    assert_int_equal(sweep(2 << 20, later_ms), 0);
}

static void an_announcement_is_taken_back(void **state)
{
    (void)state;
    put_three();
    int64_t now_ms = (int64_t)time(NULL) * 1000 + HOUR_MS;
    assert_int_equal(sweep(2 << 20, now_ms), 1);
    assert_int_equal(sweep(9 << 20, now_ms), 1);
    assert_string_equal(told(1, true), "");
    assert_int_equal(sweep(9 << 20, now_ms + 2 * WORK_NOTICE_MS), 0);
    assert_true(there("1/1.0/work/a"));
}

static void a_removal_that_was_cut_off_is_ended_and_no_link_is_followed(void **state)
{
    (void)state;
    char link[256];
    put_three();
    put("elsewhere/keep", 1);
    snprintf(link, sizeof link, "%s/1/1.0/work/out", folder);
    assert_int_equal(symlink("../../../elsewhere", link), 0);
    put("1/" WORK_REMOVED, 1);
    int64_t now_ms = (int64_t)time(NULL) * 1000;
    assert_int_equal(sweep(50 << 20, now_ms), 1);
    assert_false(there("1/1.0/work") || there("1/2.1/work"));
    assert_true(there("elsewhere/keep") && there("2/1.0/work/a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_share_has_its_own_order),
        cmocka_unit_test_setup_teardown(what_goes_is_announced_first_and_told_afterwards, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(an_announcement_is_taken_back, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_removal_that_was_cut_off_is_ended_and_no_link_is_followed,
                                        make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
