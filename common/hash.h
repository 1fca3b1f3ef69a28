/* Hash and check sums over bytes.
 *
 * hash_keyed() is SipHash-2-4 (Aumasson and Bernstein, 2012): ids come from outside, and a table with a guessable
 * hash can be made to degenerate. crc32 is CRC-32C (Castagnoli, polynomial 0x1EDC6F41, reflected), as Kafka uses. */
#ifndef COMMON_HASH_H
#define COMMON_HASH_H

#include "common/bytes.h"

struct hash_key {
	uint64_t k0, k1;
};

uint64_t hash_keyed(struct hash_key key, struct bytes view);

uint32_t hash_crc32c(struct bytes view);

#endif
