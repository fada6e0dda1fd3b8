/* Patterns are those of ignore files, anchored at ./outputs. */
#include "cli/outputs_select.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "proto/ignore.h"

#include <string.h>

bool outputs_is_pattern(const char *text)
{
    return text[strcspn(text, "*?[")] != '\0';
}

/* The path itself or a directory above it. */
static bool matches(const char *pattern, const char *path)
{
    while (strncmp(pattern, "./", 2) == 0)
        pattern += 2;
    size_t n = strlen(pattern);
    while (n && pattern[n - 1] == '/')
        n--;
    _cleanup_free_ char *plain = xstrndup(pattern, n);
    for (const char *end = path; *end;) {
        end += strspn(end, "/");
        end += strcspn(end, "/");
        _cleanup_free_ char *prefix = xstrndup(path, (size_t)(end - path));
        if (strcmp(plain, prefix) == 0 || ignore_glob(plain, prefix))
            return true;
    }
    return false;
}

size_t outputs_select(cJSON *listing, char *const *patterns, size_t count)
{
    static const char *const lists[] = {"files", "links", "directories"};
    size_t left = 0;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        cJSON *list = cJSON_GetObjectItemCaseSensitive(listing, lists[i]);
        for (cJSON *item = list ? list->child : NULL, *next; item; item = next) {
            bool wanted = count == 0;
            next = item->next;
            for (size_t p = 0; p < count && !wanted; p++)
                wanted = matches(patterns[p], json_str(item, "path", ""));
            if (wanted)
                left++;
            else
                cJSON_Delete(cJSON_DetachItemViaPointer(list, item));
        }
    }
    return left;
}
