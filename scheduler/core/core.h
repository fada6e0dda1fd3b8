/*
 * The core: a pure state machine that decides what runs where. One event in, decisions out; no clock, no I/O,
 * no threads, no strings, integers only, libc only. The same events at the same times give the same decisions
 * and the same state on every machine.
 *
 * Who drives it (the daemon, the simulator) does this for each event:
 *     core_event_check(core, &event)      -> refuse what is malformed (never hand it to core_step: that
 * aborts) core_make_room(core, &event)        -> grow the arena between steps; false: out of memory, or a
 * hard limit (then core_step refuses a job by CORE_REFUSED_FULL; a node must not be sent) core_step(core,
 * now, &event, out)   -> decides, and applies what it decided write ONE row (row.h) with now, event,
 * decisions, core_hash(core); when it is durable, carry the decisions out. Where the decisions hold
 * CORE_DECISION_CONTINUE, an event CORE_EVENT_CONTINUE must follow (others may come between). Recovery, and
 * every second core, hands the rows to core_make_room + core_apply instead: it never decides, and must end
 * with the row's hash.
 *
 * Times are milliseconds since the epoch. An event whose `now` is before the last one's is taken at the last
 * one's time (core_now): a wall clock that steps back never reaches the state.
 *
 * What an event about a job or task that the core doesn't know does: nothing, without decisions. Messages may
 * so be late or doubled. A task's event that names another node than the one that holds the lease does
 * nothing either (the daemon refuses it before, with core_task_get).
 *
 * A job's life here: JOB_SUBMIT -> Queued (or CORE_DECISION_JOB_REFUSED, and the job never existed).
 * START_TASK grants the lease (Preparing). TASK_STATE moves it on. TASK_EXIT records the end: Finalizing, or
 * Failed if it never ran. TASK_RELEASED frees the lease (LEASE_FREED), TASK_COLLECTED lets the job leave
 * Finalizing; after both the core says RELEASE_TASK (the executor may forget) and forgets the task, and the
 * job with its last task. All three must come for every task, in any order, once or more often. The first
 * exit wins.
 *
 * Nodes: NODE_DOWN (session lost) makes its live jobs NotResponding; after NODE_UP each task comes back with
 * its first report, so after a hello the daemon sends TASK_STATE (or TASK_EXIT) for each task that the hello
 * lists: PREPARING for one that is only accepted. For each task that core_node_tasks gives and the hello
 * doesn't list: state TASK_ASSIGNED and !abandoned -> send its order again; anything else -> TASK_EXIT with
 * END_SHIM_LOST, TASK_RELEASED, TASK_COLLECTED. NODE_LOST (an operator, or the fence timer of on_node_loss:
 * requeue) gives tasks up: jobs fail or are queued again as the next attempt, the tasks are `abandoned` (not
 * in the hello's orders any more) and their leases suspect, never free, until the node says TASK_RELEASED. An
 * executor that ended a task because its fence ran out says END_NODE_LOST, which is treated the same.
 *
 * A node that can't start a task says END_NODE_FAULT: the job is queued again as its next attempt, without
 * one of its retries, up to CORE_ATTEMPTS_MAX. NODE_FAULT drains such a node until NODE_HEALED or
 * NODE_RESUME.
 */
#ifndef BERTH_SCHEDULER_CORE_CORE_H
#define BERTH_SCHEDULER_CORE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/ids.h"
#include "proto/resources.h"
#include "proto/states.h"

/* Changes whenever the same events may give other decisions or another state. Written into each row and
 * checkpoint. */
#define CORE_VERSION 13

#ifndef CORE_STEP_WORK      /* the simulator also runs a core with a tiny one */
#define CORE_STEP_WORK 4096 /* W: units of work that one step may do before it says CONTINUE */
#endif
#ifndef CORE_PREEMPT_NODES      /* likewise */
#define CORE_PREEMPT_NODES 1024 /* nodes that one pass looks at for preemption */
#endif
#define CORE_DECISIONS_MAX                                                                                   \
    16384 /* what one step can decide at most; follows from W and the limits of a node */
