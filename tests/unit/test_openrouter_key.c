/* What is read of the answer to GET /key. */
#include "worker/core/openrouter_key.h"

#include "tests/unit/testing.h"

static void openrouter_key_with_a_limit_tells_what_is_left(void **state)
{
	(void)state;
	double usd = -1;
	struct bytes body = BYTES_LITERAL("{\"data\":{\"limit\":20,\"limit_remaining\":12.25,\"usage\":7.75}}");
	assert_true(openrouter_key_remaining(body, &usd));
	assert_true(usd == 12.25);
}

static void openrouter_key_overdrawn_has_nothing_left(void **state)
{
	(void)state;
	double usd = -1;
	assert_true(openrouter_key_remaining(BYTES_LITERAL("{\"data\":{\"limit_remaining\":-3}}"), &usd));
	assert_true(usd == 0);
}

static void openrouter_key_without_a_limit_tells_nothing(void **state)
{
	(void)state;
	static const char *const bodies[] = { "", "{}", "[]", "{\"data\":null}",
		"{\"data\":{\"limit_remaining\":null}}", "{\"data\":{\"limit_remaining\":\"12\"}}",
		"{\"data\":{\"limit_remaining\":1}", "<html>" };
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		double usd = -1;
		assert_false(openrouter_key_remaining(bytes_of(bodies[i]), &usd));
		assert_true(usd == -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(openrouter_key_with_a_limit_tells_what_is_left),
		cmocka_unit_test(openrouter_key_overdrawn_has_nothing_left),
		cmocka_unit_test(openrouter_key_without_a_limit_tells_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
