/* Families of sizes: quotas within them, and approval of restricted ones. */
#include "core_fixture.h"

enum { NC = 1, HB = 2, ALICE = 1, BOB = 2 };

static void quota(struct fixture *f, struct core_quota q)
{
    struct core_event event = {.kind = CORE_EVENT_QUOTA};
    event.as.quota = q;
    fed(f, &event);
}

static void restrict_family(struct fixture *f, uint32_t family, bool restricted)
{
    struct core_event event = {.kind = CORE_EVENT_FAMILY};
    event.as.family = (struct core_family){.id = family, .restricted = restricted};
    fed(f, &event);
}

static void asks(struct fixture *f, uint64_t id, uint32_t user, uint32_t workspace, uint32_t family,
                 uint32_t cores)
{
    struct core_submit s = wanting(id, cores, 0, 0);
    s.principal.v = user;
    s.workspace = workspace;
    s.family = family;
    submit(f, s);
}

static void a_restricted_family_waits_for_approval_and_starts_with_it(void **state)
{
    struct fixture *f = *state;
    struct core_why why;
    node_up(f, 1, 8, 0, GIB);
    restrict_family(f, NC, true);
    asks(f, 1, ALICE, 0, NC, 2);
    asks(f, 2, BOB, 0, NC, 2);
    asks(f, 3, ALICE, 0, 0, 2);
    asks(f, 4, ALICE, 0, HB, 2);
    assert_true(runs(f, 3) && runs(f, 4)); /* who waits for approval blocks nobody */
    assert_int_equal(job_view(f, 1).reason, CORE_REASON_APPROVAL);
    assert_true(core_why(f->core, (struct job_id){1}, &why));
    assert_true(why.approval_missing && !why.quota_reached && !why.fits_now);
    quota(f, (struct core_quota){.id = ALICE, .family = NC, .cores = 4, .approved = true});
    assert_true(runs(f, 1));
    assert_int_equal(job_view(f, 2).reason, CORE_REASON_APPROVAL); /* another's approval is not one's own */
}

/* However many wait for approval, what doesn't is found at once: they stand in no order. */
static void who_waits_for_approval_stands_in_nobodys_way_and_is_not_ahead(void **state)
{
    struct fixture *f = *state;
    struct core_why why;
    node_up(f, 1, 2, 0, GIB);
    restrict_family(f, NC, true);
    asks(f, 1, BOB, 0, 0, 2);
    for (uint64_t id = 2; id <= 20; id++) {
        struct core_submit s = wanting(id, 1, 0, 0);
        s.family = NC;
        s.time_limit_ms = 1000 * id; /* a class of its own */
        s.priority_class = PRIORITY_HIGH;
        submit(f, s);
        assert_int_equal(f->out->count, 1); /* nothing but that it waits: no pass is made for it */
    }
    asks(f, 30, BOB, 0, 0, 2);
    assert_true(core_why(f->core, (struct job_id){30}, &why));
    assert_int_equal(why.ahead_count, 0);
    quota(f, (struct core_quota){.id = ALICE, .family = NC, .running = 1, .approved = true});
    assert_true(core_why(f->core, (struct job_id){30}, &why));
    assert_int_equal(why.ahead_count, 19);
    quota(f, (struct core_quota){.id = ALICE, .family = NC});
    lives(f, 1, 1, 1);
    assert_true(runs(f, 30));
}

static void an_approval_that_is_taken_away_stops_nothing_that_runs(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 8, 0, GIB);
    restrict_family(f, NC, true);
    quota(f, (struct core_quota){.id = ALICE, .family = NC, .approved = true});
    asks(f, 1, ALICE, 0, NC, 2);
    assert_true(runs(f, 1));
    quota(f, (struct core_quota){.id = ALICE, .family = NC});
    asks(f, 2, ALICE, 0, NC, 2);
    assert_null(decided(f, CORE_DECISION_STOP_TASK, 0));
    assert_true(runs(f, 1));
    assert_int_equal(job_view(f, 2).reason, CORE_REASON_APPROVAL);
    restrict_family(f, NC, false);
    assert_true(runs(f, 2));
}

