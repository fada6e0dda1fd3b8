/* Capacity that is kept for short jobs: for which jobs, on which nodes, and from whom. */
#include "core_fixture.h"

#define SHORT_JOBS 70
#define GANG 80
#define LONG 1001 /* ids of long jobs, from here on; they declare no time limit */

static void over(struct fixture *f, uint64_t id, uint32_t node)
{
    struct core_event event = about_task(CORE_EVENT_TASK_OVER, id, 1, node);
    event.as.task.as.exit.ran = true;
    fed(f, &event);
}

/* So many jobs like that come from id `first` on, one a minute; each runs for a second and ends. */
static void short_jobs(struct fixture *f, uint64_t first, uint32_t count, struct core_submit like)
{
    f->no_check = true;
    like.time_limit_ms = MINUTE;
    like.grace_ms = 0;
    for (like.job.v = first; like.job.v < first + count; like.job.v++) {
        uint32_t nodes[GANG];
        like.seq = like.job.v;
        submit(f, like);
        assert_in_range(like.instance_count, 1, GANG);
        for (uint32_t rank = 0; rank < like.instance_count; rank++) {
            const struct core_decision *d = decided(f, CORE_DECISION_START_TASK, rank);
            assert_non_null(d);
            nodes[rank] = d->as.start.node.v;
        }
        f->now_ms += 1000;
        for (uint32_t rank = 0; rank < like.instance_count; rank++) {
            struct core_event event = about_task(CORE_EVENT_TASK_OVER, like.job.v, 1, nodes[rank]);
            event.as.task.task.rank = rank;
            event.as.task.as.exit.ran = true;
            fed(f, &event);
        }
        f->now_ms += MINUTE;
    }
    f->no_check = false;
}

static void pool(struct fixture *f, uint32_t nodes, uint32_t cores, uint32_t gpus)
{
    set_policy(f, CORE_POLICY_BERTH);
    for (uint32_t id = 1; id <= nodes; id++)
        node_up(f, id, cores, gpus, 16 * GIB);
}

static uint64_t kept_until(const struct fixture *f, uint64_t id)
{
    struct core_why why;
    assert_true(core_why(f->core, (struct job_id){id}, &why));
    return why.kept_until_ms;
}

/* Whether a job like that which comes now starts; if not, then because capacity is kept. */
static bool starts(struct fixture *f, struct core_submit s)
{
    submit(f, s);
    struct core_job_view view = job_view(f, s.job.v);
    assert_int_equal(view.kept_until_ms, kept_until(f, s.job.v));
    if (runs(f, s.job.v)) {
        assert_int_equal(view.kept_until_ms, 0);
        return true;
    }
    assert_int_equal(view.reason, CORE_REASON_KEPT);
    assert_true(view.kept_until_ms > f->now_ms && core_timer_at(f->core) <= view.kept_until_ms);
    assert_int_equal(core_expected_start(f->core, s.job), view.kept_until_ms);
    return false;
}

static void two_long_jobs_share_two_cores_after_short_ones_of_one_core(void **state)
{
    struct fixture *f = *state;
    pool(f, 1, 2, 0);
    short_jobs(f, 1, SHORT_JOBS, wanting(1, 1, 0, 0));
    assert_true(starts(f, wanting(LONG, 1, 0, 0)));
    assert_true(starts(f, wanting(LONG + 1, 1, 0, 0)));
}

static void two_long_jobs_share_two_cores_after_short_ones_of_two_cores(void **state)
{
    struct fixture *f = *state;
    pool(f, 1, 2, 0);
    short_jobs(f, 1, SHORT_JOBS, wanting(1, 2, 0, 0));
    assert_true(starts(f, wanting(LONG, 1, 0, 0)));
    assert_true(starts(f, wanting(LONG + 1, 1, 0, 0)));
}

static void four_cores_are_too_few_to_keep_one_for_jobs_of_one_core_and_five_are_not(void **state)
{
    (void)state;
    for (uint32_t cores = 4; cores <= 5; cores++) { /* 21% are kept at most */
        void *fresh;
        fixture_setup(&fresh);
        struct fixture *f = fresh;
        pool(f, 1, cores, 0);
        short_jobs(f, 1, SHORT_JOBS, wanting(1, 1, 0, 0));
        assert_true(starts(f, wanting(LONG, cores - 1, 0, 0)));
        assert_int_equal(starts(f, wanting(LONG + 1, 1, 0, 0)), cores == 4);
        fixture_teardown(&fresh);
    }
}

