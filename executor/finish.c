/* The end of a task. Owns nothing: it works on the task's folder alone, so that it does the same after a
 * restart. */
#include "executor/finish.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"
#include "executor/ignored.h"
#include "executor/kept.h"
#include "executor/outputs.h"
#include "executor/outputs_serve.h"
#include "executor/prepare.h"
#include "executor/reap.h"
#include "executor/reclaim.h"
#include "executor/snapshot.h"
#include "executor/user.h"
#include "proto/kv.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

bool finish_write_exit(const char *folder, const char *kind, int code, const char *text, struct error *err)
{
    _cleanup_close_ int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "can't open the task's folder");
    if (faccessat(fd, "exit", F_OK, 0) == 0)
        return true;
    _cleanup_buf_ struct buf record = {0};
    kv_add_int(&record, "berth_exit", 1);
    kv_add_int(&record, "code", code);
    kv_add_int(&record, "signal", 0);
    kv_add(&record, "kind", kind);
    kv_add(&record, "text", text);
    kv_add_int(&record, "started_ms", 0);
    kv_add_int(&record, "ended_ms", clock_wall_ms());
    kv_add_int(&record, "log_bytes", 0);
    return fs_write_atomic(fd, "exit", record.data, record.len, 0600, err);
}

static void add_evidence(cJSON *to, const char *name, const char *value)
{
    size_t n = strlen(value);
    if (n && n < 16 && strspn(value, "0123456789") == n && (n == 1 || value[0] != '0'))
        json_add_int(to, name, strtoll(value, NULL, 10));
    else
        json_add_str(to, name, value);
}

cJSON *finish_read_exit(const char *folder, struct error *err)
{
    _cleanup_free_ struct reap_exit *record = xcalloc(1, sizeof *record);
    if (!reap_read_exit(folder, record, err))
        return NULL;
    cJSON *exit = cJSON_CreateObject();
    cJSON_AddNumberToObject(exit, "code", record->code);
    cJSON_AddNumberToObject(exit, "signal", record->signal);
    if (record->kind[0]) {
        cJSON *cause = cJSON_AddObjectToObject(exit, "cause");
        json_add_str(cause, "kind", record->kind);
        json_add_str(cause, "text", record->text);
        cJSON *evidence = cJSON_AddObjectToObject(cause, "evidence");
        for (int i = 0; i < record->n_evidence; i++)
            add_evidence(evidence, record->evidence[i].name, record->evidence[i].value);
    } else {
        cJSON_AddNullToObject(exit, "cause");
    }
    if (record->advice[0]) {
        cJSON *advice = cJSON_AddArrayToObject(exit, "advice");
        cJSON_AddItemToArray(advice, cJSON_CreateString(record->advice));
    }
    if (record->n_notes) {
        cJSON *notes = cJSON_AddArrayToObject(exit, "notes");
        for (int i = 0; i < record->n_notes; i++)
            cJSON_AddItemToArray(notes, cJSON_CreateString(record->notes[i]));
    }
    json_add_int(exit, "started_ms", record->started_ms);
    json_add_int(exit, "ended_ms", record->ended_ms);
    json_add_int(exit, "log_bytes", (int64_t)record->log_bytes);
    return exit;
}

void finish_kill(void *finishing)
{
    struct finishing *f = finishing;
    memset(&f->err, 0, sizeof f->err);
    f->empty = false;
    if (!reap_kill(f->folder, FINISH_KILL_WAIT_MS, &f->empty, &f->err))
        f->empty = false;
    FAULT("executor.reaped");
    if (f->empty && f->lost)
        reap_write_lost(f->folder, &f->err);
}

void finish_look_at_gpus(void *finishing)
{
    struct finishing *f = finishing;
    size_t count = f->order->lease.gpu_count;
    _cleanup_free_ const char **uuids = xcalloc(count + 1, sizeof *uuids);
    _cleanup_buf_ struct buf why = {0};
    f->dirty[0] = '\0';
    for (size_t i = 0; i < count; i++)
        uuids[i] = f->order->lease.gpus[i].uuid;
    if (!gpu_watch_clean(f->gpus, uuids, count, &why))
        snprintf(f->dirty, sizeof f->dirty, "%s", why.len ? why.data : "a GPU is in use");
}

