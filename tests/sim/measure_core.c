/*
 * measure_core [PENDING [NODES [SHAPES [POLICY]]]]: what one step of the core costs with that many jobs of
 * that many shapes waiting on that many busy nodes. Prints figures; fails on none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "scheduler/core/row.h"

struct figures {
    uint64_t *ns;
    size_t count;
};

static uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void print(const char *what, struct figures *f)
{
    qsort(f->ns, f->count, sizeof *f->ns, by_size);
    uint64_t sum = 0;
    size_t half = f->count / 2, late = f->count * 99 / 100;
    for (size_t i = 0; i < f->count; i++)
        sum += f->ns[i];
    printf("%-28s %8zu steps  median %7.2f us  99%% %7.2f us  most %9.2f us  mean %7.2f us\n", what, f->count,
           (double)f->ns[half] / 1e3, (double)f->ns[late] / 1e3, (double)f->ns[f->count - 1] / 1e3,
           (double)sum / (double)f->count / 1e3);
    f->count = 0;
}

static struct core *core;
static struct core_decisions *out;
static uint64_t now_ms = 1;

static void step(const struct core_event *event, struct figures *f)
{
    uint64_t start = clock_ns();
    core_make_room(core, event);
    core_step(core, now_ms++, event, out);
    f->ns[f->count++] = clock_ns() - start;
}

/* Jobs of 1 to 16 cores, 0 to 2 GPUs and 4 GiB on; the first shape is that of the jobs that run. */
static struct core_submit job_of_shape(uint64_t id, uint32_t shape)
{
    struct core_submit s = {.job.v = id,
                            .principal.v = 1 + id % 100,
                            .seq = id,
                            .priority_class = PRIORITY_MEDIUM,
                            .request = {.cores = 8, .gpu_milli = 1000, .memory_bytes = UINT64_C(8) << 30},
                            .time_limit_ms = 3600000u * (1 + id % 24),
                            .instance_count = 1};
    if (shape) {
        s.request.cores = 1 + shape % 16;
        s.request.gpu_milli = shape / 16 % 3 * 1000;
        s.request.memory_bytes = (UINT64_C(4) + shape / 48) << 30;
    }
    return s;
}

static void set_policy(const char *name, struct figures *f)
{
    struct core_event event = {.kind = CORE_EVENT_CONFIG};
    for (int p = 0; p < CORE_POLICY_COUNT; p++)
        if (strcmp(name, core_policy_name((enum core_policy)p)) == 0)
            event.as.config.policy = (enum core_policy)p;
    step(&event, f);
    f->count = 0;
}

int main(int argc, char **argv)
{
    uint32_t pending = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100000;
    uint32_t nodes = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1000;
    uint32_t shapes = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 1000;
    static const struct core_capacity capacity;
    static struct core_inventory inventory = {
        .memory_bytes = UINT64_C(512) << 30, .core_count = 64, .gpu_count = 8};
    struct figures f = {.ns = calloc((size_t)pending + nodes + 1000000, sizeof *f.ns)};
    core = core_create(&capacity);
    out = core_decisions_create();
    set_policy(argc > 4 ? argv[4] : "berth", &f);
    for (uint32_t i = 0; i < 64; i++)
        inventory.cores[i] = (struct core_inventory_core){(uint16_t)i, 2, (uint8_t)(i / 32)};
    for (uint32_t i = 0; i < 8; i++) {
        inventory.gpus[i].key[0] = (uint8_t)(i + 1);
        inventory.gpus[i].numa = (uint8_t)(i / 4);
    }
    for (uint32_t i = 1; i <= nodes; i++) {
        struct core_event event = {.kind = CORE_EVENT_NODE_UP};
        event.as.node.node.v = i;
        event.as.node.inventory = &inventory;
        step(&event, &f);
    }
    print("hello", &f);
    for (uint64_t id = 1; id <= pending + 8 * (uint64_t)nodes; id++) {
        struct core_event event = {.kind = CORE_EVENT_JOB_SUBMIT};
        event.as.submit = job_of_shape(id, id > 8 * (uint64_t)nodes ? (uint32_t)(id % shapes) : 0);
        step(&event, &f);
        if (id == 8 * (uint64_t)nodes)
            print("submit, starts at once", &f);
    }
    print("submit, waits", &f);
    uint64_t hash = core_hash(core), start = clock_ns();
    const char *why = core_check(core);
    printf("%-28s %.1f ms%s%s\n", "full pass", (double)(clock_ns() - start) / 1e6, why ? ": " : "",
           why ? why : "");
    static const enum core_event_kind ends[] = {CORE_EVENT_TASK_EXIT, CORE_EVENT_TASK_RELEASED,
                                                CORE_EVENT_TASK_COLLECTED};
    struct figures parts[3];
    for (int k = 0; k < 3; k++)
        parts[k] = (struct figures){.ns = calloc(20001, sizeof *f.ns)};
    for (uint32_t i = 0; i < 20000; i++) {
        struct task_id task;
        struct node_id node = {1 + i % nodes};
        if (!core_node_tasks(core, node, &task, 1))
            break;
        for (int k = 0; k < 3; k++) {
            struct core_event event = {.kind = ends[k]};
            event.as.task.task = task;
            event.as.task.node = node;
            event.as.task.as.exit.ran = ends[k] == CORE_EVENT_TASK_EXIT;
            step(&event, &parts[k]);
        }
    }
    print("exit", &parts[0]);
    print("released, starts the next", &parts[1]);
    print("collected", &parts[2]);
    struct core_counts counts;
    core_count(core, &counts);
    printf("%u waiting, %u tasks, %u nodes, arena %.1f MB, hash %016llx then %016llx\n", counts.queued,
           counts.tasks, counts.nodes, (double)counts.arena_bytes / 1e6, (unsigned long long)hash,
           (unsigned long long)core_hash(core));
    return why != NULL;
}
