/* proto/jobspec: what a job file may say, and how it is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "proto/jobspec.h"
#include "proto/states.h"
#include "proto/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct job_spec *parse(const char *json, struct error *err)
{
    cJSON *j = json_parse(json, strlen(json), err);
    assert_non_null(j);
    struct job_spec *s = job_spec_parse(j, NULL, err);
    cJSON_Delete(j);
    return s;
}

static void assert_refused(const char *json, const char *field, const char *words)
{
    struct error err = {0};
    struct job_spec *s = parse(json, &err);
    if (s)
        fail_msg("accepted: %s", json);
    if (strcmp(err.field, field) != 0 || !strstr(err.message, words))
        fail_msg("%s gave field \"%s\", message \"%s\"", json, err.field, err.message);
}

static void command_job_of_the_service_is_read_whole(void **state)
{
    (void)state;
    struct error err = {0};
    struct job_spec *s = parse("{\"$schema\":\"https://azuremlschemas.azureedge.net/latest/"
                               "commandJob.schema.json\",\"type\":\"command\",\"name\":\"digits.1\","
                               "\"display_name\":\"Digits\",\"experiment_name\":\"e\",\"description\":"
                               "\"two\\nlines\",\"tags\":{\"a\":1,\"b\":true},"
                               "\"command\":\"python3 train.py --epochs "
                               "${{inputs.epochs}}\",\"code\":\".\",\"environment\":{\"image\":\"host\"},"
                               "\"environment_variables\":{\"A\":\"x\",\"N\":3},\"compute\":\"azureml:"
                               "local\",\"resources\":{\"instance_count\":1,\"shm_size\":\"2g\"},"
                               "\"limits\":{\"timeout\":60},\"inputs\":{\"epochs\":3,\"data\":{\"type\":"
                               "\"uri_folder\",\"path\":\"/data\",\"mode\":\"ro_mount\"}},"
                               "\"queue_settings\":{\"priority\":\"High\"},\"cpus\":2,\"memory\":\"2G\","
                               "\"gpus\":0,\"mounts\":[\"/data:/d:rw\",\"/x\"]}",
                               &err);
    assert_non_null(s);
    assert_string_equal(s->name, "digits.1");
    assert_string_equal(s->tags.items[0].value, "1");
    assert_string_equal(s->compute.items[0], "local");
    assert_int_equal(s->shm_size_bytes, INT64_C(2) << 30);
    assert_int_equal(s->time_limit_ms, 60000);
    assert_int_equal(s->inputs[1].kind, JOB_INPUT_FOLDER);
    assert_string_equal(s->inputs[0].value, "3");
    assert_int_equal(s->priority, JOB_PRIORITY_HIGH);
    assert_int_equal(s->memory_bytes, INT64_C(2) << 30);
    assert_int_equal(s->gpu_milli, 0);
    assert_true(s->mounts[0].writable);
    assert_string_equal(s->mounts[1].target, "/x");
    job_spec_destroy(s);
}

static void an_input_may_be_the_outputs_of_a_job(void **state)
{
    (void)state;
    static const char *const paths[][2] = {
        {"azureml:jobs/train", "train"},
        {"azureml:jobs/sweep@3", "sweep@3"},
        {"azureml://jobs/train/outputs/default", "train"},
        {"azureml://jobs/train/outputs/default/paths/", "train"},
        {"azureml:jobs/", NULL},
        {"azureml://jobs/train", NULL},
        {"azureml://jobs//outputs/default", NULL},
        {"azureml://jobs/train/outputs/other", NULL},
        {"azureml://jobs/train/outputs/default/paths/a", NULL},
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char text[256];
        struct error err = {0};
        snprintf(text, sizeof text, "{\"argv\":[\"x\"],\"inputs\":{\"ck\":{\"path\":\"%s\"}}}", paths[i][0]);
        struct job_spec *s = parse(text, &err);
        assert_int_equal(s != NULL, paths[i][1] != NULL);
        if (s) {
            assert_int_equal(s->inputs[0].kind, JOB_INPUT_JOB);
            assert_string_equal(s->inputs[0].value, paths[i][1]);
        }
        job_spec_destroy(s);
    }
    struct error err = {0};
    assert_null(parse("{\"argv\":[\"x\"],\"inputs\":{\"ck\":{\"type\":\"uri_file\",\"path\":"
                      "\"azureml:jobs/train\"}}}",
                      &err));
}

static void what_is_left_out_has_its_default(void **state)
{
    (void)state;
    struct error err = {0};
    struct job_spec *s = parse("{\"argv\":[\"true\"],\"name\":null}", &err);
    assert_non_null(s);
    assert_string_equal(s->image, "host");
    assert_int_equal(s->gpu_milli, -1);
    assert_int_equal(s->cpus, 0);
    assert_int_equal(s->grace_ms, JOB_GRACE_DEFAULT_MS);
    assert_string_equal(s->compute.items[0], "local");
    assert_null(s->argv.items[1]);
    job_spec_destroy(s);
}

static void misspelt_field_is_named_with_the_nearest_right_one(void **state)
{
    (void)state;
    assert_refused("{\"comand\":\"x\",\"command\":\"x\"}", "comand", "did you mean `command`?");
    assert_refused("{\"command\":\"x\",\"resources\":{\"shm_szie\":\"1g\"}}", "resources.shm_szie",
                   "did you mean `shm_size`?");
    assert_refused("{\"command\":\"x\",\"limits\":{\"zzzzzz\":1}}", "limits.zzzzzz", "unknown field");
}

static void every_field_that_is_not_honoured_stands_in_one_refusal(void **state)
{
    (void)state;
    struct error err = {0};
    assert_null(
        parse("{\"command\":\"x\",\"distribution\":{\"type\":\"mpi\"},\"identity\":{},\"services\":{},"
              "\"outputs\":{},"
              "\"resources\":{\"instance_count\":2,\"docker_args\":\"x\"},"
              "\"environment\":\"azureml:e:1\"}",
              &err));
    assert_int_equal(err.code, ERROR_UNSUPPORTED);
    static const char *const named[] = {"6 fields", "distribution",          "identity",   "services",
                                        "outputs",  "resources.docker_args", "environment"};
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (!strstr(err.message, named[i]))
            fail_msg("%s is not in: %s", named[i], err.message);
}

static void wrong_types_and_values_are_refused_by_name(void **state)
{
    (void)state;
    assert_refused("{\"command\":3}", "command", "must be text, not a number");
    assert_refused("{}", "command", "is missing");
    assert_refused("{\"command\":\"  \"}", "command", "is empty");
    assert_refused("{\"command\":\"x\",\"argv\":[\"x\"]}", "argv", "can't stand beside");
    assert_refused("{\"command\":\"x\",\"cpus\":0}", "cpus", "between 1 and");
    assert_refused("{\"command\":\"x\",\"cpus\":1.5}", "cpus", "whole number, not 1.5");
    assert_refused("{\"command\":\"x\",\"cpus\":2,\"resources\":{\"cpus\":2}}", "cpus", "given twice");
    assert_refused("{\"command\":\"x\",\"memory\":\"lots\"}", "memory", "not \"lots\"");
    assert_refused("{\"command\":\"x\",\"memory\":\"1K\"}", "memory", "between 16M and");
    assert_refused("{\"command\":\"x\",\"limits\":{\"timeout\":0}}", "limits.timeout", "leave it out");
    assert_refused("{\"command\":\"x\",\"name\":\"a/b\"}", "name", "\"/\"");
    assert_refused("{\"command\":\"x\",\"name\":\"a\\u0007\"}", "name", "not printable");
    assert_refused("{\"command\":\"x\",\"name\":\"123\"}", "name", "digits alone");
    assert_refused("{\"command\":\"x\",\"display_name\":\"a\\nb\"}", "display_name", "control characters");
    assert_refused("{\"command\":\"x\",\"compute\":\"gpu-cluster\"}", "compute", "gpu-cluster");
    assert_refused("{\"command\":\"x\",\"environment_variables\":{\"A-B\":\"1\"}}",
                   "environment_variables.A-B", "not a name");
    assert_refused("{\"command\":\"x\",\"command\":\"y\"}", "command", "given twice");
    assert_refused("{\"command\":\"x\",\"gpus\":-1}", "gpus", "between 0 and");
    assert_refused("{\"command\":\"x\",\"mounts\":[\"rel:/x\"]}", "mounts", "absolute");
    assert_refused("{\"command\":\"x\",\"mounts\":[\"/x:/dev/d:rw\"]}", "mounts",
                   "/dev, /proc, /sys and /run");
    assert_refused("{\"command\":\"x\",\"mounts\":[\"/run\"]}", "mounts", "/dev, /proc, /sys and /run");
    assert_refused("{\"command\":\"x\",\"mounts\":[\"/x://\"]}", "mounts", "root");
    assert_refused("{\"command\":\"x\",\"inputs\":{\"d\":{\"path\":\"s3://x\"}}}", "inputs.d",
                   "not honoured");
    assert_refused("{\"command\":\"x\",\"submission\":{\"code\":{\"path\":\"/c\",\"manifest\":\"zz\"}}}",
                   "submission.code.manifest", "SHA-256");
    assert_refused("{\"command\":\"x\",\"submission\":{\"code\":{\"left_out\":[\"a/../../b\"]}}}",
                   "submission.code.left_out", "inside");
}

static void input_that_is_not_declared_is_refused_with_the_nearest_one(void **state)
{
    (void)state;
    assert_refused("{\"command\":\"x ${{inputs.epoch}}\",\"inputs\":{\"epochs\":3}}", "command",
                   "did you mean `epochs`?");
    assert_refused("{\"argv\":[\"x\",\"${{ inputs.zzz }}\"]}", "argv", "declare it");
    struct error err = {0};
    struct job_spec *s = parse("{\"command\":\"x ${{ inputs.epochs }}\",\"inputs\":{\"epochs\":3}}", &err);
    assert_non_null(s);
    job_spec_destroy(s);
}

static void what_a_job_waits_for_and_shares_is_read(void **state)
{
    (void)state;
    struct error err = {0};
    struct job_spec *s =
        parse("{\"command\":\"x\",\"gpus\":0.125,\"exclusive\":true,\"isolated\":true,\"hold\":true,"
              "\"begin\":\"2026-12-24T18:00:00+01:00\",\"after\":[\"a\",\"12:fail\",\"b:end\"],"
              "\"reservation\":\"course\","
              "\"retry\":{\"count\":3,\"exit_codes\":[75],\"wait\":\"1m\"},"
              "\"queue_settings\":{\"job_tier\":\"Spot\"},"
              "\"resources\":{\"instance_count\":4,\"gpu_memory\":\"10G\"},"
              "\"distribution\":{\"type\":\"PyTorch\",\"process_count_per_instance\":1}}",
              &err);
    assert_non_null(s);
    assert_int_equal(s->gpu_milli, 125);
    assert_int_equal(s->gpu_memory_bytes, INT64_C(10) << 30);
    assert_true(s->exclusive && s->isolated && s->held && s->preemptible && s->distributed);
    assert_int_equal(s->begin_ms, INT64_C(1798131600000));
    assert_string_equal(s->reservation, "course");
    assert_int_equal(s->after_count, 3);
    assert_string_equal(s->after[1].job, "12");
    assert_int_equal(s->after[0].kind, JOB_AFTER_SUCCESS);
    assert_int_equal(s->after[1].kind, JOB_AFTER_FAILURE);
    assert_int_equal(s->retry.count, 3);
    assert_int_equal(s->retry.kinds, 1u << END_EXIT);
    assert_int_equal(s->retry.wait_ms, 60000);
    assert_int_equal(s->instance_count, 4);
    job_spec_destroy(s);
    s = parse("{\"command\":\"x\",\"gpus\":2,\"begin\":\"+2h\",\"after\":\"a:start\"}", &err);
    assert_non_null(s);
    assert_int_equal(s->gpu_milli, 2000);
    assert_int_equal(s->begin_after_ms, 7200000);
    assert_int_equal(s->after[0].kind, JOB_AFTER_START);
    job_spec_destroy(s);
}

static void an_array_is_a_text_or_indices_and_a_limit(void **state)
{
    (void)state;
    static const char *const files[] = {
        "{\"command\":\"x ${{array.index}}\",\"array\":\"1-10%4\"}",
        "{\"command\":\"x\",\"array\":{\"indices\":\"1-10\",\"max_concurrent\":4}}",
        "{\"command\":\"x\",\"array\":{\"max_concurrent\":4,\"indices\":\"1-10\"}}"};
    struct error err = {0};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct job_spec *s = parse(files[i], &err);
        assert_non_null(s);
        assert_int_equal(s->array.count, 10);
        assert_int_equal(s->array.limit, 4);
        job_spec_destroy(s);
    }
    struct job_spec *one = parse("{\"command\":\"x\",\"array\":7}", &err);
    assert_int_equal(one->array.count, 1);
    job_spec_destroy(one);
    assert_refused("{\"command\":\"x ${{ array.index }}\"}", "command", "is for arrays");
    assert_refused("{\"argv\":[\"x\",\"${{array.index}}\"]}", "argv", "is for arrays");
}

static void rules_that_make_no_sense_are_refused_by_field(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *field, *text;
    } cases[] = {
        {"\"gpus\":1.5", "gpus", "whole GPUs"},
        {"\"gpus\":0.0004", "gpus", "thousandths"},
        {"\"gpus\":0,\"gpu_memory\":\"10G\"", "gpu_memory", "gpus: 0"},
        {"\"resources\":{\"instance_count\":1025}", "resources.instance_count", "1024"},
        {"\"resources\":{\"instance_count\":2},\"stdin\":true", "resources.instance_count", "standard input"},
        {"\"distribution\":{\"type\":\"pytorch\"}", "distribution", "instance_count"},
        {"\"distribution\":{\"type\":\"mpi\"},\"resources\":{\"instance_count\":2}", "distribution.type",
         "mpi"},
        {"\"distribution\":{\"type\":\"pytorch\",\"process_count_per_instance\":2},\"stdin\":true",
         "distribution.process_count_per_instance", "standard input"},
        {"\"distribution\":{\"type\":\"pytorch\",\"process_count_per_instance\":1025}",
         "distribution.process_count_per_instance", "1024"},
        {"\"queue_settings\":{\"job_tier\":\"cheap\"}", "queue_settings.job_tier", "spot"},
        {"\"begin\":\"tomorrow\"", "begin", "tomorrow"},
        {"\"begin\":\"2026-02-31T00:00:00Z\"", "begin", "2026-02-31"},
        {"\"begin\":\"2026-12-24T18:00:00\"", "begin", "must be a time"},
        {"\"after\":[\"a:done\"]", "after", "start, ok, fail or end"},
        {"\"after\":[\":ok\"]", "after", "names no job"},
        {"\"live\":true,\"code\":\".\",\"private\":[\"data\"]", "private", "beside `live`"},
        {"\"private\":[\"data\"]", "private", "needs `code`"},
        {"\"live\":1", "live", "true or false"},
        {"\"continue\":\"\"", "continue", "names no job"},
        {"\"retry\":{\"on\":[\"exit\"]}", "retry", "count"},
        {"\"retry\":{\"count\":51}", "retry.count", "50"},
        {"\"retry\":{\"count\":1,\"on\":\"canceled\"}", "retry.on", "must be some of"},
        {"\"retry\":{\"count\":1,\"exit_codes\":[0]}", "retry.exit_codes", "between 1 and 255"},
        {"\"retry\":{\"count\":1,\"wait\":\"2d\"}", "retry.wait", "between 0 and"},
        {"\"hodl\":true", "hodl", "did you mean `hold`?"},
        {"\"array\":\"5-1\"", "array", "ends before it begins"},
        {"\"array\":true", "array", "must be indices"},
        {"\"array\":{\"max_concurrent\":2}", "array", "indices"},
        {"\"array\":{\"indices\":\"1-5%2\",\"max_concurrent\":2}", "array", "twice"},
        {"\"array\":{\"indices\":\"1-5\",\"max_concurrent\":0}", "array.max_concurrent", "between 1"},
        {"\"array\":\"1-5\",\"stdin\":true", "array", "no standard input"},
        {"\"licences\":[\"a\"]", "licences", "mapping"},
        {"\"limits\":{\"timeout\":60,\"warning\":{\"before\":60}}", "limits.warning.before", "less than"},
        {"\"limits\":{\"warning\":{\"before\":60}}", "limits.warning", "timeout"},
        {"\"limits\":{\"timeout\":60,\"warning\":{\"before\":9,\"signal\":\"KILL\"}}",
         "limits.warning.signal", "take notice"},
        {"\"on_node_loss\":\"hope\"", "on_node_loss", "wait, requeue"},
        {"\"fence_after\":14", "fence_after", "at least 15s"},
        {"\"fence_after\":604801", "fence_after", "between 0 and"},
        {"\"fence_after\":60,\"on_node_loss\":\"wait\"", "fence_after", "on_node_loss: requeue"},
        {"\"licences\":{\"a\":65536}", "licences.a", "65535"},
        {"\"licences\":{\"a\":1,\"a\":1}", "licences.a", "given twice"},
        {"\"licences\":{\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1}", "licences", "4 kinds"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char json[512];
        snprintf(json, sizeof json, "{\"command\":\"x\",%s}", cases[i].fields);
        assert_refused(json, cases[i].field, cases[i].text);
    }
}

/* One reader for all of a file's durations: a number is of seconds, a text as people write it. */
static void durations_are_read_alike_in_every_field(void **state)
{
    (void)state;
    static const struct {
        const char *form, *field;
    } fields[] = {{"{\"command\":\"x\",\"limits\":{\"timeout\":%s}}", "limits.timeout"},
                  {"{\"command\":\"x\",\"limits\":{\"grace\":%s}}", "limits.grace"},
                  {"{\"command\":\"x\",\"limits\":{\"timeout\":\"2h\",\"warning\":{\"before\":%s}}}",
                   "limits.warning.before"},
                  {"{\"command\":\"x\",\"retry\":{\"count\":1,\"wait\":%s}}", "retry.wait"},
                  {"{\"command\":\"x\",\"fence_after\":%s}", "fence_after"}};
    static const char *const good[] = {"\"1h30\"", "\"1h30m\"", "5400", "\"5400\"", "\"01:30:00\""},
                             *const bad[] = {"\"\"",
                                             "\"1h90\"",
                                             "-1",
                                             "\"-1\"",
                                             "1.5",
                                             "1e300",
                                             "\"nan\"",
                                             "\"1h x\"",
                                             "true",
                                             "[]",
                                             "\"99999999999999999999\""};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        char json[256];
        struct error err = {0};
        for (size_t k = 0; k < sizeof good / sizeof *good; k++) {
            snprintf(json, sizeof json, fields[i].form, good[k]);
            struct job_spec *s = parse(json, &err);
            if (!s) {
                fail_msg("%s: %s", json, err.message);
                return;
            }
            const int64_t read[] = {s->time_limit_ms, s->grace_ms, s->warning_before_ms, s->retry.wait_ms,
                                    s->fence_after_ms};
            assert_int_equal(read[i], 5400000);
            job_spec_destroy(s);
        }
        for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
            snprintf(json, sizeof json, fields[i].form, bad[k]);
            assert_refused(json, fields[i].field, "must be");
        }
    }
}

