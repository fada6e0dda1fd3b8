/*
 * The journal's loop side and its thread. Owns the batches. Invariant: at most one batch is with the thread,
 * and callbacks run in the order of journal_then, each after the commit that holds all that was added before
 * it.
 */
#include "scheduler/journal_private.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define NOTHING_TO_CHANGE UINT32_MAX

static void batch_init(struct journal_batch *b)
{
    b->ops = NULL;
    b->ops_end = &b->ops;
    b->thens = NULL;
    b->thens_end = &b->thens;
}

static void free_ops(struct journal_op *op)
{
    while (op) {
        struct journal_op *next = op->next;
        free(op->name);
        free(op->extra);
        free(op->request);
        free(op->doc);
        free(op);
        op = next;
    }
}

/* ---- the thread ---- */

/* Applies a committed row to the second core. */
static void shadow_row(struct journal *j, const struct journal_op *op)
{
    const char *wrong = core_row_decode((const unsigned char *)op->doc, op->bytes, j->row, j->decisions);
    if (!wrong && !core_make_room(j->shadow, &j->row->event))
        wrong = "no memory for the second core";
    if (!wrong)
        wrong = core_apply(j->shadow, j->row->now_ms, &j->row->event, j->decisions);
    if (!wrong && core_hash(j->shadow) != op->hash)
        wrong = "the second core's hash differs";
    j->segment_rows_done++;
    j->segment_bytes += op->bytes;
    if (!wrong)
        return;
    j->shadow_lost = true;
    log_error("journal row %llu: %s; no more checkpoints are taken", (unsigned long long)op->id, wrong);
}

static void take_checkpoint(struct journal *j, uint64_t first_seq)
{
    struct error err = {0};
    const void *bytes;
    size_t n;
    core_checkpoint(j->shadow, &bytes, &n);
    j->segment_rows_done = 0;
    j->segment_bytes = 0;
    if (!journal_db_add_segment(&j->db, first_seq, clock_wall_ms(), bytes, n, &err) ||
        !journal_db_drop_old(&j->db, clock_wall_ms(), &err))
        log_warn("no checkpoint this time: %s", err.message);
}

static void after_commit(struct journal *j, const struct journal_op *ops)
{
    uint64_t last_seq = 0;
    for (const struct journal_op *op = ops; op && !j->shadow_lost; op = op->next) {
        if (op->kind != OP_ROW)
            continue;
        shadow_row(j, op);
        last_seq = op->id;
    }
    if (last_seq && !j->shadow_lost &&
        (j->segment_rows_done >= j->segment_rows || j->segment_bytes >= JOURNAL_SEGMENT_BYTES))
        take_checkpoint(j, last_seq + 1);
}

static void apply_page_limit(struct journal *j, uint32_t pages)
{
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA max_page_count=%u", pages ? pages : 0xfffffffeu);
    sqlite3_exec(j->db.handle, sql, NULL, NULL, NULL);
}

/* Tries until it is committed, or until it failed and the daemon ends. */
static bool commit_batch(struct journal *j, const struct journal_batch *batch)
{
    for (;;) {
        struct error err = {0};
        uv_mutex_lock(&j->lock);
        uint32_t pages = j->page_limit;
        j->page_limit = NOTHING_TO_CHANGE;
        uv_mutex_unlock(&j->lock);
        if (pages != NOTHING_TO_CHANGE)
            apply_page_limit(j, pages);
        if (journal_db_commit(&j->db, batch->ops, &err))
            return true;
        uv_mutex_lock(&j->lock);
        j->failed_now = true;
        j->failure = err;
        uv_async_send(&j->async);
        if (!j->stop)
            uv_cond_timedwait(&j->wake, &j->lock, JOURNAL_RETRY_MS * 1000000ULL);
        bool stop = j->stop;
        uv_mutex_unlock(&j->lock);
        if (stop)
            return false;
    }
}

static void run_thread(void *arg)
{
    struct journal *j = arg;
    for (;;) {
        uv_mutex_lock(&j->lock);
        while (!j->todo && !j->stop)
            uv_cond_wait(&j->wake, &j->lock);
        struct journal_batch *batch = j->todo;
        j->todo = NULL;
        uv_mutex_unlock(&j->lock);
        if (!batch)
            return;
        if (!commit_batch(j, batch))
            return; /* the batch is lost with the process, and nothing of it was acknowledged */
        struct journal_op *ops = batch->ops;
        batch->ops = NULL;
        uv_mutex_lock(&j->lock);
        j->finished = batch;
        j->failed_now = false;
        uv_async_send(&j->async);
        uv_mutex_unlock(&j->lock);
        after_commit(j, ops);
        free_ops(ops);
    }
}

