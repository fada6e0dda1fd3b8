/*
 * Runs a command N times, at most P at once, by posix_spawn, and prints the microseconds that each took (a
 * line each) and `total MICROSECONDS`. It is both the floor that everything else is compared with and the
 * stopwatch for all of them. `{}` in an argument becomes the run's number.
 *
 *   spawn [-n N] [-P P] [-o FILE] -- COMMAND...      -o: standard output of the commands (default /dev/null)
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGUMENTS_MAX 256
#define PARALLEL_MAX 256

extern char **environ;

static long long now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000ll + t.tv_nsec / 1000;
}

static char *numbered(const char *argument, long number)
{
    const char *hole = strstr(argument, "{}");
    char *out;
    if (!hole)
        return strdup(argument);
    if (asprintf(&out, "%.*s%ld%s", (int)(hole - argument), argument, number, hole + 2) < 0)
        exit(1);
    return out;
}

static pid_t start(char **command, long number, posix_spawn_file_actions_t *actions)
{
    char *argv[ARGUMENTS_MAX + 1];
    size_t n = 0;
    pid_t pid;
    for (; command[n] && n < ARGUMENTS_MAX; n++)
        argv[n] = numbered(command[n], number);
    argv[n] = NULL;
    int failed = posix_spawnp(&pid, argv[0], actions, NULL, argv, environ);
    if (failed) {
        fprintf(stderr, "spawn: %s: %s\n", argv[0], strerror(failed));
        exit(1);
    }
    while (n)
        free(argv[--n]);
    return pid;
}

int main(int argc, char **argv)
{
    long runs = 1, parallel = 1, started = 0, live = 0, failures = 0;
    const char *out = "/dev/null";
    for (int opt; (opt = getopt(argc, argv, "+n:P:o:")) != -1;) {
        if (opt == 'n')
            runs = atol(optarg);
        else if (opt == 'P')
            parallel = atol(optarg);
        else if (opt == 'o')
            out = optarg;
        else
            return 2;
    }
    if (optind == argc || runs < 1 || parallel < 1 || parallel > PARALLEL_MAX)
        return 2;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, out, O_WRONLY | O_CREAT | O_APPEND, 0644);
    struct {
        pid_t pid;
        long long since;
    } slots[PARALLEL_MAX] = {{0, 0}};
    long long begin = now_us();
    while (started < runs || live > 0) {
        for (long i = 0; i < parallel && started < runs; i++) {
            if (slots[i].pid)
                continue;
            slots[i].since = now_us();
            slots[i].pid = start(argv + optind, started++, &actions);
            live++;
        }
        int status;
        pid_t ended = wait(&status);
        long long end = now_us();
        for (long i = 0; i < parallel; i++) {
            if (slots[i].pid != ended || ended <= 0)
                continue;
            printf("%lld\n", end - slots[i].since);
            slots[i].pid = 0;
            live--;
            failures += status != 0;
        }
    }
    printf("total %lld\n", now_us() - begin);
    if (failures)
        fprintf(stderr, "spawn: %ld of %ld runs failed\n", failures, runs);
    return failures ? 1 : 0;
}
