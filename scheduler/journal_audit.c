/* Reading of who changed what. On any thread, with a reader of its own. */
#include "scheduler/journal_private.h"

#include "base/clock.h"

static const char select_lines[] =
    "SELECT id, at_ms, principal, user, uid, what, job, owner, open, subject, doc FROM audit WHERE"
    " (?1 = 0 OR at_ms >= ?1) AND (?2 = 0 OR at_ms <= ?2) AND (?3 = 0 OR id < ?3) AND (?4 = 0 OR job = ?4)"
    " AND (?5 IS NULL OR user = ?5) AND (?6 IS NULL OR what = ?6)"
    " AND (?7 OR open OR (?8 != 0 AND (principal = ?8 OR owner = ?8))) ORDER BY id DESC LIMIT ?9";

static const char *text_of(sqlite3_stmt *s, int column)
{
    const char *text = (const char *)sqlite3_column_text(s, column);
    return text ? text : "";
}

static void bind_filter(sqlite3_stmt *s, const struct journal_audit_filter *f)
{
    sqlite3_bind_int64(s, 1, f->since_ms);
    sqlite3_bind_int64(s, 2, f->until_ms);
    sqlite3_bind_int64(s, 3, (int64_t)f->before);
    sqlite3_bind_int64(s, 4, (int64_t)f->job);
    sqlite3_bind_text(s, 5, f->user, -1, SQLITE_STATIC); /* NULL binds NULL */
    sqlite3_bind_text(s, 6, f->what, -1, SQLITE_STATIC);
    sqlite3_bind_int(s, 7, f->all);
    sqlite3_bind_int64(s, 8, f->reader);
    sqlite3_bind_int64(s, 9, f->limit);
}

bool journal_read_audit(struct journal_reader *r, const struct journal_audit_filter *filter,
                        bool (*take)(void *data, const struct journal_audit *line), void *data,
                        struct error *err)
{
    r->give_up_ms = clock_boot_ms() + JOURNAL_READ_LIMIT_MS;
    sqlite3_stmt *s = journal_db_prepare(r->handle, select_lines, err);
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
