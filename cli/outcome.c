/* The end of a job, told. */
#include "cli/outcome.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/print.h"
#include "cli/cli.h"
#include "cli/evidence.h"
#include "cli/show.h"
#include "cli/term.h"
#include "proto/units.h"

#include <stdio.h>
#include <string.h>

#define OUTCOME_SKIPPED_SHOWN 5 /* entries that were not kept; the rest is counted */

int outcome_exit_code(const cJSON *job)
{
    const char *state = json_str(job, "state", "");
    int64_t code;
    bool has_code = json_item_int(json_get(job, "exit_code"), &code);
    if (strcmp(state, "Completed") == 0)
        return has_code ? (int)(code & 0xff) : EXIT_OK;
    if (has_code && code != 0)
        return (int)(code & 0xff);
    return strcmp(state, "Canceled") == 0 ? EXIT_CANCELED : EXIT_REFUSED;
}

void outcome_add_cause(struct buf *out, const cJSON *job, const char *indent)
{
    const cJSON *cause = json_get(job, "cause");
    if (!cJSON_IsObject(cause))
        return;
    const char *text = json_str(cause, "text", NULL);
    term_add_safe(out, text && *text ? text : json_str(cause, "kind", "unknown"), false);
    buf_add_char(out, '\n');
    if (indent)
        evidence_add(json_get(cause, "evidence"), indent, out);
}

#define KEPT_NOTE "kept with the job: " /* executor/task_end.c */

/* What happened since it first ran. The answer that was waited for has no notes. Returns whether it has
 * changed ignored files. */
static bool print_notes(struct client *client, const char *name)
{
    _cleanup_free_ char *path = client_job_path(name, "");
    struct error err = {0};
    _cleanup_json_ cJSON *job = client_call(client, "GET", path, NULL, 10000, &err);
    const cJSON *note;
    bool kept = false;
    cJSON_ArrayForEach(note, json_get(job, "notes"))
    {
        _cleanup_buf_ struct buf safe = {0};
        if (json_int(note, "at_ms", 0) < json_int(job, "started_ms", INT64_MAX))
            continue;
        term_add_safe(&safe, json_str(note, "text", ""), false);
        if (safe.len)
            cli_note("note: %s", safe.data);
        kept |= strncmp(json_str(note, "text", ""), KEPT_NOTE, sizeof KEPT_NOTE - 1) == 0;
    }
    return kept;
}

static void tell_skipped(const cJSON *skipped, const char *name)
{
    int total = cJSON_GetArraySize(skipped);
    _cleanup_buf_ struct buf safe = {0};
    for (int i = 0; i < total && i < OUTCOME_SKIPPED_SHOWN; i++) {
        const cJSON *item = cJSON_GetArrayItem(skipped, i);
        buf_clear(&safe);
        term_add_safe(&safe, json_str(item, "path", "?"), false);
        buf_add_str(&safe, ": ");
        term_add_safe(&safe, json_str(item, "why", "?"), false);
        cli_note("not kept: %s", safe.data);
    }
    if (total > OUTCOME_SKIPPED_SHOWN)
        cli_note("and %d more not kept: berth outputs %s", total - OUTCOME_SKIPPED_SHOWN, name);
}

/* What the job left: files of ./outputs, and others that it made. */
static void tell_kept(struct client *client, const char *name, bool changed, bool completed)
{
    bool goes_on = changed;
    static const char *const questions[] = {"/outputs?work=0", "/outputs?work=1"};
    for (int work = 0; work < 2; work++) {
        _cleanup_free_ char *path = client_job_path(name, questions[work]);
        struct error err = {0};
        _cleanup_json_ cJSON *answer = client_call(client, "GET", path, NULL, 10000, &err);
        if (!work)
            tell_skipped(json_get(answer, "skipped"), name);
        int n = cJSON_GetArraySize(json_get(answer, "files"));
        if (n && work)
            cli_note("%d other file%s that the job made %s kept for 7 days: berth outputs %s --work", n,
                     n == 1 ? "" : "s", n == 1 ? "is" : "are", name);
        else if (n)
            cli_note("%d file%s in ./outputs: berth outputs %s", n, n == 1 ? "" : "s", name);
        goes_on |= n && !work && !completed;
    }
    if (goes_on)
        cli_note("to go on from what it left: berth run --continue %s ...", name);
}

void outcome_tell(struct client *client, const cJSON *job)
{
    const char *state = json_str(job, "state", "?"), *name = json_str(job, "name", "?");
    int64_t started = json_int(job, "started_ms", 0), ended = json_int(job, "ended_ms", 0);
    char time[32] = "";
    if (started && ended >= started)
        units_format_duration(ended - started, time);
    _cleanup_buf_ struct buf cause = {0};
    bool plain_exit = strcmp(json_str(json_get(job, "cause"), "kind", ""), "exit") == 0;
    outcome_add_cause(&cause, job, plain_exit ? NULL : "berth:"); /* an exit code needs no proof */
    bool colour = term_has_colour(STDERR_FILENO), good = strcmp(state, "Completed") == 0;
    _cleanup_buf_ struct buf line = {0};
    buf_add_str(&line, "berth: job ");
    term_add_safe(&line, name, false);
    buf_printf(&line, " %s", colour ? term_colour_code(good ? TERM_GREEN : TERM_RED) : "");
    term_add_safe(&line, state, false);
    buf_printf(&line, "%s%s%s%s%s", colour ? TERM_RESET : "", *time ? " after " : "", time,
               cause.len && !good ? ": " : "\n", cause.len && !good ? cause.data : "");
    print_coloured(PRINT_ERR, &line, colour);
    bool changed = print_notes(client, name);
    const cJSON *advice;
    cJSON_ArrayForEach(advice, json_get(job, "advice"))
    {
        _cleanup_buf_ struct buf safe = {0};
        if (cJSON_IsString(advice))
            term_add_safe(&safe, advice->valuestring, false);
        if (safe.len)
            print_line(PRINT_ERR, "berth: %s", safe.data);
    }
    tell_kept(client, name, changed, good);
}
