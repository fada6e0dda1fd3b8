/*
 * Reservations: nodes by name, or so much of any, for some users over a time. They live in the core, made and
 * taken away by events; here they get names. A listing is made of the core's state alone.
 */
#include "scheduler/api.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "proto/jobspec.h"
#include "proto/units.h"
#include "scheduler/api_page.h"
#include "scheduler/audit.h"
#include "scheduler/engine.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define RESERVE_FIELDS "name remove from_ms until_ms users nodes count cpus gpus memory_bytes"
#define PAST_SLACK_MS 60000 /* a beginning that was now when it was typed */
#define OBSTACLES_MAX 64    /* jobs in the way that an answer names */

/* ---- what there is ---- */

static void add_obstacles(const struct daemon *d, uint32_t id, cJSON *o)
{
    struct core_reservation_obstacle found[OBSTACLES_MAX];
    uint32_t count = core_reservation_obstacles(d->core, id, found, OBSTACLES_MAX);
    cJSON *list = cJSON_AddArrayToObject(o, "in_the_way");
    for (uint32_t i = 0; i < count && i < OBSTACLES_MAX; i++) {
        const struct job *job = jobs_get(&d->jobs, found[i].job.v);
        const struct node *node = nodes_get(&d->nodes, found[i].node.v);
        cJSON *one = cJSON_CreateObject();
        json_add_str(one, "job", job ? job->name : NULL);
        json_add_str(one, "node", node ? node->name : NULL);
        if (found[i].until_ms)
            json_add_int(one, "until_ms", (int64_t)found[i].until_ms);
        else
            cJSON_AddNullToObject(one, "until_ms");
        cJSON_AddItemToArray(list, one);
    }
    json_add_int(o, "in_the_way_count", count);
}

static void add_nodes(const struct daemon *d, const struct core_reservation_view *view, cJSON *o)
{
    struct node_id nodes[CORE_INSTANCES_MAX];
    uint32_t count = core_reservation_nodes(d->core, view->reservation, nodes, CORE_INSTANCES_MAX);
    cJSON *list = cJSON_AddArrayToObject(o, "nodes");
    for (uint32_t i = 0; i < count; i++) {
        const struct node *node = nodes_get(&d->nodes, nodes[i].v);
        cJSON_AddItemToArray(list, cJSON_CreateString(node ? node->name : "?"));
    }
}

static cJSON *reservation_object(const struct daemon *d, const struct core_reservation_view *view)
{
    const struct resource_request *r = &view->request;
    cJSON *o = cJSON_CreateObject();
    json_add_str(o, "name", names_text(d, NAME_RESERVATION, view->reservation));
    json_add_int(o, "from_ms", (int64_t)view->begin_ms);
    json_add_int(o, "until_ms", (int64_t)view->end_ms);
    cJSON_AddBoolToObject(o, "begun", view->begun);
    cJSON *users = cJSON_AddArrayToObject(o, "users");
    for (uint32_t i = 0; i < view->user_count; i++)
        cJSON_AddItemToArray(users, cJSON_CreateString(principals_name(&d->principals, view->users[i].v)));
    cJSON_AddBoolToObject(o, "named", view->named);
    json_add_int(o, "count", view->count);
    json_add_int(o, "usable", view->usable);
    cJSON_AddBoolToObject(o, "whole", !r->cpus && !r->gpu_milli && !r->memory_bytes);
    json_add_int(o, "cpus", r->cpus);
    json_add_int(o, "gpus", r->gpu_milli / RESOURCE_GPU_WHOLE);
    json_add_int(o, "memory_bytes", (int64_t)r->memory_bytes);
    add_nodes(d, view, o);
    add_obstacles(d, view->reservation, o);
    return o;
}

void api_get_reservations(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct core_reservation_view view;
    struct api_page page;
    if (!api_page_begin(&page, req, "reservations"))
        return;
    for (uint32_t at = page.from;
         core_reservation_next(d->core, &at, &view) && api_page_takes(&page, at - 1);)
        api_page_add(&page, reservation_object(d, &view));
    api_page_answer(&page, d);
}

