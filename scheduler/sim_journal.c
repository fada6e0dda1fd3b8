/* Reads Berth's journal as a trace, in pages, newest first, through the reader that listings use. */
#include "scheduler/sim_journal.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "scheduler/inventory.h"
#include "scheduler/jobs.h"
#include "scheduler/journal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE_JOBS 10000 /* read at once; each page has the reader's time limit */

struct reading {
    struct trace *trace;
    uint64_t oldest; /* id, of those read */
    uint32_t count;  /* of the page at hand */
    struct error error;
};

char *sim_journal_folder(const char *path)
{
    static const char *const places[] = {"%s", "%s/journal"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        _cleanup_free_ char *folder = xasprintf(places[i], path);
        _cleanup_free_ char *file = xasprintf("%s/journal.sqlite", folder);
        if (access(file, F_OK) == 0)
            return take_ptr(folder);
    }
    return NULL;
}

bool sim_journal_is(const char *path)
{
    _cleanup_free_ char *folder = sim_journal_folder(path);
    return folder != NULL;
}

static bool take_request(const cJSON *fixed, struct trace_job *job)
{
    static const char *const priorities[] = {
        [TRACE_LOW] = "low", [TRACE_MEDIUM] = "medium", [TRACE_HIGH] = "high"};
    const cJSON *resources = json_get(fixed, "resources");
    int64_t cores = json_int(resources, "cores", 0), memory = json_int(resources, "memory_bytes", -1);
    int64_t tasks = json_int(resources, "instance_count", 1);
    const cJSON *gpus = json_get(resources, "gpus"); /* or a share of one */
    double gpu_milli = cJSON_IsNumber(gpus) ? gpus->valuedouble * RESOURCE_GPU_WHOLE : 0;
    const char *priority = json_str(fixed, "priority", "medium");
    if (cores < 1 || cores > TRACE_CPUS_MAX || memory < 0 || memory > (int64_t)TRACE_MEMORY_MAX_BYTES ||
        gpu_milli < 0 || gpu_milli > (double)TRACE_GPUS_MAX * RESOURCE_GPU_WHOLE || tasks < 1 ||
        tasks > TRACE_TASKS_MAX)
        return false;
    job->cpu_milli = (uint32_t)cores * 1000;
    job->memory_bytes = (uint64_t)memory;
    job->gpu_milli = (uint32_t)(gpu_milli + 0.5);
    job->tasks = (uint16_t)tasks;
    for (size_t i = 0; i < sizeof priorities / sizeof *priorities; i++) {
        if (strcmp(priorities[i], priority) == 0) {
            job->priority = (uint8_t)i;
            return true;
        }
    }
    return false;
}

static void take_job(void *data, const struct journal_job *row)
{
    struct reading *reading = data;
    struct error err = {0};
    struct trace *trace = reading->trace;
    reading->oldest = row->id;
    reading->count++;
    struct job *job = job_doc_read(row, &err);
    if (!job) {
        trace_bad_line(trace, "job", row->id, true, "%.100s", err.message);
        return;
    }
    _cleanup_json_ cJSON *fixed = json_parse(row->fixed, strlen(row->fixed), &err);
    struct trace_job out = {.id = row->id, .user = row->principal, .tasks = 1};
    if (job->array) {
        job_destroy(job); /* its elements have rows of their own */
        return;
    }
    if (!job->started_ms)
        trace->left_out++;
    else if (job->submitted_ms < 0 || job->started_ms < job->submitted_ms || job->ended_ms < job->started_ms)
        trace_bad_line(trace, "job", row->id, true, "its times are not in order");
    else if (!fixed || !take_request(fixed, &out))
        trace_bad_line(trace, "job", row->id, true, "its request can't be understood");
    else {
        out.submit_ms = (uint64_t)job->submitted_ms;
        out.run_ms = (uint64_t)(job->ended_ms - job->started_ms);
        out.limit_ms = job->time_limit_ms > 0 ? (uint64_t)job->time_limit_ms : 0;
        if (!reading->error.code)
            trace_add_job(trace, &out, &reading->error);
    }
    job_destroy(job);
}

static void take_node(void *data, const struct journal_node *row)
{
    struct reading *reading = data;
    struct error err = {0};
    _cleanup_json_ cJSON *doc = json_parse(row->doc, strlen(row->doc), &err);
    const cJSON *text = json_get(doc, "inventory");
    if (doc && (!text || cJSON_IsNull(text)))
        return; /* never said hello */
    struct inventory *inventory = doc ? inventory_parse(text, &err) : NULL;
    if (!inventory) {
        trace_bad_line(reading->trace, "node", row->id, true, "%.100s", err.message);
        return;
    }
    struct core_inventory *seen = inventory_for_core(inventory);
    struct trace_node node = {.cpu_milli = seen->core_count * 1000,
                              .memory_bytes = seen->memory_bytes,
                              .gpus = (uint16_t)seen->gpu_count};
    uint32_t model = 0;
    if (node.gpus && trace_model(reading->trace, "GPU", strlen("GPU"), &model))
        node.model = (uint8_t)model;
    if (!reading->error.code)
        trace_add_node(reading->trace, &node, &reading->error);
    free(seen);
    inventory_destroy(inventory);
}

static bool read_all(struct journal_reader *reader, struct reading *reading, struct error *err)
{
    struct journal_query query = {.principal = -1, .limit = PAGE_JOBS, .elements = true};
    if (!journal_read_nodes(reader, take_node, reading, err))
        return false;
    do {
        reading->count = 0;
        if (!journal_read_jobs(reader, &query, take_job, reading, err))
            return false;
        query.before = reading->oldest;
    } while (reading->count == PAGE_JOBS && !reading->error.code);
    if (reading->error.code && err)
        *err = reading->error;
    return !reading->error.code;
}

bool sim_journal_read(const char *path, struct trace *trace, struct error *err)
{
    struct reading reading = {.trace = trace};
    _cleanup_free_ char *folder = sim_journal_folder(path);
    if (!folder)
        return error_set(err, ERROR_NOT_FOUND, "there is no journal in %s", path);
    struct journal_reader *reader = journal_reader_open(folder, err);
    if (reader)
        journal_reader_patient(reader);
    bool ok = reader && read_all(reader, &reading, err);
    journal_reader_close(reader);
    if (!ok)
        return error_wrap(err, "%s", path);
    trace_sort(trace);
    uint64_t first_ms = trace->job_count ? trace->jobs[0].submit_ms : 0;
    for (uint32_t i = 0; i < trace->job_count; i++)
        trace->jobs[i].submit_ms -= first_ms;
    return true;
}
