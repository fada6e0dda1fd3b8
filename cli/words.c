/* Names as they are typed. */
#include "cli/words.h"

#include "base/text.h"
#include "proto/array.h"
#include "proto/jobspec.h"
#include "proto/json.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define ID_DIGITS_MAX 19    /* of a job id that fits 63 bits */
#define INDEX_DIGITS_MAX 9  /* of ARRAY_INDEX_MAX */
#define NUMBER_DIGITS_MAX 9 /* of NAME#N */
#define SHOWN_WORD_BYTES 40 /* of a word in a message */

enum word_kind word_kind_of(const char *value_name)
{
    static const struct {
        const char *value_name;
        enum word_kind kind;
    } kinds[] = {{"NAME", WORD_NAME},          {"L", WORD_NAME},     {"F", WORD_NAME},
                 {"A,B", WORD_NAME},           {"DIR", WORD_PATH},   {"PATH", WORD_PATH},
                 {"FILE", WORD_PATH},          {"WHERE", WORD_PATH}, {"K=V|NAME", WORD_PATH},
                 {"SRC[:DST][:rw]", WORD_PATH}};
    for (size_t i = 0; value_name && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].value_name, value_name) == 0)
            return kinds[i].kind;
    return WORD_TEXT;
}

static bool refuse(const char *what, const char *word, const char *why, struct error *err)
{
    size_t n = strlen(word);
    _cleanup_buf_ struct buf shown = {0};
    text_add_safe(&shown, word, n < SHOWN_WORD_BYTES ? n : SHOWN_WORD_BYTES, TEXT_ONE_LINE);
    return error_set(err, ERROR_INVALID, "invalid %s \"%s%s\": %s", what, shown.data ? shown.data : "",
                     n > SHOWN_WORD_BYTES ? "..." : "", why);
}

static bool has_control(const char *word)
{
    for (const unsigned char *p = (const unsigned char *)word; *p; p++)
        if (*p < 0x20 || *p == 0x7f)
            return true;
    return false;
}

static bool check_name(const char *what, const char *word, struct error *err)
{
    char why[64];
    if (strlen(word) > WORD_NAME_MAX) {
        snprintf(why, sizeof why, "it has %zu bytes, at most %d", strlen(word), WORD_NAME_MAX);
        return refuse(what, word, why, err);
    }
    if (has_control(word))
        return refuse(what, word, "a name has no control characters", err);
    return !strchr(word, '/') || refuse(what, word, "a name has no slash", err);
}

static bool check_index(const char *what, const char *word, const char *index, struct error *err)
{
    size_t digits = strspn(index, "0123456789");
    if (digits && !index[digits] && digits <= INDEX_DIGITS_MAX)
        return true;
    return refuse(what, word, "an element of an array is NAME@INDEX, the index a whole number", err);
}

/* Of `rest`, from its '#' on, n bytes. */
static bool check_number(const char *what, const char *word, const char *rest, size_t n, struct error *err)
{
    if (n > 1 && n <= NUMBER_DIGITS_MAX + 1 && rest[1] != '0' && strspn(rest + 1, "0123456789") == n - 1)
        return true;
    return refuse(what, word, "an older job is NAME#N, N a whole number from 1", err);
}

/* [USER/]NAME[#N][@INDEX], or an id in the place of NAME */
static bool check_job(const char *what, const char *word, struct error *err)
{
    char name[JOB_NAME_MAX + 2];
    struct error invalid = {0};
    const char *slash = strrchr(word, '/'), *rest = slash ? slash + 1 : word;
    size_t n = strcspn(rest, (char[]){ARRAY_MARK, '\0'}), hash = strcspn(rest, "#");
    if (slash == word || (slash && (strchr(word, '/') != slash || slash - word > WORD_NAME_MAX)) ||
        (slash && has_control(word)))
        return refuse(what, word, "another user's job is USER/NAME", err);
    if (rest[n] && !check_index(what, word, rest + n + 1, err))
        return false;
    if (hash < n && !check_number(what, word, rest + hash, n - hash, err))
        return false;
    n = hash < n ? hash : n;
    snprintf(name, sizeof name, "%.*s", n < sizeof name ? (int)n : (int)sizeof name - 1, rest);
    bool digits = *name && name[strspn(name, "0123456789")] == '\0';
    if (digits && n > ID_DIGITS_MAX)
        return refuse(what, word, "no id is as large", err);
    if (digits || job_name_valid(name, &invalid))
        return true;
    char why[ERROR_MESSAGE_MAX];
    snprintf(why, sizeof why, "it %.300s", invalid.message);
    return refuse(what, word, n > JOB_NAME_MAX ? "a job's name has at most 64 characters" : why, err);
}

bool word_check(enum word_kind kind, const char *what, const char *word, struct error *err)
{
    if (kind == WORD_ANY)
        return true;
    if (kind != WORD_TEXT && !*word)
        return refuse(what, word, "it is empty", err);
    if (kind != WORD_PATH && !json_is_utf8(word, strlen(word)))
        return refuse(what, word, "it is not UTF-8", err);
    if (kind == WORD_NAME)
        return check_name(what, word, err);
    if (kind != WORD_JOB || check_job(what, word, err))
        return true;
    return error_hint(err, "berth ps --all lists jobs");
}
