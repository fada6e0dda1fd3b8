#include "executor/health.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "executor/probe.h"
#include "executor/reclaim.h"
#include "executor/work.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>

struct health {
    uv_loop_t *loop;
    const struct executor_config *config;
    struct health_callbacks callbacks;
    void *data;
    pthread_mutex_t lock; /* held by the one probe that runs; guards began_ms */
    int64_t began_ms;     /* boot clock: when the last probe began; 0: it did not pass, or never ran */
    int in_row;
    bool faulty, probing;
    int64_t wait_ms, healed_ms;
    uv_timer_t timer;
    struct error err; /* of the probe by the timer */
    bool passes;
};

static bool is_the_nodes(int sys_errno)
{
    static const int list[] = {EIO, EROFS, ESTALE, ENODEV, ENXIO, EMFILE, ENFILE, EAGAIN, ENOMEM};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (list[i] == sys_errno)
            return true;
    return false;
}

bool health_may_be_the_nodes(const char *kind)
{
    return strcmp(kind, "start_error") == 0 || strcmp(kind, "disk_full") == 0;
}

/* On a worker. One that began after the failure answers all who wait for it; one that began before says
 * nothing about a node that broke since. */
static bool probe(struct health *h, int64_t asked_ms, struct error *err)
{
    memset(err, 0, sizeof *err);
    pthread_mutex_lock(&h->lock);
    bool passes = h->began_ms > asked_ms;
    if (!passes) {
        int64_t began_ms = clock_boot_ms();
        passes = probe_run(h->config, err);
        h->began_ms = passes ? began_ms : 0;
    }
    pthread_mutex_unlock(&h->lock);
    return passes;
}

static void schedule(struct health *h);

static void timer_probed(void *data)
{
    struct health *h = data;
    h->probing = false;
    if (!h->faulty)
        return;
    if (!h->passes) {
        log_debug("this node still can't start tasks: %s", h->err.message);
        schedule(h);
        return;
    }
    log_info("this node can start tasks again");
    h->faulty = false;
    h->in_row = 0;
    h->healed_ms = clock_boot_ms();
    h->callbacks.healed(h->data);
}

static void timer_probe(void *data)
{
    struct health *h = data;
    h->passes = probe(h, clock_boot_ms(), &h->err);
}

static void on_timer(uv_timer_t *timer)
{
    struct health *h = timer->data;
    h->probing = true;
    work_start(h->loop, timer_probe, timer_probed, h);
}

static void schedule(struct health *h)
{
    if (h->probing || uv_is_active((uv_handle_t *)&h->timer))
        return;
    uv_timer_start(&h->timer, on_timer, (uint64_t)h->wait_ms, 0);
    h->wait_ms = h->wait_ms * 2 > HEALTH_PROBE_MAX_MS ? HEALTH_PROBE_MAX_MS : h->wait_ms * 2;
}

static void become_faulty(struct health *h)
{
    if (!h->faulty && (!h->healed_ms || clock_boot_ms() - h->healed_ms > HEALTH_STEADY_MS))
        h->wait_ms = HEALTH_PROBE_FIRST_MS;
    h->faulty = true;
    schedule(h);
}

struct health *health_create(uv_loop_t *loop, const struct executor_config *config,
                             const struct health_callbacks *callbacks, void *data)
{
    struct health *h = xcalloc(1, sizeof *h);
    h->loop = loop;
    h->config = config;
    h->callbacks = *callbacks;
    h->data = data;
    h->wait_ms = HEALTH_PROBE_FIRST_MS;
    pthread_mutex_init(&h->lock, NULL);
    uv_timer_init(loop, &h->timer);
    h->timer.data = h;
    return h;
}

void health_recall(struct health *h)
{
    become_faulty(h);
}

void health_started(struct health *h)
{
    h->in_row = 0;
}

static void ask_run(void *data)
{
    struct health_question *q = data;
    struct error err;
    if (q->took && !reclaim_remove_tree(AT_FDCWD, q->took, &err))
        log_warn("%s can't be removed: %s", q->took, err.message);
    q->node = !probe(q->health, q->asked_ms, &q->err);
}

static void ask_done(void *data)
{
    struct health_question *q = data;
    struct health *h = q->health;
    bool broken = q->node;
    q->node = broken || is_the_nodes(q->sys_errno);
    if (q->node && (broken || ++h->in_row >= HEALTH_ROW)) {
        char text[ERROR_MESSAGE_MAX + 64];
        if (broken)
            snprintf(text, sizeof text, "%s", q->err.message);
        else
            snprintf(text, sizeof text, "%d tasks in a row could not be started: %s", h->in_row,
                     strerror(q->sys_errno));
        log_error("this node can't start tasks: %s", text);
        become_faulty(h);
        h->callbacks.fault(h->data, text);
    }
    q->judged(q);
}

void health_ask(struct health *h, struct health_question *q)
{
    q->health = h;
    q->asked_ms = clock_boot_ms();
    work_start(h->loop, ask_run, ask_done, q);
}
