/*
 * Private to the core: the arena and its records. One block of memory holds all state: a header, then arrays
 * that are indexed by slots. Slot 0 is "none" everywhere. Nothing in the block is a pointer, so that a copy
 * is one memcpy.
 *
 * A record has `facts` (what the state hash covers, without padding) and links (indexes that follow from the
 * facts). Whoever changes facts calls x_changes first, and the next core_hash hashes the record anew; links
 * may change freely.
 */
#ifndef BERTH_SCHEDULER_CORE_ARENA_H
#define BERTH_SCHEDULER_CORE_ARENA_H

#include "scheduler/core/core.h"
#include "scheduler/core/order.h"

/* Assertions stay on in every build. */
#define CORE_ASSERT(x) ((x) ? (void)0 : core_assert_failed(#x, __FILE__))
_Noreturn void core_assert_failed(const char *what, const char *file);

#define CORE_MAGIC UINT64_C(0x31656e6f63687442)
#define CORE_ARENA_VERSION 11
/* A start is charged this much work, so one step starts at most CORE_STEP_WORK / CORE_WORK_START tasks beside
 * one gang, which is decided whole; room for that many is made before each step. */
#define CORE_WORK_START 8
#define CORE_STEP_STARTS_MAX (CORE_STEP_WORK / CORE_WORK_START + CORE_INSTANCES_MAX)
#define CORE_KLASSES_EXACT                                                                                   \
    4096 /* with more classes than that, time limits are rounded up to tell fewer apart */
#define CORE_SHAPES_IDLE_MAX 256  /* shapes that no waiting job has, kept for the next one */
#define CORE_NEEDS_MAX (4u << 20) /* dependencies of all waiting jobs */
#define CORE_HOLDS_MAX (CORE_PROMISES_MAX * CORE_INSTANCES_MAX)
#define CORE_TENANTS_MAX (1u << 17) /* principals and workspaces */
#define CORE_SEATS_MAX (CORE_RESERVATIONS_MAX * CORE_INSTANCES_MAX)
#define CORE_NEVER UINT64_MAX
#define TENANTS_OF_JOB_MAX 5
/* Elements of arrays that one step can make jobs of: each costs a start, and one more may be canceled. */
#define CORE_STEP_ELEMENTS_MAX (CORE_STEP_WORK / CORE_WORK_START + 2)

struct job_facts {
    uint64_t id;
    uint64_t seq;
    uint64_t time_limit_ms;
    uint64_t fence_after_ms;
    uint64_t submitted_ms;
    uint64_t state_since_ms;
    uint64_t wake_ms;     /* while Queued: begin time, or the time at which it ages; 0: none */
    uint64_t begin_ms;    /* while it waits for a time; 0: it doesn't */
    uint64_t hold_ms;     /* the promised latest start; 0: none */
    uint64_t hold_end_ms; /* until when its nodes are kept */
    uint64_t retry_wait_ms;
    uint64_t began_ms;      /* its current attempt's lease */
    struct order_job order; /* what is expected of it */
    uint64_t preempted_ms;  /* nothing more is stopped for it before; 0: nothing was */
    struct resource_request request;
    struct resource_licences licences;
    int32_t retry_codes[CORE_RETRY_CODES_MAX];
    uint32_t retry_kinds;
    uint32_t retries; /* left */
    uint32_t retried; /* done */
    uint32_t principal;
    uint32_t workspace;
    int32_t priority;
    uint32_t grace_ms;
    uint32_t instance_count;
    uint32_t attempt;
    int32_t end_code;
    int32_t end_signal;
    uint32_t waits_on; /* dependencies that are not met */
    uint32_t zero_word;
    uint8_t priority_class;
    uint8_t state;
    uint8_t reason;
    uint8_t on_node_loss;
    uint8_t end_kind;
    uint8_t ended; /* end_* are set: an exit of this attempt came, or the core made the end */
    uint8_t forced;
    uint8_t present; /* 1: the slot is in use */
    uint8_t preemptible;
    uint8_t held; /* enum held_by bits */
    uint8_t aged;
    uint8_t requeue;     /* enum core_reason: the attempt ends, and the job is queued again for this */
    uint8_t forlorn;     /* a dependency can't be met any more */
    uint8_t stirred;     /* it is in the list of those whose standing must be looked at again */
    uint8_t by_operator; /* enum set_by: what an administrator has set */
    uint8_t asked_class; /* what its priority_class is where no cap set since it came is lower */
    uint8_t over_cap;    /* 1: it waits, and its time limit is above a cap set since it came */
    uint8_t lowered;     /* 1: a cap had lowered its class when it began */
    uint8_t zero[2];
    uint32_t family; /* of its size; 0: none */
    uint32_t family_zero;
    uint64_t array;         /* of an element: its array's id; 0: it is none */
    uint64_t array_turn_ms; /* of an array: since when its limit lets the next element in */
    uint32_t array_count;   /* not 0: it is an array */
    uint32_t array_limit;   /* 1..array_count: elements under way at once */
    uint32_t array_next;    /* so many elements, from the first on, have begun or were canceled */
    uint32_t array_ahead;   /* elements canceled beyond those */
    uint32_t array_live, array_completed, array_failed, array_canceled; /* together: next + ahead */
    uint32_t reservation; /* it runs inside this one alone; 0: anywhere */
    uint32_t zero_reservation;
};

