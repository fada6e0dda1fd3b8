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
    bool exit_known; /* an exit of this attempt was delivered */
    struct core_end end;
};

struct mlease {
    struct task_id task;
    struct node_id node;
    struct resource_lease lease;
    bool held;
};

struct mnode {
    bool known, up, draining, lost;
    struct core_inventory inventory;
    uint64_t core_owner[RESOURCE_CORES_MAX]; /* index into leases + 1 */
    uint64_t gpu_owner[SIM_GPUS_MAX];        /* by position in the hardware */
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
    bool verbose;
};

_Noreturn void sim_fail(const struct sim *sim, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* drive.c: one event through the three cores, then its decisions to model and world */
void drive(struct sim *sim, const struct core_event *event);

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
bool world_job_alive(const struct sim *sim, struct job_id job);
bool world_task_alive(const struct sim *sim, struct task_id task);
bool world_busy(const struct wnode *node);

/* model.c */
void model_event(struct sim *sim, const struct core_event *event); /* before the step */
void model_decision(struct sim *sim, const struct core_event *event, const struct core_decision *d);
void model_settled(struct sim *sim); /* after the step */
bool model_fits_empty(const struct mnode *node, const struct resource_request *request);

#endif
