/* Quotas, licences, holds, dependencies, retries, ageing, fair share, preemption. */
#include "core_fixture.h"

static void quota(struct fixture *f, enum core_quota_scope scope, uint32_t id, struct core_quota limits)
{
    struct core_event event = {.kind = CORE_EVENT_QUOTA};
    event.as.quota = limits;
    event.as.quota.scope = scope;
    event.as.quota.id = id;
    fed(f, &event);
}

static void configure(struct fixture *f, struct core_config config)
{
    struct core_event event = {.kind = CORE_EVENT_CONFIG};
    event.as.config = config;
    fed(f, &event);
}

static void update(struct fixture *f, struct core_update u)
{
    struct core_event event = {.kind = CORE_EVENT_JOB_UPDATE};
    event.as.update = u;
    fed(f, &event);
}

static void tick(struct fixture *f, uint64_t now_ms)
{
    struct core_event event = {.kind = CORE_EVENT_TICK};
    f->now_ms = now_ms;
    fed(f, &event);
}

static void a_quota_holds_its_users_jobs_back_and_nobody_elses(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 8, 0, GIB);
    quota(f, CORE_QUOTA_PRINCIPAL, 1, (struct core_quota){.cores = 3});
    submit(f, wanting(1, 2, 0, 0));
    submit(f, wanting(2, 2, 0, 0));
    assert_int_equal(job_view(f, 2).reason, CORE_REASON_QUOTA);
    struct core_submit other = wanting(3, 2, 0, 0);
    other.principal.v = 2;
    submit(f, other);
    assert_true(runs(f, 3)); /* it came later, but nothing of the first one's quota is its own */
    struct core_why why;
    assert_true(core_why(f->core, (struct job_id){2}, &why));
    assert_true(why.quota_reached && why.quota_scope == CORE_QUOTA_PRINCIPAL &&
                why.quota_limit == CORE_QUOTA_CORES);
    assert_int_equal(why.quota_max, 3);
    assert_int_equal(why.quota_used, 2);
    lives(f, 1, 1, 1);
    assert_true(runs(f, 2));
}

static void what_a_node_can_not_start_runs_elsewhere_and_costs_no_attempt(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 0, GIB);
    struct core_submit s = wanting(1, 2, 0, 0);
    s.retries = 0;
    submit(f, s);
    node_event(f, CORE_EVENT_NODE_FAULT, 1); /* said before the exit, so that it doesn't start there again */
    exits(f, 1, 1, 1, END_NODE_FAULT, 125, false);
    released(f, 1, 1, 1);
    collected(f, 1, 1, 1);
    assert_int_equal(last_state(f, 1), JOB_QUEUED);
    node_up(f, 2, 4, 0, GIB);
    assert_true(runs(f, 1));
    exits(f, 1, 2, 2, END_EXIT, 3, true);
    released(f, 1, 2, 2);
    collected(f, 1, 2, 2);
    assert_int_equal(last_state(f, 1), JOB_FAILED); /* its own failure, without retries */
}

static void a_fault_heals_and_a_persons_drain_stays(void **state)
{
    struct fixture *f = *state;
    struct core_why_nodes why;
    node_up(f, 1, 4, 0, GIB);
    node_event(f, CORE_EVENT_NODE_DRAIN, 1);
    node_event(f, CORE_EVENT_NODE_FAULT, 1);
    node_event(f, CORE_EVENT_NODE_HEALED, 1);
    submit(f, wanting(1, 2, 0, 0));
    assert_false(runs(f, 1));
    assert_true(core_why_nodes(f->core, (struct job_id){1}, &why));
    assert_int_equal(why.away_count, 1);
    assert_int_equal(why.away[0].v, 1);
    node_event(f, CORE_EVENT_NODE_FAULT, 1);
    node_event(f, CORE_EVENT_NODE_RESUME, 1); /* a person's word takes back both */
    assert_true(runs(f, 1));
}

static void everyones_quota_is_for_those_without_their_own(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 8, 0, GIB);
    quota(f, CORE_QUOTA_PRINCIPAL, 0, (struct core_quota){.running = 1});
    quota(f, CORE_QUOTA_PRINCIPAL, 1, (struct core_quota){.running = 2});
    for (uint64_t id = 1; id <= 4; id++) {
        struct core_submit s = wanting(id, 1, 0, 0);
        s.principal.v = id <= 2 ? 1 : 2;
        submit(f, s);
    }
    assert_true(runs(f, 1) && runs(f, 2) && runs(f, 3) && !runs(f, 4));
}

