/* The messages of a request. */
#include "chat_support.h"

#include "schemas/wire.h"

/* A request of these messages, read from JSON. */
static enum status read_messages(struct support_read *read, const char *messages)
{
	char json[4096];
	int size = snprintf(json, sizeof(json), "{\"request_id\":\"r\",\"messages\":[%s]}", messages);
	assert_in_range(size, 1, sizeof(json) - 1);
	struct bytes copy;
	assert_int_equal(arena_copy(read->arena, bytes_of(json), &copy), STATUS_OK);
	struct support_record record;
	support_record_init(&record, copy);
	return support_read_record(read, &record.record);
}

static void expect_rejected(const char *messages, enum reason reason, const char *detail)
{
	struct support_read read;
	support_read_init(&read);
	assert_int_equal(read_messages(&read, messages), STATUS_INVALID);
	assert_int_equal(read.rejection.reason, reason);
	assert_bytes(read.rejection.detail, detail);
	support_read_deinit(&read);
}

static void chat_messages_roles_are_told_apart(void **state)
{
	(void)state;
	static const char *const words[] = { "system", "developer", "user", "assistant", "tool" };
	struct support_read read;
	support_read_init(&read);
	for (size_t i = 0; i < COUNT(words); i++) {
		char message[128];
		snprintf(message, sizeof(message), "{\"role\":\"%s\",\"content\":\"x\",\"tool_call_id\":\"t\"}",
			words[i]);
		assert_int_equal(read_messages(&read, message), STATUS_OK);
		assert_int_equal(read.request.messages[0].role, (int)i);
		bool is_tool = read.request.messages[0].role == CHAT_ROLE_TOOL;
		assert_int_equal(bytes_is_given(read.request.messages[0].tool_call_id), is_tool);
	}
	support_read_deinit(&read);
}

static void chat_messages_json_is_borrowed_where_nothing_changes(void **state)
{
	(void)state;
	struct support_read read;
	support_read_init(&read);
	const char *message = "{ \"content\" : null, \"tool_calls\":[ {\"id\":\"1\"} ],\"role\":\"assistant\" }";
	assert_int_equal(read_messages(&read, message), STATUS_OK);
	assert_bytes(read.request.messages[0].json, message);
	assert_true(read.request.messages[0].has_tool_calls);
	support_read_deinit(&read);
}

static void chat_messages_unknown_and_null_fields_are_left_out(void **state)
{
	(void)state;
	struct support_read read;
	support_read_init(&read);
	assert_int_equal(
		read_messages(&read, "{\"x\":1,\"content\":[{\"type\":\"text\",\"text\":\"a\",\"y\":1}],"
				     "\"refusal\":null,\"role\":\"assistant\",\"z\":{}},"
				     "{\"role\":\"assistant\",\"content\":null,\"refusal\":\"no\",\"name\":null}"),
		STATUS_OK);
	assert_bytes(read.request.messages[0].json,
		"{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"a\",\"y\":1}]}");
	assert_bytes(read.request.messages[1].json, "{\"role\":\"assistant\",\"content\":null,\"refusal\":\"no\"}");
	assert_int_equal(read.request.unknown_fields, 2);
	support_read_deinit(&read);
}

/* `count` unknown keys with their values, each with a comma behind it. */
static const char *unknown_keys(char *text, size_t size, int count)
{
	size_t at = 0;
	text[0] = '\0';
	for (int i = 0; i < count; i++)
		at += (size_t)snprintf(text + at, size - at, "\"u%d\":0,", i);
	return text;
}

