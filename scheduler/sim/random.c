/* SplitMix64 (Steele, Lea, Flood 2014), and the usual ways from uniform numbers to others. */
#include "scheduler/sim/random.h"

#include <math.h>

#define TAU 6.283185307179586

void random_seed(struct random *r, uint64_t seed)
{
    r->state = seed;
}

uint64_t random_bits(struct random *r)
{
    uint64_t v = (r->state += UINT64_C(0x9e3779b97f4a7c15));
    v = (v ^ (v >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ (v >> 27)) * UINT64_C(0x94d049bb133111eb);
    return v ^ (v >> 31);
}

uint32_t random_below(struct random *r, uint32_t bound)
{
    return (uint32_t)(((random_bits(r) >> 32) * bound) >> 32);
}

double random_unit(struct random *r)
{
    return ((double)(random_bits(r) >> 12) + 0.5) * 0x1p-52;
}

double random_between(struct random *r, double low, double high)
{
    return low + (high - low) * random_unit(r);
}

double random_exponential(struct random *r, double mean)
{
    return -mean * log(random_unit(r));
}

double random_normal(struct random *r)
{
    double radius = sqrt(-2 * log(random_unit(r)));
    return radius * cos(TAU * random_unit(r));
}

/* Marsaglia and Tsang 2000; a shape below 1 is raised by one and scaled back. */
double random_gamma(struct random *r, double shape, double scale)
{
    if (shape < 1)
        return random_gamma(r, shape + 1, scale) * pow(random_unit(r), 1 / shape);
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = random_normal(r), v = 1 + c * x;
        if (v <= 0)
            continue;
        v = v * v * v;
        if (log(random_unit(r)) < 0.5 * x * x + d - d * v + d * log(v))
            return d * v * scale;
    }
}
