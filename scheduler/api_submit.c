/* POST /v1/jobs: checked, given its defaults and its name, handed to the core; answered when it is durable.
 */
#include "scheduler/api.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "scheduler/abilities.h"
#include "scheduler/approval.h"
#include "scheduler/audit.h"
#include "scheduler/authority.h"
#include "scheduler/arrays.h"
#include "scheduler/dependency.h"
#include "scheduler/engine.h"
#include "scheduler/job_inputs.h"
#include "scheduler/job_names.h"
#include "scheduler/hardware.h"
#include "scheduler/storage.h"
#include "scheduler/submit.h"
#include "scheduler/submit_code.h"
#include "scheduler/submit_life.h"

#include <stdlib.h>
#include <string.h>

static void refuse_spec(struct http_request *req, const struct job_spec_problems *problems,
                        const struct error *err)
{
    cJSON *errors = NULL;
    if (problems->count > 1) {
        errors = cJSON_CreateArray();
        for (size_t i = 0; i < problems->count; i++) {
            cJSON *o = cJSON_CreateObject();
            json_add_str(o, "field", problems->items[i].field);
            json_add_str(o, "message", problems->items[i].message);
            cJSON_AddItemToArray(errors, o);
        }
    }
    http_respond_errors(req, 0, err, errors);
}

static struct job_spec *read_spec(struct http_request *req, cJSON **file)
{
    struct error err = {0};
    struct job_spec_problems problems = {0};
    size_t n;
    const char *text = http_request_body(req, &n);
    *file = json_parse_bounded(text, n, JOB_FILE_VALUES_MAX, &err);
    struct job_spec *spec = *file ? job_spec_parse(*file, &problems, &err) : NULL;
    if (!spec)
        refuse_spec(req, &problems, &err);
    job_spec_problems_finish(&problems);
    return spec;
}

static bool is_at_or_below(const char *path, const char *directory)
{
    size_t n = strlen(directory);
    return strncmp(path, directory, n) == 0 && (!path[n] || path[n] == '/' || (n && directory[n - 1] == '/'));
}

/* A task sees nothing of the state directory, so that code above or below it can't stand where it was. */
static bool code_spares_state(const struct daemon *d, const struct job_spec *spec, struct error *err)
{
    const char *state = d->options.state_dir, *code = spec->live_path ? spec->live_path : spec->code_path;
    if (spec->live_path && spec->code_manifest)
        return error_field(err, "submission.live", "a live job has no snapshot: leave submission.code out");
    if (spec->live && !spec->live_path) {
        error_field(err, "live", "the directory is missing: submission.live.path");
        return error_hint(err, "berth run --live sends it");
    }
    if (!code || ((spec->live_path || !is_at_or_below(state, code)) && !is_at_or_below(code, state)))
        return true;
    error_field(err, "submission.code.path",
                "the code directory %.200s holds Berth's state (%.200s), which "
                "no job sees",
                code, state);
    return error_hint(err,
                      "submit from another directory, such as one below it, or with --code DIR or --no-code");
}

static bool check(struct daemon *d, uint32_t principal, const struct job_spec *spec, const cJSON *file,
                  struct error *err)
{
    if (!engine_writable(d, err) || !jobs_admit(&d->jobs, principal, json_size(file), err) ||
        !storage_admit(d, 0, err) || !shares_admit_job(d, principal, err))
        return false;
    if (d->leaving)
        return error_set(err, ERROR_UNAVAILABLE, "the scheduler is shutting down");
    if (!code_spares_state(d, spec, err))
        return false;
    const struct job *live = spec->name ? job_names_live(&d->jobs, principal, spec->name) : NULL;
    if (live) {
        error_set(err, ERROR_EXISTS, "your job %s (%llu) has not ended: %s", live->name,
                  (unsigned long long)live->id, job_state_name(live->state));
        snprintf(err->field, sizeof err->field, "name");
        return error_hint(err, "wait until it has ended, choose another name, or leave it out");
    }
    return true;
}

