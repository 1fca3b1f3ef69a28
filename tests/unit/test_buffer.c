/* Buffers: what is appended is there, the ceiling is exact, a failure sticks. */
#include "common/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/random.h"
#include "tests/unit/assertion_trap.h"

static void buffer_fresh_is_empty_and_fine(void **state)
{
	(void)state;
	struct buffer buffer;
	buffer_init(&buffer, 10);
	assert_int_equal(buffer_status(&buffer), STATUS_OK);
	assert_text_equal(buffer_bytes(&buffer), "");
	buffer_deinit(&buffer);
	buffer_deinit(&buffer);
	assert_text_equal(buffer_bytes(&buffer), "");
}

static void buffer_appends_are_joined_in_order(void **state)
{
	(void)state;
	struct buffer buffer;
	buffer_init(&buffer, 1000);
	buffer_append(&buffer, BYTES_LITERAL("a\0b"));
	buffer_append(&buffer, BYTES_NONE);
	buffer_append_text(&buffer, "cd");
	buffer_append_text(&buffer, "");
	buffer_append_char(&buffer, '\0');
	buffer_append_int(&buffer, -5);
	buffer_append_format(&buffer, "%s=%d;", "x", 7);
	buffer_append_format(&buffer, "%s", "");
	assert_int_equal(buffer_status(&buffer), STATUS_OK);
	assert_bytes_equal(buffer_bytes(&buffer), BYTES_LITERAL("a\0bcd\0-5x=7;"));
	buffer_deinit(&buffer);
}

static void buffer_ints_at_the_borders(void **state)
{
	(void)state;
	struct buffer buffer;
	buffer_init(&buffer, 1000);
	buffer_append_int(&buffer, INT64_MIN);
	buffer_append_char(&buffer, ' ');
	buffer_append_int(&buffer, INT64_MAX);
	buffer_append_char(&buffer, ' ');
	buffer_append_int(&buffer, 0);
	assert_text_equal(buffer_bytes(&buffer), "-9223372036854775808 9223372036854775807 0");
	buffer_deinit(&buffer);
}

/* Each way to append, filled up to the last byte and then one more. */
static void append_plain(struct buffer *buffer, const char *text)
{
	buffer_append(buffer, bytes_of(text));
}

static void append_text(struct buffer *buffer, const char *text)
{
	buffer_append_text(buffer, text);
}

static void append_format(struct buffer *buffer, const char *text)
{
	buffer_append_format(buffer, "%s", text);
}

static void append_chars(struct buffer *buffer, const char *text)
{
	for (; *text != '\0'; text++)
		buffer_append_char(buffer, *text);
}

typedef void append_function(struct buffer *buffer, const char *text);
static append_function *const append_functions[] = { append_plain, append_text, append_format, append_chars };
enum { APPEND_FUNCTIONS = sizeof(append_functions) / sizeof(append_functions[0]) };

static void buffer_ceiling_is_exact(void **state)
{
	(void)state;
	static const size_t ceilings[] = { 1, 5, 255, 256, 257, 511, 512, 1000 };
	char text[1002];
	for (size_t which = 0; which < APPEND_FUNCTIONS; which++) {
		for (size_t i = 0; i < sizeof(ceilings) / sizeof(ceilings[0]); i++) {
			struct buffer buffer;
			buffer_init(&buffer, ceilings[i]);
			memset(text, 'a', sizeof(text));
			text[ceilings[i]] = '\0';
			append_functions[which](&buffer, text);
			assert_int_equal(buffer_status(&buffer), STATUS_OK);
			assert_text_equal(buffer_bytes(&buffer), text);
			append_functions[which](&buffer, "b");
			assert_int_equal(buffer_status(&buffer), STATUS_TOO_LARGE);
			assert_text_equal(buffer_bytes(&buffer), text);
			assert_true(buffer.capacity <= ceilings[i] + 1);
			buffer_deinit(&buffer);
		}
	}
}

static void buffer_of_size_zero_takes_nothing(void **state)
{
	(void)state;
	struct buffer buffer;
	buffer_init(&buffer, 0);
	buffer_append_text(&buffer, "");
	buffer_append_format(&buffer, "%s", "");
	assert_int_equal(buffer_status(&buffer), STATUS_OK);
	buffer_append_char(&buffer, 'a');
	assert_int_equal(buffer_status(&buffer), STATUS_TOO_LARGE);
	buffer_deinit(&buffer);
}

static void buffer_without_ceiling_grows(void **state)
{
	(void)state;
	struct buffer buffer;
	buffer_init(&buffer, SIZE_MAX);
	for (int i = 0; i < 5000; i++)
		buffer_append_text(&buffer, "0123456789");
	assert_int_equal(buffer_status(&buffer), STATUS_OK);
	assert_int_equal(buffer_bytes(&buffer).size, 50000);
	buffer_deinit(&buffer);
}

