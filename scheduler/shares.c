/* Limits by principal and what is refused by them. */
#include "scheduler/shares.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "proto/units.h"
#include "scheduler/daemon.h"
#include "scheduler/work_files.h"

#include <stdlib.h>
#include <string.h>

static const char *const fields[SHARE_COUNT] = {"blobs_bytes", "results_bytes", "work_bytes"};
static const uint64_t defaults[SHARE_COUNT] = {SHARES_BLOBS_BYTES, SHARES_RESULTS_BYTES};

void shares_init(struct share_table *t)
{
    memset(t, 0, sizeof *t);
    list_init(&t->asked);
}

void shares_finish(struct share_table *t)
{
    map_finish_free(&t->limits);
    map_finish_free(&t->use);
}

static struct share_limits *put(struct share_table *t, const char *key)
{
    struct share_limits *l = map_get_str(&t->limits, key);
    if (!l) {
        l = xcalloc(1, sizeof *l);
        map_put_str(&t->limits, key, l);
    }
    return l;
}

void shares_load(struct share_table *t, const char *key, const char *doc)
{
    struct error err = {0};
    _cleanup_json_ cJSON *o = json_parse(doc, strlen(doc), &err);
    struct share_limits *l = put(t, key);
    for (int i = 0; i < SHARE_COUNT; i++)
        l->bytes[i] = (uint64_t)json_int(o, fields[i], 0);
}

void shares_set(struct daemon *d, const char *name, const uint64_t bytes[SHARE_COUNT])
{
    struct share_limits *l = put(&d->shares, name);
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    bool any = false;
    for (int i = 0; i < SHARE_COUNT; i++) {
        if (bytes[i] != UINT64_MAX)
            l->bytes[i] = bytes[i];
        any |= l->bytes[i] != 0;
        json_add_int(o, fields[i], (int64_t)l->bytes[i]);
    }
    _cleanup_free_ char *text = json_text(o);
    journal_add_record(d->journal, JOURNAL_SHARE, name, any ? text : NULL);
}

cJSON *shares_stated(const struct daemon *d, const char *name)
{
    const struct share_limits *l = map_get_str(&d->shares.limits, name);
    cJSON *o = cJSON_CreateObject();
    for (int i = 0; i < SHARE_COUNT; i++)
        if (l && l->bytes[i])
            json_add_int(o, fields[i], (int64_t)l->bytes[i]);
        else
            cJSON_AddNullToObject(o, fields[i]);
    return o;
}

uint64_t shares_limit(const struct daemon *d, uint32_t principal, enum share share)
{
    const char *const keys[] = {principals_name(&d->principals, principal), SHARES_EVERYONE};
    for (int i = 0; i < 2; i++) {
        const struct share_limits *l = map_get_str(&d->shares.limits, keys[i]);
        if (l && l->bytes[share])
            return l->bytes[share];
    }
    return share == SHARE_WORK ? work_files_default_share(d->options.outputs_dir) : defaults[share];
}

const struct results_use *shares_results(const struct daemon *d, uint32_t principal)
{
    static const struct results_use none;
    const struct results_use *use = map_get_num(&d->shares.use, principal);
    return use ? use : &none;
}

static bool refuse(const struct daemon *d, uint32_t principal, enum share share, uint64_t used,
                   const char *what, struct error *err)
{
    char use[24], limit[24];
    error_set(err, ERROR_NO_SPACE, "storage share used up: %s of %s take %s of %s", what,
              principals_name(&d->principals, principal), units_format_bytes((int64_t)used, use),
              units_format_bytes((int64_t)shares_limit(d, principal, share), limit));
    return error_hint(err,
                      share == SHARE_BLOBS
                          ? "berth df shows it; code that no live job needs goes after 14 days, and an "
                            "administrator may raise the limit"
                          : "berth df shows it, berth df --remove JOB removes the results of an ended job");
}

bool shares_admit_blob(struct daemon *d, uint32_t principal, uint64_t bytes, struct error *err)
{
    const struct owner_use *use = owners_use(&d->owners, principal);
    uint64_t limit = shares_limit(d, principal, SHARE_BLOBS), used = use->bytes + use->arriving_bytes;
    if (use->count >= SHARES_BLOBS_COUNT) {
        error_set(err, ERROR_NO_SPACE, "storage share used up: %s has uploaded %llu files of at most %d",
                  principals_name(&d->principals, principal), (unsigned long long)use->count,
                  SHARES_BLOBS_COUNT);
        return error_hint(err,
                          "pack small files into an archive; code that no live job needs goes after 14 days");
    }
    return (used <= limit && bytes <= limit - used) ||
           refuse(d, principal, SHARE_BLOBS, used, "the uploaded files", err);
}

bool shares_admit_job(const struct daemon *d, uint32_t principal, struct error *err)
{
    const struct results_use *use = shares_results(d, principal);
    uint64_t used = use->log_bytes + use->output_bytes;
    return used <= shares_limit(d, principal, SHARE_RESULTS) ||
           refuse(d, principal, SHARE_RESULTS, used, "logs and outputs", err);
}
