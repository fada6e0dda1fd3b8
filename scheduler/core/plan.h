/*
 * Private to the core: what will be free when. A node's future is its running tasks' ends and the holds of
 * promised jobs; plans read it and change nothing.
 */
#ifndef BERTH_SCHEDULER_CORE_PLAN_H
#define BERTH_SCHEDULER_CORE_PLAN_H

#include "scheduler/core/arena.h"

#define PLAN_NODES_MAX                                                                                       \
    128 /* a reservation looks at no more nodes than that (or at all that a gang needs)                      \
         */
#define PLAN_TASKS_MAX CORE_POOL_TASKS_MAX
#define PLAN_SLACK_MS                                                                                        \
    60000                  /* what a node may take to end a task, tell of it, and clean up after its time    \
                            */
#define PLAN_ROUNDS_MAX 16 /* times that are tried for a gang */

enum plan_times {
    PLAN_DECLARED, /* tasks end when their declared time is over, those without one never */
    PLAN_EXPECTED  /* tasks end when they are expected to */
};

/* Where and when a job would start if nothing else began before it. */
struct plan_start {
    uint64_t at_ms; /* CORE_NEVER: not foreseeable */
    uint32_t count; /* nodes */
    uint32_t nodes[CORE_INSTANCES_MAX];
};

/* Holds of jobs of a lower tier don't count, nor do its own. */
void plan_reserve(const struct core *core, uint32_t job_slot, enum plan_times times, struct plan_start *out);

#define PLAN_MEMORY_MAX 64

/* What holds leave to others, found out once in a pass. Forgotten (count 0) whenever holds change. */
struct plan_spare {
    uint32_t hold;
    struct caps spare;
};
struct plan_memory {
    uint32_t count;
    struct plan_spare spares[PLAN_MEMORY_MAX];
};

/* Whether a task of the job may begin on the node now and stay until end_ms without breaking a promise that
 * binds it (one of its own tier, or of a higher one). `counts_for`: the reservation that it would count for.
 */
bool plan_allows(struct plan_memory *m, const struct core *core, uint32_t job_slot, uint32_t node_slot,
                 uint64_t end_ms, uint32_t counts_for);
/* It did. */
void plan_began(struct plan_memory *m, const struct core *core, uint32_t node_slot,
                const struct resource_request *request, uint64_t end_ms);

/* Whether the hold still has its room at its time. */
bool plan_holds(const struct core *core, uint32_t hold_slot);

/* What of the node is spare at that time once the job stands there, too; false: it has no room then.
 * Equal ends count only as far as the job needs them. */
bool plan_spare(const struct core *core, uint32_t job_slot, uint32_t node_slot, uint64_t at_ms,
                enum plan_times times, struct caps *spare);

/* When the task ends by those times, seen from now. */
uint64_t plan_end(const struct core *core, const struct task_facts *task, enum plan_times times);

/* have -= want; false, and have unchanged, where it is not there. A share counts as a whole GPU. */
bool caps_take(struct caps *have, const struct caps *want);

#endif
