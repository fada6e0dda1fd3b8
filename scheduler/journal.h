/*
 * The journal: SQLite (WAL, synchronous=FULL) owned by one thread. The loop adds to the open batch; one batch
 * commits while the next fills. One row for each step of the core, and in the same transaction the job, node
 * and principal tables. The journal's thread also keeps a second core that applies each committed row:
 * checkpoints come from that one, and a row that doesn't lead to the recorded hash is found at once.
 *
 * Everything but journal_open .. journal_start runs on the loop's thread. Segments (a checkpoint and the rows
 * from it on) are kept JOURNAL_KEEP_MS or JOURNAL_KEEP_BYTES and dropped whole; the last one always stays.
 *
 * The write-ahead log holds JOURNAL_RESERVE_BYTES of the disk from the start, and keeps its file: when
 * something else fills the disk, that much can still be committed, so that jobs can be canceled and end.
 *
 * A commit that fails (disk full) loses nothing: the batch stays, is tried again every JOURNAL_RETRY_MS,
 * `failed` callbacks are called once so that nobody is kept waiting, and journal_healthy is false until it
 * went through.
 */
#ifndef BERTH_SCHEDULER_JOURNAL_H
#define BERTH_SCHEDULER_JOURNAL_H

#include "base/buf.h"
#include "base/error.h"
#include "scheduler/core/core.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define JOURNAL_FORMAT 2           /* of the tables; a newer one is refused, an older one is updated */
#define JOURNAL_SEGMENT_ROWS 50000 /* rows of a segment: recovery applies no more than these */
#define JOURNAL_SEGMENT_BYTES (64ULL << 20)
#define JOURNAL_KEEP_MS (30LL * 24 * 3600 * 1000)
#define JOURNAL_KEEP_BYTES (10ULL << 30)
#define JOURNAL_RETRY_MS 500
#define JOURNAL_RESERVE_BYTES (15ULL << 20) /* of disk that the write-ahead log holds ahead of its use */
#define JOURNAL_READ_LIMIT_MS 5000          /* a listing that takes longer is given up */

struct journal;

struct journal_options {
    const char *folder;    /* exists or is made; 0700 */
    bool allow_network;    /* --allow-network-state */
    uint32_t segment_rows; /* 0: JOURNAL_SEGMENT_ROWS */
};

/* A job's row. Strings are copied. */
struct journal_job {
    uint64_t id;
    const char *name;
    uint32_t number;     /* of its user's jobs of that name, from 1 */
    const char *request; /* the key that it was submitted with; NULL: none */
    bool superseded;     /* read alone: its user has a newer one of the name */
    uint32_t principal;
    int state; /* enum job_state */
    bool final;
    int64_t submitted_ms, ended_ms; /* ended_ms 0: not yet */
    const char *fixed;              /* NULL: unchanged */
    const char *doc;
};

struct journal_node {
    uint32_t id;
    const char *name;
    const char *instance_id; /* "" before the first hello */
    uint64_t event_seq;      /* last event of that instance that is in the journal */
    const char *doc;
};

/* That a principal uploaded a blob (blobs.h). */
struct journal_blob {
    uint32_t principal;
    uint8_t sha[32];
    uint64_t bytes;
    int64_t used_ms; /* last uploaded, or reported as present */
};

/* What recovery hands to the daemon; strings are valid during the call. */
struct journal_loader {
    void *data;
    void (*principal)(void *data, uint32_t id, const char *name);
    void (*node)(void *data, const struct journal_node *node);
    void (*job)(void *data, const struct journal_job *job); /* live ones */
    void (*name)(void *data, uint32_t kind, uint32_t id,
                 const char *text); /* before all others; may be NULL */
    void (*record)(void *data, uint32_t kind, const char *key,
                   const char *doc); /* after the names; may be NULL */
};

/* Small things that the daemon keeps as one JSON document each, by a key. Values are written into journals:
 * never renumber. */
/* One change by a person. Texts are borrowed. */
struct journal_audit {
    uint64_t id; /* when it is read: grows with time */
    int64_t at_ms;
    uint32_t principal, uid;                 /* who */
    uint64_t job;                            /* 0: none */
    uint32_t owner;                          /* the job's principal; 0: none */
    bool open;                               /* everybody may read it */
    const char *user, *what, *subject, *doc; /* doc: JSON, {"before","after"} */
};

