/* What there is, as a table or JSON, of one job or of all elements of an array. */
#include "cli/outputs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "cli/outputs_array.h"
#include "cli/outputs_fetch.h"
#include "cli/outputs_select.h"
#include "cli/show.h"
#include "cli/table.h"
#include "cli/term.h"

#include <string.h>
#include <sys/stat.h>

/* Paths begin with `above`. */
static void add_rows(struct table *table, const cJSON *answer, const char *above)
{
    const cJSON *file;
    char text[32];
    cJSON_ArrayForEach(file, json_get(answer, "files"))
    {
        _cleanup_free_ char *path = xasprintf("%s%s", above, json_str(file, "path", "?"));
        table_add(table, show_bytes(json_int(file, "size", 0), text), TERM_PLAIN);
        table_add(table, show_time(json_int(file, "mtime_ms", 0), text), TERM_PLAIN);
        table_add(table, path, TERM_PLAIN);
    }
    cJSON_ArrayForEach(file, json_get(answer, "links"))
    {
        _cleanup_free_ char *link =
            xasprintf("%s%s -> %s", above, json_str(file, "path", "?"), json_str(file, "target", "?"));
        table_add(table, "link", TERM_PLAIN);
        table_add(table, "", TERM_PLAIN);
        table_add(table, link, TERM_PLAIN);
    }
    cJSON_ArrayForEach(file, json_get(answer, "directories"))
    {
        _cleanup_free_ char *directory = xasprintf("%s%s/", above, json_str(file, "path", "?"));
        table_add(table, "empty", TERM_PLAIN);
        table_add(table, "", TERM_PLAIN);
        table_add(table, directory, TERM_PLAIN);
    }
}

static void begin_table(struct table *table)
{
    static const struct table_column columns[] = {
        {"SIZE", true, 0, 0, 0}, {"CHANGED", false, 0, 0, 1}, {"PATH", false, 9, 20, 0}};
    table_init(table, columns, 3);
}

static void end_table(struct table *table)
{
    table_print(table);
    table_finish(table);
}

static void note_skipped(const cJSON *answer, const char *above)
{
    const cJSON *skipped;
    cJSON_ArrayForEach(skipped, json_get(answer, "skipped"))
    {
        _cleanup_buf_ struct buf safe = {0};
        term_add_safe(&safe, json_str(skipped, "path", "?"), false);
        buf_add_str(&safe, ": ");
        term_add_safe(&safe, json_str(skipped, "why", "?"), false);
        cli_note("%s: %s%s", json_bool(answer, "running", false) ? "left out" : "not kept", above, safe.data);
    }
}

static void note_sweep(const cJSON *answer, const char *above)
{
    const char *text = json_str(answer, "work_files", NULL);
    if (text)
        cli_note("%sthe work files %s", above, text);
}

static bool refuse_unmatched(const char *job, const struct outputs_options *o, struct error *err)
{
    error_set(err, ERROR_NOT_FOUND, "job %s has left nothing that matches %s%s", job, o->patterns[0],
              o->pattern_count > 1 ? " or the others" : "");
    return error_hint(err, "berth outputs %s lists what there is", job);
}

/* What of the job is wanted; *left is how much that is. NULL with err. */
static cJSON *ask(struct client *client, const char *job, const struct outputs_options *o, size_t *left,
                  struct error *err)
{
    char query[64];
    int n = snprintf(query, sizeof query, "/outputs?work=%d", o->work);
    if (o->rank)
        snprintf(query + n, sizeof query - (size_t)n, "&rank=%lld", (long long)o->rank);
    _cleanup_free_ char *path = client_job_path(job, query);
    cJSON *answer = client_call(client, "GET", path, NULL, 0, err);
    if (answer)
        *left = outputs_select(answer, o->patterns, o->pattern_count);
    return answer;
}

