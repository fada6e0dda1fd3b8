/*
 * The encoding of journal rows. One description of each record serves both directions: a codec either writes
 * the value it is handed or replaces it by what it reads, within the same bounds. Numbers are base-128,
 * shortest form only, so that every row has exactly one encoding.
 */
#include "scheduler/core/row.h"

#include <string.h>

struct codec {
    unsigned char *out; /* encoding; may be NULL where size is 0 */
    const unsigned char *in;
    size_t at;
    size_t size;
    bool reads;
    const char *why; /* the first thing that was wrong */
};

static void put_byte(struct codec *c, unsigned char byte)
{
    if (c->at < c->size)
        c->out[c->at] = byte;
    c->at++;
}

static unsigned char take_byte(struct codec *c)
{
    if (c->at >= c->size) {
        c->why = c->why ? c->why : "the row is cut";
        return 0;
    }
    return c->in[c->at++];
}

static void write_number(struct codec *c, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        put_byte(c, (unsigned char)(v | 0x80));
    put_byte(c, (unsigned char)v);
}

static uint64_t read_number(struct codec *c)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        unsigned char byte = take_byte(c);
        if (c->why)
            return 0;
        if (shift == 63 && byte > 1)
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            if (byte == 0 && shift > 0)
                break; /* a longer form than needed */
            return v;
        }
    }
    c->why = "a number in the row is not in its shortest form";
    return 0;
}

static uint64_t number(struct codec *c, uint64_t v, uint64_t max)
{
    if (!c->reads) {
        write_number(c, v);
        return v;
    }
    v = read_number(c);
    if (v > max) {
        c->why = c->why ? c->why : "a number in the row is out of range";
        return 0;
    }
    return v;
}

static int32_t signed_number(struct codec *c, int32_t v)
{
    uint64_t folded =
        number(c, ((uint64_t)(uint32_t)v << 1 ^ (v < 0 ? UINT32_MAX : 0)) & UINT32_MAX, UINT32_MAX);
    return (int32_t)((uint32_t)(folded >> 1) ^ (folded & 1 ? UINT32_MAX : 0));
}

static void raw(struct codec *c, void *bytes, size_t length)
{
    unsigned char *at = bytes;
    for (size_t i = 0; i < length; i++) {
        if (c->reads)
            at[i] = take_byte(c);
        else
            put_byte(c, at[i]);
    }
}

/* Little-endian, whatever the machine is. */
static uint64_t fixed64(struct codec *c, uint64_t v)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(v >> (8 * i));
    raw(c, bytes, sizeof bytes);
    v = 0;
    for (int i = 0; i < 8; i++)
        v |= (uint64_t)bytes[i] << (8 * i);
    return v;
}

#define U8(c, field, max) ((field) = (uint8_t)number(c, (field), (max)))
#define U16(c, field, max) ((field) = (uint16_t)number(c, (field), (max)))
#define U32(c, field) ((field) = (uint32_t)number(c, (field), UINT32_MAX))
#define U64(c, field) ((field) = number(c, (field), UINT64_MAX))
#define ENUM(c, field, count) ((field) = (__typeof__(field))number(c, (uint64_t)(field), (count)-1))
#define BOOL(c, field) ((field) = number(c, (field), 1) != 0)
#define S32(c, field) ((field) = signed_number(c, (field)))

static void task_id(struct codec *c, struct task_id *id)
{
    id->job.v = number(c, id->job.v, JOB_ID_MAX);
    U32(c, id->attempt);
    U32(c, id->rank);
}

static void end(struct codec *c, struct core_end *e)
{
    ENUM(c, e->kind, END_KIND_COUNT);
    S32(c, e->code);
    S32(c, e->signal);
}

static void lease(struct codec *c, struct resource_lease *l)
{
    uint32_t words = RESOURCE_CORE_WORDS;
    while (words && !l->cores[words - 1])
        words--;
    words = (uint32_t)number(c, words, RESOURCE_CORE_WORDS);
    for (uint32_t i = 0; i < words; i++)
        U64(c, l->cores[i]);
    if (c->reads && words && !l->cores[words - 1])
        c->why = c->why ? c->why : "a lease in the row is not in its shortest form";
    U64(c, l->memory_bytes);
    U32(c, l->gpus);
    l->gpu_milli_each = (uint32_t)number(c, l->gpu_milli_each, RESOURCE_GPU_WHOLE);
    l->pool = (uint32_t)number(c, l->pool, RESOURCE_POOL_MAX);
}

