/* gpu: how GPUs are linked and divided, through the real dlopen path, against the fake driver libraries of
 * tests/fakes. This program is its own probe child: main() hands `gpu-probe` on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "gpu/entry.h"
#include "gpu/probe.h"
#include "proto/gpu_link.h"
#include "proto/json.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char self[4096]; /* under valgrind /proc/self/exe would start valgrind */
static char library[4200];

static struct gpu_probe_options options(void)
{
    return (struct gpu_probe_options){.program = self, .cuda_library = library, .deadline_ms = 60000};
}

static cJSON *probe(const char *pretend)
{
    struct gpu_probe_options o = options();
    setenv("BERTH_FAKE_GPUS", pretend, 1);
    return gpu_probe_inventory(&o);
}

static const cJSON *gpu(const cJSON *out, int index)
{
    const cJSON *found = cJSON_GetArrayItem(json_get(out, "gpus"), index);
    assert_non_null(found);
    assert_int_equal(json_int(found, "index", -1), index);
    return found;
}

static const cJSON *link_of(const cJSON *out, int from, int to)
{
    const cJSON *link, *found = NULL;
    cJSON_ArrayForEach(link, json_get(gpu(out, from), "links"))
    {
        if (json_int(link, "to", -1) != to)
            continue;
        assert_null(found); /* no pair twice */
        found = link;
    }
    return found;
}

static void expect_link(const cJSON *out, int from, int to, const char *kind, int nvlinks, int p2p)
{
    const cJSON *link = link_of(out, from, to);
    assert_non_null(link);
    assert_string_equal(json_str(link, "kind", ""), kind);
    assert_int_equal(json_int(link, "nvlinks", -1), nvlinks);
    if (p2p < 0)
        assert_true(cJSON_IsNull(json_get(link, "p2p")));
    else
        assert_int_equal(json_bool(link, "p2p", !p2p), p2p);
}

static void islands_of_nvlinks_are_told_from_the_rest(void **state)
{
    (void)state;
    _cleanup_json_ cJSON *out = probe("gpus=8;topology=islands");
    assert_true(cJSON_IsNull(json_get(out, "gpu_error")));
    for (int from = 0; from < 8; from++) {
        assert_int_equal(cJSON_GetArraySize(json_get(gpu(out, from), "links")), 7);
        assert_true(cJSON_IsNull(json_get(gpu(out, from), "mig")));
        for (int to = 0; to < 8; to++) {
            if (from == to)
                assert_null(link_of(out, from, to));
            else if (from / 4 == to / 4)
                expect_link(out, from, to, "nvlink", 4, true);
            else
                expect_link(out, from, to, "system", 0, false);
        }
    }
    assert_true(json_bool(link_of(out, 0, 1), "atomics", false));
    assert_int_equal(json_int(link_of(out, 0, 1), "rank", -1), 0);
    assert_null(json_get(link_of(out, 0, 4), "rank")); /* they don't reach each other */
}

static void pcie_and_numa_stand_where_there_is_no_nvlink(void **state)
{
    (void)state;
    _cleanup_json_ cJSON *out = probe("gpus=5;pcie.1=0;bridge.1=0;bridge.2=0;node.4=1;nvlink.0=4:2,3:1;"
                                      "nvlink.4=0:2;nvlink.3=0:1");
    expect_link(out, 0, 1, "pcie_switch", 0, true);
    expect_link(out, 0, 2, "pcie_bridge", 0, true);
    expect_link(out, 1, 3, "numa", 0, true);
    expect_link(out, 1, 4, "system", 0, true);
    expect_link(out, 0, 4, "nvlink", 2, true); /* also across NUMA nodes */
    expect_link(out, 4, 0, "nvlink", 2, true);
    expect_link(out, 3, 0, "nvlink", 1, true);
}

