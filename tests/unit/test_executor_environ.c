/* executor: orders, the environment built from nothing, bindings, places, users. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "executor/base64.h"
#include "executor/environ.h"
#include "executor/order.h"
#include "executor/prepare.h"
#include "executor/substitute.h"
#include "executor/user.h"

#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHA "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define HEAD                                                                                                 \
    "{\"task\":\"12.3.0\",\"epoch\":4,\"principal\":\"alice\",\"uid_hint\":1000,\"lease\":{\"cores\":[1],"   \
    "\"cpus\":[1,5],"                                                                                        \
    "\"mems\":[0],\"memory_bytes\":2147483648,\"gpus\":[{\"uuid\":\"GPU-1\",\"index\":0}]},\"time_limit_"    \
    "ms\":0,"                                                                                                \
    "\"grace_ms\":30000,\"fence\":{\"rule\":\"wait\",\"after_ms\":0},\"job_name\":\"train\","                \
    "\"log_path\":\"/s/logs/12/3.0.log\",\"outputs_path\":\"/s/outputs/12/"                                  \
    "3.0\",\"submitted_ms\":5,\"spec\":"

static struct order *order_of(const char *spec)
{
    struct error err = {0};
    _cleanup_free_ char *text = xasprintf("%s%s}", HEAD, spec);
    _cleanup_json_ cJSON *json = json_parse(text, strlen(text), &err);
    assert_non_null(json);
    struct order *order = order_parse(json, &err);
    if (!order)
        fail_msg("%s", err.message);
    return order;
}

static char alice_name[] = "alice", alice_home[] = "/home/alice", alice_shell[] = "/bin/zsh";
static const struct user alice = {
    .uid = 1000, .gid = 1000, .name = alice_name, .home = alice_home, .shell = alice_shell};

static const char *value(const struct text_list *env, const char *name)
{
    const char *found = NULL;
    size_t n = strlen(name);
    for (size_t i = 0; i < env->count; i++) {
        if (strncmp(env->items[i], name, n) == 0 && env->items[i][n] == '=') {
            assert_null(found); /* no name twice */
            found = env->items[i] + n + 1;
        }
    }
    return found;
}

static void environment(const char *spec, struct text_list *env)
{
    struct error err = {0};
    struct order *order = order_of(spec);
    struct places places;
    places_init(&places, order);
    memset(env, 0, sizeof *env);
    if (!environ_build(order, &alice, &places, "box", true, env, &err))
        fail_msg("%s", err.message);
    places_finish(&places);
    order_destroy(order);
}

static void nothing_of_the_daemons_environment_gets_in(void **state)
{
    (void)state;
    struct text_list env;
    setenv("SECRET_OF_THE_DAEMON", "x", 1);
    environment("{\"command\":\"true\"}", &env);
    assert_null(value(&env, "SECRET_OF_THE_DAEMON"));
    assert_string_equal(value(&env, "HOME"), "/home/alice");
    assert_string_equal(value(&env, "SHELL"), "/bin/zsh");
    assert_string_equal(value(&env, "BERTH_JOB_NAME"), "train");
    assert_string_equal(value(&env, "BERTH_JOB_ID"), "12");
    assert_string_equal(value(&env, "BERTH_ATTEMPT"), "3");
    assert_string_equal(value(&env, "BERTH_CPUS"), "2");
    assert_string_equal(value(&env, "BERTH_GPUS"), "1");
    assert_string_equal(value(&env, "BERTH_MEMORY_BYTES"), "2147483648");
    assert_string_equal(value(&env, "BERTH_NODE"), "box");
    assert_string_equal(value(&env, "AZUREML_RUN_ID"), "train");
    assert_null(value(&env, "OMP_NUM_THREADS")); /* the CPU affinity says it */
    assert_string_equal(value(&env, "PYTHONUNBUFFERED"), "1");
    assert_null(value(&env, "TERM"));
    text_list_finish(&env);
}

