/*
 * The kept load under another policy: the simulator plays the jobs that have ended, on the nodes as they are
 * known now, and what each user's jobs would have waited stands beside what they did.
 */
#include "scheduler/replay.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/map.h"
#include "proto/json.h"
#include "scheduler/jobs.h"
#include "scheduler/journal.h"
#include "scheduler/sim/drive.h"
#include "scheduler/sim_journal.h"

#include <stdlib.h>

#define PAGE_JOBS 10000 /* read at once; each page has the reader's time limit */

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

struct real {
    uint64_t id, waited_ms;
};

/* Of the jobs that ran, newest first. */
struct reals {
    struct real *items;
    size_t count, capacity;
    uint64_t oldest; /* id, of the page at hand */
    uint32_t read;   /* of that page */
};

static void take_real(void *data, const struct journal_job *row)
{
    struct reals *r = data;
    struct error none = {0};
    struct job *job = job_doc_read(row, &none);
    r->oldest = row->id;
    r->read++;
    if (job && !job->array && job->started_ms >= job->submitted_ms) {
        if (r->count == r->capacity) {
            r->capacity = r->capacity ? 2 * r->capacity : 1024;
            r->items = xrealloc(r->items, r->capacity * sizeof *r->items);
        }
        r->items[r->count++] = (struct real){row->id, (uint64_t)(job->started_ms - job->submitted_ms)};
    }
    job_destroy(job);
}

static bool read_reals(struct journal_reader *reader, struct reals *r, struct error *err)
{
    struct journal_query query = {.principal = -1, .limit = PAGE_JOBS, .elements = true};
    do {
        r->read = 0;
        if (!journal_read_jobs(reader, &query, take_real, r, err))
            return false;
        query.before = r->oldest;
    } while (r->read == PAGE_JOBS);
    return true;
}

static int newest_first(const void *a, const void *b)
{
    const struct real *x = a, *y = b;
    return x->id > y->id ? -1 : x->id < y->id;
}

static const struct real *real_of(const struct reals *r, uint64_t id)
{
    const struct real key = {.id = id};
    return r->count ? bsearch(&key, r->items, r->count, sizeof *r->items, newest_first) : NULL;
}

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

/* All jobs that ran in both; *unplayed counts those that the core refused in the play. */
static void sort_waits(const struct trace *trace, const struct drive_result *result,
                       const struct reals *reals, struct group *all, struct map *groups, uint32_t *unplayed)
{
    for (uint32_t i = 0; i < trace->job_count; i++) {
        const struct trace_job *job = &trace->jobs[i];
        const struct real *real = real_of(reals, job->id);
        if (result->start_ms[i] == DRIVE_NEVER || !real) {
            ++*unplayed;
            continue;
        }
        uint64_t played = result->end_ms[i] - job->submit_ms - job->run_ms;
        add_wait(all, real->waited_ms, played);
        add_wait(group_of(groups, job->user), real->waited_ms, played);
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

static void tell(const struct trace *trace, const struct drive_result *result, const struct reals *reals,
                 const struct map *names, const char *policy, bool json, struct buf *out)
{
    struct group all = {0};
    struct map groups = {0};
    _cleanup_buf_ struct buf table = {0};
    uint32_t unplayed = 0;
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    sort_waits(trace, result, reals, &all, &groups, &unplayed);
    json_add_str(o, "policy", policy);
    json_add_int(o, "jobs", all.count);
    json_add_int(o, "left_out", (int64_t)trace->left_out);
    json_add_int(o, "bad", (int64_t)trace->bad_count);
    json_add_int(o, "refused", unplayed);
    cJSON *list = cJSON_AddArrayToObject(o, "users"); /* the last of them has no name: all */
    tell_groups(&all, &groups, names, list, &table);
    if (json) {
        json_write(o, out);
        buf_add_char(out, '\n');
    } else {
        buf_printf(out, "%u jobs by the policy %s, on the nodes as they are known now", all.count, policy);
        if (trace->left_out)
            buf_printf(out, "; %llu that ended without having run are left out",
                       (unsigned long long)trace->left_out);
        if (trace->bad_count || unplayed)
            buf_printf(out, "; %llu that can't be played are, too",
                       (unsigned long long)trace->bad_count + unplayed);
        buf_printf(out, "\n\n%s", table.data);
    }
    free(all.real_ms);
    free(all.played_ms);
    size_t i = 0;
    for (struct map_slot *s; (s = map_next(&groups, &i));)
        group_free(s->value);
    map_finish(&groups);
}

bool replay_policy(struct journal_reader *r, const char *state_dir, const char *policy, bool json,
                   struct buf *out, struct error *err)
{
    _cleanup_trace_ struct trace trace = {0};
    _cleanup_drive_result_ struct drive_result result = {0};
    struct drive_options how = {0};
    struct map names = {0};
    struct reals reals = {0};
    bool ok = drive_policy(policy, &how.policy, err) && sim_journal_read(state_dir, &trace, err) &&
              read_reals(r, &reals, err) && journal_read_principals(r, name_user, &names, err);
    if (ok && !trace.job_count) {
        error_set(err, ERROR_NOT_FOUND, "no job of that journal has run to its end yet");
        ok = false;
    }
    ok = ok && drive_run(&trace, &how, &result, err);
    if (ok)
        tell(&trace, &result, &reals, &names, policy, json, out);
    free(reals.items);
    size_t i = 0;
    for (struct map_slot *s; (s = map_next(&names, &i));)
        free(s->value);
    map_finish(&names);
    return ok;
}
