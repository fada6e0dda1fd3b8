/* Hashes and the manifest. */
#include "cli/snapshot.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"

#include <fcntl.h>
#include <gnutls/crypto.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define READ_CHUNK_BYTES (1 << 20)

static void write_hex(const unsigned char *digest, char *sha)
{
    for (int i = 0; i < 32; i++)
        snprintf(sha + 2 * i, 3, "%02x", digest[i]);
}

void code_snapshot_sha(const void *bytes, size_t n, char *sha)
{
    unsigned char digest[32];
    gnutls_hash_fast(GNUTLS_DIG_SHA256, bytes, n, digest);
    write_hex(digest, sha);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

bool code_snapshot_hash(int fd, int64_t limit, int copy, char *sha, int64_t *size)
{
    gnutls_hash_hd_t hash;
    if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) != 0) {
        errno = ENOSYS;
        return false;
    }
    _cleanup_free_ char *chunk = xmalloc(READ_CHUNK_BYTES);
    unsigned char digest[32];
    ssize_t n = 0;
    bool ok = true;
    for (*size = 0; ok && *size < limit; *size += n) {
        size_t wanted = limit - *size < READ_CHUNK_BYTES ? (size_t)(limit - *size) : READ_CHUNK_BYTES;
        while ((n = read(fd, chunk, wanted)) < 0 && errno == EINTR) {
        }
        if (n <= 0)
            break;
        gnutls_hash(hash, chunk, (size_t)n);
        ok = copy < 0 || fs_write_all(copy, chunk, (size_t)n);
    }
    int e = errno;
    gnutls_hash_deinit(hash, digest);
    write_hex(digest, sha);
    errno = e;
    return ok && n >= 0;
}

bool code_snapshot_is_gone(int e)
{
    return e == ENOENT || e == ENOTDIR || e == ELOOP || e == ESTALE || e == EISDIR || e == ENXIO;
}

int code_snapshot_open(const struct code_snapshot *s, int root, const char *path, struct error *err)
{
    struct stat st;
    _cleanup_close_ int fd = openat(root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return take_fd(&fd);
    if (fd >= 0)
        errno = ENOENT; /* something else of that name */
    int e = errno;
    error_errno(err, e, "can't read %s/%s", s->path, path);
    error_hint(err, "make it readable, or leave it out in .amlignore or .gitignore");
    errno = e;
    return -1;
}

void code_snapshot_note(struct code_note *note, const char *path)
{
    if (!note->count++)
        note->example = xstrdup(path);
}

/* Of a file that grows the bytes that it had when it was opened. One that changes otherwise is read again,
 * and the last reading stands: what is sent is checked against it. */
static bool hash_item(struct code_snapshot *s, int root, struct code_item *item, struct error *err)
{
    for (int tries = 1;; tries++) {
        _cleanup_close_ int fd = code_snapshot_open(s, root, item->path, err);
        struct stat before, after;
        if (fd < 0 && code_snapshot_is_gone(errno)) {
            item->gone = true;
            code_snapshot_note(&s->vanished, item->path);
            return true;
        }
        if (fd < 0)
            return false;
        if (fstat(fd, &before) != 0 || !code_snapshot_hash(fd, before.st_size, -1, item->sha, &item->size) ||
            fstat(fd, &after) != 0)
            return error_errno(err, errno, "can't read %s/%s", s->path, item->path);
        bool same = same_file(&before, &after) && item->size == after.st_size;
        bool grown = !same && item->size == before.st_size && after.st_size > before.st_size;
        if (!same && !grown && tries < SNAPSHOT_HASH_TRIES)
            continue;
        if (!same)
            code_snapshot_note(&s->changing, item->path);
        item->mode = after.st_mode & (S_IFMT | 0777);
        item->mtime_ns = code_snapshot_mtime(&before);
        return true;
    }
}

/* Bytes below 0x21, 0x7f and "%" as %XX. */
static void add_encoded(struct buf *out, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p < 0x21 || *p == 0x7f || *p == '%')
            buf_printf(out, "%%%02X", *p);
        else
            buf_add_char(out, (char)*p);
    }
}

void code_snapshot_write_manifest(struct code_snapshot *s)
{
    buf_clear(&s->manifest);
    s->files = s->bytes = 0;
    buf_add_str(&s->manifest, "berth-tree 2\n");
    for (size_t i = 0; i < s->count; i++) {
        const struct code_item *item = &s->items[i];
        if (item->gone)
            continue;
        s->files += S_ISREG(item->mode);
        s->bytes += S_ISREG(item->mode) ? item->size : 0;
        if (S_ISREG(item->mode))
            buf_printf(&s->manifest, "%o %lld %s ", item->mode & 0777, (long long)item->size, item->sha);
        else if (S_ISDIR(item->mode))
            buf_printf(&s->manifest, "%o 0 - ", item->mode);
        else
            buf_printf(&s->manifest, "120000 %lld - ", (long long)item->size);
        buf_printf(&s->manifest, "%lld ", (long long)item->mtime_ns);
        add_encoded(&s->manifest, item->path);
        if (item->target) {
            buf_add_char(&s->manifest, '\0');
            add_encoded(&s->manifest, item->target);
        }
        buf_add_char(&s->manifest, '\n');
    }
    code_snapshot_sha(s->manifest.data, s->manifest.len, s->manifest_sha);
}

/* Where it lies, and that it is a directory. */
static bool find_directory(const char *path, struct code_snapshot *s, struct error *err)
{
    char real[PATH_MAX];
    struct stat st;
    if (!realpath(path, real)) {
        error_errno(err, errno, "can't use the code folder %s", path);
        return error_hint(err, "--code DIR names another, --no-code none");
    }
    s->path = xstrdup(real);
    if (stat(real, &st) == 0 && S_ISDIR(st.st_mode))
        return true;
    error_set(err, ERROR_INVALID, "the code folder %s is not a folder", path);
    return error_hint(err, "--code DIR names the folder that the code lies in");
}

bool code_snapshot_take_live(const char *path, struct code_snapshot *s, struct error *err)
{
    *s = (struct code_snapshot){.live = true};
    if (!find_directory(path, s, err))
        return false;
    git_read(s->path, &s->git);
    return true;
}

bool code_snapshot_take(const char *path, const cJSON *privates, bool limited,
                        code_snapshot_progress_fn *progress, void *ctx, struct code_snapshot *s,
                        struct error *err)
{
    *s = (struct code_snapshot){.privates = privates};
    if (!find_directory(path, s, err))
        return false;
    if (!code_snapshot_walk(s, limited, err))
        return false;
    _cleanup_close_ int root = open(s->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return error_errno(err, errno, "can't open %s", s->path);
    int64_t done = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (!S_ISREG(s->items[i].mode))
            continue;
        if (!hash_item(s, root, &s->items[i], err))
            return false;
        if (progress)
            progress(ctx, "reading", ++done, s->files);
    }
    code_snapshot_write_manifest(s);
    git_read(s->path, &s->git);
    return true;
}

void code_snapshot_finish(struct code_snapshot *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->items[i].path);
        free(s->items[i].target);
    }
    for (size_t i = 0; i < s->left_out_count; i++)
        free(s->left_out[i]);
    for (size_t i = 0; i < s->ignore_count; i++)
        free(s->ignore[i]);
    free(s->ignore);
    free(s->ignore_above);
    free(s->items);
    free(s->left_out);
    free(s->path);
    free(s->largest);
    free(s->special_example);
    free(s->links_out_example);
    free(s->vanished.example);
    free(s->changing.example);
    buf_finish(&s->manifest);
    git_finish(&s->git);
    *s = (struct code_snapshot){0};
}
