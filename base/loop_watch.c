/* Measures the CPU time of callbacks in test builds. Owns nothing. */
#include "base/loop_watch.h"

#ifdef BERTH_FAULT_POINTS
#include "base/log.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define NS_PER_MS 1000000

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int64_t abort_ms; /* 0: never */

static void read_environment(void)
{
    const char *text = getenv("BERTH_LOOP_WATCHDOG_MS");
    abort_ms = text ? strtoll(text, NULL, 10) : 0;
}

int64_t loop_watch_begin(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000 * NS_PER_MS + now.tv_nsec;
}

void loop_watch_end(int64_t begin_ns, const char *what, const char *detail)
{
    int64_t took_ms = (loop_watch_begin() - begin_ns) / NS_PER_MS;
    pthread_once(&once, read_environment);
    bool fatal = abort_ms > 0 && took_ms > abort_ms;
    if (took_ms > LOOP_WATCH_MAX_MS || fatal)
        log_warn("loop watchdog: %s%s%s took %lld ms of CPU time on the loop", what, detail ? " " : "",
                 detail ? detail : "", (long long)took_ms);
    if (fatal)
        abort();
}
#else
typedef int loop_watch_is_not_compiled_in; /* a translation unit must not be empty */
#endif
