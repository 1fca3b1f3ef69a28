/* msgpack as JSON, JSON as msgpack. */
#include "chat_support.h"

#include "schemas/transcode.h"

static void expect_json(struct bytes msgpack, const char *json)
{
	struct wire_value value;
	struct wire_fault fault;
	struct buffer out;
	buffer_init(&out, 65536);
	assert_int_equal(wire_open(CHAT_CODING_MSGPACK, msgpack, 32, &value, &fault), STATUS_OK);
	assert_int_equal(transcode_to_json(&value, &out), STATUS_OK);
	assert_bytes(buffer_bytes(&out), json);
	buffer_deinit(&out);
}

static void expect_msgpack(const char *json, struct bytes msgpack)
{
	struct buffer out;
	buffer_init(&out, 65536);
	assert_int_equal(transcode_to_msgpack(bytes_of(json), &out), STATUS_OK);
	assert_bytes_equal(buffer_bytes(&out), msgpack);
	buffer_deinit(&out);
}

static void transcode_to_json_scalars(void **state)
{
	(void)state;
	expect_json(BYTES("\xc0"), "null");
	expect_json(BYTES("\xc2"), "false");
	expect_json(BYTES("\xc3"), "true");
	expect_json(BYTES("\x00"), "0");
	expect_json(BYTES("\xff"), "-1");
	expect_json(BYTES("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"), "-9223372036854775808");
	expect_json(BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), "18446744073709551615");
	expect_json(BYTES("\xa0"), "\"\"");
}

static void transcode_to_json_floats_take_the_shortest_form(void **state)
{
	(void)state;
	expect_json(BYTES("\xcb\x3f\xe6\x66\x66\x66\x66\x66\x66"), "0.7");
	expect_json(BYTES("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a"), "0.1");
	expect_json(BYTES("\xca\x3f\x00\x00\x00"), "0.5");
	expect_json(BYTES("\xcb\x80\x00\x00\x00\x00\x00\x00\x00"), "-0.0");
	expect_json(BYTES("\xcb\x00\x00\x00\x00\x00\x00\x00\x01"), "5e-324");
	expect_json(BYTES("\xcb\x7f\xef\xff\xff\xff\xff\xff\xff"), "1.7976931348623157e308");
}

static void transcode_to_json_text_is_escaped(void **state)
{
	(void)state;
	expect_json(BYTES("\xa9\"\\\n\x01\x1f\x7f/\xc3\xa9"), "\"\\\"\\\\\\n\\u0001\\u001f\x7f/\xc3\xa9\"");
}

static void transcode_to_json_containers_keep_their_order(void **state)
{
	(void)state;
	expect_json(BYTES("\x90"), "[]");
	expect_json(BYTES("\x80"), "{}");
	expect_json(BYTES("\x93\x01\x90\x81\xa1z\x80"), "[1,[],{\"z\":{}}]");
	expect_json(BYTES("\x82\xa1z\x92\xc0\xc3\xa1"
			  "a\xa1x"),
		"{\"z\":[null,true],\"a\":\"x\"}");
}

static void transcode_to_json_deepest_value_is_written(void **state)
{
	(void)state;
	char nested[WIRE_DEPTH_MAX];
	char json[2 * WIRE_DEPTH_MAX + 1];
	memset(nested, '\x91', sizeof(nested));
	nested[WIRE_DEPTH_MAX - 1] = '\x90';
	memset(json, '[', WIRE_DEPTH_MAX);
	memset(json + WIRE_DEPTH_MAX, ']', WIRE_DEPTH_MAX);
	json[2 * WIRE_DEPTH_MAX] = '\0';
	struct wire_value value;
	struct wire_fault fault;
	struct buffer out;
	buffer_init(&out, 65536);
	struct bytes input = bytes_at(nested, sizeof(nested));
	assert_int_equal(wire_open(CHAT_CODING_MSGPACK, input, WIRE_DEPTH_MAX, &value, &fault), STATUS_OK);
	assert_int_equal(transcode_to_json(&value, &out), STATUS_OK);
	assert_bytes(buffer_bytes(&out), json);
	buffer_deinit(&out);
}

static void transcode_to_json_binary_is_unsupported(void **state)
{
	(void)state;
	struct bytes inputs[] = { BYTES("\xc4\x00"), BYTES("\x92\x01\xc4\x01x"), BYTES("\x81\xa1x\xc5\x00\x01x") };
	for (size_t i = 0; i < COUNT(inputs); i++) {
		struct wire_value value;
		struct wire_fault fault;
		struct buffer out;
		buffer_init(&out, 65536);
		assert_int_equal(wire_open(CHAT_CODING_MSGPACK, inputs[i], 32, &value, &fault), STATUS_OK);
		assert_int_equal(transcode_to_json(&value, &out), STATUS_UNSUPPORTED);
		buffer_deinit(&out);
	}
}

