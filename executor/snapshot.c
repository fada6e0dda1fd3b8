/* Manifests and the trees made from them. A manifest is untrusted text; the tree is made before any process
 * of the user may reach the folder, and still every path is opened beneath it. */
#include "executor/snapshot.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/map.h"
#include "executor/beneath.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define FIRST_LINE "berth-tree 2\n"
#define FIRST_LINE_UNTIMED "berth-tree 1\n"
#define NS_PER_S 1000000000
#define MTIME_BASE 315619200 /* 1980-01-02: zip files hold nothing older than 1980 */
#define MTIME_BITS 29        /* up to 1997 */

static int unhex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* NULL where the encoding is wrong, or a NUL hides in it. */
static char *percent_decode(const char *text, size_t len)
{
    char *out = xmalloc(len + 1), *to = out;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '%') {
            int high = i + 2 < len ? unhex(text[i + 1]) : -1;
            int low = i + 2 < len ? unhex(text[i + 2]) : -1;
            if (high < 0 || low < 0 || (high == 0 && low == 0)) {
                free(out);
                return NULL;
            }
            c = (unsigned char)(high * 16 + low);
            i += 2;
        } else if (c < 0x21 || c == 0x7f) {
            free(out);
            return NULL;
        }
        *to++ = (char)c;
    }
    *to = '\0';
    return out;
}

/* Digits of `base` up to a space; moves *p past the space. */
static bool take_number(const char **p, const char *end, int base, int64_t max, int64_t *out)
{
    const char *s = *p;
    int64_t value = 0;
    while (s < end && *s >= '0' && *s < '0' + base) {
        int digit = *s++ - '0';
        if (value > (max - digit) / base)
            return false;
        value = value * base + digit;
    }
    if (s == *p || s == end || *s != ' ')
        return false;
    *p = s + 1;
    *out = value;
    return true;
}

/* Nanoseconds since 1970, negative ones with a sign. */
static bool take_mtime(const char **p, const char *end, struct timespec *out)
{
    bool negative = *p < end && **p == '-';
    int64_t ns;
    *p += negative;
    if (!take_number(p, end, 10, INT64_MAX, &ns))
        return false;
    ns = negative ? -ns : ns;
    out->tv_sec = ns / NS_PER_S;
    out->tv_nsec = ns % NS_PER_S;
    if (out->tv_nsec < 0) {
        out->tv_nsec += NS_PER_S;
        out->tv_sec--;
    }
    return true;
}

static bool parse_line(const char *line, const char *end, bool timed, struct snapshot_entry *entry,
                       const char **why)
{
    int64_t mode;
    *why = timed ? "it is not MODE SIZE SHA MTIME PATH" : "it is not MODE SIZE SHA PATH";
    if (!take_number(&line, end, 8, 0177777, &mode) ||
        !take_number(&line, end, 10, BLOB_MAX_BYTES, &entry->size))
        return false;
    mode_t type = (mode_t)mode & S_IFMT;
    entry->mode = (mode_t)mode & 07777;
    if (type == 0 || type == S_IFREG)
        entry->kind = SNAPSHOT_FILE;
    else if (type == S_IFDIR)
        entry->kind = SNAPSHOT_FOLDER;
    else if (type == S_IFLNK)
        entry->kind = SNAPSHOT_LINK;
    else {
        *why = "only files, folders and links may be in a snapshot";
        return false;
    }
    if (entry->mode & 07000) {
        *why = "setuid, setgid and sticky bits may not be in a snapshot";
        return false;
    }
    const char *space = memchr(line, ' ', (size_t)(end - line));
    if (!space)
        return false;
    size_t sha_len = (size_t)(space - line);
    if (entry->kind == SNAPSHOT_FILE) {
        if (sha_len != BLOB_SHA_MAX - 1)
            return false;
        memcpy(entry->sha, line, sha_len);
        if (!blob_cache_sha_valid(entry->sha))
            return false;
    } else if (sha_len != 1 || *line != '-') {
        return false;
    }
    line = space + 1;
    if (timed && !take_mtime(&line, end, &entry->mtime))
        return false;
    const char *path_end = end;
    if (entry->kind == SNAPSHOT_LINK) {
        path_end = memchr(line, '\0', (size_t)(end - line));
        if (!path_end || path_end + 1 == end) {
            *why = "a link without a target";
            return false;
        }
        entry->target = percent_decode(path_end + 1, (size_t)(end - path_end - 1));
        if (!entry->target || strlen(entry->target) > BENEATH_PATH_MAX) {
            *why = "its link target is wrongly encoded or too long";
            return false;
        }
    }
    entry->path = percent_decode(line, (size_t)(path_end - line));
    if (!entry->path) {
        *why = "its path is wrongly encoded";
        return false;
    }
    if (!beneath_path_valid(entry->path)) {
        *why = "its path leads out of the folder, or is not a clean relative path";
        return false;
    }
    size_t depth = 1;
    for (const char *p = entry->path; *p; p++)
        depth += *p == '/';
    if (depth > SNAPSHOT_DEPTH_MAX) {
        *why = "its path is too deep";
        return false;
    }
    return true;
}

