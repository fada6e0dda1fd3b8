/*
 * The heap of tasks that have a wake time (a silent task's fence), earliest first. Owns task.facts.wake_ms
 * and heap_at.
 */
#include "scheduler/core/arena.h"

bool wake_before(const struct core *core, uint32_t a, uint32_t b)
{
    uint64_t ta = core->tasks[a].facts.wake_ms, tb = core->tasks[b].facts.wake_ms;
    return ta != tb ? ta < tb : a < b;
}

static void put(struct core *core, uint32_t at, uint32_t task)
{
    core->heap[at] = task;
    core->tasks[task].heap_at = at;
}

static void settle(struct core *core, uint32_t at, uint32_t task)
{
    uint32_t count = core->h->heap_count;
    while (at > 1 && wake_before(core, task, core->heap[at / 2])) {
        put(core, at, core->heap[at / 2]);
        at /= 2;
    }
    for (uint32_t child; (child = 2 * at) <= count; at = child) {
        if (child < count && wake_before(core, core->heap[child + 1], core->heap[child]))
            child++;
        if (!wake_before(core, core->heap[child], task))
            break;
        put(core, at, core->heap[child]);
    }
    put(core, at, task);
}

void wake_set(struct core *core, uint32_t slot, uint64_t wake_ms)
{
    struct task *task = &core->tasks[slot];
    uint32_t at = task->heap_at;
    task->facts.wake_ms = wake_ms;
    if (wake_ms && !at) {
        settle(core, ++core->h->heap_count, slot);
    } else if (wake_ms) {
        settle(core, at, slot);
    } else if (at) {
        uint32_t last = core->heap[core->h->heap_count--];
        task->heap_at = 0;
        if (last != slot)
            settle(core, at, last);
    }
}