static void buffer_failure_sticks_until_cleared(void **state)
{
	(void)state;
	struct buffer buffer;
	char *data = NULL;
	size_t size = 77;
	buffer_init(&buffer, 4);
	buffer_append_text(&buffer, "abc");
	buffer_append_text(&buffer, "de");
	buffer_append_char(&buffer, 'f');
	buffer_append_int(&buffer, 1);
	buffer_append_format(&buffer, "%d", 1);
	buffer_append_json_string(&buffer, BYTES_LITERAL(""));
	assert_text_equal(buffer_bytes(&buffer), "abc");
	assert_int_equal(buffer_take(&buffer, &data, &size), STATUS_TOO_LARGE);
	assert_null(data);
	assert_int_equal(size, 77);
	buffer_truncate(&buffer, 1);
	assert_int_equal(buffer_status(&buffer), STATUS_TOO_LARGE);
	buffer_clear(&buffer);
	assert_int_equal(buffer_status(&buffer), STATUS_OK);
	buffer_append_text(&buffer, "wxyz");
	assert_text_equal(buffer_bytes(&buffer), "wxyz");
	buffer_deinit(&buffer);
}

static void buffer_failed_by_its_owner_keeps_the_first_reason(void **state)
{
	(void)state;
	struct buffer buffer;
	buffer_init(&buffer, 10);
	buffer_append_text(&buffer, "one");
	buffer_fail(&buffer, STATUS_NO_MEMORY);
	buffer_fail(&buffer, STATUS_TOO_LARGE);
	buffer_append_text(&buffer, "two");
	assert_int_equal(buffer_status(&buffer), STATUS_NO_MEMORY);
	assert_text_equal(buffer_bytes(&buffer), "one");
	buffer_clear(&buffer);
	assert_int_equal(buffer_status(&buffer), STATUS_OK);
	expect_assert_failure(buffer_fail(&buffer, STATUS_OK));
	buffer_deinit(&buffer);
}

static void buffer_clear_keeps_the_memory(void **state)
{
	(void)state;
	struct buffer buffer;
	buffer_init(&buffer, 1000);
	buffer_append_text(&buffer, "something");
	const char *data = buffer.data;
	buffer_clear(&buffer);
	assert_text_equal(buffer_bytes(&buffer), "");
	buffer_append_text(&buffer, "other");
	assert_ptr_equal(buffer.data, data);
	buffer_deinit(&buffer);
}

static void buffer_truncate_keeps_the_front(void **state)
{
	(void)state;
	struct buffer buffer;
	buffer_init(&buffer, 10);
	buffer_append_text(&buffer, "abcdef");
	buffer_truncate(&buffer, 6);
	buffer_truncate(&buffer, 2);
	assert_text_equal(buffer_bytes(&buffer), "ab");
	expect_assert_failure(buffer_truncate(&buffer, 3));
	buffer_append_text(&buffer, "12345678");
	assert_int_equal(buffer_status(&buffer), STATUS_OK);
	assert_text_equal(buffer_bytes(&buffer), "ab12345678");
	buffer_deinit(&buffer);
}

static void buffer_take_hands_the_memory_over(void **state)
{
	(void)state;
	struct buffer buffer;
	char *data;
	size_t size;
	buffer_init(&buffer, 10);
	buffer_append_text(&buffer, "abc");
	assert_int_equal(buffer_take(&buffer, &data, &size), STATUS_OK);
	assert_bytes_equal(bytes_at(data, size), BYTES_LITERAL("abc"));
	assert_text_equal(buffer_bytes(&buffer), "");
	free(data);
	buffer_append_text(&buffer, "0123456789");
	assert_int_equal(buffer_status(&buffer), STATUS_OK);
	buffer_deinit(&buffer);
}

static void buffer_take_of_nothing_gives_a_pointer(void **state)
{
	(void)state;
	struct buffer buffer;
	char *data = NULL;
	size_t size = 77;
	buffer_init(&buffer, 10);
	assert_int_equal(buffer_take(&buffer, &data, &size), STATUS_OK);
	assert_non_null(data);
	assert_int_equal(size, 0);
	free(data);
	buffer_deinit(&buffer);
}

