/* scheduler/inventory: how what a node tells of its GPUs is understood. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/json.h"
#include "scheduler/inventory.h"

#include <string.h>

static void links_between_gpus_become_closeness_that_is_the_same_both_ways(void **state)
{
    (void)state;
    static const char linked[] =
        "{\"memory_bytes\":1073741824,\"cores\":[{\"id\":0,\"cpus\":[0]}],\"gpus\":["
        "{\"index\":7,\"uuid\":\"A\",\"name\":\"H100\",\"numa\":0,\"links\":[{\"to\":3,\"kind\":\"nvlink\","
        "\"nvlinks\":"
        "18},{\"to\":4,\"kind\":\"pcie_switch\"},{\"to\":99,\"kind\":\"nvlink\"},{\"to\":7,\"kind\":"
        "\"nvlink\"}]},"
        "{\"index\":3,\"uuid\":\"B\",\"name\":\"H100\",\"numa\":0,\"links\":[{\"to\":7,\"kind\":\"pcie_"
        "bridge\"}]},"
        "{\"index\":4,\"uuid\":\"C\",\"name\":\"H200\",\"numa\":1,\"links\":[{\"to\":7,\"kind\":"
        "\"telepathy\"}]},"
        "{\"index\":5,\"uuid\":\"D\",\"numa\":null},"
        "{\"index\":6,\"uuid\":\"MIG-1\",\"name\":\"H100 MIG "
        "1g.10gb\",\"numa\":1,\"links\":[],\"mig\":{\"parent\":"
        "\"GPU-00112233-4455-6677-8899-aabbccddeeff\",\"profile\":\"1g.10gb\",\"gi\":7,\"ci\":0}}]}";
    struct error err = {0};
    _cleanup_json_ cJSON *json = json_parse(linked, sizeof linked - 1, &err);
    struct inventory *inv = inventory_parse(json, &err);
    assert_non_null(inv);
    static const uint8_t expected[5][5] = {
        {0, 172, 60, 0, 0}, {172, 0, 10, 0, 0}, {60, 10, 0, 0, 0}, {0, 0, 0, 0, 0}, {0, 0, 0, 0, 0}};
    for (int a = 0; a < 5; a++)
        for (int b = 0; b < 5; b++)
            assert_int_equal(inv->gpus[a].link[b], expected[a][b]);
    assert_string_equal(inv->gpus[0].model, "H100");
    assert_string_equal(inv->gpus[2].model, "H200");
    assert_string_equal(inv->gpus[3].model, "GPU");
    assert_false(inv->gpus[0].mig);
    assert_true(inv->gpus[4].mig);
    assert_int_equal(inv->gpus[4].parent[15], 0xff);
    assert_string_equal(inv->gpus[4].profile, "1g.10gb");
    inventory_destroy(inv);
}

static void nvlinks_beat_pcie_and_more_of_them_fewer(void **state)
{
    (void)state;
    uint8_t last = 0;
    for (int kind = 0; kind < GPU_LINK_COUNT; kind++) {
        assert_true(inventory_link_closeness((enum gpu_link)kind, 0) > last);
        last = inventory_link_closeness((enum gpu_link)kind, 0);
    }
    assert_int_equal(inventory_link_closeness(GPU_LINK_NUMA, 64), inventory_link_closeness(GPU_LINK_NUMA, 0));
    for (uint32_t n = 1; n <= 38; n++)
        assert_int_equal(inventory_link_closeness(GPU_LINK_NVLINK, n), 100 + 4 * n);
    assert_int_equal(inventory_link_closeness(GPU_LINK_NVLINK, 39), 252);
    assert_int_equal(inventory_link_closeness(GPU_LINK_NVLINK, UINT32_MAX), 252);
    assert_int_equal(inventory_link_closeness(GPU_LINK_COUNT, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_between_gpus_become_closeness_that_is_the_same_both_ways),
        cmocka_unit_test(nvlinks_beat_pcie_and_more_of_them_fewer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
