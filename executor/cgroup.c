/*
 * One task's group in every hierarchy of a tree: made, joined, killed, asked, removed. Nothing is kept in
 * memory: all of it can be done by a process that knows only the tree and the group's name.
 */
#include "executor/cgroup.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "executor/cgroup_files.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define FILE_BYTES_MAX (1u << 20)
#define DEPTH_MAX 8
#define KILL_ROUNDS_MAX 64
#define BASE_TRIES_MAX 100
#define BUSY_ROUNDS_MAX 1000
#define BUSY_ROUND_NS 1000000

bool cgroup_file_read(const char *folder, const char *file, struct buf *out)
{
    char path[CGROUP_PATH_MAX * 2];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    buf_reserve(out, 4096);
    while (out->len < FILE_BYTES_MAX) {
        buf_reserve(out, 4096);
        ssize_t n = read(fd, out->data + out->len, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        if (n == 0)
            break;
        out->len += (size_t)n;
    }
    out->data[out->len] = '\0';
    return true;
}

bool cgroup_file_write(const char *folder, const char *file, const char *text)
{
    char path[CGROUP_PATH_MAX * 2];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t n = strlen(text);
    return write(fd, text, n) == (ssize_t)n;
}

void cgroup_cpuset_inherit(const char *parent, const char *child)
{
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
    for (size_t i = 0; i < 2; i++) {
        _cleanup_buf_ struct buf mine = {0}, theirs = {0};
        if (cgroup_file_read(child, files[i], &mine) && mine.len <= 1 &&
            cgroup_file_read(parent, files[i], &theirs))
            cgroup_file_write(child, files[i], theirs.data);
    }
}

static bool group_path(const struct cgroup_hierarchy *h, const char *name, char *out)
{
    return snprintf(out, CGROUP_PATH_MAX * 2, "%s/%s", h->base, name) < CGROUP_PATH_MAX * 2;
}

/* The hierarchy that kills, freezes and tells emptiness: v2, else freezer, else any with a controller. */
static const struct cgroup_hierarchy *lead(const struct cgroup_tree *t)
{
    const struct cgroup_hierarchy *best = NULL;
    for (size_t i = 0; i < t->n; i++) {
        const struct cgroup_hierarchy *h = &t->h[i];
        if (h->v2)
            return h;
        if (h->controllers && (!best || (h->controllers & CGROUP_FREEZER)))
            best = h;
    }
    return best;
}

static void note_refused(char *refused, size_t size, const char *what)
{
    if (!refused || !size)
        return;
    size_t used = strlen(refused);
    snprintf(refused + used, size - used, "%s%s", used ? ", " : "", what);
}

static void set_limits(const struct cgroup_hierarchy *h, const char *path, const struct cgroup_limits *l,
                       char *refused, size_t size)
{
    char number[32];
    if (h->controllers & CGROUP_CPUSET) {
        if (!h->v2)
            cgroup_cpuset_inherit(h->base, path);
        if (l->cpus && *l->cpus && !cgroup_file_write(path, "cpuset.cpus", l->cpus))
            note_refused(refused, size, "cpus");
        if (l->mems && *l->mems && !cgroup_file_write(path, "cpuset.mems", l->mems))
            note_refused(refused, size, "mems");
    }
    if ((h->controllers & CGROUP_MEMORY) && l->memory_bytes) {
        snprintf(number, sizeof number, "%" PRIu64, l->memory_bytes);
        if (!cgroup_file_write(path, h->v2 ? "memory.max" : "memory.limit_in_bytes", number))
            note_refused(refused, size, "memory");
        /* No swap beyond the limit: v1 counts memory and swap together. Neither file is there without swap
         * accounting. */
        if (h->v2)
            cgroup_file_write(path, "memory.swap.max", "0");
        else
            cgroup_file_write(path, "memory.memsw.limit_in_bytes", number);
    }
    if ((h->controllers & CGROUP_PIDS) && l->pids) {
        snprintf(number, sizeof number, "%" PRIu64, l->pids);
        if (!cgroup_file_write(path, "pids.max", number))
            note_refused(refused, size, "pids");
    }
}

static void make_base(const struct cgroup_hierarchy *h)
{
    if (mkdir(h->base, 0755) != 0 && errno != EEXIST)
        return;
    if (h->v2) {
        static const char *const words[] = {"+cpuset", "+memory", "+pids"};
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            cgroup_file_write(h->base, "cgroup.subtree_control", words[i]);
    } else if (h->controllers & CGROUP_CPUSET) {
        char parent[CGROUP_PATH_MAX];
        snprintf(parent, sizeof parent, "%s", h->base);
        *strrchr(parent, '/') = '\0';
        cgroup_cpuset_inherit(parent, h->base);
    }
}

bool cgroup_create(const struct cgroup_tree *t, const char *name, const struct cgroup_limits *limits,
                   char *refused, size_t size, struct error *err)
{
    const struct cgroup_hierarchy *first = lead(t);
    for (size_t i = 0; i < t->n; i++) {
        const struct cgroup_hierarchy *h = &t->h[i];
        char path[CGROUP_PATH_MAX * 2];
        if (!h->v2 && !h->controllers && !limits->everywhere)
            continue;
        if (!group_path(h, name, path))
            return error_set(err, ERROR_LIMIT, "the cgroup path of %s is too long", name);
        int rc = mkdir(path, 0755);
        for (int try = 0; rc != 0 && errno == ENOENT && try < BASE_TRIES_MAX; try++) {
            make_base(h); /* taken away when it was empty and nobody seemed to need it */
            rc = mkdir(path, 0755);
        }
        if (rc != 0 && errno != EEXIST) {
            if (h == first)
                return error_errno(err, errno, "can't create the cgroup %s", path);
            note_refused(refused, size, h->base);
            continue;
        }
        set_limits(h, path, limits, refused, size);
    }
    return true;
}

bool cgroup_join(const struct cgroup_tree *t, const char *name, int pid)
{
    char number[16];
    int n = snprintf(number, sizeof number, "%d", pid);
    const struct cgroup_hierarchy *first = lead(t);
    bool joined = true;
    /* The one that tells emptiness comes first: whoever is in any of the groups is seen by it. */
    for (size_t i = 0; i <= t->n; i++) {
        const struct cgroup_hierarchy *h = i == 0 ? first : &t->h[i - 1];
        char path[CGROUP_PATH_MAX * 2 + 16];
        if (!h || (i > 0 && h == first))
            continue;
        snprintf(path, sizeof path, "%s/%s/cgroup.procs", h->base, name);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0) {
            joined = joined && h != first;
            continue;
        }
        joined = write(fd, number, (size_t)n) == n && joined;
        close(fd);
    }
    return joined;
}

