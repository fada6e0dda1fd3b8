/* proto/kv: the encoding of the shim's folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/kv.h"

#include <string.h>

static void lists_keep_their_order_and_values_may_hold_anything(void **state)
{
    (void)state;
    struct buf b = {0};
    kv_add(&b, "arg", "a=b\nc");
    kv_add_int(&b, "limit", -5);
    kv_add(&b, "arg", "");
    size_t cursor = 0;
    assert_string_equal(kv_next(b.data, b.len, "arg", &cursor), "a=b\nc");
    assert_string_equal(kv_next(b.data, b.len, "arg", &cursor), "");
    assert_null(kv_next(b.data, b.len, "arg", &cursor));
    assert_int_equal(kv_get_int(b.data, b.len, "limit", 0), -5);
    assert_int_equal(kv_get_int(b.data, b.len, "arg", 7), 7);
    assert_null(kv_get(b.data, b.len, "ar"));
    buf_finish(&b);
}

static void torn_last_record_is_ignored(void **state)
{
    (void)state;
    const char data[] = {'a', '=', '1', '\0', 'b', '=', '2'};
    assert_string_equal(kv_get(data, sizeof data, "a"), "1");
    assert_null(kv_get(data, sizeof data, "b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_keep_their_order_and_values_may_hold_anything),
        cmocka_unit_test(torn_last_record_is_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
