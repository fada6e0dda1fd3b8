/* YAML by libfyaml. Owns the parser, whose tokens the positions come from, for as long as the file lives. */
#include "cli/yaml.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/map.h"

#include <ctype.h>
#include <fcntl.h>
#include <libfyaml.h>
#include <math.h>
#include <string.h>

struct yaml_file {
    char *name, *text;
    size_t len;
    struct fy_diag *diag;
    struct fy_parser *parser;
    struct fy_document *document;
    cJSON *json;
};

struct converter {
    struct yaml_file *file;
    struct error *err;
    int nodes, depth, aliases;
};

/* The line of the source that a message is about, for people to see. `line` is from 0. */
static void append_source_line(const struct yaml_file *file, int line, int column, struct buf *out)
{
    const char *p = file->text, *end = file->text + file->len;
    for (; line > 0 && p < end; line--) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        p = newline ? newline + 1 : end;
    }
    if (p >= end && file->len) { /* an error at the very end: what stands last tells more than nothing */
        for (end -= end[-1] == '\n', p = end; p > file->text && p[-1] != '\n';)
            p--;
        column = -1;
    }
    const char *newline = memchr(p, '\n', (size_t)(end - p));
    size_t len = (size_t)((newline ? newline : end) - p);
    if (len > 160)
        len = 160;
    buf_add_str(out, "\n  ");
    for (size_t i = 0; i < len; i++)
        buf_add_char(out, (unsigned char)p[i] < 0x20 || p[i] == 0x7f ? ' ' : p[i]);
    if (column >= 0 && column <= (int)len)
        buf_printf(out, "\n  %*s^", column, "");
}

static bool set_positioned(const struct yaml_file *file, int line, int column, const char *message,
                           struct error *err)
{
    _cleanup_buf_ struct buf source = {0};
    append_source_line(file, line, column, &source);
    return error_set(err, ERROR_INVALID, "%s:%d:%d: %s%s", file->name, line + 1, column + 1, message,
                     source.data ? source.data : "");
}

static bool node_mark(struct fy_node *node, int *line, int *column)
{
    struct fy_token *token = fy_node_get_scalar_token(node);
    if (!token && fy_node_get_type(node) == FYNT_MAPPING) {
        struct fy_node_pair *pair = fy_node_mapping_get_by_index(node, 0);
        token = pair ? fy_node_get_scalar_token(fy_node_pair_key(pair)) : NULL;
    } else if (!token && fy_node_get_type(node) == FYNT_SEQUENCE && fy_node_sequence_item_count(node) > 0) {
        token = fy_node_get_scalar_token(fy_node_sequence_get_by_index(node, 0));
    }
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    if (!mark)
        return false;
    *line = mark->line;
    *column = mark->column;
    return true;
}

static cJSON *refuse(struct converter *c, struct fy_node *node, const char *message)
{
    int line = 0, column = 0;
    if (node)
        node_mark(node, &line, &column);
    set_positioned(c->file, line, column, message, c->err);
    return NULL;
}

/* -?(0|[1-9][0-9]*) */
static bool is_integer(const char *s)
{
    s += *s == '-';
    if (*s == '0')
        return s[1] == '\0';
    if (!isdigit((unsigned char)*s))
        return false;
    return strspn(s, "0123456789") == strlen(s);
}

static cJSON *plain_scalar(const char *text)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++)
        if (strcmp(text, nulls[i]) == 0)
            return cJSON_CreateNull();
    if (strcmp(text, "true") == 0 || strcmp(text, "True") == 0 || strcmp(text, "TRUE") == 0)
        return cJSON_CreateTrue();
    if (strcmp(text, "false") == 0 || strcmp(text, "False") == 0 || strcmp(text, "FALSE") == 0)
        return cJSON_CreateFalse();
    if (strlen(text) < 24 && strspn(text, "-.0123456789") == strlen(text) &&
        isdigit((unsigned char)text[text[0] == '-'])) {
        char *end;
        double value = strtod(text, &end);
        char back[40];
        snprintf(back, sizeof back, "%.15g", value);
        if (*end == '\0' && isfinite(value) && fabs(value) <= (double)JSON_EXACT_MAX &&
            strcmp(back, text) == 0)
            return cJSON_CreateNumber(value);
        if (is_integer(text) && fabs(value) <= (double)JSON_EXACT_MAX)
            return cJSON_CreateNumber(value);
    }
    return cJSON_CreateString(text);
}

static cJSON *convert(struct converter *c, struct fy_node *node);

