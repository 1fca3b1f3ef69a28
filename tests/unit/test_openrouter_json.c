/* Reading and writing the upstream's JSON: depth, numbers as they stand, no NUL. */
#include "testing.h"

#include <stdio.h>
#include <string.h>

#include "common/random.h"
#include "worker/core/openrouter_json.h"

enum { TEXT_MAX = 1 << 18 };

static void assert_within(const char *text, size_t depth)
{
	struct bytes view = bytes_of(text);
	assert_true(openrouter_json_is_within(view, depth));
	if (depth > 0) assert_false(openrouter_json_is_within(view, depth - 1));
}

static void json_depth_counts_nesting_and_not_brackets(void **state)
{
	(void)state;
	assert_within("7", 0);
	assert_within("[]", 1);
	assert_within("{\"a\":[{}]}", 3);
	assert_within("[[],[],[],[],[],[],[],[],[],[],[],[],[],[]]", 2);
	assert_within("[\"[[[[[[[[[[[[[[[[\",\"{{{{\\\"[[[[[[[[[[\"]", 1);
	assert_within("[\"\\\\\",[\"\\\\\\\"[[[[[[[[[[[[[[\"]]", 2);
	assert_within("\"[[[[[[[[[[[[[[[[[[[[[[", 0);
	assert_within("\"[[[[[[[[[[[[\\", 0);
	/* More that closes than opens is not JSON, and not a wrap-around either. */
	assert_within("]]]]]][[", 2);
}

/* The bracket count over eight bytes at a time is that of a plain loop, whatever the bytes: seen through a bound. */
static void json_depth_of_random_bytes_is_that_of_a_plain_count(void **state)
{
	(void)state;
	struct random random;
	random_init(&random, 7);
	for (int round = 0; round < 20000; round++) {
		char text[40];
		size_t size = random_below(&random, sizeof(text)), open = 0;
		for (size_t i = 0; i < size; i++) {
			uint64_t any = random_below(&random, 4);
			text[i] = any == 0 ? '[' : any == 1 ? '{' : (char)random_below(&random, 256);
			/* Nothing that closes, begins a string, or is left out of the count. */
			if (text[i] == ']' || text[i] == '}' || text[i] == '"') text[i] = 'x';
			if (text[i] == '[' || text[i] == '{') open++;
		}
		assert_true(openrouter_json_is_within(bytes_at(text, size), open));
		if (open > 0) assert_false(openrouter_json_is_within(bytes_at(text, size), open - 1));
	}
}

static void assert_written(const char *text, const char *expected)
{
	struct openrouter_json json;
	yyjson_val *root;
	assert_int_equal(openrouter_json_open(&json, bytes_of(text), 32, &root), STATUS_OK);
	struct buffer out;
	buffer_init(&out, TEXT_MAX);
	openrouter_json_append(&out, root);
	openrouter_json_close(&json);
	assert_int_equal(buffer_status(&out), STATUS_OK);
	buffer_append_char(&out, '\0');
	assert_string_equal(out.data, expected);
	buffer_deinit(&out);
}

static void json_is_written_as_it_was_read(void **state)
{
	(void)state;
	assert_written(" { \"b\" : [ 1 , 2.50 , -0 , 1E5 , 12345678901234567890123 ] , \"a\" : { } , \"n\" : null } ",
		"{\"b\":[1,2.50,-0,1E5,12345678901234567890123],\"a\":{},\"n\":null}");
	assert_written("[true,false,null,\"\",[],{}]", "[true,false,null,\"\",[],{}]");
	assert_written("\"\\u00e9\\n\\/\\\"\\ud83d\\ude00\\u0001\"", "\"é\\n/\\\"\xf0\x9f\x98\x80\\u0001\"");
	assert_written("{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}");
	assert_written("[\"\\u0000\",\"a\\u0000\\u0000b\",{\"\\u0000k\":\"\\u0000\"}]", "[\"\",\"ab\",{\"k\":\"\"}]");
}

static void assert_refused(struct bytes text)
{
	struct openrouter_json json;
	yyjson_val *root = NULL;
	assert_int_equal(openrouter_json_open(&json, text, 4, &root), STATUS_INVALID);
	assert_null(root);
	openrouter_json_close(&json);
}

