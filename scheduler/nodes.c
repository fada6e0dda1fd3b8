/* The table of nodes, their folders, sockets and secrets. Owns the records. */
#include "scheduler/nodes.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"
#include "scheduler/abilities.h"
#include "scheduler/daemon.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct node *nodes_get(const struct node_table *t, uint32_t id)
{
    for (uint32_t i = 0; i < t->count; i++)
        if (t->items[i]->id == id)
            return t->items[i];
    return NULL;
}

struct node *nodes_find(const struct node_table *t, const char *name)
{
    for (uint32_t i = 0; i < t->count; i++)
        if (strcmp(t->items[i]->name, name) == 0)
            return t->items[i];
    return NULL;
}

bool node_name_valid(const char *name, struct error *err)
{
    size_t n = strlen(name);
    bool ok = n > 0 && n <= NODE_NAME_MAX && isalnum((unsigned char)name[0]);
    for (size_t i = 0; ok && i < n; i++)
        ok = isalnum((unsigned char)name[i]) || strchr("._-", name[i]);
    return ok || error_field(err, "name",
                             "'%.80s' is no node's name: 1 to %d letters, digits, '.', '_' and '-', the "
                             "first one a letter or digit",
                             name, NODE_NAME_MAX);
}

struct node *nodes_add(struct node_table *t, struct daemon *d, uint32_t id, const char *name)
{
    struct node *node = xcalloc(1, sizeof *node);
    node->daemon = d;
    node->id = id;
    snprintf(node->name, sizeof node->name, "%s", name);
    node->abilities = abilities_of_node(NULL); /* until it says otherwise */
    list_init(&node->deltas);
    list_init(&node->blob_sets);
    t->items = xrealloc(t->items, (t->count + 1) * sizeof(struct node *));
    t->items[t->count++] = node;
    if (id >= t->next_id)
        t->next_id = id + 1;
    return node;
}

static void load_drain(struct node_drain *drain, const cJSON *object)
{
    drain->since_ms = json_int(object, "since_ms", 0);
    drain->by = xstrdup(json_str(object, "by", NULL));
    drain->text = xstrdup(json_str(object, "reason", NULL));
}

static void forget_drain(struct node_drain *drain)
{
    free(drain->by);
    free(drain->text);
    *drain = (struct node_drain){0};
}

void node_set_drain(struct node *node, struct node_drain *which, const char *by, const char *text,
                    int64_t since_ms)
{
    forget_drain(which);
    *which = (struct node_drain){since_ms, xstrdup(by), xstrdup(text)};
    node_touch(node);
}

/* NULL where it isn't. */
static cJSON *drain_object(const struct node_drain *drain, bool by_person)
{
    if (!drain->since_ms)
        return cJSON_CreateNull();
    cJSON *o = cJSON_CreateObject();
    if (by_person)
        json_add_str(o, "by", drain->by);
    json_add_int(o, "since_ms", drain->since_ms);
    json_add_str(o, "reason", drain->text);
    return o;
}

void nodes_load(struct node_table *t, struct daemon *d, const struct journal_node *row)
{
    struct error err = {0};
    struct node *node = nodes_add(t, d, row->id, row->name);
    snprintf(node->instance_id, sizeof node->instance_id, "%s", row->instance_id);
    node->event_seq = row->event_seq;
    _cleanup_json_ cJSON *doc = json_parse(row->doc, strlen(row->doc), &err);
    const cJSON *inventory = json_get(doc, "inventory"), *isolation = json_get(doc, "isolation");
    node->last_seen_ms = json_int(doc, "last_seen_ms", 0);
    node->version = xstrdup(json_str(doc, "version", NULL));
    const cJSON *label;
    cJSON_ArrayForEach(label, json_get(doc, "labels"))
    {
        uint32_t id;
        if (cJSON_IsString(label) && names_find(d, NAME_LABEL, label->valuestring, &id))
            node->labels |= UINT64_C(1) << id;
    }
    load_drain(&node->drained, json_get(doc, "drained"));
    load_drain(&node->fault, json_get(doc, "fault"));
    node_take_isolation(node, isolation);
    if (!cJSON_IsObject(inventory))
        return;
    node->inventory_text = json_text(inventory);
    node->inventory = inventory_parse(inventory, &err);
    if (!node->inventory)
        log_error("node %s: its inventory in the journal: %s", node->name, err.message);
}

void node_take_isolation(struct node *node, const cJSON *isolation)
{
    free(node->isolation_text);
    node->isolation_text = cJSON_IsObject(isolation) ? json_text(isolation) : NULL;
    node->abilities = abilities_of_node(isolation);
}

