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

void blob_sha_from_bytes(const uint8_t bytes[32], char sha[BLOB_SHA_TEXT + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < BLOB_SHA_TEXT; i++)
        sha[i] = digits[i % 2 ? bytes[i / 2] & 15 : bytes[i / 2] >> 4];
    sha[BLOB_SHA_TEXT] = '\0';
}

static int compare_shas(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

/* MODE SIZE SHA PATH, from version 2 on MODE SIZE SHA MTIME PATH; the SHA of a directory or a link is "-",
 * and `name` is "" then. Every line that an executor takes as a file's gives its SHA here: what isn't of this
 * form is refused, never skipped. */
static bool parse_line(const char *line, const char *end, bool times, char name[BLOB_SHA_TEXT + 1])
{
    const char *field[4];
    size_t length[4];
    for (int i = 0; i < (times ? 4 : 3); i++) {
        const char *space = memchr(line, ' ', (size_t)(end - line));
        if (!space || space == line)
            return false;
        field[i] = line;
        length[i] = (size_t)(space - line);
        line = space + 1;
    }
    if (line == end || strspn(field[0], "01234567") != length[0] ||
        strspn(field[1], "0123456789") != length[1])
        return false;
    size_t sign = times && *field[3] == '-';
    if (times && (length[3] == sign || strspn(field[3] + sign, "0123456789") != length[3] - sign))
        return false;
    name[0] = '\0';
    if (length[2] == 1 && *field[2] == '-')
        return true;
    if (length[2] != BLOB_SHA_TEXT)
        return false;
    memcpy(name, field[2], BLOB_SHA_TEXT);
    name[BLOB_SHA_TEXT] = '\0';
    return blob_sha_valid(name);
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
    buf_add_char(&text, '\0'); /* the fields are searched as strings */
    text.len--;
    bool times = text.len >= 13 && memcmp(text.data, "berth-tree 2\n", 13) == 0;
    if (!times && (text.len < 13 || memcmp(text.data, "berth-tree 1\n", 13) != 0))
        return error_set(err, ERROR_VERSION, "blob %s is no manifest that this Berth knows", sha);
    const char *line = text.data + 13, *stop = text.data + text.len;
    for (unsigned number = 2; line < stop; number++) {
        const char *end = memchr(line, '\n', (size_t)(stop - line));
        char name[BLOB_SHA_TEXT + 1];
        if (!end || !parse_line(line, end, times, name)) {
            free(take_ptr(*shas));
            *count = 0;
            return error_set(err, ERROR_INVALID,
                             "manifest %s is refused, line %u: it is not MODE SIZE SHA%s PATH", sha, number,
                             times ? " MTIME" : "");
        }
        line = end + 1;
        if (!name[0])
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
