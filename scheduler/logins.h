/*
 * Login names of uids, looked up off the loop. An answer is kept for LOGIN_KEPT_MS and, while the name
 * service does not answer, used for up to LOGIN_STALE_MS. Every look-up has a thread of its own, so that a
 * service that hangs (sssd without its server) stalls neither the loop nor the thread pool.
 *
 * A uid without a login is nobody's: a user who maps a range of subordinate ids would be many people. Only
 * our own uid may lack one.
 */
#ifndef BERTH_SCHEDULER_LOGINS_H
#define BERTH_SCHEDULER_LOGINS_H

#include "proto/http/server.h"

#include <sys/types.h>
#include <uv.h>

#define LOGIN_KEPT_MS 60000       /* how long a name is believed before it is looked up again */
#define LOGIN_STALE_MS 600000     /* and how long at most while that does not succeed */
#define LOGIN_REFUSED_MS 10000    /* how long a uid is believed to have no login */
#define LOGIN_FAILED_MS 1000      /* until a look-up that failed is tried again */
#define LOGIN_WAIT_MS 5000        /* a request waits for a look-up; then 503 */
#define LOGIN_LOOKUPS_MAX 8       /* threads at once */
#define LOGINS_MAX 4096           /* uids remembered */
#define LOGIN_SUBUID_LINES 100000 /* of /etc/subuid that are read */

enum login_verdict { LOGIN_FOUND, LOGIN_NONE, LOGIN_SUBORDINATE, LOGIN_FAILED };

struct logins;

struct logins_options {
    /* Fills `name` where it returns LOGIN_FOUND, *error (an errno) where LOGIN_FAILED; runs in a thread of
     * its own. NULL: login_look_up. */
    enum login_verdict (*look_up)(uid_t uid, char name[HTTP_USER_NAME_MAX], int *error);
    void (*changed)(void *data, uid_t uid); /* on the loop: a uid that was HTTP_USER_LATER is not any more */
    void *data;
};

struct logins *logins_create(uv_loop_t *loop, const struct logins_options *options);
/* Look-ups under way are abandoned. NULL is fine. */
void logins_destroy(struct logins *logins);
/* Who `uid` is; starts a look-up where that is due. */
enum http_user_state logins_find(struct logins *logins, uid_t uid, char name[HTTP_USER_NAME_MAX],
                                 struct error *err);

/* Asks the name service. Blocks. */
enum login_verdict login_look_up(uid_t uid, char name[HTTP_USER_NAME_MAX], int *error);
/* Whether a line "name:first:count" of the file has `uid` in its range. */
bool login_is_subordinate(const char *path, uid_t uid);

#endif
