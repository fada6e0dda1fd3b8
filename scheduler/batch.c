/* Batches, in a list of the daemon. A batch owns its copy of the question and of the caller's name. */
#include "scheduler/batch.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/log.h"
#include "scheduler/engine.h"
#include "scheduler/job_change.h"
#include "scheduler/job_names.h"
#include "scheduler/selector.h"

#include <stdlib.h>
#include <string.h>

#define BATCH_FIELDS "action force update jobs select preview before"
#define SELECT_FIELDS "state user workspace array name tag"

enum batch_action { BATCH_CANCEL, BATCH_UPDATE };

struct batch {
    struct list link; /* of the daemon's */
    struct daemon *daemon;
    struct http_request *req; /* NULL: answered, or the client left */
    struct caller caller;     /* its name is owned */
    char *name;
    cJSON *body;
    enum batch_action action;
    bool force, preview;
    bool waits; /* for the journal */
    struct selector which;
    const cJSON *next_name; /* of body's jobs; NULL: none is left */
    uint64_t *ids;          /* what a selector may mean */
    size_t id_count, at;
    uint64_t before;  /* jobs with that id and above came later */
    struct map users; /* whose jobs were selected */
    uint32_t selected, done, refused, listed;
    cJSON *jobs, *refusals; /* owned */
};

static void batch_destroy(struct batch *b)
{
    if (b->link.next)
        list_remove(&b->link);
    selector_finish(&b->which);
    cJSON_Delete(b->body);
    cJSON_Delete(b->jobs);
    cJSON_Delete(b->refusals);
    map_finish(&b->users);
    free(b->ids);
    free(b->name);
    free(b);
}

/* ---- the report ---- */

static cJSON *describe(const struct daemon *d, const struct job *job)
{
    cJSON *o = cJSON_CreateObject();
    json_add_int(o, "id", (int64_t)job->id);
    json_add_str(o, "name", job->name);
    json_add_int(o, "number", job->number);
    cJSON_AddBoolToObject(o, "superseded", job->superseded);
    json_add_str(o, "principal", principals_name(&d->principals, job->principal));
    cJSON_AddStringToObject(o, "state", job_state_name(job->state));
    return o;
}

static void note_done(struct batch *b, const struct job *job)
{
    uint32_t max = b->preview ? BATCH_PREVIEW_LISTED_MAX : BATCH_LISTED_MAX;
    b->done += !b->preview;
    if (job && b->listed++ < max)
        cJSON_AddItemToArray(b->jobs, describe(b->daemon, job));
}

static void note_refused(struct batch *b, const char *address, const struct job *job, const struct error *err)
{
    if (b->refused++ >= BATCH_LISTED_MAX)
        return;
    cJSON *o = job ? describe(b->daemon, job) : cJSON_CreateObject();
    if (address)
        json_add_str(o, "asked", address);
    cJSON_AddStringToObject(o, "code", error_code_name(err->code));
    json_add_str(o, "message", err->message);
    json_add_str(o, "hint", err->hint);
    cJSON_AddItemToArray(b->refusals, o);
}

static void answer(struct batch *b)
{
    struct daemon *d = b->daemon;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddBoolToObject(o, "preview", b->preview);
    json_add_int(o, "selected", b->selected);
    json_add_int(o, "users", (int64_t)b->users.count);
    json_add_int(o, "done", b->done);
    json_add_int(o, "refused", b->refused);
    cJSON_AddItemToObject(o, "jobs", take_ptr(b->jobs));
    cJSON_AddItemToObject(o, "refusals", take_ptr(b->refusals));
    json_add_int(o, "before", (int64_t)b->before);
    if (!b->preview)
        log_info("batch of %s: %s, %u done, %u refused", b->name,
                 b->action == BATCH_CANCEL ? "cancel" : "update", b->done, b->refused);
    struct http_request *req = take_ptr(b->req);
    if (req)
        engine_answer_view(d, req, json_text(o));
    cJSON_Delete(o);
}

static void refuse_rest(struct batch *b, const struct error *why)
{
    struct http_request *req = take_ptr(b->req);
    struct error err = *why;
    error_wrap(&err, "the batch stopped, %u of its jobs were done", b->done);
    if (req)
        http_respond_error(req, &err);
}

/* ---- one job ---- */

