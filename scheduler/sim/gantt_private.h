/* What the drawing's files share: who held which rows when (gantt.c), and the picture (gantt_draw.c,
 * gantt_grid.c). */
#ifndef BERTH_SCHEDULER_SIM_GANTT_PRIVATE_H
#define BERTH_SCHEDULER_SIM_GANTT_PRIVATE_H

#include "scheduler/sim/gantt.h"

#define GANTT_COLOURS 12 /* of users; the first of the palette is all the others */

/* Rows are thousandths of a GPU or processor, counted over all nodes. */
struct gantt_piece {
    uint64_t from_ms, to_ms;
    uint64_t row, rows;
    uint32_t job;
};

/* Part of a node that is held now; by row. */
struct gantt_slot {
    uint64_t row, rows, since_ms;
    uint32_t job;
};

struct gantt_node {
    struct gantt_slot *slots;
    uint32_t count, capacity;
    uint64_t first_row, rows;
};

/* One task that runs; in a list of its job's. */
struct gantt_task {
    uint32_t node, next;
};

struct gantt {
    const struct trace *trace;
    bool gpus;
    uint64_t rows;
    struct gantt_node *nodes;
    uint32_t *first_task; /* of each job; 0: none. Index into tasks */
    struct gantt_task *tasks;
    uint32_t task_count, task_capacity, free_task;
    struct gantt_piece *pieces;
    size_t piece_count, piece_capacity;
};

/* Where the plot lies, in pixels. */
struct gantt_plot {
    double left, top, width, height;
    uint64_t from_ms, to_ms; /* what its width spans */
    uint64_t rows;           /* what its height spans */
};

/* colour_of[job] is an index into the palette. */
void gantt_add_grid(const struct gantt *gantt, const struct gantt_plot *plot, const uint8_t *colour_of,
                    const char *const palette[GANTT_COLOURS], struct buf *out);

#endif
