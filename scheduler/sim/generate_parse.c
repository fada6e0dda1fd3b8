/* The generator's text form: a table of kinds with their defaults, and a table of keys. */
#include "scheduler/sim/generate.h"

#include "scheduler/sim/lines.h"

#include <stddef.h>
#include <string.h>

#define TEXT_MAX 512
#define LOAD_MAX 100

static const struct {
    const char *name;
    struct generate_spec spec;
} kinds[] = {
    {"lublin", {.kind = GENERATE_LUBLIN, .load = 0.85, .seed = 1, .jobs = 5000, .procs = 128, .users = 100}},
    {"bags", {.kind = GENERATE_BAGS, .load = 0.85, .seed = 1, .jobs = 5000, .procs = 128, .users = 40}},
    {"bursty", {.kind = GENERATE_BURSTY, .load = 0.85, .seed = 1, .jobs = 5000, .procs = 128, .users = 100}},
    {"cluster",
     {.kind = GENERATE_CLUSTER,
      .load = 0.85,
      .seed = 1,
      .jobs = 1000000,
      .users = 1000,
      .nodes = 10000,
      .gpus = 8,
      .gangs = 3,
      .shares = 10}},
};

static const struct {
    const char *name;
    double load;
} loads[] = {{"light", 0.5}, {"heavy", 0.85}, {"overloaded", 1.15}};

static const struct {
    const char *name;
    enum generate_estimates estimates;
} estimates[] = {{"exact", GENERATE_EXACT}, {"good", GENERATE_GOOD}, {"poor", GENERATE_POOR}};

#define ONE_MACHINE (1u << GENERATE_LUBLIN | 1u << GENERATE_BAGS | 1u << GENERATE_BURSTY)
#define CLUSTER (1u << GENERATE_CLUSTER)

static const struct {
    const char *name;
    size_t offset; /* of a uint32_t in the spec */
    uint32_t min, max;
    unsigned kinds;
} numbers[] = {
    {"jobs", offsetof(struct generate_spec, jobs), 1, TRACE_JOBS_MAX, ONE_MACHINE | CLUSTER},
    {"users", offsetof(struct generate_spec, users), 1, 1u << 20, ONE_MACHINE | CLUSTER},
    {"procs", offsetof(struct generate_spec, procs), 4, TRACE_CPUS_MAX, ONE_MACHINE},
    {"nodes", offsetof(struct generate_spec, nodes), 1, TRACE_NODES_MAX, CLUSTER},
    {"gpus", offsetof(struct generate_spec, gpus), 1, 32, CLUSTER},
    {"gangs", offsetof(struct generate_spec, gangs), 0, 50, CLUSTER},
    {"shares", offsetof(struct generate_spec, shares), 0, 50, CLUSTER},
};

#define COUNT_OF(table) (sizeof(table) / sizeof *(table))

static bool bad_value(struct error *err, const char *key, const char *value, const char *takes)
{
    return error_set(err, ERROR_INVALID, "%s takes %s, not \"%.40s\"", key, takes, value);
}

static bool take_load(struct generate_spec *spec, const char *value, struct error *err)
{
    int64_t milli;
    for (size_t i = 0; i < COUNT_OF(loads); i++) {
        if (strcmp(loads[i].name, value) == 0) {
            spec->load = loads[i].load;
            return true;
        }
    }
    if (lines_milli(value, LOAD_MAX, &milli) != NUMBER_OK || milli < 1)
        return bad_value(err, "load", value, "light, heavy, overloaded or a number from 0.001 to 100");
    spec->load = (double)milli / 1000;
    return true;
}

static bool take_estimates(struct generate_spec *spec, const char *value, struct error *err)
{
    for (size_t i = 0; i < COUNT_OF(estimates); i++) {
        if (strcmp(estimates[i].name, value) == 0) {
            spec->estimates = estimates[i].estimates;
            return true;
        }
    }
    return bad_value(err, "estimates", value, "exact, good or poor");
}

static bool take_seed(struct generate_spec *spec, const char *value, struct error *err)
{
    int64_t seed;
    if (lines_whole(value, INT64_MAX / 1024, &seed) != NUMBER_OK || seed < 0)
        return bad_value(err, "seed", value, "a whole number from 0");
    spec->seed = (uint64_t)seed;
    return true;
}

static bool take_pair(struct generate_spec *spec, const char *key, const char *value, struct error *err)
{
    if (strcmp(key, "load") == 0)
        return take_load(spec, value, err);
    if (strcmp(key, "estimates") == 0)
        return take_estimates(spec, value, err);
    if (strcmp(key, "seed") == 0)
        return take_seed(spec, value, err);
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        if (strcmp(numbers[i].name, key) != 0 || !(numbers[i].kinds >> spec->kind & 1))
            continue;
        int64_t n;
        if (lines_whole(value, numbers[i].max, &n) != NUMBER_OK || n < numbers[i].min)
            return error_set(err, ERROR_INVALID, "%s takes a whole number from %u to %u, not \"%.40s\"", key,
                             numbers[i].min, numbers[i].max, value);
        *(uint32_t *)(void *)((char *)spec + numbers[i].offset) = (uint32_t)n;
        return true;
    }
    return error_set(err, ERROR_INVALID, "this kind of trace has no \"%.40s\"", key);
}

bool generate_parse(const char *text, struct generate_spec *spec, struct error *err)
{
    char copy[TEXT_MAX];
    char *fields[LINES_FIELDS_MAX];
    size_t len = strlen(text);
    if (len >= sizeof copy)
        return error_set(err, ERROR_INVALID, "the description of the trace is longer than %d bytes",
                         TEXT_MAX - 1);
    memcpy(copy, text, len + 1);
    size_t count = lines_split(copy, ',', fields), kind = 0;
    while (kind < COUNT_OF(kinds) && (!count || strcmp(kinds[kind].name, fields[0]) != 0))
        kind++;
    if (kind == COUNT_OF(kinds)) {
        error_set(err, ERROR_INVALID, "there is no kind of trace \"%.40s\"", count ? fields[0] : "");
        return error_hint(err, "one of: lublin, bags, bursty, cluster");
    }
    if (count > LINES_FIELDS_MAX)
        return error_set(err, ERROR_INVALID, "the description of the trace has more than %d parts",
                         LINES_FIELDS_MAX);
    *spec = kinds[kind].spec;
    for (size_t i = 1; i < count; i++) {
        char *value = strchr(fields[i], '=');
        if (!value)
            return error_set(err, ERROR_INVALID, "\"%.40s\" is no key=value", fields[i]);
        *value++ = '\0';
        if (!take_pair(spec, fields[i], value, err))
            return false;
    }
    return true;
}
