/* executor/failure: the table of whose failure it is that a task could not be started, walked row by row. */
#include "executor/failure.h"
#include "executor/user_mounts.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static struct failure_answer judge(enum failure probe, enum failure call, bool own, int *in_row)
{
    return failure_judge(&(struct failure_seen){.probe = probe, .call = call, .own = own}, in_row);
}

/* How many in a row drain the node; 0: none do. */
static int drains_after(enum failure probe, enum failure call, bool own, bool *node)
{
    int in_row = 0;
    for (int n = 1; n <= FAILURE_ROW; n++) {
        struct failure_answer answer = judge(probe, call, own, &in_row);
        *node = answer.node;
        if (answer.drains)
            return n;
    }
    return 0;
}

static void what_the_probe_meets_is_the_nodes(void **state)
{
    (void)state;
    static const struct {
        enum failure failure;
        int drains_after;
    } table[] = {
        {FAILURE_DIRECTORY, 1},      {FAILURE_LOGS, 1},
        {FAILURE_BLOBS, 1},          {FAILURE_DEVICE, 1},
        {FAILURE_START, 1},          {FAILURE_RUNTIME, 0},
        {FAILURE_DISK, 1},           {FAILURE_LIMITS, FAILURE_ROW},
        {FAILURE_FULL, FAILURE_ROW}, {FAILURE_TIMEOUT, FAILURE_ROW},
    };
    bool seen[FAILURE_COUNT] = {[FAILURE_NONE] = true}, node;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        assert_int_equal(drains_after(table[i].failure, FAILURE_NONE, false, &node), table[i].drains_after);
        assert_true(node);
        /* whatever the job's part in it: a trivial task failed too */
        assert_int_equal(drains_after(table[i].failure, FAILURE_FULL, true, &node), table[i].drains_after);
        assert_true(node);
        seen[table[i].failure] = true;
    }
    for (enum failure f = 0; f < FAILURE_COUNT; f++) {
        assert_true(seen[f]);
        assert_non_null(failure_row(f)->name);
        assert_true(strlen(failure_row(f)->words) > 0);
    }
}

static void what_only_the_task_met_is_the_nodes_by_its_call(void **state)
{
    (void)state;
    bool node;
    for (enum failure call = 0; call < FAILURE_COUNT; call++) {
        bool counts = call == FAILURE_DIRECTORY || call == FAILURE_LOGS || call == FAILURE_DISK ||
                      call == FAILURE_LIMITS;
        bool full = call == FAILURE_FULL;
        assert_int_equal(drains_after(FAILURE_NONE, call, false, &node), counts ? FAILURE_ROW : 0);
        assert_int_equal(node, counts || full);
        assert_int_equal(drains_after(FAILURE_NONE, call, true, &node), 0); /* the job's own doing */
        assert_false(node);
    }
}

static void what_may_heal_is_looked_at_again_before_anybody_is_told(void **state)
{
    (void)state;
    for (enum failure f = 0; f < FAILURE_COUNT; f++) {
        int in_row = 0;
        assert_int_equal(judge(f, FAILURE_NONE, false, &in_row).again,
                         failure_row(f)->effect == FAILURE_DRAINS_IN_A_ROW);
        in_row = FAILURE_ROW - 1;
        assert_false(judge(f, FAILURE_NONE, false, &in_row).again);
    }
}

