/* gitignore(5). Patterns and paths are matched name by name, so that no pattern takes more than the product
 * of both lengths, whatever stars it has. */
#include "proto/ignore.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct rule {
    char *pattern; /* without "!", leading and trailing slash */
    bool negated, folders_only, anchored;
};

struct ignore_set {
    struct ignore_set *above;
    char *base;
    struct rule *rules; /* in the order of the file: the last that matches decides */
    size_t count;
};

/* ---- one name ---- */

static bool class_has(const char *name, size_t len, unsigned char c)
{
    static const struct {
        const char *name;
        int (*test)(int);
    } classes[] = {{"alnum", isalnum}, {"alpha", isalpha}, {"blank", isblank}, {"cntrl", iscntrl},
                   {"digit", isdigit}, {"graph", isgraph}, {"lower", islower}, {"print", isprint},
                   {"punct", ispunct}, {"space", isspace}, {"upper", isupper}, {"xdigit", isxdigit}};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strlen(classes[i].name) == len && memcmp(classes[i].name, name, len) == 0)
            return classes[i].test(c) != 0;
    return false;
}

/* p stands behind "[". Returns the byte behind "]", or NULL where the bracket is never closed. */
static const char *match_bracket(const char *p, const char *end, unsigned char c, bool *matched)
{
    bool negated = p < end && (*p == '!' || *p == '^'), found = false;
    p += negated;
    for (bool first = true; p < end && (first || *p != ']'); first = false) {
        const char *close;
        if (p[0] == '[' && p + 1 < end && p[1] == ':' &&
            (close = memmem(p + 2, (size_t)(end - p - 2), ":]", 2))) {
            found = found || class_has(p + 2, (size_t)(close - p - 2), c);
            p = close + 2;
            continue;
        }
        if (*p == '\\' && p + 1 < end)
            p++;
        unsigned char from = (unsigned char)*p++, to = from;
        if (p + 1 < end && *p == '-' && p[1] != ']') {
            p++;
            if (*p == '\\' && p + 1 < end)
                p++;
            to = (unsigned char)*p++;
        }
        found = found || (c >= from && c <= to);
    }
    *matched = found != negated;
    return p < end ? p + 1 : NULL;
}

/* One pattern item (no star) against one byte; returns the next item, or NULL where it does not match. */
static const char *match_item(const char *p, const char *end, unsigned char c)
{
    bool matched;
    switch (*p) {
    case '?':
        return p + 1;
    case '[':
        p = match_bracket(p + 1, end, c, &matched);
        return p && matched ? p : NULL;
    case '\\':
        if (p + 1 < end)
            p++;
        break;
    default:
        break;
    }
    return (unsigned char)*p == c ? p + 1 : NULL;
}

/* "*", "?", "[...]" and "\" within one name. */
static bool match_name(const char *p, const char *p_end, const char *t, const char *t_end)
{
    const char *star = NULL, *retry = NULL;
    for (;;) {
        if (p < p_end && *p == '*') {
            star = ++p;
            retry = t;
            continue;
        }
        if (t == t_end && p == p_end)
            return true;
        const char *next = t < t_end && p < p_end ? match_item(p, p_end, (unsigned char)*t) : NULL;
        if (next) {
            p = next;
            t++;
            continue;
        }
        if (!star || retry == t_end)
            return false;
        p = star;
        t = ++retry;
    }
}

/* ---- a path ---- */

static const char *name_end(const char *p)
{
    return p + strcspn(p, "/");
}

static bool is_stars(const char *p)
{
    return p[0] == '*' && p[1] == '*' && (p[2] == '\0' || p[2] == '/');
}

static const char *next_name(const char *end)
{
    return *end ? end + 1 : NULL;
}

bool ignore_glob(const char *pattern, const char *path)
{
    const char *p = pattern, *t = path, *star = NULL, *retry = NULL;
    for (;;) {
        if (p && is_stars(p)) {
            if (p[2] == '\0')
                return t != NULL; /* "a/ **" is everything in a, not a itself */
            star = p = p + 3;
            retry = t;
            continue;
        }
        if (!p && !t)
            return true;
        if (p && t && match_name(p, name_end(p), t, name_end(t))) {
            p = next_name(name_end(p));
            t = next_name(name_end(t));
            continue;
        }
        if (!star || !retry || !(retry = next_name(name_end(retry))))
            return false;
        p = star;
        t = retry;
    }
}

