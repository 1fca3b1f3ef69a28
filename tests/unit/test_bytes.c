/* Views: comparison, trimming, whole integers. UTF-8 and blanks: test_bytes_utf8.c; globs: test_bytes_glob.c. */
#include "common/bytes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/random.h"
#include "tests/unit/assertion_trap.h"

static void bytes_not_given_differs_from_empty(void **state)
{
	(void)state;
	assert_false(bytes_is_given(BYTES_NONE));
	assert_false(bytes_is_given(bytes_of(NULL)));
	assert_true(bytes_is_given(BYTES_LITERAL("")));
	assert_true(bytes_is_given(bytes_of("")));
	assert_int_equal(BYTES_NONE.size, 0);
	assert_true(bytes_equal(BYTES_NONE, BYTES_LITERAL("")));
}

static void bytes_of_and_literal_measure_without_the_nul(void **state)
{
	(void)state;
	assert_int_equal(bytes_of("abc").size, 3);
	assert_int_equal(BYTES_LITERAL("abc").size, 3);
	assert_int_equal(BYTES_LITERAL("a\0c").size, 3);
}

static void bytes_at_null_with_size_asserts(void **state)
{
	(void)state;
	assert_false(bytes_is_given(bytes_at(NULL, 0)));
	expect_assert_failure((void)bytes_at(NULL, 1));
}

static void bytes_equal_compares_size_and_content(void **state)
{
	(void)state;
	assert_true(bytes_equal(BYTES_LITERAL("abc"), BYTES_LITERAL("abc")));
	assert_true(bytes_equal(BYTES_LITERAL("a\0c"), BYTES_LITERAL("a\0c")));
	assert_false(bytes_equal(BYTES_LITERAL("a\0c"), BYTES_LITERAL("a\0d")));
	assert_false(bytes_equal(BYTES_LITERAL("abc"), BYTES_LITERAL("ab")));
	assert_false(bytes_equal(BYTES_LITERAL("abc"), BYTES_LITERAL("abC")));
	assert_true(bytes_equal_text(BYTES_LITERAL("abc"), "abc"));
	assert_false(bytes_equal_text(BYTES_LITERAL("a\0c"), "a"));
	assert_true(bytes_equal_text(BYTES_NONE, ""));
}

static void bytes_equal_ignoring_case_folds_ascii_letters_only(void **state)
{
	(void)state;
	assert_true(bytes_equal_ignoring_case(BYTES_LITERAL("Content-TYPE"), BYTES_LITERAL("content-type")));
	assert_false(bytes_equal_ignoring_case(BYTES_LITERAL("content-type"), BYTES_LITERAL("content-typ")));
	assert_true(bytes_equal_ignoring_case(BYTES_NONE, BYTES_NONE));
	for (int a = 0; a < 256; a++) {
		for (int b = 0; b < 256; b++) {
			char one = (char)a, other = (char)b;
			bool is_letter = (a >= 'A' && a <= 'Z') || (a >= 'a' && a <= 'z');
			bool expected = a == b || (is_letter && (a ^ b) == 0x20);
			assert_int_equal(bytes_equal_ignoring_case(bytes_at(&one, 1), bytes_at(&other, 1)), expected);
		}
	}
}

static void bytes_starts_with_any_prefix(void **state)
{
	(void)state;
	struct bytes view = BYTES_LITERAL("chat.requests");
	for (size_t size = 0; size <= view.size; size++)
		assert_true(bytes_starts_with(view, bytes_at("chat.requests", size)));
	assert_false(bytes_starts_with(view, BYTES_LITERAL("chat.requestsx")));
	assert_false(bytes_starts_with(view, BYTES_LITERAL("Chat")));
	assert_true(bytes_starts_with(BYTES_NONE, BYTES_NONE));
	assert_false(bytes_starts_with(BYTES_NONE, BYTES_LITERAL("a")));
}

static void bytes_trim_removes_four_characters_at_both_ends(void **state)
{
	(void)state;
	assert_text_equal(bytes_trim(BYTES_LITERAL(" \t\r\nab c\n\r\t ")), "ab c");
	assert_text_equal(bytes_trim(BYTES_LITERAL("abc")), "abc");
	assert_int_equal(bytes_trim(BYTES_LITERAL(" \t\r\n")).size, 0);
	assert_false(bytes_is_given(bytes_trim(BYTES_NONE)));
	for (int i = 0; i < 256; i++) {
		char text[3] = { (char)i, 'x', (char)i };
		bool is_space = i == ' ' || i == '\t' || i == '\r' || i == '\n';
		assert_int_equal(bytes_trim(bytes_at(text, sizeof(text))).size, is_space ? 1 : 3);
	}
}