static void whose_own_quota_is_taken_away_has_everyones_again(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 8, 0, GIB);
    quota(f, CORE_QUOTA_PRINCIPAL, 0, (struct core_quota){.running = 1});
    quota(f, CORE_QUOTA_PRINCIPAL, 1, (struct core_quota){.running = 3});
    submit(f, wanting(1, 1, 0, 0));
    quota(f, CORE_QUOTA_PRINCIPAL, 1, (struct core_quota){0});
    submit(f, wanting(2, 1, 0, 0));
    assert_true(runs(f, 1) && !runs(f, 2));
    assert_int_equal(job_view(f, 2).reason, CORE_REASON_QUOTA);
}

static void what_a_quota_never_allows_is_refused_at_submit(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 8, 0, GIB);
    quota(f, CORE_QUOTA_WORKSPACE, 0, (struct core_quota){.cores = 4, .queued = 1});
    submit(f, wanting(1, 5, 0, 0));
    const struct core_decision *d = decided(f, CORE_DECISION_JOB_REFUSED, 0);
    assert_int_equal(d->as.refused.refusal, CORE_REFUSED_QUOTA);
    enum core_quota_scope scope;
    enum core_quota_limit limit;
    bool in_family;
    core_refused_quota(d->as.refused.resource, &scope, &in_family, &limit);
    assert_true(scope == CORE_QUOTA_WORKSPACE && !in_family && limit == CORE_QUOTA_CORES);
    assert_int_equal(d->as.refused.best, 4);
    submit(f, wanting(2, 4, 0, 0));
    submit(f, wanting(3, 1, 0, 0));
    submit(f, wanting(4, 1, 0, 0));
    d = decided(f, CORE_DECISION_JOB_REFUSED, 0);
    core_refused_quota(d->as.refused.resource, &scope, &in_family, &limit);
    assert_int_equal(limit, CORE_QUOTA_QUEUED);
}

static void licences_are_held_from_start_to_end(void **state)
{
    struct fixture *f = *state;
    struct core_event have = {.kind = CORE_EVENT_LICENCES, .as.licences = {2, 3}};
    node_up(f, 1, 8, 0, GIB);
    struct core_submit s = wanting(1, 1, 0, 0);
    s.licences = (struct resource_licences){{2}, {2}};
    submit(f, s);
    assert_int_equal(decided(f, CORE_DECISION_JOB_REFUSED, 0)->as.refused.refusal, CORE_REFUSED_LICENCES);
    fed(f, &have);
    submit(f, s);
    s.job.v = s.seq = 2;
    submit(f, s);
    assert_true(runs(f, 1));
    assert_int_equal(job_view(f, 2).reason, CORE_REASON_LICENCE);
    lives(f, 1, 1, 1);
    assert_true(runs(f, 2));
}

static void a_held_job_waits_for_its_release_and_one_with_a_begin_time_for_that(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 8, 0, GIB);
    struct core_submit s = wanting(1, 1, 0, 0);
    s.held = true;
    submit(f, s);
    s = wanting(2, 1, 0, 0);
    s.begin_ms = f->now_ms + 5000;
    submit(f, s);
    assert_int_equal(job_view(f, 1).reason, CORE_REASON_HELD);
    assert_int_equal(job_view(f, 2).reason, CORE_REASON_BEGIN);
    assert_int_equal(core_timer_at(f->core), f->now_ms + 5000);
    tick(f, f->now_ms + 4999);
    assert_false(runs(f, 2));
    tick(f, f->now_ms + 1);
    assert_true(runs(f, 2));
    update(f, (struct core_update){.job.v = 1, .set_held = true});
    assert_true(runs(f, 1));
}

static void after(struct core_submit *s, uint64_t job, enum core_dependency kind, enum job_state ended)
{
    s->dependencies[s->dependency_count].job.v = job;
    s->dependencies[s->dependency_count].kind = kind;
    s->dependencies[s->dependency_count++].ended = ended;
}

