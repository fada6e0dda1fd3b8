/* Evidence: what nodes call it (executor/shim/verdict.c), and what people read. */
#include "cli/evidence.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "cli/show.h"
#include "proto/units.h"

#include <stdlib.h>
#include <string.h>

enum form {
    FORM_TEXT,
    FORM_COUNT, /* nothing for 0 */
    FORM_BYTES,
    FORM_TIME,
    FORM_ERRNO,
    FORM_NONE, /* the cause says it */
};

static const struct {
    const char *name;
    enum form form;
    const char *words;
} known[] = {{"oom_kills", FORM_COUNT, "processes killed for memory"},
             {"memory_peak_bytes", FORM_BYTES, "most memory in use"},
             {"memory_limit_bytes", FORM_BYTES, "its memory"},
             {"disk_free_bytes", FORM_BYTES, "free on the disk"},
             {"stopped_for", FORM_NONE, NULL},
             {"forced", FORM_NONE, NULL},
             {"process", FORM_NONE, NULL},
             {"rank", FORM_TEXT, "rank"},
             {"warned", FORM_NONE, NULL},
             {"warned_with", FORM_TEXT, "warned with"},
             {"warned_at_ms", FORM_TIME, "warned at"},
             {"signal", FORM_COUNT, "signal from outside"},
             {"signal_pid", FORM_COUNT, "sent by process"},
             {"signal_uid", FORM_TEXT, "sent by uid"},
             {"errno", FORM_ERRNO, "error"},
             {"limits_refused", FORM_TEXT, "limits that the node could not set"},
             {"notes", FORM_TEXT, "note"},
             {"log_cut", FORM_TEXT, "log"},
             {"not_empty", FORM_TEXT, "left over"},
             {"readonly_write", FORM_TEXT, "read-only"},
             {"rebooted", FORM_COUNT, "restarts of the node"}};

static void add_value(enum form form, const char *value, struct buf *out)
{
    char text[32];
    int64_t number = strtoll(value, NULL, 10), bytes;
    if (form == FORM_BYTES && units_parse_bytes(value, &bytes))
        buf_printf(out, "%s (%lld)", show_bytes(bytes, text), (long long)bytes);
    else if (form == FORM_TIME)
        buf_add_str(out, show_time(number, text));
    else if (form == FORM_ERRNO)
        buf_add_str(out, strerror((int)number));
    else
        term_add_safe(out, value, false);
}

/* One that this Berth does not know: its name, as words. */
static void add_name(const char *name, struct buf *out)
{
    _cleanup_free_ char *words = xstrdup(name);
    for (char *c = words; *c; c++)
        *c = *c == '_' ? ' ' : *c;
    term_add_safe(out, words, false);
}

void evidence_add(const cJSON *evidence, const char *indent, struct buf *out)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, evidence)
    {
        _cleanup_free_ char *value = cJSON_IsString(item) ? xstrdup(item->valuestring) : json_text(item);
        const char *name = item->string ? item->string : "", *words = NULL;
        size_t n = strlen(name);
        enum form form = n > 6 && strcmp(name + n - 6, "_bytes") == 0 ? FORM_BYTES : FORM_TEXT;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
            if (strcmp(name, known[i].name) != 0)
                continue;
            form = known[i].form;
            words = known[i].words;
        }
        bool nothing = strcmp(value, "0") == 0 && (form == FORM_COUNT || form == FORM_TIME);
        if (form == FORM_NONE || nothing)
            continue;
        buf_printf(out, "%s  ", indent);
        if (words)
            buf_add_str(out, words);
        else
            add_name(name, out);
        buf_add_str(out, ": ");
        add_value(form, value, out);
        buf_add_char(out, '\n');
    }
}
