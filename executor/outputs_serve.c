/* In the thread pool, in turn with what else looks at a user's files. A child for each: its parent sees
 * whether it gets on, and ends it where its user has stopped it or a file system does not answer. */
#include "executor/outputs_serve.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "executor/as_user.h"
#include "executor/beneath.h"
#include "executor/look.h"
#include "executor/task_private.h"
#include "executor/work.h"
#include "proto/http/client.h"
#include "proto/listing.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define KEPT "outputs"
#define ANSWER_TIMEOUT_MS 60000

enum { FD_ANSWER, FD_WORK, FD_OUT, FD_COUNT }; /* of the child */

struct asked {
    struct task_context *context;
    char *folder, *outputs_path, *principal, *ask, *path;
    int64_t uid_hint;
    uint32_t attempt;
    struct error err;
};

/* What the child says before it ends: an error, or none. */
struct answer {
    enum error_code code;
    char message[1024];
};

/* ---- the child ---- */

static bool list_outputs(const struct outputs_serve_place *place, struct error *err)
{
    int fd = beneath_openat(FD_WORK, KEPT, O_RDONLY | O_DIRECTORY, 0, true);
    if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
        return error_set(err, ERROR_CONFLICT, "the job has put something else in the place of ./outputs");
    if (fd < 0 && errno != ENOENT)
        return error_errno(err, errno, "./outputs of the job can't be read");
    struct listing listing;
    listing_init(&listing);
    if (fd >= 0)
        listing_walk(&listing, fd);
    cJSON *o = cJSON_CreateObject();
    json_add_int(o, "attempt", place->attempt);
    listing_give(&listing, o);
    cJSON_AddFalseToObject(o, "final");
    cJSON_AddTrueToObject(o, "running");
    _cleanup_free_ char *text = json_text(o);
    return fs_write_all(FD_OUT, text, strlen(text)) || error_errno(err, errno, "can't write the listing");
}

/* A file without blocks on the disk may be larger than it: a copy has them. */
static bool fits(int64_t size)
{
    struct statvfs st;
    return fstatvfs(FD_OUT, &st) == 0 &&
           (int64_t)(st.f_bavail * st.f_frsize) - OUTPUTS_SERVE_FREE_MIN >= size;
}

static bool copy_file(const char *path, struct error *err)
{
    _cleanup_free_ char *below = xasprintf(KEPT "/%s", path);
    struct stat st;
    _cleanup_close_ int fd = beneath_openat(FD_WORK, below, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, true);
    if (fd < 0 &&
        (errno == ELOOP || errno == EXDEV || errno == ENOTDIR)) /* the last: a link, without openat2 */
        return error_set(err, ERROR_DENIED, "%.512s leads out of the outputs or through what is no directory",
                         path);
    if (fd < 0 || fstat(fd, &st) != 0)
        return error_errno(err, errno, "%.512s", path);
    if (!S_ISREG(st.st_mode))
        return error_set(err, ERROR_INVALID, "%.512s is not a regular file", path);
    if (ioctl(FD_OUT, FICLONE, fd) == 0)
        return true;
    if (!fits(st.st_size))
        return error_set(err, ERROR_NO_SPACE, "there is no space to copy %.512s of the job that runs", path);
    return fs_copy_fd(fd, FD_OUT, err);
}

static void __attribute__((noreturn))
child(const struct outputs_serve_place *place, const struct user *user, pid_t parent, int *fds)
{
    struct error err = {0};
    struct answer answer = {0};
    if (!as_user_become(user, parent, fds, FD_COUNT))
        _exit(1);
    if (!(place->path ? copy_file(place->path, &err) : list_outputs(place, &err))) {
        answer.code = err.code;
        snprintf(answer.message, sizeof answer.message, "%s", err.message);
    }
    _exit(fs_write_all(FD_ANSWER, &answer, sizeof answer) ? 0 : 1);
}

/* ---- its parent ---- */

/* false where the child has ended without, or where what it writes did not grow for LOOK_LIMIT_S. */
static bool await_answer(int fd, int out, struct answer *answer)
{
    struct stat before = {0}, now = {0};
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = poll(&p, 1, LOOK_LIMIT_S * 1000);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready > 0)
            return read(fd, answer, sizeof *answer) == (ssize_t)sizeof *answer;
        if (fstat(out, &now) != 0 || (now.st_size == before.st_size && now.st_blocks == before.st_blocks))
            return false;
        before = now;
    }
}

