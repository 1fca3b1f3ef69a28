/* The ledger, case by case. Random sequences: test_ledger_model.c; bad texts: test_ledger_text.c. */
#include "worker/core/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/assertion_trap.h"
#include "tests/unit/ledger_judge.h"

static void take_all(struct ledger *ledger, int64_t from, int64_t to)
{
	for (int64_t offset = from; offset < to; offset++)
		assert_int_equal(ledger_take(ledger, offset), STATUS_OK);
}

static void finish(struct ledger *ledger, int64_t offset)
{
	ledger_stage(ledger, offset);
	ledger_adopt(ledger);
}

/* What the next owner of the partition would begin with. */
static struct ledger *reborn(const struct ledger *ledger, int64_t log_end)
{
	char text[LEDGER_TEXT_MAX];
	size_t size = ledger_text(ledger, 7, text);
	struct ledger *next = ledger_new(ledger_offset(ledger));
	assert_int_equal(ledger_restore(next, bytes_at(text, size), log_end), STATUS_OK);
	return next;
}

static void assert_figures(const struct ledger *ledger, int64_t watermark, size_t finished_above, size_t open)
{
	assert_int_equal(ledger_watermark(ledger), watermark);
	assert_int_equal(ledger_finished_above(ledger), finished_above);
	assert_int_equal(ledger_open(ledger), open);
}

static void ledger_fresh_begins_at_its_start(void **state)
{
	(void)state;
	struct ledger *ledger = ledger_new(42);
	assert_figures(ledger, 42, 0, 0);
	assert_int_equal(ledger_offset(ledger), 42);
	assert_true(ledger_has_room(ledger));
	ledger_free(ledger);
	ledger_free(NULL);
}

static void ledger_negative_start_asserts(void **state)
{
	(void)state;
	expect_assert_failure(assert_null(ledger_new(-1)));
}

static void ledger_in_order_moves_the_watermark(void **state)
{
	(void)state;
	struct ledger *ledger = ledger_new(0);
	take_all(ledger, 0, 10);
	for (int64_t offset = 0; offset < 10; offset++) {
		finish(ledger, offset);
		assert_figures(ledger, offset + 1, 0, (size_t)(9 - offset));
	}
	assert_int_equal(ledger_offset(ledger), 10);
	ledger_free(ledger);
}

static void ledger_out_of_order_waits_for_the_lowest(void **state)
{
	(void)state;
	struct ledger *ledger = ledger_new(100);
	take_all(ledger, 100, 103);
	finish(ledger, 102);
	finish(ledger, 101);
	assert_figures(ledger, 100, 2, 1);
	assert_int_equal(ledger_offset(ledger), 100);
	finish(ledger, 100);
	assert_figures(ledger, 103, 0, 0);
	ledger_free(ledger);
}

static void ledger_staged_counts_in_the_offset_before_it_is_adopted(void **state)
{
	(void)state;
	struct ledger *ledger = ledger_new(0);
	take_all(ledger, 0, 3);
	ledger_stage(ledger, 0);
	ledger_stage(ledger, 2);
	assert_int_equal(ledger_offset(ledger), 1);
	assert_figures(ledger, 0, 0, 3);
	ledger_adopt(ledger);
	assert_int_equal(ledger_offset(ledger), 1);
	assert_figures(ledger, 1, 1, 1);
	ledger_free(ledger);
}

static void ledger_unstaged_is_as_if_never_staged(void **state)
{
	(void)state;
	char before[LEDGER_TEXT_MAX], after[LEDGER_TEXT_MAX];
	struct ledger *ledger = ledger_new(0);
	take_all(ledger, 0, 5);
	finish(ledger, 3);
	size_t size_before = ledger_text(ledger, 1, before);
	ledger_stage(ledger, 0);
	ledger_stage(ledger, 4);
	ledger_unstage(ledger);
	size_t size_after = ledger_text(ledger, 1, after);
	assert_bytes_equal(bytes_at(after, size_after), bytes_at(before, size_before));
	assert_figures(ledger, 0, 1, 4);
	ledger_stage(ledger, 0);
	ledger_adopt(ledger);
	assert_figures(ledger, 1, 1, 3);
	ledger_free(ledger);
}