static void quotas_count_by_user_by_workspace_and_by_all_within_a_family(void **state)
{
    struct fixture *f = *state;
    struct core_why why;
    node_up(f, 1, 32, 0, GIB);
    quota(f, (struct core_quota){.id = ALICE, .family = NC, .cores = 4});
    quota(f, (struct core_quota){.scope = CORE_QUOTA_WORKSPACE, .id = 7, .family = NC, .running = 2});
    quota(f, (struct core_quota){.scope = CORE_QUOTA_FAMILY, .family = NC, .cores = 10});
    asks(f, 1, ALICE, 7, NC, 4);
    asks(f, 2, ALICE, 7, NC, 1); /* beyond hers in the family */
    asks(f, 3, ALICE, 7, HB, 4);
    asks(f, 4, BOB, 7, NC, 1);
    asks(f, 5, BOB, 7, NC, 1); /* a third of the workspace */
    asks(f, 6, BOB, 8, NC, 5);
    asks(f, 7, BOB, 8, NC, 1); /* an eleventh core */
    assert_true(runs(f, 1) && runs(f, 3) && runs(f, 4) && runs(f, 6));
    static const struct {
        uint64_t job;
        enum core_quota_scope scope;
        enum core_quota_limit limit;
        uint64_t used;
    } waits[] = {{2, CORE_QUOTA_PRINCIPAL, CORE_QUOTA_CORES, 4},
                 {5, CORE_QUOTA_WORKSPACE, CORE_QUOTA_RUNNING, 2},
                 {7, CORE_QUOTA_FAMILY, CORE_QUOTA_CORES, 10}};
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        assert_int_equal(job_view(f, waits[i].job).reason, CORE_REASON_QUOTA);
        assert_true(core_why(f->core, (struct job_id){waits[i].job}, &why));
        assert_true(why.quota_reached && !why.approval_missing);
        assert_int_equal(why.quota_scope, waits[i].scope);
        assert_int_equal(why.quota_limit, waits[i].limit);
        assert_int_equal(why.quota_family, NC);
        assert_int_equal(why.quota_used, waits[i].used);
    }
    lives(f, 6, 1, 1);
    assert_true(runs(f, 7));
}

static void more_than_a_family_allows_at_once_is_refused_with_whose_quota_it_was(void **state)
{
    struct fixture *f = *state;
    enum core_quota_scope scope;
    enum core_quota_limit limit;
    bool in_family;
    node_up(f, 1, 32, 0, GIB);
    quota(f, (struct core_quota){.scope = CORE_QUOTA_FAMILY, .family = NC, .cores = 10});
    asks(f, 1, ALICE, 0, NC, 11);
    const struct core_decision *d = decided(f, CORE_DECISION_JOB_REFUSED, 0);
    assert_non_null(d);
    assert_int_equal(d->as.refused.refusal, CORE_REFUSED_QUOTA);
    core_refused_quota(d->as.refused.resource, &scope, &in_family, &limit);
    assert_true(scope == CORE_QUOTA_FAMILY && in_family && limit == CORE_QUOTA_CORES);
    assert_int_equal(d->as.refused.best, 10);
    asks(f, 2, ALICE, 0, NC, 10);
    assert_true(runs(f, 2));
}

static void everyones_quota_is_not_a_quota_in_each_family(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 8, 0, GIB);
    quota(f, (struct core_quota){.running = 2});
    asks(f, 1, ALICE, 0, NC, 1);
    asks(f, 2, ALICE, 0, HB, 1);
    asks(f, 3, ALICE, 0, HB, 1);
    assert_true(runs(f, 1) && runs(f, 2) && !runs(f, 3));
}

