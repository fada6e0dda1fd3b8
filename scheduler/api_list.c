/*
 * Pages of jobs, newest first. The live ones and those that ended last are in memory, the others are read in
 * the thread pool. A page is bounded in objects, bytes and jobs looked at; it has `next`, the `before` of the
 * page after it, until there is none. Invariant: a page has every wanted job from its first id down to
 * `next`, so that pages leave nothing out and have nothing twice, however short they are.
 */
#include "scheduler/api.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "scheduler/arrays.h"
#include "scheduler/engine.h"
#include "scheduler/forecast.h"
#include "scheduler/selector.h"

#include <stdlib.h>
#include <string.h>

#define EXPECTED_MAX 64 /* waiting jobs of one listing, the oldest, whose start is worked out */
#define RECENT_MS (24LL * 3600 * 1000)

struct entry {
    uint64_t id;
    bool memory; /* newer than what was read of the same job */
    char *text;
};

struct listing {
    uv_work_t work;
    struct daemon *daemon;
    struct http_request *req; /* NULL: the client left */
    char *folder;
    struct journal_query query;
    struct error err;
    struct selector which;
    uint32_t limit; /* jobs of the page */
    uint32_t asks;  /* principal of who asks; 0: has no jobs */
    bool admin;     /* so is who asks */
    bool ok, live_only;
    bool from_cursor;            /* `before` was given */
    struct forecast *forecast;   /* NULL: nobody asked, or it can't be had */
    struct forecast_job *starts; /* of the oldest jobs that wait, newest first */
    uint32_t start_count;
    uint64_t floor; /* below this id nobody has looked; 0: all were looked at */
    size_t bytes;   /* of what was read, then of what is live */
    uint32_t rows;  /* read */
    struct entry *items;
    size_t count;
};

static void raise_floor(struct listing *l, uint64_t id)
{
    if (id > l->floor)
        l->floor = id;
}

static void add_entry(struct listing *l, const struct job *job, const char *extra, bool memory)
{
    struct buf text = {0};
    struct caller caller = {.principal = l->asks, .admin = l->admin};
    unsigned parts = api_owns(&caller, job) ? JOB_OBJECT_PRIVATE : 0;
    job_object_write(job, JOB_OBJECT_SHORT | parts, extra, &text);
    l->bytes += text.len;
    if ((l->count & (l->count + 1)) == 0) /* doubles */
        l->items = xrealloc(l->items, (l->count + 1) * 2 * sizeof *l->items);
    l->items[l->count++] = (struct entry){job->id, memory, buf_take(&text)};
}

/* ---- those that ended, in the thread pool ---- */

static void add_row(void *data, const struct journal_job *row)
{
    struct error err = {0};
    struct listing *l = data;
    if (++l->rows == l->query.limit)
        raise_floor(l, row->id);
    if (l->bytes > JOB_LISTING_MAX_BYTES || l->count >= l->limit) {
        raise_floor(l, row->id + 1);
        return;
    }
    struct job *job = job_doc_read(row, &err);
    if (job && selector_matches(&l->which, job))
        add_entry(l, job, NULL, false);
    job_destroy(job);
}

/* And when the others start. */
static void read_rest(uv_work_t *work)
{
    struct listing *l = container_of(work, struct listing, work);
    if (l->forecast)
        forecast_run(l->forecast, l->starts, l->start_count);
    if (l->live_only)
        return;
    struct journal_reader *reader = journal_reader_open(l->folder, &l->err);
    l->ok = reader && journal_read_jobs(reader, &l->query, add_row, l, &l->err);
    journal_reader_close(reader);
}

/* ---- those in memory ---- */

static bool wanted(const struct listing *l, const struct job *job)
{
    return (!l->query.before || job->id < l->query.before) && selector_matches(&l->which, job);
}

/* Where a walk from newer to older live jobs begins: at the first one before the cursor. Of jobs of one kind
 * (elements, or no elements) newer ones stand behind older ones. NULL: none of the ids that were tried is
 * live; *tried is the least of them. */
