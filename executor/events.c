/* The event queue and its file. Owns both; the invariant is that a number once given to an event is never
 * given to another. */
#include "executor/events.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#define FILE_MAX_BYTES (256u << 20)
#define MARKS_TYPE "berth-marks" /* a line of ours: what was said and acknowledged of a task */
#define BASE_TYPE "berth-base"   /* a line of ours: numbers up to seq are used */

struct event {
    struct list link;
    uint64_t seq;
    bool note;
    char *task; /* NULL for none */
    char *text; /* the JSON line, without its newline */
};

static void event_free(struct events *events, struct event *event)
{
    list_remove(&event->link);
    events->pending_count--;
    events->note_count -= event->note;
    events->dead_bytes += strlen(event->text) + 1;
    free(event->task);
    free(event->text);
    free(event);
}

static struct event *push(struct events *events, uint64_t seq, const char *task, const char *type,
                          const char *text)
{
    struct event *event = xcalloc(1, sizeof *event);
    event->seq = seq;
    event->note = strcmp(type, "note") == 0;
    event->task = xstrdup(task);
    event->text = xstrdup(text);
    list_append(&events->pending, &event->link);
    events->pending_count++;
    events->note_count += event->note;
    return event;
}

static void mark(struct events *events, const char *task, unsigned marks)
{
    if (task && marks)
        map_put_str(&events->marks, task, (void *)(uintptr_t)(marks | events_marks(events, task)));
}

static unsigned mark_of_line(const cJSON *line, const char *type)
{
    static const struct {
        const char *type, *state;
        unsigned mark;
    } table[] = {
        {"state", "preparing", EVENT_PREPARING}, {"state", "starting", EVENT_STARTING},
        {"state", "running", EVENT_RUNNING},     {"exit", NULL, EVENT_EXIT},
        {"released", NULL, EVENT_RELEASED},      {"collected", NULL, EVENT_COLLECTED},
    };
    const char *state = json_str(line, "state", "");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(type, table[i].type) == 0 && (!table[i].state || strcmp(state, table[i].state) == 0))
            return table[i].mark;
    return 0;
}

static void take_line(struct events *events, const char *text, size_t len)
{
    struct error err;
    _cleanup_json_ cJSON *line = json_parse(text, len, &err);
    int64_t seq = json_int(line, "seq", 0);
    const char *type = json_str(line, "type", NULL), *task = json_str(line, "task", NULL);
    if (!line || seq <= 0 || !type) {
        log_warn("a line of the event file is not readable and is left out");
        return;
    }
    if ((uint64_t)seq >= events->next_seq)
        events->next_seq = (uint64_t)seq + 1;
    if (strcmp(type, BASE_TYPE) == 0)
        return;
    if (strcmp(type, MARKS_TYPE) == 0) {
        mark(events, task, (unsigned)json_int(line, "marks", 0));
        return;
    }
    mark(events, task, mark_of_line(line, type));
    _cleanup_free_ char *copy = xstrndup(text, len);
    push(events, (uint64_t)seq, task, type, copy);
}

