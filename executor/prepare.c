/* Preparation. Runs as the executor (root or the one user); nothing that the user named is opened here but
 * the snapshot's own tree, which no process of the user can reach yet. */
#include "executor/prepare.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/map.h"
#include "executor/beneath.h"
#include "executor/bundle.h"
#include "executor/gpu_share.h"
#include "executor/ignored.h"
#include "executor/job_inputs.h"
#include "executor/launch.h"
#include "executor/look.h"
#include "executor/outputs_seed.h"
#include "executor/reclaim.h"
#include "proto/kv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define MANIFEST_FILE "manifest" /* a copy in the task's folder: the cache may be swept before collection */

static const char *const made_here[] = {"work",   "tmp",         "upper",           "ovl",    "bundle",
                                        "spec",   "shim",        "state",           "ctl",    "exit",
                                        "events", MANIFEST_FILE, OUTPUTS_SEED_FILE, KEPT_LIST};

static void find_device_nodes(const cJSON *gpu, struct bundle_gpu *out)
{
    const cJSON *cap;
    size_t n = 0;
    out->minor = (int)json_int(gpu, "minor", -1);
    cJSON_ArrayForEach(cap, json_get(json_get(gpu, "mig"), "caps"))
    {
        int64_t number;
        if (n < BUNDLE_GPU_CAPS && json_item_int(cap, &number))
            out->caps[n++] = (int)number;
    }
}

void preparation_init(struct preparation *p, const struct executor_config *config, const struct order *order,
                      const char *folder)
{
    memset(p, 0, sizeof *p);
    p->config = config;
    p->order = order;
    p->folder = folder;
    p->gpus = xcalloc(order->lease.gpu_count + 1, sizeof *p->gpus);
    for (size_t i = 0; i < order->lease.gpu_count; i++) {
        const cJSON *gpu;
        p->gpus[i] = (struct bundle_gpu){.uuid = order->lease.gpus[i].uuid, .minor = -1};
        cJSON_ArrayForEach(gpu, json_get(config->inventory, "gpus"))
        {
            if (strcmp(json_str(gpu, "uuid", ""), p->gpus[i].uuid) == 0)
                find_device_nodes(gpu, &p->gpus[i]);
        }
    }
}

void preparation_finish(struct preparation *p)
{
    user_finish(&p->user);
    snapshot_finish(&p->snapshot);
    text_list_finish(&p->missing);
    kept_finish(&p->ignored);
    free(p->carried);
    free(p->gpus);
    memset(p, 0, sizeof *p);
}

char **prepare_left_out(const struct order *order)
{
    const struct job_strings *all = &order->spec->left_out;
    char **kept = xcalloc(all->count + 1, sizeof *kept);
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++) {
        char *path = all->items[i];
        size_t n = strlen(path);
        while (n > 1 && path[n - 1] == '/')
            path[--n] = '\0'; /* "data/" as ignore files write folders */
        if (beneath_path_valid(path) && strcmp(path, "outputs") != 0 && strncmp(path, "outputs/", 8) != 0)
            kept[count++] = path;
    }
    return kept;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static char *range_list(const int64_t *values, size_t count)
{
    struct buf out = {0};
    for (size_t i = 0; i < count;) {
        size_t end = i;
        while (end + 1 < count && values[end + 1] <= values[end] + 1)
            end++;
        buf_printf(&out, "%s%lld", out.len ? "," : "", (long long)values[i]);
        if (values[end] > values[i])
            buf_printf(&out, "-%lld", (long long)values[end]);
        i = end + 1;
    }
    return count ? buf_take(&out) : NULL;
}

char *prepare_cpu_list(const struct executor_config *config, const int64_t *cpus, size_t count)
{
    _cleanup_free_ int64_t *usable = xcalloc(count + 1, sizeof *usable);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (cpus[i] < config->cpu_count &&
            CPU_ISSET_S((size_t)cpus[i], CPU_ALLOC_SIZE(config->cpu_count), config->cpus))
            usable[kept++] = cpus[i];
    qsort(usable, kept, sizeof *usable, by_value);
    return range_list(usable, kept);
}

