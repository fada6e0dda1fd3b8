/* Which cores and GPUs a task gets. */
#include "core_fixture.h"

static struct core_submit wanting_cpus(uint64_t id, uint32_t cpus)
{
    struct core_submit s = wanting(id, 0, 0, 0);
    s.request.cpus = cpus;
    return s;
}

static void cpus_are_rounded_up_to_whole_cores(void **state)
{
    struct fixture *f = *state;
    node_hello(f, 1, inventory_of((struct shape){8, 2, 0, 1, 8 * GIB}));
    submit(f, wanting_cpus(1, 3));
    assert_int_equal(count_cores(leased(f, 1)), 2);
    submit(f, wanting_cpus(2, 12));
    assert_int_equal(count_cores(leased(f, 2)), 6);
    submit(f, wanting_cpus(3, 1));
    assert_null(started(f, 3));
}

static void on_a_mixed_machine_a_core_counts_what_it_has(void **state)
{
    struct fixture *f = *state;
    struct core_inventory *inv = inventory_of((struct shape){4, 2, 0, 1, 8 * GIB});
    inv->cores[2].threads = inv->cores[3].threads = 1;
    node_hello(f, 1, inv);
    submit(f, wanting_cpus(1, 6));
    assert_int_equal(count_cores(leased(f, 1)), 4);
}

static void cores_lie_beside_their_gpus(void **state)
{
    struct fixture *f = *state;
    node_hello(f, 1, inventory_of((struct shape){16, 1, 4, 2, 64 * GIB}));
    submit(f, wanting(1, 4, 2, GIB));
    const struct resource_lease *first = leased(f, 1);
    assert_true(first->gpus == 0x3 || first->gpus == 0xc);
    assert_int_equal(first->cores[0] & (first->gpus == 0x3 ? 0xff00 : 0x00ff), 0);
    uint32_t taken = first->gpus;
    submit(f, wanting(2, 8, 2, GIB));
    const struct resource_lease *second = leased(f, 2);
    assert_int_equal(second->gpus, 0xf & ~taken);
    assert_int_equal(second->cores[0], taken == 0x3 ? 0xff00 : 0x00ff);
}

static void a_small_job_fills_the_fuller_numa_node_and_leaves_the_other_whole(void **state)
{
    struct fixture *f = *state;
    node_hello(f, 1, inventory_of((struct shape){16, 1, 0, 2, 64 * GIB}));
    submit(f, wanting(1, 2, 0, GIB));
    submit(f, wanting(2, 2, 0, GIB));
    submit(f, wanting(3, 8, 0, GIB));
    uint64_t cores = leased(f, 3)->cores[0];
    assert_true(cores == 0xff || cores == 0xff00);
}

static void what_fits_no_numa_node_is_spread(void **state)
{
    struct fixture *f = *state;
    node_hello(f, 1, inventory_of((struct shape){16, 1, 4, 2, 64 * GIB}));
    submit(f, wanting(1, 12, 3, GIB));
    const struct resource_lease *lease = leased(f, 1);
    assert_int_equal(count_cores(lease), 12);
    assert_int_equal(__builtin_popcount(lease->gpus), 3);
}

static void a_gpu_keeps_its_unit_when_the_order_changes(void **state)
{
    struct fixture *f = *state;
    uint8_t key[RESOURCE_GPU_KEY_BYTES];
    struct core_inventory inv = *inventory_of((struct shape){8, 1, 2, 1, 64 * GIB});
    node_hello(f, 1, &inv);
    submit(f, wanting(1, 1, 1, GIB));
    uint32_t unit = (uint32_t)__builtin_ctz(leased(f, 1)->gpus);
    assert_true(core_node_gpu_key(f->core, (struct node_id){1}, unit, key));
    assert_int_equal(key[0], 1);
    struct core_inventory_gpu gpu = inv.gpus[0];
    inv.gpus[0] = inv.gpus[1]; /* the driver counts them the other way round now */
    inv.gpus[1] = gpu;
    node_hello(f, 1, &inv);
    submit(f, wanting(2, 1, 1, GIB));
    unit = (uint32_t)__builtin_ctz(leased(f, 2)->gpus);
    assert_true(core_node_gpu_key(f->core, (struct node_id){1}, unit, key));
    assert_int_equal(key[0], 2);
}