static cJSON *convert_scalar(struct converter *c, struct fy_node *node)
{
    size_t len = 0;
    const char *bytes = fy_node_get_scalar(node, &len);
    if (!bytes)
        len = 0;
    if (bytes && memchr(bytes, '\0', len))
        return refuse(c, node, "a NUL byte in a value");
    if (!json_is_utf8(bytes ? bytes : "", len))
        return refuse(c, node, "the text is not UTF-8");
    _cleanup_free_ char *text = xstrndup(bytes ? bytes : "", len);
    enum fy_node_style style = fy_node_get_style(node);
    static const char text_tag[] = "tag:yaml.org,2002:str";
    size_t tag_len = 0;
    const char *tag = fy_node_get_tag(node, &tag_len);
    if (tag && tag_len == sizeof text_tag - 1 && memcmp(tag, text_tag, tag_len) == 0)
        return cJSON_CreateString(text);
    if (style == FYNS_PLAIN || (style == FYNS_ANY && len == 0))
        return plain_scalar(text);
    return cJSON_CreateString(text);
}

static struct fy_node *follow_alias(struct converter *c, struct fy_node *node)
{
    for (int hops = 0; node && fy_node_is_alias(node); hops++) {
        if (++c->aliases > YAML_ALIASES_MAX) {
            refuse(c, node, "the file has too many values: aliases (*NAME) are followed up to 10000 times");
            return NULL;
        }
        struct fy_node *target = hops < 16 ? fy_node_resolve_alias(node) : NULL;
        if (!target) {
            refuse(c, node, "this alias has no anchor above it");
            return NULL;
        }
        node = target;
    }
    return node;
}

/* A mapping as it is made: its names are looked up by hash, since people write mappings of thousands. */
struct mapping {
    cJSON *object;
    struct map names;
};

static bool mapping_has(const struct mapping *m, const char *name)
{
    return map_get_str(&m->names, name) != NULL;
}

static void mapping_add(struct mapping *m, const char *name, cJSON *item)
{
    cJSON_AddItemToObject(m->object, name, item); /* copies the name */
    map_put_str(&m->names, name, item);
}

static bool merge_mapping(struct converter *c, struct mapping *into, struct fy_node *value)
{
    value = follow_alias(c, value);
    if (!value)
        return false;
    if (fy_node_get_type(value) != FYNT_MAPPING) {
        refuse(c, value, "only mappings can be merged with <<");
        return false;
    }
    cJSON *other = convert(c, value);
    if (!other)
        return false;
    for (cJSON *item = other->child, *next; item; item = next) {
        next = item->next;
        if (mapping_has(into, item->string))
            continue;
        cJSON_DetachItemViaPointer(other, item);
        _cleanup_free_ char *name = xstrdup(item->string); /* the item's own is freed as it is added */
        mapping_add(into, name, item);
    }
    cJSON_Delete(other);
    return true;
}

/* `<<: *defaults`, `<<: [*a, *b]`: fields that are not in the mapping itself. A list in the list is none of
 * YAML's, and could hold itself. */
static bool merge(struct converter *c, struct mapping *into, struct fy_node *value)
{
    value = follow_alias(c, value);
    if (!value || fy_node_get_type(value) != FYNT_SEQUENCE)
        return value && merge_mapping(c, into, value);
    void *cursor = NULL;
    for (struct fy_node *item; (item = fy_node_sequence_iterate(value, &cursor));)
        if (!merge_mapping(c, into, item))
            return false;
    return true;
}

static cJSON *convert_mapping(struct converter *c, struct fy_node *node)
{
    struct mapping m = {.object = cJSON_CreateObject()};
    void *cursor = NULL;
    for (int pass = 0; pass < 2;
         pass++, cursor = NULL) { /* own fields first, so that they win over merged ones */
        for (struct fy_node_pair *pair; (pair = fy_node_mapping_iterate(node, &cursor));) {
            struct fy_node *key = follow_alias(c, fy_node_pair_key(pair));
            size_t len = 0;
            const char *bytes =
                key && fy_node_get_type(key) == FYNT_SCALAR ? fy_node_get_scalar(key, &len) : NULL;
            if (!bytes || len == 0 || memchr(bytes, '\0', len) || !json_is_utf8(bytes, len)) {
                refuse(c, key ? key : node, "a field's name must be text");
                goto fail;
            }
            _cleanup_free_ char *name = xstrndup(bytes, len);
            bool merged = strcmp(name, "<<") == 0 && fy_node_get_style(key) == FYNS_PLAIN;
            if (merged != (pass == 1))
                continue;
            if (merged) {
                if (!merge(c, &m, fy_node_pair_value(pair)))
                    goto fail;
                continue;
            }
            if (mapping_has(&m, name)) {
                refuse(c, key, "this field is given twice");
                goto fail;
            }
            struct fy_node *value = fy_node_pair_value(pair);
            cJSON *item = value ? convert(c, value) : cJSON_CreateNull();
            if (!item)
                goto fail;
            mapping_add(&m, name, item);
        }
    }
    map_finish(&m.names);
    return m.object;
fail:
    map_finish(&m.names);
    cJSON_Delete(m.object);
    return NULL;
}

