/* librdkafka's errors, translated once into what to do. Nothing outside the Kafka files sees an rd_kafka error code.
 *
 * Threads: any; nothing is kept and nothing blocks. */
#ifndef WORKER_EDGE_KAFKA_ERROR_H
#define WORKER_EDGE_KAFKA_ERROR_H

#include <librdkafka/rdkafka.h>

#include "common/bytes.h"

enum kafka_action {
	KAFKA_ACTION_NONE,  /* no error */
	KAFKA_ACTION_AGAIN, /* repeat the same call */
	KAFKA_ACTION_ABORT, /* abort the transaction, then the batch again */
	KAFKA_ACTION_RENEW, /* the end is uncertain: a new producer, then ask what is committed */
	KAFKA_ACTION_STOP,  /* the handle cannot go on and a new one would not help (configuration, authorisation) */
};

/* Takes `error` and destroys it; NULL is KAFKA_ACTION_NONE. The code and a static name are given for the log. */
enum kafka_action kafka_error_take(rd_kafka_error_t *error, rd_kafka_resp_err_t *out_code, const char **out_name);

/* For plain codes, such as those of delivery reports and consumer events. */
enum kafka_action kafka_error_action(rd_kafka_resp_err_t code);

/* The producer was fenced by a newer one of the same transactional id. A transaction that the broker timed out looks the
 * same. */
bool kafka_error_is_fenced(rd_kafka_resp_err_t code);

#endif