/* ---- events ---- */

static void inventory(struct codec *c, struct core_inventory *inv)
{
    U64(c, inv->memory_bytes);
    U64(c, inv->labels);
    U32(c, inv->fabric);
    inv->pool = (uint32_t)number(c, inv->pool, RESOURCE_POOL_MAX);
    inv->core_count = (uint32_t)number(c, inv->core_count, RESOURCE_CORES_MAX);
    inv->gpu_count = (uint32_t)number(c, inv->gpu_count, RESOURCE_GPUS_MAX);
    for (uint32_t i = 0; i < inv->core_count; i++) {
        U16(c, inv->cores[i].unit, RESOURCE_CORES_MAX - 1);
        U8(c, inv->cores[i].threads, RESOURCE_CORE_THREADS_MAX);
        U8(c, inv->cores[i].numa, RESOURCE_NUMA_MAX - 1);
    }
    for (uint32_t i = 0; i < inv->gpu_count; i++) {
        raw(c, inv->gpus[i].key, RESOURCE_GPU_KEY_BYTES);
        U64(c, inv->gpus[i].memory_bytes);
        U8(c, inv->gpus[i].numa, RESOURCE_NUMA_MAX - 1);
        U8(c, inv->gpus[i].model, RESOURCE_LABELS_MAX - 1);
        for (uint32_t k = 0; k < inv->gpu_count; k++)
            U8(c, inv->gpus[i].link[k], UINT8_MAX);
    }
}

static void request(struct codec *c, struct resource_request *r)
{
    U32(c, r->cores);
    U32(c, r->cpus);
    U32(c, r->gpu_milli);
    U32(c, r->flags);
    U64(c, r->memory_bytes);
    U64(c, r->gpu_memory_bytes);
    U64(c, r->gpu_models);
    U64(c, r->labels);
}

static void submit(struct codec *c, struct core_submit *s)
{
    s->job.v = number(c, s->job.v, JOB_ID_MAX);
    U32(c, s->principal.v);
    U64(c, s->seq);
    ENUM(c, s->priority_class, PRIORITY_CLASS_COUNT);
    S32(c, s->priority);
    request(c, &s->request);
    for (uint32_t i = 0; i < RESOURCE_LICENCE_KINDS_MAX; i++) {
        U16(c, s->licences.id[i], RESOURCE_LICENCES_MAX - 1);
        U16(c, s->licences.amount[i], UINT16_MAX);
    }
    U64(c, s->time_limit_ms);
    U32(c, s->grace_ms);
    U32(c, s->instance_count);
    ENUM(c, s->on_node_loss, CORE_LOSS_COUNT);
    U64(c, s->fence_after_ms);
    U32(c, s->workspace);
    BOOL(c, s->preemptible);
    BOOL(c, s->held);
    U64(c, s->begin_ms);
    U32(c, s->retries);
    U32(c, s->retry_kinds);
    for (uint32_t i = 0; i < CORE_RETRY_CODES_MAX; i++)
        S32(c, s->retry_codes[i]);
    U64(c, s->retry_wait_ms);
    s->dependency_count = (uint32_t)number(c, s->dependency_count, CORE_DEPENDENCIES_MAX);
    for (uint32_t i = 0; i < s->dependency_count; i++) {
        s->dependencies[i].job.v = number(c, s->dependencies[i].job.v, JOB_ID_MAX);
        ENUM(c, s->dependencies[i].kind, CORE_DEPENDENCY_COUNT);
        ENUM(c, s->dependencies[i].ended, JOB_STATE_COUNT);
    }
    s->family = (uint32_t)number(c, s->family, CORE_FAMILIES_MAX - 1);
    U32(c, s->array_count);
    U32(c, s->array_limit);
    U32(c, s->reservation);
    BOOL(c, s->by_operator);
}

