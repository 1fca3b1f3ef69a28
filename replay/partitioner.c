/* Austin Appleby's MurmurHash2, over words in little-endian order, with the seed that Kafka gives it. */
#include "replay/partitioner.h"

#include "common/assertion.h"

static const uint32_t SEED = 0x9747b28c;
static const uint32_t FACTOR = 0x5bd1e995;

enum { SHIFT = 24, WORD = 4 };

static uint32_t byte_at(struct bytes key, size_t at)
{
	return (unsigned char)key.data[at];
}

static uint32_t word_at(struct bytes key, size_t at)
{
	return byte_at(key, at) | byte_at(key, at + 1) << 8 | byte_at(key, at + 2) << 16 | byte_at(key, at + 3) << 24;
}

uint32_t partitioner_murmur2(struct bytes key)
{
	uint32_t hash = SEED ^ (uint32_t)key.size;
	size_t at = 0;
	for (; key.size - at >= WORD; at += WORD) {
		uint32_t word = word_at(key, at) * FACTOR;
		word = (word ^ word >> SHIFT) * FACTOR;
		hash = hash * FACTOR ^ word;
	}
	size_t rest = key.size - at;
	for (size_t i = rest; i > 0; i--)
		hash ^= byte_at(key, at + i - 1) << (8 * (i - 1));
	if (rest > 0) hash *= FACTOR;
	hash = (hash ^ hash >> 13) * FACTOR;
	return hash ^ hash >> 15;
}

int32_t partitioner_home(struct bytes key, int32_t count)
{
	ASSERT(count > 0);
	return (int32_t)(partitioner_murmur2(key) & INT32_MAX) % count;
}
