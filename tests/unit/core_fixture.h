/*
 * A core with short words for what happens to it. Every event goes through check, room, step and a full pass,
 * and the row through encoding, decoding and a second core that only applies.
 */
#ifndef BERTH_TESTS_UNIT_CORE_FIXTURE_H
#define BERTH_TESTS_UNIT_CORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scheduler/core/row.h"

#define GIB (UINT64_C(1) << 30)
#define MINUTE UINT64_C(60000)

struct fixture {
    struct core *core, *applied;
    struct core_decisions *out, *decoded;
    unsigned char *row;
    size_t row_length;
    uint64_t now_ms;
    bool no_check; /* where a full pass after each event would take too long */
};

static inline int fixture_setup(void **state)
{
    static const struct core_capacity small = {2, 1, 1};
    struct fixture *f = calloc(1, sizeof *f);
    f->core = core_create(&small);
    f->applied = core_create(&small);
    f->out = core_decisions_create();
    f->decoded = core_decisions_create();
    f->row = malloc(CORE_ROW_MAX_BYTES);
    f->now_ms = 1000;
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    core_destroy(f->core);
    core_destroy(f->applied);
    core_decisions_destroy(f->out);
    core_decisions_destroy(f->decoded);
    free(f->row);
    free(f);
    return 0;
}

static inline void fed(struct fixture *f, const struct core_event *event)
{
    struct core_row decoded;
    assert_null(core_event_check(event));
    assert_true(core_make_room(f->core, event));
    core_step(f->core, f->now_ms, event, f->out);
    struct core_row row = {.now_ms = core_now(f->core),
                           .core_version = CORE_VERSION,
                           .state_hash = core_hash(f->core),
                           .event = *event};
    f->row_length = core_row_encode(&row, f->out, f->row, CORE_ROW_MAX_BYTES);
    assert_null(core_row_decode(f->row, f->row_length, &decoded, f->decoded));
    assert_true(core_make_room(f->applied, &decoded.event));
    assert_null(core_apply(f->applied, decoded.now_ms, &decoded.event, f->decoded));
    assert_int_equal(core_hash(f->applied), core_hash(f->core));
    if (!f->no_check)
        assert_null(core_check(f->core));
}

static inline void set_policy(struct fixture *f, enum core_policy policy)
{
    struct core_event event = {.kind = CORE_EVENT_CONFIG};
    event.as.config.policy = policy;
    fed(f, &event);
}

struct shape {
    uint32_t cores, threads, gpus, numas;
    uint64_t memory_bytes;
};

static inline struct core_inventory *inventory_of(struct shape s)
{
    static struct core_inventory inv;
    memset(&inv, 0, sizeof inv);
    inv.memory_bytes = s.memory_bytes;
    inv.core_count = s.cores;
    inv.gpu_count = s.gpus;
    for (uint32_t i = 0; i < s.cores; i++)
        inv.cores[i] =
            (struct core_inventory_core){(uint16_t)i, (uint8_t)s.threads, (uint8_t)(i * s.numas / s.cores)};
    for (uint32_t i = 0; i < s.gpus; i++) {
        inv.gpus[i].key[0] = (uint8_t)(i + 1);
        inv.gpus[i].memory_bytes = 80 * GIB;
        inv.gpus[i].numa = (uint8_t)(i * s.numas / s.gpus);
    }
    return &inv;
}

static inline void node_event(struct fixture *f, enum core_event_kind kind, uint32_t id)
{
    struct core_event event = {.kind = kind};
    event.as.node.node.v = id;
    fed(f, &event);
}

static inline void node_hello(struct fixture *f, uint32_t id, const struct core_inventory *inventory)
{
    struct core_event event = {.kind = CORE_EVENT_NODE_UP};
    event.as.node.node.v = id;
    event.as.node.inventory = inventory;
    fed(f, &event);
}

static inline void node_up(struct fixture *f, uint32_t id, uint32_t cores, uint32_t gpus,
                           uint64_t memory_bytes)
{
    node_hello(f, id, inventory_of((struct shape){cores, 1, gpus, 1, memory_bytes}));
}

static inline struct core_submit wanting(uint64_t id, uint32_t cores, uint32_t gpus, uint64_t memory_bytes)
{
    return (struct core_submit){
        .job.v = id,
        .principal.v = 1,
        .seq = id,
        .priority_class = PRIORITY_MEDIUM,
        .request = {.cores = cores, .gpu_milli = gpus * RESOURCE_GPU_WHOLE, .memory_bytes = memory_bytes},
        .grace_ms = 30000,
        .instance_count = 1};
}

/* Cores for a declared time, without grace. */
static inline struct core_submit for_minutes(uint64_t id, uint32_t cores, uint64_t minutes)
{
    struct core_submit s = wanting(id, cores, 0, 0);
    s.time_limit_ms = minutes * MINUTE;
    s.grace_ms = 0;
    return s;
}

