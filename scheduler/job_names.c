/*
 * Names and requests of jobs. Invariant: every job in memory that is no element stands in the chain of its
 * name, and in by_request where it has a key.
 */
#include "scheduler/job_names.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "proto/jobspec.h"
#include "scheduler/arrays.h"
#include "scheduler/daemon.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- the tables ---- */

static char *request_key(uint32_t principal, const char *request)
{
    return xasprintf("%u:%s", principal, request);
}

void job_names_add(struct job_table *t, struct job *job)
{
    if (job->array_job)
        return;
    job->same_name = map_put_str(&t->by_name, job->name, job);
    if (!job->request)
        return;
    _cleanup_free_ char *key = request_key(job->principal, job->request);
    map_put_str(&t->by_request, key, job);
}

void job_names_forget_request(struct job_table *t, struct job *job)
{
    if (!job->request)
        return;
    _cleanup_free_ char *key = request_key(job->principal, job->request);
    if (map_get_str(&t->by_request, key) == job)
        map_remove_str(&t->by_request, key);
    free(job->request);
    job->request = NULL;
}

void job_names_remove(struct job_table *t, struct job *job)
{
    if (job->array_job)
        return;
    job_names_forget_request(t, job);
    struct job *at = map_get_str(&t->by_name, job->name);
    if (at == job && job->same_name)
        map_put_str(&t->by_name, job->name, job->same_name);
    else if (at == job)
        map_remove_str(&t->by_name, job->name);
    while (at && at != job && at->same_name != job)
        at = at->same_name;
    if (at && at != job)
        at->same_name = job->same_name;
    job->same_name = NULL;
}

struct job *job_names_live(const struct job_table *t, uint32_t principal, const char *name)
{
    struct job *job = map_get_str(&t->by_name, name);
    while (job && (job_is_final(job) || job->principal != principal))
        job = job->same_name;
    return job;
}

static void supersede_elements(struct job_table *t, uint64_t array)
{
    struct job *job, *tmp;
    list_for_each(job, tmp, &t->ended, link) if (job->array_job == array) job->superseded = true;
}

void job_names_supersede(struct job_table *t, const struct job *job)
{
    for (struct job *at = map_get_str(&t->by_name, job->name); at; at = at->same_name) {
        if (at->principal != job->principal || at->number >= job->number || at->superseded)
            continue;
        at->superseded = true;
        if (at->array)
            supersede_elements(t, at->id);
    }
}

/* The one in memory that has that number; the newest there for 0. */
static struct job *in_memory(const struct job_table *t, uint32_t principal, const char *name, uint32_t number)
{
    struct job *best = NULL;
    for (struct job *job = map_get_str(&t->by_name, name); job; job = job->same_name)
        if (job->principal == principal &&
            (number ? job->number == number : !best || job->number > best->number))
            best = job;
    return best;
}

static struct job *of_user(struct daemon *d, uint32_t principal, const char *name, uint32_t number)
{
    struct job *best = in_memory(&d->jobs, principal, name, number);
    if (!principal || !d->reader || (best && (number || !job_is_final(best))))
        return best;
    uint32_t kept = number;
    uint64_t id = journal_find_named(d->reader, principal, name, &kept);
    if (!id || (best && best->number >= kept))
        return best;
    return jobs_find_id(&d->jobs, d->reader, id);
}

uint32_t job_names_next(struct daemon *d, uint32_t principal, const char *name)
{
    const struct job *newest = in_memory(&d->jobs, principal, name, 0);
    uint32_t number = 0, kept = newest ? newest->number : 0;
    if (principal && d->reader && journal_find_named(d->reader, principal, name, &number) && number > kept)
        kept = number;
    return kept + 1;
}

struct job *job_names_requested(struct daemon *d, uint32_t principal, const char *request)
{
    if (!principal)
        return NULL;
    _cleanup_free_ char *key = request_key(principal, request);
    struct job *job = map_get_str(&d->jobs.by_request, key);
    uint64_t id = job || !d->reader ? 0 : journal_find_request(d->reader, principal, request);
    job = id ? jobs_find_id(&d->jobs, d->reader, id) : job;
    return job && job->request && strcmp(job->request, request) == 0 ? job : NULL;
}

bool job_request_valid(const char *request, struct error *err)
{
    size_t n = strlen(request);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)request[i]) && !strchr("._-", request[i]))
            n = 0;
    return (n && n <= JOB_REQUEST_MAX) ||
           error_field(err, "request", "the key of a request has 1 to %d letters, digits, . _ and -",
                       JOB_REQUEST_MAX);
}

void jobs_make_name(const struct job_table *t, uint32_t principal, uint64_t id, char *out)
{
    static const char *const first[] = {
        "amber", "bold", "brave", "brisk",  "calm",  "clear", "clever", "coral", "deep",   "eager", "early",
        "fair",  "fast", "fresh", "gentle", "glad",  "gold",  "green",  "happy", "keen",   "kind",  "light",
        "lucky", "mild", "noble", "quick",  "quiet", "rapid", "sharp",  "solid", "steady", "warm"};
    static const char *const second[] = {
        "anchor", "barge",  "bay",  "beacon", "boat", "bridge", "buoy",  "canal",  "cape",  "coast",  "cove",
        "crane",  "creek",  "crew", "delta",  "dock", "ferry",  "fjord", "harbor", "heron", "island", "jetty",
        "keel",   "lagoon", "mast", "otter",  "pier", "reef",   "sail",  "seal",   "shore", "wave"};
    uint64_t mixed = id * 0x9e3779b97f4a7c15ULL;
    int n = snprintf(out, 64, "%s-%s-%llu", first[mixed >> 59], second[(mixed >> 54) & 31],
                     (unsigned long long)id);
    for (unsigned more = 2; job_names_live(t, principal, out); more++)
        snprintf(out + n, 64 - (size_t)n, "-%u", more);
}