static void change(struct batch *b, const char *address, struct job *job)
{
    struct daemon *d = b->daemon;
    struct error err = {0};
    uint64_t id = job->id;
    bool ok;
    b->selected++;
    map_put_num(&b->users, job->principal, b);
    if (!api_owns(&b->caller, job)) {
        ok = api_refuse_others(d, job, b->action == BATCH_CANCEL ? "cancel" : "change", &err);
    } else if (b->preview) {
        ok = true;
    } else if (b->action == BATCH_CANCEL) {
        ok = job_change_cancel(d, &b->caller, job, b->force, true, &err);
    } else {
        ok = job_change_update(d, &b->caller, job, json_get(b->body, "update"), true, &err);
    }
    /* what was not kept in memory is not looked for again: an element that never began */
    const struct job *now = jobs_get(&d->jobs, id);
    if (ok)
        note_done(b, now ? now : b->action == BATCH_CANCEL ? job : NULL);
    else
        note_refused(b, address, now, &err);
}

static bool take_name(struct batch *b)
{
    struct error err = {0};
    if (!b->next_name)
        return false;
    const char *address = b->next_name->valuestring;
    struct job *job = jobs_find(b->daemon, b->caller.principal, address, &err);
    b->next_name = b->next_name->next;
    if (job) {
        change(b, address, job);
    } else {
        b->selected++;
        note_refused(b, address, NULL, &err);
    }
    return true;
}

static bool take_id(struct batch *b, bool *changed)
{
    if (b->at == b->id_count)
        return false;
    struct job *job = jobs_get(&b->daemon->jobs, b->ids[b->at++]);
    *changed = job && !job_is_final(job) && selector_matches(&b->which, job);
    if (*changed)
        change(b, NULL, job);
    return true;
}

/* ---- slices ---- */

static void on_durable(void *data)
{
    struct batch *b = data;
    b->waits = false;
}

static void on_failed(void *data, const struct error *why)
{
    refuse_rest(data, why);
    ((struct batch *)data)->at = ((struct batch *)data)->id_count; /* nothing more is begun */
    ((struct batch *)data)->next_name = NULL;
}

/* True: the batch is over. */
static bool slice(struct batch *b)
{
    struct daemon *d = b->daemon;
    struct error err = {0};
    uint64_t begun = uv_hrtime();
    uint32_t jobs = 0, looks = 0;
    bool more = true;
    if (!b->preview && !engine_writable(d, &err)) {
        refuse_rest(b, &err);
        return true;
    }
    while (jobs < BATCH_SLICE_JOBS && looks < BATCH_SLICE_LOOKS && uv_hrtime() - begun < BATCH_SLICE_NS) {
        bool changed = true;
        looks += selector_cost(&b->which);
        more = take_name(b) || take_id(b, &changed);
        if (!more)
            break;
        jobs += changed;
    }
    if (jobs && !b->preview) {
        FAULT("batch.slice");
        b->waits = true;
        journal_then(d->journal, on_durable, on_failed, b);
        return false;
    }
    return !more;
}

bool batches_turn(struct daemon *d)
{
    struct batch *b, *tmp;
    bool more = false;
    list_for_each(b, tmp, &d->batches, link)
    {
        if (b->waits)
            continue;
        bool over = slice(b);
        more = more || (!over && !b->waits);
        if (!over)
            continue;
        if (b->req)
            answer(b);
        batch_destroy(b);
    }
    return more;
}

void batches_finish(struct daemon *d)
{
    struct batch *b, *tmp;
    if (!d->batches.next)
        return;
    list_for_each(b, tmp, &d->batches, link) batch_destroy(b);
}

/* ---- the question ---- */

/* The live jobs that may be meant, oldest first; those that wait before those under way, so that none of them
 * starts in the place of one that was ended. */
static void collect(struct batch *b)
{
    struct job *job, *tmp;
    for (int waiting = 1; waiting >= 0; waiting--) {
        list_for_each(job, tmp, &b->daemon->jobs.live, link)
        {
            if ((job->state == JOB_QUEUED) != waiting || job->array_job != b->which.array ||
                job->id >= b->before || !api_owns(&b->caller, job))
                continue;
            if ((b->id_count & (b->id_count + 1)) == 0) /* doubles */
                b->ids = xrealloc(b->ids, (b->id_count + 1) * 2 * sizeof *b->ids);
            b->ids[b->id_count++] = job->id;
        }
    }
}

/* An ordinary user's batch is about their own jobs, whatever it selects. */
static bool check_whose(const struct batch *b, const char *user, struct error *err)
{
    const struct job *array = b->which.array ? jobs_get(&b->daemon->jobs, b->which.array) : NULL;
    if (b->caller.admin)
        return true;
    if (user && strcmp(user, b->name) != 0) {
        error_set(err, ERROR_DENIED, "jobs of %.80s are not changed: they are not yours", user);
        return error_hint(err, "ask them, or an administrator");
    }
    return !array || api_owns(&b->caller, array) ||
           api_refuse_others(b->daemon, array, b->action == BATCH_CANCEL ? "cancel" : "change", err);
}

