/* What a job holds and what becomes of it while it runs: its licences, its rule for a node that is lost, its
 * warning. */
#include "proto/jobspec_check.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "proto/signals.h"
#include "proto/units.h"

#include <stdio.h>
#include <string.h>

static bool licence_name_valid(const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t n = strlen(name);
    return n >= 1 && n <= JOB_LICENCE_NAME_MAX && strspn(name, plain) == n;
}

static void read_licence(struct spec_reader *r, const cJSON *v, const char *path)
{
    struct job_spec *s = r->spec;
    size_t before = r->problems->total;
    int64_t amount = 0;
    if (!licence_name_valid(v->string)) {
        spec_problem(r, path, "a licence's name has 1 to %d letters, digits, dots, - and _",
                     JOB_LICENCE_NAME_MAX);
        return;
    }
    spec_int(r, v, path, 1, JOB_LICENCE_AMOUNT_MAX, &amount);
    for (size_t i = 0; i < s->licence_count; i++)
        if (strcmp(s->licences[i].name, v->string) == 0)
            spec_problem(r, path, "given twice");
    if (r->problems->total == before)
        s->licences[s->licence_count++] = (struct job_licence){xstrdup(v->string), amount};
}

void spec_read_licences(struct spec_reader *r, const cJSON *v, const char *path)
{
    const cJSON *item;
    if (!cJSON_IsObject(v)) {
        spec_problem(r, path, "must be a mapping of licences to how many of each, not %s", spec_type_name(v));
        return;
    }
    if (cJSON_GetArraySize(v) > JOB_LICENCES_MAX) {
        spec_problem(r, path, "names %d licences; a job can hold %d kinds", cJSON_GetArraySize(v),
                     JOB_LICENCES_MAX);
        return;
    }
    cJSON_ArrayForEach(item, v)
    {
        char full[SPEC_FIELD_PATH_MAX];
        snprintf(full, sizeof full, "%s.%.*s", path, JOB_LICENCE_NAME_MAX, item->string);
        read_licence(r, item, full);
    }
}

/* ---- a lost node ---- */

void spec_read_on_node_loss(struct spec_reader *r, const cJSON *v, const char *path)
{
    static const char *const words[] = {"wait", "requeue"};
    int n = -1;
    spec_word(r, v, path, words, sizeof words / sizeof *words, &n);
    if (n >= 0)
        r->spec->on_node_loss = n ? JOB_LOSS_REQUEUE : JOB_LOSS_WAIT;
}

void spec_read_fence_after(struct spec_reader *r, const cJSON *v, const char *path)
{
    size_t before = r->problems->total;
    int64_t ms = 0;
    char least[24];
    spec_duration(r, v, path, JOB_FENCE_MAX_MS, &ms);
    if (r->problems->total == before && ms < JOB_FENCE_MIN_MS)
        spec_problem(r, path, "must be at least %s: a node speaks every 5s, and one that is late is not lost",
                     units_format_exact(JOB_FENCE_MIN_MS, least));
    r->spec->fence_after_ms = ms;
}

/* ---- the warning ahead of the time limit ---- */

static void read_warning_signal(struct spec_reader *r, const cJSON *v, const char *path)
{
    _cleanup_free_ char *text = spec_scalar_text(v);
    r->spec->warning_signal = text ? signal_by_name(text) : 0;
    if (!r->spec->warning_signal)
        spec_problem(r, path, "must be a signal that a program can take notice of, such as USR1, not %s",
                     spec_shown(v).text);
}

static void read_warning_before(struct spec_reader *r, const cJSON *v, const char *path)
{
    size_t before = r->problems->total;
    spec_duration(r, v, path, JOB_TIME_LIMIT_MAX_MS, &r->spec->warning_before_ms);
    if (r->problems->total == before && !r->spec->warning_before_ms)
        spec_problem(r, path, "must be a time ahead of the limit such as 5m, not 0");
}

void spec_read_warning(struct spec_reader *r, const cJSON *v, const char *path)
{
    static const struct spec_field fields[] = {{"signal", read_warning_signal},
                                               {"before", read_warning_before}};
    spec_read_object(r, v, path, fields, sizeof fields / sizeof *fields);
    if (cJSON_IsObject(v) && !json_get(v, "before"))
        spec_problem(r, path, "needs `before`: how long ahead of the time limit");
}

/* ---- together ---- */

static void check_warning(struct spec_reader *r)
{
    const struct job_spec *s = r->spec;
    char limit[24];
    if (s->warning_before_ms && !s->time_limit_ms)
        spec_problem(r, "limits.warning", "goes only with a time limit: give `timeout`, too");
    else if (s->warning_before_ms && s->warning_before_ms >= s->time_limit_ms)
        spec_problem(r, "limits.warning.before", "must be less than the time limit, which is %s",
                     units_format_exact(s->time_limit_ms, limit));
}

void spec_check_life(struct spec_reader *r)
{
    struct job_spec *s = r->spec;
    check_warning(r);
    if (!s->fence_after_ms)
        return;
    if (s->on_node_loss == JOB_LOSS_WAIT)
        spec_problem(r, "fence_after",
                     "goes only with `on_node_loss: requeue`: one that waits is never ended");
    else
        s->on_node_loss = JOB_LOSS_REQUEUE; /* who says when asks for it */
}
