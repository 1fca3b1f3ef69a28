/* Replies: see the header. The order of the keys is that of the contract and never changes. */
#include "schemas/chat_response.h"

#include <string.h>

#include "common/assertion.h"
#include "schemas/reply_headers.h"
#include "schemas/wire_writer.h"

enum { REPLY_PAIRS = 13, TIMING_PAIRS = 5, SOURCE_PAIRS = 3, UTF8_SIZE_MAX = 4 };

const char *chat_outcome_word(enum chat_outcome outcome)
{
	switch (outcome) {
	case CHAT_OUTCOME_ANSWERED:
		return "answered";
	case CHAT_OUTCOME_FALLBACK:
		return "fallback";
	case CHAT_OUTCOME_REJECTED:
		return "rejected";
	}
	ASSERT_UNREACHABLE();
}

static bool is_clean(struct bytes text)
{
	return !bytes_has_nul(text) && bytes_is_utf8(text);
}

/* Bytes of the character at the start of `text`, 0 when there is no good one. */
static size_t character_size(struct bytes text)
{
	for (size_t size = 1; size <= UTF8_SIZE_MAX && size <= text.size; size++)
		if (is_clean(bytes_at(text.data, size))) return size;
	return 0;
}

/* What comes from outside is valid text where all is well; where it is not, each bad byte becomes a question mark,
 * because a reply that cannot be read is worse. */
static enum status clean(struct arena *arena, struct bytes *text)
{
	if (is_clean(*text)) return STATUS_OK;
	ASSERT(text->size > 0);
	char *copy = arena_alloc(arena, text->size);
	if (copy == NULL) return STATUS_NO_MEMORY;
	memcpy(copy, text->data, text->size);
	for (size_t at = 0; at < text->size;) {
		size_t size = character_size(bytes_at(copy + at, text->size - at));
		if (size == 0) copy[at] = '?';
		at += size == 0 ? 1 : size;
	}
	*text = bytes_at(copy, text->size);
	return STATUS_OK;
}

static enum status clean_all(struct arena *arena, struct chat_response *reply)
{
	struct chat_answer *answer = &reply->answer;
	struct bytes *texts[] = {
		&answer->content,
		&answer->refusal,
		&answer->reasoning,
		&answer->finish_reason,
		&answer->model,
		&answer->provider,
		&answer->generation_id,
		&reply->detail,
		&reply->topic,
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		enum status status = clean(arena, texts[i]);
		if (status != STATUS_OK) return status;
	}
	/* A record's key may be any bytes; as an id in the body it is null then. */
	if (!is_clean(reply->conversation_id)) reply->conversation_id = BYTES_NONE;
	return STATUS_OK;
}

static void write_text(struct wire_writer *writer, const char *key, struct bytes text)
{
	wire_writer_key(writer, key);
	wire_writer_text(writer, text);
}

static void write_integer(struct wire_writer *writer, const char *key, int64_t value)
{
	wire_writer_key(writer, key);
	wire_writer_integer(writer, value);
}

/* A duration or null. */
static void write_span(struct wire_writer *writer, const char *key, int64_t value_ms)
{
	if (value_ms >= 0)
		write_integer(writer, key, value_ms);
	else
		write_text(writer, key, BYTES_NONE);
}

static void write_json(struct wire_writer *writer, const char *key, struct bytes json)
{
	wire_writer_key(writer, key);
	wire_writer_json(writer, json);
}

static void write_message(struct wire_writer *writer, const struct chat_answer *answer)
{
	size_t pairs = 2;
	pairs += bytes_is_given(answer->tool_calls_json) + bytes_is_given(answer->refusal);
	pairs += bytes_is_given(answer->reasoning) + bytes_is_given(answer->annotations_json);
	pairs += bytes_is_given(answer->images_json);

	wire_writer_key(writer, "message");
	wire_writer_map(writer, pairs);
	write_text(writer, "role", BYTES_LITERAL("assistant"));
	write_text(writer, "content", answer->content);
	if (bytes_is_given(answer->tool_calls_json)) write_json(writer, "tool_calls", answer->tool_calls_json);
	if (bytes_is_given(answer->refusal)) write_text(writer, "refusal", answer->refusal);
	if (bytes_is_given(answer->reasoning)) write_text(writer, "reasoning", answer->reasoning);
	if (bytes_is_given(answer->annotations_json)) write_json(writer, "annotations", answer->annotations_json);
	if (bytes_is_given(answer->images_json)) write_json(writer, "images", answer->images_json);
	wire_writer_end_map(writer);
}

