/* Readers of the kept rows and checkpoints: for replay, which has no hurry, and one moment to look at. */
#include "scheduler/journal_private.h"

static bool end(struct journal_reader *r, sqlite3_stmt *s, int rc, struct error *err)
{
    bool ok = rc == SQLITE_DONE || rc == SQLITE_ROW || journal_db_error(err, r->handle, "be read");
    sqlite3_finalize(s);
    return ok;
}

static sqlite3_stmt *begin(struct journal_reader *r, const char *sql, struct error *err)
{
    r->give_up_ms = INT64_MAX;
    return journal_db_prepare(r->handle, sql, err);
}

bool journal_reader_hold(struct journal_reader *r, struct error *err)
{
    r->give_up_ms = INT64_MAX;
    return sqlite3_exec(r->handle, "BEGIN", NULL, NULL, NULL) == SQLITE_OK ||
           journal_db_error(err, r->handle, "be read");
}

bool journal_read_principals(struct journal_reader *r,
                             void (*each)(void *data, uint32_t id, const char *name), void *data,
                             struct error *err)
{
    sqlite3_stmt *s = begin(r, "SELECT id, name FROM principals ORDER BY id", err);
    int rc = SQLITE_DONE;
    if (!s)
        return false;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW)
        each(data, (uint32_t)sqlite3_column_int64(s, 0), (const char *)sqlite3_column_text(s, 1));
    return end(r, s, rc, err);
}

bool journal_read_segments(struct journal_reader *r,
                           void (*each)(void *data, uint64_t first_seq, int64_t now_ms), void *data,
                           struct error *err)
{
    sqlite3_stmt *s = begin(r, "SELECT first_seq, now_ms FROM segments ORDER BY first_seq", err);
    int rc = SQLITE_DONE;
    if (!s)
        return false;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW)
        each(data, (uint64_t)sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1));
    return end(r, s, rc, err);
}

struct core *journal_read_checkpoint(struct journal_reader *r, uint64_t first_seq, struct error *err)
{
    const char *why = "it is not there";
    struct core *core = NULL;
    sqlite3_stmt *s = begin(r, "SELECT checkpoint FROM segments WHERE first_seq = ?1", err);
    if (!s)
        return NULL;
    sqlite3_bind_int64(s, 1, (int64_t)first_seq);
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        core = core_restore(sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0), &why);
    if (!core && (rc == SQLITE_ROW || rc == SQLITE_DONE))
        error_set(err, ERROR_VERSION, "the journal's checkpoint before row %llu is refused: %s",
                  (unsigned long long)first_seq, why);
    end(r, s, rc, err);
    return core;
}

bool journal_read_rows(struct journal_reader *r, uint64_t from_seq,
                       bool (*each)(void *data, const struct journal_row *row), void *data, struct error *err)
{
    sqlite3_stmt *s = begin(r, "SELECT seq, hash, bytes FROM rows WHERE seq >= ?1 ORDER BY seq", err);
    bool ok = true;
    int rc = SQLITE_DONE;
    if (!s)
        return false;
    sqlite3_bind_int64(s, 1, (int64_t)from_seq);
    for (uint64_t expected = from_seq; ok && (rc = sqlite3_step(s)) == SQLITE_ROW; expected++) {
        struct journal_row row = {.seq = (uint64_t)sqlite3_column_int64(s, 0),
                                  .hash = (uint64_t)sqlite3_column_int64(s, 1),
                                  .bytes = sqlite3_column_blob(s, 2),
                                  .length = (size_t)sqlite3_column_bytes(s, 2)};
        if (row.seq != expected)
            ok = error_set(err, ERROR_INTERNAL, "journal row %llu is missing", (unsigned long long)expected);
        else if (!each(data, &row))
            break;
    }
    return end(r, s, rc, ok ? err : NULL) && ok;
}
