/* The executor's blobs. Owns the files below its folder; the invariant is that a file there has the hash of
 * its name. */
#include "executor/blob_cache.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"

#include <fcntl.h>
#include <gnutls/crypto.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#define HASH_CHUNK_BYTES (256 * 1024)
#define BOOT_FILE "boot-id"

struct blob_writer {
    int cache_fd, fd;
    char sha[BLOB_SHA_MAX], name[48];
    gnutls_hash_hd_t hash;
    int64_t bytes;
};

bool blob_cache_sha_valid(const char *sha)
{
    size_t n = 0;
    for (; sha[n]; n++)
        if (!((sha[n] >= '0' && sha[n] <= '9') || (sha[n] >= 'a' && sha[n] <= 'f')))
            return false;
    return n == BLOB_SHA_MAX - 1;
}

static void blob_path(const char *sha, char out[BLOB_SHA_MAX + 1])
{
    snprintf(out, BLOB_SHA_MAX + 1, "%.2s/%s", sha, sha + 2);
}

static void hex(const unsigned char *digest, char sha[BLOB_SHA_MAX])
{
    for (int i = 0; i < 32; i++)
        snprintf(sha + 2 * i, 3, "%02x", digest[i]);
}

bool blob_cache_init(struct blob_cache *cache, const char *folder, struct error *err)
{
    struct buf boot __attribute__((cleanup(buf_finish))) = {0};
    cache->fd = -1;
    _cleanup_free_ char *boot_path = xasprintf("%s/%s", folder, BOOT_FILE);
    struct error ignored;
    if (!fs_read_file(AT_FDCWD, boot_path, 64, &boot, &ignored) || strcmp(boot.data, clock_boot_id()) != 0) {
        if (!fs_remove_tree(AT_FDCWD, folder, err) || !fs_mkdirs(folder, 0700, err) ||
            !fs_write_atomic(AT_FDCWD, boot_path, clock_boot_id(), strlen(clock_boot_id()), 0600, err))
            return error_wrap(err, "blob cache %s", folder);
    }
    cache->fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cache->fd < 0)
        return error_errno(err, errno, "can't open the blob cache %s", folder);
    return true;
}

void blob_cache_finish(struct blob_cache *cache)
{
    if (cache->fd >= 0)
        close(cache->fd);
    cache->fd = -1;
}

bool blob_cache_has(const struct blob_cache *cache, const char *sha)
{
    char path[BLOB_SHA_MAX + 1];
    blob_path(sha, path);
    /* the access time is what the sweep goes by */
    return utimensat(cache->fd, path, (struct timespec[]){{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}},
                     0) == 0;
}

