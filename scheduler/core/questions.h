/*
 * What can be asked of the core: views of jobs, tasks, nodes and rules, why a job waits, when it starts, and
 * what would start in its place. None of it changes anything. core.h includes this.
 */
#ifndef BERTH_SCHEDULER_CORE_QUESTIONS_H
#define BERTH_SCHEDULER_CORE_QUESTIONS_H

#include "scheduler/core/core.h"

struct core_job_view {
    struct job_id job;
    struct principal_id principal;
    uint64_t seq;
    enum job_state state;
    enum core_reason reason;
    enum priority_class priority_class;
    enum priority_class asked_class; /* above it: a cap that was set since holds the job, which waits, down */
    bool lowered;                    /* one had when it began: it runs, or ran, as priority_class */
    bool over_cap;                   /* it waits, and its time limit is above a cap that was set since */
    int32_t priority;
    struct resource_request request;
    uint64_t time_limit_ms;
    uint32_t grace_ms;
    uint32_t instance_count;
    uint32_t attempt;
    uint32_t retries_left; /* of those that the job asked for */
    uint32_t task_count;   /* tasks that the core still holds, of all attempts */
    uint32_t workspace;
    uint64_t begin_ms;      /* 0: it doesn't wait for a time */
    uint64_t promised_ms;   /* the latest start; 0: none was promised */
    uint64_t kept_until_ms; /* as core_why tells */
    uint64_t predicted_ms;  /* how long it is expected to run; 0: nothing known */
    bool force_canceled;
    uint64_t submitted_ms;
    uint64_t state_since_ms;
    struct core_end end;
    uint32_t family;
    bool held_by_operator; /* an administrator holds it: its owner can't release it */
    bool waits;            /* it, or what is left of an array, is in the queue or waits for something */
    struct job_id array;   /* of an element: its array; 0: it is none */
    /* Of an array; array_count 0: it is none. What is not counted here was canceled or waits. */
    uint32_t array_count, array_limit;
    uint32_t array_waiting, array_live, array_completed, array_failed, array_canceled;
    enum core_on_node_loss on_node_loss;
    uint64_t fence_after_ms;
};

struct core_task_view {
    struct task_id task;
    struct node_id node;
    enum task_state state;
    bool silent;    /* its node is down, or is back and has not spoken of it yet */
    bool stopping;  /* STOP_TASK was decided: send it again with a hello's answer */
    bool forced;    /* the stop has force */
    bool abandoned; /* not in orders any more; lease is suspect */
    bool released;  /* lease is free again */
    bool collected;
    enum core_stop_reason stop_reason;
    uint32_t grace_ms;
    struct core_end end; /* with state TASK_EXITED */
    struct resource_lease lease;
    uint64_t given_up_ms; /* when it will be, if its node stays silent; 0: never by time alone */
};

struct core_amounts {
    uint32_t cores;
    uint32_t cpus;
    uint32_t gpu_milli;
    uint64_t memory_bytes;
};

struct core_node_view {
    struct node_id node;
    bool up;
    bool draining;
    bool faulty;  /* it drains because of a fault of its own, whoever else drains it */
    bool drained; /* a person drains it */
    bool lost;
    uint32_t task_count;
    struct core_amounts total; /* as last reported */
    struct core_amounts free;
    uint64_t since_ms; /* of up/down */
};

struct core_counts {
    uint32_t jobs;     /* all that the core holds */
    uint32_t queued;   /* in their turn: nothing but room and order keeps them */
    uint32_t classes;  /* of those that are alike but for arrival */
    uint32_t promised; /* jobs with a promised start */
    uint32_t tasks;
    uint32_t nodes;
    size_t arena_bytes;
};

void core_count(const struct core *core, struct core_counts *out);
/* False: the core doesn't hold it (never accepted, or ended and its tasks released). */
bool core_job_get(const struct core *core, struct job_id job, struct core_job_view *out);
bool core_task_get(const struct core *core, struct task_id task, struct core_task_view *out);
bool core_node_get(const struct core *core, struct node_id node, struct core_node_view *out);
/* Walks all jobs (nodes) in no promised order: *cursor starts at 0; false at the end. Only between steps. */
bool core_job_next(const struct core *core, uint32_t *cursor, struct core_job_view *out);
bool core_node_next(const struct core *core, uint32_t *cursor, struct core_node_view *out);
/* Tasks of a node (of a job, all attempts), as many as fit; returns how many there are. */
uint32_t core_node_tasks(const struct core *core, struct node_id node, struct task_id *out, uint32_t max);
uint32_t core_job_tasks(const struct core *core, struct job_id job, struct task_id *out, uint32_t max);
/* The key of a GPU's unit id; false where the node has no such unit. */
bool core_node_gpu_key(const struct core *core, struct node_id node, uint32_t unit,
                       uint8_t key[RESOURCE_GPU_KEY_BYTES]);
