/* Readers of the job table: a read-only connection each, and a time limit, so that no listing holds anybody
 * up. */
#include "scheduler/journal_private.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"

#include <stdlib.h>

#define PROGRESS_STEPS 10000 /* SQLite's virtual instructions between two looks at the clock */
#define JOB_COLUMNS_1 "id, name, principal, state, final, submitted_ms, ended_ms, fixed, doc"
/* An element's name counts as its array's. */
#define JOB_COLUMNS                                                                                          \
    JOB_COLUMNS_1                                                                                            \
    ", number, request, number < (SELECT max(number) FROM jobs AS other WHERE other.name = CASE "            \
    "instr(jobs.name, '@') WHEN 0 THEN jobs.name ELSE substr(jobs.name, 1, instr(jobs.name, '@') - 1) END "  \
    "AND other.principal = jobs.principal)"

void journal_db_take_job(sqlite3_stmt *s, struct journal_job *job)
{
    *job = (struct journal_job){
        .id = (uint64_t)sqlite3_column_int64(s, 0),
        .name = (const char *)sqlite3_column_text(s, 1),
        .principal = (uint32_t)sqlite3_column_int64(s, 2),
        .state = sqlite3_column_int(s, 3),
        .final = sqlite3_column_int(s, 4) != 0,
        .submitted_ms = sqlite3_column_int64(s, 5),
        .ended_ms = sqlite3_column_int64(s, 6),
        .fixed = (const char *)sqlite3_column_text(s, 7),
        .doc = (const char *)sqlite3_column_text(s, 8),
        .number = 1,
    };
    if (sqlite3_column_count(s) < 12) /* of format 1 */
        return;
    job->number = (uint32_t)sqlite3_column_int64(s, 9);
    job->request = (const char *)sqlite3_column_text(s, 10);
    job->superseded = sqlite3_column_int(s, 11) != 0;
}

static int on_progress(void *data)
{
    const struct journal_reader *r = data;
    return !r->patient && clock_boot_ms() > r->give_up_ms;
}

static bool format_known(sqlite3 *db, int64_t *out, struct error *err)
{
    sqlite3_stmt *s = journal_db_prepare(db, "SELECT value FROM meta WHERE key = 'format'", err);
    if (!s)
        return false;
    int rc = sqlite3_step(s);
    int64_t format = rc == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    *out = format;
    bool ok = rc == SQLITE_ROW || journal_db_error(err, db, "be read");
    sqlite3_finalize(s);
    if (ok && format > JOURNAL_FORMAT)
        return error_set(err, ERROR_VERSION, "the journal has format %lld, this Berth knows up to %d",
                         (long long)format, JOURNAL_FORMAT);
    return ok;
}

struct journal_reader *journal_reader_open(const char *folder, struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/journal.sqlite", folder);
    struct journal_reader *r = xcalloc(1, sizeof *r);
    if (sqlite3_open_v2(path, &r->handle, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        journal_db_error(err, r->handle, "be opened for reading");
        journal_reader_close(r);
        return NULL;
    }
    sqlite3_busy_timeout(r->handle, 1000);
    if (!format_known(r->handle, &r->format, err)) {
        journal_reader_close(r);
        return NULL;
    }
    sqlite3_progress_handler(r->handle, PROGRESS_STEPS, on_progress, r);
    return r;
}

void journal_reader_close(struct journal_reader *r)
{
    if (!r)
        return;
    sqlite3_close(r->handle);
    free(r);
}

void journal_reader_patient(struct journal_reader *r)
{
    r->patient = true;
}

bool journal_read_finish(struct journal_reader *r, sqlite3_stmt *s, int rc, struct error *err)
{
    if (rc == SQLITE_INTERRUPT)
        error_set(err, ERROR_TIMEOUT, "the listing took longer than %d ms", JOURNAL_READ_LIMIT_MS);
    else if (rc != SQLITE_DONE && rc != SQLITE_ROW)
        journal_db_error(err, r->handle, "be read");
    sqlite3_finalize(s);
    return rc == SQLITE_DONE || rc == SQLITE_ROW;
}

#define JOBS_ENDED " FROM jobs WHERE id < ?1 AND id > ?5 AND final = 1 AND ended_ms >= ?2"
#define NO_ELEMENTS " AND instr(name, '@') = 0" /* as the index jobs_listed has it */
#define JOBS_OF_USER                                                                                         \
    " AND (?3 < 0 OR principal = ?3) AND (?7 = 0 OR (?7 >> state) & 1) AND (?6 IS NULL OR "                  \
    "json_extract(fixed, '$.workspace') = ?6)"                                                               \
    " ORDER BY id DESC LIMIT ?4"

static const char *job_columns(const struct journal_reader *r)
{
    return r->format < 2 ? JOB_COLUMNS_1 : JOB_COLUMNS;
}

bool journal_read_jobs(struct journal_reader *r, const struct journal_query *query,
                       void (*each)(void *data, const struct journal_job *job), void *data, struct error *err)
{
    r->give_up_ms = clock_boot_ms() + JOURNAL_READ_LIMIT_MS;
    _cleanup_free_ char *sql =
        xasprintf("SELECT %s%s", job_columns(r),
                  query->elements ? JOBS_ENDED JOBS_OF_USER : JOBS_ENDED NO_ELEMENTS JOBS_OF_USER);
    sqlite3_stmt *s = journal_db_prepare(r->handle, sql, err);
    if (!s)
        return false;
    sqlite3_bind_int64(s, 1, query->before ? (int64_t)query->before : INT64_MAX);
    sqlite3_bind_int64(s, 2, query->ended_since_ms);
    sqlite3_bind_int64(s, 3, query->principal);
    sqlite3_bind_int64(s, 4, query->limit);
    sqlite3_bind_int64(s, 5, (int64_t)query->after);
    sqlite3_bind_int64(s, 7, query->states);
    if (query->workspace)
        sqlite3_bind_text(s, 6, query->workspace, -1, SQLITE_STATIC);
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        struct journal_job job;
        journal_db_take_job(s, &job);
        each(data, &job);
    }
    return journal_read_finish(r, s, rc, err);
}