static void write_error(struct wire_writer *writer, const struct chat_response *reply)
{
	wire_writer_key(writer, "error");
	if (reply->reason == REASON_NONE) {
		wire_writer_null(writer);
		return;
	}
	struct bytes message = reply->detail;
	if (!bytes_is_given(message)) message = bytes_of(reason_message(reply->reason));
	wire_writer_map(writer, reply->http_status == 0 ? 3 : 4);
	write_text(writer, "reason", bytes_of(reason_word(reply->reason)));
	write_text(writer, "message", message);
	wire_writer_key(writer, "retryable");
	wire_writer_bool(writer, reason_is_retryable(reply->reason));
	if (reply->http_status != 0) write_integer(writer, "http_status", reply->http_status);
	wire_writer_end_map(writer);
}

static void write_timing(struct wire_writer *writer, const struct chat_response *reply)
{
	wire_writer_key(writer, "timing");
	wire_writer_map(writer, TIMING_PAIRS);
	write_integer(writer, "received_ms", reply->received_ms);
	write_integer(writer, "replied_ms", reply->replied_ms);
	write_integer(writer, "waited_ms", reply->waited_ms);
	write_span(writer, "upstream_ms", reply->upstream_ms);
	write_span(writer, "first_token_ms", reply->first_token_ms);
	wire_writer_end_map(writer);
}

static void write_source(struct wire_writer *writer, const struct chat_response *reply)
{
	wire_writer_key(writer, "source");
	wire_writer_map(writer, SOURCE_PAIRS);
	write_text(writer, "topic", reply->topic);
	write_integer(writer, "partition", reply->partition);
	write_integer(writer, "offset", reply->offset);
	wire_writer_end_map(writer);
}

static void write_body(struct wire_writer *writer, const struct chat_response *reply)
{
	const struct chat_answer *answer = &reply->answer;
	wire_writer_map(writer, REPLY_PAIRS);
	write_text(writer, "request_id", reply->request_id);
	write_text(writer, "conversation_id", reply->conversation_id);
	write_text(writer, "outcome", bytes_of(chat_outcome_word(reply->outcome)));
	write_message(writer, answer);
	write_text(writer, "finish_reason", answer->finish_reason);
	write_text(writer, "model", answer->model);
	write_text(writer, "provider", answer->provider);
	write_text(writer, "generation_id", answer->generation_id);
	write_json(writer, "usage", answer->usage_json);
	write_error(writer, reply);
	write_integer(writer, "attempts", reply->attempts);
	write_timing(writer, reply);
	write_source(writer, reply);
	wire_writer_end_map(writer);
}

/* The body's bytes in the arena. */
static enum status body_bytes(
	const struct chat_response *reply, size_t value_max, struct arena *arena, struct bytes *out_value)
{
	struct wire_writer writer;
	wire_writer_init(&writer, reply->coding, value_max);
	write_body(&writer, reply);
	enum status status = buffer_status(&writer.out);
	if (status == STATUS_OK) status = arena_copy(arena, buffer_bytes(&writer.out), out_value);
	buffer_deinit(&writer.out);
	return status;
}

enum status chat_response_write(const struct chat_response *response, const struct chat_reply_address *address,
	size_t value_max, struct arena *arena, struct outgoing *out_record)
{
	ASSERT((response->outcome == CHAT_OUTCOME_ANSWERED) == (response->reason == REASON_NONE));
	ASSERT(response->attempts >= 0);
	struct chat_response reply = *response;
	if (reply.outcome != CHAT_OUTCOME_ANSWERED)
		reply.answer = (struct chat_answer){ .content = response->answer.content };

	struct outgoing record = { .topic = address->topic, .key = response->conversation_id };
	enum status status = clean_all(arena, &reply);
	if (status != STATUS_OK) return status;
	status = body_bytes(&reply, value_max, arena, &record.value);
	if (status != STATUS_OK) return status;
	status = reply_headers_write(&reply, address, arena, &record.headers);
	if (status != STATUS_OK) return status;
	*out_record = record;
	return STATUS_OK;
}
