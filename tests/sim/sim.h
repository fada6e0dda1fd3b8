/*
 * The simulator of the core: one seed is one random history of a cluster. Three cores run it side by side:
 *   main    decides; after every event it is thrown away and replaced by `applied` (a restart at every
 * event); applied never decides: it is fed the rows as they come back from their encoding, and must have the
 * row's hash; steady  decides too, from the start and without a restart: its rows must be the same bytes.
 * `world` is what is true on the nodes (payloads, executors, messages that are late or come twice); `model`
 * keeps its own books of jobs and leases from the decisions alone and says when a promise is broken.
 */
#ifndef BERTH_TESTS_SIM_SIM_H
#define BERTH_TESTS_SIM_SIM_H

#include "scheduler/core/core.h"
#include "scheduler/core/row.h"

#define SIM_NODES_MAX 50
#define SIM_JOBS_MAX 4000
#define SIM_GPUS_MAX 8
#define SIM_CORES_MAX 24
#define SIM_OLD_MAX 64
#define SIM_RESERVATIONS 5         /* their ids are 1.. */
#define SIM_TENANTS 4              /* ids of principals and workspaces are below it */
#define SIM_FAMILIES 4             /* ids of families are below it */
#define SIM_PROMISE_SLACK_MS 60000 /* as the core's: what a node may take to tell of an end */

struct rng {
    uint64_t s;
};
uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n); /* n > 0 */
bool rng_chance(struct rng *r, unsigned percent);

/* What runs on a node, as its executor and the kernel know it. */
struct wtask {
    struct task_id id;
    enum task_state state; /* ASSIGNED: the order came, nothing written yet */
    enum core_on_node_loss rule;
    uint64_t fence_after_ms;
    struct core_end end;
    bool ran;
    bool alive; /* a payload exists */
    bool stop;
    enum end_kind stop_kind;
    bool exit_sent, released_sent, collected_sent;
};

struct message {
    struct core_event event;
};

struct wnode {
    struct node_id id;
    bool connected;
    bool dead;           /* powered off: no payload lives */
    uint64_t cut_ms;     /* when the session ended */
    uint32_t core_count; /* the hardware; inventory says what of it is there now */
    uint32_t gpu_count;
    struct core_inventory hardware;
    struct core_inventory inventory;
    struct wtask *tasks;
    uint32_t task_count, task_room;
    struct message *out; /* reports that the scheduler hasn't had yet, in order */
    uint32_t out_count, out_room;
    struct message *in; /* orders under way to it: TASK_STATE stands for a start, JOB_CANCEL for a stop */
    uint32_t in_count, in_room;
};

struct mjob {
    struct core_submit submit;
    bool accepted, refused;
    enum job_state state;
    enum core_reason reason;
    uint32_t attempt;
    uint32_t ranks;      /* tasks that this attempt was given */
    uint64_t nodes;      /* bit n: one of them is on node n */
    uint32_t exits;      /* of this attempt, delivered */
    struct core_end end; /* the first bad one of them */
    uint32_t retried;
    bool ran;               /* it was Running once */
    uint64_t promised_ms;   /* 0: no promise stands */
    uint64_t preempting_ms; /* nothing more is stopped for it before */
    uint64_t array;         /* of an element: its array's id; 0: it is none */
    bool held_by_operator, set_priority, set_time_limit, set_begin, set_array_limit; /* by an administrator */
    enum priority_class asked_class; /* submit.priority_class is that under the caps */
};

struct mlease {
    struct task_id task;
    struct node_id node;
    struct resource_lease lease;
    bool held;
    uint64_t began_ms;
    uint64_t ends_ms; /* by its declared limit */
    bool abandoned;
    uint32_t reservation; /* which it counts for */
};

struct mresv {
    bool there, begun, named;
    uint64_t begin_ms;
    uint64_t seats; /* bit n: on node n */
    struct core_reserve asked;
};

struct mnode {
    bool known, up, drained, faulty, draining, lost; /* draining: by a person or a fault */
    struct core_inventory inventory;
    uint64_t core_owner[RESOURCE_CORES_MAX]; /* index into leases + 1 */
    uint32_t gpu_used[SIM_GPUS_MAX];         /* by position in the hardware */
    uint32_t tenant;                         /* whose isolated tasks are there */
    uint64_t memory_used;
    uint32_t lease_count;
};