/* True where the job waits and the request would fit some known node if that were empty. For checks at
 * submit. */
bool core_could_fit(const struct core *core, const struct resource_request *request);

#define CORE_WHY_JOBS_MAX 16

struct core_why_blocker {
    enum resource_kind resource;
    uint64_t wanted;
    uint64_t free;
    uint64_t total;
    uint32_t holder_count;                    /* jobs that hold some of it on that node */
    struct job_id holders[CORE_WHY_JOBS_MAX]; /* the first of them */
};

/* What reservations have to do with a job's waiting. */
enum core_why_reservation {
    CORE_WHY_RESERVATION_NONE = 0,
    CORE_WHY_RESERVATION_KEPT,  /* nodes that have room keep it for others, from begin_ms (which it would run
                                   into) to end_ms */
    CORE_WHY_RESERVATION_LATER, /* the one that it names has not begun */
    CORE_WHY_RESERVATION_GONE,  /* the one that it names is over, or was taken away */
    CORE_WHY_RESERVATION_SHORT, /* the one that it names ends before its time limit would */
    CORE_WHY_RESERVATION_FULL,  /* the one that it names is used by others, or lacks nodes */
};

struct core_why {
    enum job_state state;
    enum core_reason reason;
    bool fits_now;          /* there is room: only its turn is missing (or the step that is under way) */
    struct node_id best;    /* Queued: the usable node that comes nearest; 0: none */
    uint32_t blocker_count; /* what is missing on the best node */
    struct core_why_blocker blockers[RESOURCE_KIND_COUNT];
    uint32_t nodes_wanted, nodes_fit; /* in its turn: usable nodes that have room for a task of it now */
    uint64_t begin_ms;                /* it waits for this time; 0: for none */
    uint64_t promised_ms;             /* the latest start; 0: none was promised */
    uint64_t kept_until_ms; /* there is room, which it leaves to others until then, as things are; 0: it
                               doesn't */
    bool planned; /* the whole queue was planned, and expected_ms and kept_until_ms are of that plan */
    uint64_t expected_ms; /* when there should be room for it if nobody goes before; 0: unknown */
    bool licence_short;   /* of `licence` it wants more than is left */
    uint32_t licence, licence_wanted, licence_total, licence_used;
    bool quota_reached;   /* its principal or workspace may not have more */
    bool quota_everyones; /* of a principal: the limit is everyone's, not its own */
    enum core_quota_scope quota_scope;
    enum core_quota_limit quota_limit;
    uint64_t quota_max, quota_used;
    uint32_t need_count; /* jobs that it waits for */
    uint32_t need_listed;
    struct job_id needs[CORE_WHY_JOBS_MAX];
    uint32_t ahead_count; /* jobs before it in the queue */
    uint32_t ahead_listed;
    struct job_id ahead[CORE_WHY_JOBS_MAX]; /* the first in the queue */
    struct node_id node;                    /* not Queued: where its (first) task is; 0: none */
    bool approval_missing;    /* its principal isn't approved in a restricted family: that of its size, or one
                                 that guards all nodes which could hold it */
    uint32_t approval_family; /* which; 0: none */
    uint32_t quota_family;    /* quota_reached: of the quota; 0: it is of none */
    struct core_why_reserved {
        enum core_why_reservation kind;
        uint32_t reservation;
        uint64_t begin_ms, end_ms; /* 0 with GONE */
        struct node_id node;       /* KEPT: one with room that is kept */
        uint32_t nodes;            /* KEPT: how many are */
    } reserved;
};

/* False: the core doesn't hold the job. A pass over the nodes: not for every job of a listing. */
bool core_why(const struct core *core, struct job_id job, struct core_why *out);

/* why_nodes.c */
struct core_why_nodes {
    uint32_t away_count, away_listed;
    struct node_id away[CORE_WHY_JOBS_MAX]; /* they would do, and are down, draining, lost, or
                                               lack an ability (RESOURCE_ABILITIES) */
    uint32_t apart_count;    /* nodes with the amounts free, where isolation or exclusive use keeps it out */
    struct node_id apart;    /* the first of them; 0: none */
    uint64_t labels_missing; /* bit n: it asks for label n, which no node has; no ability */
};

/* False: the core doesn't hold it, or it doesn't wait. A pass over the nodes. */
bool core_why_nodes(const struct core *core, struct job_id job, struct core_why_nodes *out);

/* ---- claims_view.c: what of the nodes is kept for somebody ---- */

#define CORE_KEPT_NODES_MAX 256 /* nodes with room that are looked at for one job */

