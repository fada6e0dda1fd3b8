/* Who a principal is on this node: the login of the same name. May block (NSS, LDAP): never on the loop. */
#ifndef BERTH_EXECUTOR_USER_H
#define BERTH_EXECUTOR_USER_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define USER_GROUPS_MAX 65536 /* NGROUPS_MAX of Linux */

struct user {
    uid_t uid;
    gid_t gid;
    char *name, *home, *shell;
    gid_t *groups; /* the primary one is among them */
    size_t group_count;
};

/* `principal` is a login name, or "uid:N" (then uid_hint must agree where it is not -1). Refused where the
 * node has no such login, and where the executor is not root and the principal is somebody else. */
bool user_resolve(const char *principal, int64_t uid_hint, struct user *out, struct error *err);
void user_finish(struct user *user); /* takes zeroed values */

#endif
