/* Paths and manifests of the blob store. */
#include "scheduler/blobs.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool blob_sha_valid(const char *sha)
{
    return strspn(sha, "0123456789abcdef") == BLOB_SHA_TEXT && sha[BLOB_SHA_TEXT] == '\0';
}

char *blob_path(const char *state_dir, const char *sha)
{
    return xasprintf("%s/blobs/%.2s/%s", state_dir, sha, sha + 2);
}

bool blob_exists(const char *state_dir, const char *sha)
{
    struct stat st;
    _cleanup_free_ char *path = blob_path(state_dir, sha);
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool blobs_prepare(const char *state_dir, struct error *err)
{
    _cleanup_free_ char *incoming = xasprintf("%s/blobs/incoming", state_dir);
    if (!fs_remove_tree(AT_FDCWD, incoming, err) || !fs_mkdirs(incoming, 0700, err))
        return false;
    for (unsigned i = 0; i < 256; i++) {
        _cleanup_free_ char *path = xasprintf("%s/blobs/%02x", state_dir, i);
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return error_errno(err, errno, "can't make %s", path);
    }
    return true;
}

void blob_sha_to_bytes(const char *sha, uint8_t bytes[32])
{
    for (unsigned i = 0; i < BLOB_SHA_TEXT; i++) {
        unsigned value = (unsigned)(sha[i] <= '9' ? sha[i] - '0' : sha[i] - 'a' + 10);
        bytes[i / 2] = (uint8_t)(i % 2 ? bytes[i / 2] | value : value << 4);
    }
}

static int compare_shas(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

bool blob_manifest_read(const char *state_dir, const char *sha, uint8_t (**shas)[32], size_t *count,
                        struct error *err)
{
    _cleanup_free_ char *path = blob_path(state_dir, sha);
    _cleanup_buf_ struct buf text = {0};
    size_t capacity = 0;
    *shas = NULL;
    *count = 0;
    if (!fs_read_file(AT_FDCWD, path, BLOB_MANIFEST_MAX_BYTES, &text, err))
        return false;
    /* the hash has one place in both versions */
    if (strncmp(text.data, "berth-tree 1\n", 13) != 0 && strncmp(text.data, "berth-tree 2\n", 13) != 0)
        return error_set(err, ERROR_VERSION, "blob %s is no manifest that this Berth knows", sha);
    for (char *line = text.data + 13, *end; (end = memchr(line, '\n', (size_t)(text.data + text.len - line)));
         line = end + 1) {
        /* MODE SIZE SHA, then MTIME from version 2 on, PATH */
        char *p = memchr(line, ' ', (size_t)(end - line));
        p = p ? memchr(p + 1, ' ', (size_t)(end - p - 1)) : NULL;
        if (!p || end - p < BLOB_SHA_TEXT + 2 || p[BLOB_SHA_TEXT + 1] != ' ')
            continue; /* a folder or a link */
        char name[BLOB_SHA_TEXT + 1];
        memcpy(name, p + 1, BLOB_SHA_TEXT);
        name[BLOB_SHA_TEXT] = '\0';
        if (!blob_sha_valid(name))
            continue;
        if (*count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            *shas = xrealloc(*shas, capacity * 32);
        }
        blob_sha_to_bytes(name, (*shas)[(*count)++]);
    }
    if (*count)
        qsort(*shas, *count, 32, compare_shas);
    return true;
}
