/*
 * Many pieces, added up to the pixels of a grid. A cell shows the user that fills half of it, else one of
 * those that fill it, as strongly as it is filled; equal cells beside and below each other become one
 * rectangle.
 */
#include "scheduler/sim/gantt_private.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <math.h>

#define LEVELS 3 /* of strength */
#define CELL_PIXELS 1.5
#define EMPTY 0xff
#define CLEAR_SHARE 0.5f  /* of what is filled: that user's colour is the cell's */
#define OTHERS_SHARE 0.9f /* the same of all the others together, who are many */

struct grid {
    uint32_t columns, lines;
    double cell_ms, cell_rows; /* what a cell spans */
    float *filled;             /* [line][column][colour]: the part of the cell, 0..1 */
    uint8_t *shown;            /* [line][column]: colour * LEVELS + level, or EMPTY */
};

static double overlap(double a, double b, double from, double to)
{
    double low = a > from ? a : from, high = b < to ? b : to;
    return high > low ? high - low : 0;
}

static void add_piece(struct grid *grid, const struct gantt_plot *plot, const struct gantt_piece *piece,
                      uint8_t colour)
{
    double x0 = (double)(piece->from_ms - plot->from_ms) / grid->cell_ms;
    double x1 = (double)(piece->to_ms - plot->from_ms) / grid->cell_ms;
    double y0 = (double)piece->row / grid->cell_rows,
           y1 = (double)(piece->row + piece->rows) / grid->cell_rows;
    for (uint32_t y = (uint32_t)y0; y < grid->lines && y < y1; y++) {
        double high = overlap(y0, y1, y, y + 1.0);
        for (uint32_t x = (uint32_t)x0; x < grid->columns && x < x1; x++)
            grid->filled[((size_t)y * grid->columns + x) * GANTT_COLOURS + colour] +=
                (float)(high * overlap(x0, x1, x, x + 1.0));
    }
}

/* The same share of the cells that hold many users as of what they hold: which cell shows whom is scattered,
 * so that the eye adds them up again. */
static int scatter(const float filled[GANTT_COLOURS], float sum, size_t cell)
{
    uint32_t mixed = (uint32_t)cell * 2654435761u;
    float at = (float)((mixed ^ mixed >> 15) & 0xffff) / 65536.0f * sum;
    int colour = 0;
    while (colour + 1 < GANTT_COLOURS && at >= filled[colour])
        at -= filled[colour++];
    return colour;
}

static uint8_t show(const float filled[GANTT_COLOURS], size_t cell)
{
    float sum = 0;
    int most = 0;
    for (int c = 0; c < GANTT_COLOURS; c++) {
        sum += filled[c];
        most = filled[c] > filled[most] ? c : most;
    }
    int level = (int)lroundf(sum * LEVELS);
    if (level <= 0)
        return EMPTY;
    int colour =
        filled[most] >= sum * (most ? CLEAR_SHARE : OTHERS_SHARE) ? most : scatter(filled, sum, cell);
    return (uint8_t)(colour * LEVELS + (level > LEVELS ? LEVELS : level) - 1);
}

/* The rectangle whose upper left cell this is, taken out of the grid. Lines count from below. */
static void take_rectangle(struct grid *grid, uint32_t x, uint32_t y, uint8_t value, struct buf *out)
{
    uint32_t wide = 1, high = 1;
    uint8_t *cells = grid->shown;
    size_t columns = grid->columns;
    while (x + wide < grid->columns && cells[y * columns + x + wide] == value)
        wide++;
    for (bool whole = true; whole && y + high < grid->lines; high += whole)
        for (uint32_t i = 0; i < wide && whole; i++)
            whole = cells[(y + high) * columns + x + i] == value;
    for (uint32_t j = 0; j < high; j++)
        for (uint32_t i = 0; i < wide; i++)
            cells[(y + j) * columns + x + i] = EMPTY;
    buf_printf(out, "M%u %uh%uv%uh-%uz", x, grid->lines - y - high, wide, high, wide);
}

static void add_paths(struct grid *grid, const char *const palette[GANTT_COLOURS], struct buf *out)
{
    for (unsigned value = 0; value < GANTT_COLOURS * LEVELS; value++) {
        bool any = false;
        for (uint32_t y = 0; y < grid->lines; y++) {
            for (uint32_t x = 0; x < grid->columns; x++) {
                if (grid->shown[(size_t)y * grid->columns + x] != value)
                    continue;
                if (!any)
                    buf_printf(out, "<path fill=\"%s\" fill-opacity=\"%.2g\" d=\"", palette[value / LEVELS],
                               (value % LEVELS + 1.0) / LEVELS);
                any = true;
                take_rectangle(grid, x, y, (uint8_t)value, out);
            }
        }
        if (any)
            buf_add_str(out, "\"/>\n");
    }
}

void gantt_add_grid(const struct gantt *gantt, const struct gantt_plot *plot, const uint8_t *colour_of,
                    const char *const palette[GANTT_COLOURS], struct buf *out)
{
    uint64_t units = (plot->rows + 999) / 1000; /* a processor is no taller than it has to be */
    struct grid grid = {.columns = (uint32_t)(plot->width / CELL_PIXELS),
                        .lines = (uint32_t)(plot->height / CELL_PIXELS)};
    grid.lines = units && units < grid.lines ? (uint32_t)units : grid.lines;
    grid.cell_ms = (double)(plot->to_ms - plot->from_ms) / grid.columns;
    grid.cell_rows = (double)plot->rows / grid.lines;
    size_t cells = (size_t)grid.columns * grid.lines;
    _cleanup_free_ float *filled = grid.filled = xcalloc(cells * GANTT_COLOURS, sizeof *filled);
    _cleanup_free_ uint8_t *shown = grid.shown = xmalloc(cells);
    for (size_t i = 0; i < gantt->piece_count; i++)
        add_piece(&grid, plot, &gantt->pieces[i], colour_of[gantt->pieces[i].job]);
    for (size_t i = 0; i < cells; i++)
        shown[i] = show(&filled[i * GANTT_COLOURS], i);
    buf_printf(out,
               "<g transform=\"translate(%.2f %.2f) scale(%.5f %.5f)\" shape-rendering=\"crispEdges\">\n",
               plot->left, plot->top, plot->width / grid.columns, plot->height / grid.lines);
    add_paths(&grid, palette, out);
    buf_add_str(out, "</g>\n");
}
