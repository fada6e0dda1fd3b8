/* Reads $BERTH_FAKE_GPUS (fake_gpu.h). No state: every question reads it again. */
#include "tests/fakes/fake_gpu.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETTINGS_MAX 65536

static void read_settings(char *out)
{
    const char *given = getenv("BERTH_FAKE_GPUS");
    out[0] = '\0';
    if (!given)
        return;
    if (given[0] != '@') {
        snprintf(out, SETTINGS_MAX, "%s", given);
        return;
    }
    FILE *f = fopen(given + 1, "r");
    if (!f)
        return;
    out[fread(out, 1, SETTINGS_MAX - 1, f)] = '\0';
    fclose(f);
}

const char *fake_get(const char *key, const char *missing, char *out, unsigned long size)
{
    char settings[SETTINGS_MAX], *rest = NULL;
    read_settings(settings);
    snprintf(out, size, "%s", missing);
    for (char *entry = strtok_r(settings, ";\n", &rest); entry; entry = strtok_r(NULL, ";\n", &rest)) {
        size_t n = strlen(key);
        if (strncmp(entry, key, n) == 0 && entry[n] == '=')
            snprintf(out, size, "%s", entry + n + 1);
    }
    return out;
}

long long fake_number(const char *key, long long missing)
{
    char text[64];
    fake_get(key, "", text, sizeof text);
    return text[0] ? strtoll(text, NULL, 10) : missing;
}

long long fake_device_number(const char *key, int index, long long missing)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%d", key, index);
    return fake_number(name, missing);
}

int fake_count(void)
{
    long long n = fake_number("gpus", 1);
    return n < 0 ? 0 : n > FAKE_GPUS_MAX ? FAKE_GPUS_MAX : (int)n;
}

void fake_uuid(int index, unsigned char *bytes)
{
    char seed[256];
    fake_get("seed", "berth", seed, sizeof seed);
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (const char *c = seed; *c; c++)
        h = (h ^ (unsigned char)*c) * 1099511628211u;
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(h >> (8 * i));
    memset(bytes + 8, 0, 8);
    bytes[8] = 0xfa; /* "fake" at a glance, in listings */
    bytes[9] = 0xce;
    bytes[15] = (unsigned char)index;
}

int fake_code(const char *what, const char *name)
{
    size_t n = strlen(name);
    return strncmp(what, name, n) == 0 && what[n] == ':' ? (int)strtol(what + n + 1, NULL, 10) : -1;
}

void fake_hang(void)
{
    for (;;)
        pause();
}