static void cores_without_the_memory_that_short_jobs_want_are_kept_for_nobody(void **state)
{
    struct fixture *f = *state;
    pool(f, 1, 8, 0);
    short_jobs(f, 1, SHORT_JOBS, wanting(1, 1, 0, GIB));
    assert_true(starts(f, wanting(LONG, 6, 0, 15 * GIB + 1)));
    assert_true(starts(f, wanting(LONG + 1, 2, 0, 0)));
}

static void cores_with_the_memory_that_short_jobs_want_are_kept(void **state)
{
    struct fixture *f = *state;
    pool(f, 1, 8, 0);
    short_jobs(f, 1, SHORT_JOBS, wanting(1, 1, 0, GIB));
    assert_true(starts(f, wanting(LONG, 6, 0, 15 * GIB)));
    assert_false(starts(f, wanting(LONG + 1, 2, 0, 0)));
    over(f, LONG, 1);
    assert_true(runs(f, LONG + 1));
}

static void the_nodes_that_are_kept_are_told(void **state)
{
    struct fixture *f = *state;
    struct core_kept_back kept[2];
    pool(f, 2, 8, 0);
    short_jobs(f, 1, SHORT_JOBS, wanting(1, 1, 0, GIB));
    assert_true(starts(f, wanting(LONG, 8, 0, 0)));
    assert_int_equal(core_kept_back(f->core, kept, 2), 0);
    assert_true(starts(f, wanting(LONG + 1, 4, 0, 0)));
    assert_false(starts(f, wanting(LONG + 2, 2, 0, 0)));
    assert_int_equal(core_kept_back(f->core, kept, 2), 1);
    assert_int_equal(kept[0].job.v, LONG + 2);
    assert_int_equal(kept[0].until_ms, kept_until(f, LONG + 2));
    assert_false(kept[0].planned);
    bool first = core_node_keeps(f->core, (struct node_id){1}, kept[0].job);
    assert_int_equal(core_node_keeps(f->core, (struct node_id){2}, kept[0].job), !first);
    assert_int_equal(core_nodes_keep(f->core, kept[0].job), 1);
}

static void a_job_that_does_not_fit_waits_for_no_short_ones(void **state)
{
    struct fixture *f = *state;
    pool(f, 1, 8, 0);
    short_jobs(f, 1, SHORT_JOBS, wanting(1, 1, 0, 0));
    assert_true(starts(f, wanting(LONG, 6, 0, 0)));
    submit(f, wanting(LONG + 1, 3, 0, 0));
    assert_int_equal(job_view(f, LONG + 1).reason, CORE_REASON_WAITING);
    assert_int_equal(job_view(f, LONG + 1).kept_until_ms, 0);
}

static void cores_are_not_kept_for_jobs_that_want_gpus_of_which_none_is_free(void **state)
{
    struct fixture *f = *state;
    pool(f, 1, 16, 8);
    short_jobs(f, 1, SHORT_JOBS, wanting(1, 1, 1, 0));
    assert_true(starts(f, wanting(LONG, 12, 8, 0)));
    assert_true(starts(f, wanting(LONG + 1, 4, 0, 0)));
}

static void gpus_are_kept_for_jobs_that_want_gpus(void **state)
{
    struct fixture *f = *state;
    pool(f, 1, 16, 8);
    short_jobs(f, 1, SHORT_JOBS, wanting(1, 1, 1, 0));
    assert_true(starts(f, wanting(LONG, 1, 6, 0)));
    assert_false(starts(f, wanting(LONG + 1, 1, 2, 0)));
}

static void gpus_are_not_kept_for_jobs_that_want_none(void **state)
{
    struct fixture *f = *state;
    pool(f, 1, 16, 8);
    short_jobs(f, 1, SHORT_JOBS, wanting(1, 1, 0, 0));
    assert_true(starts(f, wanting(LONG, 1, 6, 0)));
    assert_true(starts(f, wanting(LONG + 1, 1, 2, 0)));
}