#define CORE_JOBS_MAX (4u << 20)
#define CORE_NODES_MAX (1u << 16)
#define CORE_TASKS_MAX (1u << 20)
#define CORE_NODE_TASKS_MAX RESOURCE_CORES_MAX /* every task holds a core */
#define CORE_POOL_TASKS_MAX 2048               /* of a pool node */
#define CORE_ATTEMPTS_MAX 100                  /* an attempt past it isn't made: the job fails */
#define CORE_INSTANCES_MAX 1024                /* tasks of a gang, each on a node of its own */
#define CORE_DEPENDENCIES_MAX 64               /* of one job */
#define CORE_PROMISES_MAX 64                   /* jobs with a promised start at any time */
#define CORE_RETRIES_MAX 50
#define CORE_RETRY_CODES_MAX 4
#define CORE_UNLIMITED_MS (UINT64_C(24) * 3600 * 1000) /* what plans take for a job without a limit */
#define CORE_FENCE_MARGIN_MS 10000 /* on top of fence_after and the grace period before a requeue */
#define CORE_DURATION_MAX_MS (UINT64_C(1) << 42)
#define CORE_FAMILIES_MAX 256         /* ids of size families are below it */
#define CORE_ARRAY_MAX 1000000        /* elements of one array */
#define CORE_RESERVATIONS_MAX 256     /* at any time, each of up to CORE_INSTANCES_MAX nodes */
#define CORE_RESERVATION_USERS_MAX 64 /* of one */

struct core;

/* ---- events ---- */

/* Values are written into journals: never renumber. */
enum core_event_kind {
    CORE_EVENT_CONFIG = 1,
    CORE_EVENT_NODE_UP = 2, /* a hello; also for a node that is up, with its inventory as it is now */
    CORE_EVENT_NODE_DOWN =
        3, /* its session ended; the daemon also sends it for every node when it starts, and when the wall
              clock jumped: the fences of one that is down already begin afresh */
    CORE_EVENT_NODE_LOST = 4,  /* an operator says that it will not come back */
    CORE_EVENT_NODE_DRAIN = 5, /* no new tasks */
    CORE_EVENT_NODE_RESUME = 6,
    CORE_EVENT_JOB_SUBMIT = 7,
    CORE_EVENT_JOB_CANCEL = 8,
    CORE_EVENT_TASK_STATE = 9,
    CORE_EVENT_TASK_EXIT = 10,
    CORE_EVENT_TASK_RELEASED = 11,
    CORE_EVENT_TASK_COLLECTED = 12,
    CORE_EVENT_TICK = 13,      /* the time that CORE_DECISION_TIMER_AT named has come; harmless at any time */
    CORE_EVENT_CONTINUE = 14,  /* the pass that is due; harmless where none is */
    CORE_EVENT_TASK_OVER = 15, /* TASK_EXIT, TASK_RELEASED and TASK_COLLECTED in one */
    CORE_EVENT_JOB_UPDATE = 16,
    CORE_EVENT_LICENCES = 17,    /* how many of a licence there are */
    CORE_EVENT_QUOTA = 18,       /* what a principal, a workspace or everyone may hold at once */
    CORE_EVENT_RESERVE = 19,     /* a reservation is made, or taken away */
    CORE_EVENT_FAMILY = 20,      /* whether the sizes of a family need approval */
    CORE_EVENT_NODE_FAULT = 21,  /* the node drains itself: what it needs to start tasks is broken */
    CORE_EVENT_NODE_HEALED = 22, /* that works again; an administrator's drain stays */
    CORE_EVENT_CAPS = 23,        /* how far owners may go with their own jobs */
    CORE_EVENT_WEIGHT = 24,      /* how much of the fair share is a principal's */
    CORE_EVENT_KIND_END
};

