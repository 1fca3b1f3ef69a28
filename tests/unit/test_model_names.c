/* Each model has one number, the same each time; beyond the bound all share one. */
#include "worker/core/model_names.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/assertion_trap.h"

static size_t number_of(struct model_names *names, int model)
{
	char text[32];
	snprintf(text, sizeof(text), "vendor/model-%d", model);
	return model_names_number(names, bytes_of(text));
}

static void model_names_same_name_same_number(void **state)
{
	(void)state;
	struct model_names names = { 0 };
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < MODEL_NAMES_MAX; i++)
			assert_int_equal(number_of(&names, i), i);
	assert_int_equal(names.count, MODEL_NAMES_MAX);
	assert_text_equal(model_names_text(&names, 7), "vendor/model-7");
}

static void model_names_beyond_the_bound_share_one_number(void **state)
{
	(void)state;
	struct model_names names = { 0 };
	for (int i = 0; i < 1000; i++)
		assert_int_equal(number_of(&names, i), i < MODEL_NAMES_MAX ? i : MODEL_NAMES_OTHER);
	assert_int_equal(number_of(&names, 0), 0);
	assert_text_equal(model_names_text(&names, MODEL_NAMES_OTHER), "_OTHER");
}

static void model_names_longest_name_is_kept_and_a_longer_one_shares(void **state)
{
	(void)state;
	struct model_names names = { 0 };
	char text[MODEL_NAME_SIZE_MAX + 1];
	memset(text, 'm', sizeof(text));
	assert_int_equal(model_names_number(&names, bytes_at(text, sizeof(text))), MODEL_NAMES_OTHER);
	assert_int_equal(names.count, 0);
	assert_int_equal(model_names_number(&names, bytes_at(text, MODEL_NAME_SIZE_MAX)), 0);
	assert_int_equal(model_names_text(&names, 0).size, MODEL_NAME_SIZE_MAX);
	/* One that only begins alike is another model. */
	assert_int_equal(model_names_number(&names, bytes_at(text, MODEL_NAME_SIZE_MAX - 1)), 1);
}

static void model_names_are_copied(void **state)
{
	(void)state;
	struct model_names names = { 0 };
	char text[] = "a/one";
	assert_int_equal(model_names_number(&names, bytes_of(text)), 0);
	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(model_names_number(&names, BYTES_LITERAL("a/one")), 0);
	assert_text_equal(model_names_text(&names, 0), "a/one");
}

static void model_names_number_that_was_not_given_is_a_bug(void **state)
{
	(void)state;
	struct model_names names = { 0 };
	expect_assert_failure(model_names_text(&names, 0));
	expect_assert_failure(model_names_number(&names, BYTES_NONE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(model_names_same_name_same_number),
		cmocka_unit_test(model_names_beyond_the_bound_share_one_number),
		cmocka_unit_test(model_names_longest_name_is_kept_and_a_longer_one_shares),
		cmocka_unit_test(model_names_are_copied),
		cmocka_unit_test(model_names_number_that_was_not_given_is_a_bug),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
