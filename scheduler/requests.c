/* The table of requests for quota. Owns its entries. */
#include "scheduler/requests.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "scheduler/daemon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const state_names[REQUEST_STATE_COUNT] = {"open", "approved", "denied", "withdrawn"};

static void request_finish(struct quota_request *r)
{
    free(r->why);
    free(r->reason);
}

void requests_finish(struct request_table *t)
{
    for (size_t i = 0; i < t->count; i++)
        request_finish(&t->items[i]);
    free(t->items);
    *t = (struct request_table){0};
}

static struct quota_request *put(struct request_table *t, const struct quota_request *request)
{
    t->items = xrealloc(t->items, (t->count + 1) * sizeof *t->items);
    size_t at = t->count++;
    while (at && t->items[at - 1].id > request->id) /* recovery has them in the order of their keys */
        at--;
    memmove(&t->items[at + 1], &t->items[at], (t->count - 1 - at) * sizeof *t->items);
    t->items[at] = *request;
    if (request->id >= t->next_id)
        t->next_id = request->id + 1;
    return &t->items[at];
}

static char *text_of(const cJSON *o, const char *field)
{
    return xstrdup(json_str(o, field, NULL));
}

void requests_load(struct request_table *t, const char *key, const char *doc)
{
    struct error err = {0};
    _cleanup_json_ cJSON *o = json_parse(doc, strlen(doc), &err);
    struct quota_request r = {.id = strtoull(key, NULL, 10)};
    const char *state = json_str(o, "state", "");
    for (int i = 0; i < REQUEST_STATE_COUNT; i++)
        r.state = strcmp(state, state_names[i]) == 0 ? (enum request_state)i : r.state;
    r.principal = (uint32_t)json_int(o, "principal", 0);
    r.family = (uint32_t)json_int(o, "family", 0);
    r.cores = (uint32_t)json_int(o, "cores", 0);
    r.gpu_milli = (uint32_t)json_int(o, "gpu_milli", 0);
    r.asked_ms = json_int(o, "asked_ms", 0);
    r.decided_ms = json_int(o, "decided_ms", 0);
    r.decided_by = (uint32_t)json_int(o, "decided_by", 0);
    r.given_cores = (uint32_t)json_int(o, "given_cores", 0);
    r.given_gpu_milli = (uint32_t)json_int(o, "given_gpu_milli", 0);
    r.why = text_of(o, "why");
    r.reason = text_of(o, "reason");
    put(t, &r);
}

void requests_write(struct daemon *d, const struct quota_request *r)
{
    char key[24];
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "state", state_names[r->state]);
    json_add_int(o, "principal", r->principal);
    json_add_int(o, "family", r->family);
    json_add_int(o, "cores", r->cores);
    json_add_int(o, "gpu_milli", r->gpu_milli);
    json_add_int(o, "asked_ms", r->asked_ms);
    json_add_int(o, "decided_ms", r->decided_ms);
    json_add_int(o, "decided_by", r->decided_by);
    json_add_int(o, "given_cores", r->given_cores);
    json_add_int(o, "given_gpu_milli", r->given_gpu_milli);
    json_add_str(o, "why", r->why);
    json_add_str(o, "reason", r->reason);
    _cleanup_free_ char *text = json_text(o);
    snprintf(key, sizeof key, "%llu", (unsigned long long)r->id);
    journal_add_record(d->journal, JOURNAL_QUOTA_REQUEST, key, text);
}

struct quota_request *requests_add(struct daemon *d, const struct quota_request *request)
{
    struct quota_request r = *request;
    r.id = d->requests.next_id ? d->requests.next_id : 1;
    struct quota_request *there = put(&d->requests, &r);
    requests_write(d, there);
    return there;
}

void requests_trim(struct daemon *d, uint32_t principal)
{
    struct request_table *t = &d->requests;
    size_t decided = 0;
    for (size_t i = 0; i < t->count; i++)
        decided += t->items[i].principal == principal && t->items[i].state != REQUEST_OPEN;
    for (size_t i = 0; i < t->count && decided > REQUESTS_KEPT;) {
        char key[24];
        if (t->items[i].principal != principal || t->items[i].state == REQUEST_OPEN) {
            i++;
            continue;
        }
        snprintf(key, sizeof key, "%llu", (unsigned long long)t->items[i].id);
        journal_add_record(d->journal, JOURNAL_QUOTA_REQUEST, key, NULL);
        request_finish(&t->items[i]);
        memmove(&t->items[i], &t->items[i + 1], (--t->count - i) * sizeof *t->items);
        decided--;
    }
}

struct quota_request *requests_get(struct request_table *t, uint64_t id)
{
    for (size_t i = 0; i < t->count; i++) {
        if (t->items[i].id == id)
            return &t->items[i];
    }
    return NULL;
}

const struct quota_request *requests_latest(const struct request_table *t, uint32_t principal,
                                            uint32_t family)
{
    for (size_t i = t->count; i-- > 0;) {
        const struct quota_request *r = &t->items[i];
        if (r->principal == principal && r->family == family && r->state != REQUEST_WITHDRAWN)
            return r;
    }
    return NULL;
}

size_t requests_open(const struct request_table *t)
{
    size_t count = 0;
    for (size_t i = 0; i < t->count; i++)
        count += t->items[i].state == REQUEST_OPEN;
    return count;
}

static void add_gpus(cJSON *o, uint32_t milli)
{
    if (milli)
        cJSON_AddNumberToObject(o, "gpus", (double)milli / RESOURCE_GPU_WHOLE);
    else
        cJSON_AddNullToObject(o, "gpus");
}

cJSON *request_object(const struct daemon *d, const struct quota_request *r)
{
    cJSON *o = cJSON_CreateObject();
    json_add_int(o, "id", (int64_t)r->id);
    json_add_str(o, "user", principals_name(&d->principals, r->principal));
    json_add_str(o, "family", names_text(d, NAME_FAMILY, r->family));
    json_add_int(o, "cores", r->cores);
    add_gpus(o, r->gpu_milli);
    json_add_str(o, "why", r->why);
    cJSON_AddStringToObject(o, "state", state_names[r->state]);
    json_add_int(o, "asked_ms", r->asked_ms);
    json_add_str(o, "decided_by", r->decided_by ? principals_name(&d->principals, r->decided_by) : NULL);
    if (r->decided_ms)
        json_add_int(o, "decided_ms", r->decided_ms);
    else
        cJSON_AddNullToObject(o, "decided_ms");
    cJSON *given = r->state == REQUEST_APPROVED ? cJSON_AddObjectToObject(o, "given")
                                                : cJSON_AddNullToObject(o, "given");
    if (r->state == REQUEST_APPROVED) {
        json_add_int(given, "cores", r->given_cores);
        add_gpus(given, r->given_gpu_milli);
    }
    json_add_str(o, "reason", r->reason);
    return o;
}
