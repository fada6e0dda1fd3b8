/* Sizes and durations, read and written. */
#include "proto/units.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BYTES_MAX (INT64_C(1) << 62)
#define DURATION_MAX_MS (INT64_C(10) * 366 * 86400 * 1000)

bool units_parse_bytes(const char *text, int64_t *bytes)
{
    if (!isdigit((unsigned char)*text))
        return false;
    char *end;
    double value = strtod(
        text, &end); /* "0x", "inf" and "nan" can't come here: the first is a digit and x is refused below */
    if (strspn(text, "0123456789.") != (size_t)(end - text))
        return false;
    while (*end == ' ')
        end++;
    static const char suffixes[] = "KMGTP";
    int shift = 0;
    const char *found = *end ? strchr(suffixes, toupper((unsigned char)*end)) : NULL;
    if (found) {
        shift = (int)(found - suffixes + 1) * 10;
        end++;
        if (*end == 'i')
            end++;
    }
    if (*end == 'b' || *end == 'B')
        end++;
    if (*end)
        return false;
    value *= (double)(INT64_C(1) << shift);
    if (value > (double)BYTES_MAX)
        return false;
    *bytes = (int64_t)value;
    return true;
}

/* Up to eighteen digits. */
static bool take_number(const char **p, int64_t *out)
{
    int digits = 0;
    for (*out = 0; isdigit((unsigned char)**p); ++*p, digits++) {
        if (digits == 18)
            return false;
        *out = *out * 10 + (**p - '0');
    }
    return digits > 0;
}

/* "H:M:S", "M:S", "D-H", "D-H:M" or "D-H:M:S", as sbatch(1) reads them: what stands behind another is less
 * than one of it. */
static bool parse_clock(const char *text, int64_t *ms)
{
    int64_t days = 0, parts[3] = {0};
    int count = 0;
    const char *p = text;
    bool dated = strchr(text, '-');
    if (dated && (!take_number(&p, &days) || *p++ != '-' || days > DURATION_MAX_MS / 86400000))
        return false;
    do {
        if (count == 3 || !take_number(&p, &parts[count]) || parts[count] > DURATION_MAX_MS / 1000)
            return false;
        if ((count && parts[count] > 59) || (dated && !count && parts[0] > 23))
            return false;
        count++;
    } while (*p++ == ':');
    if (p[-1] || (!dated && count == 1))
        return false;
    int64_t seconds = 0;
    for (int i = 0; i < count; i++)
        seconds = seconds * 60 + parts[i];
    for (int i = count; dated && i < 3; i++)
        seconds *= 60;
    *ms = (days * 86400 + seconds) * 1000;
    return true;
}

/* "1h30m", largest unit first, each once. A number without a unit is of seconds where it stands alone, and of
 * the next smaller unit behind another: 1h30 is an hour and a half, as people write it. */
static bool parse_spans(const char *text, int64_t *ms)
{
    static const struct {
        const char *name;
        int64_t ms;
        bool next; /* the row below is what a bare number behind this one counts */
    } units[] = {{"w", 604800000, true}, {"d", 86400000, true}, {"h", 3600000, true},
                 {"m", 60000, true},     {"s", 1000, false},    {"ms", 1, false}};
    const size_t count = sizeof units / sizeof *units, second = 4;
    size_t after = count; /* row of the unit before */
    *ms = 0;
    for (const char *p = text; *p;) {
        int64_t n;
        if (!take_number(&p, &n))
            return false;
        size_t len = strspn(p, "wdhms"), i = 0;
        while (i < count && (strlen(units[i].name) != len || strncmp(units[i].name, p, len) != 0))
            i++;
        if (!len && !*p) {
            i = after == count ? second : after + 1;
            if (after != count && (!units[after].next || n >= units[after].ms / units[i].ms))
                return false;
        }
        if (i >= count || (after != count && i <= after) || n > (DURATION_MAX_MS - *ms) / units[i].ms)
            return false;
        *ms += n * units[i].ms;
        after = i;
        p += len;
    }
    return true;
}

bool units_parse_duration(const char *text, int64_t *ms)
{
    int64_t total;
    if (!isdigit((unsigned char)*text) ||
        !(strpbrk(text, ":-") ? parse_clock(text, &total) : parse_spans(text, &total)) ||
        total > DURATION_MAX_MS)
        return false;
    *ms = total;
    return true;
}

char *units_format_bytes(int64_t bytes, char *out)
{
    static const char suffixes[] = " KMGTP";
    int unit = 0;
    for (; bytes > INT64_MAX / 10; bytes /= 1024)
        unit++;
    int64_t scaled = bytes * 10;
    while (scaled >= 10240 && unit < 5) {
        scaled = (scaled + 512) / 1024;
        unit++;
    }
    if (!unit)
        snprintf(out, 16, "%" PRId64, bytes);
    else if (scaled >= 1000 || scaled % 10 == 0)
        snprintf(out, 16, "%" PRId64 "%c", (scaled + 5) / 10, suffixes[unit]);
    else
        snprintf(out, 16, "%" PRId64 ".%d%c", scaled / 10, (int)(scaled % 10), suffixes[unit]);
    return out;
}

