/* The submit line: what was fixed, what was copied, what was left out. On standard error: standard output is
 * the job's. */
#include "cli/submission.h"

#include "base/cleanup.h"
#include "base/print.h"
#include "cli/show.h"
#include "cli/term.h"
#include "proto/jobspec.h"
#include "proto/units.h"

#include <string.h>

static void say(const struct buf *text)
{
    _cleanup_buf_ struct buf safe = {0};
    term_add_safe(&safe, text->data, false);
    print_line(PRINT_ERR, "berth: %s", safe.data);
}

static void tell_job(const cJSON *job)
{
    _cleanup_buf_ struct buf text = {0};
    const cJSON *resources = json_get(job, "resources");
    char memory[32], time[32];
    int64_t cpus = json_int(resources, "cpus", 0), cores = json_int(resources, "cores", 0),
            limit_s = json_int(job, "time_limit_s", 0);
    double gpus = cJSON_GetNumberValue(json_get(resources, "gpus"));
    buf_printf(&text, "job %s (%lld) is queued", json_str(job, "name", "?"),
               (long long)json_int(job, "id", 0));
    if (resources) {
        buf_printf(&text, ": %lld CPU%s (%lld core%s), %s memory", (long long)cpus, cpus == 1 ? "" : "s",
                   (long long)cores, cores == 1 ? "" : "s",
                   show_bytes(json_int(resources, "memory_bytes", 0), memory));
        int64_t gpu_memory = json_int(resources, "gpu_memory_bytes", 0);
        if (gpus > 0)
            buf_printf(&text, ", %g GPU%s", gpus, gpus <= 1 ? "" : "s");
        else if (gpu_memory)
            buf_printf(&text, ", a share of a GPU with %s", show_bytes(gpu_memory, time));
        buf_printf(&text, ", image %s, ", json_str(job, "image", "host"));
        if (limit_s)
            buf_printf(&text, "ends after %s", units_format_exact(limit_s * 1000, time));
        else
            buf_add_str(&text, "no time limit");
    }
    const cJSON *array = json_get(job, "array");
    int64_t limit = json_int(array, "limit", 0);
    if (cJSON_IsObject(array))
        buf_printf(&text, "; %lld of these, ", (long long)json_int(array, "count", 0));
    if (cJSON_IsObject(array) && limit)
        buf_printf(&text, "at most %lld at once", (long long)limit);
    else if (cJSON_IsObject(array))
        buf_add_str(&text, "as many at once as there is room for");
    say(&text);
}

static void tell_left_out(const struct code_snapshot *code, struct buf *text)
{
    char size[32];
    if (!code->left_out_files && !code->left_out_dropped)
        return;
    buf_printf(text, "; left out %s%lld file%s", code->left_out_more ? "more than " : "",
               (long long)code->left_out_files, code->left_out_files == 1 ? "" : "s");
    if (code->largest)
        buf_printf(text, ", the largest %s (%s)", code->largest, show_bytes(code->largest_bytes, size));
}

static void tell_note(const struct code_note *note, const char *what)
{
    _cleanup_buf_ struct buf text = {0};
    if (!note->count)
        return;
    buf_printf(&text, "%lld file%s ", (long long)note->count, note->count == 1 ? "" : "s");
    buf_printf(&text, what, note->count == 1 ? "was" : "were");
    buf_printf(&text, " (%s)", note->example);
    say(&text);
}

static void tell_code(const struct code_snapshot *code)
{
    _cleanup_buf_ struct buf text = {0};
    char size[32];
    buf_printf(&text, "code %s: %lld file%s, %s", code->path, (long long)code->files,
               code->files == 1 ? "" : "s", show_bytes(code->bytes, size));
    tell_left_out(code, &text);
    if (code->git.commit)
        buf_printf(&text, "; commit %.10s%s", code->git.commit, code->git.dirty ? " with changes" : "");
    say(&text);
    if (code->special) {
        buf_clear(&text);
        buf_printf(&text, "skipped %lld socket%s, pipes or devices in the code folder (%s)",
                   (long long)code->special, code->special == 1 ? "" : "s", code->special_example);
        say(&text);
    }
    tell_note(&code->vanished, "vanished while the code was read and %s skipped");
    tell_note(&code->changing, "changed while the code was read and %s taken at what was there when opened");
    if (code->links_out) {
        buf_clear(&text);
        buf_printf(&text, "%lld link%s out of the code folder and %s kept as link%s (%s)",
                   (long long)code->links_out, code->links_out == 1 ? " leads" : "s lead",
                   code->links_out == 1 ? "is" : "are", code->links_out == 1 ? "" : "s",
                   code->links_out_example);
        say(&text);
    }
    if (code->left_out_dropped)
        cli_note("%zu more left-out paths than the %d that the job finds at their place; it won't see those",
                 code->left_out_dropped, SNAPSHOT_LEFT_OUT_MAX);
    if (code->ignore_dropped)
        cli_note(
            "the rules of %zu ignore file%s are not text, or more than %d bytes together: files that the job "
            "makes and only they ignore don't pass on to its later attempts",
            code->ignore_dropped, code->ignore_dropped == 1 ? "" : "s", JOB_IGNORE_MAX_BYTES);
}

static void tell_live(const struct code_snapshot *code)
{
    _cleanup_buf_ struct buf text = {0};
    buf_printf(&text, "live in %s: nothing is copied, what the job changes is changed there", code->path);
    say(&text);
}

void submission_tell(const struct submission *s, const cJSON *job)
{
    tell_job(job);
    if (s->code.live)
        tell_live(&s->code);
    else if (s->has_code)
        tell_code(&s->code);
    const cJSON *note;
    cJSON_ArrayForEach(note, json_get(job, "submit_notes"))
    {
        _cleanup_buf_ struct buf line = {0};
        buf_add_str(&line, cJSON_IsString(note) ? note->valuestring : "");
        say(&line);
    }
    const cJSON *approval = json_get(job, "approval");
    if (cJSON_IsObject(approval)) {
        _cleanup_buf_ struct buf text = {0};
        buf_printf(&text, "it waits for approval, which sizes of the family %s need: %s",
                   json_str(approval, "family", "?"), json_str(approval, "command", ""));
        say(&text);
    }
    const cJSON *advice;
    cJSON_ArrayForEach(advice, json_get(job, "advice"))
    {
        _cleanup_buf_ struct buf text = {0};
        if (cJSON_IsString(advice) && *advice->valuestring) {
            buf_add_str(&text, advice->valuestring);
            say(&text);
        }
    }
}
