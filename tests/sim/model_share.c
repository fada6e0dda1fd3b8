/*
 * The model's word on fair share: what a principal has used, faded, and what its leases have used so far give
 * the place that the core decides.
 */
#include <math.h>

#include "sim.h"

#define CORE_HOUR_S 3600.0
#define SHARE_PLACE_MAX 256
#define ROUNDING_PARTS 0.01 /* of the use, and so many core-seconds more: what whole numbers may lose */
#define ROUNDING_CORE_S 10.0

static uint32_t width_of(const struct resource_lease *lease)
{
    uint32_t width = lease->pool + (uint32_t)__builtin_popcount(lease->gpus);
    for (uint32_t word = 0; word < RESOURCE_CORE_WORDS; word++)
        width += (uint32_t)__builtin_popcountll(lease->cores[word]);
    return width;
}

static void fade(struct sim *sim)
{
    uint64_t now = core_now(sim->main), half_life = sim->config.share_half_life_ms;
    now = sim->now_ms > now ? sim->now_ms : now; /* as the core will have it, if the event is still to come */
    double part = half_life ? exp2(-(double)(now - sim->share_ms) / (double)half_life) : 1;
    for (uint32_t i = 0; i < SIM_TENANTS; i++)
        sim->share_used[i] *= part;
    sim->share_ms = now;
}

void model_share_config(struct sim *sim)
{
    fade(sim);
}

void model_share_freed(struct sim *sim, const struct mlease *lease)
{
    fade(sim);
    uint64_t ran_s = (core_now(sim->main) - lease->began_ms) / 1000;
    sim->share_used[model_job(sim, lease->task.job)->submit.principal.v] +=
        (double)ran_s * width_of(&lease->lease);
}

static uint32_t place_of(const struct sim *sim, uint32_t principal, double core_s)
{
    uint32_t milli = sim->weight_milli[principal];
    double hours = core_s / CORE_HOUR_S * CORE_WEIGHT_ONE / (milli ? milli : CORE_WEIGHT_ONE);
    double place = hours < 1 ? 0 : (floor(log2(hours)) + 1) * sim->config.share_weight;
    return place < SHARE_PLACE_MAX ? (uint32_t)place : SHARE_PLACE_MAX;
}

void model_share(struct sim *sim, const struct core_decision *d)
{
    uint32_t principal = d->as.share.principal.v;
    fade(sim);
    if (!sim->config.share_weight || !principal || principal >= SIM_TENANTS)
        sim_fail(sim, "a share of principal %u, of whom none is due", principal);
    double used = sim->share_used[principal];
    for (uint32_t i = 0; i < sim->lease_count; i++) {
        const struct mlease *lease = &sim->leases[i];
        if (lease->held && model_job(sim, lease->task.job)->submit.principal.v == principal)
            used += (double)(core_now(sim->main) - lease->began_ms) / 1000 * width_of(&lease->lease);
    }
    double error = used * ROUNDING_PARTS + ROUNDING_CORE_S;
    if (d->as.share.place < place_of(sim, principal, used - error) ||
        d->as.share.place > place_of(sim, principal, used + error))
        sim_fail(sim, "principal %u gets place %u of fair share by %.0f core-seconds", principal,
                 d->as.share.place, used);
    sim->shares++;
}