static struct job *make_job(struct daemon *d, const struct http_request *req, struct job_spec *spec,
                            const cJSON *file, const struct submit_resources *resources,
                            const struct submit_names *names)
{
    char made[64];
    uint64_t id = d->jobs.next_id;
    d->jobs.next_id += 1 + spec->array.count; /* elements have the numbers behind their array's */
    struct caller caller = api_caller(d, req);
    uint32_t principal = principals_ensure(&d->principals, d->journal, caller.name);
    if (!spec->name)
        jobs_make_name(&d->jobs, principal, id, made);
    struct job *job = job_create(id, spec->name ? spec->name : made);
    job->principal = principal;
    job->number = job_names_next(d, principal, job->name);
    job->request = xstrdup(http_request_query(req, "request"));
    job->submitted_ms = clock_wall_ms();
    job->uid = caller.uid;
    job->file_bytes = (uint32_t)json_size(file); /* at most JOB_FILE_MAX_BYTES */
    job->time_limit_ms = spec->time_limit_ms;
    job->grace_ms = spec->grace_ms;
    job->wants_stdin = spec->wants_stdin;
    job->split_streams = spec->split_streams;
    job->distributed = spec->distributed;
    job->processes = (uint32_t)spec->processes_per_instance;
    job->state = JOB_NOT_STARTED;
    if (spec->code_manifest)
        snprintf(job->manifest, sizeof job->manifest, "%s", spec->code_manifest);
    job->fixed = submit_fixed(spec, file, job->name, caller.name, resources, names);
    job->workspace = names->workspace;
    if (spec->array.count)
        job->array = arrays_create(&spec->array);
    return job;
}

/* The answer said that nothing was submitted: so it must not run when the disk has room again. */
static void undo_submit(struct daemon *d, uint64_t id)
{
    struct job *job = jobs_get(&d->jobs, id);
    if (!job || job_is_final(job))
        return;
    job_names_forget_request(&d->jobs, job); /* the same submission may come again */
    jobs_touch(&d->jobs, job);
    free(job->cause_text);
    job->cause_text =
        xstrdup("its submission could not be acknowledged, since the journal could not be written");
    engine_step(
        d, &(struct core_event){.kind = CORE_EVENT_JOB_CANCEL, .as.cancel = {.job = {id}, .force = true}},
        NULL);
}

static const struct core_decision *refusal_of(const struct core_decisions *decisions, uint64_t id)
{
    for (uint32_t i = 0; i < decisions->count; i++)
        if (decisions->v[i].kind == CORE_DECISION_JOB_REFUSED && decisions->v[i].as.refused.job.v == id)
            return &decisions->v[i];
    return NULL;
}

/* The jobs that it waits for. Only those that exist can be named, so no circle can come about. */
static bool add_dependencies(struct daemon *d, const struct job_spec *spec, const struct submit_names *names,
                             struct core_submit *out, struct error *err)
{
    static const enum core_dependency kinds[] = {[JOB_AFTER_START] = CORE_AFTER_START,
                                                 [JOB_AFTER_SUCCESS] = CORE_AFTER_SUCCESS,
                                                 [JOB_AFTER_FAILURE] = CORE_AFTER_FAILURE,
                                                 [JOB_AFTER_END] = CORE_AFTER_END};
    for (size_t i = 0; i < spec->after_count; i++) {
        const struct job *other = jobs_find_id(&d->jobs, d->reader, names->after[i]);
        if (!other)
            return error_field(err, "after", "it can't wait for %s: there is no such job",
                               spec->after[i].job);
        out->dependencies[i].job.v = other->id;
        out->dependencies[i].kind = kinds[spec->after[i].kind];
        /* of a job that lives it isn't read, but has to be a final state */
        out->dependencies[i].ended = job_is_final(other) ? other->state : JOB_COMPLETED;
    }
    out->dependency_count = (uint32_t)spec->after_count;
    return true;
}

static bool add_reservation(const struct daemon *d, const struct job_spec *spec, struct core_submit *out,
                            struct error *err)
{
    if (!spec->reservation || names_find(d, NAME_RESERVATION, spec->reservation, &out->reservation))
        return true;
    error_field(err, "reservation", "there is no reservation %.64s", spec->reservation);
    return error_hint(err, "berth reserve list");
}

static void add_rules(const struct job *job, const struct job_spec *spec, struct core_submit *out)
{
    out->preemptible = spec->preemptible;
    out->held = spec->held;
    out->begin_ms = spec->begin_after_ms ? (uint64_t)(job->submitted_ms + spec->begin_after_ms)
                                         : (uint64_t)spec->begin_ms;
    out->retries = (uint32_t)spec->retry.count;
    out->retry_kinds = spec->retry.kinds;
    memcpy(out->retry_codes, spec->retry.codes, sizeof out->retry_codes);
    out->retry_wait_ms = (uint64_t)spec->retry.wait_ms;
    if (job->array) {
        out->array_count = job->array->indices.count;
        out->array_limit = job->array->limit;
    }
}

