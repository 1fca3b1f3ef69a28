/* The breaker opens on enough failures within its window, stays open for as long as it says, and closes on good probes. */
#include "worker/core/breaker.h"

#include <string.h>

#include "tests/unit/assertion_trap.h"

static const struct breaker_options options = {
	.window_ms = 1000, .min_calls = 4, .failure_ratio = 0.5, .open_ms = 100, .open_max_ms = 350
};

struct bench {
	struct breaker breaker;
	struct random random;
	int64_t now_ms;
};

static void set_up(struct bench *bench)
{
	breaker_init(&bench->breaker);
	random_init(&bench->random, 5);
	bench->now_ms = 100000;
}

static bool end(struct bench *bench, struct breaker_pass pass, enum breaker_verdict verdict)
{
	return breaker_leave(&bench->breaker, &options, pass, verdict, bench->now_ms, &bench->random);
}

/* A call that takes no time. */
static bool call(struct bench *bench, enum breaker_verdict verdict)
{
	return end(bench, breaker_enter(&bench->breaker, bench->now_ms), verdict);
}

static void assert_state(const struct bench *bench, enum breaker_state state)
{
	assert_string_equal(
		breaker_state_word(breaker_state_at(&bench->breaker, bench->now_ms)), breaker_state_word(state));
}

static void open_it(struct bench *bench)
{
	for (int i = 0; i < 4; i++)
		assert_int_equal(call(bench, BREAKER_FAILED), i == 3);
	assert_state(bench, BREAKER_OPEN);
}

/* To the moment at which it is half open. */
static void sit_out(struct bench *bench)
{
	assert_false(breaker_admits(&bench->breaker, bench->breaker.open_until_ms - 1));
	bench->now_ms = bench->breaker.open_until_ms;
	assert_state(bench, BREAKER_HALF_OPEN);
}

static void breaker_new_one_is_closed_and_admits(void **state)
{
	(void)state;
	struct bench bench;
	set_up(&bench);
	assert_state(&bench, BREAKER_CLOSED);
	for (int i = 0; i < 1000; i++)
		(void)breaker_enter(&bench.breaker, bench.now_ms);
	assert_true(breaker_admits(&bench.breaker, bench.now_ms));
}

static void breaker_opens_only_from_min_calls_on(void **state)
{
	(void)state;
	struct bench bench;
	set_up(&bench);
	for (int i = 0; i < 3; i++)
		assert_false(call(&bench, BREAKER_FAILED));
	assert_state(&bench, BREAKER_CLOSED);
	assert_true(call(&bench, BREAKER_FAILED));
	assert_state(&bench, BREAKER_OPEN);
	assert_false(breaker_admits(&bench.breaker, bench.now_ms));
}

static void breaker_opens_from_the_ratio_on(void **state)
{
	(void)state;
	struct bench bench;
	set_up(&bench);
	for (int i = 0; i < 3; i++)
		assert_false(call(&bench, BREAKER_GOOD));
	for (int i = 0; i < 10; i++) {
		assert_false(call(&bench, BREAKER_FAILED));
		assert_false(call(&bench, BREAKER_GOOD));
	}
	assert_false(call(&bench, BREAKER_FAILED));
	assert_false(call(&bench, BREAKER_FAILED));
	assert_true(call(&bench, BREAKER_FAILED));
}

/* However busy the window: what fails without a break is dead. */
static void breaker_opens_on_failures_in_a_row(void **state)
{
	(void)state;
	struct bench bench;
	set_up(&bench);
	for (int i = 0; i < 1000; i++)
		assert_false(call(&bench, BREAKER_GOOD));
	for (int i = 0; i < 3; i++)
		assert_false(call(&bench, BREAKER_FAILED));
	assert_false(call(&bench, BREAKER_GOOD));
	for (int i = 0; i < 3; i++)
		assert_false(call(&bench, BREAKER_FAILED));
	assert_false(call(&bench, BREAKER_NOTHING));
	assert_true(call(&bench, BREAKER_FAILED));
	assert_state(&bench, BREAKER_OPEN);
}

static void breaker_good_call_never_opens_it(void **state)
{
	(void)state;
	struct bench bench;
	set_up(&bench);
	for (int i = 0; i < 3; i++)
		assert_false(call(&bench, BREAKER_FAILED));
	/* Three of four failed, but the fourth is good news. */
	assert_false(call(&bench, BREAKER_GOOD));
	assert_state(&bench, BREAKER_CLOSED);
}

static void breaker_calls_that_say_nothing_never_count(void **state)
{
	(void)state;
	struct bench bench;
	set_up(&bench);
	for (int i = 0; i < 1000; i++)
		assert_false(call(&bench, BREAKER_NOTHING));
	for (int i = 0; i < 3; i++)
		assert_false(call(&bench, BREAKER_FAILED));
	assert_true(call(&bench, BREAKER_FAILED));
}

