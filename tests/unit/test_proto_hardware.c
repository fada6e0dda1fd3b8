/* What a job file asks for by name: sizes, GPU models, node labels, its workspace. */
#include "proto/jobspec.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct job_spec *parse(const char *json, struct error *err)
{
    _cleanup_json_ cJSON *j = json_parse(json, strlen(json), err);
    assert_non_null(j);
    return job_spec_parse(j, NULL, err);
}

static void refused(const char *json, const char *field, const char *text)
{
    struct error err = {0};
    struct job_spec *s = parse(json, &err);
    if (s)
        fail_msg("taken: %s", json);
    assert_string_equal(err.field, field);
    if (!strstr(err.message, text))
        fail_msg("%s is not in: %s", text, err.message);
}

static void names_are_read_and_what_is_left_out_is_open(void **state)
{
    (void)state;
    struct error err = {0};
    struct job_spec *s = parse("{\"command\":\"x\",\"workspace\":\"vision\",\"resources\":{\"instance_type\":"
                               "\"Standard_NC6s_v3\",\"gpu_model\":\"H100\",\"node_labels\":[\"a\",\"b\"]}}",
                               &err);
    assert_non_null(s);
    assert_string_equal(s->size, "Standard_NC6s_v3");
    assert_string_equal(s->gpu_model, "H100");
    assert_string_equal(s->workspace, "vision");
    assert_int_equal(s->node_labels.count, 2);
    assert_string_equal(s->node_labels.items[1], "b");
    assert_null(s->node_labels.items[2]);
    assert_int_equal(s->gpu_milli, -1);
    job_spec_destroy(s);
    s = parse("{\"command\":\"x\",\"resources\":{\"node_labels\":\"one\"}}", &err);
    assert_non_null(s);
    assert_int_equal(s->node_labels.count, 1);
    assert_true(!s->size && !s->gpu_model && !s->workspace);
    job_spec_destroy(s);
}

static void what_makes_no_sense_is_refused_by_field(void **state)
{
    (void)state;
    refused("{\"command\":\"x\",\"resources\":{\"instance_type\":\"Standard_D2_Windows\"}}",
            "resources.instance_type", "Windows size");
    refused("{\"command\":\"x\",\"resources\":{\"instance_type\":\"WINDOWS\"}}", "resources.instance_type",
            "Windows size");
    refused("{\"command\":\"x\",\"resources\":{\"instance_type\":\"d2_WIN\"}}", "resources.instance_type",
            "Windows size");
    refused("{\"command\":\"x\",\"resources\":{\"instance_type\":3}}", "resources.instance_type", "text");
    refused("{\"command\":\"x\",\"resources\":{\"gpu_model\":\"\"}}", "resources.gpu_model", "is empty");
    refused("{\"command\":\"x\",\"gpus\":0,\"resources\":{\"gpu_model\":\"H100\"}}", "resources.gpu_model",
            "gpus: 0");
    refused("{\"command\":\"x\",\"resources\":{\"node_labels\":[\"a\",\"a\"]}}", "resources.node_labels",
            "given twice");
    refused("{\"command\":\"x\",\"resources\":{\"node_labels\":[\"a\",null]}}", "resources.node_labels",
            "must be text");
    refused("{\"command\":\"x\",\"resources\":{\"node_label\":[\"a\"]}}", "resources.node_label",
            "`node_labels`");
    refused("{\"command\":\"x\",\"workspace\":\"a\\nb\"}", "workspace", "control characters");
}

static void lists_and_words_hold_at_their_limit_and_one_past_it(void **state)
{
    struct error err = {0};
    char json[4096], word[JOB_WORD_MAX + 2];
    (void)state;
    for (int extra = 0; extra < 2; extra++) {
        int n = snprintf(json, sizeof json, "{\"command\":\"x\",\"resources\":{\"node_labels\":[\"l0\"");
        for (int i = 1; i < JOB_LABELS_MAX + extra; i++)
            n += snprintf(json + n, sizeof json - (size_t)n, ",\"l%d\"", i);
        snprintf(json + n, sizeof json - (size_t)n, "]}}");
        struct job_spec *s = parse(json, &err);
        assert_true((s != NULL) == !extra);
        job_spec_destroy(s);
        memset(word, 'w', sizeof word);
        word[JOB_WORD_MAX + extra] = '\0';
        snprintf(json, sizeof json, "{\"command\":\"x\",\"resources\":{\"instance_type\":\"%s\"}}", word);
        s = parse(json, &err);
        assert_true((s != NULL) == !extra);
        job_spec_destroy(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read_and_what_is_left_out_is_open),
        cmocka_unit_test(what_makes_no_sense_is_refused_by_field),
        cmocka_unit_test(lists_and_words_hold_at_their_limit_and_one_past_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
