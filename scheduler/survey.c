/* The survey of logs and outputs: what each principal stores, and whose logs go. The walk and the removals
 * run in the thread pool; what follows from them, on the loop. */
#include "scheduler/shares.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "scheduler/daemon.h"
#include "scheduler/storage.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What one job stores. */
struct stored {
    uint64_t id;
    uint32_t principal; /* 0: no job of the journal */
    uint64_t log_bytes, output_bytes, work_bytes;
    bool live, removed;
};

/* A principal's limit while the survey runs. */
struct allowed {
    uint64_t limit, used;
};

struct survey {
    uv_work_t work;
    struct daemon *daemon;
    char *log_dir, *outputs_dir, *journal;
    int64_t started_ms;
    uint64_t *live;
    size_t live_count;
    struct stored *jobs; /* by id */
    size_t count, capacity;
    struct allowed *allowed; /* of principal 1, 2, ... */
    size_t allowed_count;
    struct error err;
};

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static struct stored *add(struct survey *s, uint64_t id)
{
    if (s->count == s->capacity) {
        s->capacity = s->capacity ? s->capacity * 2 : 256;
        s->jobs = xrealloc(s->jobs, s->capacity * sizeof *s->jobs);
    }
    struct stored *job = &s->jobs[s->count++];
    *job = (struct stored){.id = id};
    return job;
}

/* Takes fd: of the directory that is `depth` levels below the job's. Work files lie at ATTEMPT.RANK/work. */
static uint64_t measure_outputs(struct stored *job, int fd, int depth)
{
    _cleanup_dir_ DIR *dir = fdopendir(fd);
    uint64_t sum = 0;
    if (!dir)
        close(fd);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        int below = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        uint64_t bytes = 0;
        if (below >= 0)
            bytes = depth ? storage_bytes_below(below) : measure_outputs(job, below, depth + 1);
        if (depth && strcmp(e->d_name, "work") == 0)
            job->work_bytes += bytes;
        sum += bytes;
    }
    return sum;
}

static void measure_logs(struct stored *job, int fd)
{
    job->log_bytes = storage_bytes_below(fd);
}

static void measure_results(struct stored *job, int fd)
{
    job->output_bytes = measure_outputs(job, fd, 0);
}

/* `measure` takes the descriptor of the job's directory. */
static void walk(struct survey *s, const char *folder, void (*measure)(struct stored *job, int fd))
{
    _cleanup_dir_ DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char *end;
        uint64_t id = strtoull(e->d_name, &end, 10);
        if (end == e->d_name || *end)
            continue;
        int fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd >= 0)
            measure(add(s, id), fd);
    }
}

/* The two walks found each job up to twice. */
static void merge(struct survey *s)
{
    size_t kept = 0;
    if (s->count)
        qsort(s->jobs, s->count, sizeof *s->jobs, by_number);
    for (size_t i = 0; i < s->count; i++) {
        if (kept && s->jobs[kept - 1].id == s->jobs[i].id) {
            s->jobs[kept - 1].log_bytes += s->jobs[i].log_bytes;
            s->jobs[kept - 1].output_bytes += s->jobs[i].output_bytes;
            s->jobs[kept - 1].work_bytes += s->jobs[i].work_bytes;
        } else {
            s->jobs[kept++] = s->jobs[i];
        }
    }
    s->count = kept;
}

static void note_principal(void *data, size_t at, uint32_t principal)
{
    ((struct survey *)data)->jobs[at].principal = principal;
}

static bool find_principals(struct survey *s)
{
    _cleanup_free_ uint64_t *ids = xcalloc(s->count + 1, sizeof *ids);
    for (size_t i = 0; i < s->count; i++)
        ids[i] = s->jobs[i].id;
    struct journal_reader *reader = journal_reader_open(s->journal, &s->err);
    bool ok = reader && journal_read_principals_of(reader, ids, s->count, note_principal, s, &s->err);
    journal_reader_close(reader);
    return ok;
}

static struct allowed *allowed_of(const struct survey *s, uint32_t principal)
{
    return principal && principal <= s->allowed_count ? &s->allowed[principal - 1] : NULL;
}

/* The environment that stands beside the logs stays. */
static bool remove_logs(const struct survey *s, uint64_t id)
{
    _cleanup_free_ char *folder = xasprintf("%s/%llu", s->log_dir, (unsigned long long)id);
    _cleanup_dir_ DIR *dir = opendir(folder);
    bool any = false;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        const char *dot = strrchr(e->d_name, '.');
        if (dot && (strcmp(dot, ".log") == 0 || strcmp(dot, ".err") == 0))
            any |= unlinkat(dirfd(dir), e->d_name, 0) == 0;
    }
    return any;
}

static void enforce(struct survey *s)
{
    for (size_t i = 0; i < s->count; i++) { /* the lowest ids are the oldest */
        struct stored *job = &s->jobs[i];
        struct allowed *a = allowed_of(s, job->principal);
        if (!a || a->used <= a->limit || job->live || !job->log_bytes || !remove_logs(s, job->id))
            continue;
        job->removed = true;
        a->used -= job->log_bytes;
        job->log_bytes = 0;
    }
}

