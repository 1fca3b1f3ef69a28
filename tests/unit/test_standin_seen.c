/* The memory behind `once`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "replay/standin_seen.h"

static void seen_counts_each_text_and_place(void **state)
{
	(void)state;
	struct standin_seen *seen = standin_seen_new(10);
	assert_int_equal(standin_seen_count(seen, BYTES_LITERAL("a"), 0), 0);
	assert_int_equal(standin_seen_count(seen, BYTES_LITERAL("a"), 0), 1);
	assert_int_equal(standin_seen_count(seen, BYTES_LITERAL("a"), 0), 2);
	assert_int_equal(standin_seen_count(seen, BYTES_LITERAL("a"), 7), 0);
	assert_int_equal(standin_seen_count(seen, BYTES_LITERAL("b"), 0), 0);
	standin_seen_free(seen);
}

static void seen_at_its_bound_forgets_the_oldest(void **state)
{
	(void)state;
	struct standin_seen *seen = standin_seen_new(3);
	for (int i = 0; i < 4; i++) {
		char text[16];
		snprintf(text, sizeof text, "%d", i);
		assert_int_equal(standin_seen_count(seen, bytes_of(text), 0), 0);
	}
	assert_int_equal(standin_seen_count(seen, BYTES_LITERAL("3"), 0), 1);
	assert_int_equal(standin_seen_count(seen, BYTES_LITERAL("1"), 0), 1);
	assert_int_equal(standin_seen_count(seen, BYTES_LITERAL("0"), 0), 0);
	standin_seen_free(seen);
}

static void seen_free_accepts_null(void **state)
{
	(void)state;
	standin_seen_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seen_counts_each_text_and_place),
		cmocka_unit_test(seen_at_its_bound_forgets_the_oldest),
		cmocka_unit_test(seen_free_accepts_null),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