static void what_becomes_of_a_running_job_is_read(void **state)
{
    (void)state;
    struct error err = {0};
    struct job_spec *s =
        parse("{\"command\":\"x\",\"licences\":{\"a\":1,\"b\":65535,\"c.d\":2,\"e_f-1\":3}}", &err);
    assert_non_null(s);
    assert_int_equal(s->licence_count, 4);
    assert_string_equal(s->licences[1].name, "b");
    assert_int_equal(s->licences[1].amount, JOB_LICENCE_AMOUNT_MAX);
    assert_int_equal(s->on_node_loss, JOB_LOSS_DEFAULT);
    job_spec_destroy(s);
    s = parse("{\"command\":\"x\",\"fence_after\":\"7d\"}", &err);
    assert_non_null(s);
    assert_int_equal(s->on_node_loss, JOB_LOSS_REQUEUE); /* who says when asks for it */
    assert_int_equal(s->fence_after_ms, JOB_FENCE_MAX_MS);
    job_spec_destroy(s);
}

static void limits_hold_at_the_limit_and_one_past_it(void **state)
{
    (void)state;
    for (int past = 0; past < 2; past++) {
        struct error err = {0};
        char name[JOB_NAME_MAX + 2] = "";
        memset(name, 'a', (size_t)(JOB_NAME_MAX + past));
        assert_int_equal(job_name_valid(name, &err), !past);

        char inside[JOB_RESERVATION_MAX + 64];
        int n = snprintf(inside, sizeof inside, "{\"command\":\"x\",\"reservation\":\"%0*d\"}",
                         JOB_RESERVATION_MAX + past, 7);
        assert_true(n > 0 && (size_t)n < sizeof inside);
        struct job_spec *named = parse(inside, &err);
        assert_int_equal(named != NULL, !past);
        job_spec_destroy(named);

        struct buf json = {0};
        buf_add_str(&json, "{\"command\":\"");
        for (int i = 0; i < JOB_COMMAND_MAX + past; i++)
            buf_add_char(&json, 'x');
        buf_add_str(&json, "\"}");
        struct job_spec *s = parse(json.data, &err);
        assert_int_equal(s != NULL, !past);
        job_spec_destroy(s);
        buf_finish(&json);

        /* "A0=" and the value and a NUL: together the whole of JOB_ENVIRONMENT_MAX_BYTES */
        buf_add_str(&json, "{\"command\":\"x\",\"environment_variables\":{");
        for (int v = 0; v < 16; v++) {
            buf_printf(&json, "%s\"A%c\":\"", v ? "," : "", 'a' + v);
            for (int i = 0; i < JOB_ENVIRONMENT_MAX_BYTES / 16 - 4 + (v == 0 ? past : 0); i++)
                buf_add_char(&json, 'y');
            buf_add_str(&json, "\"");
        }
        buf_add_str(&json, "}}");
        s = parse(json.data, &err);
        assert_int_equal(s != NULL, !past);
        job_spec_destroy(s);
        buf_finish(&json);
    }
}