static void a_listing_of_quotas_has_families_approvals_and_what_is_used(void **state)
{
    struct fixture *f = *state;
    struct core_quota_view view;
    uint32_t cursor = 0, count = 0;
    node_up(f, 1, 8, 0, GIB);
    restrict_family(f, NC, true);
    quota(f, (struct core_quota){.id = ALICE, .family = NC, .approved = true});
    asks(f, 1, ALICE, 0, NC, 3);
    while (core_quota_next(f->core, &cursor, &view)) {
        count++;
        assert_true(view.quota.id == ALICE && view.quota.family == NC && view.quota.approved);
        assert_int_equal(view.cores, 3);
    }
    assert_int_equal(count, 1);
    assert_true(core_family_restricted(f->core, NC) && !core_family_restricted(f->core, HB));
    core_quota_get(f->core, CORE_QUOTA_FAMILY, 0, NC, &view);
    assert_int_equal(view.running, 1);
}

static void families_at_their_limit_are_taken_and_one_past_it_refused(void **state)
{
    struct core_event event = {.kind = CORE_EVENT_FAMILY};
    (void)state;
    event.as.family.id = CORE_FAMILIES_MAX - 1;
    assert_null(core_event_check(&event));
    event.as.family.id = CORE_FAMILIES_MAX;
    assert_non_null(core_event_check(&event));
    event.as.family.id = 0;
    assert_non_null(core_event_check(&event));
    event = (struct core_event){.kind = CORE_EVENT_JOB_SUBMIT};
    event.as.submit = wanting(1, 1, 0, 0);
    event.as.submit.family = CORE_FAMILIES_MAX;
    assert_non_null(core_event_check(&event));
    static const struct core_quota wrong[] = {
        {.scope = CORE_QUOTA_FAMILY},                                    /* of no family */
        {.scope = CORE_QUOTA_FAMILY, .id = 1, .family = NC},             /* of somebody's */
        {.family = NC, .cores = 1},                                      /* everyone's in a family */
        {.id = ALICE, .approved = true},                                 /* approved in nothing */
        {.scope = CORE_QUOTA_WORKSPACE, .family = NC, .approved = true}, /* not a principal */
        {.id = ALICE, .family = CORE_FAMILIES_MAX},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        event = (struct core_event){.kind = CORE_EVENT_QUOTA};
        event.as.quota = wrong[i];
        assert_non_null(core_event_check(&event));
    }
}

static void guard(struct fixture *f, uint32_t family, uint64_t models, uint64_t labels)
{
    struct core_event event = {.kind = CORE_EVENT_FAMILY};
    event.as.family = (struct core_family){family, true, models, labels};
    fed(f, &event);
}

/* Two GPUs of model 1 and two of model 2, and the labels. */
static void mixed_node_up(struct fixture *f, uint32_t id, uint64_t labels)
{
    struct core_inventory *inv = inventory_of((struct shape){8, 1, 4, 1, GIB});
    for (uint32_t i = 0; i < 4; i++)
        inv->gpus[i].model = i < 2 ? 1 : 2;
    inv->labels = labels;
    node_hello(f, id, inv);
}

static uint32_t models_of(const struct fixture *f, uint64_t job)
{
    const struct resource_lease *lease = leased(f, job);
    uint32_t models = 0;
    for (uint32_t i = 0; lease && i < 4; i++)
        models |= (lease->gpus >> i) & 1 ? i < 2 ? 1u : 2u : 0;
    return models;
}