static struct list *begin_walk(const struct listing *l, uint64_t *tried)
{
    const struct daemon *d = l->daemon;
    uint64_t id = l->query.before;
    *tried = 0;
    if (!l->from_cursor || id >= d->jobs.next_id)
        return d->jobs.live.prev;
    for (uint32_t looked = 0; looked < JOB_LISTING_LOOK_MAX && id-- > 1; looked++) {
        struct job *job = jobs_get(&d->jobs, id);
        *tried = id;
        if (job && !job_is_final(job) && job->array_job == l->which.array)
            return &job->link;
    }
    return NULL;
}

/* The next wanted live job; NULL at the end, or where enough were looked at and `last`, the id that was
 * reached, has moved. */
static struct job *walk(const struct listing *l, struct list **at, uint32_t *looked, uint64_t *last)
{
    const struct daemon *d = l->daemon;
    for (; *at != &d->jobs.live && (*looked < JOB_LISTING_LOOK_MAX || !*last); *at = (*at)->prev) {
        struct job *job = container_of(*at, struct job, link);
        *looked += selector_cost(&l->which);
        if (job->array_job == l->which.array)
            *last = job->id;
        if (!wanted(l, job))
            continue;
        *at = (*at)->prev;
        return job;
    }
    return NULL;
}

/* Of the waiting jobs that the listing will have, the oldest. */
static void list_starts(struct listing *l)
{
    struct daemon *d = l->daemon;
    uint32_t seen = 0, waiting = 0, looked = 0;
    uint64_t last = 0;
    const struct job *job;
    struct list *at = begin_walk(l, &last);
    last = 0;
    l->starts = xcalloc(EXPECTED_MAX, sizeof *l->starts);
    while (at && seen < l->limit && (job = walk(l, &at, &looked, &last))) {
        seen++;
        if (job->state == JOB_QUEUED)
            l->starts[waiting++ % EXPECTED_MAX].job.v = job->id;
    }
    l->start_count = waiting < EXPECTED_MAX ? waiting : EXPECTED_MAX;
    l->forecast = waiting ? forecast_begin(d->core, (uint64_t)clock_wall_ms()) : NULL;
    if (l->forecast)
        arrays_tell_forecast(&d->jobs, l->forecast);
    for (uint32_t i = 0; !l->forecast && i < l->start_count; i++)
        l->starts[i].start_ms = core_expected_start(d->core, l->starts[i].job);
}

static const struct forecast_job *start_of(const struct listing *l, uint64_t job)
{
    for (uint32_t i = 0; i < l->start_count; i++) {
        if (l->starts[i].job.v == job)
            return &l->starts[i];
    }
    return NULL;
}

static void add_live(struct listing *l, struct job *job)
{
    char extra[64];
    const struct forecast_job *start = job->state == JOB_QUEUED ? start_of(l, job->id) : NULL;
    engine_look(l->daemon, job);
    if (start && start->start_ms)
        snprintf(extra, sizeof extra, "\"expected_start_ms\":%llu", (unsigned long long)start->start_ms);
    else
        snprintf(extra, sizeof extra, "\"expected_start_ms\":null");
    add_entry(l, job, start ? extra : NULL, true);
}

static void merge_live(struct listing *l)
{
    uint32_t looked = 0, live = 0;
    uint64_t last = 0;
    struct job *job = NULL;
    struct list *at = begin_walk(l, &last);
    l->bytes = 0;
    last = at ? 0 : last;
    while (at && live < l->limit && l->bytes <= JOB_LISTING_MAX_BYTES &&
           (job = walk(l, &at, &looked, &last))) {
        add_live(l, job);
        live++;
    }
    bool all = at ? at == &l->daemon->jobs.live && !job : last <= 1;
    if (!all)
        raise_floor(l, last);
}

/* They are in the journal as soon as that is durable, which may be after it was read. */
static void merge_ended(struct listing *l)
{
    const struct daemon *d = l->daemon;
    struct job *job, *tmp;
    list_for_each(job, tmp, &d->jobs.ended,
                  link) if (job->id >= l->floor && wanted(l, job) && job->ended_ms >= l->query.ended_since_ms)
        add_entry(l, job, NULL, true);
}

/* ---- the page ---- */

static int newest_first(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->id < y->id ? 1 : x->id > y->id ? -1 : (int)y->memory - (int)x->memory;
}

