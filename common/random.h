/* Reproducible random numbers: the state is a value that the caller owns and passes.
 *
 * For jitter, ids of commits and tests; not for secrets. Same seed, same sequence, on every compiler. */
#ifndef COMMON_RANDOM_H
#define COMMON_RANDOM_H

#include <stdint.h>

struct random {
	uint64_t state;
};

/* Any seed is good, 0 too. */
void random_init(struct random *random, uint64_t seed);

/* A seed from the system, for production; falls back to clock and process id when the system has none. */
uint64_t random_system_seed(void);

uint64_t random_next(struct random *random);

/* Uniform in [0, bound); 0 for a bound of 0. */
uint64_t random_below(struct random *random, uint64_t bound);

/* Uniform in [0, 1). */
double random_unit(struct random *random);

#endif