int blob_cache_open(const struct blob_cache *cache, const char *sha)
{
    char path[BLOB_SHA_MAX + 1];
    blob_path(sha, path);
    return openat(cache->fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

bool blob_cache_read(const struct blob_cache *cache, const char *sha, size_t max_bytes, struct buf *out,
                     struct error *err)
{
    char path[BLOB_SHA_MAX + 1];
    blob_path(sha, path);
    return fs_read_file(cache->fd, path, max_bytes, out, err);
}

struct cached {
    char path[BLOB_SHA_MAX + 1];
    int64_t used_s, bytes;
};

static int by_use(const void *a, const void *b)
{
    const struct cached *x = a, *y = b;
    return (x->used_s > y->used_s) - (x->used_s < y->used_s);
}

bool blob_cache_sweep(const struct blob_cache *cache, int64_t max_bytes, struct error *err)
{
    _cleanup_free_ struct cached *all = NULL;
    size_t count = 0, capacity = 0;
    int64_t total = 0;
    for (int i = 0; i < 256; i++) {
        char folder[3];
        snprintf(folder, sizeof folder, "%02x", i);
        int fd = openat(cache->fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            continue;
        _cleanup_dir_ DIR *dir = fdopendir(fd);
        struct dirent *entry;
        while (dir && (entry = readdir(dir))) {
            struct stat st;
            if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
                continue;
            if (count == capacity) {
                capacity = capacity ? capacity * 2 : 256;
                all = xrealloc(all, capacity * sizeof *all);
            }
            snprintf(all[count].path, sizeof all[count].path, "%s/%.62s", folder, entry->d_name);
            all[count].used_s = st.st_atime;
            all[count].bytes = st.st_size;
            total += st.st_size;
            count++;
        }
    }
    if (total <= max_bytes)
        return true;
    qsort(all, count, sizeof *all, by_use);
    for (size_t i = 0; i < count && total > max_bytes; i++) {
        if (unlinkat(cache->fd, all[i].path, 0) != 0 && errno != ENOENT)
            return error_errno(err, errno, "can't remove a cached blob");
        total -= all[i].bytes;
    }
    return true;
}

struct blob_writer *blob_writer_create(const struct blob_cache *cache, const char *sha, struct error *err)
{
    static atomic_uint serial;
    struct blob_writer *writer = xcalloc(1, sizeof *writer);
    writer->cache_fd = cache->fd;
    snprintf(writer->sha, sizeof writer->sha, "%s", sha);
    snprintf(writer->name, sizeof writer->name, "new.%d.%u", (int)getpid(), atomic_fetch_add(&serial, 1));
    writer->fd = openat(cache->fd, writer->name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (writer->fd < 0) {
        error_errno(err, errno, "can't write to the blob cache");
        free(writer);
        return NULL;
    }
    if (gnutls_hash_init(&writer->hash, GNUTLS_DIG_SHA256) != 0) {
        error_set(err, ERROR_INTERNAL, "SHA-256 is missing from GnuTLS");
        writer->hash = NULL;
        blob_writer_destroy(writer);
        return NULL;
    }
    return writer;
}

bool blob_writer_add(struct blob_writer *writer, const void *bytes, size_t n, struct error *err)
{
    writer->bytes += (int64_t)n;
    if (writer->bytes > BLOB_MAX_BYTES)
        return error_set(err, ERROR_LIMIT, "blob %s is larger than 64 GB", writer->sha);
    gnutls_hash(writer->hash, bytes, n);
    if (!fs_write_all(writer->fd, bytes, n))
        return error_errno(err, errno, "can't write blob %s to the cache", writer->sha);
    return true;
}

bool blob_writer_commit(struct blob_writer *writer, struct error *err)
{
    unsigned char digest[32];
    char sha[BLOB_SHA_MAX], path[BLOB_SHA_MAX + 1], folder[3];
    gnutls_hash_output(writer->hash, digest);
    hex(digest, sha);
    blob_path(writer->sha, path);
    snprintf(folder, sizeof folder, "%.2s", path);
    bool ok = false;
    if (strcmp(sha, writer->sha) != 0)
        error_set(err, ERROR_IO, "blob %s arrived with other bytes (they hash to %s)", writer->sha, sha);
    else if (mkdirat(writer->cache_fd, folder, 0700) != 0 && errno != EEXIST)
        error_errno(err, errno, "can't write to the blob cache");
    else if (renameat(writer->cache_fd, writer->name, writer->cache_fd, path) != 0)
        error_errno(err, errno, "can't put blob %s into the cache", writer->sha);
    else
        ok = true;
    blob_writer_destroy(writer);
    return ok;
}

void blob_writer_destroy(struct blob_writer *writer)
{
    if (!writer)
        return;
    unlinkat(writer->cache_fd, writer->name, 0); /* gone already where it was committed */
    close(writer->fd);
    if (writer->hash)
        gnutls_hash_deinit(writer->hash, NULL);
    free(writer);
}

bool blob_hash_fd(int fd, int64_t max_bytes, char sha[BLOB_SHA_MAX], struct error *err)
{
    gnutls_hash_hd_t hash;
    unsigned char digest[32];
    if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) != 0)
        return error_set(err, ERROR_INTERNAL, "SHA-256 is missing from GnuTLS");
    _cleanup_free_ char *chunk = xmalloc(HASH_CHUNK_BYTES);
    ssize_t n = 0;
    for (int64_t left = max_bytes; left > 0; left -= n > 0 ? n : 0) {
        n = read(fd, chunk, left < HASH_CHUNK_BYTES ? (size_t)left : HASH_CHUNK_BYTES);
        if (n == 0 || (n < 0 && errno != EINTR))
            break;
        if (n > 0)
            gnutls_hash(hash, chunk, (size_t)n);
    }
    int failed = n < 0 ? errno : 0;
    gnutls_hash_deinit(hash, digest);
    hex(digest, sha);
    return failed ? error_errno(err, failed, "can't read a file to hash it") : true;
}
