/* Quotas and approval in words: which is reached or missing, what became of the last request, the command
 * that is next. */
#include "scheduler/approval.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "scheduler/daemon.h"

#include <stdio.h>
#include <string.h>

void approval_request_command(const struct daemon *d, uint32_t family, uint64_t cores, uint64_t gpu_milli,
                              char out[APPROVAL_COMMAND_MAX])
{
    const char *name = names_text(d, NAME_FAMILY, family), *quote = strchr(name, ' ') ? "'" : "";
    int n = snprintf(out, APPROVAL_COMMAND_MAX, "berth quota request --family %s%s%s --cores %llu", quote,
                     name, quote, (unsigned long long)cores);
    if (gpu_milli && n < APPROVAL_COMMAND_MAX)
        snprintf(out + n, APPROVAL_COMMAND_MAX - (size_t)n, " --gpus %.10g",
                 (double)gpu_milli / RESOURCE_GPU_WHOLE);
}

/* To ask for it, or where that was done to decide. */
static void next_command(const struct daemon *d, const struct core_job_view *view, uint32_t family,
                         const struct quota_request *request, char out[APPROVAL_COMMAND_MAX])
{
    uint64_t cpus = view->request.cores ? view->request.cores : view->request.cpus;
    if (request && request->state == REQUEST_OPEN)
        snprintf(out, APPROVAL_COMMAND_MAX, "berth quota approve %llu", (unsigned long long)request->id);
    else
        approval_request_command(d, family, cpus * view->instance_count,
                                 (uint64_t)view->request.gpu_milli * view->instance_count, out);
}

static void say(cJSON *text, const struct buf *line)
{
    cJSON_AddItemToArray(text, cJSON_CreateString(line->data));
}

static void say_all(const struct daemon *d, const struct core_job_view *view, uint32_t family,
                    const struct quota_request *r, const char *command, cJSON *text)
{
    _cleanup_buf_ struct buf line = {0}, next = {0};
    buf_printf(&line,
               view->family == family
                   ? "the size family %s is restricted, and %s is not approved for it"
                   : "the nodes that could hold it are guarded by the restricted size family "
                     "%s, and %s is not approved for it",
               names_text(d, NAME_FAMILY, family), principals_name(&d->principals, view->principal.v));
    say(text, &line);
    if (r && r->state == REQUEST_OPEN)
        buf_printf(&next, "request %llu for %u cores is open: an administrator decides it (%s)",
                   (unsigned long long)r->id, r->cores, command);
    else if (r && r->state == REQUEST_DENIED)
        buf_printf(&next, "request %llu was denied by %s: %s; ask again: %s", (unsigned long long)r->id,
                   principals_name(&d->principals, r->decided_by), r->reason ? r->reason : "no reason",
                   command);
    else
        buf_printf(&next, "ask for it: %s", command);
    say(text, &next);
}

cJSON *approval_explain(const struct daemon *d, const struct core_job_view *view, uint32_t family,
                        cJSON *text)
{
    char command[APPROVAL_COMMAND_MAX];
    const struct quota_request *r = requests_latest(&d->requests, view->principal.v, family);
    cJSON *o = cJSON_CreateObject();
    next_command(d, view, family, r, command);
    json_add_str(o, "family", names_text(d, NAME_FAMILY, family));
    if (r)
        json_add_int(o, "request", (int64_t)r->id);
    else
        cJSON_AddNullToObject(o, "request");
    cJSON_AddStringToObject(o, "state",
                            r && r->state == REQUEST_OPEN     ? "open"
                            : r && r->state == REQUEST_DENIED ? "denied"
                                                              : "none");
    json_add_str(o, "command", command);
    say_all(d, view, family, r, command, text);
    return o;
}

/* "alice", a workspace's name, or NULL: all of a family together. */
static const char *whose(const struct daemon *d, const struct core_why *why, const struct core_job_view *view)
{
    if (why->quota_scope == CORE_QUOTA_FAMILY)
        return NULL;
    return why->quota_scope == CORE_QUOTA_WORKSPACE ? names_text(d, NAME_WORKSPACE, view->workspace)
                                                    : principals_name(&d->principals, view->principal.v);
}

cJSON *quota_explain(const struct daemon *d, const struct core_why *why, const struct core_job_view *view,
                     cJSON *text)
{
    static const struct {
        const char *field, *what;
        double unit;
    } limits[] = {[CORE_QUOTA_CORES] = {"cores", "cores", 1},
                  [CORE_QUOTA_GPUS] = {"gpus", "GPUs", RESOURCE_GPU_WHOLE},
                  [CORE_QUOTA_RUNNING] = {"running", "running jobs", 1},
                  [CORE_QUOTA_QUEUED] = {"queued", "waiting jobs", 1}};
    static const char *const scopes[] = {[CORE_QUOTA_PRINCIPAL] = "user",
                                         [CORE_QUOTA_WORKSPACE] = "workspace",
                                         [CORE_QUOTA_FAMILY] = "family"};
    const char *name = whose(d, why, view);
    const char *family = why->quota_family ? names_text(d, NAME_FAMILY, why->quota_family) : NULL;
    double unit = limits[why->quota_limit].unit, used = (double)why->quota_used / unit,
           max = (double)why->quota_max / unit;
    cJSON *quota = cJSON_CreateObject();
    cJSON_AddStringToObject(quota, "scope", scopes[why->quota_scope]);
    json_add_str(quota, "name", name);
    if (why->quota_everyones)
        cJSON_AddTrueToObject(quota, "everyones");
    json_add_str(quota, "family", family);
    cJSON_AddStringToObject(quota, "limit", limits[why->quota_limit].field);
    cJSON_AddNumberToObject(quota, "used", used);
    cJSON_AddNumberToObject(quota, "max", max);
    _cleanup_buf_ struct buf line = {0};
    if (why->quota_everyones)
        buf_printf(&line, "the quota that everyone has, %s too,", name);
    else
        buf_printf(&line, "the quota of %s %s", name ? scopes[why->quota_scope] : "all users",
                   name ? name : "together");
    if (family)
        buf_printf(&line, " in the size family %s", family);
    buf_printf(&line, " allows %.10g %s at once; %.10g are in use", max, limits[why->quota_limit].what, used);
    say(text, &line);
    if (!family || why->quota_scope != CORE_QUOTA_PRINCIPAL)
        return quota;
    buf_clear(&line);
    buf_printf(&line, "ask for more of it: berth quota request --family '%s' --cores N", family);
    say(text, &line);
    return quota;
}

char *approval_missing(const struct daemon *d, uint64_t job)
{
    struct core_job_view view;
    char command[APPROVAL_COMMAND_MAX];
    if (!core_job_get(d->core, (struct job_id){job}, &view) || view.reason != CORE_REASON_APPROVAL)
        return NULL;
    struct core_why why;
    if (!core_why(d->core, (struct job_id){job}, &why) || !why.approval_family)
        return NULL;
    uint32_t family = why.approval_family;
    next_command(d, &view, family, requests_latest(&d->requests, view.principal.v, family), command);
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    json_add_str(o, "family", names_text(d, NAME_FAMILY, family));
    json_add_str(o, "command", command);
    _cleanup_free_ char *text = json_text(o);
    return xasprintf("\"approval\":%s", text);
}
