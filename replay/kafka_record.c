/* Views of messages. */
#include "replay/kafka_record.h"

static size_t read_headers(const rd_kafka_message_t *message, struct record_header *items)
{
	rd_kafka_headers_t *headers = NULL;
	size_t count = 0;
	if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return 0;
	size_t all = rd_kafka_header_cnt(headers);
	for (size_t i = all > KAFKA_RECORD_HEADERS_MAX ? all - KAFKA_RECORD_HEADERS_MAX : 0; i < all; i++) {
		const char *name = NULL;
		const void *value = NULL;
		size_t size = 0;
		if (rd_kafka_header_get_all(headers, i, &name, &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR) break;
		items[count++] = (struct record_header){ .name = bytes_of(name), .value = bytes_at(value, size) };
	}
	return count;
}

struct record kafka_record_view(
	const rd_kafka_message_t *message, struct record_header items[static KAFKA_RECORD_HEADERS_MAX])
{
	rd_kafka_timestamp_type_t type;
	struct record view = { .partition = message->partition,
		.offset = message->offset,
		.timestamp_ms = rd_kafka_message_timestamp(message, &type),
		.key = bytes_at(message->key, message->key_len),
		.value = bytes_at(message->payload, message->len) };
	view.headers = (struct record_headers){ .items = items, .count = read_headers(message, items) };
	return view;
}
