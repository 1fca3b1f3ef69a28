/* Replies: the golden vectors byte for byte, limits, text that is not clean. */
#include "chat_support.h"

#include "schemas/chat_response.h"
#include "schemas/wire.h"

enum { FILE_SIZE_MAX = 65536 };

#define CALLS                                                                                                     \
	"[{\"id\":\"call-1\",\"type\":\"function\",\"function\":{\"name\":\"lookup\",\"arguments\":\"{\\\"q\\\":" \
	"\\\"x\\\"}\"}}]"
#define USAGE                                                                                                    \
	"{\"prompt_tokens\":12,\"completion_tokens\":34,\"total_tokens\":46,\"cost\":0.00012,\"is_byok\":false," \
	"\"cost_details\":{\"upstream_inference_cost\":null},\"x\":[1,-1,2.5,\"\xc3\xa9\",{},[],4294967296,-129]}"

static struct chat_response answered(void)
{
	return (struct chat_response){
		.request_id = BYTES("r-1"),
		.conversation_id = BYTES("c-1"),
		.outcome = CHAT_OUTCOME_ANSWERED,
		.answer = {
			.content = BYTES("Hello"),
			.finish_reason = BYTES("stop"),
			.model = BYTES("vendor/model"),
			.provider = BYTES("Vendor"),
			.generation_id = BYTES("gen-1"),
		},
		.attempts = 1,
		.received_ms = 1700000000000,
		.replied_ms = 1700000001234,
		.waited_ms = 5,
		.upstream_ms = 1200,
		.first_token_ms = 300,
		.topic = BYTES("chat.requests"),
		.partition = 3,
		.offset = 42,
	};
}

static struct chat_response failed(enum chat_outcome outcome, enum reason reason)
{
	struct chat_response reply = answered();
	reply.outcome = outcome;
	reply.reason = reason;
	reply.upstream_ms = -1;
	reply.first_token_ms = -1;
	return reply;
}

static enum status write_reply(
	const struct chat_response *reply, size_t value_max, struct arena *arena, struct outgoing *out_record)
{
	struct record_headers none = { 0 };
	struct chat_reply_address address = {
		.topic = BYTES("chat.responses"), .request_headers = &none, .span_id = 1
	};
	return chat_response_write(reply, &address, value_max, arena, out_record);
}

/* The reply in both codings is what the file says. */
static void expect_file(struct chat_response reply, const char *name)
{
	for (int coding = 0; coding < 2; coding++) {
		char path[128], data[FILE_SIZE_MAX];
		snprintf(path, sizeof(path), "schemas/vectors/response/%s.%s", name, coding == 0 ? "msgpack" : "json");
		FILE *file = fopen(path, "rb");
		if (file == NULL) fail_msg("%s cannot be read; the tests run in the project's root", path);
		size_t size = fread(data, 1, sizeof(data), file);
		fclose(file);

		struct arena *arena = arena_new(1024 * 1024);
		struct outgoing record;
		reply.coding = (enum chat_coding)coding;
		assert_int_equal(write_reply(&reply, FILE_SIZE_MAX, arena, &record), STATUS_OK);
		assert_bytes_equal(record.value, bytes_at(data, size));
		assert_bytes_equal(record.key, reply.conversation_id);
		assert_bytes(record.topic, "chat.responses");
		assert_int_equal(record.timestamp_ms, 0);
		assert_false(record.is_dead_letter);
		arena_free(arena);
	}
}

static void chat_response_write_answered_is_the_vector(void **state)
{
	(void)state;
	struct chat_response reply = answered();
	reply.answer.usage_json = BYTES(USAGE);
	expect_file(reply, "answered");
}

static void chat_response_write_in_full_is_the_vector(void **state)
{
	(void)state;
	struct chat_response reply = answered();
	reply.answer.content = BYTES("Gr\xc3\xbc\xc3\x9f"
				     "e \xf0\x9f\x98\x80 \"quoted\"\n");
	reply.answer.tool_calls_json = BYTES(CALLS);
	reply.answer.refusal = BYTES("no");
	reply.answer.reasoning = BYTES("because");
	reply.answer.annotations_json = BYTES("[{\"type\":\"url_citation\"}]");
	reply.answer.images_json = BYTES("[]");
	reply.answer.finish_reason = BYTES("tool_calls");
	expect_file(reply, "answered_in_full");
}

static void chat_response_write_refused_is_the_vector(void **state)
{
	(void)state;
	struct chat_response reply = answered();
	reply.answer.content = BYTES_NONE;
	reply.answer.refusal = BYTES("I cannot help with that.");
	expect_file(reply, "refused_by_the_model");
}

