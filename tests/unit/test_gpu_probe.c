/* gpu: the probe child, through the real dlopen path, against the fake driver libraries of tests/fakes. This
 * program is its own probe child: main() hands `gpu-probe` on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "gpu/dirty.h"
#include "gpu/entry.h"
#include "gpu/probe.h"
#include "proto/json.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GIB (1ull << 30)
#define MIB (1ull << 20)

static char self[4096];  /* under valgrind /proc/self/exe would start valgrind */
static char fakes[4110]; /* the folder of the fake libraries */

static const struct gpu_probe_options *with_library(const char *file)
{
    static struct gpu_probe_options options;
    static char path[4200];
    snprintf(path, sizeof path, "%s/%s", fakes, file);
    options = (struct gpu_probe_options){.program = self, .cuda_library = path, .deadline_ms = 60000};
    return &options;
}

static cJSON *probe(const char *pretend)
{
    setenv("BERTH_FAKE_GPUS", pretend, 1);
    return gpu_probe_inventory(with_library("libcuda.so.1"));
}

static void every_gpu_is_found_with_its_facts(void **state)
{
    (void)state;
    static const int counts[] = {0, 1, 2, 8};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        char pretend[64];
        snprintf(pretend, sizeof pretend, "gpus=%d;seed=facts", counts[i]);
        _cleanup_json_ cJSON *out = probe(pretend);
        const cJSON *gpus = json_get(out, "gpus"), *gpu;
        assert_true(cJSON_IsNull(json_get(out, "gpu_error")));
        assert_int_equal(cJSON_GetArraySize(gpus), counts[i]);
        assert_string_equal(json_str(json_get(out, "gpu_driver"), "cuda", ""), "12.4");
        int index = 0;
        cJSON_ArrayForEach(gpu, gpus)
        {
            char uuid[64];
            assert_int_equal(json_int(gpu, "index", -1), index);
            assert_string_equal(json_str(gpu, "name", ""), "Berth Fake GPU");
            assert_int_equal(json_int(gpu, "memory_bytes", 0), 24 * GIB);
            assert_string_equal(json_str(gpu, "compute_capability", ""), "8.6");
            snprintf(uuid, sizeof uuid, "-face-0000000000%02x", index);
            assert_non_null(strstr(json_str(gpu, "uuid", ""), uuid));
            assert_int_equal(strlen(json_str(gpu, "uuid", "")), 40);
            assert_true(strncmp(json_str(gpu, "pci", ""), "0000:3", 6) == 0 || index > 5);
            index++;
        }
    }
}

static void a_daemon_that_hides_devices_from_itself_still_finds_all(void **state)
{
    (void)state;
    setenv("CUDA_VISIBLE_DEVICES", "", 1);
    _cleanup_json_ cJSON *out = probe("gpus=2");
    unsetenv("CUDA_VISIBLE_DEVICES");
    assert_int_equal(cJSON_GetArraySize(json_get(out, "gpus")), 2);
}

static void no_driver_library_is_no_gpu_and_no_error(void **state)
{
    (void)state;
    struct gpu_probe_options options = {
        .program = self, .cuda_library = "libcuda-of-nobody.so.1", .system_root = "/nonexistent"};
    _cleanup_json_ cJSON *out = gpu_probe_inventory(&options);
    assert_int_equal(cJSON_GetArraySize(json_get(out, "gpus")), 0);
    assert_true(cJSON_IsNull(json_get(out, "gpu_error")));
    assert_true(cJSON_IsNull(json_get(out, "gpu_driver")));
}

static void a_library_given_by_path_must_be_there_and_be_the_drivers(void **state)
{
    (void)state;
    _cleanup_json_ cJSON *absent = gpu_probe_inventory(with_library("libcuda.so.99"));
    assert_non_null(strstr(json_str(absent, "gpu_error", ""), "libcuda.so.99"));
    _cleanup_json_ cJSON *other = gpu_probe_inventory(with_library("libnvidia-ml.so.1"));
    assert_non_null(strstr(json_str(other, "gpu_error", ""), "has no cuInit"));
}

