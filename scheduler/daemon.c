/* Start-up, the loop, and the end. The order of start: folders, journal, recovery, lead, nodes, and the
 * people's socket last: who it answers finds everything there. */
#include "scheduler/daemon.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/loop_watch.h"
#include "scheduler/blobs.h"
#include "scheduler/engine.h"
#include "scheduler/fences.h"
#include "scheduler/sweep.h"
#include "scheduler/sweep_blobs.h"
#include "scheduler/unrecorded.h"
#include "scheduler/batch.h"
#include "scheduler/waits.h"
#include "scheduler/outputs_now.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROW_FIRST_BYTES (64 << 10)

/* ---- the loop's handles ---- */

void daemon_stop(struct daemon *d)
{
    if (d->stopping)
        return;
    d->stopping = true;
    uv_stop(&d->loop);
}

static void finish_work(uv_work_t *work, int status)
{
    uv_after_work_cb done;
    memcpy(&done, &work->data, sizeof done);
    struct daemon *d = container_of(work->loop, struct daemon, loop);
    int64_t begin = loop_watch_begin();
    pool_end(&d->pool, work);
    done(work, status);
    loop_watch_end(begin, "the end of work of the thread pool", NULL);
}

void daemon_work(struct daemon *d, uv_work_t *work, uv_work_cb run, uv_after_work_cb done)
{
    d->pool_work++;
    memcpy(&work->data, &done, sizeof done);
    uv_queue_work(&d->loop, work, run, finish_work);
}

void daemon_work_for(struct daemon *d, uint32_t principal, uv_work_t *work, uv_work_cb run,
                     uv_after_work_cb done)
{
    d->pool_work++;
    memcpy(&work->data, &done, sizeof done);
    pool_begin(&d->pool, principal, work, run, finish_work);
}

void daemon_work_done(struct daemon *d)
{
    d->pool_work--;
}

static void on_prepare(uv_prepare_t *prepare)
{
    int64_t begin = loop_watch_begin();
    engine_turn(prepare->data);
    loop_watch_end(begin, "a turn of the engine", NULL);
}

static void on_signal(uv_signal_t *handle, int number)
{
    log_info("%s: leaving", strsignal(number));
    daemon_stop(handle->data);
}

static void on_parent(uv_poll_t *poll, int status, int events)
{
    struct daemon *d = poll->data;
    char byte[16];
    (void)events;
    if (status == 0 && read(d->options.parent_fd, byte, sizeof byte) != 0 && errno != EBADF)
        return; /* only the end of the pipe counts */
    log_info("berth up has ended: leaving");
    daemon_stop(d);
}

static void on_beat(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    int64_t now = clock_boot_ms(), begin = loop_watch_begin();
    for (uint32_t i = 0; i < d->nodes.count; i++)
        node_beat(d->nodes.items[i]);
    outputs_now_fail(d, NULL);
    loop_watch_end(begin, "the beat of the nodes", NULL);
    if (now >= d->next_sweep_ms) {
        d->next_sweep_ms = now + SWEEP_EVERY_MS;
        sweep_start(d);
        sweep_blobs_start(d, OWNERS_KEEP_MS, SWEEP_BLOBS_FILE_AGE_MS);
    }
    survey_beat(d, now);
    if (d->jobs.live_count)
        d->last_use_ms = now;
    if (d->leaving && !d->jobs.live_count)
        daemon_stop(d);
    if (d->leave_at_ms && now >= d->leave_at_ms && !journal_healthy(d->journal, NULL))
        daemon_stop(d);
    if (d->options.idle_exit_s && now - d->last_use_ms >= d->options.idle_exit_s * 1000) {
        log_info("nothing happened for %lld s: leaving", (long long)d->options.idle_exit_s);
        daemon_stop(d);
    }
}

static void on_use(void *context)
{
    struct daemon *d = context;
    d->last_use_ms = clock_boot_ms();
}

static void on_health(void *data, bool healthy)
{
    struct daemon *d = data;
    struct error why = {0};
    if (healthy && !d->stopping) {
        unrecorded_settle(d);
    } else if (!journal_healthy(d->journal, &why)) {
        waits_journal_failed(d, &why);
        if (d->leaving) {
            unrecorded_cancel_all(d);
            d->leave_at_ms = clock_boot_ms() + UNRECORDED_LEAVE_MS;
        }
    }
}

static void before_flush(void *data)
{
    struct daemon *d = data;
    jobs_write_dirty(&d->jobs, d->journal);
    nodes_write_dirty(&d->nodes, d->journal);
}