enum held_by { HELD_BY_OWNER = 1, HELD_BY_OPERATOR = 2 };

/* What owners can't take back: they may go further in the same direction. */
enum set_by {
    SET_PRIORITY = 1,
    SET_TIME_LIMIT = 2,
    SET_BEGIN = 4,
    SET_ARRAY_LIMIT = 8,
    SET_SUBMIT = 16, /* an administrator's own job: no cap holds for it */
    SET_ALL = 31
};

struct job {
    struct job_facts facts;
    uint64_t hash;
    uint32_t left, right, size; /* the treap of its class, while it is in its turn */
    uint32_t klass;             /* 0: not in its turn */
    uint32_t first_task;
    uint32_t task_count;
    uint32_t first_need, first_needed; /* dependencies: its own, and those of others on it */
    uint32_t first_hold;
    uint32_t stir_next; /* the next stirred one */
    uint32_t heap_at;
    uint32_t next_free;
    uint32_t first_element; /* of an array: elements under way, or canceled ahead of their turn */
    uint32_t element_prev, element_next;  /* of such an element */
    uint32_t changed_next;                /* not 0: it is in the list of changed ones */
    uint32_t tenants[TENANTS_OF_JOB_MAX]; /* whose sums and limits it counts in, as job_tenants names them */
};

struct task_facts {
    uint64_t job;
    uint64_t wake_ms; /* end of the fence of a silent task; 0: none */
    struct resource_lease lease;
    uint64_t began_ms; /* when the lease was granted */
    uint64_t ends_ms;  /* by its declared limit; CORE_NEVER: none was */
    uint64_t guess_ms; /* when it is expected to end */
    uint32_t attempt;
    uint32_t rank;
    uint32_t node;
    uint32_t grace_ms;
    int32_t end_code;
    int32_t end_signal;
    uint8_t state;
    uint8_t end_kind;
    uint8_t silent;
    uint8_t stop_reason; /* 0: not stopping */
    uint8_t forced;
    uint8_t abandoned;
    uint8_t released;
    uint8_t collected;
    uint32_t reservation; /* which its use counts for; 0: none */
    uint32_t zero_reservation;
};

struct task {
    struct task_facts facts;
    uint64_t hash;
    uint32_t job_slot;
    uint32_t node_slot;
    uint32_t job_next;
    uint32_t node_prev, node_next; /* by ends_ms, then by cores */
    uint32_t heap_at;              /* 1..: its place in the heap of wake times; 0: not there */
    uint32_t next_free;
    uint32_t present; /* 1: the slot is in use */
    uint32_t width;   /* its lease's cores */
    uint32_t changed_next;
};

enum node_drain { DRAIN_BY_PERSON = 1, DRAIN_BY_FAULT = 2 };

struct node_facts {
    uint64_t memory_bytes;
    uint64_t memory_used; /* may be more than memory_bytes where the node came back smaller */
    uint64_t since_ms;
    uint64_t inventory_hash;
    uint64_t core_used[RESOURCE_CORE_WORDS];
    uint16_t gpu_used[RESOURCE_GPUS_MAX]; /* thousandths */
    uint32_t id;
    uint32_t pool_used;
    uint32_t tenant; /* whose isolated tasks are there; 0: nobody's */
    uint8_t up;
    uint8_t draining; /* enum node_drain bits */
    uint8_t lost;
    uint8_t present;
};

/* Amounts of one node, or the most of each amount in a subtree of nodes. */
struct caps {
    uint64_t memory_bytes;
    uint32_t cores;
    uint32_t cpus;
    uint32_t gpu_milli; /* of whole GPUs */
    uint32_t share;     /* thousandths: the most that one GPU has */
};

struct node {
    struct node_facts facts;
    uint64_t hash;
    /* The inventory; inventory_hash covers it. Units that are not present may still be leased. */
    uint64_t core_present[RESOURCE_CORE_WORDS];
    uint64_t gpu_memory[RESOURCE_GPUS_MAX];
    uint64_t labels;
    uint8_t core_threads[RESOURCE_CORES_MAX];
    uint8_t core_numa[RESOURCE_CORES_MAX];
    uint8_t gpu_key[RESOURCE_GPUS_MAX][RESOURCE_GPU_KEY_BYTES];
    uint8_t gpu_link[RESOURCE_GPUS_MAX][RESOURCE_GPUS_MAX];
    uint8_t gpu_numa[RESOURCE_GPUS_MAX];
    uint8_t gpu_model[RESOURCE_GPUS_MAX];
    uint32_t gpu_present;
    uint32_t fabric;
    uint32_t pool;
    /* Links. */
    uint32_t first_task, last_task;
    uint32_t task_count;
    uint32_t lease_count; /* tasks that have not released theirs */
    uint32_t first_hold;
    uint32_t gpu_mixed;                /* GPUs of several models or memory sizes */
    uint32_t threads_min, threads_max; /* of its cores */
    struct caps total;                 /* of what is present */
    struct caps free;
    uint32_t first_seat; /* of reservations */
    uint32_t changed_next;
};