static void nvlinks_to_switches_lead_to_every_gpu_on_them(void **state)
{
    (void)state;
    _cleanup_json_ cJSON *out = probe("gpus=3;nvswitch=18;nvlink.0=1:2;nvlink.1=0:2");
    expect_link(out, 0, 2, "nvlink", 18, true);
    expect_link(out, 1, 0, "nvlink", 20, true);
    _cleanup_json_ cJSON *down = probe("gpus=2;nvswitch=18;fabric=off"); /* no fabric manager runs */
    expect_link(down, 0, 1, "numa", 0, true);
}

static void what_fails_leaves_links_unknown_and_costs_no_gpu(void **state)
{
    (void)state;
    _cleanup_json_ cJSON *no_peers = probe("gpus=2;p2p=error:999");
    expect_link(no_peers, 0, 1, "numa", 0, -1);
    static const char *const ways[] = {"gpus=2;links=error:999", "gpus=2;nvml=error:9", "gpus=2;nvml=crash"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        _cleanup_json_ cJSON *out = probe(ways[i]);
        assert_int_equal(cJSON_GetArraySize(json_get(out, "gpus")), 2);
        assert_true(cJSON_IsNull(json_get(out, "gpu_error")));
        assert_int_equal(cJSON_GetArraySize(json_get(gpu(out, 0), "links")), 0);
        assert_true(cJSON_IsNull(json_get(gpu(out, 0), "mig")));
    }
    struct gpu_probe_options hanging = options();
    hanging.deadline_ms = 2000;
    setenv("BERTH_FAKE_GPUS", "gpus=2;nvml=hang", 1);
    _cleanup_json_ cJSON *out = gpu_probe_inventory(&hanging);
    /* A machine that is too busy to answer for CUDA in that time says so, and has no GPUs to lose. */
    if (!json_str(out, "gpu_error", NULL))
        assert_int_equal(cJSON_GetArraySize(json_get(out, "gpus")), 2);
}

static void put_file(const char *root, const char *path, const char *text)
{
    struct error err = {0};
    _cleanup_free_ char *full = xasprintf("%s%s", root, path);
    char *slash = strrchr(full, '/');
    *slash = '\0';
    assert_true(fs_mkdirs(full, 0755, &err));
    *slash = '/';
    assert_true(fs_write_atomic(AT_FDCWD, full, text, strlen(text), 0644, &err));
}

static void numa_nodes_tell_the_least_where_nvml_says_nothing(void **state)
{
    (void)state;
    char root[] = "/tmp/berth-test-gpu-XXXXXX";
    assert_non_null(mkdtemp(root));
    put_file(root, "/sys/bus/pci/devices/0000:3a:00.0/numa_node", "0\n");
    put_file(root, "/sys/bus/pci/devices/0000:3b:00.0/numa_node", "0\n");
    put_file(root, "/sys/bus/pci/devices/0000:3c:00.0/numa_node", "1\n");
    setenv("BERTH_FAKE_GPUS", "gpus=4;nvml=error:9", 1);
    struct gpu_probe_options o = options();
    o.system_root = root;
    _cleanup_json_ cJSON *out = gpu_probe_inventory(&o);
    expect_link(out, 0, 1, "numa", 0, true);
    expect_link(out, 0, 2, "system", 0, true);
    assert_null(link_of(out, 0, 3));
    assert_true(fs_remove_tree(AT_FDCWD, root, NULL));
}

