/* Order of the queue, refusals at submit, and who may start when. */
#include "core_fixture.h"

static void jobs_start_in_the_order_of_submission(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 2, 0, 8 * GIB);
    for (uint64_t id = 1; id <= 4; id++)
        submit(f, wanting(id, 2, 0, GIB));
    assert_int_equal(job_view(f, 1).state, JOB_PREPARING);
    for (uint64_t id = 2; id <= 4; id++) {
        assert_int_equal(job_view(f, id).state, JOB_QUEUED);
        lives(f, id - 1, 1, 1);
        assert_int_equal(job_view(f, id).state, JOB_PREPARING);
    }
}

static void higher_class_then_higher_priority_goes_first(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum priority_class c;
        int32_t priority;
    } jobs[] = {{PRIORITY_LOW, 100},  {PRIORITY_MEDIUM, 0}, {PRIORITY_HIGH, -5},
                {PRIORITY_MEDIUM, 7}, {PRIORITY_HIGH, 5},   {PRIORITY_HIGH, -5}};
    static const uint64_t order[] = {5, 3, 6, 4, 2, 1};
    node_up(f, 1, 1, 0, 8 * GIB);
    submit(f, wanting(100, 1, 0, 0));
    for (uint64_t id = 1; id <= 6; id++) {
        struct core_submit s = wanting(id, 1, 0, 0);
        s.priority_class = jobs[id - 1].c;
        s.priority = jobs[id - 1].priority;
        submit(f, s);
    }
    lives(f, 100, 1, 1);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(job_view(f, order[i]).state, JOB_PREPARING);
        lives(f, order[i], 1, 1);
        assert_false(job_known(f, order[i]));
    }
}

static void a_head_that_must_wait_blocks_those_behind_it(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 1, 8 * GIB);
    submit(f, wanting(1, 1, 1, GIB));
    submit(f, wanting(2, 1, 1, GIB));
    submit(f, wanting(3, 1, 0, GIB));
    assert_int_equal(job_view(f, 2).state, JOB_QUEUED);
    assert_int_equal(job_view(f, 3).state, JOB_QUEUED);
    cancel(f, 2, false);
    assert_int_equal(job_view(f, 3).state, JOB_PREPARING);
}

static void a_job_that_fits_no_usable_node_blocks_nobody(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 2, 8 * GIB);
    node_up(f, 2, 4, 0, 8 * GIB);
    node_event(f, CORE_EVENT_NODE_DOWN, 1);
    submit(f, wanting(1, 1, 2, GIB));
    assert_int_equal(job_view(f, 1).reason, CORE_REASON_NODE_AWAY);
    submit(f, wanting(2, 1, 0, GIB));
    assert_int_equal(job_view(f, 2).state, JOB_PREPARING);
    node_up(f, 1, 4, 1, 8 * GIB); /* it came back smaller */
    assert_int_equal(job_view(f, 1).state, JOB_QUEUED);
    assert_int_equal(job_view(f, 1).reason, CORE_REASON_FITS_NO_NODE);
    node_up(f, 1, 4, 2, 8 * GIB);
    assert_int_equal(job_view(f, 1).state, JOB_PREPARING);
}

static void the_queue_moves_when_the_only_node_for_its_head_goes(void **state)
{
    struct fixture *f = *state;
    static const enum core_event_kind goes[] = {CORE_EVENT_NODE_DOWN, CORE_EVENT_NODE_DRAIN,
                                                CORE_EVENT_NODE_LOST};
    node_up(f, 1, 4, 1, 8 * GIB);
    node_up(f, 2, 1, 0, 8 * GIB);
    submit(f, wanting(1, 4, 1, GIB));
    submit(f, wanting(2, 4, 1, GIB));
    for (uint64_t i = 0; i < 3; i++) {
        submit(f, wanting(10 + i, 1, 0, GIB));
        assert_int_equal(job_view(f, 10 + i).state, JOB_QUEUED);
        node_event(f, goes[i], 1);
        assert_int_equal(job_view(f, 2).reason, CORE_REASON_NODE_AWAY);
        assert_int_equal(job_view(f, 10 + i).state, JOB_PREPARING);
        node_up(f, 1, 4, 1, 8 * GIB);
        node_event(f, CORE_EVENT_NODE_RESUME, 1);
        assert_int_equal(job_view(f, 2).reason, CORE_REASON_WAITING);
        lives(f, 10 + i, 1, 2);
    }
}

