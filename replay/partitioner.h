/* Which partition a key belongs to: murmur2 with Java's seed, as `murmur2_random` of librdkafka and Java's own client
 * take it. Pure; any thread. */
#ifndef REPLAY_PARTITIONER_H
#define REPLAY_PARTITIONER_H

#include "common/bytes.h"

/* 32 bits of murmur2 as Kafka's Java client computes it (kafka.common.utils.Utils). */
uint32_t partitioner_murmur2(struct bytes key);

/* The partition of a key that is not null among `count` of them, which is at least one. */
int32_t partitioner_home(struct bytes key, int32_t count);

#endif
