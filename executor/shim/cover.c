/*
 * What of the machine a task must not reach is covered: Berth's own files, also where a mount of the user's
 * shows them again, and the Unix sockets of services. The agent looks whether the task could reach a path at
 * all; so no service's right ever walks a path that somebody else can change.
 */
#include "executor/shim/root.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"

#include <inttypes.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* A person's ids begin here (Debian policy 9.2.2); sockets of those below are services'. */
#define FIRST_PERSON_UID 1000
#define NOBODY_UID 65534
#define PERSON_WAIT_MS 2000 /* for the file system of a person's socket */
#define SOCKETS_OF_ONE_PERSON_MAX 1024
#define SOCKETS_OF_PERSONS_MAX 8192 /* together; the kernel allows a namespace 100,000 mounts */
#define SUBORDINATE_MAX 256
#define SUBORDINATE_KEY 0x80000000u /* and above: the owner of a range of /etc/subuid, instead of a uid */
#define PERSONS_MAX 256

/* Sockets outside /run and /tmp that name services are reached by. */
static const char *const sockets_kept[] = {"/var/lib/sss/pipes/nss", "/var/lib/sss/pipes/pam"};
/* What every task has of its own (root_machine.c, root.c): no socket of the machine's is seen there. */
static const char *const places_of_the_task[] = {"/tmp", "/var/tmp", "/dev", "/proc"};

