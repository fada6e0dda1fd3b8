/*
 * Private to the core: reservations. A reservation has a seat on each of its nodes: an amount of that node
 * that, from its begin to its end, only its users' jobs may use. A task of theirs counts for at most one
 * reservation of its node (task_facts.reservation); what a reservation has of a node beyond what such tasks
 * hold is `rest`: nobody else may start where, at any moment until its declared end, less than the rests of
 * all would stay free. Tasks that were there before are never stopped; they make a reservation short.
 */
#ifndef BERTH_SCHEDULER_CORE_RESERVE_H
#define BERTH_SCHEDULER_CORE_RESERVE_H

#include "scheduler/core/plan.h"

/* ---- reserve.c: records, and what is decided of them ---- */

/* Slot of the reservation; 0: there is none. */
uint32_t reserve_find(const struct core *core, uint32_t id);
/* Slot of its seat on the node; 0: it has none there. */
uint32_t reserve_seat(const struct core *core, uint32_t resv_slot, uint32_t node_slot);
bool reserve_admits(const struct core *core, uint32_t resv_slot, uint32_t principal);
const char *apply_reserved(struct core *core, const struct core_event *event, const struct core_decision *d);
/* A node changed so that a reservation may lack it, or find it. */
void reserve_stir(struct core *core);
/* The first begin or end that has not been decided; 0: none. */
uint64_t reserve_wake(const struct core *core);
/* check_reserve.c */
const char *check_reservations(const struct core *core, uint64_t *sum);

/* ---- reserve_room.c: what a job may have beside them ---- */

/* Amounts of the reservation on that node. */
struct caps reserve_amounts(const struct node *node, const struct resv *resv);
/* What a task holds of the node; of GPUs whole ones only. */
struct caps reserve_lease(const struct node *node, const struct task_facts *task);
/* Whether the task will hold its lease then, by those times. */
bool reserve_holds(const struct core *core, const struct task_facts *task, enum plan_times times,
                   uint64_t at_ms);
/* What is free of the node then, if nothing more begins. */
struct caps reserve_free(const struct core *core, const struct node *node, enum plan_times times,
                         uint64_t at_ms);
/* What of the reservation's amounts no task that counts for it will hold then. */
struct caps reserve_rest(const struct core *core, uint32_t seat, enum plan_times times, uint64_t at_ms);

struct reserve_ask {
    const struct core *core;
    const struct job_facts *job; /* who wants to stand there from at_ms to end_ms */
    uint32_t node_slot;
    enum plan_times times;
    bool planned; /* `free` is what a plan sees: what has outlived its time has ended */
    uint64_t at_ms, end_ms;
    struct caps want;
    struct caps free; /* of the node at at_ms */
    uint32_t also_of; /* a reservation (id) that has this in use, too; `free` is less it already */
    struct caps also;
};

/* Whether reservations leave it room. *counts_for (may be NULL): the reservation that it will count for; 0:
 * none. A node without seats costs nothing. */
bool reserve_room(const struct reserve_ask *ask, uint32_t *counts_for);
/* Whether it may start there now, until end_ms. */
bool reserve_allows(const struct core *core, const struct job_facts *job, uint32_t node_slot, uint64_t end_ms,
                    uint32_t *counts_for);
/* The same, all of it in what that reservation has left. */
bool reserve_inside(const struct core *core, const struct job_facts *job, uint32_t node_slot, uint64_t end_ms,
                    uint32_t resv_slot);
/* Takes off what reservations for others may claim of the node in that time. */
void reserve_less(const struct core *core, const struct job_facts *job, uint32_t node_slot,
                  enum plan_times times, uint64_t at_ms, uint64_t end_ms, struct caps *spare);

/* ---- reserve_view.c ---- */

/* Why a job that names a reservation could never run inside it (enum core_reserved_refusal); 0: it could. */
uint32_t reserve_refuses(const struct core *core, const struct core_submit *s, uint64_t *wanted,
                         uint64_t *best);

/* How it stands with the reservation that the job names, or (KEPT) with those that keep nodes from it. *out
 * may be NULL where it names one. */
enum core_why_reservation reserve_why(const struct core *core, const struct job_facts *job,
                                      struct core_why_reserved *out);

#endif
