/* Looking for keys, in both codings. */
#include "chat_support.h"

#include "schemas/wire.h"

static const struct bytes names[] = {
	{ .data = "one", .size = 3 },
	{ .data = "two", .size = 3 },
	{ .data = "three", .size = 5 },
};

struct collected {
	struct wire_value slots[COUNT(names)];
	struct wire_found found;
};

static struct collected collect(enum chat_coding coding, struct bytes input)
{
	struct collected collected;
	struct wire_value map;
	struct wire_fault fault;
	assert_int_equal(wire_open(coding, input, 8, &map, &fault), STATUS_OK);
	wire_collect(&map, names, COUNT(names), collected.slots, &collected.found);
	return collected;
}

static void wire_collect_finds_keys_in_any_order(void **state)
{
	(void)state;
	struct collected json = collect(CHAT_CODING_JSON, BYTES("{\"three\":[3],\"other\":{\"two\":0},\"one\":null}"));
	assert_int_equal(json.slots[0].kind, WIRE_NULL);
	assert_int_equal(json.slots[1].kind, WIRE_NONE);
	assert_int_equal(json.slots[2].kind, WIRE_ARRAY);
	assert_int_equal(json.found.unknown, 1);
	assert_false(json.found.repeated);
	struct collected packed = collect(CHAT_CODING_MSGPACK, BYTES("\x82\xa3two\x05\xa3one\xa1x"));
	assert_bytes(packed.slots[0].inside, "x");
	assert_int_equal(packed.slots[1].kind, WIRE_INTEGER);
	assert_int_equal(packed.found.unknown, 0);
}

static void wire_collect_empty_map_finds_nothing(void **state)
{
	(void)state;
	struct collected json = collect(CHAT_CODING_JSON, BYTES("{ }"));
	struct collected packed = collect(CHAT_CODING_MSGPACK, BYTES("\x80"));
	for (size_t i = 0; i < COUNT(names); i++) {
		assert_int_equal(json.slots[i].kind, WIRE_NONE);
		assert_int_equal(packed.slots[i].kind, WIRE_NONE);
	}
}

static void wire_collect_key_twice_is_told(void **state)
{
	(void)state;
	assert_true(collect(CHAT_CODING_JSON, BYTES("{\"one\":1,\"one\":2}")).found.repeated);
	assert_true(collect(CHAT_CODING_JSON, BYTES("{\"one\":null,\"one\":2}")).found.repeated);
	assert_true(collect(CHAT_CODING_JSON, BYTES("{\"one\":1,\"\\u006fne\":2}")).found.repeated);
	assert_true(collect(CHAT_CODING_JSON, BYTES("{\"x\":1,\"y\":2,\"x\":3}")).found.repeated);
	assert_true(collect(CHAT_CODING_MSGPACK, BYTES("\x82\xa3one\x01\xa3one\x02")).found.repeated);
	assert_false(collect(CHAT_CODING_JSON, BYTES("{\"x\":1,\"y\":2,\"xx\":3}")).found.repeated);
	struct collected first = collect(CHAT_CODING_JSON, BYTES("{\"one\":\"first\",\"one\":\"second\"}"));
	assert_bytes(first.slots[0].inside, "first");
}

static void wire_collect_too_many_unknown_keys_end_the_walk(void **state)
{
	(void)state;
	char text[4096] = "{";
	for (int i = 0; i < WIRE_UNKNOWN_MAX + 5; i++) {
		char pair[16];
		snprintf(pair, sizeof(pair), "\"k%d\":0,", i);
		strcat(text, pair);
	}
	strcat(text, "\"one\":1}");
	struct collected crowded = collect(CHAT_CODING_JSON, bytes_of(text));
	assert_true(crowded.found.crowded);
	assert_int_equal(crowded.found.unknown, WIRE_UNKNOWN_MAX);
}

static void wire_collect_key_with_escapes_is_the_same_key(void **state)
{
	(void)state;
	struct collected json = collect(CHAT_CODING_JSON, BYTES("{\"t\\u0077o\":1,\"thr\\u0065\":2}"));
	assert_int_equal(json.slots[1].kind, WIRE_INTEGER);
	assert_int_equal(json.slots[2].kind, WIRE_NONE);
	assert_int_equal(json.found.unknown, 1);
}

/* Up to the longest key that is looked into, and one byte more; `two` stands at its end. */
static void wire_collect_long_key_with_escapes_is_another_key(void **state)
{
	(void)state;
	for (int padding = 240; padding < 260; padding++) {
		char text[300];
		snprintf(text, sizeof(text), "{\"%0*d\\u0074wo\":1,\"\\u0074wo\":2}", padding, 0);
		struct collected json = collect(CHAT_CODING_JSON, bytes_of(text));
		assert_int_equal(json.slots[1].kind, WIRE_INTEGER);
		assert_int_equal(json.found.unknown, 1);
		assert_false(json.found.repeated);
	}
}

static void wire_count_stops_at_the_limit(void **state)
{
	(void)state;
	struct wire_value array;
	struct wire_fault fault;
	assert_int_equal(wire_open(CHAT_CODING_JSON, BYTES("[1,[2,3],\"4,5\"]"), 8, &array, &fault), STATUS_OK);
	assert_int_equal(wire_count(&array, 100), 3);
	assert_int_equal(wire_count(&array, 2), 2);
	assert_int_equal(wire_open(CHAT_CODING_JSON, BYTES("[ ]"), 8, &array, &fault), STATUS_OK);
	assert_int_equal(wire_count(&array, 2), 0);
}

static void wire_truth_reads_both_codings(void **state)
{
	(void)state;
	static const struct {
		enum chat_coding coding;
		struct bytes input;
		bool truth;
	} rows[] = {
		{ CHAT_CODING_JSON, { .data = "true", .size = 4 }, true },
		{ CHAT_CODING_JSON, { .data = "false", .size = 5 }, false },
		{ CHAT_CODING_MSGPACK, { .data = "\xc3", .size = 1 }, true },
		{ CHAT_CODING_MSGPACK, { .data = "\xc2", .size = 1 }, false },
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct wire_value value;
		struct wire_fault fault;
		assert_int_equal(wire_open(rows[i].coding, rows[i].input, 1, &value, &fault), STATUS_OK);
		assert_true(wire_is_given(&value));
		assert_int_equal(wire_truth(&value), rows[i].truth);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wire_collect_finds_keys_in_any_order),
		cmocka_unit_test(wire_collect_empty_map_finds_nothing),
		cmocka_unit_test(wire_collect_key_twice_is_told),
		cmocka_unit_test(wire_collect_too_many_unknown_keys_end_the_walk),
		cmocka_unit_test(wire_collect_key_with_escapes_is_the_same_key),
		cmocka_unit_test(wire_collect_long_key_with_escapes_is_another_key),
		cmocka_unit_test(wire_count_stops_at_the_limit),
		cmocka_unit_test(wire_truth_reads_both_codings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
