/* Users whom rules name before their first job, and groups: looked up in the thread pool, remembered for a
 * short while. Owns what it remembers (struct daemon's known_users). */
#include "scheduler/api.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define USERS_KEPT_MS 10000 /* an answer of the name service */
#define USERS_KEPT_MAX 1024 /* names; then all are forgotten */
#define ENTRY_BYTES (64 << 10)
#define GROUP_BYTES (4 << 20) /* of a group's entry, with all its members */
#define GROUP_PREFIX "group:" /* in the table of what is known; no user's name has a colon */

struct known_user {
    bool there;
    int error; /* of a look-up that failed */
    int64_t until_ms;
};

struct question {
    uv_work_t work;
    struct daemon *daemon;
    struct http_request *req; /* NULL: the client left */
    void (*handle)(struct http_request *req, void *context);
    bool group; /* users[0] is one */
    uint32_t count;
    struct {
        char name[PRINCIPAL_NAME_MAX];
        struct known_user answer;
    } users[CORE_RESERVATION_USERS_MAX];
};

static struct known_user *known(const struct daemon *d, const char *name)
{
    struct known_user *user = map_get_str(&d->known_users, name);
    return user && clock_boot_ms() < user->until_ms ? user : NULL;
}

static void look_up_group(struct question *q)
{
    struct group entry, *found = NULL;
    char *space = xcalloc(1, GROUP_BYTES);
    q->users[0].answer.error = getgrnam_r(q->users[0].name, &entry, space, GROUP_BYTES, &found);
    q->users[0].answer.there = found != NULL;
    free(space);
}

/* In the thread pool. */
static void look_up(uv_work_t *work)
{
    struct question *q = container_of(work, struct question, work);
    struct passwd entry, *found;
    FAULT("users.before_look_up");
    if (q->group) {
        look_up_group(q);
        return;
    }
    char *space = xcalloc(1, ENTRY_BYTES);
    for (uint32_t i = 0; i < q->count; i++) {
        found = NULL;
        q->users[i].answer.error = getpwnam_r(q->users[i].name, &entry, space, ENTRY_BYTES, &found);
        q->users[i].answer.there = found != NULL;
    }
    free(space);
}

static void remember(struct daemon *d, const struct question *q)
{
    if (d->known_users.count + q->count > USERS_KEPT_MAX)
        map_finish_free(&d->known_users);
    for (uint32_t i = 0; i < q->count; i++) {
        struct known_user *user = xcalloc(1, sizeof *user);
        *user = q->users[i].answer;
        user->until_ms = clock_boot_ms() + USERS_KEPT_MS;
        _cleanup_free_ char *key = xasprintf("%s%s", q->group ? GROUP_PREFIX : "", q->users[i].name);
        free(map_put_str(&d->known_users, key, user));
    }
}

static void looked_up(uv_work_t *work, int status)
{
    struct question *q = container_of(work, struct question, work);
    struct daemon *d = q->daemon;
    (void)status;
    daemon_work_done(d);
    remember(d, q);
    if (q->req)
        http_request_on_gone(q->req, NULL, NULL);
    if (q->req && !d->stopping) /* else the server ends the request */
        q->handle(q->req, d);
    free(q);
}

static void gone(struct http_request *req, void *data)
{
    (void)req;
    ((struct question *)data)->req = NULL;
}

static void ask(struct question *q, const struct daemon *d, const cJSON *item)
{
    const char *name = cJSON_GetStringValue(item);
    if (!name || !*name || strlen(name) >= PRINCIPAL_NAME_MAX || strchr(name, ':') ||
        q->count == CORE_RESERVATION_USERS_MAX || principals_find(&d->principals, name) || known(d, name))
        return;
    snprintf(q->users[q->count++].name, PRINCIPAL_NAME_MAX, "%s", name);
}

static void begin(struct question *q, struct daemon *d, struct http_request *req,
                  void (*handle)(struct http_request *req, void *context))
{
    q->daemon = d;
    q->req = req;
    q->handle = handle;
    http_request_on_gone(req, gone, q);
    daemon_work(d, &q->work, look_up, looked_up);
}

bool api_look_up_users(struct daemon *d, struct http_request *req, const cJSON *names,
                       void (*handle)(struct http_request *req, void *context))
{
    struct question *q = xcalloc(1, sizeof *q);
    const cJSON *item;
    if (cJSON_IsArray(names))
        cJSON_ArrayForEach(item, names) ask(q, d, item);
    else
        ask(q, d, names);
    if (!q->count) {
        free(q);
        return true;
    }
    begin(q, d, req, handle);
    return false;
}

static const struct known_user *known_group(const struct daemon *d, const char *name)
{
    _cleanup_free_ char *key = xasprintf(GROUP_PREFIX "%s", name);
    return known(d, key);
}

bool api_look_up_group(struct daemon *d, struct http_request *req, const char *name,
                       void (*handle)(struct http_request *req, void *context))
{
    if (!name || !*name || strlen(name) >= PRINCIPAL_NAME_MAX || known_group(d, name))
        return true;
    struct question *q = xcalloc(1, sizeof *q);
    q->group = true;
    snprintf(q->users[q->count++].name, PRINCIPAL_NAME_MAX, "%s", name);
    begin(q, d, req, handle);
    return false;
}

bool api_find_group(const struct daemon *d, const char *name, const char *field, struct error *err)
{
    const struct known_user *group = known_group(d, name);
    if (group && group->there)
        return true;
    if (group && group->error)
        error_set(err, ERROR_UNAVAILABLE, "group %.64s can't be looked up now: %s", name,
                  strerror(group->error));
    else
        error_set(err, ERROR_NOT_FOUND, "the scheduler's machine has no group %.64s", name);
    snprintf(err->field, sizeof err->field, "%s", field);
    return error_hint(err, "getent group lists them");
}

bool api_find_user(struct daemon *d, const char *name, const char *field, uint32_t *id, struct error *err)
{
    const struct known_user *user = strchr(name, ':') ? NULL : known(d, name);
    *id = principals_find(&d->principals, name);
    if (!*id && user && user->there)
        *id = principals_ensure(&d->principals, d->journal, name);
    if (*id)
        return true;
    if (user && user->error) {
        error_set(err, ERROR_UNAVAILABLE, "user %.64s can't be looked up now: %s", name,
                  strerror(user->error));
        snprintf(err->field, sizeof err->field, "%s", field);
        return error_hint(err, "try again in a moment; try: getent passwd %.64s", name);
    }
    error_set(err, ERROR_NOT_FOUND, "there is no user %.64s", name);
    snprintf(err->field, sizeof err->field, "%s", field);
    return error_hint(err,
                      "users are known by their first job, or by their login on the scheduler's machine");
}
