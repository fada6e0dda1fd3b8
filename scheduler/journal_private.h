/* What the journal's files share: the loop's side and thread (journal.c), the tables (journal_db.c). */
#ifndef BERTH_SCHEDULER_JOURNAL_PRIVATE_H
#define BERTH_SCHEDULER_JOURNAL_PRIVATE_H

#include "scheduler/core/row.h"
#include "scheduler/journal.h"

#include <sqlite3.h>

enum journal_op_kind {
    OP_ROW,
    OP_JOB,
    OP_SPEC,
    OP_NODE,
    OP_PRINCIPAL,
    OP_NAME,
    OP_RECORD,
    OP_NO_RECORD,
    OP_BLOB,
    OP_NO_BLOB,
    OP_AUDIT,
    OP_KIND_COUNT
};

struct journal_op {
    struct journal_op *next;
    enum journal_op_kind kind;
    uint64_t id;            /* seq of a row, a record's kind, a blob's principal, else the thing's */
    int64_t now_ms;         /* row; blob: when it was last used */
    uint64_t hash;          /* row */
    uint64_t number;        /* job, spec: unused; node: event_seq; name: its kind; blob: its size */
    struct journal_job job; /* job: its numbers; its strings are below */
    char *name, *extra,
        *doc;      /* owned; name: a record's key; extra: a job's fixed part, a node's instance_id */
    char *request; /* owned; a job's key */
    struct journal_audit audit; /* audit: its numbers; user in name, what in extra, subject in request */
    size_t bytes;               /* row, blob: length of doc */
};

enum { STATEMENT_MAX = OP_KIND_COUNT + 1 };

struct journal_db {
    sqlite3 *handle;
    sqlite3_stmt *statements[STATEMENT_MAX];
};

struct journal_then {
    struct journal_then *next;
    void (*durable)(void *data);
    void (*failed)(void *data, const struct error *err);
    void *data;
};

struct journal_batch {
    struct journal_op *ops, **ops_end;
    struct journal_then *thens, **thens_end;
};

struct journal {
    char *folder;
    int lock_fd;
    uint32_t segment_rows;
    struct journal_db db; /* the thread's once it runs */

    /* the loop's */
    uint64_t next_seq;
    struct journal_batch open, *in_flight;
    bool healthy;
    struct error why;
    void (*before_flush)(void *data);
    void (*health_changed)(void *data, bool healthy);
    void *data;
    uv_async_t async;

    /* the thread's */
    uv_thread_t thread;
    bool running;
    struct core *shadow; /* applies what is committed */
    struct core_row *row;
    struct core_decisions *decisions;
    uint64_t segment_rows_done, segment_bytes;
    bool shadow_lost; /* a row didn't lead to its hash: no more checkpoints */

    /* shared, under the lock */
    uv_mutex_t lock;
    uv_cond_t wake;
    struct journal_batch *todo, *finished;
    bool stop, failed_now;
    struct error failure;
    uint32_t page_limit; /* UINT32_MAX: nothing to change */
};

struct journal_reader {
    sqlite3 *handle;
    int64_t give_up_ms; /* on the boot clock */
    bool patient;       /* nobody waits on a loop: no time limit */
    int64_t format;     /* of the tables that it reads */
};

bool journal_db_error(struct error *err, sqlite3 *db, const char *what);
bool journal_db_exec(sqlite3 *db, const char *sql, struct error *err);
bool journal_db_open(struct journal_db *db, const char *folder, struct error *err);
void journal_db_close(struct journal_db *db);
/* One transaction; all or nothing. */
bool journal_db_commit(struct journal_db *db, const struct journal_op *ops, struct error *err);
/* The checkpoint that the rows from `first_seq` on follow. */
bool journal_db_add_segment(struct journal_db *db, uint64_t first_seq, int64_t now_ms, const void *bytes,
                            size_t n, struct error *err);
/* Drops the oldest segments that are too old or too much. */
bool journal_db_drop_old(struct journal_db *db, int64_t now_ms, struct error *err);
/* Reads the columns of a SELECT of jobs; strings are valid until the next step. */
void journal_db_take_job(sqlite3_stmt *s, struct journal_job *job);
sqlite3_stmt *journal_db_prepare(sqlite3 *db, const char *sql, struct error *err);
/* The statement that reads such lines. */
const char *journal_audit_sql(const struct journal_audit_filter *filter);

/* Finalizes what was read until sqlite3_step gave `rc`; false with *err where that is a failure or the time
 * is over. */
bool journal_read_finish(struct journal_reader *r, sqlite3_stmt *s, int rc, struct error *err);

#endif
