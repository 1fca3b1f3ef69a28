/* Tool calls from fragments, as providers really send them. */
#include "testing.h"

#include <stdio.h>
#include <string.h>

#include "worker/core/openrouter_json.h"
#include "worker/core/openrouter_tools.h"

enum { ARGUMENTS_MAX = 256 };

struct bench {
	struct arena *arena;
	struct openrouter_tools tools;
};

static struct bench bench_make(size_t arena_max)
{
	struct bench bench = { .arena = arena_new(arena_max) };
	assert_non_null(bench.arena);
	openrouter_tools_init(&bench.tools, bench.arena, ARGUMENTS_MAX);
	return bench;
}

static void bench_free(struct bench *bench)
{
	openrouter_tools_deinit(&bench->tools);
	arena_free(bench->arena);
}

static enum status add(struct bench *bench, const char *fragments)
{
	struct openrouter_json json;
	yyjson_val *root;
	assert_int_equal(openrouter_json_open(&json, bytes_of(fragments), 32, &root), STATUS_OK);
	enum status status = openrouter_tools_add(&bench->tools, root);
	openrouter_json_close(&json);
	/* Nothing may point into what was read. */
	memset(&json, 0x5a, sizeof(json));
	return status;
}

/* The fragments one after another give these calls. `fragments` ends with NULL. */
static void assert_calls(const char *const *fragments, const char *expected)
{
	struct bench bench = bench_make(1 << 20);
	for (size_t i = 0; fragments[i] != NULL; i++)
		assert_int_equal(add(&bench, fragments[i]), STATUS_OK);
	struct buffer out;
	buffer_init(&out, 1 << 16);
	openrouter_tools_write(&bench.tools, &out);
	buffer_append_char(&out, '\0');
	assert_string_equal(out.data, expected);
	buffer_deinit(&out);
	bench_free(&bench);
}

#define CALL(id, name, arguments)                                                                                      \
	"{\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"" name "\",\"arguments\":\"" arguments "\"" \
	"}}"

static void tools_one_call_is_put_together(void **state)
{
	(void)state;
	static const char *const fragments[] = {
		"[{\"index\":0,\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]",
		"[{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\\\"\"}}]",
		"[{\"index\":0,\"id\":null,\"type\":null,\"function\":{\"name\":null,\"arguments\":\":1}\"}}]",
		"[]",
		"[{\"index\":0}]",
		NULL,
	};
	assert_calls(fragments, CALL("c1", "f", "{\\\"a\\\":1}"));
}

static void tools_parallel_calls_keep_apart(void **state)
{
	(void)state;
	static const char *const fragments[] = {
		"[{\"index\":0,\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}},"
		"{\"index\":1,\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"\"}}]",
		"[{\"index\":1,\"function\":{\"arguments\":\"2\"}}]",
		"[{\"index\":0,\"function\":{\"arguments\":\"1\"}},{\"index\":1,\"function\":{\"arguments\":\"2\"}}]",
		NULL,
	};
	assert_calls(fragments, CALL("c1", "f", "1") "," CALL("c2", "g", "22"));
}

static void tools_order_is_that_of_the_indexes(void **state)
{
	(void)state;
	static const char *const fragments[] = {
		"[{\"index\":5,\"id\":\"c5\",\"function\":{\"name\":\"f\",\"arguments\":\"5\"}}]",
		"[{\"index\":1,\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":\"1\"}}]",
		"[{\"index\":3,\"id\":\"c3\",\"function\":{\"name\":\"f\",\"arguments\":\"3\"}}]",
		"[{\"index\":5,\"function\":{\"arguments\":\"!\"}}]",
		NULL,
	};
	assert_calls(fragments, CALL("c1", "f", "1") "," CALL("c3", "f", "3") "," CALL("c5", "f", "5!"));
}

static void tools_same_index_with_another_id_is_a_new_call(void **state)
{
	(void)state;
	static const char *const fragments[] = {
		"[{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":\"1\"}}]",
		"[{\"index\":0,\"id\":\"c2\",\"function\":{\"name\":\"g\",\"arguments\":\"2\"}}]",
		"[{\"index\":0,\"function\":{\"arguments\":\"2\"}}]",
		"[{\"index\":0,\"id\":\"c1\",\"function\":{\"arguments\":\"1\"}}]",
		"[{\"index\":0,\"id\":\"\",\"function\":{\"arguments\":\"2\"}}]",
		NULL,
	};
	assert_calls(fragments, CALL("c1", "f", "11") "," CALL("c2", "g", "222"));
}

static void tools_without_index_go_by_id_or_to_the_latest(void **state)
{
	(void)state;
	static const char *const fragments[] = {
		"[{\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":\"1\"}}]",
		"[{\"function\":{\"arguments\":\"1\"}}]",
		"[{\"id\":\"c2\",\"index\":-1,\"function\":{\"name\":\"g\",\"arguments\":\"2\"}}]",
		"[{\"index\":1e2,\"function\":{\"arguments\":\"2\"}}]",
		"[{\"index\":99999999999999,\"id\":\"c1\",\"function\":{\"arguments\":\"1\"}}]",
		NULL,
	};
	assert_calls(fragments, CALL("c1", "f", "111") "," CALL("c2", "g", "22"));
}