static void the_loaders_own_search_and_the_environment_name_the_library(void **state)
{
    (void)state;
    struct gpu_probe_options options = {.program = self};
    setenv("BERTH_FAKE_GPUS", "gpus=2", 1);
    setenv("LD_LIBRARY_PATH", fakes, 1);
    _cleanup_json_ cJSON *by_soname = gpu_probe_inventory(&options);
    unsetenv("LD_LIBRARY_PATH");
    assert_int_equal(cJSON_GetArraySize(json_get(by_soname, "gpus")), 2);
    setenv("BERTH_CUDA_LIBRARY", with_library("libcuda.so.1")->cuda_library, 1);
    _cleanup_json_ cJSON *by_name = gpu_probe_inventory(&options);
    unsetenv("BERTH_CUDA_LIBRARY");
    assert_int_equal(cJSON_GetArraySize(json_get(by_name, "gpus")), 2);
}

static void a_driver_that_refuses_is_quoted_with_its_own_words(void **state)
{
    (void)state;
    _cleanup_json_ cJSON *out = probe("gpus=2;cuda=error:803");
    assert_int_equal(cJSON_GetArraySize(json_get(out, "gpus")), 0);
    assert_string_equal(
        json_str(out, "gpu_error", ""),
        "cuInit failed: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803): system has unsupported display "
        "driver / cuda driver combination");
    _cleanup_json_ cJSON *unnamed = probe("cuda=error:4711");
    assert_non_null(strstr(json_str(unnamed, "gpu_error", ""), "does not name (4711)"));
    _cleanup_json_ cJSON *count = probe("cuda=count:999");
    assert_non_null(strstr(json_str(count, "gpu_error", ""), "cuDeviceGetCount failed: CUDA_ERROR_UNKNOWN"));
}

static void one_bad_gpu_does_not_cost_the_others(void **state)
{
    (void)state;
    _cleanup_json_ cJSON *out = probe("gpus=3;cuda=device:1:46");
    assert_int_equal(cJSON_GetArraySize(json_get(out, "gpus")), 2);
    assert_int_equal(json_int(cJSON_GetArrayItem(json_get(out, "gpus"), 1), "index", -1), 2);
    assert_non_null(strstr(json_str(out, "gpu_error", ""), "GPU 1: cuDeviceGetName failed"));
    _cleanup_json_ cJSON *prohibited = probe("gpus=2;mode.0=2");
    assert_int_equal(cJSON_GetArraySize(json_get(prohibited, "gpus")), 1);
    assert_non_null(strstr(json_str(prohibited, "gpu_error", ""), "compute mode is prohibited"));
}

static void a_driver_that_hangs_is_left_behind_at_the_deadline(void **state)
{
    (void)state;
    static const char *const ways[] = {"cuda=hang", "cuda=stuck"};
    for (size_t i = 0; i < 2; i++) {
        setenv("BERTH_FAKE_GPUS", ways[i], 1);
        struct gpu_probe_options options = *with_library("libcuda.so.1");
        options.deadline_ms = 300;
        _cleanup_json_ cJSON *out = gpu_probe_inventory(&options);
        assert_int_equal(cJSON_GetArraySize(json_get(out, "gpus")), 0);
        assert_string_equal(json_str(out, "gpu_error", ""), "the CUDA driver did not answer in 0.3 s");
    }
}

static void a_driver_that_crashes_costs_the_probe_alone(void **state)
{
    (void)state;
    _cleanup_json_ cJSON *out = probe("cuda=crash");
    /* The sanitizers turn the signal into an exit code of their own. */
    const char *said = json_str(out, "gpu_error", "");
    assert_true(strstr(said, "the CUDA driver crashed the probe: Segmentation fault") != NULL ||
                strstr(said, "the GPU probe ended with code") != NULL);
}

