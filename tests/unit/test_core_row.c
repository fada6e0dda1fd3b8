/* The encoding of rows: what goes in comes out, and nothing but a whole row is believed. */
#include "core_fixture.h"

static struct core_inventory inventory;

static uint32_t make_events(struct core_event *events)
{
    uint32_t n = 0;
    for (int kind = 1; kind < CORE_EVENT_KIND_END; kind++) {
        struct core_event e;
        memset(&e, 0, sizeof e);
        e.kind = (enum core_event_kind)kind;
        if ((kind >= CORE_EVENT_NODE_UP && kind <= CORE_EVENT_NODE_RESUME) || kind == CORE_EVENT_NODE_FAULT ||
            kind == CORE_EVENT_NODE_HEALED) {
            e.as.node.node.v = UINT32_MAX;
            e.as.node.inventory = kind == CORE_EVENT_NODE_UP ? &inventory : NULL;
        } else if (kind == CORE_EVENT_JOB_SUBMIT) {
            e.as.submit = wanting(JOB_ID_MAX, 1024, 32, RESOURCE_MEMORY_MAX_BYTES);
            e.as.submit.priority = INT32_MIN;
            e.as.submit.seq = UINT64_MAX;
            e.as.submit.time_limit_ms = CORE_DURATION_MAX_MS;
            e.as.submit.on_node_loss = CORE_LOSS_REQUEUE;
            e.as.submit.licences.id[0] = RESOURCE_LICENCES_MAX - 1;
            e.as.submit.licences.amount[0] = UINT16_MAX;
            e.as.submit.request.labels = UINT64_MAX;
            e.as.submit.request.gpu_models = 5;
            e.as.submit.request.flags = RESOURCE_FLAGS_ALL;
            e.as.submit.instance_count = CORE_INSTANCES_MAX;
            e.as.submit.preemptible = true;
            e.as.submit.family = CORE_FAMILIES_MAX - 1;
            e.as.submit.retries = CORE_RETRIES_MAX;
            e.as.submit.retry_kinds = 1 << END_EXIT;
            e.as.submit.retry_codes[CORE_RETRY_CODES_MAX - 1] = -7;
            e.as.submit.dependency_count = 2;
            for (uint32_t i = 0; i < 2; i++) {
                e.as.submit.dependencies[i].job.v = 1 + i;
                e.as.submit.dependencies[i].kind = CORE_AFTER_FAILURE;
                e.as.submit.dependencies[i].ended = i ? JOB_CANCELED : JOB_COMPLETED;
            }
        } else if (kind == CORE_EVENT_CONFIG) {
            e.as.config = (struct core_config){CORE_POLICY_BERTH, true, 1, 2, 3, 4};
        } else if (kind == CORE_EVENT_JOB_UPDATE) {
            e.as.update.job.v = 3;
            e.as.update.set_held = e.as.update.set_begin = true;
            e.as.update.begin_ms = 99;
            e.as.update.priority = -1;
            e.as.update.by_operator = true;
        } else if (kind == CORE_EVENT_QUOTA) {
            e.as.quota =
                (struct core_quota){CORE_QUOTA_PRINCIPAL, 1, 2, 3, 4, 5, CORE_FAMILIES_MAX - 1, true};
        } else if (kind == CORE_EVENT_CAPS) {
            e.as.caps =
                (struct core_caps){CORE_QUOTA_WORKSPACE, 7, true, PRIORITY_HIGH, CORE_DURATION_MAX_MS};
        } else if (kind == CORE_EVENT_WEIGHT) {
            e.as.weight = (struct core_weight){{7}, CORE_WEIGHT_MAX};
        } else if (kind == CORE_EVENT_FAMILY) {
            e.as.family = (struct core_family){CORE_FAMILIES_MAX - 1, true, UINT64_MAX, 5};
        } else if (kind == CORE_EVENT_LICENCES) {
            e.as.licences.id = 3;
            e.as.licences.total = 9;
        } else if (kind == CORE_EVENT_RESERVE) {
            static const struct node_id nodes[] = {{4}, {UINT32_MAX}};
            e.as.reserve = (struct core_reserve){.reservation = 9,
                                                 .begin_ms = 1,
                                                 .end_ms = CORE_DURATION_MAX_MS,
                                                 .request = {.cpus = 3, .memory_bytes = GIB},
                                                 .count = 2,
                                                 .nodes = nodes,
                                                 .user_count = 2,
                                                 .users = {{3}, {1}}};
        } else if (kind == CORE_EVENT_JOB_CANCEL) {
            e.as.cancel.job.v = 7;
            e.as.cancel.force = true;
        } else if ((kind >= CORE_EVENT_TASK_STATE && kind <= CORE_EVENT_TASK_COLLECTED) ||
                   kind == CORE_EVENT_TASK_OVER) {
            e = about_task((enum core_event_kind)kind, 12, 3, 4);
            if (kind == CORE_EVENT_TASK_STATE)
                e.as.task.as.state = TASK_PAUSED;
            if (kind == CORE_EVENT_TASK_EXIT || kind == CORE_EVENT_TASK_OVER) {
                e.as.task.as.exit.code = -1;
                e.as.task.as.exit.signal = 9;
                e.as.task.as.exit.kind = END_OOM;
                e.as.task.as.exit.ran = true;
            }
        }
        e.defer = kind % 2;
        if (core_event_check(&e) && strcmp(core_event_check(&e), "an event of an unknown kind") == 0)
            continue; /* a number that no event has */
        events[n++] = e;
    }
    return n;
}

