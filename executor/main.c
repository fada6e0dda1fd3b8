/* `berth executor`: options, one executor a state folder, what this node is and can enforce, the loop.
 * Leaving (SIGTERM, the parent's pipe) touches no task. */
#include "executor/entry.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/print.h"
#include "executor/agent.h"
#include "executor/inventory.h"
#include "executor/inventory_again.h"
#include "executor/work.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#define NAME_MAX_BYTES 64
#define SECRET_MAX_BYTES 256
#define LOCK_WAIT_MS 3000

static const char usage[] =
    "usage: berth executor --socket PATH --secret-file FILE --state-dir DIR --name NAME [options]\n"
    "       berth executor --print-inventory\n"
    "  --socket PATH        the node's own socket, where its scheduler listens\n"
    "  --secret-file FILE   the node's secret\n"
    "  --state-dir DIR      this executor's folder\n"
    "  --name NAME          the node's name\n"
    "  --inventory FILE     say that the machine is what FILE says (simulated nodes)\n"
    "  --gpu-library PATH   the CUDA driver's library\n"
    "  --parent-fd N        leave when this descriptor is closed at its other end\n"
    "  --print-inventory    print what this machine is, as JSON, and end\n";

struct running {
    uv_loop_t *loop;
    struct agent *agent;
};

static int complain(const char *what, const struct error *err)
{
    log_error("%s: %s%s%s", what, err->message, err->hint[0] ? "; try: " : "", err->hint);
    return 1;
}

static bool parse_options(int argc, char **argv, struct executor_config *config, bool *print_inventory)
{
    enum { SOCKET = 1000, SECRET, STATE, NAME, INVENTORY, GPU_LIBRARY, PARENT, PRINT, HELP };
    static const struct option options[] = {
        {"socket", required_argument, NULL, SOCKET},
        {"secret-file", required_argument, NULL, SECRET},
        {"state-dir", required_argument, NULL, STATE},
        {"name", required_argument, NULL, NAME},
        {"inventory", required_argument, NULL, INVENTORY},
        {"gpu-library", required_argument, NULL, GPU_LIBRARY},
        {"parent-fd", required_argument, NULL, PARENT},
        {"print-inventory", no_argument, NULL, PRINT},
        {"help", no_argument, NULL, HELP},
        {0},
    };
    struct {
        int option;
        const char **to;
    } texts[] = {
        {SOCKET, &config->socket}, {SECRET, &config->secret_file},       {STATE, &config->state_dir},
        {NAME, &config->name},     {INVENTORY, &config->inventory_file}, {GPU_LIBRARY, &config->gpu_library}};
    optind = 1;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        bool known = false;
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
            if (texts[i].option == c) {
                *texts[i].to = optarg;
                known = true;
            }
        }
        if (c == PARENT)
            config->parent_fd = (int)strtol(optarg, NULL, 10);
        else if (c == PRINT)
            *print_inventory = true;
        else if (!known) {
            if (c != HELP)
                print_line(PRINT_ERR, "berth executor: unknown option, or one without its value: %.80s",
                           argv[optind - 1]);
            print_to(c == HELP ? PRINT_OUT : PRINT_ERR, "%s", usage);
            exit(c == HELP ? print_finish(0) : 2);
        }
    }
    if (optind < argc ||
        (!*print_inventory && (!config->socket || !config->secret_file || !config->state_dir ||
                               !config->name || strlen(config->name) > NAME_MAX_BYTES))) {
        print_err("%s", usage);
        return false;
    }
    return true;
}

static cJSON *find_inventory(const struct executor_config *config, struct error *err)
{
    cJSON *inventory = NULL;
    struct inventory_options options = {.gpu = {.cuda_library = config->gpu_library}};
    bool ok = config->inventory_file ? inventory_from_file(config->inventory_file, &inventory, err)
                                     : inventory_read(&options, &inventory, err);
    return ok ? inventory : NULL;
}

static int print(const struct executor_config *config)
{
    struct error err = {0};
    _cleanup_json_ cJSON *inventory = find_inventory(config, &err);
    if (!inventory)
        return complain("inventory", &err);
    char *text = json_indented(inventory);
    print_json(text);
    free(text);
    return 0;
}

static char *absolute(const char *path)
{
    char *real = realpath(path, NULL);
    if (real || path[0] == '/')
        return real ? real : xstrdup(path);
    _cleanup_free_ char *here = getcwd(NULL, 0);
    return xasprintf("%s/%s", here ? here : "", path);
}

/* One executor a folder: a second one would start the same tasks. The lock goes with the process. */
static bool lock_state(const struct executor_config *config, struct error *err)
{
    if (!fs_mkdirs(config->state_dir, 0700, err))
        return false;
    _cleanup_free_ char *path = xasprintf("%s/lock", config->state_dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600); /* kept open for the life of the process */
    if (fd < 0)
        return error_errno(err, errno, "can't open %s", path);
    /* a killed executor's child may hold it for the moment between its fork and its exec */
    int64_t until = clock_boot_ms() + LOCK_WAIT_MS;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (clock_boot_ms() < until) {
            nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
            continue;
        }
        return error_set(err, ERROR_CONFLICT, "another executor runs on %s", config->state_dir);
    }
    return true;
}

static bool read_secret(const struct executor_config *config, struct buf *secret, struct error *err)
{
    if (!fs_read_file(AT_FDCWD, config->secret_file, SECRET_MAX_BYTES, secret, err))
        return false;
    while (secret->len && (secret->data[secret->len - 1] == '\n' || secret->data[secret->len - 1] == ' '))
        secret->data[--secret->len] = '\0';
    if (secret->len == 0 || strspn(secret->data, "0123456789abcdefABCDEF") != secret->len)
        return error_set(err, ERROR_INVALID, "%s holds no secret", config->secret_file);
    return true;
}