/* ---- start ---- */

static void load_principal(void *data, uint32_t id, const char *name)
{
    struct daemon *d = data;
    principals_load(&d->principals, id, name);
}

static void load_name(void *data, uint32_t kind, uint32_t id, const char *text)
{
    struct daemon *d = data;
    names_load(&d->names, kind, id, text);
}

static void load_record(void *data, uint32_t kind, const char *key, const char *doc)
{
    struct daemon *d = data;
    if (kind == JOURNAL_SIZE)
        sizes_load(&d->sizes, key, doc);
    else if (kind == JOURNAL_QUOTA_REQUEST)
        requests_load(&d->requests, key, doc);
    else if (kind == JOURNAL_WORKSPACE)
        workspaces_load(d, key, doc);
    else if (kind == JOURNAL_SHARE)
        shares_load(&d->shares, key, doc);
    else if (kind == JOURNAL_SETTING) {
        loss_rule_load(&d->loss_rule, key, doc);
        cap_setters_load(&d->cap_setters, key, doc);
        weights_load(&d->weights, key, doc);
    }
}

static void load_node(void *data, const struct journal_node *row)
{
    struct daemon *d = data;
    nodes_load(&d->nodes, d, row);
}

static void load_job(void *data, const struct journal_job *row)
{
    struct daemon *d = data;
    struct error err = {0};
    struct job *job = job_doc_read(row, &err);
    if (job)
        jobs_add(&d->jobs, job);
    else
        log_error("job %llu (%s) in the journal: %s", (unsigned long long)row->id, row->name, err.message);
}

static bool make_folders(struct daemon *d, struct error *err)
{
    _cleanup_free_ char *nodes = xasprintf("%s/nodes", d->options.state_dir);
    return fs_mkdirs(d->options.state_dir, 0700, err) && fs_mkdirs(d->options.log_dir, 0700, err) &&
           fs_mkdirs(d->options.outputs_dir, 0700, err) && fs_mkdirs(nodes, 0700, err) &&
           blobs_prepare(d->options.state_dir, err);
}

static bool recover(struct daemon *d, struct error *err)
{
    _cleanup_free_ char *folder = xasprintf("%s/journal", d->options.state_dir);
    struct journal_options options = {.folder = folder,
                                      .allow_network = d->options.allow_network_state,
                                      .segment_rows = d->options.checkpoint_rows};
    struct journal_loader loader = {d, load_principal, load_node, load_job, load_name, load_record};
    d->journal = journal_open(&options, err);
    if (!d->journal)
        return false;
    d->core = journal_recover(d->journal, &d->jobs.next_id, err);
    if (!d->core || !journal_lead(d->journal, &d->epoch, err) || !journal_load(d->journal, &loader, err))
        return false;
    d->reader = journal_reader_open(folder, err);
    return d->reader && owners_load(d, err) &&
           journal_start(d->journal, &d->loop, d->core, before_flush, on_health, d, err);
}

static bool open_nodes(struct daemon *d, struct error *err)
{
    if (!nodes_find(&d->nodes, "local"))
        node_touch(nodes_add(&d->nodes, d, d->nodes.next_id ? d->nodes.next_id : 1, "local"));
    for (uint32_t i = 0; i < d->nodes.count; i++)
        if (!node_listen(d->nodes.items[i], err))
            return false;
    return true;
}

static enum http_user_state identify(void *context, uid_t uid, char name[HTTP_USER_NAME_MAX],
                                     struct error *err)
{
    struct daemon *d = context;
    return logins_find(d->logins, uid, name, err);
}

static void on_login(void *data, uid_t uid)
{
    struct daemon *d = data;
    if (d->people)
        http_server_identified(d->people, uid);
}

static bool open_people(struct daemon *d, struct error *err)
{
    struct http_server_options options = {.routes = people_routes,
                                          .route_count = people_route_count,
                                          .context = d,
                                          .identify = identify,
                                          .seen = on_use};
    struct logins_options logins = {.changed = on_login, .data = d};
    d->logins = logins_create(&d->loop, &logins);
    FAULT("daemon.before_listen");
    int fd = http_listen_unix(d->options.socket_path, d->options.socket_mode, err);
    if (fd < 0)
        return false;
    d->people = http_server_create(&d->loop, fd, &options, err);
    if (!d->people)
        close(fd);
    return d->people != NULL;
}