static bool rule_matches(const struct rule *rule, const char *path, bool is_folder)
{
    if (rule->folders_only && !is_folder)
        return false;
    if (rule->anchored)
        return ignore_glob(rule->pattern, path);
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    return match_name(rule->pattern, rule->pattern + strlen(rule->pattern), name, name + strlen(name));
}

bool ignore_matches(const struct ignore *ignore, const char *path, bool is_folder)
{
    for (const struct ignore_set *set = ignore->deepest; set; set = set->above) {
        size_t skip = strlen(set->base);
        if (skip && (strncmp(path, set->base, skip) != 0 || path[skip] != '/'))
            continue;
        const char *inside = path + skip + (skip > 0);
        for (size_t i = set->count; i > 0; i--)
            if (rule_matches(&set->rules[i - 1], inside, is_folder))
                return !set->rules[i - 1].negated;
    }
    return false;
}

bool ignore_covers(const struct ignore *ignore, const char *path)
{
    _cleanup_free_ char *part = xstrdup(path);
    for (char *slash = part; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        if (ignore_matches(ignore, part, true))
            return true;
        *slash = '/';
    }
    return ignore_matches(ignore, path, false);
}

/* ---- reading ---- */

/* Trailing spaces go unless the last is quoted by a backslash. */
static size_t trimmed(const char *line, size_t len)
{
    while (len && line[len - 1] == ' ') {
        size_t slashes = 0;
        while (slashes + 1 < len && line[len - 2 - slashes] == '\\')
            slashes++;
        if (slashes % 2)
            break;
        len--;
    }
    return len;
}

static void add_rule(struct ignore_set *set, const char *line, size_t len)
{
    struct rule rule = {0};
    if (len && line[len - 1] == '\r')
        len--;
    if (len == 0 || line[0] == '#')
        return;
    len = trimmed(line, len);
    if (len && line[0] == '!') {
        rule.negated = true;
        line++;
        len--;
    }
    if (len && line[len - 1] == '/') {
        rule.folders_only = true;
        len--;
    }
    rule.anchored = memchr(line, '/', len) != NULL;
    if (len && line[0] == '/') {
        line++;
        len--;
    }
    if (len == 0)
        return;
    rule.pattern = xstrndup(line, len);
    set->rules = xrealloc(set->rules, (set->count + 1) * sizeof rule);
    set->rules[set->count++] = rule;
}

void ignore_push(struct ignore *ignore, const char *base, const char *text, size_t len)
{
    struct ignore_set *set = xcalloc(1, sizeof *set);
    set->base = xstrdup(base);
    set->above = ignore->deepest;
    ignore->deepest = set;
    if (len && ignore->pushed)
        ignore->pushed(ignore->data, base, text, len);
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }
    for (const char *end = text + len; text < end;) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t n = (size_t)((newline ? newline : end) - text);
        add_rule(set, text, n);
        text += n + (newline != NULL);
    }
}

bool ignore_push_file(struct ignore *ignore, const char *base, int dirfd, const char *name, struct error *err)
{
    _cleanup_buf_ struct buf text = {0};
    _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    if (fd < 0 && errno != ENOENT && errno != ELOOP && errno != ENOTDIR)
        return error_errno(err, errno, "can't read %s%s%s", base, *base ? "/" : "", name);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        if (st.st_size > IGNORE_FILE_MAX_BYTES)
            return error_set(err, ERROR_LIMIT, "%s%s%s is larger than %d bytes", base, *base ? "/" : "", name,
                             IGNORE_FILE_MAX_BYTES);
        buf_reserve(&text, (size_t)st.st_size);
        ssize_t n;
        while (text.len < (size_t)st.st_size &&
               (n = read(fd, text.data + text.len, (size_t)st.st_size - text.len)) > 0)
            text.len += (size_t)n;
    }
    ignore_push(ignore, base, text.data ? text.data : "", text.len);
    return true;
}

void ignore_pop(struct ignore *ignore)
{
    struct ignore_set *set = ignore->deepest;
    ignore->deepest = set->above;
    for (size_t i = 0; i < set->count; i++)
        free(set->rules[i].pattern);
    free(set->rules);
    free(set->base);
    free(set);
}

void ignore_finish(struct ignore *ignore)
{
    while (ignore->deepest)
        ignore_pop(ignore);
}
