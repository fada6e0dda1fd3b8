/* The follower: one streaming GET at a time, opened again at its offset when it breaks. */
#include "cli/follow.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"
#include "cli/notes.h"

#include <errno.h>
#include <string.h>

#define BACKOFF_FIRST_MS 20
#define WAIT_SLICE_S 60 /* of one waiting request */

struct follower {
    struct client *client;
    const char *job;
    const struct follow_options *options;
    const struct follow_companion *companion;
    int write_error; /* errno; 0: the output takes more */
    int64_t attempt, offset;
    int64_t broken_since_ms; /* 0: it works */
    int backoff_ms;
    bool got_bytes;
    struct notes notes;
};

bool follow_state_is_final(const char *state)
{
    static const char *const final[] = {"Completed", "Failed", "Canceled"};
    for (size_t i = 0; i < sizeof final / sizeof *final; i++)
        if (strcmp(state, final[i]) == 0)
            return true;
    return false;
}

static bool take_bytes(void *ctx, const void *bytes, size_t n)
{
    struct follower *f = ctx;
    if (!fs_write_all(f->options->fd, bytes, n)) {
        f->write_error = errno;
        return false;
    }
    FAULT("follower.chunk");
    f->offset += (int64_t)n;
    f->got_bytes = true;
    f->broken_since_ms = 0;
    f->backoff_ms = 0;
    return true;
}

/* Sleeps before the next try, the companion's descriptors watched. false: the companion ends it. */
static bool pause_for(struct follower *f, int ms)
{
    int64_t until_ms = clock_boot_ms() + ms;
    for (int64_t left; (left = until_ms - clock_boot_ms()) > 0;) {
        struct pollfd fds[HTTP_EASY_WAIT_FDS_MAX];
        int timeout_ms = (int)left, wanted_ms = -1;
        size_t n = f->companion ? f->companion->fds(f->companion->ctx, fds, &wanted_ms) : 0;
        if (wanted_ms >= 0 && wanted_ms < timeout_ms)
            timeout_ms = wanted_ms;
        http_easy_wait(f->client->http, fds, n, timeout_ms);
        if (f->companion && !f->companion->turn(f->companion->ctx, fds, n))
            return false;
    }
    return true;
}

static bool back_off(struct follower *f)
{
    f->backoff_ms = !f->backoff_ms ? BACKOFF_FIRST_MS : f->backoff_ms * 2;
    if (f->backoff_ms > FOLLOW_BACKOFF_MAX_MS)
        f->backoff_ms = FOLLOW_BACKOFF_MAX_MS;
    return pause_for(f, f->backoff_ms);
}

/* One GET from where we are, to its end. */
static enum follow_end stream_once(struct follower *f, bool *broken, struct error *err)
{
    const struct follow_options *o = f->options;
    char query[200];
    snprintf(query, sizeof query, "/logs?attempt=%lld&rank=%lld&offset=%lld%s%s%s", (long long)f->attempt,
             (long long)o->rank, (long long)f->offset, o->follow ? "&follow=1" : "",
             o->stream ? "&stream=" : "", o->stream ? o->stream : "");
    _cleanup_free_ char *path = client_job_path(f->job, query);
    struct http_easy_request request = {.method = "GET", .path = path, .on_data = take_bytes, .ctx = f};
    struct http_easy_call *call = http_easy_start(f->client->http, &request);
    const struct http_easy_answer *answer = NULL;
    enum follow_end end = FOLLOW_DONE;
    *broken = false;
    while (!http_easy_call_done(call, &answer, err)) {
        struct pollfd fds[HTTP_EASY_WAIT_FDS_MAX];
        int timeout_ms = -1;
        size_t n = f->companion ? f->companion->fds(f->companion->ctx, fds, &timeout_ms) : 0;
        http_easy_wait(f->client->http, fds, n, notes_timeout(&f->notes, timeout_ms));
        notes_turn(&f->notes);
        if (f->companion && !f->companion->turn(f->companion->ctx, fds, n)) {
            http_easy_call_destroy(call);
            return FOLLOW_STOPPED;
        }
    }
    if (f->write_error) {
        end = FOLLOW_CLOSED;
    } else if (!answer) {
        *broken = err->code == ERROR_UNAVAILABLE;
        end = FOLLOW_FAILED;
    } else if (answer->status < 200 || answer->status > 299) {
        *broken = answer->status == 503;
        client_refusal(answer, err);
        end = FOLLOW_FAILED;
    }
    http_easy_call_destroy(call);
    return end;
}