static void ledger_is_done_of_what_is_committed_only(void **state)
{
	(void)state;
	struct ledger *ledger = ledger_new(10);
	take_all(ledger, 10, 13);
	assert_true(ledger_is_done(ledger, 9));
	assert_false(ledger_is_done(ledger, 10));
	ledger_stage(ledger, 11);
	assert_false(ledger_is_done(ledger, 11));
	ledger_adopt(ledger);
	assert_true(ledger_is_done(ledger, 11));
	assert_false(ledger_is_done(ledger, 12));
	/* The same place in the ring, beyond the window. */
	assert_false(ledger_is_done(ledger, 11 + LEDGER_WINDOW));
	ledger_free(ledger);
}

static void ledger_adopt_and_unstage_of_nothing_change_nothing(void **state)
{
	(void)state;
	struct ledger *ledger = ledger_new(9);
	ledger_adopt(ledger);
	ledger_unstage(ledger);
	assert_figures(ledger, 9, 0, 0);
	ledger_free(ledger);
}

static void ledger_jump_counts_as_done(void **state)
{
	(void)state;
	struct ledger *ledger = ledger_new(0);
	assert_int_equal(ledger_take(ledger, 0), STATUS_OK);
	assert_int_equal(ledger_take(ledger, 5), STATUS_OK);
	assert_figures(ledger, 0, 4, 2);
	finish(ledger, 0);
	assert_figures(ledger, 5, 0, 1);
	finish(ledger, 5);
	assert_figures(ledger, 6, 0, 0);
	ledger_free(ledger);
}

static void ledger_huge_jump_with_nothing_open_is_taken(void **state)
{
	(void)state;
	const int64_t far = (int64_t)1 << 60;
	struct ledger *ledger = ledger_new(3);
	assert_int_equal(ledger_take(ledger, far), STATUS_OK);
	assert_figures(ledger, far, 0, 1);
	finish(ledger, far);
	assert_int_equal(ledger_offset(ledger), far + 1);
	ledger_free(ledger);
}

static void ledger_huge_jump_over_something_open_waits(void **state)
{
	(void)state;
	const int64_t far = 1000000000000;
	struct ledger *ledger = ledger_new(0);
	take_all(ledger, 0, 2);
	assert_int_equal(ledger_take(ledger, far), STATUS_FULL);
	assert_false(ledger_has_room(ledger));
	assert_int_equal(ledger_take(ledger, far), STATUS_FULL);
	finish(ledger, 0);
	assert_int_equal(ledger_take(ledger, far), STATUS_FULL);
	finish(ledger, 1);
	assert_true(ledger_has_room(ledger));
	assert_int_equal(ledger_take(ledger, far), STATUS_OK);
	assert_figures(ledger, far, 0, 1);
	ledger_free(ledger);
}

/* Marks of transactions lie at the end of a log, and no record comes behind them. */
static void ledger_pass_counts_what_was_not_taken_as_done(void **state)
{
	(void)state;
	struct ledger *ledger = ledger_new(5);
	ledger_pass(ledger, 9);
	assert_figures(ledger, 9, 0, 0);
	ledger_pass(ledger, 3);
	assert_figures(ledger, 9, 0, 0);
	take_all(ledger, 9, 11);
	ledger_pass(ledger, 20);
	assert_figures(ledger, 9, 9, 2);
	finish(ledger, 10);
	assert_figures(ledger, 9, 10, 1);
	assert_int_equal(ledger_take(ledger, 20), STATUS_OK);
	finish(ledger, 9);
	assert_figures(ledger, 20, 0, 1);
	ledger_free(ledger);
}

static void ledger_pass_beyond_the_window_waits_for_it(void **state)
{
	(void)state;
	struct ledger *ledger = ledger_new(0);
	take_all(ledger, 0, 1);
	ledger_pass(ledger, 3 * LEDGER_WINDOW);
	assert_figures(ledger, 0, LEDGER_WINDOW - 1, 1);
	assert_false(ledger_has_room(ledger));
	finish(ledger, 0);
	assert_figures(ledger, LEDGER_WINDOW, 0, 0);
	ledger_pass(ledger, 3 * LEDGER_WINDOW);
	assert_figures(ledger, 3 * LEDGER_WINDOW, 0, 0);
	ledger_free(ledger);
}

