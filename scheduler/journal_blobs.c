/* Readers of the table of who uploaded which blob. */
#include "scheduler/journal_private.h"

#include <string.h>

static sqlite3_stmt *begin(struct journal_reader *r, const char *sql, struct error *err)
{
    r->give_up_ms = INT64_MAX;
    return journal_db_prepare(r->handle, sql, err);
}

static bool end(struct journal_reader *r, sqlite3_stmt *s, int rc, struct error *err)
{
    bool ok = rc == SQLITE_DONE || rc == SQLITE_ROW || journal_db_error(err, r->handle, "be read");
    sqlite3_finalize(s);
    return ok;
}

bool journal_read_own_blobs(struct journal_reader *r, uint32_t principal, const uint8_t (*shas)[32],
                            size_t count,
                            void (*each)(void *data, size_t at, const struct journal_blob *blob), void *data,
                            struct error *err)
{
    sqlite3_stmt *s =
        begin(r, "SELECT bytes, used_ms FROM blob_owners WHERE principal = ?1 AND sha = ?2", err);
    int rc = SQLITE_DONE;
    if (!s)
        return false;
    sqlite3_bind_int64(s, 1, principal);
    for (size_t i = 0; i < count && (rc == SQLITE_DONE || rc == SQLITE_ROW); i++) {
        sqlite3_bind_blob(s, 2, shas[i], sizeof shas[i], SQLITE_STATIC);
        rc = sqlite3_step(s);
        if (rc == SQLITE_ROW) {
            struct journal_blob blob = {.principal = principal,
                                        .bytes = (uint64_t)sqlite3_column_int64(s, 0),
                                        .used_ms = sqlite3_column_int64(s, 1)};
            memcpy(blob.sha, shas[i], sizeof blob.sha);
            each(data, i, &blob);
        }
        sqlite3_reset(s);
    }
    return end(r, s, rc, err);
}

bool journal_read_blobs(struct journal_reader *r, void (*each)(void *data, const struct journal_blob *blob),
                        void *data, struct error *err)
{
    sqlite3_stmt *s =
        begin(r, "SELECT principal, sha, bytes, used_ms FROM blob_owners ORDER BY principal, sha", err);
    int rc;
    if (!s)
        return false;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        struct journal_blob blob = {.principal = (uint32_t)sqlite3_column_int64(s, 0),
                                    .bytes = (uint64_t)sqlite3_column_int64(s, 2),
                                    .used_ms = sqlite3_column_int64(s, 3)};
        if (sqlite3_column_bytes(s, 1) != sizeof blob.sha)
            continue;
        memcpy(blob.sha, sqlite3_column_blob(s, 1), sizeof blob.sha);
        each(data, &blob);
    }
    return end(r, s, rc, err);
}

bool journal_read_blob_use(struct journal_reader *r,
                           void (*each)(void *data, uint32_t principal, uint64_t count, uint64_t bytes),
                           void *data, struct error *err)
{
    sqlite3_stmt *s =
        begin(r, "SELECT principal, count(*), sum(bytes) FROM blob_owners GROUP BY principal", err);
    int rc;
    if (!s)
        return false;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW)
        each(data, (uint32_t)sqlite3_column_int64(s, 0), (uint64_t)sqlite3_column_int64(s, 1),
             (uint64_t)sqlite3_column_int64(s, 2));
    return end(r, s, rc, err);
}