static void find_cpus(struct executor_config *config)
{
    for (int count = 1024; count <= 1 << 20; count *= 2) {
        config->cpus = CPU_ALLOC(count);
        config->cpu_count = count;
        if (config->cpus && sched_getaffinity(0, CPU_ALLOC_SIZE(count), config->cpus) == 0)
            return;
        CPU_FREE(config->cpus);
    }
    config->cpus = NULL;
    config->cpu_count = 0;
}

/* What a task must not see: this executor's folder, its socket's folder, and the whole state folder of a
 * local Berth. */
static void list_covers(struct executor_config *config)
{
    text_list_add(&config->covers, xstrdup(config->state_dir));
    char *node = xstrdup(config->socket), *slash = strrchr(node, '/');
    if (slash && slash != node)
        *slash = '\0';
    text_list_add(&config->covers, node);
    _cleanup_free_ char *parent = xstrdup(config->state_dir);
    slash = strrchr(parent, '/');
    if (slash && slash != parent) {
        *slash = '\0';
        _cleanup_free_ char *version = xasprintf("%s/version", parent);
        if (access(version, F_OK) == 0)
            text_list_add(&config->covers, take_ptr(parent));
    }
}

static void raise_limits(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static void leave(struct running *running)
{
    log_info("leaving; tasks go on");
    if (running->agent)
        agent_leave(running->agent);
    uv_stop(running->loop);
}

static void on_signal(uv_signal_t *handle, int signal)
{
    (void)signal;
    leave(handle->data);
}

static void on_parent(uv_poll_t *handle, int status, int events)
{
    char byte;
    int fd;
    (void)events;
    if (status == 0 && uv_fileno((uv_handle_t *)handle, &fd) == 0 && read(fd, &byte, 1) > 0)
        return;
    leave(handle->data);
}

/* All that leaves nothing behind, and may take its time (a driver that hangs): a signal simply ends it. */
static bool find_out(struct executor_config *config, struct error *err)
{
    if (!lock_state(config, err))
        return false;
    raise_limits();
    find_cpus(config);
    list_covers(config);
    if (!site_mounts_read(SITE_MOUNTS_FILE, &config->mounts, err))
        return false;
    _cleanup_free_ char *blobs = xasprintf("%s/cache/blobs", config->state_dir);
    if (!blob_cache_init(&config->blobs, blobs, err))
        return false;
    static struct gpu_shares shares;
    gpu_shares_init(&shares);
    config->gpu_shares = &shares;
    config->inventory = find_inventory(config, err);
    if (config->inventory && !config->inventory_file) {
        static struct gpu_watch watch;
        gpu_watch_init(&watch, &(struct gpu_probe_options){.cuda_library = config->gpu_library});
        config->gpu_watch = &watch;
        inventory_look_at_gpus(config, config->inventory);
    }
    return config->inventory != NULL;
}

/* The cgroup that is made here goes again with whoever leaves in good order. */
static bool isolate(struct executor_config *config, struct error *err)
{
    char tag[16];
    if (!isolation_tag(config->state_dir, tag, err) || !isolation_probe(&config->isolation, tag, err))
        return false;
    for (size_t i = 0; i < config->isolation.n_missing; i++)
        log_info("this node can't do all: %s", config->isolation.missing[i]);
    FAULT("executor.isolated");
    return true;
}

int executor_main(int argc, char **argv)
{
    /* static: worker threads may look at it until the process has ended */
    static struct executor_config config = {.parent_fd = -1};
    static struct running running;
    struct error err = {0};
    bool print_inventory = false;
    if (!parse_options(argc, argv, &config, &print_inventory))
        return 2;
    if (print_inventory)
        return print(&config);
    log_init("executor");
    umask(077);
    signal(SIGPIPE, SIG_IGN);
    char threads[8];
    snprintf(threads, sizeof threads, "%d", WORK_THREADS);
    setenv("UV_THREADPOOL_SIZE", threads, 0);
    config.state_dir = absolute(config.state_dir);
    config.socket = absolute(config.socket);
    _cleanup_buf_ struct buf secret = {0};
    if (!read_secret(&config, &secret, &err) || !find_out(&config, &err))
        return complain("the executor can't start", &err);
    running.loop = uv_default_loop();
    uv_signal_t signals[2];
    uv_poll_t parent;
    for (int i = 0; i < 2; i++) {
        uv_signal_init(running.loop, &signals[i]);
        signals[i].data = &running;
        uv_signal_start(&signals[i], on_signal, i ? SIGINT : SIGTERM);
    }
    if (config.parent_fd >= 0) {
        fcntl(config.parent_fd, F_SETFD, FD_CLOEXEC);
        uv_poll_init(running.loop, &parent, config.parent_fd);
        parent.data = &running;
        uv_poll_start(&parent, UV_READABLE | UV_DISCONNECT, on_parent);
    }
    running.agent = isolate(&config, &err) ? agent_create(running.loop, &config, secret.data, &err) : NULL;
    if (!running.agent) {
        cgroup_tree_remove(&config.isolation.cgroups, NULL);
        complain("the executor can't start", &err);
        _exit(1);
    }
    FAULT("executor.started");
    uv_run(running.loop, UV_RUN_DEFAULT);
    agent_part(running.agent);
    fflush(NULL);
    _exit(0); /* not exit(3): workers may still run, and libraries must not be torn down under them */
}
