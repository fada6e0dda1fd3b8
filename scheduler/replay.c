/* The verb `replay`: what of the journal is looked at, and the check of all of it. */
#include "scheduler/replay.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/print.h"
#include "proto/json.h"
#include "proto/units.h"
#include "scheduler/entry.h"
#include "scheduler/kept.h"
#include "scheduler/sim/drive.h"
#include "scheduler/sim_journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define EXIT_REFUSED 1
#define EXIT_USAGE 2

static const char *const kind_names[CORE_EVENT_KIND_END] = {
    [CORE_EVENT_CONFIG] = "config",
    [CORE_EVENT_NODE_UP] = "node_up",
    [CORE_EVENT_NODE_DOWN] = "node_down",
    [CORE_EVENT_NODE_LOST] = "node_lost",
    [CORE_EVENT_NODE_DRAIN] = "node_drain",
    [CORE_EVENT_NODE_RESUME] = "node_resume",
    [CORE_EVENT_NODE_FAULT] = "node_fault",
    [CORE_EVENT_NODE_HEALED] = "node_healed",
    [CORE_EVENT_JOB_SUBMIT] = "job_submit",
    [CORE_EVENT_JOB_CANCEL] = "job_cancel",
    [CORE_EVENT_TASK_STATE] = "task_state",
    [CORE_EVENT_TASK_EXIT] = "task_exit",
    [CORE_EVENT_TASK_RELEASED] = "task_released",
    [CORE_EVENT_TASK_COLLECTED] = "task_collected",
    [CORE_EVENT_TICK] = "tick",
    [CORE_EVENT_CONTINUE] = "continue",
    [CORE_EVENT_TASK_OVER] = "task_over",
    [CORE_EVENT_JOB_UPDATE] = "job_update",
    [CORE_EVENT_LICENCES] = "licences",
    [CORE_EVENT_QUOTA] = "quota",
    [CORE_EVENT_FAMILY] = "family",
    [CORE_EVENT_CAPS] = "caps",
    [CORE_EVENT_WEIGHT] = "weight",
    [CORE_EVENT_RESERVE] = "reserve",
};

const char *replay_time(uint64_t ms, char *out)
{
    time_t at = (time_t)(ms / 1000);
    struct tm tm;
    if (!localtime_r(&at, &tm) || !strftime(out, 32, "%F %T", &tm))
        snprintf(out, 32, "?");
    return out;
}

static int tell(const struct error *err, int code)
{
    print_line(PRINT_ERR, "berth: %s", err->message);
    if (err->hint[0])
        print_line(PRINT_ERR, "try: %s", err->hint);
    return code;
}

/* ---- the check ---- */

static void write_json(const struct kept_report *report, struct core *core, struct buf *out)
{
    char hash[24];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)core_hash(core));
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    json_add_int(o, "rows", (int64_t)report->rows);
    json_add_int(o, "first_row", (int64_t)report->first_row);
    json_add_int(o, "last_row", (int64_t)report->last_row);
    json_add_int(o, "first_ms", (int64_t)report->first_ms);
    json_add_int(o, "last_ms", (int64_t)report->last_ms);
    json_add_int(o, "checkpoints", report->checkpoints);
    json_add_str(o, "hash", hash);
    json_add_int(o, "decided_otherwise", (int64_t)report->decided_otherwise);
    if (report->otherwise_first)
        json_add_int(o, "otherwise_first", (int64_t)report->otherwise_first);
    else
        cJSON_AddNullToObject(o, "otherwise_first");
    cJSON *events = cJSON_AddObjectToObject(o, "events");
    for (int kind = 0; kind < CORE_EVENT_KIND_END; kind++) {
        if (report->kinds[kind])
            json_add_int(events, kind_names[kind], (int64_t)report->kinds[kind]);
    }
    json_write(o, out);
    buf_add_char(out, '\n');
}

static void write_table(const struct kept_report *report, const struct core *core, struct buf *out)
{
    char from[32], to[32];
    struct core_counts counts;
    core_count(core, &counts);
    if (!report->rows) {
        buf_add_str(out, "the journal has no rows yet\n");
        return;
    }
    buf_printf(out, "%-12s %llu to %llu, %s to %s\n", "rows", (unsigned long long)report->first_row,
               (unsigned long long)report->last_row, replay_time(report->first_ms, from),
               replay_time(report->last_ms, to));
    buf_printf(out, "%-12s each of them gives the hash that was recorded\n", "applied");
    if (report->checkpoints)
        buf_printf(out, "%-12s %u, each is what the rows lead to\n", "checkpoints", report->checkpoints);
    if (report->decided_otherwise)
        buf_printf(out, "%-12s %llu rows otherwise than recorded, the first of them is row %llu\n", "decided",
                   (unsigned long long)report->decided_otherwise,
                   (unsigned long long)report->otherwise_first);
    else
        buf_printf(out, "%-12s each of them as it was recorded\n", "decided");
    buf_printf(out, "%-12s", "events");
    for (int kind = 0; kind < CORE_EVENT_KIND_END; kind++) {
        if (report->kinds[kind])
            buf_printf(out, " %s %llu", kind_names[kind], (unsigned long long)report->kinds[kind]);
    }
    buf_printf(out, "\n%-12s %u jobs, %u of them in their turn; %u nodes\n", "at the end", counts.jobs,
               counts.queued, counts.nodes);
}

static int verify(struct journal_reader *r, bool json, struct buf *out, struct error *err)
{
    struct kept_report report;
    struct core *core = kept_verify(r, &report, err);
    if (!core)
        return tell(err, EXIT_REFUSED);
    if (json)
        write_json(&report, core, out);
    else
        write_table(&report, core, out);
    core_destroy(core);
    return report.decided_otherwise ? EXIT_REFUSED : 0;
}

/* ---- the verb ---- */

int replay_run(const char *state_dir, int64_t at_ms, const char *policy, bool json)
{
    _cleanup_buf_ struct buf out = {0};
    struct error err = {0};
    enum core_policy known = CORE_POLICY_FCFS;
    if (policy && !drive_policy(policy, &known, &err))
        return tell(&err, EXIT_USAGE);
    if (!sim_journal_is(state_dir)) {
        error_set(&err, ERROR_NOT_FOUND, "there is no journal in %s", state_dir);
        error_hint(&err, "--state-dir names the state folder of a Berth");
        return tell(&err, EXIT_REFUSED);
    }
    _cleanup_free_ char *folder = sim_journal_folder(state_dir);
    struct journal_reader *r = journal_reader_open(folder, &err);
    int code = EXIT_REFUSED;
    if (!r)
        code = tell(&err, EXIT_REFUSED);
    else if (at_ms)
        code = replay_moment(r, (uint64_t)at_ms, json, &out, &err) ? 0 : tell(&err, EXIT_REFUSED);
    else if (policy)
        code = replay_policy(r, known, json, &out, &err) ? 0 : tell(&err, EXIT_REFUSED);
    else
        code = verify(r, json, &out, &err);
    journal_reader_close(r);
    if (out.len)
        print_out("%s", out.data);
    return code;
}