static void make_decisions(struct core_decisions *d)
{
    memset(d, 0, CORE_DECISION_KIND_END * sizeof d->v[0] + offsetof(struct core_decisions, v));
    for (int kind = 1; kind < CORE_DECISION_KIND_END; kind++)
        if (kind != 20) /* a number that means nothing */
            d->v[d->count++].kind = (enum core_decision_kind)kind;
    d->v[0].as.refused.job.v = 5;
    d->v[0].as.refused.refusal = CORE_REFUSED_NEVER_FITS;
    d->v[0].as.refused.resource = RESOURCE_GPUS;
    d->v[0].as.refused.wanted = UINT64_MAX;
    d->v[1].as.job.job.v = 6;
    d->v[1].as.job.state = JOB_CANCELED;
    d->v[1].as.job.reason = CORE_REASON_CANCEL;
    d->v[1].as.job.attempt = 2;
    d->v[1].as.job.end = (struct core_end){END_SIGNAL, INT32_MIN, INT32_MAX};
    d->v[2].as.start.task = (struct task_id){{9}, 1, 2};
    d->v[2].as.start.node.v = 3;
    d->v[2].as.start.lease.cores[0] = UINT64_C(0x8000000000000001);
    d->v[2].as.start.lease.cores[RESOURCE_CORE_WORDS - 1] = UINT64_MAX;
    d->v[2].as.start.lease.memory_bytes = 3 * GIB;
    d->v[2].as.start.lease.gpus = 0x80000001;
    d->v[2].as.start.lease.gpu_milli_each = RESOURCE_GPU_WHOLE;
    d->v[3].as.stop.reason = CORE_STOP_DRAIN;
    d->v[3].as.stop.grace_ms = 77;
    d->v[3].as.stop.force = true;
    d->v[7].as.timer.at_ms = UINT64_C(1) << 50;
    d->v[9].as.requeue.job.v = 3;
    d->v[9].as.requeue.reason = CORE_REASON_RETRY;
    for (int i = 10; i <= 13; i++) {
        d->v[i].as.plan.job.v = 8;
        d->v[i].as.plan.at_ms = UINT64_MAX - 1;
        d->v[i].as.plan.why = CORE_VOID_OVERRUN;
    }
    d->v[11].as.plan.node.v = 17;
    d->v[14].as.share.principal.v = 2;
    d->v[14].as.share.place = 77;
    d->v[2].as.start.lease.pool = RESOURCE_POOL_MAX;
}

static size_t encode(const struct core_event *event, const struct core_decisions *d, unsigned char *out)
{
    struct core_row row = {.now_ms = UINT64_MAX,
                           .core_version = CORE_VERSION,
                           .state_hash = UINT64_C(0xfedcba9876543210),
                           .event = *event};
    size_t length = core_row_encode(&row, d, NULL, 0);
    assert_true(length <= CORE_ROW_MAX_BYTES);
    assert_int_equal(core_row_encode(&row, d, out, length), length);
    return length;
}

static void every_event_and_decision_comes_back_as_it_was(void **state)
{
    struct fixture *f = *state;
    struct core_event events[CORE_EVENT_KIND_END];
    struct core_row row;
    inventory = *inventory_of((struct shape){RESOURCE_CORES_MAX, 2, RESOURCE_GPUS_MAX, 8, 64 * GIB});
    uint32_t count = make_events(events);
    make_decisions(f->out);
    for (uint32_t i = 0; i < count; i++) {
        size_t length = encode(&events[i], f->out, f->row);
        assert_null(core_row_decode(f->row, length, &row, f->decoded));
        assert_true(row.now_ms == UINT64_MAX && row.core_version == CORE_VERSION);
        assert_true(row.state_hash == UINT64_C(0xfedcba9876543210));
        if (events[i].kind == CORE_EVENT_NODE_UP) {
            assert_memory_equal(&row.inventory, &inventory, sizeof inventory);
            assert_ptr_equal(row.event.as.node.inventory, &row.inventory);
            row.event.as.node.inventory = &inventory;
        }
        if (events[i].kind == CORE_EVENT_RESERVE) {
            assert_memory_equal(row.reserved, events[i].as.reserve.nodes, 2 * sizeof *row.reserved);
            row.event.as.reserve.nodes = events[i].as.reserve.nodes;
        }
        assert_memory_equal(&row.event, &events[i], sizeof row.event);
        assert_int_equal(f->decoded->count, f->out->count);
        assert_memory_equal(f->decoded->v, f->out->v, f->out->count * sizeof f->out->v[0]);
    }
}