/* ---- what is asked for ---- */

/* "2026-11-25 10:42:00", by this machine's clock. */
static const char *date_of(int64_t ms, char out[32])
{
    time_t at = (time_t)(ms / 1000);
    struct tm tm;
    if (!localtime_r(&at, &tm) || !strftime(out, 32, "%F %T", &tm))
        snprintf(out, 32, "%lld ms", (long long)ms);
    return out;
}

/* `option` is where people write it. */
static bool read_time(const cJSON *body, const char *field, const char *option, int64_t least, uint64_t *out,
                      struct error *err)
{
    const cJSON *item = json_get(body, field);
    int64_t ms = json_int(body, field, -1);
    if (!cJSON_IsNumber(item) || ms <= 0) {
        error_field(err, field, "%s must be a time in ms since 1970", field);
        return error_hint(err, "berth reserve NAME --from +2h --for 4h --users alice");
    }
    if (ms < least) {
        char at[32];
        error_field(err, field, "%s (%s) %s is in the past, or not after the beginning", option, field,
                    date_of(ms, at));
        return error_hint(err, "it is %s now; the beginning may be now, the end must come after it",
                          date_of(clock_wall_ms(), at));
    }
    *out = (uint64_t)ms;
    return true;
}

static bool read_times(const cJSON *body, struct core_reserve *r, struct error *err)
{
    int64_t now = clock_wall_ms();
    if (!read_time(body, "from_ms", "--from", now - PAST_SLACK_MS, &r->begin_ms, err))
        return false;
    int64_t begin = (int64_t)r->begin_ms > now ? (int64_t)r->begin_ms : now;
    if (!read_time(body, "until_ms", "--for or --until", begin + 1, &r->end_ms, err))
        return false;
    if (r->end_ms - r->begin_ms > CORE_DURATION_MAX_MS)
        return error_field(err, "until_ms", "until_ms is too far from its beginning");
    return true;
}

static bool read_users(struct daemon *d, const cJSON *body, struct core_reserve *r, struct error *err)
{
    const cJSON *list = json_get(body, "users"), *item;
    int count = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
    if (count < 1 || count > CORE_RESERVATION_USERS_MAX)
        return error_field(err, "users", "users must be a list of 1 to %d names", CORE_RESERVATION_USERS_MAX);
    cJSON_ArrayForEach(item, list)
    {
        uint32_t id;
        if (!cJSON_IsString(item))
            return error_field(err, "users", "users must be names");
        if (!api_find_user(d, item->valuestring, "users", &id, err))
            return false;
        for (uint32_t i = 0; i < r->user_count; i++) {
            if (r->users[i].v == id)
                return error_field(err, "users", "%.64s is there twice", item->valuestring);
        }
        r->users[r->user_count++].v = id;
    }
    return true;
}

static bool read_nodes(const struct daemon *d, const cJSON *body, struct core_reserve *r,
                       struct node_id nodes[CORE_INSTANCES_MAX], struct error *err)
{
    const cJSON *list = json_get(body, "nodes"), *count = json_get(body, "count"), *item;
    r->count = 1;
    if (list && count)
        return error_field(err, "count", "either nodes, or count: so many of any");
    if (count) {
        double n = cJSON_IsNumber(count) ? count->valuedouble : 0;
        if (n < 1 || n > CORE_INSTANCES_MAX || n != (double)(uint32_t)n)
            return error_field(err, "count", "count must be a whole number from 1 to %d", CORE_INSTANCES_MAX);
        r->count = (uint32_t)n;
    }
    if (!list)
        return true;
    int n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
    if (n < 1 || n > CORE_INSTANCES_MAX)
        return error_field(err, "nodes", "nodes must be a list of 1 to %d names", CORE_INSTANCES_MAX);
    r->count = 0;
    r->nodes = nodes;
    cJSON_ArrayForEach(item, list)
    {
        const struct node *node = cJSON_IsString(item) ? nodes_find(&d->nodes, item->valuestring) : NULL;
        if (!node) {
            error_set(err, ERROR_NOT_FOUND, "there is no node %.64s",
                      cJSON_IsString(item) ? item->valuestring : "?");
            snprintf(err->field, sizeof err->field, "nodes");
            return error_hint(err, "berth node list");
        }
        for (uint32_t i = 0; i < r->count; i++) {
            if (nodes[i].v == node->id)
                return error_field(err, "nodes", "%.64s is there twice", node->name);
        }
        nodes[r->count++].v = node->id;
    }
    return true;
}

