/*
 * Downloading. Names come from the job, so every path is opened beneath the folder one component at a time
 * without following links, and a file appears under its name only when it is whole.
 */
#include "cli/outputs_fetch.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/print.h"
#include "cli/show.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define TRIES 5 /* of one file whose connection breaks; each goes on where the last one ended */
#define RETRY_MS 200
#define FAILURES_NAMED 5 /* of one fetch; later ones are counted */

static bool path_is_safe(const char *path)
{
    if (!*path || *path == '/' || strlen(path) >= PATH_MAX)
        return false;
    for (const char *p = path; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL) {
        size_t n = strcspn(p, "/");
        if (n == 0 || n > NAME_MAX || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return false;
    }
    return true;
}

/* Where files go, and on whose behalf. */
struct target {
    int root;
    const char *directory, *job;
};

/* The first `n` bytes of `path` are here and `what`, so that nothing can take their place. */
static bool refuse_obstacle(const struct target *t, const char *path, size_t n, const char *what,
                            struct error *err)
{
    error_set(err, ERROR_EXISTS, "%.*s is here already and is %s: it is not replaced", (int)n, path, what);
    return error_hint(err, "remove %s/%.*s and fetch again, or another directory: berth outputs %s DIR",
                      t->directory, (int)n, path, t->job);
}

static const char *kind_of(mode_t mode)
{
    return S_ISLNK(mode)   ? "a symbolic link (links are not followed)"
           : S_ISDIR(mode) ? "a directory"
           : S_ISREG(mode) ? "a file"
                           : "not a regular file";
}

/* Opens (making them) the directories above the last component; *name is set to that one. -1 with err. */
static int open_parent(const struct target *t, char *path, const char **name, struct error *err)
{
    int at = fcntl(t->root, F_DUPFD_CLOEXEC, 0);
    char *part = path;
    for (char *slash; at >= 0 && (slash = strchr(part, '/')); part = slash + 1) {
        struct stat st;
        *slash = '\0';
        int next = mkdirat(at, part, 0777) != 0 && errno != EEXIST
                       ? -1
                       : openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0) {
            error_errno(err, errno, "can't make or open the directory %s", path);
            if (fstatat(at, part, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode))
                refuse_obstacle(t, path, strlen(path), kind_of(st.st_mode), err);
        }
        *slash = '/';
        close(at);
        at = next;
    }
    *name = part;
    return at;
}

struct sink {
    int fd;
    int64_t bytes;
    int error_number;
};

static bool write_piece(void *ctx, const void *bytes, size_t n)
{
    struct sink *s = ctx;
    if (!fs_write_all(s->fd, bytes, n)) {
        s->error_number = errno;
        return false;
    }
    s->bytes += (int64_t)n;
    return true;
}

/* *size is that of the listing, and what came of it. A file of a job that runs is taken as it stands: it may
 * have another size by now, and can't be gone on with where a connection broke. */
static bool fetch(struct client *client, const char *job, const struct outputs_options *o, const char *path,
                  int64_t *size, int fd, struct error *err)
{
    _cleanup_free_ char *escaped = http_easy_escape(path);
    _cleanup_free_ char *query =
        xasprintf("/outputs/file?work=%d&rank=%lld&path=%s", o->work, (long long)o->rank, escaped);
    _cleanup_free_ char *url = client_job_path(job, query);
    struct sink sink = {.fd = fd};
    for (int tries = 0; tries < TRIES; tries++) {
        char range[40];
        if (o->running && sink.bytes && (ftruncate(fd, 0) != 0 || lseek(fd, 0, SEEK_SET) != 0))
            return error_errno(err, errno, "can't write %s", path);
        sink.bytes = o->running ? 0 : sink.bytes;
        snprintf(range, sizeof range, "%lld-", (long long)sink.bytes);
        struct http_easy_request request = {.method = "GET",
                                            .path = url,
                                            .on_data = write_piece,
                                            .ctx = &sink,
                                            .range = sink.bytes ? range : NULL};
        _cleanup_answer_ struct http_easy_answer answer = {0};
        int64_t before = sink.bytes;
        bool answered = http_easy_perform(client->http, &request, &answer, err);
        if (sink.error_number)
            return error_errno(err, sink.error_number, "can't write %s", path);
        if (answered && answer.status >= 200 && answer.status <= 299) {
            if (before && answer.status != 206)
                return error_set(err, ERROR_IO, "%s: the Berth can't go on in the middle of a file", path);
            if (sink.bytes != *size && !o->running)
                return error_set(err, ERROR_CONFLICT, "%s has %lld bytes instead of %lld", path,
                                 (long long)sink.bytes, (long long)*size);
            *size = sink.bytes;
            return true;
        }
        if (answered) {
            client_refusal(&answer, err);
            if (o->running && err->code == ERROR_NOT_FOUND)
                error_hint(err, "the job has removed it or has ended: fetch again");
            return false;
        }
        poll(NULL, 0, RETRY_MS);
    }
    return client_explain(client, err);
}