static void node_destroy(struct node *node)
{
    struct delta *delta, *tmp;
    struct blob_set *set, *next;
    list_for_each(delta, tmp, &node->deltas, link)
    {
        free(delta->text);
        free(delta);
    }
    list_for_each(set, next, &node->blob_sets, link)
    {
        free(set->shas);
        free(set);
    }
    http_server_destroy(node->server);
    inventory_destroy(node->inventory);
    forget_drain(&node->drained);
    forget_drain(&node->fault);
    free(node->inventory_text);
    free(node->isolation_text);
    free(node->version);
    free(node->socket_path);
    free(node->secret_path);
    explicit_bzero(node->secret, sizeof node->secret);
    free(node);
}

void nodes_drop_last(struct node_table *t)
{
    node_destroy(t->items[--t->count]);
}

void nodes_finish(struct node_table *t)
{
    for (uint32_t i = 0; i < t->count; i++)
        node_destroy(t->items[i]);
    free(t->items);
    memset(t, 0, sizeof *t);
}

void node_touch(struct node *node)
{
    node->dirty = true;
}

/* Their names, a JSON list. */
static cJSON *node_labels(const struct node *node)
{
    cJSON *list = cJSON_CreateArray();
    for (uint32_t id = 0; id < RESOURCE_LABELS_MAX; id++) {
        if ((node->labels >> id) & 1)
            cJSON_AddItemToArray(list, cJSON_CreateString(names_text(node->daemon, NAME_LABEL, id)));
    }
    return list;
}

void nodes_write_dirty(struct node_table *t, struct journal *journal)
{
    for (uint32_t i = 0; i < t->count; i++) {
        struct node *node = t->items[i];
        if (!node->dirty)
            continue;
        _cleanup_buf_ struct buf doc = {0};
        _cleanup_json_ cJSON *labels = node_labels(node);
        _cleanup_free_ char *labels_text = json_text(labels);
        _cleanup_json_ cJSON *drained = drain_object(&node->drained, true),
                             *fault = drain_object(&node->fault, false);
        _cleanup_free_ char *drained_text = json_text(drained), *fault_text = json_text(fault);
        buf_printf(&doc,
                   "{\"last_seen_ms\":%lld,\"inventory\":%s,\"isolation\":%s,\"labels\":%s,"
                   "\"drained\":%s,\"fault\":%s}",
                   (long long)node->last_seen_ms, node->inventory_text ? node->inventory_text : "null",
                   node->isolation_text ? node->isolation_text : "null", labels_text, drained_text,
                   fault_text);
        struct journal_node row = {.id = node->id,
                                   .name = node->name,
                                   .instance_id = node->instance_id,
                                   .event_seq = node->event_seq,
                                   .doc = doc.data};
        journal_add_node(journal, &row);
        node->dirty = false;
    }
}

/* ---- socket and secret ---- */

static bool read_secret(struct node *node, struct error *err)
{
    _cleanup_buf_ struct buf text = {0};
    if (!fs_read_file(AT_FDCWD, node->secret_path, 4096, &text, err))
        return false;
    size_t n = strspn(text.data, "0123456789abcdef");
    if (n != 2 * NODE_SECRET_BYTES || (text.data[n] && text.data[n] != '\n')) {
        error_set(err, ERROR_INVALID, "%s doesn't hold %d hexadecimal digits", node->secret_path,
                  2 * NODE_SECRET_BYTES);
        return error_hint(err, "remove it and start the scheduler again: it makes a new one");
    }
    memcpy(node->secret, text.data, n);
    explicit_bzero(text.data, text.len);
    return true;
}

