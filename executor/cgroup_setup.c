/*
 * Finding the cgroup hierarchies of this machine and the folders in them under which tasks' groups may stand.
 * v2: the highest group from the root down to our own that we may write, so that a restarted service never
 * has to start inside a group with controllers enabled (a group with processes can't have them). v1: below
 * our own group.
 */
#include "executor/cgroup.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "executor/cgroup_files.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define MOUNTINFO_BYTES_MAX (4u << 20)

static const struct {
    const char *name;
    unsigned bit;
} controller_names[] = {
    {"cpuset", CGROUP_CPUSET},   {"memory", CGROUP_MEMORY}, {"pids", CGROUP_PIDS},
    {"freezer", CGROUP_FREEZER}, {"cpu", CGROUP_CPU},
};
#define CONTROLLERS (sizeof controller_names / sizeof *controller_names)

struct mount_line {
    char root[CGROUP_PATH_MAX], point[CGROUP_PATH_MAX], options[256];
    bool v2, v1;
};

/* One line of mountinfo (proc(5)): id parent major:minor root point options [tags] - type source
 * superoptions. */
static bool parse_mount(char *line, struct mount_line *m)
{
    memset(m, 0, sizeof *m);
    char *dash = strstr(line, " - ");
    char type[64];
    if (!dash || sscanf(line, "%*s %*s %*s %511s %511s", m->root, m->point) != 2 ||
        sscanf(dash + 3, "%63s %*s %255s", type, m->options) != 2)
        return false;
    m->v2 = strcmp(type, "cgroup2") == 0;
    m->v1 = strcmp(type, "cgroup") == 0;
    return m->v1 || m->v2;
}

static bool has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; (p = strstr(p, word)); p += n)
        if ((p == list || p[-1] == ',' || p[-1] == ' ') &&
            (p[n] == '\0' || p[n] == ',' || p[n] == ' ' || p[n] == '\n'))
            return true;
    return false;
}

static unsigned controllers_in(const char *list)
{
    unsigned found = 0;
    for (size_t i = 0; i < CONTROLLERS; i++)
        if (has_word(list, controller_names[i].name))
            found |= controller_names[i].bit;
    return found;
}

/* Our own path in the hierarchy that the mount shows (/proc/self/cgroup: "id:controllers:path"); "" where it
 * has none. */
static void own_path(const char *self_cgroup, const struct mount_line *m, char *out)
{
    out[0] = '\0';
    const char *line = self_cgroup;
    while (line && *line) {
        const char *end = strchrnul(line, '\n');
        const char *first = strchr(line, ':');
        const char *second = first && first < end ? strchr(first + 1, ':') : NULL;
        if (second && second < end) {
            char list[256];
            snprintf(list, sizeof list, "%.*s", (int)(second - first - 1), first + 1);
            const char *one = list[0] ? strtok(list, ",") : "";
            bool ours = m->v2 ? list[0] == '\0' : list[0] != '\0' && has_word(m->options, one);
            if (ours) {
                snprintf(out, CGROUP_PATH_MAX, "%.*s", (int)(end - second - 1), second + 1);
                return;
            }
        }
        line = *end ? end + 1 : NULL;
    }
}

/* The folder that shows our own group, or the mount point where it lies outside what is mounted. */
static void own_folder(const struct mount_line *m, const char *path, char *out)
{
    size_t root = strcmp(m->root, "/") == 0 ? 0 : strlen(m->root);
    const char *below = strncmp(path, m->root, root) == 0 ? path + root : "";
    int n = snprintf(out, CGROUP_PATH_MAX, "%s%s", m->point, strcmp(below, "/") == 0 ? "" : below);
    if (n >= CGROUP_PATH_MAX || strstr(path, "/..") || access(out, F_OK) != 0)
        snprintf(out, CGROUP_PATH_MAX, "%s", m->point);
}

static bool writable_group(const char *folder)
{
    char procs[CGROUP_PATH_MAX + 32], control[CGROUP_PATH_MAX + 32];
    snprintf(procs, sizeof procs, "%s/cgroup.procs", folder);
    snprintf(control, sizeof control, "%s/cgroup.subtree_control", folder);
    return access(folder, W_OK) == 0 && access(procs, W_OK) == 0 && access(control, W_OK) == 0;
}

/* Moves every process of a v2 group to its leaf "supervisor": a group with processes can't have controllers
 * below it. */