/* Values are written into journals: never renumber. */
enum core_policy {
    CORE_POLICY_FCFS = 0,         /* strict order: the head blocks all behind it */
    CORE_POLICY_EASY = 1,         /* others may pass the head where they don't delay it */
    CORE_POLICY_EASY_SJBF = 2,    /* the same, the shortest first among those that may pass */
    CORE_POLICY_CONSERVATIVE = 3, /* none of the first CORE_PROMISES_MAX is delayed */
    CORE_POLICY_BERTH = 4,        /* short and long-waiting first, by predicted times (policy_berth.c) */
    CORE_POLICY_COUNT
};

/* "fcfs", "easy", "easy-sjbf", "conservative", "berth". */
const char *core_policy_name(enum core_policy policy);
bool core_policy_parse(const char *name, enum core_policy *out);

struct core_config {
    enum core_policy policy;
    bool preempt;                /* preemptible jobs give way to those of a higher class */
    uint64_t preempt_min_run_ms; /* what an attempt has run before it may be preempted */
    uint64_t age_ms;             /* a job that has waited so long counts as one class higher; 0: never */
    uint32_t share_weight;       /* how many places on the order's scale (each an eighth of a doubling) a
                                    doubling of recent use costs; 0: no fair share */
    uint64_t share_half_life_ms; /* of recent use; not 0 with share_weight */
};

enum core_on_node_loss { CORE_LOSS_WAIT = 0, CORE_LOSS_REQUEUE = 1, CORE_LOSS_COUNT };

struct core_inventory_core {
    uint16_t unit;   /* id of the SMT group on its node, < RESOURCE_CORES_MAX, each once */
    uint8_t threads; /* its logical CPUs, 1..RESOURCE_CORE_THREADS_MAX */
    uint8_t numa;    /* < RESOURCE_NUMA_MAX */
};

/* The core gives each GPU a unit id of its own choice, which the same key keeps for as long as the node is
 * known (core_node_gpu_key turns a unit id of a lease back into the key). */
struct core_inventory_gpu {
    uint8_t key[RESOURCE_GPU_KEY_BYTES]; /* the 16 bytes of its UUID, each once, not all 0 */
    uint64_t memory_bytes;
    uint8_t numa;                    /* < RESOURCE_NUMA_MAX; 0 where the driver doesn't know */
    uint8_t model;                   /* id of its model's name, < RESOURCE_LABELS_MAX */
    uint8_t link[RESOURCE_GPUS_MAX]; /* how close the inventory's other GPUs are, by their place in it; bigger
                                        is closer, 0: not known */
};

struct core_inventory {
    uint64_t memory_bytes; /* what jobs may have together */
    uint64_t labels;       /* bit n: the node has label id n */
    uint32_t fabric;       /* nodes of one number hang on one switch */
    uint32_t pool; /* not 0: a machine of so many processors without ids, for simulated logs: each is a
                      core of one CPU. Then without cores and GPUs */
    uint32_t core_count;
    uint32_t gpu_count;
    struct core_inventory_core cores[RESOURCE_CORES_MAX];
    struct core_inventory_gpu gpus[RESOURCE_GPUS_MAX];
};

/* What must have become of another job before one may start. */
enum core_dependency {
    CORE_AFTER_START = 0,   /* it runs, or ran */
    CORE_AFTER_SUCCESS = 1, /* Completed */
    CORE_AFTER_FAILURE = 2, /* Failed */
    CORE_AFTER_END = 3,     /* any end */
    CORE_DEPENDENCY_COUNT
};

enum core_quota_limit { CORE_QUOTA_CORES = 0, CORE_QUOTA_GPUS, CORE_QUOTA_RUNNING, CORE_QUOTA_QUEUED };
enum core_quota_scope {
    CORE_QUOTA_PRINCIPAL = 0,
    CORE_QUOTA_WORKSPACE = 1,
    CORE_QUOTA_FAMILY = 2, /* of all together in a family of sizes; its id is 0 */
    CORE_QUOTA_SCOPE_COUNT
};