/* A waiting job that has room and leaves it to others until then, as things are. */
struct core_kept_back {
    struct job_id job;
    uint64_t until_ms;
    bool planned; /* by the plan of the queue; else for short jobs */
};

struct core_promise {
    struct job_id job;
    uint64_t at_ms;  /* the latest start */
    uint64_t end_ms; /* until when the nodes are kept at most; 0: nobody knows */
    uint32_t nodes;
};

/* The first of each class that leaves free capacity to others, as many as fit; returns how many. */
uint32_t core_kept_back(const struct core *core, struct core_kept_back *out, uint32_t max);
/* Whether that one has room on the node, which is kept for others. */
bool core_node_keeps(const struct core *core, struct node_id node, struct job_id job);
/* On how many nodes, of the first CORE_KEPT_NODES_MAX with room. */
uint32_t core_nodes_keep(const struct core *core, struct job_id job);
/* All promises; returns how many. */
uint32_t core_promises(const struct core *core, struct core_promise out[CORE_PROMISES_MAX]);
/* Those of a node by their time, and the reservations that have amounts of it, as many as fit; return how
 * many there are. */
uint32_t core_node_promises(const struct core *core, struct node_id node, struct core_promise *out,
                            uint32_t max);
uint32_t core_node_reservations(const struct core *core, struct node_id node, uint32_t *out, uint32_t max);

/* ---- share.c: fair share ---- */

struct core_share_view {
    struct principal_id principal;
    uint64_t core_s; /* core-seconds (a GPU counts as a core): what runs in full, what ended decayed */
    uint64_t width;  /* cores and GPUs that it holds now */
    uint32_t weight_milli;
    uint32_t place;  /* how far back its jobs stand; 0 without a share weight */
    uint32_t queued; /* its waiting jobs */
};

/* Walks the principals who use, have used or wait for anything, as of now_ms (an earlier time than the last
 * event's counts as that). *cursor starts at 0; false at the end. Only
 * between steps. */
bool core_share_next(const struct core *core, uint64_t now_ms, uint32_t *cursor, struct core_share_view *out);
uint32_t core_weight_get(const struct core *core, struct principal_id principal);

/* ---- rules_view.c: the rules in force, and what would go by them ---- */

/* A quota and what whoever it is for has now. */
struct core_quota_view {
    struct core_quota quota; /* with everyone's (PRINCIPAL, 0) nothing is used */
    bool everyones;          /* a listing's: the limits are everyone's, not the principal's own */
    uint64_t cores, gpu_milli;
    uint32_t running, queued;
};

/* Walks the quotas that limit anything: everyone's first, then those of their own, and of principals who have
 * something, under everyone's. *cursor starts at 0; false
 * at the end. Only between steps. */
bool core_quota_next(const struct core *core, uint32_t *cursor, struct core_quota_view *out);
/* The quota of one (of those in a family, where that isn't 0), without limits where it has none of its own;
 * what it has is told all the same. */
void core_quota_get(const struct core *core, enum core_quota_scope scope, uint32_t id, uint32_t family,
                    struct core_quota_view *out);
bool core_family_restricted(const struct core *core, uint32_t family);
/* With what it guards. */
void core_family_get(const struct core *core, uint32_t id, struct core_family *out);
/* Which quota CORE_REFUSED_QUOTA speaks of, from its `resource`. */
void core_refused_quota(uint32_t resource, enum core_quota_scope *scope, bool *in_family,
                        enum core_quota_limit *limit);
/* id < RESOURCE_LICENCES_MAX. */
void core_licence_get(const struct core *core, uint32_t id, uint32_t *total, uint32_t *used);
/* licence.c: the jobs that hold some of it, as many as fit; returns how many there are. A pass over the
 * nodes. */
uint32_t core_licence_holders(const struct core *core, uint32_t id, struct job_id *out, uint32_t max);

/* When what the first waiting job may stop will have run its least time; 0: not by time, or not known yet. */
uint64_t core_preempt_at(const struct core *core);
/* When the tasks of the job's attempt will all have ended: at the latest by what was declared, and as is
 * expected; 0: nobody knows, or it has none. */
void core_job_ends(const struct core *core, struct job_id job, uint64_t *declared_ms, uint64_t *expected_ms);
/* When a waiting job starts by the plan of the queue, if there is one and that time is to come; else when
 * there should be room for it if nobody goes before it. Never after what it was promised; 0: unknown, also
 * where it rests on jobs whose end is neither declared nor learned. At the cost of a plan. */
uint64_t core_expected_start(const struct core *core, struct job_id job);

/* What one would rather ask for in place of a waiting job. */
struct core_wish {
    struct job_id job;
    struct resource_request request;
    uint64_t time_limit_ms; /* 0: none */
    uint32_t instance_count;
};

