/* Selectors. */
#include "scheduler/selector.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "proto/json.h"
#include "scheduler/daemon.h"
#include "scheduler/job_names.h"
#include "scheduler/visible.h"
#include "scheduler/workspaces.h"

#include <stdlib.h>
#include <string.h>

#define ALL_STATES ((1u << JOB_STATE_COUNT) - 1)

/* ---- states ---- */

static unsigned ended_states(void)
{
    unsigned states = 0;
    for (int state = 0; state < JOB_STATE_COUNT; state++)
        states |= job_state_is_final((enum job_state)state) ? 1u << state : 0;
    return states;
}

/* 0: there is no such word. */
static unsigned states_of(const char *word, size_t n)
{
    const struct {
        const char *word;
        unsigned states;
    } groups[] = {{"all", ALL_STATES},
                  {"live", ALL_STATES & ~ended_states()},
                  {"started", ALL_STATES & ~ended_states() & ~(1u << JOB_QUEUED)},
                  {"ended", ended_states()}};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        if (strlen(groups[i].word) == n && strncasecmp(word, groups[i].word, n) == 0)
            return groups[i].states;
    for (int state = 0; state < JOB_STATE_COUNT; state++) {
        const char *name = job_state_name((enum job_state)state);
        if (strlen(name) == n && strncasecmp(word, name, n) == 0)
            return 1u << state;
    }
    return 0;
}

bool selector_read_states(const char *words, unsigned *out, struct error *err)
{
    *out = 0;
    for (const char *p = words;; p++) {
        size_t n = strcspn(p, ",");
        unsigned states = states_of(p, n);
        if (!states) {
            error_field(err, "state", "there is no state \"%.*s\"", n < 40 ? (int)n : 40, p);
            return error_hint(err, "Queued, Preparing, Starting, Running, Finalizing, Paused, NotResponding, "
                                   "CancelRequested, Completed, Failed, Canceled; or live, started, ended, "
                                   "all");
        }
        *out |= states;
        p += n;
        if (!*p)
            return true;
    }
}

/* ---- reading ---- */

static bool check_words(const struct selector_words *words, struct error *err)
{
    const struct {
        const char *field, *text;
    } all[] = {{"state", words->state}, {"user", words->user}, {"workspace", words->workspace},
               {"array", words->array}, {"name", words->name}, {"tag", words->tag}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].text && (!*all[i].text || strlen(all[i].text) > SELECTOR_TEXT_MAX))
            return error_field(err, all[i].field, "%s has 1 to %d bytes, not %zu", all[i].field,
                               SELECTOR_TEXT_MAX, strlen(all[i].text));
    size_t tags = 1;
    for (const char *p = words->tag ? words->tag : ""; *p; p++) {
        tags += *p == '\n';
        if (*p == '=' && (p == words->tag || p[-1] == '\n'))
            return error_field(err, "tag", "a tag is KEY=VALUE, or KEY");
    }
    return tags <= SELECTOR_TAGS_MAX ||
           error_field(err, "tag", "at most %d tags can be asked for, not %zu", SELECTOR_TAGS_MAX, tags);
}

static bool read_array(struct selector *s, struct daemon *d, uint32_t asker, const char *address,
                       struct error *err)
{
    const struct job *array = address ? jobs_find(d, asker, address, err) : NULL;
    if (!array) {
        if (address && err)
            snprintf(err->field, sizeof err->field, "array");
        return !address;
    }
    if (!array->array)
        return error_field(err, "array", "job %s is no array", array->name);
    s->array = array->id;
    return true;
}

bool selector_read(struct selector *s, struct daemon *d, uint32_t asker, const struct selector_words *words,
                   struct error *err)
{
    *s = (struct selector){.principal = -1};
    if (!check_words(words, err) || (words->state && !selector_read_states(words->state, &s->states, err)))
        return false;
    if (s->states == ALL_STATES)
        s->states = 0;
    /* A deleted one's jobs are still listed. */
    if (words->workspace && !names_find(d, NAME_WORKSPACE, words->workspace, &s->workspace_id) &&
        !workspace_need(d, words->workspace, &s->workspace_id, err))
        return false;
    s->workspace = xstrdup(words->workspace);
    s->name = xstrdup(words->name);
    s->tag = xstrdup(words->tag);
    if (words->user)
        s->principal = (int64_t)principals_find(&d->principals, words->user);
    return read_array(s, d, asker, words->array, err);
}

void selector_finish(struct selector *s)
{
    free(s->workspace);
    free(s->name);
    free(s->tag);
    *s = (struct selector){.principal = -1};
}

/* ---- matching ---- */

bool selector_glob(const char *pattern, const char *text)
{
    const char *star = NULL, *from = text; /* the last star, and the text that it began to stand for */
    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            from = text;
        } else if (*pattern == '?' || *pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++from;
        } else {
            return false;
        }
    }
    return pattern[strspn(pattern, "*")] == '\0';
}

static bool has_tag(const cJSON *tags, const char *tag, size_t n)
{
    _cleanup_free_ char *key = xstrndup(tag, n);
    char *value = strchr(key, '=');
    if (value)
        *value++ = '\0';
    const char *own = json_str(tags, key, NULL);
    return own && (!value || strcmp(own, value) == 0);
}

static bool has_tags(const struct job *job, const char *wanted)
{
    size_t length;
    const char *member = job->fixed ? visible_find_member(job->fixed, "tags", &length) : NULL;
    if (!member || length <= 2) /* {} */
        return false;
    _cleanup_json_ cJSON *tags = json_parse(member, length, NULL);
    for (const char *p = wanted;; p++) {
        size_t n = strcspn(p, "\n");
        if (!has_tag(tags, p, n))
            return false;
        p += n;
        if (!*p)
            return true;
    }
}

bool selector_matches(const struct selector *s, const struct job *job)
{
    return job->array_job == s->array && (!s->states || (s->states >> job->state) & 1) &&
           (s->principal < 0 || job->principal == s->principal) &&
           (!s->workspace || job->workspace == s->workspace_id) &&
           (!s->name || selector_glob(s->name, job->name)) && (!s->tag || has_tags(job, s->tag));
}

uint32_t selector_cost(const struct selector *s)
{
    return s->tag ? SELECTOR_COST_TAGS : 1;
}

bool selector_is_fine(const struct selector *s)
{
    return s->tag || s->name;
}

bool selector_has_live(const struct selector *s)
{
    return !s->states || (s->states & ~ended_states());
}

bool selector_has_ended(const struct selector *s)
{
    return !s->states || (s->states & ended_states());
}
