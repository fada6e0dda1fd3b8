/* Things with names, by the API's common form of their routes. */
#include "cli/named.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "cli/client.h"

#include <stdlib.h>
#include <string.h>

static const cJSON *find(const struct named *kind, const cJSON *list, const char *name)
{
    const cJSON *item, *found = NULL;
    cJSON_ArrayForEach(item, list)
    {
        const char *its = json_str(item, "name", "");
        if ((kind->any_case ? strcasecmp(its, name) : strcmp(its, name)) == 0)
            found = item;
    }
    return found;
}

int named_choose(const struct named *kind, const cJSON *list, int count, char **names, cJSON *chosen)
{
    int code = EXIT_OK;
    for (int i = 0; i < count; i++) {
        const cJSON *found = find(kind, list, names[i]);
        if (found) {
            cJSON_AddItemToArray(chosen, cJSON_Duplicate(found, true));
            continue;
        }
        struct error err = {0};
        error_set(&err, ERROR_NOT_FOUND, "there is no %s \"%.80s\"", kind->noun, names[i]);
        error_hint(&err, "berth %s list", kind->noun);
        code = cli_fail(&err);
    }
    return code;
}

bool named_changes(const char *verb)
{
    return strcmp(verb, "create") == 0 || strcmp(verb, "update") == 0 || strcmp(verb, "delete") == 0;
}

cJSON *named_change(const struct named *kind, struct client *client, const char *verb, const char *name,
                    const cJSON *body, struct error *err)
{
    _cleanup_free_ char *escaped = http_easy_escape(name);
    _cleanup_buf_ struct buf path = {0};
    buf_add_str(&path, kind->path);
    if (strcmp(verb, "create") != 0)
        buf_printf(&path, "/%s/%s", escaped, verb);
    return client_call(client, "POST", path.data, body, 0, err);
}