static cJSON *convert_sequence(struct converter *c, struct fy_node *node)
{
    cJSON *array = cJSON_CreateArray();
    void *cursor = NULL;
    for (struct fy_node *item; (item = fy_node_sequence_iterate(node, &cursor));) {
        cJSON *value = convert(c, item);
        if (!value) {
            cJSON_Delete(array);
            return NULL;
        }
        cJSON_AddItemToArray(array, value);
    }
    return array;
}

static cJSON *convert(struct converter *c, struct fy_node *node)
{
    node = follow_alias(c, node);
    if (!node)
        return NULL;
    if (++c->nodes > YAML_NODES_MAX)
        return refuse(c, node, "the file has too many values (aliases followed)");
    if (c->depth == YAML_DEPTH_MAX)
        return refuse(c, node, "values are nested too deep");
    c->depth++;
    cJSON *result = NULL;
    switch (fy_node_get_type(node)) {
    case FYNT_SCALAR:
        result = convert_scalar(c, node);
        break;
    case FYNT_SEQUENCE:
        result = convert_sequence(c, node);
        break;
    case FYNT_MAPPING:
        result = convert_mapping(c, node);
        break;
    }
    c->depth--;
    return result;
}

/* First line (from 1) that is indented by a tab, the commonest mistake and the one with the oddest messages;
 * 0: none. */
static int tabbed_line(const struct yaml_file *file)
{
    int line = 1;
    for (const char *p = file->text; *p; line++) {
        if (p[strspn(p, " ")] == '\t')
            return line;
        p += strcspn(p, "\n");
        p += *p == '\n';
    }
    return 0;
}

static bool set_syntax_error(struct yaml_file *file, struct error *err)
{
    void *cursor = NULL;
    const struct fy_diag_error *first = fy_diag_errors_iterate(file->diag, &cursor);
    if (!first)
        return error_set(err, ERROR_INVALID, "%s can't be read as YAML", file->name);
    _cleanup_free_ char *message = xstrdup(first->msg);
    message[strcspn(message, "\n")] = '\0';
    _cleanup_free_ char *told = xasprintf("not valid YAML: %s", message);
    int line = first->line, column = first->column;
    if (line > 0 && first->fyt &&
        fy_token_start_mark(first->fyt)) { /* errors print from 1, marks count from 0 */
        line = fy_token_start_mark(first->fyt)->line;
        column = fy_token_start_mark(first->fyt)->column;
    } else {
        line -= line > 0;
        column -= column > 0;
    }
    set_positioned(file, line, column < 0 ? 0 : column, told, err);
    int tab = tabbed_line(file);
    return tab ? error_hint(err, "line %d starts with a tab; YAML indents by spaces", tab) : false;
}

/* At least the anchors of a text: &NAME where a value could begin. */
static size_t count_anchors(const char *text)
{
    size_t count = 0;
    for (const char *p = text; (p = strchr(p, '&')); p++) {
        bool begins = p == text || strchr(" \t\n-[{,:?", p[-1]);
        count += begins && p[1] && !strchr(" \t\r\n&", p[1]);
    }
    return count;
}

