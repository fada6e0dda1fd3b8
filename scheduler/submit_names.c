/* What a job file asks for by name, and refusals in those words. */
#include "scheduler/submit.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "scheduler/approval.h"
#include "scheduler/hardware.h"

#include <stdio.h>
#include <string.h>

static const char size_field[] = "resources.instance_type";

/* The line that makes it, in the shape of another one. */
static void hint_create(const char *name, const struct size *like, struct error *err)
{
    _cleanup_buf_ struct buf line = {0};
    uint64_t mib = like->memory_bytes >> 20;
    buf_printf(&line, "berth size create %s --family '%s' --cpus %u --memory %llu%c", name, like->family,
               like->cpus, (unsigned long long)(mib % 1024 ? mib : mib / 1024), mib % 1024 ? 'M' : 'G');
    if (like->gpus)
        buf_printf(&line, " --gpus %u", like->gpus);
    error_hint(err, "write %s, or add it: %s", like->name, line.data);
}

static bool unknown_size(const struct daemon *d, const char *name, struct error *err)
{
    char words[96];
    const struct size *named = sizes_nearest_name(d, name);
    const struct size *near = named && !size_fits(d, named) ? sizes_nearest(d, named) : named;
    if (!near) {
        error_field(err, size_field, "there is no size \"%s\", and none of the table fits any node", name);
        return error_hint(err, "berth size create %s --family F --cpus N --memory SIZE [--gpus N]", name);
    }
    error_field(err, size_field, "there is no size \"%s\"; the nearest that fits is %s (%s)", name,
                near->name, size_words(near, words));
    hint_create(name, near, err);
    return false;
}

static bool take_size(const struct daemon *d, struct job_spec *spec, struct submit_names *out,
                      struct error *err)
{
    if (!spec->size)
        return true;
    out->size = sizes_find(&d->sizes, spec->size);
    if (!out->size)
        return unknown_size(d, spec->size, err);
    family_find(d, out->size->family, &out->family);
    if (!spec->cpus)
        spec->cpus = out->size->cpus;
    if (!spec->memory_bytes)
        spec->memory_bytes = (int64_t)out->size->memory_bytes;
    if (spec->gpu_milli < 0)
        spec->gpu_milli = (int64_t)out->size->gpus * JOB_GPU_WHOLE;
    if (!spec->gpu_model && *out->size->gpu_model && spec->gpu_milli)
        spec->gpu_model = xstrdup(out->size->gpu_model);
    spec->isolated = spec->isolated || out->size->isolated;
    if (spec->gpu_model && !spec->gpu_milli)
        return error_field(err, "resources.gpu_model", "size %s has no GPU that could be of the model \"%s\"",
                           out->size->name, spec->gpu_model);
    return true;
}

bool submit_take_names(const struct daemon *d, struct job_spec *spec, struct submit_names *out,
                       struct error *err)
{
    *out = (struct submit_names){0};
    return workspace_need(d, spec->workspace, &out->workspace, err) && take_size(d, spec, out, err) &&
           (!spec->gpu_model || hardware_models(d, spec->gpu_model, &out->gpu_models, err)) &&
           hardware_labels(d, &spec->node_labels, &out->labels, err);
}

/* ---- refusals ---- */

static void refuse_size(const struct daemon *d, const struct size *size, struct error *err)
{
    char words[96], others[96];
    const struct size *near = sizes_nearest(d, size);
    error_field(err, size_field, "the job can never run: size %s (%s) is larger than any node", size->name,
                size_words(size, words));
    if (near)
        error_hint(err, "the nearest that fits is %s (%s); berth size list shows which do", near->name,
                   size_words(near, others));
    else
        error_hint(err, "no size of the table fits any node; ask for cpus, memory and gpus instead");
}