static void the_job_wins_over_the_shell_and_the_shell_over_the_defaults(void **state)
{
    (void)state;
    struct text_list env;
    environment("{\"command\":\"true\",\"environment_variables\":{\"B\":\"job\",\"PYTHONUNBUFFERED\":\"\"},"
                "\"submission\":{\"cwd\":\"/x\",\"environment\":{\"PATH\":\"/conda/"
                "bin\",\"B\":\"shell\",\"OMP_NUM_THREADS\":\"7\","
                "\"BERTH_JOB_ID\":\"1\"}}}",
                &env);
    assert_string_equal(value(&env, "PATH"), "/conda/bin");
    assert_string_equal(value(&env, "B"), "job");
    assert_string_equal(value(&env, "PYTHONUNBUFFERED"), "");
    assert_string_equal(value(&env, "OMP_NUM_THREADS"), "7");
    assert_string_equal(value(&env, "BERTH_JOB_ID"), "12");
    text_list_finish(&env);
}

static void an_image_gets_nothing_of_the_submitting_shell(void **state)
{
    (void)state;
    struct text_list env;
    environment(
        "{\"command\":\"true\",\"environment\":{\"image\":\"/images/py\"},\"submission\":{\"cwd\":\"/x\","
        "\"environment\":{\"PATH\":\"/conda/bin\"}}}",
        &env);
    assert_non_null(strstr(value(&env, "PATH"), "/usr/bin"));
    assert_string_equal(value(&env, "HOME"), "/root");
    assert_string_equal(value(&env, "SHELL"), "/bin/sh");
    assert_string_equal(value(&env, "BERTH_OUTPUTS"), "/berth/work/outputs");
    assert_string_equal(value(&env, "BERTH_CODE"), "/berth/work");
    text_list_finish(&env);
}

/* An order with some of HEAD replaced; the error's field where it is refused. */
static struct order *order_with(const char *const (*changes)[2], size_t count, char *field)
{
    struct error err = {0};
    char *text =
        xasprintf("%s{\"command\":\"x\",\"environment_variables\":{\"CUDA_MPS_ACTIVE_THREAD_PERCENTAGE\":"
                  "\"100\",\"MASTER_PORT\":\"7\"}}}",
                  HEAD);
    for (size_t i = 0; i < count; i++) {
        char *at = strstr(text, changes[i][0]);
        assert_non_null(at);
        char *next = xasprintf("%.*s%s%s", (int)(at - text), text, changes[i][1], at + strlen(changes[i][0]));
        free(text);
        text = next;
    }
    _cleanup_json_ cJSON *json = json_parse(text, strlen(text), &err);
    free(text);
    assert_non_null(json);
    struct order *order = order_parse(json, &err);
    snprintf(field, ERROR_FIELD_MAX, "%s", err.field);
    return order;
}

static void environment_of(struct order *order, struct text_list *env)
{
    struct error err = {0};
    struct places places;
    assert_non_null(order);
    places_init(&places, order);
    memset(env, 0, sizeof *env);
    assert_true(environ_build(order, &alice, &places, "box", true, env, &err));
    places_finish(&places);
    order_destroy(order);
}

static void a_task_of_a_gang_knows_the_others(void **state)
{
    (void)state;
    char field[ERROR_FIELD_MAX];
    struct text_list env;
    const char *const changes[][2] = {
        {"12.3.0", "12.3.2"},
        {"\"epoch\"", "\"gang\":{\"instances\":3,\"hosts\":[\"a\",\"b-1\",\"c.d\"],\"rank\":2,"
                      "\"processes_per_instance\":4},\"master_port\":29501,\"epoch\""}};
    environment_of(order_with(changes, 2, field), &env);
    assert_string_equal(value(&env, "BERTH_RANK"), "2");
    assert_string_equal(value(&env, "BERTH_ATTEMPT"), "3");
    assert_string_equal(value(&env, "BERTH_INSTANCES"), "3");
    assert_string_equal(value(&env, "BERTH_PROCESSES_PER_INSTANCE"), "4");
    assert_string_equal(value(&env, "BERTH_HOSTS"), "a,b-1,c.d");
    assert_string_equal(value(&env, "MASTER_ADDR"), "a");
    assert_string_equal(value(&env, "WORLD_SIZE"), "12");
    assert_string_equal(value(&env, "LOCAL_WORLD_SIZE"), "4");
    assert_string_equal(value(&env, "NODE_RANK"), "2");
    assert_null(value(&env, "RANK"));                     /* its processes have one each */
    assert_string_equal(value(&env, "MASTER_PORT"), "7"); /* the job's own word */
    text_list_finish(&env);
    const char *const alone[][2] = {{"\"epoch\"", "\"master_port\":1,\"epoch\""}};
    environment_of(order_with(alone, 1, field), &env);
    assert_string_equal(value(&env, "BERTH_INSTANCES"), "1");
    assert_string_equal(value(&env, "BERTH_HOSTS"), "box");
    assert_string_equal(value(&env, "MASTER_ADDR"), "127.0.0.1"); /* names are for the other nodes */
    assert_string_equal(value(&env, "WORLD_SIZE"), "1");
    assert_string_equal(value(&env, "RANK"), "0");
    assert_string_equal(value(&env, "LOCAL_RANK"), "0");
    text_list_finish(&env);
}

