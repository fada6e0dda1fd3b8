/* Shares, kinds and links of GPUs, and whole nodes. */
#include "core_fixture.h"

static struct core_inventory *islands(uint32_t cores)
{
    struct core_inventory *inv = inventory_of((struct shape){cores, 1, 8, 2, 64 * GIB});
    for (uint32_t i = 0; i < 8; i++) {
        for (uint32_t k = 0; k < 8; k++)
            inv->gpus[i].link[k] = i == k ? 0 : i / 4 == k / 4 ? 112 : 10;
    }
    return inv;
}

static struct core_submit sharing(uint64_t id, uint32_t milli, uint64_t gpu_memory)
{
    struct core_submit s = wanting(id, 1, 0, 0);
    s.request.gpu_milli = milli;
    s.request.gpu_memory_bytes = gpu_memory;
    return s;
}

static void two_halves_share_a_gpu_and_a_third_waits(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 8, 1, GIB);
    submit(f, sharing(1, 500, 0));
    assert_int_equal(leased(f, 1)->gpu_milli_each, 500);
    submit(f, sharing(2, 500, 0));
    assert_int_equal(leased(f, 2)->gpus, 1);
    submit(f, sharing(3, 1, 0));
    assert_int_equal(job_view(f, 3).state, JOB_QUEUED);
    lives(f, 1, 1, 1);
    assert_int_equal(job_view(f, 3).state, JOB_PREPARING);
    submit(f, wanting(4, 1, 1, 0)); /* a whole one is not there while anyone has a part */
    assert_int_equal(job_view(f, 4).state, JOB_QUEUED);
}

static void a_share_goes_where_it_leaves_the_largest_holes(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 8, 2, GIB);
    submit(f, sharing(1, 700, 0));
    uint32_t first = leased(f, 1)->gpus;
    submit(f, sharing(2, 300, 0));
    assert_int_equal(leased(f, 2)->gpus, first);
    submit(f, wanting(3, 1, 1, 0));
    assert_int_equal(job_view(f, 3).state, JOB_PREPARING);
}

static void memory_of_a_gpu_makes_a_share_of_it(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 8, 1, GIB); /* a GPU of 80 GiB */
    submit(f, sharing(1, 0, 20 * GIB));
    assert_int_equal(leased(f, 1)->gpu_milli_each, 250);
    submit(f, sharing(2, 0, 81 * GIB));
    assert_non_null(decided(f, CORE_DECISION_JOB_REFUSED, 0));
    struct core_submit whole = wanting(3, 1, 1, 0);
    whole.request.gpu_memory_bytes = 80 * GIB; /* each at least that much */
    submit(f, whole);
    assert_int_equal(job_view(f, 3).state, JOB_QUEUED);
    lives(f, 1, 1, 1);
    assert_int_equal(job_view(f, 3).state, JOB_PREPARING);
}

static void only_gpus_of_the_models_asked_for_are_taken(void **state)
{
    struct fixture *f = *state;
    struct core_inventory *inv = inventory_of((struct shape){8, 1, 4, 1, GIB});
    inv->gpus[1].model = inv->gpus[3].model = 5;
    node_hello(f, 1, inv);
    struct core_submit s = wanting(1, 1, 2, 0);
    s.request.gpu_models = UINT64_C(1) << 5;
    submit(f, s);
    assert_int_equal(leased(f, 1)->gpus, 0xa);
    s = wanting(2, 1, 3, 0);
    s.request.gpu_models = UINT64_C(1) << 5;
    submit(f, s);
    assert_int_equal(decided(f, CORE_DECISION_JOB_REFUSED, 0)->as.refused.refusal,
                     CORE_REFUSED_NO_COMBINATION);
}

static void linked_gpus_stay_together_with_their_cores(void **state)
{
    struct fixture *f = *state;
    node_hello(f, 1, islands(16));
    submit(f, wanting(1, 4, 2, 0));
    uint32_t two = leased(f, 1)->gpus;
    assert_true((two & 0xf) == two || (two & 0xf0) == two);
    bool low = two & 0xf;
    for (uint32_t unit = 0; unit < 16; unit++) /* NUMA node 0 has cores 0..7 and GPUs 0..3 */
        assert_true(!resource_bit(leased(f, 1)->cores, unit) || (unit < 8) == low);
    submit(f, wanting(2, 4, 4, 0)); /* the other island is whole still */
    assert_int_equal(leased(f, 2)->gpus, low ? 0xf0 : 0x0f);
    submit(f, wanting(3, 4, 2, 0)); /* what is left of the first one */
    assert_int_equal(leased(f, 3)->gpus | two, low ? 0x0f : 0xf0);
}

