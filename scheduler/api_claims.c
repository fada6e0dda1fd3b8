/* GET /v1/claims, and the claims of a node object. */
#include "scheduler/claims.h"

#include "base/cleanup.h"
#include "scheduler/api.h"
#include "scheduler/engine.h"

#define CLAIMS_OF_NODE_MAX 64 /* of each kind */

static cJSON *claim_object(const char *kind, const char *name, uint64_t from_ms, uint64_t until_ms)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "kind", kind);
    json_add_str(o, "name", name);
    if (from_ms)
        json_add_int(o, "from_ms", (int64_t)from_ms);
    else
        cJSON_AddNullToObject(o, "from_ms");
    if (until_ms)
        json_add_int(o, "until_ms", (int64_t)until_ms);
    else
        cJSON_AddNullToObject(o, "until_ms");
    return o;
}

static cJSON *reservation_claim(const struct daemon *d, const struct core_reservation_view *view)
{
    return claim_object("reservation", names_text(d, NAME_RESERVATION, view->reservation), view->begin_ms,
                        view->end_ms);
}

static cJSON *job_claim(const struct daemon *d, const char *kind, struct job_id id, uint64_t from_ms,
                        uint64_t until_ms)
{
    const struct job *job = jobs_get(&d->jobs, id.v);
    cJSON *o = claim_object(kind, job ? job->name : NULL, from_ms, until_ms);
    json_add_int(o, "job", (int64_t)id.v);
    json_add_str(o, "user", job ? principals_name(&d->principals, job->principal) : NULL);
    return o;
}

static cJSON *kept_claim(const struct daemon *d, const struct core_kept_back *kept)
{
    return job_claim(d, kept->planned ? "plan" : "short_jobs", kept->job, 0, kept->until_ms);
}

void claims_kept_read(const struct daemon *d, struct claims_kept *kept)
{
    kept->count = core_kept_back(d->core, kept->jobs, CORE_WHY_JOBS_MAX);
}

void claims_add(cJSON *o, const struct node *node, const struct claims_kept *kept)
{
    const struct daemon *d = node->daemon;
    struct node_id id = {node->id};
    uint32_t reservations[CLAIMS_OF_NODE_MAX];
    struct core_promise promises[CLAIMS_OF_NODE_MAX];
    struct core_reservation_view view;
    cJSON *claims = cJSON_AddArrayToObject(o, "claims");
    uint32_t count = core_node_reservations(d->core, id, reservations, CLAIMS_OF_NODE_MAX);
    for (uint32_t i = 0; i < count && i < CLAIMS_OF_NODE_MAX; i++) {
        if (core_reservation_get(d->core, reservations[i], &view))
            cJSON_AddItemToArray(claims, reservation_claim(d, &view));
    }
    count = core_node_promises(d->core, id, promises, CLAIMS_OF_NODE_MAX);
    for (uint32_t i = 0; i < count && i < CLAIMS_OF_NODE_MAX; i++)
        cJSON_AddItemToArray(claims,
                             job_claim(d, "promise", promises[i].job, promises[i].at_ms, promises[i].end_ms));
    for (uint32_t i = 0; i < kept->count; i++) {
        if (!core_node_keeps(d->core, id, kept->jobs[i].job))
            continue;
        cJSON_AddItemToArray(claims, kept_claim(d, &kept->jobs[i]));
        return; /* one says that its free capacity is kept */
    }
}

static void add_counted(cJSON *claims, cJSON *claim, uint32_t nodes)
{
    json_add_int(claim, "nodes", nodes);
    cJSON_AddItemToArray(claims, claim);
}

void api_get_claims(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct core_reservation_view view;
    struct core_promise promises[CORE_PROMISES_MAX];
    struct claims_kept kept;
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    cJSON *claims = cJSON_AddArrayToObject(o, "claims");
    for (uint32_t at = 0; core_reservation_next(d->core, &at, &view);)
        add_counted(claims, reservation_claim(d, &view), view.count);
    uint32_t count = core_promises(d->core, promises);
    for (uint32_t i = 0; i < count; i++)
        add_counted(claims, job_claim(d, "promise", promises[i].job, promises[i].at_ms, promises[i].end_ms),
                    promises[i].nodes);
    claims_kept_read(d, &kept);
    for (uint32_t i = 0; i < kept.count; i++)
        add_counted(claims, kept_claim(d, &kept.jobs[i]), core_nodes_keep(d->core, kept.jobs[i].job));
    engine_answer_view(d, req, json_text(o));
}
