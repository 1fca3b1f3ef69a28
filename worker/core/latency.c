/* How long something took lately: see the header. */
#include "worker/core/latency.h"

#include <stddef.h>

#include "common/assertion.h"

/* Buckets of an octave. */
enum { SLICES = 8 };

_Static_assert(LATENCY_BUCKETS % SLICES == 0, "whole octaves");

static unsigned bucket_of(int64_t duration_ms)
{
	if (duration_ms < 0) duration_ms = 0;
	if (duration_ms > LATENCY_MAX_MS) duration_ms = LATENCY_MAX_MS;
	unsigned octave = 0;
	while (duration_ms >> octave >= 2 * SLICES)
		octave++;
	unsigned bucket = octave * SLICES + (unsigned)(duration_ms >> octave);
	ASSERT(bucket < LATENCY_BUCKETS);
	return bucket;
}

/* The longest that counts there. */
static int64_t upper_end(unsigned bucket)
{
	ASSERT(bucket < LATENCY_BUCKETS);
	if (bucket < SLICES) return bucket;
	unsigned octave = bucket / SLICES - 1;
	int64_t end_ms = ((int64_t)(SLICES + bucket % SLICES + 1) << octave) - 1;
	ASSERT(end_ms <= LATENCY_MAX_MS);
	return end_ms;
}

static void halve(struct latency *latency)
{
	uint32_t total = 0;
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		latency->weights[i] /= 2;
		total += latency->weights[i];
	}
	ASSERT(total <= latency->total / 2);
	ASSERT(total > latency->total / 2 - LATENCY_BUCKETS);
	latency->total = total;
}

/* Every sample ends here, its weight having been put into buckets. */
static void count(struct latency *latency)
{
	latency->total += LATENCY_SAMPLE;
	ASSERT(latency->total <= LATENCY_SAMPLES_MAX * LATENCY_SAMPLE);
	if (latency->total > (LATENCY_SAMPLES_MAX - 1) * LATENCY_SAMPLE) halve(latency);
	ASSERT(latency->total >= LATENCY_SAMPLE);
}

void latency_init(struct latency *latency)
{
	ASSERT(latency != NULL);
	*latency = (struct latency){ .total = 0 };
}

void latency_note(struct latency *latency, int64_t duration_ms)
{
	ASSERT(latency != NULL);
	latency->weights[bucket_of(duration_ms)] += LATENCY_SAMPLE;
	count(latency);
}

/* One sample over all buckets from this one on, whose weights are `sum` together. */
static void spread(struct latency *latency, unsigned from, uint32_t sum)
{
	ASSERT(sum > 0);
	ASSERT(sum <= latency->total);
	uint64_t passed = 0;
	uint64_t given = 0;
	for (unsigned i = from; i < LATENCY_BUCKETS; i++) {
		passed += latency->weights[i];
		uint64_t due = passed * LATENCY_SAMPLE / sum;
		latency->weights[i] += (uint32_t)(due - given);
		given = due;
	}
	ASSERT(given == LATENCY_SAMPLE);
}

void latency_note_at_least(struct latency *latency, int64_t duration_ms)
{
	ASSERT(latency != NULL);
	unsigned from = bucket_of(duration_ms) + 1;
	uint32_t sum = 0;
	for (unsigned i = from; i < LATENCY_BUCKETS; i++)
		sum += latency->weights[i];
	if (sum > 0)
		spread(latency, from, sum);
	else
		latency->weights[from < LATENCY_BUCKETS ? from : LATENCY_BUCKETS - 1] += LATENCY_SAMPLE;
	count(latency);
}

int64_t latency_quantile(const struct latency *latency, int permille)
{
	ASSERT(permille >= 1);
	ASSERT(permille <= 1000);
	if (latency->total < LATENCY_SAMPLES_MIN * LATENCY_SAMPLE) return -1;
	uint64_t wanted = (uint64_t)latency->total * (uint64_t)permille;
	uint64_t passed = 0;
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		passed += latency->weights[i];
		if (passed * 1000 >= wanted) return upper_end(i);
	}
	ASSERT_UNREACHABLE();
}