/* ---- addresses ---- */

struct address {
    char user[PRINCIPAL_NAME_MAX]; /* "": none is named */
    char name[JOB_NAME_MAX + 1];   /* or the digits of an id */
    uint64_t id;                   /* 0: it is a name */
    uint32_t number;               /* 0: none is said */
    const char *index_text;        /* NULL: no element is meant */
    uint32_t index;
};

static bool take_number(const char *text, uint32_t *out)
{
    const char *end = text;
    uint64_t number = 0;
    if (!ids_take_decimal(&end, UINT32_MAX, &number) || *end || !number)
        return false;
    *out = (uint32_t)number;
    return true;
}

/* False: no job can be addressed so. */
static bool read_address(const char *text, struct address *out)
{
    size_t length;
    *out = (struct address){0};
    const char *slash = strrchr(text, '/'), *name = strrchr(slash ? slash + 1 : text, ':');
    name = name ? name : slash;
    name = name ? name + 1 : text;
    if (name != text && (name == text + 1 || (size_t)(name - text) > sizeof out->user))
        return false;
    if (name != text)
        snprintf(out->user, sizeof out->user, "%.*s", (int)(name - text - 1), text);
    if (array_address(name, &length, &out->index))
        out->index_text = name + length + 1;
    else
        length = strlen(name);
    char word[JOB_NAME_MAX + 16];
    if (length >= sizeof word)
        return false;
    snprintf(word, sizeof word, "%.*s", (int)length, name);
    char *mark = strchr(word, '#');
    if (mark && !take_number(mark + 1, &out->number))
        return false;
    if (mark)
        *mark = '\0';
    if (!*word || strlen(word) > JOB_NAME_MAX)
        return false;
    snprintf(out->name, sizeof out->name, "%s", word);
    const char *end = word;
    if (!ids_take_decimal(&end, JOB_ID_MAX, &out->id) || *end)
        out->id = 0;
    return !out->id || (!out->number && !*out->user);
}

/* ---- whose it is ---- */

struct candidates {
    uint32_t count;
    bool more;
    uint32_t principal[JOB_CANDIDATES_MAX];
};

static void add_candidate(struct candidates *c, uint32_t principal)
{
    for (uint32_t i = 0; i < c->count; i++)
        if (c->principal[i] == principal)
            return;
    if (c->count == JOB_CANDIDATES_MAX)
        c->more = true;
    else
        c->principal[c->count++] = principal;
}

static bool have_it(struct daemon *d, const char *name, bool live, struct candidates *out)
{
    uint32_t kept[JOB_CANDIDATES_MAX + 1], count = 0;
    *out = (struct candidates){0};
    for (const struct job *job = map_get_str(&d->jobs.by_name, name); job && !out->more; job = job->same_name)
        if (!live || !job_is_final(job))
            add_candidate(out, job->principal);
    if (!live && d->reader)
        count = journal_find_owners(d->reader, name, kept, JOB_CANDIDATES_MAX + 1);
    for (uint32_t i = 0; i < count; i++)
        add_candidate(out, kept[i]);
    return out->count != 0;
}

static void refuse_ambiguous(struct daemon *d, const struct address *a, const struct candidates *c,
                             struct error *err)
{
    _cleanup_buf_ struct buf list = {0};
    for (uint32_t i = 0; i < c->count; i++) {
        const struct job *job = of_user(d, c->principal[i], a->name, a->number);
        buf_printf(&list, "%s%s/%s", i ? ", " : "", principals_name(&d->principals, c->principal[i]),
                   a->name);
        if (job)
            buf_printf(&list, " (%llu, %s)", (unsigned long long)job->id, job_state_name(job->state));
    }
    error_set(err, ERROR_CONFLICT, "several users have a job %s: %s%s", a->name, list.data,
              c->more ? ", and others" : "");
    error_hint(err, "name whose is meant, such as %s/%s, or its id",
               principals_name(&d->principals, c->principal[0]), a->name);
}

/* NULL with *err set where it may be several. */
static struct job *by_name(struct daemon *d, uint32_t asker, const struct address *a, struct error *err)
{
    struct candidates others;
    if (*a->user)
        return of_user(d, principals_find(&d->principals, a->user), a->name, a->number);
    struct job *own = asker ? of_user(d, asker, a->name, a->number) : NULL;
    if (own || (asker && a->number && of_user(d, asker, a->name, 0)))
        return own;
    if (!have_it(d, a->name, true, &others) && !have_it(d, a->name, false, &others))
        return NULL;
    if (others.count == 1)
        return of_user(d, others.principal[0], a->name, a->number);
    refuse_ambiguous(d, a, &others, err);
    return NULL;
}

struct job *jobs_find(struct daemon *d, uint32_t asker, const char *address, struct error *err)
{
    struct address a;
    struct error told = {0};
    struct job *job = NULL;
    if (read_address(address, &a))
        job = a.id ? jobs_find_id(&d->jobs, d->reader, a.id) : by_name(d, asker, &a, &told);
    if (job)
        return a.index_text ? arrays_find(&d->jobs, d->reader, job, a.index_text, a.index, err) : job;
    if (told.code == ERROR_NONE) {
        _cleanup_free_ char *typed = xstrdup(address);
        char *colon = strchr(typed, ':');
        if (colon)
            *colon = '/'; /* as people write it */
        error_set(&told, ERROR_NOT_FOUND, "there is no job %.80s", typed);
        error_hint(&told, "berth ps --all lists them");
    }
    if (err)
        *err = told;
    return NULL;
}