static void jobs_wait_for_what_they_depend_on_and_are_canceled_when_it_can_not_be(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 8, 0, GIB);
    submit(f, wanting(1, 1, 0, 0));
    for (uint64_t id = 2; id <= 5; id++) {
        struct core_submit s = wanting(id, 1, 0, 0);
        after(&s, 1, (enum core_dependency)(id - 2), JOB_COMPLETED);
        submit(f, s);
        assert_int_equal(job_view(f, id).reason, CORE_REASON_DEPENDENCY);
    }
    says(f, 1, 1, 1, TASK_RUNNING);
    assert_true(runs(f, 2)); /* after its start */
    exits(f, 1, 1, 1, END_EXIT, 1, true);
    assert_int_equal(job_view(f, 4).state, JOB_QUEUED);
    released(f, 1, 1, 1);
    collected(f, 1, 1, 1);
    assert_false(job_known(f, 3)); /* after its success: Canceled */
    assert_true(runs(f, 4));       /* after its failure */
    assert_true(runs(f, 5));       /* after its end */
}

static void a_chain_is_canceled_to_its_end_and_several_must_all_be_met(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 8, 0, GIB);
    submit(f, wanting(1, 1, 0, 0));
    submit(f, wanting(2, 1, 0, 0));
    struct core_submit both = wanting(3, 1, 0, 0);
    after(&both, 1, CORE_AFTER_SUCCESS, JOB_COMPLETED);
    after(&both, 2, CORE_AFTER_END, JOB_COMPLETED);
    submit(f, both);
    struct core_submit last = wanting(4, 1, 0, 0);
    after(&last, 3, CORE_AFTER_SUCCESS, JOB_COMPLETED);
    submit(f, last);
    lives(f, 2, 1, 1);
    assert_int_equal(job_view(f, 3).reason, CORE_REASON_DEPENDENCY);
    cancel(f, 1, true);
    exits(f, 1, 1, 1, END_CANCELED, 143, true);
    released(f, 1, 1, 1);
    collected(f, 1, 1, 1);
    assert_false(job_known(f, 3));
    assert_false(job_known(f, 4));
}

static void jobs_that_ended_before_are_judged_by_how(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 8, 0, GIB);
    static const struct {
        enum core_dependency kind;
        enum job_state ended;
        bool met;
    } cases[] = {{CORE_AFTER_SUCCESS, JOB_COMPLETED, true},
                 {CORE_AFTER_SUCCESS, JOB_FAILED, false},
                 {CORE_AFTER_FAILURE, JOB_FAILED, true},
                 {CORE_AFTER_FAILURE, JOB_CANCELED, false},
                 {CORE_AFTER_END, JOB_CANCELED, true}};
    for (uint64_t i = 0; i < 5; i++) {
        struct core_submit s = wanting(100 + i, 1, 0, 0);
        after(&s, 1, cases[i].kind, cases[i].ended);
        submit(f, s);
        assert_int_equal(last_state(f, 100 + i), cases[i].met ? JOB_PREPARING : JOB_CANCELED);
    }
}

static void retries_follow_their_rule_with_growing_waits(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 8, 0, GIB);
    struct core_submit s = wanting(1, 1, 0, 0);
    s.retries = 2;
    s.retry_kinds = 1 << END_EXIT;
    s.retry_codes[0] = 75;
    s.retry_wait_ms = 1000;
    submit(f, s);
    for (uint32_t attempt = 1; attempt <= 2; attempt++) {
        says(f, 1, attempt, 1, TASK_RUNNING);
        exits(f, 1, attempt, 1, END_EXIT, 75, true);
        released(f, 1, attempt, 1);
        collected(f, 1, attempt, 1);
        assert_int_equal(job_view(f, 1).reason, CORE_REASON_BEGIN);
        assert_int_equal(job_view(f, 1).begin_ms, f->now_ms + 1000 * attempt);
        tick(f, f->now_ms + 1000 * attempt);
        assert_int_equal(job_view(f, 1).attempt, attempt + 1);
    }
    says(f, 1, 3, 1, TASK_RUNNING);
    exits(f, 1, 3, 1, END_EXIT, 75, true);
    released(f, 1, 3, 1);
    collected(f, 1, 3, 1);
    assert_int_equal(last_state(f, 1), JOB_FAILED);
    s.job.v = s.seq = 2;
    submit(f, s);
    says(f, 2, 1, 1, TASK_RUNNING);
    exits(f, 2, 1, 1, END_EXIT, 1, true); /* another code */
    released(f, 2, 1, 1);
    collected(f, 2, 1, 1);
    assert_int_equal(last_state(f, 2), JOB_FAILED);
}