static void what_can_never_fit_is_refused_with_numbers(void **state)
{
    struct fixture *f = *state;
    node_hello(f, 1, inventory_of((struct shape){4, 2, 2, 1, 16 * GIB}));
    node_hello(f, 2, inventory_of((struct shape){8, 1, 0, 1, 64 * GIB}));
    node_event(f, CORE_EVENT_NODE_DOWN, 1); /* counts all the same */
    struct core_submit many_cpus = wanting(4, 0, 0, GIB);
    many_cpus.request.cpus = 9;
    const struct {
        struct core_submit submit;
        enum resource_kind resource;
        uint64_t wanted, best;
    } cases[] = {
        {wanting(1, 1, 3, GIB), RESOURCE_GPUS, 3000, 2000},
        {wanting(2, 1, 0, 65 * GIB), RESOURCE_MEMORY, 65 * GIB, 64 * GIB},
        {wanting(3, 9, 0, GIB), RESOURCE_CORES, 9, 8},
        {many_cpus, RESOURCE_CPUS, 9, 8},
    };
    for (int i = 0; i < 4; i++) {
        submit(f, cases[i].submit);
        const struct core_decision *d = decided(f, CORE_DECISION_JOB_REFUSED, 0);
        assert_non_null(d);
        assert_int_equal(d->as.refused.refusal, CORE_REFUSED_NEVER_FITS);
        assert_int_equal(d->as.refused.resource, cases[i].resource);
        assert_int_equal(d->as.refused.wanted, cases[i].wanted);
        assert_int_equal(d->as.refused.best, cases[i].best);
        assert_false(job_known(f, cases[i].submit.job.v));
    }
    submit(f, wanting(5, 8, 2, GIB));
    assert_int_equal(decided(f, CORE_DECISION_JOB_REFUSED, 0)->as.refused.refusal,
                     CORE_REFUSED_NO_COMBINATION);
    submit(f, wanting(6, 8, 0, 64 * GIB)); /* at the limit */
    assert_int_equal(job_view(f, 6).state, JOB_PREPARING);
}

static void without_any_node_a_job_waits_for_one(void **state)
{
    struct fixture *f = *state;
    submit(f, wanting(1, 64, 8, GIB));
    submit(f, wanting(2, 1, 0, GIB));
    assert_int_equal(job_view(f, 1).reason, CORE_REASON_NO_NODE);
    node_up(f, 1, 4, 0, 8 * GIB);
    assert_int_equal(job_view(f, 1).reason, CORE_REASON_FITS_NO_NODE);
    assert_int_equal(job_view(f, 2).state, JOB_PREPARING);
}

static void a_live_job_s_id_is_not_taken_twice(void **state)
{
    struct fixture *f = *state;
    submit(f, wanting(1, 1, 0, GIB));
    struct core_submit other = wanting(1, 2, 0, GIB);
    other.principal.v = 9;
    submit(f, other);
    assert_int_equal(decided(f, CORE_DECISION_JOB_REFUSED, 0)->as.refused.refusal, CORE_REFUSED_DUPLICATE);
    assert_int_equal(job_view(f, 1).principal.v, 1);
}

static void a_full_table_refuses_one_past_its_limit(void **state)
{
    struct fixture *f = *state;
    static const struct core_capacity two = {2, 1, 1};
    struct core *core = core_create(&two); /* without core_make_room, as when there is no memory */
    for (uint64_t id = 1; id <= 3; id++) {
        struct core_event event = {.kind = CORE_EVENT_JOB_SUBMIT};
        event.as.submit = wanting(id, 1, 0, 0);
        core_step(core, 1, &event, f->out);
        assert_int_equal(f->out->v[0].kind, id < 3 ? CORE_DECISION_JOB_STATE : CORE_DECISION_JOB_REFUSED);
    }
    assert_int_equal(f->out->v[0].as.refused.refusal, CORE_REFUSED_FULL);
    core_destroy(core);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(jobs_start_in_the_order_of_submission),
        TEST(higher_class_then_higher_priority_goes_first),
        TEST(a_head_that_must_wait_blocks_those_behind_it),
        TEST(a_job_that_fits_no_usable_node_blocks_nobody),
        TEST(the_queue_moves_when_the_only_node_for_its_head_goes),
        TEST(what_can_never_fit_is_refused_with_numbers),
        TEST(without_any_node_a_job_waits_for_one),
        TEST(a_live_job_s_id_is_not_taken_twice),
        TEST(a_full_table_refuses_one_past_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
