/* Generated traces: the same from the same seed, at the load that was asked for, within what the nodes have.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "scheduler/sim/generate.h"

#include <stdio.h>
#include <string.h>

static void make(const char *text, struct trace *trace)
{
    struct error err = {0};
    struct generate_spec spec;
    if (!generate_parse(text, &spec, &err) || !generate_trace(&spec, trace, &err))
        fail_msg("%s: %s", text, err.message);
}

static const char *const kinds[] = {"lublin,jobs=3000,procs=100", "bags,jobs=3000,procs=100",
                                    "bursty,jobs=3000,procs=100", "cluster,jobs=3000,nodes=20"};
#define KIND_COUNT (sizeof kinds / sizeof *kinds)

static void a_seed_gives_a_trace_and_another_seed_another(void **state)
{
    (void)state;
    for (size_t k = 0; k < KIND_COUNT; k++) {
        char text[128];
        _cleanup_trace_ struct trace a = {0}, b = {0}, c = {0};
        snprintf(text, sizeof text, "%s,seed=7,estimates=poor", kinds[k]);
        make(text, &a);
        make(text, &b);
        snprintf(text, sizeof text, "%s,seed=8,estimates=poor", kinds[k]);
        make(text, &c);
        assert_int_equal(a.job_count, 3000);
        assert_memory_equal(a.jobs, b.jobs, a.job_count * sizeof *a.jobs);
        assert_memory_not_equal(a.jobs, c.jobs, a.job_count * sizeof *a.jobs);
    }
}

/* The sum of run x amount, over what the nodes have between the first and the last submit. */
static double offered(const struct trace *trace)
{
    if (!trace->jobs)
        return 0;
    double sum = 0, total = (double)trace_total_gpu_milli(trace);
    bool gpus = total > 0;
    total = gpus ? total : (double)trace_total_cpu_milli(trace);
    for (uint32_t i = 0; i < trace->job_count; i++) {
        const struct trace_job *job = &trace->jobs[i];
        sum += (double)job->run_ms * job->tasks * (gpus ? job->gpu_milli : job->cpu_milli);
    }
    return sum / total / (double)(trace->jobs[trace->job_count - 1].submit_ms - trace->jobs[0].submit_ms);
}

static void the_load_is_the_one_that_was_asked_for(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        double load;
    } loads[] = {{"light", 0.5}, {"heavy", 0.85}, {"overloaded", 1.15}, {"0.3", 0.3}};
    for (size_t k = 0; k < KIND_COUNT; k++) {
        for (size_t i = 0; i < sizeof loads / sizeof *loads; i++) {
            char text[128];
            _cleanup_trace_ struct trace trace = {0};
            snprintf(text, sizeof text, "%s,load=%s", kinds[k], loads[i].word);
            make(text, &trace);
            assert_float_equal(offered(&trace), loads[i].load, 0.02 * loads[i].load);
        }
    }
}

static void jobs_are_in_order_fit_and_declare_at_least_what_they_take(void **state)
{
    (void)state;
    static const char *const estimates[] = {"exact", "good", "poor"};
    for (size_t k = 0; k < KIND_COUNT; k++) {
        double last_ratio = 0;
        for (size_t e = 0; e < sizeof estimates / sizeof *estimates; e++) {
            char text[128];
            double ratio = 0;
            _cleanup_trace_ struct trace trace = {0};
            snprintf(text, sizeof text, "%s,estimates=%s", kinds[k], estimates[e]);
            make(text, &trace);
            for (uint32_t i = 0; i < trace.job_count; i++) {
                const struct trace_job *job = &trace.jobs[i];
                const struct trace_node *node = &trace.nodes[0];
                assert_true(i == 0 || trace.jobs[i - 1].submit_ms <= job->submit_ms);
                assert_true(job->run_ms > 0 && job->limit_ms >= job->run_ms);
                assert_true(job->cpu_milli > 0 && job->cpu_milli <= node->cpu_milli);
                assert_true(job->gpu_milli <= node->gpus * 1000u);
                assert_true(job->memory_bytes <= node->memory_bytes);
                assert_true(job->tasks >= 1 && job->tasks <= trace.node_count);
                assert_true(job->user >= 1);
                if (e == 0)
                    assert_int_equal(job->limit_ms, job->run_ms);
                ratio += (double)job->limit_ms / (double)job->run_ms;
            }
            assert_true(ratio > last_ratio); /* each is worse than the one before */
            last_ratio = ratio;
        }
    }
}