struct sim {
    uint64_t seed;
    struct rng rng;
    uint64_t now_ms;
    uint64_t timer_ms;  /* 0: none */
    uint32_t continues; /* CONTINUE events owed */
    uint64_t steps;
    bool exact;     /* one node, and mostly jobs that the default policy plans as a whole */
    bool mixed;     /* mostly short jobs, and few long ones, from which capacity is kept for those */
    uint64_t plans; /* that it made */
    uint64_t kept;  /* times that capacity was kept from the job that was looked at */
    struct core *main, *applied, *steady;
    struct core_decisions *decisions, *again, *decoded;
    unsigned char *row, *row_again;
    struct wnode nodes[SIM_NODES_MAX];
    uint32_t node_count;
    struct message old[SIM_OLD_MAX]; /* delivered before; may come again */
    uint32_t old_count;
    struct mjob *jobs; /* by id */
    uint32_t job_count;
    struct mnode mnodes[SIM_NODES_MAX];
    struct mlease *leases;
    uint32_t lease_count, lease_room;
    uint32_t weight_milli[SIM_TENANTS]; /* 0: as one who has none */
    double share_used[SIM_TENANTS];     /* core-seconds of ended leases, faded up to share_ms */
    uint64_t share_ms;
    uint64_t shares; /* places that were decided */
    struct core_config config;
    struct core_quota quotas[CORE_QUOTA_SCOPE_COUNT][SIM_TENANTS][SIM_FAMILIES];
    bool restricted[SIM_FAMILIES];
    struct core_family guards[SIM_FAMILIES];
    struct core_caps caps[CORE_QUOTA_WORKSPACE + 1][SIM_TENANTS]; /* by id; principal 0: everyone's */
    uint32_t licences[RESOURCE_LICENCES_MAX];
    uint64_t overdue_ms; /* when last some task had outlived its time, or a pass was put off */
    bool gave_up;        /* this event: a task's node was given up */
    bool aged;           /* some job counts as one class higher */
    struct mresv reservations[SIM_RESERVATIONS];
    bool reserved_moved; /* this event: a reservation was made, moved or is over */
    bool verbose;
    uint64_t trace; /* a job whose life is printed; 0: none */
};

