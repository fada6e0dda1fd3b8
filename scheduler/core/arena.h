/*
 * Private to the core: the arena and its records. One block of memory holds all state: a header, then arrays
 * that are indexed by slots. Slot 0 is "none" everywhere. Nothing in the block is a pointer, so that a copy
 * is one memcpy.
 *
 * A record has `facts` (what the state hash covers, without padding) and links (indexes that follow from the
 * facts). Whoever changes facts does it between x_open and x_close, which keep the hash; links may change
 * freely.
 */
#ifndef BERTH_SCHEDULER_CORE_ARENA_H
#define BERTH_SCHEDULER_CORE_ARENA_H

#include "scheduler/core/core.h"

/* Assertions stay on in every build. */
#define CORE_ASSERT(x) ((x) ? (void)0 : core_assert_failed(#x, __FILE__))
_Noreturn void core_assert_failed(const char *what, const char *file);

#define CORE_MAGIC UINT64_C(0x31656e6f63687442)
#define CORE_ARENA_VERSION 1
/* A start is charged this much work, so one step starts at most CORE_STEP_WORK / CORE_WORK_START tasks; room
 * for that many is made before each step. */
#define CORE_WORK_START 8
#define CORE_STEP_STARTS_MAX (CORE_STEP_WORK / CORE_WORK_START)

struct job_facts {
    uint64_t id;
    uint64_t seq;
    uint64_t memory_bytes;
    uint64_t time_limit_ms;
    uint64_t fence_after_ms;
    uint64_t submitted_ms;
    uint64_t state_since_ms;
    uint32_t principal;
    int32_t priority;
    uint32_t cores;
    uint32_t cpus;
    uint32_t gpu_milli;
    uint32_t grace_ms;
    uint32_t instance_count;
    uint32_t attempt;
    int32_t end_code;
    int32_t end_signal;
    uint8_t priority_class;
    uint8_t state;
    uint8_t reason;
    uint8_t on_node_loss;
    uint8_t end_kind;
    uint8_t ended; /* end_* are set: an exit of this attempt came, or the core made the end */
    uint8_t forced;
    uint8_t present; /* 1: the slot is in use */
};

struct job {
    struct job_facts facts;
    uint64_t hash;
    uint32_t left, right, size; /* the treap that queue_of() names, while Queued */
    uint32_t first_task;
    uint32_t task_count;
    uint32_t next_free;
};

struct task_facts {
    uint64_t job;
    uint64_t wake_ms; /* end of the fence of a silent task; 0: none */
    struct resource_lease lease;
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
};

struct task {
    struct task_facts facts;
    uint64_t hash;
    uint32_t job_slot;
    uint32_t node_slot;
    uint32_t job_next;
    uint32_t node_prev, node_next;
    uint32_t heap_at; /* 1..: its place in the heap of wake times; 0: not there */
    uint32_t next_free;
    uint32_t present; /* 1: the slot is in use */
};

struct node_facts {
    uint64_t memory_bytes;
    uint64_t memory_used; /* may be more than memory_bytes where the node came back smaller */
    uint64_t since_ms;
    uint64_t inventory_hash;
    uint64_t core_used[RESOURCE_CORE_WORDS];
    uint16_t gpu_used[RESOURCE_GPUS_MAX]; /* thousandths */
    uint32_t id;
    uint8_t up;
    uint8_t draining;
    uint8_t lost;
    uint8_t present;
};

/* Amounts of one node, or the most of each amount in a subtree of nodes. */
struct caps {
    uint64_t memory_bytes;
    uint32_t cores;
    uint32_t cpus;
    uint32_t gpu_milli;
    uint32_t pad;
};

struct node {
    struct node_facts facts;
    uint64_t hash;
    /* The inventory; inventory_hash covers it. Units that are not present may still be leased. */
    uint64_t core_present[RESOURCE_CORE_WORDS];
    uint64_t gpu_memory[RESOURCE_GPUS_MAX];
    uint8_t core_threads[RESOURCE_CORES_MAX];
    uint8_t core_numa[RESOURCE_CORES_MAX];
    uint8_t gpu_key[RESOURCE_GPUS_MAX][RESOURCE_GPU_KEY_BYTES];
    uint8_t gpu_numa[RESOURCE_GPUS_MAX];
    uint32_t gpu_present;
    /* Links. */
    uint32_t first_task, last_task;
    uint32_t task_count;
    struct caps total; /* of what is present */
    struct caps free;
};

/* What is left of a pass that ran out of work; travels in CORE_DECISION_CONTINUE. */
enum { RECHECK_NONE = 0, RECHECK_START, RECHECK_AT, RECHECK_COUNT };
enum { PLACE_NONE = 0, PLACE_START, PLACE_FREE, PLACE_USABLE, PLACE_COUNT };
enum { AGAIN_RECHECK = 1, AGAIN_PLACE = 2, AGAIN_ALL = 3 };
struct cursor {
    uint64_t recheck_key[3]; /* the job that is looked at next; see queue_key */
    uint64_t place_job;
    uint32_t recheck_node; /* slot from which the search for it goes on */
    uint32_t place_node;
    uint8_t recheck;
    uint8_t place;
    uint8_t again; /* parts to be done from their start once they are through */
    uint8_t pad[5];
};

struct header_facts {
    uint64_t now_ms;
    struct cursor cursor;
    uint32_t job_count;
    uint32_t task_count;
    uint32_t node_count;
    uint32_t policy;
};

/* The indexes over nodes: a heap-shaped tree of the most of each amount, one tree a kind. */
enum { TREE_FREE = 0, TREE_USABLE, TREE_KNOWN, TREE_COUNT };

