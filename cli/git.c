/* Runs git with nothing that waits for people, no pager, no hooks, no external programs for diffs. */
#include "cli/git.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define ARGUMENTS_MAX 24

extern char **environ;

/* The repository's top is above the folder or in it: saves starting git for folders that are none. */
static bool inside_repository(const char *folder)
{
    char path[4096];
    size_t len = strlen(folder);
    if (len + 6 > sizeof path)
        return false;
    memcpy(path, folder, len + 1);
    for (;;) {
        struct stat st;
        const char *name = len && path[len - 1] == '/' ? ".git" : "/.git";
        memcpy(path + len, name, strlen(name) + 1);
        if (lstat(path, &st) == 0)
            return true;
        path[len] = '\0';
        char *slash = strrchr(path, '/');
        if (!slash || len <= 1)
            return false;
        len = slash == path ? 1 : (size_t)(slash - path);
        path[len] = '\0';
    }
}

/* Environment of the calls: the user's own, less what would point git elsewhere. */
static char **git_environment(void)
{
    static const char *const ours[] = {"GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "GIT_PAGER=cat",
                                       "LC_ALL=C"};
    static const char *const dropped[] = {
        "GIT_DIR=", "GIT_WORK_TREE=", "GIT_INDEX_FILE=", "GIT_EXTERNAL_DIFF=", "LC_ALL="};
    size_t count = 0, n = 0;
    while (environ[count])
        count++;
    char **env = xcalloc(count + 5, sizeof *env);
    for (size_t i = 0; i < count; i++) {
        bool keep = true;
        for (size_t j = 0; j < sizeof dropped / sizeof *dropped; j++)
            keep = keep && strncmp(environ[i], dropped[j], strlen(dropped[j])) != 0;
        if (keep)
            env[n++] = environ[i];
    }
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        env[n++] = (char *)ours[i];
    return env;
}

static pid_t spawn_git(const char *folder, const char *const *words, int out_fd)
{
    const char *argv[ARGUMENTS_MAX] = {
        "git",           "-C", folder, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c",
        "diff.external="};
    size_t n = 9;
    while (*words && n < ARGUMENTS_MAX - 1)
        argv[n++] = *words++;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    _cleanup_free_ char **env = git_environment();
    pid_t pid = -1;
    if (posix_spawnp(&pid, "git", &actions, NULL, (char *const *)argv, env) != 0)
        pid = -1;
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

/* Runs one git command; true where it ended well within the deadline and the limit. */
static bool run_git(const char *folder, const char *const *words, int64_t deadline_ms, size_t max_bytes,
                    struct buf *out)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    pid_t pid = spawn_git(folder, words, ends[1]);
    close(ends[1]);
    _cleanup_close_ int fd = ends[0];
    if (pid < 0)
        return false;
    bool complete = false;
    for (;;) {
        int64_t left = deadline_ms - clock_boot_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (left <= 0 || out->len > max_bytes || (poll(&p, 1, (int)left) < 0 && errno != EINTR))
            break;
        if (!p.revents)
            continue;
        buf_reserve(out, 65536);
        ssize_t n = read(fd, out->data + out->len, 65536);
        if (n == 0)
            complete = true;
        if (n <= 0)
            break;
        out->len += (size_t)n;
        out->data[out->len] = '\0';
    }
    if (!complete)
        kill(pid, SIGKILL);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return complete && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static char *first_line(const struct buf *text)
{
    return text->len ? xstrndup(text->data, strcspn(text->data, "\n")) : NULL;
}

void git_strip_credentials(char *url)
{
    char *scheme = strstr(url, "://");
    if (!scheme)
        return;
    char *host = scheme + 3, *slash = host + strcspn(host, "/?#");
    for (char *at = slash; at > host; at--)
        if (at[-1] == '@') {
            memmove(host, at, strlen(at) + 1);
            break;
        }
    url[strcspn(url, "?#")] = '\0';
}

void git_read(const char *folder, struct git_facts *out)
{
    static const char *const commit_words[] = {"rev-parse", "--verify", "HEAD^{commit}", NULL};
    static const char *const remote_words[] = {"config", "--get", "remote.origin.url", NULL};
    static const char *const diff_words[] = {
        "diff", "HEAD", "--binary", "--no-color", "--no-ext-diff", "--no-textconv", "--", ".", NULL};
    *out = (struct git_facts){0};
    if (!inside_repository(folder))
        return;
    int64_t deadline_ms = clock_boot_ms() + GIT_TIMEOUT_MS;
    _cleanup_buf_ struct buf commit = {0}, remote = {0};
    if (!run_git(folder, commit_words, deadline_ms, 4096, &commit))
        return;
    out->commit = first_line(&commit);
    if (run_git(folder, remote_words, deadline_ms, 65536, &remote) && (out->remote = first_line(&remote)))
        git_strip_credentials(out->remote);
    bool whole = run_git(folder, diff_words, deadline_ms, GIT_DIFF_MAX_BYTES, &out->diff);
    out->dirty = out->diff.len > 0;
    if (!whole)
        buf_finish(&out->diff);
}

void git_finish(struct git_facts *facts)
{
    free(facts->commit);
    free(facts->remote);
    buf_finish(&facts->diff);
    *facts = (struct git_facts){0};
}