bool journal_read_job(struct journal_reader *r, uint64_t id,
                      void (*each)(void *data, const struct journal_job *job), void *data, struct error *err)
{
    r->give_up_ms = clock_boot_ms() + JOURNAL_READ_LIMIT_MS;
    _cleanup_free_ char *sql = xasprintf("SELECT %s FROM jobs WHERE id = ?1", job_columns(r));
    sqlite3_stmt *s = journal_db_prepare(r->handle, sql, err);
    if (!s)
        return false;
    sqlite3_bind_int64(s, 1, (int64_t)id);
    int rc = sqlite3_step(s);
    struct journal_job job;
    if (rc == SQLITE_ROW) {
        journal_db_take_job(s, &job);
        each(data, &job);
    }
    if (!journal_read_finish(r, s, rc, err))
        return false;
    return rc == SQLITE_ROW || error_set(err, ERROR_NOT_FOUND, "there is no such job");
}

bool journal_read_principals_of(struct journal_reader *r, const uint64_t *jobs, size_t count,
                                void (*each)(void *data, size_t at, uint32_t principal), void *data,
                                struct error *err)
{
    r->give_up_ms = INT64_MAX;
    sqlite3_stmt *s = journal_db_prepare(r->handle, "SELECT principal FROM jobs WHERE id = ?1", err);
    int rc = SQLITE_DONE;
    if (!s)
        return false;
    for (size_t i = 0; i < count && (rc == SQLITE_DONE || rc == SQLITE_ROW); i++) {
        sqlite3_bind_int64(s, 1, (int64_t)jobs[i]);
        rc = sqlite3_step(s);
        if (rc == SQLITE_ROW)
            each(data, i, (uint32_t)sqlite3_column_int64(s, 0));
        sqlite3_reset(s);
    }
    return journal_read_finish(r, s, rc, err);
}

bool journal_read_spec(struct journal_reader *r, uint64_t job, struct buf *out, struct error *err)
{
    r->give_up_ms = clock_boot_ms() + JOURNAL_READ_LIMIT_MS;
    sqlite3_stmt *s = journal_db_prepare(r->handle, "SELECT spec FROM specs WHERE job = ?1", err);
    if (!s)
        return false;
    sqlite3_bind_int64(s, 1, (int64_t)job);
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        buf_add(out, sqlite3_column_text(s, 0), (size_t)sqlite3_column_bytes(s, 0));
    if (!journal_read_finish(r, s, rc, err))
        return false;
    return rc == SQLITE_ROW ||
           error_set(err, ERROR_NOT_FOUND, "job %llu has no file in the journal", (unsigned long long)job);
}

bool journal_read_nodes(struct journal_reader *r, void (*each)(void *data, const struct journal_node *node),
                        void *data, struct error *err)
{
    r->give_up_ms = clock_boot_ms() + JOURNAL_READ_LIMIT_MS;
    sqlite3_stmt *s = journal_db_prepare(
        r->handle, "SELECT id, name, instance_id, event_seq, doc FROM nodes ORDER BY id", err);
    if (!s)
        return false;
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        struct journal_node node = {
            .id = (uint32_t)sqlite3_column_int64(s, 0),
            .name = (const char *)sqlite3_column_text(s, 1),
            .instance_id = (const char *)sqlite3_column_text(s, 2),
            .event_seq = (uint64_t)sqlite3_column_int64(s, 3),
            .doc = (const char *)sqlite3_column_text(s, 4),
        };
        each(data, &node);
    }
    return journal_read_finish(r, s, rc, err);
}
