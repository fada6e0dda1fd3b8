/* Node labels that come and go while jobs wait for them. */
#include "core_fixture.h"

static void hello(struct fixture *f, uint32_t node, uint32_t cores, uint64_t labels)
{
    struct core_inventory *inv = inventory_of((struct shape){cores, 1, 0, 1, GIB});
    inv->labels = labels;
    node_hello(f, node, inv);
}

static struct core_submit labelled(uint64_t id, uint32_t cores, uint64_t labels)
{
    struct core_submit s = wanting(id, cores, 0, 0);
    s.request.labels = labels;
    s.time_limit_ms = 100000;
    return s;
}

static void a_job_starts_when_its_label_is_given_to_a_node(void **state)
{
    struct fixture *f = *state;
    hello(f, 1, 4, 0);
    hello(f, 2, 8, 1);
    submit(f, labelled(1, 8, 1));
    submit(f, labelled(2, 4, 1));
    assert_int_equal(job_view(f, 2).reason, CORE_REASON_WAITING);
    hello(f, 1, 4, 3);
    assert_int_equal(started(f, 2)->as.start.node.v, 1);
}

static void what_runs_stays_where_it_is_when_the_label_goes(void **state)
{
    struct fixture *f = *state;
    hello(f, 1, 4, 1);
    submit(f, labelled(1, 2, 1));
    hello(f, 1, 4, 0);
    assert_null(decided(f, CORE_DECISION_STOP_TASK, 0));
    submit(f, labelled(2, 2, 0));
    assert_non_null(started(f, 2));
    lives(f, 1, 1, 1);
    assert_false(job_known(f, 1));
}

static void a_promise_on_a_node_that_loses_the_label_is_taken_back(void **state)
{
    struct fixture *f = *state;
    set_policy(f, CORE_POLICY_EASY);
    hello(f, 1, 4, 1);
    submit(f, labelled(1, 4, 0));
    submit(f, labelled(2, 4, 1));
    assert_true(job_view(f, 2).promised_ms != 0);
    hello(f, 1, 4, 2);
    const struct core_decision *d = decided(f, CORE_DECISION_VOID, 0);
    assert_non_null(d);
    assert_int_equal(d->as.plan.why, CORE_VOID_NODE);
    assert_int_equal(job_view(f, 2).promised_ms, 0);
    assert_int_equal(job_view(f, 2).reason, CORE_REASON_FITS_NO_NODE);
    hello(f, 1, 4, 1);
    assert_true(job_view(f, 2).promised_ms != 0);
}

/* An ability is a label that a node may lose and get back: as long as it has not got it, it is away to those
 * who need it, and to nobody else. */
static void a_job_waits_for_an_ability_and_holds_nobody_up(void **state)
{
    struct fixture *f = *state;
    hello(f, 1, 4, 0);
    submit(f, labelled(1, 4, RESOURCE_CAN_OCI));
    assert_int_equal(job_view(f, 1).state, JOB_QUEUED);
    struct core_why_nodes why;
    assert_true(core_why_nodes(f->core, (struct job_id){1}, &why));
    assert_int_equal(why.away_count, 1);
    assert_int_equal(why.labels_missing, 0);
    submit(f, labelled(2, 4, 0));
    assert_non_null(started(f, 2));
    lives(f, 2, 1, 1);
    hello(f, 1, 4, RESOURCE_CAN_OCI | RESOURCE_CAN_CRUN);
    assert_int_equal(started(f, 1)->as.start.node.v, 1);
    submit(f, labelled(3, 4, RESOURCE_CAN_OCI)); /* the node is busy, not away */
    assert_true(core_why_nodes(f->core, (struct job_id){3}, &why));
    assert_int_equal(why.away_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_job_starts_when_its_label_is_given_to_a_node),
        TEST(what_runs_stays_where_it_is_when_the_label_goes),
        TEST(a_promise_on_a_node_that_loses_the_label_is_taken_back),
        TEST(a_job_waits_for_an_ability_and_holds_nobody_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
