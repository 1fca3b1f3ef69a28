/* The scan of msgpack, with msgpack-c's own unpacker as the judge of what is one whole value. */
#include "chat_support.h"

#include <msgpack.h>

#include "common/random.h"
#include "schemas/wire.h"

enum { DEPTH = 32, RANDOM_INPUTS = 200000, RANDOM_SIZE_MAX = 24 };

static enum status open_at(struct bytes input, size_t depth, struct wire_fault *out_fault)
{
	struct wire_value value;
	return wire_open(CHAT_CODING_MSGPACK, input, depth, &value, out_fault);
}

static void expect_decode(struct bytes input)
{
	struct wire_fault fault;
	assert_int_equal(open_at(input, DEPTH, &fault), STATUS_INVALID);
	assert_int_equal(fault.reason, REASON_DECODE);
	assert_non_null(fault.detail);
}

static void expect_rule(struct bytes input)
{
	struct wire_fault fault;
	assert_int_equal(open_at(input, DEPTH, &fault), STATUS_OK);
	assert_int_equal(fault.reason, REASON_SCHEMA);
	assert_non_null(fault.detail);
}

static void expect_good(struct bytes input)
{
	struct wire_fault fault;
	assert_int_equal(open_at(input, DEPTH, &fault), STATUS_OK);
	assert_int_equal(fault.reason, REASON_NONE);
}

static void wire_open_declared_lengths_beyond_the_end_are_rejected(void **state)
{
	(void)state;
	expect_decode(BYTES("\xdb\xff\xff\xff\xff"));
	expect_decode(BYTES("\xda\x00\x05"
			    "1234"));
	expect_decode(BYTES("\xd9\x02"
			    "1"));
	expect_decode(BYTES("\xa2"
			    "1"));
	expect_decode(BYTES("\xc6\xff\xff\xff\xff"));
	expect_decode(BYTES("\xc9\xff\xff\xff\xff\x01"));
	expect_decode(BYTES("\xdd\xff\xff\xff\xff\xc0"));
	expect_decode(BYTES("\xdf\xff\xff\xff\xff\xc0\xc0"));
	expect_decode(BYTES("\xdf\x00\x00\x00\x01\xa1x"));
	expect_decode(BYTES("\x92\xc0"));
	expect_decode(BYTES("\x81\xa1x"));
}

static void wire_open_heads_cut_off_are_rejected(void **state)
{
	(void)state;
	static const unsigned char firsts[] = { 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf,
		0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xc1 };
	for (size_t i = 0; i < COUNT(firsts); i++) {
		char *one = malloc(1);
		assert_non_null(one);
		*one = (char)firsts[i];
		expect_decode(bytes_at(one, 1));
		free(one);
	}
	expect_decode(BYTES(""));
}

static void wire_open_trailing_bytes_are_rejected(void **state)
{
	(void)state;
	expect_good(BYTES("\x80"));
	expect_decode(BYTES("\x80\xc0"));
	expect_decode(BYTES("\xc0\xc0"));
}

static void wire_open_depth_is_allowed_up_to_the_limit(void **state)
{
	(void)state;
	char nested[WIRE_DEPTH_MAX + 8];
	memset(nested, '\x91', sizeof(nested));
	for (size_t depth = 1; depth <= WIRE_DEPTH_MAX; depth++) {
		struct wire_fault fault;
		nested[depth - 1] = '\x90';
		assert_int_equal(open_at(bytes_at(nested, depth), depth, &fault), STATUS_OK);
		if (depth > 1) assert_int_equal(open_at(bytes_at(nested, depth), depth - 1, &fault), STATUS_INVALID);
		nested[depth - 1] = '\x91';
	}
	/* A limit beyond what can be had is cut. */
	struct wire_fault fault;
	nested[WIRE_DEPTH_MAX] = '\x90';
	assert_int_equal(open_at(bytes_at(nested, WIRE_DEPTH_MAX + 1), SIZE_MAX, &fault), STATUS_INVALID);
}

