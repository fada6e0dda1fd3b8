/* The handlers of the routes, and what they share. The tables are in routes.c. */
#ifndef BERTH_SCHEDULER_API_H
#define BERTH_SCHEDULER_API_H

#include "scheduler/daemon.h"

#define API_BLOBS_MISSING_MAX 100000
#define API_BODY_VALUES_MAX (1 << 18)  /* values of a JSON body: texts, numbers, lists, mappings */
#define API_JOB_MAX_BYTES (2ULL << 20) /* of a job file as it is posted: JOB_FILE_MAX_BYTES */
#define API_BLOB_MAX_BYTES (64ULL << 30)
#define API_STDIN_MAX_BYTES (64 << 10)
#define API_SECONDS_MAX (INT64_C(10) * 366 * 86400)

/* Who asks. */
struct caller {
    uid_t uid;
    const char *name;   /* valid as long as the request */
    uint32_t principal; /* 0: has never submitted */
    bool admin;
};

struct caller api_caller(struct daemon *d, const struct http_request *req);
/* The job of the first {word}. NULL after an error answer. */
struct job *api_job(struct daemon *d, struct http_request *req);
/* The caller owns the job or is an administrator. */
bool api_owns(const struct caller *caller, const struct job *job);
/* JOB_OBJECT_PRIVATE where the one who asks may see all of the job's object, else 0. */
unsigned api_object_parts(struct daemon *d, const struct http_request *req, const struct job *job);
/* "only zed or an administrator may cancel job big". Returns false. */
bool api_refuse_others(const struct daemon *d, const struct job *job, const char *what, struct error *err);
/* As api_job, and the caller owns it or is an administrator. `what` says what was asked for ("cancel"). */
struct job *api_own_job(struct daemon *d, struct http_request *req, const char *what);
/* False after an error answer: the job is an array, of whose elements each has its own `what`. */
bool api_need_element(struct http_request *req, const struct job *job, const char *what);
/* False after an error answer: only an administrator may do `what`. */
bool api_need_admin(struct daemon *d, struct http_request *req, const char *what);
/* Looks up those of the names (a string or a list of them) that are no principals yet, off the loop. True:
 * all are known or known not to be. False: `handle` is called again when they are, with the same request. */
bool api_look_up_users(struct daemon *d, struct http_request *req, const cJSON *names,
                       void (*handle)(struct http_request *req, void *context));
/* Somebody whom Berth knows, or this machine does (api_look_up_users came before): rules may be there before
 * their first job. False with an error about `field`. */
bool api_find_user(struct daemon *d, const char *name, const char *field, uint32_t *id, struct error *err);
/* The same for one Unix group. */
bool api_look_up_group(struct daemon *d, struct http_request *req, const char *name,
                       void (*handle)(struct http_request *req, void *context));
/* Whether the machine has it (api_look_up_group came before). False with an error about `field`. */
bool api_find_group(const struct daemon *d, const char *name, const char *field, struct error *err);
/* The JSON object of the body, or NULL after an error answer. An empty body is an empty object. `fields`: the
 * names that it may have, separated by blanks. The caller deletes it. */
cJSON *api_body(struct http_request *req, const char *fields);
/* Refuses fields that are not in `fields`. */
bool api_check_fields(const cJSON *object, const char *fields, struct error *err);
bool api_sha_valid(const char *sha);
/* api_fields.c: members of a body; an absent one leaves *out as it is. A number of seconds, to milliseconds;
 * a bool; a whole number from -max to max. */
bool api_take_seconds(const cJSON *body, const char *field, uint64_t *ms, struct error *err);
bool api_take_bool(const cJSON *body, const char *field, bool *out, struct error *err);
bool api_take_count(const cJSON *body, const char *field, int64_t max, int64_t *out, struct error *err);

/* people */
void api_get_version(struct http_request *req, void *context);
void api_post_shutdown(struct http_request *req, void *context);
void api_post_job(struct http_request *req, void *context);
void api_get_jobs(struct http_request *req, void *context);
void api_post_batch(struct http_request *req, void *context);
void api_get_job(struct http_request *req, void *context);
void api_get_wait(struct http_request *req, void *context);
void api_get_why(struct http_request *req, void *context);
void api_post_cancel(struct http_request *req, void *context);
void api_get_logs(struct http_request *req, void *context);
void api_post_stdin(struct http_request *req, void *context);
void api_post_resize(struct http_request *req, void *context);
void api_post_signal(struct http_request *req, void *context);
void api_get_outputs(struct http_request *req, void *context);
void api_get_output_file(struct http_request *req, void *context);
void api_post_blobs_missing(struct http_request *req, void *context);
void api_put_blob(struct http_request *req, void *context);
void api_blob_piece(struct http_request *req, void *context, const char *bytes, size_t n);
void api_blob_dropped(struct http_request *req, void *context);
void api_get_nodes(struct http_request *req, void *context);
void api_get_claims(struct http_request *req, void *context);
void api_post_node(struct http_request *req, void *context);
void api_get_policy(struct http_request *req, void *context);
void api_get_quotas(struct http_request *req, void *context);
void api_post_quota(struct http_request *req, void *context);
void api_get_licences(struct http_request *req, void *context);
void api_post_licence(struct http_request *req, void *context);
void api_get_reservations(struct http_request *req, void *context);
void api_post_reservation(struct http_request *req, void *context);
void api_post_policy(struct http_request *req, void *context);
void api_post_update(struct http_request *req, void *context);
void api_post_node_use(struct http_request *req, void *context);
void api_post_node_update(struct http_request *req, void *context);
void api_get_sizes(struct http_request *req, void *context);
void api_post_size(struct http_request *req, void *context);
void api_post_size_update(struct http_request *req, void *context);
void api_post_size_delete(struct http_request *req, void *context);
void api_get_audit(struct http_request *req, void *context);
void api_get_shares(struct http_request *req, void *context);
void api_post_shares(struct http_request *req, void *context);
void api_get_families(struct http_request *req, void *context);
void api_post_family(struct http_request *req, void *context);
void api_get_workspaces(struct http_request *req, void *context);
void api_post_workspace(struct http_request *req, void *context);
void api_post_workspace_update(struct http_request *req, void *context);
void api_post_workspace_delete(struct http_request *req, void *context);
void api_get_requests(struct http_request *req, void *context);
void api_post_request(struct http_request *req, void *context);
void api_post_request_decision(struct http_request *req, void *context);

void api_get_storage(struct http_request *req, void *context);
void api_post_storage(struct http_request *req, void *context);
void api_post_results_delete(struct http_request *req, void *context);

/* nodes */
void node_post_hello(struct http_request *req, void *context);
void node_get_stream(struct http_request *req, void *context);
void node_post_events(struct http_request *req, void *context);
void node_get_blob(struct http_request *req, void *context);
/* Whether an event is well formed. id->job.v is 0 where it names no task. */
bool events_check_form(const cJSON *event, struct task_id *id, struct error *err);
bool node_check_session(struct node *node, const char *session, struct error *err);
void node_stream_acked(struct node *node, uint64_t seq);
void node_drop_covered(struct node *node);
void node_forget_blobs(struct node *node, uint64_t job);

#endif