static void the_biggest_gang_of_the_longest_names_is_one_variable_that_exec_takes(void **state)
{
    (void)state;
    for (int more = 0; more < 2; more++) {
        struct buf gang = {0};
        char field[ERROR_FIELD_MAX];
        buf_printf(&gang, "\"gang\":{\"instances\":%d,\"hosts\":[", ORDER_INSTANCES_MAX + more);
        for (int i = 0; i < ORDER_INSTANCES_MAX + more; i++)
            buf_printf(&gang, "%s\"%064d\"", i ? "," : "", i);
        buf_add_str(&gang, "]},\"epoch\"");
        const char *const changes[][2] = {{"\"epoch\"", gang.data}};
        struct order *order = order_with(changes, 1, field);
        buf_finish(&gang);
        if (more) {
            assert_null(order);
            assert_string_equal(field, "gang.instances");
            continue;
        }
        struct text_list env;
        environment_of(order, &env);
        assert_true(strlen(value(&env, "BERTH_HOSTS")) + sizeof "BERTH_HOSTS=" <= 128 << 10);
        text_list_finish(&env);
    }
}

static void a_share_of_a_gpu_is_told_to_the_task_and_to_mps(void **state)
{
    (void)state;
    char field[ERROR_FIELD_MAX];
    struct text_list env;
    const char *const half[][2] = {
        {"{\"uuid\":\"GPU-1\"", "{\"milli\":500,\"memory_bytes\":10737418240,\"uuid\":\"GPU-1\""}};
    environment_of(order_with(half, 1, field), &env);
    assert_string_equal(value(&env, "BERTH_GPU_MILLI"), "500");
    assert_string_equal(value(&env, "BERTH_GPUS"), "1");
    assert_string_equal(value(&env, "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"), "50"); /* not the job's 100 */
    assert_string_equal(value(&env, "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"), "0=10240M");
    text_list_finish(&env);
    const char *const two[][2] = {
        {"{\"uuid\":\"GPU-1\"", "{\"uuid\":\"GPU-2\"},{\"milli\":5,\"uuid\":\"GPU-1\""}};
    environment_of(order_with(two, 1, field), &env);
    assert_string_equal(value(&env, "BERTH_GPU_MILLI"), "1000,5");
    assert_string_equal(value(&env, "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"), "1");
    assert_null(value(&env, "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"));
    text_list_finish(&env);
    environment_of(order_with(NULL, 0, field), &env);
    assert_string_equal(value(&env, "BERTH_GPU_MILLI"), "1000");
    assert_string_equal(value(&env, "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"),
                        "100"); /* a whole GPU is the job's affair */
    text_list_finish(&env);
}

