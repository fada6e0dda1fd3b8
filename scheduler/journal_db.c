/* The journal's tables and the statements that write them. Owns the writing connection; used by one thread at
 * a time. */
#include "scheduler/journal_private.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define AUDIT_KEPT "100000"    /* lines of each principal */
#define DROP_ROWS_AT_ONCE 5000 /* of one transaction, so that commits go on in between */

#define JOBS_TABLE                                                                                           \
    "CREATE TABLE IF NOT EXISTS jobs(id INTEGER PRIMARY KEY, name TEXT NOT NULL, principal INTEGER NOT "     \
    "NULL, state INTEGER NOT NULL, final INTEGER NOT NULL, submitted_ms INTEGER NOT NULL, ended_ms "         \
    "INTEGER NOT NULL, fixed TEXT NOT NULL, doc TEXT NOT NULL, number INTEGER NOT NULL, request TEXT);"

/* Format 1 had names that were unique for ever. Its indexes go with its table. */
static const char update_from_1[] =
    "BEGIN IMMEDIATE; ALTER TABLE jobs RENAME TO jobs_1;" JOBS_TABLE
    "INSERT INTO jobs(id, name, principal, state, final, submitted_ms, ended_ms, fixed, doc, number)"
    " SELECT id, name, principal, state, final, submitted_ms, ended_ms, fixed, doc, 1 FROM jobs_1;"
    "DROP TABLE jobs_1; UPDATE meta SET value = 2 WHERE key = 'format'; COMMIT;";

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS rows(seq INTEGER PRIMARY KEY, now_ms INTEGER NOT NULL, core_version INTEGER "
    "NOT NULL,"
    " hash INTEGER NOT NULL, bytes BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS segments(first_seq INTEGER PRIMARY KEY, now_ms INTEGER NOT NULL, checkpoint "
    "BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS principals(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE IF NOT EXISTS names(kind INTEGER NOT NULL, id INTEGER NOT NULL, name TEXT NOT NULL,"
    " PRIMARY KEY(kind, id), UNIQUE(kind, name)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS nodes(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, instance_id TEXT "
    "NOT NULL,"
    " event_seq INTEGER NOT NULL, doc TEXT NOT NULL);" JOBS_TABLE
    "CREATE INDEX IF NOT EXISTS jobs_live ON jobs(id) WHERE final = 0;"
    "CREATE INDEX IF NOT EXISTS jobs_ended ON jobs(ended_ms) WHERE final = 1;"
    /* listings leave out the elements of arrays, of which there may be any number */
    "CREATE INDEX IF NOT EXISTS jobs_listed ON jobs(id) WHERE final = 1 AND instr(name, '@') = 0;"
    /* a user's jobs of one name, the newest last */
    "CREATE INDEX IF NOT EXISTS jobs_named ON jobs(name, principal, number);"
    "CREATE INDEX IF NOT EXISTS jobs_requested ON jobs(principal, request) WHERE request IS NOT NULL;"
    "CREATE TABLE IF NOT EXISTS specs(job INTEGER PRIMARY KEY, spec TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS records(kind INTEGER NOT NULL, key TEXT NOT NULL, doc TEXT NOT NULL,"
    " PRIMARY KEY(kind, key)) WITHOUT ROWID;"
    /* by principal first: a look-up never reads another's entries */
    "CREATE TABLE IF NOT EXISTS blob_owners(principal INTEGER NOT NULL, sha BLOB NOT NULL, bytes INTEGER NOT "
    "NULL, used_ms INTEGER NOT NULL, PRIMARY KEY(principal, sha)) WITHOUT ROWID;"
    /* who changed what: of each principal the newest alone, so that nobody pushes out another's */
    "CREATE TABLE IF NOT EXISTS audit(id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, principal INTEGER NOT "
    "NULL, n INTEGER NOT NULL, user TEXT NOT NULL, uid INTEGER NOT NULL, what TEXT NOT NULL, job INTEGER NOT "
    "NULL, owner INTEGER NOT NULL, open INTEGER NOT NULL, subject TEXT NOT NULL, doc TEXT NOT NULL,"
    " UNIQUE(principal, n));"
    "CREATE INDEX IF NOT EXISTS audit_principal ON audit(principal, id);"
    "CREATE INDEX IF NOT EXISTS audit_open ON audit(open, id) WHERE open = 1;"
    "CREATE INDEX IF NOT EXISTS audit_job ON audit(job, id) WHERE job != 0;"
    "CREATE INDEX IF NOT EXISTS audit_owner ON audit(owner, id) WHERE owner != 0;"
    "CREATE TRIGGER IF NOT EXISTS audit_bound AFTER INSERT ON audit BEGIN DELETE FROM audit WHERE principal "
    "= "
    "NEW.principal AND n <= NEW.n - " AUDIT_KEPT "; END;";

/* A job is inserted with its fixed part and later updated without it: ?8 is NULL then. */
static const char *const statement_sql[STATEMENT_MAX] = {
    [OP_ROW] = "INSERT INTO rows(seq, now_ms, core_version, hash, bytes) VALUES(?1, ?2, ?3, ?4, ?5)",
    [OP_JOB] = "INSERT INTO jobs(id, name, principal, state, final, submitted_ms, ended_ms, fixed, doc, "
               "number, request)"
               " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, coalesce(?8, ''), ?9, ?10, ?11) ON CONFLICT(id) DO "
               "UPDATE SET state = ?4, final = ?5,"
               " ended_ms = ?7, fixed = coalesce(?8, fixed), doc = ?9, request = ?11",
    [OP_SPEC] = "INSERT INTO specs(job, spec) VALUES(?1, ?2)",
    [OP_NODE] = "INSERT INTO nodes(id, name, instance_id, event_seq, doc) VALUES(?1, ?2, ?3, ?4, ?5)"
                " ON CONFLICT(id) DO UPDATE SET instance_id = ?3, event_seq = ?4, doc = ?5",
    [OP_PRINCIPAL] = "INSERT OR IGNORE INTO principals(id, name) VALUES(?1, ?2)",
    [OP_NAME] = "INSERT OR IGNORE INTO names(id, kind, name) VALUES(?1, ?2, ?3)",
    [OP_RECORD] = "INSERT OR REPLACE INTO records(kind, key, doc) VALUES(?1, ?2, ?3)",
    [OP_NO_RECORD] = "DELETE FROM records WHERE kind = ?1 AND key = ?2",
    [OP_BLOB] = "INSERT OR REPLACE INTO blob_owners(principal, sha, bytes, used_ms)"
                " VALUES(?1, ?2, ?3, ?4)",
    [OP_NO_BLOB] = "DELETE FROM blob_owners WHERE principal = ?1 AND sha = ?2",
    [OP_AUDIT] =
        "INSERT INTO audit(principal, n, at_ms, user, uid, what, job, owner, open, subject, doc)"
        " VALUES(?1, (SELECT coalesce(max(n), 0) + 1 FROM audit WHERE principal = ?1), ?2, ?3, ?4, ?5, "
        "?6, ?7, ?8, ?9, ?10)",
    [OP_KIND_COUNT] = "INSERT INTO segments(first_seq, now_ms, checkpoint) VALUES(?1, ?2, ?3)",
};

bool journal_db_error(struct error *err, sqlite3 *db, const char *what)
{
    int rc = db ? sqlite3_extended_errcode(db) : SQLITE_NOMEM;
    const char *path = db ? sqlite3_db_filename(db, "main") : NULL;
    /* the shared index of the log reports a full disk as an I/O error */
    bool full =
        (rc & 0xff) == SQLITE_FULL || ((rc & 0xff) == SQLITE_IOERR && sqlite3_system_errno(db) == ENOSPC);
    error_set(err, full ? ERROR_NO_SPACE : ERROR_IO, "the journal %s can't %s: %s", path ? path : "", what,
              !db    ? "out of memory"
              : full ? "the disk is full"
                     : sqlite3_errmsg(db));
    if (full)
        error_hint(err, "free space on that disk; Berth goes on by itself then");
    return false;
}

bool journal_db_exec(sqlite3 *db, const char *sql, struct error *err)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK || journal_db_error(err, db, "be written");
}