static void a_gpu_in_mig_mode_stands_there_as_its_instances(void **state)
{
    (void)state;
    char root[] = "/tmp/berth-test-gpu-XXXXXX";
    assert_non_null(mkdtemp(root));
    put_file(root, "/sys/bus/pci/devices/0000:3b:00.0/numa_node", "1\n");
    put_file(root, "/proc/driver/nvidia/gpus/0000:3b:00.0/information", "Device Minor: \t 1\n");
    put_file(root, "/proc/driver/nvidia/capabilities/gpu1/mig/gi8/access",
             "DeviceFileMinor: 21\nDeviceFileMode: 292\nDeviceFileModify: 1\n");
    put_file(root, "/proc/driver/nvidia/capabilities/gpu1/mig/gi8/ci0/access", "DeviceFileMinor: 22\n");
    setenv("BERTH_FAKE_GPUS", "gpus=3;seed=mig;mig.1=1g.3gb,2g.6gb;nvlink.0=2:4;nvlink.2=0:4", 1);
    struct gpu_probe_options o = options();
    o.system_root = root;
    /* CUDA shows nothing but the first instance; the whole GPUs come from NVML. */
    _cleanup_json_ cJSON *out = gpu_probe_inventory(&o);
    assert_true(fs_remove_tree(AT_FDCWD, root, NULL));
    assert_true(cJSON_IsNull(json_get(out, "gpu_error")));
    assert_int_equal(cJSON_GetArraySize(json_get(out, "gpus")), 4);
    const cJSON *instance = gpu(out, 2), *mig = json_get(instance, "mig");
    assert_true(strncmp(json_str(instance, "uuid", ""), "MIG-", 4) == 0);
    assert_string_equal(json_str(instance, "name", ""), "Berth Fake GPU MIG 2g.6gb");
    assert_int_equal(json_int(instance, "memory_bytes", 0), 6ll << 30);
    assert_int_equal(json_int(instance, "multiprocessors", 0), 28);
    assert_int_equal(json_int(instance, "numa", -1), 1);
    assert_int_equal(json_int(instance, "minor", -1), 1);
    assert_string_equal(json_str(instance, "compute_capability", ""), "8.6");
    assert_int_equal(strlen(json_str(mig, "parent", "")), 40);
    assert_string_equal(json_str(mig, "profile", ""), "2g.6gb");
    assert_int_equal(json_int(mig, "gi", -1), 8);
    assert_int_equal(json_int(mig, "ci", -1), 0);
    assert_int_equal(cJSON_GetArraySize(json_get(mig, "caps")), 2);
    assert_int_equal(cJSON_GetArrayItem(json_get(mig, "caps"), 1)->valueint, 22);
    assert_int_equal(cJSON_GetArraySize(json_get(instance, "links")), 0);
    assert_int_equal(cJSON_GetArraySize(json_get(gpu(out, 0), "links")), 1);
    expect_link(out, 0, 3, "nvlink", 4, -1);
    assert_string_equal(json_str(gpu(out, 3), "name", ""), "Berth Fake GPU");
    assert_int_equal(json_int(gpu(out, 3), "memory_bytes", 0), 24ll << 30);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < i; k++)
            assert_string_not_equal(json_str(gpu(out, i), "uuid", ""), json_str(gpu(out, k), "uuid", ""));
}

static void an_older_driver_that_names_no_profile_gets_it_put_together(void **state)
{
    (void)state;
    _cleanup_json_ cJSON *out = probe("mig.0=1g.3gb,7g.24gb;names=old");
    assert_string_equal(json_str(json_get(gpu(out, 0), "mig"), "profile", ""), "1g.3gb");
    assert_string_equal(json_str(json_get(gpu(out, 1), "mig"), "profile", ""), "7g.24gb");
    assert_string_equal(json_str(gpu(out, 1), "name", ""), "Berth Fake GPU MIG 7g.24gb");
}