static void write_page(struct listing *l, struct buf *body)
{
    uint64_t next = l->floor;
    uint32_t written = 0;
    const struct entry *last = NULL;
    buf_add_str(body, "{\"jobs\":[");
    for (size_t i = 0; i < l->count; i++) {
        const struct entry *e = &l->items[i];
        if (e->id < l->floor)
            break;
        if (last && last->id == e->id)
            continue; /* in memory and in the journal */
        if (last && (written == l->limit || body->len > JOB_LISTING_MAX_BYTES)) {
            next = last->id;
            break;
        }
        buf_printf(body, "%s%s", written++ ? "," : "", e->text);
        last = e;
    }
    if (next > 1 && next > l->query.after + 1)
        buf_printf(body, "],\"next\":%llu}", (unsigned long long)next);
    else
        buf_add_str(body, "],\"next\":null}");
}

static void listing_free(struct listing *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->items[i].text);
    forecast_end(l->forecast);
    free(l->starts);
    selector_finish(&l->which);
    free(l->items);
    free(l->folder);
    free(l);
}

static void answer_listing(struct listing *l)
{
    if (l->req && !l->ok) {
        http_respond_error(l->req, &l->err);
    } else if (l->req) {
        merge_live(l);
        if (!l->live_only)
            merge_ended(l);
        if (l->count)
            qsort(l->items, l->count, sizeof *l->items, newest_first);
        struct buf body = {0};
        write_page(l, &body);
        engine_answer_view(l->daemon, l->req, buf_take(&body));
    }
    listing_free(l);
}

static void listing_read(uv_work_t *work, int status)
{
    (void)status;
    struct listing *l = container_of(work, struct listing, work);
    daemon_work_done(l->daemon);
    answer_listing(l);
}

/* ---- the question ---- */

/* Elements of an array have the ids behind its own. */
static void stay_in_array(struct listing *l)
{
    const struct job *array = jobs_find_id(&l->daemon->jobs, l->daemon->reader, l->which.array);
    uint64_t end = array && array->array ? array->id + array->array->indices.count + 1 : 0;
    l->query.after = l->which.array;
    if (!l->query.before || l->query.before > end)
        l->query.before = end;
    l->query.elements = true;
    l->query.ended_since_ms = 0;
}

static bool read_question(struct listing *l, const struct http_request *req, bool *expected,
                          struct error *err)
{
    int64_t limit, before;
    const struct selector_words words = {.state = http_request_query(req, "state"),
                                         .user = http_request_query(req, "principal"),
                                         .workspace = http_request_query(req, "workspace"),
                                         .array = http_request_query(req, "array"),
                                         .name = http_request_query(req, "name"),
                                         .tag = http_request_query(req, "tag")};
    if (!http_request_query_int(req, "limit", 1, JOB_LISTING_MAX, JOB_LISTING_MAX, &limit, err) ||
        !http_request_query_int(req, "before", 1, INT64_MAX, 0, &before, err) ||
        !http_request_query_bool(req, "expected", false, expected, err) ||
        !selector_read(&l->which, l->daemon, l->asks, &words, err))
        return false;
    l->live_only = !selector_has_ended(&l->which);
    l->limit = (uint32_t)limit;
    l->from_cursor = before != 0;
    l->query.before = (uint64_t)before;
    l->query.ended_since_ms = words.state ? 0 : clock_wall_ms() - RECENT_MS;
    l->query.limit = selector_is_fine(&l->which) ? JOB_LISTING_READ_MAX : l->limit;
    l->query.workspace = l->which.workspace;
    l->query.principal = l->which.principal;
    l->query.states = l->which.states;
    if (l->which.array)
        stay_in_array(l);
    return true;
}

void api_get_jobs(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    bool expected = false;
    struct listing *l = xcalloc(1, sizeof *l);
    struct caller caller = api_caller(d, req);
    l->daemon = d;
    l->req = req;
    l->asks = caller.principal;
    l->admin = caller.admin;
    l->ok = true;
    if (!read_question(l, req, &expected, &err)) {
        http_respond_error(req, &err);
        listing_free(l);
        return;
    }
    if (expected)
        list_starts(l);
    if (l->live_only && !l->forecast) {
        answer_listing(l);
        return;
    }
    l->folder = xasprintf("%s/journal", d->options.state_dir);
    daemon_work_for(d, l->asks, &l->work, read_rest, listing_read);
}