sqlite3_stmt *journal_db_prepare(sqlite3 *db, const char *sql, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK)
        journal_db_error(err, db, "be read");
    return statement;
}

static bool check_format(sqlite3 *db, struct error *err)
{
    sqlite3_stmt *s = journal_db_prepare(db, "SELECT value FROM meta WHERE key = 'format'", err);
    if (!s)
        return false;
    int rc = sqlite3_step(s);
    int64_t format = rc == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    if (rc == SQLITE_DONE) {
        char sql[96];
        snprintf(sql, sizeof sql, "INSERT INTO meta(key, value) VALUES('format', %d)", JOURNAL_FORMAT);
        return journal_db_exec(db, sql, err);
    }
    if (rc != SQLITE_ROW)
        return journal_db_error(err, db, "be read");
    if (format == 1) {
        log_info("the journal's tables are updated from format 1");
        if (journal_db_exec(db, update_from_1, err))
            return true;
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        return false;
    }
    if (format > JOURNAL_FORMAT) {
        error_set(err, ERROR_VERSION, "the journal has format %lld, this Berth knows up to %d",
                  (long long)format, JOURNAL_FORMAT);
        return error_hint(err, "use the newer Berth that wrote it, or another --state-dir");
    }
    return true;
}

/* The blocks belong to the log's file, where nobody else can take them: space that is given up at the moment
 * of need would go to whoever fills the disk. */
