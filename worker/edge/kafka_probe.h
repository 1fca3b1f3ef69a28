/* Looks at Kafka without joining it, for `check` and `version`: no group is joined, nothing is produced or committed, no
 * topic is created. librdkafka is silent meanwhile; what is wrong comes back as a sentence.
 *
 * Threads: one caller; each call makes and destroys its own handle. */
#ifndef WORKER_EDGE_KAFKA_PROBE_H
#define WORKER_EDGE_KAFKA_PROBE_H

#include "common/buffer.h"
#include "worker/settings.h"

/* Does librdkafka take the properties that the settings make for consumer and producer? STATUS_INVALID: `out_problem`
 * gets one sentence that names the property, never its value. Nothing is connected. */
NODISCARD enum status kafka_probe_properties(const struct settings *settings, struct buffer *out_problem);

/* Asks the brokers for their topics, within about `timeout_ms`, and whether those that the worker uses are among them.
 * STATUS_TIMEOUT: no broker answered; STATUS_NOT_FOUND: topics are missing; STATUS_INVALID: properties; `out_problem`
 * gets one sentence. Blocks. */
NODISCARD enum status kafka_probe_brokers(const struct settings *settings, int timeout_ms, struct buffer *out_problem);

/* Version of the linked librdkafka; static. */
const char *kafka_probe_version(void);

/* What it was built with ("gzip,snappy,ssl,sasl,…"). Written NUL-terminated, empty when it does not say. */
void kafka_probe_features(char *out_text, size_t size);

#endif
