/* Reads the CSV pair of nodes and pods. */
#include "scheduler/sim/pods.h"

#include "base/map.h"

#include <string.h>

#define TIME_MAX_S ((int64_t)(TRACE_TIME_MAX_MS / 1000))
#define MEMORY_MAX_MIB ((int64_t)(TRACE_MEMORY_MAX_BYTES >> 20))
#define CPU_MAX_MILLI ((int64_t)TRACE_CPUS_MAX * 1000)
#define GPU_WHOLE 1000
#define COLUMNS_MAX 16

struct column {
    const char *name;
    const char *what; /* in messages */
    int64_t max;      /* of a number; 0: text */
    bool whole;
    bool optional; /* may be empty: then -1 */
};

enum { N_NAME, N_CPU, N_MEMORY, N_GPUS, N_MODEL, N_COUNT };
static const struct column node_columns[N_COUNT] = {
    [N_NAME] = {.name = "sn"},
    [N_CPU] = {"cpu_milli", "amount of CPU", CPU_MAX_MILLI, true, false},
    [N_MEMORY] = {"memory_mib", "amount of memory", MEMORY_MAX_MIB, true, false},
    [N_GPUS] = {"gpu", "number of GPUs", PODS_NODE_GPUS_MAX, true, false},
    [N_MODEL] = {.name = "model"},
};

enum {
    P_NAME,
    P_CPU,
    P_MEMORY,
    P_GPUS,
    P_SHARE,
    P_SPEC,
    P_QOS,
    P_PHASE,
    P_CREATED,
    P_DELETED,
    P_SCHEDULED,
    P_COUNT
};
static const struct column pod_columns[P_COUNT] = {
    [P_NAME] = {.name = "name"},
    [P_CPU] = {"cpu_milli", "amount of CPU", CPU_MAX_MILLI, true, false},
    [P_MEMORY] = {"memory_mib", "amount of memory", MEMORY_MAX_MIB, true, false},
    [P_GPUS] = {"num_gpu", "number of GPUs", TRACE_GPUS_MAX, true, false},
    [P_SHARE] = {"gpu_milli", "share of a GPU", GPU_WHOLE, true, false},
    [P_SPEC] = {.name = "gpu_spec"},
    [P_QOS] = {.name = "qos"},
    [P_PHASE] = {.name = "pod_phase"},
    [P_CREATED] = {"creation_time", "creation time", TIME_MAX_S, false, false},
    [P_DELETED] = {"deletion_time", "deletion time", TIME_MAX_S, false, true},
    [P_SCHEDULED] = {"scheduled_time", "scheduled time", TIME_MAX_S, false, true},
};

/* Only best effort gives way to the others; what the others guarantee is about sharing a node. */
static const struct {
    const char *name;
    enum trace_priority priority;
} qos_words[] = {
    {"", TRACE_MEDIUM},          {"LS", TRACE_MEDIUM}, {"Guaranteed", TRACE_MEDIUM},
    {"Burstable", TRACE_MEDIUM}, {"BE", TRACE_LOW},
};

struct csv {
    struct trace *trace;
    const char *file; /* "nodes" or "pods", for messages */
    const struct column *columns;
    size_t column_count, field_count;
    size_t place[COLUMNS_MAX]; /* of each column in a line */
    struct map names;
    /* the line at hand */
    uint64_t number;
    const char *text[COLUMNS_MAX];
    int64_t milli[COLUMNS_MAX]; /* numbers, in thousandths; -1 where empty */
};

#define BAD(csv, ...) trace_bad_line((csv)->trace, (csv)->file, (csv)->number, true, __VA_ARGS__)

static bool take_header(struct csv *csv, struct lines *lines, struct error *err)
{
    struct line line;
    char *fields[LINES_FIELDS_MAX];
    struct error local = {0};
    if (!lines_next(lines, &line, &local)) {
        if (local.code && err)
            *err = local;
        return local.code ? false : error_set(err, ERROR_INVALID, "the list of %s is empty", csv->file);
    }
    static const char mark[] = "\xef\xbb\xbf"; /* a byte order mark, as spreadsheets write it */
    char *text = line.text + (strncmp(line.text, mark, 3) == 0 ? 3 : 0);
    csv->field_count = lines_split(text, ',', fields);
    if (csv->field_count > LINES_FIELDS_MAX)
        return error_set(err, ERROR_LIMIT, "the list of %s has more than %d columns", csv->file,
                         LINES_FIELDS_MAX);
    for (size_t c = 0; c < csv->column_count; c++) {
        size_t at = 0;
        while (at < csv->field_count && strcmp(fields[at], csv->columns[c].name) != 0)
            at++;
        if (at == csv->field_count)
            return error_set(err, ERROR_INVALID, "the list of %s has no column \"%s\" in its first line",
                             csv->file, csv->columns[c].name);
        csv->place[c] = at;
    }
    return true;
}

/* Fills text and milli; false after naming the bad line. */
static bool take_line(struct csv *csv, const struct line *line)
{
    char *fields[LINES_FIELDS_MAX];
    csv->number = line->number;
    if (line->problem) {
        BAD(csv, "%s", line->problem);
        return false;
    }
    size_t count = lines_split(line->text, ',', fields);
    if (count != csv->field_count) {
        BAD(csv, "%zu fields instead of %zu", count, csv->field_count);
        return false;
    }
    for (size_t c = 0; c < csv->column_count; c++) {
        const struct column *column = &csv->columns[c];
        csv->text[c] = fields[csv->place[c]];
        csv->milli[c] = -1;
        if (!column->max || (column->optional && !*csv->text[c]))
            continue;
        int64_t value;
        enum number_result result = lines_milli(csv->text[c], column->max, &value);
        if (result == NUMBER_OK && column->whole && value % 1000)
            result = NUMBER_BROKEN;
        if (result == NUMBER_OK && value < 0) {
            BAD(csv, "the %s is negative", column->what);
            return false;
        }
        if (result != NUMBER_OK) {
            BAD(csv, result == NUMBER_HUGE ? "the %s %.40s is too large" : "the %s \"%.40s\" is no number",
                column->what, csv->text[c]);
            return false;
        }
        csv->milli[c] = value;
    }
    if (!*csv->text[0]) {
        BAD(csv, "it has no name");
        return false;
    }
    if (map_put_str(&csv->names, csv->text[0], csv)) {
        BAD(csv, "\"%.40s\" was there before", csv->text[0]);
        return false;
    }
    return true;
}