/* Restored bits lie in the way of the jump: they must neither stop it nor be counted for what comes later. */
static void ledger_huge_jump_over_restored_bits_is_taken(void **state)
{
	(void)state;
	const int64_t far = 1000000000000;
	struct ledger *old = ledger_new(0);
	take_all(old, 0, LEDGER_WINDOW);
	for (int64_t offset = 1; offset < LEDGER_WINDOW; offset += 3)
		ledger_stage(old, offset);
	ledger_adopt(old);
	struct ledger *ledger = reborn(old, far + 1);
	assert_int_equal(ledger_take(ledger, far), STATUS_OK);
	assert_figures(ledger, far, 0, 1);
	ledger_free(old);
	ledger_free(ledger);
}

static void ledger_window_full_then_moving(void **state)
{
	(void)state;
	struct ledger *ledger = ledger_new(500);
	take_all(ledger, 500, 500 + LEDGER_WINDOW);
	assert_false(ledger_has_room(ledger));
	assert_int_equal(ledger_take(ledger, 500 + LEDGER_WINDOW), STATUS_FULL);
	for (int64_t offset = 501; offset < 500 + LEDGER_WINDOW; offset++)
		ledger_stage(ledger, offset);
	ledger_adopt(ledger);
	assert_figures(ledger, 500, LEDGER_WINDOW - 1, 1);
	assert_int_equal(ledger_take(ledger, 500 + LEDGER_WINDOW), STATUS_FULL);
	finish(ledger, 500);
	assert_figures(ledger, 500 + LEDGER_WINDOW, 0, 0);
	assert_true(ledger_has_room(ledger));
	take_all(ledger, 500 + LEDGER_WINDOW, 500 + 2 * LEDGER_WINDOW);
	assert_int_equal(ledger_take(ledger, 500 + 2 * LEDGER_WINDOW), STATUS_FULL);
	ledger_free(ledger);
}

static void ledger_window_full_text_fits_and_comes_back(void **state)
{
	(void)state;
	const int64_t start = INT64_MAX - 3 * (int64_t)LEDGER_WINDOW;
	char text[LEDGER_TEXT_MAX];
	struct ledger *ledger = ledger_new(start);
	take_all(ledger, start, start + LEDGER_WINDOW);
	for (int64_t offset = start + 1; offset < start + LEDGER_WINDOW; offset++)
		ledger_stage(ledger, offset);
	size_t size = ledger_text(ledger, UINT64_MAX, text);
	assert_true(size <= LEDGER_TEXT_MAX);
	assert_true(size >= LEDGER_TEXT_MAX - 1);
	struct ledger *next = reborn(ledger, start + LEDGER_WINDOW);
	assert_figures(next, start, LEDGER_WINDOW - 1, 0);
	ledger_free(ledger);
	ledger_free(next);
}

static void ledger_text_of_little_is_as_specified(void **state)
{
	(void)state;
	char text[LEDGER_TEXT_MAX], expected[JUDGE_TEXT_MAX];
	struct ledger *ledger = ledger_new(5);
	size_t size = ledger_text(ledger, 255, text);
	assert_bytes_equal(bytes_at(text, size), judge_sealed("1:5:00000000000000ff::", expected));
	take_all(ledger, 5, 9);
	ledger_stage(ledger, 6);
	ledger_stage(ledger, 8);
	/* Bits 1 and 3 of one byte: 0x0a, in base64url "Cg". */
	size = ledger_text(ledger, 0xfedcba9876543210ULL, text);
	assert_bytes_equal(bytes_at(text, size), judge_sealed("1:5:fedcba9876543210:Cg:", expected));
	ledger_free(ledger);
}

static void ledger_restored_bits_are_skipped_once_and_the_rest_is_open(void **state)
{
	(void)state;
	struct ledger *old = ledger_new(10);
	take_all(old, 10, 16);
	ledger_stage(old, 11);
	ledger_stage(old, 14);
	struct ledger *ledger = reborn(old, 16);
	assert_figures(ledger, 10, 2, 0);
	static const bool is_done[] = { false, true, false, false, true, false };
	for (int i = 0; i < 6; i++)
		assert_int_equal(ledger_take(ledger, 10 + i), is_done[i] ? STATUS_NOT_FOUND : STATUS_OK);
	assert_figures(ledger, 10, 2, 4);
	ledger_free(old);
	ledger_free(ledger);
}

