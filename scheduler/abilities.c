#include "scheduler/abilities.h"

#include "base/cleanup.h"
#include "proto/resources.h"
#include "scheduler/nodes.h"

#include <string.h>

static const struct {
    const char *name;
    uint64_t bit;
} runtimes[] = {{"crun", RESOURCE_CAN_CRUN}, {"runc", RESOURCE_CAN_RUNC}};

static uint64_t bit_of(const char *name)
{
    for (size_t i = 0; i < sizeof runtimes / sizeof *runtimes; i++)
        if (strcmp(name, runtimes[i].name) == 0)
            return runtimes[i].bit;
    return 0;
}

uint64_t abilities_of_node(const cJSON *isolation)
{
    const cJSON *list = json_get(isolation, "runtimes"), *one;
    uint64_t bits = 0;
    if (!cJSON_IsArray(list))
        return RESOURCE_ABILITIES;
    cJSON_ArrayForEach(one, list)
    {
        uint64_t bit = bit_of(json_str(one, "name", ""));
        if (bit && json_bool(one, "works", false))
            bits |= bit | RESOURCE_CAN_OCI;
    }
    return bits;
}

uint64_t abilities_of_job(const struct job_spec *spec)
{
    static const uint64_t bits[] = {
        [JOB_RUNTIME_AUTO] = RESOURCE_CAN_OCI,
        [JOB_RUNTIME_CRUN] = RESOURCE_CAN_CRUN,
        [JOB_RUNTIME_RUNC] = RESOURCE_CAN_RUNC,
        [JOB_RUNTIME_PROCESS] = 0,
    };
    return bits[spec->runtime];
}

const char *abilities_words(uint64_t labels)
{
    return labels & RESOURCE_CAN_CRUN   ? "crun"
           : labels & RESOURCE_CAN_RUNC ? "runc"
                                        : "an OCI runtime (crun or runc)";
}

void abilities_lacking(const struct node *node, uint64_t labels, struct buf *line)
{
    struct error ignored = {0};
    const char *text = node->isolation_text ? node->isolation_text : "{}", *comma = "";
    _cleanup_json_ cJSON *isolation = json_parse(text, strlen(text), &ignored);
    const cJSON *one;
    buf_printf(line, "it can't run this: it needs %s that works (", abilities_words(labels));
    cJSON_ArrayForEach(one, json_get(isolation, "runtimes"))
    {
        const char *name = json_str(one, "name", "?");
        if (!(labels & RESOURCE_CAN_OCI) && !(labels & bit_of(name)))
            continue;
        buf_printf(line, "%s%s: %s", comma, name, json_str(one, "why", "works"));
        comma = "; ";
    }
    buf_add_str(line, ")");
}