static void numbers_beyond_two_to_the_53_travel_as_text(void **state)
{
    (void)state;
    cJSON *j = cJSON_CreateObject();
    json_add_int(j, "big", INT64_MAX);
    json_add_int(j, "small", -7);
    char *text = json_text(j);
    assert_string_equal(text, "{\"big\":\"9223372036854775807\",\"small\":-7}");
    assert_int_equal(json_int(j, "big", 0), INT64_MAX);
    assert_int_equal(json_int(j, "small", 0), -7);
    free(text);
    cJSON_Delete(j);
}

static void broken_json_is_refused_with_its_place(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    "{", "{\"a\":1} x", "{\"a\":\"\\u0000\"}", "{\"a\":\"\xff\"}",
                                      "[1,]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error err = {0};
        assert_null(json_parse(bad[i], strlen(bad[i]), &err));
        assert_int_equal(err.code, ERROR_INVALID);
    }
    struct error err = {0};
    assert_null(json_parse("{\n  \"a\": 1,\n  oops\n}", 20, &err));
    assert_non_null(strstr(err.message, "line 3"));
}

static void sizes_and_durations_are_read_as_people_write_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value; /* -1: refused */
    } sizes[] = {{"2G", INT64_C(2) << 30},
                 {"512m", 512 << 20},
                 {"1.5Gi", 3 << 29},
                 {"10 GB", INT64_C(10) << 30},
                 {"4096", 4096},
                 {"1T", INT64_C(1) << 40},
                 {"", -1},
                 {"G", -1},
                 {"-1G", -1},
                 {"1X", -1},
                 {"0x10", -1},
                 {"1.2.3G", -1},
                 {"9999999999G", -1}},
      times[] = {{"90", 90000},
                 {"1h30m", 5400000},
                 {"2d", 172800000},
                 {"01:30:00", 5400000},
                 {"5:00", 300000},
                 {"1-00:00:00", 86400000},
                 {"250ms", 250},
                 {"", -1},
                 {"h", -1},
                 {"1y", -1},
                 {"-5", -1},
                 {"1:2:3:4", -1},
                 {"99999999d", -1},
                 {"1h30", 5400000},
                 {"1m30", 90000},
                 {"2d12", 216000000},
                 {"1w2", 777600000},
                 {"1h30m15", 5415000},
                 {"1w2d3h4m5s6ms", 788645006},
                 {"1h60", -1},
                 {"1m60", -1},
                 {"1d24", -1},
                 {"1w7", -1},
                 {"5s3", -1},
                 {"5ms3", -1},
                 {"30m1h", -1},
                 {"1h1h", -1},
                 {"1h 30m", -1},
                 {"1h30x", -1},
                 {"1hm", -1},
                 {"90 ", -1},
                 {" 90", -1},
                 {"+90", -1},
                 {"1e3", -1},
                 {"nan", -1},
                 {"inf", -1},
                 {"1.5h", -1},
                 {"0x10", -1},
                 {"0", 0},
                 {"1:75", -1},
                 {"1:00:75", -1},
                 {"1:", -1},
                 {":30", -1},
                 {"1-24", -1},
                 {"1-23", 169200000},
                 {"1-02:03", 93780000},
                 {"90:00", 5400000},
                 {"1-", -1},
                 {"1--2", -1},
                 {"3660d", INT64_C(316224000000)},
                 {"3660d1ms", -1},
                 {"316224000", INT64_C(316224000000)},
                 {"316224001", -1},
                 {"3660-00:00:00", INT64_C(316224000000)},
                 {"3660-00:00:01", -1},
                 {"9223372036854775807", -1},
                 {"99999999999999999999999999", -1},
                 {"99999999999999999999:00", -1}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t n = -1;
        if (units_parse_bytes(sizes[i].text, &n) != (sizes[i].value >= 0) || n != sizes[i].value)
            fail_msg("size \"%s\" gave %lld", sizes[i].text, (long long)n);
    }
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        int64_t n = -1;
        if (units_parse_duration(times[i].text, &n) != (times[i].value >= 0) || n != times[i].value)
            fail_msg("duration \"%s\" gave %lld", times[i].text, (long long)n);
    }
    char out[24];
    assert_string_equal(units_format_bytes(1536, out), "1.5K");
    assert_string_equal(units_format_bytes(INT64_C(24) << 30, out), "24G");
    assert_string_equal(units_format_bytes(INT64_C(1) << 60, out), "1024P");
    assert_string_equal(units_format_bytes(INT64_C(2222222222222223599), out), "1974P");
    assert_string_equal(units_format_duration(5400000, out), "1h30m");
    static const struct {
        int64_t ms;
        const char *text;
    } exact[] = {{0, "0s"},
                 {1500, "1s500ms"},
                 {90000, "1m30s"},
                 {3600000, "1h"},
                 {3630000, "1h30s"},
                 {5400000, "1h30m"},
                 {86400000 + 60000, "1d1m"},
                 {INT64_C(3660) * 86400000 - 1, "3659d23h59m59s999ms"}};
    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++) {
        int64_t back = -1;
        assert_string_equal(units_format_exact(exact[i].ms, out), exact[i].text);
        assert_true(units_parse_duration(out, &back) && back == exact[i].ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(command_job_of_the_service_is_read_whole),
        cmocka_unit_test(an_input_may_be_the_outputs_of_a_job),
        cmocka_unit_test(what_is_left_out_has_its_default),
        cmocka_unit_test(misspelt_field_is_named_with_the_nearest_right_one),
        cmocka_unit_test(every_field_that_is_not_honoured_stands_in_one_refusal),
        cmocka_unit_test(wrong_types_and_values_are_refused_by_name),
        cmocka_unit_test(input_that_is_not_declared_is_refused_with_the_nearest_one),
        cmocka_unit_test(what_a_job_waits_for_and_shares_is_read),
        cmocka_unit_test(an_array_is_a_text_or_indices_and_a_limit),
        cmocka_unit_test(rules_that_make_no_sense_are_refused_by_field),
        cmocka_unit_test(what_becomes_of_a_running_job_is_read),
        cmocka_unit_test(durations_are_read_alike_in_every_field),
        cmocka_unit_test(limits_hold_at_the_limit_and_one_past_it),
        cmocka_unit_test(numbers_beyond_two_to_the_53_travel_as_text),
        cmocka_unit_test(broken_json_is_refused_with_its_place),
        cmocka_unit_test(sizes_and_durations_are_read_as_people_write_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
