/* Option tables: one parser for all verbs, and the help text from the same rows. */
#include "cli/options.h"

#include "base/alloc.h"
#include "cli/words.h"
#include "proto/suggest.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX (1LL << 53)
#define HELP_COLUMN 26

static const struct opt *find_long(const struct opt *table, const char *name, size_t len)
{
    for (const struct opt *o = table; o->name; o++)
        if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
            return o;
    return NULL;
}

static const struct opt *find_letter(const struct opt *table, char letter)
{
    for (const struct opt *o = table; o->name; o++)
        if (o->letter == letter)
            return o;
    return NULL;
}

static bool parse_number(const struct opt *o, const char *text, struct opt_number *out, struct error *err)
{
    char *end;
    long long n = isdigit((unsigned char)*text) ? strtoll(text, &end, 10) : -1;
    if (n < 0 || *end || n > NUMBER_MAX)
        return error_set(err, ERROR_INVALID, "--%s takes a whole number from 0 to %lld, not \"%.40s\"",
                         o->name, NUMBER_MAX, text);
    *out = (struct opt_number){.value = n, .given = true};
    return true;
}

static void set_flag(const struct opt *o, void *args)
{
    *(bool *)((char *)args + o->offset) = true;
}

static bool store(const struct opt *o, void *args, const char *value, struct error *err)
{
    void *field = (char *)args + o->offset;
    struct opt_list *list = field;
    char what[64];
    snprintf(what, sizeof what, "--%s", o->name);
    if (!word_check(word_kind_of(o->value), what, value, err))
        return false;
    switch (o->kind) {
    case OPT_FLAG:
        break; /* takes no value: set_flag */
    case OPT_STRING:
        *(const char **)field = value;
        return true;
    case OPT_NUMBER:
        return parse_number(o, value, field, err);
    case OPT_LIST:
        if (list->count == OPT_LIST_MAX)
            return error_set(err, ERROR_LIMIT, "--%s is given more than %d times", o->name, OPT_LIST_MAX);
        list->items = xrealloc(list->items, (list->count + 1) * sizeof *list->items);
        list->items[list->count++] = value;
        return true;
    }
    return false;
}

static bool unknown_long(const struct opt *table, const char *word, size_t len, struct error *err)
{
    const char *names[64];
    size_t count = 0;
    for (const struct opt *o = table; o->name && count < 64; o++)
        if (o->help)
            names[count++] = o->name;
    char typed[64];
    snprintf(typed, sizeof typed, "%.*s", (int)len, word);
    const char *near = suggest_nearest(typed, names, count, sizeof *names);
    error_set(err, ERROR_INVALID, "unknown option --%s", typed);
    if (near)
        error_hint(err, "did you mean --%s?", near);
    return false;
}

/* One "--name", "--name=value" or "--name value" at argv[*i]. */
static bool parse_long(const struct opt *table, void *args, int argc, char **argv, int *i, struct error *err)
{
    const char *word = argv[*i] + 2;
    size_t len = strcspn(word, "=");
    const struct opt *o = find_long(table, word, len);
    if (!o)
        return unknown_long(table, word, len, err);
    const char *value = word[len] == '=' ? word + len + 1 : NULL;
    if (o->kind == OPT_FLAG) {
        if (value)
            return error_set(err, ERROR_INVALID, "--%s takes no value", o->name);
        set_flag(o, args);
        return true;
    }
    if (!value) {
        if (*i + 1 >= argc)
            return error_set(err, ERROR_INVALID, "--%s needs a value (%s)", o->name, o->value);
        value = argv[++*i];
    }
    return store(o, args, value, err);
}

/* A cluster of short ones: "-it", "-ojson", "-o json". */
static bool parse_short(const struct opt *table, void *args, int argc, char **argv, int *i, struct error *err)
{
    for (const char *p = argv[*i] + 1; *p; p++) {
        const struct opt *o = find_letter(table, *p);
        if (!o)
            return error_set(err, ERROR_INVALID, "unknown option -%c", *p);
        if (o->kind == OPT_FLAG) {
            set_flag(o, args);
            continue;
        }
        const char *value = p[1] ? p + 1 : *i + 1 < argc ? argv[++*i] : NULL;
        if (!value)
            return error_set(err, ERROR_INVALID, "-%c needs a value (%s)", *p, o->value);
        return store(o, args, value, err);
    }
    return true;
}

bool opt_parse(const struct opt *table, void *args, bool stop_at_operand, int argc, char **argv,
               int *operands, bool *help, struct error *err)
{
    int count = 0;
    *help = false;
    bool only_operands = false;
    for (int i = 0; i < argc; i++) {
        char *word = argv[i];
        if (only_operands || word[0] != '-' || word[1] == '\0') {
            argv[count++] = word;
            only_operands = only_operands || stop_at_operand;
        } else if (strcmp(word, "--") == 0) {
            only_operands = true;
            const struct opt *dashes = find_long(table, OPT_DASHES, strlen(OPT_DASHES));
            if (dashes)
                set_flag(dashes, args);
        } else if (strcmp(word, "--help") == 0 || (strcmp(word, "-h") == 0 && !find_letter(table, 'h'))) {
            *help = true;
            return true;
        } else if (!(word[1] == '-' ? parse_long : parse_short)(table, args, argc, argv, &i, err)) {
            return false;
        }
    }
    *operands = count;
    return true;
}

void opt_finish(const struct opt *table, void *args)
{
    for (const struct opt *o = table; o->name; o++) {
        struct opt_list *list = (void *)((char *)args + o->offset);
        if (o->kind != OPT_LIST)
            continue;
        free(list->items);
        *list = (struct opt_list){0};
    }
}

/* Adds `text` from column `at` on, broken at spaces before `width`, later lines indented by HELP_COLUMN. */
static void add_wrapped(struct buf *out, const char *text, int at, int width)
{
    while (*text) {
        int room = width - at > 20 ? width - at : 20;
        int len = (int)strlen(text), cut = len;
        if (len > room) {
            for (cut = room; cut > 0 && text[cut] != ' ';)
                cut--;
            if (cut == 0)
                cut = (int)strcspn(text, " ");
        }
        buf_add(out, text, (size_t)cut);
        buf_add_char(out, '\n');
        text += cut;
        text += strspn(text, " ");
        if (*text)
            buf_printf(out, "%*s", HELP_COLUMN, "");
        at = HELP_COLUMN;
    }
}

void opt_help(const struct opt *table, int width, struct buf *out)
{
    for (const struct opt *o = table; o->name; o++) {
        if (!o->help)
            continue;
        char left[80];
        char letter[8] = "    ";
        if (o->letter)
            snprintf(letter, sizeof letter, "-%c, ", o->letter);
        int n = snprintf(left, sizeof left, "  %s--%s%s%s", letter, o->name, o->value ? " " : "",
                         o->value ? o->value : "");
        buf_add_str(out, left);
        if (n + 2 > HELP_COLUMN)
            buf_printf(out, "\n%*s", HELP_COLUMN, "");
        else
            buf_printf(out, "%*s", HELP_COLUMN - n, "");
        add_wrapped(out, o->help, HELP_COLUMN, width);
    }
}
