/* Members of a JSON body, read with their limits. */
#include "scheduler/api.h"

/* A number of seconds in `field`, to milliseconds; absent leaves *ms as it is. */
bool api_take_seconds(const cJSON *body, const char *field, uint64_t *ms, struct error *err)
{
    const cJSON *item = json_get(body, field);
    if (!item)
        return true;
    if (!cJSON_IsNumber(item) || item->valuedouble < 0 || item->valuedouble > (double)API_SECONDS_MAX)
        return error_field(err, field, "%s must be a number of seconds from 0 to %lld", field,
                           (long long)API_SECONDS_MAX);
    *ms = (uint64_t)(item->valuedouble * 1000);
    return true;
}

bool api_take_bool(const cJSON *body, const char *field, bool *out, struct error *err)
{
    const cJSON *item = json_get(body, field);
    if (!item)
        return true;
    if (!cJSON_IsBool(item))
        return error_field(err, field, "%s must be true or false", field);
    *out = cJSON_IsTrue(item);
    return true;
}

bool api_take_count(const cJSON *body, const char *field, int64_t max, int64_t *out, struct error *err)
{
    const cJSON *item = json_get(body, field);
    if (!item)
        return true;
    if (!cJSON_IsNumber(item) || item->valuedouble < -(double)max || item->valuedouble > (double)max ||
        item->valuedouble != (double)(int64_t)item->valuedouble)
        return error_field(err, field, "%s must be a whole number of at most %lld", field, (long long)max);
    *out = (int64_t)item->valuedouble;
    return true;
}
