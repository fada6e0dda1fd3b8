/*
 * crun and runc by the OCI runtime's command line. The root is built already, so the configuration only asks
 * for namespaces, ids and capabilities; arguments and environment of the payload travel beside it (init_args
 * in plain.c), since JSON can't hold every byte. The runtime detaches, and its container becomes our child,
 * for we are the subreaper.
 */
#include "executor/shim/shim.h"
#include "executor/shim/start.h"

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fs.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>

#define RUNTIME_LOG_BYTES_MAX (1u << 20)

static void add_map(struct buf *b, const char *key, const struct id_range *r, size_t n)
{
    buf_printf(b, "\"%s\":[", key);
    for (size_t i = 0; i < n; i++)
        buf_printf(b, "%s{\"containerID\":%" PRIu32 ",\"hostID\":%" PRIu32 ",\"size\":%" PRIu32 "}",
                   i ? "," : "", r[i].inside, r[i].outside, r[i].count);
    buf_add_str(b, "],");
}

static void add_list(struct buf *b, const char *key, const char *const *v)
{
    buf_printf(b, "\"%s\":[", key);
    for (size_t i = 0; v[i]; i++)
        buf_printf(b, "%s\"%s\"", i ? "," : "", v[i]);
    buf_add_char(b, ']');
}

/* Init passes fault points too, in test builds; the payload's environment is another one. */
static void add_fault_environment(struct buf *b)
{
#ifdef BERTH_FAULT_POINTS
    static const char *const names[] = {"BERTH_FAULT", "BERTH_FAULT_ONCE", "BERTH_FAULT_LOG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && !strpbrk(value, "\"\\"))
            buf_printf(b, ",\"%s=%s\"", names[i], value);
    }
#else
    (void)b;
#endif
}

static void add_process(const struct shim *s, struct buf *b)
{
    static const char *const none[] = {NULL};
    /* Whoever maps root of a namespace into the next one must have had this right when he made it
     * (user_namespaces(7)). */
    static const char *const mapping[] = {"CAP_SETFCAP", NULL};
    const char *const *caps = s->image_caps ? start_image_capabilities : s->init_maps_user ? mapping : none;
    char flags[8];
    start_flags(s, flags);
    buf_add_str(b, "\"process\":{\"terminal\":false,");
    buf_printf(b, "\"user\":{\"uid\":%" PRIu32 ",\"gid\":%" PRIu32, s->inside_uid, s->inside_gid);
    if (!s->rootless && !s->container_userns) {
        buf_add_str(b, ",\"additionalGids\":[");
        for (size_t i = 0; i < s->spec.groups.n; i++)
            buf_printf(b, "%s%lu", i ? "," : "", strtoul(s->spec.groups.v[i], NULL, 10));
        buf_add_char(b, ']');
    }
    buf_printf(
        b,
        "},\"args\":[\"/proc/self/fd/3\",\"--init\",\"%s\"],\"env\":[\"PATH=/usr/sbin:/usr/bin:/sbin:/bin\"",
        flags);
    add_fault_environment(b);
    buf_add_str(b, "],\"cwd\":\"/\",\"noNewPrivileges\":true,\"capabilities\":{");
    static const char *const sets[] = {"bounding", "effective", "permitted"};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        if (i)
            buf_add_char(b, ',');
        add_list(b, sets[i], caps);
    }
    buf_add_str(b, "}},");
}

static bool is_runc(const struct shim *s)
{
    return strcmp(s->spec.runtime, "runc") == 0;
}

