/*
 * The kept journal decided again under another policy: everything from outside (submits, cancels, updates,
 * nodes, quotas) comes when it came, tasks run for as long as they did, and the core decides the rest. What
 * each user's jobs would have waited stands beside what they did.
 */
#include "scheduler/replay.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/map.h"
#include "proto/json.h"
#include "scheduler/core/row.h"
#include "scheduler/journal.h"
#include "scheduler/kept.h"
#include "scheduler/virtual_run.h"

#include <stdlib.h>

#define ROUNDS_MIN                                                                                           \
    100000 /* steps that are tried, at least, for jobs that haven't started after the last row */

/* Waits of some jobs, as they were and as they would have been. */
struct group {
    const char *name; /* borrowed */
    uint32_t user, count, capacity;
    uint64_t *real_ms, *played_ms;
};

struct waits {
    double mean_s, p95_s, max_s;
};

static void add_wait(struct group *g, uint64_t real_ms, uint64_t played_ms)
{
    if (g->count == g->capacity) {
        g->capacity = g->capacity ? 2 * g->capacity : 64;
        g->real_ms = xrealloc(g->real_ms, g->capacity * sizeof *g->real_ms);
        g->played_ms = xrealloc(g->played_ms, g->capacity * sizeof *g->played_ms);
    }
    g->real_ms[g->count] = real_ms;
    g->played_ms[g->count++] = played_ms;
}

static void group_free(struct group *g)
{
    if (g) {
        free(g->real_ms);
        free(g->played_ms);
    }
    free(g);
}

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* ---- what happened ---- */

/* A job as the rows tell of it. */
struct life {
    uint64_t first_start_ms; /* 0: not in the kept rows */
    uint64_t start_ms;       /* of its last attempt; 0: before the kept rows */
    uint64_t end_ms;         /* of that attempt: its last lease is free; 0: it hasn't ended */
    struct core_end end;
    uint32_t attempt;
    bool exited;
    /* in the play */
    uint64_t played_ms, submitted_ms;
    uint32_t user;
};

struct rerun {
    struct map lives;                            /* by job */
    uint64_t submits, started, played, unplayed; /* played: of those that started */
    uint64_t first_seq;
    enum core_policy policy;
    struct virtual_run *run; /* NULL: the rows are only read */
    struct core_row *row;
    struct core_decisions *decisions;
    struct error error;
};

static struct life *life_of(struct rerun *p, uint64_t job)
{
    struct life *life = map_get_num(&p->lives, job);
    if (!life) {
        life = xcalloc(1, sizeof *life);
        map_put_num(&p->lives, job, life);
    }
    return life;
}

static void note_start(struct rerun *p, const struct core_row *row, const struct task_id *task)
{
    struct life *life = life_of(p, task->job.v);
    if (task->rank)
        return;
    if (!life->first_start_ms)
        p->started++;
    life->first_start_ms = life->first_start_ms ? life->first_start_ms : row->now_ms;
    life->start_ms = row->now_ms;
    life->attempt = task->attempt;
    life->exited = false;
    life->end_ms = 0;
    life->end = (struct core_end){0};
}

static void note_end(struct rerun *p, const struct core_row *row)
{
    const struct core_event *event = &row->event;
    struct life *life = life_of(p, event->as.task.task.job.v);
    bool exits = event->kind != CORE_EVENT_TASK_RELEASED;
    if (event->as.task.task.attempt < life->attempt)
        return;
    life->attempt = event->as.task.task.attempt;
    life->end_ms = row->now_ms;
    if (exits && (!life->exited || life->end.kind == END_NONE))
        life->end = (struct core_end){event->as.task.as.exit.kind, event->as.task.as.exit.code,
                                      event->as.task.as.exit.signal};
    life->exited = life->exited || exits;
}

static bool refused(const struct core_decisions *decisions)
{
    for (uint32_t i = 0; i < decisions->count; i++) {
        if (decisions->v[i].kind == CORE_DECISION_JOB_REFUSED)
            return true;
    }
    return false;
}

static void learn(struct rerun *p)
{
    const struct core_submit *s = &p->row->event.as.submit;
    if (p->row->event.kind == CORE_EVENT_JOB_SUBMIT && !refused(p->decisions))
        p->submits += s->array_count ? s->array_count : 1;
    for (uint32_t i = 0; i < p->decisions->count; i++) {
        if (p->decisions->v[i].kind == CORE_DECISION_START_TASK)
            note_start(p, p->row, &p->decisions->v[i].as.start.task);
    }
    switch (p->row->event.kind) {
    case CORE_EVENT_TASK_EXIT:
    case CORE_EVENT_TASK_OVER:
    case CORE_EVENT_TASK_RELEASED:
        note_end(p, p->row);
        break;
    default:
        break;
    }
}

/* ---- the play ---- */