/* ---- the loop's side ---- */

static void set_health(struct journal *j, bool healthy, const struct error *why)
{
    if (!healthy)
        j->why = *why;
    if (healthy == j->healthy)
        return;
    j->healthy = healthy;
    if (healthy)
        log_info("the journal is written again");
    else
        log_error("%s; nothing is changed until it can be written again", why->message);
    if (j->health_changed)
        j->health_changed(j->data, healthy);
}

static void tell_failed(struct journal_batch *b, const struct error *err)
{
    for (struct journal_then *t = b->thens; t; t = t->next) {
        void (*failed)(void *, const struct error *) = t->failed;
        t->failed = NULL;
        if (failed)
            failed(t->data, err);
    }
}

static void finish_batch(struct journal_batch *batch)
{
    for (struct journal_then *t = batch->thens, *next; t; t = next) {
        next = t->next;
        t->durable(t->data);
        free(t);
    }
    free_ops(batch->ops);
    free(batch);
}

static void collect(struct journal *j)
{
    uv_mutex_lock(&j->lock);
    struct journal_batch *finished = j->finished;
    bool failed = j->failed_now;
    struct error err = j->failure;
    j->finished = NULL;
    j->failed_now = false;
    uv_mutex_unlock(&j->lock);
    if (finished) {
        j->in_flight = NULL;
        set_health(j, true, NULL);
        finish_batch(finished);
    } else if (failed) {
        set_health(j, false, &err);
        if (j->in_flight)
            tell_failed(j->in_flight, &err);
        tell_failed(&j->open, &err);
    }
}

static void on_async(uv_async_t *async)
{
    struct journal *j = async->data;
    collect(j);
    journal_flush(j);
}

void journal_flush(struct journal *j)
{
    if (j->in_flight || !j->running)
        return;
    if (j->before_flush)
        j->before_flush(j->data);
    if (!j->open.ops && !j->open.thens)
        return;
    struct journal_batch *batch = xcalloc(1, sizeof *batch);
    *batch = j->open;
    if (!batch->ops)
        batch->ops_end = &batch->ops;
    if (!batch->thens)
        batch->thens_end = &batch->thens;
    batch_init(&j->open);
    if (!batch->ops) { /* nothing to write: everything before is durable */
        finish_batch(batch);
        return;
    }
    j->in_flight = batch;
    uv_mutex_lock(&j->lock);
    j->todo = batch;
    uv_cond_signal(&j->wake);
    uv_mutex_unlock(&j->lock);
}

static struct journal_op *add_op(struct journal *j, enum journal_op_kind kind, uint64_t id)
{
    struct journal_op *op = xcalloc(1, sizeof *op);
    op->kind = kind;
    op->id = id;
    *j->open.ops_end = op;
    j->open.ops_end = &op->next;
    return op;
}

uint64_t journal_add_row(struct journal *j, uint64_t now_ms, uint64_t hash, const void *bytes, size_t n)
{
    struct journal_op *op = add_op(j, OP_ROW, j->next_seq++);
    op->now_ms = (int64_t)now_ms;
    op->hash = hash;
    op->doc = xmalloc(n ? n : 1);
    memcpy(op->doc, bytes, n);
    op->bytes = n;
    return op->id;
}

void journal_add_job(struct journal *j, const struct journal_job *job)
{
    struct journal_op *op = add_op(j, OP_JOB, job->id);
    op->job = *job;
    op->name = xstrdup(job->name);
    op->extra = xstrdup(job->fixed);
    op->request = xstrdup(job->request);
    op->doc = xstrdup(job->doc);
}

void journal_add_spec(struct journal *j, uint64_t job, const char *spec)
{
    add_op(j, OP_SPEC, job)->doc = xstrdup(spec);
}

void journal_add_node(struct journal *j, const struct journal_node *node)
{
    struct journal_op *op = add_op(j, OP_NODE, node->id);
    op->number = node->event_seq;
    op->name = xstrdup(node->name);
    op->extra = xstrdup(node->instance_id);
    op->doc = xstrdup(node->doc);
}

void journal_add_principal(struct journal *j, uint32_t id, const char *name)
{
    add_op(j, OP_PRINCIPAL, id)->name = xstrdup(name);
}

void journal_add_name(struct journal *j, uint32_t kind, uint32_t id, const char *text)
{
    struct journal_op *op = add_op(j, OP_NAME, id);
    op->number = kind;
    op->name = xstrdup(text);
}

