/* What the readers and writers of Kafka in this folder begin with: a handle with its properties, and what there is of a
 * topic.
 *
 * Every failure leaves a sentence for people in `out_problem`. Ownership: texts are borrowed for the call. Threads: the
 * caller's. Blocking is bounded by the times given. */
#ifndef REPLAY_KAFKA_SETUP_H
#define REPLAY_KAFKA_SETUP_H

#include <librdkafka/rdkafka.h>

#include "common/bytes.h"

enum { KAFKA_PROBLEM_MAX = 512 };

struct kafka_property {
	const char *name;
	const char *value;
};

/* What is configured, the weakest first: the program's own properties, then "name=value" texts of the user. */
struct kafka_setup {
	const char *brokers;
	const struct kafka_property *own;
	size_t own_count;
	const char *const *properties;
	size_t property_count;
};

/* Makes a handle of `conf`, which may have callbacks already and is consumed in any case. The log is kept quiet.
 * STATUS_INVALID: a property that librdkafka refuses. The caller destroys the handle. */
NODISCARD enum status kafka_setup_handle(const struct kafka_setup *setup, rd_kafka_type_t type, rd_kafka_conf_t *conf,
	char out_problem[static KAFKA_PROBLEM_MAX], rd_kafka_t **out_handle);

/* How many partitions a topic has. Asking also saves a first produce the wait for metadata.
 * STATUS_CLOSED: no broker answers. STATUS_NOT_FOUND: no such topic. STATUS_NO_MEMORY. */
NODISCARD enum status kafka_setup_partitions(rd_kafka_t *handle, const char *topic, int timeout_ms,
	char out_problem[static KAFKA_PROBLEM_MAX], int32_t *out_count);

/* Where the log of a partition begins, and where what a reader may see of it ends (with isolation.level=read_committed: at
 * the first open transaction). A topic that was just made is waited for. STATUS_CLOSED: cannot be found out. */
NODISCARD enum status kafka_setup_bounds(rd_kafka_t *handle, const rd_kafka_topic_partition_t *place, int timeout_ms,
	char out_problem[static KAFKA_PROBLEM_MAX], int64_t *out_start, int64_t *out_end);

#endif