static void reserve_log(struct journal_db *db, const char *path)
{
    int on = 1;
    _cleanup_free_ char *log = xasprintf("%s-wal", path);
    sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
    _cleanup_close_ int fd = open(log, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, JOURNAL_RESERVE_BYTES) != 0)
        log_warn("no disk is reserved for the journal: %s: %s", log, strerror(errno));
}

bool journal_db_open(struct journal_db *db, const char *folder, struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/journal.sqlite", folder);
    int rc = sqlite3_open_v2(path, &db->handle,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK) {
        journal_db_error(err, db->handle, "be opened");
        error_wrap(err, "%s", path);
        return false;
    }
    sqlite3_busy_timeout(db->handle, 10000);
    if (!journal_db_exec(db->handle,
                         "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=OFF;", err))
        return false;
    /* the format is looked at before anything is made, so that a newer one stays untouched */
    sqlite3_stmt *s = journal_db_prepare(db->handle, "SELECT 1 FROM sqlite_master WHERE name = 'meta'", err);
    if (!s)
        return false;
    bool exists = sqlite3_step(s) == SQLITE_ROW;
    sqlite3_finalize(s);
    if (exists && !check_format(db->handle, err))
        return false;
    if (!journal_db_exec(db->handle, schema, err) || (!exists && !check_format(db->handle, err)))
        return false;
    reserve_log(db, path);
    for (int i = 0; i < STATEMENT_MAX; i++)
        if (!(db->statements[i] = journal_db_prepare(db->handle, statement_sql[i], err)))
            return false;
    return true;
}

void journal_db_close(struct journal_db *db)
{
    for (int i = 0; i < STATEMENT_MAX; i++)
        sqlite3_finalize(db->statements[i]);
    sqlite3_close(db->handle);
    memset(db, 0, sizeof *db);
}

static void bind_text(sqlite3_stmt *s, int at, const char *text)
{
    if (text)
        sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC);
    else
        sqlite3_bind_null(s, at);
}

static void bind_op(sqlite3_stmt *s, const struct journal_op *op)
{
    sqlite3_bind_int64(s, 1, (int64_t)op->id);
    switch (op->kind) {
    case OP_ROW:
        sqlite3_bind_int64(s, 2, op->now_ms);
        sqlite3_bind_int64(s, 3, CORE_VERSION);
        sqlite3_bind_int64(s, 4, (int64_t)op->hash);
        sqlite3_bind_blob64(s, 5, op->doc, op->bytes, SQLITE_STATIC);
        break;
    case OP_JOB:
        bind_text(s, 2, op->name);
        sqlite3_bind_int64(s, 3, op->job.principal);
        sqlite3_bind_int(s, 4, op->job.state);
        sqlite3_bind_int(s, 5, op->job.final);
        sqlite3_bind_int64(s, 6, op->job.submitted_ms);
        sqlite3_bind_int64(s, 7, op->job.ended_ms);
        bind_text(s, 8, op->extra);
        bind_text(s, 9, op->doc);
        sqlite3_bind_int64(s, 10, op->job.number);
        bind_text(s, 11, op->request);
        break;
    case OP_NODE:
        bind_text(s, 2, op->name);
        bind_text(s, 3, op->extra);
        sqlite3_bind_int64(s, 4, (int64_t)op->number);
        bind_text(s, 5, op->doc);
        break;
    case OP_SPEC:
        bind_text(s, 2, op->doc);
        break;
    case OP_PRINCIPAL:
        bind_text(s, 2, op->name);
        break;
    case OP_NAME:
        sqlite3_bind_int64(s, 2, (int64_t)op->number);
        bind_text(s, 3, op->name);
        break;
    case OP_RECORD:
        bind_text(s, 2, op->name);
        bind_text(s, 3, op->doc);
        break;
    case OP_NO_RECORD:
        bind_text(s, 2, op->name);
        break;
    case OP_BLOB:
        sqlite3_bind_int64(s, 3, (int64_t)op->number);
        sqlite3_bind_int64(s, 4, op->now_ms);
        sqlite3_bind_blob64(s, 2, op->doc, op->bytes, SQLITE_STATIC);
        break;
    case OP_NO_BLOB:
        sqlite3_bind_blob64(s, 2, op->doc, op->bytes, SQLITE_STATIC);
        break;
    case OP_AUDIT:
        sqlite3_bind_int64(s, 2, op->now_ms);
        bind_text(s, 3, op->name);
        sqlite3_bind_int64(s, 4, op->audit.uid);
        bind_text(s, 5, op->extra);
        sqlite3_bind_int64(s, 6, (int64_t)op->audit.job);
        sqlite3_bind_int64(s, 7, op->audit.owner);
        sqlite3_bind_int(s, 8, op->audit.open);
        bind_text(s, 9, op->request);
        bind_text(s, 10, op->doc);
        break;
    case OP_KIND_COUNT:
        break;
    }
}