static bool retry(struct follower *f, struct error *err, enum follow_end *end)
{
    int64_t now = clock_boot_ms();
    if (!f->broken_since_ms)
        f->broken_since_ms = now;
    if (now - f->broken_since_ms >= FOLLOW_RETRY_MS) {
        client_explain(f->client, err);
        error_hint(err, "berth logs -f %s --attempt %lld --offset %lld goes on from here", f->job,
                   (long long)f->attempt, (long long)f->offset);
        *end = FOLLOW_FAILED;
        return false;
    }
    *end = FOLLOW_STOPPED;
    return back_off(f);
}

/* The job as it is now; NULL with *broken where asking again may help. */
static cJSON *ask_job(struct follower *f, bool *broken, struct error *err)
{
    _cleanup_free_ char *path = client_job_path(f->job, "");
    cJSON *job = client_call(f->client, "GET", path, NULL, 0, err);
    *broken = !job && err->code == ERROR_UNAVAILABLE;
    return job;
}

/* After a stream's proper end: true where there is more to follow. */
static bool next_stream(struct follower *f, enum follow_end *end, struct error *err)
{
    bool broken;
    _cleanup_json_ cJSON *job = ask_job(f, &broken, err);
    if (!job) {
        *end = FOLLOW_FAILED;
        return broken && retry(f, err, end);
    }
    f->broken_since_ms = 0;
    int64_t latest = json_int(job, "attempt", 0);
    notes_show(&f->notes, job, f->attempt == 1); /* why its attempt ended, between the logs of the two */
    if (!f->options->attempt && latest > f->attempt) {
        f->attempt++;
        f->offset = 0;
        f->backoff_ms = 0;
        return true;
    }
    *end = FOLLOW_DONE;
    if (!f->options->follow || follow_state_is_final(json_str(job, "state", "")) || f->options->attempt)
        return false;
    *end = FOLLOW_STOPPED;
    return back_off(f); /* the stream was ended by a scheduler that left, or a new attempt is about to come */
}

enum follow_end follow_log(struct client *client, const char *job, const struct follow_options *options,
                           const struct follow_companion *companion, int64_t *offset, struct error *err)
{
    struct follower f = {.client = client,
                         .job = job,
                         .options = options,
                         .companion = companion,
                         .offset = options->offset,
                         .attempt = options->attempt ? options->attempt : 1};
    struct error own = {0};
    if (!err)
        err = &own;
    enum follow_end end;
    if (options->latest && !options->attempt) {
        bool broken;
        _cleanup_json_ cJSON *now = ask_job(&f, &broken, err);
        if (!now)
            return FOLLOW_FAILED;
        f.attempt = json_int(now, "attempt", 0) > 1 ? json_int(now, "attempt", 0) : 1;
    }
    if (options->notes)
        notes_begin(&f.notes, client, job);
    for (bool more = true; more;) {
        bool broken;
        end = stream_once(&f, &broken, err);
        if (end == FOLLOW_FAILED && broken)
            more = retry(&f, err, &end);
        else
            more = end == FOLLOW_DONE && next_stream(&f, &end, err);
    }
    notes_finish(&f.notes);
    if (end == FOLLOW_CLOSED)
        error_errno(err, f.write_error, "can't write the log");
    if (offset)
        *offset = f.offset;
    return end;
}

cJSON *follow_wait(struct client *client, const char *job, int64_t timeout_s, struct error *err)
{
    int64_t begun_ms = clock_boot_ms(), broken_since_ms = 0;
    int backoff_ms = BACKOFF_FIRST_MS;
    for (;;) {
        int64_t slice = WAIT_SLICE_S, left = timeout_s - (clock_boot_ms() - begun_ms) / 1000;
        if (timeout_s && left < slice)
            slice = left > 0 ? left : 0;
        char query[64];
        snprintf(query, sizeof query, "/wait?timeout_s=%lld", (long long)slice);
        _cleanup_free_ char *path = client_job_path(job, query);
        cJSON *ended = client_call(client, "GET", path, NULL, 0, err);
        if (ended)
            return ended;
        if (err->code == ERROR_TIMEOUT) {
            broken_since_ms = 0;
            if (!timeout_s || clock_boot_ms() - begun_ms < timeout_s * 1000)
                continue;
            error_set(err, ERROR_TIMEOUT, "job %s has not ended after %lld s", job, (long long)timeout_s);
            error_hint(err, "berth why %s", job);
            return NULL;
        }
        int64_t now = clock_boot_ms();
        if (err->code != ERROR_UNAVAILABLE || (broken_since_ms && now - broken_since_ms >= FOLLOW_RETRY_MS))
            return NULL;
        broken_since_ms = broken_since_ms ? broken_since_ms : now;
        poll(NULL, 0, backoff_ms);
        backoff_ms = backoff_ms * 2 > FOLLOW_BACKOFF_MAX_MS ? FOLLOW_BACKOFF_MAX_MS : backoff_ms * 2;
    }
}
