/* Nodes that would do and are away, isolation, and labels that no node has, in words and as JSON. */
#include "scheduler/why_nodes.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "proto/units.h"
#include "scheduler/abilities.h"

static void add_line(cJSON *text, struct buf *line)
{
    cJSON_AddItemToArray(text, cJSON_CreateString(line->data ? line->data : ""));
}

static const char *span(int64_t since_ms, char out[32])
{
    int64_t ms = clock_wall_ms() - since_ms;
    return units_format_duration(ms > 0 ? ms / 1000 * 1000 : 0, out);
}

/* "node gpu1 would do; root drained it 3m ago: new disks" */
static void describe(const struct node *node, const struct core_node_view *view, uint64_t labels,
                     struct buf *line, const char **state)
{
    char time[32];
    const struct node_drain *drained = &node->drained, *fault = &node->fault;
    bool drains = view->faulty || view->drained;
    *state = view->lost     ? "lost"
             : !view->up    ? "silent"
             : view->faulty ? "fault"
             : drains       ? "drained"
                            : "unable";
    buf_printf(line, "node %s would do; ", node->name);
    if (view->lost)
        buf_add_str(line, "it was declared lost");
    else if (!view->up)
        buf_printf(line, "it is silent for %s", span(node->last_seen_ms, time));
    else if (view->faulty)
        buf_printf(line, "it drained itself %s ago, and is probed: %s", span(fault->since_ms, time),
                   fault->text ? fault->text : "?");
    else if (!drains)
        abilities_lacking(node, labels, line);
    if (view->lost || !view->up || !view->drained)
        return;
    if (view->faulty)
        buf_add_str(line, "; ");
    if (!drained->since_ms) /* by a Berth that did not note it */
        buf_add_str(line, "it is drained");
    else
        buf_printf(line, "it was drained by %s %s ago", drained->by ? drained->by : "?",
                   span(drained->since_ms, time));
    if (drained->text)
        buf_printf(line, ": %s", drained->text);
}

static void add_away(const struct daemon *d, uint64_t labels, const struct core_why_nodes *why, cJSON *o,
                     cJSON *text)
{
    cJSON *away = cJSON_AddArrayToObject(o, "nodes_away");
    for (uint32_t i = 0; i < why->away_listed; i++) {
        const struct node *node = nodes_get(&d->nodes, why->away[i].v);
        struct core_node_view view;
        const char *state;
        _cleanup_buf_ struct buf line = {0};
        if (!node || !core_node_get(d->core, why->away[i], &view))
            continue;
        describe(node, &view, labels, &line, &state);
        cJSON *one = cJSON_CreateObject();
        json_add_str(one, "node", node->name);
        json_add_str(one, "state", state);
        cJSON_AddItemToArray(away, one);
        add_line(text, &line);
    }
    if (why->away_count <= why->away_listed)
        return;
    _cleanup_buf_ struct buf line = {0};
    buf_printf(&line, "%u more nodes would do and can't be used now", why->away_count - why->away_listed);
    add_line(text, &line);
}

static void add_apart(const struct daemon *d, const struct core_job_view *view,
                      const struct core_why_nodes *why, cJSON *o, cJSON *text)
{
    const struct node *node = why->apart_count ? nodes_get(&d->nodes, why->apart.v) : NULL;
    json_add_str(o, "apart_from", node ? node->name : NULL);
    if (!node)
        return;
    _cleanup_buf_ struct buf line = {0};
    buf_printf(&line, "node %s has all of that free, and ", node->name);
    if (view->request.flags & RESOURCE_EXCLUSIVE)
        buf_add_str(&line, "runs other jobs; this one asks for the whole of it (exclusive)");
    else if (view->request.flags & RESOURCE_ISOLATED)
        buf_add_str(&line, "runs jobs of others; this one asks to be isolated from them");
    else
        buf_add_str(&line, "runs a job of somebody who asked to be isolated");
    if (why->apart_count > 1)
        buf_printf(&line, "; so do %u more", why->apart_count - 1);
    add_line(text, &line);
}

static void add_labels(const struct daemon *d, const struct core_why_nodes *why, cJSON *o, cJSON *text)
{
    cJSON *labels = cJSON_AddArrayToObject(o, "labels_missing");
    for (uint32_t id = 0; id < RESOURCE_LABELS_MAX; id++) {
        if (!((why->labels_missing >> id) & 1))
            continue;
        const char *name = names_text(d, NAME_LABEL, id);
        _cleanup_buf_ struct buf line = {0};
        buf_printf(&line, "no node has the label %s any more: berth node update NODE --label %s", name, name);
        cJSON_AddItemToArray(labels, cJSON_CreateString(name));
        add_line(text, &line);
    }
}

void why_nodes(const struct daemon *d, const struct core_job_view *view, cJSON *o, cJSON *text)
{
    struct core_why_nodes why;
    core_why_nodes(d->core, view->job, &why);
    add_labels(d, &why, o, text);
    add_away(d, view->request.labels, &why, o, text);
    add_apart(d, view, &why, o, text);
}
