/* The picture: frame, axes, legend, pieces one by one, and the curve of waiting jobs. */
#include "scheduler/sim/gantt_private.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define PICTURE_WIDTH 1200
#define PICTURE_HEIGHT 700
#define PLOT_LEFT 76
#define PLOT_WIDTH 1100
#define PLOT_TOP 48
#define PLOT_HEIGHT 400
#define QUEUE_TOP 486
#define QUEUE_HEIGHT 110
#define LEGEND_TOP 648
#define LEGEND_COLUMNS 6
#define PIECES_MAX 3000 /* drawn one by one */
#define ROW_TICKS_MAX 6
#define TIME_TICKS_MAX 12

/* Told apart by hue and by lightness; the first is for all users that have no colour of their own. */
static const char *const palette[GANTT_COLOURS] = {"#8a8f98", "#1f77b4", "#ff7f0e", "#2ca02c",
                                                   "#d62728", "#9467bd", "#17becf", "#e377c2",
                                                   "#bcbd22", "#8c564b", "#393b79", "#f2b701"};

/* ---- colours: the users that hold most ---- */

struct user_share {
    double held; /* ms x rows */
    uint32_t user;
};

struct colours {
    uint8_t *of_job;
    uint32_t users;
    struct user_share top[GANTT_COLOURS]; /* from 1 */
    double all;
    bool by_job; /* there is one user only */
};

static int by_user(const void *a, const void *b)
{
    const struct user_share *x = a, *y = b;
    return (x->user > y->user) - (x->user < y->user);
}

static int by_held(const void *a, const void *b)
{
    const struct user_share *x = a, *y = b;
    if (x->held != y->held)
        return x->held < y->held ? 1 : -1;
    return by_user(a, b);
}

static void choose_colours(const struct gantt *g, struct colours *c)
{
    size_t count = 0;
    _cleanup_free_ struct user_share *shares = xcalloc(g->piece_count + 1, sizeof *shares);
    for (size_t i = 0; i < g->piece_count; i++) {
        const struct gantt_piece *p = &g->pieces[i];
        shares[i] = (struct user_share){(double)(p->to_ms - p->from_ms) * (double)p->rows,
                                        g->trace->jobs[p->job].user};
        c->all += shares[i].held;
    }
    qsort(shares, g->piece_count, sizeof *shares, by_user);
    for (size_t i = 0; i < g->piece_count; i++) {
        if (count && shares[count - 1].user == shares[i].user)
            shares[count - 1].held += shares[i].held;
        else
            shares[count++] = shares[i];
    }
    qsort(shares, count, sizeof *shares, by_held);
    c->users = (uint32_t)count;
    c->by_job = count < 2;
    c->of_job = xcalloc(g->trace->job_count + UINT64_C(1), sizeof *c->of_job);
    for (uint32_t k = 1; k < GANTT_COLOURS && k <= count; k++)
        c->top[k] = shares[k - 1];
    for (uint32_t i = 0; i < g->trace->job_count; i++) {
        if (c->by_job) {
            c->of_job[i] = (uint8_t)(1 + i % (GANTT_COLOURS - 1));
            continue;
        }
        for (uint32_t k = 1; k < GANTT_COLOURS && k <= count && !c->of_job[i]; k++)
            if (c->top[k].user == g->trace->jobs[i].user)
                c->of_job[i] = (uint8_t)k;
    }
}

static void add_legend(const struct colours *c, struct buf *out)
{
    if (c->by_job)
        return;
    uint32_t shown = c->users < GANTT_COLOURS ? c->users + 1 : GANTT_COLOURS, place = 0;
    double others = c->all;
    for (uint32_t k = 1; k <= shown; k++) {
        bool last = k == shown;
        if (last && c->users < GANTT_COLOURS)
            break; /* every user has a colour */
        double held = last ? others : c->top[k].held;
        double x = PLOT_LEFT + place % LEGEND_COLUMNS * (PLOT_WIDTH / (double)LEGEND_COLUMNS);
        uint32_t line = place / LEGEND_COLUMNS;
        double y = LEGEND_TOP + 20.0 * line;
        others -= held;
        place++;
        buf_printf(out, "<rect x=\"%.0f\" y=\"%.0f\" width=\"12\" height=\"12\" fill=\"%s\"/>", x, y,
                   palette[last ? 0 : k]);
        buf_printf(out, "<text x=\"%.0f\" y=\"%.0f\">", x + 18, y + 10);
        if (last)
            buf_printf(out, "%u others", c->users - (GANTT_COLOURS - 1));
        else
            buf_printf(out, "user %u", c->top[k].user);
        buf_printf(out, " (%.1f %%)</text>\n", c->all > 0 ? 100 * held / c->all : 0);
    }
}

/* ---- axes ---- */

