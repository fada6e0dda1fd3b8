/* The cache of login names. Owns its entries. Invariant: an entry is pending while a thread looks it up or it
 * waits for one. */
#include "scheduler/logins.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_MS 500 /* how often it is looked whether a request has waited too long */

struct login {
    struct list link; /* oldest answer first */
    uid_t uid;
    enum login_verdict verdict; /* the last one; LOGIN_FAILED at first */
    bool pending, started, late;
    int error;        /* of the last look-up that failed */
    int64_t found_ms; /* when the name was found; 0: never */
    int64_t until_ms; /* then it is looked up again */
    int64_t since_ms; /* while pending: since when */
    char name[HTTP_USER_NAME_MAX];
};

/* What a thread found. */
struct answer {
    struct answer *next;
    uid_t uid;
    enum login_verdict verdict;
    int error;
    char name[HTTP_USER_NAME_MAX];
};

/* Outlives the cache while threads run. */
struct shared {
    pthread_mutex_t lock;
    unsigned references;
    uv_async_t *async; /* NULL: the cache is gone */
    struct answer *answers;
    enum login_verdict (*look_up)(uid_t uid, char name[HTTP_USER_NAME_MAX], int *error);
};

struct question {
    struct shared *shared;
    struct answer *answer;
};

struct logins {
    struct logins_options options;
    struct shared *shared;
    struct map by_uid;
    struct list entries;
    unsigned running;
    uv_timer_t *timer;
    uv_async_t *async;
};

static void shared_release(struct shared *shared)
{
    pthread_mutex_lock(&shared->lock);
    bool last = --shared->references == 0;
    pthread_mutex_unlock(&shared->lock);
    if (!last)
        return;
    while (shared->answers) {
        struct answer *next = shared->answers->next;
        free(shared->answers);
        shared->answers = next;
    }
    pthread_mutex_destroy(&shared->lock);
    free(shared);
}

static void *look_up(void *arg)
{
    struct question *question = arg;
    struct shared *shared = question->shared;
    struct answer *answer = question->answer;
    free(question);
    answer->verdict = shared->look_up(answer->uid, answer->name, &answer->error);
    pthread_mutex_lock(&shared->lock);
    answer->next = shared->answers;
    shared->answers = answer;
    if (shared->async)
        uv_async_send(shared->async);
    pthread_mutex_unlock(&shared->lock);
    shared_release(shared);
    return NULL;
}

static bool start_thread(struct logins *logins, uid_t uid)
{
    struct question *question = xcalloc(1, sizeof *question);
    question->shared = logins->shared;
    question->answer = xcalloc(1, sizeof *question->answer);
    question->answer->uid = uid;
    pthread_mutex_lock(&logins->shared->lock);
    logins->shared->references++;
    pthread_mutex_unlock(&logins->shared->lock);
    pthread_t thread;
    if (pthread_create(&thread, NULL, look_up, question) == 0) {
        pthread_detach(thread);
        return true;
    }
    free(question->answer);
    free(question);
    shared_release(logins->shared);
    return false;
}

static void start_some(struct logins *logins)
{
    struct login *login, *tmp;
    list_for_each(login, tmp, &logins->entries, link)
    {
        if (logins->running >= LOGIN_LOOKUPS_MAX)
            return;
        if (!login->pending || login->started || !start_thread(logins, login->uid))
            continue;
        login->started = true;
        logins->running++;
    }
}

/* Requests that have waited long enough are answered. */
static void on_timer(uv_timer_t *timer)
{
    struct logins *logins = timer->data;
    struct login *login, *tmp;
    int64_t now = clock_boot_ms();
    bool any = false;
    list_for_each(login, tmp, &logins->entries, link)
    {
        any |= login->pending;
        if (!login->pending || login->late || now - login->since_ms < LOGIN_WAIT_MS)
            continue;
        login->late = true;
        log_warn("the name service has not said who uid %u is for %d s", (unsigned)login->uid,
                 LOGIN_WAIT_MS / 1000);
        logins->options.changed(logins->options.data, login->uid);
    }
    if (!any)
        uv_timer_stop(timer);
}

static void take_answer(struct logins *logins, const struct answer *answer)
{
    struct login *login = map_get_num(&logins->by_uid, answer->uid);
    int64_t now = clock_boot_ms();
    logins->running--;
    if (!login)
        return;
    login->pending = login->started = login->late = false;
    login->verdict = answer->verdict;
    login->error = answer->error;
    if (answer->verdict == LOGIN_FOUND) {
        memcpy(login->name, answer->name, sizeof login->name);
        login->found_ms = now;
        login->until_ms = now + LOGIN_KEPT_MS;
    } else if (answer->verdict == LOGIN_FAILED) {
        login->until_ms = now + LOGIN_FAILED_MS;
        log_warn("who uid %u is can't be looked up: %s", (unsigned)login->uid, strerror(login->error));
    } else {
        login->found_ms = 0;
        login->until_ms = now + LOGIN_REFUSED_MS;
    }
    list_remove(&login->link);
    list_append(&logins->entries, &login->link);
    logins->options.changed(logins->options.data, answer->uid);
}

