/* A line of the audit in words that a person reads. */
#include "base/cleanup.h"
#include "cli/change_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void fields_are_named_as_the_options_are(void **state)
{
    (void)state;
    static const struct {
        const char *line, *words;
    } cases[] = {
        {"{\"before\":{\"priority\":\"medium\",\"time_limit_s\":null},\"after\":{\"priority\":\"high\","
         "\"time_limit_s\":7200}}",
         "priority: medium -> high, time: none -> 2h"},
        {"{\"before\":{\"held\":false},\"after\":{\"held\":true}}", "held: no -> yes"},
        {"{\"before\":{\"results_bytes\":null},\"after\":{\"results_bytes\":1073741824}}",
         "results: none -> 1G"},
        {"{\"before\":{\"members\":[]},\"after\":{\"members\":[\"ada\",\"bob\"]}}",
         "members: none -> ada bob"},
        {"{\"before\":{\"x\":1},\"after\":{}}", "x: 1 -> none"},
        {"{\"before\":null,\"after\":{\"resources\":{\"cpus\":2,\"gpus\":0,\"exclusive\":false,\"memory_"
         "bytes\":1048576},\"workspace\":"
         "\"lab\"}}",
         "resources (cpus 2, memory 1M), workspace lab"},
        {"{\"before\":{\"cores\":3,\"gpus\":null},\"after\":null}", "was: cores 3"},
        {"{\"before\":null,\"after\":null}", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err = {0};
        _cleanup_json_ cJSON *line = json_parse(cases[i].line, strlen(cases[i].line), &err);
        _cleanup_buf_ struct buf words = {0};
        change_add_words(line, &words);
        assert_string_equal(words.data ? words.data : "", cases[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fields_are_named_as_the_options_are)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
