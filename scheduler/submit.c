/* Defaults and the fixed part of a job's record. */
#include "scheduler/submit.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "proto/units.h"
#include "scheduler/dependency.h"
#include "scheduler/job_inputs.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)
#define FALLBACK_MEMORY_BYTES (UINT64_C(1) << 30) /* where no node was ever seen */

/* The node that defaults are measured on: one with GPUs before one without, connected before not, the oldest.
 */
static const struct inventory *reference(const struct node_table *nodes, bool want_gpus)
{
    const struct inventory *best = NULL;
    int best_rank = -1;
    for (uint32_t i = 0; i < nodes->count; i++) {
        const struct node *node = nodes->items[i];
        if (!node->inventory)
            continue;
        int rank = (want_gpus && node->inventory->gpu_count ? 2 : 0) + (node->in_session ? 1 : 0);
        if (rank <= best_rank)
            continue;
        best = node->inventory;
        best_rank = rank;
    }
    return best;
}

static uint32_t threads_of(const struct inventory *inv)
{
    return inv && inv->core_count ? inv->cores[0].cpu_count : 1;
}

static uint64_t whole_mib(uint64_t bytes)
{
    return bytes < MIB ? MIB : bytes / MIB * MIB;
}

/* What each process of a task gets where the job names no amount: one of `total`, as long as there are so
 * many; at least one. */
static uint32_t one_each(const struct job_spec *spec, uint32_t total)
{
    uint64_t processes = (uint64_t)spec->processes_per_instance;
    return processes <= total ? (uint32_t)processes : total ? total : 1;
}

void submit_fill_resources(const struct node_table *nodes, const struct job_spec *spec,
                           struct submit_resources *out)
{
    const struct inventory *inv = reference(nodes, spec->gpu_milli != 0);
    uint32_t total_cores = inv ? inv->core_count : 1, total_gpus = inv ? inv->gpu_count : 0;
    uint64_t memory = inv ? inv->memory_bytes / 100 * INVENTORY_JOB_MEMORY_PERCENT : FALLBACK_MEMORY_BYTES;
    uint64_t milli = spec->gpu_milli >= 0 ? (uint64_t)spec->gpu_milli
                     : total_gpus && !spec->gpu_memory_bytes
                         ? (uint64_t)one_each(spec, total_gpus) * RESOURCE_GPU_WHOLE
                         : 0;
    uint64_t total_milli = (uint64_t)total_gpus * RESOURCE_GPU_WHOLE;
    uint64_t shared = milli > total_milli ? total_milli : milli; /* a share is never more than the whole */
    memset(out, 0, sizeof *out);
    out->request.gpu_milli = (uint32_t)milli;
    out->request.gpu_memory_bytes = (uint64_t)spec->gpu_memory_bytes;
    out->request.flags =
        (spec->exclusive ? RESOURCE_EXCLUSIVE : 0u) | (spec->isolated ? RESOURCE_ISOLATED : 0u);
    if (spec->cpus > 0) {
        out->request.cpus = (uint32_t)spec->cpus;
        out->cores = (out->request.cpus + threads_of(inv) - 1) / threads_of(inv);
        out->cpus = out->cores * threads_of(inv);
    } else {
        out->cores = shared ? (uint32_t)(total_cores * shared / total_milli) : 0;
        if (out->cores < one_each(spec, total_cores))
            out->cores = one_each(spec, total_cores);
        out->request.cores = out->cores;
        out->cpus = out->cores * threads_of(inv);
    }
    if (spec->memory_bytes > 0)
        out->request.memory_bytes = (uint64_t)spec->memory_bytes;
    else if (shared)
        out->request.memory_bytes =
            whole_mib(memory / total_milli * shared + memory % total_milli * shared / total_milli);
    else
        out->request.memory_bytes =
            whole_mib(memory / total_cores * (out->cores > total_cores ? total_cores : out->cores));
}

#define COMMAND_SHOWN_MAX                                                                                    \
    JOB_COMMAND_MAX /* bytes; the whole command is in the spec, which is the owner's                         \
                     */