static bool read_select(struct batch *b, const cJSON *select, struct error *err)
{
    const struct selector_words words = {.state = json_str(select, "state", NULL),
                                         .user = json_str(select, "user", NULL),
                                         .workspace = json_str(select, "workspace", NULL),
                                         .array = json_str(select, "array", NULL),
                                         .name = json_str(select, "name", NULL),
                                         .tag = json_str(select, "tag", NULL)};
    if (!api_check_fields(select, SELECT_FIELDS, err) ||
        !selector_read(&b->which, b->daemon, b->caller.principal, &words, err) ||
        !check_whose(b, words.user, err))
        return false;
    if (!cJSON_GetArraySize(select))
        return error_field(err, "select", "a selector says at least one of %s", SELECT_FIELDS);
    const cJSON *item;
    cJSON_ArrayForEach(item, select) if (!cJSON_IsString(item)) return error_field(
        err, item->string, "%s must be text", item->string);
    if (!selector_has_live(&b->which))
        return error_field(err, "state", "jobs that have ended can't be changed");
    collect(b);
    return true;
}

static bool read_names(struct batch *b, const cJSON *names, struct error *err)
{
    const cJSON *item;
    int count = cJSON_GetArraySize(names);
    if (!cJSON_IsArray(names) || count < 1 || count > BATCH_NAMES_MAX)
        return error_field(err, "jobs", "jobs is a list of 1 to %d names or ids", BATCH_NAMES_MAX);
    cJSON_ArrayForEach(
        item, names) if (!cJSON_IsString(item) || !*item->valuestring ||
                         strlen(item->valuestring) >
                             SELECTOR_TEXT_MAX) return error_field(err, "jobs",
                                                                   "a job's name or id must be text");
    b->next_name = names->child;
    return true;
}

static bool read_batch(struct batch *b, struct error *err)
{
    const char *action = json_str(b->body, "action", "");
    const cJSON *update = json_get(b->body, "update"), *names = json_get(b->body, "jobs"),
                *select = json_get(b->body, "select");
    bool cancels = strcmp(action, "cancel") == 0;
    if (!cancels && strcmp(action, "update") != 0)
        return error_field(err, "action", "action is cancel or update, not \"%.40s\"", action);
    b->action = cancels ? BATCH_CANCEL : BATCH_UPDATE;
    if (cancels == (update != NULL))
        return error_field(err, "update", "update is needed by the action update alone");
    if (update && (!api_check_fields(update, JOB_UPDATE_FIELDS, err) ||
                   (!cJSON_GetArraySize(update) && !error_field(err, "update", "update changes nothing"))))
        return false;
    if ((names != NULL) == (select != NULL))
        return error_field(err, "select", "a batch has either jobs or select");
    b->before = (uint64_t)json_int(b->body, "before", (int64_t)b->daemon->jobs.next_id);
    if (!api_take_bool(b->body, "force", &b->force, err) ||
        !api_take_bool(b->body, "preview", &b->preview, err))
        return false;
    return names ? read_names(b, names, err) : read_select(b, select, err);
}

static bool admit(const struct daemon *d, uid_t uid, struct error *err)
{
    struct batch *b, *tmp;
    uint32_t own = 0, all = 0;
    list_for_each(b, tmp, &d->batches, link)
    {
        own += b->caller.uid == uid;
        all++;
    }
    if (own < BATCHES_OF_USER_MAX && all < BATCHES_MAX)
        return true;
    error_set(err, own < BATCHES_OF_USER_MAX ? ERROR_UNAVAILABLE : ERROR_LIMIT, "%u batches are under way%s",
              own < BATCHES_OF_USER_MAX ? all : own, own < BATCHES_OF_USER_MAX ? "" : " of yours");
    return error_hint(err, "try again when one has ended");
}

static void on_gone(struct http_request *req, void *data)
{
    (void)req;
    ((struct batch *)data)->req = NULL; /* what was asked for is done all the same */
}

void api_post_batch(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    struct batch *b = xcalloc(1, sizeof *b);
    b->daemon = d;
    b->req = req;
    b->which.principal = -1;
    b->body = api_body(req, BATCH_FIELDS);
    if (!b->body) {
        batch_destroy(b);
        return;
    }
    b->caller = api_caller(d, req);
    b->caller.name = b->name = xstrdup(b->caller.name);
    b->jobs = cJSON_CreateArray();
    b->refusals = cJSON_CreateArray();
    if (!admit(d, b->caller.uid, &err)) {
        http_respond_errors(req, err.code == ERROR_LIMIT ? 429 : 0, &err, NULL);
        batch_destroy(b);
        return;
    }
    if (!read_batch(b, &err) || (!b->preview && !engine_writable(d, &err))) {
        http_respond_error(req, &err);
        batch_destroy(b);
        return;
    }
    list_append(&d->batches, &b->link);
    http_request_on_gone(req, on_gone, b);
}