static void what_an_order_says_of_shares_gangs_and_signals_must_make_sense(void **state)
{
    (void)state;
#define GANG(text) "\"epoch\"", "\"gang\":" text ",\"epoch\""
    const char *const wrong[][3] = {
        {"\"uuid\":\"GPU-1\"", "\"milli\":0,\"uuid\":\"GPU-1\"", "lease.gpus"},
        {"\"uuid\":\"GPU-1\"", "\"milli\":1001,\"uuid\":\"GPU-1\"", "lease.gpus"},
        {"\"uuid\":\"GPU-1\"", "\"memory_bytes\":-1,\"uuid\":\"GPU-1\"", "lease.gpus"},
        {"{\"uuid\":\"GPU-1\"", "{\"uuid\":\"GPU-1\"},{\"uuid\":\"GPU-1\"", "lease.gpus"},
        {"12.3.0", "12.3.1", "gang"},
        {GANG("{\"instances\":0,\"hosts\":[]}"), "gang.instances"},
        {GANG("{\"instances\":2,\"hosts\":[\"a\"]}"), "gang.hosts"},
        {GANG("{\"instances\":2,\"hosts\":[\"a\",\"b,c\"]}"), "gang.hosts"},
        {GANG("{\"instances\":2,\"hosts\":[\"a\",\"\"]}"), "gang.hosts"},
        {GANG("{\"instances\":2,\"hosts\":[\"a\",\"b\"],\"rank\":1}"), "gang.rank"},
        {GANG("{\"instances\":1,\"hosts\":[\"a\"],\"processes_per_instance\":1025}"),
         "gang.processes_per_instance"},
        {"\"epoch\"", "\"master_port\":65536,\"epoch\"", "master_port"},
        {"\"epoch\"", "\"warn_signal\":\"SIGKILL\",\"epoch\"", "warn_signal"},
        {"\"epoch\"", "\"stop_signal\":0,\"epoch\"", "stop_signal"},
        {"\"epoch\"", "\"stop_signal\":[],\"epoch\"", "stop_signal"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *const change[][2] = {{wrong[i][0], wrong[i][1]}};
        char field[ERROR_FIELD_MAX];
        assert_null(order_with(change, 1, field));
        assert_string_equal(field, wrong[i][2]);
    }
    const char *const good[][2] = {
        {"\"epoch\"", "\"warn_ms\":60000,\"warn_signal\":\"USR2\",\"stop_signal\":2,\"epoch\""}};
    char field[ERROR_FIELD_MAX];
    struct order *order = order_with(good, 1, field);
    assert_non_null(order);
    assert_int_equal(order->warn_ms, 60000);
    assert_int_equal(order->warn_signal, SIGUSR2);
    assert_int_equal(order->stop_signal, SIGINT);
    order_destroy(order);
}

static void check_places(const char *spec, const char *work, const char *cwd)
{
    struct order *order = order_of(spec);
    struct places places;
    places_init(&places, order);
    assert_string_equal(places.work, work);
    assert_string_equal(places.cwd, cwd);
    places_finish(&places);
    order_destroy(order);
}

static void the_working_folder_is_where_the_job_was_submitted(void **state)
{
    (void)state;
#define CODE "\"code\":{\"path\":\"/home/alice/p\",\"manifest\":\"" SHA "\"}"
#define IMAGE "\"environment\":{\"image\":\"/images/py\"},"
    check_places("{\"command\":\"x\",\"submission\":{\"cwd\":\"/home/alice/p/sub\"," CODE "}}",
                 "/home/alice/p", "/home/alice/p/sub");
    check_places("{\"command\":\"x\",\"submission\":{\"cwd\":\"/elsewhere\"," CODE "}}", "/home/alice/p",
                 "/home/alice/p");
    check_places("{\"command\":\"x\",\"submission\":{\"cwd\":\"/home/alice/pp\"," CODE "}}", "/home/alice/p",
                 "/home/alice/p");
    check_places("{\"command\":\"x\"," IMAGE "\"submission\":{\"cwd\":\"/home/alice/p/sub\"," CODE "}}",
                 "/berth/code", "/berth/code/sub");
    check_places("{\"command\":\"x\"," IMAGE "\"submission\":{\"cwd\":\"/home/alice\"}}", "/berth/work",
                 "/berth/work");
    check_places("{\"command\":\"x\",\"submission\":{\"cwd\":\"/home/alice\"}}", ENVIRON_WORK_IN_HOST,
                 "/home/alice");
}

static void bindings_are_put_in_once_and_unknown_ones_refused(void **state)
{
    (void)state;
    struct error err = {0};
    const struct substitute_value values[] = {{"inputs.lr", "0.1"}, {"inputs.evil", "${{inputs.lr}}"}};
    _cleanup_free_ char *a = substitute("x ${{inputs.lr}}${{ inputs.lr }} $HOME ${x}", values, 2, &err);
    assert_string_equal(a, "x 0.10.1 $HOME ${x}");
    _cleanup_free_ char *b = substitute("${{inputs.evil}}", values, 2, &err);
    assert_string_equal(b, "${{inputs.lr}}");
    assert_null(substitute("${{inputs.nope}}", values, 2, &err));
    assert_non_null(strstr(err.message, "inputs.nope"));
    assert_null(substitute("${{inputs.lr", values, 2, &err));
    assert_null(substitute("${{}}", values, 2, &err));
}

static void a_command_runs_by_the_shell_and_argv_as_it_is(void **state)
{
    (void)state;
    struct error err = {0};
    struct order *order = order_of("{\"command\":\"echo ${{inputs.n}}\",\"inputs\":{\"n\":3}}");
    struct places places;
    struct text_list argv = {0};
    places_init(&places, order);
    assert_true(environ_argv(order, &places, &argv, &err));
    assert_int_equal(argv.count, 3);
    assert_string_equal(argv.items[0], "/bin/sh");
    assert_string_equal(argv.items[2], "echo 3");
    text_list_finish(&argv);
    places_finish(&places);
    order_destroy(order);
    order = order_of("{\"argv\":[\"python3\",\"a b\"]}");
    places_init(&places, order);
    assert_true(environ_argv(order, &places, &argv, &err));
    assert_int_equal(argv.count, 2);
    assert_string_equal(argv.items[1], "a b");
    assert_null(argv.items[2]);
    text_list_finish(&argv);
    places_finish(&places);
    order_destroy(order);
}

static void the_jobs_own_warning_and_fence_are_its_orders(void **state)
{
    (void)state;
    struct order *order = order_of(
        "{\"command\":\"x\",\"limits\":{\"timeout\":60,\"warning\":{\"before\":20,\"signal\":\"usr2\"}}}");
    assert_int_equal(order->warn_ms, 20000);
    assert_int_equal(order->warn_signal, SIGUSR2);
    assert_int_equal(order->fence_after_ms, 0);
    order_destroy(order);
    static const struct {
        const char *fence;
        int64_t after_ms; /* -1: refused */
    } fences[] = {{"{\"rule\":\"requeue\",\"after_ms\":5000}", 5000},
                  {"{\"rule\":\"wait\",\"after_ms\":5000}", 0},
                  {"{\"rule\":\"requeue\",\"after_ms\":0}", -1},
                  {"{\"rule\":\"hope\",\"after_ms\":5000}", -1}};
    for (size_t i = 0; i < sizeof fences / sizeof *fences; i++) {
        struct error err = {0};
        _cleanup_free_ char *text = xasprintf("%s{\"command\":\"x\"}}", HEAD);
        _cleanup_json_ cJSON *json = json_parse(text, strlen(text), &err);
        cJSON_ReplaceItemInObjectCaseSensitive(json, "fence", cJSON_Parse(fences[i].fence));
        order = order_parse(json, &err);
        assert_int_equal(order ? order->fence_after_ms : -1, fences[i].after_ms);
        order_destroy(order);
    }
}

static void half_an_order_is_refused(void **state)
{
    (void)state;
    const char *const wrong[][2] = {
        {"\"task\":\"12.3.0\"", "\"task\":\"../../x\""},
        {"\"task\":\"12.3.0\"", "\"task\":\"12\""},
        {"\"principal\":\"alice\"", "\"principal\":7"},
        {"\"epoch\":4", "\"epoch\":-4"},
        {"\"log_path\":\"/s", "\"log_path\":\"/s/../.."},
        {"\"outputs_path\":\"/s", "\"outputs_path\":\"s"},
        {"\"cpus\":[1,5]", "\"cpus\":[-1]"},
        {"\"cpus\":[1,5]", "\"cpus\":\"1\""},
        {"\"uuid\":\"GPU-1\"", "\"uuid\":\"\""},
        {"\"memory_bytes\":2147483648", "\"memory_bytes\":-1"},
        {"\"command\":\"x\"", "\"comand\":\"x\""},
        {"\"command\":\"x\"", "\"command\":\"x\",\"array\":\"1-3\""}, /* and which element it is not said */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct error err = {0};
        _cleanup_free_ char *good = xasprintf("%s{\"command\":\"x\"}}", HEAD);
        char *at = strstr(good, wrong[i][0]);
        assert_non_null(at);
        _cleanup_free_ char *bad =
            xasprintf("%.*s%s%s", (int)(at - good), good, wrong[i][1], at + strlen(wrong[i][0]));
        _cleanup_json_ cJSON *json = json_parse(bad, strlen(bad), &err);
        assert_non_null(json);
        assert_null(order_parse(json, &err));
        assert_true(err.message[0]);
    }
}

static void left_out_paths_never_cover_outputs(void **state)
{
    (void)state;
    struct order *order = order_of(
        "{\"command\":\"x\",\"submission\":{\"cwd\":\"/p\",\"code\":{\"path\":\"/p\",\"manifest\":\"" SHA
        "\",\"left_out\":[\".venv/\",\"outputs\",\"outputs/old\",\"data\",\"outputs2\"]}}}");
    _cleanup_free_ char **kept = prepare_left_out(order);
    assert_string_equal(kept[0], ".venv");
    assert_string_equal(kept[1], "data");
    assert_string_equal(kept[2], "outputs2");
    assert_null(kept[3]);
    order_destroy(order);
}

static void cpus_that_this_machine_has_not_are_left_out(void **state)
{
    (void)state;
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = 0; i < 4; i++)
        CPU_SET(i, &set);
    CPU_SET(7, &set);
    struct executor_config config = {.cpus = &set, .cpu_count = CPU_SETSIZE};
    const int64_t some[] = {7, 2, 1, 0, 500, 99999}, none[] = {64, 65};
    _cleanup_free_ char *list = prepare_cpu_list(&config, some, 6);
    assert_string_equal(list, "0-2,7");
    assert_null(prepare_cpu_list(&config, none, 2));
    assert_null(prepare_cpu_list(&config, NULL, 0));
}

