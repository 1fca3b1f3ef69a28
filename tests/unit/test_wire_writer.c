/* One writer, two codings. */
#include "chat_support.h"

#include "schemas/wire_writer.h"

static void write_sample(struct wire_writer *writer)
{
	wire_writer_map(writer, 7);
	wire_writer_key(writer, "text");
	wire_writer_text(writer, BYTES("a\"b{"));
	wire_writer_key(writer, "none");
	wire_writer_text(writer, BYTES_NONE);
	wire_writer_key(writer, "n");
	wire_writer_integer(writer, -7);
	wire_writer_key(writer, "yes");
	wire_writer_bool(writer, true);
	wire_writer_key(writer, "map");
	wire_writer_map(writer, 1);
	wire_writer_key(writer, "no");
	wire_writer_bool(writer, false);
	wire_writer_end_map(writer);
	wire_writer_key(writer, "json");
	wire_writer_json(writer, BYTES("[1,{}]"));
	wire_writer_key(writer, "null");
	wire_writer_json(writer, BYTES_NONE);
	wire_writer_end_map(writer);
}

static void wire_writer_json_has_commas_where_they_belong(void **state)
{
	(void)state;
	struct wire_writer writer;
	wire_writer_init(&writer, CHAT_CODING_JSON, 1000);
	write_sample(&writer);
	assert_bytes(buffer_bytes(&writer.out), "{\"text\":\"a\\\"b{\",\"none\":null,\"n\":-7,\"yes\":true,"
						"\"map\":{\"no\":false},\"json\":[1,{}],\"null\":null}");
	buffer_deinit(&writer.out);
}

static void wire_writer_msgpack_is_minimal(void **state)
{
	(void)state;
	struct wire_writer writer;
	wire_writer_init(&writer, CHAT_CODING_MSGPACK, 1000);
	write_sample(&writer);
	assert_bytes_equal(buffer_bytes(&writer.out), BYTES("\x87\xa4text\xa4"
							    "a\"b{\xa4none\xc0\xa1n\xf9\xa3yes\xc3\xa3map\x81\xa2no\xc2"
							    "\xa4json\x92\x01\x80\xa4null\xc0"));
	buffer_deinit(&writer.out);
}

static void wire_writer_malformed_json_part_becomes_null_in_msgpack(void **state)
{
	(void)state;
	struct wire_writer writer;
	wire_writer_init(&writer, CHAT_CODING_MSGPACK, 1000);
	wire_writer_json(&writer, BYTES("{\"a\":"));
	assert_bytes_equal(buffer_bytes(&writer.out), BYTES("\xc0"));
	buffer_deinit(&writer.out);
}

static void wire_writer_over_the_ceiling_is_told_at_the_end(void **state)
{
	(void)state;
	for (int coding = 0; coding < 2; coding++) {
		struct wire_writer writer;
		wire_writer_init(&writer, (enum chat_coding)coding, 20);
		write_sample(&writer);
		assert_int_equal(buffer_status(&writer.out), STATUS_TOO_LARGE);
		assert_true(writer.out.size <= 20);
		buffer_deinit(&writer.out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wire_writer_json_has_commas_where_they_belong),
		cmocka_unit_test(wire_writer_msgpack_is_minimal),
		cmocka_unit_test(wire_writer_malformed_json_part_becomes_null_in_msgpack),
		cmocka_unit_test(wire_writer_over_the_ceiling_is_told_at_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