static void tools_name_in_pieces_is_joined_and_repeated_is_not(void **state)
{
	(void)state;
	static const char *const pieces[] = {
		"[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"get_\"}}]",
		"[{\"index\":0,\"function\":{\"name\":\"weather\"}}]",
		NULL,
	};
	assert_calls(pieces, CALL("c", "get_weather", ""));
	static const char *const repeated[] = {
		"[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"get\",\"arguments\":\"1\"}}]",
		"[{\"index\":0,\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"get\",\"arguments\":\"2\"}}"
		"]",
		NULL,
	};
	assert_calls(repeated, CALL("c", "get", "12"));
}

static void tools_unknown_fields_are_passed_on_from_the_first_fragment_that_has_any(void **state)
{
	(void)state;
	static const char *const fragments[] = {
		"[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"\"},\"x\":null}]",
		"[{\"index\":0,\"extra_content\":{\"google\":{\"n\":1.50,\"s\":\"\\u0000é\"}},\"y\":[true,false,null]}"
		"]",
		"[{\"index\":0,\"extra_content\":{\"late\":1}}]",
		NULL,
	};
	assert_calls(fragments, "{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"},"
				"\"extra_content\":{\"google\":{\"n\":1.50,\"s\":\"é\"}},\"y\":[true,false,null]}");
}

static void tools_arguments_as_a_value_become_text(void **state)
{
	(void)state;
	static const char *const fragments[] = {
		"[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":{\"a\":[1]}}}]",
		NULL,
	};
	assert_calls(fragments, CALL("c", "f", "{\\\"a\\\":[1]}"));
}

static void tools_missing_parts_are_filled_or_left_out(void **state)
{
	(void)state;
	static const char *const fragments[] = { "[{}]", "[{\"function\":null}]", NULL };
	assert_calls(fragments, "{\"type\":\"function\",\"function\":{\"name\":\"\",\"arguments\":\"\"}}");
	static const char *const none[] = { "[]", NULL };
	assert_calls(none, "");
}

static void tools_of_wrong_types_are_invalid(void **state)
{
	(void)state;
	static const char *const wrong[] = { "{}", "7", "\"x\"", "[7]", "[null]", "[[]]", "[{\"function\":7}]",
		"[{\"function\":[]}]", "[{\"index\":0},\"x\"]" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct bench bench = bench_make(1 << 16);
		assert_int_equal(add(&bench, wrong[i]), STATUS_INVALID);
		bench_free(&bench);
	}
}

static void tools_count_is_bounded(void **state)
{
	(void)state;
	struct bench bench = bench_make(1 << 20);
	for (int i = 0; i <= OPENROUTER_TOOL_CALLS_MAX; i++) {
		char fragment[64];
		snprintf(fragment, sizeof(fragment), "[{\"index\":%d,\"id\":\"c%d\"}]", i, i);
		assert_int_equal(add(&bench, fragment), i < OPENROUTER_TOOL_CALLS_MAX ? STATUS_OK : STATUS_TOO_LARGE);
	}
	assert_int_equal(bench.tools.count, OPENROUTER_TOOL_CALLS_MAX);
	bench_free(&bench);
}

static void tools_arguments_are_bounded(void **state)
{
	(void)state;
	struct bench bench = bench_make(1 << 20);
	for (int i = 0; i < ARGUMENTS_MAX / 8; i++)
		assert_int_equal(add(&bench, "[{\"index\":0,\"function\":{\"arguments\":\"12345678\"}}]"), STATUS_OK);
	assert_int_equal(add(&bench, "[{\"index\":0,\"function\":{\"arguments\":\"1\"}}]"), STATUS_TOO_LARGE);
	bench_free(&bench);
}

static void tools_with_a_full_arena_say_so(void **state)
{
	(void)state;
	struct bench bench = bench_make(0);
	enum status status = STATUS_OK;
	for (int i = 0; i < 400 && status == STATUS_OK; i++) {
		char fragment[96];
		snprintf(fragment, sizeof(fragment), "[{\"index\":%d,\"id\":\"c%060d\"}]", i % 100, i % 100);
		status = add(&bench, fragment);
		if (status == STATUS_OK) status = add(&bench, "[{\"index\":0,\"function\":{\"name\":\"0123456789\"}}]");
		if (status == STATUS_OK) status = add(&bench, "[{\"index\":0,\"function\":{\"name\":\"abcdefghij\"}}]");
	}
	assert_int_equal(status, STATUS_NO_MEMORY);
	bench_free(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tools_one_call_is_put_together),
		cmocka_unit_test(tools_parallel_calls_keep_apart),
		cmocka_unit_test(tools_order_is_that_of_the_indexes),
		cmocka_unit_test(tools_same_index_with_another_id_is_a_new_call),
		cmocka_unit_test(tools_without_index_go_by_id_or_to_the_latest),
		cmocka_unit_test(tools_name_in_pieces_is_joined_and_repeated_is_not),
		cmocka_unit_test(tools_unknown_fields_are_passed_on_from_the_first_fragment_that_has_any),
		cmocka_unit_test(tools_arguments_as_a_value_become_text),
		cmocka_unit_test(tools_missing_parts_are_filled_or_left_out),
		cmocka_unit_test(tools_of_wrong_types_are_invalid),
		cmocka_unit_test(tools_count_is_bounded),
		cmocka_unit_test(tools_arguments_are_bounded),
		cmocka_unit_test(tools_with_a_full_arena_say_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
