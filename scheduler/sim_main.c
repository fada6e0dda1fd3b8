/* The verb `sim`: its options, the way from a file to a trace, and what is told of the run. */
#include "scheduler/entry.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/print.h"
#include "scheduler/sim/drive.h"
#include "scheduler/sim/gantt.h"
#include "scheduler/sim/generate.h"
#include "scheduler/sim/lines.h"
#include "scheduler/sim/metrics.h"
#include "scheduler/sim/pods.h"
#include "scheduler/sim/swf.h"
#include "scheduler/sim_journal.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_REFUSED 1
#define EXIT_USAGE 2

static const char usage[] =
    "usage: berth sim TRACE [--procs N | --nodes FILE] [--policy P] [-o json]\n"
    "       berth sim --generate KIND[,key=value]... [--policy P] [-o json] [--write FILE.swf]\n"
    "\n"
    "Plays a trace of jobs through Berth's own scheduling core in virtual time, and tells what the schedule "
    "is\n"
    "worth.\n"
    "\n"
    "TRACE is one of\n"
    "  FILE.swf, FILE.swf.gz     a log in the Standard Workload Format; declared times below the run time "
    "are\n"
    "                            raised to it, jobs without a run time are skipped and counted\n"
    "  FILE.csv, FILE.csv.gz     a list of pods (name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,\n"
    "                            pod_phase,creation_time,deletion_time,scheduled_time); needs --nodes\n"
    "  DIR                       a Berth's state folder: its own jobs that have ended, on its own nodes\n"
    "Lines that can't be understood are named and counted, and skipped.\n"
    "\n"
    "Options:\n"
    "  --procs N                 one machine of N processors (default: what the log's header says)\n"
    "  --nodes FILE              the nodes to run on (sn,cpu_milli,memory_mib,gpu,model); jobs of a log "
    "that\n"
    "                            are larger than any of them run on several at once\n"
    "  --policy P                how the core decides (default: " DRIVE_POLICY_DEFAULT ")\n"
    "  --generate KIND[,...]     a trace from a seed instead of a file: lublin, bags, bursty (one machine; "
    "keys\n"
    "                            procs, jobs, users, seed, load=light|heavy|overloaded|NUMBER,\n"
    "                            estimates=exact|good|poor) or cluster (nodes with GPUs; also nodes, gpus, "
    "and\n"
    "                            gangs and shares in percent)\n"
    "  --write FILE.swf[.gz]     save the trace instead of playing it\n"
    "  --gantt FILE.svg          draw the schedule, colours by user, and the number of waiting jobs\n"
    "  --perfect                 every job declares exactly the time that it takes\n"
    "  -o, --output FORMAT       table or json; json is one object on one line: jobs, mean_wait_s,\n"
    "                            mean_bounded_slowdown (of at least 10 s), p95_wait_s, max_wait_s, "
    "utilisation,\n"
    "                            makespan_s, gpu_allocation_ratio, promises_voided, events, wall_s, policy,\n"
    "                            bad_lines, refused\n"
    "  -h, --help                this text\n";

enum {
    OPT_PROCS = 256,
    OPT_NODES,
    OPT_POLICY,
    OPT_GENERATE,
    OPT_WRITE,
    OPT_GANTT,
    OPT_PERFECT,
    OPT_OUTPUT = 'o',
    OPT_HELP = 'h'
};

static const struct option options[] = {
    {"procs", required_argument, NULL, OPT_PROCS},   {"nodes", required_argument, NULL, OPT_NODES},
    {"policy", required_argument, NULL, OPT_POLICY}, {"generate", required_argument, NULL, OPT_GENERATE},
    {"write", required_argument, NULL, OPT_WRITE},   {"gantt", required_argument, NULL, OPT_GANTT},

    {"perfect", no_argument, NULL, OPT_PERFECT},     {"output", required_argument, NULL, OPT_OUTPUT},
    {"help", no_argument, NULL, OPT_HELP},           {NULL, 0, NULL, 0},
};

const char *sim_option(unsigned index)
{
    return index < sizeof options / sizeof *options ? options[index].name : NULL;
}

struct arguments {
    const char *trace, *nodes, *policy, *generate, *write, *gantt;
    uint32_t procs; /* 0: not said */
    bool json, perfect, help;
};

static int tell_usage(const char *what, const char *word)
{
    print_line(PRINT_ERR, "berth: %s%s", what, word);
    print_line(PRINT_ERR, "try: berth sim --help");
    return EXIT_USAGE;
}

static int tell_error(const struct error *err)
{
    print_line(PRINT_ERR, "berth: %s", err->message);
    if (err->hint[0])
        print_line(PRINT_ERR, "try: %s", err->hint);
    return EXIT_REFUSED;
}

