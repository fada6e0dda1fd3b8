/* The state folder: made, checked, locked. */
#include "cli/up.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fs.h"
#include "proto/http/server.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LOCK_TRIES 200
#define VERSION_WORD "berth-state "

/* Folders above STATE are made with the usual mode, STATE itself with 0700. */
static bool make_folder(const char *path, struct error *err)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return true;
    if (errno == ENOENT) {
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *parent = xstrndup(path, (size_t)(slash - path));
        if (!fs_mkdirs(parent, 0755, err))
            return false;
        if (mkdir(path, 0700) == 0)
            return true;
    }
    return error_errno(err, errno, "can't create the state folder %s", path);
}

static bool check_folder(const char *path, struct error *err)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        error_errno(err, errno, "can't use the state folder %s", path);
        return error_hint(err, "another one: --state-dir DIR");
    }
    if (st.st_uid != geteuid()) {
        error_set(err, ERROR_DENIED, "the state folder %s belongs to uid %u, not to you (uid %u)", path,
                  (unsigned)st.st_uid, (unsigned)geteuid());
        return error_hint(err, "another one: --state-dir DIR");
    }
    if ((st.st_mode & 0077) && fchmod(fd, 0700) != 0)
        return error_errno(err, errno,
                           "others may look into the state folder %s, and it can't be closed to them", path);
    return true;
}

static bool check_version(const char *state_dir, struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/version", state_dir);
    _cleanup_buf_ struct buf text = {0};
    struct error read_err = {0};
    if (!fs_read_file(AT_FDCWD, path, 256, &text, &read_err)) {
        if (read_err.code != ERROR_NOT_FOUND) {
            *err = read_err;
            return false;
        }
        char line[32];
        int n = snprintf(line, sizeof line, VERSION_WORD "%d\n", UP_STATE_VERSION);
        FAULT("up.before_version");
        return fs_write_atomic(AT_FDCWD, path, line, (size_t)n, 0600, err);
    }
    char *end = NULL;
    const size_t word = sizeof VERSION_WORD - 1;
    long version = text.len > word && memcmp(text.data, VERSION_WORD, word) == 0
                       ? strtol(text.data + word, &end, 10)
                       : 0;
    if (version < 1 || !end || *end != '\n') {
        error_set(err, ERROR_INVALID,
                  "%s does not say \"" VERSION_WORD "N\": this is not a state folder of Berth", path);
        return error_hint(err, "another one: --state-dir DIR");
    }
    if (version > UP_STATE_VERSION) {
        error_set(
            err, ERROR_VERSION,
            "the state folder %s was written by a newer Berth (version %ld of its format; this one knows %d)",
            state_dir, version, UP_STATE_VERSION);
        return error_hint(err, "start it with the newer program, or use another folder: --state-dir DIR");
    }
    return true;
}

/* Where its directory is missing, that of the default socket will be made. */
static bool check_socket(const char *path, struct error *err)
{
    struct error refused = {0};
    if (http_socket_replaceable(AT_FDCWD, path, path, &refused) || refused.code != ERROR_EXISTS)
        return true;
    *err = refused;
    return false;
}

bool up_prepare_state(const struct up_options *options, struct error *err)
{
    const char *path = options->state_dir;
    struct sockaddr_un address;
    const size_t most = sizeof address.sun_path - sizeof UP_NODE_SOCKET;
    if (strlen(path) > most) {
        error_set(err, ERROR_LIMIT,
                  "the state folder's path has %zu bytes; at most %zu leave room for its sockets: %s",
                  strlen(path), most, path);
        return error_hint(err, "a shorter one: --state-dir DIR");
    }
    /* before anything is made: the scheduler would only say it in its log */
    if (!check_socket(options->socket, err) || !make_folder(path, err) || !check_folder(path, err))
        return false;
    char name[32];
    if (!options->allow_network_state && fs_is_network(path, name)) {
        error_set(
            err, ERROR_UNSUPPORTED,
            "the state folder %s lies on a network filesystem (%s), where locks and the journal are not safe",
            path, name);
        return error_hint(err, "a folder on a local disk: --state-dir DIR; or, at your own risk, berth up "
                               "--allow-network-state");
    }
    return check_version(path, err);
}

static int read_holder(int fd)
{
    char text[32] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    return n > 0 ? (int)strtol(text, NULL, 10) : 0;
}

bool up_sign_lock(int fd, struct error *err)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
        return error_errno(err, errno, "can't write the lock of the state folder");
    return true;
}

/* Who only looks whether the lock is held (up_lock_holder) shares it for a moment: that is waited out. */
static bool lock_alone(int fd)
{
    for (int tries = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; tries++) {
        int e = errno;
        if (e != EWOULDBLOCK || tries == LOCK_TRIES || flock(fd, LOCK_SH | LOCK_NB) != 0) {
            errno = e;
            return false;
        }
        flock(fd, LOCK_UN);
        poll(NULL, 0, 1 + (int)(getpid() + tries) % 5);
    }
    return true;
}

int up_lock_state(const char *state_dir, int *holder, struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/lock", state_dir);
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        error_errno(err, errno, "can't open %s", path);
        return -1;
    }
    if (!lock_alone(fd)) {
        int pid = errno == EWOULDBLOCK ? read_holder(fd) : 0;
        if (holder)
            *holder = pid;
        if (errno != EWOULDBLOCK) {
            error_errno(err, errno, "can't lock %s", path);
            return -1;
        }
        error_set(err, ERROR_CONFLICT, "a Berth runs already on the state folder %s (pid %d)", state_dir,
                  pid);
        error_hint(err, "berth ps; or another folder: --state-dir DIR; berth down ends the one that runs");
        return -1;
    }
    if (!up_sign_lock(fd, err))
        return -1;
    return take_fd(&fd);
}

int up_lock_holder(const char *state_dir)
{
    _cleanup_free_ char *path = xasprintf("%s/lock", state_dir);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0)
        return 0;
    int pid = read_holder(fd);
    return pid ? pid : -1;
}