_Static_assert(API_JOB_MAX_BYTES == JOB_FILE_MAX_BYTES, "what may be posted may be launched");
_Static_assert(JOB_AFTER_MAX <= CORE_DEPENDENCIES_MAX && JOB_RETRIES_MAX <= CORE_RETRIES_MAX &&
                   JOB_RETRY_CODES_MAX == CORE_RETRY_CODES_MAX && JOB_INSTANCES_MAX <= CORE_INSTANCES_MAX &&
                   JOB_GPU_WHOLE == RESOURCE_GPU_WHOLE && ARRAY_ELEMENTS_MAX <= CORE_ARRAY_MAX,
               "a job file that is taken fits the core");

static bool submit(struct daemon *d, struct job *job, const struct caller *caller,
                   const struct job_spec *spec, const struct submit_resources *resources,
                   const struct submit_names *names, struct error *err)
{
    static const enum priority_class classes[] = {[JOB_PRIORITY_LOW] = PRIORITY_LOW,
                                                  [JOB_PRIORITY_MEDIUM] = PRIORITY_MEDIUM,
                                                  [JOB_PRIORITY_HIGH] = PRIORITY_HIGH};
    struct core_event event = {.kind = CORE_EVENT_JOB_SUBMIT,
                               .as.submit = {.job = {job->id},
                                             .principal = {job->principal},
                                             .seq = job->id,
                                             .priority_class = classes[spec->priority],
                                             .request = resources->request,
                                             .time_limit_ms = (uint64_t)spec->time_limit_ms,
                                             .grace_ms = (uint32_t)spec->grace_ms,
                                             .instance_count = (uint32_t)spec->instance_count,
                                             .on_node_loss = CORE_LOSS_WAIT,
                                             .workspace = names->workspace,
                                             .family = names->family}};
    event.as.submit.by_operator = caller->admin;
    add_rules(job, spec, &event.as.submit);
    if (!add_dependencies(d, spec, names, &event.as.submit, err) ||
        !submit_life(d, spec, resources, &event.as.submit, err) ||
        !add_reservation(d, spec, &event.as.submit, err))
        return false;
    if (!engine_step(d, &event, err))
        return false;
    const struct core_decision *refusal = refusal_of(d->decisions, job->id);
    if (refusal) {
        submit_refusal(refusal, err);
        submit_refusal_by_name(d, event.as.submit.principal, spec, names, refusal, &resources->request, err);
        return false;
    }
    return true;
}

/* True, after the answer: the submission has come before, and its answer was lost. */
static bool came_before(struct daemon *d, struct http_request *req)
{
    const char *request = http_request_query(req, "request");
    struct job *job = request ? job_names_requested(d, api_caller(d, req).principal, request) : NULL;
    if (!job)
        return false;
    struct buf body = {0};
    engine_look(d, job);
    job_object_write(job, JOB_OBJECT_SHORT | JOB_OBJECT_PRIVATE, NULL, &body);
    engine_answer(d, req, 200, buf_take(&body), NULL, 0);
    return true;
}

/* What it asks for; nothing of what it runs. */
static void audit_submit(struct daemon *d, const struct caller *caller, const struct job *job)
{
    static const char *const shown[] = {"resources", "priority", "workspace", "time_limit_s"};
    struct error ignored = {0};
    _cleanup_json_ cJSON *fixed = json_parse(job->fixed, strlen(job->fixed), &ignored);
    cJSON *after = cJSON_CreateObject();
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        if (json_get(fixed, shown[i]))
            cJSON_AddItemToObject(after, shown[i], cJSON_Duplicate(json_get(fixed, shown[i]), true));
    if (job->array)
        json_add_int(after, "array", job->array->indices.count);
    audit_add_job(d, caller, "submit", job, NULL, after);
}

/* It is accepted all the same: what is missing may come. */
static void note_missing(const struct daemon *d, uint64_t labels, cJSON *notes)
{
    bool known = false;
    for (uint32_t i = 0; i < d->nodes.count; i++) {
        const struct node *node = d->nodes.items[i];
        known = known || node->inventory;
        if (node->inventory && !(labels & RESOURCE_ABILITIES & ~node->abilities))
            return;
    }
    if (!known) /* nobody has said yet what there is */
        return;
    _cleanup_free_ char *text =
        xasprintf("no node has %s that works: the job waits until one has; fix: apt-get "
                  "install crun there, or submit it with --runtime process",
                  abilities_words(labels));
    cJSON_AddItemToArray(notes, cJSON_CreateString(text));
}