struct core_submit {
    struct job_id job; /* must be new; 1..JOB_ID_MAX */
    struct principal_id principal;
    uint64_t seq; /* order among equals; the job's id does */
    enum priority_class priority_class;
    int32_t priority; /* within the class, higher first; 0 is usual */
    struct resource_request request;
    struct resource_licences licences;
    uint64_t time_limit_ms;  /* 0: none declared. The shim keeps it; here it is for planning */
    uint32_t grace_ms;       /* between TERM and KILL */
    uint32_t instance_count; /* 1..CORE_INSTANCES_MAX: tasks, each on a node of its own, all at once */
    enum core_on_node_loss on_node_loss;
    uint64_t fence_after_ms; /* with CORE_LOSS_REQUEUE */
    uint32_t workspace;      /* 0: the default one */
    bool preemptible;        /* may be stopped for a higher class, and is queued again */
    bool held;               /* waits until JOB_UPDATE releases it */
    uint64_t begin_ms;       /* not before; 0: at once */
    uint32_t retries;        /* attempts beyond the first after an end that `retry_kinds` names */
    uint32_t retry_kinds;    /* bit n: enum end_kind n */
    int32_t retry_codes[CORE_RETRY_CODES_MAX]; /* with END_EXIT: only these; all 0: any */
    uint64_t retry_wait_ms;                    /* before the second attempt; doubles with each, up to a day */
    uint32_t dependency_count;
    struct {
        struct job_id job;
        enum core_dependency kind;
        enum job_state ended; /* a final state: that of the job, where the core doesn't hold it any more */
    } dependencies[CORE_DEPENDENCIES_MAX];
    uint32_t family; /* of the size that it asked for, < CORE_FAMILIES_MAX; 0: of none */
    /* An array: so many jobs that are alike, as one entry. Element n (from 1) has the id job + n, which
     * nobody else may have. 0: no array. */
    uint32_t array_count;
    uint32_t array_limit; /* elements under way at once at most; 0: no limit */
    uint32_t reservation; /* it runs inside this one alone; 0: anywhere */
    bool by_operator;     /* no cap holds for it */
};

/* What JOB_UPDATE changes of a live job. One that core_update_refuses names does nothing. */
struct core_update {
    struct job_id job;
    bool by_operator;    /* an administrator acts: no cap holds, and owners can't undo it */
    bool set_held, held; /* while it waits */
    bool set_priority;
    enum priority_class priority_class;
    int32_t priority;
    bool set_time_limit; /* while it waits, or runs: the shim has its own copy */
    uint64_t time_limit_ms;
    bool set_begin; /* while it waits */
    uint64_t begin_ms;
    bool set_array_limit; /* of an array */
    uint32_t array_limit; /* 0: no limit */
};

/* What may be held at once; 0: no limit. */
struct core_quota {
    enum core_quota_scope scope;
    uint32_t id; /* of the principal or workspace; 0 with PRINCIPAL: everyone who has none of their own */
    uint32_t cores;
    uint32_t gpu_milli;
    uint32_t running; /* jobs */
    uint32_t queued;  /* jobs; one more is refused at submit */
    uint32_t family;  /* not 0: of jobs of that family alone; not for everyone */
    bool approved;    /* of a principal in a family: may run what is restricted there */
};

#define CORE_WEIGHT_ONE 1000u /* thousandths: of who has no weight */
#define CORE_WEIGHT_MAX 1000000u

/* Of the fair share: who has twice the weight of another goes as far with twice the use. */
struct core_weight {
    struct principal_id principal;
    uint32_t milli; /* 1..CORE_WEIGHT_MAX */
};

/* How far owners may go: the highest class, and the longest time limit, when they submit or raise one. A
 * principal's own stands in place of everyone's; a workspace's holds beside it. Of jobs that wait already,
 * those above the class stand (and then run) in it, and those above the time limit don't start; what runs
 * goes on. */
struct core_caps {
    enum core_quota_scope scope; /* PRINCIPAL or WORKSPACE */
    uint32_t id;                 /* 0 with PRINCIPAL: everyone who has none of their own */
    bool set_class;              /* false: no cap of the class */
    enum priority_class priority_class;
    uint64_t time_limit_ms; /* 0: none */
};

