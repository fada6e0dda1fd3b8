/* executor: the event queue over restarts, kills in the middle of a line, and acknowledgements. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "executor/events.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int set_up(void **state)
{
    char *folder = xstrdup("/tmp/berth-events-XXXXXX");
    assert_non_null(mkdtemp(folder));
    *state = folder;
    return 0;
}

static int tear_down(void **state)
{
    fs_remove_tree(AT_FDCWD, *state, NULL);
    free(*state);
    return 0;
}

static void begin(struct events *e, const char *folder)
{
    struct error err = {0};
    if (!events_init(e, folder, &err))
        fail_msg("%s", err.message);
}

/* The batch as text; the caller frees it. */
static char *batch(struct events *e, size_t max, uint64_t *last)
{
    struct buf out = {0};
    events_batch(e, max, &out, last);
    return buf_take(&out);
}

static cJSON *state_field(const char *state)
{
    cJSON *fields = cJSON_CreateObject();
    cJSON_AddStringToObject(fields, "state", state);
    return fields;
}

static void events_keep_their_numbers_over_a_restart(void **state)
{
    struct events e;
    uint64_t last;
    begin(&e, *state);
    assert_true(events_add(&e, "1.1.0", "state", EVENT_PREPARING, state_field("preparing")));
    assert_true(events_add(&e, "1.1.0", "exit", EVENT_EXIT, NULL));
    assert_true(events_add(&e, NULL, "note", 0, NULL));
    _cleanup_free_ char *before = batch(&e, 100, &last);
    assert_int_equal(last, 3);
    events_finish(&e);
    begin(&e, *state);
    _cleanup_free_ char *after = batch(&e, 100, &last);
    assert_string_equal(before, after);
    assert_int_equal(e.next_seq, 4);
    events_finish(&e);
}

static void what_was_said_once_is_not_said_again(void **state)
{
    struct events e;
    begin(&e, *state);
    assert_true(events_add(&e, "1.1.0", "exit", EVENT_EXIT, NULL));
    assert_false(events_add(&e, "1.1.0", "exit", EVENT_EXIT, cJSON_CreateObject()));
    assert_true(events_add(&e, "1.2.0", "exit", EVENT_EXIT, NULL));
    events_finish(&e);
    begin(&e, *state);
    assert_false(events_add(&e, "1.1.0", "exit", EVENT_EXIT, NULL));
    events_acked(&e, 2);
    assert_false(events_add(&e, "1.1.0", "exit", EVENT_EXIT, NULL));
    events_finish(&e);
    begin(&e, *state); /* acknowledged, and still known */
    events_acked(&e, 2);
    assert_false(events_add(&e, "1.1.0", "exit", EVENT_EXIT, NULL));
    assert_int_equal(e.pending_count, 0);
    events_forget(&e, "1.1.0");
    assert_int_equal(events_marks(&e, "1.1.0"), 0);
    events_finish(&e);
}

static void numbers_go_on_after_what_the_scheduler_has(void **state)
{
    struct events e;
    begin(&e, *state);
    events_acked(&e, 41); /* the file was lost with a power cut */
    assert_true(events_add(&e, NULL, "note", 0, NULL));
    uint64_t last;
    _cleanup_free_ char *text = batch(&e, 1, &last);
    assert_int_equal(last, 42);
    events_finish(&e);
}

static void a_line_torn_by_a_kill_is_left_out(void **state)
{
    struct events e;
    uint64_t last;
    char path[128];
    begin(&e, *state);
    assert_true(events_add(&e, "1.1.0", "exit", EVENT_EXIT, NULL));
    events_finish(&e);
    snprintf(path, sizeof path, "%s/events", (char *)*state);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "{\"seq\":2,\"type\":\"rel", 20), 20);
    close(fd);
    begin(&e, *state);
    _cleanup_free_ char *text = batch(&e, 100, &last);
    assert_int_equal(last, 1);
    assert_true(events_add(&e, "1.1.0", "released", EVENT_RELEASED, NULL));
    events_finish(&e);
    begin(&e, *state);
    assert_int_equal(e.pending_count, 2);
    events_finish(&e);
}

static void batches_are_cut_and_refused_events_dropped(void **state)
{
    struct events e;
    uint64_t last;
    begin(&e, *state);
    for (int i = 0; i < 10; i++)
        events_add(&e, NULL, "note", 0, NULL);
    _cleanup_free_ char *four = batch(&e, 4, &last);
    assert_int_equal(last, 4);
    events_drop(&e, 1);
    events_acked(&e, 3);
    _cleanup_free_ char *one = batch(&e, 1, &last);
    assert_int_equal(last, 4);
    events_acked(&e, 10);
    _cleanup_free_ char *none = batch(&e, 4, &last);
    assert_string_equal(none, "[]");
    assert_int_equal(last, 0);
    events_finish(&e);
}

static void notes_do_not_grow_without_end_while_nobody_listens(void **state)
{
    struct events e;
    begin(&e, *state);
    events_add(&e, "1.1.0", "exit", EVENT_EXIT, NULL);
    for (int i = 0; i < EVENTS_NOTES_MAX + 50; i++)
        events_add(&e, "1.1.0", "note", 0, NULL);
    assert_int_equal(e.pending_count, EVENTS_NOTES_MAX + 1);
    uint64_t last;
    _cleanup_free_ char *first = batch(&e, 1, &last);
    assert_int_equal(last, 1);
    events_finish(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(events_keep_their_numbers_over_a_restart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_said_once_is_not_said_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_go_on_after_what_the_scheduler_has, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_line_torn_by_a_kill_is_left_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(batches_are_cut_and_refused_events_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(notes_do_not_grow_without_end_while_nobody_listens, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