static bool cover(int target, bool directory, struct error *err)
{
    _cleanup_close_ int tree = tree_clone(AT_FDCWD, directory ? NEST "/empty.d" : NEST "/empty", err);
    if (tree < 0 || !tree_restrict(tree, TREE_READ_ONLY | TREE_NO_DEVICES, err))
        return false;
    if (move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
        return error_errno(err, errno, "can't cover a path");
    return true;
}

static bool cover_path(struct new_root *r, int from_fd, const char *path, struct error *err)
{
    _cleanup_close_ int target = agent_find(r->agent, from_fd, path, 0, NULL);
    if (target < 0) /* the task is the same user and gets no further */
        return errno != ETIMEDOUT ||
               error_set(err, ERROR_TIMEOUT, "%s: its file system did not answer", path);
    return cover(target, kind_of(target) == S_IFDIR, err) || error_wrap(err, "%s", path);
}

/* Where a mount of the user's shows it again: from that mount's own root, wherever it stands. */
static bool cover_aliases(struct shim *s, struct new_root *r, const struct sources *src, const char *own,
                          struct error *err)
{
    for (size_t k = 0; k < s->spec.bind_sources.n; k++) {
        const char *source = src->bind_paths[k];
        if (src->placed[k] >= 0 && source && *source && path_is_below(own, source) &&
            !cover_path(r, src->placed[k], own + (source[1] ? strlen(source) : 0), err))
            return false;
    }
    return true;
}

bool root_put_covers(struct shim *s, struct new_root *r, const struct sources *src, struct error *err)
{
    for (size_t i = 0; i < s->spec.covers.n; i++)
        if (!cover_path(r, r->fd, s->spec.covers.v[i], err) ||
            !cover_aliases(s, r, src, s->spec.covers.v[i], err))
            return false;
    return cover_aliases(s, r, src, BERTH_RUN_DIR, err);
}

static bool socket_wanted(const struct spec *s, const char *path)
{
    for (size_t i = 0; i < sizeof sockets_kept / sizeof *sockets_kept; i++)
        if (strcmp(path, sockets_kept[i]) == 0)
            return true;
    if (root_keeps_run(path))
        return true;
    for (size_t i = 0; i < s->allow_sockets.n; i++)
        if (path_is_below(path, s->allow_sockets.v[i]))
            return true;
    for (size_t i = 0; i < s->bind_targets.n; i++) /* named by the user */
        if (path_is_below(path, s->bind_targets.v[i]))
            return true;
    for (size_t i = 0; i < sizeof places_of_the_task / sizeof *places_of_the_task; i++)
        if (path_is_below(path, places_of_the_task[i]))
            return true;
    return false;
}

/* How many of a person's sockets were looked at: what one has in excess, or hides behind a file system that
 * never answers, is that one's loss and keeps nobody's task from starting. */
struct persons {
    struct {
        uint32_t uid;
        unsigned looks;
        bool given_up;
    } v[PERSONS_MAX];
    size_t n;
};

static bool person_counts(struct persons *p, uint32_t uid, size_t *at)
{
    for (*at = 0; *at < p->n; ++*at)
        if (p->v[*at].uid == uid)
            return !p->v[*at].given_up && p->v[*at].looks < SOCKETS_OF_ONE_PERSON_MAX;
    if (p->n == PERSONS_MAX)
        return false;
    p->v[p->n].uid = uid;
    p->v[p->n].looks = 0;
    p->v[p->n++].given_up = false;
    return true;
}

struct walk {
    struct shim *s;
    struct new_root *r;
    struct persons persons;
    struct {
        unsigned long first, count;
    } subordinate[SUBORDINATE_MAX]; /* /etc/subuid */
    size_t n_subordinate;
    unsigned looks;
    bool services, left_out; /* services: this round is for theirs */
};

static void read_subordinate(struct walk *w)
{
    _cleanup_file_ FILE *f = fopen("/etc/subuid", "re");
    char line[256];
    while (f && w->n_subordinate < SUBORDINATE_MAX && fgets(line, sizeof line, f)) {
        char *first = strchr(line, ':'), *count = NULL;
        unsigned long from = first ? strtoul(first + 1, &count, 10) : 0;
        if (!count || *count != ':')
            continue;
        w->subordinate[w->n_subordinate].first = from;
        w->subordinate[w->n_subordinate++].count = strtoul(count + 1, NULL, 10);
    }
}

/* A user namespace makes one person many ids: they count as one. */
static uint32_t person_of(const struct walk *w, uint32_t uid)
{
    for (size_t i = 0; i < w->n_subordinate; i++)
        if (uid >= w->subordinate[i].first && uid - w->subordinate[i].first < w->subordinate[i].count)
            return SUBORDINATE_KEY + (uint32_t)i;
    return uid;
}

static bool socket_of_service(uint32_t uid)
{
    return uid < FIRST_PERSON_UID || uid == NOBODY_UID;
}

static bool take_socket(struct walk *w, const char *path, uint32_t uid, struct error *err)
{
    static struct agent_reply found;
    size_t at = 0;
    bool service = socket_of_service(uid);
    if (path[0] != '/' || service != w->services || socket_wanted(&w->s->spec, path))
        return true;
    if (!service &&
        (w->looks == SOCKETS_OF_PERSONS_MAX || !person_counts(&w->persons, person_of(w, uid), &at))) {
        w->left_out = true;
        return true;
    }
    if (!service) {
        w->persons.v[at].looks++;
        w->looks++;
    }
    struct path_agent *agent = w->r->agent;
    int64_t until_ms = agent->until_ms, soon_ms = clock_boot_ms() + PERSON_WAIT_MS;
    if (!service && soon_ms < until_ms)
        agent->until_ms = soon_ms;
    _cleanup_close_ int target = agent_find(agent, w->r->fd, path, AGENT_NO_FOLLOW, &found);
    agent->until_ms = until_ms;
    if (target < 0 && errno == ECANCELED)
        return error_set(err, ERROR_CONFLICT, "stopped before it started");
    if (target < 0 && errno == ETIMEDOUT) {
        if (service)
            return error_set(err, ERROR_TIMEOUT, "the socket %s: its file system did not answer", path);
        w->persons.v[at].given_up = w->left_out = true;
        struct agent_user user = source_user(w->s);
        return agent_start(agent, &user, err);
    }
    if (target < 0 || !S_ISSOCK(found.mode))
        return true;
    if (!cover(target, false, err)) {
        if (service)
            return error_wrap(err, "the socket %s", path);
        *err = (struct error){0};
        w->left_out = w->persons.v[at].given_up = true;
        return true;
    }
    return true;
}

/* One answer of sock_diag(7): a socket's name and owner. */
static bool take_answer(struct walk *w, const struct nlmsghdr *h, struct error *err)
{
    const struct unix_diag_msg *m = NLMSG_DATA(h);
    const char *at = (const char *)(m + 1), *end = (const char *)h + h->nlmsg_len;
    char path[sizeof((struct sockaddr_un *)0)->sun_path + 1] = "";
    uint32_t uid = 0; /* not known: as a service's */
    while (at + sizeof(struct nlattr) <= end) {
        const struct nlattr *a = (const struct nlattr *)at;
        if (a->nla_len < sizeof *a || at + a->nla_len > end)
            break;
        size_t n = a->nla_len - sizeof *a;
        if (a->nla_type == UNIX_DIAG_NAME && n < sizeof path) {
            memcpy(path, a + 1, n);
            path[n] = '\0';
        } else if (a->nla_type == UNIX_DIAG_UID && n == sizeof uid) {
            memcpy(&uid, a + 1, n);
        }
        at += (a->nla_len + 3u) & ~3u;
    }
    return take_socket(w, path, uid, err);
}

/* The kernel's list of Unix sockets, however long it is, a buffer at a time. False with err unset: this
 * kernel has no sock_diag for them. */
static bool ask_kernel(struct walk *w, bool *answered, struct error *err)
{
    static char buffer[32768] __attribute__((aligned(8)));
    struct {
        struct nlmsghdr h;
        struct unix_diag_req r;
    } ask = {
        .h = {.nlmsg_len = sizeof ask,
              .nlmsg_type = SOCK_DIAG_BY_FAMILY,
              .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .r = {.sdiag_family = AF_UNIX, .udiag_states = ~0u, .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_UID}};
    const int fd = w->r->diag_fd;
    *answered = false;
    if (fd < 0 || send(fd, &ask, sizeof ask, 0) != sizeof ask)
        return true;
    for (;;) {
        ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        if (n <= 0)
            return error_errno(err, n < 0 ? errno : EIO, "can't read the list of Unix sockets");
        for (const struct nlmsghdr *h = (const struct nlmsghdr *)buffer; NLMSG_OK(h, (size_t)n);
             h = NLMSG_NEXT(h, n)) {
            if (h->nlmsg_type == NLMSG_ERROR)
                return true;
            *answered = true;
            if (h->nlmsg_type == NLMSG_DONE)
                return true;
            if (!take_answer(w, h, err))
                return false;
        }
    }
}

/* The same without owners, from /proc/net/unix: each counts as a service's. */
static bool read_list(struct walk *w, struct error *err)
{
    _cleanup_file_ FILE *f = fopen("/proc/net/unix", "re");
    char line[512];
    while (f && fgets(line, sizeof line, f)) {
        char *path = strchr(line, '/');
        if (!path || path == line || path[-1] != ' ')
            continue;
        path[strcspn(path, "\n")] = '\0';
        if (!take_socket(w, path, 0, err))
            return false;
    }
    return f || error_errno(err, errno, "can't read the list of Unix sockets");
}

bool root_cover_sockets(struct shim *s, struct new_root *r, struct error *err)
{
    struct walk *w = xcalloc(1, sizeof *w);
    bool answered = false;
    w->s = s;
    w->r = r;
    read_subordinate(w);
    bool ok = true;
    for (int round = 0; ok && round < 2; round++) { /* services first: persons can't take their place */
        w->services = round == 0;
        ok = ask_kernel(w, &answered, err) && (answered || read_list(w, err));
    }
    if (ok && w->left_out) {
        size_t used = strlen(s->outcome.notes);
        snprintf(s->outcome.notes + used, sizeof s->outcome.notes - used,
                 "%snot all sockets of other persons are covered", used ? "; " : "");
    }
    free(w);
    return ok;
}