_Noreturn void sim_fail(const struct sim *sim, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* drive.c: one event through the three cores, then its decisions to model and world */
void drive(struct sim *sim, const struct core_event *event);

/* model_guard.c */
void model_guards_follow(struct sim *sim); /* rules or jobs have changed */
bool model_guards_keep(const struct sim *sim, const struct mjob *job);

/* model_authority.c */
bool model_cap_refuses(const struct sim *sim, const struct core_submit *s);
/* Its time limit is above a cap, and no administrator gave it. */
bool model_over_cap(const struct sim *sim, const struct mjob *job);
/* It is approved, and under the caps. */
bool model_permitted(const struct sim *sim, const struct mjob *job);
void model_caps_event(struct sim *sim, const struct core_caps *caps);
void model_caps_lower(const struct sim *sim, struct mjob *job); /* it waits (again), or its class is new */
bool model_update_refused(struct sim *sim, struct mjob *job, const struct core_update *u);
void model_update_marks(struct mjob *job, const struct core_update *u, bool waits);
/* After an update: the core took it where the model did. */
void model_authority_settled(struct sim *sim, const struct core_event *event);

/* submit.c */
void submit_one(struct sim *sim);
void submit_cancel(struct sim *sim, struct job_id job, bool force);
void submit_rules(struct sim *sim);  /* policy, quotas, licences, a job's own */
void submit_let_go(struct sim *sim); /* no rule keeps any job from running */

/* world.c */
void world_create(struct sim *sim);
void world_finish(struct sim *sim);
struct wnode *world_node(struct sim *sim, struct node_id id);
void world_decision(struct sim *sim, const struct core_decision *d);
void world_time(struct sim *sim);                        /* fences */
void world_work(struct sim *sim, struct wnode *node);    /* one thing happens on the node */
void world_deliver(struct sim *sim, struct wnode *node); /* one report, or one order */
void world_connect(struct sim *sim, struct wnode *node);
void world_cut(struct sim *sim, struct wnode *node);
void world_power_off(struct sim *sim, struct wnode *node, bool disk_too);
/* Labels from a random number; the third is an ability, which comes and goes. */
uint64_t world_labels(uint64_t number);
void world_label(struct sim *sim, struct wnode *node); /* an administrator gives or takes labels */
bool world_job_alive(const struct sim *sim, struct job_id job);
bool world_task_alive(const struct sim *sim, struct task_id task);
bool world_busy(const struct wnode *node);

/* model.c */
void model_event(struct sim *sim, const struct core_event *event); /* before the step */
void model_decision(struct sim *sim, const struct core_event *event, const struct core_decision *d);
void model_settled(struct sim *sim); /* after the step */
struct mnode *model_node(struct sim *sim, struct node_id id);
struct mjob *model_job(struct sim *sim, struct job_id id);
/* How many nodes could take a task of it. */
enum model_nodes { MODEL_FREE, MODEL_EMPTY, MODEL_KNOWN };
uint32_t model_nodes(const struct sim *sim, const struct core_submit *submit, enum model_nodes which);
/* The first job in order where that is by class, priority and arrival alone, and rules let it start; NULL. */
struct mjob *model_first(struct sim *sim);
/* It can be used now, and can do what the request needs. */
bool model_serves(const struct mnode *node, const struct resource_request *r);
bool model_fits(const struct mnode *node, const struct core_submit *submit, bool empty);

/* model_preempt.c: a core that could preempt for the first job by time alone has asked to be woken for it */
void model_preempt_check(struct sim *sim);

uint32_t model_gpu_takes(const struct core_inventory_gpu *gpu, const struct resource_request *r);

/* model_quota.c */
bool model_quotas_allow(const struct sim *sim, const struct mjob *job);
bool model_approved(const struct sim *sim,
                    const struct mjob *job); /* its family is free, or it is approved */
void model_quota_event(struct sim *sim, const struct core_event *event);
void model_quota_refused(struct sim *sim, const struct core_submit *submit, const struct core_decision *d);
bool model_may_hold(const struct sim *sim, const struct mjob *job);
/* It starts now: hold, begin time, dependencies, promise, and (but for what may be reserved for it) its turn
 * where order is strict. */
void model_rules_kept(struct sim *sim, const struct mjob *job, bool reserved);
bool model_any_reserved(const struct sim *sim);

/* model_array.c: arrays, by what became of their elements */
struct model_array {
    uint32_t made, live, completed, failed, canceled;
    uint32_t first; /* so many, from the first on, are made */
};
struct model_array model_array(const struct sim *sim, const struct mjob *array);
/* It, or what is left of an array, waits. */
bool model_waits(const struct sim *sim, const struct mjob *job);
/* An array: its limit lets no other element begin. */
bool model_array_full(const struct sim *sim, const struct mjob *job);
void model_array_submitted(struct sim *sim, const struct core_submit *s);
void model_element(struct sim *sim, const struct core_event *event, const struct core_decision *d);
void model_array_ends(struct sim *sim, const struct mjob *array, const struct core_decision *d);
/* At rest: what the core tells of each array, and that whose array is canceled is canceled, too. */
void model_arrays_settled(struct sim *sim);
/* Records that the core keeps of elements which were canceled ahead of their turn. */
uint32_t model_array_kept(const struct sim *sim, const struct mjob *array);

/* model_kept.c: it waits while it fits, as `why` says, so that short jobs find free capacity */
void model_kept_check(struct sim *sim, const struct mjob *job, const struct core_why *why);

/* model_share.c: fair share */
void model_share_config(struct sim *sim); /* a new one comes */
void model_share_freed(struct sim *sim, const struct mlease *lease);
void model_share(struct sim *sim, const struct core_decision *d);

/* model_lease.c */
void model_lease_start(struct sim *sim, const struct mjob *job, const struct core_decision *d);
void model_lease_freed(struct sim *sim, const struct core_event *event, const struct core_decision *d);
void model_lease_forgotten(struct sim *sim, const struct core_decision *d);
void model_lease_limit(struct sim *sim, const struct mjob *job); /* its time limit changed */
/* Takes one lease off its node's books, or off a copy of them. False: a unit of it is another GPU now. */
bool model_lease_lift(const struct sim *sim, struct mnode *node, const struct mlease *lease);
void model_lease_abandoned(struct sim *sim, struct task_id task);
bool model_lease_overdue(const struct sim *sim); /* some task outlived its declared time */

/* Room on it for a task of the job now. */
bool model_node_free(const struct mnode *node, const struct core_submit *submit);
/* In its turn, with quotas and licences for it, and no promise is in anybody's way. */
bool model_may_start(const struct sim *sim, const struct mjob *job);

/* model_reserve.c */
void model_reserved(struct sim *sim, const struct core_event *event, const struct core_decision *d);
void model_reserved_start(struct sim *sim, const struct mjob *job, const struct core_decision *d);
void model_reserved_settled(struct sim *sim);
bool model_reserved_for(const struct mresv *r, uint32_t principal);
void submit_reserve(struct sim *sim);
void submit_unreserve_all(struct sim *sim);

#endif
