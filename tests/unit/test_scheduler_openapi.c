/* docs/openapi.yaml and the route tables say the same. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/map.h"
#include "scheduler/daemon.h"

#include <ctype.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct map described; /* "METHOD path" and "METHOD path ?name" */
static char here;

/* The file's lines, as its own first comment promises them. */
static void read_description(void)
{
    struct buf text = {0};
    struct error err = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s", __FILE__);
    char *end = strstr(path, "tests/unit/");
    assert_non_null(end);
    snprintf(end, sizeof path - (size_t)(end - path), "docs/openapi.yaml");
    if (!fs_read_file(AT_FDCWD, path, 1 << 20, &text, &err))
        fail_msg("%s", err.message);
    char route[256] = "", method[16] = "";
    bool paths = false;
    for (char *line = strtok(text.data, "\n"); line; line = strtok(NULL, "\n")) {
        char word[256], key[600];
        if (line[0] != ' ')
            paths = strcmp(line, "paths:") == 0;
        if (!paths)
            continue;
        if (sscanf(line, "  /%250[^:]", word) == 1 && line[2] == '/') {
            snprintf(route, sizeof route, "/%s", word);
        } else if (strncmp(line, "    ", 4) == 0 && islower((unsigned char)line[4]) &&
                   sscanf(line, "    %15[a-z]", word) == 1 && strcmp(line + 4 + strlen(word), ":") == 0) {
            for (size_t i = 0; i <= strlen(word); i++)
                method[i] = (char)toupper((unsigned char)word[i]);
            snprintf(key, sizeof key, "%s %s", method, route);
            map_put_str(&described, key, &here);
        } else if (sscanf(line, "        - {name: %60[a-z_], in: query", word) == 1) {
            snprintf(key, sizeof key, "%s %s ?%s", method, route, word);
            map_put_str(&described, key, &here);
        }
    }
    buf_finish(&text);
}

static void take(const char *key)
{
    if (!map_remove_str(&described, key))
        fail_msg("docs/openapi.yaml does not describe: %s", key);
}

static void take_routes(const struct http_route *routes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char key[600];
        snprintf(key, sizeof key, "%s %s", routes[i].method, routes[i].path);
        take(key);
        char *words = xstrdup(routes[i].query), *rest = words;
        for (char *word; rest && (word = strsep(&rest, " "));) {
            snprintf(key, sizeof key, "%s %s ?%s", routes[i].method, routes[i].path, word);
            take(key);
        }
        free(words);
    }
}

static void openapi_and_routes_describe_each_other(void **state)
{
    (void)state;
    read_description();
    take_routes(people_routes, people_route_count);
    take_routes(node_routes, node_route_count);
    size_t cursor = 0;
    const struct map_slot *left = map_next(&described, &cursor);
    if (left)
        fail_msg("docs/openapi.yaml describes what no route answers: %s", left->str);
    map_finish(&described);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(openapi_and_routes_describe_each_other)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
