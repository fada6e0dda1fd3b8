/* berth show */
#include "cli/verbs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/print.h"
#include "cli/client.h"
#include "cli/outcome.h"
#include "cli/show.h"
#include "cli/show_array.h"
#include "cli/show_job.h"
#include "proto/units.h"

#include <string.h>

struct show_args {
    struct args_base base;
};

static const struct opt show_opts[] = {
    OPT_HOST(struct show_args),
    OPT_OUTPUT(struct show_args),
    {0},
};

static void add_line(struct buf *out, const char *title, const char *text)
{
    show_add_line(out, title, "%s", text ? text : "");
}

static void add_times(struct buf *out, const cJSON *job, int64_t now)
{
    static const struct {
        const char *title, *field;
    } times[] = {{"submitted", "submitted_ms"}, {"started", "started_ms"}, {"ended", "ended_ms"}};
    char at[32], ago[32];
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        int64_t ms = json_int(job, times[i].field, 0);
        if (ms)
            buf_printf(out, "%-12s %s (%s)\n", times[i].title, show_time(ms, at), show_ago(ms, now, ago));
    }
    int64_t started = json_int(job, "attempt_started_ms", 0), limit_s = json_int(job, "time_limit_s", 0);
    if (started)
        buf_printf(out, "%-12s %s\n", "time", show_elapsed(started, json_int(job, "ended_ms", 0), now, at));
    if (limit_s)
        buf_printf(out, "%-12s %s\n", "time limit", units_format_exact(limit_s * 1000, at));
    const cJSON *warning = json_get(job, "warning");
    if (cJSON_IsObject(warning))
        show_add_line(
            out, "warning", "SIG%s %s ahead of it", json_str(warning, "signal", "?"),
            units_format_exact((int64_t)(cJSON_GetNumberValue(json_get(warning, "before_s")) * 1000), at));
}

static void add_pairs(struct buf *out, const char *title, const cJSON *object);

static void add_resources(struct buf *out, const cJSON *job)
{
    const cJSON *r = json_get(job, "resources");
    char memory[32];
    if (!r)
        return;
    int64_t cpus = json_int(r, "cpus", 0), cores = json_int(r, "cores", 0);
    int64_t gpu_memory = json_int(r, "gpu_memory_bytes", 0);
    double gpus = cJSON_GetNumberValue(json_get(r, "gpus"));
    buf_printf(out, "%-12s %lld CPU%s on %lld core%s, %s memory, ", "resources", (long long)cpus,
               cpus == 1 ? "" : "s", (long long)cores, cores == 1 ? "" : "s",
               show_bytes(json_int(r, "memory_bytes", 0), memory));
    if (gpu_memory && !(gpus > 0))
        buf_printf(out, "%s memory of a GPU\n", show_bytes(gpu_memory, memory));
    else
        buf_printf(out, "%g GPU%s\n", gpus > 0 ? gpus : 0, gpus == 1 ? "" : "s");
    if (json_int(r, "processes_per_instance", 1) > 1)
        buf_printf(out, "%-12s %lld on each node; lines of the log begin with their rank\n", "processes",
                   (long long)json_int(r, "processes_per_instance", 1));
    add_pairs(out, "licences", json_get(job, "licences"));
    double fence_s = cJSON_GetNumberValue(json_get(job, "fence_after_s"));
    if (fence_s > 0)
        buf_printf(out, "%-12s runs again elsewhere when its node was silent for %s\n", "node loss",
                   units_format_exact((int64_t)(fence_s * 1000), memory));
}

/* What it asked for by name. */
static void add_names(struct buf *out, const cJSON *job)
{
    const cJSON *r = json_get(job, "resources"), *label;
    const char *workspace = json_str(job, "workspace", "default");
    if (strcmp(workspace, "default") != 0)
        add_line(out, "workspace", workspace);
    add_line(out, "size", json_str(r, "instance_type", NULL));
    add_line(out, "gpu model", json_str(r, "gpu_model", NULL));
    cJSON_ArrayForEach(label, json_get(r, "node_labels")) if (cJSON_IsString(label))
        add_line(out, "node label", label->valuestring);
}

