/* The table of job records in memory. Owns them. Invariant: a live job is always here; an ended one is here
 * at least until its end is durable. */
#include "scheduler/jobs.h"

#include "base/alloc.h"
#include "base/log.h"
#include "scheduler/arrays.h"
#include "scheduler/job_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void jobs_init(struct job_table *t)
{
    list_init(&t->live);
    list_init(&t->ended);
    list_init(&t->dirty);
}

void jobs_finish(struct job_table *t)
{
    struct job *job, *tmp;
    if (!t->live.next)
        return;
    list_for_each(job, tmp, &t->live, link) job_destroy(job);
    list_for_each(job, tmp, &t->ended, link) job_destroy(job);
    job_destroy(t->unborn);
    map_finish(&t->by_id);
    map_finish(&t->by_name);
    map_finish(&t->by_request);
    map_finish(&t->live_bytes);
}

struct job *job_create(uint64_t id, const char *name)
{
    struct job *job = xcalloc(1, sizeof *job);
    job->id = id;
    job->name = xstrdup(name);
    job->number = 1;
    list_init(&job->link);
    list_init(&job->dirty_link);
    return job;
}

void job_destroy(struct job *job)
{
    if (!job)
        return;
    for (uint32_t i = 0; i < job->task_count; i++) {
        free(job->tasks[i].node_name);
        free(job->tasks[i].lease);
        free(job->tasks[i].outputs);
        free(job->tasks[i].end);
    }
    for (uint32_t i = 0; i < job->note_count; i++)
        free(job->notes[i].text);
    for (uint32_t i = 0; i < job->advice_count; i++)
        free(job->advice[i]);
    free(job->notes);
    free(job->advice);
    free(job->tasks);
    free(job->name);
    free(job->request);
    free(job->fixed);
    free(job->cause_text);
    free(job->evidence);
    free(job->canceled_by);
    free(job->held_by);
    free(job->held_text);
    arrays_destroy(job->array);
    free(job);
}

void job_set_held_by(struct job *job, const char *name, bool operator)
{
    char *text = !name   ? NULL :
                 operator? xasprintf("is held by %s, an administrator: only administrators release it", name)
                         : xasprintf("is held by %s until berth release", name);
    char *by = xstrdup(name); /* it may be the one that goes */
    free(job->held_by);
    free(job->held_text);
    job->held_by = by;
    job->held_text = text;
    job->held_by_operator = name && operator;
}

bool job_is_final(const struct job *job)
{
    return job_state_is_final(job->state);
}

static void evict(struct job_table *t)
{
    struct job *job, *tmp;
    list_for_each(job, tmp, &t->ended, link)
    {
        if (t->ended_count <= JOBS_ENDED_KEPT)
            return;
        if (job->evictable && !job->dirty)
            jobs_remove(t, job);
    }
}

static uint64_t live_bytes(const struct job_table *t, uint32_t principal)
{
    return (uintptr_t)map_get_num(&t->live_bytes, principal);
}

static void count_bytes(struct job_table *t, const struct job *job, bool begins)
{
    if (!job->file_bytes)
        return;
    uint64_t bytes = live_bytes(t, job->principal);
    bytes = begins ? bytes + job->file_bytes : bytes - job->file_bytes;
    if (bytes)
        map_put_num(&t->live_bytes, job->principal, (void *)(uintptr_t)bytes);
    else
        map_remove_num(&t->live_bytes, job->principal);
}

bool jobs_admit(const struct job_table *t, uint32_t principal, uint64_t bytes, struct error *err)
{
    uint64_t held = live_bytes(t, principal);
    if (held + bytes <= JOB_LIVE_BYTES_MAX)
        return true;
    error_set(
        err, ERROR_LIMIT,
        "your jobs that have not ended have %llu MiB of job files, and this one has %llu more bytes; the "
        "limit is %llu MiB",
        (unsigned long long)(held >> 20), (unsigned long long)bytes,
        (unsigned long long)(JOB_LIVE_BYTES_MAX >> 20));
    return error_hint(err, "wait for some to end, cancel some, or submit one array");
}

void jobs_add(struct job_table *t, struct job *job)
{
    map_put_num(&t->by_id, job->id, job);
    job_names_add(t, job);
    bool final = job_is_final(job);
    list_append(final ? &t->ended : &t->live, &job->link);
    if (final)
        t->ended_count++;
    else
        t->live_count++;
    if (!final)
        count_bytes(t, job, true);
}

void jobs_remove(struct job_table *t, struct job *job)
{
    map_remove_num(&t->by_id, job->id);
    job_names_remove(t, job);
    list_remove(&job->link);
    list_remove(&job->dirty_link);
    if (job_is_final(job))
        t->ended_count--;
    else
        t->live_count--;
    if (!job_is_final(job))
        count_bytes(t, job, false);
    job_destroy(job);
}

struct job *jobs_get(const struct job_table *t, uint64_t id)
{
    return map_get_num(&t->by_id, id);
}