/* Tasks, ticks and what is left over are the play's own; all else came from outside. */
static bool from_outside(enum core_event_kind kind)
{
    switch (kind) {
    case CORE_EVENT_TASK_STATE:
    case CORE_EVENT_TASK_EXIT:
    case CORE_EVENT_TASK_RELEASED:
    case CORE_EVENT_TASK_COLLECTED:
    case CORE_EVENT_TASK_OVER:
    case CORE_EVENT_TICK:
    case CORE_EVENT_CONTINUE:
        return false;
    default:
        return true;
    }
}

static bool take_row(void *data, const struct journal_row *bytes)
{
    struct rerun *p = data;
    struct core_event *event = &p->row->event;
    const char *wrong = core_row_decode(bytes->bytes, bytes->length, p->row, p->decisions);
    if (wrong)
        return error_set(&p->error, ERROR_INTERNAL, "journal row %llu can't be read: %s",
                         (unsigned long long)bytes->seq, wrong);
    if (!p->run) {
        learn(p);
        return true;
    }
    if (!from_outside(event->kind) || refused(p->decisions))
        return true;
    if (event->kind == CORE_EVENT_CONFIG)
        event->as.config.policy = p->policy;
    event->defer = false;
    return virtual_run_feed(p->run, p->row->now_ms, event) ||
           error_set(&p->error, ERROR_LIMIT, "there is no memory for the journal's jobs");
}

static uint64_t begins(void *data, const struct core *core, struct job_id job, uint64_t now_ms)
{
    struct rerun *p = data;
    struct life *life = life_of(p, job.v);
    struct core_job_view view;
    if (core_job_get(core, job, &view) && !life->played_ms) {
        life->played_ms = now_ms;
        p->played += life->first_start_ms != 0;
        life->submitted_ms = view.submitted_ms;
        life->user = view.principal.v;
    }
    /* Who canceled it does so in the play, too; and what hadn't ended when the journal was read doesn't. */
    if (!life->end_ms || !life->exited || life->end.kind == END_CANCELED)
        return VIRTUAL_NEVER;
    return life->start_ms ? now_ms + (life->end_ms - life->start_ms) : life->end_ms;
}

static struct core_end ends(void *data, struct job_id job)
{
    return life_of(data, job.v)->end;
}

static bool set_policy(struct rerun *p)
{
    struct core_event event = {.kind = CORE_EVENT_CONFIG};
    const struct core *core = virtual_run_core(p->run);
    core_config_get(core, &event.as.config);
    event.as.config.policy = p->policy;
    return virtual_run_feed(p->run, core_now(core), &event);
}

static bool read_rows(struct rerun *p, struct journal_reader *r, struct error *err)
{
    if (!journal_read_rows(r, p->first_seq, take_row, p, err))
        return false;
    if (p->error.code && err)
        *err = p->error;
    return !p->error.code;
}

static bool rerun_all(struct rerun *p, struct journal_reader *r, struct error *err)
{
    struct core *core = kept_first(r, &p->first_seq, err);
    bool ok = core && read_rows(p, r, err);
    if (ok && !p->started)
        ok = error_set(err, ERROR_NOT_FOUND, "no job of that journal has run yet");
    if (!ok) {
        core_destroy(core);
        return false;
    }
    p->run = virtual_run_begin(core, 0, &(struct virtual_hooks){begins, ends, p});
    if (!p->run || !set_policy(p))
        return error_set(err, ERROR_INTERNAL, "no memory to decide the journal again");
    if (!read_rows(p, r, err))
        return false;
    uint64_t steps = virtual_run_steps(p->run), most = 2 * steps + ROUNDS_MIN;
    while (p->played < p->started && virtual_run_steps(p->run) < most && virtual_run_next(p->run))
        ;
    return true;
}

/* ---- waits ---- */

/* Sorts them. The 95th percentile as the simulator's: sorted[floor(0.95 n)]. */
static struct waits sum_up(uint64_t *ms, uint32_t count)
{
    double sum = 0;
    if (!count)
        return (struct waits){0};
    qsort(ms, count, sizeof *ms, by_size);
    for (uint32_t i = 0; i < count; i++)
        sum += (double)ms[i];
    uint64_t at_95 = (uint64_t)count * 95 / 100;
    return (struct waits){sum / count / 1000, (double)ms[at_95] / 1000, (double)ms[count - 1] / 1000};
}

/* ---- by user ---- */

static void name_user(void *data, uint32_t id, const char *name)
{
    free(map_put_num(data, id, xstrdup(name)));
}

static int by_user(const void *a, const void *b)
{
    const struct group *const *x = a, *const *y = b;
    return (*x)->user < (*y)->user ? -1 : (*x)->user > (*y)->user;
}

static struct group *group_of(struct map *groups, uint32_t user)
{
    struct group *g = map_get_num(groups, user);
    if (!g) {
        g = xcalloc(1, sizeof *g);
        g->user = user;
        map_put_num(groups, user, g);
    }
    return g;
}

