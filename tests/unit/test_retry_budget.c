/* Retries cost what first attempts have earned, and over any time there are no more than the header promises. */
#include "worker/core/retry_budget.h"

#include "common/random.h"
#include "tests/unit/assertion_trap.h"

static const struct retry_budget_options options = { .earned = 200, .max = 5000 };

/* Takes as many retries of this cost as there are at this time. */
static int take_all(struct retry_budget *budget, int64_t cost, int64_t now_ms)
{
	int taken = 0;
	for (; retry_budget_has(budget, cost, now_ms); taken++)
		retry_budget_spend(budget, cost, now_ms);
	return taken;
}

static void retry_budget_begins_full_with_the_floors_retry_ready(void **state)
{
	(void)state;
	struct retry_budget budget;
	retry_budget_init(&budget, &options, 100);
	assert_int_equal(budget.tokens, 5000);
	assert_int_equal(take_all(&budget, RETRY_BUDGET_COST, 100), 5 + 1);
	assert_int_equal(budget.tokens, 0);
}

static void retry_budget_five_first_attempts_earn_a_retry(void **state)
{
	(void)state;
	struct retry_budget budget;
	retry_budget_init(&budget, &options, 100);
	take_all(&budget, RETRY_BUDGET_COST, 100);
	for (int i = 0; i < 4; i++)
		retry_budget_earn(&budget, &options);
	assert_false(retry_budget_has(&budget, RETRY_BUDGET_COST, 100));
	retry_budget_earn(&budget, &options);
	assert_int_equal(take_all(&budget, RETRY_BUDGET_COST, 100), 1);
}

static void retry_budget_full_bucket_keeps_no_more(void **state)
{
	(void)state;
	struct retry_budget budget;
	retry_budget_init(&budget, &options, 100);
	for (int i = 0; i < 100; i++)
		retry_budget_earn(&budget, &options);
	assert_int_equal(budget.tokens, 5000);
	retry_budget_spend(&budget, RETRY_BUDGET_COST_UNSENT, 100);
	assert_int_equal(budget.tokens, 4750);
	retry_budget_earn(&budget, &options);
	assert_int_equal(budget.tokens, 4950);
	retry_budget_earn(&budget, &options);
	assert_int_equal(budget.tokens, 5000);
}

static void retry_budget_unsent_attempt_costs_a_quarter(void **state)
{
	(void)state;
	struct retry_budget budget;
	retry_budget_init(&budget, &options, 100);
	assert_int_equal(take_all(&budget, RETRY_BUDGET_COST_UNSENT, 100), 4 * 5 + 1);
}

static void retry_budget_empty_bucket_gives_one_retry_a_second(void **state)
{
	(void)state;
	const struct retry_budget_options none = { .earned = 0, .max = 0 };
	struct retry_budget budget;
	retry_budget_init(&budget, &none, 100);
	assert_int_equal(take_all(&budget, RETRY_BUDGET_COST, 100), 1);
	assert_int_equal(take_all(&budget, RETRY_BUDGET_COST, 1099), 0);
	assert_int_equal(take_all(&budget, RETRY_BUDGET_COST, 1100), 1);
	/* What was not taken is not saved up. */
	assert_int_equal(take_all(&budget, RETRY_BUDGET_COST, 9999), 1);
}

static void retry_budget_floor_is_left_alone_while_there_are_tokens(void **state)
{
	(void)state;
	struct retry_budget budget;
	retry_budget_init(&budget, &options, 100);
	retry_budget_spend(&budget, RETRY_BUDGET_COST, 100);
	assert_int_equal(budget.floor_ms, 100);
	assert_int_equal(budget.tokens, 4000);
}

/* Whatever the order of things: retries ≤ max + ratio × first attempts + one a second. */
static void retry_budget_any_sequence_stays_within_the_promise(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct random random;
		random_init(&random, seed);
		const struct retry_budget_options drawn = { .earned = (int64_t)random_below(&random, 1500),
			.max = (int64_t)random_below(&random, 8000) };
		struct retry_budget budget;
		retry_budget_init(&budget, &drawn, 0);
		int64_t now_ms = 0, firsts = 0, spent = 0;
		for (int step = 0; step < 500; step++) {
			now_ms += (int64_t)random_below(&random, 50);
			if (random_below(&random, 3) == 0) {
				retry_budget_earn(&budget, &drawn);
				firsts++;
			}
			int64_t cost = random_below(&random, 4) == 0 ? RETRY_BUDGET_COST_UNSENT : RETRY_BUDGET_COST;
			if (retry_budget_has(&budget, cost, now_ms)) {
				retry_budget_spend(&budget, cost, now_ms);
				spent += cost;
			}
			int64_t floor = RETRY_BUDGET_COST * (1 + now_ms / RETRY_BUDGET_FLOOR_MS);
			assert_for_seed(seed, spent <= drawn.max + drawn.earned * firsts + floor);
			assert_for_seed(seed, budget.tokens >= 0 && budget.tokens <= drawn.max);
		}
	}
}

static void retry_budget_spending_what_is_not_there_is_a_bug(void **state)
{
	(void)state;
	const struct retry_budget_options none = { .earned = 0, .max = 0 };
	struct retry_budget budget;
	retry_budget_init(&budget, &none, 100);
	retry_budget_spend(&budget, RETRY_BUDGET_COST, 100);
	expect_assert_failure(retry_budget_spend(&budget, RETRY_BUDGET_COST, 101));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(retry_budget_begins_full_with_the_floors_retry_ready),
		cmocka_unit_test(retry_budget_five_first_attempts_earn_a_retry),
		cmocka_unit_test(retry_budget_full_bucket_keeps_no_more),
		cmocka_unit_test(retry_budget_unsent_attempt_costs_a_quarter),
		cmocka_unit_test(retry_budget_empty_bucket_gives_one_retry_a_second),
		cmocka_unit_test(retry_budget_floor_is_left_alone_while_there_are_tokens),
		cmocka_unit_test(retry_budget_any_sequence_stays_within_the_promise),
		cmocka_unit_test(retry_budget_spending_what_is_not_there_is_a_bug),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
