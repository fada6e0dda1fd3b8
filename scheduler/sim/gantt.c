/* Who held which rows when. Owns the slots of the nodes and the pieces that ended; a node's slots are in
 * order and never overlap. */
#include "scheduler/sim/gantt_private.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 16u

struct gantt *gantt_create(const struct trace *trace)
{
    struct gantt *g = xcalloc(1, sizeof *g);
    g->trace = trace;
    g->gpus = trace_total_gpu_milli(trace) > 0;
    g->nodes = xcalloc(trace->node_count ? trace->node_count : 1, sizeof *g->nodes);
    g->first_task = xcalloc(trace->job_count ? trace->job_count : 1, sizeof *g->first_task);
    g->task_count = 1; /* 0 is none */
    for (uint32_t i = 0; i < trace->node_count; i++) {
        const struct trace_node *node = &trace->nodes[i];
        g->nodes[i].first_row = g->rows;
        g->nodes[i].rows = g->gpus ? node->gpus * UINT64_C(1000) : node->cpu_milli;
        g->rows += g->nodes[i].rows;
    }
    return g;
}

void gantt_destroy(struct gantt *g)
{
    if (!g)
        return;
    for (uint32_t i = 0; i < g->trace->node_count; i++)
        free(g->nodes[i].slots);
    free(g->nodes);
    free(g->first_task);
    free(g->tasks);
    free(g->pieces);
    free(g);
}

static void insert(struct gantt_node *node, uint32_t at, struct gantt_slot slot)
{
    if (node->count == node->capacity) {
        node->capacity = node->capacity ? node->capacity * 2 : FIRST_CAPACITY;
        node->slots = xrealloc(node->slots, node->capacity * sizeof *node->slots);
    }
    memmove(node->slots + at + 1, node->slots + at, (node->count - at) * sizeof *node->slots);
    node->slots[at] = slot;
    node->count++;
}

/* The gap in front of slot `at` (behind the last where at is the count). */
static uint64_t gap_before(const struct gantt_node *node, uint32_t at, uint64_t *row)
{
    *row = at ? node->slots[at - 1].row + node->slots[at - 1].rows : 0;
    return (at < node->count ? node->slots[at].row : node->rows) - *row;
}

/* The lowest gap that holds all of it, else the lowest gaps one after the other. What finds no room isn't
 * drawn: it can't be more than the core's own rounding. */
static void hold(struct gantt_node *node, uint32_t job, uint64_t rows, uint64_t at_ms)
{
    uint64_t row;
    for (uint32_t i = 0; i <= node->count; i++) {
        if (gap_before(node, i, &row) >= rows) {
            insert(node, i, (struct gantt_slot){row, rows, at_ms, job});
            return;
        }
    }
    for (uint32_t i = 0; i <= node->count && rows; i++) {
        uint64_t gap = gap_before(node, i, &row);
        if (!gap)
            continue;
        uint64_t part = gap < rows ? gap : rows;
        insert(node, i, (struct gantt_slot){row, part, at_ms, job});
        rows -= part;
    }
}

static void add_piece(struct gantt *g, const struct gantt_node *node, const struct gantt_slot *slot,
                      uint64_t at_ms)
{
    if (g->piece_count == g->piece_capacity) {
        g->piece_capacity = g->piece_capacity ? g->piece_capacity * 2 : FIRST_CAPACITY;
        g->pieces = xrealloc(g->pieces, g->piece_capacity * sizeof *g->pieces);
    }
    g->pieces[g->piece_count++] =
        (struct gantt_piece){slot->since_ms, at_ms, node->first_row + slot->row, slot->rows, slot->job};
}

static void let_go(struct gantt *g, struct gantt_node *node, uint32_t job, uint64_t at_ms)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < node->count; i++) {
        if (node->slots[i].job == job)
            add_piece(g, node, &node->slots[i], at_ms);
        else
            node->slots[kept++] = node->slots[i];
    }
    node->count = kept;
}

static void on_started(void *data, uint64_t at_ms, uint32_t job, uint32_t node)
{
    struct gantt *g = data;
    const struct trace_job *j = &g->trace->jobs[job];
    uint64_t rows = g->gpus ? j->gpu_milli : (j->cpu_milli + UINT64_C(999)) / 1000 * 1000;
    uint32_t task = g->free_task;
    if (task) {
        g->free_task = g->tasks[task].next;
    } else {
        if (g->task_count >= g->task_capacity) {
            g->task_capacity = g->task_capacity ? g->task_capacity * 2 : FIRST_CAPACITY;
            g->tasks = xrealloc(g->tasks, g->task_capacity * sizeof *g->tasks);
        }
        task = g->task_count++;
    }
    g->tasks[task] = (struct gantt_task){node, g->first_task[job]};
    g->first_task[job] = task;
    if (rows)
        hold(&g->nodes[node], job, rows, at_ms);
}

static void on_ended(void *data, uint64_t at_ms, uint32_t job)
{
    struct gantt *g = data;
    for (uint32_t task = g->first_task[job], next; task; task = next) {
        next = g->tasks[task].next;
        let_go(g, &g->nodes[g->tasks[task].node], job, at_ms);
        g->tasks[task].next = g->free_task;
        g->free_task = task;
    }
    g->first_task[job] = 0;
}

struct drive_watch gantt_watch(struct gantt *gantt)
{
    return (struct drive_watch){gantt, on_started, on_ended};
}