/* An entry below a file or a link would be written through it. */
static bool below_no_leaf(const struct map *leaves, const char *path)
{
    char part[BENEATH_PATH_MAX + 1];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash; (slash = strrchr(part, '/'));) {
        *slash = '\0';
        if (map_get_str(leaves, part))
            return false;
    }
    return true;
}

static bool parse_entries(const char *text, size_t len, struct snapshot *out, struct map *leaves,
                          struct error *err)
{
    const char *p = text, *end = text + len;
    size_t head = strlen(FIRST_LINE);
    out->untimed = len >= head && memcmp(text, FIRST_LINE_UNTIMED, head) == 0;
    if (!out->untimed && (len < head || memcmp(text, FIRST_LINE, head) != 0))
        return error_set(err, ERROR_VERSION,
                         "the snapshot's manifest does not start with \"%.*s\" or an older version",
                         (int)head - 1, FIRST_LINE);
    p += head;
    for (unsigned line = 2; p < end; line++) {
        const char *line_end = memchr(p, '\n', (size_t)(end - p));
        if (!line_end)
            return error_set(err, ERROR_INVALID, "the snapshot's manifest is cut off in line %u", line);
        if (out->count == SNAPSHOT_ENTRIES_MAX)
            return error_set(err, ERROR_LIMIT, "the snapshot has more than %d entries", SNAPSHOT_ENTRIES_MAX);
        if (out->count == out->capacity) {
            out->capacity = out->capacity ? out->capacity * 2 : 64;
            out->entries = xrealloc(out->entries, out->capacity * sizeof *out->entries);
        }
        struct snapshot_entry *entry = &out->entries[out->count++];
        memset(entry, 0, sizeof *entry);
        const char *why;
        if (!parse_line(p, line_end, !out->untimed, entry, &why))
            return error_set(err, ERROR_INVALID, "the snapshot's manifest is refused, line %u: %s", line,
                             why);
        if (out->count > 1 && strcmp(entry[-1].path, entry->path) >= 0)
            return error_set(err, ERROR_INVALID,
                             "the snapshot's manifest is refused, line %u: not sorted by path", line);
        if (!below_no_leaf(leaves, entry->path))
            return error_set(err, ERROR_INVALID,
                             "the snapshot's manifest is refused, line %u: %s lies below a file or a link",
                             line, entry->path);
        if (entry->kind != SNAPSHOT_FOLDER)
            map_put_str(leaves, entry->path, entry);
        if (entry->kind == SNAPSHOT_FILE) {
            out->files++;
            out->bytes += entry->size;
        }
        p = line_end + 1;
    }
    return true;
}