/* What makes two requests alike for every node. */
struct shape_key {
    struct resource_request request;
    uint32_t tenant; /* with RESOURCE_ISOLATED: the principal */
    uint32_t zero;
};

struct shape {
    struct shape_key key;
    uint32_t klasses; /* how many classes have it; 0 and in the map: idle, kept for the next */
    uint32_t first_klass;
    uint32_t prev, next; /* all that are in the map, the idle ones at the end */
    uint32_t fit, usable,
        known;     /* nodes: with room now; that could hold one if empty; the same of all known */
    uint32_t seen; /* jobs that had it, halved now and then: what is usual here */
    uint32_t present;
    uint32_t next_free;
};

#define SHORT_SHAPES_MAX 16

/* A shape that short jobs have had of late, and its part of them. */
struct short_shape {
    struct shape_key key;
    uint32_t instance_count;
    uint32_t part; /* in 1/65536; 0: the record is free */
};

/* Waiting jobs that are alike in every field that a policy reads, but for arrival. */
struct klass_key {
    uint64_t tier; /* smaller goes first: class, then priority */
    uint64_t time_limit_ms;
    struct resource_licences licences;
    uint32_t shape;
    uint32_t instance_count;
    uint32_t principal;
    uint32_t workspace;
    uint32_t place; /* on the policy's scale, with the principal's share; see policy_place */
    uint32_t preemptible;
    uint32_t family;
    uint32_t over_cap;    /* 1: such a class is never in the order */
    uint32_t reservation; /* the jobs run inside it alone: such a class is never in the order */
    uint32_t zero_reservation;
};

struct klass {
    struct klass_key key;
    uint32_t left, right, size; /* the treap of classes that stand (klass_stands), by their heads */
    uint32_t ordered;           /* 1: it is there */
    uint32_t root;              /* the treap of its jobs */
    uint32_t head;              /* the first of them */
    uint32_t shape_prev, shape_next;
    uint32_t tenant_prev, tenant_next; /* of its principal */
    uint32_t present;
    uint32_t next_free;
};

/* One job waits for another. */
struct need {
    uint64_t waiter, on; /* ids; what the hash covers */
    uint32_t kind;
    uint32_t waiter_slot, on_slot;
    uint32_t waiter_next;
    uint32_t on_prev, on_next;
    uint32_t present;
    uint32_t next_free;
};

/* A node is kept for a promised job. */
struct hold {
    uint32_t job_slot, node_slot;
    uint32_t job_next;
    uint32_t node_prev, node_next; /* by the job's hold_ms, then id */
    uint32_t present;
    uint32_t next_free;
    uint32_t zero;
};

/* A principal or workspace, all of its jobs or those of one family of sizes; or a family, all of its jobs:
 * what it holds, may hold, and has used. */
struct tenant_facts {
    uint64_t use; /* of cores (a GPU counts as many), in core-seconds as of use_at_ms, decayed */
    uint64_t use_at_ms;
    uint32_t id;
    uint32_t scope; /* enum core_quota_scope */
    uint32_t place; /* what its use adds to its jobs' places */
    uint32_t limit_cores, limit_gpu_milli, limit_running, limit_queued; /* 0: none */
    uint32_t own_limits;                                                /* 1: set for it, not everyone's */
    uint32_t family;            /* 0: its jobs of every family and of none */
    uint32_t approved;          /* 1: a principal who may run what is restricted in the family */
    uint64_t cap_time_limit_ms; /* 0: none */
    uint32_t cap_class;         /* 0: none; else 1 + the highest class */
    uint32_t own_caps;          /* 1: set for it, not everyone's */
    uint32_t weight_milli;      /* of the fair share; 0: CORE_WEIGHT_ONE */
    uint32_t zero;
    uint64_t guard_models, guard_labels; /* of a family: what it guards */
};

struct tenant {
    struct tenant_facts facts;
    uint64_t hash;
    /* Links: sums over the live jobs. */
    uint64_t cores;
    uint64_t gpu_milli;
    uint32_t running, queued;
    uint32_t first_klass; /* of a principal: where its jobs wait */
    uint32_t changed_next;
    uint64_t busy, busy_since; /* of a principal: sums over its leases of width, and of width x begin in ms
                                */
};