static bool take_procs(const char *text, uint32_t *procs)
{
    int64_t value;
    if (lines_whole(text, TRACE_CPUS_MAX, &value) != NUMBER_OK || value < 1)
        return false;
    *procs = (uint32_t)value;
    return true;
}

/* 0, or the exit code after telling what is wrong. */
static int take_option(struct arguments *a, int option, const char *value)
{
    switch (option) {
    case OPT_PROCS:
        return take_procs(value, &a->procs)
                   ? 0
                   : tell_usage("--procs takes 1 to 4194304 processors, not ", value);
    case OPT_NODES:
        a->nodes = value;
        return 0;
    case OPT_POLICY:
        a->policy = value;
        return 0;
    case OPT_GENERATE:
        a->generate = value;
        return 0;
    case OPT_WRITE:
        a->write = value;
        return 0;
    case OPT_GANTT:
        a->gantt = value;
        return 0;
    case OPT_PERFECT:
        a->perfect = true;
        return 0;
    case OPT_OUTPUT:
        a->json = strcmp(value, "json") == 0;
        return a->json || strcmp(value, "table") == 0 ? 0 : tell_usage("-o takes json or table, not ", value);
    default:
        a->help = true;
        return 0;
    }
}

static int parse(int argc, char **argv, struct arguments *a)
{
    optind = 0;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":o:h", options, NULL)) != -1;) {
        if (c == ':')
            return tell_usage("a value is missing after ", argv[optind - 1]);
        if (c == '?')
            return tell_usage("sim has no option ", argv[optind - 1]);
        int code = take_option(a, c, optarg);
        if (code)
            return code;
    }
    if (a->help)
        return 0;
    if (a->generate && (optind < argc || a->procs || a->nodes))
        return tell_usage("--generate makes trace and nodes itself; it excludes ",
                          optind < argc ? argv[optind] : "--procs and --nodes");
    if (a->generate)
        return 0;
    if (optind == argc)
        return tell_usage("sim needs a trace", "");
    if (optind + 1 < argc)
        return tell_usage("sim takes one trace; this is another: ", argv[optind + 1]);
    if (a->procs && a->nodes)
        return tell_usage("--procs and --nodes exclude each other", "");
    a->trace = argv[optind];
    return 0;
}

/* ---- from files to a trace ---- */

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool named(const char *path, const char *kind)
{
    size_t n = strlen(path);
    return ends_in(path, ".gz")
               ? n > 3 + strlen(kind) && strncmp(path + n - 3 - strlen(kind), kind, strlen(kind)) == 0
               : ends_in(path, kind);
}

static bool read_file(const char *path,
                      bool (*read)(struct lines *lines, struct trace *trace, struct error *err),
                      struct trace *trace, struct error *err)
{
    _cleanup_lines_ struct lines *lines = lines_open(path, err);
    return lines && read(lines, trace, err);
}

static bool read_swf(const struct arguments *a, struct trace *trace, struct error *err)
{
    if (!read_file(a->trace, swf_read, trace, err))
        return false;
    if (a->nodes) {
        trace->node_count = 0; /* the header's own machine */
        if (!read_file(a->nodes, pods_read_nodes, trace, err))
            return false;
        trace_spread(trace);
    } else if (a->procs) {
        trace_set_pool(trace, a->procs);
    } else if (!trace->node_count) {
        error_set(err, ERROR_INVALID, "%s doesn't say how many processors the machine has", a->trace);
        return error_hint(err, "berth sim %s --procs N", a->trace);
    }
    return true;
}

static bool read_pods(const struct arguments *a, struct trace *trace, struct error *err)
{
    if (!a->nodes) {
        error_set(err, ERROR_INVALID, "a list of pods needs the list of the nodes that they ran on");
        return error_hint(err, "berth sim %s --nodes FILE", a->trace);
    }
    return read_file(a->nodes, pods_read_nodes, trace, err) && read_file(a->trace, pods_read, trace, err);
}

static bool read_journal(const struct arguments *a, struct trace *trace, struct error *err)
{
    if (!sim_journal_read(a->trace, trace, err))
        return false;
    if (a->nodes) {
        trace->node_count = 0;
        return read_file(a->nodes, pods_read_nodes, trace, err);
    }
    if (a->procs)
        return error_set(err, ERROR_INVALID,
                         "jobs of a journal ask for more than processors: say --nodes FILE");
    return true;
}

