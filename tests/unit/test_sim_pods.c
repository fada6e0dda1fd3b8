/* The CSV pair of nodes and pods: what is taken, what is refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "scheduler/sim/pods.h"

#include <stdio.h>
#include <string.h>

#define NODES "sn,cpu_milli,memory_mib,gpu,model\n"
#define PODS                                                                                                 \
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,"        \
    "scheduled_time\n"

static void read_text(struct trace *trace, const char *nodes, const char *pods)
{
    struct error err = {0};
    _cleanup_lines_ struct lines *a = lines_memory(nodes, strlen(nodes)),
                                 *b = lines_memory(pods, strlen(pods));
    if (!pods_read_nodes(a, trace, &err) || !pods_read(b, trace, &err))
        fail_msg("%s", err.message);
}

static void nodes_and_pods_become_a_trace(void **state)
{
    (void)state;
    _cleanup_trace_ struct trace trace = {0};
    read_text(&trace, NODES "n0,64000,262144,2,P100\nn1,96000,393216,8,G2\nn2,96500,393216,0,\n",
              PODS "p0,12000,16384,1,1000,,LS,Running,5,105.5,10.0\n"
                   "p1,6500,12288,1,460,G2|T4,BE,Succeeded,1,20,\n"
                   "p2,4000,8192,0,0,P100,,Failed,7,9,8\n"
                   "p3,0,0,8,1000,G2,Burstable,Running,7,9,8\n");
    assert_int_equal(trace.bad_count, 0);
    assert_int_equal(trace.node_count, 3);
    assert_int_equal(trace.nodes[1].gpus, 8);
    assert_int_equal(trace.nodes[1].cpu_milli, 96000);
    assert_int_equal(trace.nodes[1].memory_bytes, UINT64_C(393216) << 20);
    assert_string_equal(trace.models[trace.nodes[1].model], "G2");
    assert_int_equal(trace.model_count, 3); /* T4 is asked for, and no node has it */
    assert_int_equal(trace_total_gpu_milli(&trace), 10000);

    assert_int_equal(trace.job_count, 4);
    const struct trace_job *first = &trace.jobs[0], *second = &trace.jobs[1], *third = &trace.jobs[2];
    assert_int_equal(first->submit_ms, 1000);
    assert_int_equal(first->run_ms, 19000); /* from its creation: no other time is known */
    assert_int_equal(first->gpu_milli, 460);
    assert_int_equal(first->models, 1 << 1 | 1 << 2);
    assert_int_equal(first->priority, TRACE_LOW);
    assert_int_equal(second->submit_ms, 5000);
    assert_int_equal(second->run_ms, 95500);
    assert_int_equal(second->gpu_milli, 1000);
    assert_int_equal(second->memory_bytes, UINT64_C(16384) << 20);
    assert_int_equal(second->models, 0);
    assert_int_equal(second->limit_ms, 0); /* none declared */
    assert_int_equal(second->priority, TRACE_MEDIUM);
    assert_int_equal(third->models, 0); /* without a GPU its model is nothing */
}

static void columns_are_found_by_name_in_any_order(void **state)
{
    (void)state;
    _cleanup_trace_ struct trace trace = {0};
    read_text(&trace, "\xef\xbb\xbfmodel, gpu ,memory_mib,rack,cpu_milli,sn\r\nT4,1,1024,x,8000,n0\r\n",
              PODS);
    assert_int_equal(trace.bad_count, 0);
    assert_int_equal(trace.nodes[0].cpu_milli, 8000);
    assert_string_equal(trace.models[0], "T4");
}

static void a_list_without_a_column_or_a_first_line_is_refused(void **state)
{
    (void)state;
    static const char *const lists[] = {"", "sn,cpu_milli,memory_mib,gpu\n", "n0,1,2,3,4\n"};
    static const char *const words[] = {"is empty", "no column \"model\"", "no column \"sn\""};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct error err = {0};
        _cleanup_trace_ struct trace trace = {0};
        _cleanup_lines_ struct lines *lines = lines_memory(lists[i], strlen(lists[i]));
        assert_false(pods_read_nodes(lines, &trace, &err));
        assert_int_equal(err.code, ERROR_INVALID);
        assert_non_null(strstr(err.message, words[i]));
    }
}