static bool load(struct yaml_file *file, struct error *err)
{
    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL;
    diag_cfg.colorize = false;
    diag_cfg.level = FYET_ERROR;
    file->diag = fy_diag_create(&diag_cfg);
    if (!file->diag)
        return error_set(err, ERROR_INTERNAL, "libfyaml does not start");
    fy_diag_set_collect_errors(file->diag, true);
    struct fy_parse_cfg cfg = {
        .flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_DISABLE_MMAP_OPT | FYPCF_JSON_NONE |
                 FYPCF_ALLOW_DUPLICATE_KEYS, /* its own check is quadratic; convert_mapping's is not */
        .diag = file->diag};
    file->parser = fy_parser_create(&cfg);
    if (!file->parser || fy_parser_set_string(file->parser, file->text, file->len) != 0)
        return error_set(err, ERROR_INTERNAL, "libfyaml does not start");
    file->document = fy_parse_load_document(file->parser);
    if (!file->document) {
        if (fy_diag_got_error(file->diag))
            return set_syntax_error(file, err);
        return error_set(err, ERROR_INVALID, "%s is empty", file->name);
    }
    struct converter c = {.file = file, .err = err};
    struct fy_node *root = fy_document_root(file->document);
    file->json = root ? convert(&c, root) : cJSON_CreateNull();
    if (!file->json)
        return false;
    struct fy_document *second = fy_parse_load_document(file->parser);
    if (second) {
        fy_parse_document_destroy(file->parser, second);
        return error_set(err, ERROR_INVALID, "%s holds more than one document: one file is one job",
                         file->name);
    }
    return fy_diag_got_error(file->diag) ? set_syntax_error(file, err) : true;
}

struct yaml_file *yaml_parse(const char *name, const char *text, size_t len, struct error *err)
{
    if (len > YAML_FILE_MAX_BYTES) {
        error_set(err, ERROR_LIMIT, "%s is larger than %d bytes", name, YAML_FILE_MAX_BYTES);
        return NULL;
    }
    const char *nul = memchr(text, '\0', len);
    if (nul) {
        error_set(err, ERROR_INVALID, "%s is no text: byte %zu is NUL", name, (size_t)(nul - text) + 1);
        return NULL;
    }
    if (!json_is_utf8(text, len)) {
        error_set(err, ERROR_INVALID, "%s is not UTF-8 text", name);
        return NULL;
    }
    struct yaml_file *file = xcalloc(1, sizeof *file);
    file->name = xstrdup(name);
    file->text = xstrndup(text, len);
    file->len = len;
    if (count_anchors(file->text) > YAML_ANCHORS_MAX)
        error_set(err, ERROR_LIMIT, "%s has more than %d anchors (&NAME)", name, YAML_ANCHORS_MAX);
    else if (load(file, err))
        return file;
    yaml_free(file);
    return NULL;
}

struct yaml_file *yaml_read(const char *path, struct error *err)
{
    _cleanup_buf_ struct buf text = {0};
    bool from_stdin = strcmp(path, "-") == 0;
    if (!fs_read_file(AT_FDCWD, from_stdin ? "/dev/stdin" : path, YAML_FILE_MAX_BYTES, &text, err)) {
        if (err && err->code == ERROR_NOT_FOUND) {
            error_set(err, ERROR_NOT_FOUND, "there is no job file %s", path);
            error_hint(err, "berth submit FILE.yml; a command goes behind --: berth submit -- COMMAND...");
        }
        return NULL;
    }
    return yaml_parse(from_stdin ? "standard input" : path, text.data ? text.data : "", text.len, err);
}

void yaml_free(struct yaml_file *file)
{
    if (!file)
        return;
    cJSON_Delete(file->json);
    if (file->document)
        fy_parse_document_destroy(file->parser, file->document);
    if (file->parser)
        fy_parser_destroy(file->parser);
    if (file->diag)
        fy_diag_destroy(file->diag);
    free(file->name);
    free(file->text);
    free(file);
}

cJSON *yaml_json(struct yaml_file *file)
{
    return file->json;
}

cJSON *yaml_take_json(struct yaml_file *file)
{
    return take_ptr(file->json);
}

int yaml_line(struct yaml_file *file, const char *field)
{
    struct fy_node *node = fy_document_root(file->document);
    int line = 0;
    for (const char *p = field; node && *p && fy_node_get_type(node) == FYNT_MAPPING;) {
        size_t len = strcspn(p, ".[");
        struct fy_node *next = NULL;
        void *cursor = NULL;
        for (struct fy_node_pair *pair; (pair = fy_node_mapping_iterate(node, &cursor));) {
            size_t n = 0;
            const char *key = fy_node_get_scalar(fy_node_pair_key(pair), &n);
            int column;
            if (!key || n != len || memcmp(key, p, len) != 0 ||
                !node_mark(fy_node_pair_key(pair), &line, &column))
                continue;
            line++;
            next = fy_node_pair_value(pair);
            break;
        }
        if (!next)
            break;
        node = next;
        p += len;
        if (*p == '[')
            break;
        p += *p == '.';
    }
    return line;
}