/* A family of sizes. Where it is restricted, only principals who are approved in it start jobs; those of
 * others wait. */
struct core_family {
    uint32_t id; /* 1..CORE_FAMILIES_MAX - 1 */
    bool restricted;
    uint64_t
        gpu_models; /* what it guards while it is restricted, however it is asked for: GPUs of these models,
                       and nodes with any of these labels, are for those alone who are approved in it */
    uint64_t labels;
};

/* Amounts of some nodes that only some users' jobs may use for a time. What of it isn't reserved of a node is
 * everybody's. One that could not be held (core_reserve_refuses) does nothing. */
struct core_reserve {
    uint32_t reservation; /* id of its name, not 0; free for another one when it is over */
    bool remove;          /* take it away; nothing else is read then */
    uint64_t begin_ms;    /* a time that is over: now */
    uint64_t end_ms;
    struct resource_request request; /* of each node: cores or cpus, whole GPUs, memory; all 0: all of it */
    uint32_t count;                  /* nodes, 1..CORE_INSTANCES_MAX */
    const struct node_id *nodes; /* `count` nodes, each once; NULL: the core chooses. Borrowed for the call */
    uint32_t user_count;         /* 1..CORE_RESERVATION_USERS_MAX */
    struct principal_id users[CORE_RESERVATION_USERS_MAX]; /* each once */
};

struct core_event {
    enum core_event_kind kind;
    bool defer; /* only record it: the pass is left to the next event without this (CONTINUE is asked for) */
    union {
        struct core_config config;
        struct {
            struct node_id node;                    /* 1..; a new id is a new node */
            const struct core_inventory *inventory; /* NODE_UP only; borrowed for the call */
        } node;                                     /* all NODE_ events */
        struct core_submit submit;
        struct core_update update;
        struct core_quota quota;
        struct core_caps caps;
        struct core_weight weight;
        struct core_family family;
        struct {
            uint32_t id; /* < RESOURCE_LICENCES_MAX */
            uint32_t total;
        } licences;
        struct core_reserve reserve;
        struct {
            struct job_id job;
            bool force;          /* KILL at once; and gives up on a task whose node is silent */
            struct job_id array; /* whose element the job is, so that one that has not begun can be canceled;
                                    0: of none */
        } cancel;
        struct {
            struct task_id task;
            struct node_id node; /* who says so */
            union {
                enum task_state state; /* TASK_STATE; PREPARING..PAUSED */
                struct {
                    int32_t code;
                    int32_t signal;     /* 0: none */
                    enum end_kind kind; /* END_NONE only with code 0 and signal 0 */
                    bool ran;           /* the payload was started: the job goes through Finalizing */
                } exit;                 /* TASK_EXIT, TASK_OVER */
            } as;
        } task; /* all TASK_ events */
    } as;
};

/* ---- decisions ---- */

/* Values are written into journals: never renumber. */
enum core_decision_kind {
    CORE_DECISION_JOB_REFUSED = 1,
    CORE_DECISION_JOB_STATE = 2,  /* also for a new reason within Queued */
    CORE_DECISION_START_TASK = 3, /* send the order; JOB_STATE Preparing follows */
    CORE_DECISION_STOP_TASK = 4,  /* send the stop (again) */
    CORE_DECISION_LEASE_FREED = 5,
    CORE_DECISION_RELEASE_TASK = 6, /* the executor may forget the task; the core has */
    CORE_DECISION_ABANDON_TASK =
        7, /* the node's loss was declared: no order for it any more, its lease is suspect */
    CORE_DECISION_TIMER_AT =
        8, /* send TICK at at_ms (once; the earliest replaces what was named before; 0: none) */
    CORE_DECISION_CONTINUE = 9,  /* send CONTINUE */
    CORE_DECISION_REQUEUE = 10,  /* the attempt ends, and another one will follow it */
    CORE_DECISION_PROMISE = 11,  /* the job starts at at_ms at the latest; holds on nodes follow */
    CORE_DECISION_HOLD = 12,     /* of the promise before it: this node */
    CORE_DECISION_VOID = 13,     /* the promise is taken back */
    CORE_DECISION_WAKE_JOB = 14, /* the job waits until at_ms */
    CORE_DECISION_SHARE = 15,    /* a principal's place in fair share changed */
    CORE_DECISION_SETTLED = 16,  /* a waiting job's standing was looked at again */
    CORE_DECISION_PATIENCE = 17, /* the default policy's scale of waiting is set anew */
    CORE_DECISION_ELEMENT = 18,  /* an array's element becomes a job of its own; its start or end follows */
    CORE_DECISION_RESERVATION = 19, /* what becomes of a reservation */
    CORE_DECISION_LOOK = 21,        /* when, and from which node on, preemption is looked at again */
    CORE_DECISION_ROOM =
        22, /* timer: jobs are kept back; the queue is looked at again at at_ms; 0: none is */
    CORE_DECISION_QUEUE_PLAN = 23, /* as PATIENCE, and the whole queue is planned anew */
    CORE_DECISION_KIND_END
};

