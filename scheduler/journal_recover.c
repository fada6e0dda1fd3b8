/*
 * Opening and recovery, before the thread runs: the folder's lock and format, the last checkpoint, and every
 * row after it applied and compared with its hash. Nothing is decided again here.
 */
#include "scheduler/journal_private.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

struct journal *journal_open(const struct journal_options *options, struct error *err)
{
    char network[32];
    if (!fs_mkdirs(options->folder, 0700, err))
        return NULL;
    if (!options->allow_network && fs_is_network(options->folder, network)) {
        error_set(err, ERROR_UNSUPPORTED,
                  "%s lies on a network filesystem (%s), where SQLite's locks can't be relied on",
                  options->folder, network);
        error_hint(err,
                   "use --state-dir with a folder on a local disk, or --allow-network-state if you are sure");
        return NULL;
    }
    _cleanup_free_ char *lock = xasprintf("%s/lock", options->folder);
    _cleanup_close_ int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        error_errno(err, errno, "can't open %s", lock);
        return NULL;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        error_set(err, ERROR_EXISTS, "another scheduler works on %s", options->folder);
        error_hint(err, "berth down ends it");
        return NULL;
    }
    struct journal *j = xcalloc(1, sizeof *j);
    j->folder = xstrdup(options->folder);
    j->lock_fd = take_fd(&fd);
    j->segment_rows = options->segment_rows ? options->segment_rows : JOURNAL_SEGMENT_ROWS;
    j->open.ops_end = &j->open.ops;
    j->open.thens_end = &j->open.thens;
    j->next_seq = 1;
    if (!journal_db_open(&j->db, j->folder, err)) {
        journal_close(j);
        return NULL;
    }
    return j;
}

static struct core *load_checkpoint(struct journal *j, uint64_t *first_seq, struct error *err)
{
    sqlite3_stmt *s = journal_db_prepare(
        j->db.handle, "SELECT first_seq, checkpoint FROM segments ORDER BY first_seq DESC LIMIT 1", err);
    if (!s)
        return NULL;
    int rc = sqlite3_step(s);
    struct core *core = NULL;
    if (rc == SQLITE_ROW) {
        const char *why = NULL;
        *first_seq = (uint64_t)sqlite3_column_int64(s, 0);
        core = core_restore(sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1), &why);
        if (!core)
            error_set(err, ERROR_VERSION, "the journal's checkpoint before row %llu is refused: %s",
                      (unsigned long long)*first_seq, why);
    } else if (rc == SQLITE_DONE) {
        *first_seq = 1;
        core = core_create(&(struct core_capacity){0});
        if (!core)
            error_set(err, ERROR_INTERNAL, "no memory for the core");
    } else {
        journal_db_error(err, j->db.handle, "be read");
    }
    sqlite3_finalize(s);
    return core;
}

static bool apply_row(struct core *core, struct core_row *row, struct core_decisions *decisions,
                      sqlite3_stmt *s, struct error *err)
{
    uint64_t seq = (uint64_t)sqlite3_column_int64(s, 0), hash = (uint64_t)sqlite3_column_int64(s, 1);
    const char *wrong =
        core_row_decode(sqlite3_column_blob(s, 2), (size_t)sqlite3_column_bytes(s, 2), row, decisions);
    bool read = !wrong;
    if (read && !core_make_room(core, &row->event))
        wrong = "there is no memory for it";
    if (!wrong)
        wrong = core_apply(core, row->now_ms, &row->event, decisions);
    if (!wrong && core_hash(core) != hash)
        wrong = "the state after it has another hash than the journal says";
    if (!wrong)
        return true;
    if (read && row->core_version != CORE_VERSION) {
        error_set(err, ERROR_VERSION,
                  "journal row %llu was decided by version %u of the core, and this is version %u",
                  (unsigned long long)seq, row->core_version, CORE_VERSION);
        return error_hint(err, "start the Berth that wrote it, or begin with another state folder; nothing "
                               "was changed");
    }
    error_set(err, ERROR_INTERNAL, "journal row %llu can't be applied: %s", (unsigned long long)seq, wrong);
    return error_hint(err, "keep a copy of the state folder and report it; nothing was changed");
}

static uint64_t greatest_job(struct journal *j)
{
    sqlite3_stmt *s = journal_db_prepare(j->db.handle, "SELECT max(id) FROM jobs", NULL);
    uint64_t max = s && sqlite3_step(s) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    return max;
}

/* The elements of an array have the numbers behind its own. */
static uint64_t above(uint64_t highest, uint64_t job, uint32_t elements)
{
    return job + elements > highest ? job + elements : highest;
}

