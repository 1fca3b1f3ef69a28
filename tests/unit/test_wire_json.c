/* JSON as bytes, with yyjson's own tree as the judge of what the walk finds. */
#include "chat_support.h"

#include <yyjson.h>

#include "common/random.h"
#include "schemas/wire.h"

enum { DEPTH = 32, RANDOM_INPUTS = 20000 };

static enum status open_json(struct bytes input, struct wire_value *out_value, struct wire_fault *out_fault)
{
	return wire_open(CHAT_CODING_JSON, input, DEPTH, out_value, out_fault);
}

static void expect_fault(struct bytes input, enum status status, enum reason reason)
{
	struct wire_value value;
	struct wire_fault fault;
	assert_int_equal(open_json(input, &value, &fault), status);
	assert_int_equal(fault.reason, reason);
}

static void wire_open_what_is_not_json_is_rejected(void **state)
{
	(void)state;
	const char *texts[] = { "", " ", "{", "}", "{]", "[1,]", "{\"a\"}", "{\"a\":1,}", "{a:1}", "'a'", "[1 2]",
		"nul", "01", "1.", "+1", ".5", "NaN", "Infinity", "[1]x", "{}{}", "\"a", "\"\\x\"", "\"\\u12\"",
		"\"\\ud800\"", "\"\t\"", "/**/1", "[\"a\" \"b\"]", "{\"a\":1 \"b\":2}", "\xef\xbb\xbf{}" };
	for (size_t i = 0; i < COUNT(texts); i++)
		expect_fault(bytes_of(texts[i]), STATUS_INVALID, REASON_DECODE);
	expect_fault(BYTES("{}\0"), STATUS_INVALID, REASON_DECODE);
}

static void wire_open_rules_for_all_texts_are_told_apart_from_decode(void **state)
{
	(void)state;
	expect_fault(BYTES("\"a\\u0000b\""), STATUS_OK, REASON_SCHEMA);
	expect_fault(BYTES("\"a\xff\""), STATUS_OK, REASON_SCHEMA);
	expect_fault(BYTES("{\"\xc0\x80\":1}"), STATUS_OK, REASON_SCHEMA);
	expect_fault(BYTES("\"a\\\\u0000b\""), STATUS_OK, REASON_NONE);
	expect_fault(BYTES("\"a\\\\\\u0000b\""), STATUS_OK, REASON_SCHEMA);
	expect_fault(BYTES("[\"\\u0001\"]"), STATUS_OK, REASON_NONE);
	expect_fault(BYTES("[\"\xff\","), STATUS_INVALID, REASON_DECODE);
	expect_fault(BYTES("[\"\xff\",\"\\x\"]"), STATUS_INVALID, REASON_DECODE);
}

static void wire_open_depth_is_allowed_up_to_the_limit(void **state)
{
	(void)state;
	struct wire_value value;
	struct wire_fault fault;
	assert_int_equal(wire_open(CHAT_CODING_JSON, BYTES("[[[\"[[[[\"]]]"), 3, &value, &fault), STATUS_OK);
	assert_int_equal(wire_open(CHAT_CODING_JSON, BYTES("[[[]]]"), 2, &value, &fault), STATUS_INVALID);
	assert_int_equal(fault.reason, REASON_DECODE);
	assert_int_equal(wire_open(CHAT_CODING_JSON, BYTES("[[],[],[{}]]"), 3, &value, &fault), STATUS_OK);
	char *deep = malloc(1000000);
	assert_non_null(deep);
	memset(deep, '[', 1000000);
	assert_int_equal(
		wire_open(CHAT_CODING_JSON, bytes_at(deep, 1000000), SIZE_MAX, &value, &fault), STATUS_INVALID);
	free(deep);
}

static void wire_items_walk_text_with_brackets_and_escapes(void **state)
{
	(void)state;
	struct bytes input = BYTES(" { \"a\\\"}\" : [ 1 , -2.5e3,\"]\\\\\" ] ,\n\"b\":{\"c\":true}, \"d\":null }");
	struct wire_value map, key, value, item;
	struct wire_fault fault;
	assert_int_equal(open_json(input, &map, &fault), STATUS_OK);
	struct wire_cursor cursor = wire_items(&map);
	assert_true(wire_next(&cursor, &key));
	assert_true(key.has_escapes);
	assert_bytes(key.inside, "a\\\"}");
	assert_true(wire_next(&cursor, &value));
	assert_bytes(value.whole, "[ 1 , -2.5e3,\"]\\\\\" ]");
	struct wire_cursor items = wire_items(&value);
	assert_true(wire_next(&items, &item));
	assert_int_equal(item.kind, WIRE_INTEGER);
	assert_true(wire_next(&items, &item));
	assert_int_equal(item.kind, WIRE_FLOAT);
	assert_bytes(item.whole, "-2.5e3");
	assert_true(wire_next(&items, &item));
	assert_bytes(item.inside, "]\\\\");
	assert_false(wire_next(&items, &item));
	assert_true(wire_next(&cursor, &key));
	assert_true(wire_next(&cursor, &value));
	assert_int_equal(value.kind, WIRE_MAP);
	assert_true(wire_next(&cursor, &key));
	assert_true(wire_next(&cursor, &value));
	assert_int_equal(value.kind, WIRE_NULL);
	assert_false(wire_is_given(&value));
	assert_false(wire_next(&cursor, &key));
}

