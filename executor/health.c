#include "executor/health.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "executor/bundle.h"
#include "executor/probe.h"
#include "executor/reclaim.h"
#include "executor/user_mounts.h"
#include "executor/work.h"
#include "proto/kv.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/statvfs.h>

/* The last run of the probe with one runtime. */
struct run {
    int64_t began_ms; /* boot clock; 0: it never ran */
    uint64_t number;
    enum failure met;
    struct error err;
};

struct health {
    uv_loop_t *loop;
    const struct executor_config *config;
    struct health_callbacks callbacks;
    void *data;
    pthread_mutex_t lock; /* held by the one probe that runs; guards runs and last_run */
    struct run runs[RUNTIME_COUNT];
    uint64_t last_run;
    atomic_bool offers_changed; /* and nobody has been told */
    uint64_t counted_run;       /* the last that is in the row */
    int in_row;
    bool faulty, probing, looking;
    int64_t wait_ms, healed_ms, retried_ms;
    uv_timer_t timer, look_timer, again_timer;
    struct list waiting; /* struct health_question */
    struct error err;    /* of the probe by the timer */
    enum failure met;
};

/* ---- on a worker ---- */

/* One that began after the failure answers all who wait for it; one that began before says nothing about a
 * node that broke since. */
static enum failure run_with(struct health *h, enum runtime which, int64_t asked_ms, struct error *err,
                             uint64_t *number)
{
    struct run *run = &h->runs[which];
    struct runtimes *runtimes = h->config->isolation.runtimes;
    if (which != RUNTIME_PROCESS && !runtimes_path(runtimes, which)) {
        char why[RUNTIMES_WHY_MAX];
        runtimes_why(runtimes, which, why);
        error_set(err, ERROR_UNAVAILABLE, "%s: %s", runtime_name(which), why);
        return FAILURE_RUNTIME;
    }
    /* a runtime that failed and is offered again has been looked at since */
    if (run->began_ms <= asked_ms || run->met == FAILURE_RUNTIME) {
        int64_t began_ms = clock_boot_ms();
        run->met = probe_run(h->config, which, NULL, &run->err);
        run->began_ms = began_ms;
        run->number = ++h->last_run;
        if (run->met == FAILURE_RUNTIME && runtimes_break(runtimes, which, run->err.message))
            atomic_store(&h->offers_changed, true);
    }
    *number = run->number;
    *err = run->err;
    return run->met;
}

/* With the best runtime that works. */
static enum failure run_any(struct health *h, int64_t asked_ms, struct error *err, uint64_t *number)
{
    for (;;) {
        enum runtime which = runtimes_first(h->config->isolation.runtimes);
        enum failure met = run_with(h, which, asked_ms, err, number);
        if (met != FAILURE_RUNTIME)
            return met;
    }
}

/* The runtime that the task was to be started with; RUNTIME_COUNT: that was not decided. */
static enum runtime runtime_of(const char *folder)
{
    struct error ignored;
    _cleanup_buf_ struct buf spec = {0};
    _cleanup_free_ char *path = folder ? xasprintf("%s/spec", folder) : NULL;
    if (!path || !fs_read_file(AT_FDCWD, path, BUNDLE_SPEC_BYTES_MAX, &spec, &ignored))
        return RUNTIME_COUNT;
    const char *name = kv_get(spec.data, spec.len, "runtime");
    return name ? runtime_of_name(name) : RUNTIME_COUNT;
}

/* The job's files don't fit on the disk that it alone has filled. */
static bool is_too_large(const struct health *h, const struct health_question *q)
{
    struct statvfs disk;
    if (q->needs_bytes <= 0 || statvfs(h->config->state_dir, &disk) != 0)
        return false;
    return q->needs_bytes + HEALTH_SPARE_BYTES > (int64_t)(disk.f_bavail * disk.f_frsize) ||
           (disk.f_files && q->needs_files >= (int64_t)disk.f_favail);
}

static void ask_run(void *data)
{
    struct health_question *q = data;
    struct health *h = q->health;
    struct error err;
    enum runtime which = runtime_of(q->folder);
    if (q->took && !reclaim_remove_tree(AT_FDCWD, q->took, &err))
        log_warn("%s can't be removed: %s", q->took, err.message);
    q->seen.call = q->full ? FAILURE_FULL : failure_of_errno(q->sys_errno);
    if (q->seen.call == FAILURE_NONE)
        q->seen.call = q->place;
    q->seen.own =
        (q->users_path && user_mounts_any()) || (q->full && (q->sys_errno == EDQUOT || is_too_large(h, q)));
    if (q->no_runtime) {
        q->seen.probe = FAILURE_RUNTIME;
        return;
    }
    pthread_mutex_lock(&h->lock);
    q->seen.probe = which == RUNTIME_COUNT ? run_any(h, q->asked_ms, &q->err, &q->run)
                                           : run_with(h, which, q->asked_ms, &q->err, &q->run);
    pthread_mutex_unlock(&h->lock);
}

static void timer_probe(void *data)
{
    struct health *h = data;
    uint64_t number;
    pthread_mutex_lock(&h->lock);
    h->met = run_any(h, clock_boot_ms(), &h->err, &number);
    pthread_mutex_unlock(&h->lock);
}