static void wire_open_rules_for_all_values_are_told_apart_from_decode(void **state)
{
	(void)state;
	expect_rule(BYTES("\xa1\xff"));
	expect_rule(BYTES("\xa3"
			  "a\0b"));
	expect_rule(BYTES("\x91\xa2\xc0\x80"));
	expect_rule(BYTES("\xd4\x01x"));
	expect_rule(BYTES("\xc7\x00\x01"));
	expect_rule(BYTES("\xca\x7f\x80\x00\x00"));
	expect_rule(BYTES("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"));
	expect_rule(BYTES("\x81\x01\x02"));
	expect_rule(BYTES("\x81\xc0\x02"));
	expect_rule(BYTES("\x81\x80\x02"));
	expect_rule(BYTES("\x81\xc4\x01x\x02"));
	/* What is no value at all is worse. */
	expect_decode(BYTES("\x92\xd4\x01x"));
	expect_good(BYTES("\xc4\x01\xff"));
	expect_good(BYTES("\x82\xa1x\x01\xa1y\x02"));
}

static int64_t integer_of(struct bytes input)
{
	struct wire_value value;
	struct wire_fault fault;
	int64_t integer = 0;
	assert_int_equal(wire_open(CHAT_CODING_MSGPACK, input, 1, &value, &fault), STATUS_OK);
	assert_int_equal(value.kind, WIRE_INTEGER);
	assert_int_equal(wire_integer(&value, &integer), STATUS_OK);
	double number = 0;
	assert_int_equal(wire_number(&value, &number), STATUS_OK);
	assert_true(number == (double)integer);
	return integer;
}

static void wire_integer_every_width_and_sign(void **state)
{
	(void)state;
	assert_int_equal(integer_of(BYTES("\x00")), 0);
	assert_int_equal(integer_of(BYTES("\x7f")), 127);
	assert_int_equal(integer_of(BYTES("\xff")), -1);
	assert_int_equal(integer_of(BYTES("\xe0")), -32);
	assert_int_equal(integer_of(BYTES("\xcc\xff")), 255);
	assert_int_equal(integer_of(BYTES("\xcd\xff\xff")), 65535);
	assert_int_equal(integer_of(BYTES("\xce\xff\xff\xff\xff")), 4294967295LL);
	assert_int_equal(integer_of(BYTES("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff")), INT64_MAX);
	assert_int_equal(integer_of(BYTES("\xd0\x80")), -128);
	assert_int_equal(integer_of(BYTES("\xd1\x80\x00")), -32768);
	assert_int_equal(integer_of(BYTES("\xd2\xff\xff\xff\xfe")), -2);
	assert_int_equal(integer_of(BYTES("\xd3\x80\x00\x00\x00\x00\x00\x00\x00")), INT64_MIN);
	assert_int_equal(integer_of(BYTES("\xd3\x7f\xff\xff\xff\xff\xff\xff\xff")), INT64_MAX);
}

static void wire_integer_above_the_range_is_invalid(void **state)
{
	(void)state;
	struct wire_value value;
	struct wire_fault fault;
	int64_t integer = 7;
	double number = 0;
	struct bytes input = BYTES("\xcf\x80\x00\x00\x00\x00\x00\x00\x00");
	assert_int_equal(wire_open(CHAT_CODING_MSGPACK, input, 1, &value, &fault), STATUS_OK);
	assert_int_equal(wire_integer(&value, &integer), STATUS_INVALID);
	assert_int_equal(integer, 7);
	assert_int_equal(wire_number(&value, &number), STATUS_OK);
	assert_true(number == 0x1p63);
}

/* The judge: msgpack-c takes exactly `size` bytes for one value. Only for inputs so short that what it allocates for
 * them stays small. */
static bool judge_says_whole(const char *data, size_t size)
{
	msgpack_zone zone;
	msgpack_object object;
	size_t used = 0;
	assert_true(msgpack_zone_init(&zone, 2048));
	msgpack_unpack_return result = msgpack_unpack(data, size, &used, &zone, &object);
	msgpack_zone_destroy(&zone);
	return (result == MSGPACK_UNPACK_SUCCESS || result == MSGPACK_UNPACK_EXTRA_BYTES) && used == size;
}

/* Counts of 32 bits would make the judge ask for gigabytes. */
static bool may_be_judged(const char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)data[i] == 0xdd || (unsigned char)data[i] == 0xdf) return false;
	return true;
}