static void add_mounts(const struct shim *s, struct buf *b)
{
    /* Group 5 is tty's, who owns terminals; in a user namespace it may not exist. */
    bool has_tty_group =
        !s->rootless && !(s->container_userns && s->map.gids[0].count == 1 && s->map.n_gids == 1);
    buf_add_str(b, "\"mounts\":[");
    /* Runtimes make device nodes of their own, unless /dev is a bind mount. In a user namespace crun has the
     * user's rights alone, and (1.8) would bind without what is mounted below. */
    if (is_runc(s) || !s->container_userns)
        buf_add_str(b, "{\"destination\":\"/dev\",\"type\":\"bind\",\"source\":\"" NEST_ROOT
                       "/dev\",\"options\":[\"rbind\",\"nosuid\"]},");
    static const struct {
        const char *path, *type, *options;
    } mounts[] = {{"/proc", "proc", "\"nodev\""},
                  {"/dev/pts", "devpts", "\"newinstance\",\"ptmxmode=0666\",\"mode=0620\""},
                  {"/dev/mqueue", "mqueue", "\"nodev\""}};
    for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++)
        buf_printf(b,
                   "%s{\"destination\":\"%s\",\"type\":\"%s\",\"source\":\"%s\",\"options\":[\"nosuid\","
                   "\"noexec\",%s%s]}",
                   i ? "," : "", mounts[i].path, mounts[i].type, mounts[i].type, mounts[i].options,
                   i == 1 && has_tty_group ? ",\"gid=5\"" : "");
    buf_add_str(b, "],");
}

/* runc always makes a group of its own: below the task's. v1 takes a path relative to runc's own group, which
 * is the task's. */
static void add_cgroup_path(const struct shim *s, struct buf *b)
{
    if (!is_runc(s))
        return;
    if (!s->has_cgroup) /* rootless, nothing delegated: without a path it does without */
        return;
    const struct cgroup_hierarchy *h = &s->tree.h[0];
    if (h->v2 && s->tree.n == 1)
        buf_printf(b, "\"cgroupsPath\":\"%s/%s/runc\",", h->base + strlen("/sys/fs/cgroup"),
                   s->spec.cgroup_name);
    else
        buf_add_str(b, "\"cgroupsPath\":\"runc\",");
}

static void add_linux(const struct shim *s, struct buf *b)
{
    buf_add_str(b, "\"linux\":{");
    add_cgroup_path(s, b);
    if (s->container_userns) {
        add_map(b, "uidMappings", s->map.uids, s->map.n_uids);
        add_map(b, "gidMappings", s->map.gids, s->map.n_gids);
    }
    buf_printf(
        b,
        "\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"mount\"}%s%s],",
        s->container_userns ? ",{\"type\":\"user\"}" : "",
        start_cgroup_namespace(s) ? ",{\"type\":\"cgroup\"}" : "");
    buf_add_str(b, "\"rootfsPropagation\":\"rprivate\",");
    add_list(b, "maskedPaths", start_masked_paths);
    buf_add_char(b, ',');
    add_list(b, "readonlyPaths", start_readonly_paths);
    buf_add_char(b, '}');
}

static bool write_config(const struct shim *s, struct error *err)
{
    _cleanup_buf_ struct buf b = {0};
    buf_add_str(&b, "{\"ociVersion\":\"1.0.0\",");
    add_process(s, &b);
    /* The runtime mounts the root once more, and takes its word on what is read-only from here alone; on "/"
     * itself nosuid and nodev are lost by that. No new privileges makes up for the first, and nobody who
     * isn't root can make a device there. */
    buf_printf(&b, "\"root\":{\"path\":\"" NEST_ROOT "\",\"readonly\":%s},",
               s->root_writable ? "false" : "true");
    add_mounts(s, &b);
    add_linux(s, &b);
    buf_add_char(&b, '}');
    _cleanup_close_ int fd = open(NEST_BUNDLE "/config.json", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || !fs_write_all(fd, b.data, b.len))
        return error_errno(err, errno, "can't write the container's configuration");
    return true;
}