/* Calls `each` for a group and all below it, deepest first. */
static void walk(const char *path, int depth, void (*each)(const char *path, void *data), void *data)
{
    _cleanup_dir_ DIR *dir = depth < DEPTH_MAX ? opendir(path) : NULL;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        char below[CGROUP_PATH_MAX * 2 + 256];
        if (snprintf(below, sizeof below, "%s/%s", path, entry->d_name) < CGROUP_PATH_MAX * 2)
            walk(below, depth + 1, each, data);
    }
    each(path, data);
}

static void kill_listed(const char *path, void *data)
{
    int *count = data;
    _cleanup_buf_ struct buf procs = {0};
    if (!cgroup_file_read(path, "cgroup.procs", &procs))
        return;
    char *rest = procs.data;
    for (char *p; (p = strsep(&rest, "\n"));) {
        int pid = (int)strtol(p, NULL, 10);
        if (pid > 1) { /* 0 stands for processes of another PID namespace */
            kill(pid, SIGKILL);
            (*count)++;
        }
    }
}

bool cgroup_kill(const struct cgroup_tree *t, const char *name)
{
    const struct cgroup_hierarchy *h = lead(t);
    char path[CGROUP_PATH_MAX * 2];
    if (!h || !group_path(h, name, path))
        return false;
    if (h->v2 && cgroup_file_write(path, "cgroup.kill", "1"))
        return true;
    /* Frozen processes can't fork away from the list; the kill takes effect when they thaw. Without a freezer
     * the pids limit bounds the race, and the rounds win it. */
    cgroup_freeze(t, name, true);
    int listed = 0;
    for (int round = 0; round < KILL_ROUNDS_MAX; round++) {
        int count = 0;
        walk(path, 0, kill_listed, &count);
        if (count <= listed && round > 0)
            break;
        listed = count;
    }
    cgroup_freeze(t, name, false);
    return true;
}

static void count_listed(const char *path, void *data)
{
    _cleanup_buf_ struct buf procs = {0};
    if (cgroup_file_read(path, "cgroup.procs", &procs) && procs.len > 0)
        *(bool *)data = false;
}

bool cgroup_empty(const struct cgroup_tree *t, const char *name)
{
    const struct cgroup_hierarchy *h = lead(t);
    char path[CGROUP_PATH_MAX * 2];
    if (!h || !group_path(h, name, path))
        return true;
    if (h->v2) {
        _cleanup_buf_ struct buf events = {0};
        if (!cgroup_file_read(path, "cgroup.events", &events))
            return access(path, F_OK) != 0;
        return strstr(events.data, "populated 0") != NULL;
    }
    bool empty = true;
    walk(path, 0, count_listed, &empty);
    return empty;
}