/* The id of the array that `job` names; 0: it names none. */
static int64_t find_array(struct client *client, const char *job)
{
    struct error ignored;
    _cleanup_free_ char *path = client_job_path(job, "");
    _cleanup_json_ cJSON *found = client_call(client, "GET", path, NULL, 0, &ignored);
    return cJSON_IsObject(json_get(found, "array")) ? json_int(found, "id", 0) : 0;
}

/* One element after the other; what can't be had of one keeps nobody from the others. */
static int of_array(struct client *client, const char *job, int64_t array, const struct outputs_options *o)
{
    struct error err = {0};
    size_t count, all = 0;
    bool final = true;
    _cleanup_free_ struct outputs_element *elements = outputs_elements(client, array, &count, &err);
    if (!elements)
        return cli_fail(&err);
    if (o->folder && mkdir(o->folder, 0777) != 0 && errno != EEXIST) {
        error_errno(&err, errno, "can't make the directory %s", o->folder);
        return cli_fail(&err);
    }
    int code = EXIT_OK;
    struct table table;
    begin_table(&table);
    _cleanup_json_ cJSON *shown = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(shown, "elements");
    for (size_t i = 0; i < count; i++) {
        char id[24], above[24];
        size_t left = 0;
        struct error failed = {0};
        snprintf(id, sizeof id, "%lld", (long long)elements[i].id);
        snprintf(above, sizeof above, "%lld/", (long long)elements[i].index);
        cJSON *answer = ask(client, id, o, &left, &failed);
        if (!answer) {
            code = cli_fail(&failed);
            continue;
        }
        all += left;
        final = final && json_bool(answer, "final", true);
        if (o->folder && left) {
            _cleanup_free_ char *folder = xasprintf("%s/%lld", o->folder, (long long)elements[i].index);
            struct outputs_options own = *o;
            own.folder = folder;
            own.running = json_bool(answer, "running", false);
            int one = outputs_fetch(client, id, &own, answer);
            code = one ? one : code;
        }
        if (!o->folder && !o->json)
            add_rows(&table, answer, above);
        if (!o->pattern_count)
            note_skipped(answer, above);
        note_sweep(answer, above);
        json_add_int(answer, "index", elements[i].index);
        cJSON_AddItemToArray(list, answer);
    }
    if (o->json)
        show_json(shown);
    if (!o->folder && !o->json)
        end_table(&table);
    else
        table_finish(&table);
    if (!code && !all && o->pattern_count) {
        refuse_unmatched(job, o, &err);
        return cli_fail(&err);
    }
    if (!final)
        cli_note("the array has not ended: there may be more later");
    return code;
}

int outputs_of(struct client *client, const char *job, const struct outputs_options *o)
{
    struct error err = {0};
    size_t left = 0;
    _cleanup_json_ cJSON *answer = ask(client, job, o, &left, &err);
    if (!answer) {
        int64_t array = err.code == ERROR_CONFLICT ? find_array(client, job) : 0;
        return array ? of_array(client, job, array, o) : cli_fail(&err);
    }
    if (!left && o->pattern_count) {
        note_sweep(answer, "");
        refuse_unmatched(job, o, &err);
        return cli_fail(&err);
    }
    bool running = json_bool(answer, "running", false);
    if (o->json)
        show_json(answer);
    int code = EXIT_OK;
    if (o->folder) {
        struct outputs_options own = *o;
        own.running = running;
        code = outputs_fetch(client, job, &own, answer);
    } else if (!o->json) {
        struct table table;
        begin_table(&table);
        add_rows(&table, answer, "");
        end_table(&table);
    }
    if (!o->pattern_count)
        note_skipped(answer, "");
    note_sweep(answer, "");
    if (running)
        cli_note("the job runs: its files as they stand; one that it was writing may be %s",
                 o->folder ? "here in part" : "larger soon");
    else if (!json_bool(answer, "final", true))
        cli_note("the job has not ended: there may be more later");
    return code;
}