static void chat_response_write_fallback_is_the_vector(void **state)
{
	(void)state;
	struct chat_response reply = failed(CHAT_OUTCOME_FALLBACK, REASON_RATE_LIMITED);
	reply.attempts = 3;
	reply.http_status = 429;
	/* What a failed attempt left behind is not for the caller. */
	reply.answer.usage_json = BYTES("{}");
	reply.answer.refusal = BYTES("half a refusal");
	expect_file(reply, "fallback");
}

static void chat_response_write_rejected_is_the_vector(void **state)
{
	(void)state;
	struct chat_response reply = failed(CHAT_OUTCOME_REJECTED, REASON_DECODE);
	reply.attempts = 0;
	reply.request_id = BYTES_NONE;
	reply.conversation_id = BYTES_NONE;
	reply.detail = BYTES("There are bytes behind the msgpack value.");
	expect_file(reply, "rejected");
}

static void chat_response_write_size_limit_holds_exactly(void **state)
{
	(void)state;
	for (int coding = 0; coding < 2; coding++) {
		struct arena *arena = arena_new(1024 * 1024);
		struct chat_response reply = answered();
		struct outgoing record;
		reply.coding = (enum chat_coding)coding;
		assert_int_equal(write_reply(&reply, 4096, arena, &record), STATUS_OK);
		size_t size = record.value.size;
		assert_int_equal(write_reply(&reply, size, arena, &record), STATUS_OK);
		assert_int_equal(write_reply(&reply, size - 1, arena, &record), STATUS_TOO_LARGE);
		arena_free(arena);
	}
}

static void chat_response_write_unclean_text_is_mended(void **state)
{
	(void)state;
	struct arena *arena = arena_new(1024 * 1024);
	struct chat_response reply = answered();
	struct outgoing record;
	reply.coding = CHAT_CODING_JSON;
	reply.answer.content = BYTES("a\0b\xff\xc3\xa9\xe2\x82");
	reply.conversation_id = BYTES("\xff");
	assert_int_equal(write_reply(&reply, 4096, arena, &record), STATUS_OK);
	assert_bytes_equal(record.key, BYTES("\xff"));
	char text[4096];
	snprintf(text, sizeof(text), "%.*s", (int)record.value.size, record.value.data);
	assert_non_null(strstr(text, "\"content\":\"a?b?\xc3\xa9??\""));
	assert_non_null(strstr(text, "\"conversation_id\":null"));
	arena_free(arena);
}

static void chat_response_write_malformed_part_leaves_the_reply_readable(void **state)
{
	(void)state;
	struct arena *arena = arena_new(1024 * 1024);
	struct chat_response reply = answered();
	struct outgoing record;
	reply.coding = CHAT_CODING_MSGPACK;
	reply.answer.usage_json = BYTES("{\"prompt_tokens\":");
	assert_int_equal(write_reply(&reply, 4096, arena, &record), STATUS_OK);
	struct wire_value body;
	struct wire_fault fault;
	assert_int_equal(wire_open(CHAT_CODING_MSGPACK, record.value, 8, &body, &fault), STATUS_OK);
	static const struct bytes names[] = { { .data = "usage", .size = 5 } };
	struct wire_value usage;
	struct wire_found found;
	wire_collect(&body, names, 1, &usage, &found);
	assert_int_equal(usage.kind, WIRE_NULL);
	arena_free(arena);
}

static void chat_response_write_small_arena_is_no_memory(void **state)
{
	(void)state;
	static char content[20000];
	memset(content, 'x', sizeof(content));
	struct chat_response reply = answered();
	struct outgoing record;
	reply.answer.content = bytes_at(content, sizeof(content));
	struct arena *arena = arena_new(8192);
	assert_int_equal(write_reply(&reply, 100000, arena, &record), STATUS_NO_MEMORY);
	arena_free(arena);
}

static void chat_outcome_word_names_each(void **state)
{
	(void)state;
	assert_string_equal(chat_outcome_word(CHAT_OUTCOME_ANSWERED), "answered");
	assert_string_equal(chat_outcome_word(CHAT_OUTCOME_FALLBACK), "fallback");
	assert_string_equal(chat_outcome_word(CHAT_OUTCOME_REJECTED), "rejected");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chat_response_write_answered_is_the_vector),
		cmocka_unit_test(chat_response_write_in_full_is_the_vector),
		cmocka_unit_test(chat_response_write_refused_is_the_vector),
		cmocka_unit_test(chat_response_write_fallback_is_the_vector),
		cmocka_unit_test(chat_response_write_rejected_is_the_vector),
		cmocka_unit_test(chat_response_write_size_limit_holds_exactly),
		cmocka_unit_test(chat_response_write_unclean_text_is_mended),
		cmocka_unit_test(chat_response_write_malformed_part_leaves_the_reply_readable),
		cmocka_unit_test(chat_response_write_small_arena_is_no_memory),
		cmocka_unit_test(chat_outcome_word_names_each),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
