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

void fake_instance_uuid(int index, int k, unsigned char *bytes)
{
    fake_uuid(index, bytes);
    bytes[14] = (unsigned char)(k + 1);
}

void fake_uuid_text(const char *prefix, const unsigned char *b, char *out, unsigned long size)
{
    snprintf(out, size, "%s-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", prefix,
             b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
             b[15]);
}

static int islands(void)
{
    char text[32];
    return strcmp(fake_get("topology", "", text, sizeof text), "islands") == 0;
}

static int half(int index)
{
    int each = (fake_count() + 1) / 2;
    return each > 0 ? index / each : 0;
}

static long long node(int index)
{
    return islands() ? half(index) : fake_device_number("node", index, 0);
}

int fake_nvlinks(int from, int to)
{
    char name[32], text[1024], *rest = NULL;
    if (islands())
        return half(from) == half(to) ? 4 : 0;
    snprintf(name, sizeof name, "nvlink.%d", from);
    fake_get(name, "", text, sizeof text);
    for (char *entry = strtok_r(text, ",", &rest); entry; entry = strtok_r(NULL, ",", &rest)) {
        char *colon = strchr(entry, ':');
        if (strtol(entry, NULL, 10) == to)
            return colon ? (int)strtol(colon + 1, NULL, 10) : 1;
    }
    return 0;
}

int fake_level(int from, int to)
{
    if (node(from) != node(to))
        return 50;
    if (fake_device_number("bridge", from, from) != fake_device_number("bridge", to, to))
        return 40;
    return fake_device_number("pcie", from, from) == fake_device_number("pcie", to, to) ? 10 : 30;
}

int fake_can_access(int from, int to)
{
    return !islands() || half(from) == half(to);
}

/* The profiles of a divided GPU in `text`; false where it is whole. */
static int profiles(int index, char *text, unsigned long size)
{
    char name[32];
    snprintf(name, sizeof name, "mig.%d", index);
    fake_get(name, "", text, size);
    return text[0] != '\0';
}

int fake_instances(int index)
{
    char text[1024];
    int count = 1;
    if (!profiles(index, text, sizeof text))
        return -1;
    if (strcmp(text, "none") == 0)
        return 0;
    for (const char *c = text; *c; c++)
        count += *c == ',';
    return count;
}

void fake_profile(int index, int k, char *name, unsigned long size, int *slices, long long *bytes)
{
    char text[1024], *rest = NULL;
    profiles(index, text, sizeof text);
    char *entry = strtok_r(text, ",", &rest);
    while (k-- > 0)
        entry = strtok_r(NULL, ",", &rest);
    snprintf(name, size, "%s", entry);
    *slices = (int)strtol(entry, NULL, 10);
    *bytes = strtoll(strchr(entry, '.') + 1, NULL, 10) << 30;
}

int fake_cuda_count(void)
{
    int whole = 0;
    for (int i = 0; i < fake_count(); i++) {
        if (fake_instances(i) > 0)
            return 1;
        whole += fake_instances(i) < 0;
    }
    return whole;
}

void fake_cuda_device(int ordinal, int *gpu, int *instance)
{
    int whole[FAKE_GPUS_MAX], count = 0;
    *instance = 0;
    for (int i = 0; i < fake_count(); i++) {
        *gpu = i;
        if (fake_instances(i) > 0)
            return;
        if (fake_instances(i) < 0)
            whole[count++] = i;
    }
    *instance = -1;
    *gpu = ordinal < count ? whole[ordinal] : 0;
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