void journal_add_record(struct journal *j, enum journal_record kind, const char *key, const char *doc)
{
    struct journal_op *op = add_op(j, doc ? OP_RECORD : OP_NO_RECORD, kind);
    op->name = xstrdup(key);
    op->doc = xstrdup(doc);
}

void journal_add_audit(struct journal *j, const struct journal_audit *line)
{
    struct journal_op *op = add_op(j, OP_AUDIT, line->principal);
    op->now_ms = line->at_ms;
    op->audit = *line;
    op->name = xstrdup(line->user);
    op->extra = xstrdup(line->what);
    op->request = xstrdup(line->subject);
    op->doc = xstrdup(line->doc);
}

void journal_add_blob(struct journal *j, const struct journal_blob *blob)
{
    struct journal_op *op = add_op(j, OP_BLOB, blob->principal);
    op->number = blob->bytes;
    op->now_ms = blob->used_ms;
    op->bytes = sizeof blob->sha;
    op->doc = xmalloc(op->bytes);
    memcpy(op->doc, blob->sha, op->bytes);
}

void journal_remove_blob(struct journal *j, uint32_t principal, const uint8_t sha[32])
{
    struct journal_op *op = add_op(j, OP_NO_BLOB, principal);
    op->bytes = 32;
    op->doc = xmalloc(op->bytes);
    memcpy(op->doc, sha, op->bytes);
}

void journal_then(struct journal *j, void (*durable)(void *data),
                  void (*failed)(void *data, const struct error *err), void *data)
{
    struct journal_then *t = xcalloc(1, sizeof *t);
    *t = (struct journal_then){.durable = durable, .failed = failed, .data = data};
    *j->open.thens_end = t;
    j->open.thens_end = &t->next;
    if (!j->healthy && failed) {
        t->failed = NULL;
        failed(data, &j->why);
    }
}

bool journal_quiet(const struct journal *j)
{
    return !j->in_flight && !j->open.ops;
}

bool journal_healthy(const struct journal *j, struct error *why)
{
    if (!j->healthy && why)
        *why = j->why;
    return j->healthy;
}

void journal_limit_pages(struct journal *j, uint32_t pages)
{
    uv_mutex_lock(&j->lock);
    j->page_limit = pages;
    uv_cond_signal(&j->wake);
    uv_mutex_unlock(&j->lock);
}

bool journal_start(struct journal *j, uv_loop_t *loop, const struct core *core,
                   void (*before_flush)(void *data), void (*health_changed)(void *data, bool healthy),
                   void *data, struct error *err)
{
    j->before_flush = before_flush;
    j->health_changed = health_changed;
    j->data = data;
    j->healthy = true;
    j->page_limit = NOTHING_TO_CHANGE;
    j->shadow = core_create(&(struct core_capacity){0});
    j->row = xcalloc(1, sizeof *j->row);
    j->decisions = core_decisions_create();
    if (!j->shadow || !j->decisions || !core_copy(j->shadow, core))
        return error_set(err, ERROR_INTERNAL, "no memory for the journal's core");
    batch_init(&j->open);
    uv_mutex_init(&j->lock);
    uv_cond_init(&j->wake);
    uv_async_init(loop, &j->async, on_async);
    j->async.data = j;
    j->running = uv_thread_create(&j->thread, run_thread, j) == 0;
    return j->running || error_set(err, ERROR_INTERNAL, "can't start the journal's thread");
}

void journal_stop(struct journal *j)
{
    if (!j->running)
        return;
    /* the one in flight, then what is open; a disk that is full now does not hold the daemon up */
    for (int round = 0; round < 2 && j->healthy; round++) {
        journal_flush(j);
        while (j->in_flight && j->healthy) {
            uv_mutex_lock(&j->lock);
            bool news = j->finished || j->failed_now;
            uv_mutex_unlock(&j->lock);
            if (news)
                collect(j);
            else
                uv_sleep(1);
        }
    }
    uv_mutex_lock(&j->lock);
    j->stop = true;
    uv_cond_signal(&j->wake);
    uv_mutex_unlock(&j->lock);
    uv_thread_join(&j->thread);
    j->running = false;
    uv_close((uv_handle_t *)&j->async, NULL);
}

static void drop_batch(struct journal_batch *b)
{
    free_ops(b->ops);
    for (struct journal_then *t = b->thens, *next; t; t = next) {
        next = t->next;
        free(t);
    }
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    drop_batch(&j->open);
    if (j->in_flight)
        drop_batch(j->in_flight);
    free(j->in_flight);
    journal_db_close(&j->db);
    core_destroy(j->shadow);
    core_decisions_destroy(j->decisions);
    free(j->row);
    if (j->lock_fd >= 0)
        close(j->lock_fd);
    free(j->folder);
    free(j);
}
