/*
 * The fence of a task that may be run again elsewhere: without contact between its executor and the scheduler
 * for fence_after_ms it is ended here, grace period included, before the scheduler starts it on another node.
 * The shim keeps it, so that it holds whatever becomes of the executor. Invariant: s->fence_at_ms only moves
 * while it is ahead. Times are CLOCK_BOOTTIME, and so is the timer: a machine that slept past it looks at
 * once on waking.
 */
#include "executor/shim/shim.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "proto/kv.h"

#include <sys/timerfd.h>
#include <unistd.h>

static void arm(const struct shim *s, int64_t at_ms)
{
    struct itimerspec when = {.it_value = {.tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000 + 1}};
    if (s->fence_fd >= 0)
        timerfd_settime(s->fence_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

bool fence_open(struct shim *s, struct error *err)
{
    _cleanup_buf_ struct buf text = {0};
    if (s->spec.fence_after_ms <= 0)
        return true;
    if (!fs_read_file(SHIM_TASK_FD, "contact", CONTACT_BYTES_MAX, &text, err))
        return false;
    int64_t contact_ms = kv_get_int(text.data, text.len, "contact_ms", 0);
    s->fence_at_ms = contact_ms + s->spec.fence_after_ms;
    s->fence_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (s->fence_fd < 0)
        return error_errno(err, errno, "can't create the timer of the fence");
    arm(s, s->fence_at_ms);
    return true;
}

void fence_contact(struct shim *s, int64_t contact_ms)
{
    int64_t now = clock_boot_ms();
    /* what ran out stays out: the scheduler may have counted on it */
    if (s->spec.fence_after_ms <= 0 || s->fence_over || now >= s->fence_at_ms || contact_ms > now ||
        contact_ms + s->spec.fence_after_ms <= s->fence_at_ms)
        return;
    s->fence_at_ms = contact_ms + s->spec.fence_after_ms;
    arm(s, s->fence_at_ms);
}

void fence_look(struct shim *s)
{
    uint64_t count;
    if (s->fence_fd >= 0 && read(s->fence_fd, &count, sizeof count) < 0) {
        /* not due: the times below tell */
    }
    if (s->fence_over || s->spec.fence_after_ms <= 0 || clock_boot_ms() < s->fence_at_ms)
        return;
    s->fence_over = true;
    int64_t left = s->fence_at_ms + s->spec.grace_ms - clock_boot_ms();
    arm(s, s->fence_at_ms + s->spec.grace_ms); /* of the grace period, too, a sleep is part */
    life_stop(s, left > 0 ? left : 0, "fence");
}