/* Which lines; 0 and NULL: all. The newest first. */
struct journal_audit_filter {
    int64_t since_ms, until_ms;
    uint64_t before; /* ids below it; 0: the newest */
    uint64_t job;
    const char *user, *what;
    bool all;        /* else those alone that `reader` may see: his acts, acts on his jobs, and open ones */
    uint32_t reader; /* principal */
    uint32_t limit;
};

enum journal_record {
    JOURNAL_SIZE = 1,
    JOURNAL_QUOTA_REQUEST = 2,
    JOURNAL_WORKSPACE = 3,
    JOURNAL_SHARE = 4,
    JOURNAL_SETTING = 5
};

/* Opens or makes it, takes the lock of the folder. Refuses a newer format, a network filesystem, and a folder
 * that another scheduler has open. */
struct journal *journal_open(const struct journal_options *options, struct error *err);
/* Recovery: the last checkpoint, then every row after it applied, its hash compared. NULL: *err names the
 * row. The caller owns the core. *next_job_id is above every id that was ever given. */
struct core *journal_recover(struct journal *j, uint64_t *next_job_id, struct error *err);
bool journal_load(struct journal *j, const struct journal_loader *loader, struct error *err);
/* Takes the lead: the next epoch, durable. */
bool journal_lead(struct journal *j, uint64_t *epoch, struct error *err);
/* Starts the thread. `core` is what journal_recover gave. before_flush (may be NULL) is called before a batch
 * is handed over, so that what changed since can be added to it. */
bool journal_start(struct journal *j, uv_loop_t *loop, const struct core *core,
                   void (*before_flush)(void *data), void (*health_changed)(void *data, bool healthy),
                   void *data, struct error *err);
/* Commits what is open if that is possible, ends the thread. Callbacks that are due are called. Stops the
 * handles; run the loop once after it, then journal_close. */
void journal_stop(struct journal *j);
void journal_close(struct journal *j); /* NULL is fine */

/* Adding to the open batch. */
uint64_t journal_add_row(struct journal *j, uint64_t now_ms, uint64_t hash, const void *bytes,
                         size_t n); /* its seq */
void journal_add_job(struct journal *j, const struct journal_job *job);
void journal_add_spec(struct journal *j, uint64_t job, const char *spec);
void journal_add_node(struct journal *j, const struct journal_node *node);
void journal_add_principal(struct journal *j, uint32_t id, const char *name);
void journal_add_name(struct journal *j, uint32_t kind, uint32_t id, const char *text); /* names.h */
/* In place of what the key had; NULL: there is none any more. */
void journal_add_record(struct journal *j, enum journal_record kind, const char *key, const char *doc);
void journal_add_audit(struct journal *j, const struct journal_audit *line);

/* In place of the entry that (principal, sha) had. */
void journal_add_blob(struct journal *j, const struct journal_blob *blob);
void journal_remove_blob(struct journal *j, uint32_t principal, const uint8_t sha[32]);

/* `durable` is called once everything added so far is on disk (from the loop, at once where nothing is open).
 * `failed` (may be NULL) is called before it, at most once, if a commit fails or the journal is already
 * failing. */
void journal_then(struct journal *j, void (*durable)(void *data),
                  void (*failed)(void *data, const struct error *err), void *data);
/* Hands the open batch to the thread if that is free. The daemon calls it when it has nothing else to do. */
void journal_flush(struct journal *j);
/* Everything that was added is durable. */
bool journal_quiet(const struct journal *j);
bool journal_healthy(const struct journal *j, struct error *why);
/* For tests: the database may grow to this many pages; 0: no limit. */
void journal_limit_pages(struct journal *j, uint32_t pages);

/* Readers: a connection of their own, one for each thread that reads. */
struct journal_reader;

/* NULL with *err: none is there, it can't be read, or its format is newer. */
struct journal_reader *journal_reader_open(const char *folder, struct error *err);
void journal_reader_close(struct journal_reader *r);
/* Its readings have no time limit: for programs in which nothing else waits. */
void journal_reader_patient(struct journal_reader *r);

