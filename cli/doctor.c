/* What the checks share: findings, and asking other programs. */
#include "cli/doctor.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>

#define LINE_TIMEOUT_MS 2000

extern char **environ;

void doctor_add(struct doctor *doctor, enum doctor_level level, const char *subject, const char *mend,
                const char *fmt, ...)
{
    struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    doctor->items = xrealloc(doctor->items, (doctor->count + 1) * sizeof *doctor->items);
    doctor->items[doctor->count++] = (struct doctor_finding){
        .level = level, .subject = xstrdup(subject), .text = buf_take(&text), .mend = xstrdup(mend)};
}

void doctor_finish(struct doctor *doctor)
{
    for (size_t i = 0; i < doctor->count; i++) {
        free(doctor->items[i].subject);
        free(doctor->items[i].text);
        free(doctor->items[i].mend);
    }
    free(doctor->items);
    *doctor = (struct doctor){0};
}

char *doctor_capture(const char *const *argv, size_t max, int timeout_ms)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return NULL;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t pid;
    int failed = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    _cleanup_close_ int fd = ends[0];
    if (failed)
        return NULL;
    _cleanup_buf_ struct buf out = {0};
    int64_t deadline_ms = clock_boot_ms() + timeout_ms;
    bool complete = false;
    while (out.len <= max) {
        int64_t left = deadline_ms - clock_boot_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (left <= 0 || poll(&p, 1, (int)left) < 0)
            break;
        if (!p.revents)
            continue;
        buf_reserve(&out, 4096);
        ssize_t n = read(fd, out.data + out.len, 4096);
        complete = n == 0;
        if (n <= 0)
            break;
        out.len += (size_t)n;
        out.data[out.len] = '\0';
    }
    if (!complete)
        kill(pid, SIGKILL);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!complete || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return NULL;
    return buf_take(&out);
}

char *doctor_first_line(const char *const *argv)
{
    char *text = doctor_capture(argv, 65536, LINE_TIMEOUT_MS);
    if (text)
        text[strcspn(text, "\n")] = '\0';
    return text;
}

char *doctor_which(const char *program)
{
    const char *path = getenv("PATH");
    _cleanup_free_ char *all =
        xasprintf("%s:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin", path ? path : "");
    char *rest = all;
    for (char *folder; (folder = strsep(&rest, ":"));) {
        if (folder[0] != '/')
            continue;
        char *found = xasprintf("%s/%s", folder, program);
        if (access(found, X_OK) == 0)
            return found;
        free(found);
    }
    return NULL;
}

char *doctor_read_line(const char *path)
{
    _cleanup_buf_ struct buf text = {0};
    if (!fs_read_file(AT_FDCWD, path, 65536, &text, NULL))
        return NULL;
    char *line = buf_take(&text);
    line[strcspn(line, "\n")] = '\0';
    return line;
}

char *doctor_user(void)
{
    const struct passwd *entry = getpwuid(geteuid());
    return entry ? xstrdup(entry->pw_name) : xasprintf("%u", (unsigned)geteuid());
}