static void transcode_to_json_of_json_is_byte_for_byte(void **state)
{
	(void)state;
	struct bytes text = BYTES("{ \"a\" : [1.50, \"\\u00e9\\/\" ] }");
	struct wire_value value;
	struct wire_fault fault;
	struct buffer out;
	buffer_init(&out, 65536);
	assert_int_equal(wire_open(CHAT_CODING_JSON, text, 32, &value, &fault), STATUS_OK);
	assert_int_equal(transcode_to_json(&value, &out), STATUS_OK);
	assert_bytes_equal(buffer_bytes(&out), text);
	buffer_deinit(&out);
}

static void transcode_to_msgpack_every_type(void **state)
{
	(void)state;
	expect_msgpack("null", BYTES("\xc0"));
	expect_msgpack("true", BYTES("\xc3"));
	expect_msgpack(" false ", BYTES("\xc2"));
	expect_msgpack("127", BYTES("\x7f"));
	expect_msgpack("-129", BYTES("\xd1\xff\x7f"));
	expect_msgpack("18446744073709551615", BYTES("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"));
	expect_msgpack("0.1", BYTES("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a"));
	expect_msgpack("\"\\u00e9\\n\"", BYTES("\xa3\xc3\xa9\n"));
	expect_msgpack("[]", BYTES("\x90"));
	expect_msgpack("{\"b\":[1,{}],\"a\":\"x\"}", BYTES("\x82\xa1"
							   "b\x92\x01\x80\xa1"
							   "a\xa1x"));
}

static void transcode_to_msgpack_what_is_not_json_appends_nothing(void **state)
{
	(void)state;
	const char *texts[] = { "", " ", "{", "[1,", "nul", "{}{}", "\"\\ud800\"" };
	for (size_t i = 0; i < COUNT(texts); i++) {
		struct buffer out;
		buffer_init(&out, 64);
		buffer_append_char(&out, 'x');
		assert_int_equal(transcode_to_msgpack(bytes_of(texts[i]), &out), STATUS_INVALID);
		assert_bytes(buffer_bytes(&out), "x");
		buffer_deinit(&out);
	}
}

static void transcode_to_msgpack_too_deep_appends_nothing(void **state)
{
	(void)state;
	char json[2 * (WIRE_DEPTH_MAX + 1)];
	memset(json, '[', WIRE_DEPTH_MAX + 1);
	memset(json + WIRE_DEPTH_MAX + 1, ']', WIRE_DEPTH_MAX + 1);
	struct buffer out;
	buffer_init(&out, 65536);
	assert_int_equal(transcode_to_msgpack(bytes_at(json, sizeof(json)), &out), STATUS_INVALID);
	assert_int_equal(out.size, 0);
	assert_int_equal(transcode_to_msgpack(bytes_at(json + 1, sizeof(json) - 2), &out), STATUS_OK);
	assert_int_equal(out.size, WIRE_DEPTH_MAX);
	buffer_deinit(&out);
}

static void transcode_both_ways_is_the_same(void **state)
{
	(void)state;
	const char *json = "{\"a\":[1,-1,0.5,\"x\\n\",null,true,{}],\"b\":{\"c\":[]}}";
	struct buffer packed;
	buffer_init(&packed, 65536);
	assert_int_equal(transcode_to_msgpack(bytes_of(json), &packed), STATUS_OK);
	expect_json(buffer_bytes(&packed), json);
	buffer_deinit(&packed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(transcode_to_json_scalars),
		cmocka_unit_test(transcode_to_json_floats_take_the_shortest_form),
		cmocka_unit_test(transcode_to_json_text_is_escaped),
		cmocka_unit_test(transcode_to_json_containers_keep_their_order),
		cmocka_unit_test(transcode_to_json_deepest_value_is_written),
		cmocka_unit_test(transcode_to_json_binary_is_unsupported),
		cmocka_unit_test(transcode_to_json_of_json_is_byte_for_byte),
		cmocka_unit_test(transcode_to_msgpack_every_type),
		cmocka_unit_test(transcode_to_msgpack_what_is_not_json_appends_nothing),
		cmocka_unit_test(transcode_to_msgpack_too_deep_appends_nothing),
		cmocka_unit_test(transcode_both_ways_is_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
