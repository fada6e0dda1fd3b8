#include "executor/identity.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#define EPOCH_FILE "epoch"
#define INSTANCE_FILE "instance"
#define FILE_BYTES_MAX 256

static bool read_file(const struct identity *id, const char *name, struct buf *out, struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", id->state_dir, name);
    return fs_read_file(AT_FDCWD, path, FILE_BYTES_MAX, out, err);
}

static bool write_file(const struct identity *id, const char *name, const char *text, struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", id->state_dir, name);
    return fs_write_atomic(AT_FDCWD, path, text, strlen(text), 0600, err);
}

static bool load_instance(struct identity *id, struct error *err)
{
    _cleanup_buf_ struct buf text = {0};
    struct error missing = {0};
    if (read_file(id, INSTANCE_FILE, &text, &missing) && text.len == 32 &&
        strspn(text.data, "0123456789abcdef") == 32) {
        memcpy(id->instance, text.data, 33);
        return true;
    }
    if (missing.code != ERROR_NONE && missing.code != ERROR_NOT_FOUND) {
        *err = missing;
        return false;
    }
    unsigned char bytes[16];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return error_errno(err, errno, "no random bytes for the instance id");
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(id->instance + 2 * i, 3, "%02x", bytes[i]);
    return write_file(id, INSTANCE_FILE, id->instance, err);
}

static bool load_epoch(struct identity *id, struct error *err)
{
    _cleanup_buf_ struct buf text = {0};
    struct error missing = {0};
    if (read_file(id, EPOCH_FILE, &text, &missing))
        id->epoch = strtoull(text.data ? text.data : "0", NULL, 10);
    else if (missing.code != ERROR_NOT_FOUND) {
        *err = missing;
        return false;
    }
    return true;
}

bool identity_load(struct identity *id, const char *state_dir, struct error *err)
{
    id->state_dir = state_dir;
    return load_instance(id, err) && load_epoch(id, err);
}

bool identity_see_epoch(struct identity *id, uint64_t epoch, struct error *err)
{
    if (epoch < id->epoch) {
        error_set(err, ERROR_CONFLICT,
                  "the scheduler is of epoch %" PRIu64 ", this node has seen %" PRIu64
                  ": its orders are refused",
                  epoch, id->epoch);
        return error_hint(err, "is an older copy of its state folder running?");
    }
    if (epoch == id->epoch)
        return true;
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, epoch);
    if (!write_file(id, EPOCH_FILE, text, err))
        return false;
    id->epoch = epoch;
    return true;
}
