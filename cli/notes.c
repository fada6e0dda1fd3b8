/* A job's notes have no stream: it is asked now and then, more and more seldom. */
#include "cli/notes.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/follow.h"
#include "cli/term.h"
#include "proto/json.h"

#define INTERVAL_FIRST_MS 1000
#define INTERVAL_MAX_MS 30000

void notes_begin(struct notes *notes, struct client *client, const char *job)
{
    *notes = (struct notes){.client = client,
                            .job = job,
                            .due_ms = clock_boot_ms() + INTERVAL_FIRST_MS,
                            .interval_ms = INTERVAL_FIRST_MS};
}

int notes_timeout(const struct notes *notes, int timeout_ms)
{
    if (!notes->client || notes->call)
        return timeout_ms;
    int64_t left = notes->due_ms - clock_boot_ms();
    int own = left > 0 ? (int)left : 0;
    return timeout_ms < 0 || own < timeout_ms ? own : timeout_ms;
}

void notes_show(struct notes *notes, const cJSON *job, bool all)
{
    const cJSON *list = json_get(job, "notes"), *note;
    int64_t begin_ms = json_int(job, "started_ms", INT64_MAX), seen_ms = notes->seen_ms;
    int at = 0, count = cJSON_GetArraySize(list);
    if (!notes->client || follow_state_is_final(json_str(job, "state", "")))
        return;
    cJSON_ArrayForEach(note, list)
    {
        int64_t at_ms = json_int(note, "at_ms", 0);
        _cleanup_buf_ struct buf safe = {0};
        bool is_last = ++at == count;
        if (at_ms < begin_ms || at_ms <= seen_ms || (!all && !seen_ms && !is_last))
            continue;
        notes->seen_ms = at_ms;
        term_add_safe(&safe, json_str(note, "text", ""), false);
        if (safe.len)
            cli_note("job %s: %s", notes->job, safe.data);
    }
}

void notes_turn(struct notes *notes)
{
    const struct http_easy_answer *answer = NULL;
    if (!notes->client)
        return;
    if (!notes->call && clock_boot_ms() >= notes->due_ms) {
        _cleanup_free_ char *path = client_job_path(notes->job, "");
        struct http_easy_request request = {.method = "GET", .path = path};
        notes->call = http_easy_start(notes->client->http, &request);
        return;
    }
    if (!notes->call || !http_easy_call_done(notes->call, &answer, NULL))
        return;
    if (answer && answer->status == 200 && answer->body.data) {
        _cleanup_json_ cJSON *job = json_parse(answer->body.data, answer->body.len, NULL);
        notes_show(notes, job, false);
    }
    http_easy_call_destroy(notes->call);
    notes->call = NULL;
    notes->interval_ms = notes->interval_ms * 2 < INTERVAL_MAX_MS ? notes->interval_ms * 2 : INTERVAL_MAX_MS;
    notes->due_ms = clock_boot_ms() + notes->interval_ms;
}

void notes_finish(struct notes *notes)
{
    http_easy_call_destroy(notes->call);
    *notes = (struct notes){0};
}