static void json_that_is_none_is_invalid(void **state)
{
	(void)state;
	static const char *const texts[] = { "", " ", "{", "[1,]", "{\"a\":1,}", "nul", "NaN", "01", "1.", "+1", "'a'",
		"[1] [2]", "// x\n1", "\"\xff\"", "\"\xed\xa0\x80\"", "\"\\ud800\"", "\"a\nb\"", "[[[[[]]]]]" };
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_refused(bytes_of(texts[i]));
	assert_refused(BYTES_LITERAL("[1]\0"));
	assert_refused(BYTES_LITERAL("\0[1]"));
}

/* Around the size where the memory on the stack ends. */
static void json_of_any_size_is_read(void **state)
{
	(void)state;
	for (size_t count = 1; count < OPENROUTER_JSON_SCRATCH; count = count * 5 / 4 + 1) {
		struct buffer text;
		buffer_init(&text, TEXT_MAX);
		for (size_t i = 0; i < count; i++)
			buffer_append_text(&text, i == 0 ? "[1" : ",1");
		buffer_append_char(&text, ']');
		struct openrouter_json json;
		yyjson_val *root;
		assert_int_equal(openrouter_json_open(&json, buffer_bytes(&text), 4, &root), STATUS_OK);
		assert_int_equal(yyjson_arr_size(root), count);
		openrouter_json_close(&json);
		openrouter_json_close(&json);
		buffer_deinit(&text);
	}
}

static void json_numbers_are_read_only_when_they_fit(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t count;
		double amount;
	} rows[] = {
		{ "0", 0, 0 },
		{ "7", 7, 7 },
		{ "-7", -1, 0 },
		{ "1.5", -1, 1.5 },
		{ "1e3", -1, 1000 },
		{ "9223372036854775807", INT64_MAX, OPENROUTER_AMOUNT_MAX },
		{ "9223372036854775808", -1, OPENROUTER_AMOUNT_MAX },
		{ "1e999", -1, 0 },
		{ "-1e999", -1, 0 },
		{ "\"7\"", -1, 0 },
		{ "null", -1, 0 },
		{ "true", -1, 0 },
		{ "0.00000000000000000000000000000000000000000000000000000000000000001", -1, 0 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct openrouter_json json;
		yyjson_val *root;
		assert_int_equal(openrouter_json_open(&json, bytes_of(rows[i].text), 4, &root), STATUS_OK);
		assert_int_equal(openrouter_json_count(root), rows[i].count);
		double amount = openrouter_json_amount(root);
		assert_true(amount >= rows[i].amount && amount <= rows[i].amount);
		openrouter_json_close(&json);
	}
	assert_int_equal(openrouter_json_count(NULL), -1);
	assert_true(openrouter_json_amount(NULL) <= 0);
	assert_false(bytes_is_given(openrouter_json_text(NULL)));
}

static void json_members_of_several_arrays_become_one(void **state)
{
	(void)state;
	static const char *const arrays[] = { "[]", "[1,2]", "[]", "7", "[3]" };
	struct buffer out;
	buffer_init(&out, 64);
	for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++) {
		struct openrouter_json json;
		yyjson_val *root;
		assert_int_equal(openrouter_json_open(&json, bytes_of(arrays[i]), 4, &root), STATUS_OK);
		openrouter_json_append_members(&out, root);
		openrouter_json_close(&json);
	}
	openrouter_json_append_members(&out, NULL);
	assert_text_equal(buffer_bytes(&out), "1,2,3");
	buffer_deinit(&out);
}

static void json_over_the_buffers_bound_fails_the_buffer(void **state)
{
	(void)state;
	struct openrouter_json json;
	yyjson_val *root;
	assert_int_equal(
		openrouter_json_open(&json, BYTES_LITERAL("{\"key\":[\"\\u0000value\",12]}"), 4, &root), STATUS_OK);
	for (size_t bound = 0; bound < strlen("{\"key\":[\"value\",12]}"); bound++) {
		struct buffer out;
		buffer_init(&out, bound);
		openrouter_json_append(&out, root);
		assert_int_equal(buffer_status(&out), STATUS_TOO_LARGE);
		buffer_deinit(&out);
	}
	openrouter_json_close(&json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_depth_counts_nesting_and_not_brackets),
		cmocka_unit_test(json_depth_of_random_bytes_is_that_of_a_plain_count),
		cmocka_unit_test(json_is_written_as_it_was_read),
		cmocka_unit_test(json_that_is_none_is_invalid),
		cmocka_unit_test(json_of_any_size_is_read),
		cmocka_unit_test(json_numbers_are_read_only_when_they_fit),
		cmocka_unit_test(json_members_of_several_arrays_become_one),
		cmocka_unit_test(json_over_the_buffers_bound_fails_the_buffer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
