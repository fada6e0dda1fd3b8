/*
 * The watchdog of a loop's thread: no callback takes more than LOOP_WATCH_MAX_MS of CPU time. Only test
 * builds (BERTH_FAULT_POINTS) measure. A callback past the bound is logged; with BERTH_LOOP_WATCHDOG_MS=N in
 * the environment one past N milliseconds aborts the process, so that slow builds (sanitizers, valgrind)
 * fail only where a test asks for it.
 */
#ifndef BERTH_BASE_LOOP_WATCH_H
#define BERTH_BASE_LOOP_WATCH_H

#include <stdint.h>

#define LOOP_WATCH_MAX_MS 50 /* CPU time of the thread, not elapsed time */

#ifdef BERTH_FAULT_POINTS
/* CPU time of the calling thread in nanoseconds. */
int64_t loop_watch_begin(void);
/* `what` and `detail` (or NULL) name the callback: "POST", "/v1/jobs". */
void loop_watch_end(int64_t begin_ns, const char *what, const char *detail);
#else
static inline int64_t loop_watch_begin(void)
{
    return 0;
}
static inline void loop_watch_end(int64_t begin_ns, const char *what, const char *detail)
{
    (void)begin_ns;
    (void)what;
    (void)detail;
}
#endif

#endif