static void bad_pods_are_skipped_counted_and_named(void **state)
{
    (void)state;
    static const struct {
        const char *line, *reason;
    } bad[] = {
        {"x,1000,1,0,0,,LS,Running,0,5\n", "10 fields instead of 11"},
        {"x,1000,1,0,0,,LS,Running,0,5,0,7\n", "12 fields instead of 11"},
        {",1000,1,0,0,,LS,Running,0,5,0\n", "it has no name"},
        {"good,1000,1,0,0,,LS,Running,0,5,0\n", "\"good\" was there before"},
        {"x,-1000,1,0,0,,LS,Running,0,5,0\n", "the amount of CPU is negative"},
        {"x,lots,1,0,0,,LS,Running,0,5,0\n", "the amount of CPU \"lots\" is no number"},
        {"x,,1,0,0,,LS,Running,0,5,0\n", "the amount of CPU \"\" is no number"},
        {"x,1000.5,1,0,0,,LS,Running,0,5,0\n", "the amount of CPU \"1000.5\" is no number"},
        {"x,99999999999,1,0,0,,LS,Running,0,5,0\n", "the amount of CPU 99999999999 is too large"},
        {"x,1000,99999999999999999999,0,0,,LS,Running,0,5,0\n",
         "the amount of memory 99999999999999999999 is too large"},
        {"x,1000,1,1025,1000,,LS,Running,0,5,0\n", "the number of GPUs 1025 is too large"},
        {"x,1000,1,1,1001,,LS,Running,0,5,0\n", "the share of a GPU 1001 is too large"},
        {"x,1000,1,2,500,,LS,Running,0,5,0\n", "a share of several GPUs"},
        {"x,1000,1,1,0,,LS,Running,0,5,0\n", "a GPU of which it wants nothing"},
        {"x,0,1,0,0,,LS,Running,0,5,0\n", "it asks for neither CPU nor GPU"},
        {"x,1000,1,1,500,A||B,LS,Running,0,5,0\n",
         "the model \"\" is empty, too long, or one of more than 32"},
        {"x,1000,1,1,500,A|,LS,Running,0,5,0\n", "the list of models ends in \"|\""},
        {"x,1000,1,0,0,,GOLD,Running,0,5,0\n", "the qos \"GOLD\" is unknown"},
        {"x,1000,1,0,0,,LS,Running,0,,0\n", "it has no deletion time"},
        {"x,1000,1,0,0,,LS,Running,9,5,9\n", "its times are not in order"},
        {"x,1000,1,0,0,,LS,Running,3,5,2\n", "its times are not in order"},
        {"x,1000,1,0,0,,LS,Running,-3,5,2\n", "the creation time is negative"},
        {"x,1000,1,0,0,,LS,Running,0,99999999999,2\n", "the deletion time 99999999999 is too large"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        _cleanup_trace_ struct trace trace = {0};
        _cleanup_buf_ struct buf pods = {0};
        buf_printf(&pods, "%sgood,1000,1,0,0,,LS,Running,0,5,0\n%slast,1000,1,0,0,,LS,Running,0,5,0\n", PODS,
                   bad[i].line);
        read_text(&trace, NODES "n,1000,1,0,\n", pods.data);
        assert_int_equal(trace.job_count, 2);
        assert_int_equal(trace.bad_count, 1);
        assert_string_equal(trace.bad[0].file, "pods");
        assert_int_equal(trace.bad[0].line, 3);
        assert_string_equal(trace.bad[0].reason, bad[i].reason);
    }
}

static void bad_nodes_are_skipped_counted_and_named(void **state)
{
    (void)state;
    static const struct {
        const char *line, *reason;
    } bad[] = {
        {"n,1000,1\n", "3 fields instead of 5"},
        {"good,1000,1,0,\n", "\"good\" was there before"},
        {"n,999,1,0,\n", "it has no whole CPU"},
        {"n,1000,-1,0,\n", "the amount of memory is negative"},
        {"n,1000,1,33,T4\n", "the number of GPUs 33 is too large"},
        {"n,1000,1,1,\n", "the model \"\" is empty, too long, or one of more than 32"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        _cleanup_trace_ struct trace trace = {0};
        _cleanup_buf_ struct buf nodes = {0};
        buf_printf(&nodes, "%sgood,1000,1,32,T4\n%s", NODES, bad[i].line);
        read_text(&trace, nodes.data, PODS);
        assert_int_equal(trace.node_count, 1);
        assert_int_equal(trace.bad_count, 1);
        assert_string_equal(trace.bad[0].file, "nodes");
        assert_string_equal(trace.bad[0].reason, bad[i].reason);
    }
}

static void as_many_models_as_there_are_bits_are_known(void **state)
{
    (void)state;
    _cleanup_trace_ struct trace trace = {0};
    _cleanup_buf_ struct buf nodes = {0};
    buf_add_str(&nodes, NODES);
    for (int i = 0; i <= TRACE_MODELS_MAX; i++)
        buf_printf(&nodes, "n%d,1000,1,1,model%d\n", i, i);
    read_text(&trace, nodes.data, PODS);
    assert_int_equal(trace.model_count, TRACE_MODELS_MAX);
    assert_int_equal(trace.node_count, TRACE_MODELS_MAX);
    assert_int_equal(trace.bad_count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_and_pods_become_a_trace),
        cmocka_unit_test(columns_are_found_by_name_in_any_order),
        cmocka_unit_test(a_list_without_a_column_or_a_first_line_is_refused),
        cmocka_unit_test(bad_pods_are_skipped_counted_and_named),
        cmocka_unit_test(bad_nodes_are_skipped_counted_and_named),
        cmocka_unit_test(as_many_models_as_there_are_bits_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
