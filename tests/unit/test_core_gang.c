/* Jobs of several tasks: all at once or none, and one end for all. */
#include "core_fixture.h"

static struct core_submit gang(uint64_t id, uint32_t instances, uint32_t cores)
{
    struct core_submit s = wanting(id, cores, 0, 0);
    s.instance_count = instances;
    return s;
}

static void switched_node(struct fixture *f, uint32_t id, uint32_t cores, uint32_t fabric)
{
    struct core_inventory *inv = inventory_of((struct shape){cores, 1, 0, 1, GIB});
    inv->fabric = fabric;
    node_hello(f, id, inv);
}

static uint32_t starts(const struct fixture *f, uint64_t job, uint32_t nodes[16])
{
    uint32_t count = 0;
    const struct core_decision *d;
    for (uint32_t n = 0; (d = decided(f, CORE_DECISION_START_TASK, n)); n++) {
        if (d->as.start.task.job.v == job) {
            assert_int_equal(d->as.start.task.rank, count);
            nodes[count++] = d->as.start.node.v;
        }
    }
    return count;
}

static void rank_event(struct fixture *f, enum core_event_kind kind, uint64_t job, uint32_t attempt,
                       uint32_t rank, uint32_t node, enum end_kind end)
{
    struct core_event event = about_task(kind, job, attempt, node);
    event.as.task.task.rank = rank;
    if (kind == CORE_EVENT_TASK_STATE) {
        event.as.task.as.state = TASK_RUNNING;
    } else {
        event.as.task.as.exit.kind = end;
        event.as.task.as.exit.code = end == END_NONE ? 0 : 3;
        event.as.task.as.exit.ran = true;
    }
    fed(f, &event);
}

static void all_tasks_start_at_once_each_on_a_node_of_its_own(void **state)
{
    struct fixture *f = *state;
    uint32_t nodes[16];
    for (uint32_t n = 1; n <= 3; n++)
        node_up(f, n, 2, 0, GIB);
    submit(f, gang(1, 3, 1));
    assert_int_equal(starts(f, 1, nodes), 3);
    assert_true(nodes[0] != nodes[1] && nodes[1] != nodes[2] && nodes[0] != nodes[2]);
    assert_int_equal(job_view(f, 1).state, JOB_PREPARING);
}

static void a_gang_that_lacks_one_node_holds_none(void **state)
{
    struct fixture *f = *state;
    uint32_t nodes[16];
    for (uint32_t n = 1; n <= 3; n++)
        node_up(f, n, 2, 0, GIB);
    submit(f, wanting(1, 2, 0, 0));
    submit(f, gang(2, 3, 2));
    assert_int_equal(starts(f, 2, nodes), 0);
    struct core_counts counts;
    core_count(f->core, &counts);
    assert_int_equal(counts.tasks, 1);
    struct core_task_view view;
    assert_true(core_task_get(f->core, (struct task_id){{1}, 1, 0}, &view));
    rank_event(f, CORE_EVENT_TASK_OVER, 1, 1, 0, view.node.v, END_NONE);
    assert_int_equal(starts(f, 2, nodes), 3);
}

static void two_gangs_that_want_the_same_nodes_never_hold_half_each(void **state)
{
    struct fixture *f = *state;
    uint32_t nodes[16];
    for (uint32_t n = 1; n <= 4; n++)
        node_up(f, n, 1, 0, GIB);
    submit(f, gang(1, 3, 1));
    submit(f, gang(2, 3, 1));
    assert_int_equal(job_view(f, 1).state, JOB_PREPARING);
    assert_int_equal(job_view(f, 2).state, JOB_QUEUED);
    for (uint32_t rank = 0; rank < 3; rank++) {
        struct core_task_view view;
        assert_true(core_task_get(f->core, (struct task_id){{1}, 1, rank}, &view));
        rank_event(f, CORE_EVENT_TASK_OVER, 1, 1, rank, view.node.v, END_NONE);
        assert_int_equal(starts(f, 2, nodes), rank < 1 ? 0 : rank == 1 ? 3 : 0);
    }
}

static void one_switch_is_preferred_to_two(void **state)
{
    struct fixture *f = *state;
    uint32_t nodes[16];
    static const uint32_t fabrics[] = {1, 2, 1, 2, 3, 2};
    for (uint32_t n = 1; n <= 6; n++)
        switched_node(f, n, 2, fabrics[n - 1]);
    submit(f, gang(1, 2, 1)); /* the smallest switch that holds it */
    assert_int_equal(starts(f, 1, nodes), 2);
    assert_true(nodes[0] + nodes[1] == 4);
    submit(f, gang(2, 3, 2));
    assert_int_equal(starts(f, 2, nodes), 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fabrics[nodes[i] - 1], 2);
}