static void add_tasks(struct buf *out, const cJSON *tasks)
{
    const cJSON *task, *gpu;
    cJSON_ArrayForEach(task, tasks)
    {
        const cJSON *lease = json_get(task, "lease");
        buf_printf(out, "%-12s rank %lld on ", "task", (long long)json_int(task, "rank", 0));
        term_add_safe(out, json_str(task, "node", "?"), false);
        buf_add_str(out, ", ");
        term_add_safe(out, json_str(task, "state", "?"), false);
        int64_t code;
        if (json_item_int(json_get(task, "exit_code"), &code))
            buf_printf(out, ", exit code %lld", (long long)code);
        if (json_int(task, "signal", 0))
            buf_printf(out, ", signal %lld", (long long)json_int(task, "signal", 0));
        if (cJSON_IsObject(lease)) {
            buf_add_str(out, ", CPUs ");
            show_add_ranges(out, json_get(lease, "cpus"));
            cJSON_ArrayForEach(gpu, json_get(lease, "gpus"))
            {
                buf_add_str(out, ", ");
                term_add_safe(out, cJSON_IsString(gpu) ? gpu->valuestring : json_str(gpu, "uuid", "?"),
                              false);
            }
        }
        buf_add_char(out, '\n');
    }
}

static void add_code(struct buf *out, const cJSON *job)
{
    const cJSON *code = json_get(job, "code");
    const cJSON *git = json_get(code, "git");
    add_line(out, "code", json_str(code, "path", NULL));
    if (!cJSON_IsObject(git))
        return;
    const char *remote = json_str(git, "remote", NULL);
    show_add_line(out, "commit", "%.40s%s%s%s", json_str(git, "commit", "?"),
                  cJSON_IsString(json_get(git, "dirty")) ? ", with changes" : "", remote ? ", " : "",
                  remote ? remote : "");
}

static void add_pairs(struct buf *out, const char *title, const cJSON *object)
{
    const cJSON *item;
    bool first = true;
    cJSON_ArrayForEach(item, object)
    {
        _cleanup_free_ char *value = cJSON_IsString(item) ? xstrdup(item->valuestring) : json_text(item);
        if (cJSON_IsObject(item)) { /* a list of {name, value} */
            free(value);
            value = xstrdup(json_str(item, "value", ""));
        }
        buf_printf(out, "%-12s ", first ? title : "");
        term_add_safe(out, item->string ? item->string : json_str(item, "name", ""), false);
        buf_add_char(out, '=');
        term_add_safe(out, value, false);
        buf_add_char(out, '\n');
        first = false;
    }
}

static void add_attempts(struct buf *out, const cJSON *attempts, int64_t now)
{
    const cJSON *attempt;
    char time[32];
    if (cJSON_GetArraySize(attempts) < 2)
        return;
    cJSON_ArrayForEach(attempt, attempts)
    {
        int64_t started = json_int(attempt, "started_ms", 0);
        const cJSON *cause = json_get(attempt, "cause");
        const char *text = json_str(cause, "text", json_str(cause, "kind", ""));
        show_add_line(out, "attempt", "%lld: %s%s%s", (long long)json_int(attempt, "attempt", 0),
                      *text ? text : json_str(attempt, "state", "ended"), started ? " after " : "",
                      started ? show_elapsed(started, json_int(attempt, "ended_ms", 0), now, time) : "");
    }
}

/* "train (ok)": jobs that it starts after. */
static void add_after(struct buf *out, const cJSON *list)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        show_add_line(out, "after", "%s (%s)", json_str(item, "job", "?"), json_str(item, "until", "?"));
    }
}

static void add_job_inputs(struct buf *out, const cJSON *list)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        show_add_line(out, "input", "%s: the outputs of job %s (%lld)", json_str(item, "input", "?"),
                      json_str(item, "job", "?"), (long long)json_int(item, "id", 0));
    }
}

/* What the node had to tell meanwhile. */
static void add_notes(struct buf *out, const cJSON *notes)
{
    const cJSON *note;
    char time[32];
    bool first = true;
    cJSON_ArrayForEach(note, notes)
    {
        buf_printf(out, "%-12s %s ", first ? "notes" : "", show_time(json_int(note, "at_ms", 0), time));
        term_add_safe(out, json_str(note, "text", ""), false);
        buf_add_char(out, '\n');
        first = false;
    }
}

