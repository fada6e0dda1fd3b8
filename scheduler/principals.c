/* The table of principals and the cache of login names. Owns its entries. */
#include "scheduler/principals.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "scheduler/journal.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct principal {
    uint32_t id;
    char name[PRINCIPAL_NAME_MAX];
};

struct login {
    char name[PRINCIPAL_NAME_MAX];
    int64_t until_ms;
};

void principals_finish(struct principal_table *t)
{
    map_finish_free(&t->by_id);
    map_finish(&t->by_name);
    map_finish_free(&t->by_uid);
}

void principals_load(struct principal_table *t, uint32_t id, const char *name)
{
    struct principal *p = xcalloc(1, sizeof *p);
    p->id = id;
    snprintf(p->name, sizeof p->name, "%s", name);
    map_put_num(&t->by_id, id, p);
    map_put_str(&t->by_name, p->name, p);
    if (id >= t->next_id)
        t->next_id = id + 1;
}

static void look_up(uid_t uid, char *out, size_t size)
{
    char space[16384];
    struct passwd entry, *found = NULL;
    if (getpwuid_r(uid, &entry, space, sizeof space, &found) == 0 && found && found->pw_name[0] &&
        strlen(found->pw_name) < size)
        snprintf(out, size, "%s", found->pw_name);
    else
        snprintf(out, size, "uid:%u", (unsigned)uid);
}

const char *principals_name_of_uid(struct principal_table *t, uid_t uid)
{
    struct login *l = map_get_num(&t->by_uid, uid);
    int64_t now = clock_boot_ms();
    if (l && now < l->until_ms)
        return l->name;
    if (!l) {
        l = xcalloc(1, sizeof *l);
        map_put_num(&t->by_uid, uid, l);
    }
    look_up(uid, l->name, sizeof l->name);
    l->until_ms = now + PRINCIPAL_CACHE_MS;
    return l->name;
}

uint32_t principals_find(const struct principal_table *t, const char *name)
{
    const struct principal *p = map_get_str(&t->by_name, name);
    return p ? p->id : 0;
}

uint32_t principals_ensure(struct principal_table *t, struct journal *journal, const char *name)
{
    uint32_t id = principals_find(t, name);
    if (id)
        return id;
    id = t->next_id ? t->next_id : 1;
    principals_load(t, id, name);
    journal_add_principal(journal, id, name);
    return id;
}

const char *principals_name(const struct principal_table *t, uint32_t id)
{
    const struct principal *p = map_get_num(&t->by_id, id);
    return p ? p->name : "?";
}