struct core *journal_recover(struct journal *j, uint64_t *next_job_id, struct error *err)
{
    uint64_t first_seq, expected, highest = greatest_job(j);
    struct core *core = load_checkpoint(j, &first_seq, err);
    if (!core)
        return NULL;
    int64_t started_ms = clock_boot_ms();
    struct core_row *row = xcalloc(1, sizeof *row);
    struct core_decisions *decisions = core_decisions_create();
    sqlite3_stmt *s = journal_db_prepare(
        j->db.handle, "SELECT seq, hash, bytes FROM rows WHERE seq >= ?1 ORDER BY seq", err);
    bool ok = s && decisions;
    expected = first_seq;
    int rc = SQLITE_DONE;
    if (ok)
        sqlite3_bind_int64(s, 1, (int64_t)first_seq);
    while (ok && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        if ((uint64_t)sqlite3_column_int64(s, 0) != expected) {
            ok = error_set(err, ERROR_INTERNAL, "journal row %llu is missing", (unsigned long long)expected);
            break;
        }
        ok = apply_row(core, row, decisions, s, err);
        if (ok && row->event.kind == CORE_EVENT_JOB_SUBMIT)
            highest = above(highest, row->event.as.submit.job.v, row->event.as.submit.array_count);
        expected++;
        j->segment_rows_done++;
    }
    if (ok && rc != SQLITE_DONE)
        ok = journal_db_error(err, j->db.handle, "be read");
    sqlite3_finalize(s);
    free(row);
    core_decisions_destroy(decisions);
    if (!ok) {
        core_destroy(core);
        return NULL;
    }
    struct core_job_view job;
    for (uint32_t cursor = 0; core_job_next(core, &cursor, &job);)
        highest = above(highest, job.job.v, job.array_count);
    const char *wrong = core_check(core);
    if (wrong) {
        error_set(err, ERROR_INTERNAL, "the recovered state is not sound: %s", wrong);
        core_destroy(core);
        return NULL;
    }
    j->next_seq = expected;
    *next_job_id = highest + 1;
    log_info("recovered: %llu rows applied in %lld ms", (unsigned long long)(expected - first_seq),
             (long long)(clock_boot_ms() - started_ms));
    return core;
}

static bool load_names(struct journal *j, const struct journal_loader *loader, struct error *err)
{
    sqlite3_stmt *s =
        journal_db_prepare(j->db.handle, "SELECT kind, id, name FROM names ORDER BY kind, id", err);
    if (!s)
        return false;
    while (loader->name && sqlite3_step(s) == SQLITE_ROW)
        loader->name(loader->data, (uint32_t)sqlite3_column_int64(s, 0), (uint32_t)sqlite3_column_int64(s, 1),
                     (const char *)sqlite3_column_text(s, 2));
    sqlite3_finalize(s);
    return true;
}

static bool load_records(struct journal *j, const struct journal_loader *loader, struct error *err)
{
    sqlite3_stmt *s =
        journal_db_prepare(j->db.handle, "SELECT kind, key, doc FROM records ORDER BY kind, key", err);
    if (!s)
        return false;
    int rc = SQLITE_DONE;
    while (loader->record && (rc = sqlite3_step(s)) == SQLITE_ROW)
        loader->record(loader->data, (uint32_t)sqlite3_column_int64(s, 0),
                       (const char *)sqlite3_column_text(s, 1), (const char *)sqlite3_column_text(s, 2));
    bool ok = rc == SQLITE_DONE || journal_db_error(err, j->db.handle, "be read");
    sqlite3_finalize(s);
    return ok;
}

bool journal_load(struct journal *j, const struct journal_loader *loader, struct error *err)
{
    sqlite3 *db = j->db.handle;
    if (!load_names(j, loader, err) || !load_records(j, loader, err))
        return false;
    sqlite3_stmt *s = journal_db_prepare(db, "SELECT id, name FROM principals ORDER BY id", err);
    if (!s)
        return false;
    while (sqlite3_step(s) == SQLITE_ROW)
        loader->principal(loader->data, (uint32_t)sqlite3_column_int64(s, 0),
                          (const char *)sqlite3_column_text(s, 1));
    sqlite3_finalize(s);
    s = journal_db_prepare(db, "SELECT id, name, instance_id, event_seq, doc FROM nodes ORDER BY id", err);
    if (!s)
        return false;
    while (sqlite3_step(s) == SQLITE_ROW) {
        struct journal_node node = {.id = (uint32_t)sqlite3_column_int64(s, 0),
                                    .name = (const char *)sqlite3_column_text(s, 1),
                                    .instance_id = (const char *)sqlite3_column_text(s, 2),
                                    .event_seq = (uint64_t)sqlite3_column_int64(s, 3),
                                    .doc = (const char *)sqlite3_column_text(s, 4)};
        loader->node(loader->data, &node);
    }
    sqlite3_finalize(s);
    s = journal_db_prepare(
        db,
        "SELECT id, name, principal, state, final, submitted_ms, ended_ms, fixed, doc, number, request, 0"
        " FROM jobs"
        " WHERE final = 0 ORDER BY id",
        err);
    if (!s)
        return false;
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        struct journal_job job;
        journal_db_take_job(s, &job);
        loader->job(loader->data, &job);
    }
    bool ok = rc == SQLITE_DONE || journal_db_error(err, db, "be read");
    sqlite3_finalize(s);
    return ok;
}

bool journal_lead(struct journal *j, uint64_t *epoch, struct error *err)
{
    sqlite3 *db = j->db.handle;
    FAULT("journal.before_lead");
    if (!journal_db_exec(db,
                         "INSERT INTO meta(key, value) VALUES('epoch', 1)"
                         " ON CONFLICT(key) DO UPDATE SET value = value + 1",
                         err))
        return false;
    sqlite3_stmt *s = journal_db_prepare(db, "SELECT value FROM meta WHERE key = 'epoch'", err);
    if (!s)
        return false;
    bool ok = sqlite3_step(s) == SQLITE_ROW || journal_db_error(err, db, "be read");
    *epoch = ok ? (uint64_t)sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    return ok;
}
