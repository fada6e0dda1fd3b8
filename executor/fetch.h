/* Fetching blobs that the cache lacks from the scheduler, a few at a time. While the scheduler is away it
 * waits and tries again. */
#ifndef BERTH_EXECUTOR_FETCH_H
#define BERTH_EXECUTOR_FETCH_H

#include "base/error.h"
#include "executor/blob_cache.h"
#include "executor/environ.h"

#include <stdbool.h>
#include <uv.h>

#define FETCH_AT_ONCE 4 /* of one task */
#define FETCH_IDLE_TIMEOUT_MS 60000
#define FETCH_RETRY_FIRST_MS 100
#define FETCH_RETRY_MAX_MS 5000

struct fetch;
struct http_client;

/* err.code is ERROR_NONE where all are in the cache. Called once, from the loop; the fetch is freed after it.
 */
typedef void fetch_done_fn(void *data, const struct error *err);

/* Takes the list of hashes out of `shas` (leaves it empty). */
struct fetch *fetch_start(uv_loop_t *loop, struct http_client *http, const struct blob_cache *cache,
                          struct text_list *shas, fetch_done_fn *done, void *data);
void fetch_cancel(struct fetch *fetch); /* no callback after it; takes NULL */

#endif