static bool read_amount(const cJSON *body, const char *field, double max, uint64_t *out, struct error *err)
{
    const cJSON *item = json_get(body, field);
    if (!item)
        return true;
    double n = cJSON_IsNumber(item) ? item->valuedouble : 0;
    if (n < 1 || n > max || n != (double)(uint64_t)n)
        return error_field(err, field, "%s must be a whole number from 1 to %.0f", field, max);
    *out = (uint64_t)n;
    return true;
}

static bool read_amounts(const cJSON *body, struct resource_request *r, struct error *err)
{
    uint64_t cpus = 0, gpus = 0;
    if (!read_amount(body, "cpus", RESOURCE_POOL_MAX, &cpus, err) ||
        !read_amount(body, "gpus", RESOURCE_GPUS_MAX, &gpus, err) ||
        !read_amount(body, "memory_bytes", (double)RESOURCE_MEMORY_MAX_BYTES, &r->memory_bytes, err))
        return false;
    r->cpus = (uint32_t)cpus;
    r->gpu_milli = (uint32_t)gpus * RESOURCE_GPU_WHOLE;
    return true;
}

static bool read_name(const cJSON *body, const char **name, struct error *err)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    *name = json_str(body, "name", "");
    size_t n = strlen(*name);
    if (!n || n > JOB_RESERVATION_MAX || strspn(*name, plain) != n)
        return error_field(err, "name", "a reservation's name has 1 to %d letters, digits, dots, - and _",
                           JOB_RESERVATION_MAX);
    return true;
}

static bool read_removal(const struct daemon *d, const cJSON *body, const char *name, struct core_reserve *r,
                         struct error *err)
{
    struct core_reservation_view view;
    if (!cJSON_IsTrue(json_get(body, "remove")))
        return error_field(err, "remove", "remove can only be true");
    if (cJSON_GetArraySize(body) > 2)
        return error_field(err, "remove", "a reservation that is removed has a name alone");
    r->remove = true;
    if (names_find(d, NAME_RESERVATION, name, &r->reservation) &&
        core_reservation_get(d->core, r->reservation, &view))
        return true;
    error_set(err, ERROR_NOT_FOUND, "there is no reservation %.64s", name);
    snprintf(err->field, sizeof err->field, "name");
    return error_hint(err, "berth reserve list");
}

