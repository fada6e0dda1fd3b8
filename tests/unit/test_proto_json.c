/* proto/json: text that came from anywhere, and bytes that are no text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "proto/json.h"

#include <string.h>

/* Every byte but NUL, alone and between others, in a value and in a field's name. */
static void every_byte_comes_back(void **state)
{
    (void)state;
    char bytes[3 * 255 + 1];
    for (int i = 0; i < 255; i++) {
        bytes[3 * i] = 'a';
        bytes[3 * i + 1] = (char)(i + 1);
        bytes[3 * i + 2] = (char)(255 - i);
    }
    bytes[sizeof bytes - 1] = '\0';
    _cleanup_json_ cJSON *object = cJSON_CreateObject();
    json_add_bytes(object, "value", bytes);
    json_add_bytes(object, bytes, "name");
    json_add_bytes(object, "none", NULL);
    _cleanup_free_ char *text = json_text(object), *indented = json_indented(object);
    char *const forms[] = {text, indented};
    for (int i = 0; i < 2; i++) {
        assert_true(json_is_utf8(forms[i], strlen(forms[i])));
        struct error err = {0};
        _cleanup_json_ cJSON *again = json_parse(forms[i], strlen(forms[i]), &err);
        if (!again)
            fail_msg("%s", err.message);
        assert_string_equal(json_str(again, "value", ""), bytes);
        assert_string_equal(json_str(again, bytes, ""), "name");
        assert_true(cJSON_IsNull(json_get(again, "none")));
    }
}

static void check_parsed(const char *text, const char *expected)
{
    _cleanup_json_ cJSON *item = json_parse(text, strlen(text), NULL);
    if (!expected) {
        assert_null(item);
        return;
    }
    assert_non_null(item);
    assert_string_equal(item->valuestring, expected);
}

static void escapes_of_bytes_are_lone_surrogates_and_nothing_else(void **state)
{
    (void)state;
    check_parsed("\"a\\udcffb\"", "a\xff"
                                  "b");
    check_parsed("\"\\udc80\\uDCFE\"", "\x80\xfe");
    check_parsed("\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80"); /* a pair is a character */
    check_parsed("\"\\ud802\\udcff\"", "\xf0\x90\xa3\xbf"); /* also where its second half looks like a byte */
    check_parsed("\"\\ud83d\\ude00\\udcff\"", "\xf0\x9f\x98\x80\xff");
    check_parsed("\"\\\\udcff\"", "\\udcff"); /* an escaped backslash, then text */
    check_parsed("\"\\udc7f\"", NULL);
    check_parsed("\"\\udd00\"", NULL);
    check_parsed("\"\\udc00\"", NULL); /* no NUL by this way */
    check_parsed("\"\xff\"", NULL);    /* the bytes themselves are no JSON */
}

static void text_for_people_has_no_escapes_of_bytes(void **state)
{
    (void)state;
    _cleanup_json_ cJSON *object = cJSON_CreateObject();
    json_add_str(object, "text",
                 "a\xff"
                 "b");
    _cleanup_free_ char *text = json_text(object);
    assert_string_equal(text, "{\"text\":\"a\xef\xbf\xbd"
                              "b\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_comes_back),
        cmocka_unit_test(escapes_of_bytes_are_lone_surrogates_and_nothing_else),
        cmocka_unit_test(text_for_people_has_no_escapes_of_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