static void quote(struct buf *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./-_";
    if (*word && strspn(word, plain) == strlen(word)) {
        buf_add_str(out, word);
        return;
    }
    buf_add_char(out, '\'');
    for (const char *p = word; *p; p++) {
        if (*p == '\'')
            buf_add_str(out, "'\\''");
        else
            buf_add_char(out, *p);
    }
    buf_add_char(out, '\'');
}

static void add_command(cJSON *o, const struct job_spec *spec)
{
    _cleanup_buf_ struct buf line = {0};
    for (size_t i = 0; i < spec->argv.count && line.len <= COMMAND_SHOWN_MAX; i++) {
        if (i)
            buf_add_char(&line, ' ');
        quote(&line, spec->argv.items[i]);
    }
    if (line.len > COMMAND_SHOWN_MAX) {
        line.len = COMMAND_SHOWN_MAX;
        while (((unsigned char)line.data[line.len] & 0xc0) == 0x80) /* not inside a character */
            line.len--;
        line.data[line.len] = '\0';
        buf_add_str(&line, "...");
    }
    json_add_str(o, "command", spec->command ? spec->command : line.data ? line.data : "");
}

static const char *folder_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash && slash[1] ? slash + 1 : "default";
}

#define SHORT_SHA 12 /* names a blob; who knows all of it may have the blob by submitting it */

static void add_short_sha(cJSON *o, const char *field, const char *sha)
{
    _cleanup_free_ char *text = sha ? xstrndup(sha, SHORT_SHA) : NULL;
    json_add_str(o, field, text);
}

/* Everybody may read this: the whole digests are in the spec, which is the owner's. */
static void add_code(cJSON *o, const struct job_spec *spec, const cJSON *file)
{
    if (!spec->code_manifest && !spec->live_path) {
        cJSON_AddNullToObject(o, "code");
        return;
    }
    const cJSON *of = json_get(json_get(file, "submission"), spec->live_path ? "live" : "code");
    const cJSON *git = json_get(of, "git");
    cJSON *code = cJSON_AddObjectToObject(o, "code");
    json_add_bytes(code, "path", spec->live_path ? spec->live_path : spec->code_path);
    cJSON_AddBoolToObject(code, "live", spec->live_path != NULL);
    add_short_sha(code, "manifest", spec->code_manifest);
    if (!cJSON_IsObject(git)) {
        cJSON_AddNullToObject(code, "git");
        return;
    }
    cJSON *copy = cJSON_Duplicate(git, true);
    cJSON_DeleteItemFromObjectCaseSensitive(copy, "dirty");
    add_short_sha(copy, "dirty", json_str(git, "dirty", NULL));
    cJSON_AddItemToObject(code, "git", copy);
}

static void add_names(cJSON *amounts, const struct job_spec *spec, const struct submit_names *names)
{
    if (names->size) {
        json_add_str(amounts, "instance_type", names->size->name);
        json_add_str(amounts, "family", names->size->family);
    }
    if (spec->gpu_model)
        json_add_str(amounts, "gpu_model", spec->gpu_model);
    cJSON *labels = spec->node_labels.count ? cJSON_AddArrayToObject(amounts, "node_labels") : NULL;
    for (size_t i = 0; labels && i < spec->node_labels.count; i++)
        cJSON_AddItemToArray(labels, cJSON_CreateString(spec->node_labels.items[i]));
}

