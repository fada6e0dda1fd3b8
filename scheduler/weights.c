#include "scheduler/weights.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "scheduler/daemon.h"
#include "scheduler/engine.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "share_weights"
#define USERS_MAX 256          /* of one look-up; the others have the next */
#define GROUPS_FIRST 64        /* of a user */
#define GROUPS_MAX 65536       /* as the kernel has it (NGROUPS_MAX) */
#define ENTRY_BYTES (4u << 20) /* of a group with all its members */

/* Which groups with a weight a user is in. */
struct membership {
    int64_t until_ms; /* boot clock: looked up again after that */
    size_t count;
    char (*groups)[PRINCIPAL_NAME_MAX];
};

static void membership_free(struct membership *m)
{
    if (m)
        free(m->groups);
    free(m);
}

/* ---- what is set ---- */

void weights_finish(struct weight_table *t)
{
    size_t i = 0;
    for (struct map_slot *s; (s = map_next(&t->members, &i));)
        membership_free(s->value);
    map_finish(&t->members);
    free(t->items);
    *t = (struct weight_table){0};
}

static struct weight *find(const struct weight_table *t, bool group, const char *name)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->items[i].group == group && strcmp(t->items[i].name, name) == 0)
            return &t->items[i];
    return NULL;
}

const struct weight *weights_find(const struct weight_table *t, bool group, const char *name)
{
    return find(t, group, name);
}

static void put(struct weight_table *t, bool group, const char *name, uint32_t milli)
{
    struct weight *w = find(t, group, name);
    if (!w) {
        t->items = xrealloc(t->items, (t->count + 1) * sizeof *t->items);
        w = &t->items[t->count++];
        *w = (struct weight){.group = group};
        snprintf(w->name, sizeof w->name, "%s", name);
    }
    w->milli = milli;
}

static void take_out(struct weight_table *t, struct weight *w)
{
    size_t at = (size_t)(w - t->items);
    memmove(w, w + 1, (t->count - at - 1) * sizeof *w);
    t->count--;
}

void weights_load(struct weight_table *t, const char *key, const char *doc)
{
    struct error ignored = {0};
    const cJSON *item;
    if (strcmp(key, KEY) != 0)
        return;
    _cleanup_json_ cJSON *o = json_parse(doc, strlen(doc), &ignored);
    cJSON_ArrayForEach(item, json_get(o, "weights"))
    {
        const char *user = json_str(item, "user", NULL), *group = json_str(item, "group", NULL);
        int64_t milli = json_int(item, "milli", 0);
        if ((user || group) && milli >= 1 && milli <= CORE_WEIGHT_MAX && t->count < WEIGHTS_MAX)
            put(t, group != NULL, group ? group : user, (uint32_t)milli);
    }
}

static void write_down(struct daemon *d)
{
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(o, "weights");
    for (size_t i = 0; i < d->weights.count; i++) {
        const struct weight *w = &d->weights.items[i];
        cJSON *item = cJSON_CreateObject();
        json_add_str(item, w->group ? "group" : "user", w->name);
        json_add_int(item, "milli", w->milli);
        cJSON_AddItemToArray(list, item);
    }
    _cleanup_free_ char *text = json_text(o);
    journal_add_record(d->journal, JOURNAL_SETTING, KEY, text);
}

static bool any_group(const struct weight_table *t)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->items[i].group)
            return true;
    return false;
}

/* ---- whose is what ---- */

const struct weight *weights_of(const struct daemon *d, uint32_t principal)
{
    const struct membership *m = map_get_num(&d->weights.members, principal);
    const struct weight *best = find(&d->weights, false, principals_name(&d->principals, principal));
    for (size_t i = 0; !best && m && i < m->count; i++) {
        const struct weight *w = find(&d->weights, true, m->groups[i]);
        if (w && (!best || w->milli > best->milli))
            best = w;
    }
    return best;
}

static bool follow(struct daemon *d, uint32_t principal, struct error *err)
{
    const struct weight *w = weights_of(d, principal);
    struct core_event event = {.kind = CORE_EVENT_WEIGHT,
                               .as.weight = {{principal}, w ? w->milli : CORE_WEIGHT_ONE}};
    return core_weight_get(d->core, event.as.weight.principal) == event.as.weight.milli ||
           engine_step(d, &event, err);
}

/* ---- who is in which group ---- */

struct weight_look_up {
    uv_work_t work;
    struct daemon *daemon;
    char (*groups)[PRINCIPAL_NAME_MAX];
    size_t group_count;
    uint64_t groups_set; /* as it began */
    size_t user_count;
    struct {
        uint32_t principal;
        char name[PRINCIPAL_NAME_MAX];
        bool known; /* the name service has answered */
        bool in[WEIGHTS_MAX];
    } users[USERS_MAX];
};

/* All groups of a user; -1: they can't be told now. */
static int groups_of(const char *name, gid_t **groups, char *space)
{
    struct passwd entry, *found = NULL;
    int count = GROUPS_FIRST;
    if (getpwnam_r(name, &entry, space, ENTRY_BYTES, &found) != 0)
        return -1;
    *groups = NULL;
    if (!found)
        return 0;
    do {
        *groups = xrealloc(*groups, (size_t)count * sizeof **groups);
        if (getgrouplist(name, found->pw_gid, *groups, &count) >= 0)
            return count; /* else count is how many there are */
    } while (count <= GROUPS_MAX);
    return 0;
}