void show_job(const cJSON *job)
{
    _cleanup_buf_ struct buf out = {0}, cause = {0};
    int64_t now = clock_wall_ms(), code;
    const char *state = json_str(job, "state", "?");
    bool colours = term_has_colour(STDOUT_FILENO);
    _cleanup_buf_ struct buf address = {0};
    show_add_address(job, &address);
    show_add_line(&out, "job", "%s (%lld)", address.data, (long long)json_int(job, "id", 0));
    buf_printf(&out, "%-12s %s", "state", colours ? term_colour_code(show_state_colour(state)) : "");
    term_add_safe(&out, state, false);
    buf_add_str(&out, colours ? TERM_RESET : "");
    const char *reason = json_str(job, "reason", NULL);
    if (reason && *reason) {
        buf_add_str(&out, ": ");
        term_add_safe(&out, reason, false);
    }
    buf_add_char(&out, '\n');
    if (json_item_int(json_get(job, "exit_code"), &code))
        buf_printf(&out, "%-12s %lld\n", "exit code", (long long)code);
    outcome_add_cause(&cause, job, "            ");
    if (cause.len)
        buf_printf(&out, "%-12s %s", "cause", cause.data);
    const cJSON *advice;
    cJSON_ArrayForEach(advice, json_get(job, "advice"))
    {
        if (cJSON_IsString(advice))
            add_line(&out, "advice", advice->valuestring);
    }
    show_array_lines(job, &out);
    add_line(&out, "user", json_str(job, "principal", NULL));
    add_line(&out, "title", json_str(job, "display_name", NULL));
    add_line(&out, "experiment", json_str(job, "experiment_name", NULL));
    add_line(&out, "description", json_str(job, "description", NULL));
    add_pairs(&out, "tags", json_get(job, "tags"));
    const cJSON *command = json_get(job, "command");
    _cleanup_free_ char *words = cJSON_IsArray(command) ? json_text(command) : NULL;
    add_line(&out, "command", words ? words : json_str(job, "command", NULL));
    add_line(&out, "image", json_str(job, "image", NULL));
    add_code(&out, job);
    const char *runs_as = json_str(job, "runs_as", NULL);
    show_add_line(&out, "priority", "%s%s%s", json_str(job, "priority", ""), runs_as ? ", runs as " : "",
                  runs_as ? runs_as : "");
    add_line(&out, "compute", json_str(job, "compute", NULL));
    add_after(&out, json_get(job, "after"));
    add_job_inputs(&out, json_get(job, "job_inputs"));
    if (json_get(job, "continues"))
        show_add_line(&out, "continues", "%s (%lld)", json_str(json_get(job, "continues"), "job", "?"),
                      (long long)json_int(json_get(job, "continues"), "id", 0));
    add_names(&out, job);
    add_resources(&out, job);
    add_times(&out, job, now);
    add_tasks(&out, json_get(job, "tasks"));
    add_attempts(&out, json_get(job, "attempts"), now);
    char size[32];
    if (json_int(job, "log_bytes", 0))
        show_add_line(&out, "log", "%s: berth logs %s", show_bytes(json_int(job, "log_bytes", 0), size),
                      json_str(job, "name", "?"));
    add_notes(&out, json_get(job, "notes"));
    add_pairs(&out, "environment", json_get(job, "environment"));
    print_coloured(PRINT_OUT, &out, colours);
}

int show_named(const struct args_base *base, bool json, int count, char **names)
{
    struct error err = {0};
    _cleanup_client_ struct client *client = client_open(base, &err);
    if (!client)
        return cli_fail(&err);
    int code = EXIT_OK;
    for (int i = 0; i < count; i++) {
        _cleanup_free_ char *path = client_job_path(names[i], "");
        _cleanup_json_ cJSON *job = client_call(client, "GET", path, NULL, 0, &err);
        if (!job) {
            code = cli_fail(&err);
            continue;
        }
        if (i > 0 && !json)
            print_out("\n");
        if (json)
            show_json(job);
        else
            show_job(job);
    }
    return code;
}

static int run_show(void *p, int argc, char **argv)
{
    struct show_args *args = p;
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    if (bad_output)
        return cli_usage("show", "-o takes json or table, not \"%s\"", args->base.output);
    if (argc == 0)
        return cli_usage("show", "show needs a job's name");
    return show_named(&args->base, json, argc, argv);
}

const struct verb verb_show = {
    .name = "show",
    .synopsis = "NAME... [-o json]",
    .summary = "tell all about a job: state, cause of death, resources, environment",
    .operands = WORD_JOB,
    .options = show_opts,
    .args_size = sizeof(struct show_args),
    .run = run_show,
};
