/* A binary heap, smallest first. */
#include "scheduler/sim/ends.h"

#include "base/alloc.h"

#include <stdlib.h>

#define HEAP_FIRST 256u

static bool before(const struct end *a, const struct end *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->job < b->job;
}

void ends_push(struct ends *e, struct end end)
{
    if (e->count + 1 >= e->capacity) {
        e->capacity = e->capacity ? 2 * e->capacity : HEAP_FIRST;
        e->heap = xrealloc(e->heap, e->capacity * sizeof *e->heap);
    }
    uint32_t at = ++e->count;
    for (; at > 1 && before(&end, &e->heap[at / 2]); at /= 2)
        e->heap[at] = e->heap[at / 2];
    e->heap[at] = end;
}

struct end ends_pop(struct ends *e)
{
    struct end first = e->heap[1], last = e->heap[e->count--];
    uint32_t at = 1;
    for (uint32_t child; (child = 2 * at) <= e->count; at = child) {
        if (child < e->count && before(&e->heap[child + 1], &e->heap[child]))
            child++;
        if (!before(&e->heap[child], &last))
            break;
        e->heap[at] = e->heap[child];
    }
    e->heap[at] = last;
    return first;
}

void ends_finish(struct ends *e)
{
    free(e->heap);
    *e = (struct ends){0};
}