bool snapshot_parse(const char *text, size_t len, struct snapshot *out, struct error *err)
{
    struct map leaves = {0};
    memset(out, 0, sizeof *out);
    bool ok = parse_entries(text, len, out, &leaves, err);
    map_finish(&leaves);
    if (!ok)
        snapshot_finish(out);
    return ok;
}

void snapshot_finish(struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->count; i++) {
        free(snapshot->entries[i].path);
        free(snapshot->entries[i].target);
    }
    free(snapshot->entries);
    memset(snapshot, 0, sizeof *snapshot);
}

const struct snapshot_entry *snapshot_find(const struct snapshot *snapshot, const char *path)
{
    size_t low = 0, high = snapshot->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(snapshot->entries[middle].path, path);
        if (order == 0)
            return &snapshot->entries[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

struct timespec snapshot_mtime(const char *manifest_sha)
{
    long bits = 0;
    for (int i = 0; i < 8 && manifest_sha[i]; i++)
        bits = bits * 16 + unhex(manifest_sha[i]);
    return (struct timespec){.tv_sec = MTIME_BASE + (bits & ((1L << MTIME_BITS) - 1))};
}

static bool give(int fd, uid_t uid, gid_t gid)
{
    return geteuid() != 0 || fchown(fd, uid, gid) == 0;
}

struct making {
    const struct snapshot *snapshot;
    const struct blob_cache *cache;
    struct timespec untimed; /* for format 1 */
    int root_fd;
    uid_t uid;
    gid_t gid;
};

static struct timespec mtime_of(const struct making *m, const struct snapshot_entry *entry)
{
    return m->snapshot->untimed ? m->untimed : entry->mtime;
}

static bool make_file(const struct making *m, const struct snapshot_entry *entry, int folder,
                      const char *name, struct error *err)
{
    _cleanup_close_ int from = blob_cache_open(m->cache, entry->sha);
    struct stat st;
    if (from < 0 || fstat(from, &st) != 0)
        return error_errno(err, errno, "can't open the blob of %s", entry->path);
    if (st.st_size != entry->size)
        return error_set(err, ERROR_INVALID, "%s is %lld bytes in the manifest, and %lld in its blob",
                         entry->path, (long long)entry->size, (long long)st.st_size);
    _cleanup_close_ int to = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to < 0)
        return error_errno(err, errno, "can't make %s in the working folder", entry->path);
    if (!fs_copy_fd(from, to, err))
        return error_wrap(err, "%s", entry->path);
    struct timespec times[2] = {mtime_of(m, entry), mtime_of(m, entry)};
    if (!give(to, m->uid, m->gid) || fchmod(to, entry->mode) != 0 || futimens(to, times) != 0)
        return error_errno(err, errno, "can't finish %s in the working folder", entry->path);
    return true;
}

static bool make_entry(const struct making *m, const struct snapshot_entry *entry, struct error *err)
{
    const char *name;
    struct timespec times[2] = {mtime_of(m, entry), mtime_of(m, entry)};
    _cleanup_close_ int folder = beneath_open_parent(m->root_fd, entry->path, true, 0755, &name);
    if (folder < 0)
        return error_errno(err, errno, "can't make the folder of %s", entry->path);
    switch (entry->kind) {
    case SNAPSHOT_FILE:
        return make_file(m, entry, folder, name, err);
    case SNAPSHOT_FOLDER:
        if (mkdirat(folder, name, 0755) != 0 && errno != EEXIST)
            return error_errno(err, errno, "can't make the folder %s", entry->path);
        return true;
    case SNAPSHOT_LINK:
        if (symlinkat(entry->target, folder, name) != 0)
            return error_errno(err, errno, "can't make the link %s", entry->path);
        if (geteuid() == 0 && fchownat(folder, name, m->uid, m->gid, AT_SYMLINK_NOFOLLOW) != 0)
            return error_errno(err, errno, "can't give the link %s to its user", entry->path);
        if (utimensat(folder, name, times, AT_SYMLINK_NOFOLLOW) != 0)
            return error_errno(err, errno, "can't set the modification time of the link %s", entry->path);
        return true;
    }
    return true;
}

/* Folders get owner and mode last, so that a folder without write permission can be filled. Folders that the
 * manifest does not name (the parents it implies) are given too. */
static bool finish_folders(const struct making *m, const char *path, int fd, mode_t mode, struct error *err)
{
    if (!give(fd, m->uid, m->gid) || fchmod(fd, mode) != 0)
        return error_errno(err, errno, "can't finish the folder %s", path);
    return true;
}

static bool finish_implied(const struct making *m, const struct snapshot *snapshot, struct map *done,
                           const char *path, struct error *err)
{
    char part[BENEATH_PATH_MAX + 1];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash; (slash = strrchr(part, '/'));) {
        *slash = '\0';
        if (map_get_str(done, part))
            return true;
        map_put_str(done, part, (void *)1);
        if (snapshot_find(snapshot, part))
            continue; /* named: it comes by itself */
        _cleanup_close_ int fd = beneath_openat(m->root_fd, part, O_RDONLY | O_DIRECTORY, 0, false);
        if (fd < 0)
            return error_errno(err, errno, "can't open the folder %s", part);
        if (!finish_folders(m, part, fd, 0755, err))
            return false;
    }
    return true;
}

