/*
 * The heap of times at which a task or a job must be looked at: a silent task's fence, a waiting job's begin
 * time or ageing. Earliest first. Owns facts.wake_ms and heap_at of both.
 */
#include "scheduler/core/arena.h"

uint64_t wake_time(const struct core *core, uint32_t entry)
{
    return entry & WAKE_JOB ? core->jobs[entry & ~WAKE_JOB].facts.wake_ms : core->tasks[entry].facts.wake_ms;
}

uint32_t *wake_place(const struct core *core, uint32_t entry)
{
    return entry & WAKE_JOB ? &core->jobs[entry & ~WAKE_JOB].heap_at : &core->tasks[entry].heap_at;
}

bool wake_before(const struct core *core, uint32_t a, uint32_t b)
{
    uint64_t ta = wake_time(core, a), tb = wake_time(core, b);
    return ta != tb ? ta < tb : a < b;
}

static void put(struct core *core, uint32_t at, uint32_t entry)
{
    core->heap[at] = entry;
    *wake_place(core, entry) = at;
}

static void settle(struct core *core, uint32_t at, uint32_t entry)
{
    uint32_t count = core->h->heap_count;
    while (at > 1 && wake_before(core, entry, core->heap[at / 2])) {
        put(core, at, core->heap[at / 2]);
        at /= 2;
    }
    for (uint32_t child; (child = 2 * at) <= count; at = child) {
        if (child < count && wake_before(core, core->heap[child + 1], core->heap[child]))
            child++;
        if (!wake_before(core, core->heap[child], entry))
            break;
        put(core, at, core->heap[child]);
    }
    put(core, at, entry);
}

static void set(struct core *core, uint32_t entry, uint64_t *wake, uint64_t wake_ms)
{
    uint32_t at = *wake_place(core, entry);
    *wake = wake_ms;
    if (wake_ms && !at) {
        settle(core, ++core->h->heap_count, entry);
    } else if (wake_ms) {
        settle(core, at, entry);
    } else if (at) {
        uint32_t last = core->heap[core->h->heap_count--];
        *wake_place(core, entry) = 0;
        if (last != entry)
            settle(core, at, last);
    }
}

void wake_task(struct core *core, uint32_t slot, uint64_t wake_ms)
{
    set(core, slot, &core->tasks[slot].facts.wake_ms, wake_ms);
}

void wake_job(struct core *core, uint32_t slot, uint64_t wake_ms)
{
    set(core, slot | WAKE_JOB, &core->jobs[slot].facts.wake_ms, wake_ms);
}
