/* The headers of replies. */
#include "chat_support.h"

#include "schemas/reply_headers.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define PARENT "00-" TRACE "-b7ad6b7169203331-01"

enum { ARENA_MAX = 65536 };

/* Headers of an answered reply to a request with these headers. */
static struct record_headers write_headers(
	struct arena *arena, const struct chat_response *reply, const struct record_header *items, size_t count)
{
	struct record_headers request = { .items = items, .count = count };
	struct chat_reply_address address = { .request_headers = &request, .span_id = 0xfeed };
	struct record_headers headers = { 0 };
	assert_int_equal(reply_headers_write(reply, &address, arena, &headers), STATUS_OK);
	return headers;
}

static struct chat_response sample(void)
{
	return (struct chat_response){
		.coding = CHAT_CODING_JSON,
		.request_id = BYTES("r-1"),
		.outcome = CHAT_OUTCOME_ANSWERED,
		.answer = { .model = BYTES("vendor/model"), .generation_id = BYTES("gen-1") },
		.attempts = 2,
	};
}

static void expect_header(const struct record_headers *headers, const char *name, const char *value)
{
	size_t count = 0;
	for (size_t i = 0; i < headers->count; i++)
		count += bytes_equal_text(headers->items[i].name, name);
	assert_int_equal(count, value == NULL ? 0 : 1);
	if (value != NULL) assert_bytes(record_headers_last(headers, name), value);
}

static void reply_headers_answered_says_who_and_how(void **state)
{
	(void)state;
	struct arena *arena = arena_new(ARENA_MAX);
	struct chat_response reply = sample();
	struct record_headers headers = write_headers(arena, &reply, NULL, 0);
	static const char *const names[] = { "content-type", "correlation-id", "chat-outcome", "chat-attempts",
		"chat-model", "chat-generation-id" };
	static const char *const values[] = { "application/json", "r-1", "answered", "2", "vendor/model", "gen-1" };
	assert_int_equal(headers.count, COUNT(names));
	for (size_t i = 0; i < COUNT(names); i++) {
		assert_bytes(headers.items[i].name, names[i]);
		assert_bytes(headers.items[i].value, values[i]);
	}
	arena_free(arena);
}

static void reply_headers_failed_says_why(void **state)
{
	(void)state;
	struct arena *arena = arena_new(ARENA_MAX);
	struct chat_response reply = { .outcome = CHAT_OUTCOME_REJECTED, .reason = REASON_TOO_LARGE };
	struct record_headers headers = write_headers(arena, &reply, NULL, 0);
	expect_header(&headers, "content-type", "application/vnd.msgpack");
	expect_header(&headers, "correlation-id", NULL);
	expect_header(&headers, "chat-outcome", "rejected");
	expect_header(&headers, "chat-error", "too_large");
	expect_header(&headers, "chat-attempts", "0");
	expect_header(&headers, "chat-model", NULL);
	arena_free(arena);
}

static void reply_headers_echo_is_byte_for_byte(void **state)
{
	(void)state;
	static const char raw[] = { 0, '\xff', '\n', 7 };
	struct record_header request[] = {
		{ BYTES("kafka_replyPartition"), bytes_at(raw, 4) },
		{ BYTES("kafka_replyTopic"), BYTES("replies") },
		{ BYTES("kafka_correlationId"), bytes_at(raw, 3) },
		{ BYTES("correlation-id"), BYTES("first") },
		{ BYTES("correlation-id"), bytes_at(raw, 2) },
		{ BYTES("chat-replay-id"), BYTES_NONE },
		{ BYTES("other"), BYTES("is not echoed") },
	};
	struct arena *arena = arena_new(ARENA_MAX);
	struct chat_response reply = sample();
	struct record_headers headers = write_headers(arena, &reply, request, COUNT(request));
	assert_bytes_equal(record_headers_last(&headers, "correlation-id"), bytes_at(raw, 2));
	assert_bytes_equal(record_headers_last(&headers, "kafka_correlationId"), bytes_at(raw, 3));
	assert_bytes_equal(record_headers_last(&headers, "kafka_replyPartition"), bytes_at(raw, 4));
	expect_header(&headers, "kafka_replyTopic", "replies");
	assert_non_null(record_headers_find(&headers, "chat-replay-id"));
	assert_false(bytes_is_given(record_headers_last(&headers, "chat-replay-id")));
	expect_header(&headers, "other", NULL);
	arena_free(arena);
}

