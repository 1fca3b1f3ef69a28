/* Reading requests: ids, headers, options, limits. The messages have a file of their own. */
#include "chat_support.h"

#define MESSAGES "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]"
#define CHAT(more) "{\"request_id\":\"r-1\",\"conversation_id\":\"c-1\"," MESSAGES more "}"

static void expect_rejected(const char *json, enum reason reason, const char *detail)
{
	struct support_read read;
	support_read_init(&read);
	assert_int_equal(support_read_json(&read, json), STATUS_INVALID);
	assert_string_equal(reason_word(read.rejection.reason), reason_word(reason));
	if (detail != NULL) assert_bytes(read.rejection.detail, detail);
	support_read_deinit(&read);
}

static void chat_request_read_minimal_json(void **state)
{
	(void)state;
	struct support_read read;
	support_read_init(&read);
	assert_int_equal(support_read_json(&read, CHAT("")), STATUS_OK);
	const struct chat_request *request = &read.request;
	assert_int_equal(read.rejection.reason, REASON_NONE);
	assert_int_equal(request->coding, CHAT_CODING_JSON);
	assert_bytes(request->request_id, "r-1");
	assert_bytes(request->conversation_id, "c-1");
	assert_int_equal(request->message_count, 1);
	assert_int_equal(request->messages[0].role, CHAT_ROLE_USER);
	assert_bytes(request->messages[0].json, "{\"role\":\"user\",\"content\":\"Hi\"}");
	assert_int_equal(request->deadline_ms, 0);
	assert_false(bytes_is_given(request->model));
	assert_int_equal(request->model_count, 0);
	assert_false(bytes_is_given(request->temperature));
	assert_false(bytes_is_given(request->max_tokens));
	assert_false(bytes_is_given(request->max_completion_tokens));
	assert_false(bytes_is_given(request->provider));
	assert_int_equal(request->options.size, 0);
	assert_int_equal(request->unknown_fields, 0);
	support_read_deinit(&read);
}

static void chat_request_read_minimal_msgpack(void **state)
{
	(void)state;
	struct support_read read;
	struct support_record record;
	support_read_init(&read);
	support_record_init(&record, BYTES("\x83\xaarequest_id\xa3r-1\xb0"
					   "conversation_idX\x01\xa8messages\x91\x82\xa4role\xa4user\xa7"
					   "content\xa2Hi"));
	assert_int_equal(support_read_record(&read, &record.record), STATUS_OK);
	assert_int_equal(read.request.coding, CHAT_CODING_MSGPACK);
	assert_bytes(read.request.conversation_id, "key-1");
	assert_bytes(read.request.messages[0].json, "{\"role\":\"user\",\"content\":\"Hi\"}");
	assert_int_equal(read.request.unknown_fields, 1);
	support_read_deinit(&read);
}

static void chat_request_read_options_come_in_the_order_of_the_table(void **state)
{
	(void)state;
	struct support_read read;
	support_read_init(&read);
	assert_int_equal(
		support_read_json(&read, CHAT(",\"user\":\"u\",\"seed\":-0,\"top_p\":0.50,\"stop\":[ \"a\" ],"
					      "\"temperature\":0.70,\"max_tokens\":5,\"provider\":{ \"x\":1.0 },"
					      "\"metadata\":null,\"n\":1,\"stream\":false,\"usage\":{}")),
		STATUS_OK);
	assert_bytes(read.request.options, "\"top_p\":0.50,\"seed\":-0,\"stop\":[ \"a\" ],\"user\":\"u\"");
	assert_bytes(read.request.temperature, "0.70");
	assert_bytes(read.request.max_tokens, "5");
	assert_bytes(read.request.provider, "{ \"x\":1.0 }");
	assert_int_equal(read.request.unknown_fields, 0);
	support_read_deinit(&read);
}

static void chat_request_read_models(void **state)
{
	(void)state;
	struct support_read read;
	support_read_init(&read);
	assert_int_equal(
		support_read_json(&read, CHAT(",\"model\":\"v/m\",\"models\":[\"a\\u002f1\",\"b\",\"c\"]")), STATUS_OK);
	assert_bytes(read.request.model, "v/m");
	assert_int_equal(read.request.model_count, 3);
	assert_bytes(read.request.models[0], "a/1");
	assert_bytes(read.request.models[2], "c");
	support_read_deinit(&read);
	expect_rejected(CHAT(",\"models\":[]"), REASON_SCHEMA, "models must be an array of 1 to 3 texts.");
	expect_rejected(CHAT(",\"models\":[\"a\",\"b\",\"c\",\"d\"]"), REASON_SCHEMA, NULL);
	expect_rejected(
		CHAT(",\"models\":[\"a\",2]"), REASON_SCHEMA, "Each item of models must be text of 1 to 256 bytes.");
	expect_rejected(CHAT(",\"model\":\"\""), REASON_SCHEMA, "model must be text of 1 to 256 bytes.");
}

