/* The bytes of requests and answers that are in memory, by user and together. Owns nothing: it counts. */
#include "proto/http/peers.h"

#define MIB (1ULL << 20)

static uint64_t *total_of(struct http_server *server, const struct http_user *user, bool reply)
{
    return reply ? &server->reply_bytes[user->privileged] : &server->body_bytes[user->privileged];
}

bool http_load_body_fits(struct http_request *req, uint64_t more, unsigned *status, struct error *err)
{
    const struct http_user *user = req->peer->user;
    uint64_t total = *total_of(req->server, user, false);
    if (!user->privileged && user->body_bytes + more > HTTP_UID_BODY_MAX_BYTES) {
        *status = 429;
        error_set(err, ERROR_LIMIT,
                  "user %u is sending %llu MiB of requests already, and one may send %llu MiB at once",
                  (unsigned)user->uid, user->body_bytes / MIB, HTTP_UID_BODY_MAX_BYTES / MIB);
        return error_hint(err, "let those that are on their way end, and try again");
    }
    if (req->body_bytes + more > HTTP_BODY_SMALL_BYTES && total + more > HTTP_BODY_TOTAL_MAX_BYTES) {
        *status = 503;
        error_set(err, ERROR_UNAVAILABLE, "%llu MiB of requests are being sent already, of %llu MiB at once",
                  total / MIB, HTTP_BODY_TOTAL_MAX_BYTES / MIB);
        return error_hint(err, "try again in a moment");
    }
    return true;
}

bool http_load_body(struct http_request *req, uint64_t more, unsigned *status, struct error *err)
{
    if (!http_load_body_fits(req, more, status, err))
        return false;
    req->body_bytes += more;
    req->peer->user->body_bytes += more;
    *total_of(req->server, req->peer->user, false) += more;
    return true;
}

bool http_load_reply(struct http_request *req, uint64_t more, unsigned *status, struct error *err)
{
    struct http_user *user = req->peer->user;
    uint64_t *total = total_of(req->server, user, true);
    bool small = more <= HTTP_REPLY_SMALL_BYTES; /* refusals, and what every client needs to go on */
    if (!small && !user->privileged && user->reply_bytes &&
        user->reply_bytes + more > HTTP_UID_REPLY_MAX_BYTES) {
        *status = 429;
        error_set(err, ERROR_LIMIT, "user %u has %llu MiB of answers that were not read, of at most %llu MiB",
                  (unsigned)user->uid, user->reply_bytes / MIB, HTTP_UID_REPLY_MAX_BYTES / MIB);
        return error_hint(err, "read them, or close their connections, and ask again");
    }
    if (!small && user->reply_bytes && *total + more > HTTP_REPLY_TOTAL_MAX_BYTES) {
        *status = 503;
        error_set(err, ERROR_UNAVAILABLE, "%llu MiB of answers were not read yet, of at most %llu MiB",
                  *total / MIB, HTTP_REPLY_TOTAL_MAX_BYTES / MIB);
        return error_hint(err, "try again in a moment");
    }
    req->reply_bytes += more;
    user->reply_bytes += more;
    *total += more;
    return true;
}

void http_load_drop_body(struct http_request *req)
{
    buf_finish(&req->body);
    req->peer->user->body_bytes -= req->body_bytes;
    *total_of(req->server, req->peer->user, false) -= req->body_bytes;
    req->body_bytes = 0;
}

void http_load_release(struct http_request *req)
{
    http_load_drop_body(req);
    req->peer->user->reply_bytes -= req->reply_bytes;
    *total_of(req->server, req->peer->user, true) -= req->reply_bytes;
    req->reply_bytes = 0;
}
