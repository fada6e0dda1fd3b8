/*
 * Private to the core: one step under way, and the seams between what happened (step.c), what becomes of jobs
 * and tasks (follow.c), what starts next (pass.c), where (pick.c) and by whose rules (policy.c).
 */
#ifndef BERTH_SCHEDULER_CORE_STEP_H
#define BERTH_SCHEDULER_CORE_STEP_H

#include "scheduler/core/plan.h"

#define TYPICAL_MAX 8

struct step {
    struct core *core;
    const struct core_event *event;
    struct core_decisions *out;
    int64_t work;                  /* units left */
    bool due;                      /* a pass was left over */
    bool want_place;               /* something may start */
    bool first_exit;               /* the event is a task's exit, and the first word of it */
    bool first_bad;                /* and its attempt had no bad end before */
    uint32_t typical[TYPICAL_MAX]; /* the most usual shapes with GPUs */
    uint32_t typical_count;
    bool typical_known;
    struct plan_memory *memory;
    bool unheld;   /* a promised job began behind the head */
    bool look_due; /* the event is the TICK that preempt_wake asked for */
};

/* Appends a decision and applies it. A decision costs one unit of work. */
void step_emit(struct step *step, const struct core_decision *decision);

/* follow.c: the job's slot may be free after a final state. Its end goes with it. */
void job_goes(struct step *step, uint32_t job_slot, enum job_state state, enum core_reason reason);
void job_ends(struct step *step, uint32_t job_slot, enum job_state state, enum core_reason reason,
              struct core_end end);
void task_stops(struct step *step, uint32_t task_slot, enum core_stop_reason reason, bool force);
void task_decides(struct step *step, enum core_decision_kind kind, uint32_t task_slot);
/* The job's state follows those of its tasks. */
void job_follows(struct step *step, uint32_t job_slot);
/* Its node is given up. The task's lease stays: suspect, never free. */
void task_give_up(struct step *step, uint32_t task_slot);
/* An attempt's first bad exit, or its loss: the others of its gang end, and it may be tried again. */
void job_after_exit(struct step *step, uint32_t job_slot, const struct task_facts *task);
/* Jobs whose dependencies or times changed: CORE_STEP_WORK allowing. False: some are left. */
bool stirred_settle(struct step *step);

/* share.c */
/* Decides the place that the principal's use gives it now; false: it has it already. */
bool share_follow(struct step *step, uint32_t tenant_slot);
/* Places of principals whose jobs wait, at the first event of each minute; `before_ms`: time of the last one.
 */
void shares_follow_time(struct step *step, uint64_t before_ms);

/* promise.c */
void promise_make(struct step *step, uint32_t job_slot, const struct plan_start *start);
void promise_void(struct step *step, uint32_t job_slot, enum core_void why);
/* Those of a lower tier are taken back until what is promised on the node can be kept. */
void promises_yield(struct step *step, uint32_t node_slot, uint64_t tier);
/* Those that can't be kept any more. */
void promises_recheck(struct step *step, uint32_t node_slot, enum core_void why);
void promises_void_node(struct step *step, uint32_t node_slot);
void promises_void_all(struct step *step, enum core_void why);
/* Those that passed without a start, and those whose quota is used up. */
void promises_check(struct step *step);

/* pick.c: on which nodes. `allowed` says of each node whether the job may begin there now. False: not enough
 */
typedef bool (*pick_allowed)(const void *context, uint32_t node_slot);
bool pick_nodes(struct step *step, uint32_t job_slot, pick_allowed allowed, const void *context,
                uint32_t nodes[CORE_INSTANCES_MAX]);

/* step.c: asked for by a person. */
void job_cancel(struct step *step, uint32_t job_slot, bool force);

/* array_step.c: arrays in a step */
/* The next element becomes a job; returns its slot. The array's slot may have left the queue. */
uint32_t array_begin(struct step *step, uint32_t slot);
/* One of its elements has ended: so does the array with its last. */
void array_follows(struct step *step, uint32_t slot);
void array_cancel(struct step *step, uint32_t slot);
/* The event cancels an element that has not begun. */
void array_cancel_element(struct step *step);

/* preempt.c: stops what must give way to the job; true: enough is on its way out */
bool preempt_for(struct step *step, uint32_t job_slot);
/* Asks for a look when the waiting job could preempt. `tried`: the job for which that was tried in this pass;
 * `stopped`: something was stopped for it. */
void preempt_wake(struct step *step, uint32_t job_slot, uint32_t tried, bool stopped);

/* policy.c */
struct policy {
    const char *name;
    bool strict;       /* nothing passes the head */
    bool promises_all; /* the first CORE_PROMISES_MAX jobs get promises, not the head alone */
    bool shortest;     /* among those that may pass the head the shortest goes first */
    bool learns;       /* places and expected times from what has ended */
};
const struct policy *policy_of(const struct core *core);
/* The class whose head goes first; 0: none is in its turn. */
uint32_t policy_head(const struct core *core);
/* Lower goes first; of a policy that learns. */
int64_t policy_score(const struct core *core, const struct klass_key *key, uint32_t job_slot);
/* Until when a job that fits leaves free capacity to shorter ones where those could use it; 0: it doesn't. */
uint64_t policy_keeps_until(const struct core *core, const struct job_facts *job);
/* The same; 0 also where it may start on nodes where nothing is kept from it. */
uint64_t policy_kept_until(const struct core *core, const struct job_facts *job);
/* Whether the node is one where it may start in spite of that. */
bool policy_node_open(const struct core *core, const struct job_facts *job, uint32_t node_slot);
/* Whether the head has a reservation on declared times, which nothing may delay. */
bool policy_strict(const struct core *core, uint32_t job_slot);

/* queue_plan.c: the queue planned as a whole, by a policy that learns */
/* Whether what starts now is better decided by such a plan. */
bool queue_plan_applies(const struct core *core);
/* When the waiting job starts by the plan of the last pass; 0: that made none, or none for it. */
uint64_t queue_plan_start(const struct core *core, const struct job_facts *job);
/* Whether the last pass made a plan, and another one would. */
bool queue_plan_stands(const struct core *core);
/* Whether the waiting job would start by a plan made now if it were like this. */
bool queue_plan_would_start(const struct core *core, uint32_t job_slot, const struct job_facts *like);

/* pass.c */
void pass_run(struct step *step);
bool pass_class_fits(const struct core *core, const struct klass *k);
/* Starts the job there. `inside` is the reservation that it counts for; 0: as reserve_allows says. */
void pass_start(struct step *step, uint32_t job_slot, const uint32_t *nodes, uint64_t end_ms,
                uint32_t inside);

/* reserve_step.c */
void reserve_decide(struct step *step); /* of an event RESERVE */
void reserve_tick(struct step *step);   /* begins and ends that have come */
/* Other nodes for those that are lost. False: some are left for the next step. */
bool reserve_refill(struct step *step);
/* reserve_pass.c: what starts inside reservations. False: some is left for the next step. */
bool reserve_pass(struct step *step);

#endif
