/* The caller's side of the wire, held against the worker's side: what one writes, the other reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "schemas/chat_client.h"
#include "schemas/chat_request.h"
#include "schemas/chat_response.h"

enum { ARENA_MAX = 1 << 20 };

static const struct chat_limits LIMITS = { .record_bytes = 1 << 20, .depth = 32, .messages = 512, .id_bytes = 128 };
static const enum chat_coding CODINGS[] = { CHAT_CODING_MSGPACK, CHAT_CODING_JSON };

static struct buffer written(const struct chat_client_request *request)
{
	struct buffer value;
	buffer_init(&value, 1 << 20);
	assert_int_equal(chat_client_request_write(request, &value), STATUS_OK);
	return value;
}

/* What the worker makes of it. */
static struct chat_request understood(const struct buffer *value, enum chat_coding coding, struct arena *arena)
{
	const struct record_header header = { BYTES_LITERAL("content-type"), bytes_of(coding_content_type(coding)) };
	const struct record record = {
		.key = BYTES_LITERAL("c-1"), .value = buffer_bytes(value), .headers = { .items = &header, .count = 1 }
	};
	struct chat_request request;
	struct chat_rejection rejection;
	assert_int_equal(chat_request_read(&record, &LIMITS, arena, &request, &rejection), STATUS_OK);
	assert_int_equal(request.unknown_fields, 0);
	return request;
}

static void request_write_is_read_by_the_worker(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct arena *arena = arena_new(ARENA_MAX);
		const struct chat_client_request request = { .coding = CODINGS[i],
			.request_id = BYTES_LITERAL("r-1"),
			.conversation_id = BYTES_LITERAL("c-1"),
			.model = BYTES_LITERAL("a/b"),
			.system = BYTES_LITERAL("Be brief."),
			.history_json = BYTES_LITERAL(
				"[{\"role\":\"user\",\"content\":\"1\"},{\"role\":\"assistant\",\"content\":\"2\"}]"),
			.text = BYTES_LITERAL("käse \"3\""),
			.tools_json = BYTES_LITERAL("[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"),
			.deadline_ms = 1764000000123 };
		struct buffer value = written(&request);
		struct chat_request got = understood(&value, CODINGS[i], arena);
		assert_int_equal(got.coding, CODINGS[i]);
		assert_true(bytes_equal_text(got.request_id, "r-1"));
		assert_true(bytes_equal_text(got.conversation_id, "c-1"));
		assert_true(bytes_equal_text(got.model, "a/b"));
		assert_int_equal(got.deadline_ms, 1764000000123);
		assert_int_equal(got.message_count, 4);
		assert_int_equal(got.messages[0].role, CHAT_ROLE_SYSTEM);
		assert_int_equal(got.messages[2].role, CHAT_ROLE_ASSISTANT);
		assert_true(
			bytes_equal_text(got.messages[3].json, "{\"role\":\"user\",\"content\":\"käse \\\"3\\\"\"}"));
		assert_true(bytes_equal_text(
			got.options, "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"));
		buffer_deinit(&value);
		arena_free(arena);
	}
}

static void request_write_leaves_out_what_is_not_given(void **state)
{
	(void)state;
	const struct chat_client_request request = {
		.coding = CHAT_CODING_JSON, .request_id = BYTES_LITERAL("r"), .text = BYTES_LITERAL("x")
	};
	struct buffer value = written(&request);
	assert_true(bytes_equal_text(
		buffer_bytes(&value), "{\"request_id\":\"r\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}"));
	buffer_deinit(&value);
}

static void request_write_refuses_what_is_no_array_or_no_text(void **state)
{
	(void)state;
	const struct chat_client_request requests[] = {
		{ .history_json = BYTES_LITERAL("{}") },
		{ .history_json = BYTES_LITERAL("[") },
		{ .history_json = BYTES_LITERAL("") },
		{ .tools_json = BYTES_LITERAL("5") },
		{ .text = BYTES_LITERAL("\xff") },
	};
	for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
		struct buffer value;
		buffer_init(&value, 1 << 20);
		assert_int_equal(chat_client_request_write(&requests[i], &value), STATUS_INVALID);
		buffer_deinit(&value);
	}
}

static void request_write_over_the_bound_is_too_large(void **state)
{
	(void)state;
	const struct chat_client_request request = { .text = BYTES_LITERAL("long enough") };
	struct buffer value;
	buffer_init(&value, 10);
	assert_int_equal(chat_client_request_write(&request, &value), STATUS_TOO_LARGE);
	buffer_deinit(&value);
}

/* A reply as the worker writes it. */
static struct bytes reply_of(const struct chat_response *response, struct arena *arena)
{
	const struct record_headers none = { .count = 0 };
	const struct chat_reply_address address = {
		.topic = BYTES_LITERAL("chat.responses"), .request_headers = &none, .span_id = 1
	};
	struct outgoing record;
	assert_int_equal(chat_response_write(response, &address, 1 << 20, arena, &record), STATUS_OK);
	return record.value;
}

