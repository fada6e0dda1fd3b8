/*
 * What of the machine a task must not reach is covered: Berth's own files, also where a mount of the user's
 * shows them again, and the Unix sockets of services. The agent looks whether the task could reach a path at
 * all; so no service's right ever walks a path that somebody else can change.
 */
#include "executor/shim/root.h"

#include "base/alloc.h"
#include "base/cleanup.h"

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
#define SOCKETS_OF_ONE_PERSON_MAX 1024
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

static bool cover_path(struct new_root *r, const char *path, struct error *err)
{
    _cleanup_close_ int target = agent_find(r->agent, r->fd, path, 0, NULL);
    if (target < 0) /* the task is the same user and gets no further */
        return errno != ETIMEDOUT ||
               error_set(err, ERROR_TIMEOUT, "%s: its file system did not answer", path);
    return cover(target, kind_of(target) == S_IFDIR, err) || error_wrap(err, "%s", path);
}

bool root_put_covers(struct shim *s, struct new_root *r, const struct sources *src, struct error *err)
{
    const struct spec *spec = &s->spec;
    for (size_t i = 0; i < spec->covers.n; i++) {
        const char *own = spec->covers.v[i];
        if (!cover_path(r, own, err))
            return false;
        for (size_t k = 0; k < spec->bind_sources.n; k++) {
            const char *source = src->bind_paths[k];
            if (!source || !*source || !path_is_below(own, source))
                continue;
            _cleanup_free_ char *alias =
                xasprintf("%s/%s", spec->bind_targets.v[k], own + (source[1] ? strlen(source) : 0));
            if (!cover_path(r, alias, err))
                return false;
        }
    }
    return true;
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
    bool left_out;
};

static bool socket_of_service(uint32_t uid)
{
    return uid < FIRST_PERSON_UID || uid == NOBODY_UID;
}

static bool take_socket(struct walk *w, const char *path, uint32_t uid, struct error *err)
{
    static struct agent_reply found;
    size_t at = 0;
    bool service = socket_of_service(uid);
    if (path[0] != '/' || socket_wanted(&w->s->spec, path))
        return true;
    if (!service && !person_counts(&w->persons, uid, &at)) {
        w->left_out = true;
        return true;
    }
    if (!service)
        w->persons.v[at].looks++;
    _cleanup_close_ int target = agent_find(w->r->agent, w->r->fd, path, AGENT_NO_FOLLOW, &found);
    if (target < 0 && errno == ETIMEDOUT) {
        if (service)
            return error_set(err, ERROR_TIMEOUT, "the socket %s: its file system did not answer", path);
        w->persons.v[at].given_up = w->left_out = true;
        struct agent_user user = source_user(w->s);
        return agent_start(w->r->agent, &user, err);
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
    bool ok = ask_kernel(w, &answered, err) && (answered || read_list(w, err));
    if (ok && w->left_out) {
        size_t used = strlen(s->outcome.notes);
        snprintf(s->outcome.notes + used, sizeof s->outcome.notes - used,
                 "%snot all sockets of other persons are covered", used ? "; " : "");
    }
    free(w);
    return ok;
}
