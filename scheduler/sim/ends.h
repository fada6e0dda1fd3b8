/* Ends to come of jobs' attempts in virtual time, earliest first; those of one instant by job. */
#ifndef BERTH_SCHEDULER_SIM_ENDS_H
#define BERTH_SCHEDULER_SIM_ENDS_H

#include <stdbool.h>
#include <stdint.h>

/* Whether it still counts is for whoever takes it to say: the job may have gone on to another attempt. */
struct end {
    uint64_t at_ms, job;
    uint32_t attempt;
    bool stopped; /* it was told to end */
};

/* Zeroed: empty. */
struct ends {
    struct end *heap; /* from 1 */
    uint32_t count, capacity;
};

void ends_push(struct ends *e, struct end end);
struct end ends_pop(struct ends *e); /* not of an empty one */
/* UINT64_MAX where there is none. */
static inline uint64_t ends_first_ms(const struct ends *e)
{
    return e->count ? e->heap[1].at_ms : UINT64_MAX;
}
void ends_finish(struct ends *e);

#endif
