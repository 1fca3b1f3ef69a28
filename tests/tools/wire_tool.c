/* Shows what the wire code makes of records, so that tests in other languages can judge it.
 *
 *   wire_tool read      frames on stdin, one line of JSON a frame on stdout: the request or the rejection, the reply
 *                       that would be sent and the dead letter
 *   wire_tool replies   one line a reply: each outcome and reason in both codings
 *
 * A frame is a record: the number of headers, then name and value of each, then key and value. Numbers are big-endian
 * of four bytes; each field is its size and its bytes, the size 0xffffffff meaning null. Bytes are printed as hex. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "schemas/chat_request.h"
#include "schemas/chat_response.h"
#include "schemas/dead_letter.h"

enum {
	HEADERS_MAX = 32,
	FIELD_MAX = 16 * 1024 * 1024,
	ARENA_MAX = 64 * 1024 * 1024,
	LINE_MAX_BYTES = 512 * 1024 * 1024
};

static const struct chat_limits limits = { .record_bytes = 1024 * 1024, .depth = 32, .messages = 512, .id_bytes = 128 };

/* A record on the heap, field by field. */
struct frame {
	struct record record;
	struct record_header headers[HEADERS_MAX];
};

static bool read_number(uint32_t *out_number)
{
	unsigned char at[4];
	if (fread(at, 1, sizeof(at), stdin) != sizeof(at)) return false;
	*out_number = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
	return true;
}

static void stop(const char *why)
{
	fprintf(stderr, "wire_tool: %s\n", why);
	exit(2);
}

/* Exactly as many bytes as there are, so that the sanitizer sees the first one read too many. */
static struct bytes read_field(void)
{
	uint32_t size;
	if (!read_number(&size)) stop("frame is cut off");
	if (size == UINT32_MAX) return BYTES_NONE;
	if (size > FIELD_MAX) stop("field is too large");
	char *data = malloc(size == 0 ? 1 : size);
	if (data == NULL || fread(data, 1, size, stdin) != size) stop("field is cut off");
	return bytes_at(data, size);
}

static bool read_frame(struct frame *frame)
{
	uint32_t count;
	if (!read_number(&count)) return false;
	if (count > HEADERS_MAX) stop("too many headers");
	for (uint32_t i = 0; i < count; i++) {
		frame->headers[i].name = read_field();
		frame->headers[i].value = read_field();
	}
	struct bytes key = read_field();
	frame->record = (struct record){
		.partition = 3,
		.offset = 42,
		.timestamp_ms = 1700000000000,
		.key = key,
		.value = read_field(),
		.headers = { .items = frame->headers, .count = count },
	};
	return true;
}

static void free_field(struct bytes field)
{
	free((void *)(uintptr_t)field.data);
}

static void free_frame(struct frame *frame)
{
	for (size_t i = 0; i < frame->record.headers.count; i++) {
		free_field(frame->headers[i].name);
		free_field(frame->headers[i].value);
	}
	free_field(frame->record.key);
	free_field(frame->record.value);
}

static void put_hex(struct buffer *line, struct bytes bytes)
{
	static const char digits[] = "0123456789abcdef";
	if (!bytes_is_given(bytes)) {
		buffer_append_text(line, "null");
		return;
	}
	buffer_append_char(line, '"');
	for (size_t i = 0; i < bytes.size; i++) {
		buffer_append_char(line, digits[(unsigned char)bytes.data[i] >> 4]);
		buffer_append_char(line, digits[(unsigned char)bytes.data[i] & 15]);
	}
	buffer_append_char(line, '"');
}

static void put_key(struct buffer *line, const char *key)
{
	if (line->size > 0 && line->data[line->size - 1] != '{') buffer_append_char(line, ',');
	buffer_append_json_string(line, bytes_of(key));
	buffer_append_char(line, ':');
}

static void put_text(struct buffer *line, const char *key, struct bytes text)
{
	put_key(line, key);
	if (bytes_is_given(text))
		buffer_append_json_string(line, text);
	else
		buffer_append_text(line, "null");
}

/* Raw line ends within JSON text are white space; the line shall stay one. */
static void put_raw(struct buffer *line, struct bytes json)
{
	for (size_t i = 0; i < json.size; i++)
		buffer_append_char(line, json.data[i] == '\n' || json.data[i] == '\r' ? ' ' : json.data[i]);
}

static void put_json(struct buffer *line, const char *key, struct bytes json)
{
	if (!bytes_is_given(json)) return;
	put_key(line, key);
	put_raw(line, json);
}