/* Why a job is in the state it is in. Values are written into journals. */
enum core_reason {
    CORE_REASON_NONE = 0,
    CORE_REASON_WAITING = 1, /* Queued: in its turn, for room (core_why says for what) */
    CORE_REASON_NO_NODE = 2, /* Queued: no node was ever known */
    CORE_REASON_NODE_AWAY =
        3, /* Queued: a node that could hold it is known, but it is down, draining or lost */
    CORE_REASON_FITS_NO_NODE = 4, /* Queued: fits no node as they are now (one came back smaller) */
    CORE_REASON_REQUEUED = 5,     /* Queued: as the next attempt, its node was lost */
    CORE_REASON_LEASED = 6,       /* Preparing: the lease is granted */
    CORE_REASON_REPORTED = 7,     /* the node said so */
    CORE_REASON_NODE_DOWN = 8,    /* NotResponding */
    CORE_REASON_CANCEL = 9,       /* a person asked */
    CORE_REASON_ENDED = 10,       /* Finalizing and the final states: by its own end, see `end` */
    CORE_REASON_NODE_LOST = 11,   /* Failed: the node was declared lost */
    CORE_REASON_HELD = 12,        /* Queued: until it is released */
    CORE_REASON_BEGIN = 13,       /* Queued: until its begin time, or until it is tried again */
    CORE_REASON_DEPENDENCY = 14,  /* Queued: for other jobs. Canceled: they can't become what it waits for */
    CORE_REASON_PREEMPTED = 15,   /* Queued: as the next attempt, it gave way */
    CORE_REASON_RETRY = 16,       /* Queued: as the next attempt, the last one failed */
    CORE_REASON_QUOTA = 17,   /* Queued: its principal or workspace has all that it may have (views only) */
    CORE_REASON_LICENCE = 18, /* Queued: licences are held by others (views only) */
    CORE_REASON_ARRAY = 19, /* an array: as many of its elements are under way as may be at once, or all that
                               are left (views only) */
    CORE_REASON_RESERVATION =
        20, /* Queued: the reservation that it names has not begun, is gone, or ends too soon (views only) */
    CORE_REASON_APPROVAL =
        21,                /* Queued: its family is restricted, and its principal not approved (views only) */
    CORE_REASON_KEPT = 22, /* Queued: it fits, and leaves free capacity to short jobs (views only) */
    CORE_REASON_PLANNED = 23,    /* Queued: it fits, and the plan of the queue starts it later (views only) */
    CORE_REASON_NODE_FAULT = 24, /* Queued: as the next attempt, its node could not start it */
    CORE_REASON_CAP = 25,        /* Queued: its time limit is above a cap that was set since (views only) */
    CORE_REASON_COUNT
};