/* RFC 8259 §7: quote, backslash and everything below U+0020 must be escaped, nothing else is. */
static void buffer_json_string_every_byte(void **state)
{
	(void)state;
	struct buffer buffer;
	buffer_init(&buffer, 100);
	for (int i = 0; i < 256; i++) {
		char one = (char)i, expected[16];
		buffer_clear(&buffer);
		buffer_append_json_string(&buffer, bytes_at(&one, 1));
		if (i == '"' || i == '\\')
			snprintf(expected, sizeof(expected), "\"\\%c\"", i);
		else if (i == '\n' || i == '\r' || i == '\t')
			snprintf(expected, sizeof(expected), "\"\\%c\"", i == '\n' ? 'n' : i == '\r' ? 'r' : 't');
		else if (i < 0x20)
			snprintf(expected, sizeof(expected), "\"\\u%04x\"", (unsigned)i);
		else
			snprintf(expected, sizeof(expected), "\"%c\"", i);
		assert_text_equal(buffer_bytes(&buffer), expected);
	}
	buffer_deinit(&buffer);
}

static void buffer_json_string_texts(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{ "", "\"\"" },
		{ "plain", "\"plain\"" },
		{ "\"", "\"\\\"\"" },
		{ "a\"b\\c", "\"a\\\"b\\\\c\"" },
		{ "\n\n", "\"\\n\\n\"" },
		{ "x\ny", "\"x\\ny\"" },
		{ "\x01z\x1f", "\"\\u0001z\\u001f\"" },
		{ "gr\xc3\xbc\xc3\x9f /\x7f", "\"gr\xc3\xbc\xc3\x9f /\x7f\"" },
	};
	struct buffer buffer;
	buffer_init(&buffer, 1000);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buffer_clear(&buffer);
		buffer_append_json_string(&buffer, bytes_of(cases[i][0]));
		assert_text_equal(buffer_bytes(&buffer), cases[i][1]);
	}
	buffer_clear(&buffer);
	buffer_append_json_string(&buffer, BYTES_NONE);
	buffer_append_json_string(&buffer, BYTES_LITERAL("\0"));
	assert_text_equal(buffer_bytes(&buffer), "\"\"\"\\u0000\"");
	buffer_deinit(&buffer);
}

static void buffer_json_string_ceiling_is_exact(void **state)
{
	(void)state;
	struct bytes text = BYTES_LITERAL("a\x01\"b");
	const size_t size = sizeof("\"a\\u0001\\\"b\"") - 1;
	for (size_t ceiling = 0; ceiling <= size; ceiling++) {
		struct buffer buffer;
		buffer_init(&buffer, ceiling);
		buffer_append_json_string(&buffer, text);
		assert_int_equal(buffer_status(&buffer), ceiling == size ? STATUS_OK : STATUS_TOO_LARGE);
		assert_true(buffer_bytes(&buffer).size <= ceiling);
		buffer_deinit(&buffer);
	}
}

static void buffer_random_pieces_agree_with_array(void **state)
{
	(void)state;
	static char expected[20000], piece[300];
	struct random random;
	struct buffer buffer;
	size_t used = 0;
	random_init(&random, 51);
	buffer_init(&buffer, sizeof(expected));
	for (;;) {
		size_t size = (size_t)random_below(&random, sizeof(piece));
		for (size_t i = 0; i < size; i++)
			piece[i] = (char)random_next(&random);
		buffer_append(&buffer, bytes_at(piece, size));
		if (used + size > sizeof(expected)) break;
		memcpy(expected + used, piece, size);
		used += size;
		assert_int_equal(buffer_status(&buffer), STATUS_OK);
		assert_bytes_equal(buffer_bytes(&buffer), bytes_at(expected, used));
	}
	assert_int_equal(buffer_status(&buffer), STATUS_TOO_LARGE);
	assert_bytes_equal(buffer_bytes(&buffer), bytes_at(expected, used));
	buffer_deinit(&buffer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffer_fresh_is_empty_and_fine),
		cmocka_unit_test(buffer_appends_are_joined_in_order),
		cmocka_unit_test(buffer_ints_at_the_borders),
		cmocka_unit_test(buffer_ceiling_is_exact),
		cmocka_unit_test(buffer_of_size_zero_takes_nothing),
		cmocka_unit_test(buffer_without_ceiling_grows),
		cmocka_unit_test(buffer_failure_sticks_until_cleared),
		cmocka_unit_test(buffer_failed_by_its_owner_keeps_the_first_reason),
		cmocka_unit_test(buffer_clear_keeps_the_memory),
		cmocka_unit_test(buffer_truncate_keeps_the_front),
		cmocka_unit_test(buffer_take_hands_the_memory_over),
		cmocka_unit_test(buffer_take_of_nothing_gives_a_pointer),
		cmocka_unit_test(buffer_json_string_every_byte),
		cmocka_unit_test(buffer_json_string_texts),
		cmocka_unit_test(buffer_json_string_ceiling_is_exact),
		cmocka_unit_test(buffer_random_pieces_agree_with_array),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