static void wire_open_agrees_with_msgpack_c(void **state)
{
	(void)state;
	struct random random;
	uint64_t seed = random_system_seed();
	print_message("seed %llu\n", (unsigned long long)seed);
	random_init(&random, seed);
	size_t whole = 0;
	for (int i = 0; i < RANDOM_INPUTS; i++) {
		size_t size = 1 + (size_t)random_below(&random, RANDOM_SIZE_MAX);
		char *data = malloc(size);
		assert_non_null(data);
		for (size_t j = 0; j < size; j++) {
			uint64_t one = random_below(&random, 4);
			/* Mostly short heads, so that many inputs are whole values. */
			data[j] = (char)(one == 0 ? random_next(&random) : 0x90 + random_below(&random, 0x12));
		}
		struct wire_fault fault;
		bool is_whole = open_at(bytes_at(data, size), DEPTH, &fault) == STATUS_OK;
		if (may_be_judged(data, size)) assert_int_equal(is_whole, judge_says_whole(data, size));
		whole += is_whole;
		free(data);
	}
	assert_true(whole > RANDOM_INPUTS / 100);
}

static void wire_items_walk_nested_values_in_order(void **state)
{
	(void)state;
	struct bytes input = BYTES("\x82\xa1"
				   "a\x93\x01\x92\x02\x03\xa2hi\xa1"
				   "b\x81\xa1"
				   "c\xc3");
	struct wire_value map, key, value, item;
	struct wire_fault fault;
	assert_int_equal(wire_open(CHAT_CODING_MSGPACK, input, DEPTH, &map, &fault), STATUS_OK);
	assert_int_equal(map.kind, WIRE_MAP);
	struct wire_cursor cursor = wire_items(&map);
	assert_true(wire_next(&cursor, &key));
	assert_bytes(key.inside, "a");
	assert_true(wire_next(&cursor, &value));
	assert_int_equal(value.kind, WIRE_ARRAY);
	assert_int_equal(wire_count(&value, 10), 3);
	assert_int_equal(wire_count(&value, 2), 2);
	struct wire_cursor items = wire_items(&value);
	assert_true(wire_next(&items, &item));
	assert_true(wire_next(&items, &item));
	assert_int_equal(item.kind, WIRE_ARRAY);
	assert_bytes_equal(item.whole, BYTES("\x92\x02\x03"));
	assert_true(wire_next(&items, &item));
	assert_bytes(item.inside, "hi");
	assert_false(wire_next(&items, &item));
	assert_true(wire_next(&cursor, &key));
	assert_true(wire_next(&cursor, &value));
	assert_bytes_equal(value.whole, BYTES("\x81\xa1"
					      "c\xc3"));
	assert_false(wire_next(&cursor, &key));
}

static void wire_number_reads_both_widths_of_float(void **state)
{
	(void)state;
	struct wire_value value;
	struct wire_fault fault;
	double number = 0;
	assert_int_equal(wire_open(CHAT_CODING_MSGPACK, BYTES("\xca\xbf\x00\x00\x00"), 1, &value, &fault), STATUS_OK);
	assert_int_equal(wire_number(&value, &number), STATUS_OK);
	assert_true(number == -0.5);
	struct bytes wide = BYTES("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a");
	assert_int_equal(wire_open(CHAT_CODING_MSGPACK, wide, 1, &value, &fault), STATUS_OK);
	assert_int_equal(wire_number(&value, &number), STATUS_OK);
	assert_true(number == 0.1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wire_open_declared_lengths_beyond_the_end_are_rejected),
		cmocka_unit_test(wire_open_heads_cut_off_are_rejected),
		cmocka_unit_test(wire_open_trailing_bytes_are_rejected),
		cmocka_unit_test(wire_open_depth_is_allowed_up_to_the_limit),
		cmocka_unit_test(wire_open_rules_for_all_values_are_told_apart_from_decode),
		cmocka_unit_test(wire_integer_every_width_and_sign),
		cmocka_unit_test(wire_integer_above_the_range_is_invalid),
		cmocka_unit_test(wire_open_agrees_with_msgpack_c),
		cmocka_unit_test(wire_items_walk_nested_values_in_order),
		cmocka_unit_test(wire_number_reads_both_widths_of_float),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