static bool take_node(struct csv *csv, struct error *err)
{
    struct trace_node node = {
        .cpu_milli = (uint32_t)(csv->milli[N_CPU] / 1000),
        .memory_bytes = (uint64_t)(csv->milli[N_MEMORY] / 1000) << 20,
        .gpus = (uint16_t)(csv->milli[N_GPUS] / 1000),
    };
    uint32_t model = 0;
    if (node.cpu_milli < 1000) {
        BAD(csv, "it has no whole CPU");
        return true;
    }
    if (node.gpus && !trace_model(csv->trace, csv->text[N_MODEL], strlen(csv->text[N_MODEL]), &model)) {
        BAD(csv, "the model \"%.40s\" is empty, too long, or one of more than %d", csv->text[N_MODEL],
            TRACE_MODELS_MAX);
        return true;
    }
    node.model = (uint8_t)model;
    return trace_add_node(csv->trace, &node, err);
}

/* "A|B" into a mask. */
static bool take_spec(struct csv *csv, const char *spec, uint32_t *models)
{
    *models = 0;
    for (const char *at = spec; *at;) {
        size_t len = strcspn(at, "|");
        uint32_t id;
        if (!trace_model(csv->trace, at, len, &id)) {
            BAD(csv, "the model \"%.*s\" is empty, too long, or one of more than %d",
                (int)(len < 40 ? len : 40), at, TRACE_MODELS_MAX);
            return false;
        }
        *models |= UINT32_C(1) << id;
        at += len;
        if (*at == '|' && !*++at) {
            BAD(csv, "the list of models ends in \"|\"");
            return false;
        }
    }
    return true;
}

static bool take_qos(struct csv *csv, uint8_t *priority)
{
    for (size_t i = 0; i < sizeof qos_words / sizeof *qos_words; i++) {
        if (strcmp(csv->text[P_QOS], qos_words[i].name) == 0) {
            *priority = (uint8_t)qos_words[i].priority;
            return true;
        }
    }
    BAD(csv, "the qos \"%.40s\" is unknown", csv->text[P_QOS]);
    return false;
}

static bool take_pod(struct csv *csv, struct error *err)
{
    struct trace_job job = {
        .id = csv->number,
        .cpu_milli = (uint32_t)(csv->milli[P_CPU] / 1000),
        .memory_bytes = (uint64_t)(csv->milli[P_MEMORY] / 1000) << 20,
        .submit_ms = (uint64_t)csv->milli[P_CREATED],
        .tasks = 1,
    };
    int64_t gpus = csv->milli[P_GPUS] / 1000, share = csv->milli[P_SHARE] / 1000;
    int64_t started = csv->milli[P_SCHEDULED] >= 0 ? csv->milli[P_SCHEDULED] : csv->milli[P_CREATED];
    if (csv->milli[P_DELETED] < 0) {
        BAD(csv, "it has no deletion time");
        return true;
    }
    if (csv->milli[P_DELETED] < started || started < csv->milli[P_CREATED]) {
        BAD(csv, "its times are not in order");
        return true;
    }
    if (gpus > 1 && share != GPU_WHOLE) {
        BAD(csv, "a share of several GPUs");
        return true;
    }
    if (gpus == 1 && share == 0) {
        BAD(csv, "a GPU of which it wants nothing");
        return true;
    }
    if (job.cpu_milli == 0 && gpus == 0) {
        BAD(csv, "it asks for neither CPU nor GPU");
        return true;
    }
    if (!take_spec(csv, csv->text[P_SPEC], &job.models) || !take_qos(csv, &job.priority))
        return true;
    job.run_ms = (uint64_t)(csv->milli[P_DELETED] - started);
    job.gpu_milli = (uint32_t)(gpus * share);
    if (!gpus)
        job.models = 0;
    return trace_add_job(csv->trace, &job, err);
}

static bool read_all(struct csv *csv, struct lines *lines, bool (*take)(struct csv *csv, struct error *err),
                     struct error *err)
{
    struct line line;
    struct error local = {0};
    bool ok = take_header(csv, lines, &local);
    while (ok && lines_next(lines, &line, &local))
        if (line.problem || line.text[strspn(line.text, " \t")])
            ok = !take_line(csv, &line) || take(csv, &local);
    map_finish(&csv->names);
    if (local.code && err)
        *err = local;
    return !local.code;
}

bool pods_read_nodes(struct lines *lines, struct trace *trace, struct error *err)
{
    struct csv csv = {.trace = trace, .file = "nodes", .columns = node_columns, .column_count = N_COUNT};
    return read_all(&csv, lines, take_node, err);
}

bool pods_read(struct lines *lines, struct trace *trace, struct error *err)
{
    struct csv csv = {.trace = trace, .file = "pods", .columns = pod_columns, .column_count = P_COUNT};
    if (!read_all(&csv, lines, take_pod, err))
        return false;
    trace_sort(trace);
    return true;
}