static cJSON *report_json(const struct outputs_report *report)
{
    cJSON *json = cJSON_CreateObject();
    json_add_int(json, "files", report->files);
    json_add_int(json, "bytes", report->bytes);
    json_add_int(json, "skipped_total", (int64_t)report->skipped_total);
    cJSON *skipped = cJSON_AddArrayToObject(json, "skipped");
    for (size_t i = 0; i < report->skipped_count; i++) {
        cJSON *item = cJSON_CreateObject();
        json_add_bytes(item, "path", report->skipped[i].path);
        json_add_str(item, "why", report->skipped[i].why);
        cJSON_AddItemToArray(skipped, item);
    }
    if (report->skipped_total > report->skipped_count) {
        cJSON *item = cJSON_CreateObject();
        char why[64];
        snprintf(why, sizeof why, "and %zu more", report->skipped_total - report->skipped_count);
        json_add_str(item, "path", "...");
        json_add_str(item, "why", why);
        cJSON_AddItemToArray(skipped, item);
    }
    return json;
}

/* The live files that links led to, where they are no longer what they were: whoever wrote them. */
static void find_written(struct finishing *f, const struct kept_files *before)
{
    _cleanup_free_ char **paths = xcalloc(before->count + 1, sizeof *paths);
    _cleanup_free_ size_t *places = xcalloc(before->count + 1, sizeof *places);
    _cleanup_buf_ struct buf text = {0};
    size_t count = 0, written = 0;
    for (size_t i = 0; i < before->count; i++) {
        if (before->items[i].kind != KEPT_LIVE)
            continue;
        places[count] = i;
        paths[count++] = before->items[i].path;
    }
    struct user user = {0};
    struct error err;
    if (!count || !user_resolve(f->order->principal, f->order->uid_hint, &user, &err))
        return;
    _cleanup_free_ struct ignored_file *now = xcalloc(count, sizeof *now);
    struct ignored_request request = {
        .folder = f->order->spec->code_path, .paths = paths, .user = &user, .work_fd = -1};
    bool looked = ignored_take(&request, now, &err);
    user_finish(&user);
    for (size_t i = 0; looked && i < count; i++) {
        bool there = now[i].kind == IGNORED_FILE || now[i].kind == IGNORED_LIVE;
        const struct kept_file *was = &before->items[places[i]];
        if (!there || (now[i].size == was->size && now[i].mtime_ns == was->mtime_ns))
            continue;
        if (written++ < KEPT_NAMED)
            buf_printf(&text, "%s%.100s", text.len ? ", " : "", paths[i]);
    }
    if (written > KEPT_NAMED)
        buf_printf(&text, ", and %zu more", written - KEPT_NAMED);
    if (written)
        f->written = buf_take(&text);
}

/* The places where live directories were mounted: nothing of the task's lies there. Without a list, which
 * an executor of before this one did not make, all ignored paths were. The caller frees the list. */
static char **mounted(const struct order *order, const struct kept_files *before, bool listed)
{
    if (!listed)
        return prepare_left_out(order);
    char **paths = xcalloc(before->count + 1, sizeof *paths);
    size_t count = 0;
    for (size_t i = 0; i < before->count; i++)
        if (before->items[i].kind == KEPT_MOUNT)
            paths[count++] = before->items[i].path;
    return paths;
}

static bool note_changes(struct finishing *f, const struct kept_files *before, const struct ignore *rules,
                         int work)
{
    _cleanup_kept_ struct kept_files changes = {0};
    _cleanup_buf_ struct buf text = {0};
    if (!kept_changes(f->order, before, rules, work, &changes, &f->err))
        return false;
    kept_describe(&changes, &text);
    if (changes.count)
        f->kept = buf_take(&text);
    find_written(f, before);
    return true;
}