static void put_messages(struct buffer *line, const struct chat_request *request)
{
	put_key(line, "messages");
	buffer_append_char(line, '[');
	for (size_t i = 0; i < request->message_count; i++) {
		const struct chat_message *message = &request->messages[i];
		buffer_append_text(line, i == 0 ? "{" : ",{");
		put_key(line, "role");
		buffer_append_int(line, (int)message->role);
		put_key(line, "has_tool_calls");
		buffer_append_text(line, message->has_tool_calls ? "true" : "false");
		put_text(line, "tool_call_id", message->tool_call_id);
		put_json(line, "json", message->json);
		buffer_append_char(line, '}');
	}
	buffer_append_char(line, ']');
}

static void put_request(struct buffer *line, const struct chat_request *request)
{
	put_key(line, "request");
	buffer_append_char(line, '{');
	put_messages(line, request);
	put_key(line, "deadline_ms");
	buffer_append_int(line, request->deadline_ms);
	put_text(line, "model", request->model);
	put_key(line, "models");
	buffer_append_char(line, '[');
	for (size_t i = 0; i < request->model_count; i++) {
		if (i > 0) buffer_append_char(line, ',');
		buffer_append_json_string(line, request->models[i]);
	}
	buffer_append_char(line, ']');
	put_json(line, "temperature", request->temperature);
	put_json(line, "max_tokens", request->max_tokens);
	put_json(line, "max_completion_tokens", request->max_completion_tokens);
	put_json(line, "provider", request->provider);
	put_key(line, "options");
	buffer_append_char(line, '{');
	put_raw(line, request->options);
	buffer_append_char(line, '}');
	put_key(line, "unknown_fields");
	buffer_append_int(line, (int64_t)request->unknown_fields);
	put_key(line, "key_mismatch");
	buffer_append_text(line, request->key_mismatch ? "true}" : "false}");
}

static void put_outgoing(struct buffer *line, const char *name, const struct outgoing *record)
{
	put_key(line, name);
	buffer_append_char(line, '{');
	put_key(line, "key");
	put_hex(line, record->key);
	put_key(line, "value");
	put_hex(line, record->value);
	put_key(line, "headers");
	buffer_append_char(line, '[');
	for (size_t i = 0; i < record->headers.count; i++) {
		buffer_append_text(line, i == 0 ? "[" : ",[");
		put_hex(line, record->headers.items[i].name);
		buffer_append_char(line, ',');
		put_hex(line, record->headers.items[i].value);
		buffer_append_char(line, ']');
	}
	buffer_append_text(line, "]}");
}

/* A reply with everything an answer can have. */
static struct chat_response sample_reply(enum chat_coding coding, enum reason reason)
{
	struct chat_response reply = {
		.coding = coding,
		.outcome = CHAT_OUTCOME_ANSWERED,
		.answer = { .content = BYTES_LITERAL("Grüße ✓ \"quoted\"\n") },
		.reason = reason,
		.attempts = 2,
		.received_ms = 1700000000000,
		.replied_ms = 1700000001234,
		.waited_ms = 5,
		.upstream_ms = 1200,
		.first_token_ms = 300,
		.topic = BYTES_LITERAL("chat.requests"),
		.partition = 3,
		.offset = 42,
	};
	if (reason != REASON_NONE) {
		bool rejected = reason_class(reason) == REASON_CLASS_REJECTED;
		reply.outcome = rejected ? CHAT_OUTCOME_REJECTED : CHAT_OUTCOME_FALLBACK;
		reply.upstream_ms = -1;
		reply.first_token_ms = -1;
		return reply;
	}
	reply.answer.tool_calls_json =
		BYTES_LITERAL("[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
			      "\"arguments\":\"{\\\"x\\\":1}\"}}]");
	reply.answer.usage_json = BYTES_LITERAL("{\"prompt_tokens\":12,\"completion_tokens\":34,\"total_tokens\":46,"
						"\"cost\":0.00012,\"is_byok\":false,\"cost_details\":null}");
	reply.answer.reasoning = BYTES_LITERAL("because");
	reply.answer.annotations_json = BYTES_LITERAL("[{\"type\":\"url_citation\"}]");
	reply.answer.finish_reason = BYTES_LITERAL("tool_calls");
	reply.answer.model = BYTES_LITERAL("vendor/model");
	reply.answer.provider = BYTES_LITERAL("Vendor");
	reply.answer.generation_id = BYTES_LITERAL("gen-1");
	return reply;
}

