/* berth logs */
#include "cli/verbs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "cli/client.h"
#include "cli/follow.h"
#include "cli/process_log.h"
#include "proto/array.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TAIL_LINES_MAX 1000000
#define TAIL_WINDOW_BYTES (64 << 10) /* first guess at where N lines begin */
#define TAIL_WINDOW_MAX_BYTES (INT64_C(1) << 40)

struct logs_args {
    struct args_base base;
    bool follow, raw;
    struct opt_number attempt, rank, offset, tail, process;
    const char *stream;
};

static const struct opt logs_opts[] = {
    {"follow", 'f', NULL, "go on as the job writes, until it ends", OPT_FLAG,
     offsetof(struct logs_args, follow)},
    {"tail", 'n', "LINES", "the last lines alone", OPT_NUMBER, offsetof(struct logs_args, tail)},
    {"offset", 0, "BYTES", "from this byte on", OPT_NUMBER, offsetof(struct logs_args, offset)},
    {"attempt", 0, "N", "of one attempt (default: the latest)", OPT_NUMBER,
     offsetof(struct logs_args, attempt)},
    {"rank", 0, "N", "of one rank (default: 0)", OPT_NUMBER, offsetof(struct logs_args, rank)},
    {"process", 0, "RANK", "the exact bytes of one of a job's several processes", OPT_NUMBER,
     offsetof(struct logs_args, process)},
    {"stream", 0, "WHICH", "out or err, of a job with --split-streams", OPT_STRING,
     offsetof(struct logs_args, stream)},
    {"raw", 0, NULL, "byte by byte, on a terminal as well (it always is)", OPT_FLAG,
     offsetof(struct logs_args, raw)},
    OPT_HOST(struct logs_args),
    {0},
};

/* Where the last lines begin: positions of newlines in a growing window at the end of the log. */
struct tail {
    int64_t *ring; /* of `lines` offsets behind newlines */
    int64_t lines, seen, bytes;
    char last;
};

static bool scan_newlines(void *ctx, const void *bytes, size_t n)
{
    struct tail *t = ctx;
    const char *p = bytes, *end = p + n;
    for (const char *newline; (newline = memchr(p, '\n', (size_t)(end - p))); p = newline + 1)
        t->ring[t->seen++ % (t->lines + 1)] = t->bytes + (newline + 1 - (const char *)bytes);
    t->bytes += (int64_t)n;
    t->last = n ? end[-1] : t->last;
    return true;
}

static bool find_tail(struct client *client, const char *job, int64_t attempt, const struct logs_args *args,
                      int64_t *offset, struct error *err)
{
    struct tail t = {.lines = args->tail.value};
    _cleanup_free_ int64_t *ring = xcalloc((size_t)t.lines + 1, sizeof *ring);
    t.ring = ring;
    for (int64_t window = TAIL_WINDOW_BYTES;; window *= 16) {
        char query[160];
        snprintf(query, sizeof query, "/logs?attempt=%lld&rank=%lld&tail=%lld%s%s", (long long)attempt,
                 args->rank.value, (long long)window, args->stream ? "&stream=" : "",
                 args->stream ? args->stream : "");
        _cleanup_free_ char *path = client_job_path(job, query);
        struct http_easy_request request = {
            .method = "GET", .path = path, .on_data = scan_newlines, .ctx = &t};
        _cleanup_answer_ struct http_easy_answer answer = {0};
        t.seen = t.bytes = 0;
        if (!http_easy_perform(client->http, &request, &answer, err))
            return client_explain(client, err);
        if (answer.status < 200 || answer.status > 299)
            return client_refusal(&answer, err);
        char text[32] = "0";
        http_easy_header(&answer, "X-Berth-Offset", text, sizeof text);
        int64_t from = strtoll(text, NULL, 10);
        int64_t wanted =
            t.lines + (t.bytes && t.last == '\n'); /* the newline at the very end ends the last line */
        if (t.seen < wanted && from > 0 && window < TAIL_WINDOW_MAX_BYTES)
            continue;
        *offset = t.lines == 0      ? from + t.bytes
                  : t.seen < wanted ? from
                                    : from + ring[(t.seen - wanted) % (t.lines + 1)];
        return true;
    }
}

