/* The identity of a consumer group's member, as opaque bytes that are safe to commit with.
 *
 * librdkafka may give an identity without generation and member id while partitions still seem owned, and brokers accept
 * a transactional offset commit with that identity without fencing anyone. So an identity counts only when its
 * generation is 0 or more and its member id is not empty; it is checked when it is taken and again before it is used.
 *
 * Threads: any. Taking waits for librdkafka's main thread, which is short. */
#ifndef WORKER_EDGE_KAFKA_GROUP_H
#define WORKER_EDGE_KAFKA_GROUP_H

#include <librdkafka/rdkafka.h>

#include "common/bytes.h"

/* The identity that the consumer `rk` has now; BYTES_NONE when it is not usable or memory is missing. The caller frees
 * `data`. */
struct bytes kafka_group_capture(rd_kafka_t *rk);

/* librdkafka's form of a captured identity, for rd_kafka_consumer_group_metadata_destroy(); NULL when it is not given,
 * damaged, or not usable. */
rd_kafka_consumer_group_metadata_t *kafka_group_open(struct bytes identity);

#endif
