#include "executor/abilities.h"

#include "base/buf.h"
#include "base/cleanup.h"

static void add_runtimes(struct runtimes *runtimes, cJSON *o, cJSON *missing)
{
    cJSON *list = cJSON_AddArrayToObject(o, "runtimes");
    _cleanup_buf_ struct buf none = {0};
    buf_add_str(&none, "no OCI runtime works (");
    for (enum runtime i = RUNTIME_CRUN; i < RUNTIME_COUNT; i++) {
        char why[RUNTIMES_WHY_MAX];
        runtimes_why(runtimes, i, why);
        bool offered = runtimes_path(runtimes, i) != NULL;
        cJSON *one = cJSON_CreateObject();
        json_add_str(one, "name", runtime_name(i));
        cJSON_AddBoolToObject(one, "works", offered);
        json_add_str(one, "why", offered ? NULL : why);
        cJSON_AddItemToArray(list, one);
        buf_printf(&none, "%s%s: %s", i == RUNTIME_CRUN ? "" : "; ", runtime_name(i), why);
    }
    buf_add_str(&none, "): apt-get install crun");
    if (runtimes_first(runtimes) == RUNTIME_PROCESS)
        cJSON_AddItemToArray(missing, cJSON_CreateString(none.data));
}

cJSON *abilities_json(const struct isolation *iso)
{
    const struct {
        const char *name;
        bool value;
    } facts[] = {
        {"cpu", iso->cpu},
        {"memory", iso->memory},
        {"pids", iso->pids},
        {"devices", iso->devices},
        {"users", iso->users},
        {"freeze", iso->freeze},
        {"userns", iso->userns},
        {"overlay", iso->overlay},
        {"cgroup_kill", iso->cgroup_kill},
        {"landlock_scope", iso->landlock_scope},
    };
    cJSON *o = cJSON_CreateObject();
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        cJSON_AddBoolToObject(o, facts[i].name, facts[i].value);
    cJSON *missing = cJSON_AddArrayToObject(o, "missing");
    for (size_t i = 0; i < iso->n_missing; i++)
        cJSON_AddItemToArray(missing, cJSON_CreateString(iso->missing[i]));
    add_runtimes(iso->runtimes, o, missing);
    return o;
}
