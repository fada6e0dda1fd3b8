/* executor/inventory: this machine and simulated ones (hwloc's own synthetic topologies), and inventories
 * from files. The GPU part is test_gpu_probe's; here only that it arrives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "executor/inventory.h"
#include "executor/inventory_host.h"
#include "gpu/entry.h"
#include "proto/json.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define GIB (1ll << 30)

static cJSON *read_machine(void)
{
    static const struct inventory_options options = {.no_gpus = true};
    struct error err = {0};
    cJSON *out = NULL;
    if (!inventory_read(&options, &out, &err))
        fail_msg("%s: %s", err.field, err.message);
    return out;
}

static const cJSON *nth(const cJSON *inventory, const char *list, int n)
{
    return cJSON_GetArrayItem(json_get(inventory, list), n);
}

static int cpus_of(const cJSON *inventory)
{
    const cJSON *core;
    int sum = 0;
    cJSON_ArrayForEach(core, json_get(inventory, "cores")) sum += cJSON_GetArraySize(json_get(core, "cpus"));
    return sum;
}

static void this_machine_is_described_as_far_as_this_process_may_use_it(void **state)
{
    (void)state;
    cpu_set_t mine;
    assert_int_equal(sched_getaffinity(0, sizeof mine, &mine), 0);
    _cleanup_json_ cJSON *out = read_machine();
    assert_int_equal(cpus_of(out), CPU_COUNT(&mine));
    assert_true(json_int(out, "memory_bytes", 0) > 64 << 20);
    assert_true(json_str(out, "hostname", "")[0]);
    assert_true(json_str(out, "cpu_model", "")[0]);
    assert_true(cJSON_IsNull(json_get(out, "gpu_error")));

    int one = 0;
    while (!CPU_ISSET(one, &mine))
        one++;
    cpu_set_t single;
    CPU_ZERO(&single);
    CPU_SET(one, &single);
    assert_int_equal(sched_setaffinity(0, sizeof single, &single), 0);
    _cleanup_json_ cJSON *cut = read_machine();
    assert_int_equal(sched_setaffinity(0, sizeof mine, &mine), 0);
    assert_int_equal(cpus_of(cut), 1);
    assert_int_equal(json_int(nth(cut, "cores", 0), "id", -1), one);
    cJSON *cpu = cJSON_GetArrayItem(json_get(nth(cut, "cores", 0), "cpus"), 0);
    assert_int_equal(cpu->valueint, one);
}

static void smt_siblings_make_one_core_and_numa_nodes_hold_theirs(void **state)
{
    (void)state;
    setenv("HWLOC_SYNTHETIC", "package:2 [numa(memory=34359738368)] core:8 pu:2", 1);
    _cleanup_json_ cJSON *out = read_machine();
    unsetenv("HWLOC_SYNTHETIC");
    assert_int_equal(json_int(out, "packages", 0), 2);
    assert_int_equal(cJSON_GetArraySize(json_get(out, "cores")), 16);
    assert_int_equal(cpus_of(out), 32);
    assert_int_equal(json_int(out, "memory_bytes", 0), 64 * GIB);
    const cJSON *last = nth(out, "cores", 15);
    assert_int_equal(json_int(last, "package", -1), 1);
    assert_int_equal(json_int(last, "numa", -1), 1);
    assert_int_equal(cJSON_GetArraySize(json_get(last, "cpus")), 2);
    assert_int_equal(json_int(last, "id", -1), 30);
    assert_string_equal(json_str(nth(out, "numa", 1), "cpus", ""), "16-31");
    assert_int_equal(json_int(nth(out, "numa", 1), "memory_bytes", 0), 32 * GIB);
}

static void a_machine_that_shows_no_cores_has_one_for_each_cpu(void **state)
{
    (void)state;
    setenv("HWLOC_SYNTHETIC", "package:1 [numa] pu:6", 1);
    _cleanup_json_ cJSON *out = read_machine();
    unsetenv("HWLOC_SYNTHETIC");
    assert_int_equal(cJSON_GetArraySize(json_get(out, "cores")), 6);
}

static void a_machine_past_the_limit_is_refused_and_one_of_many_cpus_is_not(void **state)
{
    (void)state;
    struct error err = {0};
    static const struct inventory_options options = {.no_gpus = true};
    cJSON *out = NULL;
    setenv("HWLOC_SYNTHETIC", "package:2 [numa] core:600 pu:1", 1);
    assert_false(inventory_read(&options, &out, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_null(out);
    setenv("HWLOC_SYNTHETIC", "package:8 [numa] core:128 pu:2",
           1); /* CPU indexes pass 1,023: ids are the order */
    _cleanup_json_ cJSON *large = read_machine();
    unsetenv("HWLOC_SYNTHETIC");
    assert_int_equal(json_int(nth(large, "cores", 1023), "id", -1), 1023);
    assert_int_equal(cpus_of(large), 2048);
}

