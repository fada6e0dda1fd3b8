#include "scheduler/secret_values.h"

#include <stdbool.h>
#include <string.h>

static bool is_secret(const char *name)
{
    static const char *const words[] = {"TOKEN", "KEY", "SECRET", "PASSWORD"};
    for (size_t i = 0; name && i < sizeof words / sizeof *words; i++)
        if (strcasestr(name, words[i]))
            return true;
    return false;
}

void secret_values_mask(cJSON *variables)
{
    cJSON *item;
    if (!cJSON_IsObject(variables))
        return;
    cJSON_ArrayForEach(item, variables)
    {
        if (!is_secret(item->string) || (cJSON_IsString(item) && !*item->valuestring))
            continue;
        cJSON *shown = cJSON_CreateString(SECRET_VALUE_SHOWN);
        shown->string = item->string; /* moves along: a replacement by pointer has no name */
        item->string = NULL;
        cJSON_ReplaceItemViaPointer(variables, item, shown);
        item = shown;
    }
}

void secret_values_mask_file(cJSON *file)
{
    secret_values_mask(cJSON_GetObjectItemCaseSensitive(file, "environment_variables"));
    secret_values_mask(cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(file, "submission"),
                                                        "environment"));
}
