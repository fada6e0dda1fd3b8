/* Reads of the job table by name and by request: one step of an index each. */
#include "scheduler/journal_private.h"

#include "base/clock.h"

static sqlite3_stmt *prepare(struct journal_reader *r, const char *sql)
{
    struct error ignored = {0};
    r->give_up_ms = clock_boot_ms() + JOURNAL_READ_LIMIT_MS;
    return r->format < 2 ? NULL : journal_db_prepare(r->handle, sql, &ignored);
}

uint64_t journal_find_named(struct journal_reader *r, uint32_t principal, const char *name, uint32_t *number)
{
    sqlite3_stmt *s = prepare(r, *number ? "SELECT id, number FROM jobs WHERE name = ?1 AND principal = ?2"
                                           " AND number = ?3 LIMIT 1"
                                         : "SELECT id, number FROM jobs WHERE name = ?1 AND principal = ?2"
                                           " ORDER BY number DESC LIMIT 1");
    if (!s)
        return 0;
    sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 2, principal);
    if (*number)
        sqlite3_bind_int64(s, 3, *number);
    uint64_t id = 0;
    if (sqlite3_step(s) == SQLITE_ROW) {
        id = (uint64_t)sqlite3_column_int64(s, 0);
        *number = (uint32_t)sqlite3_column_int64(s, 1);
    }
    sqlite3_finalize(s);
    return id;
}

uint32_t journal_find_owners(struct journal_reader *r, const char *name, uint32_t *out, uint32_t max)
{
    uint32_t count = 0;
    int64_t last = -1;
    sqlite3_stmt *s = prepare(r, "SELECT principal FROM jobs WHERE name = ?1 AND principal > ?2"
                                 " ORDER BY principal LIMIT 1");
    while (s && count < max) {
        sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 2, last);
        if (sqlite3_step(s) != SQLITE_ROW)
            break;
        last = sqlite3_column_int64(s, 0);
        out[count++] = (uint32_t)last;
        sqlite3_reset(s);
    }
    sqlite3_finalize(s);
    return count;
}

uint64_t journal_find_request(struct journal_reader *r, uint32_t principal, const char *request)
{
    sqlite3_stmt *s = prepare(r, "SELECT id FROM jobs WHERE principal = ?1 AND request = ?2 LIMIT 1");
    if (!s)
        return 0;
    sqlite3_bind_int64(s, 1, principal);
    sqlite3_bind_text(s, 2, request, -1, SQLITE_STATIC);
    uint64_t id = sqlite3_step(s) == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    return id;
}