static bool make_secret(struct node *node, struct error *err)
{
    uint8_t bytes[NODE_SECRET_BYTES];
    char text[2 * NODE_SECRET_BYTES + 2];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return error_errno(err, errno, "can't make a secret");
    for (unsigned i = 0; i < NODE_SECRET_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    memcpy(node->secret, text, 2 * NODE_SECRET_BYTES);
    text[2 * NODE_SECRET_BYTES] = '\n';
    return fs_write_atomic(AT_FDCWD, node->secret_path, text, 2 * NODE_SECRET_BYTES + 1, 0600, err);
}

/* Compares without telling by its time how much was right. */
static bool same_secret(const char *a, const char *b)
{
    unsigned char differs = strlen(a) != strlen(b);
    for (size_t i = 0; !differs && b[i]; i++)
        differs |= (unsigned char)(a[i] ^ b[i]);
    return !differs;
}

static bool admit(struct http_request *req, void *context, struct error *err)
{
    static const char scheme[] = "Berth-Node ";
    const struct node *node = context;
    const char *given = http_request_header(req, "Authorization");
    size_t n = sizeof scheme - 1;
    if (given && strncmp(given, scheme, n) == 0) {
        unsigned char differs = strlen(given + n) != 2 * NODE_SECRET_BYTES;
        for (size_t i = 0; !differs && i < 2 * NODE_SECRET_BYTES; i++)
            if (given[n + i] == '\0')
                differs = 1;
        if (!differs && same_secret(given + n, node->secret))
            return true;
    }
    log_warn("node %s: a peer (uid %u, pid %d) without the right secret was refused", node->name,
             (unsigned)http_request_uid(req), (int)http_request_pid(req));
    error_set(err, ERROR_DENIED, "the secret of node %s is wrong", node->name);
    return error_hint(err, "give the executor the secret file that lies beside the node's socket");
}

bool node_listen(struct node *node, struct error *err)
{
    _cleanup_free_ char *folder = xasprintf("%s/nodes/%s", node->daemon->options.state_dir, node->name);
    if (!fs_mkdirs(folder, 0700, err))
        return false;
    free(node->socket_path);
    free(node->secret_path);
    node->socket_path = xasprintf("%s/node.sock", folder);
    node->secret_path = xasprintf("%s/secret", folder);
    if (access(node->secret_path, F_OK) == 0 ? !read_secret(node, err) : !make_secret(node, err))
        return error_wrap(err, "node %s", node->name);
    FAULT("node.before_listen");
    int fd = http_listen_unix(node->socket_path, 0600, err);
    if (fd < 0)
        return error_wrap(err, "node %s", node->name);
    struct http_server_options options = {
        .routes = node_routes, .route_count = node_route_count, .context = node, .admit = admit};
    node->server = http_server_create(&node->daemon->loop, fd, &options, err);
    if (!node->server)
        close(fd);
    return node->server != NULL;
}

/* ---- what people see ---- */

bool node_connected(const struct node *node)
{
    return node->in_session;
}

cJSON *node_object(const struct node *node)
{
    struct core_node_view view;
    bool known = core_node_get(node->daemon->core, (struct node_id){node->id}, &view);
    cJSON *o = cJSON_CreateObject();
    const char *state = !known || !view.up ? "notresponding"
                        : view.draining    ? "draining"
                        : view.task_count  ? "running"
                                           : "idle";
    if (known && view.lost)
        state = "unusable";
    json_add_int(o, "id", node->id);
    cJSON_AddStringToObject(o, "name", node->name);
    cJSON_AddStringToObject(o, "state", state);
    cJSON_AddBoolToObject(o, "session", node->in_session);
    cJSON_AddBoolToObject(o, "connected", node->in_session && node->stream);
    cJSON_AddItemToObject(o, "drained", drain_object(&node->drained, true));
    cJSON_AddItemToObject(o, "fault", drain_object(&node->fault, false));
    json_add_str(o, "version", node->version);
    if (node->inventory_text)
        cJSON_AddRawToObject(o, "inventory", node->inventory_text);
    else
        cJSON_AddNullToObject(o, "inventory");
    if (node->isolation_text)
        cJSON_AddRawToObject(o, "isolation", node->isolation_text);
    else
        cJSON_AddNullToObject(o, "isolation");
    cJSON *free_amounts = cJSON_AddObjectToObject(o, "free");
    json_add_int(free_amounts, "cores", known ? view.free.cores : 0);
    json_add_int(free_amounts, "memory_bytes", known ? (int64_t)view.free.memory_bytes : 0);
    cJSON_AddNumberToObject(free_amounts, "gpus",
                            known ? (double)view.free.gpu_milli / RESOURCE_GPU_WHOLE : 0);
    cJSON *tasks = cJSON_AddArrayToObject(o, "tasks");
    struct task_id ids[CORE_NODE_TASKS_MAX];
    uint32_t count =
        known ? core_node_tasks(node->daemon->core, (struct node_id){node->id}, ids, CORE_NODE_TASKS_MAX) : 0;
    for (uint32_t i = 0; i < count && i < CORE_NODE_TASKS_MAX; i++) {
        char text[TASK_ID_TEXT_MAX];
        cJSON_AddItemToArray(tasks, cJSON_CreateString(task_id_format(ids[i], text)));
    }
    cJSON_AddItemToObject(o, "labels", node_labels(node));
    if (node->last_seen_ms)
        json_add_int(o, "last_seen_ms", node->last_seen_ms);
    else
        cJSON_AddNullToObject(o, "last_seen_ms");
    return o;
}
