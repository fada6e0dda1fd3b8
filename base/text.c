/* Text from elsewhere: one scan decides what is dangerous, two spellings show it. */
#include "base/text.h"

#include <stdint.h>

size_t text_utf8_length(const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80)
        return 1;
    if (n >= 2 && s[0] >= 0xc2 && s[0] <= 0xdf && (s[1] & 0xc0) == 0x80)
        return 2;
    if (n >= 3 && (s[0] & 0xf0) == 0xe0 && (s[1] & 0xc0) == 0x80 && (s[2] & 0xc0) == 0x80) {
        unsigned code = (s[0] & 0xfU) << 12 | (s[1] & 0x3fU) << 6 | (s[2] & 0x3fU);
        return code >= 0x800 && (code < 0xd800 || code > 0xdfff) ? 3 : 0;
    }
    if (n >= 4 && (s[0] & 0xf8) == 0xf0 && (s[1] & 0xc0) == 0x80 && (s[2] & 0xc0) == 0x80 &&
        (s[3] & 0xc0) == 0x80) {
        unsigned code = (s[0] & 7U) << 18 | (s[1] & 0x3fU) << 12 | (s[2] & 0x3fU) << 6 | (s[3] & 0x3fU);
        return code >= 0x10000 && code <= 0x10ffff ? 4 : 0;
    }
    return 0;
}

static uint32_t code_point(const char *text, size_t n)
{
    static const unsigned char first_bits[] = {0, 0x7f, 0x1f, 0xf, 7};
    const unsigned char *s = (const unsigned char *)text;
    uint32_t code = s[0] & first_bits[n];
    for (size_t i = 1; i < n; i++)
        code = code << 6 | (s[i] & 0x3fU);
    return code;
}

static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f);
}

/* What reorders the text around it, or ends a line where a newline doesn't. */
static bool is_unseen(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {{0x061c, 0x061c}, {0x200e, 0x200f}, {0x2028, 0x202e},  {0x2066, 0x206f},
                  {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    return false;
}

static bool stays(uint32_t code, enum text_kept kept)
{
    if (code == '\n')
        return kept != TEXT_ONE_LINE;
    if (code == '\t')
        return kept == TEXT_LAYOUT;
    return !is_control(code) && !is_unseen(code);
}

void text_add_safe(struct buf *out, const char *text, size_t n, enum text_kept kept)
{
    for (size_t i = 0; i < n;) {
        size_t len = text_utf8_length(text + i, n - i);
        uint32_t code = len ? code_point(text + i, len) : 0;
        if (!len)
            buf_printf(out, "\\x%02x", (unsigned char)text[i]);
        else if (stays(code, kept))
            buf_add(out, text + i, len);
        else
            buf_printf(out, is_control(code) ? "\\x%02x" : "\\u%04x", code);
        i += len ? len : 1;
    }
}

void text_add_safe_json(struct buf *out, const char *json, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t len = text_utf8_length(json + i, n - i);
        uint32_t code = len ? code_point(json + i, len) : 0xfffd;
        if (len && stays(code, TEXT_LAYOUT))
            buf_add(out, json + i, len);
        else if (code >= 0x10000)
            buf_printf(out, "\\u%04x\\u%04x", 0xd800 + ((code - 0x10000) >> 10),
                       0xdc00 + ((code - 0x10000) & 0x3ff));
        else
            buf_printf(out, "\\u%04x", code);
        i += len ? len : 1;
    }
}