bool snapshot_materialise(const struct snapshot *snapshot, const char *manifest_sha,
                          const struct blob_cache *cache, int root_fd, uid_t uid, gid_t gid,
                          struct error *err)
{
    struct making m = {.snapshot = snapshot,
                       .cache = cache,
                       .untimed = snapshot_mtime(manifest_sha),
                       .root_fd = root_fd,
                       .uid = uid,
                       .gid = gid};
    for (size_t i = 0; i < snapshot->count; i++)
        if (!make_entry(&m, &snapshot->entries[i], err))
            return false;
    struct map done = {0};
    bool ok = true;
    for (size_t i = 0; ok && i < snapshot->count; i++)
        ok = finish_implied(&m, snapshot, &done, snapshot->entries[i].path, err);
    map_finish(&done);
    for (size_t i = snapshot->count; ok && i-- > 0;) {
        const struct snapshot_entry *entry = &snapshot->entries[i];
        if (entry->kind != SNAPSHOT_FOLDER)
            continue;
        _cleanup_close_ int fd = beneath_openat(root_fd, entry->path, O_RDONLY | O_DIRECTORY, 0, false);
        if (fd < 0)
            return error_errno(err, errno, "can't open the folder %s", entry->path);
        struct timespec times[2] = {mtime_of(&m, entry), mtime_of(&m, entry)};
        ok = finish_folders(&m, entry->path, fd, entry->mode, err) &&
             (snapshot->untimed || futimens(fd, times) == 0 ||
              error_errno(err, errno, "can't set the modification time of %s", entry->path));
    }
    return ok;
}

static bool not_after(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec <= b->tv_nsec);
}

bool snapshot_unchanged(const struct snapshot *snapshot, const char *manifest_sha, const char *path, int fd,
                        const struct timespec *made)
{
    const struct snapshot_entry *entry = snapshot_find(snapshot, path);
    struct stat st;
    if (!entry || entry->kind != SNAPSHOT_FILE || fstat(fd, &st) != 0 || st.st_size != entry->size)
        return false;
    struct timespec mtime = snapshot->untimed ? snapshot_mtime(manifest_sha) : entry->mtime;
    if (st.st_mtim.tv_sec == mtime.tv_sec && st.st_mtim.tv_nsec == mtime.tv_nsec &&
        not_after(&st.st_ctim, made)) /* a job can set the former, nobody the latter */
        return true;
    char sha[BLOB_SHA_MAX];
    off_t at = lseek(fd, 0, SEEK_SET);
    bool same = at == 0 && blob_hash_fd(fd, entry->size, sha, NULL) && strcmp(sha, entry->sha) == 0;
    lseek(fd, 0, SEEK_SET);
    return same;
}