/* Takes spec. */
static void go_on(struct daemon *d, struct http_request *req, struct job_spec *spec, const cJSON *file)
{
    struct error err = {0};
    struct submit_names names = {0};
    if (came_before(d, req)) {
        job_spec_destroy(spec);
        return;
    }
    _cleanup_json_ cJSON *extra = cJSON_CreateObject();
    cJSON *notes = cJSON_AddArrayToObject(extra, "submit_notes");
    struct caller caller = api_caller(d, req);
    if (!check(d, caller.principal, spec, file, &err) || !submit_take_names(d, spec, &names, &err) ||
        (!caller.admin && !workspace_admits(d, names.workspace, caller.principal, &err)) ||
        !dependency_find(d, caller.principal, spec, names.after, &err) ||
        !job_continues_find(d, caller.principal, spec, names.after, &names.continues, &err) ||
        !job_inputs_find(d, caller.principal, spec, names.after, &names.inputs, &err) ||
        !authority_fit(d, &caller, names.workspace, spec, notes, &err)) {
        free(names.inputs);
        job_spec_destroy(spec);
        http_respond_error(req, &err);
        return;
    }
    struct submit_resources resources;
    struct node_table nodes; /* its share is measured on one that would do */
    hardware_nodes(d, names.gpu_models, names.labels, &nodes);
    submit_fill_resources(nodes.count ? &nodes : &d->nodes, spec, &resources);
    free(nodes.items);
    resources.fence_after_ms = submit_fence_ms(d, spec);
    resources.request.gpu_models = names.gpu_models;
    resources.request.labels = names.labels | abilities_of_job(spec);
    note_missing(d, resources.request.labels, notes);
    struct job *job = make_job(d, req, spec, file, &resources, &names);
    uint64_t id = job->id;
    free(take_ptr(names.inputs));
    FAULT("submit.before_step");
    jobs_add(&d->jobs, job);
    bool ok = submit(d, job, &caller, spec, &resources, &names, &err);
    job_spec_destroy(spec);
    if (!ok) {
        jobs_remove(&d->jobs, job);
        http_respond_error(req, &err);
        return;
    }
    job_names_supersede(&d->jobs, job);
    _cleanup_free_ char *text = json_text(file);
    journal_add_spec(d->journal, id, text);
    const cJSON *note;
    cJSON_ArrayForEach(note, notes) job_note(job, job->submitted_ms, note->valuestring);
    jobs_touch(&d->jobs, job);
    audit_submit(d, &caller, job);
    weights_note(d, caller.principal);
    struct buf body = {0};
    _cleanup_free_ char *approval = approval_missing(d, id), *words = json_text(notes);
    _cleanup_free_ char *more =
        xasprintf("\"submit_notes\":%s%s%s", words, approval ? "," : "", approval ? approval : "");
    engine_look(d, job);
    job_object_write(job, JOB_OBJECT_SHORT | JOB_OBJECT_PRIVATE, more, &body);
    engine_answer(d, req, 201, buf_take(&body), undo_submit, id);
}

/* A submission whose code is being looked at. */
struct submission {
    struct daemon *daemon;
    struct http_request *req;
    struct job_spec *spec;
    cJSON *file;
};

static void code_checked(void *data, const struct error *why)
{
    struct submission *s = data;
    if (why) {
        http_respond_error(s->req, why);
        job_spec_destroy(s->spec);
    } else {
        go_on(s->daemon, s->req, s->spec, s->file);
    }
    cJSON_Delete(s->file);
    free(s);
}

void api_post_job(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    _cleanup_json_ cJSON *file = NULL;
    const char *request = http_request_query(req, "request");
    if (request && !job_request_valid(request, &err)) {
        http_respond_error(req, &err);
        return;
    }
    struct job_spec *spec = came_before(d, req) ? NULL : read_spec(req, &file);
    if (!spec)
        return;
    uint32_t principal = api_caller(d, req).principal;
    if (!spec->code_manifest || owners_checked(&d->owners, principal, spec->code_manifest)) {
        go_on(d, req, spec, file);
        return;
    }
    if (!check(d, principal, spec, file, &err)) {
        job_spec_destroy(spec);
        http_respond_error(req, &err);
        return;
    }
    struct submission *s = xcalloc(1, sizeof *s);
    *s = (struct submission){d, req, spec, take_ptr(file)};
    submit_check_code(d, principal, spec->code_manifest, code_checked, s);
}