static void __attribute__((noreturn)) exec_runtime(const struct shim *s, int args_fd)
{
    char *argv[24];
    int n = 0;
    argv[n++] = (char *)s->spec.runtime;
    argv[n++] = (char *)"--root=" NEST_RUNTIME;
    argv[n++] = (char *)"--log=" NEST_RUNTIME_LOG;
    argv[n++] = (char *)"--log-format=json";
    if (!is_runc(s))
        argv[n++] = (char *)"--cgroup-manager=disabled"; /* the shim made the group and is about to join it */
    else if (s->rootless)
        argv[n++] = (char *)"--rootless=true";
    argv[n++] = (char *)"run";
    argv[n++] = (char *)"--detach";
    argv[n++] = (char *)"--preserve-fds=3";
    argv[n++] = (char *)"--pid-file=" NEST_PID_FILE;
    argv[n++] = (char *)"--bundle=" NEST_BUNDLE;
    argv[n++] = (char *)s->spec.cgroup_name;
    argv[n] = NULL;
    char *env[] = {(char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                   (char *)"XDG_RUNTIME_DIR=" NEST_RUNTIME, NULL};
    /* In hybrid mode crun 1.8 takes the controllerless v2 mount for the whole truth: it must not see it. */
    if (access("/sys/fs/cgroup/memory", F_OK) == 0 && unshare(CLONE_NEWNS) == 0)
        mount(NEST "/empty.d", "/sys/fs/cgroup/unified", NULL, MS_BIND, NULL);
    /* Never /dev/null: runtimes give the standard descriptors to the user, who would own the machine's. Where
     * there is a terminal, it takes their place inside, and what the runtime says on them is for nobody. */
    int nothing[2] = {-1, -1}, nobody = memfd_create("berth-runtime", MFD_CLOEXEC);
    if (nobody < 0 || pipe2(nothing, O_CLOEXEC) != 0)
        _exit(127);
    start_child_setup(s, (struct start_fds){.in = s->spec.stdin_open && !s->spec.tty ? s->in_r : nothing[0],
                                            .out = s->spec.tty ? nobody : s->out_w,
                                            .err = s->spec.tty ? nobody : s->err_w,
                                            .init = {s->exe_fd, s->init_status_fd, args_fd}});
    FAULT("shim.before_runtime_exec");
    execve(s->spec.runtime_path, argv, env);
    _exit(127);
}

bool oci_start(struct shim *s, struct error *err)
{
    _cleanup_close_ int args_fd = start_args_fd(s, err);
    if (args_fd < 0 || !write_config(s, err))
        return false;
    FAULT("shim.before_runtime");
    s->runtime_pid = start_clone(s, 0);
    if (s->runtime_pid == 0)
        exec_runtime(s, args_fd);
    if (s->runtime_pid < 0)
        return error_errno(err, errno, "can't start %s", s->spec.runtime);
    FAULT("shim.after_runtime");
    return true;
}

/* The last "msg" of the runtime's JSON log. */
static void runtime_message(char *out, size_t size)
{
    snprintf(out, size, "it gave no reason");
    _cleanup_buf_ struct buf b = {0};
    if (!fs_read_file(AT_FDCWD, NEST_RUNTIME_LOG, RUNTIME_LOG_BYTES_MAX, &b, NULL) || !b.len)
        return;
    const char *last = NULL;
    for (const char *p = b.data; (p = strstr(p, "\"msg\"")); p += 5)
        last = p + 5;
    last = last ? strchr(last, '"') : NULL;
    if (!last)
        return;
    size_t n = 0;
    for (last++; *last && *last != '"' && n + 1 < size; last++) {
        if (*last == '\\' && last[1])
            last++;
        out[n++] = *last;
    }
    out[n] = '\0';
}

bool oci_started(struct shim *s, int status, struct error *err)
{
    s->runtime_pid = 0;
    if (WIFSIGNALED(status))
        return error_set(err, ERROR_INTERNAL, "%s was killed by signal %d while it made the container",
                         s->spec.runtime, WTERMSIG(status));
    if (status != 0) {
        char why[700];
        runtime_message(why, sizeof why);
        return error_set(err, ERROR_INTERNAL, "%s could not make the container: %s", s->spec.runtime,
                         WEXITSTATUS(status) == 127 ? "it could not be executed" : why);
    }
    _cleanup_buf_ struct buf b = {0};
    if (!fs_read_file(AT_FDCWD, NEST_PID_FILE, 64, &b, err))
        return error_wrap(err, "%s", s->spec.runtime);
    s->init_pid = (pid_t)strtol(b.data, NULL, 10);
    if (s->init_pid <= 1)
        return error_set(err, ERROR_INTERNAL, "%s wrote no process id", s->spec.runtime);
    return true;
}