static inline void submit(struct fixture *f, struct core_submit s)
{
    struct core_event event = {.kind = CORE_EVENT_JOB_SUBMIT};
    event.as.submit = s;
    fed(f, &event);
}

static inline void cancel(struct fixture *f, uint64_t id, bool force)
{
    struct core_event event = {.kind = CORE_EVENT_JOB_CANCEL};
    event.as.cancel.job.v = id;
    event.as.cancel.force = force;
    fed(f, &event);
}

static inline struct core_event about_task(enum core_event_kind kind, uint64_t job, uint32_t attempt,
                                           uint32_t node)
{
    struct core_event event = {.kind = kind};
    event.as.task.task = (struct task_id){{job}, attempt, 0};
    event.as.task.node.v = node;
    return event;
}

static inline void says(struct fixture *f, uint64_t job, uint32_t attempt, uint32_t node,
                        enum task_state state)
{
    struct core_event event = about_task(CORE_EVENT_TASK_STATE, job, attempt, node);
    event.as.task.as.state = state;
    fed(f, &event);
}

static inline void exits(struct fixture *f, uint64_t job, uint32_t attempt, uint32_t node, enum end_kind kind,
                         int32_t code, bool ran)
{
    struct core_event event = about_task(CORE_EVENT_TASK_EXIT, job, attempt, node);
    event.as.task.as.exit.kind = kind;
    event.as.task.as.exit.code = code;
    event.as.task.as.exit.ran = ran;
    fed(f, &event);
}

static inline void released(struct fixture *f, uint64_t job, uint32_t attempt, uint32_t node)
{
    struct core_event event = about_task(CORE_EVENT_TASK_RELEASED, job, attempt, node);
    fed(f, &event);
}

static inline void collected(struct fixture *f, uint64_t job, uint32_t attempt, uint32_t node)
{
    struct core_event event = about_task(CORE_EVENT_TASK_COLLECTED, job, attempt, node);
    fed(f, &event);
}

/* From Preparing to its end, as a good job does it. */
static inline void lives(struct fixture *f, uint64_t job, uint32_t attempt, uint32_t node)
{
    says(f, job, attempt, node, TASK_PREPARING);
    says(f, job, attempt, node, TASK_STARTING);
    says(f, job, attempt, node, TASK_RUNNING);
    exits(f, job, attempt, node, END_NONE, 0, true);
    released(f, job, attempt, node);
    collected(f, job, attempt, node);
}

/* The n-th decision of that kind in the last step; NULL: there are fewer. */
static inline const struct core_decision *decided(const struct fixture *f, enum core_decision_kind kind,
                                                  uint32_t n)
{
    for (uint32_t i = 0; i < f->out->count; i++) {
        if (f->out->v[i].kind == kind && n-- == 0)
            return &f->out->v[i];
    }
    return NULL;
}

static inline const struct core_decision *started(const struct fixture *f, uint64_t job)
{
    const struct core_decision *d;
    for (uint32_t n = 0; (d = decided(f, CORE_DECISION_START_TASK, n)); n++) {
        if (d->as.start.task.job.v == job)
            return d;
    }
    return NULL;
}

/* What the last step leased to the job, which it must have started. */
static inline const struct resource_lease *leased(const struct fixture *f, uint64_t job)
{
    static const struct resource_lease none;
    const struct core_decision *d = started(f, job);
    assert_non_null(d);
    return d ? &d->as.start.lease : &none;
}

static inline struct core_job_view job_view(const struct fixture *f, uint64_t id)
{
    struct core_job_view view;
    assert_true(core_job_get(f->core, (struct job_id){id}, &view));
    return view;
}

static inline bool runs(const struct fixture *f, uint64_t id)
{
    return job_view(f, id).state == JOB_PREPARING;
}

static inline bool job_known(const struct fixture *f, uint64_t id)
{
    struct core_job_view view;
    return core_job_get(f->core, (struct job_id){id}, &view);
}

/* The last state that the last step gave the job; JOB_STATE_COUNT: none. */
static inline enum job_state last_state(const struct fixture *f, uint64_t id)
{
    enum job_state state = JOB_STATE_COUNT;
    for (uint32_t i = 0; i < f->out->count; i++) {
        if (f->out->v[i].kind == CORE_DECISION_JOB_STATE && f->out->v[i].as.job.job.v == id)
            state = f->out->v[i].as.job.state;
    }
    return state;
}

static inline uint32_t count_cores(const struct resource_lease *lease)
{
    uint32_t count = 0;
    for (uint32_t unit = 0; unit < RESOURCE_CORES_MAX; unit++)
        count += resource_bit(lease->cores, unit);
    return count;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

#endif