static void start_handles(struct daemon *d)
{
    uv_prepare_init(&d->loop, &d->prepare);
    uv_idle_init(&d->loop, &d->idle);
    uv_timer_init(&d->loop, &d->core_timer);
    uv_timer_init(&d->loop, &d->beat);
    uv_signal_init(&d->loop, &d->term);
    uv_signal_init(&d->loop, &d->interrupt);
    d->prepare.data = d->idle.data = d->core_timer.data = d->beat.data = d->term.data = d->interrupt.data = d;
    uv_prepare_start(&d->prepare, on_prepare);
    uv_timer_start(&d->beat, on_beat, SCHEDULER_BEAT_MS, SCHEDULER_BEAT_MS);
    uv_signal_start(&d->term, on_signal, SIGTERM);
    uv_signal_start(&d->interrupt, on_signal, SIGINT);
    if (d->options.parent_fd >= 0 && uv_poll_init(&d->loop, &d->parent, d->options.parent_fd) == 0) {
        d->parent.data = d;
        uv_poll_start(&d->parent, UV_READABLE | UV_DISCONNECT, on_parent);
    }
}

bool daemon_init(struct daemon *d, const struct daemon_options *options, struct error *err)
{
    memset(d, 0, sizeof *d);
    d->options = *options;
    pool_init(&d->pool, &d->loop);
    list_init(&d->waiters);
    list_init(&d->batches);
    list_init(&d->followers);
    list_init(&d->inputs);
    list_init(&d->outputs_asks);
    jobs_init(&d->jobs);
    names_init(&d->names);
    sizes_init(&d->sizes);
    owners_init(&d->owners);
    shares_init(&d->shares);
    uv_loop_init(&d->loop);
    d->started_ms = clock_wall_ms();
    d->last_use_ms = clock_boot_ms();
    d->next_sweep_ms = d->last_use_ms + SWEEP_FIRST_MS;
    d->decisions = core_decisions_create();
    if (!d->decisions)
        return error_set(err, ERROR_INTERNAL, "no memory for the core's decisions");
    buf_reserve(&d->row, ROW_FIRST_BYTES);
    d->may_sleep = options->may_sleep >= 0 ? options->may_sleep : fences_may_sleep("/sys/class/power_supply");
    if (!make_folders(d, err) || !recover(d, err))
        return false;
    start_handles(d);
    engine_recovered(d);
    return open_nodes(d, err) && open_people(d, err);
}

void daemon_run(struct daemon *d)
{
    log_info("ready: Berth %s, epoch %llu, %u live jobs, %s", BERTH_VERSION, (unsigned long long)d->epoch,
             d->jobs.live_count, d->options.socket_path);
    d->last_use_ms = clock_boot_ms(); /* a slow start is not idle time */
    uv_run(&d->loop, UV_RUN_DEFAULT);
    d->stopping = true;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void daemon_finish(struct daemon *d)
{
    /* answers that are due go out with the journal's last commit, then the servers say good-bye to the rest
     */
    if (d->journal)
        journal_stop(d->journal);
    while (d->pool_work)
        uv_run(&d->loop, UV_RUN_ONCE); /* it holds requests */
    batches_finish(d);
    http_server_destroy(d->people);
    logins_destroy(d->logins);
    /* The machine's own socket, outside the state folder, stays: clients see by it that this machine has a
     * Berth that is down, and don't start one of their own. */
    size_t state_len = strlen(d->options.state_dir);
    if (d->people && strncmp(d->options.socket_path, d->options.state_dir, state_len) == 0 &&
        d->options.socket_path[state_len] == '/')
        unlink(d->options.socket_path);
    nodes_finish(&d->nodes);
    uv_run(&d->loop, UV_RUN_NOWAIT); /* what the servers closed is freed */
    uv_walk(&d->loop, close_handle, NULL);
    uv_run(&d->loop, UV_RUN_DEFAULT); /* and the thread pool's work ends */
    uv_loop_close(&d->loop);
    journal_close(d->journal);
    journal_reader_close(d->reader);
    jobs_finish(&d->jobs);
    principals_finish(&d->principals);
    map_finish_free(&d->known_users);
    names_finish(&d->names);
    sizes_finish(&d->sizes);
    requests_finish(&d->requests);
    workspaces_finish(&d->workspaces);
    cap_setters_finish(&d->cap_setters);
    weights_finish(&d->weights);
    owners_finish(&d->owners);
    shares_finish(&d->shares);
    core_destroy(d->core);
    core_decisions_destroy(d->decisions);
    buf_finish(&d->row);
}
