/* GET and POST /v1/shares, and what berth why says of them. */
#include "scheduler/shares_view.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "scheduler/audit.h"
#include "scheduler/engine.h"

#include <stdlib.h>
#include <string.h>

#define HOUR_S 3600.0

struct shares {
    struct core_share_view *items; /* the least place first, then the least use */
    size_t count;
    double core_s; /* of all */
    bool weighed;  /* there is a share weight: places differ by use */
};

static int by_place(const void *a, const void *b)
{
    const struct core_share_view *x = a, *y = b;
    if (x->place != y->place)
        return x->place < y->place ? -1 : 1;
    if (x->core_s != y->core_s)
        return x->core_s < y->core_s ? -1 : 1;
    return x->principal.v < y->principal.v ? -1 : x->principal.v > y->principal.v;
}

static struct shares gather(const struct daemon *d)
{
    struct core_config config;
    struct shares s = {0};
    struct core_share_view view;
    size_t room = 0;
    core_config_get(d->core, &config);
    s.weighed = config.share_weight != 0;
    for (uint32_t at = 0; core_share_next(d->core, (uint64_t)clock_wall_ms(), &at, &view);) {
        if (s.count == room) {
            room = room ? 2 * room : 64;
            s.items = xrealloc(s.items, room * sizeof *s.items);
        }
        s.items[s.count++] = view;
        s.core_s += (double)view.core_s;
    }
    if (s.count)
        qsort(s.items, s.count, sizeof *s.items, by_place);
    return s;
}

/* Of users at one place none goes first. */
static uint32_t rank_of(const struct shares *s, size_t i)
{
    while (i && s->items[i - 1].place == s->items[i].place)
        i--;
    return (uint32_t)i + 1;
}

static void add_weight(cJSON *o, uint32_t milli)
{
    cJSON_AddNumberToObject(o, "weight", (double)milli / CORE_WEIGHT_ONE);
}

static cJSON *share_object(const struct daemon *d, const struct shares *s, size_t i)
{
    const struct core_share_view *view = &s->items[i];
    cJSON *o = cJSON_CreateObject();
    json_add_str(o, "user", principals_name(&d->principals, view->principal.v));
    cJSON_AddNumberToObject(o, "core_hours", (double)view->core_s / HOUR_S);
    cJSON_AddNumberToObject(o, "share", s->core_s > 0 ? (double)view->core_s / s->core_s : 0);
    json_add_int(o, "in_use", (int64_t)view->width);
    json_add_int(o, "queued", view->queued);
    json_add_int(o, "place", view->place);
    add_weight(o, view->weight_milli);
    const struct weight *w = weights_of(d, view->principal.v);
    json_add_str(o, "weight_of_group", w && w->group ? w->name : NULL);
    if (s->weighed)
        json_add_int(o, "rank", rank_of(s, i));
    else
        cJSON_AddNullToObject(o, "rank");
    return o;
}

static cJSON *weight_object(const struct weight *w)
{
    cJSON *o = cJSON_CreateObject();
    json_add_str(o, w->group ? "group" : "user", w->name);
    add_weight(o, w->milli);
    return o;
}

void api_get_shares(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct core_config config;
    core_config_get(d->core, &config);
    struct shares s = gather(d);
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    json_add_int(o, "share_weight", config.share_weight);
    json_add_int(o, "share_half_life_s", (int64_t)(config.share_half_life_ms / 1000));
    cJSON *list = cJSON_AddArrayToObject(o, "shares");
    for (size_t i = 0; i < s.count; i++)
        cJSON_AddItemToArray(list, share_object(d, &s, i));
    free(s.items);
    cJSON *weights = cJSON_AddArrayToObject(o, "weights");
    for (size_t i = 0; i < d->weights.count; i++)
        cJSON_AddItemToArray(weights, weight_object(&d->weights.items[i]));
    engine_answer_view(d, req, json_text(o));
}

/* Thousandths; 0: it is to be taken away. False with an error. */
static bool read_weight(const cJSON *body, uint32_t *milli, struct error *err)
{
    const cJSON *weight = json_get(body, "weight");
    *milli = 0;
    if (cJSON_IsNull(weight))
        return true;
    double value = cJSON_IsNumber(weight) ? weight->valuedouble * CORE_WEIGHT_ONE : 0;
    if (!(value >= 1 && value <= CORE_WEIGHT_MAX))
        return error_field(err, "weight", "a weight is a number from 0.001 to 1000, or null: none");
    *milli = (uint32_t)(value + 0.5);
    return true;
}

static cJSON *stated(const struct weight *w)
{
    cJSON *o = cJSON_CreateObject();
    if (w)
        add_weight(o, w->milli);
    return o;
}

void api_post_shares(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    uint32_t milli, principal;
    _cleanup_json_ cJSON *body =
        api_need_admin(d, req, "set weights of the fair share") ? api_body(req, "user group weight") : NULL;
    const char *user = json_str(body, "user", NULL), *group = json_str(body, "group", NULL);
    if (!body || (user && !api_look_up_users(d, req, json_get(body, "user"), api_post_shares)) ||
        (group && !api_look_up_group(d, req, group, api_post_shares)))
        return;
    const char *name = group ? group : user;
    bool ok = engine_writable(d, &err) && read_weight(body, &milli, &err);
    if (ok && (!name || (user && group)))
        ok = error_field(&err, "user", "say whose weight it is: user or group");
    const struct weight *had = ok ? weights_find(&d->weights, group != NULL, name) : NULL;
    if (ok && !milli && !had) {
        ok = error_set(&err, ERROR_NOT_FOUND, "%s %.64s has no weight", group ? "group" : "user", name);
        error_hint(&err, "berth share lists the weights");
    }
    ok = ok && (!milli || (group ? api_find_group(d, group, "group", &err)
                                 : api_find_user(d, user, "user", &principal, &err)));
    if (!ok) {
        http_respond_error(req, &err);
        return;
    }
    struct caller caller = api_caller(d, req);
    cJSON *before = stated(had);
    if (!weights_set(d, group != NULL, name, milli, &err)) {
        cJSON_Delete(before);
        http_respond_error(req, &err);
        return;
    }
    const struct weight *now = weights_find(&d->weights, group != NULL, name);
    _cleanup_free_ char *subject = xasprintf("%s%s", group ? "group " : "", name);
    audit_add(d, &caller, now ? "share set" : "share remove", subject, before, stated(now));
    log_info("weight of %s %s by %s", subject, now ? "set" : "removed", caller.name);
    _cleanup_json_ cJSON *o = now ? weight_object(now) : cJSON_CreateObject();
    engine_answer(d, req, 200, json_text(o), NULL, 0);
}

void shares_explain(const struct daemon *d, const struct core_job_view *view, cJSON *o, cJSON *text)
{
    struct shares s = gather(d);
    cJSON *mine = NULL;
    for (size_t i = 0; s.weighed && i < s.count; i++) {
        uint32_t rank = rank_of(&s, i);
        if (s.items[i].principal.v != view->principal.v || rank == 1)
            continue;
        _cleanup_free_ char *line = xasprintf(
            "by the fair share %u of %zu users go first: %s has used %.1f core-hours lately (berth share)",
            rank - 1, s.count, principals_name(&d->principals, view->principal.v),
            (double)s.items[i].core_s / HOUR_S);
        cJSON_AddItemToArray(text, cJSON_CreateString(line));
        mine = share_object(d, &s, i);
    }
    free(s.items);
    cJSON_AddItemToObject(o, "share", mine ? mine : cJSON_CreateNull());
}
