/* Reading of who changed what. On any thread, with a reader of its own. Each kind of filter has a statement
 * that walks one index (journal_db.c), the newest first, and stops at its limit. */
#include "scheduler/journal_private.h"

#include "base/cleanup.h"
#include "base/clock.h"

#define COLUMNS                                                                                              \
    "SELECT id, at_ms, principal, user, uid, what, job, owner, open, subject, doc FROM audit WHERE "
#define THE_USER "(SELECT id FROM principals WHERE name = ?5)"
/* A + keeps a column from choosing the index. */
#define COMMON " AND id < ?3 AND +at_ms BETWEEN ?1 AND ?2 AND (?6 IS NULL OR +what = ?6)"
#define VISIBLE " AND (?7 OR +open OR (?8 != 0 AND (+principal = ?8 OR +owner = ?8)))"
#define NEWEST " ORDER BY id DESC LIMIT ?9"

static const char of_job[] = COLUMNS "job = ?4 AND job != 0" COMMON VISIBLE NEWEST;
static const char of_job_by_user[] =
    COLUMNS "job = ?4 AND job != 0 AND +principal = " THE_USER COMMON VISIBLE NEWEST;
static const char by_user[] = COLUMNS "principal = " THE_USER COMMON VISIBLE NEWEST;
static const char of_all[] = COLUMNS "?7" COMMON NEWEST;
static const char of_reader[] =
    COLUMNS "principal = ?8 AND principal != 0" COMMON " UNION ALL " COLUMNS
            "owner = ?8 AND owner != 0 AND +principal != ?8" COMMON " UNION ALL " COLUMNS
            "open = 1 AND +principal != ?8 AND (+owner = 0 OR +owner != ?8)" COMMON NEWEST;

const char *journal_audit_sql(const struct journal_audit_filter *f)
{
    if (f->job)
        return f->user ? of_job_by_user : of_job;
    return f->user ? by_user : f->all ? of_all : of_reader;
}

static const char *text_of(sqlite3_stmt *s, int column)
{
    const char *text = (const char *)sqlite3_column_text(s, column);
    return text ? text : "";
}

/* A statement names those of the nine that it needs. */
static void bind_filter(sqlite3_stmt *s, const struct journal_audit_filter *f)
{
    sqlite3_bind_int64(s, 1, f->since_ms);
    sqlite3_bind_int64(s, 2, f->until_ms ? f->until_ms : INT64_MAX);
    sqlite3_bind_int64(s, 3, f->before ? (int64_t)f->before : INT64_MAX);
    sqlite3_bind_int64(s, 4, (int64_t)f->job);
    sqlite3_bind_text(s, 5, f->user, -1, SQLITE_STATIC); /* NULL binds NULL */
    sqlite3_bind_text(s, 6, f->what, -1, SQLITE_STATIC);
    sqlite3_bind_int(s, 7, f->all);
    sqlite3_bind_int64(s, 8, f->reader);
    sqlite3_bind_int64(s, 9, f->limit);
}

static bool has_table(struct journal_reader *r, bool *there, struct error *err)
{
    sqlite3_stmt *s = journal_db_prepare(
        r->handle, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'audit'", err);
    if (!s)
        return false;
    int rc = sqlite3_step(s);
    *there = rc == SQLITE_ROW;
    return journal_read_finish(r, s, rc == SQLITE_ROW ? SQLITE_DONE : rc, err);
}

bool journal_read_audit(struct journal_reader *r, const struct journal_audit_filter *filter,
                        bool (*take)(void *data, const struct journal_audit *line), void *data, bool *kept,
                        struct error *err)
{
    r->give_up_ms = clock_boot_ms() + JOURNAL_READ_LIMIT_MS;
    if (!has_table(r, kept, err))
        return false;
    if (!*kept)
        return true;
    sqlite3_stmt *s = journal_db_prepare(r->handle, journal_audit_sql(filter), err);
    if (!s)
        return false;
    int rc;
    bind_filter(s, filter);
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        struct journal_audit line = {.id = (uint64_t)sqlite3_column_int64(s, 0),
                                     .at_ms = sqlite3_column_int64(s, 1),
                                     .principal = (uint32_t)sqlite3_column_int64(s, 2),
                                     .user = text_of(s, 3),
                                     .uid = (uint32_t)sqlite3_column_int64(s, 4),
                                     .what = text_of(s, 5),
                                     .job = (uint64_t)sqlite3_column_int64(s, 6),
                                     .owner = (uint32_t)sqlite3_column_int64(s, 7),
                                     .open = sqlite3_column_int(s, 8) != 0,
                                     .subject = text_of(s, 9),
                                     .doc = text_of(s, 10)};
        if (!take(data, &line)) {
            rc = SQLITE_DONE;
            break;
        }
    }
    return journal_read_finish(r, s, rc, err);
}
