/* SplitMix64 (Steele, Lea and Flood, 2014): one word of state, any seed, passes the usual test batteries. */
#include "common/random.h"

#include <sys/random.h>
#include <time.h>
#include <unistd.h>

void random_init(struct random *random, uint64_t seed)
{
	random->state = seed;
}

uint64_t random_system_seed(void)
{
	uint64_t seed;
	if (getrandom(&seed, sizeof(seed), 0) == (ssize_t)sizeof(seed)) return seed;
	struct timespec time;
	clock_gettime(CLOCK_REALTIME, &time);
	return (uint64_t)time.tv_nsec ^ ((uint64_t)time.tv_sec << 20) ^ ((uint64_t)getpid() << 40);
}

uint64_t random_next(struct random *random)
{
	uint64_t mixed = (random->state += 0x9e3779b97f4a7c15ULL);
	mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
	mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
	return mixed ^ (mixed >> 31);
}

uint64_t random_below(struct random *random, uint64_t bound)
{
	if (bound == 0) return 0;
	/* Values past the last whole multiple of the bound would favour small results. */
	uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
	uint64_t value;
	do
		value = random_next(random);
	while (value >= limit);
	return value % bound;
}

double random_unit(struct random *random)
{
	return (double)(random_next(random) >> 11) * 0x1.0p-53;
}
