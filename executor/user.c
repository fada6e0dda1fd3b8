/* Principals to local users, by the reentrant NSS calls. */
#include "executor/user.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>

#define ENTRY_MAX_BYTES (1u << 20)

/* Fills *entry from name, or from uid where name is NULL. 0, ENOENT where there is none, or an errno. */
static int look_up(const char *name, uid_t uid, struct passwd *entry, char **storage)
{
    size_t size = 4096;
    for (;;) {
        struct passwd *found = NULL;
        *storage = xrealloc(*storage, size);
        int e = name ? getpwnam_r(name, entry, *storage, size, &found)
                     : getpwuid_r(uid, entry, *storage, size, &found);
        if (e == ERANGE && size < ENTRY_MAX_BYTES) {
            size *= 2;
            continue;
        }
        if (found)
            return 0;
        /* getpwnam_r(3): "not found" comes as 0 or as one of these */
        return e == 0 || e == ENOENT || e == ESRCH || e == EBADF || e == EPERM ? ENOENT : e;
    }
}

static bool take_groups(struct user *user, struct error *err)
{
    int count = 32;
    for (;;) {
        user->groups = xrealloc(user->groups, (size_t)count * sizeof *user->groups);
        int got = count;
        if (getgrouplist(user->name, user->gid, user->groups, &got) >= 0) {
            user->group_count = (size_t)got;
            return true;
        }
        if (got > USER_GROUPS_MAX || count > USER_GROUPS_MAX)
            return error_set(err, ERROR_LIMIT, "%s is in more than %d groups", user->name, USER_GROUPS_MAX);
        count = got > count ? got : count * 2;
    }
}

bool user_resolve(const char *principal, int64_t uid_hint, struct user *out, struct error *err)
{
    _cleanup_free_ char *storage = NULL;
    struct passwd entry;
    memset(out, 0, sizeof *out);
    bool by_uid = strncmp(principal, "uid:", 4) == 0;
    uid_t uid = 0;
    int e;
    if (by_uid) {
        char *end;
        errno = 0;
        unsigned long long n = strtoull(principal + 4, &end, 10);
        if (end == principal + 4 || *end || errno || n >= UINT32_MAX ||
            (uid_hint >= 0 && (unsigned long long)uid_hint != n))
            return error_set(err, ERROR_INVALID, "\"%s\" is no principal", principal);
        uid = (uid_t)n;
        e = look_up(NULL, uid, &entry, &storage);
    } else {
        e = look_up(principal, 0, &entry, &storage);
    }
    if (e != 0 && e != ENOENT)
        return error_errno(err, e, "can't look up the user %s on this node", principal);
    if (e == ENOENT && !by_uid) {
        error_set(err, ERROR_DENIED, "this node has no login named %s", principal);
        return error_hint(err, "make the login %s on the node, or submit to another one", principal);
    }
    if (e == 0) {
        out->uid = entry.pw_uid;
        out->gid = entry.pw_gid;
        out->name = xstrdup(entry.pw_name);
        out->home = xstrdup(entry.pw_dir && entry.pw_dir[0] == '/' ? entry.pw_dir : "/");
        out->shell = xstrdup(entry.pw_shell && entry.pw_shell[0] == '/' ? entry.pw_shell : "/bin/sh");
    } else { /* a uid without a login */
        out->uid = uid;
        out->gid = uid == geteuid() ? getegid() : (gid_t)uid;
        out->name = xasprintf("%u", (unsigned)uid);
        out->home = xstrdup("/");
        out->shell = xstrdup("/bin/sh");
    }
    if (geteuid() != 0 && out->uid != geteuid()) {
        error_set(
            err, ERROR_DENIED,
            "this node's executor runs without root as uid %u, and runs only that user's jobs, not %s's",
            (unsigned)geteuid(), principal);
        user_finish(out);
        return error_hint(err, "run the node's executor as root, or submit as its own user");
    }
    if (e == 0 ? take_groups(out, err) : (out->groups = xcalloc(1, sizeof *out->groups), true)) {
        if (e != 0)
            out->groups[out->group_count++] = out->gid;
        return true;
    }
    user_finish(out);
    return false;
}

void user_finish(struct user *user)
{
    free(user->name);
    free(user->home);
    free(user->shell);
    free(user->groups);
    memset(user, 0, sizeof *user);
}