static void chat_request_read_token_limits(void **state)
{
	(void)state;
	struct support_read read;
	support_read_init(&read);
	assert_int_equal(support_read_json(&read, CHAT(",\"max_tokens\":7,\"max_completion_tokens\":7")), STATUS_OK);
	assert_bytes(read.request.max_tokens, "7");
	assert_bytes(read.request.max_completion_tokens, "7");
	support_read_deinit(&read);
	expect_rejected(CHAT(",\"max_tokens\":7,\"max_completion_tokens\":8"), REASON_BAD_REQUEST,
		"max_tokens and max_completion_tokens contradict each other.");
}

/* The deadline that comes of a body's field and a header; -1 when it is rejected. */
static int64_t deadline_of(const char *json, const char *header)
{
	struct support_read read;
	struct support_record record;
	support_read_init(&read);
	support_record_init(&record, bytes_of(json));
	support_record_header(&record, "chat-deadline-ms", bytes_of(header));
	enum status status = support_read_record(&read, &record.record);
	int64_t deadline_ms = status == STATUS_OK ? read.request.deadline_ms : -1;
	if (status != STATUS_OK) assert_int_equal(read.rejection.reason, REASON_SCHEMA);
	support_read_deinit(&read);
	return deadline_ms;
}

static void chat_request_read_deadline_the_earlier_counts(void **state)
{
	(void)state;
	assert_int_equal(deadline_of(CHAT(""), NULL), 0);
	assert_int_equal(deadline_of(CHAT(""), ""), 0);
	assert_int_equal(deadline_of(CHAT(""), " 500 "), 500);
	assert_int_equal(deadline_of(CHAT(",\"deadline_ms\":400"), NULL), 400);
	assert_int_equal(deadline_of(CHAT(",\"deadline_ms\":400"), "500"), 400);
	assert_int_equal(deadline_of(CHAT(",\"deadline_ms\":600"), "500"), 500);
	assert_int_equal(deadline_of(CHAT(",\"deadline_ms\":null"), "500"), 500);
	assert_int_equal(deadline_of(CHAT(""), "soon"), -1);
	assert_int_equal(deadline_of(CHAT(""), "0"), -1);
	assert_int_equal(deadline_of(CHAT(""), "-5"), -1);
	assert_int_equal(deadline_of(CHAT(""), "99999999999999999999"), -1);
}

static void chat_request_read_key_stands_in_for_the_conversation(void **state)
{
	(void)state;
	struct support_read read;
	support_read_init(&read);
	assert_int_equal(support_read_json(&read, "{\"request_id\":\"r-1\"," MESSAGES "}"), STATUS_OK);
	assert_bytes(read.request.conversation_id, "key-1");
	assert_false(read.request.key_mismatch);
	assert_int_equal(support_read_json(&read, CHAT("")), STATUS_OK);
	assert_true(read.request.key_mismatch);
	support_read_deinit(&read);
}

static enum status read_with_key(struct support_read *read, const char *json, struct bytes key)
{
	struct support_record record;
	support_record_init(&record, bytes_of(json));
	record.record.key = key;
	return support_read_record(read, &record.record);
}

