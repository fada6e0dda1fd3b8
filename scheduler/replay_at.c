/* A moment of the kept journal: what waited, what ran, what was free. Names come from the journal's tables.
 */
#include "scheduler/replay.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/map.h"
#include "proto/json.h"
#include "proto/units.h"
#include "scheduler/jobs.h"
#include "scheduler/kept.h"

#include <stdlib.h>
#include <string.h>

#define NODES_NAMED 4 /* of a job, in the table; JSON has all */

struct moment {
    struct journal_reader *reader;
    struct core *core;
    struct kept_report report;
    uint64_t at_ms;
    struct map principals, nodes; /* id -> owned name */
    cJSON *o;                     /* the whole answer; the table is made of it */
};

static void name_principal(void *data, uint32_t id, const char *name)
{
    struct moment *m = data;
    free(map_put_num(&m->principals, id, xstrdup(name)));
}

static void name_node(void *data, const struct journal_node *row)
{
    struct moment *m = data;
    free(map_put_num(&m->nodes, row->id, xstrdup(row->name)));
}

static void take_name(void *data, const struct journal_job *row)
{
    free(*(char **)data);
    *(char **)data = xstrdup(row->name);
}

static void add_job_name(const struct moment *m, cJSON *o, uint64_t id)
{
    _cleanup_free_ char *name = NULL;
    struct error none = {0};
    (void)journal_read_job(m->reader, id, take_name, &name, &none);
    json_add_str(o, "name", name);
}

/* ---- jobs ---- */

static void add_nodes_of(const struct moment *m, cJSON *o, const struct core_job_view *view)
{
    struct task_id tasks[CORE_INSTANCES_MAX];
    cJSON *nodes = cJSON_AddArrayToObject(o, "nodes");
    uint32_t count = core_job_tasks(m->core, view->job, tasks, CORE_INSTANCES_MAX);
    for (uint32_t i = 0; i < count && i < CORE_INSTANCES_MAX; i++) {
        struct core_task_view task;
        if (tasks[i].attempt != view->attempt || !core_task_get(m->core, tasks[i], &task) || task.released)
            continue;
        const char *name = map_get_num(&m->nodes, task.node.v);
        cJSON_AddItemToArray(nodes, cJSON_CreateString(name ? name : "?"));
    }
}

static cJSON *job_object(const struct moment *m, const struct core_job_view *view)
{
    static const char *const words[PRIORITY_CLASS_COUNT] = {
        [PRIORITY_LOW] = "low", [PRIORITY_MEDIUM] = "medium", [PRIORITY_HIGH] = "high"};
    cJSON *o = cJSON_CreateObject();
    struct job job = {.state = view->state, .reason = view->reason};
    json_add_int(o, "id", (int64_t)view->job.v);
    add_job_name(m, o, view->job.v);
    json_add_str(o, "principal", map_get_num(&m->principals, view->principal.v));
    json_add_str(o, "state", job_state_name(view->state));
    json_add_str(o, "reason", job_reason_text(&job));
    json_add_str(o, "priority", words[view->priority_class]);
    if (view->request.cpus)
        json_add_int(o, "cpus", view->request.cpus);
    else
        json_add_int(o, "cores", view->request.cores);
    json_add_int(o, "memory_bytes", (int64_t)view->request.memory_bytes);
    cJSON_AddNumberToObject(o, "gpus", (double)view->request.gpu_milli / RESOURCE_GPU_WHOLE);
    json_add_int(o, "instance_count", view->instance_count);
    json_add_int(o, "attempt", view->attempt);
    json_add_int(o, "submitted_ms", (int64_t)view->submitted_ms);
    json_add_int(o, "since_ms", (int64_t)view->state_since_ms);
    if (view->promised_ms)
        json_add_int(o, "promised_start_ms", (int64_t)view->promised_ms);
    else
        cJSON_AddNullToObject(o, "promised_start_ms");
    add_nodes_of(m, o, view);
    return o;
}

static int by_id(const void *a, const void *b)
{
    const struct core_job_view *x = a, *y = b;
    return x->job.v < y->job.v ? -1 : x->job.v > y->job.v;
}

static void add_jobs(struct moment *m)
{
    struct core_counts counts;
    struct core_job_view *views;
    uint32_t cursor = 0, count = 0;
    cJSON *queued = cJSON_AddArrayToObject(m->o, "queued"),
          *running = cJSON_AddArrayToObject(m->o, "running");
    core_count(m->core, &counts);
    views = xcalloc(counts.jobs ? counts.jobs : 1, sizeof *views);
    while (count < counts.jobs && core_job_next(m->core, &cursor, &views[count]))
        count++;
    qsort(views, count, sizeof *views, by_id);
    for (uint32_t i = 0; i < count; i++) {
        if (job_state_is_final(views[i].state))
            continue; /* it only waits for the node to clean up */
        cJSON_AddItemToArray(views[i].state == JOB_QUEUED ? queued : running, job_object(m, &views[i]));
    }
    free(views);
}

/* ---- nodes ---- */

static cJSON *amounts_object(const struct core_amounts *a)
{
    cJSON *o = cJSON_CreateObject();
    json_add_int(o, "cores", a->cores);
    json_add_int(o, "cpus", a->cpus);
    json_add_int(o, "memory_bytes", (int64_t)a->memory_bytes);
    cJSON_AddNumberToObject(o, "gpus", (double)a->gpu_milli / RESOURCE_GPU_WHOLE);
    return o;
}