/* A reservation, and its seats: nodes of which it has an amount. */
struct resv_facts {
    uint64_t begin_ms, end_ms;
    struct resource_request request; /* of each node; all 0: all of it */
    uint32_t id;                     /* of its name */
    uint32_t count;                  /* nodes */
    uint32_t named;                  /* they were named: never others */
    uint32_t begun;
    uint32_t user_count;
    uint32_t zero;
    uint32_t users[CORE_RESERVATION_USERS_MAX]; /* principals */
};

struct resv {
    struct resv_facts facts;
    uint64_t hash;
    uint32_t first_seat;
    uint32_t seat_count;
    uint32_t present;
    uint32_t next_free;
    uint32_t changed_next;
    uint32_t zero;
};

struct seat {
    uint32_t resv_slot, node_slot;
    uint32_t resv_next;
    uint32_t node_prev, node_next; /* by the reservation's begin, then id */
    uint32_t present;
    uint32_t next_free;
    uint32_t zero;
};

struct header_facts {
    uint64_t now_ms;
    uint64_t voided;
    uint64_t preempt_min_run_ms;
    uint64_t age_ms;
    uint64_t share_half_life_ms;
    uint32_t share_weight;
    uint32_t preempt;
    uint32_t policy;
    uint32_t pass_due;
    uint32_t job_count;
    uint32_t task_count;
    uint32_t node_count;
    uint32_t tenant_count;
    uint32_t licence_total[RESOURCE_LICENCES_MAX];
    uint32_t everyone[4]; /* limits of principals without their own: cores, gpu_milli, running, queued */
    uint64_t restricted[CORE_FAMILIES_MAX / 64]; /* bit n: family n */
    uint64_t
        look_at_ms; /* when the head could preempt, or the next part of the pool is looked at; 0: no time */
    uint64_t look_best_ms;   /* the first such time in this round over the pool */
    uint32_t look_from;      /* how many nodes are before the part that is looked at next */
    uint32_t look_left;      /* of this round; 0: a new one begins */
    uint32_t refill_due;     /* reservations must be looked at that may lack a node */
    uint32_t everyone_class; /* caps of principals without their own, as in tenant_facts */
    uint64_t everyone_time_limit_ms;
};

/* One array of records with free slots in a list. */
struct table {
    uint32_t free, high;
};

struct header {
    uint64_t magic;
    uint32_t arena_version;
    uint32_t core_version;
    uint64_t bytes; /* of the whole arena */
    uint64_t checksum;
    struct core_capacity capacity;
    uint32_t need_capacity, hold_capacity, tenant_capacity;
    uint32_t need_count, hold_count;
    uint32_t leaves;                      /* of the node tree: a power of two above capacity.nodes */
    uint32_t job_map_size, node_map_size; /* powers of two; shapes and classes have maps like the jobs' */
    uint32_t tenant_map_size;
    struct table job, task, shape, klass, need, hold;
    uint32_t klass_root; /* the treap of classes */
    uint32_t klass_count;
    uint32_t shape_first, shape_last;
    uint32_t shape_idle; /* how many */
    uint32_t in_turn;    /* jobs that are in their class */
    uint32_t heap_count;
    uint32_t stir_first, stir_last;
    uint32_t promised_count;
    uint32_t promised[CORE_PROMISES_MAX]; /* job slots, in the order of the promises */
    uint32_t licence_used[RESOURCE_LICENCES_MAX];
    uint32_t spot_running[PRIORITY_CLASS_COUNT]; /* preemptible jobs that hold a lease for their attempt */
    uint32_t spot_zero;
    struct caps_sum {
        uint64_t cores, cpus, gpu_milli, memory_bytes;
    } pool;               /* what the usable nodes have together */
    struct caps_sum idle; /* and what of it nobody has: the sum of the tree's leaves */
    uint64_t sum;         /* of the hashes of all records but the changed ones */
    uint32_t job_changed, task_changed, node_changed, tenant_changed, resv_changed; /* lists of those */
    uint32_t changed_zero;
    uint64_t array_jobs; /* how many arrays there are */
    struct header_facts facts;
    uint32_t resv_capacity, seat_capacity;
    struct table resv, seat;
    uint32_t resv_count, seat_count;
    uint32_t resv_begun; /* how many have begun */
    uint32_t resv_zero;
    uint64_t resv_wake_ms;                             /* the first begin or end to come; 0: none */
    struct short_shape short_shapes[SHORT_SHAPES_MAX]; /* for which capacity is kept; short_jobs.c */
};

struct core {
    size_t bytes;
    struct header *h; /* the arena */
    /* Views into it, made anew whenever the block changes. Indexed by slots from 1. */
    struct job *jobs;
    struct task *tasks;
    struct node *nodes;
    struct shape *shapes;
    struct klass *klasses;
    struct need *needs;
    struct hold *holds;
    struct tenant *tenants;
    struct order_state *order;
    struct order_memory *learned;
    struct caps *tree; /* of usable nodes' free amounts: root at 1, leaf of node slot s at leaves + s */
    uint32_t *job_map; /* open addressing, linear; 0 is empty, else a slot */
    uint32_t *node_map;
    uint32_t *shape_map;
    uint32_t *klass_map;
    uint32_t *tenant_map;
    uint32_t *heap; /* task slots, and job slots with WAKE_JOB, by (wake_ms, entry), smallest at 1 */
    struct resv *resvs;
    struct seat *seats;
};