static bool bring(const struct outputs_serve_place *place, const struct user *user, int out,
                  struct error *err)
{
    int ends[2];
    struct answer answer = {0};
    _cleanup_close_ int task = open(place->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_close_ int work =
        task < 0 ? -1 : openat(task, "work", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (work < 0 || pipe2(ends, O_CLOEXEC) != 0)
        return error_errno(err, errno, "the task's directory can't be opened");
    int fds[FD_COUNT] = {[FD_ANSWER] = ends[1], [FD_WORK] = work, [FD_OUT] = out};
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        child(place, user, parent, fds);
    close(ends[1]);
    bool answered = await_answer(ends[0], out, &answer);
    close(ends[0]);
    as_user_end(pid);
    if (!answered)
        return error_set(err, ERROR_TIMEOUT, "%s was not read within %d s",
                         place->path ? place->path : "./outputs", LOOK_LIMIT_S);
    answer.message[sizeof answer.message - 1] = '\0';
    return answer.code == ERROR_NONE || error_set(err, answer.code, "%s", answer.message);
}

static char *name_of(const char *outputs_path, const char *ask)
{
    return xasprintf("%s/" OUTPUTS_NOW_PREFIX "%s", outputs_path, ask);
}

bool outputs_serve_bring(const struct outputs_serve_place *place, const struct user *user, struct error *err)
{
    if (!fs_mkdirs(place->outputs_path, 0700, err))
        return false;
    _cleanup_free_ char *name = name_of(place->outputs_path, place->ask);
    _cleanup_close_ int out = open(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0)
        return error_errno(err, errno, "can't write to the directory of outputs");
    if (bring(place, user, out, err))
        return true;
    unlink(name);
    return false;
}

void outputs_serve_clear(const char *outputs_path)
{
    _cleanup_dir_ DIR *dir = opendir(outputs_path);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (strncmp(e->d_name, OUTPUTS_NOW_PREFIX, strlen(OUTPUTS_NOW_PREFIX)) == 0)
            unlinkat(dirfd(dir), e->d_name, 0);
}

/* ---- asks ---- */

static void asked_free(struct asked *asked)
{
    free(asked->folder);
    free(asked->outputs_path);
    free(asked->principal);
    free(asked->ask);
    free(asked->path);
    free(asked);
}

static void on_answered(void *ctx, int status, const struct buf *body, const struct error *err)
{
    struct asked *asked = ctx;
    (void)body;
    (void)err;
    if ((status < 200 || status > 299) && asked->outputs_path) { /* nobody waits for it */
        _cleanup_free_ char *name = name_of(asked->outputs_path, asked->ask);
        unlink(name);
    }
    asked_free(asked);
}

static void answer(struct task_context *context, struct asked *asked)
{
    struct http_client *http = context->http(context->data);
    _cleanup_json_ cJSON *body = cJSON_CreateObject();
    json_add_str(body, "ask", asked->ask);
    if (asked->err.code != ERROR_NONE) {
        cJSON *error = cJSON_AddObjectToObject(body, "error");
        json_add_str(error, "code", error_code_name(asked->err.code));
        json_add_str(error, "message", asked->err.message);
        json_add_str(error, "hint", asked->err.hint[0] ? asked->err.hint : NULL);
    }
    _cleanup_free_ char *text = json_text(body);
    struct http_request request = {.method = "POST",
                                   .path = "/v1/node/outputs",
                                   .body = text,
                                   .body_len = strlen(text),
                                   .timeout_ms = ANSWER_TIMEOUT_MS,
                                   .on_done = on_answered,
                                   .ctx = asked};
    if (http)
        http_call_start(http, &request);
    else
        asked_free(asked);
}

static void run(void *data)
{
    struct asked *asked = data;
    struct user user = {0};
    const struct outputs_serve_place place = {asked->folder, asked->outputs_path, asked->ask, asked->path,
                                              asked->attempt};
    if (user_resolve(asked->principal, asked->uid_hint, &user, &asked->err))
        outputs_serve_bring(&place, &user, &asked->err);
    user_finish(&user);
}

static void ran(void *data)
{
    struct asked *asked = data;
    answer(asked->context, asked);
}

static bool ask_valid(const char *ask)
{
    return *ask && strlen(ask) <= 64 && strspn(ask, "0123456789abcdef") == strlen(ask);
}

void outputs_serve_ask(struct task_context *context, const struct task *task, const char *ask,
                       const char *path)
{
    struct asked *asked = xcalloc(1, sizeof *asked);
    asked->context = context;
    asked->ask = xstrdup(ask);
    if (!ask_valid(ask)) {
        error_field(&asked->err, "ask", "ask is not a name");
    } else if (!task || (task->life != LIFE_RUNNING && task->life != LIFE_PAUSED)) {
        error_set(&asked->err, ERROR_CONFLICT, "the job does not run any more");
        error_hint(&asked->err, "try again: what it left is on its way");
    } else {
        asked->folder = xstrdup(task->folder);
        asked->outputs_path = xstrdup(task->order->outputs_path);
        asked->principal = xstrdup(task->order->principal);
        asked->uid_hint = task->order->uid_hint;
        asked->attempt = task->order->id.attempt;
        asked->path = path ? xstrdup(path) : NULL;
        work_start_in_turn(context->turns, asked->principal, run, ran, asked);
        return;
    }
    answer(context, asked);
}