static void chat_request_read_odd_keys(void **state)
{
	(void)state;
	struct support_read read;
	const char *without = "{\"request_id\":\"r-1\"," MESSAGES "}";
	char longest[129];
	memset(longest, 'k', sizeof(longest));
	support_read_init(&read);
	assert_int_equal(read_with_key(&read, without, BYTES_NONE), STATUS_INVALID);
	assert_bytes(read.rejection.detail, "conversation_id is required when the record has no key.");
	assert_false(bytes_is_given(read.request.conversation_id));
	assert_int_equal(read_with_key(&read, without, BYTES("")), STATUS_INVALID);
	assert_int_equal(read_with_key(&read, without, bytes_at(longest, 128)), STATUS_OK);
	assert_int_equal(read_with_key(&read, without, bytes_at(longest, 129)), STATUS_INVALID);
	assert_bytes(read.rejection.detail, "The record's key must be text of 1 to 128 bytes.");
	assert_false(bytes_is_given(read.request.conversation_id));
	assert_int_equal(read_with_key(&read, without, BYTES("k\xff")), STATUS_INVALID);
	assert_bytes(read.request.conversation_id, "k\xff");
	assert_int_equal(read_with_key(&read, CHAT(""), BYTES("k\xff")), STATUS_OK);
	assert_true(read.request.key_mismatch);
	assert_int_equal(read_with_key(&read, CHAT(""), BYTES("")), STATUS_OK);
	assert_false(read.request.key_mismatch);
	assert_int_equal(read_with_key(&read, CHAT(""), BYTES("c-1")), STATUS_OK);
	assert_false(read.request.key_mismatch);
	support_read_deinit(&read);
}

static void chat_request_read_rejected_keeps_the_ids_it_could_read(void **state)
{
	(void)state;
	static const char *const rejected[] = {
		"{\"stream\":true,\"conversation_id\":\"c-9\",\"request_id\":\"r-9\"}",
		"{\"messages\":7,\"request_id\":\"r-9\",\"conversation_id\":\"c-9\"}",
		"{\"x\":\"\\u0000\",\"request_id\":\"r-9\",\"conversation_id\":\"c-9\"}",
		"{\"x\":\"\xff\",\"request_id\":\"r-9\",\"conversation_id\":\"c-9\"}",
		"{\"x\":1,\"x\":1,\"request_id\":\"r-9\",\"conversation_id\":\"c-9\"}",
	};
	struct support_read read;
	support_read_init(&read);
	for (size_t i = 0; i < COUNT(rejected); i++) {
		assert_int_equal(support_read_json(&read, rejected[i]), STATUS_INVALID);
		assert_bytes(read.request.request_id, "r-9");
		assert_bytes(read.request.conversation_id, "c-9");
	}
	assert_int_equal(support_read_json(&read, "{\"request_id\":7,\"conversation_id\":[]}"), STATUS_INVALID);
	assert_false(bytes_is_given(read.request.request_id));
	assert_bytes(read.request.conversation_id, "key-1");
	assert_int_equal(support_read_json(&read, "{\"request_id\":\"r-9\""), STATUS_INVALID);
	assert_false(bytes_is_given(read.request.request_id));
	assert_bytes(read.request.conversation_id, "key-1");
	support_read_deinit(&read);
}

static void chat_request_read_no_value_is_decode(void **state)
{
	(void)state;
	struct bytes values[] = { BYTES_NONE, BYTES("") };
	struct support_read read;
	support_read_init(&read);
	for (size_t i = 0; i < COUNT(values); i++) {
		struct support_record record;
		support_record_init(&record, values[i]);
		support_record_header(&record, "content-type", BYTES("application/json"));
		assert_int_equal(support_read_record(&read, &record.record), STATUS_INVALID);
		assert_int_equal(read.rejection.reason, REASON_DECODE);
		assert_int_equal(read.request.coding, CHAT_CODING_JSON);
	}
	support_read_deinit(&read);
}

static void chat_request_read_content_type_decides(void **state)
{
	(void)state;
	struct support_read read;
	struct support_record record;
	support_read_init(&read);
	support_record_init(&record, BYTES("\x80"));
	support_record_header(&record, "content-type", BYTES("text/plain"));
	assert_int_equal(support_read_record(&read, &record.record), STATUS_INVALID);
	assert_int_equal(read.rejection.reason, REASON_UNSUPPORTED_MEDIA_TYPE);
	assert_int_equal(read.request.coding, CHAT_CODING_MSGPACK);
	support_record_header(&record, "content-type", BYTES("application/json"));
	assert_int_equal(support_read_record(&read, &record.record), STATUS_INVALID);
	assert_int_equal(read.rejection.reason, REASON_DECODE);
	assert_int_equal(read.request.coding, CHAT_CODING_JSON);
	support_record_header(&record, "content-type", BYTES_NONE);
	assert_int_equal(support_read_record(&read, &record.record), STATUS_INVALID);
	assert_int_equal(read.rejection.reason, REASON_SCHEMA);
	support_read_deinit(&read);
}