static void chat_messages_too_many_unknown_keys_are_rejected(void **state)
{
	(void)state;
	char keys[1024], message[2048];
	struct support_read read;
	support_read_init(&read);
	snprintf(message, sizeof(message), "{%s\"role\":\"user\",\"content\":\"x\"}",
		unknown_keys(keys, sizeof(keys), WIRE_UNKNOWN_MAX));
	assert_int_equal(read_messages(&read, message), STATUS_OK);
	support_read_deinit(&read);
	snprintf(message, sizeof(message), "{%s\"role\":\"user\",\"content\":\"x\"}",
		unknown_keys(keys, sizeof(keys), WIRE_UNKNOWN_MAX + 1));
	expect_rejected(message, REASON_SCHEMA, "messages[0] has more than 64 unknown keys.");
	snprintf(message, sizeof(message), "{\"role\":\"user\",\"content\":[{%s\"type\":\"image\"}]}",
		unknown_keys(keys, sizeof(keys), WIRE_UNKNOWN_MAX + 1));
	expect_rejected(message, REASON_SCHEMA, "messages[0].content holds a part with too many keys.");
}

static void chat_messages_msgpack_is_written_in_the_order_of_the_table(void **state)
{
	(void)state;
	struct support_read read;
	struct support_record record;
	support_read_init(&read);
	support_record_init(&record, BYTES("\x82\xa8messages\x91\x84\xa7"
					   "content\xa1x\xactool_call_id\xa1t\xa1u\xc4\x01\xff\xa4role\xa4tool"
					   "\xaarequest_id\xa1r"));
	assert_int_equal(support_read_record(&read, &record.record), STATUS_OK);
	assert_bytes(read.request.messages[0].json, "{\"role\":\"tool\",\"content\":\"x\",\"tool_call_id\":\"t\"}");
	assert_bytes(read.request.messages[0].tool_call_id, "t");
	assert_int_equal(read.request.unknown_fields, 1);
	support_read_deinit(&read);
}

static void chat_messages_binary_is_not_passed_on(void **state)
{
	(void)state;
	struct support_read read;
	struct support_record record;
	support_read_init(&read);
	support_record_init(&record, BYTES("\x82\xaarequest_id\xa1r\xa8messages\x91\x82\xa4role\xa4user\xa7"
					   "content\x91\x82\xa4type\xa1"
					   "f\xa1"
					   "f\xc4\x01x"));
	assert_int_equal(support_read_record(&read, &record.record), STATUS_INVALID);
	assert_int_equal(read.rejection.reason, REASON_SCHEMA);
	assert_bytes(read.rejection.detail, "messages[0].content must not hold binary data.");
	support_read_deinit(&read);
}

static void chat_messages_content_rules_follow_the_role(void **state)
{
	(void)state;
	static const char *const accepted[] = {
		"{\"role\":\"assistant\",\"content\":\"\"}",
		"{\"role\":\"tool\",\"content\":\"\",\"tool_call_id\":\"t\"}",
		"{\"role\":\"assistant\",\"tool_calls\":[{}]}",
		"{\"role\":\"assistant\",\"refusal\":\"no\"}",
		"{\"role\":\"assistant\",\"content\":\"x\",\"tool_calls\":[]}",
		"{\"role\":\"user\",\"content\":[{\"type\":\"video_url\"}]}",
		"{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"\"}]}",
	};
	struct support_read read;
	support_read_init(&read);
	for (size_t i = 0; i < COUNT(accepted); i++)
		assert_int_equal(read_messages(&read, accepted[i]), STATUS_OK);
	support_read_deinit(&read);

	expect_rejected("{\"role\":\"user\"}", REASON_SCHEMA, "messages[0].content is required.");
	expect_rejected(
		"{\"role\":\"user\",\"content\":\"\"}", REASON_SCHEMA, "messages[0].content must not be empty.");
	expect_rejected(
		"{\"role\":\"system\",\"content\":[]}", REASON_SCHEMA, "messages[0].content must not be empty.");
	expect_rejected("{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[]}", REASON_SCHEMA,
		"messages[0].content is required.");
	expect_rejected(
		"{\"role\":\"tool\",\"tool_call_id\":\"t\"}", REASON_SCHEMA, "messages[0].content is required.");
	expect_rejected("{\"role\":\"user\",\"content\":7}", REASON_SCHEMA,
		"messages[0].content must be text or an array of parts.");
	expect_rejected(
		"{\"role\":\"user\",\"content\":[7]}", REASON_SCHEMA, "messages[0].content must hold maps only.");
	expect_rejected("{\"role\":\"user\",\"content\":[{\"text\":\"x\"}]}", REASON_SCHEMA,
		"messages[0].content holds a part without a type.");
	expect_rejected("{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}", REASON_SCHEMA,
		"messages[0].content holds a text part without text.");
	expect_rejected("{\"role\":\"user\",\"content\":[{\"type\":\"a\",\"type\":\"a\"}]}", REASON_SCHEMA,
		"messages[0].content holds a part with a key twice.");
}