static void update(struct codec *c, struct core_update *u)
{
    u->job.v = number(c, u->job.v, JOB_ID_MAX);
    BOOL(c, u->by_operator);
    BOOL(c, u->set_held);
    BOOL(c, u->held);
    BOOL(c, u->set_priority);
    ENUM(c, u->priority_class, PRIORITY_CLASS_COUNT);
    S32(c, u->priority);
    BOOL(c, u->set_time_limit);
    U64(c, u->time_limit_ms);
    BOOL(c, u->set_begin);
    U64(c, u->begin_ms);
    BOOL(c, u->set_array_limit);
    U32(c, u->array_limit);
}

static void config(struct codec *c, struct core_config *config)
{
    ENUM(c, config->policy, CORE_POLICY_COUNT);
    BOOL(c, config->preempt);
    U64(c, config->preempt_min_run_ms);
    U64(c, config->age_ms);
    U32(c, config->share_weight);
    U64(c, config->share_half_life_ms);
}

static void quota(struct codec *c, struct core_quota *q)
{
    ENUM(c, q->scope, CORE_QUOTA_SCOPE_COUNT);
    U32(c, q->id);
    U32(c, q->cores);
    U32(c, q->gpu_milli);
    U32(c, q->running);
    U32(c, q->queued);
    q->family = (uint32_t)number(c, q->family, CORE_FAMILIES_MAX - 1);
    BOOL(c, q->approved);
}

static void caps(struct codec *c, struct core_caps *caps)
{
    ENUM(c, caps->scope, CORE_QUOTA_SCOPE_COUNT);
    U32(c, caps->id);
    BOOL(c, caps->set_class);
    ENUM(c, caps->priority_class, PRIORITY_CLASS_COUNT);
    U64(c, caps->time_limit_ms);
}

static void reserve(struct codec *c, struct core_reserve *r, struct node_id *nodes)
{
    U32(c, r->reservation);
    BOOL(c, r->remove);
    if (r->remove)
        return;
    U64(c, r->begin_ms);
    U64(c, r->end_ms);
    request(c, &r->request);
    r->count = (uint32_t)number(c, r->count, CORE_INSTANCES_MAX);
    bool named = number(c, r->nodes != NULL, 1) != 0;
    for (uint32_t i = 0; named && i < r->count; i++)
        U32(c, nodes[i].v);
    if (c->reads)
        r->nodes = named ? nodes : NULL;
    r->user_count = (uint32_t)number(c, r->user_count, CORE_RESERVATION_USERS_MAX);
    for (uint32_t i = 0; i < r->user_count; i++)
        U32(c, r->users[i].v);
}

static void event_task(struct codec *c, struct core_event *e)
{
    task_id(c, &e->as.task.task);
    U32(c, e->as.task.node.v);
    if (e->kind == CORE_EVENT_TASK_STATE)
        ENUM(c, e->as.task.as.state, TASK_STATE_COUNT);
    if (e->kind == CORE_EVENT_TASK_EXIT || e->kind == CORE_EVENT_TASK_OVER) {
        S32(c, e->as.task.as.exit.code);
        S32(c, e->as.task.as.exit.signal);
        ENUM(c, e->as.task.as.exit.kind, END_KIND_COUNT);
        BOOL(c, e->as.task.as.exit.ran);
    }
}