static void put_reply(struct buffer *line, const struct chat_response *reply, const struct record_headers *headers,
	struct arena *arena)
{
	struct chat_reply_address address = {
		.topic = BYTES_LITERAL("chat.responses"),
		.request_headers = headers,
		.span_id = 0x1234567890abcdef,
	};
	struct outgoing record;
	if (chat_response_write(reply, &address, FIELD_MAX, arena, &record) != STATUS_OK) stop("no reply was made");
	put_outgoing(line, "reply", &record);
}

static void put_dead_letter(
	struct buffer *line, const struct frame *frame, const struct chat_rejection *rejection, struct arena *arena)
{
	struct dead_letter letter = {
		.record = &frame->record,
		.topic = BYTES_LITERAL("chat.requests.dlq"),
		.original_topic = BYTES_LITERAL("chat.requests"),
		.consumer_group = BYTES_LITERAL("chat-worker"),
		.worker_version = BYTES_LITERAL("0.1.0"),
		.reason = rejection->reason,
		.message = rejection->detail,
		.failed_at_ms = 1700000001234,
	};
	struct outgoing record;
	if (dead_letter_write(&letter, arena, &record) != STATUS_OK) stop("no dead letter was made");
	put_outgoing(line, "dead_letter", &record);
}

static void show_record(const struct frame *frame, struct arena *arena, struct buffer *line)
{
	struct chat_request request;
	struct chat_rejection rejection;
	enum status status = chat_request_read(&frame->record, &limits, arena, &request, &rejection);
	if (status != STATUS_OK && status != STATUS_INVALID) stop("no verdict");

	buffer_append_char(line, '{');
	put_text(line, "verdict", bytes_of(status == STATUS_OK ? "accepted" : "rejected"));
	put_text(line, "coding", bytes_of(request.coding == CHAT_CODING_JSON ? "json" : "msgpack"));
	put_key(line, "request_id");
	put_hex(line, request.request_id);
	put_key(line, "conversation_id");
	put_hex(line, request.conversation_id);
	if (status == STATUS_OK) {
		put_request(line, &request);
	} else {
		put_text(line, "reason", bytes_of(reason_word(rejection.reason)));
		put_text(line, "detail", rejection.detail);
		put_dead_letter(line, frame, &rejection, arena);
	}
	struct chat_response reply = sample_reply(request.coding, rejection.reason);
	reply.request_id = request.request_id;
	reply.conversation_id = request.conversation_id;
	reply.detail = rejection.detail;
	put_reply(line, &reply, &frame->record.headers, arena);
	buffer_append_text(line, "}\n");
}

static void print_line(struct buffer *line)
{
	if (buffer_status(line) != STATUS_OK) stop("line is too long");
	fwrite(line->data, 1, line->size, stdout);
	buffer_clear(line);
}

static void read_all(struct buffer *line)
{
	struct frame frame;
	while (read_frame(&frame)) {
		struct arena *arena = arena_new(ARENA_MAX);
		if (arena == NULL) stop("no memory");
		show_record(&frame, arena, line);
		print_line(line);
		arena_free(arena);
		free_frame(&frame);
	}
}

static void show_replies(struct buffer *line)
{
	struct record_headers none = { 0 };
	for (int i = 0; i < 2 * (int)REASON_COUNT; i++) {
		struct arena *arena = arena_new(ARENA_MAX);
		if (arena == NULL) stop("no memory");
		enum chat_coding coding = i % 2 == 0 ? CHAT_CODING_MSGPACK : CHAT_CODING_JSON;
		struct chat_response reply = sample_reply(coding, (enum reason)(i / 2));
		reply.http_status = i % 3 == 0 ? 429 : 0;
		buffer_append_char(line, '{');
		put_text(line, "reason", bytes_of(reason_word(reply.reason)));
		put_text(line, "coding", bytes_of(coding == CHAT_CODING_JSON ? "json" : "msgpack"));
		put_reply(line, &reply, &none, arena);
		buffer_append_text(line, "}\n");
		print_line(line);
		arena_free(arena);
	}
}

int main(int argc, char **argv)
{
	struct buffer line;
	buffer_init(&line, LINE_MAX_BYTES);
	if (argc == 2 && strcmp(argv[1], "read") == 0)
		read_all(&line);
	else if (argc == 2 && strcmp(argv[1], "replies") == 0)
		show_replies(&line);
	else
		stop("usage: wire_tool read|replies");
	buffer_deinit(&line);
	return 0;
}
