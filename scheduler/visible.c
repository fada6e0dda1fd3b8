/* The view of others. */
#include "scheduler/visible.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <string.h>

/* Of the fixed part: paths, remote and commit of the code. */
static const char *const private_members[] = {"code"};

void visible_add_cause(const struct job *job, cJSON *cause)
{
    _cleanup_free_ char *text = NULL;
    if (job->has_exit_code && (job->cause == END_EXIT || job->cause == END_SIGNAL))
        text = xasprintf("exit status %d", job->exit_code);
    else if (job->cause == END_CANCELED && job->reason == CORE_REASON_DEPENDENCY && job->cause_text)
        text = xstrdup(job->cause_text); /* names of jobs and how they ended: all in the listing */
    else if (job->cause == END_CANCELED && job->canceled_by)
        text = xasprintf("canceled by %s", job->canceled_by);
    json_add_str(cause, "text", text ? text : end_kind_text(job->cause) ? end_kind_text(job->cause) : "");
}

/* The end of the JSON string that begins at `p`, behind its closing quote. */
static const char *skip_string(const char *p)
{
    for (p++; *p && *p != '"'; p++)
        p += *p == '\\' && p[1];
    return *p ? p + 1 : p;
}

/* The end of the member that begins at `p`: its comma, or the brace that closes the object. */
static const char *skip_member(const char *p)
{
    int depth = 0;
    while (*p && !(depth == 0 && (*p == ',' || *p == '}'))) {
        if (*p == '"') {
            p = skip_string(p);
            continue;
        }
        depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
        p++;
    }
    return p;
}

static bool is_private(const char *member)
{
    size_t n = (size_t)(skip_string(member) - member);
    for (size_t i = 0; i < sizeof private_members / sizeof *private_members; i++)
        if (n == strlen(private_members[i]) + 2 && memcmp(member + 1, private_members[i], n - 2) == 0)
            return true;
    return false;
}

void visible_add_fixed(const char *fixed, struct buf *out)
{
    for (const char *p = *fixed == '{' ? fixed + 1 : ""; *p == '"';) { /* as json_text writes it: no blanks */
        const char *end = skip_member(p);
        if (!is_private(p)) {
            buf_add_char(out, ',');
            buf_add(out, p, (size_t)(end - p));
        }
        p = *end == ',' ? end + 1 : end;
    }
}

const char *visible_find_member(const char *object, const char *name, size_t *length)
{
    for (const char *p = *object == '{' ? object + 1 : ""; *p == '"';) {
        const char *end = skip_member(p), *value = skip_string(p);
        size_t n = (size_t)(value - p);
        if (n == strlen(name) + 2 && memcmp(p + 1, name, n - 2) == 0 && *value == ':') {
            *length = (size_t)(end - value - 1);
            return value + 1;
        }
        p = *end == ',' ? end + 1 : end;
    }
    return NULL;
}
