/* Selectors of jobs, and the addresses of jobs by name. */
#include "base/alloc.h"
#include "proto/json.h"
#include "scheduler/daemon.h"
#include "scheduler/job_names.h"
#include "scheduler/selector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void glob_knows_any_characters_and_one(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool matches;
    } cases[] = {{"train", "train", true},
                 {"train", "trains", false},
                 {"train-*", "train-17", true},
                 {"*", "", true},
                 {"?", "", false},
                 {"a?c", "abc", true},
                 {"*-1*-*", "run-12-x", true},
                 {"*b", "aab", true},
                 {"*b", "aba", false},
                 {"a*b*c", "a-b-b-c-d", false},
                 {"[ab]", "a", false},
                 {"**x", "x", true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(selector_glob(cases[i].pattern, cases[i].text), cases[i].matches);
    char pattern[SELECTOR_TEXT_MAX], text[SELECTOR_TEXT_MAX]; /* takes ages where stars are tried in turn */
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (size_t i = 0; i < sizeof pattern - 2; i++)
        pattern[i] = i % 2 ? '*' : 'a';
    memcpy(pattern + sizeof pattern - 2, "b", 2);
    assert_false(selector_glob(pattern, text));
}

static void states_are_names_and_groups(void **state)
{
    (void)state;
    struct error err = {0};
    unsigned states;
    assert_true(selector_read_states("queued,RUNNING", &states, &err));
    assert_int_equal(states, 1u << JOB_QUEUED | 1u << JOB_RUNNING);
    assert_true(selector_read_states("ended", &states, &err));
    assert_int_equal(states, 1u << JOB_COMPLETED | 1u << JOB_FAILED | 1u << JOB_CANCELED);
    assert_true(selector_read_states("live,ended", &states, &err));
    assert_int_equal(states, (1u << JOB_STATE_COUNT) - 1);
    static const char *const bad[] = {"", "odd", "queued,", ",queued", "queued running"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(selector_read_states(bad[i], &states, &err));
        assert_string_equal(err.field, "state");
    }
}

static struct job *a_job(struct daemon *d, uint64_t id, const char *name, uint32_t principal, uint32_t number)
{
    struct job *job = job_create(id, name);
    job->principal = principal;
    job->number = number;
    job->state = JOB_QUEUED;
    jobs_add(&d->jobs, job);
    if (id >= d->jobs.next_id)
        d->jobs.next_id = id + 1;
    return job;
}

static void tags_are_found_whatever_stands_before_them(void **state)
{
    (void)state;
    struct error err = {0};
    struct daemon d = {0};
    struct selector s;
    jobs_init(&d.jobs);
    struct job *job = a_job(&d, 1, "a", 1, 1);
    job->fixed = xstrdup("{\"display_name\":\"\\\"tags\\\":{\\\"k\\\":\\\"no\\\"}\",\"x\":[{\"tags\":1}],"
                         "\"tags\":{\"k\":\"v\",\"e\":\"\"},\"command\":\"true\"}");
    static const struct {
        const char *tag;
        bool matches;
    } cases[] = {{"k", true},    {"k=v", true},    {"k=no", false},         {"k=", false},
                 {"e=", true},   {"x", false},     {"k=v\ne", true},        {"k=v\ne=1", false},
                 {"K=v", false}, {"k=v=w", false}, {"a\nb\nc\nd\ne", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(selector_read(&s, &d, 0, &(struct selector_words){.tag = cases[i].tag}, &err));
        assert_int_equal(selector_matches(&s, job), cases[i].matches);
        selector_finish(&s);
    }
    assert_true(selector_read(&s, &d, 0, &(struct selector_words){.tag = "1\n2\n3\n4\n5\n6\n7\n8"}, &err));
    selector_finish(&s);
    assert_false(
        selector_read(&s, &d, 0, &(struct selector_words){.tag = "1\n2\n3\n4\n5\n6\n7\n8\n9"}, &err));
    assert_string_equal(err.field, "tag");
    selector_finish(&s);
    jobs_finish(&d.jobs);
}

static void name_is_ones_own_first_and_refused_where_several_have_it(void **state)
{
    (void)state;
    struct error err = {0};
    struct daemon d = {0};
    jobs_init(&d.jobs);
    principals_load(&d.principals, 1, "alice");
    principals_load(&d.principals, 2, "bob@corp");
    struct job *old = a_job(&d, 1, "train", 1, 1), *hers, *his;
    old->state = JOB_FAILED;
    jobs_end(&d.jobs, old);
    assert_null(job_names_live(&d.jobs, 1, "train"));
    assert_int_equal(job_names_next(&d, 1, "train"), 2);
    hers = a_job(&d, 2, "train", 1, 2);
    job_names_supersede(&d.jobs, hers);
    assert_true(old->superseded && !hers->superseded);
    assert_ptr_equal(jobs_find(&d, 3, "train", &err), hers);
    his = a_job(&d, 3, "train", 2, 1);
    assert_ptr_equal(jobs_find(&d, 1, "train", &err), hers);
    assert_ptr_equal(jobs_find(&d, 1, "train#1", &err), old);
    assert_ptr_equal(jobs_find(&d, 2, "train", &err), his);
    assert_ptr_equal(jobs_find(&d, 1, "bob@corp:train", &err), his);
    assert_ptr_equal(jobs_find(&d, 0, "alice/train#2", &err), hers);
    assert_null(jobs_find(&d, 2, "train#2", &err));
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    assert_null(jobs_find(&d, 0, "train", &err));
    assert_int_equal(err.code, ERROR_CONFLICT);
    assert_non_null(strstr(err.message, "alice/train (2, Queued)"));
    assert_non_null(strstr(err.message, "bob@corp/train (3, Queued)"));
    jobs_remove(&d.jobs, hers);
    assert_ptr_equal(jobs_find(&d, 0, "train", &err), his);
    assert_ptr_equal(jobs_find(&d, 1, "train", &err), old);
    static const char *const none[] = {"",       "/",       "/train", "alice/", "alice/2",
                                       "train#", "train#0", "#1",     "2#1",    "@"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_null(jobs_find(&d, 1, none[i], &err));
    jobs_finish(&d.jobs);
    principals_finish(&d.principals);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(glob_knows_any_characters_and_one),
        cmocka_unit_test(states_are_names_and_groups),
        cmocka_unit_test(tags_are_found_whatever_stands_before_them),
        cmocka_unit_test(name_is_ones_own_first_and_refused_where_several_have_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