static void breaker_window_forgets(void **state)
{
	(void)state;
	struct bench bench;
	set_up(&bench);
	for (int i = 0; i < 3; i++)
		call(&bench, BREAKER_FAILED);
	bench.now_ms += 900;
	assert_true(call(&bench, BREAKER_FAILED));

	set_up(&bench);
	for (int i = 0; i < 3; i++)
		call(&bench, BREAKER_FAILED);
	bench.now_ms += 1000;
	assert_false(call(&bench, BREAKER_FAILED));
	assert_state(&bench, BREAKER_CLOSED);
}

/* Every distance between failures: it opens if and only if min_calls of them fit into the window. */
static void breaker_window_any_pace_opens_when_enough_fit(void **state)
{
	(void)state;
	for (int64_t pause_ms = 1; pause_ms <= 600; pause_ms++) {
		struct bench bench;
		set_up(&bench);
		for (int i = 0; i < 20 && bench.breaker.state == BREAKER_CLOSED; i++) {
			call(&bench, BREAKER_FAILED);
			bench.now_ms += pause_ms;
		}
		/* In slices of a tenth, so the window is between nine and ten of them long. */
		if (3 * pause_ms <= 900) assert_int_equal(bench.breaker.state, BREAKER_OPEN);
		if (3 * pause_ms > 1000) assert_int_equal(bench.breaker.state, BREAKER_CLOSED);
	}
}

static void breaker_half_open_admits_two_at_a_time(void **state)
{
	(void)state;
	struct bench bench;
	set_up(&bench);
	open_it(&bench);
	sit_out(&bench);
	struct breaker_pass first = breaker_enter(&bench.breaker, bench.now_ms);
	assert_true(breaker_admits(&bench.breaker, bench.now_ms));
	struct breaker_pass second = breaker_enter(&bench.breaker, bench.now_ms);
	assert_false(breaker_admits(&bench.breaker, bench.now_ms + 1000000));
	/* One that says nothing makes room for another. */
	assert_false(end(&bench, first, BREAKER_NOTHING));
	assert_true(breaker_admits(&bench.breaker, bench.now_ms));
	/* A good one does not: two in all decide. */
	assert_false(end(&bench, second, BREAKER_GOOD));
	assert_true(breaker_admits(&bench.breaker, bench.now_ms));
	first = breaker_enter(&bench.breaker, bench.now_ms);
	assert_false(breaker_admits(&bench.breaker, bench.now_ms));
	assert_true(end(&bench, first, BREAKER_GOOD));
	assert_state(&bench, BREAKER_CLOSED);
}

static void breaker_bad_probe_opens_it_again_for_twice_as_long(void **state)
{
	(void)state;
	static const int64_t lengths[] = { 100, 200, 350, 350 };
	struct bench bench;
	set_up(&bench);
	open_it(&bench);
	for (int i = 0; i < 4; i++) {
		int64_t left_ms = bench.breaker.open_until_ms - bench.now_ms;
		assert_in_range(left_ms, lengths[i] * 8 / 10, lengths[i] * 12 / 10);
		sit_out(&bench);
		assert_false(call(&bench, BREAKER_GOOD));
		assert_true(call(&bench, BREAKER_FAILED));
		assert_state(&bench, BREAKER_OPEN);
	}
}

static void breaker_closed_again_begins_anew(void **state)
{
	(void)state;
	struct bench bench;
	set_up(&bench);
	for (int round = 0; round < 3; round++) {
		open_it(&bench);
		assert_in_range(bench.breaker.open_until_ms - bench.now_ms, 80, 120);
		sit_out(&bench);
		assert_false(call(&bench, BREAKER_GOOD));
		assert_true(call(&bench, BREAKER_GOOD));
		/* What failed before has been forgotten: open_it() needs all four again. */
		assert_state(&bench, BREAKER_CLOSED);
	}
}

static void breaker_late_result_of_an_earlier_state_counts_for_nothing(void **state)
{
	(void)state;
	struct bench bench;
	set_up(&bench);
	struct breaker_pass early[6];
	for (int i = 0; i < 6; i++)
		early[i] = breaker_enter(&bench.breaker, bench.now_ms);
	open_it(&bench);
	assert_false(end(&bench, early[0], BREAKER_GOOD));
	assert_false(end(&bench, early[1], BREAKER_FAILED));
	sit_out(&bench);
	struct breaker_pass probe = breaker_enter(&bench.breaker, bench.now_ms);
	for (int i = 2; i < 5; i++)
		assert_false(end(&bench, early[i], i % 2 == 0 ? BREAKER_GOOD : BREAKER_FAILED));
	assert_state(&bench, BREAKER_HALF_OPEN);
	assert_false(end(&bench, probe, BREAKER_GOOD));
	assert_true(call(&bench, BREAKER_GOOD));
	assert_false(end(&bench, early[5], BREAKER_FAILED));
	assert_state(&bench, BREAKER_CLOSED);
	/* The other probe of two, coming back when one has opened it again. */
	open_it(&bench);
	sit_out(&bench);
	probe = breaker_enter(&bench.breaker, bench.now_ms);
	assert_true(call(&bench, BREAKER_FAILED));
	assert_false(end(&bench, probe, BREAKER_GOOD));
	assert_state(&bench, BREAKER_OPEN);
}

