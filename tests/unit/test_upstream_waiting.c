/* Transfers that wait for a descriptor: their order, when they may try, and what happens to their clocks. */
#include "tests/unit/testing.h"
#include "worker/edge/upstream_waiting.h"

enum { TRANSFERS = 3 };

struct bench {
	struct instant now;
	struct upstream_waiting waiting;
	struct call calls[TRANSFERS];
	struct upstream_transfer transfers[TRANSFERS];
};

static void bench_open(struct bench *bench)
{
	*bench = (struct bench){ .now = { .mono_ms = 1000 } };
	upstream_waiting_init(&bench->waiting);
	for (int i = 0; i < TRANSFERS; i++) {
		bench->calls[i] = (struct call){ .first_content_due_ms = 1500, .deadline_ms = 3000 };
		bench->transfers[i] = (struct upstream_transfer){
			.now = &bench->now, .call = &bench->calls[i], .state = UPSTREAM_TRANSFER_RUNNING
		};
	}
}

static void bench_put(struct bench *bench, int i, bool has_tried)
{
	upstream_waiting_put(&bench->waiting, &bench->transfers[i], has_tried, bench->now.mono_ms);
}

static void upstream_waiting_those_who_tried_go_before_those_who_came(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench);
	assert_true(upstream_waiting_is_empty(&bench.waiting));
	bench_put(&bench, 0, false);
	bench_put(&bench, 1, false);
	bench_put(&bench, 2, true);
	assert_false(upstream_waiting_is_empty(&bench.waiting));
	assert_ptr_equal(upstream_waiting_take(&bench.waiting), &bench.transfers[2]);
	assert_ptr_equal(upstream_waiting_take(&bench.waiting), &bench.transfers[0]);
	assert_ptr_equal(upstream_waiting_take(&bench.waiting), &bench.transfers[1]);
	assert_null(upstream_waiting_take(&bench.waiting));
}

static void upstream_waiting_as_many_try_as_have_ended(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench);
	bool is_stuck = true;
	bench_put(&bench, 0, true);
	assert_int_equal(upstream_waiting_tries(&bench.waiting, 1000, &is_stuck), 0);
	assert_false(is_stuck);
	upstream_waiting_note_room(&bench.waiting);
	upstream_waiting_note_room(&bench.waiting);
	assert_int_equal(upstream_waiting_due(&bench.waiting), INT64_MIN);
	assert_int_equal(upstream_waiting_tries(&bench.waiting, 1000, &is_stuck), 2);
	assert_false(is_stuck);
	assert_int_equal(upstream_waiting_tries(&bench.waiting, 1000, &is_stuck), 0);
}

static void upstream_waiting_without_an_end_some_try_after_a_moment(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench);
	bool is_stuck = true;
	assert_int_equal(upstream_waiting_due(&bench.waiting), INT64_MAX);
	assert_int_equal(upstream_waiting_tries(&bench.waiting, 5000, &is_stuck), 0);
	assert_false(is_stuck);
	bench_put(&bench, 0, true);
	int64_t due_ms = upstream_waiting_due(&bench.waiting);
	assert_int_equal(due_ms, 1000 + UPSTREAM_WAITING_MS);
	assert_int_equal(upstream_waiting_tries(&bench.waiting, due_ms - 1, &is_stuck), 0);
	assert_int_equal(upstream_waiting_tries(&bench.waiting, due_ms, &is_stuck), UPSTREAM_WAITING_TRIES);
	assert_true(is_stuck);
	assert_int_equal(upstream_waiting_due(&bench.waiting), due_ms + UPSTREAM_WAITING_MS);
}

static void upstream_waiting_takes_nothing_of_the_first_content_clock(void **state)
{
	(void)state;
	struct bench bench;
	bench_open(&bench);
	bench_put(&bench, 0, true);
	assert_int_equal(upstream_transfer_due(&bench.transfers[0]), 3000);
	bench.now.mono_ms = 1700;
	assert_ptr_equal(upstream_waiting_take(&bench.waiting), &bench.transfers[0]);
	assert_int_equal(bench.transfers[0].state, UPSTREAM_TRANSFER_RUNNING);
	assert_int_equal(bench.calls[0].first_content_due_ms, 2200);
	assert_int_equal(bench.calls[0].started_ms, 1700);
	bench_put(&bench, 0, true);
	bench.now.mono_ms = 2900;
	assert_ptr_equal(upstream_waiting_take(&bench.waiting), &bench.transfers[0]);
	assert_int_equal(bench.calls[0].first_content_due_ms, 3000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(upstream_waiting_those_who_tried_go_before_those_who_came),
		cmocka_unit_test(upstream_waiting_as_many_try_as_have_ended),
		cmocka_unit_test(upstream_waiting_without_an_end_some_try_after_a_moment),
		cmocka_unit_test(upstream_waiting_takes_nothing_of_the_first_content_clock),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