static void what_a_driver_prints_does_not_get_into_the_answer(void **state)
{
    (void)state;
    _cleanup_json_ cJSON *out = probe("gpus=1;cuda=chatter");
    assert_int_equal(cJSON_GetArraySize(json_get(out, "gpus")), 1);
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

static void minor_numa_and_driver_version_come_from_the_kernel(void **state)
{
    (void)state;
    char root[] = "/tmp/berth-test-gpu-XXXXXX";
    assert_non_null(mkdtemp(root));
    put_file(root, "/proc/driver/nvidia/gpus/0000:3a:00.0/information",
             "Model: \t\t NVIDIA H200\nIRQ:   \t\t 57\nDevice Minor: \t 5\nGPU Excluded:\t No\n");
    put_file(root, "/proc/driver/nvidia/version",
             "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024\nGCC "
             "version: 12\n");
    put_file(root, "/sys/bus/pci/devices/0000:3a:00.0/numa_node", "1\n");
    setenv("BERTH_FAKE_GPUS", "gpus=2", 1);
    struct gpu_probe_options options = *with_library("libcuda.so.1");
    options.system_root = root;
    _cleanup_json_ cJSON *out = gpu_probe_inventory(&options);
    const cJSON *first = cJSON_GetArrayItem(json_get(out, "gpus"), 0);
    const cJSON *second = cJSON_GetArrayItem(json_get(out, "gpus"), 1);
    assert_int_equal(json_int(first, "minor", -1), 5);
    assert_int_equal(json_int(first, "numa", -1), 1);
    assert_string_equal(json_str(first, "driver", ""), "550.54.14");
    assert_string_equal(json_str(json_get(out, "gpu_driver"), "version", ""), "550.54.14");
    assert_true(cJSON_IsNull(json_get(second, "minor")));
    assert_true(cJSON_IsNull(json_get(second, "numa")));
    options.cuda_library = "libcuda-of-nobody.so.1"; /* a kernel driver without its library is said */
    _cleanup_json_ cJSON *half = gpu_probe_inventory(&options);
    assert_non_null(strstr(json_str(half, "gpu_error", ""), "550.54.14"));
    assert_true(fs_remove_tree(AT_FDCWD, root, NULL));
}

static void usage_lists_who_computes_on_which_gpu(void **state)
{
    (void)state;
    char pretend[256];
    snprintf(pretend, sizeof pretend,
             "gpus=2;seed=usage;used.1=3221225472;graphics.1=1073741824;compute.1=%d:1048576,1:0",
             (int)getpid());
    setenv("BERTH_FAKE_GPUS", pretend, 1);
    struct gpu_usage usage[4];
    size_t count = 0;
    struct error err = {0};
    assert_true(gpu_probe_usage(with_library("libcuda.so.1"), usage, 4, &count, &err));
    assert_int_equal(count, 2);
    assert_int_equal(usage[0].compute_count, 0);
    assert_int_equal(usage[1].used_bytes, 3 * GIB);
    assert_int_equal(usage[1].graphics_bytes, GIB);
    assert_int_equal(usage[1].compute_count, 2);
    assert_int_equal(usage[1].compute[0].pid, getpid());
    assert_int_equal(usage[1].compute[0].memory_bytes, MIB);
    assert_true(usage[1].compute[0].name[0] != '\0');
}

static void usage_says_whether_nvml_is_absent_or_failing(void **state)
{
    (void)state;
    struct gpu_usage usage[4];
    size_t count = 0;
    struct error err = {0};
    struct gpu_probe_options absent = {.program = self, .nvml_library = "libnvidia-ml-of-nobody.so.1"};
    assert_false(gpu_probe_usage(&absent, usage, 4, &count, &err));
    assert_int_equal(err.code, ERROR_UNSUPPORTED);
    setenv("BERTH_FAKE_GPUS", "nvml=error:9", 1);
    assert_false(gpu_probe_usage(with_library("libcuda.so.1"), usage, 4, &count, &err));
    assert_int_equal(err.code, ERROR_UNAVAILABLE);
    assert_string_equal(err.message, "nvmlInit failed: Driver Not Loaded (9)");
    setenv("BERTH_FAKE_GPUS", "nvml=noprocesses", 1);
    assert_true(gpu_probe_usage(with_library("libcuda.so.1"), usage, 4, &count, &err));
    assert_false(usage[0].processes_known);
    setenv("BERTH_FAKE_GPUS", "nvml=hang", 1);
    struct gpu_probe_options hanging = *with_library("libcuda.so.1");
    hanging.deadline_ms = 200;
    assert_false(gpu_probe_usage(&hanging, usage, 4, &count, &err));
    assert_int_equal(err.code, ERROR_TIMEOUT);
}

static bool owns_number(void *context, pid_t pid)
{
    return pid == *(pid_t *)context;
}

static void a_context_from_outside_the_lease_makes_a_gpu_dirty(void **state)
{
    (void)state;
    struct gpu_baselines b = {0};
    struct gpu_usage u = {
        .uuid = "GPU-a", .compute_count = 1, .listed = 1, .compute = {{.pid = 77, .name = "python3"}}};
    pid_t ours = 77;
    _cleanup_buf_ struct buf why = {0};
    assert_false(gpu_is_dirty(&b, &u, owns_number, &ours, NULL));
    assert_true(gpu_is_dirty(&b, &u, NULL, NULL, &why));
    assert_non_null(strstr(why.data, "process 77 (python3) computes on it"));
    u.compute_count = 2; /* one that the driver counts and does not list */
    assert_true(gpu_is_dirty(&b, &u, owns_number, &ours, NULL));
}

static void memory_above_the_learned_idle_baseline_makes_a_gpu_dirty(void **state)
{
    (void)state;
    struct gpu_baselines b = {0};
    struct gpu_usage u = {.uuid = "GPU-a", .used_bytes = 900 * MIB, .graphics_bytes = 500 * MIB};
    assert_int_equal(gpu_baseline_bytes(&b, "GPU-a"), -1);
    assert_false(gpu_is_dirty(&b, &u, NULL, NULL, NULL));
    gpu_baseline_learn(&b, &u);
    assert_int_equal(gpu_baseline_bytes(&b, "GPU-a"), 400 * MIB);
    u.graphics_bytes = 4000 * MIB; /* a desktop that grows is not counted */
    u.used_bytes = 4400 * MIB;
    assert_false(gpu_is_dirty(&b, &u, NULL, NULL, NULL));
    u.used_bytes = 6000 * MIB;
    _cleanup_buf_ struct buf why = {0};
    assert_true(gpu_is_dirty(&b, &u, NULL, NULL, &why));
    assert_string_equal(why.data, "GPU GPU-a: 2000 MiB are in use, and 400 MiB when it idles");
}

static void the_baseline_falls_at_once_and_rises_only_when_it_stays(void **state)
{
    (void)state;
    struct gpu_baselines b = {0};
    struct gpu_usage u = {.uuid = "GPU-a", .used_bytes = 100 * MIB};
    gpu_baseline_learn(&b, &u);
    u.used_bytes = 10 * MIB;
    gpu_baseline_learn(&b, &u);
    assert_int_equal(gpu_baseline_bytes(&b, "GPU-a"), 10 * MIB);
    u.used_bytes = 500 * MIB;
    for (int i = 0; i < GPU_BASELINE_RISE_SAMPLES - 1; i++)
        gpu_baseline_learn(&b, &u);
    u.compute_count = 1; /* somebody computes: the looks before do not count */
    gpu_baseline_learn(&b, &u);
    u.compute_count = 0;
    gpu_baseline_learn(&b, &u);
    assert_int_equal(gpu_baseline_bytes(&b, "GPU-a"), 10 * MIB);
    for (int i = 0; i < GPU_BASELINE_RISE_SAMPLES; i++)
        gpu_baseline_learn(&b, &u);
    assert_int_equal(gpu_baseline_bytes(&b, "GPU-a"), 500 * MIB);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "gpu-probe") == 0)
        return gpu_probe_main(argc - 1, argv + 1);
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 64);
    if (n <= 0)
        return 1;
    snprintf(fakes, sizeof fakes, "%.*s/../fakes", (int)(strrchr(self, '/') - self), self);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_gpu_is_found_with_its_facts),
        cmocka_unit_test(a_daemon_that_hides_devices_from_itself_still_finds_all),
        cmocka_unit_test(no_driver_library_is_no_gpu_and_no_error),
        cmocka_unit_test(a_library_given_by_path_must_be_there_and_be_the_drivers),
        cmocka_unit_test(the_loaders_own_search_and_the_environment_name_the_library),
        cmocka_unit_test(a_driver_that_refuses_is_quoted_with_its_own_words),
        cmocka_unit_test(one_bad_gpu_does_not_cost_the_others),
        cmocka_unit_test(a_driver_that_hangs_is_left_behind_at_the_deadline),
        cmocka_unit_test(a_driver_that_crashes_costs_the_probe_alone),
        cmocka_unit_test(what_a_driver_prints_does_not_get_into_the_answer),
        cmocka_unit_test(minor_numa_and_driver_version_come_from_the_kernel),
        cmocka_unit_test(usage_lists_who_computes_on_which_gpu),
        cmocka_unit_test(usage_says_whether_nvml_is_absent_or_failing),
        cmocka_unit_test(a_context_from_outside_the_lease_makes_a_gpu_dirty),
        cmocka_unit_test(memory_above_the_learned_idle_baseline_makes_a_gpu_dirty),
        cmocka_unit_test(the_baseline_falls_at_once_and_rises_only_when_it_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