static void reply_headers_echo_has_a_limit(void **state)
{
	(void)state;
	static char text[REPLY_HEADER_ECHO_MAX + 1];
	memset(text, 'x', sizeof(text));
	struct record_header request[] = {
		{ BYTES("correlation-id"), bytes_at(text, REPLY_HEADER_ECHO_MAX + 1) },
		{ BYTES("kafka_correlationId"), bytes_at(text, REPLY_HEADER_ECHO_MAX) },
		{ BYTES("chat-replay-id"), bytes_at(text, REPLY_HEADER_ECHO_MAX + 1) },
	};
	struct arena *arena = arena_new(ARENA_MAX);
	struct chat_response reply = sample();
	struct record_headers headers = write_headers(arena, &reply, request, COUNT(request));
	expect_header(&headers, "correlation-id", "r-1");
	assert_int_equal(record_headers_last(&headers, "kafka_correlationId").size, REPLY_HEADER_ECHO_MAX);
	expect_header(&headers, "chat-replay-id", NULL);
	arena_free(arena);
}

static void reply_headers_trace_is_a_child_span(void **state)
{
	(void)state;
	struct record_header request[] = {
		{ BYTES("traceparent"), BYTES(PARENT) },
		{ BYTES("tracestate"), BYTES("a=b") },
	};
	struct arena *arena = arena_new(ARENA_MAX);
	struct chat_response reply = sample();
	struct record_headers headers = write_headers(arena, &reply, request, COUNT(request));
	expect_header(&headers, "traceparent", "00-" TRACE "-000000000000feed-01");
	expect_header(&headers, "tracestate", "a=b");
	arena_free(arena);
}

static void reply_headers_malformed_trace_is_not_sent(void **state)
{
	(void)state;
	struct record_header request[] = {
		{ BYTES("traceparent"), BYTES("00-" TRACE "-x") },
		{ BYTES("tracestate"), BYTES("a=b") },
	};
	struct record_header bad_state[] = {
		{ BYTES("traceparent"), BYTES(PARENT) },
		{ BYTES("tracestate"), BYTES("a=\n") },
	};
	struct arena *arena = arena_new(ARENA_MAX);
	struct chat_response reply = sample();
	struct record_headers headers = write_headers(arena, &reply, request, COUNT(request));
	expect_header(&headers, "traceparent", NULL);
	expect_header(&headers, "tracestate", NULL);
	headers = write_headers(arena, &reply, bad_state, COUNT(bad_state));
	expect_header(&headers, "traceparent", "00-" TRACE "-000000000000feed-01");
	expect_header(&headers, "tracestate", NULL);
	arena_free(arena);
}

static void reply_headers_upstream_text_must_be_printable(void **state)
{
	(void)state;
	struct arena *arena = arena_new(ARENA_MAX);
	struct chat_response reply = sample();
	char long_name[257];
	memset(long_name, 'm', sizeof(long_name));
	reply.answer.model = BYTES("vendor/\r\nmodel");
	reply.answer.generation_id = bytes_at(long_name, sizeof(long_name));
	struct record_headers headers = write_headers(arena, &reply, NULL, 0);
	expect_header(&headers, "chat-model", NULL);
	expect_header(&headers, "chat-generation-id", NULL);
	arena_free(arena);
}

static void reply_headers_all_at_once_fit(void **state)
{
	(void)state;
	struct record_header request[] = {
		{ BYTES("correlation-id"), BYTES("1") },
		{ BYTES("traceparent"), BYTES(PARENT) },
		{ BYTES("tracestate"), BYTES("a=b") },
		{ BYTES("chat-replay-id"), BYTES("2") },
		{ BYTES("kafka_correlationId"), BYTES("3") },
		{ BYTES("kafka_replyTopic"), BYTES("4") },
		{ BYTES("kafka_replyPartition"), BYTES("5") },
	};
	struct arena *arena = arena_new(ARENA_MAX);
	struct chat_response reply = sample();
	reply.outcome = CHAT_OUTCOME_FALLBACK;
	reply.reason = REASON_TIMEOUT;
	struct record_headers headers = write_headers(arena, &reply, request, COUNT(request));
	assert_int_equal(headers.count, 13);
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reply_headers_answered_says_who_and_how),
		cmocka_unit_test(reply_headers_failed_says_why),
		cmocka_unit_test(reply_headers_echo_is_byte_for_byte),
		cmocka_unit_test(reply_headers_echo_has_a_limit),
		cmocka_unit_test(reply_headers_trace_is_a_child_span),
		cmocka_unit_test(reply_headers_malformed_trace_is_not_sent),
		cmocka_unit_test(reply_headers_upstream_text_must_be_printable),
		cmocka_unit_test(reply_headers_all_at_once_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
