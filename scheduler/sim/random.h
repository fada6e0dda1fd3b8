/*
 * Random numbers from a seed. The same seed gives the same numbers everywhere; values that go through the
 * mathematics library may differ in their last bit between its versions.
 */
#ifndef BERTH_SCHEDULER_SIM_RANDOM_H
#define BERTH_SCHEDULER_SIM_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state;
};

void random_seed(struct random *r, uint64_t seed);
uint64_t random_bits(struct random *r);
uint32_t random_below(struct random *r, uint32_t bound); /* 0 .. bound - 1; bound > 0 */
double random_unit(struct random *r);                    /* above 0, below 1 */
double random_between(struct random *r, double low, double high);
double random_exponential(struct random *r, double mean);
double random_normal(struct random *r);
/* Mean shape * scale. */
double random_gamma(struct random *r, double shape, double scale);

#endif
