/* The loop's watchdog: a callback past the bound ends a process that asked for it, and no other. */
#include "base/log.h"
#include "base/loop_watch.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define NS_PER_MS INT64_C(1000000)

static void use_cpu_ms(int64_t ms)
{
    struct timespec begin, now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
    do
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    while ((int64_t)(now.tv_sec - begin.tv_sec) * 1000 * NS_PER_MS + now.tv_nsec - begin.tv_nsec <=
           ms * NS_PER_MS);
}

/* The wait status of a process whose callback uses `ms` of CPU time under the bound `limit_ms` (or NULL). */
static int status_after(int64_t ms, const char *limit_ms)
{
    pid_t child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGABRT, SIG_DFL);
        log_set_level(LOG_LEVEL_ERROR);
        if (limit_ms)
            setenv("BERTH_LOOP_WATCHDOG_MS", limit_ms, 1);
        else
            unsetenv("BERTH_LOOP_WATCHDOG_MS");
        int64_t begin = loop_watch_begin();
        use_cpu_ms(ms);
        loop_watch_end(begin, "a test", NULL);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void a_callback_past_the_bound_aborts_where_that_was_asked_for(void **state)
{
    (void)state;
#ifdef BERTH_FAULT_POINTS
    int status = status_after(LOOP_WATCH_MAX_MS + 2, "50");
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_int_equal(status_after(LOOP_WATCH_MAX_MS + 2, NULL), 0);
#endif
    assert_int_equal(status_after(0, "60000"), 0);
    assert_int_equal(status_after(2, "60000"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_callback_past_the_bound_aborts_where_that_was_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