static bool read_trace(const struct arguments *a, struct trace *trace, struct error *err)
{
    bool ok;
    if (a->generate) {
        struct generate_spec spec;
        ok = generate_parse(a->generate, &spec, err) && generate_trace(&spec, trace, err);
    } else if (sim_journal_is(a->trace)) {
        ok = read_journal(a, trace, err);
    } else if (named(a->trace, ".swf")) {
        ok = read_swf(a, trace, err);
    } else if (named(a->trace, ".csv")) {
        ok = read_pods(a, trace, err);
    } else {
        error_set(err, ERROR_INVALID, "%s is no trace by its name: neither .swf nor .csv, nor a state folder",
                  a->trace);
        return error_hint(err, "berth sim --help");
    }
    if (ok && a->perfect)
        trace_make_exact(trace);
    return ok;
}

/* ---- what is told ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static void tell_bad_lines(const struct arguments *a, const struct trace *trace)
{
    uint64_t kept = trace->bad_count < TRACE_BAD_SAMPLES ? trace->bad_count : TRACE_BAD_SAMPLES;
    for (uint64_t i = 0; i < kept; i++) {
        const struct trace_bad *bad = &trace->bad[i];
        const char *file = strcmp(bad->file, "nodes") == 0 ? a->nodes : a->trace;
        bool record = strcmp(bad->file, "job") == 0 || strcmp(bad->file, "node") == 0;
        print_line(PRINT_ERR, "berth: %s:%s%s%llu: %s", file, record ? bad->file : "", record ? " " : "",
                   (unsigned long long)bad->line, bad->reason);
    }
    if (trace->bad_count > kept)
        print_line(PRINT_ERR, "berth: and %llu more bad lines",
                   (unsigned long long)(trace->bad_count - kept));
    if (trace->undeclared)
        print_line(PRINT_ERR, "berth: %llu jobs declared no time: their run time stands for it",
                   (unsigned long long)trace->undeclared);
    if (trace->left_out)
        print_line(PRINT_ERR, "berth: %llu jobs ended without having run, and are left out",
                   (unsigned long long)trace->left_out);
}

static bool write_gantt(const struct arguments *a, const struct gantt *gantt,
                        const struct metrics_report *report, struct error *err)
{
    _cleanup_buf_ struct buf out = {0};
    _cleanup_free_ char *title = xasprintf(
        "%s, %s: mean wait %.0f s, mean bounded slowdown %.1f, utilisation %.1f %%",
        a->generate ? a->generate : base_name(a->trace), report->policy, report->metrics.mean_wait_s,
        report->metrics.mean_bounded_slowdown, 100 * report->metrics.utilisation);
    gantt_draw(gantt, report->result, title, &out);
    _cleanup_file_ FILE *file = fopen(a->gantt, "we");
    if (!file || fwrite(out.data, 1, out.len, file) != out.len || fflush(file) != 0)
        return error_errno(err, errno, "%s can't be written", a->gantt);
    return true;
}

static int simulate(const struct arguments *a)
{
    _cleanup_trace_ struct trace trace = {0};
    _cleanup_drive_result_ struct drive_result result = {0};
    _cleanup_buf_ struct buf out = {0};
    struct drive_options how = {0};
    struct error err = {0};
    if (!drive_policy(a->policy, &how.policy, &err)) {
        tell_error(&err);
        return EXIT_USAGE;
    }
    if (!read_trace(a, &trace, &err))
        return tell_error(&err);
    tell_bad_lines(a, &trace);
    if (!a->generate && sim_journal_is(a->trace))
        print_line(PRINT_ERR,
                   "berth: the jobs alone, on nodes that are always there; with quotas, holds, dependencies, "
                   "drains and all else as it was: berth replay --policy %s",
                   a->policy);
    if (a->write)
        return swf_write(&trace, a->write, &err) ? 0 : tell_error(&err);
    _cleanup_gantt_ struct gantt *gantt = a->gantt ? gantt_create(&trace) : NULL;
    struct drive_watch watch = gantt ? gantt_watch(gantt) : (struct drive_watch){0};
    how.watch = gantt ? &watch : NULL;
    if (!drive_run(&trace, &how, &result, &err))
        return tell_error(&err);
    struct metrics_report report = {
        .policy = drive_policy_name(how.policy), .trace = &trace, .result = &result};
    metrics_of(&trace, &result, &report.metrics);
    if (gantt && !write_gantt(a, gantt, &report, &err))
        return tell_error(&err);
    if (a->json)
        metrics_write_json(&report, &out);
    else
        metrics_write_table(&report, &out);
    print_out("%s", out.data);
    return 0;
}

int sim_main(int argc, char **argv)
{
    struct arguments a = {.policy = DRIVE_POLICY_DEFAULT};
    int code = parse(argc, argv, &a);
    if (code)
        return code;
    if (a.help) {
        print_out("%s", usage);
        return 0;
    }
    return simulate(&a);
}