static void lublins_sizes_are_serial_and_powers_of_two_as_often_as_published(void **state)
{
    (void)state;
    uint32_t serial = 0, powers = 0;
    _cleanup_trace_ struct trace trace = {0};
    make("lublin,jobs=20000,procs=128", &trace);
    for (uint32_t i = 0; i < trace.job_count; i++) {
        uint32_t procs = trace.jobs[i].cpu_milli / 1000;
        serial += procs == 1;
        powers += procs > 1 && (procs & (procs - 1)) == 0;
    }
    /* 0.244 serial; of the others 0.576 are put on a power of two, and some more lie there by chance */
    assert_in_range(serial, 4600, 5200);
    assert_in_range(powers, 20000 * 43 / 100, 20000 * 60 / 100);
}

static void a_cluster_has_shares_whole_gpus_and_gangs_as_told(void **state)
{
    (void)state;
    uint32_t gangs = 0, shares = 0;
    _cleanup_trace_ struct trace trace = {0}, plain = {0};
    make("cluster,jobs=10000,nodes=100,gpus=4,gangs=10,shares=20", &trace);
    assert_int_equal(trace.node_count, 100);
    assert_int_equal(trace_total_gpu_milli(&trace), 100 * 4000);
    for (uint32_t i = 0; i < trace.job_count; i++) {
        gangs += trace.jobs[i].tasks > 1;
        shares += trace.jobs[i].gpu_milli < 1000;
    }
    assert_in_range(gangs, 850, 1150);
    assert_in_range(shares, 1800, 2200);
    make("cluster,jobs=1000,nodes=10,gangs=0,shares=0", &plain);
    for (uint32_t i = 0; i < plain.job_count; i++)
        assert_true(plain.jobs[i].tasks == 1 && plain.jobs[i].gpu_milli % 1000 == 0);
}

static void what_makes_no_sense_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word;
    } bad[] = {
        {"", "no kind of trace \"\""},
        {"poisson", "no kind of trace \"poisson\""},
        {"lublin,jobs", "\"jobs\" is no key=value"},
        {"lublin,jobs=0", "jobs takes a whole number from 1"},
        {"lublin,jobs=-5", "jobs takes"},
        {"lublin,jobs=99999999999999999999", "jobs takes"},
        {"lublin,procs=3", "procs takes a whole number from 4"},
        {"lublin,nodes=4", "no \"nodes\""},
        {"cluster,procs=4", "no \"procs\""},
        {"cluster,gpus=33", "gpus takes a whole number from 1 to 32"},
        {"cluster,gangs=51", "gangs takes"},
        {"lublin,load=much", "load takes light, heavy, overloaded or a number"},
        {"lublin,load=0", "load takes"},
        {"lublin,load=101", "load takes"},
        {"lublin,estimates=great", "estimates takes exact, good or poor"},
        {"lublin,seed=-1", "seed takes"},
        {"lublin,colour=red", "no \"colour\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error err = {0};
        struct generate_spec spec;
        assert_false(generate_parse(bad[i].text, &spec, &err));
        if (!strstr(err.message, bad[i].word))
            fail_msg("%s: %s", bad[i].text, err.message);
    }
    struct error err = {0};
    struct generate_spec spec;
    _cleanup_trace_ struct trace trace = {0};
    assert_true(generate_parse("lublin,jobs=1000000,procs=4,load=0.001", &spec, &err));
    assert_false(generate_trace(&spec, &trace, &err)); /* centuries */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_gives_a_trace_and_another_seed_another),
        cmocka_unit_test(the_load_is_the_one_that_was_asked_for),
        cmocka_unit_test(jobs_are_in_order_fit_and_declare_at_least_what_they_take),
        cmocka_unit_test(lublins_sizes_are_serial_and_powers_of_two_as_often_as_published),
        cmocka_unit_test(a_cluster_has_shares_whole_gpus_and_gangs_as_told),
        cmocka_unit_test(what_makes_no_sense_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