static void a_job_that_has_waited_long_counts_as_one_class_higher(void **state)
{
    struct fixture *f = *state;
    configure(f, (struct core_config){.age_ms = 60000});
    node_up(f, 1, 1, 0, GIB);
    submit(f, wanting(1, 1, 0, 0));
    struct core_submit low = wanting(2, 1, 0, 0);
    low.priority_class = PRIORITY_LOW;
    submit(f, low);
    submit(f, wanting(3, 1, 0, 0));
    f->now_ms += 59000;
    tick(f, f->now_ms);
    lives(f, 1, 1, 1);
    assert_true(runs(f, 3));
    submit(f, wanting(4, 1, 0, 0));
    tick(f, f->now_ms + 1000);
    lives(f, 3, 1, 1);
    assert_true(runs(f, 2)); /* before the fourth, which came later */
}

static void who_used_less_lately_goes_first(void **state)
{
    struct fixture *f = *state;
    configure(f, (struct core_config){.share_weight = 8, .share_half_life_ms = 1000000});
    node_up(f, 1, 4, 0, GIB);
    submit(f, wanting(1, 4, 0, 0));
    f->now_ms += 4 * 3600 * 1000;
    submit(f, wanting(2, 4, 0, 0));
    struct core_submit other = wanting(3, 4, 0, 0);
    other.principal.v = 2;
    submit(f, other);
    lives(f, 1, 1, 1);
    assert_true(runs(f, 3));
    assert_false(runs(f, 2));
}

static struct core_submit spot(uint64_t id, uint32_t cores)
{
    struct core_submit s = wanting(id, cores, 0, 0);
    s.priority_class = PRIORITY_LOW;
    s.preemptible = true;
    return s;
}

static void the_least_work_is_lost_to_a_higher_class_and_done_again(void **state)
{
    struct fixture *f = *state;
    configure(f,
              (struct core_config){.policy = CORE_POLICY_EASY, .preempt = true, .preempt_min_run_ms = 1000});
    node_up(f, 1, 4, 0, GIB);
    submit(f, spot(1, 2));
    f->now_ms += 600000;
    submit(f, spot(2, 2));
    says(f, 2, 1, 1, TASK_RUNNING);
    f->now_ms += 2000;
    submit(f, wanting(3, 2, 0, 0));
    const struct core_decision *stop = decided(f, CORE_DECISION_STOP_TASK, 0);
    assert_non_null(stop);
    assert_int_equal(stop->as.stop.task.job.v, 2);
    assert_int_equal(stop->as.stop.reason, CORE_STOP_PREEMPT);
    assert_null(decided(f, CORE_DECISION_STOP_TASK, 1));
    exits(f, 2, 1, 1, END_PREEMPTED, 143, true);
    released(f, 2, 1, 1);
    assert_true(runs(f, 3));
    collected(f, 2, 1, 1);
    assert_int_equal(job_view(f, 2).state, JOB_QUEUED);
    assert_int_equal(job_view(f, 2).reason, CORE_REASON_PREEMPTED);
    lives(f, 3, 1, 1);
    assert_int_equal(job_view(f, 2).attempt, 2);
}

static void an_attempt_runs_its_least_time_before_it_gives_way(void **state)
{
    struct fixture *f = *state;
    configure(f,
              (struct core_config){.policy = CORE_POLICY_EASY, .preempt = true, .preempt_min_run_ms = 1000});
    node_up(f, 1, 4, 0, GIB);
    submit(f, spot(1, 4));
    f->now_ms += 999;
    submit(f, wanting(2, 4, 0, 0));
    assert_null(decided(f, CORE_DECISION_STOP_TASK, 0));
    f->now_ms += 1;
    submit(f, wanting(3, 4, 0, 0));
    assert_non_null(decided(f, CORE_DECISION_STOP_TASK, 0));
}