static void a_row_cut_anywhere_is_refused(void **state)
{
    struct fixture *f = *state;
    struct core_event events[CORE_EVENT_KIND_END];
    struct core_row row;
    inventory = *inventory_of((struct shape){8, 2, 2, 1, 64 * GIB});
    uint32_t count = make_events(events);
    make_decisions(f->out);
    for (uint32_t i = 0; i < count; i++) {
        size_t length = encode(&events[i], f->out, f->row);
        for (size_t cut = 0; cut < length; cut++) {
            unsigned char *exact = malloc(cut ? cut : 1); /* so that reading past it is seen */
            memcpy(exact, f->row, cut);
            assert_non_null(core_row_decode(exact, cut, &row, f->decoded));
            free(exact);
        }
        f->row[length] = 0;
        assert_non_null(core_row_decode(f->row, length + 1, &row, f->decoded));
    }
}

static void a_row_with_any_byte_changed_is_refused_or_means_just_that(void **state)
{
    struct fixture *f = *state;
    struct core_event events[CORE_EVENT_KIND_END];
    struct core_row row;
    unsigned char *back = malloc(CORE_ROW_MAX_BYTES);
    inventory = *inventory_of((struct shape){4, 2, 2, 1, 64 * GIB});
    uint32_t count = make_events(events);
    make_decisions(f->out);
    for (uint32_t i = 0; i < count; i++) {
        size_t length = encode(&events[i], f->out, f->row);
        for (size_t at = 0; at < length; at++) {
            unsigned char was = f->row[at];
            for (int change = 1; change < 256; change += change < 8 ? 1 : 31) {
                f->row[at] = (unsigned char)(was ^ change);
                if (!core_row_decode(f->row, length, &row, f->decoded)) {
                    assert_null(core_event_check(&row.event));
                    assert_int_equal(core_row_encode(&row, f->decoded, back, CORE_ROW_MAX_BYTES), length);
                    assert_memory_equal(back, f->row, length);
                }
            }
            f->row[at] = was;
        }
    }
    free(back);
}

static void a_newer_row_is_refused_by_name(void **state)
{
    struct fixture *f = *state;
    struct core_event event = {.kind = CORE_EVENT_TICK};
    struct core_row row;
    f->out->count = 0;
    size_t length = encode(&event, f->out, f->row);
    f->row[0] = CORE_ROW_VERSION + 1;
    assert_string_equal(core_row_decode(f->row, length, &row, f->decoded), "the row is of a newer version");
    f->row[0] = 0;
    assert_string_equal(core_row_decode(f->row, length, &row, f->decoded), "not a row of the journal");
}

static void decisions_that_do_not_follow_are_refused_by_recovery(void **state)
{
    struct fixture *f = *state;
    struct core_event tick = {.kind = CORE_EVENT_TICK};
    node_up(f, 1, 4, 1, 8 * GIB);
    submit(f, wanting(1, 1, 1, GIB));
    struct core_decision good = *started(f, 1);
    good.as.start.task.attempt = 2;
    const struct core_decision bad[] = {
        {.kind = CORE_DECISION_JOB_STATE, .as.job = {.job = {99}, .state = JOB_QUEUED}},
        {.kind = CORE_DECISION_JOB_STATE, .as.job = {.job = {1}, .state = JOB_COMPLETED, .attempt = 1}},
        {.kind = CORE_DECISION_JOB_STATE, .as.job = {.job = {1}, .state = JOB_STARTING, .attempt = 2}},
        good, /* of what is leased */
        {.kind = CORE_DECISION_LEASE_FREED, .as.task = {{{1}, 1, 0}, {2}}},
        {.kind = CORE_DECISION_LEASE_FREED, .as.task = {{{1}, 9, 0}, {1}}},
        {.kind = CORE_DECISION_RELEASE_TASK, .as.task = {{{1}, 1, 0}, {1}}},
        {.kind = CORE_DECISION_PROMISE, .as.plan = {.job = {1}, .at_ms = 5}}, /* it runs */
        {.kind = CORE_DECISION_HOLD, .as.plan = {.job = {1}, .node = {1}}},   /* without a promise */
        {.kind = CORE_DECISION_VOID, .as.plan = {.job = {1}}},                /* the same */
        {.kind = CORE_DECISION_SETTLED, .as.plan = {.job = {1}}},             /* nothing stirred it */
        {.kind = CORE_DECISION_REQUEUE, .as.requeue = {.job = {99}, .reason = CORE_REASON_RETRY}},
        {.kind = CORE_DECISION_SHARE, .as.share = {.principal = {77}}},
        {.kind = CORE_DECISION_KIND_END},
        {.kind = (enum core_decision_kind)20},
        {.kind = CORE_DECISION_LOOK, .as.look = {.from = 77}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        f->out->count = 1;
        f->out->v[0] = bad[i];
        assert_non_null(core_apply(f->applied, f->now_ms, &tick, f->out));
        assert_int_equal(core_hash(f->applied), core_hash(f->core));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_event_and_decision_comes_back_as_it_was),
        TEST(a_row_cut_anywhere_is_refused),
        TEST(a_row_with_any_byte_changed_is_refused_or_means_just_that),
        TEST(a_newer_row_is_refused_by_name),
        TEST(decisions_that_do_not_follow_are_refused_by_recovery),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