static bool own_folder(int fd, const struct user *user, mode_t mode)
{
    return (geteuid() != 0 || fchown(fd, user->uid, user->gid) == 0) && fchmod(fd, mode) == 0;
}

static int make_folder(int at, const char *name, const struct user *user, mode_t mode, struct error *err)
{
    if (mkdirat(at, name, 0700) != 0 && errno != EEXIST) {
        error_errno(err, errno, "can't make the folder %s", name);
        return -1;
    }
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || !own_folder(fd, user, mode)) {
        error_errno(err, errno, "can't set up the folder %s", name);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

static bool fail_at(struct preparation *p, enum failure place)
{
    p->place = place;
    return false;
}

static bool clean(struct preparation *p)
{
    _cleanup_close_ int task = open(p->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (task < 0)
        return error_errno(&p->err, errno, "can't open the task's folder");
    for (size_t i = 0; i < sizeof made_here / sizeof *made_here; i++)
        if (!reclaim_remove_tree(task, made_here[i], &p->err))
            return error_wrap(&p->err, "what is left of an earlier try");
    if (!user_resolve(p->order->principal, p->order->uid_hint, &p->user, &p->err))
        return false;
    _cleanup_free_ char *logs = xstrdup(p->order->log_path);
    *strrchr(logs, '/') = '\0';
    return fs_mkdirs(*logs ? logs : "/", 0700, &p->err) || fail_at(p, FAILURE_LOGS);
}

/* Parses the manifest and lists what the cache lacks. */
static bool read_manifest(struct preparation *p)
{
    const char *sha = p->order->spec->code_manifest;
    _cleanup_buf_ struct buf text = {0};
    if (!blob_cache_read(&p->config->blobs, sha, SNAPSHOT_MANIFEST_MAX_BYTES, &text, &p->err) ||
        !snapshot_parse(text.data ? text.data : "", text.len, &p->snapshot, &p->err))
        return false;
    struct map seen = {0};
    p->needs_bytes = 0;
    p->needs_files = (int64_t)p->snapshot.count;
    for (size_t i = 0; i < p->snapshot.count; i++) {
        const struct snapshot_entry *entry = &p->snapshot.entries[i];
        p->needs_bytes += entry->kind == SNAPSHOT_FILE ? entry->size : 0;
        if (entry->kind != SNAPSHOT_FILE || map_put_str(&seen, entry->sha, (void *)entry))
            continue;
        if (!blob_cache_has(&p->config->blobs, entry->sha)) {
            text_list_add(&p->missing, xstrdup(entry->sha));
            p->missing_bytes += entry->size;
        }
    }
    map_finish(&seen);
    _cleanup_close_ int task = open(p->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (task < 0)
        return error_errno(&p->err, errno, "can't open the task's folder");
    return fs_write_atomic(task, MANIFEST_FILE, text.data, text.len, 0600, &p->err);
}

/* outputs/, or the directory of the snapshot that a link of that name leads to; -1 where there is none. */
static int open_outputs(int work)
{
    char target[BENEATH_PATH_MAX + 1];
    ssize_t n = readlinkat(work, "outputs", target, sizeof target - 1);
    target[n < 0 ? 0 : n] = '\0';
    if (n >= 0 && (!fs_link_stays("outputs", target) || !beneath_path_valid(target)))
        return -1;
    return beneath_openat(work, n < 0 ? "outputs" : target, O_RDONLY | O_DIRECTORY, 0, true);
}

static bool seed_outputs(struct preparation *p, int task, int work)
{
    bool own = p->order->id.attempt > 1 && !p->order->spec->retry.fresh_outputs;
    p->seed = (struct outputs_seed){.stored = p->order->outputs_path,
                                    .continued = p->order->continue_path,
                                    .only_continued = !own,
                                    .id = p->order->id,
                                    .task_fd = task,
                                    .uid = p->user.uid,
                                    .gid = p->user.gid,
                                    .cancelled = &p->cancelled};
    if (!own && !p->order->continue_path)
        return true;
    _cleanup_close_ int outputs = open_outputs(work);
    p->seed.outputs_fd = outputs;
    return outputs < 0 || outputs_seed_run(&p->seed, &p->err);
}

static bool fill_work(struct preparation *p)
{
    _cleanup_close_ int task = open(p->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (task < 0)
        return error_errno(&p->err, errno, "can't open the task's folder");
    _cleanup_close_ int work = make_folder(task, "work", &p->user, 0755, &p->err);
    if (work < 0)
        return false;
    if (p->order->spec->code_manifest &&
        !snapshot_materialise(&p->snapshot, p->order->spec->code_manifest, &p->config->blobs, work,
                              p->user.uid, p->user.gid, &p->err))
        return error_wrap(&p->err, "snapshot");
    /* what the snapshot has under that name stays; a link there is the job's own affair */
    struct stat st;
    if (fstatat(work, "outputs", &st, AT_SYMLINK_NOFOLLOW) != 0) {
        _cleanup_close_ int outputs = make_folder(work, "outputs", &p->user, 0755, &p->err);
        if (outputs < 0)
            return false;
    }
    return seed_outputs(p, task, work) && prepare_ignored(p, task, work);
}

/* With `host` programs use the person's own home and caches; in an image, on a machine where he has no home,
 * and where it is read-only they get a directory of Berth's. */
static bool has_own_cache(const struct preparation *p)
{
    const struct job_spec *spec = p->order->spec;
    return spec->image_kind == JOB_IMAGE_HOST && !spec->read_only &&
           look_is_directory(p->user.home, &p->user);
}

static char *cache_folder(const struct preparation *p, struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/cache/%u", p->config->state_dir, (unsigned)p->user.uid);
    if (!fs_mkdirs(path, 0700, err))
        return NULL;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || !own_folder(fd, &p->user, 0700)) {
        error_errno(err, errno, "can't set up the cache folder %s", path);
        return NULL;
    }
    return take_ptr(path);
}

/* Everything that a bundle_request points to. */
struct bundle_parts {
    struct places places;
    struct text_list argv, env, strings;
    struct bundle_bind *binds;
    size_t bind_count;
    char *cpus, *mems, *cache, *err_path;
};

static void parts_finish(struct bundle_parts *parts)
{
    places_finish(&parts->places);
    text_list_finish(&parts->argv);
    text_list_finish(&parts->env);
    text_list_finish(&parts->strings);
    free(parts->binds);
    free(parts->cpus);
    free(parts->mems);
    free(parts->cache);
    free(parts->err_path);
}

static const char *keep(struct bundle_parts *parts, char *text)
{
    text_list_add(&parts->strings, text);
    return text;
}

/* A folder that a host task would not see, since these places are its own there. */
static bool is_hidden_in_host(const char *path)
{
    return strncmp(path, "/tmp/", 5) == 0 || strncmp(path, "/var/tmp/", 9) == 0;
}

/* The same, and nothing may be mounted there (executor/shim/root_user.c). */
static bool is_of_the_task(const char *path)
{
    return strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/run/", 5) == 0;
}

/* What of the code directory is live: ignored directories where they stand, and ignored files that are too
 * large to be copied outside the working directory, where links lead to them. */
static void list_live(struct preparation *p, struct bundle_parts *parts)
{
    const char *code = p->order->spec->code_path;
    for (size_t i = 0; i < p->ignored.count; i++) {
        const struct kept_file *file = &p->ignored.items[i];
        const char *slash = strrchr(file->path, '/');
        bool repository = strcmp(slash ? slash + 1 : file->path, ".git") == 0; /* to be asked, not changed */
        bool live_file = file->kind == KEPT_LIVE;
        if (file->kind != KEPT_MOUNT && !live_file)
            continue;
        parts->binds[parts->bind_count++] = (struct bundle_bind){
            .source = keep(parts, xasprintf("%s/%s", code, file->path)),
            .target = keep(parts, live_file ? xstrdup(file->target)
                                            : xasprintf("%s/%s", parts->places.work, file->path)),
            .rw = !repository,
            .optional = true,
            .live_file = live_file,
        };
    }
}

static void list_binds(struct preparation *p, struct bundle_parts *parts)
{
    const struct job_spec *spec = p->order->spec;
    const struct site_mounts *site = &p->config->mounts;
    parts->binds = xcalloc(p->ignored.count + site->count + spec->mount_count + spec->input_count + 2,
                           sizeof *parts->binds);
    const char *cwd = parts->places.cwd;
    if (spec->live_path)
        parts->binds[parts->bind_count++] =
            (struct bundle_bind){.source = spec->live_path, .target = parts->places.code, .rw = true};
    else if (spec->image_kind == JOB_IMAGE_HOST && !spec->code_path && strcmp(cwd, parts->places.work) != 0 &&
             is_hidden_in_host(cwd))
        parts->binds[parts->bind_count++] =
            (struct bundle_bind){.source = cwd, .target = cwd, .optional = true};
    list_live(p, parts);
    for (size_t i = 0; i < site->count; i++)
        parts->binds[parts->bind_count++] = (struct bundle_bind){.source = site->items[i].source,
                                                                 .target = site->items[i].target,
                                                                 .rw = site->items[i].writable,
                                                                 .optional = true};
    for (size_t i = 0; i < spec->mount_count; i++)
        parts->binds[parts->bind_count++] = (struct bundle_bind){.source = spec->mounts[i].source,
                                                                 .target = spec->mounts[i].target,
                                                                 .rw = spec->mounts[i].writable};
    for (size_t i = 0; i < spec->input_count; i++) {
        const struct job_input_item *input = &spec->inputs[i];
        bool own = input->kind == JOB_INPUT_JOB;
        if (input->kind != JOB_INPUT_LITERAL)
            parts->binds[parts->bind_count++] =
                (struct bundle_bind){.source = own ? job_inputs_path(p->order, input->name) : input->value,
                                     .target = keep(parts, places_input(p->order, input)),
                                     .own = own};
    }
}

static char *beside_log(const char *log_path, const char *suffix)
{
    size_t n = strlen(log_path);
    if (n > 4 && strcmp(log_path + n - 4, ".log") == 0)
        n -= 4;
    return xasprintf("%.*s%s", (int)n, log_path, suffix);
}

static bool write_bundle(struct preparation *p, struct bundle_parts *parts)
{
    static const enum bundle_runtime runtimes[] = {
        [JOB_RUNTIME_AUTO] = BUNDLE_RUNTIME_AUTO,
        [JOB_RUNTIME_CRUN] = BUNDLE_RUNTIME_CRUN,
        [JOB_RUNTIME_RUNC] = BUNDLE_RUNTIME_RUNC,
        [JOB_RUNTIME_PROCESS] = BUNDLE_RUNTIME_PROCESS,
    };
    const struct order *order = p->order;
    const struct job_spec *spec = order->spec;
    const struct executor_config *config = p->config;
    bool folder = spec->image_kind == JOB_IMAGE_FOLDER;
    places_init(&parts->places, order);
    if (!folder && !spec->code_path &&
        (is_of_the_task(parts->places.cwd) || !look_is_directory(parts->places.cwd, &p->user))) {
        free(parts->places.cwd);
        parts->places.cwd = xstrdup(parts->places.work);
    }
    if (!environ_argv(order, &parts->places, &parts->argv, &p->err) ||
        !environ_build(order, &p->user, &parts->places, config->name, config->isolation.userns, &parts->env,
                       &p->err))
        return false;
    if (!job_inputs_open(order, p->user.uid, p->user.gid, &p->err))
        return false;
    list_binds(p, parts);
    if (!has_own_cache(p) && !(parts->cache = cache_folder(p, &p->err)))
        return false;
    parts->cpus = prepare_cpu_list(config, order->lease.cpus, order->lease.cpu_count);
    /* a simulated inventory's memory nodes are not this machine's */
    parts->mems = config->inventory_file ? NULL : range_list(order->lease.mems, order->lease.mem_count);
    parts->err_path = beside_log(order->log_path, ".err");
    struct bundle_request request = {
        .task_dir = p->folder,
        .task = order->task,
        .user = {.uid = p->user.uid,
                 .gid = p->user.gid,
                 .groups = p->user.groups,
                 .n_groups = p->user.group_count,
                 .name = p->user.name,
                 .home = p->user.home,
                 .shell = p->user.shell},
        .image = folder ? BUNDLE_IMAGE_FOLDER : BUNDLE_IMAGE_HOST,
        .image_path = folder ? spec->image : NULL,
        .runtime = runtimes[spec->runtime],
        .argv = (const char *const *)parts->argv.items,
        .env = (const char *const *)parts->env.items,
        .cwd = parts->places.cwd,
        .work_target = parts->places.work,
        .code_target = spec->code_path && !folder ? parts->places.code : NULL,
        .binds = parts->binds,
        .n_binds = parts->bind_count,
        .cpus = parts->cpus,
        .mems = parts->mems,
        .memory_bytes = (uint64_t)order->lease.memory_bytes,
        .gpus = p->gpus,
        .n_gpus = order->lease.gpu_count,
        .shm_bytes = (uint64_t)spec->shm_size_bytes,
        .time_limit_ms = (uint64_t)order->time_limit_ms,
        .log_limit_bytes = (uint64_t)spec->log_limit_bytes,
        .grace_ms = (uint64_t)order->grace_ms,
        .stop_signal = order->stop_signal,
        .warn_ms = (uint64_t)order->warn_ms,
        .warn_signal = order->warn_signal,
        .tty = spec->wants_tty,
        .stdin_open = spec->wants_stdin,
        .split_streams = spec->split_streams,
        .rows = (unsigned)spec->term_rows,
        .cols = (unsigned)spec->term_columns,
        .log_path = order->log_path,
        .err_path = spec->split_streams ? parts->err_path : NULL,
        .cache_dir = parts->cache,
        .covers = (const char *const *)config->covers.items,
        .isolation = &config->isolation,
        .fence_after_ms = (uint64_t)order->fence_after_ms,
        .processes = (uint64_t)order->gang.processes_per_instance,
        .first_rank = (uint64_t)(order->id.rank * order->gang.processes_per_instance),
        .read_only = spec->read_only,
        .umask = folder ? JOB_UMASK_DEFAULT : (unsigned)spec->umask,
    };
    return bundle_write(&request, &p->err);
}

/* What the task gets, whole, beside its log: `berth show` lists it. Read back from the spec, so that it is
 * what the shim is given. */
static bool write_environment(struct preparation *p)
{
    _cleanup_free_ char *spec_path = xasprintf("%s/spec", p->folder);
    _cleanup_free_ char *path = beside_log(p->order->log_path, ".env");
    _cleanup_buf_ struct buf spec = {0}, text = {0};
    if (!fs_read_file(AT_FDCWD, spec_path, BUNDLE_SPEC_BYTES_MAX, &spec, &p->err))
        return false;
    size_t cursor = 0;
    for (const char *item; (item = kv_next(spec.data, spec.len, "env", &cursor));)
        buf_add(&text, item, strlen(item) + 1);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || !fs_write_all(fd, text.data, text.len)) {
        error_errno(&p->err, errno, "can't write %s", path);
        return fail_at(p, FAILURE_LOGS);
    }
    return true;
}

static bool build(struct preparation *p)
{
    __attribute__((cleanup(parts_finish))) struct bundle_parts parts = {0};
    return fill_work(p) && write_bundle(p, &parts) && write_environment(p);
}

static enum prepare_result fail(struct preparation *p)
{
    if (p->err.code == ERROR_NO_SPACE)
        p->kind = "disk_full";
    else if (strncmp(p->err.field, "image", 5) == 0 || strncmp(p->err.field, "environment.image", 17) == 0)
        p->kind = "image_error";
    else
        p->kind = "start_error";
    return PREPARE_FAILED;
}

static enum prepare_result run_stages(struct preparation *p)
{
    const struct job_spec *spec = p->order->spec;
    for (;;) {
        if (atomic_load(&p->cancelled))
            return PREPARE_CANCELLED;
        switch (p->stage) {
        case PREPARE_STAGE_CLEAN:
            if (!clean(p))
                return fail(p);
            p->stage = spec->code_manifest ? PREPARE_STAGE_MANIFEST : PREPARE_STAGE_BUILD;
            if (spec->code_manifest && !blob_cache_has(&p->config->blobs, spec->code_manifest)) {
                text_list_add(&p->missing, xstrdup(spec->code_manifest));
                return PREPARE_FETCH;
            }
            break;
        case PREPARE_STAGE_MANIFEST:
            if (!read_manifest(p))
                return fail(p);
            p->stage = PREPARE_STAGE_BLOBS;
            if (p->missing.count)
                return PREPARE_FETCH;
            break;
        case PREPARE_STAGE_BLOBS:
            p->stage = PREPARE_STAGE_BUILD;
            break;
        case PREPARE_STAGE_BUILD:
            FAULT("executor.before_bundle");
            if (!build(p))
                return fail(p);
            FAULT("executor.prepared");
            return PREPARE_READY;
        }
    }
}

void prepare_run(void *preparation)
{
    struct preparation *p = preparation;
    memset(&p->err, 0, sizeof p->err);
    p->result = run_stages(p);
}

/* From when on the shim counts. Not durable: no task outlives its boot. */
static bool write_contact(struct preparation *p)
{
    char text[64];
    _cleanup_free_ char *path = xasprintf("%s/contact", p->folder);
    if (!p->order->fence_after_ms)
        return true;
    int n = snprintf(text, sizeof text, "contact_ms=%lld", (long long)atomic_load(&p->config->contact_ms));
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || !fs_write_all(fd, text, (size_t)n + 1))
        return error_errno(&p->err, errno, "can't write %s", path);
    return true;
}

static enum prepare_result launch(struct preparation *p)
{
    if (atomic_load(&p->cancelled))
        return PREPARE_CANCELLED;
    struct gpu_shares *shares = p->config->gpu_shares;
    int fds[ORDER_GPUS_MAX];
    size_t count = 0;
    bool ok = gpu_shares_join(shares, p->order, p->folder, &p->err);
    for (; ok && count < p->order->lease.gpu_count; count++) {
        fds[count] = gpu_shares_lock(shares, p->order, count, &p->err);
        ok = fds[count] >= 0;
    }
    FAULT("executor.before_fork");
    bool busy = !ok && p->err.code == ERROR_CONFLICT;
    ok = ok && write_contact(p) && launch_shim(p->folder, fds, count, NULL, NULL, &p->err);
    FAULT("executor.after_fork");
    for (size_t i = 0; i < count; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (!ok)
        gpu_shares_leave(shares, p->order->task);
    if (busy)
        return PREPARE_BUSY;
    return ok ? PREPARE_LAUNCHED : fail(p);
}

void prepare_launch(void *preparation)
{
    struct preparation *p = preparation;
    memset(&p->err, 0, sizeof p->err);
    p->result = launch(p);
}
