/* The latch falls once, probes one at a time at their times, and lifts on a good one. */
#include "worker/core/account.h"

#include "tests/unit/assertion_trap.h"

static const struct failure refused = { .reason = REASON_AUTH, .action = FAILURE_ACTION_LATCH, .http_status = 401 };
static const struct failure broke = { .reason = REASON_CREDITS, .action = FAILURE_ACTION_LATCH, .http_status = 402 };

static void account_new_one_works(void **state)
{
	(void)state;
	const struct account account = { 0 };
	assert_false(account_is_refused(&account));
	assert_true(account_probe_due(&account) == INT64_MAX);
}

static void account_first_refusal_is_news_and_later_ones_change_nothing(void **state)
{
	(void)state;
	struct account account = { 0 };
	assert_true(account_refuse(&account, &refused, 5000));
	assert_true(account_is_refused(&account));
	assert_int_equal(account_probe_due(&account), 6000);
	assert_false(account_refuse(&account, &broke, 5500));
	assert_int_equal(account.refusal.reason, REASON_AUTH);
	assert_int_equal(account_probe_due(&account), 6000);
}

static void account_one_probe_at_a_time_then_every_half_minute(void **state)
{
	(void)state;
	struct account account = { 0 };
	assert_true(account_refuse(&account, &refused, 5000));
	for (int64_t due_ms = 6000; due_ms < 400000; due_ms += 30000) {
		assert_int_equal(account_probe_due(&account), due_ms);
		account_probe(&account, due_ms);
		assert_true(account_probe_due(&account) == INT64_MAX);
		assert_false(account_probe_done(&account, false, due_ms + 700));
		assert_true(account_is_refused(&account));
	}
}

static void account_good_probe_lifts_it(void **state)
{
	(void)state;
	struct account account = { 0 };
	assert_true(account_refuse(&account, &broke, 5000));
	account_probe(&account, 6000);
	assert_true(account_probe_done(&account, true, 6100));
	assert_false(account_is_refused(&account));
	assert_true(account_probe_due(&account) == INT64_MAX);
}

/* A key that a probe likes and chats do not must not be asked every second. */
static void account_refused_again_soon_is_probed_slowly(void **state)
{
	(void)state;
	struct account account = { 0 };
	assert_true(account_refuse(&account, &broke, 5000));
	account_probe(&account, 6000);
	assert_true(account_probe_done(&account, true, 6100));
	assert_true(account_refuse(&account, &broke, 6100 + ACCOUNT_PROBE_MS - 1));
	assert_int_equal(account_probe_due(&account), 6100 + 2 * ACCOUNT_PROBE_MS - 1);
	account_probe(&account, 6100 + 2 * ACCOUNT_PROBE_MS);
	assert_true(account_probe_done(&account, true, 70000));
	assert_true(account_refuse(&account, &broke, 70000 + ACCOUNT_PROBE_MS));
	assert_int_equal(account_probe_due(&account), 70000 + ACCOUNT_PROBE_MS + ACCOUNT_FIRST_PROBE_MS);
}

static void account_hurried_is_probed_at_once(void **state)
{
	(void)state;
	struct account account = { 0 };
	account_hurry(&account, 5000);
	assert_true(account_probe_due(&account) == INT64_MAX);
	assert_true(account_refuse(&account, &refused, 5000));
	account_hurry(&account, 5010);
	assert_int_equal(account_probe_due(&account), 5010);
	account_probe(&account, 5010);
	assert_false(account_probe_done(&account, false, 5100));
	assert_int_equal(account_probe_due(&account), 5010 + ACCOUNT_PROBE_MS);
}

/* What it asked was about the time before. */
static void account_hurried_during_a_probe_is_probed_again_after_it(void **state)
{
	(void)state;
	struct account account = { 0 };
	assert_true(account_refuse(&account, &refused, 5000));
	account_probe(&account, 6000);
	account_hurry(&account, 6100);
	assert_true(account_probe_due(&account) == INT64_MAX);
	assert_false(account_probe_done(&account, false, 6200));
	assert_int_equal(account_probe_due(&account), 6100);
	account_probe(&account, 6200);
	account_hurry(&account, 6250);
	assert_true(account_probe_done(&account, true, 6300));
	assert_true(account_probe_due(&account) == INT64_MAX);
}

static void account_probe_before_its_time_is_a_bug(void **state)
{
	(void)state;
	struct account account = { 0 };
	expect_assert_failure(account_probe(&account, 5000));
	expect_assert_failure(account_probe_done(&account, true, 5000));
	assert_true(account_refuse(&account, &refused, 5000));
	expect_assert_failure(account_probe(&account, 5999));
	account_probe(&account, 6000);
	expect_assert_failure(account_probe(&account, 70000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(account_new_one_works),
		cmocka_unit_test(account_first_refusal_is_news_and_later_ones_change_nothing),
		cmocka_unit_test(account_one_probe_at_a_time_then_every_half_minute),
		cmocka_unit_test(account_good_probe_lifts_it),
		cmocka_unit_test(account_refused_again_soon_is_probed_slowly),
		cmocka_unit_test(account_hurried_is_probed_at_once),
		cmocka_unit_test(account_hurried_during_a_probe_is_probed_again_after_it),
		cmocka_unit_test(account_probe_before_its_time_is_a_bug),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