static void move_to_leaf(const char *folder)
{
    char leaf[CGROUP_PATH_MAX + 16];
    snprintf(leaf, sizeof leaf, "%s/supervisor", folder);
    if (mkdir(leaf, 0755) != 0 && errno != EEXIST)
        return;
    _cleanup_buf_ struct buf procs = {0};
    if (!cgroup_file_read(folder, "cgroup.procs", &procs))
        return;
    for (char *p = strtok(procs.data, "\n"); p; p = strtok(NULL, "\n"))
        cgroup_file_write(leaf, "cgroup.procs", p);
}

static unsigned enable_controllers(const char *folder, unsigned wanted)
{
    _cleanup_buf_ struct buf there = {0};
    if (!cgroup_file_read(folder, "cgroup.controllers", &there))
        return 0;
    unsigned enabled = 0;
    for (size_t i = 0; i < CONTROLLERS; i++) {
        if (!(wanted & controller_names[i].bit) || !has_word(there.data, controller_names[i].name))
            continue;
        char word[32];
        snprintf(word, sizeof word, "+%s", controller_names[i].name);
        bool ok = cgroup_file_write(folder, "cgroup.subtree_control", word);
        if (!ok && errno == EBUSY) {
            move_to_leaf(folder);
            ok = cgroup_file_write(folder, "cgroup.subtree_control", word);
        }
        if (ok)
            enabled |= controller_names[i].bit;
    }
    return enabled;
}

static bool setup_v2(struct cgroup_hierarchy *h, const struct mount_line *m, const char *own, const char *tag)
{
    char folder[CGROUP_PATH_MAX];
    own_folder(m, own, folder);
    size_t shortest = strlen(m->point), longest = strlen(folder);
    for (size_t end = shortest; end <= longest; end++) {
        if (end != shortest && end != longest && folder[end] != '/')
            continue;
        char candidate[CGROUP_PATH_MAX];
        snprintf(candidate, sizeof candidate, "%.*s", (int)end, folder);
        if (!writable_group(candidate))
            continue;
        if (snprintf(h->base, sizeof h->base, "%s/berth-%s", candidate, tag) >= (int)sizeof h->base)
            return false;
        enable_controllers(candidate, CGROUP_CPUSET | CGROUP_MEMORY | CGROUP_PIDS | CGROUP_CPU);
        if (mkdir(h->base, 0755) != 0 && errno != EEXIST)
            continue;
        h->v2 = true;
        h->controllers = enable_controllers(h->base, CGROUP_CPUSET | CGROUP_MEMORY | CGROUP_PIDS);
        return true;
    }
    return false;
}

static bool setup_v1(struct cgroup_hierarchy *h, const struct mount_line *m, const char *own, const char *tag)
{
    char folder[CGROUP_PATH_MAX];
    own_folder(m, own, folder);
    if (access(folder, W_OK) != 0 ||
        snprintf(h->base, sizeof h->base, "%s/berth-%s", folder, tag) >= (int)sizeof h->base ||
        (mkdir(h->base, 0755) != 0 && errno != EEXIST))
        return false;
    h->v2 = false;
    h->controllers = controllers_in(m->options) & ~(unsigned)CGROUP_CPU;
    if (h->controllers & CGROUP_CPUSET)
        cgroup_cpuset_inherit(folder, h->base);
    return true;
}

void cgroup_tree_setup(struct cgroup_tree *t, const char *tag)
{
    memset(t, 0, sizeof *t);
    _cleanup_buf_ struct buf mounts = {0}, self = {0};
    if (!fs_read_file(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_BYTES_MAX, &mounts, NULL) ||
        !fs_read_file(AT_FDCWD, "/proc/self/cgroup", 65536, &self, NULL) || !mounts.len || !self.len) {
        snprintf(t->why, sizeof t->why, "this machine shows no cgroups");
        return;
    }
    bool any = false;
    char *rest = mounts.data;
    for (char *line; (line = strsep(&rest, "\n"));) {
        struct mount_line m;
        char own[CGROUP_PATH_MAX];
        if (!parse_mount(line, &m) || t->n == CGROUP_HIERARCHIES_MAX)
            continue;
        any = true;
        own_path(self.data, &m, own);
        struct cgroup_hierarchy *h = &t->h[t->n];
        if (m.v2 ? setup_v2(h, &m, own, tag) : setup_v1(h, &m, own, tag)) {
            t->controllers |= h->controllers | (h->v2 ? CGROUP_FREEZER : 0);
            t->n++;
        }
    }
    if (t->n == 0)
        snprintf(t->why, sizeof t->why, "%s",
                 !any             ? "no cgroup filesystem is mounted"
                 : geteuid() == 0 ? "the cgroup filesystem can't be written here"
                                  : "this user's cgroup is not delegated to it");
}