char *units_format_duration(int64_t ms, char *out)
{
    int64_t s = ms / 1000;
    if (ms < 10000 && ms % 1000)
        snprintf(out, 24, "%d.%ds", (int)s, (int)(ms % 1000 / 100));
    else if (s < 60)
        snprintf(out, 24, "%ds", (int)s);
    else if (s < 3600)
        snprintf(out, 24, s % 60 ? "%dm%02ds" : "%dm", (int)(s / 60), (int)(s % 60));
    else if (s < 86400)
        snprintf(out, 24, s / 60 % 60 ? "%dh%02dm" : "%dh", (int)(s / 3600), (int)(s / 60 % 60));
    else
        snprintf(out, 24, s / 3600 % 24 ? "%dd%02dh" : "%dd", (int)(s / 86400), (int)(s / 3600 % 24));
    return out;
}

char *units_format_exact(int64_t ms, char *out)
{
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    int64_t back;
    if (units_parse_duration(units_format_duration(ms, out), &back) && back == ms)
        return out;
    size_t n = 0;
    for (size_t i = 0; i < sizeof units / sizeof *units && n < 24; ms %= units[i++].ms)
        if (ms / units[i].ms)
            n += (size_t)snprintf(out + n, 24 - n, "%" PRId64 "%s", ms / units[i].ms, units[i].name);
    return out;
}

/* ---- moments ---- */

/* Reads `digits` digits; false where there are fewer. */
static bool take_digits(const char **p, int digits, int *out)
{
    *out = 0;
    for (int i = 0; i < digits; i++, ++*p) {
        if (**p < '0' || **p > '9')
            return false;
        *out = *out * 10 + (**p - '0');
    }
    return true;
}

static bool take_char(const char **p, char c)
{
    if (**p != c)
        return false;
    ++*p;
    return true;
}

static bool take_date(const char **p, struct tm *tm)
{
    if (!take_digits(p, 4, &tm->tm_year) || !take_char(p, '-') || !take_digits(p, 2, &tm->tm_mon) ||
        !take_char(p, '-') || !take_digits(p, 2, &tm->tm_mday))
        return false;
    tm->tm_year -= 1900;
    tm->tm_mon--;
    return true;
}

static bool take_hours(const char **p, struct tm *tm)
{
    if (!take_digits(p, 2, &tm->tm_hour) || !take_char(p, ':') || !take_digits(p, 2, &tm->tm_min))
        return false;
    return !take_char(p, ':') || take_digits(p, 2, &tm->tm_sec);
}

static bool take_clock(const char **p, struct tm *tm)
{
    return !**p || ((take_char(p, 'T') || take_char(p, ' ')) && take_hours(p, tm));
}

/* "Z", "+01:00", or nothing: then *local. */
static bool take_offset(const char **p, bool *local, int *minutes)
{
    int hours;
    *minutes = 0;
    *local = **p == '\0';
    if (*local || take_char(p, 'Z') || take_char(p, 'z'))
        return **p == '\0';
    int sign = take_char(p, '-') ? -1 : take_char(p, '+') ? 1 : 0;
    if (!sign || !take_digits(p, 2, &hours) || !take_char(p, ':') || !take_digits(p, 2, minutes) || **p ||
        hours > 23 || *minutes > 59)
        return false;
    *minutes = sign * (hours * 60 + *minutes);
    return true;
}

/* "today", "tomorrow 09:00", "18:00". */
static bool parse_day_near(const char *text, int64_t now_ms, int64_t *ms)
{
    static const struct {
        const char *word;
        int days;
    } words[] = {{"today", 0}, {"tomorrow", 1}, {"yesterday", -1}};
    time_t now = (time_t)(now_ms / 1000);
    struct tm tm;
    bool found = false;
    if (!localtime_r(&now, &tm))
        return false;
    tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
    tm.tm_isdst = -1;
    for (size_t i = 0; i < sizeof words / sizeof *words && !found; i++) {
        size_t n = strlen(words[i].word);
        found = strncmp(text, words[i].word, n) == 0;
        text += found ? n : 0;
        tm.tm_mday += found ? words[i].days : 0;
    }
    if (!(found ? !*text || (take_char(&text, ' ') && take_hours(&text, &tm)) : take_hours(&text, &tm)) ||
        *text || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 59)
        return false;
    *ms = (int64_t)mktime(&tm) * 1000;
    return *ms > 0;
}

bool units_parse_time(const char *text, int64_t now_ms, int64_t *ms)
{
    if (strcmp(text, "now") == 0) {
        *ms = now_ms;
        return true;
    }
    if (parse_day_near(text, now_ms, ms))
        return true;
    if (*text == '+' || *text == '-') {
        int64_t span;
        if (!units_parse_duration(text + 1, &span))
            return false;
        *ms = *text == '+' ? now_ms + span : now_ms - span;
        return *ms > 0;
    }
    struct tm tm = {.tm_isdst = -1};
    bool local;
    int minutes;
    if (!take_date(&text, &tm) || !take_clock(&text, &tm) || !take_offset(&text, &local, &minutes))
        return false;
    struct tm asked = tm;
    time_t t = local ? mktime(&tm) : timegm(&tm); /* both normalise: 31 February is none that was asked for */
    if (t <= 0 || tm.tm_mon != asked.tm_mon || tm.tm_mday != asked.tm_mday || tm.tm_min != asked.tm_min ||
        tm.tm_sec != asked.tm_sec || (!local && tm.tm_hour != asked.tm_hour) || asked.tm_hour > 23)
        return false;
    *ms = ((int64_t)t - (int64_t)minutes * 60) * 1000;
    return *ms > 0;
}