static void event(struct codec *c, struct core_event *e, struct core_row *row)
{
    ENUM(c, e->kind, CORE_EVENT_KIND_END);
    BOOL(c, e->defer);
    switch (e->kind) {
    case CORE_EVENT_CONFIG:
        config(c, &e->as.config);
        break;
    case CORE_EVENT_JOB_UPDATE:
        update(c, &e->as.update);
        break;
    case CORE_EVENT_QUOTA:
        quota(c, &e->as.quota);
        break;
    case CORE_EVENT_CAPS:
        caps(c, &e->as.caps);
        break;
    case CORE_EVENT_WEIGHT:
        U32(c, e->as.weight.principal.v);
        U32(c, e->as.weight.milli);
        break;
    case CORE_EVENT_FAMILY:
        e->as.family.id = (uint32_t)number(c, e->as.family.id, CORE_FAMILIES_MAX - 1);
        BOOL(c, e->as.family.restricted);
        U64(c, e->as.family.gpu_models);
        U64(c, e->as.family.labels);
        break;
    case CORE_EVENT_LICENCES:
        U32(c, e->as.licences.id);
        U32(c, e->as.licences.total);
        break;
    case CORE_EVENT_NODE_UP:
        U32(c, e->as.node.node.v);
        inventory(c, &row->inventory);
        break;
    case CORE_EVENT_NODE_DOWN:
    case CORE_EVENT_NODE_LOST:
    case CORE_EVENT_NODE_DRAIN:
    case CORE_EVENT_NODE_RESUME:
    case CORE_EVENT_NODE_FAULT:
    case CORE_EVENT_NODE_HEALED:
        U32(c, e->as.node.node.v);
        break;
    case CORE_EVENT_JOB_SUBMIT:
        submit(c, &e->as.submit);
        break;
    case CORE_EVENT_JOB_CANCEL:
        e->as.cancel.job.v = number(c, e->as.cancel.job.v, JOB_ID_MAX);
        BOOL(c, e->as.cancel.force);
        e->as.cancel.array.v = number(c, e->as.cancel.array.v, JOB_ID_MAX);
        break;
    case CORE_EVENT_TASK_STATE:
    case CORE_EVENT_TASK_EXIT:
    case CORE_EVENT_TASK_RELEASED:
    case CORE_EVENT_TASK_COLLECTED:
    case CORE_EVENT_TASK_OVER:
        event_task(c, e);
        break;
    case CORE_EVENT_RESERVE:
        reserve(c, &e->as.reserve, row->reserved);
        break;
    default: /* TICK and CONTINUE say nothing more; unknown kinds fail core_event_check */
        break;
    }
}

/* ---- decisions ---- */

static void decision(struct codec *c, struct core_decision *d)
{
    ENUM(c, d->kind, CORE_DECISION_KIND_END);
    switch (d->kind) {
    case CORE_DECISION_JOB_REFUSED:
        d->as.refused.job.v = number(c, d->as.refused.job.v, JOB_ID_MAX);
        ENUM(c, d->as.refused.refusal, CORE_REFUSAL_END);
        U32(c, d->as.refused.resource);
        U64(c, d->as.refused.wanted);
        U64(c, d->as.refused.best);
        break;
    case CORE_DECISION_JOB_STATE:
        d->as.job.job.v = number(c, d->as.job.job.v, JOB_ID_MAX);
        ENUM(c, d->as.job.state, JOB_STATE_COUNT);
        ENUM(c, d->as.job.reason, CORE_REASON_COUNT);
        U32(c, d->as.job.attempt);
        end(c, &d->as.job.end);
        break;
    case CORE_DECISION_START_TASK:
        task_id(c, &d->as.start.task);
        U32(c, d->as.start.node.v);
        lease(c, &d->as.start.lease);
        U32(c, d->as.start.reservation);
        break;
    case CORE_DECISION_STOP_TASK:
        task_id(c, &d->as.stop.task);
        U32(c, d->as.stop.node.v);
        ENUM(c, d->as.stop.reason, CORE_STOP_REASON_END);
        U32(c, d->as.stop.grace_ms);
        BOOL(c, d->as.stop.force);
        break;
    case CORE_DECISION_LEASE_FREED:
    case CORE_DECISION_RELEASE_TASK:
    case CORE_DECISION_ABANDON_TASK:
        task_id(c, &d->as.task.task);
        U32(c, d->as.task.node.v);
        break;
    case CORE_DECISION_TIMER_AT:
    case CORE_DECISION_ROOM:
        U64(c, d->as.timer.at_ms);
        break;
    case CORE_DECISION_CONTINUE:
    case CORE_DECISION_PATIENCE:
    case CORE_DECISION_QUEUE_PLAN:
        break;
    case CORE_DECISION_REQUEUE:
        d->as.requeue.job.v = number(c, d->as.requeue.job.v, JOB_ID_MAX);
        ENUM(c, d->as.requeue.reason, CORE_REASON_COUNT);
        U64(c, d->as.requeue.until_ms);
        break;
    case CORE_DECISION_PROMISE:
    case CORE_DECISION_HOLD:
    case CORE_DECISION_VOID:
    case CORE_DECISION_WAKE_JOB:
    case CORE_DECISION_SETTLED:
        d->as.plan.job.v = number(c, d->as.plan.job.v, JOB_ID_MAX);
        U32(c, d->as.plan.node.v);
        U64(c, d->as.plan.at_ms);
        U64(c, d->as.plan.end_ms);
        ENUM(c, d->as.plan.why, CORE_VOID_END);
        break;
    case CORE_DECISION_SHARE:
        U32(c, d->as.share.principal.v);
        U32(c, d->as.share.place);
        break;
    case CORE_DECISION_ELEMENT:
        d->as.element.array.v = number(c, d->as.element.array.v, JOB_ID_MAX);
        d->as.element.job.v = number(c, d->as.element.job.v, JOB_ID_MAX);
        break;
    case CORE_DECISION_LOOK:
        U64(c, d->as.look.at_ms);
        U64(c, d->as.look.best_ms);
        U32(c, d->as.look.from);
        U32(c, d->as.look.left);
        break;
    case CORE_DECISION_RESERVATION:
        U32(c, d->as.reserved.reservation);
        U32(c, d->as.reserved.node.v);
        ENUM(c, d->as.reserved.what, CORE_RESERVED_COUNT);
        break;
    default:
        c->why = c->why ? c->why : "a decision of an unknown kind in the row";
        break;
    }
}

