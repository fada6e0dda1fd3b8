#include "proto/listing.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

static void skip(struct listing *l, const char *path, const char *why)
{
    cJSON *o = cJSON_CreateObject();
    json_add_bytes(o, "path", path);
    json_add_str(o, "why", why);
    cJSON_AddItemToArray(l->skipped, o);
    l->count++;
}

/* One that leads out is not handed out. */
static void add_link(struct listing *l, int dirfd, const char *name, const char *path)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(dirfd, name, target, sizeof target - 1);
    target[n < 0 ? 0 : n] = '\0';
    if (!fs_link_stays(path, target)) {
        skip(l, path, "a symbolic link that leaves the outputs");
        return;
    }
    cJSON *o = cJSON_CreateObject();
    json_add_bytes(o, "path", path);
    json_add_bytes(o, "target", target);
    cJSON_AddItemToArray(l->links, o);
    l->count++;
}

static void walk_folder(struct listing *l, int dirfd, const char *prefix, unsigned depth);

static void walk_entry(struct listing *l, int dirfd, const char *name, const char *path, unsigned depth)
{
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return;
    if (S_ISDIR(st.st_mode)) {
        int fd = st.st_dev == l->device ? openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                                        : (errno = EXDEV, -1);
        if (fd >= 0)
            walk_folder(l, fd, path, depth + 1);
        else
            skip(l, path, strerror(errno));
        return;
    }
    if (S_ISLNK(st.st_mode)) {
        add_link(l, dirfd, name, path);
        return;
    }
    if (!S_ISREG(st.st_mode)) {
        skip(l, path, "not a regular file");
        return;
    }
    cJSON *o = cJSON_CreateObject();
    json_add_bytes(o, "path", path);
    json_add_int(o, "size", st.st_size);
    json_add_int(o, "mode", st.st_mode & 0777);
    json_add_int(o, "mtime_ms", (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000);
    cJSON_AddItemToArray(l->files, o);
    l->count++;
}

/* Takes dirfd. */
static void walk_folder(struct listing *l, int dirfd, const char *prefix, unsigned depth)
{
    _cleanup_dir_ DIR *dir = fdopendir(dirfd);
    if (!dir) {
        close(dirfd);
        return;
    }
    if (depth > LISTING_DEPTH_MAX) {
        skip(l, prefix, "nested too deeply");
        return;
    }
    bool empty = true;
    for (struct dirent *e; (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        empty = false;
        if (l->count == LISTING_ENTRIES_MAX) {
            skip(l, prefix, "more files than a listing holds");
            return;
        }
        _cleanup_free_ char *path = *prefix ? xasprintf("%s/%s", prefix, e->d_name) : xstrdup(e->d_name);
        walk_entry(l, dirfd, e->d_name, path, depth);
    }
    if (empty && *prefix) {
        cJSON *o = cJSON_CreateObject();
        json_add_bytes(o, "path", prefix);
        cJSON_AddItemToArray(l->directories, o);
        l->count++;
    }
}

void listing_init(struct listing *l)
{
    *l = (struct listing){
        cJSON_CreateArray(), cJSON_CreateArray(), cJSON_CreateArray(), cJSON_CreateArray(), 0, 0};
}

void listing_walk(struct listing *l, int fd)
{
    struct stat st = {0};
    fstat(fd, &st);
    l->device = st.st_dev;
    walk_folder(l, fd, "", 0);
}

void listing_give(struct listing *l, cJSON *object)
{
    cJSON_AddItemToObject(object, "files", l->files);
    cJSON_AddItemToObject(object, "links", l->links);
    cJSON_AddItemToObject(object, "directories", l->directories);
    cJSON_AddItemToObject(object, "skipped", l->skipped);
}