enum core_refusal {
    CORE_REFUSED_NEVER_FITS = 1,     /* more of `resource` than any known node has, up or not: wanted, best */
    CORE_REFUSED_NO_COMBINATION = 2, /* each amount fits some node, but no known node has all of them */
    CORE_REFUSED_FULL = 3,           /* CORE_JOBS_MAX or memory */
    CORE_REFUSED_DUPLICATE = 4,      /* a live job has this id */
    CORE_REFUSED_FEW_NODES = 5,      /* fewer known nodes (best) than wanted could hold a task of it */
    CORE_REFUSED_LICENCES = 6,       /* more of a licence than there are; resource is its id */
    CORE_REFUSED_QUOTA = 7, /* more than the quota lets anyone have at once, or too many queued: resource is
                               what core_refused_quota takes apart */
    CORE_REFUSED_RESERVATION = 8, /* it can't run inside the reservation that it names: resource is enum
                                     core_reserved_refusal */
    CORE_REFUSED_CAP =
        9, /* past what owners may ask for: resource 0: class (best), 1: time limit (best, in ms)
            */
    CORE_REFUSAL_END
};

/* Why a job can't run inside the reservation that it names. Values are written into journals. */
enum core_reserved_refusal {
    CORE_RESERVED_UNKNOWN = 1, /* there is none */
    CORE_RESERVED_USER = 2,    /* it isn't for the job's user */
    CORE_RESERVED_TIME = 3,    /* the time limit (wanted; 0: none) is more than what there is (best, in ms) */
    CORE_RESERVED_AMOUNTS = 4, /* it has fewer nodes (best) than wanted that could hold a task of it */
};

enum core_stop_reason {
    CORE_STOP_CANCEL = 1,
    CORE_STOP_PREEMPT = 2,
    CORE_STOP_DRAIN = 3,
    CORE_STOP_PEER = 4, /* another task of the gang failed or is lost */
    CORE_STOP_REASON_END
};

/* The named events that take a promise back. Values are written into journals. */
enum core_void {
    CORE_VOID_NODE = 1,        /* a node that it rested on is down, lost, draining or smaller */
    CORE_VOID_HIGHER = 2,      /* a job of a higher class or priority goes first */
    CORE_VOID_ADMIN = 3,       /* the policy, a quota, a licence count or the job itself was changed */
    CORE_VOID_OVERRUN = 4,     /* a task outlived its declared time */
    CORE_VOID_QUOTA = 5,       /* its principal or workspace holds all that it may have by other jobs */
    CORE_VOID_RESERVATION = 6, /* a reservation was made, moved or taken away */
    CORE_VOID_END
};

/* What becomes of a reservation. Values are written into journals: never renumber. */
enum core_reserved {
    CORE_RESERVED_MADE = 0,
    CORE_RESERVED_SEAT = 1,   /* amounts of a node are kept for it */
    CORE_RESERVED_UNSEAT = 2, /* no longer of this node, which is lost or draining */
    CORE_RESERVED_BEGUN = 3,
    CORE_RESERVED_OVER = 4,   /* its time is over, or it was taken away */
    CORE_RESERVED_FILLED = 5, /* for all of them was looked where they lack a node */
    CORE_RESERVED_COUNT
};

/* How a job or task ended. */
struct core_end {
    enum end_kind kind;
    int32_t code;
    int32_t signal;
};