/* Whether the policy would start the job now if it asked for that: room on enough nodes, by its quotas and
 * licences, with no delay for a promise or the head of the queue. Where that can't be said for sure, false;
 * so, too, for one that isn't in its turn. What others in the queue before it could have is looked at only
 * where the queue is planned, at the cost of a plan. A pass over the nodes. */
bool core_fits_now(const struct core *core, const struct core_wish *wish);

/* ---- authority.c: how far owners may go ---- */

/* The caps that hold for the principal's jobs in the workspace. */
void core_caps_in_force(const struct core *core, uint32_t principal, uint32_t workspace,
                        struct core_caps *out);
/* Those that were set for that one, or (PRINCIPAL, 0) for everyone. */
void core_caps_get(const struct core *core, enum core_quota_scope scope, uint32_t id, struct core_caps *out);

enum core_update_refusal {
    CORE_UPDATE_TAKEN = 0,
    CORE_UPDATE_HELD,          /* an administrator holds it */
    CORE_UPDATE_PRIORITY_CAP,  /* above `highest` */
    CORE_UPDATE_PRIORITY_SET,  /* an administrator set it: only lower */
    CORE_UPDATE_LEVEL,         /* numbers above 0 are administrators' */
    CORE_UPDATE_TIME_CAP,      /* longer than max_ms */
    CORE_UPDATE_TIME_SET,      /* an administrator set it: only shorter */
    CORE_UPDATE_TIME_RESERVED, /* it would run into `reservation`, which begins at begin_ms */
    CORE_UPDATE_BEGIN_SET,     /* an administrator set it: only later */
    CORE_UPDATE_ARRAY_SET,     /* an administrator set it: only lower */
};

struct core_update_answer {
    enum core_update_refusal refusal;
    enum priority_class highest;
    uint64_t max_ms;
    uint32_t reservation;
    uint64_t begin_ms;
};

/* Whether an owner's update goes too far. An administrator's never does. */
bool core_update_refuses(const struct core *core, const struct core_update *u,
                         struct core_update_answer *out);

/* ---- reserve_view.c: reservations ---- */

enum core_reserve_refusal {
    CORE_RESERVE_TAKEN = 0, /* it can be held */
    CORE_RESERVE_EXISTS,    /* one of this id is there */
    CORE_RESERVE_FULL,      /* CORE_RESERVATIONS_MAX, or memory */
    CORE_RESERVE_PAST,      /* its end is over */
    CORE_RESERVE_NO_NODE,   /* `node` isn't known, or is lost or draining */
    CORE_RESERVE_SMALL,     /* `node` has less than it wants of `resource`: wanted, best */
    CORE_RESERVE_OVERLAPS,  /* `node` hasn't all of it beside `other`, which overlaps in time */
    CORE_RESERVE_FEW_NODES, /* fewer nodes (best) than wanted could hold it; other: overlaps with some of
                               those that lack; 0: none does */
};

struct core_reserve_answer {
    enum core_reserve_refusal refusal;
    struct node_id node;
    uint32_t other;
    enum resource_kind resource;
    uint64_t wanted, best;
};

/* Whether a well-formed RESERVE (not one that removes) could be held. A pass over the nodes. */
void core_reserve_refuses(const struct core *core, const struct core_reserve *r,
                          struct core_reserve_answer *out);

struct core_reservation_view {
    uint32_t reservation;
    uint64_t begin_ms, end_ms;
    struct resource_request request; /* of each node; all 0: all of it */
    uint32_t count;                  /* nodes, each with a seat for it */
    uint32_t usable;                 /* of them up, not lost and not draining */
    bool named;                      /* the nodes were named, and stay */
    bool begun;
    uint32_t user_count;
    struct principal_id users[CORE_RESERVATION_USERS_MAX];
};

/* Walks the reservations in no promised order: *cursor starts at 0; false at the end. Only between steps. */
bool core_reservation_next(const struct core *core, uint32_t *cursor, struct core_reservation_view *out);
bool core_reservation_get(const struct core *core, uint32_t reservation, struct core_reservation_view *out);
/* Its nodes, as many as fit; returns how many there are. */
uint32_t core_reservation_nodes(const struct core *core, uint32_t reservation, struct node_id *out,
                                uint32_t max);

/* A job of another user that is in the way at the beginning (or now): where, and until when by what was
 * declared; 0: nobody knows. */
struct core_reservation_obstacle {
    struct job_id job;
    struct node_id node;
    uint64_t until_ms;
};
/* As many as fit; returns how many there are. */
uint32_t core_reservation_obstacles(const struct core *core, uint32_t reservation,
                                    struct core_reservation_obstacle *out, uint32_t max);

#endif