/* A broken one is tried by a task now and then; what is installed is looked at each time. */
static void look(void *data)
{
    struct health *h = data;
    struct runtimes *runtimes = h->config->isolation.runtimes;
    bool changed = runtimes_look(runtimes), retry = clock_boot_ms() - h->retried_ms >= HEALTH_RETRY_MS;
    const char *path;
    struct error err;
    for (enum runtime i = RUNTIME_CRUN; retry && i < RUNTIME_COUNT; i++) {
        if (!runtimes_to_retry(runtimes, i, &path))
            continue;
        pthread_mutex_lock(&h->lock);
        if (probe_run(h->config, i, path, &err) == FAILURE_NONE)
            changed = runtimes_works(runtimes, i) || changed;
        pthread_mutex_unlock(&h->lock);
    }
    if (retry)
        h->retried_ms = clock_boot_ms();
    if (changed)
        atomic_store(&h->offers_changed, true);
}

/* ---- on the loop ---- */

static void tell_offers(struct health *h)
{
    if (atomic_exchange(&h->offers_changed, false))
        h->callbacks.offers(h->data);
}

static void schedule(struct health *h);

static void timer_probed(void *data)
{
    struct health *h = data;
    h->probing = false;
    tell_offers(h);
    if (!h->faulty)
        return;
    if (h->met != FAILURE_NONE || !h->callbacks.healed(h->data)) {
        log_debug("this node still can't start tasks: %s", h->err.message);
        schedule(h);
        return;
    }
    log_info("this node can start tasks again");
    h->faulty = false;
    h->in_row = 0;
    h->healed_ms = clock_boot_ms();
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

static void looked(void *data)
{
    struct health *h = data;
    h->looking = false;
    tell_offers(h);
}

static void on_look_timer(uv_timer_t *timer)
{
    struct health *h = timer->data;
    if (h->looking)
        return;
    h->looking = true;
    work_start(h->loop, look, looked, h);
}

void health_recall(struct health *h)
{
    if (!h->faulty && (!h->healed_ms || clock_boot_ms() - h->healed_ms > HEALTH_STEADY_MS))
        h->wait_ms = HEALTH_PROBE_FIRST_MS;
    h->faulty = true;
    schedule(h);
}

void health_fault(struct health *h, const char *text)
{
    log_error("this node can't start tasks: %s", text);
    health_recall(h);
    h->callbacks.fault(h->data, text);
}

void health_started(struct health *h)
{
    h->in_row = 0;
}

static void drain(struct health *h, const struct health_question *q)
{
    const struct failure_row *probe = failure_row(q->seen.probe), *call = failure_row(q->seen.call);
    char text[ERROR_MESSAGE_MAX + 64];
    if (probe->effect == FAILURE_DRAINS_AT_ONCE)
        snprintf(text, sizeof text, "%s", q->err.message);
    else
        snprintf(text, sizeof text, "%d failures in a row: %s", h->in_row,
                 q->seen.probe != FAILURE_NONE ? q->err.message
                 : q->sys_errno                ? strerror(q->sys_errno)
                                               : call->words);
    health_fault(h, text);
}

static void ask_done(void *data);

static void on_again_timer(uv_timer_t *timer)
{
    struct health *h = timer->data;
    struct health_question *q, *next;
    struct list waiting;
    list_init(&waiting);
    list_for_each(q, next, &h->waiting, link)
    {
        list_remove(&q->link);
        list_append(&waiting, &q->link);
    }
    list_for_each(q, next, &waiting, link)
    {
        list_remove(&q->link);
        if (q->answered) {
            q->judged(q);
            continue;
        }
        q->asked_ms = clock_boot_ms();
        work_start(h->loop, ask_run, ask_done, q);
    }
}

static void wait_to_ask(struct health *h, struct health_question *q)
{
    list_append(&h->waiting, &q->link);
    if (!uv_is_active((uv_handle_t *)&h->again_timer))
        uv_timer_start(&h->again_timer, on_again_timer, HEALTH_AGAIN_MS, 0);
}

static void ask_done(void *data)
{
    struct health_question *q = data;
    struct health *h = q->health;
    bool failed = q->seen.probe != FAILURE_NONE;
    q->seen.counted = failed && q->run <= h->counted_run;
    if (failed && q->run > h->counted_run)
        h->counted_run = q->run;
    struct failure_answer answer = failure_judge(&q->seen, &h->in_row);
    q->node = answer.node || q->met_before;
    tell_offers(h);
    if (answer.drains)
        drain(h, q);
    q->met_before = q->met_before || (answer.again && !q->seen.own);
    /* where it only may heal it is looked at again, and nobody comes back at once to what has just failed */
    q->answered = !answer.again || h->faulty;
    if (answer.again ? !h->faulty : q->node && !failed && !h->faulty)
        wait_to_ask(h, q);
    else
        q->judged(q);
}

void health_ask(struct health *h, struct health_question *q)
{
    q->health = h;
    q->asked_ms = clock_boot_ms();
    work_start(h->loop, ask_run, ask_done, q);
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
    uv_timer_init(loop, &h->look_timer);
    uv_timer_init(loop, &h->again_timer);
    list_init(&h->waiting);
    h->timer.data = h->look_timer.data = h->again_timer.data = h;
    uv_timer_start(&h->look_timer, on_look_timer, HEALTH_LOOK_MS, HEALTH_LOOK_MS);
    return h;
}