char *submit_fixed(const struct job_spec *spec, const cJSON *file, const char *name, const char *principal,
                   const struct submit_resources *resources, const struct submit_names *names)
{
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    _cleanup_buf_ struct buf compute = {0};
    json_add_str(o, "display_name", spec->display_name ? spec->display_name : name);
    json_add_str(o, "experiment_name",
                 spec->experiment_name ? spec->experiment_name
                                       : folder_name(spec->live_path ? spec->live_path : spec->code_path));
    json_add_str(o, "description", spec->description);
    cJSON *tags = cJSON_AddObjectToObject(o, "tags");
    for (size_t i = 0; i < spec->tags.count; i++)
        json_add_str(tags, spec->tags.items[i].name, spec->tags.items[i].value);
    json_add_str(o, "workspace", spec->workspace ? spec->workspace : NAMES_DEFAULT_WORKSPACE);
    json_add_str(o, "principal", principal);
    json_add_str(o, "type", "command");
    json_add_str(o, "priority", job_priority_name(spec->priority));
    for (size_t i = 0; i < spec->compute.count; i++)
        buf_printf(&compute, "%s%s", i ? "," : "", spec->compute.items[i]);
    json_add_str(o, "compute", compute.data ? compute.data : "local");
    cJSON *amounts = cJSON_AddObjectToObject(o, "resources");
    json_add_int(amounts, "cpus", resources->cpus);
    json_add_int(amounts, "cores", resources->cores);
    json_add_int(amounts, "memory_bytes", (int64_t)resources->request.memory_bytes);
    cJSON_AddNumberToObject(amounts, "gpus", (double)resources->request.gpu_milli / RESOURCE_GPU_WHOLE);
    if (spec->gpu_memory_bytes)
        json_add_int(amounts, "gpu_memory_bytes", spec->gpu_memory_bytes);
    json_add_int(amounts, "instance_count", spec->instance_count);
    json_add_int(amounts, "processes_per_instance", spec->processes_per_instance);
    cJSON_AddBoolToObject(amounts, "exclusive", spec->exclusive);
    cJSON_AddBoolToObject(amounts, "isolated", spec->isolated);
    add_names(amounts, spec, names);
    cJSON *licences = cJSON_AddObjectToObject(o, "licences");
    for (size_t i = 0; i < spec->licence_count; i++)
        json_add_int(licences, spec->licences[i].name, spec->licences[i].amount);
    cJSON_AddStringToObject(o, "on_node_loss", resources->fence_after_ms ? "requeue" : "wait");
    if (resources->fence_after_ms)
        cJSON_AddNumberToObject(o, "fence_after_s", (double)resources->fence_after_ms / 1000);
    else
        cJSON_AddNullToObject(o, "fence_after_s");
    cJSON_AddBoolToObject(o, "preemptible", spec->preemptible);
    dependency_write(spec, names->after, o);
    job_inputs_write(spec, names->inputs, names->continues, o);
    if (spec->reservation)
        json_add_str(o, "reservation", spec->reservation);
    if (spec->time_limit_ms)
        cJSON_AddNumberToObject(o, "time_limit_s", (double)spec->time_limit_ms / 1000);
    else
        cJSON_AddNullToObject(o, "time_limit_s");
    if (spec->warning_before_ms) {
        const char *signal = sigabbrev_np(spec->warning_signal ? spec->warning_signal : SIGUSR1);
        cJSON *warning = cJSON_AddObjectToObject(o, "warning");
        json_add_str(warning, "signal", signal ? signal : "?");
        cJSON_AddNumberToObject(warning, "before_s", (double)spec->warning_before_ms / 1000);
    } else {
        cJSON_AddNullToObject(o, "warning");
    }
    add_command(o, spec);
    json_add_str(o, "image", spec->image);
    json_add_str(o, "runtime", job_runtime_name(spec->runtime));
    cJSON_AddBoolToObject(o, "stdin", spec->wants_stdin);
    cJSON_AddBoolToObject(o, "tty", spec->wants_tty);
    cJSON_AddBoolToObject(o, "split_streams", spec->split_streams);
    add_code(o, spec, file);
    return json_text(o);
}