/* The smallest of 1, 2, 5, 10, 20, ... that gives at most so many ticks. */
static double nice_step(double span, int ticks)
{
    static const double next[] = {2, 2.5, 2};
    double step = 1;
    for (int i = 0; span / step > ticks; i++)
        step *= next[i % 3];
    return step;
}

static void add_row_ticks(double top, double height, double most, struct buf *out)
{
    double step = nice_step(most, ROW_TICKS_MAX);
    for (int i = 0; i * step <= most; i++) {
        double v = i * step;
        double y = top + height - v / most * height;
        buf_printf(out, "<path d=\"M%d %.1fh-5\" stroke=\"#444\"/>", PLOT_LEFT, y);
        buf_printf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.0f</text>\n", PLOT_LEFT - 9, y + 4,
                   v);
    }
}

static void add_time_ticks(const struct gantt_plot *plot, struct buf *out)
{
    static const struct {
        double ms;
        const char *name;
    } units[] = {{86400e3, "days"}, {3600e3, "hours"}, {60e3, "minutes"}, {1e3, "seconds"}, {1, "ms"}};
    double span = (double)(plot->to_ms - plot->from_ms);
    size_t unit = 0;
    while (unit + 1 < sizeof units / sizeof *units && span / units[unit].ms < 3)
        unit++;
    double count = span / units[unit].ms, step = nice_step(count, TIME_TICKS_MAX);
    for (int i = 0; i * step <= count; i++) {
        double v = i * step;
        double x = plot->left + v / count * plot->width;
        buf_printf(out, "<path d=\"M%.1f %dv%d\" stroke=\"#000\" stroke-opacity=\".12\"/>", x, PLOT_TOP,
                   QUEUE_TOP + QUEUE_HEIGHT - PLOT_TOP + 5);
        buf_printf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.0f</text>\n", x,
                   QUEUE_TOP + QUEUE_HEIGHT + 19, v);
    }
    buf_printf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s since the first submit</text>\n",
               PLOT_LEFT + PLOT_WIDTH / 2, QUEUE_TOP + QUEUE_HEIGHT + 37, units[unit].name);
}

static void add_text(struct buf *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '<' || *p == '>' || *p == '&' || *p == '"')
            buf_printf(out, "&#%d;", *p);
        else
            buf_add_char(out, (unsigned char)*p < ' ' ? '?' : *p);
    }
}

/* ---- few pieces ---- */

static void add_pieces(const struct gantt *g, const struct gantt_plot *plot, const uint8_t *colour_of,
                       struct buf *out)
{
    double span = (double)(plot->to_ms - plot->from_ms);
    for (size_t i = 0; i < g->piece_count; i++) {
        const struct gantt_piece *p = &g->pieces[i];
        const struct trace_job *job = &g->trace->jobs[p->job];
        double x = plot->left + (double)(p->from_ms - plot->from_ms) / span * plot->width;
        double wide = (double)(p->to_ms - p->from_ms) / span * plot->width;
        double high = (double)p->rows / (double)plot->rows * plot->height;
        double y = plot->top + plot->height - (double)p->row / (double)plot->rows * plot->height - high;
        buf_printf(out,
                   "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"%s\" stroke=\"#fff\" "
                   "stroke-width=\".4\">",
                   x, y, wide, high, palette[colour_of[p->job]]);
        buf_printf(out, "<title>job %llu, user %u: %g s to %g s</title></rect>\n",
                   (unsigned long long)job->id, job->user, (double)(p->from_ms - plot->from_ms) / 1000,
                   (double)(p->to_ms - plot->from_ms) / 1000);
    }
}

/* ---- waiting jobs ---- */

struct queue {
    uint32_t most[PLOT_WIDTH]; /* in each column of pixels */
    double mean[PLOT_WIDTH];
    uint32_t peak;
};