static void an_exclusive_job_has_the_node_alone_and_all_of_it(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 8, 2, GIB);
    struct core_submit s = wanting(1, 1, 0, 0);
    s.request.flags = RESOURCE_EXCLUSIVE;
    submit(f, s);
    assert_int_equal(count_cores(leased(f, 1)), 8);
    assert_int_equal(leased(f, 1)->gpus, 3);
    submit(f, wanting(2, 1, 0, 0));
    assert_int_equal(job_view(f, 2).state, JOB_QUEUED);
    lives(f, 1, 1, 1);
    assert_int_equal(job_view(f, 2).state, JOB_PREPARING);
    s.job.v = s.seq = 3;
    submit(f, s);
    assert_int_equal(job_view(f, 3).state, JOB_QUEUED);
}

static void an_isolated_node_takes_jobs_of_one_tenant_only(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 8, 0, GIB);
    struct core_submit s = wanting(1, 1, 0, 0);
    s.request.flags = RESOURCE_ISOLATED;
    submit(f, s);
    s.job.v = s.seq = 2;
    submit(f, s);
    assert_int_equal(job_view(f, 2).state, JOB_PREPARING);
    s.job.v = s.seq = 3;
    s.principal.v = 2;
    submit(f, s);
    submit(f, wanting(4, 1, 0, 0)); /* its own tenant's, but not isolated */
    assert_int_equal(job_view(f, 3).state, JOB_QUEUED);
    lives(f, 1, 1, 1);
    assert_int_equal(job_view(f, 3).state, JOB_QUEUED);
    lives(f, 2, 1, 1);
    assert_int_equal(job_view(f, 3).state, JOB_PREPARING);
    assert_int_equal(job_view(f, 4).state, JOB_QUEUED);
}

static void labels_that_are_asked_for_must_all_be_there(void **state)
{
    struct fixture *f = *state;
    struct core_inventory *inv = inventory_of((struct shape){8, 1, 0, 1, GIB});
    inv->labels = 6;
    node_hello(f, 1, inv);
    struct core_submit s = wanting(1, 1, 0, 0);
    s.request.labels = 3;
    submit(f, s);
    assert_non_null(decided(f, CORE_DECISION_JOB_REFUSED, 0));
    s.job.v = 2;
    s.request.labels = 2;
    submit(f, s);
    assert_int_equal(job_view(f, 2).state, JOB_PREPARING);
}

static void a_small_job_leaves_whole_the_node_that_usual_jobs_need(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 32, 8, 64 * GIB);
    node_up(f, 2, 32, 8, 64 * GIB);
    for (uint64_t id = 1; id <= 4; id++) { /* whole nodes are usual here */
        submit(f, wanting(id, 8, 8, 0));
        lives(f, id, 1, started(f, id)->as.start.node.v);
    }
    submit(f, wanting(5, 1, 1, 0));
    uint32_t node = started(f, 5)->as.start.node.v;
    submit(f, wanting(6, 1, 1, 0));
    assert_int_equal(started(f, 6)->as.start.node.v, node);
    submit(f, wanting(7, 8, 8, 0));
    assert_int_equal(job_view(f, 7).state, JOB_PREPARING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_halves_share_a_gpu_and_a_third_waits),
        TEST(a_share_goes_where_it_leaves_the_largest_holes),
        TEST(memory_of_a_gpu_makes_a_share_of_it),
        TEST(only_gpus_of_the_models_asked_for_are_taken),
        TEST(linked_gpus_stay_together_with_their_cores),
        TEST(an_exclusive_job_has_the_node_alone_and_all_of_it),
        TEST(an_isolated_node_takes_jobs_of_one_tenant_only),
        TEST(labels_that_are_asked_for_must_all_be_there),
        TEST(a_small_job_leaves_whole_the_node_that_usual_jobs_need),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
