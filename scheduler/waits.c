/* Waiters, in a list of the daemon; each owns its timer and goes when it is answered or its client leaves. */
#include "scheduler/waits.h"

#include "base/alloc.h"
#include "scheduler/api.h"
#include "scheduler/arrays.h"

#include <stdlib.h>

struct waiter {
    struct list link;
    uint64_t job, array; /* array: whose element the job is; 0: of none */
    int64_t timeout_s;
    struct http_request *req;
    uv_timer_t timer;
};

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void forget(struct waiter *w)
{
    list_remove(&w->link);
    w->req = NULL;
    uv_close((uv_handle_t *)&w->timer, on_closed);
}

static void on_gone(struct http_request *req, void *data)
{
    (void)req;
    forget(data);
}

static void on_timeout(uv_timer_t *timer)
{
    struct waiter *w = timer->data;
    struct http_request *req = w->req;
    struct error err = {0};
    error_set(&err, ERROR_TIMEOUT, "the job did not end within %lld s", (long long)w->timeout_s);
    error_hint(&err, "it goes on; wait again or see berth why");
    forget(w);
    http_respond_error(req, &err);
}

void waits_add(struct daemon *d, struct http_request *req, const struct job *job, int64_t timeout_s)
{
    struct waiter *w = xcalloc(1, sizeof *w);
    w->job = job->id;
    w->array = job->array_job;
    w->req = req;
    w->timeout_s = timeout_s;
    list_append(&d->waiters, &w->link);
    uv_timer_init(&d->loop, &w->timer);
    w->timer.data = w;
    if (timeout_s >= 0)
        uv_timer_start(&w->timer, on_timeout, (uint64_t)timeout_s * 1000, 0);
    http_request_on_gone(req, on_gone, w);
}

void waits_job_ended(struct daemon *d, const struct job *job)
{
    struct waiter *w, *tmp;
    list_for_each(w, tmp, &d->waiters, link)
    {
        bool unborn = job->array && w->array == job->id && !jobs_get(&d->jobs, w->job);
        if (w->job != job->id && !unborn)
            continue;
        struct http_request *req = w->req;
        struct buf body = {0};
        unsigned parts = JOB_OBJECT_SHORT | api_object_parts(d, req, job);
        const struct job *told = unborn ? arrays_unborn(&d->jobs, job, (uint32_t)(w->job - job->id)) : job;
        forget(w);
        job_object_write(told, parts, NULL, &body);
        size_t n = body.len;
        http_respond_text(req, 200, "application/json", buf_take(&body), n);
    }
}

void waits_journal_failed(struct daemon *d, const struct error *why)
{
    struct waiter *w, *tmp;
    list_for_each(w, tmp, &d->waiters, link)
    {
        struct http_request *req = w->req;
        struct error err = *why;
        forget(w);
        error_wrap(&err, "no end of a job can be recorded now");
        http_respond_error(req, &err);
    }
}