static void a_job_whose_gpus_bring_the_last_cores_with_them_leaves_those_to_short_ones(void **state)
{
    struct fixture *f = *state;
    pool(f, 1, 16, 8);
    short_jobs(f, 1, SHORT_JOBS, wanting(1, 1, 0, 0));
    assert_true(starts(f, wanting(LONG, 14, 6, 0)));
    assert_false(starts(f, wanting(LONG + 1, 2, 2, 0)));
}

/* Two nodes of 8 cores with 2 free on each, one of them without memory. */
static void a_long_job_starts_on_a_node_that_no_short_one_could_use(void **state)
{
    struct fixture *f = *state;
    pool(f, 2, 8, 0);
    short_jobs(f, 1, SHORT_JOBS, wanting(1, 1, 0, GIB));
    assert_true(starts(f, wanting(LONG, 6, 0, 0)));
    uint32_t usable = started(f, LONG)->as.start.node.v;
    assert_true(starts(f, wanting(LONG + 1, 6, 0, 15 * GIB + 1)));
    uint32_t useless = started(f, LONG + 1)->as.start.node.v;
    assert_int_not_equal(usable, useless);
    assert_true(starts(f, wanting(LONG + 2, 1, 0, 0)));
    assert_int_equal(started(f, LONG + 2)->as.start.node.v, useless);
    struct core_wish wish = {.job = {LONG + 3}, .request = {.cores = 1}, .instance_count = 1};
    assert_false(starts(f, wanting(LONG + 3, 2, 0, 0))); /* which would have to be on the other one */
    assert_true(core_fits_now(f->core, &wish));
    struct core_submit pair = wanting(LONG + 4, 1, 0, 0);
    pair.instance_count = 2;
    assert_false(starts(f, pair)); /* of its two nodes one is kept */
    cancel(f, LONG + 4, false);
    assert_true(starts(f, wanting(LONG + 5, 1, 0, 0)));
    assert_int_equal(started(f, LONG + 5)->as.start.node.v, useless);
    assert_false(core_fits_now(f->core, &wish));
}

static void one_node_is_not_kept_for_jobs_that_want_two_at_once(void **state)
{
    struct fixture *f = *state;
    pool(f, 2, 8, 0);
    struct core_submit pair = wanting(1, 1, 0, 0);
    pair.instance_count = 2;
    short_jobs(f, 1, SHORT_JOBS, pair);
    assert_true(starts(f, wanting(LONG, 8, 0, 0)));
    assert_true(starts(f, wanting(LONG + 1, 6, 0, 0)));
    assert_true(starts(f, wanting(LONG + 2, 2, 0, 0)));
}

static void both_nodes_are_kept_for_jobs_that_want_two_at_once(void **state)
{
    struct fixture *f = *state;
    pool(f, 2, 8, 0);
    struct core_submit pair = wanting(1, 1, 0, 0);
    pair.instance_count = 2;
    short_jobs(f, 1, SHORT_JOBS, pair);
    assert_true(starts(f, wanting(LONG, 6, 0, 0)));
    assert_true(starts(f, wanting(LONG + 1, 6, 0, 0)));
    assert_false(starts(f, wanting(LONG + 2, 2, 0, 0)));
}

static void preemptible_jobs_leave_nothing_to_short_ones(void **state)
{
    struct fixture *f = *state;
    pool(f, 1, 8, 0);
    short_jobs(f, 1, SHORT_JOBS, wanting(1, 1, 0, 0));
    assert_true(starts(f, wanting(LONG, 6, 0, 0)));
    struct core_submit spot = wanting(LONG + 2, 2, 0, 0);
    spot.preemptible = true;
    assert_false(starts(f, wanting(LONG + 1, 2, 0, 0)));
    assert_true(starts(f, spot));
}