/* A restart in the middle of reading again must not forget what was restored but not yet read. */
static void ledger_restored_bits_beyond_what_was_read_stay_in_the_text(void **state)
{
	(void)state;
	struct ledger *old = ledger_new(0);
	take_all(old, 0, 200);
	ledger_stage(old, 150);
	struct ledger *second = reborn(old, 200);
	assert_int_equal(ledger_take(second, 0), STATUS_OK);
	ledger_stage(second, 0);
	struct ledger *third = reborn(second, 200);
	assert_int_equal(ledger_offset(third), 1);
	for (int64_t offset = 1; offset < 200; offset++)
		assert_int_equal(ledger_take(third, offset), offset == 150 ? STATUS_NOT_FOUND : STATUS_OK);
	ledger_free(old);
	ledger_free(second);
	ledger_free(third);
}

static void ledger_take_of_what_was_passed_is_finished(void **state)
{
	(void)state;
	struct ledger *ledger = ledger_new(10);
	assert_int_equal(ledger_take(ledger, 9), STATUS_NOT_FOUND);
	assert_int_equal(ledger_take(ledger, 12), STATUS_OK);
	assert_int_equal(ledger_take(ledger, 11), STATUS_NOT_FOUND);
	ledger_free(ledger);
}

static void ledger_watermark_runs_over_the_record_that_is_taken(void **state)
{
	(void)state;
	struct ledger *old = ledger_new(0);
	take_all(old, 0, 4);
	ledger_stage(old, 1);
	ledger_stage(old, 2);
	struct ledger *ledger = reborn(old, 4);
	/* Offset 0 has gone from the log: the jump to 2 makes it done, and with it 1 and 2. */
	assert_int_equal(ledger_take(ledger, 2), STATUS_NOT_FOUND);
	assert_figures(ledger, 3, 0, 0);
	assert_int_equal(ledger_take(ledger, 3), STATUS_OK);
	ledger_free(old);
	ledger_free(ledger);
}

static void ledger_misuse_asserts(void **state)
{
	(void)state;
	struct ledger *ledger = ledger_new(10);
	take_all(ledger, 10, 13);
	finish(ledger, 11);
	ledger_stage(ledger, 12);
	expect_assert_failure(ledger_stage(ledger, 9));
	expect_assert_failure(ledger_stage(ledger, 11));
	expect_assert_failure(ledger_stage(ledger, 12));
	expect_assert_failure(ledger_stage(ledger, 13));
	expect_assert_failure(ledger_stage(ledger, 10 + LEDGER_WINDOW));
	expect_assert_failure(assert_int_equal(ledger_take(ledger, -1), STATUS_OK));
	expect_assert_failure(assert_int_equal(ledger_restore(ledger, BYTES_NONE, 20), STATUS_OK));
	ledger_free(ledger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ledger_fresh_begins_at_its_start),
		cmocka_unit_test(ledger_negative_start_asserts),
		cmocka_unit_test(ledger_in_order_moves_the_watermark),
		cmocka_unit_test(ledger_out_of_order_waits_for_the_lowest),
		cmocka_unit_test(ledger_staged_counts_in_the_offset_before_it_is_adopted),
		cmocka_unit_test(ledger_unstaged_is_as_if_never_staged),
		cmocka_unit_test(ledger_is_done_of_what_is_committed_only),
		cmocka_unit_test(ledger_adopt_and_unstage_of_nothing_change_nothing),
		cmocka_unit_test(ledger_jump_counts_as_done),
		cmocka_unit_test(ledger_huge_jump_with_nothing_open_is_taken),
		cmocka_unit_test(ledger_huge_jump_over_something_open_waits),
		cmocka_unit_test(ledger_pass_counts_what_was_not_taken_as_done),
		cmocka_unit_test(ledger_pass_beyond_the_window_waits_for_it),
		cmocka_unit_test(ledger_huge_jump_over_restored_bits_is_taken),
		cmocka_unit_test(ledger_window_full_then_moving),
		cmocka_unit_test(ledger_window_full_text_fits_and_comes_back),
		cmocka_unit_test(ledger_text_of_little_is_as_specified),
		cmocka_unit_test(ledger_restored_bits_are_skipped_once_and_the_rest_is_open),
		cmocka_unit_test(ledger_restored_bits_beyond_what_was_read_stay_in_the_text),
		cmocka_unit_test(ledger_take_of_what_was_passed_is_finished),
		cmocka_unit_test(ledger_watermark_runs_over_the_record_that_is_taken),
		cmocka_unit_test(ledger_misuse_asserts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