static void a_gpu_that_is_gone_stays_leased_and_its_place_is_not_given_away(void **state)
{
    struct fixture *f = *state;
    struct core_inventory inv = *inventory_of((struct shape){8, 1, 1, 1, 64 * GIB});
    node_hello(f, 1, &inv);
    submit(f, wanting(1, 1, 1, GIB));
    uint32_t unit = (uint32_t)__builtin_ctz(leased(f, 1)->gpus);
    inv.gpus[0].key[0] = 77; /* another card in the slot */
    node_hello(f, 1, &inv);
    submit(f, wanting(2, 1, 1, GIB));
    assert_int_not_equal(__builtin_ctz(leased(f, 2)->gpus), unit);
    struct core_node_view view;
    assert_true(core_node_get(f->core, (struct node_id){1}, &view));
    assert_int_equal(view.total.gpu_milli, 1000);
    assert_int_equal(view.free.gpu_milli, 0);
}

static void a_smaller_node_owes_what_it_leased_before(void **state)
{
    struct fixture *f = *state;
    struct core_node_view view;
    node_up(f, 1, 8, 0, 16 * GIB);
    submit(f, wanting(1, 4, 0, 12 * GIB));
    node_up(f, 1, 6, 0, 10 * GIB);
    assert_true(core_node_get(f->core, (struct node_id){1}, &view));
    assert_int_equal(view.free.memory_bytes, 0);
    assert_int_equal(view.free.cores, 2);
    submit(f, wanting(3, 1, 0, 0));
    assert_non_null(started(f, 3)); /* who wants no memory lacks none */
    submit(f, wanting(2, 1, 0, GIB));
    assert_null(started(f, 2));
    lives(f, 1, 1, 1);
    assert_int_equal(job_view(f, 2).state, JOB_PREPARING);
}

static void the_largest_node_is_used_to_its_last_core_and_gpu(void **state)
{
    struct fixture *f = *state;
    struct core_inventory inv =
        *inventory_of((struct shape){RESOURCE_CORES_MAX, 2, RESOURCE_GPUS_MAX, 8, 4096 * GIB});
    node_hello(f, 1, &inv);
    submit(f, wanting(1, RESOURCE_CORES_MAX, RESOURCE_GPUS_MAX, 4096 * GIB));
    assert_int_equal(count_cores(leased(f, 1)), RESOURCE_CORES_MAX);
    lives(f, 1, 1, 1);
    inv.core_count++; /* one past the limit */
    struct core_event event = {.kind = CORE_EVENT_NODE_UP};
    event.as.node.node.v = 1;
    event.as.node.inventory = &inv;
    assert_non_null(core_event_check(&event));
}

static void bad_inventories_are_named_before_they_reach_the_core(void **state)
{
    (void)state;
    struct core_inventory inv;
    struct core_event event = {.kind = CORE_EVENT_NODE_UP};
    event.as.node.node.v = 1;
    event.as.node.inventory = &inv;
    const struct core_inventory good = *inventory_of((struct shape){2, 1, 2, 1, GIB});
#define BAD(change)                                                                                          \
    do {                                                                                                     \
        inv = good;                                                                                          \
        change;                                                                                              \
        assert_non_null(core_event_check(&event));                                                           \
    } while (0)
    inv = good;
    assert_null(core_event_check(&event));
    BAD(inv.cores[0].unit = 1);
    BAD(inv.cores[0].unit = RESOURCE_CORES_MAX);
    BAD(inv.cores[0].threads = 0);
    BAD(inv.cores[0].threads = RESOURCE_CORE_THREADS_MAX + 1);
    BAD(inv.cores[0].numa = RESOURCE_NUMA_MAX);
    BAD(inv.gpus[0] = inv.gpus[1]);
    BAD(inv.gpus[0].key[0] = 0);
    BAD(inv.gpus[0].numa = RESOURCE_NUMA_MAX);
    BAD(inv.gpu_count = RESOURCE_GPUS_MAX + 1);
    BAD(inv.memory_bytes = RESOURCE_MEMORY_MAX_BYTES + 1);
    BAD(event.as.node.inventory = NULL);
#undef BAD
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(cpus_are_rounded_up_to_whole_cores),
        TEST(on_a_mixed_machine_a_core_counts_what_it_has),
        TEST(cores_lie_beside_their_gpus),
        TEST(a_small_job_fills_the_fuller_numa_node_and_leaves_the_other_whole),
        TEST(what_fits_no_numa_node_is_spread),
        TEST(a_gpu_keeps_its_unit_when_the_order_changes),
        TEST(a_gpu_that_is_gone_stays_leased_and_its_place_is_not_given_away),
        TEST(a_smaller_node_owes_what_it_leased_before),
        TEST(the_largest_node_is_used_to_its_last_core_and_gpu),
        TEST(bad_inventories_are_named_before_they_reach_the_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