/* All jobs that ran in both, and were submitted in what is kept. */
static void sort_waits(struct rerun *p, struct group *all, struct map *groups)
{
    size_t i = 0;
    for (struct map_slot *s; (s = map_next(&p->lives, &i));) {
        const struct life *life = s->value;
        if (!life->first_start_ms)
            continue;
        if (!life->played_ms) {
            p->unplayed++;
            continue;
        }
        uint64_t real_ms = life->first_start_ms - life->submitted_ms;
        add_wait(all, real_ms, life->played_ms - life->submitted_ms);
        add_wait(group_of(groups, life->user), real_ms, life->played_ms - life->submitted_ms);
    }
}

/* ---- what is told ---- */

static void add_waits(cJSON *o, const char *field, const struct waits *w)
{
    cJSON *waits = cJSON_AddObjectToObject(o, field);
    cJSON_AddNumberToObject(waits, "mean_wait_s", w->mean_s);
    cJSON_AddNumberToObject(waits, "p95_wait_s", w->p95_s);
    cJSON_AddNumberToObject(waits, "max_wait_s", w->max_s);
}

static void tell_group(struct group *g, cJSON *list, struct buf *table)
{
    struct waits real = sum_up(g->real_ms, g->count), played = sum_up(g->played_ms, g->count);
    cJSON *o = cJSON_CreateObject();
    json_add_str(o, "user", g->name);
    json_add_int(o, "jobs", g->count);
    add_waits(o, "real", &real);
    add_waits(o, "played", &played);
    cJSON_AddItemToArray(list, o);
    buf_printf(table, "%-16.64s %7u %10.1f %10.1f %10.1f %10.1f %10.1f %10.1f\n", g->name ? g->name : "all",
               g->count, real.mean_s, played.mean_s, real.p95_s, played.p95_s, real.max_s, played.max_s);
}

static void tell_groups(struct group *all, const struct map *groups, const struct map *names, cJSON *list,
                        struct buf *table)
{
    struct group **sorted = xcalloc(groups->count ? groups->count : 1, sizeof(struct group *));
    size_t count = 0, i = 0;
    for (struct map_slot *s; (s = map_next(groups, &i));)
        sorted[count++] = s->value;
    qsort(sorted, count, sizeof(struct group *), by_user);
    buf_printf(table, "%-16s %7s %21s %21s %21s\n", "", "", "mean wait, s", "95th percentile, s",
               "longest, s");
    buf_printf(table, "%-16s %7s %10s %10s %10s %10s %10s %10s\n", "USER", "JOBS", "was", "would be", "was",
               "would be", "was", "would be");
    for (i = 0; i < count; i++) {
        const char *name = map_get_num(names, sorted[i]->user);
        sorted[i]->name = name ? name : "?";
        tell_group(sorted[i], list, table);
    }
    tell_group(all, list, table);
    free(sorted);
}

static void tell(struct rerun *p, const struct map *names, bool json, struct buf *out)
{
    struct group all = {0};
    struct map groups = {0};
    _cleanup_buf_ struct buf table = {0};
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    sort_waits(p, &all, &groups);
    uint64_t left_out = p->submits > p->started ? p->submits - p->started : 0;
    json_add_str(o, "policy", core_policy_name(p->policy));
    json_add_int(o, "jobs", all.count);
    json_add_int(o, "left_out", (int64_t)left_out);
    json_add_int(o, "unplayed", (int64_t)p->unplayed);
    cJSON *list = cJSON_AddArrayToObject(o, "users"); /* the last of them has no name: all */
    tell_groups(&all, &groups, names, list, &table);
    if (json) {
        json_write(o, out);
        buf_add_char(out, '\n');
    } else {
        buf_printf(out, "%u jobs by the policy %s", all.count, core_policy_name(p->policy));
        if (left_out)
            buf_printf(out, "; %llu that never started are left out", (unsigned long long)left_out);
        if (p->unplayed)
            buf_printf(out, "; %llu would not have started", (unsigned long long)p->unplayed);
        buf_printf(out, "\n\n%s", table.data);
    }
    free(all.real_ms);
    free(all.played_ms);
    size_t i = 0;
    for (struct map_slot *s; (s = map_next(&groups, &i));)
        group_free(s->value);
    map_finish(&groups);
}

bool replay_policy(struct journal_reader *r, enum core_policy policy, bool json, struct buf *out,
                   struct error *err)
{
    struct rerun p = {.policy = policy};
    struct map names = {0};
    p.row = xcalloc(1, sizeof *p.row);
    p.decisions = core_decisions_create();
    bool ok = p.decisions || error_set(err, ERROR_INTERNAL, "no memory to read the journal");
    ok = ok && rerun_all(&p, r, err) && journal_read_principals(r, name_user, &names, err);
    if (ok)
        tell(&p, &names, json, out);
    virtual_run_end(p.run);
    core_decisions_destroy(p.decisions);
    free(p.row);
    map_finish_free(&p.lives);
    map_finish_free(&names);
    return ok;
}
