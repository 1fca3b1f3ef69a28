/* The sandbox's Kafka: librdkafka's mock cluster, one broker on a free port of 127.0.0.1, all in memory.
 *
 * It serves clients of other processes, consumer groups and plain offset commits with metadata. It has no
 * transactions worth the name (offsets of transactions are dropped, aborted records stay visible), so workers on it
 * need `delivery = "at_least_once"`. Each partition keeps about 5 MiB. A group's first member waits 3 s for others
 * (librdkafka before 2.6.0; later 100 ms).
 *
 * Owner: whoever started it. Threads: librdkafka's own; the functions may be called by any one thread. */
#ifndef REPLAY_MOCK_KAFKA_H
#define REPLAY_MOCK_KAFKA_H

#include <stddef.h>

#include "common/status.h"

struct mock_kafka;

enum { MOCK_TOPICS_MAX = 8, MOCK_PARTITIONS_MAX = 1000 };

struct mock_topic {
	const char *name;
	int partitions; /* 1..MOCK_PARTITIONS_MAX */
};

/* Starts the cluster with its topics; names are borrowed for the call. STATUS_FATAL: librdkafka refused, told on
 * stderr. Stop with mock_kafka_stop(). */
NODISCARD enum status mock_kafka_start(const struct mock_topic *topics, size_t count, struct mock_kafka **out_mock);

/* Closes all connections. Accepts NULL. Blocks for the cluster's thread. */
void mock_kafka_stop(struct mock_kafka *mock);

/* "127.0.0.1:PORT", borrowed. */
const char *mock_kafka_bootstraps(const struct mock_kafka *mock);

#endif
