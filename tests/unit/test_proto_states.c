/* The table of states, said once more as DESIGN section 1 says it, and the names that travel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/ids.h"
#include "proto/states.h"

static const char *const legal[JOB_STATE_COUNT] = {
    [JOB_NOT_STARTED] = "Queued Canceled",
    [JOB_QUEUED] = "Preparing Canceled",
    [JOB_PREPARING] = "Starting NotResponding Failed Queued CancelRequested",
    [JOB_STARTING] = "Running NotResponding Failed Queued CancelRequested",
    [JOB_RUNNING] = "Paused Finalizing NotResponding Queued CancelRequested",
    [JOB_PAUSED] = "Running NotResponding Queued CancelRequested",
    [JOB_FINALIZING] = "Completed Failed NotResponding CancelRequested",
    [JOB_NOT_RESPONDING] = "Preparing Starting Running Paused Finalizing Failed Queued CancelRequested",
    [JOB_CANCEL_REQUESTED] = "Canceled Completed Failed",
    [JOB_COMPLETED] = "",
    [JOB_FAILED] = "",
    [JOB_CANCELED] = "",
};

static bool has_word(const char *words, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = words; (at = strstr(at, word)); at += length) {
        if ((at == words || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    }
    return false;
}

static void a_job_changes_state_only_as_the_design_says(void **state)
{
    (void)state;
    for (int from = 0; from < JOB_STATE_COUNT; from++) {
        for (int to = 0; to < JOB_STATE_COUNT; to++)
            assert_int_equal(job_state_can((enum job_state)from, (enum job_state)to),
                             has_word(legal[from], job_state_name((enum job_state)to)));
    }
    assert_false(job_state_can(JOB_STATE_COUNT, JOB_QUEUED));
    assert_false(job_state_can(JOB_QUEUED, (enum job_state)99));
}

static void nothing_follows_a_final_state(void **state)
{
    (void)state;
    for (int s = 0; s < JOB_STATE_COUNT; s++)
        assert_int_equal(job_state_is_final((enum job_state)s), legal[s][0] == '\0');
}

static void names_go_there_and_back(void **state)
{
    (void)state;
    for (int s = 0; s < JOB_STATE_COUNT; s++) {
        enum job_state back = JOB_STATE_COUNT;
        assert_true(job_state_parse(job_state_name((enum job_state)s), &back));
        assert_int_equal(back, s);
    }
    for (int s = 0; s < TASK_STATE_COUNT; s++) {
        enum task_state back = TASK_STATE_COUNT;
        assert_true(task_state_parse(task_state_name((enum task_state)s), &back));
        assert_int_equal(back, s);
    }
    for (int s = 0; s < END_KIND_COUNT; s++) {
        enum end_kind back = END_KIND_COUNT;
        assert_true(end_kind_parse(end_kind_name((enum end_kind)s), &back));
        assert_int_equal(back, s);
    }
    for (int s = 0; s < PRIORITY_CLASS_COUNT; s++) {
        enum priority_class back = PRIORITY_CLASS_COUNT;
        assert_true(priority_class_parse(priority_class_name((enum priority_class)s), &back));
        assert_int_equal(back, s);
    }
    enum job_state none;
    assert_false(job_state_parse("running", &none));
    assert_string_equal(job_state_name(JOB_STATE_COUNT), "?");
}

static void a_task_s_id_is_read_back_and_nothing_else_is(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "12",
                                      "12.1",
                                      "12.1.",
                                      "0.1.0",
                                      "12.0.0",
                                      "12.1.0 ",
                                      "12.1.x",
                                      "012.1.0",
                                      "-1.1.0",
                                      "12.1.0.0",
                                      " 12.1.0",
                                      "+1.1.0",
                                      "12..0",
                                      ".1.0",
                                      "12.01.0",
                                      "1e3.1.0",
                                      "12.1.4294967296",
                                      "9007199254740992.1.0"};
    char text[TASK_ID_TEXT_MAX];
    struct task_id id = {{JOB_ID_MAX}, UINT32_MAX, UINT32_MAX}, back = {{0}, 0, 0};
    assert_string_equal(task_id_format(id, text), "9007199254740991.4294967295.4294967295");
    assert_true(strlen(text) < TASK_ID_TEXT_MAX);
    assert_true(task_id_parse(text, &back));
    assert_true(task_id_equal(id, back));
    assert_true(task_id_parse("12.1.0", &back));
    assert_true(back.job.v == 12 && back.attempt == 1 && back.rank == 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(task_id_parse(bad[i], &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_changes_state_only_as_the_design_says),
        cmocka_unit_test(nothing_follows_a_final_state),
        cmocka_unit_test(names_go_there_and_back),
        cmocka_unit_test(a_task_s_id_is_read_back_and_nothing_else_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
