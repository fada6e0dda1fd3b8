/* GET /v1/audit: who changed what, the newest first, read on the thread pool. */
#include "scheduler/audit.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "scheduler/engine.h"
#include "scheduler/job_names.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES (256 << 10) /* of documents; the next page goes on */

struct reading {
    uv_work_t work;
    struct daemon *daemon;
    struct http_request *req;
    struct journal_audit_filter filter;
    char *user, *what, *folder;
    size_t bytes;
    uint32_t count;
    uint64_t last;
    bool more;
    cJSON *lines;
    char *text;
    struct error err;
};

static bool take_line(void *data, const struct journal_audit *line)
{
    struct reading *r = data;
    cJSON_AddItemToArray(r->lines, audit_object(line));
    r->last = line->id;
    r->bytes += strlen(line->doc);
    r->more = ++r->count == r->filter.limit || r->bytes > PAGE_BYTES;
    return !r->more;
}

static void read_lines(uv_work_t *work)
{
    struct reading *r = container_of(work, struct reading, work);
    struct journal_reader *reader = journal_reader_open(r->folder, &r->err);
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    r->lines = cJSON_AddArrayToObject(o, "lines");
    bool kept, ok = reader && journal_read_audit(reader, &r->filter, take_line, r, &kept, &r->err);
    journal_reader_close(reader);
    if (r->more)
        json_add_int(o, "next", (int64_t)r->last);
    else
        cJSON_AddNullToObject(o, "next");
    r->text = ok ? json_text(o) : NULL;
}

static void answer(uv_work_t *work, int status)
{
    (void)status;
    struct reading *r = container_of(work, struct reading, work);
    daemon_work_done(r->daemon);
    if (r->text)
        engine_answer_view(r->daemon, r->req, r->text);
    else
        http_respond_error(r->req, &r->err);
    free(r->user);
    free(r->what);
    free(r->folder);
    free(r);
}

static bool read_filter(struct daemon *d, struct http_request *req, struct reading *r, struct error *err)
{
    int64_t since, until, before, limit;
    const char *job = http_request_query(req, "job");
    struct caller caller = api_caller(d, req);
    if (!http_request_query_int(req, "since", 0, INT64_MAX, 0, &since, err) ||
        !http_request_query_int(req, "until", 0, INT64_MAX, 0, &until, err) ||
        !http_request_query_int(req, "before", 0, INT64_MAX, 0, &before, err) ||
        !http_request_query_int(req, "limit", 1, AUDIT_PAGE_MAX, AUDIT_PAGE_MAX, &limit, err) ||
        !audit_kind_check(http_request_query(req, "what"), err))
        return false;
    r->user = xstrdup(http_request_query(req, "user"));
    r->what = xstrdup(http_request_query(req, "what"));
    r->filter = (struct journal_audit_filter){.since_ms = since,
                                              .until_ms = until,
                                              .before = (uint64_t)before,
                                              .user = r->user,
                                              .what = r->what,
                                              .all = caller.admin,
                                              .reader = caller.principal,
                                              .limit = (uint32_t)limit};
    if (!job)
        return true;
    const struct job *found = jobs_find(d, caller.principal, job, err);
    if (found)
        r->filter.job = found->id;
    return found != NULL;
}

void api_get_audit(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    struct reading *r = xcalloc(1, sizeof *r);
    if (!read_filter(d, req, r, &err)) {
        http_respond_error(req, &err);
        free(r->user);
        free(r->what);
        free(r);
        return;
    }
    r->daemon = d;
    r->req = req;
    r->folder = xasprintf("%s/journal", d->options.state_dir);
    daemon_work_for(d, api_caller(d, req).principal, &r->work, read_lines, answer);
}