static void take_row(void *data, const struct journal_job *row)
{
    struct error err = {0};
    struct job **out = data;
    *out = job_doc_read(row, &err);
    if (!*out)
        log_error("job %llu in the journal: %s", (unsigned long long)row->id, err.message);
}

static struct job *load(struct job_table *t, struct journal_reader *reader, uint64_t id)
{
    struct job *job = NULL;
    if (!journal_read_job(reader, id, take_row, &job, NULL) || !job)
        return NULL;
    job->evictable = true;
    jobs_add(t, job);
    evict(t);
    return job;
}

struct job *jobs_find_id(struct job_table *t, struct journal_reader *reader, uint64_t id)
{
    struct job *job = jobs_get(t, id);
    return job || id == 0 || id >= t->next_id ? job : load(t, reader, id);
}

void jobs_touch(struct job_table *t, struct job *job)
{
    if (job->dirty)
        return;
    job->dirty = true;
    list_append(&t->dirty, &job->dirty_link);
}

void jobs_change_rule(struct job_table *t, struct job *job, const char *field, cJSON *value)
{
    _cleanup_json_ cJSON *fixed = json_parse(job->fixed, strlen(job->fixed), NULL);
    if (!fixed || !cJSON_ReplaceItemInObjectCaseSensitive(fixed, field, value)) {
        log_error("job %s: its record has no %s to change", job->name, field);
        cJSON_Delete(value);
        return;
    }
    free(job->fixed);
    job->fixed = json_text(fixed);
    job->inserted = false; /* so that it is written again */
    jobs_touch(t, job);
}

void jobs_write_dirty(struct job_table *t, struct journal *journal)
{
    struct job *job, *tmp;
    list_for_each(job, tmp, &t->dirty, dirty_link)
    {
        char *doc = job_doc_write(job);
        struct journal_job row = {.id = job->id,
                                  .name = job->name,
                                  .number = job->number,
                                  .request = job->request,
                                  .principal = job->principal,
                                  .state = (int)job->state,
                                  .final = job_is_final(job),
                                  .submitted_ms = job->submitted_ms,
                                  .ended_ms = job->ended_ms,
                                  .fixed = job->inserted ? NULL : job->fixed,
                                  .doc = doc};
        journal_add_job(journal, &row);
        free(doc);
        job->inserted = true;
        job->dirty = false;
        list_remove(&job->dirty_link);
    }
}

void jobs_end(struct job_table *t, struct job *job)
{
    list_remove(&job->link);
    list_append(&t->ended, &job->link);
    count_bytes(t, job, false);
    t->live_count--;
    t->ended_count++;
}

void jobs_ended(struct job_table *t, struct job *job)
{
    job->evictable = true;
    evict(t);
}

struct task *job_task(const struct job *job, uint32_t attempt, uint32_t rank)
{
    for (uint32_t i = 0; i < job->task_count; i++)
        if (job->tasks[i].attempt == attempt && job->tasks[i].rank == rank)
            return &job->tasks[i];
    return NULL;
}

struct task *job_add_task(struct job *job, uint32_t attempt, uint32_t rank)
{
    job->tasks = xrealloc(job->tasks, (job->task_count + 1) * sizeof *job->tasks);
    struct task *task = &job->tasks[job->task_count++];
    *task = (struct task){.attempt = attempt, .rank = rank};
    return task;
}

void job_note(struct job *job, int64_t at_ms, const char *text)
{
    if (!job->notes)
        job->notes = xcalloc(JOB_NOTES_MAX, sizeof *job->notes);
    if (job->note_count == JOB_NOTES_MAX) {
        free(job->notes[0].text);
        memmove(job->notes, job->notes + 1, sizeof *job->notes * (JOB_NOTES_MAX - 1));
        job->note_count--;
    }
    job->notes[job->note_count++] =
        (struct job_note){at_ms, xstrndup(text, JOB_NOTE_MAX_BYTES), job->attempt};
}

void job_forget_notes(struct job *job, const char *words)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < job->note_count; i++) {
        if (strstr(job->notes[i].text, words))
            free(job->notes[i].text);
        else
            job->notes[kept++] = job->notes[i];
    }
    job->note_count = kept;
}

const char *job_last_note(const struct job *job)
{
    const struct job_note *last = job->note_count ? &job->notes[job->note_count - 1] : NULL;
    return last && last->attempt == job->attempt ? last->text : NULL;
}

void job_advise(struct job *job, const char *text)
{
    for (uint32_t i = 0; i < job->advice_count; i++)
        if (strcmp(job->advice[i], text) == 0)
            return;
    if (!job->advice)
        job->advice = xcalloc(JOB_ADVICE_MAX, sizeof *job->advice);
    if (job->advice_count < JOB_ADVICE_MAX)
        job->advice[job->advice_count++] = xstrndup(text, JOB_NOTE_MAX_BYTES);
}
