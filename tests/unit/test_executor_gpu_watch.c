/* executor/gpu_watch: is a GPU clean once its task has ended? Against the fake NVML, through the real probe.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "executor/gpu_lock.h"
#include "executor/gpu_watch.h"
#include "gpu/entry.h"
#include "proto/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (1ll << 20)

static char self[4096]; /* under valgrind /proc/self/exe would start valgrind */
static char library[4200], seed[64];

static void pretend(const char *what)
{
    char text[512];
    snprintf(text, sizeof text, "seed=%s;%s", seed, what);
    setenv("BERTH_FAKE_GPUS", text, 1);
}

static struct gpu_probe_options options(void)
{
    return (struct gpu_probe_options){.program = self, .cuda_library = library, .deadline_ms = 60000};
}

/* The UUIDs as the driver gives them; the caller deletes the list. */
static cJSON *inventory(void)
{
    struct gpu_probe_options o = options();
    return gpu_probe_inventory(&o);
}

static void a_gpu_is_clean_until_its_memory_stays_or_somebody_computes(void **state)
{
    (void)state;
    struct gpu_watch w;
    struct gpu_probe_options o = options();
    pretend("gpus=2;used.0=104857600");
    _cleanup_json_ cJSON *gpus = inventory();
    const char *uuid = json_str(cJSON_GetArrayItem(json_get(gpus, "gpus"), 0), "uuid", "");
    gpu_watch_init(&w, &o);
    gpu_watch_learn(&w);
    gpu_watch_annotate(&w, gpus);
    assert_int_equal(json_int(cJSON_GetArrayItem(json_get(gpus, "gpus"), 0), "idle_bytes", -1), 100 * MIB);
    assert_true(gpu_watch_clean(&w, &uuid, 1, NULL));
    _cleanup_buf_ struct buf why = {0};
    pretend("gpus=2;used.0=8589934592");
    assert_false(gpu_watch_clean(&w, &uuid, 1, &why));
    assert_non_null(strstr(why.data, "8192 MiB are in use, and 100 MiB when it idles"));
    buf_clear(&why);
    pretend("gpus=2;used.0=104857600;compute.0=1:1048576");
    assert_false(gpu_watch_clean(&w, &uuid, 1, &why));
    assert_non_null(strstr(why.data, "process 1 ("));
    pretend("gpus=2;used.0=104857600;compute.1=1:1048576"); /* on the other GPU */
    assert_true(gpu_watch_clean(&w, &uuid, 1, NULL));
    gpu_watch_finish(&w);
}

static void a_gpu_that_somebody_holds_teaches_nothing(void **state)
{
    (void)state;
    struct gpu_watch w;
    struct gpu_probe_options o = options();
    struct error err = {0};
    pretend("gpus=2;used.0=4194304;used.1=4194304");
    _cleanup_json_ cJSON *gpus = inventory();
    const char *held = json_str(cJSON_GetArrayItem(json_get(gpus, "gpus"), 1), "uuid", "");
    _cleanup_close_ int lock = gpu_lock_take(held, &err);
    assert_true(lock >= 0);
    gpu_watch_init(&w, &o);
    gpu_watch_learn(&w);
    gpu_watch_annotate(&w, gpus);
    assert_int_equal(json_int(cJSON_GetArrayItem(json_get(gpus, "gpus"), 0), "idle_bytes", -1), 4 * MIB);
    assert_null(json_get(cJSON_GetArrayItem(json_get(gpus, "gpus"), 1), "idle_bytes"));
    gpu_watch_finish(&w);
}

static void without_nvml_or_with_one_that_fails_nobody_is_held_up(void **state)
{
    (void)state;
    struct gpu_watch w;
    static const char uuid_text[] = "GPU-1";
    const char *uuid = uuid_text;
    struct gpu_probe_options o = {.program = self, .nvml_library = "libnvidia-ml-of-nobody.so.1"};
    gpu_watch_init(&w, &o);
    assert_true(gpu_watch_clean(&w, &uuid, 1, NULL));
    assert_true(w.absent);
    gpu_watch_finish(&w);
    o = options();
    gpu_watch_init(&w, &o);
    pretend("gpus=1;nvml=error:999");
    assert_true(gpu_watch_clean(&w, &uuid, 1, NULL));
    assert_false(w.absent);
    gpu_watch_finish(&w);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "gpu-probe") == 0)
        return gpu_probe_main(argc - 1, argv + 1);
    if (readlink("/proc/self/exe", self, sizeof self - 1) <= 0)
        return 1;
    int folder = (int)(strrchr(self, '/') - self);
    snprintf(library, sizeof library, "%.*s/../fakes/libcuda.so.1", folder, self);
    snprintf(seed, sizeof seed, "watch-%d", (int)getpid()); /* locks are machine-wide */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gpu_is_clean_until_its_memory_stays_or_somebody_computes),
        cmocka_unit_test(a_gpu_that_somebody_holds_teaches_nothing),
        cmocka_unit_test(without_nvml_or_with_one_that_fails_nobody_is_held_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