int cgroup_events_fd(const struct cgroup_tree *t, const char *name)
{
    const struct cgroup_hierarchy *h = lead(t);
    char path[CGROUP_PATH_MAX * 2 + 16];
    if (!h || !h->v2)
        return -1;
    snprintf(path, sizeof path, "%s/%s/cgroup.events", h->base, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

bool cgroup_freeze(const struct cgroup_tree *t, const char *name, bool frozen)
{
    for (size_t i = 0; i < t->n; i++) {
        char path[CGROUP_PATH_MAX * 2];
        if (!group_path(&t->h[i], name, path))
            continue;
        if (t->h[i].v2 && cgroup_file_write(path, "cgroup.freeze", frozen ? "1" : "0"))
            return true;
        if (!t->h[i].v2 && (t->h[i].controllers & CGROUP_FREEZER) &&
            cgroup_file_write(path, "freezer.state", frozen ? "FROZEN" : "THAWED"))
            return true;
    }
    return false;
}

/* The number after `key` and a space at the start of a line; 0 where there is none. */
static uint64_t keyed(const char *text, const char *key)
{
    size_t n = strlen(key);
    for (const char *p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
        if (strncmp(p, key, n) == 0 && p[n] == ' ')
            return strtoull(p + n + 1, NULL, 10);
    return 0;
}

static uint64_t number_in(const char *path, const char *file)
{
    _cleanup_buf_ struct buf text = {0};
    return cgroup_file_read(path, file, &text) && text.len ? strtoull(text.data, NULL, 10) : 0;
}

/* v1 counts a kill in the victim's own group only, so all of them are added up. */
static void add_usage_v1(const char *path, void *data)
{
    struct cgroup_usage *u = data;
    _cleanup_buf_ struct buf control = {0};
    if (cgroup_file_read(path, "memory.oom_control", &control))
        u->oom_kills += keyed(control.data, "oom_kill");
    u->oom_events += number_in(path, "memory.failcnt");
}

void cgroup_usage(const struct cgroup_tree *t, const char *name, struct cgroup_usage *u)
{
    memset(u, 0, sizeof *u);
    for (size_t i = 0; i < t->n; i++) {
        char path[CGROUP_PATH_MAX * 2];
        if (!(t->h[i].controllers & CGROUP_MEMORY) || !group_path(&t->h[i], name, path) ||
            access(path, F_OK) != 0)
            continue;
        u->known = true;
        if (!t->h[i].v2) {
            walk(path, 0, add_usage_v1, u);
            u->peak_bytes = number_in(path, "memory.max_usage_in_bytes");
            u->limit_bytes = number_in(path, "memory.limit_in_bytes");
            continue;
        }
        _cleanup_buf_ struct buf events = {0};
        if (cgroup_file_read(path, "memory.events", &events)) {
            u->oom_kills = keyed(events.data, "oom_kill");
            u->oom_events = keyed(events.data, "oom");
        }
        u->peak_bytes = number_in(path, "memory.peak"); /* kernel 5.19 */
        u->limit_bytes = number_in(path, "memory.max");
    }
}

static void remove_one(const char *path, void *data)
{
    (void)data;
    rmdir(path);
}

bool cgroup_remove(const struct cgroup_tree *t, const char *name)
{
    bool gone = true;
    for (size_t i = 0; i < t->n; i++) {
        char path[CGROUP_PATH_MAX * 2];
        if (!group_path(&t->h[i], name, path) || access(path, F_OK) != 0)
            continue;
        walk(path, 0, remove_one, NULL);
        gone = access(path, F_OK) != 0 && gone;
    }
    return gone;
}

void cgroup_hierarchy_format(const struct cgroup_hierarchy *h, char *out, size_t size)
{
    snprintf(out, size, "%s:%u:%s", h->v2 ? "v2" : "v1", h->controllers, h->base);
}

bool cgroup_hierarchy_parse(const char *text, struct cgroup_hierarchy *h)
{
    memset(h, 0, sizeof *h);
    h->v2 = strncmp(text, "v2:", 3) == 0;
    char *end;
    if (!h->v2 && strncmp(text, "v1:", 3) != 0)
        return false;
    h->controllers = (unsigned)strtoul(text + 3, &end, 10);
    if (end == text + 3 || end[0] != ':' || end[1] != '/')
        return false;
    return snprintf(h->base, sizeof h->base, "%s", end + 1) < (int)sizeof h->base;
}

static bool has_groups(const char *path)
{
    _cleanup_dir_ DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            return true;
    return false;
}

/* The kernel hides processes that die from cgroup.procs before they have left their group. */
static int remove_base(const char *base)
{
    int why = 0;
    for (int round = 0; round < BUSY_ROUNDS_MAX; round++) {
        why = rmdir(base) == 0 ? 0 : errno;
        if (why != EBUSY || has_groups(base))
            break;
        nanosleep(&(struct timespec){.tv_nsec = BUSY_ROUND_NS}, NULL);
    }
    return why == ENOENT ? 0 : why;
}

bool cgroup_tree_remove(const struct cgroup_tree *t, struct error *err)
{
    bool gone = true;
    for (size_t i = 0; i < t->n; i++) {
        int why = remove_base(t->h[i].base);
        if (why && gone)
            gone = error_errno(err, why, "can't remove the cgroup %s", t->h[i].base);
    }
    return gone;
}
