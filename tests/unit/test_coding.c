/* Which coding a record has. */
#include "chat_support.h"

#include "schemas/coding.h"

static void expect(struct bytes content_type, struct bytes value, enum status status, enum chat_coding coding)
{
	enum chat_coding found = coding == CHAT_CODING_JSON ? CHAT_CODING_MSGPACK : CHAT_CODING_JSON;
	assert_int_equal(coding_find(content_type, value, &found), status);
	assert_int_equal(found, coding);
}

static void coding_find_known_types_give_their_coding(void **state)
{
	(void)state;
	expect(BYTES("application/vnd.msgpack"), BYTES("\x80"), STATUS_OK, CHAT_CODING_MSGPACK);
	expect(BYTES("application/msgpack"), BYTES("\x80"), STATUS_OK, CHAT_CODING_MSGPACK);
	expect(BYTES("application/x-msgpack"), BYTES("\x80"), STATUS_OK, CHAT_CODING_MSGPACK);
	expect(BYTES("application/json"), BYTES("\x80"), STATUS_OK, CHAT_CODING_JSON);
}

static void coding_find_no_header_means_msgpack(void **state)
{
	(void)state;
	expect(BYTES_NONE, BYTES("\x80"), STATUS_OK, CHAT_CODING_MSGPACK);
	expect(BYTES(""), BYTES("\x80"), STATUS_OK, CHAT_CODING_MSGPACK);
	expect(BYTES(" \t"), BYTES("\x80"), STATUS_OK, CHAT_CODING_MSGPACK);
	expect(BYTES_NONE, BYTES_NONE, STATUS_OK, CHAT_CODING_MSGPACK);
	expect(BYTES_NONE, BYTES(""), STATUS_OK, CHAT_CODING_MSGPACK);
}

static void coding_find_ignores_case_and_parameters(void **state)
{
	(void)state;
	expect(BYTES("Application/JSON"), BYTES("["), STATUS_OK, CHAT_CODING_JSON);
	expect(BYTES(" application/json ; charset=utf-8"), BYTES("["), STATUS_OK, CHAT_CODING_JSON);
	expect(BYTES("application/json;"), BYTES("["), STATUS_OK, CHAT_CODING_JSON);
	expect(BYTES("APPLICATION/VND.MSGPACK;v=1"), BYTES("\x80"), STATUS_OK, CHAT_CODING_MSGPACK);
}

static void coding_find_brace_is_json_whatever_the_header_says(void **state)
{
	(void)state;
	expect(BYTES_NONE, BYTES("{"), STATUS_OK, CHAT_CODING_JSON);
	expect(BYTES("application/msgpack"), BYTES("{}"), STATUS_OK, CHAT_CODING_JSON);
	expect(BYTES("text/plain"), BYTES("{}"), STATUS_OK, CHAT_CODING_JSON);
}

static void coding_find_other_types_are_unsupported_and_answered_in_msgpack(void **state)
{
	(void)state;
	expect(BYTES("text/plain"), BYTES("\x80"), STATUS_UNSUPPORTED, CHAT_CODING_MSGPACK);
	expect(BYTES("application/jsonx"), BYTES("["), STATUS_UNSUPPORTED, CHAT_CODING_MSGPACK);
	expect(BYTES("application/jso"), BYTES("["), STATUS_UNSUPPORTED, CHAT_CODING_MSGPACK);
	expect(BYTES("json"), BYTES("["), STATUS_UNSUPPORTED, CHAT_CODING_MSGPACK);
	expect(BYTES("application/json\0"), BYTES("["), STATUS_UNSUPPORTED, CHAT_CODING_MSGPACK);
}

static void coding_content_type_is_read_back_as_itself(void **state)
{
	(void)state;
	assert_string_equal(coding_content_type(CHAT_CODING_MSGPACK), "application/vnd.msgpack");
	assert_string_equal(coding_content_type(CHAT_CODING_JSON), "application/json");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(coding_find_known_types_give_their_coding),
		cmocka_unit_test(coding_find_no_header_means_msgpack),
		cmocka_unit_test(coding_find_ignores_case_and_parameters),
		cmocka_unit_test(coding_find_brace_is_json_whatever_the_header_says),
		cmocka_unit_test(coding_find_other_types_are_unsupported_and_answered_in_msgpack),
		cmocka_unit_test(coding_content_type_is_read_back_as_itself),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