/* 16 cores of which two are free: jobs of one core could use them, those of three could not. */
static void capacity_is_kept_for_shapes_of_late_alone(void **state)
{
    struct fixture *f = *state;
    pool(f, 1, 16, 0);
    short_jobs(f, 1, SHORT_JOBS, wanting(1, 1, 0, 0));
    short_jobs(f, 101, SHORT_JOBS, wanting(1, 3, 0, 0));
    assert_true(starts(f, wanting(LONG, 14, 0, 0)));
    assert_false(starts(f, wanting(LONG + 1, 2, 0, 0)));
    cancel(f, LONG + 1, false);
    over(f, LONG, 1);
    short_jobs(f, 201, 2 * SHORT_JOBS, wanting(1, 3, 0, 0)); /* few of the late ones want one core now */
    assert_true(starts(f, wanting(LONG + 2, 14, 0, 0)));
    assert_true(starts(f, wanting(LONG + 3, 2, 0, 0)));
}

/* The table of shapes has 16 records: at its limit, and one past it. */
static void many_rare_shapes_do_not_push_out_the_usual_one(void **state)
{
    (void)state;
    for (uint32_t rare = 15; rare <= 16; rare++) {
        void *fresh;
        fixture_setup(&fresh);
        struct fixture *f = fresh;
        pool(f, 1, 8, 0);
        short_jobs(f, 1, SHORT_JOBS, wanting(1, 1, 0, 0));
        for (uint32_t i = 0; i < rare; i++)
            short_jobs(f, 101 + i, 1, wanting(1, 3, 0, i * GIB));
        assert_null(core_check(f->core));
        assert_true(starts(f, wanting(LONG, 6, 0, 0)));
        assert_false(starts(f, wanting(LONG + 1, 2, 0, 0)));
        fixture_teardown(&fresh);
    }
}

/* On each node one core is free, and on the last but `behind` of them the memory is used up. */
static bool starts_on_a_large_pool(struct fixture *f, uint32_t nodes, uint32_t behind)
{
    struct core_submit gang = wanting(1, 1, 0, GIB);
    f->no_check = true;
    pool(f, nodes, 8, 0);
    gang.instance_count = GANG;
    short_jobs(f, 1, SHORT_JOBS, gang);
    f->no_check = true;
    for (uint32_t i = 0; i < nodes; i++) {
        struct core_submit fills = wanting(LONG + i, 7, 0, i + 1 + behind == nodes ? 16 * GIB : 0);
        fills.priority_class = PRIORITY_HIGH;
        submit(f, fills);
        assert_int_equal(started(f, LONG + i)->as.start.node.v, i + 1);
    }
    bool starts_there = starts(f, wanting(LONG + nodes, 1, 0, 0));
    assert_null(core_check(f->core));
    return starts_there;
}

static void a_long_job_looks_for_an_open_node_among_the_first_256(void **state)
{
    assert_true(starts_on_a_large_pool(*state, 257, 1));
}

static void a_long_job_looks_for_an_open_node_no_further(void **state)
{
    assert_false(starts_on_a_large_pool(*state, 257, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_long_jobs_share_two_cores_after_short_ones_of_one_core),
        TEST(two_long_jobs_share_two_cores_after_short_ones_of_two_cores),
        TEST(four_cores_are_too_few_to_keep_one_for_jobs_of_one_core_and_five_are_not),
        TEST(cores_without_the_memory_that_short_jobs_want_are_kept_for_nobody),
        TEST(cores_with_the_memory_that_short_jobs_want_are_kept),
        TEST(the_nodes_that_are_kept_are_told),
        TEST(a_job_that_does_not_fit_waits_for_no_short_ones),
        TEST(cores_are_not_kept_for_jobs_that_want_gpus_of_which_none_is_free),
        TEST(gpus_are_kept_for_jobs_that_want_gpus),
        TEST(gpus_are_not_kept_for_jobs_that_want_none),
        TEST(a_job_whose_gpus_bring_the_last_cores_with_them_leaves_those_to_short_ones),
        TEST(a_long_job_starts_on_a_node_that_no_short_one_could_use),
        TEST(one_node_is_not_kept_for_jobs_that_want_two_at_once),
        TEST(both_nodes_are_kept_for_jobs_that_want_two_at_once),
        TEST(preemptible_jobs_leave_nothing_to_short_ones),
        TEST(capacity_is_kept_for_shapes_of_late_alone),
        TEST(many_rare_shapes_do_not_push_out_the_usual_one),
        TEST(a_long_job_looks_for_an_open_node_among_the_first_256),
        TEST(a_long_job_looks_for_an_open_node_no_further),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