#define WAKE_JOB UINT32_C(0x80000000)

/* arena.c */
/* Bytes for what the header says; fills the views if core is not NULL. */
size_t arena_layout(struct core *core, const struct header *h, void *base);
uint32_t arena_pow2(uint32_t at_least);

/* record.c: slots and hashes */
uint64_t core_mix(uint64_t v);
uint64_t core_hash_bytes(uint64_t seed, const void *bytes, size_t length); /* length % 8 == 0 */
uint64_t job_hash(const struct job *job);
uint64_t task_hash(const struct task *task);
uint64_t node_hash(const struct node *node);
uint64_t tenant_hash(const struct tenant *tenant);
uint64_t need_hash(const struct need *need);
uint64_t hold_hash(const struct core *core, const struct hold *hold);
uint64_t header_hash(const struct header_facts *facts);
uint64_t resv_hash(const struct resv *resv);
uint64_t seat_hash(const struct core *core, const struct seat *seat);
uint64_t node_inventory_hash(const struct node *node);

/* Before the first change of its facts since the last state hash, and as often as one likes. */
void job_changes(struct core *core, struct job *job);
void task_changes(struct core *core, struct task *task);
void node_changes(struct core *core, struct node *node);
void tenant_changes(struct core *core, struct tenant *tenant);
void resv_changes(struct core *core, struct resv *resv);
/* It changes to all zeros, facts and links; it stays in the list of changed ones. */
void job_clear(struct core *core, struct job *job);
void task_clear(struct core *core, struct task *task);
void node_clear(struct core *core, struct node *node);
void tenant_clear(struct core *core, struct tenant *tenant);
void resv_clear(struct core *core, struct resv *resv);
void records_hash(struct core *core); /* makes `sum` that of all records */

/* New records count as changed, and are zeroed but for their id. 0: no room. */
uint32_t job_take(struct core *core, uint64_t id);
uint32_t task_take(struct core *core, uint32_t job_slot, uint32_t node_slot, uint32_t rank, uint64_t ends_ms,
                   uint32_t width);
uint32_t node_take(struct core *core, uint32_t id);
/* The record must be closed and out of every index but the id map and the lists of tasks. */
void job_give(struct core *core, uint32_t slot);
void task_give(struct core *core, uint32_t slot);
uint32_t tasks_room(const struct core *core);
/* Puts a task at the place in its node's list that its end gives it. */
void task_resort(struct core *core, uint32_t slot, uint64_t ends_ms);
uint32_t lease_width(const struct resource_lease *lease); /* cores */

/* idmap.c: by id or key; 0: there is none */
uint32_t job_find(const struct core *core, uint64_t id);
uint32_t node_find(const struct core *core, uint32_t id);
uint32_t task_find(const struct core *core, struct task_id id);
uint32_t tenant_find(const struct core *core, enum core_quota_scope scope, uint32_t id);
uint32_t tenant_find_in(const struct core *core, enum core_quota_scope scope, uint32_t id, uint32_t family);
uint32_t shape_find(const struct core *core, const struct shape_key *key);
uint32_t klass_find(const struct core *core, const struct klass_key *key);
enum idmap { IDMAP_JOB = 0, IDMAP_NODE, IDMAP_SHAPE, IDMAP_KLASS, IDMAP_TENANT };
void idmap_put(struct core *core, enum idmap map, uint32_t slot);
void idmap_drop(struct core *core, enum idmap map, uint32_t slot);
void idmap_rebuild(struct core *core);

/* tenant.c: principals and workspaces */
uint32_t tenant_get(struct core *core, enum core_quota_scope scope, uint32_t id,
                    uint32_t family); /* made where it is new */
/* The records of those that a new job counts for; made where they are new. */
void tenant_enter(struct core *core, struct job *job);
/* What a job is in their sums, as it is now. */
enum tenant_part { TENANT_PART_NONE, TENANT_PART_QUEUED, TENANT_PART_RUNNING };
enum tenant_part tenant_part(const struct job_facts *job);
/* Counts the job as what it is now, and no longer as what it was. */
void tenant_count(struct core *core, const struct job *job, enum tenant_part was);
/* What a job would hold while it runs. */
void tenant_amounts(const struct job_facts *job, uint64_t *cores, uint64_t *gpu_milli);
/* The limits in force, in the order of everyone[]. */
void tenant_limits(const struct core *core, const struct tenant *t, uint32_t limits[4]);
/* Whether the quotas let one more of the class run. */
bool tenant_allows(const struct core *core, const struct klass *klass);
void tenant_attach(struct core *core, uint32_t klass);
void tenant_detach(struct core *core, uint32_t klass);