static void a_principal_without_a_login_is_refused_by_name(void **state)
{
    (void)state;
    struct error err = {0};
    struct user user;
    assert_false(user_resolve("no-such-login-here", 5, &user, &err));
    assert_non_null(strstr(err.message, "no-such-login-here"));
    assert_int_equal(err.code, ERROR_DENIED);
    assert_false(user_resolve("uid:7x", 7, &user, &err));
    assert_false(user_resolve("uid:7", 8, &user, &err));
    assert_false(user_resolve("uid:-1", -1, &user, &err));
}

static void a_principal_is_the_login_of_its_name(void **state)
{
    (void)state;
    struct error err = {0};
    struct user user;
    struct passwd *me = getpwuid(getuid());
    if (!me) {
        skip();
        return;
    }
    assert_true(user_resolve(me->pw_name, -1, &user, &err));
    assert_int_equal(user.uid, getuid());
    assert_true(user.group_count >= 1);
    user_finish(&user);
    if (getuid() == 0) {
        assert_true(user_resolve("uid:3999999999", 3999999999, &user, &err));
        assert_int_equal(user.uid, 3999999999u);
        assert_string_equal(user.home, "/");
        user_finish(&user);
    } else {
        assert_false(user_resolve("root", -1, &user, &err));
        assert_non_null(strstr(err.message, "only that user's jobs"));
    }
}