/* In the thread pool. */
static void look_up(uv_work_t *work)
{
    struct weight_look_up *l = container_of(work, struct weight_look_up, work);
    _cleanup_free_ char *space = xcalloc(1, ENTRY_BYTES);
    gid_t ids[WEIGHTS_MAX];
    bool there[WEIGHTS_MAX] = {false};
    FAULT("weights.before_look_up");
    for (size_t g = 0; g < l->group_count; g++) {
        struct group entry, *found = NULL;
        if (getgrnam_r(l->groups[g], &entry, space, ENTRY_BYTES, &found) != 0)
            return; /* nobody is known, and what was known holds */
        there[g] = found != NULL;
        ids[g] = found ? found->gr_gid : 0;
    }
    for (size_t u = 0; u < l->user_count; u++) {
        _cleanup_free_ gid_t *groups = NULL;
        int count = groups_of(l->users[u].name, &groups, space);
        l->users[u].known = count >= 0;
        for (int i = 0; i < count; i++)
            for (size_t g = 0; g < l->group_count; g++)
                l->users[u].in[g] = l->users[u].in[g] || (there[g] && groups[i] == ids[g]);
    }
}

static struct membership *membership_of(struct daemon *d, uint32_t principal)
{
    struct membership *m = map_get_num(&d->weights.members, principal);
    if (!m) {
        m = xcalloc(1, sizeof *m);
        map_put_num(&d->weights.members, principal, m);
    }
    return m;
}

static void remember(struct daemon *d, const struct weight_look_up *l, size_t user)
{
    struct membership *m = membership_of(d, l->users[user].principal);
    bool known = l->users[user].known;
    m->until_ms = clock_boot_ms() + (known ? WEIGHTS_GROUPS_KEPT_MS : WEIGHTS_GROUPS_FAILED_MS);
    if (l->groups_set != d->weights.groups_set) /* it may not have looked for all of them */
        m->until_ms = 0;
    if (!known)
        return;
    m->groups = xrealloc(m->groups, (l->group_count ? l->group_count : 1) * sizeof *m->groups);
    m->count = 0;
    for (size_t g = 0; g < l->group_count; g++)
        if (l->users[user].in[g])
            memcpy(m->groups[m->count++], l->groups[g], sizeof *m->groups);
}

static void ask(struct daemon *d);

static void looked_up(uv_work_t *work, int status)
{
    struct weight_look_up *l = container_of(work, struct weight_look_up, work);
    struct daemon *d = l->daemon;
    struct error err = {0};
    (void)status;
    daemon_work_done(d);
    d->weights.now = NULL;
    for (size_t i = 0; i < l->user_count && !d->stopping; i++) {
        remember(d, l, i);
        if (!follow(d, l->users[i].principal, &err)) /* at the next submit it is tried again */
            log_error("the weight of %s can't be set: %s", l->users[i].name, err.message);
    }
    free(l->groups);
    free(l);
    if (d->weights.again && !d->stopping)
        ask(d);
}

static bool is_due(const struct daemon *d, uint32_t principal)
{
    const struct membership *m = map_get_num(&d->weights.members, principal);
    return !m || m->until_ms <= clock_boot_ms();
}

static void add_user(struct weight_look_up *l, const struct daemon *d, uint32_t principal)
{
    for (size_t i = 0; i < l->user_count; i++)
        if (l->users[i].principal == principal)
            return;
    l->users[l->user_count].principal = principal;
    snprintf(l->users[l->user_count++].name, PRINCIPAL_NAME_MAX, "%s",
             principals_name(&d->principals, principal));
}

/* Whoever has live jobs and is due. */
static void ask(struct daemon *d)
{
    struct weight_table *t = &d->weights;
    struct job *job, *tmp;
    t->again = t->now != NULL;
    if (t->now || !any_group(t))
        return;
    struct weight_look_up *l = xcalloc(1, sizeof *l);
    list_for_each(job, tmp, &d->jobs.live, link)
    {
        t->again = t->again || l->user_count == USERS_MAX;
        if (l->user_count < USERS_MAX && is_due(d, job->principal))
            add_user(l, d, job->principal);
    }
    if (!l->user_count) {
        t->again = false;
        free(l);
        return;
    }
    l->daemon = d;
    l->groups_set = t->groups_set;
    l->groups = xcalloc(t->count, sizeof *l->groups);
    for (size_t i = 0; i < t->count; i++)
        if (t->items[i].group)
            memcpy(l->groups[l->group_count++], t->items[i].name, sizeof *l->groups);
    t->now = l;
    daemon_work(d, &l->work, look_up, looked_up);
}

void weights_note(struct daemon *d, uint32_t principal)
{
    if (any_group(&d->weights) && is_due(d, principal))
        ask(d);
}

void weights_begin(struct daemon *d)
{
    ask(d);
}

bool weights_set(struct daemon *d, bool group, const char *name, uint32_t milli, struct error *err)
{
    struct weight_table *t = &d->weights;
    struct weight *w = find(t, group, name);
    if (!w && milli && t->count == WEIGHTS_MAX) {
        error_set(err, ERROR_LIMIT, "there are %d weights already, and no more may be set", WEIGHTS_MAX);
        return error_hint(err, "berth share lists them; take one away with berth share remove");
    }
    if (milli)
        put(t, group, name, milli);
    else if (w)
        take_out(t, w);
    write_down(d);
    if (!group)
        return follow(d, principals_ensure(&d->principals, d->journal, name), err);
    size_t i = 0;
    bool ok = true;
    t->groups_set++;
    for (struct map_slot *s; ok && (s = map_next(&t->members, &i));) {
        ((struct membership *)s->value)->until_ms = 0; /* a group that had no weight was not looked for */
        ok = follow(d, (uint32_t)s->num, err);
    }
    if (ok)
        ask(d);
    return ok;
}