static void breaker_jitter_is_even_and_within_a_fifth(void **state)
{
	(void)state;
	bool seen[41] = { false };
	for (uint64_t seed = 0; seed < 2000; seed++) {
		struct bench bench;
		set_up(&bench);
		random_init(&bench.random, seed);
		open_it(&bench);
		int64_t open_ms = bench.breaker.open_until_ms - bench.now_ms;
		assert_for_seed(seed, open_ms >= 80 && open_ms <= 120);
		seen[open_ms - 80] = true;
	}
	for (int i = 0; i < 41; i++)
		assert_true(seen[i]);
}

/* Random lives: what the header promises holds at every step. */
static void breaker_any_life_keeps_its_promises(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct bench bench;
		set_up(&bench);
		struct random draw;
		random_init(&draw, seed);
		struct breaker_pass passes[16];
		size_t count = 0;
		for (int step = 0; step < 600; step++) {
			bench.now_ms += (int64_t)random_below(&draw, 40);
			enum breaker_state before = breaker_state_at(&bench.breaker, bench.now_ms);
			bool admits = breaker_admits(&bench.breaker, bench.now_ms);
			assert_for_seed(seed, before != BREAKER_CLOSED || admits);
			assert_for_seed(seed, before != BREAKER_OPEN || !admits);
			if (count < 16 && admits && random_below(&draw, 2) == 0) {
				passes[count++] = breaker_enter(&bench.breaker, bench.now_ms);
				continue;
			}
			if (count == 0) continue;
			size_t chosen = random_below(&draw, count);
			enum breaker_verdict verdict = (enum breaker_verdict)random_below(&draw, 3);
			bool changed = end(&bench, passes[chosen], verdict);
			passes[chosen] = passes[--count];
			enum breaker_state after = breaker_state_at(&bench.breaker, bench.now_ms);
			assert_for_seed(seed, changed == (after != before));
			assert_for_seed(seed, !changed || verdict != BREAKER_NOTHING);
			assert_for_seed(seed, after != BREAKER_OPEN || !changed || verdict == BREAKER_FAILED);
			assert_for_seed(seed, after != BREAKER_CLOSED || !changed || before == BREAKER_HALF_OPEN);
		}
	}
}

static void breaker_call_of_an_open_one_is_a_bug(void **state)
{
	(void)state;
	struct bench bench;
	set_up(&bench);
	open_it(&bench);
	expect_assert_failure(breaker_enter(&bench.breaker, bench.now_ms));
}

static void breaker_states_have_their_words(void **state)
{
	(void)state;
	static const char *const words[BREAKER_STATE_COUNT] = { "closed", "open", "half_open" };
	for (int i = 0; i < (int)BREAKER_STATE_COUNT; i++)
		assert_string_equal(breaker_state_word((enum breaker_state)i), words[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(breaker_new_one_is_closed_and_admits),
		cmocka_unit_test(breaker_opens_only_from_min_calls_on),
		cmocka_unit_test(breaker_opens_from_the_ratio_on),
		cmocka_unit_test(breaker_opens_on_failures_in_a_row),
		cmocka_unit_test(breaker_good_call_never_opens_it),
		cmocka_unit_test(breaker_calls_that_say_nothing_never_count),
		cmocka_unit_test(breaker_window_forgets),
		cmocka_unit_test(breaker_window_any_pace_opens_when_enough_fit),
		cmocka_unit_test(breaker_half_open_admits_two_at_a_time),
		cmocka_unit_test(breaker_bad_probe_opens_it_again_for_twice_as_long),
		cmocka_unit_test(breaker_closed_again_begins_anew),
		cmocka_unit_test(breaker_late_result_of_an_earlier_state_counts_for_nothing),
		cmocka_unit_test(breaker_jitter_is_even_and_within_a_fifth),
		cmocka_unit_test(breaker_any_life_keeps_its_promises),
		cmocka_unit_test(breaker_call_of_an_open_one_is_a_bug),
		cmocka_unit_test(breaker_states_have_their_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