static void put_file(const char *root, const char *path, const char *text)
{
    _cleanup_free_ char *full = xasprintf("%s%s", root, path);
    char *slash = strrchr(full, '/');
    *slash = '\0';
    assert_true(fs_mkdirs(full, 0755, NULL));
    *slash = '/';
    assert_true(fs_write_atomic(AT_FDCWD, full, text, strlen(text), 0644, NULL));
}

static void the_least_memory_limit_on_the_way_up_counts(void **state)
{
    (void)state;
    char root[] = "/tmp/berth-test-inventory-XXXXXX";
    assert_non_null(mkdtemp(root));
    put_file(root, "/proc/self/cgroup", "0::/user.slice/job\n");
    put_file(root, "/sys/fs/cgroup/user.slice/memory.max", "1073741824\n");
    put_file(root, "/sys/fs/cgroup/user.slice/job/memory.max", "max\n");
    assert_int_equal(inventory_memory_limit_bytes(root), GIB);
    put_file(root, "/proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/a/b\n0::/\n");
    put_file(root, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(inventory_memory_limit_bytes(root), INT64_MAX);
    put_file(root, "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "4096\n");
    put_file(root, "/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "8192\n");
    assert_int_equal(inventory_memory_limit_bytes(root), 4096);
    put_file(root, "/proc/cpuinfo", "processor\t: 0\nmodel name\t: A CPU @ 3 GHz\nflags\t: fpu\n");
    _cleanup_free_ char *model = inventory_cpu_model(root);
    assert_string_equal(model, "A CPU @ 3 GHz");
    put_file(root, "/etc/os-release", "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
    _cleanup_json_ cJSON *host = cJSON_CreateObject();
    inventory_add_host(host, root);
    assert_string_equal(json_str(host, "os", ""), "Debian GNU/Linux 12 (bookworm)");
    assert_string_equal(json_str(host, "cgroup", ""), "none");
    assert_true(fs_remove_tree(AT_FDCWD, root, NULL));
}

#define GOOD                                                                                                 \
    "{\"version\":1,\"memory_bytes\":1000000000,\"cores\":[{\"id\":0,\"package\":0,\"numa\":0,\"cpus\":[0,"  \
    "1]}],"                                                                                                  \
    "\"gpus\":[{\"index\":0,\"uuid\":\"GPU-1\",\"name\":\"X\",\"memory_bytes\":1}]}"

#define TWIN "{\"index\":1,\"uuid\":\"GPU-2\",\"name\":\"Y\",\"memory_bytes\":1,"
#define LINK "{\"to\":0,\"kind\":\"nvlink\",\"nvlinks\":128,\"p2p\":null}"

static bool from_text(const char *text, cJSON **out, struct error *err)
{
    char path[] = "/tmp/berth-test-inventory-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && fs_write_all(fd, text, strlen(text)));
    close(fd);
    memset(err, 0, sizeof *err);
    bool ok = inventory_from_file(path, out, err);
    unlink(path);
    return ok;
}

static void a_simulated_inventory_is_completed_and_checked(void **state)
{
    (void)state;
    struct error err = {0};
    cJSON *out = NULL;
    assert_true(from_text(GOOD, &out, &err));
    assert_string_equal(json_str(out, "hostname", ""), "simulated");
    assert_true(cJSON_IsArray(json_get(out, "numa")));
    cJSON_Delete(out);
    _cleanup_json_ cJSON *machine = read_machine();
    _cleanup_free_ char *text = json_text(machine);
    assert_true(from_text(text, &out, &err)); /* what is printed can be given back */
    cJSON_Delete(out);
}

static void a_wrong_inventory_is_refused_by_the_name_of_the_field(void **state)
{
    (void)state;
    static const struct {
        const char *find, *put, *field;
        enum error_code code;
    } cases[] = {
        {"\"version\":1", "\"version\":2", "", ERROR_VERSION},
        {"\"version\":1,", "", "version", ERROR_INVALID},
        {"1000000000", "0", "memory_bytes", ERROR_INVALID},
        {"1000000000", "\"much\"", "memory_bytes", ERROR_INVALID},
        {"1000000000", "1.5", "memory_bytes", ERROR_INVALID},
        {"\"id\":0", "\"id\":1024", "cores[0].id", ERROR_INVALID},
        {"\"id\":0", "\"id\":-1", "cores[0].id", ERROR_INVALID},
        {"[0,1]", "[]", "cores[0].cpus", ERROR_INVALID},
        {"[0,1]", "[1,1]", "cores[0].cpus", ERROR_INVALID},
        {"[0,1]", "[0,99999]", "cores[0].cpus", ERROR_INVALID},
        {"[0,1]", "\"0-1\"", "cores[0].cpus", ERROR_INVALID},
        {"\"GPU-1\"", "\"\"", "gpus[0].uuid", ERROR_INVALID},
        {"\"name\":\"X\"", "\"name\":7", "gpus[0].name", ERROR_INVALID},
        {"\"index\":0,", "", "gpus[0].index", ERROR_INVALID},
        {"\"index\":0", "\"links\":7,\"index\":0", "gpus[0].links", ERROR_INVALID},
        {"\"index\":0", "\"links\":[{\"to\":0,\"kind\":\"numa\"}],\"index\":0", "gpus[0].links",
         ERROR_INVALID},
        {"\"index\":0", "\"links\":[{\"to\":1,\"kind\":\"numa\"}],\"index\":0", "gpus[0].links",
         ERROR_INVALID},
        {"\"gpus\":[{", "\"gpus\":[" TWIN "\"links\":[{\"to\":0,\"kind\":\"near\"}]},{", "gpus[0].links",
         ERROR_INVALID},
        {"\"gpus\":[{", "\"gpus\":[" TWIN "\"links\":[" LINK "," LINK "]},{", "gpus[0].links", ERROR_INVALID},
        {"\"gpus\":[{", "\"gpus\":[" TWIN "\"links\":[{\"to\":0,\"kind\":\"nvlink\",\"nvlinks\":129}]},{",
         "gpus[0].links", ERROR_INVALID},
        {"\"gpus\":[{", "\"gpus\":[" TWIN "\"links\":[{\"to\":0,\"kind\":\"numa\",\"p2p\":\"yes\"}]},{",
         "gpus[0].links", ERROR_INVALID},
        {"\"index\":0", "\"mig\":{\"profile\":\"1g.3gb\",\"gi\":1,\"ci\":0},\"index\":0", "gpus[0].mig",
         ERROR_INVALID},
        {"\"index\":0", "\"mig\":{\"parent\":\"GPU-2\",\"gi\":1,\"ci\":0},\"index\":0", "gpus[0].mig",
         ERROR_INVALID},
        {"\"index\":0", "\"mig\":{\"parent\":\"GPU-2\",\"profile\":\"x\",\"gi\":-1,\"ci\":0},\"index\":0",
         "gpus[0].mig", ERROR_INVALID},
        {"\"index\":0",
         "\"mig\":{\"parent\":\"GPU-2\",\"profile\":\"x\",\"gi\":1,\"ci\":0,\"caps\":[1,2,3]},\"index\":0",
         "gpus[0].mig", ERROR_INVALID},
        {"\"cores\"", "\"kores\"", "cores", ERROR_INVALID},
        {"\"gpus\":[", "\"numa\":7,\"gpus\":[", "numa", ERROR_INVALID},
        {"\"gpus\":[{", "\"gpus\":[{\"index\":1,\"uuid\":\"GPU-1\",\"name\":\"Y\",\"memory_bytes\":1},{",
         "gpus[1].uuid", ERROR_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error err;
        cJSON *out = NULL;
        const char *at = strstr(GOOD, cases[i].find);
        assert_non_null(at);
        _cleanup_free_ char *text =
            xasprintf("%.*s%s%s", (int)(at - GOOD), GOOD, cases[i].put, at + strlen(cases[i].find));
        if (from_text(text, &out, &err))
            fail_msg("accepted: %s", text);
        assert_null(out);
        assert_int_equal(err.code, cases[i].code);
        assert_string_equal(err.field, cases[i].field);
    }
    struct error err = {0};
    cJSON *out = NULL;
    assert_false(from_text("[]", &out, &err));
    assert_false(from_text("{", &out, &err));
    assert_false(from_text("", &out, &err));
    assert_false(inventory_from_file("/nonexistent/berth", &out, &err));
    assert_int_equal(err.code, ERROR_NOT_FOUND);
}

static void gpus_and_a_drivers_failure_arrive_in_the_inventory(void **state)
{
    (void)state;
    char library[4200], self[4096] = "";
    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) >
                0); /* valgrind: not /proc/self/exe itself */
    int folder = (int)(strrchr(self, '/') - self);
    snprintf(library, sizeof library, "%.*s/../fakes/libcuda.so.1", folder, self);
    struct inventory_options options = {
        .gpu = {.program = self, .cuda_library = library, .deadline_ms = 60000}};
    struct error err = {0};
    cJSON *out = NULL;
    static const char *const machines[] = {
        "gpus=8;seed=inventory;topology=islands",
        "gpus=3;seed=inventory;mig.0=1g.3gb,1g.3gb,2g.6gb;mig.1=1g.3gb,2g.6gb,3g.9gb",
        "gpus=2;seed=inventory;nvml=error:9"};
    static const int counts[] = {8, 7, 2};
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
        setenv("BERTH_FAKE_GPUS", machines[i], 1);
        assert_true(inventory_read(&options, &out, &err));
        assert_int_equal(cJSON_GetArraySize(json_get(out, "gpus")), counts[i]);
        _cleanup_free_ char *text = json_text(out);
        cJSON_Delete(out);
        assert_true(from_text(text, &out, &err)); /* what is found can be given back */
        cJSON_Delete(out);
    }
    setenv("BERTH_FAKE_GPUS", "cuda=hang", 1);
    options.gpu.deadline_ms = 300;
    assert_true(inventory_read(&options, &out, &err));
    assert_int_equal(cJSON_GetArraySize(json_get(out, "gpus")), 0);
    assert_string_equal(json_str(out, "gpu_error", ""), "the CUDA driver did not answer in 0.3 s");
    cJSON_Delete(out);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "gpu-probe") == 0)
        return gpu_probe_main(argc - 1, argv + 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(this_machine_is_described_as_far_as_this_process_may_use_it),
        cmocka_unit_test(smt_siblings_make_one_core_and_numa_nodes_hold_theirs),
        cmocka_unit_test(a_machine_that_shows_no_cores_has_one_for_each_cpu),
        cmocka_unit_test(a_machine_past_the_limit_is_refused_and_one_of_many_cpus_is_not),
        cmocka_unit_test(the_least_memory_limit_on_the_way_up_counts),
        cmocka_unit_test(a_simulated_inventory_is_completed_and_checked),
        cmocka_unit_test(a_wrong_inventory_is_refused_by_the_name_of_the_field),
        cmocka_unit_test(gpus_and_a_drivers_failure_arrive_in_the_inventory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