/* share.c: fair share of principals */
/* What a task holds, as fair share counts it: cores, and each GPU as one. */
uint64_t share_width(const struct task *task);
/* A task of the job has its lease; it has given it back. */
void share_begin(struct core *core, const struct job *job, const struct task *task);
void share_end(struct core *core, const struct job *job, const struct task *task);
/* What was used is decayed up to now: before the half-life changes. */
void share_settle(struct core *core, struct tenant *t);
void share_weigh(struct core *core, const struct core_weight *weight);
/* The place that its use gives the principal now. */
uint32_t share_place(const struct core *core, const struct tenant *t);
/* What the decision SHARE does; NULL, or why it can't be. */
const char *share_apply(struct core *core, uint32_t principal, uint32_t place);

/* treap.c: ordered sets whose links lie in records; a treap's shape follows from its members alone */
struct treap {
    struct core *core;
    bool klasses; /* of classes, by their heads; else of one class's jobs */
};
void treap_add(struct treap t, uint32_t *root, uint32_t slot);
void treap_remove(struct treap t, uint32_t *root, uint32_t slot);
uint32_t treap_first(struct treap t, uint32_t root);
uint32_t treap_next(struct treap t, uint32_t root, uint32_t slot); /* 0: it was the last */
/* First class of that tier whose place is at least this; 0: none. */
uint32_t treap_seek(const struct core *core, uint64_t tier, uint32_t place);
uint32_t treap_after_tier(const struct core *core, uint64_t tier); /* the first class of a later tier */
uint32_t treap_rank(struct treap t, uint32_t root, uint32_t slot); /* how many are before it */
bool treap_before(const struct core *core, bool klasses, uint32_t a, uint32_t b);
uint64_t treap_weight(const struct core *core, bool klasses, uint32_t slot);

/* queue.c: waiting jobs */
bool job_ready(const struct job_facts *facts); /* Queued, and in its turn */
uint64_t job_tier(const struct job_facts *facts);
/* Into its class, where it is ready; before facts change that a class or readiness is made of: out. */
void queue_enter(struct core *core, uint32_t slot);
void queue_leave(struct core *core, uint32_t slot);
/* Until when it leaves what it fits into to others, as things are; 0: it doesn't fit, or isn't kept back. */
uint64_t queue_kept_until(const struct core *core, uint32_t slot);
/* Why it waits, of a job in its turn: what its class's standing among the nodes says. */
enum core_reason queue_standing(const struct core *core, uint32_t slot);
bool licences_free(const struct core *core, const struct resource_licences *want);
struct klass_key klass_key_of(const struct core *core, const struct job_facts *job, uint32_t shape);
/* Whether it belongs into the order of classes: nodes could hold it, and it is approved. */
bool klass_stands(const struct core *core, const struct klass *klass);
/* The principal's classes change their standing with what they are approved for. */
void approvals_settle(struct core *core, uint32_t principal);

/* shape.c: requests that are alike, and how many nodes can take one */
struct shape_key shape_key_of(const struct job_facts *job);
uint32_t shape_use(struct core *core, const struct shape_key *key); /* made where it is new */
void shape_attach(struct core *core, uint32_t slot, uint32_t klass);
void shape_detach(struct core *core, uint32_t slot, uint32_t klass);
/* Around any change of what is leased on a node, or of how many tasks it has. */
void shapes_forget_fit(struct core *core, const struct node *node);
void shapes_count_fit(struct core *core, const struct node *node);
/* Around any other change of a node. */
void shapes_forget_node(struct core *core, const struct node *node);
void shapes_count_node(struct core *core, const struct node *node);
/* Classes whose shape gained its first or lost its last usable node change their standing. */
void shapes_settle(struct core *core);

/* wake.c: the heap of wake times. Task and job must be open */
void wake_task(struct core *core, uint32_t slot, uint64_t wake_ms); /* 0 removes */
void wake_job(struct core *core, uint32_t slot, uint64_t wake_ms);
bool wake_before(const struct core *core, uint32_t a, uint32_t b);
uint64_t wake_time(const struct core *core, uint32_t entry);
uint32_t *wake_place(const struct core *core, uint32_t entry);

/* need.c: dependencies */
enum need_outcome { NEED_OPEN = 0, NEED_MET, NEED_LOST };
enum need_outcome need_outcome(const struct job_facts *on, enum core_dependency kind);
/* What becomes of the n-th dependency of a job that is submitted now; *on is the slot of a live job, or 0. */
enum need_outcome need_at_submit(const struct core *core, const struct core_submit *s, uint32_t n,
                                 uint32_t *on);
bool need_take(struct core *core, uint32_t waiter, uint32_t on, enum core_dependency kind);
/* The job has come to its state: marks what is met by it or can't be any more, and stirs those who wait. */
void need_tell(struct core *core, uint32_t slot);
void need_drop_all(struct core *core, uint32_t waiter);
void stir(struct core *core, uint32_t slot);
void unstir(struct core *core, uint32_t slot);