static void calls_are_told_apart_by_what_they_say(void **state)
{
    (void)state;
    static const struct {
        int sys_errno;
        enum failure failure;
    } table[] = {{EIO, FAILURE_DISK},       {EROFS, FAILURE_DISK},    {ESTALE, FAILURE_DISK},
                 {ENODEV, FAILURE_DISK},    {ENXIO, FAILURE_DISK},    {EUCLEAN, FAILURE_DISK},
                 {ETIMEDOUT, FAILURE_DISK}, {EMFILE, FAILURE_LIMITS}, {ENFILE, FAILURE_LIMITS},
                 {EAGAIN, FAILURE_LIMITS},  {ENOMEM, FAILURE_LIMITS}, {ENOSPC, FAILURE_FULL},
                 {EDQUOT, FAILURE_FULL},    {ENOENT, FAILURE_NONE},   {EACCES, FAILURE_NONE},
                 {EPERM, FAILURE_NONE},     {ENOTDIR, FAILURE_NONE},  {ELOOP, FAILURE_NONE},
                 {0, FAILURE_NONE}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        assert_int_equal(failure_of_errno(table[i].sys_errno), table[i].failure);
}

static void a_stage_that_is_full_slow_or_out_of_something_may_heal(void **state)
{
    (void)state;
    struct error err = {0};
    error_errno(&err, ENOSPC, "x");
    assert_int_equal(failure_of_stage(FAILURE_DIRECTORY, &err), FAILURE_FULL);
    error_errno(&err, ENOMEM, "x");
    assert_int_equal(failure_of_stage(FAILURE_START, &err), FAILURE_LIMITS);
    error_set(&err, ERROR_TIMEOUT, "x");
    assert_int_equal(failure_of_stage(FAILURE_START, &err), FAILURE_TIMEOUT);
    error_errno(&err, EPERM, "x");
    assert_int_equal(failure_of_stage(FAILURE_LOGS, &err), FAILURE_LOGS);
    error_errno(&err, EIO, "x");
    assert_int_equal(failure_of_stage(FAILURE_DIRECTORY, &err), FAILURE_DIRECTORY);
}

static void one_run_of_the_probe_counts_once_however_many_tasks_it_answers(void **state)
{
    (void)state;
    int in_row = 0;
    struct failure_seen slow = {.probe = FAILURE_TIMEOUT};
    assert_false(failure_judge(&slow, &in_row).drains);
    slow.counted = true;
    for (int i = 0; i < 10 * FAILURE_ROW; i++) {
        struct failure_answer answer = failure_judge(&slow, &in_row);
        assert_true(answer.node && !answer.drains);
    }
    assert_int_equal(in_row, 1);
}

static void a_probe_that_passes_ends_the_row(void **state)
{
    (void)state;
    int in_row = 0;
    judge(FAILURE_TIMEOUT, FAILURE_NONE, false, &in_row);
    judge(FAILURE_FULL, FAILURE_NONE, false, &in_row);
    assert_int_equal(in_row, 2);
    assert_false(judge(FAILURE_NONE, FAILURE_NONE, false, &in_row).node);
    assert_int_equal(in_row, 0);
}

static void only_ends_before_the_command_may_be_the_nodes(void **state)
{
    (void)state;
    static const char *const may[] = {"start_error", "disk_full", "image_error"},
                             *const never[] = {"exit",      "signal",    "oom",       "time_limit",
                                               "canceled",  "preempted", "shim_lost", "node_lost",
                                               "log_limit", ""};
    for (size_t i = 0; i < sizeof may / sizeof *may; i++)
        assert_true(failure_may_be_the_nodes(may[i]));
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        assert_false(failure_may_be_the_nodes(never[i]));
}

static void a_file_system_of_the_users_own_is_known_by_its_mount(void **state)
{
    (void)state;
    assert_true(user_mounts_line(
        "36 35 0:49 / /home/u/m rw,nosuid,nodev - fuse.sshfs h: rw,user_id=1000,group_id=1000"));
    assert_true(user_mounts_line("36 35 7:0 / /run/media/u/disk rw - ext4 /dev/loop0 rw"));
    assert_true(user_mounts_line("36 35 0:49 / /m rw - fuse x rw"));
    assert_false(user_mounts_line("36 35 0:49 / /m rw - fuse.glusterfs x rw,user_id=0,group_id=0"));
    assert_false(user_mounts_line("36 35 0:30 / /sys/fs/fuse/connections rw - fusectl fusectl rw"));
    assert_false(user_mounts_line("36 35 8:1 / / rw - ext4 /dev/sda1 rw"));
    assert_false(user_mounts_line(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_probe_meets_is_the_nodes),
        cmocka_unit_test(what_only_the_task_met_is_the_nodes_by_its_call),
        cmocka_unit_test(what_may_heal_is_looked_at_again_before_anybody_is_told),
        cmocka_unit_test(calls_are_told_apart_by_what_they_say),
        cmocka_unit_test(a_stage_that_is_full_slow_or_out_of_something_may_heal),
        cmocka_unit_test(one_run_of_the_probe_counts_once_however_many_tasks_it_answers),
        cmocka_unit_test(a_probe_that_passes_ends_the_row),
        cmocka_unit_test(only_ends_before_the_command_may_be_the_nodes),
        cmocka_unit_test(a_file_system_of_the_users_own_is_known_by_its_mount),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
