/* librdkafka configurations of the consumer and the producer, from the settings.
 *
 * Our own properties first, then kafka.properties, then kafka.consumer_properties or kafka.producer_properties; a later
 * one wins, except where the delivery promise would break (isolation.level, enable.auto.commit, enable.idempotence, the
 * partitioner and the like) or where a setting of its own exists: those are refused by name. Properties that only some
 * librdkafka versions know are set where they are known. Logs go to the owner's log; values of properties that hold
 * secrets are registered there for masking.
 *
 * Threads: any. The caller owns the result (rd_kafka_conf_destroy, or rd_kafka_new takes it). */
#ifndef WORKER_EDGE_KAFKA_CONF_H
#define WORKER_EDGE_KAFKA_CONF_H

#include <librdkafka/rdkafka.h>

#include "common/log.h"
#include "worker/settings.h"

/* PLAIN: what both have in common, for tools. */
enum kafka_conf_kind { KAFKA_CONF_CONSUMER, KAFKA_CONF_PRODUCER, KAFKA_CONF_PLAIN };

/* The opaque of every handle, so that callbacks find log and context. Must outlive the handle. */
struct kafka_owner {
	struct log *log; /* borrowed; NULL = librdkafka is silent */
	void *context;   /* of whoever made the handle */
};

enum {
	KAFKA_CONF_ERROR_SIZE = 256,
	KAFKA_CONF_ID_SIZE = 512, /* a transactional id with its NUL */
};

/* One sentence that names the property but never a secret's value; NUL-terminated. */
struct kafka_conf_error {
	char text[KAFKA_CONF_ERROR_SIZE];
};

/* `owner` becomes the handle's opaque. STATUS_INVALID: a property was refused; `out_error` (if not NULL) then says which
 * and why. */
NODISCARD enum status kafka_conf_new(const struct settings *settings, enum kafka_conf_kind kind,
	struct kafka_owner *owner, rd_kafka_conf_t **out_conf, struct kafka_conf_error *out_error);

/* The transactional id in force: kafka.transactional_id, by default group id, a dash, the host name. NUL-terminated, cut
 * at `size`. */
void kafka_conf_transactional_id(const struct settings *settings, char *out_id, size_t size);

/* The whole number that a property of `conf` has now; -1 when it is not one. */
int64_t kafka_conf_number(const rd_kafka_conf_t *conf, const char *name);

#endif
