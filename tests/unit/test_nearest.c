#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/nearest.h"

static size_t distance(const char *a, const char *b)
{
	return nearest_distance(bytes_of(a), bytes_of(b));
}

static void nearest_edits_counted(void **state)
{
	(void)state;
	assert_int_equal(distance("", ""), 0);
	assert_int_equal(distance("abc", "abc"), 0);
	assert_int_equal(distance("abc", ""), 3);
	assert_int_equal(distance("", "ab"), 2);
	assert_int_equal(distance("abc", "abd"), 1);
	assert_int_equal(distance("abc", "abcd"), 1);
	assert_int_equal(distance("abcd", "acbd"), 1); /* a swap is one edit */
	assert_int_equal(distance("kitten", "sitting"), 3);
}

static void nearest_is_symmetric(void **state)
{
	(void)state;
	static const char *const words[] = { "kafka", "kafak", "models", "model", "", "log.level" };
	for (size_t i = 0; i < 6; i++) {
		for (size_t j = 0; j < 6; j++)
			assert_int_equal(distance(words[i], words[j]), distance(words[j], words[i]));
	}
}

static void nearest_long_word_far_from_everything(void **state)
{
	(void)state;
	char word[NEAREST_WORD_MAX + 1];
	memset(word, 'x', sizeof word);
	assert_true(nearest_distance(bytes_at(word, sizeof word), BYTES_LITERAL("x")) == SIZE_MAX);
	assert_int_equal(nearest_distance(bytes_at(word, NEAREST_WORD_MAX), BYTES_LITERAL("x")), NEAREST_WORD_MAX - 1);
}

static void nearest_slip_or_not(void **state)
{
	(void)state;
	assert_true(nearest_is_slip(1, 8));
	assert_true(nearest_is_slip(2, 8));
	assert_false(nearest_is_slip(4, 8));
	assert_false(nearest_is_slip(1, 2));
	assert_false(nearest_is_slip(SIZE_MAX / 4, 10));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nearest_edits_counted),
		cmocka_unit_test(nearest_is_symmetric),
		cmocka_unit_test(nearest_long_word_far_from_everything),
		cmocka_unit_test(nearest_slip_or_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
