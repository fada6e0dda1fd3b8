/* What the core says about a job that waits. */
#include "core_fixture.h"

static struct core_why why_of(struct fixture *f, uint64_t id)
{
    struct core_why why;
    assert_true(core_why(f->core, (struct job_id){id}, &why));
    return why;
}

static void the_missing_resource_its_amounts_and_holders_are_named(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 8, 2, 16 * GIB);
    submit(f, wanting(1, 1, 1, GIB));
    submit(f, wanting(2, 1, 0, GIB));
    submit(f, wanting(3, 1, 2, GIB));
    struct core_why why = why_of(f, 3);
    assert_int_equal(why.state, JOB_QUEUED);
    assert_int_equal(why.reason, CORE_REASON_WAITING);
    assert_false(why.fits_now);
    assert_int_equal(why.best.v, 1);
    assert_int_equal(why.ahead_count, 0);
    assert_int_equal(why.blocker_count, 1);
    assert_int_equal(why.blockers[0].resource, RESOURCE_GPUS);
    assert_int_equal(why.blockers[0].wanted, 2000);
    assert_int_equal(why.blockers[0].free, 1000);
    assert_int_equal(why.blockers[0].total, 2000);
    assert_int_equal(why.blockers[0].holder_count, 1);
    assert_int_equal(why.blockers[0].holders[0].v, 1);
}

static void the_nearest_node_is_the_one_that_misses_least(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 8, 0, 16 * GIB);
    node_up(f, 2, 8, 0, 16 * GIB);
    node_up(f, 3, 2, 0, 16 * GIB); /* could never hold it */
    submit(f, wanting(1, 8, 0, 16 * GIB));
    submit(f, wanting(2, 5, 0, GIB));
    submit(f, wanting(3, 4, 0, GIB));
    struct core_why why = why_of(f, 3);
    assert_int_equal(why.best.v, 2);
    assert_int_equal(why.blocker_count, 1);
    assert_int_equal(why.blockers[0].resource, RESOURCE_CORES);
    assert_int_equal(why.blockers[0].holders[0].v, 2);
}

static void those_ahead_are_counted_and_the_first_are_named(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 0, 16 * GIB);
    submit(f, wanting(1, 4, 0, GIB));
    for (uint64_t id = 2; id <= 40; id++)
        submit(f, wanting(id, id == 40 ? 1 : 4, 0, GIB));
    struct core_why why = why_of(f, 40);
    assert_int_equal(why.ahead_count, 38);
    assert_int_equal(why.ahead_listed, CORE_WHY_JOBS_MAX);
    for (uint32_t i = 0; i < CORE_WHY_JOBS_MAX; i++)
        assert_int_equal(why.ahead[i].v, i + 2);
}

static void room_without_a_turn_is_told(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 0, 16 * GIB);
    submit(f, wanting(1, 2, 0, GIB));
    submit(f, wanting(2, 4, 0, GIB));
    submit(f, wanting(3, 1, 0, GIB));
    struct core_why why = why_of(f, 3);
    assert_true(why.fits_now);
    assert_int_equal(why.ahead_count, 1);
    assert_int_equal(why.ahead[0].v, 2);
}

static void a_node_that_is_away_is_the_reason(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 1, 16 * GIB);
    node_event(f, CORE_EVENT_NODE_DRAIN, 1);
    submit(f, wanting(1, 1, 1, GIB));
    struct core_why why = why_of(f, 1);
    assert_int_equal(why.reason, CORE_REASON_NODE_AWAY);
    assert_int_equal(why.best.v, 0);
    assert_int_equal(why.blocker_count, 0);
    assert_int_equal(why.ahead_count, 0);
}

static void a_job_that_does_not_wait_says_where_it_is(void **state)
{
    struct fixture *f = *state;
    struct core_why why;
    node_up(f, 7, 4, 1, 16 * GIB);
    submit(f, wanting(1, 1, 1, GIB));
    why = why_of(f, 1);
    assert_int_equal(why.state, JOB_PREPARING);
    assert_int_equal(why.node.v, 7);
    assert_false(core_why(f->core, (struct job_id){2}, &why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_missing_resource_its_amounts_and_holders_are_named),
        TEST(the_nearest_node_is_the_one_that_misses_least),
        TEST(those_ahead_are_counted_and_the_first_are_named),
        TEST(room_without_a_turn_is_told),
        TEST(a_node_that_is_away_is_the_reason),
        TEST(a_job_that_does_not_wait_says_where_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
