/* Child spans of W3C Trace Context. */
#include "chat_support.h"

#include "schemas/trace_context.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"

static void trace_context_child_keeps_trace_and_flags(void **state)
{
	(void)state;
	char child[TRACE_PARENT_SIZE + 1];
	assert_int_equal(trace_context_child(BYTES("00-" TRACE "-" SPAN "-01"), 0xabcULL, child), STATUS_OK);
	assert_string_equal(child, "00-" TRACE "-0000000000000abc-01");
	assert_int_equal(trace_context_child(BYTES("00-" TRACE "-" SPAN "-00"), UINT64_MAX, child), STATUS_OK);
	assert_string_equal(child, "00-" TRACE "-ffffffffffffffff-00");
}

static void trace_context_child_of_a_later_version_is_version_00(void **state)
{
	(void)state;
	char child[TRACE_PARENT_SIZE + 1];
	assert_int_equal(trace_context_child(BYTES("01-" TRACE "-" SPAN "-01"), 1, child), STATUS_OK);
	assert_string_equal(child, "00-" TRACE "-0000000000000001-01");
	assert_int_equal(trace_context_child(BYTES("cc-" TRACE "-" SPAN "-01-what-follows"), 1, child), STATUS_OK);
}

static void trace_context_child_of_a_malformed_parent_is_invalid(void **state)
{
	(void)state;
	const char *parents[] = {
		"",
		"00",
		"00-" TRACE "-" SPAN "-0",
		"00-" TRACE "-" SPAN "-011",
		"00-" TRACE "-" SPAN "-01-x",
		"01-" TRACE "-" SPAN "-01x",
		"ff-" TRACE "-" SPAN "-01",
		"0g-" TRACE "-" SPAN "-01",
		"00-" TRACE "-" SPAN "-0g",
		"00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01",
		"00-00000000000000000000000000000000-" SPAN "-01",
		"00-" TRACE "-0000000000000000-01",
		"00_" TRACE "-" SPAN "-01",
		"00-" TRACE "_" SPAN "-01",
		"00-" TRACE "-" SPAN "_01",
		" 00-" TRACE "-" SPAN "-01",
	};
	for (size_t i = 0; i < COUNT(parents); i++) {
		char child[TRACE_PARENT_SIZE + 1] = "untouched";
		assert_int_equal(trace_context_child(bytes_of(parents[i]), 1, child), STATUS_INVALID);
		assert_string_equal(child, "untouched");
	}
	char child[TRACE_PARENT_SIZE + 1];
	assert_int_equal(trace_context_child(BYTES_NONE, 1, child), STATUS_INVALID);
}

static void trace_context_is_state_takes_printable_text_only(void **state)
{
	(void)state;
	char longest[513];
	memset(longest, 'x', sizeof(longest));
	assert_true(trace_context_is_state(BYTES("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")));
	assert_true(trace_context_is_state(bytes_at(longest, 512)));
	assert_false(trace_context_is_state(bytes_at(longest, 513)));
	assert_false(trace_context_is_state(BYTES_NONE));
	assert_false(trace_context_is_state(BYTES("")));
	assert_false(trace_context_is_state(BYTES("a=b\r\nx: y")));
	assert_false(trace_context_is_state(BYTES("a=\xc3\xa9")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trace_context_child_keeps_trace_and_flags),
		cmocka_unit_test(trace_context_child_of_a_later_version_is_version_00),
		cmocka_unit_test(trace_context_child_of_a_malformed_parent_is_invalid),
		cmocka_unit_test(trace_context_is_state_takes_printable_text_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