static bool take_records(void *ctx, const void *bytes, size_t n)
{
    return process_log_add(ctx, bytes, n);
}

/* From the beginning, since only there it is known where a record begins. */
static int print_process(struct client *client, const char *job, int64_t attempt,
                         const struct logs_args *args)
{
    struct error err = {0};
    struct process_log log = {.rank = args->process.value, .fd = STDOUT_FILENO};
    char query[160];
    snprintf(query, sizeof query, "/logs?attempt=%lld&rank=%lld%s%s", (long long)attempt, args->rank.value,
             args->stream ? "&stream=" : "", args->stream ? args->stream : "");
    _cleanup_free_ char *path = client_job_path(job, query);
    struct http_easy_request request = {.method = "GET", .path = path, .on_data = take_records, .ctx = &log};
    _cleanup_answer_ struct http_easy_answer answer = {0};
    bool done = http_easy_perform(client->http, &request, &answer, &err);
    if (log.write_error == EPIPE)
        return 128 + SIGPIPE;
    if (log.write_error)
        error_errno(&err, log.write_error, "can't write the log");
    else if (done && answer.status >= 200 && answer.status <= 299)
        return EXIT_OK;
    else if (done)
        client_refusal(&answer, &err);
    else
        client_explain(client, &err);
    return cli_fail(&err);
}

/* Whether the job has that rank and that process. Where no rank is given, it is the process's own. */
static bool check_part(const cJSON *job, const char *name, struct logs_args *args, int64_t *processes,
                       struct error *err)
{
    const cJSON *resources = json_get(job, "resources");
    int64_t each = json_int(resources, "processes_per_instance", 1),
            count = json_int(resources, "instance_count", 1), process = args->process.value;
    *processes = each = each > 0 ? each : 1;
    count = count > 0 ? count : 1;
    if (args->rank.given && args->rank.value >= count && count == 1)
        return error_set(err, ERROR_NOT_FOUND, "job %s has 1 instance: --rank 0 alone", name);
    if (args->rank.given && args->rank.value >= count)
        return error_set(err, ERROR_NOT_FOUND, "job %s has %lld instances: --rank 0 to %lld", name,
                         (long long)count, (long long)(count - 1));
    if (!args->process.given)
        return true;
    int64_t first = args->rank.given ? args->rank.value * each : 0,
            last = args->rank.given ? first + each - 1 : count * each - 1;
    if (process < first || process > last) {
        char at[64] = "";
        long long number = last - first + 1;
        if (args->rank.given && count > 1)
            snprintf(at, sizeof at, " in rank %lld", (long long)args->rank.value);
        if (number == 1)
            return error_set(err, ERROR_NOT_FOUND, "job %s has 1 process%s: --process %lld alone", name, at,
                             (long long)first);
        return error_set(err, ERROR_NOT_FOUND, "job %s has %lld processes%s: --process %lld to %lld", name,
                         number, at, (long long)first, (long long)last);
    }
    args->rank.value = process / each;
    return true;
}

/* A log that grows no more has nothing past its end, and never will. */
static bool check_offset(struct client *client, const cJSON *job, const char *name, int64_t attempt,
                         const struct logs_args *args, struct error *err)
{
    bool over = follow_state_is_final(json_str(job, "state", "")) || attempt < json_int(job, "attempt", 0);
    if (!args->offset.value || !over)
        return true;
    char query[160], text[32] = "0";
    snprintf(query, sizeof query, "/logs?attempt=%lld&rank=%lld&tail=0%s%s", (long long)attempt,
             args->rank.value, args->stream ? "&stream=" : "", args->stream ? args->stream : "");
    _cleanup_free_ char *path = client_job_path(name, query);
    struct http_easy_request request = {.method = "GET", .path = path};
    _cleanup_answer_ struct http_easy_answer answer = {0};
    if (!http_easy_perform(client->http, &request, &answer, err))
        return client_explain(client, err);
    if (answer.status < 200 || answer.status > 299)
        return client_refusal(&answer, err);
    http_easy_header(&answer, "X-Berth-Offset", text, sizeof text);
    if (args->offset.value <= strtoll(text, NULL, 10))
        return true;
    return error_set(err, ERROR_NOT_FOUND, "the log of job %s has %s bytes: --offset 0 to %s, not %lld", name,
                     text, text, (long long)args->offset.value);
}