struct header {
    uint64_t magic;
    uint32_t arena_version;
    uint32_t core_version;
    uint64_t bytes; /* of the whole arena */
    uint64_t checksum;
    struct core_capacity capacity;
    uint32_t leaves;                      /* of each node tree: a power of two above capacity.nodes */
    uint32_t job_map_size, node_map_size; /* powers of two */
    uint32_t job_free, job_high;          /* first free slot; highest slot ever used */
    uint32_t task_free, task_high;
    uint32_t queue_root, aside_root;
    uint32_t heap_count;
    uint64_t sum; /* of the hashes of all records */
    struct header_facts facts;
};

struct core {
    size_t bytes;
    struct header *h; /* the arena */
    /* Views into it, made anew whenever the block changes. Indexed by slots from 1. */
    struct job *jobs;
    struct task *tasks;
    struct node *nodes;
    struct caps *tree[TREE_COUNT]; /* root at 1, leaf of node slot s at leaves + s */
    uint32_t *job_map;             /* open addressing, linear; 0 is empty, else a slot */
    uint32_t *node_map;
    uint32_t *heap; /* task slots by (wake_ms, slot), smallest at 1 */
};

/* arena.c */
/* Bytes for that capacity; fills the views if core is not NULL. */
size_t arena_layout(struct core *core, const struct core_capacity *capacity, void *base);
uint32_t arena_pow2(uint32_t at_least);

/* record.c: slots, ids and hashes */
uint64_t core_mix(uint64_t v);
uint64_t core_hash_bytes(uint64_t seed, const void *bytes, size_t length); /* length % 8 == 0 */
uint64_t job_hash(const struct job *job);
uint64_t task_hash(const struct task *task);
uint64_t node_hash(const struct node *node);
uint64_t header_hash(const struct header_facts *facts);
uint64_t node_inventory_hash(const struct node *node);

void job_open(struct core *core, struct job *job);
void job_close(struct core *core, struct job *job);
void task_open(struct core *core, struct task *task);
void task_close(struct core *core, struct task *task);
void node_open(struct core *core, struct node *node);
void node_close(struct core *core, struct node *node);

/* 0: there is none. */
uint32_t job_find(const struct core *core, uint64_t id);
uint32_t node_find(const struct core *core, uint32_t id);
uint32_t task_find(const struct core *core, struct task_id id);

/* New records are open, zeroed but for their id. 0: no room. */
uint32_t job_take(struct core *core, uint64_t id);
uint32_t task_take(struct core *core, uint32_t job_slot, uint32_t node_slot);
uint32_t node_take(struct core *core, uint32_t id);
/* The record must be closed and out of every index but the id map and the lists of tasks. */
void job_give(struct core *core, uint32_t slot);
void task_give(struct core *core, uint32_t slot);
void map_rebuild(struct core *core);
uint32_t tasks_room(const struct core *core);

/* queue.c: waiting jobs in order */
enum { QUEUE_NONE = 0, QUEUE_TURN, QUEUE_ASIDE };
int queue_of(const struct job_facts *facts);
void queue_add(struct core *core, uint32_t slot);    /* into the one that queue_of names */
void queue_remove(struct core *core, uint32_t slot); /* before the facts that queue_of reads change */
uint32_t queue_first(const struct core *core, uint32_t root);
uint32_t queue_at(const struct core *core, uint32_t root, uint32_t index);
uint32_t queue_rank(const struct core *core, uint32_t root, uint32_t slot); /* how many are before it */
uint32_t queue_from(const struct core *core, uint32_t root,
                    const uint64_t key[3]); /* first at or after key */
void queue_key(const struct job_facts *facts, uint64_t key[3]);
int queue_compare(const uint64_t a[3], const uint64_t b[3]);
uint64_t queue_weight(uint64_t id); /* of the treap */

/* wake.c: the heap of wake times */
void wake_set(struct core *core, uint32_t task_slot, uint64_t wake_ms); /* 0 removes; task must be open */
bool wake_before(const struct core *core, uint32_t a, uint32_t b);

/* capacity.c: what nodes have and have free */
struct caps request_caps(const struct job_facts *job);
struct caps request_caps_of(const struct resource_request *request);
bool caps_fit(const struct caps *want, const struct caps *have);
bool node_usable(const struct node_facts *facts);
void node_amounts(const struct node *node, struct caps *total, struct caps *free);
void node_refresh(struct core *core, uint32_t slot); /* after any change of a node */
void tree_rebuild(struct core *core);
struct caps node_leaf(const struct node *node, int kind); /* what the leaf of that kind must be */
/* First node at or after slot `from` whose leaf has all of want. Every look costs one unit of *work; when it
 * is used up: FIND_OUT, and *slot is where to go on. */
enum find { FIND_NONE = 0, FIND_SLOT, FIND_OUT };
enum find tree_find(const struct core *core, int kind, const struct caps *want, uint32_t from, int64_t *work,
                    uint32_t *slot);
struct caps tree_most(const struct core *core, int kind);

/* place.c: which units */
void place_pick(const struct node *node, const struct job_facts *job, struct resource_lease *lease);
/* Checks that the lease is free on the node, and takes it; false: it is not. The node must be open. */
bool lease_take(struct node *node, const struct resource_lease *lease);
bool lease_fits(const struct node *node, const struct resource_lease *lease);
void lease_return(struct node *node, const struct resource_lease *lease);

/* apply.c */
/* What the event says, recorded; NULL, or why it can't be. */
const char *apply_event(struct core *core, const struct core_event *event);
const char *apply_decision(struct core *core, const struct core_event *event,
                           const struct core_decision *decision);

/* node_update.c */
const char *node_take_inventory(struct core *core, uint32_t id, const struct core_inventory *inventory);

#endif
