/* Selectors as they are typed. */
#include "cli/selectors.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "cli/words.h"
#include "proto/http/easy.h"

#include <string.h>

bool selectors_given(const struct selectors *s)
{
    return s->state || s->user || s->workspace || s->array || s->name || s->tags.count;
}

bool selectors_check(const struct selectors *s, struct error *err)
{
    const struct {
        enum word_kind kind;
        const char *what, *word;
    } words[] = {{WORD_NAME, "--state", s->state},
                 {WORD_NAME, "--user", s->user},
                 {WORD_NAME, "--workspace", s->workspace},
                 {WORD_JOB, "--array", s->array},
                 {WORD_NAME, "--name", s->name}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].word && !word_check(words[i].kind, words[i].what, words[i].word, err))
            return false;
    for (size_t i = 0; i < s->tags.count; i++)
        if (!*s->tags.items[i] || *s->tags.items[i] == '=' || strchr(s->tags.items[i], '\n') ||
            !json_is_utf8(s->tags.items[i], strlen(s->tags.items[i])))
            return error_set(err, ERROR_INVALID, "invalid --tag: a tag is KEY=VALUE, or KEY");
    return true;
}

static char *tag_lines(const struct selectors *s)
{
    struct buf lines = {0};
    for (size_t i = 0; i < s->tags.count; i++)
        buf_printf(&lines, "%s%s", i ? "\n" : "", s->tags.items[i]);
    return s->tags.count ? buf_take(&lines) : NULL;
}

static void add_value(struct buf *path, const char *name, const char *value)
{
    _cleanup_free_ char *escaped = value ? http_easy_escape(value) : NULL;
    if (value)
        buf_printf(path, "&%s=%s", name, escaped);
}

void selectors_add_query(const struct selectors *s, struct buf *path)
{
    _cleanup_free_ char *tags = tag_lines(s);
    add_value(path, "principal", s->user);
    add_value(path, "workspace", s->workspace);
    add_value(path, "array", s->array);
    add_value(path, "name", s->name);
    add_value(path, "tag", tags);
}

void selectors_add_json(const struct selectors *s, cJSON *object)
{
    _cleanup_free_ char *tags = tag_lines(s);
    const struct {
        const char *name, *value;
    } members[] = {{"state", s->state}, {"user", s->user}, {"workspace", s->workspace},
                   {"array", s->array}, {"name", s->name}, {"tag", tags}};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (members[i].value)
            json_add_str(object, members[i].name, members[i].value);
}

static bool is_one_of(const char *word, size_t n, const char *const *list)
{
    for (; *list; list++)
        if (strlen(*list) == n && strncasecmp(word, *list, n) == 0)
            return true;
    return false;
}

char *selectors_started(const char *state)
{
    static const char *const groups[] = {"live", "all", "started", NULL}, *const others[] = {
                                                                              "queued", "completed",
                                                                              "failed", "canceled",
                                                                              "ended",  NULL};
    if (!state)
        return xstrdup("started");
    struct buf started = {0};
    for (const char *p = state; *p;) {
        size_t n = strcspn(p, ",");
        if (is_one_of(p, n, groups))
            buf_printf(&started, "%sstarted", started.len ? "," : "");
        else if (!is_one_of(p, n, others))
            buf_printf(&started, "%s%.*s", started.len ? "," : "", (int)n, p);
        p += n + (p[n] == ',');
    }
    return started.len ? buf_take(&started) : NULL;
}
