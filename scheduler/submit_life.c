/* From a job file's words about the job's life to the core's numbers. */
#include "scheduler/submit_life.h"

#include "proto/suggest.h"

#include <stdio.h>

_Static_assert(JOB_LICENCES_MAX <= RESOURCE_LICENCE_KINDS_MAX && JOB_LICENCE_AMOUNT_MAX <= UINT16_MAX,
               "the licences of a job file that is taken fit the core");

static bool unknown_licence(const struct daemon *d, const char *name, const char *field, struct error *err)
{
    const char *known[RESOURCE_LICENCES_MAX];
    uint32_t count = 0;
    for (uint32_t id = 0; id < names_end(d, NAME_LICENCE) && count < RESOURCE_LICENCES_MAX; id++)
        known[count++] = names_text(d, NAME_LICENCE, id);
    const char *near = suggest_nearest(name, known, count, sizeof *known);
    error_set(err, ERROR_NOT_FOUND, "there is no licence %s%s%s%s", name, near ? "; did you mean " : "",
              near ? near : "", near ? "?" : "");
    if (err)
        snprintf(err->field, sizeof err->field, "%s", field);
    return error_hint(
        err, "berth licence list shows them; an administrator adds one with berth licence set %s N", name);
}

static bool add_licences(struct daemon *d, const struct job_spec *spec, struct core_submit *out,
                         struct error *err)
{
    for (size_t i = 0; i < spec->licence_count; i++) {
        const struct job_licence *wanted = &spec->licences[i];
        uint32_t id, total, used;
        char field[ERROR_FIELD_MAX];
        snprintf(field, sizeof field, "licences.%s", wanted->name);
        if (!names_find(d, NAME_LICENCE, wanted->name, &id))
            return unknown_licence(d, wanted->name, field, err);
        core_licence_get(d->core, id, &total, &used);
        if (wanted->amount > total) {
            error_field(err, field, "the job can never run: it wants %lld of the licence %s, and there %s %u",
                        (long long)wanted->amount, wanted->name, total == 1 ? "is" : "are", total);
            return error_hint(err,
                              "ask for at most %u; an administrator changes it with berth licence set %s N",
                              total, wanted->name);
        }
        out->licences.id[i] = (uint16_t)id;
        out->licences.amount[i] = (uint16_t)wanted->amount;
    }
    return true;
}

uint64_t submit_fence_ms(const struct daemon *d, const struct job_spec *spec)
{
    const struct loss_rule *site = &d->loss_rule;
    enum job_loss rule = spec->on_node_loss == JOB_LOSS_DEFAULT ? site->rule : spec->on_node_loss;
    if (spec->live_path && spec->on_node_loss == JOB_LOSS_DEFAULT)
        return 0; /* begun again it would meet what it has changed */
    bool requeue =
        rule == JOB_LOSS_REQUEUE || (rule == JOB_LOSS_DEFAULT && spec->instance_count > 1 && !d->may_sleep);
    if (!requeue)
        return 0;
    int64_t fence_ms = spec->fence_after_ms ? spec->fence_after_ms : site->fence_after_ms;
    return (uint64_t)(fence_ms ? fence_ms : JOB_FENCE_DEFAULT_MS);
}

bool submit_life(struct daemon *d, const struct job_spec *spec, const struct submit_resources *resources,
                 struct core_submit *out, struct error *err)
{
    out->on_node_loss = resources->fence_after_ms ? CORE_LOSS_REQUEUE : CORE_LOSS_WAIT;
    out->fence_after_ms = resources->fence_after_ms;
    return add_licences(d, spec, out, err);
}