static void head(struct codec *c, struct core_row *row)
{
    U32(c, row->core_version);
    U64(c, row->now_ms);
    row->state_hash = fixed64(c, row->state_hash);
}

size_t core_row_encode(const struct core_row *row, const struct core_decisions *decisions, unsigned char *out,
                       size_t size)
{
    /* The description above takes records it may write to; encoding writes back what is there, into copies.
     */
    struct core_row plain = {.now_ms = row->now_ms,
                             .core_version = row->core_version,
                             .state_hash = row->state_hash,
                             .event = row->event};
    if (row->event.kind == CORE_EVENT_NODE_UP)
        plain.inventory = *row->event.as.node.inventory;
    if (row->event.kind == CORE_EVENT_RESERVE && !row->event.as.reserve.remove && row->event.as.reserve.nodes)
        memcpy(plain.reserved, row->event.as.reserve.nodes,
               row->event.as.reserve.count * sizeof *plain.reserved);
    struct codec c = {.out = out, .size = size};
    put_byte(&c, CORE_ROW_VERSION);
    head(&c, &plain);
    event(&c, &plain.event, &plain);
    number(&c, decisions->count, CORE_DECISIONS_MAX);
    for (uint32_t i = 0; i < decisions->count; i++) {
        struct core_decision copy = decisions->v[i];
        decision(&c, &copy);
    }
    return c.at;
}

const char *core_row_decode(const unsigned char *bytes, size_t length, struct core_row *row,
                            struct core_decisions *decisions)
{
    struct codec c = {.in = bytes, .size = length, .reads = true};
    memset(row, 0, sizeof *row);
    decisions->count = 0;
    unsigned char version = take_byte(&c);
    if (c.why || version != CORE_ROW_VERSION)
        return c.why                        ? c.why
               : version > CORE_ROW_VERSION ? "the row is of a newer version"
                                            : "not a row of the journal";
    head(&c, row);
    event(&c, &row->event, row);
    if (row->event.kind == CORE_EVENT_NODE_UP)
        row->event.as.node.inventory = &row->inventory;
    uint32_t count = (uint32_t)number(&c, 0, CORE_DECISIONS_MAX);
    if (!c.why)
        c.why = core_event_check(&row->event);
    for (uint32_t i = 0; !c.why && i < count; i++) {
        memset(&decisions->v[i], 0, sizeof decisions->v[i]);
        decision(&c, &decisions->v[i]);
        decisions->count = i + 1;
    }
    if (!c.why && c.at != length)
        c.why = "bytes behind the row's end";
    return c.why;
}