/* Which of what it asks for by name rules out every node that would do otherwise. */
static void refuse_names(const struct daemon *d, const struct job_spec *spec,
                         const struct resource_request *request, struct error *err)
{
    struct resource_request less = *request;
    less.labels = 0;
    if (spec->node_labels.count && core_could_fit(d->core, &less)) {
        _cleanup_buf_ struct buf labels = {0};
        for (size_t i = 0; i < spec->node_labels.count; i++)
            buf_printf(&labels, "%s%s", i ? ", " : "", spec->node_labels.items[i]);
        error_field(err, "resources.node_labels",
                    "the job can never run: no node with %s %s has all that it asks for",
                    spec->node_labels.count == 1 ? "the label" : "all of the labels", labels.data);
        error_hint(err, "ask for less, or fewer labels; berth node list shows them");
        return;
    }
    less = *request;
    less.gpu_models = 0;
    if (request->gpu_models && core_could_fit(d->core, &less)) {
        error_field(err, "resources.gpu_model",
                    "the job can never run: no node with GPUs of the model %s has all that it asks for",
                    spec->gpu_model);
        error_hint(err, "ask for less, or leave the model out; berth node list shows what each has");
    }
}

/* Whether the limits that count for it are everyone's. */
static bool has_no_quota(const struct daemon *d, struct principal_id principal)
{
    struct core_quota_view own;
    core_quota_get(d->core, CORE_QUOTA_PRINCIPAL, principal.v, 0, &own);
    return !own.quota.cores && !own.quota.gpu_milli && !own.quota.running && !own.quota.queued;
}

static void refuse_quota(const struct daemon *d, struct principal_id principal,
                         const struct submit_names *names, const struct core_decision *decision,
                         struct error *err)
{
    static const char *const whose[] = {[CORE_QUOTA_PRINCIPAL] = "your quota",
                                        [CORE_QUOTA_WORKSPACE] = "the workspace's quota",
                                        [CORE_QUOTA_FAMILY] = "the quota of all together"};
    static const char *const what[][2] = {
        {"core", "cores"}, {"GPU", "GPUs"}, {"running job", "running jobs"}, {"waiting job", "waiting jobs"}};
    enum core_quota_scope scope;
    enum core_quota_limit limit;
    bool in_family;
    core_refused_quota(decision->as.refused.resource, &scope, &in_family, &limit);
    double unit = limit == CORE_QUOTA_GPUS ? RESOURCE_GPU_WHOLE : 1;
    double wanted = (double)decision->as.refused.wanted / unit,
           best = (double)decision->as.refused.best / unit;
    const char *family = in_family ? names_text(d, NAME_FAMILY, names->family) : "";
    bool everyones = scope == CORE_QUOTA_PRINCIPAL && !in_family && has_no_quota(d, principal);
    error_set(err, ERROR_DENIED, "%s%s%s allows %.10g %s at once, and this would be %.10g",
              everyones ? "the quota that everyone has" : whose[scope],
              in_family ? " in the size family " : "", family, best, what[limit][best != 1], wanted);
    if (scope == CORE_QUOTA_PRINCIPAL && in_family && limit <= CORE_QUOTA_GPUS) {
        char command[APPROVAL_COMMAND_MAX];
        approval_request_command(d, names->family,
                                 limit == CORE_QUOTA_CORES ? decision->as.refused.wanted : 1,
                                 limit == CORE_QUOTA_GPUS ? decision->as.refused.wanted : 0, command);
        error_hint(err, "%s", command);
    }
}

void submit_refusal_by_name(const struct daemon *d, struct principal_id principal,
                            const struct job_spec *spec, const struct submit_names *names,
                            const struct core_decision *decision, const struct resource_request *request,
                            struct error *err)
{
    switch (decision->as.refused.refusal) {
    case CORE_REFUSED_NEVER_FITS:
    case CORE_REFUSED_NO_COMBINATION:
        if (names->size && !size_fits(d, names->size))
            refuse_size(d, names->size, err);
        else
            refuse_names(d, spec, request, err);
        break;
    case CORE_REFUSED_QUOTA:
        refuse_quota(d, principal, names, decision, err);
        break;
    default:
        break;
    }
}