static void chat_messages_tool_needs_a_tool_call_id(void **state)
{
	(void)state;
	expect_rejected("{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"tool\",\"content\":\"x\"}",
		REASON_BAD_REQUEST, "messages[1] has role tool and therefore needs a tool_call_id.");
	expect_rejected("{\"role\":\"tool\",\"content\":\"x\",\"tool_call_id\":null}", REASON_BAD_REQUEST,
		"messages[0] has role tool and therefore needs a tool_call_id.");
	expect_rejected("{\"role\":\"tool\",\"content\":\"x\",\"tool_call_id\":\"\"}", REASON_SCHEMA,
		"messages[0].tool_call_id must not be empty.");
	expect_rejected("{\"role\":\"tool\",\"content\":\"x\",\"tool_call_id\":1}", REASON_SCHEMA,
		"messages[0].tool_call_id must be text.");
}

static void chat_messages_wrong_types_are_named(void **state)
{
	(void)state;
	expect_rejected("7", REASON_SCHEMA, "messages[0] must be a map.");
	expect_rejected("{\"content\":\"x\"}", REASON_SCHEMA, "messages[0].role is required.");
	expect_rejected("{\"role\":1}", REASON_SCHEMA, "messages[0].role must be text.");
	expect_rejected("{\"role\":\"robot\"}", REASON_SCHEMA,
		"messages[0].role must be system, developer, user, assistant or tool.");
	expect_rejected("{\"role\":\"user\",\"role\":\"user\"}", REASON_SCHEMA, "messages[0] has a key twice.");
	expect_rejected(
		"{\"role\":\"user\",\"content\":\"x\",\"name\":{}}", REASON_SCHEMA, "messages[0].name must be text.");
	expect_rejected("{\"role\":\"assistant\",\"content\":\"x\",\"tool_calls\":{}}", REASON_SCHEMA,
		"messages[0].tool_calls must be an array.");
	expect_rejected("{\"role\":\"assistant\",\"content\":\"x\",\"tool_calls\":[1]}", REASON_SCHEMA,
		"messages[0].tool_calls must hold maps only.");
	expect_rejected("{\"role\":\"user\",\"content\":\"x\",\"cache_control\":[]}", REASON_SCHEMA,
		"messages[0].cache_control must be a map.");
	expect_rejected("", REASON_SCHEMA, "messages must not be empty.");
}

static void chat_messages_written_with_escapes_are_understood(void **state)
{
	(void)state;
	struct support_read read;
	support_read_init(&read);
	assert_int_equal(
		read_messages(&read, "{\"r\\u006fle\":\"t\\u006fol\",\"content\":\"x\",\"tool_call_id\":\"\\u0074\"}"),
		STATUS_OK);
	assert_int_equal(read.request.messages[0].role, CHAT_ROLE_TOOL);
	assert_bytes(read.request.messages[0].tool_call_id, "t");
	support_read_deinit(&read);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chat_messages_roles_are_told_apart),
		cmocka_unit_test(chat_messages_json_is_borrowed_where_nothing_changes),
		cmocka_unit_test(chat_messages_unknown_and_null_fields_are_left_out),
		cmocka_unit_test(chat_messages_too_many_unknown_keys_are_rejected),
		cmocka_unit_test(chat_messages_msgpack_is_written_in_the_order_of_the_table),
		cmocka_unit_test(chat_messages_binary_is_not_passed_on),
		cmocka_unit_test(chat_messages_content_rules_follow_the_role),
		cmocka_unit_test(chat_messages_tool_needs_a_tool_call_id),
		cmocka_unit_test(chat_messages_wrong_types_are_named),
		cmocka_unit_test(chat_messages_written_with_escapes_are_understood),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