static void bytes_has_nul_finds_it_anywhere(void **state)
{
	(void)state;
	char text[9];
	memset(text, 'a', sizeof(text));
	assert_false(bytes_has_nul(bytes_at(text, sizeof(text))));
	for (size_t i = 0; i < sizeof(text); i++) {
		text[i] = '\0';
		assert_true(bytes_has_nul(bytes_at(text, sizeof(text))));
		text[i] = 'a';
	}
	assert_false(bytes_has_nul(BYTES_NONE));
	assert_false(bytes_has_nul(bytes_of("")));
}

struct int_case {
	const char *text;
	bool is_valid;
	int64_t value;
};

static const struct int_case int_cases[] = {
	{ "0", true, 0 }, { "-0", true, 0 }, { "7", true, 7 }, { "-7", true, -7 }, { "007", true, 7 },
	{ "9223372036854775806", true, INT64_MAX - 1 }, { "9223372036854775807", true, INT64_MAX },
	{ "9223372036854775808", false, 0 }, { "9223372036854775810", false, 0 },
	{ "-9223372036854775807", true, INT64_MIN + 1 }, { "-9223372036854775808", true, INT64_MIN },
	{ "-9223372036854775809", false, 0 }, { "-9223372036854775810", false, 0 },
	{ "92233720368547758070", false, 0 }, { "18446744073709551616", false, 0 },
	{ "18446744073709551617", false, 0 }, { "00000000000000000000000000000000000000012", true, 12 },
	{ "99999999999999999999999999999999999999999", false, 0 }, { "", false, 0 }, { "-", false, 0 },
	{ "--1", false, 0 }, { "+1", false, 0 }, { " 1", false, 0 }, { "1 ", false, 0 }, { "1.0", false, 0 },
	{ "1e3", false, 0 }, { "0x10", false, 0 }, { "12a", false, 0 }, { "a12", false, 0 }, { "1-2", false, 0 },
	{ "\xd9\xa1", false, 0 }, /* an Arabic digit one */
};

static void bytes_to_int64_borders_and_junk(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(int_cases) / sizeof(int_cases[0]); i++) {
		int64_t value = 4711;
		enum status status = bytes_to_int64(bytes_of(int_cases[i].text), &value);
		assert_int_equal(status, int_cases[i].is_valid ? STATUS_OK : STATUS_INVALID);
		assert_true(value == (int_cases[i].is_valid ? int_cases[i].value : 4711));
	}
}

static void bytes_to_int64_not_given_or_with_nul_is_invalid(void **state)
{
	(void)state;
	int64_t value = 4711;
	assert_int_equal(bytes_to_int64(BYTES_NONE, &value), STATUS_INVALID);
	assert_int_equal(bytes_to_int64(BYTES_LITERAL("1\0"), &value), STATUS_INVALID);
	assert_int_equal(bytes_to_int64(BYTES_LITERAL("\0001"), &value), STATUS_INVALID);
	assert_int_equal(value, 4711);
}

static void bytes_to_int64_reads_only_the_view(void **state)
{
	(void)state;
	int64_t value;
	assert_int_equal(bytes_to_int64(bytes_at("12345", 3), &value), STATUS_OK);
	assert_int_equal(value, 123);
}

/* Numbers of all lengths: a random word shifted by a random distance. */
static void bytes_to_int64_random_values_come_back(void **state)
{
	(void)state;
	struct random random;
	random_init(&random, 31);
	for (int i = 0; i < 100000; i++) {
		char text[32];
		int64_t value = (int64_t)random_next(&random) >> random_below(&random, 64), seen = 0;
		int size = snprintf(text, sizeof(text), "%" PRId64, value);
		assert_int_equal(bytes_to_int64(bytes_at(text, (size_t)size), &seen), STATUS_OK);
		assert_true(seen == value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_not_given_differs_from_empty),
		cmocka_unit_test(bytes_of_and_literal_measure_without_the_nul),
		cmocka_unit_test(bytes_at_null_with_size_asserts),
		cmocka_unit_test(bytes_equal_compares_size_and_content),
		cmocka_unit_test(bytes_equal_ignoring_case_folds_ascii_letters_only),
		cmocka_unit_test(bytes_starts_with_any_prefix),
		cmocka_unit_test(bytes_trim_removes_four_characters_at_both_ends),
		cmocka_unit_test(bytes_has_nul_finds_it_anywhere),
		cmocka_unit_test(bytes_to_int64_borders_and_junk),
		cmocka_unit_test(bytes_to_int64_not_given_or_with_nul_is_invalid),
		cmocka_unit_test(bytes_to_int64_reads_only_the_view),
		cmocka_unit_test(bytes_to_int64_random_values_come_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