/* Why it could never be held, in words. */
static bool refuse(const struct daemon *d, const struct core_reserve_answer *a, struct error *err)
{
    static const char *const fields[RESOURCE_KIND_COUNT] = {"cpus", "cpus", "memory_bytes", "gpus"};
    const struct node *node = nodes_get(&d->nodes, a->node.v);
    const char *where = node ? node->name : "?", *other = names_text(d, NAME_RESERVATION, a->other);
    switch (a->refusal) {
    case CORE_RESERVE_EXISTS:
        error_set(err, ERROR_EXISTS, "there is a reservation of that name already");
        snprintf(err->field, sizeof err->field, "name");
        return error_hint(err, "berth reserve delete it first, or take another name");
    case CORE_RESERVE_FULL:
        error_set(err, ERROR_LIMIT, "there are as many reservations as there can be (%d)",
                  CORE_RESERVATIONS_MAX);
        return error_hint(err, "berth reserve delete one that nobody needs");
    case CORE_RESERVE_NO_NODE:
        error_field(err, "nodes", "node %s is lost, draining, or has never said what it has", where);
        return error_hint(err, "berth node list");
    case CORE_RESERVE_SMALL:
        error_field(err, fields[a->resource], "node %s has %llu, not %llu", where,
                    (unsigned long long)a->best, (unsigned long long)a->wanted);
        return error_hint(err, "berth node show %s tells what it has", where);
    case CORE_RESERVE_OVERLAPS:
        error_set(err, ERROR_CONFLICT, "node %s hasn't so much beside the reservation %s at the same time",
                  where, other);
        snprintf(err->field, sizeof err->field, "nodes");
        return error_hint(err, "berth reserve show %s tells its times; take others, or less", other);
    case CORE_RESERVE_FEW_NODES:
        error_field(err, "count", "%llu node%s could hold it, not %llu%s%s", (unsigned long long)a->best,
                    a->best == 1 ? "" : "s", (unsigned long long)a->wanted,
                    a->other ? "; others are taken by the reservation " : "", a->other ? other : "");
        return error_hint(err, "ask for fewer nodes, less of each, or another time");
    default:
        return error_field(err, "until_ms", "its end is over");
    }
}

static bool read_reserve(struct daemon *d, const cJSON *body, struct core_reserve *r,
                         struct node_id nodes[CORE_INSTANCES_MAX], struct error *err)
{
    const char *name;
    struct core_reserve_answer answer;
    if (!read_name(body, &name, err))
        return false;
    if (json_get(body, "remove"))
        return read_removal(d, body, name, r, err);
    if (!read_times(body, r, err) || !read_nodes(d, body, r, nodes, err) ||
        !read_amounts(body, &r->request, err) || !read_users(d, body, r, err))
        return false;
    if (!names_find(d, NAME_RESERVATION, name, &r->reservation))
        r->reservation = names_end(d, NAME_RESERVATION); /* as it will be */
    core_reserve_refuses(d->core, r, &answer);
    if (answer.refusal)
        return refuse(d, &answer, err);
    return names_intern(d, NAME_RESERVATION, name, &r->reservation, err);
}

void api_post_reservation(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    struct node_id nodes[CORE_INSTANCES_MAX];
    _cleanup_json_ cJSON *body =
        api_need_admin(d, req, "reserve nodes") ? api_body(req, RESERVE_FIELDS) : NULL;
    if (!body || !api_look_up_users(d, req, json_get(body, "users"), api_post_reservation))
        return;
    struct core_event event = {.kind = CORE_EVENT_RESERVE};
    struct core_reservation_view view;
    cJSON *before = NULL;
    bool ok = engine_writable(d, &err) && read_reserve(d, body, &event.as.reserve, nodes, &err);
    if (ok && core_reservation_get(d->core, event.as.reserve.reservation, &view))
        before = reservation_object(d, &view);
    if (!ok || !engine_step(d, &event, &err)) {
        cJSON_Delete(before);
        http_respond_error(req, &err);
        return;
    }
    bool there = core_reservation_get(d->core, event.as.reserve.reservation, &view);
    if (!there && !event.as.reserve.remove) { /* the core had no room for it after all */
        error_set(&err, ERROR_UNAVAILABLE, "there is no memory for another reservation");
        error_hint(&err, "try again later");
        cJSON_Delete(before);
        http_respond_error(req, &err);
        return;
    }
    log_info("reservation %s %s by %s", json_str(body, "name", "?"), there ? "made" : "taken away",
             api_caller(d, req).name);
    _cleanup_json_ cJSON *o = there ? reservation_object(d, &view) : cJSON_CreateObject();
    struct caller caller = api_caller(d, req);
    audit_add(d, &caller, there ? "reserve" : "reserve delete", json_str(body, "name", "?"), before,
              there ? cJSON_Duplicate(o, true) : NULL);
    engine_answer(d, req, 200, json_text(o), NULL, 0);
}
