/* Ids that belong to a user beside his own (subuid(5), subgid(5)), for the other ids inside an image. */
#ifndef BERTH_EXECUTOR_SUBIDS_H
#define BERTH_EXECUTOR_SUBIDS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SUBIDS_COUNT 65536
/* Where /etc/subuid has nothing for a user, the root service takes one of 4096 ranges below 2^31: no login
 * has them, adduser and systemd stay below (systemd's own containers end at 0x6fffffff). */
#define SUBIDS_DEFAULT_BASE 0x70000000u
#define SUBIDS_DEFAULT_SLOTS 4096u

struct subids {
    uint32_t uid, gid;             /* first of each range */
    uint32_t uid_count, gid_count; /* 0: none */
};

/* `by_root`: the default range may be used. Never fails. */
void subids_find(const char *name, uid_t uid, bool by_root, struct subids *ids);
/* The first range of `name` or `uid` in a file like /etc/subuid; false where there is none. */
bool subids_in_file(const char *path, const char *name, uid_t uid, uint32_t *first, uint32_t *count);

#endif
