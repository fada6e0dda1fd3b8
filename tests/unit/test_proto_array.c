/* Indices of job arrays: what is read, from index to element and back, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/array.h"

static void ranges_steps_and_single_indices_are_read_with_the_limit(void **state)
{
    (void)state;
    struct array_indices a;
    assert_true(array_parse("1,5,9-12,20-30:4%3", &a, NULL));
    assert_int_equal(a.count, 9);
    assert_int_equal(a.limit, 3);
    assert_int_equal(array_min(&a), 1);
    assert_int_equal(array_max(&a), 28);
    char *text = array_text(&a);
    assert_string_equal(text, "1,5,9-12,20-28:4");
    free(text);
    array_finish(&a);
}

static void every_element_is_found_by_its_index_and_no_other_index_is(void **state)
{
    (void)state;
    struct array_indices a;
    assert_true(array_parse("0-9:3,11,100-102", &a, NULL));
    for (uint32_t n = 1; n <= a.count; n++)
        assert_int_equal(array_element(&a, array_index(&a, n)), n);
    assert_int_equal(array_index(&a, 5), 11);
    const uint32_t none[] = {1, 8, 10, 12, 99, 103, UINT32_MAX};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(array_element(&a, none[i]), 0);
    array_finish(&a);
}

static void what_is_no_list_of_indices_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",      "x",         "1-",         "-1",         "1-2-3",  "2-1",
                                      "1,1",   "5,3",       "1-5,5",      "1-5:0",      "1:2",    "1,,2",
                                      "1%",    "1%0",       "1%x",        "1%2%3",      "1-3%2 ", "01",
                                      "1 - 2", "0-1000000", "1000000000", "1-5%1000001"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct array_indices a;
        struct error err = {0};
        assert_false(array_parse(bad[i], &a, &err));
        assert_true(err.message[0]);
        assert_null(a.ranges);
    }
}

static void limits_hold_at_the_limit_and_not_past_it(void **state)
{
    (void)state;
    struct array_indices a;
    assert_true(array_parse("1-1000000%1000000", &a, NULL));
    assert_int_equal(a.count, ARRAY_ELEMENTS_MAX);
    array_finish(&a);
    assert_true(array_parse("999999999", &a, NULL));
    array_finish(&a);
    char text[8 * (ARRAY_RANGES_MAX + 1)];
    size_t n = 0;
    for (unsigned i = 0; i < ARRAY_RANGES_MAX; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%u", i ? "," : "", 2 * i);
    assert_true(array_parse(text, &a, NULL));
    assert_int_equal(a.count, ARRAY_RANGES_MAX);
    array_finish(&a);
    snprintf(text + n, sizeof text - n, ",%u", 2 * ARRAY_RANGES_MAX);
    assert_false(array_parse(text, &a, NULL));
}

static void an_address_is_a_name_and_an_index(void **state)
{
    (void)state;
    size_t length;
    uint32_t index;
    assert_true(array_address("sweep@17", &length, &index));
    assert_int_equal(length, 5);
    assert_int_equal(index, 17);
    assert_false(array_address("sweep.17", &length, &index));
    static const char *const none[] = {"sweep@", "sweep@x", "sweep@1x", "sweep@1000000000", "sweep@01"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        assert_true(array_address(none[i], &length, &index));
        assert_int_equal(index, UINT32_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_steps_and_single_indices_are_read_with_the_limit),
        cmocka_unit_test(every_element_is_found_by_its_index_and_no_other_index_is),
        cmocka_unit_test(what_is_no_list_of_indices_is_refused),
        cmocka_unit_test(limits_hold_at_the_limit_and_not_past_it),
        cmocka_unit_test(an_address_is_a_name_and_an_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