static void base64_is_read_strictly(void **state)
{
    (void)state;
    char *bytes;
    size_t len;
    assert_true(base64_decode("AGEK", &bytes, &len));
    assert_int_equal(len, 3);
    assert_memory_equal(bytes, "\0a\n", 3);
    free(bytes);
    assert_true(base64_decode("", &bytes, &len));
    assert_int_equal(len, 0);
    free(bytes);
    assert_false(base64_decode("!!!!", &bytes, &len));
    assert_null(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_of_the_daemons_environment_gets_in),
        cmocka_unit_test(the_job_wins_over_the_shell_and_the_shell_over_the_defaults),
        cmocka_unit_test(an_image_gets_nothing_of_the_submitting_shell),
        cmocka_unit_test(the_working_folder_is_where_the_job_was_submitted),
        cmocka_unit_test(bindings_are_put_in_once_and_unknown_ones_refused),
        cmocka_unit_test(a_command_runs_by_the_shell_and_argv_as_it_is),
        cmocka_unit_test(the_jobs_own_warning_and_fence_are_its_orders),
        cmocka_unit_test(half_an_order_is_refused),
        cmocka_unit_test(a_task_of_a_gang_knows_the_others),
        cmocka_unit_test(the_biggest_gang_of_the_longest_names_is_one_variable_that_exec_takes),
        cmocka_unit_test(a_share_of_a_gpu_is_told_to_the_task_and_to_mps),
        cmocka_unit_test(what_an_order_says_of_shares_gangs_and_signals_must_make_sense),
        cmocka_unit_test(left_out_paths_never_cover_outputs),
        cmocka_unit_test(cpus_that_this_machine_has_not_are_left_out),
        cmocka_unit_test(a_principal_without_a_login_is_refused_by_name),
        cmocka_unit_test(a_principal_is_the_login_of_its_name),
        cmocka_unit_test(base64_is_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
