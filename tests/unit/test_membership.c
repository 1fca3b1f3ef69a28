/* Doubt begins with a standstill, and ends when a heartbeat sent after it was answered, or when there is nothing to doubt. */
#include "worker/core/membership.h"

#include "tests/unit/testing.h"

enum { STILL_MS = 5000, BEGIN_MS = 70000 };

/* Turned twice, with ten heartbeats so far. */
static struct membership member(void)
{
	struct membership membership = { .standstill_ms = STILL_MS };
	assert_false(membership_turn(&membership, BEGIN_MS - 500, 10));
	assert_false(membership_turn(&membership, BEGIN_MS, 10));
	return membership;
}

static struct membership doubting(void)
{
	struct membership membership = member();
	assert_true(membership_turn(&membership, BEGIN_MS + STILL_MS + 1, 10));
	assert_true(membership_is_doubted(&membership));
	return membership;
}

static void membership_turns_without_standstill_are_sure(void **state)
{
	(void)state;
	struct membership membership = member();
	for (int i = 1; i < 5; i++) {
		assert_false(membership_turn(&membership, BEGIN_MS + i * STILL_MS, 10));
		assert_false(membership_is_doubted(&membership));
	}
}

static void membership_first_turn_is_sure_whatever_the_time(void **state)
{
	(void)state;
	struct membership membership = { .standstill_ms = STILL_MS };
	assert_false(membership_turn(&membership, 1000 * STILL_MS, 0));
	assert_false(membership_is_doubted(&membership));
}

static void membership_without_limit_is_never_in_doubt(void **state)
{
	(void)state;
	struct membership membership = { 0 };
	assert_false(membership_turn(&membership, BEGIN_MS, 0));
	assert_false(membership_turn(&membership, BEGIN_MS * 1000, 0));
	assert_false(membership_is_doubted(&membership));
}

/* 11 says that an answer came, perhaps before the standstill; 12, that one sent after it was answered. */
static void membership_doubt_ends_with_the_second_heartbeat_seen_after_it(void **state)
{
	(void)state;
	struct membership membership = doubting();
	int64_t now_ms = membership.turned_ms;
	assert_false(membership_turn(&membership, ++now_ms, 10));
	assert_true(membership_is_doubted(&membership));
	assert_false(membership_turn(&membership, ++now_ms, 11));
	assert_true(membership_is_doubted(&membership));
	assert_false(membership_turn(&membership, ++now_ms, 12));
	assert_false(membership_is_doubted(&membership));
}

/* The count that came with the standstill may be older than it. */
static void membership_heartbeats_are_counted_from_the_turn_after_the_standstill(void **state)
{
	(void)state;
	struct membership membership = doubting();
	int64_t now_ms = membership.turned_ms;
	assert_false(membership_turn(&membership, ++now_ms, 12));
	assert_true(membership_is_doubted(&membership));
	assert_false(membership_turn(&membership, ++now_ms, 13));
	assert_true(membership_is_doubted(&membership));
	assert_false(membership_turn(&membership, ++now_ms, 14));
	assert_false(membership_is_doubted(&membership));
}

static void membership_second_standstill_begins_doubt_anew_and_is_no_news(void **state)
{
	(void)state;
	struct membership membership = doubting();
	int64_t now_ms = membership.turned_ms;
	assert_false(membership_turn(&membership, ++now_ms, 10));
	assert_false(membership_turn(&membership, now_ms += STILL_MS + 1, 12));
	assert_true(membership_is_doubted(&membership));
	assert_false(membership_turn(&membership, ++now_ms, 12));
	assert_false(membership_turn(&membership, ++now_ms, 13));
	assert_true(membership_is_doubted(&membership));
}

static void membership_emptied_one_has_nothing_to_doubt(void **state)
{
	(void)state;
	struct membership membership = doubting();
	membership_emptied(&membership);
	assert_false(membership_is_doubted(&membership));
	assert_false(membership_turn(&membership, membership.turned_ms + 1, 10));
	assert_false(membership_is_doubted(&membership));
}

/* The loss was heard of before the standstill was seen, in the same turn. */
static void membership_emptied_in_the_turn_that_stood_still_is_sure(void **state)
{
	(void)state;
	struct membership membership = member();
	membership_emptied(&membership);
	assert_false(membership_turn(&membership, BEGIN_MS + 10 * STILL_MS, 10));
	assert_false(membership_is_doubted(&membership));
	/* Not so in a later one. */
	assert_true(membership_turn(&membership, BEGIN_MS + 20 * STILL_MS, 10));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(membership_turns_without_standstill_are_sure),
		cmocka_unit_test(membership_first_turn_is_sure_whatever_the_time),
		cmocka_unit_test(membership_without_limit_is_never_in_doubt),
		cmocka_unit_test(membership_doubt_ends_with_the_second_heartbeat_seen_after_it),
		cmocka_unit_test(membership_heartbeats_are_counted_from_the_turn_after_the_standstill),
		cmocka_unit_test(membership_second_standstill_begins_doubt_anew_and_is_no_news),
		cmocka_unit_test(membership_emptied_one_has_nothing_to_doubt),
		cmocka_unit_test(membership_emptied_in_the_turn_that_stood_still_is_sure),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