static int by_time(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* A stretch of time in which so many wait. */
static void count_stretch(struct queue *q, const struct gantt_plot *plot, uint64_t from_ms, uint64_t to_ms,
                          uint32_t waiting)
{
    double column_ms = (double)(plot->to_ms - plot->from_ms) / PLOT_WIDTH;
    double x0 = (double)(from_ms - plot->from_ms) / column_ms,
           x1 = (double)(to_ms - plot->from_ms) / column_ms;
    for (uint32_t x = (uint32_t)x0; x < PLOT_WIDTH && x < x1; x++) {
        double low = x0 > x ? x0 : x, high = x1 < x + 1.0 ? x1 : x + 1.0;
        q->most[x] = waiting > q->most[x] ? waiting : q->most[x];
        q->mean[x] += (high - low) * waiting;
    }
    q->peak = waiting > q->peak ? waiting : q->peak;
}

static void count_queue(const struct gantt *g, const struct drive_result *result,
                        const struct gantt_plot *plot, struct queue *q)
{
    uint32_t count = 0, submits = 0, starts = 0;
    _cleanup_free_ uint64_t *submit = xcalloc(2 * (size_t)g->trace->job_count + 1, sizeof *submit);
    uint64_t *start = submit + g->trace->job_count;
    for (uint32_t i = 0; i < g->trace->job_count; i++) {
        if (result->start_ms[i] == DRIVE_NEVER)
            continue;
        submit[count] = g->trace->jobs[i].submit_ms;
        start[count++] = result->start_ms[i];
    }
    qsort(start, count, sizeof *start, by_time);
    for (uint64_t at = plot->from_ms; starts < count;) {
        uint64_t next = submits < count && submit[submits] < start[starts] ? submit[submits] : start[starts];
        if (next > at)
            count_stretch(q, plot, at, next, submits - starts);
        at = next;
        while (submits < count && submit[submits] == at)
            submits++;
        while (starts < count && start[starts] == at)
            starts++;
    }
}

static void add_curve(const double *values, double most, const char *colour, const char *opacity,
                      struct buf *out)
{
    buf_printf(out, "<path fill=\"%s\" fill-opacity=\"%s\" d=\"M%d %d", colour, opacity, PLOT_LEFT,
               QUEUE_TOP + QUEUE_HEIGHT);
    for (uint32_t x = 0; x < PLOT_WIDTH; x++)
        buf_printf(out, "L%u %.1f", PLOT_LEFT + x,
                   QUEUE_TOP + QUEUE_HEIGHT - values[x] / most * QUEUE_HEIGHT);
    buf_printf(out, "V%dz\"/>\n", QUEUE_TOP + QUEUE_HEIGHT);
}

static void add_queue(const struct gantt *g, const struct drive_result *result, const struct gantt_plot *plot,
                      struct buf *out)
{
    _cleanup_free_ struct queue *q = xcalloc(1, sizeof *q);
    double most[PLOT_WIDTH];
    count_queue(g, result, plot, q);
    double peak = q->peak ? q->peak : 1;
    for (uint32_t x = 0; x < PLOT_WIDTH; x++)
        most[x] = q->most[x];
    add_curve(most, peak, "#1f77b4", ".3", out);
    add_curve(q->mean, peak, "#1f77b4", ".8", out);
    add_row_ticks(QUEUE_TOP, QUEUE_HEIGHT, peak, out);
}

static void add_frame(double top, double height, const char *name, struct buf *out)
{
    buf_printf(
        out,
        "<rect x=\"%d\" y=\"%.0f\" width=\"%d\" height=\"%.0f\" fill=\"none\" stroke=\"#444\"/>"
        "<text x=\"18\" y=\"%.0f\" text-anchor=\"middle\" transform=\"rotate(-90 18 %.0f)\">%s</text>\n",
        PLOT_LEFT, top, PLOT_WIDTH, height, top + height / 2, top + height / 2, name);
}

static struct gantt_plot plot_of(const struct gantt *g)
{
    struct gantt_plot plot = {PLOT_LEFT, PLOT_TOP, PLOT_WIDTH, PLOT_HEIGHT, UINT64_MAX, 0, g->rows};
    for (size_t i = 0; i < g->piece_count; i++)
        plot.to_ms = g->pieces[i].to_ms > plot.to_ms ? g->pieces[i].to_ms : plot.to_ms;
    plot.from_ms = g->trace->job_count ? g->trace->jobs[0].submit_ms : 0;
    if (plot.to_ms <= plot.from_ms)
        plot.to_ms = plot.from_ms + 1;
    return plot;
}

void gantt_draw(const struct gantt *g, const struct drive_result *result, const char *title, struct buf *out)
{
    struct gantt_plot plot = plot_of(g);
    struct colours colours = {0};
    choose_colours(g, &colours);
    buf_printf(out,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
               "font-family=\"sans-serif\" font-size=\"12\">\n"
               "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
               "<text x=\"%d\" y=\"30\" font-size=\"16\">",
               PICTURE_WIDTH, PICTURE_HEIGHT, PICTURE_WIDTH, PICTURE_HEIGHT, PLOT_LEFT);
    add_text(out, title);
    buf_add_str(out, "</text>\n");
    if (g->piece_count <= PIECES_MAX)
        add_pieces(g, &plot, colours.of_job, out);
    else
        gantt_add_grid(g, &plot, colours.of_job, palette, out);
    add_queue(g, result, &plot, out);
    add_time_ticks(&plot, out);
    add_row_ticks(PLOT_TOP, PLOT_HEIGHT, (double)g->rows / 1000, out);
    add_frame(PLOT_TOP, PLOT_HEIGHT, g->gpus ? "GPUs" : "processors", out);
    add_frame(QUEUE_TOP, QUEUE_HEIGHT, "jobs waiting", out);
    add_legend(&colours, out);
    buf_add_str(out, "</svg>\n");
    free(colours.of_job);
}
