/* The walk and the removals run in the thread pool; what follows from them, on the loop. */
#include "scheduler/sweep.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "proto/units.h"
#include "scheduler/job_inputs.h"
#include "scheduler/work_files.h"

#include <stdlib.h>
#include <string.h>

#define GOES_NOTE "its work files go on "

struct sweep {
    uv_work_t work;
    struct daemon *daemon;
    char *outputs_dir, *journal;
    uint64_t *live; /* sorted */
    size_t live_count;
    uint64_t *share; /* by principal */
    uint32_t principal_count;
    struct work_list found;
    struct error err;
};

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* A principal that came after the sweep began has no job that has ended. */
static void note_principal(void *data, size_t at, uint32_t principal)
{
    struct sweep *s = data;
    s->found.items[at].principal = principal < s->principal_count ? principal : 0;
}

static bool find_principals(struct sweep *s)
{
    _cleanup_free_ uint64_t *ids = xcalloc(s->found.count + 1, sizeof *ids);
    for (size_t i = 0; i < s->found.count; i++)
        ids[i] = s->found.items[i].job;
    struct journal_reader *reader = journal_reader_open(s->journal, &s->err);
    bool ok = reader && journal_read_principals_of(reader, ids, s->found.count, note_principal, s, &s->err);
    journal_reader_close(reader);
    return ok;
}

static void do_sweep(uv_work_t *work)
{
    struct sweep *s = container_of(work, struct sweep, work);
    int64_t now_ms = clock_wall_ms();
    work_files_find(s->outputs_dir, &s->found);
    if (!find_principals(s))
        return;
    for (size_t i = 0; i < s->found.count; i++) {
        struct work_files *w = &s->found.items[i];
        w->live = s->live_count && bsearch(&w->job, s->live, s->live_count, sizeof w->job, by_number);
    }
    work_files_judge(&s->found, s->share, now_ms);
    work_files_apply(s->outputs_dir, &s->found, now_ms);
}

static void note(struct daemon *d, const struct work_files *w)
{
    struct job *job = jobs_find_id(&d->jobs, d->reader, w->job);
    char size[24], day[WORK_DATE_BYTES];
    _cleanup_free_ char *text = NULL;
    if (!job)
        return;
    units_format_bytes((int64_t)w->bytes, size);
    if (w->fate == WORK_GOES_LATER)
        text = xasprintf(GOES_NOTE "%s to free space (%s): berth outputs %llu DIR --work fetches them",
                         work_files_date(w->goes_ms, day), size, (unsigned long long)w->job);
    else if (w->fate != WORK_STAYS)
        text = xasprintf("its work files (%s) were removed %s", size,
                         w->fate == WORK_TOO_OLD ? "after 7 days" : "to free space");
    job_forget_notes(job, GOES_NOTE);
    if (text)
        job_note(job, clock_wall_ms(), text);
    jobs_touch(&d->jobs, job);
}

static void swept(uv_work_t *work, int status)
{
    (void)status;
    struct sweep *s = container_of(work, struct sweep, work);
    struct daemon *d = s->daemon;
    daemon_work_done(d);
    d->sweeping = false;
    d->shares.next_survey_ms = d->shares.surveyed_ms = 0;
    if (s->err.code != ERROR_NONE)
        log_warn("work files could not be swept: %s", s->err.message);
    for (size_t i = 0; i < s->found.count && !d->stopping && journal_healthy(d->journal, NULL); i++)
        if (s->found.items[i].news)
            note(d, &s->found.items[i]);
    work_files_finish(&s->found);
    free(s->outputs_dir);
    free(s->journal);
    free(s->live);
    free(s->share);
    free(s);
}

/* What a live job continues, or reads, stays until it has begun. */
static void keep_taken(struct sweep *s)
{
    struct job *job, *tmp;
    list_for_each(job, tmp, &s->daemon->jobs.live, link)
    {
        uint64_t ids[JOB_INPUTS_MAX + 1];
        size_t count = job_inputs_ids(job, ids);
        if (!count)
            continue;
        s->live = xrealloc(s->live, (s->live_count + count) * sizeof *s->live);
        memcpy(s->live + s->live_count, ids, count * sizeof *ids);
        s->live_count += count;
    }
}

void sweep_start(struct daemon *d)
{
    if (d->sweeping || d->stopping)
        return;
    struct sweep *s = xcalloc(1, sizeof *s);
    struct job *job, *tmp;
    d->sweeping = true;
    s->daemon = d;
    s->outputs_dir = xstrdup(d->options.outputs_dir);
    s->journal = xasprintf("%s/journal", d->options.state_dir);
    s->live = xcalloc(d->jobs.live_count + 1, sizeof *s->live);
    list_for_each(job, tmp, &d->jobs.live, link) s->live[s->live_count++] = job->id;
    keep_taken(s);
    qsort(s->live, s->live_count, sizeof *s->live, by_number);
    s->principal_count = d->principals.next_id;
    s->share = xcalloc(s->principal_count + 1, sizeof *s->share);
    for (uint32_t id = 0; id < s->principal_count; id++)
        s->share[id] = shares_limit(d, id, SHARE_WORK);
    daemon_work(d, &s->work, do_sweep, swept);
}
