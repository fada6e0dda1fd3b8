/*
 * The policies: what each makes of a job when it comes, and whose turn it is. A policy is a row of the table;
 * pass.c does what the rows say.
 */
#include <string.h>

#include "scheduler/core/step.h"

static const struct policy policies[CORE_POLICY_COUNT] = {
    [CORE_POLICY_FCFS] = {.name = "fcfs", .strict = true},
    [CORE_POLICY_EASY] = {.name = "easy"},
    [CORE_POLICY_EASY_SJBF] = {.name = "easy-sjbf", .shortest = true},
    [CORE_POLICY_CONSERVATIVE] = {.name = "conservative", .promises_all = true},
    [CORE_POLICY_BERTH] = {.name = "berth", .learns = true},
};

const char *core_policy_name(enum core_policy policy)
{
    return (unsigned)policy < CORE_POLICY_COUNT ? policies[policy].name : "?";
}

bool core_policy_parse(const char *name, enum core_policy *out)
{
    for (int i = 0; i < CORE_POLICY_COUNT; i++) {
        if (strcmp(name, policies[i].name) == 0) {
            *out = (enum core_policy)i;
            return true;
        }
    }
    return false;
}

const struct policy *policy_of(const struct core *core)
{
    return &policies[core->h->facts.policy];
}

uint64_t policy_guess(const struct core *core, const struct job_facts *job)
{
    (void)core;
    return job->time_limit_ms ? job->time_limit_ms : CORE_UNLIMITED_MS;
}

uint32_t policy_base(const struct core *core, const struct job_facts *job)
{
    (void)core;
    (void)job;
    return 0;
}

uint32_t policy_head(const struct core *core)
{
    struct treap order = {(struct core *)(uintptr_t)core, true};
    for (uint32_t k = treap_first(order, core->h->klass_root); k;
         k = treap_next(order, core->h->klass_root, k)) {
        if (tenant_allows(core, &core->klasses[k]))
            return k;
    }
    return 0;
}
