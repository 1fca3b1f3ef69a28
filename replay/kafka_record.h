/* librdkafka's messages as our records.
 *
 * Borrowed: the record points into the message and into `items`, and is good as long as both are. Any thread. */
#ifndef REPLAY_KAFKA_RECORD_H
#define REPLAY_KAFKA_RECORD_H

#include <librdkafka/rdkafka.h>

#include "schemas/record.h"

enum { KAFKA_RECORD_HEADERS_MAX = 64 };

/* A view of a message without an error. Of more than KAFKA_RECORD_HEADERS_MAX headers the last ones are kept, because the
 * last one of a name counts. */
struct record kafka_record_view(
	const rd_kafka_message_t *message, struct record_header items[static KAFKA_RECORD_HEADERS_MAX]);

#endif