static void refuse_reserved(unsigned why, uint64_t wanted, uint64_t best, struct error *err)
{
    char limit[32], most[32];
    units_format_exact((int64_t)wanted, limit);
    units_format_exact((int64_t)best, most);
    switch (why) {
    case CORE_RESERVED_USER:
        error_field(err, "reservation", "the reservation that it names is not for you");
        error_hint(err, "berth reserve list says for whom; without `reservation` the job runs beside it");
        break;
    case CORE_RESERVED_TIME:
        if (wanted)
            error_field(err, "limits.timeout", "its time limit of %s doesn't fit: the reservation has %s",
                        limit, most);
        else
            error_field(err, "limits.timeout", "a job inside a reservation needs a time limit; there are %s",
                        most);
        error_hint(err, "--time %s is the most", most);
        break;
    case CORE_RESERVED_AMOUNTS:
        error_field(err, "resources",
                    "it wants %llu node%s of the reservation, and %llu could hold a part of it",
                    (unsigned long long)wanted, wanted == 1 ? "" : "s", (unsigned long long)best);
        error_hint(err, "berth reserve list shows what is reserved of each");
        break;
    default:
        error_field(err, "reservation", "the reservation that it names is over, or was taken away");
        error_hint(err, "berth reserve list");
        break;
    }
}

void submit_refusal(const struct core_decision *decision, struct error *err)
{
    static const char *const fields[RESOURCE_KIND_COUNT] = {[RESOURCE_CORES] = "resources.cpus",
                                                            [RESOURCE_CPUS] = "resources.cpus",
                                                            [RESOURCE_MEMORY] = "resources.memory",
                                                            [RESOURCE_GPUS] = "resources.gpus"};
    static const char *const names[RESOURCE_KIND_COUNT] = {[RESOURCE_CORES] = "core",
                                                           [RESOURCE_CPUS] = "CPU",
                                                           [RESOURCE_MEMORY] = "memory",
                                                           [RESOURCE_GPUS] = "GPU"};
    enum resource_kind kind = decision->as.refused.resource;
    uint64_t wanted = decision->as.refused.wanted, best = decision->as.refused.best;
    const char *plural = "";
    char a[32], b[32];
    switch (decision->as.refused.refusal) {
    case CORE_REFUSED_NEVER_FITS:
        if (kind == RESOURCE_MEMORY) {
            units_format_bytes((int64_t)wanted, a);
            units_format_bytes((int64_t)best, b);
        } else {
            double unit = kind == RESOURCE_GPUS ? RESOURCE_GPU_WHOLE : 1;
            snprintf(a, sizeof a, "%.10g", (double)wanted / unit);
            snprintf(b, sizeof b, "%.10g", (double)best / unit);
            plural = (double)wanted <= unit ? "" : "s";
        }
        error_field(err, fields[kind],
                    "the job can never run: it wants %s %s%s, and the most that a node gives to jobs is %s",
                    a, names[kind], plural, b);
        if (best)
            error_hint(err, "ask for at most %s", b);
        else
            error_hint(err, "ask for none; berth node list shows what each has");
        break;
    case CORE_REFUSED_NO_COMBINATION:
        error_field(err, "resources", "the job can never run: no node has all that it asks for at once");
        error_hint(err, "berth node list shows what each has");
        break;
    case CORE_REFUSED_FEW_NODES:
        error_field(err, "resources.instance_count",
                    "the job can never run: it wants %llu nodes at once, and %llu could hold a part of it",
                    (unsigned long long)wanted, (unsigned long long)best);
        error_hint(err, "ask for at most %llu, or for less on each", (unsigned long long)best);
        break;
    case CORE_REFUSED_LICENCES:
        error_field(err, "licences", "the job can never run: it wants %llu of a licence, and there are %llu",
                    (unsigned long long)wanted, (unsigned long long)best);
        break;
    case CORE_REFUSED_RESERVATION:
        refuse_reserved(kind, wanted, best, err);
        break;
    case CORE_REFUSED_QUOTA:
        error_set(err, ERROR_DENIED, "the quota allows %llu at once, and this would be %llu",
                  (unsigned long long)best, (unsigned long long)wanted);
        error_hint(err, "ask an administrator for more, or wait until other jobs have ended");
        break;
    default:
        error_set(err, ERROR_LIMIT, "there is no room for another job (at most %u)", CORE_JOBS_MAX);
        error_hint(err, "wait until some have ended");
        break;
    }
}
