/* One fetch owns its calls and its list of hashes. A hash is handed to at most one call at a time; a call
 * that failed for a reason that may pass puts its hash back and the fetch rests for a while. */
#include "executor/fetch.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "proto/http/client.h"
#include "proto/json.h"

#include <string.h>

struct fetch_call {
    struct fetch *fetch;
    struct http_call *call; /* NULL: idle */
    struct blob_writer *writer;
    char *sha;
    struct error err; /* of the writer */
};

struct fetch {
    struct http_client *http;
    const struct blob_cache *cache;
    struct text_list todo; /* taken from the end */
    struct fetch_call calls[FETCH_AT_ONCE];
    fetch_done_fn *done;
    void *data;
    uv_timer_t timer; /* waits after a failure; also carries the end out of callbacks */
    int64_t retry_ms;
    struct error failure;
    bool finished;
};

static void pump(struct fetch *fetch);

static void on_closed(uv_handle_t *handle)
{
    struct fetch *fetch = handle->data;
    text_list_finish(&fetch->todo);
    free(fetch);
}

static void give_up_call(struct fetch_call *call)
{
    http_call_cancel(call->call);
    blob_writer_destroy(call->writer);
    free(call->sha);
    memset(call, 0, sizeof *call);
}

void fetch_cancel(struct fetch *fetch)
{
    if (!fetch || fetch->finished)
        return;
    fetch->finished = true;
    for (int i = 0; i < FETCH_AT_ONCE; i++)
        give_up_call(&fetch->calls[i]);
    uv_close((uv_handle_t *)&fetch->timer, on_closed);
}

static void on_finish(uv_timer_t *timer)
{
    struct fetch *fetch = timer->data;
    struct error failure = fetch->failure;
    fetch_done_fn *done = fetch->done;
    void *data = fetch->data;
    fetch_cancel(fetch);
    done(data, &failure);
}

static void on_wait_over(uv_timer_t *timer)
{
    pump(timer->data);
}

static bool busy(const struct fetch *fetch)
{
    for (int i = 0; i < FETCH_AT_ONCE; i++)
        if (fetch->calls[i].call)
            return true;
    return false;
}

static bool on_bytes(void *ctx, const void *bytes, size_t n)
{
    struct fetch_call *call = ctx;
    return blob_writer_add(call->writer, bytes, n, &call->err);
}

static void on_done(void *ctx, int status, const struct buf *body, const struct error *transport)
{
    struct fetch_call *call = ctx;
    struct fetch *fetch = call->fetch;
    call->call = NULL;
    bool passing = false; /* worth another try */
    if (status == 200) {
        FAULT("executor.blob_fetched");
        blob_writer_commit(take_ptr(call->writer), &call->err);
    } else if ((status == 0 && call->err.code == ERROR_NONE) || status >= 500 || status == 429) {
        passing = true;
    } else if (status != 0) {
        struct error ignored;
        _cleanup_json_ cJSON *answer = json_parse(body->data ? body->data : "", body->len, &ignored);
        error_set(&call->err, ERROR_NOT_FOUND, "the scheduler does not give blob %s of the snapshot: %s",
                  call->sha, json_str(json_get(answer, "error"), "message", "no reason given"));
    }
    (void)transport;
    if (passing)
        text_list_add(&fetch->todo, take_ptr(call->sha));
    else if (call->err.code != ERROR_NONE && fetch->failure.code == ERROR_NONE)
        fetch->failure = call->err;
    if (!passing)
        fetch->retry_ms = FETCH_RETRY_FIRST_MS;
    give_up_call(call);
    if (!passing) {
        pump(fetch);
    } else {
        uv_timer_start(&fetch->timer, on_wait_over, (uint64_t)fetch->retry_ms, 0);
        fetch->retry_ms = fetch->retry_ms * 2 > FETCH_RETRY_MAX_MS ? FETCH_RETRY_MAX_MS : fetch->retry_ms * 2;
    }
}

static bool start_call(struct fetch_call *call, struct fetch *fetch)
{
    call->fetch = fetch;
    call->sha = fetch->todo.items[--fetch->todo.count];
    fetch->todo.items[fetch->todo.count] = NULL;
    call->writer = blob_writer_create(fetch->cache, call->sha, &fetch->failure);
    if (!call->writer) {
        give_up_call(call);
        return false;
    }
    char path[128];
    snprintf(path, sizeof path, "/v1/node/blobs/%s", call->sha);
    struct http_request request = {
        .method = "GET",
        .path = path,
        .idle_timeout_ms = FETCH_IDLE_TIMEOUT_MS,
        .on_data = on_bytes,
        .on_done = on_done,
        .ctx = call,
    };
    call->call = http_call_start(fetch->http, &request);
    return true;
}

static void pump(struct fetch *fetch)
{
    for (int i = 0; i < FETCH_AT_ONCE && fetch->todo.count && fetch->failure.code == ERROR_NONE; i++)
        if (!fetch->calls[i].call && !start_call(&fetch->calls[i], fetch))
            break;
    if (fetch->failure.code != ERROR_NONE || (fetch->todo.count == 0 && !busy(fetch)))
        uv_timer_start(&fetch->timer, on_finish, 0, 0);
}

struct fetch *fetch_start(uv_loop_t *loop, struct http_client *http, const struct blob_cache *cache,
                          struct text_list *shas, fetch_done_fn *done, void *data)
{
    struct fetch *fetch = xcalloc(1, sizeof *fetch);
    fetch->http = http;
    fetch->cache = cache;
    fetch->todo = *shas;
    memset(shas, 0, sizeof *shas);
    fetch->done = done;
    fetch->data = data;
    fetch->retry_ms = FETCH_RETRY_FIRST_MS;
    uv_timer_init(loop, &fetch->timer);
    fetch->timer.data = fetch;
    pump(fetch);
    return fetch;
}