/* fit.c: what nodes have and have free, and which could take a task */
/* What a task takes there; where its cores have unequal numbers of threads, at most. */
struct caps caps_of(const struct node *node, const struct resource_request *r);
bool wants_share(const struct resource_request
                     *r); /* of a GPU: plans count it as a whole one, so it is promised nothing */
bool caps_fit(const struct caps *want, const struct caps *have);
bool node_usable(const struct node_facts *facts);
/* Usable, and able to do what the request needs. */
bool node_serves(const struct node *node, const struct resource_request *r);
void node_amounts(const struct node *node, struct caps *total, struct caps *free);
void gpu_amounts(const struct node *node, struct caps *free); /* only those of GPUs */
/* Room for one more task of that shape: as it is now, or if it were empty. */
bool node_fits(const struct node *node, const struct shape_key *key, bool empty);
uint32_t gpu_share_of(const struct node *node, uint32_t unit, const struct resource_request *r); /* 0: no */
void node_refresh(struct core *core, uint32_t slot); /* after its inventory or usability changed */
void tree_update(struct core *core, uint32_t slot);  /* after its free amounts changed */
void tree_rebuild(struct core *core);
struct caps node_leaf(const struct node *node);
/* First usable node at or after slot `from` with room for the shape; 0: none. */
uint32_t tree_find(const struct core *core, const struct shape_key *key, uint32_t from);

/* place.c: which units of a node */
void place_units(const struct node *node, const struct job_facts *job, struct resource_lease *lease);
/* Checks that the lease is free on the node, and takes it; false: it is not. The node must be open. */
bool lease_fits(const struct node *node, const struct resource_lease *lease);
void lease_take(struct core *core, struct node *node, const struct job_facts *job,
                const struct resource_lease *lease);
void lease_return(struct core *core, struct node *node, const struct resource_lease *lease);

/* Adds what of the lease's cores the node has. */
void lease_amounts(const struct node *node, const struct resource_lease *lease, struct caps *sum);

/* hold.c: nodes that are kept for promised jobs */
bool hold_take(struct core *core, uint32_t job_slot, uint32_t node_slot);
void holds_drop(struct core *core, uint32_t job_slot); /* of a promise, and the promise itself */
void holds_promise(struct core *core, uint32_t job_slot, uint64_t at_ms, uint64_t end_ms);

/* policy.c: a job's place in the order of classes, from what is expected of it and its principal's share */
uint32_t policy_place(const struct core *core, const struct job_facts *job, uint32_t share_place);

/* queue_plan.c: the queue planned as a whole */
/* What the decision QUEUE_PLAN does; NULL, or why it can't be. */
const char *queue_plan_make(struct core *core);

/* family.c: whose quotas a job counts against, and approval */
struct job_tenant {
    enum core_quota_scope scope;
    uint32_t id, family;
};
/* All whose sums and limits it counts in; returns how many. The record of each is there once a job has come.
 */
uint32_t job_tenants(uint32_t principal, uint32_t workspace, uint32_t family,
                     struct job_tenant out[TENANTS_OF_JOB_MAX]);
bool job_counts_in(const struct job_facts *job, const struct tenant_facts *t);
/* Sets what of GPUs and nodes restricted families keep from the job's principal. The job must be open. */
void guards_close(const struct core *core, struct job_facts *job);
/* The restricted family that keeps all nodes from the job which could hold it; 0: none does. A pass over the
 * nodes where anything is closed to it. */
uint32_t guards_keep(const struct core *core, const struct job_facts *job);
/* False: its family is restricted and its principal not approved there. */
bool job_approved(const struct core *core, const struct job_facts *job);
/* It is approved, and under the caps. */
bool job_permitted(const struct core *core, const struct job_facts *job);
/* Whether the quotas of all these let as much more start. */
bool tenants_allow(const struct core *core, const struct job *job, uint64_t cores, uint64_t gpu_milli);
void apply_family(struct core *core, const struct core_family *family);
/* What the principal is approved for has changed. */
void apply_approval(struct core *core, uint32_t principal);
uint32_t refused_quota_code(const struct job_tenant *tenant, enum core_quota_limit limit);

/* authority.c: what owners may do with their own jobs */
void apply_caps(struct core *core, const struct core_caps *caps);
/* Whether the submit goes past a cap; CORE_REFUSED_CAP's resource and best. */
bool caps_refuse(const struct core *core, const struct core_submit *s, uint32_t *resource, uint64_t *wanted,
                 uint64_t *best);
/* Whether its time limit is above the cap that holds for it now. */
bool caps_hold_back(const struct core *core, const struct job_facts *job);
/* What the caps as they are now make of a waiting job. The job must be open, and out of the queue. */
void caps_settle(const struct core *core, struct job_facts *job);
/* What an administrator's update marks, and owners can't take back. */
uint8_t update_marks(const struct core_update *u);