static void add_nodes(struct moment *m)
{
    struct core_node_view view;
    cJSON *nodes = cJSON_AddArrayToObject(m->o, "nodes");
    for (uint32_t cursor = 0; core_node_next(m->core, &cursor, &view);) {
        cJSON *o = cJSON_CreateObject();
        const char *name = map_get_num(&m->nodes, view.node.v);
        json_add_str(o, "name", name ? name : "?");
        json_add_str(o, "state", view.lost ? "lost" : !view.up ? "down" : view.draining ? "draining" : "up");
        json_add_int(o, "tasks", view.task_count);
        cJSON_AddItemToObject(o, "free", amounts_object(&view.free));
        cJSON_AddItemToObject(o, "total", amounts_object(&view.total));
        cJSON_AddItemToArray(nodes, o);
    }
}

/* ---- as a table ---- */

/* Names are other people's text: what could steer a terminal is shown as "?". */
static void add_text(struct buf *out, const char *text, int width)
{
    int used = 0;
    for (const char *p = text; *p; p++, used++)
        buf_add_char(out, (unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p);
    buf_printf(out, "%*s ", used < width ? width - used : 0, "");
}

static void add_job_line(struct buf *out, const cJSON *job)
{
    char id[24], when[32];
    const cJSON *nodes = json_get(job, "nodes"), *node;
    int listed = 0;
    snprintf(id, sizeof id, "%lld", (long long)json_int(job, "id", 0));
    add_text(out, id, 7);
    add_text(out, json_str(job, "name", "?"), 20);
    add_text(out, json_str(job, "principal", "?"), 10);
    add_text(out, json_str(job, "state", "?"), 13);
    buf_printf(out, "%s ", replay_time((uint64_t)json_int(job, "since_ms", 0), when));
    add_text(out, json_str(job, "reason", ""), 0);
    cJSON_ArrayForEach(node, nodes)
    {
        if (listed++ < NODES_NAMED)
            add_text(out, cJSON_IsString(node) ? node->valuestring : "?", 0);
    }
    if (listed > NODES_NAMED)
        buf_printf(out, "and %d more", listed - NODES_NAMED);
    while (out->len && out->data[out->len - 1] == ' ')
        out->data[--out->len] = '\0';
    buf_add_char(out, '\n');
}

static void add_list(struct buf *out, const char *title, const cJSON *jobs)
{
    const cJSON *job;
    int count = cJSON_GetArraySize(jobs);
    buf_printf(out, "\n%s: %d\n", title, count);
    if (count)
        buf_printf(out, "%-7s %-20s %-10s %-13s %-19s %s\n", "ID", "NAME", "USER", "STATE", "SINCE",
                   "WHY, WHERE");
    cJSON_ArrayForEach(job, jobs) add_job_line(out, job);
}

static void add_pair(struct buf *out, const cJSON *node, const char *field, int width)
{
    char text[48];
    snprintf(text, sizeof text, "%.10g/%.10g", cJSON_GetNumberValue(json_get(json_get(node, "free"), field)),
             cJSON_GetNumberValue(json_get(json_get(node, "total"), field)));
    buf_printf(out, "%*s ", width, text);
}

static void write_table(const struct moment *m, struct buf *out)
{
    char at[32], last[32], free_bytes[32], total_bytes[32], memory[72];
    const cJSON *node;
    buf_printf(out, "%s, after row %llu (%s), policy %s\n", replay_time(m->at_ms, at),
               (unsigned long long)m->report.last_row, replay_time(core_now(m->core), last),
               json_str(m->o, "policy", "?"));
    add_list(out, "running", json_get(m->o, "running"));
    add_list(out, "waiting", json_get(m->o, "queued"));
    buf_printf(out, "\n%-20s %-9s %12s %15s %9s\n", "NODE, free of all", "STATE", "CORES", "MEMORY", "GPUS");
    cJSON_ArrayForEach(node, json_get(m->o, "nodes"))
    {
        units_format_bytes(json_int(json_get(node, "free"), "memory_bytes", 0), free_bytes);
        units_format_bytes(json_int(json_get(node, "total"), "memory_bytes", 0), total_bytes);
        snprintf(memory, sizeof memory, "%s/%s", free_bytes, total_bytes);
        add_text(out, json_str(node, "name", "?"), 20);
        add_text(out, json_str(node, "state", "?"), 9);
        add_pair(out, node, "cores", 12);
        buf_printf(out, "%15s ", memory);
        add_pair(out, node, "gpus", 9);
        out->data[--out->len] = '\0';
        buf_add_char(out, '\n');
    }
}

/* ---- all of it ---- */

static void look(struct moment *m)
{
    struct core_config config;
    core_config_get(m->core, &config);
    m->o = cJSON_CreateObject();
    json_add_int(m->o, "at_ms", (int64_t)m->at_ms);
    json_add_int(m->o, "row", (int64_t)m->report.last_row);
    json_add_int(m->o, "row_ms", (int64_t)core_now(m->core));
    json_add_str(m->o, "policy", core_policy_name(config.policy));
    add_jobs(m);
    add_nodes(m);
}

bool replay_moment(struct journal_reader *r, uint64_t at_ms, bool json, struct buf *out, struct error *err)
{
    struct moment m = {.reader = r, .at_ms = at_ms};
    m.core = kept_moment(r, at_ms, &m.report, err);
    bool ok = m.core && journal_read_principals(r, name_principal, &m, err) &&
              journal_read_nodes(r, name_node, &m, err);
    if (ok) {
        look(&m);
        if (json) {
            json_write(m.o, out);
            buf_add_char(out, '\n');
        } else {
            write_table(&m, out);
        }
    }
    cJSON_Delete(m.o);
    core_destroy(m.core);
    map_finish_free(&m.principals);
    map_finish_free(&m.nodes);
    return ok;
}
