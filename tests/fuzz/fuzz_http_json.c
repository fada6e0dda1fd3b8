/*
 * libFuzzer: bytes as they come over HTTP into the parsing layer. The first byte picks who reads the rest: a
 * job file (POST /v1/jobs), events and inventory (node protocol), and what the journal gives back (rows, job
 * records). Nothing may crash, leak, or make an event that the core would refuse.
 */
#include "base/alloc.h"
#include "base/log.h"
#include "scheduler/api.h"
#include "scheduler/core/row.h"
#include "scheduler/inventory.h"
#include "scheduler/submit.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_job_file(const char *text, size_t n)
{
    struct error err = {0};
    struct job_spec_problems problems = {0};
    struct node_table nodes = {0};
    struct submit_resources resources;
    struct submit_names names = {0};
    cJSON *file = json_parse(text, n, &err);
    struct job_spec *spec = file ? job_spec_parse(file, &problems, &err) : NULL;
    if (spec) {
        submit_fill_resources(&nodes, spec, &resources);
        char *fixed = submit_fixed(spec, file, "name", "alice", &resources, &names);
        cJSON *again = json_parse(fixed, strlen(fixed), &err);
        if (!again)
            abort(); /* what goes into the journal must be readable */
        cJSON_Delete(again);
        struct core_event event = {.kind = CORE_EVENT_JOB_SUBMIT,
                                   .as.submit = {.job = {1},
                                                 .principal = {1},
                                                 .seq = 1,
                                                 .priority_class = (enum priority_class)spec->priority,
                                                 .request = resources.request,
                                                 .time_limit_ms = (uint64_t)spec->time_limit_ms,
                                                 .grace_ms = (uint32_t)spec->grace_ms,
                                                 .instance_count = (uint32_t)spec->instance_count}};
        if (core_event_check(&event))
            abort();
        free(fixed);
    }
    job_spec_destroy(spec);
    job_spec_problems_finish(&problems);
    cJSON_Delete(file);
}

static void as_events(const char *text, size_t n)
{
    struct error err = {0};
    struct task_id id;
    cJSON *body = json_parse(text, n, &err), *event;
    if (body && api_check_fields(body, "session stream_ack events", &err))
        cJSON_ArrayForEach(event, json_get(body, "events")) events_check_form(event, &id, &err);
    cJSON_Delete(body);
}

static void as_inventory(const char *text, size_t n)
{
    struct error err = {0};
    cJSON *body = json_parse(text, n, &err);
    struct inventory *inventory = body ? inventory_parse(body, &err) : NULL;
    if (inventory) {
        struct core_inventory *for_core = inventory_for_core(inventory);
        struct core_event event = {.kind = CORE_EVENT_NODE_UP,
                                   .as.node = {.node = {1}, .inventory = for_core}};
        if (core_event_check(&event))
            abort();
        free(for_core);
    }
    inventory_destroy(inventory);
    cJSON_Delete(body);
}

static void as_row(const char *bytes, size_t n)
{
    static struct core_row *row;
    static struct core_decisions *decisions;
    if (!row) {
        row = xcalloc(1, sizeof *row);
        decisions = core_decisions_create();
    }
    if (core_row_decode((const unsigned char *)bytes, n, row, decisions))
        return;
    unsigned char *again = xmalloc(n + 1);
    if (core_row_encode(row, decisions, again, n + 1) != n || memcmp(again, bytes, n) != 0)
        abort();
    free(again);
}

static void as_record(const char *text, size_t n)
{
    struct error err = {0};
    struct buf out = {0};
    char *doc = xstrndup(text, n);
    struct journal_job row = {
        .id = 1, .name = "name", .principal = 1, .state = JOB_QUEUED, .fixed = "{\"a\":1}", .doc = doc};
    struct job *job = job_doc_read(&row, &err);
    if (job) {
        job_object_write(job, JOB_OBJECT_FULL, "\"x\":1", &out);
        cJSON *again = json_parse(out.data, out.len, &err);
        if (!again)
            abort();
        cJSON_Delete(again);
    }
    buf_finish(&out);
    job_destroy(job);
    free(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(const char *, size_t) = {as_job_file, as_events, as_inventory, as_row,
                                                            as_record};
    if (size == 0)
        return 0;
    log_set_level(LOG_LEVEL_ERROR);
    char *text = xmalloc(size); /* of its own, so that reading past the end is seen */
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    readers[data[0] % (sizeof readers / sizeof *readers)](text, size - 1);
    free(text);
    return 0;
}