/* *bytes is how much came. */
static bool download_file(struct client *client, const struct target *t, const struct outputs_options *o,
                          const cJSON *file, int64_t *bytes, struct error *err)
{
    const char *path = json_str(file, "path", "");
    if (!path_is_safe(path))
        return error_set(err, ERROR_INVALID,
                         "the name of a file would lead out of the folder; it is left there");
    _cleanup_free_ char *copy = xstrdup(path);
    const char *name;
    _cleanup_close_ int parent = open_parent(t, copy, &name, err);
    if (parent < 0)
        return false;
    struct stat st;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (!o->force) {
            error_set(err, ERROR_EXISTS, "%s is here already", path);
            return error_hint(err, "--force overwrites; another folder: berth outputs %s DIR", t->job);
        }
        if (!S_ISREG(st.st_mode))
            return refuse_obstacle(t, path, strlen(path), kind_of(st.st_mode), err);
    }
    _cleanup_free_ char *tmp = xasprintf(".berth-%d.tmp", (int)getpid());
    int fd = openat(parent, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(err, errno, "can't create a file beside %s", path);
    *bytes = json_int(file, "size", 0);
    bool ok = fetch(client, t->job, o, path, bytes, fd, err);
    mode_t mask = umask(0);
    umask(mask);
    int64_t mtime = o->running ? 0 : json_int(file, "mtime_ms", 0);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                {.tv_sec = mtime / 1000, .tv_nsec = (mtime % 1000) * 1000000}};
    mode_t mode = (mode_t)json_int(file, "mode", 0644) & 0777 & ~mask;
    if (ok && (fchmod(fd, mode) != 0 || (mtime && futimens(fd, times) != 0)))
        ok = error_errno(err, errno, "can't finish %s", path);
    if (close(fd) != 0 && ok)
        ok = error_errno(err, errno, "can't write %s", path);
    if (ok && renameat(parent, tmp, parent, name) != 0)
        ok = error_errno(err, errno, "can't write %s", path);
    if (!ok)
        unlinkat(parent, tmp, 0);
    return ok;
}

/* Nothing is written through a link: they come last, and a directory on the way is never one. */
static bool make_link(const struct target *t, const cJSON *link, bool force, struct error *err)
{
    const char *path = json_str(link, "path", ""), *target = json_str(link, "target", ""), *name;
    if (!path_is_safe(path) || !fs_link_stays(path, target))
        return error_set(err, ERROR_INVALID, "can't make the link %s: it would lead out of the directory",
                         path);
    _cleanup_free_ char *copy = xstrdup(path), *tmp = xasprintf(".berth-%d.tmp", (int)getpid());
    _cleanup_close_ int parent = open_parent(t, copy, &name, err);
    if (parent < 0)
        return false;
    struct stat st;
    bool there = fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (there && !force) {
        error_set(err, ERROR_EXISTS, "%s is here already", path);
        return error_hint(err, "--force overwrites; another directory: berth outputs %s DIR", t->job);
    }
    if (there && S_ISDIR(st.st_mode))
        return refuse_obstacle(t, path, strlen(path), kind_of(st.st_mode), err);
    if (symlinkat(target, parent, tmp) != 0 || renameat(parent, tmp, parent, name) != 0) {
        int e = errno;
        unlinkat(parent, tmp, 0);
        return error_errno(err, e, "can't make the link %s", path);
    }
    return true;
}

static bool make_directory(const struct target *t, const cJSON *directory, struct error *err)
{
    const char *path = json_str(directory, "path", ""), *name;
    if (!path_is_safe(path))
        return error_set(err, ERROR_INVALID, "can't make the directory %s: its name leads elsewhere", path);
    _cleanup_free_ char *inside = xasprintf("%s/.", path); /* the directory as the parent of nothing */
    _cleanup_close_ int parent = open_parent(t, inside, &name, err);
    return parent >= 0;
}

