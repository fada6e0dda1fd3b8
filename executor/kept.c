/* The list of ignored files: parallel kv lists, a value of each for each file. */
#include "executor/kept.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "executor/beneath.h"
#include "proto/kv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define KEPT_VERSION 1

struct kept_file *kept_add(struct kept_files *files, const char *path, enum kept_kind kind, enum kept_how how)
{
    if (files->count == files->capacity) {
        files->capacity = files->capacity ? files->capacity * 2 : 32;
        files->items = xrealloc(files->items, files->capacity * sizeof *files->items);
    }
    struct kept_file *file = &files->items[files->count++];
    *file = (struct kept_file){.path = xstrdup(path), .kind = kind, .how = how};
    return file;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct kept_file *)a)->path, ((const struct kept_file *)b)->path);
}

void kept_sort(struct kept_files *files)
{
    if (files->count)
        qsort(files->items, files->count, sizeof *files->items, by_path);
}

const struct kept_file *kept_find(const struct kept_files *files, const char *path)
{
    struct kept_file key = {.path = (char *)path};
    return files->count ? bsearch(&key, files->items, files->count, sizeof key, by_path) : NULL;
}

void kept_finish(struct kept_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        free(files->items[i].path);
        free(files->items[i].target);
    }
    free(files->items);
    *files = (struct kept_files){0};
}

bool kept_write(const struct kept_files *files, int dirfd, struct error *err)
{
    _cleanup_buf_ struct buf text = {0};
    kv_add_int(&text, "version", KEPT_VERSION);
    for (size_t i = 0; i < files->count; i++) {
        const struct kept_file *file = &files->items[i];
        kv_add(&text, "path", file->path);
        kv_add(&text, "target", file->target ? file->target : "");
        kv_add_int(&text, "kind", (int64_t)file->kind);
        kv_add_int(&text, "how", (int64_t)file->how);
        kv_add_int(&text, "mode", file->mode);
        kv_add_int(&text, "size", file->size);
        kv_add_int(&text, "mtime", file->mtime_ns);
    }
    return fs_write_atomic(dirfd, KEPT_LIST, text.data, text.len, 0600, err);
}

/* The next number of each list. */
static bool next_int(const struct buf *text, const char *key, size_t *cursor, int64_t max, int64_t *out)
{
    const char *value = kv_next(text->data, text->len, key, cursor);
    char *end = NULL;
    errno = 0;
    *out = value ? strtoll(value, &end, 10) : 0;
    return value && *value && !*end && !errno && (max < 0 || (*out >= 0 && *out < max));
}

static bool parse(const struct buf *text, struct kept_files *out)
{
    size_t at[7] = {0};
    const char *path;
    while ((path = kv_next(text->data, text->len, "path", &at[0]))) {
        const char *target = kv_next(text->data, text->len, "target", &at[1]);
        int64_t kind, how, mode, size, mtime;
        if (!beneath_path_valid(path) || !target || !next_int(text, "kind", &at[2], KEPT_KINDS, &kind) ||
            !next_int(text, "how", &at[3], KEPT_HOWS, &how) ||
            !next_int(text, "mode", &at[4], 01000, &mode) ||
            !next_int(text, "size", &at[5], INT64_MAX, &size) || !next_int(text, "mtime", &at[6], -1, &mtime))
            return false;
        struct kept_file *file = kept_add(out, path, (enum kept_kind)kind, (enum kept_how)how);
        file->target = *target ? xstrdup(target) : NULL;
        file->mode = mode;
        file->size = size;
        file->mtime_ns = mtime;
    }
    kept_sort(out);
    return true;
}

bool kept_read(int dirfd, struct kept_files *out, bool *found, struct error *err)
{
    _cleanup_buf_ struct buf text = {0};
    struct error failed = {0};
    bool ok = fs_read_file(dirfd, KEPT_LIST, KEPT_BYTES_MAX, &text, &failed);
    if (found)
        *found = ok;
    if (!ok && failed.code == ERROR_NOT_FOUND)
        return true;
    if (!ok) {
        *err = failed;
        return false;
    }
    int64_t version = kv_get_int(text.data, text.len, "version", 0);
    if (version != KEPT_VERSION)
        return error_set(err, ERROR_VERSION,
                         "the list of ignored files has version %lld, this Berth knows %d",
                         (long long)version, KEPT_VERSION);
    if (parse(&text, out))
        return true;
    kept_finish(out);
    return error_set(err, ERROR_INTERNAL, "the list of ignored files is damaged");
}

void kept_describe(const struct kept_files *files, struct buf *out)
{
    static const char *const words[] = {"as it was", "changed", "new", "removed"};
    size_t i = 0;
    for (; i < files->count && i < KEPT_NAMED; i++)
        buf_printf(out, "%s%.100s (%s)", i ? ", " : "", files->items[i].path, words[files->items[i].how]);
    if (i < files->count)
        buf_printf(out, ", and %zu more", files->count - i);
}

static bool not_after(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec <= b->tv_nsec);
}

bool kept_unchanged(const struct kept_file *file, const struct stat *st, const struct timespec *made)
{
    return file->kind == KEPT_FILE && file->how == KEPT_AS_IT_WAS && st->st_size == file->size &&
           (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec == file->mtime_ns &&
           not_after(&st->st_ctim, made); /* a job can set the former, nobody the latter */
}

void kept_rules(const struct job_spec *spec, struct ignore *out)
{
    for (size_t i = 0; i < spec->ignore_rules.count; i++) {
        const char *item = spec->ignore_rules.items[i], *text = strchr(item, '\n');
        if (!text)
            continue;
        _cleanup_free_ char *base = xstrndup(item, (size_t)(text - item));
        ignore_push(out, base, text + 1, strlen(text + 1));
    }
}

static bool is_byproduct(const char *path)
{
    size_t n = strlen(path);
    return strncmp(path, "__pycache__/", 12) == 0 || strstr(path, "/__pycache__/") ||
           (n > 4 && strcmp(path + n - 4, ".pyc") == 0);
}

bool kept_is_ignored(const struct ignore *rules, const struct job_spec *spec, const char *path)
{
    if (!rules->deepest || is_byproduct(path) || strcmp(path, "outputs") == 0 ||
        strncmp(path, "outputs/", 8) == 0)
        return false;
    const char *above = spec->ignore_above ? spec->ignore_above : "";
    _cleanup_free_ char *from_top = *above ? xasprintf("%s/%s", above, path) : NULL;
    return ignore_covers(rules, from_top ? from_top : path);
}