static void nothing_is_stopped_where_that_is_not_enough_or_the_class_is_no_higher(void **state)
{
    struct fixture *f = *state;
    configure(f, (struct core_config){.policy = CORE_POLICY_EASY, .preempt = true});
    node_up(f, 1, 4, 0, GIB);
    submit(f, wanting(1, 2, 0, 0));
    submit(f, spot(2, 2));
    submit(f, wanting(3, 4, 0, 0)); /* the first one is in its way, too */
    assert_null(decided(f, CORE_DECISION_STOP_TASK, 0));
    cancel(f, 3, false);
    struct core_submit low = wanting(4, 2, 0, 0);
    low.priority_class = PRIORITY_LOW;
    submit(f, low);
    assert_null(decided(f, CORE_DECISION_STOP_TASK, 0));
}

static void a_cancel_while_it_gives_way_ends_the_job(void **state)
{
    struct fixture *f = *state;
    configure(f, (struct core_config){.policy = CORE_POLICY_EASY, .preempt = true});
    node_up(f, 1, 2, 0, GIB);
    submit(f, spot(1, 2));
    says(f, 1, 1, 1, TASK_RUNNING);
    submit(f, wanting(2, 2, 0, 0));
    assert_non_null(decided(f, CORE_DECISION_STOP_TASK, 0));
    cancel(f, 1, false);
    exits(f, 1, 1, 1, END_PREEMPTED, 143, true);
    released(f, 1, 1, 1);
    collected(f, 1, 1, 1);
    assert_int_equal(last_state(f, 1), JOB_CANCELED);
}

static void limits_hold_at_the_limit_and_not_past_it(void **state)
{
    (void)state;
    struct core_event event = {.kind = CORE_EVENT_JOB_SUBMIT};
    event.as.submit = wanting(1000, 1, 0, 0);
    for (uint64_t i = 0; i < CORE_DEPENDENCIES_MAX; i++)
        after(&event.as.submit, i + 1, CORE_AFTER_END, JOB_FAILED);
    assert_null(core_event_check(&event));
    event.as.submit.dependency_count++;
    assert_non_null(core_event_check(&event));
    event.as.submit.dependency_count = 1;
    event.as.submit.dependencies[0].job.v = 1000;
    assert_non_null(core_event_check(&event)); /* on itself */
    event.as.submit = wanting(1000, 1, 0, 0);
    event.as.submit.retries = CORE_RETRIES_MAX;
    assert_null(core_event_check(&event));
    event.as.submit.retries++;
    assert_non_null(core_event_check(&event));
    event.as.submit = wanting(1000, 1, 0, 0);
    event.as.submit.request.gpu_milli = 1500;
    assert_non_null(core_event_check(&event));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_quota_holds_its_users_jobs_back_and_nobody_elses),
        TEST(what_a_node_can_not_start_runs_elsewhere_and_costs_no_attempt),
        TEST(a_fault_heals_and_a_persons_drain_stays),
        TEST(everyones_quota_is_for_those_without_their_own),
        TEST(whose_own_quota_is_taken_away_has_everyones_again),
        TEST(what_a_quota_never_allows_is_refused_at_submit),
        TEST(licences_are_held_from_start_to_end),
        TEST(a_held_job_waits_for_its_release_and_one_with_a_begin_time_for_that),
        TEST(jobs_wait_for_what_they_depend_on_and_are_canceled_when_it_can_not_be),
        TEST(a_chain_is_canceled_to_its_end_and_several_must_all_be_met),
        TEST(jobs_that_ended_before_are_judged_by_how),
        TEST(retries_follow_their_rule_with_growing_waits),
        TEST(a_job_that_has_waited_long_counts_as_one_class_higher),
        TEST(who_used_less_lately_goes_first),
        TEST(the_least_work_is_lost_to_a_higher_class_and_done_again),
        TEST(an_attempt_runs_its_least_time_before_it_gives_way),
        TEST(nothing_is_stopped_where_that_is_not_enough_or_the_class_is_no_higher),
        TEST(a_cancel_while_it_gives_way_ends_the_job),
        TEST(limits_hold_at_the_limit_and_not_past_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