/* All that is there already is told before anything is fetched. */
static bool check_free(int root, const cJSON *files, const char *job, struct error *err)
{
    const cJSON *file;
    int there = 0;
    const char *first = NULL;
    cJSON_ArrayForEach(file, files)
    {
        const char *path = json_str(file, "path", "");
        struct stat st;
        if (path_is_safe(path) && fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) == 0) {
            there++;
            first = first ? first : path;
        }
    }
    if (!there)
        return true;
    error_set(err, ERROR_EXISTS, "%d of the files %s here already (%s); nothing was fetched", there,
              there == 1 ? "is" : "are", first);
    return error_hint(err, "--force overwrites; or another folder: berth outputs %s DIR", job);
}

struct tally {
    int all, files, links, directories, failed;
    int64_t bytes;
};

/* The first failures by name: one obstacle may stand in the way of thousands of files. */
static void count_failure(struct tally *tally, const struct error *err)
{
    if (tally->failed++ < FAILURES_NAMED)
        cli_fail(err);
}

static void fetch_all(struct client *client, const struct target *t, const struct outputs_options *o,
                      const cJSON *answer, struct tally *tally)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, json_get(answer, "files"))
    {
        struct error err = {0};
        int64_t bytes = 0;
        if (download_file(client, t, o, item, &bytes, &err)) {
            tally->files++;
            tally->bytes += bytes;
            continue;
        }
        count_failure(tally, &err);
        if (err.code == ERROR_UNAVAILABLE || err.code == ERROR_NO_SPACE)
            return;
    }
    cJSON_ArrayForEach(item, json_get(answer, "directories"))
    {
        struct error err = {0};
        if (make_directory(t, item, &err))
            tally->directories++;
        else
            count_failure(tally, &err);
    }
    cJSON_ArrayForEach(item, json_get(answer, "links"))
    {
        struct error err = {0};
        if (make_link(t, item, o->force, &err))
            tally->links++;
        else
            count_failure(tally, &err);
    }
}

static int report_fetched(const char *directory, const struct tally *tally)
{
    char size[32];
    _cleanup_buf_ struct buf more = {0};
    if (tally->links)
        buf_printf(&more, ", %d link%s", tally->links, tally->links == 1 ? "" : "s");
    if (tally->directories)
        buf_printf(&more, ", %d empty director%s", tally->directories, tally->directories == 1 ? "y" : "ies");
    print_line(PRINT_OUT, "%d file%s%s, %s, into %s", tally->files, tally->files == 1 ? "" : "s",
               more.len ? more.data : "", show_bytes(tally->bytes, size), directory);
    if (!tally->failed)
        return EXIT_OK;
    if (tally->failed > FAILURES_NAMED)
        print_line(PRINT_ERR, "berth: and %d more", tally->failed - FAILURES_NAMED);
    int missing = tally->all - tally->files - tally->links - tally->directories;
    print_line(PRINT_ERR, "berth: the fetch is incomplete: %d of %d are not in %s", missing, tally->all,
               directory);
    return EXIT_REFUSED;
}

int outputs_fetch(struct client *client, const char *job, const struct outputs_options *o,
                  const cJSON *answer)
{
    const cJSON *files = json_get(answer, "files"), *links = json_get(answer, "links");
    struct error err = {0};
    if (mkdir(o->folder, 0777) != 0 && errno != EEXIST) {
        error_errno(&err, errno, "can't make the folder %s", o->folder);
        return cli_fail(&err);
    }
    _cleanup_close_ int root = open(o->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        error_errno(&err, errno, "can't use the folder %s", o->folder);
        return cli_fail(&err);
    }
    if (!o->force && (!check_free(root, files, job, &err) || !check_free(root, links, job, &err)))
        return cli_fail(&err);
    const struct target target = {.root = root, .directory = o->folder, .job = job};
    struct tally tally = {.all = cJSON_GetArraySize(files) + cJSON_GetArraySize(links) +
                                 cJSON_GetArraySize(json_get(answer, "directories"))};
    fetch_all(client, &target, o, answer, &tally);
    return report_fetched(o->folder, &tally);
}
