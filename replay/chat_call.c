/* Calls: ids, headers, replies. */
#include "replay/chat_call.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/random.h"

void chat_call_make_id(char out_id[static CHAT_CALL_ID_SIZE])
{
	struct random random;
	random_init(&random, random_system_seed());
	snprintf(out_id, CHAT_CALL_ID_SIZE, "replay-%016" PRIx64, random_next(&random));
}

enum status chat_call_send(struct kafka_client *client, const char *topic, struct bytes id,
	struct bytes conversation_id, enum chat_coding coding, struct bytes value)
{
	const struct record_header headers[] = {
		{ BYTES_LITERAL("content-type"), bytes_of(coding_content_type(coding)) },
		{ BYTES_LITERAL("correlation-id"), id },
		{ BYTES_LITERAL("chat-replay-id"), id },
	};
	const struct outgoing record = { .topic = bytes_of(topic),
		.key = conversation_id,
		.value = value,
		.headers = { .items = headers, .count = sizeof headers / sizeof headers[0] } };
	return kafka_client_send(client, &record);
}

bool chat_call_is_reply(const struct record *record, struct bytes id)
{
	return bytes_equal(record_headers_last(&record->headers, "correlation-id"), id);
}

enum status chat_call_read(const struct record *record, struct arena *arena, struct chat_client_response *out_response)
{
	struct bytes content_type = record_headers_last(&record->headers, "content-type");
	return chat_client_response_read(record->value, content_type, arena, out_response);
}