static int run_logs(void *p, int argc, char **argv)
{
    struct logs_args *args = p;
    if (argc != 1)
        return cli_usage("logs", "logs needs one job's name");
    if (args->stream && strcmp(args->stream, "out") != 0 && strcmp(args->stream, "err") != 0)
        return cli_usage("logs", "--stream takes out or err, not \"%s\"", args->stream);
    if (args->tail.given && args->offset.given)
        return cli_usage("logs", "--tail and --offset can't stand together");
    if (args->process.given && (args->follow || args->tail.given || args->offset.given))
        return cli_usage("logs", "--process goes without -f, --tail and --offset");
    if (args->tail.value > TAIL_LINES_MAX)
        return cli_usage("logs", "--tail takes at most %d lines", TAIL_LINES_MAX);
    if (args->attempt.given && args->attempt.value == 0)
        return cli_usage("logs", "attempts count from 1");
    struct error err = {0};
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    if (!client)
        return cli_fail(&err);
    _cleanup_free_ char *path = client_job_path(argv[0], "");
    _cleanup_json_ cJSON *job = client_call(client, "GET", path, NULL, 0, &err);
    if (!job)
        return cli_fail(&err);
    int64_t latest = json_int(job, "attempt", 0), attempt = args->attempt.given ? args->attempt.value
                                                            : latest            ? latest
                                                                                : 1;
    if (args->attempt.given && attempt > (latest ? latest : 1)) {
        error_set(&err, ERROR_NOT_FOUND, "job %s has no attempt %lld; its latest is %lld", argv[0],
                  (long long)attempt, (long long)latest);
        return cli_fail(&err);
    }
    const cJSON *array = json_get(job, "array");
    if (cJSON_IsObject(array)) {
        int first = (int)strtol(json_str(array, "indices", "0"), NULL, 10);
        error_set(&err, ERROR_INVALID, "%s is an array: each of its elements has a log of its own", argv[0]);
        error_hint(&err, "berth logs %s%c%d", argv[0], ARRAY_MARK, first);
        return cli_fail(&err);
    }
    int64_t processes;
    if (!check_part(job, argv[0], args, &processes, &err))
        return cli_fail(&err);
    if (!latest && !args->follow) {
        cli_note("job %s has not started; berth why %s tells why, -f waits for it", argv[0], argv[0]);
        return EXIT_OK;
    }
    struct follow_options options = {.attempt = args->follow && !args->attempt.given ? 0 : attempt,
                                     .latest = true,
                                     .rank = args->rank.value,
                                     .offset = args->offset.value,
                                     .follow = args->follow,
                                     .notes = args->follow,
                                     .stream = args->stream,
                                     .fd = STDOUT_FILENO};
    signal(SIGPIPE, SIG_IGN);
    if (!check_offset(client, job, argv[0], attempt, args, &err))
        return cli_fail(&err);
    if (args->process.given && processes > 1)
        return print_process(client, argv[0], attempt, args);
    if (args->tail.given && !find_tail(client, argv[0], attempt, args, &options.offset, &err))
        return cli_fail(&err);
    enum follow_end end = follow_log(client, argv[0], &options, NULL, NULL, &err);
    if (end == FOLLOW_CLOSED && err.sys_errno == EPIPE)
        return 128 + SIGPIPE; /* head(1) has seen enough */
    return end == FOLLOW_DONE ? EXIT_OK : cli_fail(&err);
}

const struct verb verb_logs = {
    .name = "logs",
    .synopsis = "NAME [-f] [--tail LINES] [--attempt N] [--rank N] [--offset BYTES]",
    .summary = "print a job's log, or follow it",
    .details = "While it follows, a connection that breaks is opened again at the same byte: nothing is lost "
               "or doubled.",
    .operands = WORD_JOB,
    .options = logs_opts,
    .args_size = sizeof(struct logs_args),
    .run = run_logs,
};