/* learn.c: between job records and order.h. The job must be open */
void learn_submit(struct core *core, struct job_facts *job);
void learn_leave(struct core *core, struct job_facts *job, bool starts);
void learn_end(struct core *core, const struct job_facts *job);
void learn_again(struct core *core, uint32_t principal); /* what waits of one of whom a job has ended */
/* Its dominant resource's part of the pool, in 1/2^32. */
uint32_t learn_share(const struct core *core, const struct resource_request *r, uint32_t tasks);
/* Which of its amounts that is; -1: it wants nothing that there is. */
int learn_dominant(const struct core *core, const struct job_facts *job);
/* Of that amount (memory in MiB): what the job wants, what the usable nodes have, and what of it is idle. */
uint64_t learn_wants(const struct job_facts *job, int which);
/* Whether one task wants any of it; cores and hardware threads are the same to it. */
bool learn_wants_of(const struct resource_request *r, int which);
uint64_t learn_pool(const struct core *core, int which);
uint64_t learn_idle(const struct core *core, int which);
/* The part of its dominant resource, in 1/2^32 of the pool, that would be idle beside it. */
uint64_t learn_left(const struct core *core, const struct job_facts *job);
uint64_t learn_hash(const struct core *core); /* of the state; learned cells are in the sum */
const char *check_learned(const struct core *core, uint64_t *sum);

/* short_jobs.c: capacity that is kept for them */
/* A job has come, the order has taken it in: where it isn't long, capacity is kept for its like. */
void short_jobs_note(struct core *core, const struct job_facts *job);
/* Whether capacity on the node is kept from a long job: short ones could use it now, and would lose it. */
bool short_jobs_keep_node(const struct core *core, const struct job_facts *job, uint32_t node_slot);
/* Whether the job fits now on as many nodes as it wants where nothing is kept from it; KEEP_NODES_MAX nodes
 * are looked at. */
bool short_jobs_leave_enough(const struct core *core, const struct job_facts *job);
/* Whether any short job could use the node now. */
bool short_jobs_fit_node(const struct core *core, const struct node *node);
const char *check_short_jobs(const struct core *core);

/* apply.c */
void job_set_wake(struct core *core, uint32_t slot); /* the job must be open */
/* What the event says, recorded; NULL, or why it can't be. */
const char *apply_event(struct core *core, const struct core_event *event);
/* apply_decision.c */
bool holds_licences(const struct job_facts *job, enum job_state state);
const char *apply_decision(struct core *core, const struct core_event *event,
                           const struct core_decision *decision);

/* A job leaves the waiting ones: out of the queue, its promise, dependencies and wake time gone. */
void job_forget_waiting(struct core *core, uint32_t slot);
/* Ended, and none of its tasks is left: the record goes. */
void job_forget_if_over(struct core *core, uint32_t slot);

/* array.c: jobs that stand for many */
/* Whether a job in that state waits, with all or the rest of it. */
bool job_waits_as(const struct job_facts *facts, enum job_state state);
bool job_waits(const struct job_facts *facts);
bool job_runs(const struct job_facts *facts); /* it holds what it asked for; an array itself holds nothing */
uint32_t array_left(const struct job_facts *facts);             /* elements that have not begun */
bool array_full(const struct job_facts *facts);                 /* as many are under way as may be at once */
enum core_reason array_standing(const struct job_facts *facts); /* what a view tells, outside of its turn */
void array_enter(struct core *core, struct job_facts *job, const struct core_submit *s);
void array_limit(struct core *core, struct job_facts *job, uint32_t limit);
void array_stir(struct core *core, uint32_t slot, bool force); /* its elements are to be canceled with it */
/* The element has ended: its array counts it. */
void array_count_end(struct core *core, uint32_t element);
/* An element that was canceled ahead of its turn stays until that comes. */
bool array_keeps(const struct core *core, uint32_t element);
void array_forget(struct core *core, uint32_t slot); /* those that it keeps; the array has ended */
const char *apply_element(struct core *core, const struct core_event *event, const struct core_decision *d);
const char *check_arrays(const struct core *core);

/* learn.c: what is left of an array counts as so many jobs. The job must be open, its load as of one job */
void learn_scale(struct core *core, struct job_facts *job);
void learn_rescale(struct core *core, struct job_facts *job); /* after some have begun */
uint64_t learn_load(const struct job_facts *job);             /* what that comes to */

/* node_update.c */
const char *node_take_inventory(struct core *core, uint32_t id, const struct core_inventory *inventory);

/* check_links.c */
const char *check_links(const struct core *core);
/* check_index.c */
const char *check_queues(const struct core *core);
const char *check_shapes(const struct core *core);
const char *check_tree(const struct core *core);
const char *check_needs(const struct core *core, uint64_t *sum);
const char *check_holds(const struct core *core, uint64_t *sum);
const char *check_tenants(const struct core *core, uint64_t *sum);

#endif