static void response_read_has_all_of_an_answer(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct arena *arena = arena_new(ARENA_MAX);
		const struct chat_response response = { .coding = CODINGS[i],
			.request_id = BYTES_LITERAL("r-1"),
			.conversation_id = BYTES_LITERAL("c-1"),
			.outcome = CHAT_OUTCOME_ANSWERED,
			.answer = { .content = BYTES_LITERAL("Hello \"you\""),
				.tool_calls_json = BYTES_LITERAL("[{\"id\":\"1\"}]"),
				.refusal = BYTES_LITERAL("no"),
				.finish_reason = BYTES_LITERAL("stop"),
				.model = BYTES_LITERAL("a/b"),
				.provider = BYTES_LITERAL("P"),
				.generation_id = BYTES_LITERAL("gen-1"),
				.usage_json = BYTES_LITERAL("{\"prompt_tokens\":7,\"cost\":0.5}") },
			.attempts = 2,
			.received_ms = 1000,
			.replied_ms = 1500,
			.upstream_ms = 400,
			.first_token_ms = 100,
			.topic = BYTES_LITERAL("chat.requests"),
			.partition = 3,
			.offset = 44 };
		struct chat_client_response got;
		struct bytes type = bytes_of(coding_content_type(CODINGS[i]));
		assert_int_equal(chat_client_response_read(reply_of(&response, arena), type, arena, &got), STATUS_OK);
		assert_true(bytes_equal_text(got.request_id, "r-1"));
		assert_true(bytes_equal_text(got.conversation_id, "c-1"));
		assert_true(bytes_equal_text(got.outcome, "answered"));
		assert_true(bytes_equal_text(got.content, "Hello \"you\""));
		assert_true(bytes_equal_text(got.tool_calls_json, "[{\"id\":\"1\"}]"));
		assert_true(bytes_equal_text(got.refusal, "no"));
		assert_true(bytes_equal_text(got.finish_reason, "stop"));
		assert_true(bytes_equal_text(got.model, "a/b"));
		assert_true(bytes_equal_text(got.provider, "P"));
		assert_true(bytes_equal_text(got.generation_id, "gen-1"));
		assert_false(bytes_is_given(got.reason));
		assert_int_equal(got.attempts, 2);
		assert_int_equal(got.prompt_tokens, 7);
		assert_int_equal(got.received_ms, 1000);
		assert_int_equal(got.replied_ms, 1500);
		assert_int_equal(got.upstream_ms, 400);
		assert_int_equal(got.partition, 3);
		assert_int_equal(got.offset, 44);
		assert_int_equal(got.json.data[0], '{');
		arena_free(arena);
	}
}

static void response_read_has_the_error_of_a_fallback(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct arena *arena = arena_new(ARENA_MAX);
		const struct chat_response response = { .coding = CODINGS[i],
			.outcome = CHAT_OUTCOME_FALLBACK,
			.answer = { .content = BYTES_LITERAL("Sorry.") },
			.reason = REASON_RATE_LIMITED,
			.http_status = 429,
			.attempts = 3,
			.upstream_ms = -1,
			.first_token_ms = -1,
			.topic = BYTES_LITERAL("chat.requests") };
		struct chat_client_response got;
		struct bytes value = reply_of(&response, arena);
		assert_int_equal(
			chat_client_response_read(value, bytes_of(coding_content_type(CODINGS[i])), arena, &got),
			STATUS_OK);
		assert_true(bytes_equal_text(got.outcome, "fallback"));
		assert_true(bytes_equal_text(got.reason, "rate_limited"));
		assert_true(bytes_equal_text(got.message, reason_message(REASON_RATE_LIMITED)));
		assert_int_equal(got.http_status, 429);
		assert_int_equal(got.upstream_ms, -1);
		assert_int_equal(got.prompt_tokens, -1);
		assert_false(bytes_is_given(got.request_id));
		assert_false(bytes_is_given(got.model));
		arena_free(arena);
	}
}

static void response_read_refuses_what_is_no_reply(void **state)
{
	(void)state;
	static const struct bytes VALUES[] = { { "", 0 }, { "\xc1", 1 }, { "\x93\x01\x02", 3 }, { "\x90", 1 },
		{ "{\"attempts\":\"two\"}", 18 }, { "{\"outcome\":5}", 13 }, { "{\"message\":[]}", 14 },
		{ "{\"a\":1,", 7 }, { "\x81\xa7outcome\xc4\x01x", 12 }, { "\x81\xa1x\xc4\x01x", 6 },
		{ "\xdf\xff\xff\xff\xff", 5 } };
	for (size_t i = 0; i < sizeof VALUES / sizeof VALUES[0]; i++) {
		struct arena *arena = arena_new(ARENA_MAX);
		struct chat_client_response got;
		assert_int_equal(chat_client_response_read(VALUES[i], BYTES_NONE, arena, &got), STATUS_INVALID);
		arena_free(arena);
	}
}

static void response_read_of_another_content_type_is_unsupported(void **state)
{
	(void)state;
	struct arena *arena = arena_new(ARENA_MAX);
	struct chat_client_response got;
	assert_int_equal(chat_client_response_read(BYTES_LITERAL("\x80"), BYTES_LITERAL("text/plain"), arena, &got),
		STATUS_UNSUPPORTED);
	arena_free(arena);
}

static void response_read_in_a_full_arena_is_no_memory(void **state)
{
	(void)state;
	struct arena *arena = arena_new(64);
	struct chat_client_response got;
	static const char VALUE[] =
		"{\"outcome\":\"an\\u0041swered with some text behind it that needs room in the arena\"}";
	assert_int_equal(chat_client_response_read(bytes_of(VALUE), BYTES_NONE, arena, &got), STATUS_NO_MEMORY);
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_write_is_read_by_the_worker),
		cmocka_unit_test(request_write_leaves_out_what_is_not_given),
		cmocka_unit_test(request_write_refuses_what_is_no_array_or_no_text),
		cmocka_unit_test(request_write_over_the_bound_is_too_large),
		cmocka_unit_test(response_read_has_all_of_an_answer),
		cmocka_unit_test(response_read_has_the_error_of_a_fallback),
		cmocka_unit_test(response_read_refuses_what_is_no_reply),
		cmocka_unit_test(response_read_of_another_content_type_is_unsupported),
		cmocka_unit_test(response_read_in_a_full_arena_is_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