static void do_survey(uv_work_t *work)
{
    struct survey *s = container_of(work, struct survey, work);
    walk(s, s->log_dir, measure_logs);
    walk(s, s->outputs_dir, measure_results);
    merge(s);
    if (!find_principals(s))
        return;
    for (size_t i = 0; i < s->count; i++) {
        struct stored *job = &s->jobs[i];
        job->live = s->live_count && bsearch(&job->id, s->live, s->live_count, sizeof job->id, by_number);
        struct allowed *a = allowed_of(s, job->principal);
        if (a)
            a->used += job->log_bytes + job->output_bytes;
    }
    enforce(s);
}

static void note_removed(struct daemon *d, uint64_t id)
{
    struct job *job = jobs_find_id(&d->jobs, d->reader, id);
    if (!job)
        return;
    job_note(job, clock_wall_ms(),
             "its log was removed: the logs and outputs of its user were past their storage limit");
    jobs_touch(&d->jobs, job);
}

static void sum_up(struct survey *s)
{
    struct share_table *t = &s->daemon->shares;
    map_finish_free(&t->use);
    memset(&t->use, 0, sizeof t->use);
    for (size_t i = 0; i < s->count; i++) {
        const struct stored *job = &s->jobs[i];
        struct results_use *use = map_get_num(&t->use, job->principal);
        if (!job->principal)
            continue;
        if (!use) {
            use = xcalloc(1, sizeof *use);
            map_put_num(&t->use, job->principal, use);
        }
        use->log_bytes += job->log_bytes;
        use->output_bytes += job->output_bytes;
        use->work_bytes += job->work_bytes;
        if (job->removed && journal_healthy(s->daemon->journal, NULL))
            note_removed(s->daemon, job->id);
    }
}

/* A file in the job's log directory, that its shims look for. */
static void drop_or_take(struct daemon *d, struct job *job, bool drop)
{
    _cleanup_free_ char *path =
        xasprintf("%s/%llu/" SHARES_DROP_FILE, d->options.log_dir, (unsigned long long)job->id);
    if (!drop) {
        unlink(path);
        return;
    }
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return; /* it is there, or nothing runs yet */
    job_note(job, clock_wall_ms(),
             "what it writes to its log is dropped: the logs and outputs of its user are past their storage "
             "limit");
    jobs_touch(&d->jobs, job);
}

static void settle_running(struct daemon *d)
{
    struct job *job, *tmp;
    list_for_each(job, tmp, &d->jobs.live, link)
    {
        const struct results_use *use = map_get_num(&d->shares.use, job->principal);
        if (!use || !job->task_count)
            continue;
        bool over = use->log_bytes + use->output_bytes > shares_limit(d, job->principal, SHARE_RESULTS);
        drop_or_take(d, job, over);
    }
}

static void surveyed(uv_work_t *work, int status)
{
    (void)status;
    struct survey *s = container_of(work, struct survey, work);
    struct daemon *d = s->daemon;
    daemon_work_done(d);
    d->shares.surveying = false;
    d->shares.surveyed_ms = clock_boot_ms();
    int64_t pause = (d->shares.surveyed_ms - s->started_ms) * SHARES_SURVEY_SHARE;
    d->shares.next_survey_ms = d->shares.surveyed_ms + (pause > SHARES_SURVEY_MS ? pause : SHARES_SURVEY_MS);
    if (s->err.code == ERROR_NONE) {
        sum_up(s);
        settle_running(d);
    } else {
        log_warn("what is stored could not be summed up: %s", s->err.message);
    }
    storage_answer_asked(d);
    free(s->log_dir);
    free(s->outputs_dir);
    free(s->journal);
    free(s->live);
    free(s->jobs);
    free(s->allowed);
    free(s);
}

static void list_allowed(struct survey *s)
{
    struct daemon *d = s->daemon;
    s->allowed = xcalloc(d->principals.next_id + 1, sizeof *s->allowed);
    for (uint32_t id = 1; id < d->principals.next_id; id++)
        s->allowed[s->allowed_count++] = (struct allowed){.limit = shares_limit(d, id, SHARE_RESULTS)};
}

void survey_start(struct daemon *d)
{
    if (d->shares.surveying || d->stopping)
        return;
    struct survey *s = xcalloc(1, sizeof *s);
    struct job *job, *tmp;
    d->shares.surveying = true;
    s->daemon = d;
    s->started_ms = clock_boot_ms();
    s->log_dir = xstrdup(d->options.log_dir);
    s->outputs_dir = xstrdup(d->options.outputs_dir);
    s->journal = xasprintf("%s/journal", d->options.state_dir);
    s->live = xcalloc(d->jobs.live_count + 1, sizeof *s->live);
    list_for_each(job, tmp, &d->jobs.live, link) s->live[s->live_count++] = job->id;
    if (s->live_count)
        qsort(s->live, s->live_count, sizeof *s->live, by_number);
    list_allowed(s);
    daemon_work(d, &s->work, do_survey, surveyed);
}

void survey_beat(struct daemon *d, int64_t now_ms)
{
    if (now_ms >= d->shares.next_survey_ms)
        survey_start(d);
}