static void on_async(uv_async_t *async)
{
    struct logins *logins = async->data;
    pthread_mutex_lock(&logins->shared->lock);
    struct answer *answers = logins->shared->answers;
    logins->shared->answers = NULL;
    pthread_mutex_unlock(&logins->shared->lock);
    while (answers) {
        struct answer *next = answers->next;
        take_answer(logins, answers);
        free(answers);
        answers = next;
    }
    start_some(logins);
}

/* NULL: all that are remembered are being looked up. */
static struct login *login_add(struct logins *logins, uid_t uid)
{
    struct login *login, *tmp;
    if (logins->by_uid.count >= LOGINS_MAX) {
        list_for_each(login, tmp, &logins->entries, link) if (!login->pending) break;
        if (&login->link == &logins->entries)
            return NULL;
        map_remove_num(&logins->by_uid, login->uid);
        list_remove(&login->link);
        free(login);
    }
    login = xcalloc(1, sizeof *login);
    login->uid = uid;
    login->verdict = LOGIN_FAILED;
    list_append(&logins->entries, &login->link);
    map_put_num(&logins->by_uid, uid, login);
    return login;
}

static enum http_user_state refusal(const struct login *login, struct error *err)
{
    unsigned uid = (unsigned)login->uid;
    if (login->pending || login->verdict == LOGIN_FAILED) {
        error_set(err, ERROR_UNAVAILABLE, "who uid %u is can't be looked up now: %s", uid,
                  login->pending || !login->error ? "the name service does not answer"
                                                  : strerror(login->error));
        error_hint(err, "try again in a moment; try: getent passwd %u", uid);
    } else if (login->verdict == LOGIN_SUBORDINATE) {
        error_set(err, ERROR_DENIED, "uid %u is a subordinate id (/etc/subuid), not a user of this machine",
                  uid);
        error_hint(err, "leave the user namespace, and call berth as yourself");
    } else {
        error_set(err, ERROR_DENIED, "uid %u has no login on this machine", uid);
        error_hint(err, "call berth as a user that getent passwd knows");
    }
    return HTTP_USER_REFUSED;
}

enum http_user_state logins_find(struct logins *logins, uid_t uid, char name[HTTP_USER_NAME_MAX],
                                 struct error *err)
{
    int64_t now = clock_boot_ms();
    struct login *login = map_get_num(&logins->by_uid, uid);
    if (!login)
        login = login_add(logins, uid);
    if (!login) {
        error_set(err, ERROR_UNAVAILABLE, "too many names are being looked up");
        error_hint(err, "try again in a moment");
        return HTTP_USER_REFUSED;
    }
    if (!login->pending && now >= login->until_ms) {
        login->pending = true;
        login->since_ms = now;
        start_some(logins);
        uv_timer_start(logins->timer, on_timer, LOOK_MS, LOOK_MS);
    }
    if (login->found_ms && now - login->found_ms < LOGIN_STALE_MS) {
        memcpy(name, login->name, sizeof login->name);
        return HTTP_USER_KNOWN;
    }
    if (login->pending && !login->late)
        return HTTP_USER_LATER;
    if (!login->pending && login->verdict == LOGIN_NONE && uid == geteuid()) {
        snprintf(name, HTTP_USER_NAME_MAX, "uid:%u", (unsigned)uid);
        return HTTP_USER_KNOWN;
    }
    return refusal(login, err);
}

struct logins *logins_create(uv_loop_t *loop, const struct logins_options *options)
{
    struct logins *logins = xcalloc(1, sizeof *logins);
    logins->options = *options;
    list_init(&logins->entries);
    logins->timer = xcalloc(1, sizeof *logins->timer);
    logins->async = xcalloc(1, sizeof *logins->async);
    logins->shared = xcalloc(1, sizeof *logins->shared);
    pthread_mutex_init(&logins->shared->lock, NULL);
    logins->shared->references = 1;
    logins->shared->async = logins->async;
    logins->shared->look_up = options->look_up ? options->look_up : login_look_up;
    uv_timer_init(loop, logins->timer);
    uv_async_init(loop, logins->async, on_async);
    uv_unref((uv_handle_t *)logins->async);
    logins->timer->data = logins->async->data = logins;
    return logins;
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

void logins_destroy(struct logins *logins)
{
    struct login *login, *tmp;
    if (!logins)
        return;
    pthread_mutex_lock(&logins->shared->lock);
    logins->shared->async = NULL;
    pthread_mutex_unlock(&logins->shared->lock);
    shared_release(logins->shared);
    uv_close((uv_handle_t *)logins->async, free_handle);
    uv_close((uv_handle_t *)logins->timer, free_handle);
    list_for_each(login, tmp, &logins->entries, link) free(login);
    map_finish(&logins->by_uid);
    free(logins);
}
