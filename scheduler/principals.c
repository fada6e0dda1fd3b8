/* The table of principals. Owns its entries. */
#include "scheduler/principals.h"

#include "base/alloc.h"
#include "scheduler/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct principal {
    uint32_t id;
    char name[PRINCIPAL_NAME_MAX];
};

void principals_finish(struct principal_table *t)
{
    map_finish_free(&t->by_id);
    map_finish(&t->by_name);
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