/* A task that failed before its working folder was made has nothing to collect. */
static bool collect(struct finishing *f, struct outputs_report *report)
{
    _cleanup_close_ int task = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (task < 0)
        return error_errno(&f->err, errno, "can't open the task's folder");
    _cleanup_close_ int work = openat(task, "work", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (work < 0)
        return errno == ENOENT ? true : error_errno(&f->err, errno, "can't open the working folder");
    struct stat spec; /* written once, when the snapshot stood */
    if (fstatat(task, "spec", &spec, AT_SYMLINK_NOFOLLOW) != 0)
        return true; /* never launched: what is there is only the snapshot, maybe half of it */
    struct error refused;
    if (f->order->spec->image_kind == JOB_IMAGE_FOLDER && !reclaim_tree(task, "work", &refused))
        log_warn("%s: %s", f->order->task, refused.message); /* collection names what it can't read */
    if (fstat(work, &st) != 0)
        return error_errno(&f->err, errno, "can't look at the working folder");
    _cleanup_snapshot_ struct snapshot snapshot = {0};
    _cleanup_buf_ struct buf manifest = {0};
    bool has_code = f->order->spec->code_manifest != NULL;
    if (has_code && (!fs_read_file(task, "manifest", SNAPSHOT_MANIFEST_MAX_BYTES, &manifest, &f->err) ||
                     !snapshot_parse(manifest.data ? manifest.data : "", manifest.len, &snapshot, &f->err)))
        return error_wrap(&f->err, "outputs");
    _cleanup_kept_ struct kept_files before = {0};
    bool listed;
    if (!kept_read(task, &before, &listed, &f->err))
        return error_wrap(&f->err, "outputs");
    _cleanup_free_ char **left_out = mounted(f->order, &before, listed);
    struct ignore rules = {0};
    kept_rules(f->order->spec, &rules);
    struct places places;
    struct outputs_seeded seeded;
    places_init(&places, f->order);
    outputs_seeded_read(&seeded, task);
    struct outputs_request request = {
        .work_fd = work,
        .work_path = places.work,
        .to = f->order->outputs_path,
        .uid = st.st_uid, /* the folder was given to the task's user */
        .snapshot = has_code ? &snapshot : NULL,
        .manifest_sha = has_code ? f->order->spec->code_manifest : NULL,
        .seeded = &seeded,
        .made = spec.st_mtim,
        .left_out = left_out,
        .ignored = &before,
        .rules = &rules,
        .spec = f->order->spec,
        .work_max_bytes = OUTPUTS_WORK_MAX_BYTES,
    };
    outputs_serve_clear(f->order->outputs_path);
    bool ok = outputs_collect(&request, report, &f->err);
    if (ok && !report->disk_full)
        ok = note_changes(f, &before, &rules, work);
    if (ok && !report->incomplete && !f->order->spec->retry.fresh_outputs)
        outputs_supersede(f->order->outputs_path, f->order->id);
    outputs_seeded_finish(&seeded);
    places_finish(&places);
    ignore_finish(&rules);
    return ok;
}

void finish_collect(void *finishing)
{
    struct finishing *f = finishing;
    _cleanup_free_ struct outputs_report *report = xcalloc(1, sizeof *report);
    memset(&f->err, 0, sizeof f->err);
    free(take_ptr(f->kept));
    free(take_ptr(f->written));
    FAULT("executor.before_collect");
    bool ok = collect(f, report);
    f->disk_full = ok ? report->disk_full : f->err.code == ERROR_NO_SPACE;
    cJSON_Delete(f->outputs);
    f->outputs = report_json(report);
    if (!ok) {
        cJSON *item = cJSON_CreateObject();
        json_add_str(item, "path", ".");
        json_add_str(item, "why", f->err.message);
        cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(f->outputs, "skipped"), item);
    }
    outputs_report_finish(report);
    FAULT("executor.collected");
}

cJSON *finish_made_exit(const char *kind, int code, const char *text)
{
    cJSON *exit = cJSON_CreateObject();
    cJSON_AddNumberToObject(exit, "code", code);
    cJSON_AddNumberToObject(exit, "signal", 0);
    cJSON *cause = cJSON_AddObjectToObject(exit, "cause");
    json_add_str(cause, "kind", kind);
    json_add_str(cause, "text", text);
    cJSON_AddObjectToObject(cause, "evidence");
    json_add_int(exit, "started_ms", 0);
    json_add_int(exit, "ended_ms", clock_wall_ms());
    json_add_int(exit, "log_bytes", 0);
    return exit;
}