static void a_guarded_model_is_for_the_approved_however_it_is_asked_for(void **state)
{
    struct fixture *f = *state;
    struct core_why why;
    guard(f, 5, 1 << 1, 0); /* before the node comes */
    mixed_node_up(f, 1, 0);
    submit(f, wanting(1, 1, 2, 0));
    assert_int_equal(models_of(f, 1), 2); /* the other two */
    submit(f, wanting(2, 1, 3, 0));
    assert_false(runs(f, 2));
    assert_true(core_why(f->core, (struct job_id){2}, &why));
    assert_int_equal(job_view(f, 2).reason, CORE_REASON_APPROVAL);
    assert_int_equal(why.approval_family, 5);
    struct core_submit half = wanting(3, 1, 0, 0);
    half.request.gpu_milli = 500;
    half.request.gpu_models = 1 << 1;
    submit(f, half);
    assert_int_equal(job_view(f, 3).reason, CORE_REASON_APPROVAL);
    struct core_submit whole = wanting(4, 1, 0, 0);
    whole.request.flags = RESOURCE_EXCLUSIVE;
    submit(f, whole);
    assert_int_equal(job_view(f, 4).reason, CORE_REASON_APPROVAL);
    submit(f, wanting(5, 1, 0, 0));
    assert_true(runs(f, 5)); /* the cores are everybody's */
    cancel(f, 2, false);
    cancel(f, 4, false);
    struct core_event approve = {.kind = CORE_EVENT_QUOTA};
    approve.as.quota = (struct core_quota){.id = 1, .family = 5, .approved = true};
    fed(f, &approve);
    assert_true(runs(f, 3));
    approve.as.quota.approved = false;
    fed(f, &approve);
    assert_true(runs(f, 3)); /* what runs goes on */
    submit(f, wanting(6, 1, 3, 0));
    assert_int_equal(job_view(f, 6).reason, CORE_REASON_APPROVAL);
}

static void a_guarded_label_closes_its_nodes(void **state)
{
    struct fixture *f = *state;
    mixed_node_up(f, 1, 1 << 3);
    guard(f, 5, 0, 1 << 3);
    submit(f, wanting(1, 1, 0, 0));
    assert_int_equal(job_view(f, 1).reason, CORE_REASON_APPROVAL);
    node_up(f, 2, 1, 0, GIB);
    assert_true(runs(f, 1)); /* elsewhere */
    submit(f, wanting(2, 1, 0, 0));
    assert_int_equal(job_view(f, 2).reason, CORE_REASON_WAITING);
    struct core_event off = {.kind = CORE_EVENT_FAMILY};
    off.as.family = (struct core_family){5, false, 0, 1 << 3};
    fed(f, &off);
    assert_true(runs(f, 2));
}

static void the_family_that_is_named_is_the_one_that_keeps_the_job_out(void **state)
{
    struct fixture *f = *state;
    struct core_why why;
    guard(f, 4, 1 << 1, 0);
    guard(f, 5, 1 << 2, 0);
    guard(f, 3, 0, 1 << 3);
    mixed_node_up(f, 1, 0);
    node_up(f, 2, 1, 0, GIB);
    struct core_submit of_two = wanting(1, 1, 1, 0);
    of_two.request.gpu_models = 1 << 2;
    submit(f, of_two);
    assert_true(core_why(f->core, (struct job_id){1}, &why));
    assert_int_equal(why.approval_family, 5);
    mixed_node_up(f, 3, 1 << 3);
    struct core_submit cores = wanting(2, 2, 0, 0);
    cores.instance_count = 2; /* one of the nodes may take it, the other is closed */
    submit(f, cores);
    assert_true(core_why(f->core, (struct job_id){2}, &why));
    assert_int_equal(why.approval_family, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_restricted_family_waits_for_approval_and_starts_with_it),
        TEST(who_waits_for_approval_stands_in_nobodys_way_and_is_not_ahead),
        TEST(an_approval_that_is_taken_away_stops_nothing_that_runs),
        TEST(quotas_count_by_user_by_workspace_and_by_all_within_a_family),
        TEST(more_than_a_family_allows_at_once_is_refused_with_whose_quota_it_was),
        TEST(everyones_quota_is_not_a_quota_in_each_family),
        TEST(a_listing_of_quotas_has_families_approvals_and_what_is_used),
        TEST(families_at_their_limit_are_taken_and_one_past_it_refused),
        TEST(a_guarded_model_is_for_the_approved_however_it_is_asked_for),
        TEST(a_guarded_label_closes_its_nodes),
        TEST(the_family_that_is_named_is_the_one_that_keeps_the_job_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