/* Ended jobs; the live ones are in memory. */
struct journal_query {
    int64_t ended_since_ms; /* 0: all */
    uint64_t before;        /* ids below it; 0: all */
    int64_t principal;      /* -1: all */
    uint32_t limit;
    const char *workspace; /* NULL: all */
    uint64_t after;        /* ids above it; 0: all */
    bool elements;         /* of arrays, too: jobs whose name has an @ */
    unsigned states;       /* a bit of each enum job_state; 0: all */
};

/* Newest first. */
bool journal_read_jobs(struct journal_reader *r, const struct journal_query *query,
                       void (*each)(void *data, const struct journal_job *job), void *data,
                       struct error *err);
/* Who changed what, the newest first. Calls `take` for each, at most filter->limit, until it returns false.
 * *kept: false for a journal from before such lines were written. */
bool journal_read_audit(struct journal_reader *r, const struct journal_audit_filter *filter,
                        bool (*take)(void *data, const struct journal_audit *line), void *data, bool *kept,
                        struct error *err);
/* One job; false with ERROR_NOT_FOUND. */
bool journal_read_job(struct journal_reader *r, uint64_t id,
                      void (*each)(void *data, const struct journal_job *job), void *data, struct error *err);
/* journal_names.c. The newest of a user's jobs of that name, or that number of them; 0: none. *number is its
 * own. */
uint64_t journal_find_named(struct journal_reader *r, uint32_t principal, const char *name, uint32_t *number);
/* Up to `max` users who have or had jobs of that name; how many. */
uint32_t journal_find_owners(struct journal_reader *r, const char *name, uint32_t *out, uint32_t max);
/* The job that a user submitted with that key; 0: none. */
uint64_t journal_find_request(struct journal_reader *r, uint32_t principal, const char *request);
/* Whose jobs these are; calls `each` for those that there are. No time limit. */
bool journal_read_principals_of(struct journal_reader *r, const uint64_t *jobs, size_t count,
                                void (*each)(void *data, size_t at, uint32_t principal), void *data,
                                struct error *err);
bool journal_read_spec(struct journal_reader *r, uint64_t job, struct buf *out, struct error *err);
/* All nodes, by id. */
bool journal_read_nodes(struct journal_reader *r, void (*each)(void *data, const struct journal_node *node),
                        void *data, struct error *err);

/* Calls `each` for the entries of that principal among shas[0..count), in their order. */
bool journal_read_own_blobs(struct journal_reader *r, uint32_t principal, const uint8_t (*shas)[32],
                            size_t count,
                            void (*each)(void *data, size_t at, const struct journal_blob *blob), void *data,
                            struct error *err);
/* Every entry, by principal and SHA. No time limit. */
bool journal_read_blobs(struct journal_reader *r, void (*each)(void *data, const struct journal_blob *blob),
                        void *data, struct error *err);
/* The sums of each principal. No time limit. */
bool journal_read_blob_use(struct journal_reader *r,
                           void (*each)(void *data, uint32_t principal, uint64_t count, uint64_t bytes),
                           void *data, struct error *err);

/* What follows reads the kept rows, without a time limit. */
/* From now on the reader sees one moment of the journal, until it is closed. */
bool journal_reader_hold(struct journal_reader *r, struct error *err);
bool journal_read_principals(struct journal_reader *r,
                             void (*each)(void *data, uint32_t id, const char *name), void *data,
                             struct error *err);
/* The kept segments, oldest first: the first row of each, and the moment of its checkpoint. */
bool journal_read_segments(struct journal_reader *r,
                           void (*each)(void *data, uint64_t first_seq, int64_t now_ms), void *data,
                           struct error *err);
/* The core as it was before that row. The caller owns it. NULL with *err. */
struct core *journal_read_checkpoint(struct journal_reader *r, uint64_t first_seq, struct error *err);

struct journal_row {
    uint64_t seq, hash;
    const void *bytes; /* as core_row_decode takes them; valid during the call */
    size_t length;
};

/* Rows from that one on, in order, until `each` returns false. A row that is missing is an error. */
bool journal_read_rows(struct journal_reader *r, uint64_t from_seq,
                       bool (*each)(void *data, const struct journal_row *row), void *data,
                       struct error *err);

#endif