static void more_nodes_than_there_are_is_refused_with_their_number(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 0, GIB);
    node_up(f, 2, 1, 0, GIB);
    submit(f, gang(1, 2, 4));
    const struct core_decision *d = decided(f, CORE_DECISION_JOB_REFUSED, 0);
    assert_non_null(d);
    assert_int_equal(d->as.refused.refusal, CORE_REFUSED_FEW_NODES);
    assert_int_equal(d->as.refused.wanted, 2);
    assert_int_equal(d->as.refused.best, 1);
    submit(f, gang(2, 2, 1));
    assert_int_equal(job_view(f, 2).state, JOB_PREPARING);
}

static void a_failing_rank_stops_its_peers_and_names_the_end(void **state)
{
    struct fixture *f = *state;
    for (uint32_t n = 1; n <= 3; n++)
        node_up(f, n, 1, 0, GIB);
    submit(f, gang(1, 3, 1));
    uint32_t node[3];
    for (uint32_t rank = 0; rank < 3; rank++) {
        struct core_task_view view;
        assert_true(core_task_get(f->core, (struct task_id){{1}, 1, rank}, &view));
        node[rank] = view.node.v;
        rank_event(f, CORE_EVENT_TASK_STATE, 1, 1, rank, node[rank], END_NONE);
    }
    assert_int_equal(job_view(f, 1).state, JOB_RUNNING);
    rank_event(f, CORE_EVENT_TASK_OVER, 1, 1, 1, node[1], END_EXIT);
    for (uint32_t n = 0; n < 2; n++) {
        const struct core_decision *d = decided(f, CORE_DECISION_STOP_TASK, n);
        assert_non_null(d);
        assert_int_equal(d->as.stop.reason, CORE_STOP_PEER);
    }
    rank_event(f, CORE_EVENT_TASK_OVER, 1, 1, 0, node[0], END_CANCELED);
    assert_int_equal(job_view(f, 1).state, JOB_RUNNING);
    rank_event(f, CORE_EVENT_TASK_OVER, 1, 1, 2, node[2], END_CANCELED);
    assert_int_equal(last_state(f, 1), JOB_FAILED);
    const struct core_decision *d;
    struct core_end last = {0};
    for (uint32_t n = 0; (d = decided(f, CORE_DECISION_JOB_STATE, n)); n++)
        last = d->as.job.end;
    assert_int_equal(last.kind, END_EXIT);
    assert_int_equal(last.code, 3);
}

static void a_lost_node_requeues_the_whole_gang_once_its_peers_have_ended(void **state)
{
    struct fixture *f = *state;
    for (uint32_t n = 1; n <= 3; n++)
        node_up(f, n, 1, 0, GIB);
    struct core_submit s = gang(1, 2, 1);
    s.on_node_loss = CORE_LOSS_REQUEUE;
    submit(f, s);
    struct core_task_view view;
    assert_true(core_task_get(f->core, (struct task_id){{1}, 1, 0}, &view));
    uint32_t lost = view.node.v;
    assert_true(core_task_get(f->core, (struct task_id){{1}, 1, 1}, &view));
    uint32_t peer = view.node.v;
    rank_event(f, CORE_EVENT_TASK_STATE, 1, 1, 0, lost, END_NONE);
    rank_event(f, CORE_EVENT_TASK_STATE, 1, 1, 1, peer, END_NONE);
    node_event(f, CORE_EVENT_NODE_LOST, lost);
    const struct core_decision *stop = decided(f, CORE_DECISION_STOP_TASK, 0);
    assert_non_null(stop);
    assert_int_equal(stop->as.stop.node.v, peer);
    assert_int_not_equal(job_view(f, 1).state, JOB_QUEUED); /* not while one of them lives */
    rank_event(f, CORE_EVENT_TASK_OVER, 1, 1, 1, peer, END_CANCELED);
    assert_int_equal(job_view(f, 1).attempt, 2);
    assert_int_equal(job_view(f, 1).state, JOB_PREPARING); /* on the two that are left */
}

static void instances_at_the_limit_are_fine_and_one_past_it_is_not(void **state)
{
    struct fixture *f = *state;
    struct core_event event = {.kind = CORE_EVENT_JOB_SUBMIT};
    (void)f;
    event.as.submit = gang(1, CORE_INSTANCES_MAX, 1);
    assert_null(core_event_check(&event));
    event.as.submit.instance_count++;
    assert_non_null(core_event_check(&event));
    event.as.submit.instance_count = 0;
    assert_non_null(core_event_check(&event));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_tasks_start_at_once_each_on_a_node_of_its_own),
        TEST(a_gang_that_lacks_one_node_holds_none),
        TEST(two_gangs_that_want_the_same_nodes_never_hold_half_each),
        TEST(one_switch_is_preferred_to_two),
        TEST(more_nodes_than_there_are_is_refused_with_their_number),
        TEST(a_failing_rank_stops_its_peers_and_names_the_end),
        TEST(a_lost_node_requeues_the_whole_gang_once_its_peers_have_ended),
        TEST(instances_at_the_limit_are_fine_and_one_past_it_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