static void chat_request_read_limits_hold_exactly(void **state)
{
	(void)state;
	struct support_read read;
	struct support_record record;
	struct bytes value = BYTES(CHAT(""));
	struct chat_limits limits = support_limits();
	support_read_init(&read);
	support_record_init(&record, value);
	limits.record_bytes = value.size;
	limits.depth = 3;
	limits.messages = 1;
	limits.id_bytes = 3;
	assert_int_equal(
		chat_request_read(&record.record, &limits, read.arena, &read.request, &read.rejection), STATUS_OK);
	limits.record_bytes--;
	assert_int_equal(
		chat_request_read(&record.record, &limits, read.arena, &read.request, &read.rejection), STATUS_INVALID);
	assert_int_equal(read.rejection.reason, REASON_TOO_LARGE);
	limits.record_bytes++;
	limits.depth--;
	assert_int_equal(
		chat_request_read(&record.record, &limits, read.arena, &read.request, &read.rejection), STATUS_INVALID);
	assert_int_equal(read.rejection.reason, REASON_DECODE);
	limits.depth++;
	limits.id_bytes--;
	assert_int_equal(
		chat_request_read(&record.record, &limits, read.arena, &read.request, &read.rejection), STATUS_INVALID);
	assert_bytes(read.rejection.detail, "request_id must be text of 1 to 2 bytes.");
	support_read_deinit(&read);
}

static void chat_request_read_details_name_field_and_rule(void **state)
{
	(void)state;
	expect_rejected("[]", REASON_DECODE, NULL);
	expect_rejected("{}", REASON_SCHEMA, "request_id is required.");
	expect_rejected("{\"request_id\":\"r\"}", REASON_SCHEMA, "messages is required.");
	expect_rejected(CHAT(",\"temperature\":3"), REASON_SCHEMA, "temperature must be a number from 0 to 2.");
	expect_rejected(
		CHAT(",\"stream\":true"), REASON_BAD_REQUEST, "stream must be false: one record gets one reply.");
	expect_rejected(CHAT(",\"x\":1,\"x\":2"), REASON_SCHEMA, "The request has a key twice.");
	expect_rejected(CHAT(",\"x\":NaN"), REASON_DECODE, "The value is not well-formed JSON.");
}

/* The arena is given less and less: always one of three results, never a crash, and the last is success. */
static void chat_request_read_small_arena_is_no_memory(void **state)
{
	(void)state;
	char json[40000];
	int size = snprintf(json, sizeof(json),
		"{\"request_id\":\"\\u0072\",\"temperature\":0.5,\"user\":\"%030000d\","
		"\"messages\":[{\"role\":\"user\",\"content\":\"x\",\"extra\":1}]}",
		0);
	assert_true(size > 0);
	struct support_record record;
	struct chat_limits limits = support_limits();
	support_record_init(&record, bytes_of(json));
	bool was_full = false;
	enum status status = STATUS_NO_MEMORY;
	for (size_t ceiling = 4096; status != STATUS_OK; ceiling += 4096) {
		struct chat_request request;
		struct chat_rejection rejection;
		struct arena *arena = arena_new(ceiling);
		status = chat_request_read(&record.record, &limits, arena, &request, &rejection);
		if (status != STATUS_OK) assert_int_equal(status, STATUS_NO_MEMORY);
		if (status != STATUS_OK) was_full = true;
		assert_bytes(request.conversation_id, "key-1");
		arena_free(arena);
		assert_true(ceiling < 1024 * 1024);
	}
	assert_true(was_full);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chat_request_read_minimal_json),
		cmocka_unit_test(chat_request_read_minimal_msgpack),
		cmocka_unit_test(chat_request_read_options_come_in_the_order_of_the_table),
		cmocka_unit_test(chat_request_read_models),
		cmocka_unit_test(chat_request_read_token_limits),
		cmocka_unit_test(chat_request_read_deadline_the_earlier_counts),
		cmocka_unit_test(chat_request_read_key_stands_in_for_the_conversation),
		cmocka_unit_test(chat_request_read_odd_keys),
		cmocka_unit_test(chat_request_read_rejected_keeps_the_ids_it_could_read),
		cmocka_unit_test(chat_request_read_no_value_is_decode),
		cmocka_unit_test(chat_request_read_content_type_decides),
		cmocka_unit_test(chat_request_read_limits_hold_exactly),
		cmocka_unit_test(chat_request_read_details_name_field_and_rule),
		cmocka_unit_test(chat_request_read_small_arena_is_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