struct core_decision {
    enum core_decision_kind kind;
    union {
        struct {
            struct job_id job;
            enum core_refusal refusal;
            uint32_t resource; /* NEVER_FITS: enum resource_kind */
            uint64_t wanted;   /* NEVER_FITS, in the resource's unit (bytes, thousandths) */
            uint64_t best;     /* NEVER_FITS: the most that one known node has */
        } refused;
        struct {
            struct job_id job;
            enum job_state state;
            enum core_reason reason;
            uint32_t attempt;    /* 0 before the first */
            struct core_end end; /* for Finalizing and final states */
        } job;
        struct {
            struct task_id task;
            struct node_id node;
            struct resource_lease lease;
            uint32_t reservation; /* which its use counts for; 0: none */
        } start;
        struct {
            struct task_id task;
            struct node_id node;
            enum core_stop_reason reason;
            uint32_t grace_ms;
            bool force;
        } stop;
        struct {
            struct task_id task;
            struct node_id node;
        } task; /* LEASE_FREED, RELEASE_TASK, ABANDON_TASK */
        struct {
            uint64_t at_ms;
        } timer;
        struct {
            struct job_id job;
            enum core_reason reason; /* why the next attempt follows; NONE: others were stopped for it */
            uint64_t until_ms;       /* with NONE: no more of them before */
        } requeue;
        struct {
            struct job_id job;
            struct node_id node; /* HOLD */
            uint64_t at_ms;      /* PROMISE, WAKE_JOB */
            uint64_t end_ms;     /* PROMISE: until when the nodes are kept at most */
            enum core_void why;  /* VOID */
        } plan;
        struct {
            struct principal_id principal;
            uint32_t place;
        } share;
        struct {
            struct job_id array;
            struct job_id job; /* the element: array + 1 .. array + array_count */
        } element;
        struct {
            uint64_t at_ms; /* TICK then; 0: no time */
            uint64_t best_ms;
            uint32_t from, left; /* nodes */
        } look;
        struct {
            uint32_t reservation; /* 0 with FILLED */
            struct node_id node;  /* SEAT, UNSEAT */
            enum core_reserved what;
        } reserved;
    } as;
};

/* A reusable array. Owned by the caller; core_step and the decoder empty it first. */
struct core_decisions {
    uint32_t count;
    struct core_decision v[CORE_DECISIONS_MAX];
};

struct core_decisions *core_decisions_create(void); /* NULL: no memory */
void core_decisions_destroy(struct core_decisions *d);

/* ---- the machine ---- */

/* Room at the start; grows by doubling in core_make_room up to the CORE_*_MAX. 0 means a small default. */
struct core_capacity {
    uint32_t jobs;
    uint32_t nodes;
    uint32_t tasks;
};

struct core *core_create(const struct core_capacity *capacity); /* NULL: no memory, or beyond a maximum */
void core_destroy(struct core *core);

/* NULL: well formed. Else a static text that says what is wrong with it. Reads no more than the event says.
 */
const char *core_event_check(const struct core_event *event);
bool core_make_room(struct core *core, const struct core_event *event);

void core_step(struct core *core, uint64_t now_ms, const struct core_event *event,
               struct core_decisions *out);
/* Applies what was recorded. NULL, or a static text where a decision doesn't follow from the state (a damaged
 * or foreign row): the core is then half applied and must be thrown away. */
const char *core_apply(struct core *core, uint64_t now_ms, const struct core_event *event,
                       const struct core_decisions *decisions);

uint64_t core_hash(struct core *core); /* O(what changed since the last call) */
uint64_t core_now(const struct core *core);
/* True where a CONTINUE is due: a daemon that recovered sends one. */
bool core_continue_due(const struct core *core);
/* The rules in force: those of the last CONFIG. */
void core_config_get(const struct core *core, struct core_config *out);
/* Promises that a named event took back, since the core began. */
uint64_t core_promises_voided(const struct core *core);
/* 0: none. A daemon that recovered arms its timer by it. */
uint64_t core_timer_at(const struct core *core);

/* Full pass over everything: hash, indexes, free lists, sums of leases. Call core_hash first if anything may
 * have changed since. NULL: all well; else a static text. For tests, replay and checkpoints. */
const char *core_check(const struct core *core);

/* *copy becomes equal to core (one memcpy, after a reallocation where sizes differ). False: no memory. */
bool core_copy(struct core *copy, const struct core *core);

/* A checkpoint is the arena's bytes with their own header. The bytes at *bytes belong to the core and are
 * valid until it changes. */
void core_checkpoint(struct core *core, const void **bytes, size_t *length);
/* Checks everything before it believes it (version, sizes, checksum, core_check). NULL with *why set (static
 * text) if it refuses, or there is no memory. */
struct core *core_restore(const void *bytes, size_t length, const char **why);

#include "scheduler/core/questions.h"

#endif
