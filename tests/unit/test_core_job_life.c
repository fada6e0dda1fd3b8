/* What a job holds and what becomes of it while it runs: who holds licences, when a silent node is given up.
 */
#include "tests/unit/core_fixture.h"

static void licences_total(struct fixture *f, uint32_t id, uint32_t total)
{
    struct core_event event = {.kind = CORE_EVENT_LICENCES, .as.licences = {id, total}};
    fed(f, &event);
}

static void holders_of_a_licence_are_named_once_however_many_tasks_they_have(void **state)
{
    struct fixture *f = *state;
    struct job_id holders[4] = {{0}};
    licences_total(f, 3, 5);
    for (uint32_t node = 1; node <= 3; node++)
        node_up(f, node, 4, 0, GIB);
    assert_int_equal(core_licence_holders(f->core, 3, holders, 2), 0);
    struct core_submit gang = wanting(1, 1, 0, 0);
    gang.instance_count = 3;
    gang.licences = (struct resource_licences){{3}, {2}};
    submit(f, gang);
    struct core_submit other = wanting(2, 1, 0, 0);
    other.licences = (struct resource_licences){{3}, {1}};
    submit(f, other);
    uint32_t node = started(f, 2)->as.start.node.v;
    submit(f, wanting(3, 1, 0, 0));
    other = wanting(4, 1, 0, 0);
    other.licences = (struct resource_licences){{3}, {2}};
    submit(f, other);
    other = wanting(5, 1, 0, 0);
    other.licences = (struct resource_licences){{3}, {1}};
    submit(f, other);
    assert_int_equal(core_licence_holders(f->core, 3, holders, 2), 3); /* more than fit are counted */
    assert_int_equal(holders[2].v, 0);
    assert_int_equal(core_licence_holders(f->core, 3, holders, 4), 3);
    assert_int_equal(holders[0].v + holders[1].v + holders[2].v, 1 + 2 + 4);
    lives(f, 2, 1, node);
    assert_non_null(started(f, 5)); /* it has what the second one held */
    assert_int_equal(core_licence_holders(f->core, 3, holders, 2), 3);
}

static void a_fence_begins_afresh_when_its_node_is_said_to_be_down_again(void **state)
{
    struct fixture *f = *state;
    struct core_task_view view;
    struct core_event tick = {.kind = CORE_EVENT_TICK};
    node_up(f, 1, 4, 0, GIB);
    struct core_submit s = wanting(1, 1, 0, 0);
    s.on_node_loss = CORE_LOSS_REQUEUE;
    s.fence_after_ms = 60000;
    submit(f, s);
    says(f, 1, 1, 1, TASK_RUNNING);
    node_event(f, CORE_EVENT_NODE_DOWN, 1);
    f->now_ms += 3600000; /* the clock jumped, or nobody was there to look */
    node_event(f, CORE_EVENT_NODE_DOWN, 1);
    assert_null(decided(f, CORE_DECISION_ABANDON_TASK, 0));
    uint64_t due = f->now_ms + 60000 + 30000 + CORE_FENCE_MARGIN_MS;
    assert_int_equal(core_timer_at(f->core), due);
    assert_true(core_task_get(f->core, (struct task_id){{1}, 1, 0}, &view));
    assert_int_equal(view.given_up_ms, due);
    fed(f, &tick);
    assert_null(decided(f, CORE_DECISION_ABANDON_TASK, 0));
    f->now_ms = due;
    fed(f, &tick);
    assert_non_null(decided(f, CORE_DECISION_ABANDON_TASK, 0));
    assert_int_equal(last_state(f, 1), JOB_QUEUED);
    node_event(f, CORE_EVENT_NODE_DOWN, 1); /* what was given up stays so */
    assert_int_equal(core_timer_at(f->core), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_fence_begins_afresh_when_its_node_is_said_to_be_down_again),
        TEST(holders_of_a_licence_are_named_once_however_many_tasks_they_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