static void wire_text_escapes_are_undone(void **state)
{
	(void)state;
	struct arena *arena = arena_new(65536);
	struct wire_value value;
	struct wire_fault fault;
	struct bytes text;
	assert_int_equal(open_json(BYTES("\"\\u00e9\\ud83d\\ude00\\n\\/\\\"\""), &value, &fault), STATUS_OK);
	assert_int_equal(wire_text(&value, arena, &text), STATUS_OK);
	assert_bytes(text, "\xc3\xa9\xf0\x9f\x98\x80\n/\"");
	assert_int_equal(open_json(BYTES("\"plain\""), &value, &fault), STATUS_OK);
	assert_int_equal(wire_text(&value, arena, &text), STATUS_OK);
	assert_ptr_equal(text.data, value.inside.data);
	arena_free(arena);
}

static void wire_number_is_read_without_looking_behind_it(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		double number;
		enum status status;
	} rows[] = {
		{ "0", 0, STATUS_OK },
		{ "-0", 0, STATUS_OK },
		{ "0.70", 0.7, STATUS_OK },
		{ "1E+2", 100, STATUS_OK },
		{ "123456789012345678901234567890", 123456789012345678901234567890.0, STATUS_OK },
		{ "1e999", 0, STATUS_INVALID },
		{ "0.1000000000000000000000000000000000000000000000000000000000000001", 0, STATUS_INVALID },
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t size = strlen(rows[i].text);
		char *data = malloc(size);
		assert_non_null(data);
		memcpy(data, rows[i].text, size);
		struct wire_value value;
		struct wire_fault fault;
		double number = -1;
		assert_int_equal(open_json(bytes_at(data, size), &value, &fault), STATUS_OK);
		assert_int_equal(wire_number(&value, &number), rows[i].status);
		if (rows[i].status == STATUS_OK) assert_true(number == rows[i].number);
		free(data);
	}
}

static void wire_integer_outside_the_range_is_invalid(void **state)
{
	(void)state;
	struct wire_value value;
	struct wire_fault fault;
	int64_t integer = 0;
	assert_int_equal(open_json(BYTES("9223372036854775807"), &value, &fault), STATUS_OK);
	assert_int_equal(wire_integer(&value, &integer), STATUS_OK);
	assert_int_equal(integer, INT64_MAX);
	assert_int_equal(open_json(BYTES("9223372036854775808"), &value, &fault), STATUS_OK);
	assert_int_equal(wire_integer(&value, &integer), STATUS_INVALID);
}

/* Compares a value of the walk with one of the judge's tree. */
static void compare(const struct wire_value *value, yyjson_val *judge)
{
	struct wire_value item;
	size_t count = 0;
	if (yyjson_is_arr(judge) || yyjson_is_obj(judge)) {
		assert_int_equal(value->kind, yyjson_is_arr(judge) ? WIRE_ARRAY : WIRE_MAP);
		struct wire_cursor cursor = wire_items(value);
		yyjson_val *expected = yyjson_get_len(judge) == 0 ? NULL : unsafe_yyjson_get_first(judge);
		size_t items = yyjson_get_len(judge) * (yyjson_is_arr(judge) ? 1 : 2);
		while (wire_next(&cursor, &item)) {
			assert_true(count < items);
			compare(&item, expected);
			expected = unsafe_yyjson_get_next(expected);
			count++;
		}
		assert_int_equal(count, items);
		return;
	}
	if (yyjson_is_str(judge)) {
		assert_int_equal(value->kind, WIRE_TEXT);
		if (!value->has_escapes)
			assert_bytes_equal(value->inside, bytes_at(yyjson_get_str(judge), yyjson_get_len(judge)));
		return;
	}
	assert_int_equal(value->kind == WIRE_NULL, yyjson_is_null(judge));
	assert_int_equal(value->kind == WIRE_BOOL, yyjson_is_bool(judge));
	if (yyjson_is_bool(judge)) assert_int_equal(wire_truth(value), yyjson_get_bool(judge));
	assert_int_equal(value->kind == WIRE_INTEGER || value->kind == WIRE_FLOAT, yyjson_is_num(judge));
}

static void wire_walk_agrees_with_yyjson(void **state)
{
	(void)state;
	static const char *const pieces[] = { "{", "}", "[", "]", ",", ":", "\"a\"", "\"\\\"\"", "\"\\\\\"", "\"}]\"",
		"1", "-2.5", "true", "null", " ", "{\"k\":", "[1,", "\"\"" };
	struct random random;
	uint64_t seed = random_system_seed();
	print_message("seed %llu\n", (unsigned long long)seed);
	random_init(&random, seed);
	size_t good = 0;
	for (int i = 0; i < RANDOM_INPUTS; i++) {
		char text[256] = "";
		size_t count = 1 + (size_t)random_below(&random, 12);
		for (size_t j = 0; j < count; j++)
			strcat(text, pieces[random_below(&random, COUNT(pieces))]);
		struct wire_value value;
		struct wire_fault fault;
		bool is_json = open_json(bytes_of(text), &value, &fault) == STATUS_OK;
		yyjson_doc *document = yyjson_read(text, strlen(text), 0);
		assert_int_equal(is_json, document != NULL);
		if (is_json) compare(&value, yyjson_doc_get_root(document));
		good += is_json;
		yyjson_doc_free(document);
	}
	assert_true(good > RANDOM_INPUTS / 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wire_open_what_is_not_json_is_rejected),
		cmocka_unit_test(wire_open_rules_for_all_texts_are_told_apart_from_decode),
		cmocka_unit_test(wire_open_depth_is_allowed_up_to_the_limit),
		cmocka_unit_test(wire_items_walk_text_with_brackets_and_escapes),
		cmocka_unit_test(wire_text_escapes_are_undone),
		cmocka_unit_test(wire_number_is_read_without_looking_behind_it),
		cmocka_unit_test(wire_integer_outside_the_range_is_invalid),
		cmocka_unit_test(wire_walk_agrees_with_yyjson),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