static bool run_statement(struct journal_db *db, sqlite3_stmt *s, struct error *err)
{
    bool ok = sqlite3_step(s) == SQLITE_DONE || journal_db_error(err, db->handle, "be written");
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return ok;
}

static void roll_back(struct journal_db *db)
{
    if (!sqlite3_get_autocommit(db->handle))
        sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

bool journal_db_commit(struct journal_db *db, const struct journal_op *ops, struct error *err)
{
    if (!journal_db_exec(db->handle, "BEGIN IMMEDIATE", err))
        return false;
    for (const struct journal_op *op = ops; op; op = op->next) {
        bind_op(db->statements[op->kind], op);
        if (!run_statement(db, db->statements[op->kind], err)) {
            roll_back(db);
            return false;
        }
    }
    FAULT("journal.before_commit");
    if (FAULT_FAILS("journal.commit_fails")) {
        roll_back(db);
        return error_set(err, ERROR_NO_SPACE, "the journal can't be written: asked to fail");
    }
    if (!journal_db_exec(db->handle, "COMMIT", err)) {
        roll_back(db);
        return false;
    }
    FAULT("journal.after_commit");
    return true;
}

bool journal_db_add_segment(struct journal_db *db, uint64_t first_seq, int64_t now_ms, const void *bytes,
                            size_t n, struct error *err)
{
    sqlite3_stmt *s = db->statements[OP_KIND_COUNT];
    sqlite3_bind_int64(s, 1, (int64_t)first_seq);
    sqlite3_bind_int64(s, 2, now_ms);
    sqlite3_bind_blob64(s, 3, bytes, n, SQLITE_STATIC);
    FAULT("journal.before_checkpoint");
    return run_statement(db, s, err);
}

static bool read_number(struct journal_db *db, const char *sql, int64_t *out, struct error *err)
{
    sqlite3_stmt *s = journal_db_prepare(db->handle, sql, err);
    if (!s)
        return false;
    bool ok = sqlite3_step(s) == SQLITE_ROW || journal_db_error(err, db->handle, "be read");
    *out = ok ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    return ok;
}

bool journal_db_drop_old(struct journal_db *db, int64_t now_ms, struct error *err)
{
    for (;;) {
        /* the oldest segment that is not the last; it ends where the next one starts */
        int64_t count, next_seq, next_ms, pages, free_pages, page_bytes;
        if (!read_number(db, "SELECT count(*) FROM segments", &count, err))
            return false;
        if (count < 2)
            return true;
        if (!read_number(db, "SELECT first_seq FROM segments ORDER BY first_seq LIMIT 1 OFFSET 1", &next_seq,
                         err) ||
            !read_number(db, "SELECT now_ms FROM segments ORDER BY first_seq LIMIT 1 OFFSET 1", &next_ms,
                         err) ||
            !read_number(db, "PRAGMA page_count", &pages, err) ||
            !read_number(db, "PRAGMA freelist_count", &free_pages, err) ||
            !read_number(db, "PRAGMA page_size", &page_bytes, err))
            return false;
        bool too_old = now_ms - next_ms > JOURNAL_KEEP_MS;
        bool too_much = (uint64_t)(pages - free_pages) * (uint64_t)page_bytes > JOURNAL_KEEP_BYTES;
        if (!too_old && !too_much)
            return true;
        char sql[160];
        snprintf(
            sql, sizeof sql,
            "DELETE FROM rows WHERE seq IN (SELECT seq FROM rows WHERE seq < %lld ORDER BY seq LIMIT %d)",
            (long long)next_seq, DROP_ROWS_AT_ONCE);
        if (!journal_db_exec(db->handle, sql, err))
            return false;
        if (sqlite3_changes(db->handle) == DROP_ROWS_AT_ONCE)
            return true; /* the rest when there is time again */
        snprintf(sql, sizeof sql, "DELETE FROM segments WHERE first_seq < %lld", (long long)next_seq);
        if (!journal_db_exec(db->handle, sql, err))
            return false;
        log_info("dropped the journal's rows before %lld", (long long)next_seq);
    }
}