/* The file written anew with what still matters. */
static bool rewrite(struct events *events, struct error *err)
{
    _cleanup_buf_ struct buf out = {0};
    buf_printf(&out, "{\"seq\":%" PRIu64 ",\"type\":\"" BASE_TYPE "\"}\n",
               events->next_seq - 1 ? events->next_seq - 1 : 1);
    struct map_slot *slot;
    for (size_t i = 0; (slot = map_next(&events->marks, &i));)
        buf_printf(&out, "{\"seq\":1,\"type\":\"" MARKS_TYPE "\",\"task\":\"%s\",\"marks\":%u}\n", slot->str,
                   (unsigned)(uintptr_t)slot->value);
    struct event *event, *next;
    list_for_each(event, next, &events->pending, link)
    {
        buf_add_str(&out, event->text);
        buf_add_char(&out, '\n');
    }
    if (events->fd >= 0)
        close(events->fd);
    events->fd = -1;
    if (!fs_write_atomic(AT_FDCWD, events->path, out.data, out.len, 0600, err))
        return false;
    events->fd = open(events->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (events->fd < 0)
        return error_errno(err, errno, "can't open %s", events->path);
    events->dead_bytes = 0;
    return true;
}

bool events_init(struct events *events, const char *folder, struct error *err)
{
    memset(events, 0, sizeof *events);
    events->fd = -1;
    events->next_seq = 1;
    list_init(&events->pending);
    events->path = xasprintf("%s/events", folder);
    _cleanup_buf_ struct buf text = {0};
    struct error missing = {0};
    if (!fs_read_file(AT_FDCWD, events->path, FILE_MAX_BYTES, &text, &missing) &&
        missing.code != ERROR_NOT_FOUND) {
        if (err)
            *err = missing;
        return false;
    }
    for (const char *p = text.data, *end = p + text.len, *nl; p && p < end; p = nl + 1) {
        nl = memchr(p, '\n', (size_t)(end - p));
        if (!nl)
            break; /* torn by a kill: it was never sent */
        take_line(events, p, (size_t)(nl - p));
    }
    return rewrite(events, err);
}

void events_finish(struct events *events)
{
    struct event *event, *next;
    if (events->pending.next)
        list_for_each(event, next, &events->pending, link) event_free(events, event);
    map_finish(&events->marks);
    free(events->path);
    if (events->path && events->fd >= 0)
        close(events->fd);
    memset(events, 0, sizeof *events);
    events->fd = -1;
}

static void append(struct events *events, const char *text)
{
    struct error err = {0};
    bool ok = events->fd >= 0;
    if (ok) {
        _cleanup_buf_ struct buf line = {0};
        buf_add_str(&line, text);
        buf_add_char(&line, '\n');
        ssize_t n = write(events->fd, line.data, line.len);
        ok = n == (ssize_t)line.len;
    }
    /* A short write (disk full) may have left half a line: the file is written anew, now or with the next
     * event. */
    if (!ok && !rewrite(events, &err))
        log_warn("events are kept in memory only: %s", err.message);
}

static void drop_oldest_note(struct events *events)
{
    struct event *event, *next;
    list_for_each(event, next, &events->pending, link)
    {
        if (event->note) {
            event_free(events, event);
            return;
        }
    }
}

bool events_add(struct events *events, const char *task, const char *type, unsigned set, cJSON *fields)
{
    if (set && (events_marks(events, task) & set)) {
        cJSON_Delete(fields);
        return false;
    }
    uint64_t seq = events->next_seq++;
    _cleanup_json_ cJSON *line = cJSON_CreateObject();
    json_add_int(line, "seq", (int64_t)seq);
    cJSON_AddStringToObject(line, "type", type);
    if (task)
        cJSON_AddStringToObject(line, "task", task);
    while (fields && fields->child) {
        cJSON *item = cJSON_DetachItemViaPointer(fields, fields->child);
        char *name = xstrdup(item->string);
        cJSON_AddItemToObject(line, name, item);
        free(name);
    }
    cJSON_Delete(fields);
    _cleanup_free_ char *text = json_text(line);
    mark(events, task, set);
    push(events, seq, task, type, text);
    append(events, text);
    if (events->note_count > EVENTS_NOTES_MAX)
        drop_oldest_note(events);
    return true;
}

unsigned events_marks(const struct events *events, const char *task)
{
    return (unsigned)(uintptr_t)map_get_str(&events->marks, task);
}

static void tidy(struct events *events)
{
    struct error err;
    if (events->dead_bytes > EVENTS_DEAD_BYTES_MAX && !rewrite(events, &err))
        log_warn("the event file can't be written anew: %s", err.message);
}

void events_acked(struct events *events, uint64_t seq)
{
    struct event *event, *next;
    list_for_each(event, next, &events->pending, link)
    {
        if (event->seq > seq)
            break;
        event_free(events, event);
    }
    if (events->next_seq <= seq)
        events->next_seq = seq + 1;
    tidy(events);
}

void events_forget(struct events *events, const char *task)
{
    struct event *event, *next;
    list_for_each(event, next, &events->pending, link) if (event->task && strcmp(event->task, task) == 0)
        event_free(events, event);
    map_remove_str(&events->marks, task);
    tidy(events);
}

void events_drop(struct events *events, uint64_t seq)
{
    struct event *event, *next;
    list_for_each(event, next, &events->pending, link)
    {
        if (event->seq == seq) {
            event_free(events, event);
            return;
        }
    }
}

size_t events_batch(const struct events *events, size_t max, struct buf *out, uint64_t *last)
{
    size_t count = 0, before = out->len;
    *last = 0;
    buf_add_char(out, '[');
    for (struct list *at = events->pending.next; at != &events->pending && count < max; at = at->next) {
        const struct event *event = container_of(at, struct event, link);
        if (count && out->len - before + strlen(event->text) > EVENTS_BATCH_BYTES_MAX)
            break;
        if (count++)
            buf_add_char(out, ',');
        buf_add_str(out, event->text);
        *last = event->seq;
    }
    buf_add_char(out, ']');
    return count;
}
