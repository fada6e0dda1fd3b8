/* Indices of job arrays: reading, writing, and from index to element and back. */
#include "proto/array.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "proto/excerpt.h"
#include "proto/ids.h"

#include <stdlib.h>
#include <string.h>

static const char form[] = "write indices such as 1-100, 0-99:2 or 1,5,9-12, and %N for at most N at once";

static uint32_t size_of(const struct array_range *r)
{
    return (r->last - r->first) / r->step + 1;
}

static bool take_number(const char **at, uint64_t max, uint32_t *out)
{
    uint64_t v;
    if (!ids_take_decimal(at, max, &v))
        return false;
    *out = (uint32_t)v;
    return true;
}

/* FIRST[-LAST[:STEP]] */
static bool take_range(const char **at, struct array_range *r, struct error *err)
{
    const char *start = *at;
    bool ok = take_number(at, ARRAY_INDEX_MAX, &r->first);
    r->last = r->first;
    r->step = 1;
    if (ok && **at == '-') {
        ++*at;
        ok = take_number(at, ARRAY_INDEX_MAX, &r->last);
        if (ok && **at == ':') {
            ++*at;
            ok = take_number(at, ARRAY_INDEX_MAX, &r->step) && r->step;
        }
    }
    if (!ok || (**at && **at != ',' && **at != '%')) {
        error_set(err, ERROR_INVALID, "\"%s\" is no index or range of indices from 0 to %d", EXCERPT(start),
                  ARRAY_INDEX_MAX);
        return error_hint(err, "%s", form);
    }
    if (r->last < r->first)
        return error_set(err, ERROR_INVALID, "the range %u-%u ends before it begins", r->first, r->last);
    r->last = r->first + (size_of(r) - 1) * r->step;
    return true;
}

static bool add_range(struct array_indices *a, struct array_range r, struct error *err)
{
    const struct array_range *before = a->range_count ? &a->ranges[a->range_count - 1] : NULL;
    if (before && r.first <= before->last) {
        error_set(err, ERROR_INVALID, "index %u stands behind %u", r.first, before->last);
        return error_hint(err, "list the indices in ascending order, each once");
    }
    if (a->range_count == ARRAY_RANGES_MAX)
        return error_set(err, ERROR_INVALID, "more than %d ranges of indices", ARRAY_RANGES_MAX);
    if (size_of(&r) > ARRAY_ELEMENTS_MAX - a->count)
        return error_set(err, ERROR_INVALID, "more than %d elements", ARRAY_ELEMENTS_MAX);
    a->ranges = xrealloc(a->ranges, (a->range_count + 1) * sizeof *a->ranges);
    a->ranges[a->range_count++] = r;
    a->count += size_of(&r);
    return true;
}

static bool parse(const char *text, struct array_indices *a, struct error *err)
{
    const char *at = text;
    if (strlen(text) > ARRAY_TEXT_MAX)
        return error_set(err, ERROR_INVALID, "the text is longer than %d bytes", ARRAY_TEXT_MAX);
    for (;;) {
        struct array_range r = {0};
        if (!take_range(&at, &r, err) || !add_range(a, r, err))
            return false;
        if (*at != ',')
            break;
        at++;
    }
    if (!*at)
        return true;
    const char *limit = ++at;
    if (!take_number(&at, ARRAY_ELEMENTS_MAX, &a->limit) || *at || !a->limit) {
        error_set(err, ERROR_INVALID, "%%%s is no number of elements that may run at once, from 1 to %d",
                  EXCERPT(limit), ARRAY_ELEMENTS_MAX);
        return error_hint(err, "%s", form);
    }
    return true;
}

bool array_parse(const char *text, struct array_indices *out, struct error *err)
{
    memset(out, 0, sizeof *out);
    if (parse(text, out, err))
        return true;
    array_finish(out);
    return false;
}

void array_finish(struct array_indices *a)
{
    free(a->ranges);
    memset(a, 0, sizeof *a);
}

uint32_t array_index(const struct array_indices *a, uint32_t n)
{
    n--;
    for (size_t i = 0; i < a->range_count; i++) {
        uint32_t size = size_of(&a->ranges[i]);
        if (n < size)
            return a->ranges[i].first + n * a->ranges[i].step;
        n -= size;
    }
    return UINT32_MAX;
}

uint32_t array_element(const struct array_indices *a, uint32_t index)
{
    uint32_t before = 0;
    for (size_t i = 0; i < a->range_count; i++) {
        const struct array_range *r = &a->ranges[i];
        if (index < r->first)
            return 0;
        if (index <= r->last)
            return (index - r->first) % r->step ? 0 : before + (index - r->first) / r->step + 1;
        before += size_of(r);
    }
    return 0;
}

uint32_t array_min(const struct array_indices *a)
{
    return a->range_count ? a->ranges[0].first : 0;
}

uint32_t array_max(const struct array_indices *a)
{
    return a->range_count ? a->ranges[a->range_count - 1].last : 0;
}

char *array_text(const struct array_indices *a)
{
    struct buf out = {0};
    for (size_t i = 0; i < a->range_count; i++) {
        const struct array_range *r = &a->ranges[i];
        buf_printf(&out, "%s%u", i ? "," : "", r->first);
        if (r->last != r->first)
            buf_printf(&out, "-%u", r->last);
        if (r->last != r->first && r->step != 1)
            buf_printf(&out, ":%u", r->step);
    }
    return buf_take(&out);
}

bool array_address(const char *text, size_t *name_length, uint32_t *index)
{
    const char *mark = strchr(text, ARRAY_MARK);
    if (!mark)
        return false;
    *name_length = (size_t)(mark - text);
    const char *at = mark + 1;
    if (!take_number(&at, ARRAY_INDEX_MAX, index) || *at)
        *index = UINT32_MAX;
    return true;
}