static void a_divided_gpu_without_instances_is_not_offered_and_says_why(void **state)
{
    (void)state;
    _cleanup_json_ cJSON *out = probe("gpus=2;mig.0=none");
    assert_int_equal(cJSON_GetArraySize(json_get(out, "gpus")), 1);
    assert_string_equal(json_str(gpu(out, 0), "pci", ""), "0000:3b:00.0");
    assert_non_null(
        strstr(json_str(out, "gpu_error", ""), "0000:3a:00.0 is in MIG mode and has no instances"));
    _cleanup_json_ cJSON *alone = probe("mig.0=none");
    assert_int_equal(cJSON_GetArraySize(json_get(alone, "gpus")), 0);
    assert_non_null(strstr(json_str(alone, "gpu_error", ""), "nvidia-smi mig -cgi"));
    _cleanup_json_ cJSON *failing = probe("gpus=2;mig.0=1g.3gb;mig=error:999;mode.1=2");
    assert_int_equal(cJSON_GetArraySize(json_get(failing, "gpus")), 0); /* the other one is prohibited */
}

static void more_instances_than_a_node_may_have_are_cut_and_said(void **state)
{
    (void)state;
    char pretend[1024] = "gpus=8";
    for (int i = 0; i < 8; i++) {
        size_t n = strlen(pretend);
        snprintf(pretend + n, sizeof pretend - n, ";mig.%d=1g.3gb,1g.3gb,1g.3gb,1g.3gb,1g.3gb", i);
    }
    _cleanup_json_ cJSON *out = probe(pretend);
    int expected = RESOURCE_GPUS_MAX < 40 ? RESOURCE_GPUS_MAX : 40;
    assert_int_equal(cJSON_GetArraySize(json_get(out, "gpus")), expected);
    assert_true((json_str(out, "gpu_error", NULL) != NULL) == (expected < 40));
}

static void who_computes_on_an_instance_is_told_of_that_instance(void **state)
{
    (void)state;
    struct gpu_usage usage[4];
    size_t count = 0;
    struct error err = {0};
    struct gpu_probe_options o = options();
    _cleanup_json_ cJSON *out = probe("gpus=2;mig.0=1g.3gb,2g.6gb;compute.0.1=1:1048576");
    assert_true(gpu_probe_usage(&o, usage, 4, &count, &err));
    assert_int_equal(count, 3);
    assert_int_equal(usage[0].compute_count, 0);
    assert_int_equal(usage[1].compute_count, 1);
    for (int i = 0; i < 3; i++)
        assert_string_equal(usage[i].uuid, json_str(gpu(out, i), "uuid", ""));
}

static void kinds_of_links_have_names_that_are_read_back(void **state)
{
    (void)state;
    enum gpu_link back = GPU_LINK_COUNT;
    for (int i = 0; i < GPU_LINK_COUNT; i++) {
        assert_true(gpu_link_parse(gpu_link_name((enum gpu_link)i), &back));
        assert_int_equal(back, i);
    }
    assert_false(gpu_link_parse("NVLINK", &back));
    assert_string_equal(gpu_link_name(GPU_LINK_COUNT), "?");
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "gpu-probe") == 0)
        return gpu_probe_main(argc - 1, argv + 1);
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 64);
    if (n <= 0)
        return 1;
    snprintf(library, sizeof library, "%.*s/../fakes/libcuda.so.1", (int)(strrchr(self, '/') - self), self);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(islands_of_nvlinks_are_told_from_the_rest),
        cmocka_unit_test(pcie_and_numa_stand_where_there_is_no_nvlink),
        cmocka_unit_test(nvlinks_to_switches_lead_to_every_gpu_on_them),
        cmocka_unit_test(what_fails_leaves_links_unknown_and_costs_no_gpu),
        cmocka_unit_test(numa_nodes_tell_the_least_where_nvml_says_nothing),
        cmocka_unit_test(a_gpu_in_mig_mode_stands_there_as_its_instances),
        cmocka_unit_test(an_older_driver_that_names_no_profile_gets_it_put_together),
        cmocka_unit_test(a_divided_gpu_without_instances_is_not_offered_and_says_why),
        cmocka_unit_test(more_instances_than_a_node_may_have_are_cut_and_said),
        cmocka_unit_test(who_computes_on_an_instance_is_told_of_that_instance),
        cmocka_unit_test(kinds_of_links_have_names_that_are_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
