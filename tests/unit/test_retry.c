/* What follows a failed attempt: every action with every state that changes the answer, the clock's borders, jitter. */
#include "worker/core/retry.h"

#include "tests/unit/assertion_trap.h"

enum { NOW = 1000000 };

static const struct retry_options options = {
	.max_attempts = 3,
	.first_content_share = 0.55,
	.first_content_max_ms = 3500,
	.backoff_ms = 100,
	.backoff_max_ms = 800,
};

static struct failure failure_of(enum reason reason, enum failure_action action)
{
	return (struct failure){ .reason = reason, .action = action, .retry_after_ms = -1, .maybe_sent = true };
}

static struct retry_decision decide(
	const struct retry_state *state, const struct failure *failure, int64_t left_ms, uint64_t seed)
{
	struct random random;
	random_init(&random, seed);
	return retry_decide(&options, state, failure, NOW, NOW + left_ms, &random);
}

/* Times in a row: at once, within the jitter of the first or second repeat, or at NOW plus a number. */
enum { AT_ONCE = 0, JITTER_1 = -1, JITTER_2 = -2, NEVER = -3 };

struct decide_case {
	const char *name;
	enum reason reason;
	enum failure_action action;
	struct retry_state state; /* attempts, model, model_count, model_attempts, trimmed, went_on, asked_fewer */
	int64_t retry_after_ms;
	int64_t left_ms;
	enum retry_step step;
	int64_t at;
};

#define AGAIN RETRY_STEP_AGAIN
#define NEXT RETRY_STEP_NEXT
#define TRIM RETRY_STEP_TRIM
#define END RETRY_STEP_END
#define SAME FAILURE_ACTION_SAME
#define SAME_ONCE FAILURE_ACTION_SAME_ONCE

static const struct decide_case decide_cases[] = {
	/* Nothing helps. */
	{ "bad request", REASON_BAD_REQUEST, FAILURE_ACTION_END, { 1, 0, 3, 1, false, false, false }, -1, 9000, END,
		NEVER },
	{ "account", REASON_AUTH, FAILURE_ACTION_LATCH, { 1, 0, 3, 1, false, false, false }, -1, 9000, END, NEVER },
	/* The same model again, with back-off. */
	{ "same, first", REASON_CONNECT, SAME, { 1, 0, 1, 1, false, false, false }, -1, 9000, AGAIN, JITTER_1 },
	{ "same, second", REASON_CONNECT, SAME, { 2, 0, 1, 2, false, false, false }, -1, 9000, AGAIN, JITTER_2 },
	{ "same, spent", REASON_CONNECT, SAME, { 3, 0, 1, 3, false, false, false }, -1, 9000, END, NEVER },
	{ "same, spent with models left", REASON_CONNECT, SAME, { 3, 0, 3, 3, false, false, false }, -1, 9000, END,
		NEVER },
	{ "same, other models are no reason to go", REASON_CONNECT, SAME, { 1, 0, 3, 1, false, false, false }, -1, 9000,
		AGAIN, JITTER_1 },
	/* The same model once more, then the next. */
	{ "once, first", REASON_UPSTREAM_ERROR, SAME_ONCE, { 1, 0, 2, 1, false, false, false }, -1, 9000, AGAIN,
		JITTER_1 },
	{ "once, second", REASON_UPSTREAM_ERROR, SAME_ONCE, { 2, 0, 2, 2, false, false, false }, -1, 9000, NEXT,
		AT_ONCE },
	{ "once, second, last model", REASON_UPSTREAM_ERROR, SAME_ONCE, { 2, 1, 2, 2, false, false, false }, -1, 9000,
		END, NEVER },
	{ "once, second attempt but first of this model", REASON_UPSTREAM_ERROR, SAME_ONCE,
		{ 2, 1, 2, 1, false, false, false }, -1, 9000, AGAIN, JITTER_2 },
	/* The next model, at once; the same one when there is none and the failure is not its own. */
	{ "next", REASON_OVERLOADED, FAILURE_ACTION_NEXT, { 1, 0, 2, 1, false, false, false }, -1, 9000, NEXT,
		AT_ONCE },
	{ "next need not wait", REASON_RATE_LIMITED, FAILURE_ACTION_NEXT, { 1, 0, 2, 1, false, false, false }, 4000,
		9000, NEXT, AT_ONCE },
	{ "next, last model", REASON_OVERLOADED, FAILURE_ACTION_NEXT, { 1, 1, 2, 1, false, false, false }, -1, 9000,
		AGAIN, JITTER_1 },
	{ "next, last model asks to wait", REASON_RATE_LIMITED, FAILURE_ACTION_NEXT,
		{ 1, 0, 1, 1, false, false, false }, 2000, 9000, AGAIN, 2000 },
	/* Never the same model. */
	{ "no such model, last", REASON_MODEL_UNAVAILABLE, FAILURE_ACTION_NEXT_ONLY,
		{ 1, 0, 1, 1, false, false, false }, -1, 9000, END, NEVER },
	{ "no such model, next", REASON_MODEL_UNAVAILABLE, FAILURE_ACTION_NEXT_ONLY,
		{ 1, 0, 2, 1, false, false, false }, -1, 9000, NEXT, AT_ONCE },
	{ "reasoning only, last", REASON_EMPTY_ANSWER, FAILURE_ACTION_NEXT_ONLY, { 1, 0, 1, 1, false, false, false },
		-1, 9000, END, NEVER },
	{ "reasoning only, second model", REASON_EMPTY_ANSWER, FAILURE_ACTION_NEXT_ONLY,
		{ 2, 1, 3, 1, false, false, false }, -1, 9000, NEXT, AT_ONCE },
	{ "never the same, though a wait would fit", REASON_RATE_LIMITED, FAILURE_ACTION_NEXT_ONLY,
		{ 1, 0, 1, 1, false, false, false }, 100, 9000, END, NEVER },
	/* Another model once a chat. */
	{ "moderated, last", REASON_MODERATED, FAILURE_ACTION_NEXT_ONCE, { 1, 0, 1, 1, false, false, false }, -1, 9000,
		END, NEVER },
	{ "moderated, next", REASON_MODERATED, FAILURE_ACTION_NEXT_ONCE, { 1, 0, 3, 1, false, false, false }, -1, 9000,
		NEXT, AT_ONCE },
	{ "refused, first no but second model", REASON_REFUSED, FAILURE_ACTION_NEXT_ONCE,
		{ 2, 1, 3, 1, false, false, false }, -1, 9000, NEXT, AT_ONCE },
	{ "refused, again", REASON_REFUSED, FAILURE_ACTION_NEXT_ONCE, { 2, 1, 3, 1, false, true, false }, -1, 9000, END,
		NEVER },
	{ "overloaded after a refusal", REASON_OVERLOADED, FAILURE_ACTION_NEXT, { 2, 1, 3, 1, false, true, false }, -1,
		9000, NEXT, AT_ONCE },
	/* A shorter history, once. */
	{ "too long", REASON_CONTEXT_LENGTH, FAILURE_ACTION_TRIM, { 1, 0, 2, 1, false, false, false }, -1, 9000, TRIM,
		AT_ONCE },
	{ "still too long", REASON_CONTEXT_LENGTH, FAILURE_ACTION_TRIM, { 2, 0, 2, 2, true, false, false }, -1, 9000,
		END, NEVER },
	{ "too long, spent", REASON_CONTEXT_LENGTH, FAILURE_ACTION_TRIM, { 3, 0, 2, 3, false, false, false }, -1, 9000,
		END, NEVER },
	/* Fewer tokens, once. */
	{ "too dear", REASON_CREDITS, FAILURE_ACTION_FEWER, { 1, 0, 2, 1, false, false, false }, -1, 9000,
		RETRY_STEP_FEWER, AT_ONCE },
	{ "still too dear", REASON_CREDITS, FAILURE_ACTION_FEWER, { 2, 0, 2, 2, false, false, true }, -1, 9000, END,
		NEVER },
	{ "too dear, spent", REASON_CREDITS, FAILURE_ACTION_FEWER, { 3, 0, 2, 3, false, false, false }, -1, 9000, END,
		NEVER },
	{ "too dear, time too short", REASON_CREDITS, FAILURE_ACTION_FEWER, { 1, 0, 2, 1, false, false, false }, -1,
		RETRY_TIME_MIN_MS - 1, END, NEVER },
	/* A wait that was asked for is kept when it fits; else the next model, else nothing. */
	{ "wait fits", REASON_RATE_LIMITED, SAME, { 1, 0, 1, 1, false, false, false }, 2000, 9000, AGAIN, 2000 },
	{ "wait fits, other models", REASON_RATE_LIMITED, SAME, { 1, 0, 2, 1, false, false, false }, 2000, 9000, AGAIN,
		2000 },
	{ "wait just fits", REASON_RATE_LIMITED, SAME, { 1, 0, 2, 1, false, false, false }, 7500, 9000, AGAIN, 7500 },
	{ "wait just does not fit", REASON_RATE_LIMITED, SAME, { 1, 0, 2, 1, false, false, false }, 7501, 9000, NEXT,
		AT_ONCE },
	{ "wait does not fit, last model", REASON_RATE_LIMITED, SAME, { 1, 1, 2, 1, false, false, false }, 7501, 9000,
		END, NEVER },
	{ "a day", REASON_RATE_LIMITED, SAME, { 1, 0, 1, 1, false, false, false }, 86400000, 9000, END, NEVER },
	{ "a wait shorter than the jitter may be", REASON_RATE_LIMITED, SAME, { 1, 0, 1, 1, false, false, false }, 0,
		9000, AGAIN, JITTER_1 },
	/* An attempt that cannot finish is not begun. */
	{ "time just enough", REASON_OVERLOADED, FAILURE_ACTION_NEXT, { 1, 0, 2, 1, false, false, false }, -1,
		RETRY_TIME_MIN_MS, NEXT, AT_ONCE },
	{ "time just too short", REASON_OVERLOADED, FAILURE_ACTION_NEXT, { 1, 0, 2, 1, false, false, false }, -1,
		RETRY_TIME_MIN_MS - 1, END, NEVER },
	{ "trim, time too short", REASON_CONTEXT_LENGTH, FAILURE_ACTION_TRIM, { 1, 0, 2, 1, false, false, false }, -1,
		RETRY_TIME_MIN_MS - 1, END, NEVER },
	{ "same, time too short", REASON_CONNECT, SAME, { 1, 0, 2, 1, false, false, false }, -1, RETRY_TIME_MIN_MS - 1,
		END, NEVER },
	{ "deadline now", REASON_CONNECT, SAME, { 1, 0, 2, 1, false, false, false }, -1, 0, END, NEVER },
	{ "deadline past", REASON_CONNECT, SAME, { 1, 0, 2, 1, false, false, false }, -1, -100000, END, NEVER },
};

static void assert_at(const struct decide_case *at, const struct retry_decision *decision, uint64_t seed)
{
	int64_t jitter_max = at->at == JITTER_1 ? 100 : at->at == JITTER_2 ? 200 : 0;
	if (decision->step != at->step) fail_msg("%s: step %d, seed %d", at->name, (int)decision->step, (int)seed);
	if (at->at == NEVER) return;
	int64_t low = NOW + (at->at > 0 ? at->at : 0);
	if (decision->at_ms < low || decision->at_ms > low + jitter_max)
		fail_msg("%s: at %d, seed %d", at->name, (int)(decision->at_ms - NOW), (int)seed);
}

static void retry_decide_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(decide_cases) / sizeof(decide_cases[0]); i++) {
		const struct decide_case *at = &decide_cases[i];
		struct failure failure = failure_of(at->reason, at->action);
		failure.retry_after_ms = at->retry_after_ms;
		for (uint64_t seed = 0; seed < 200; seed++) {
			struct retry_decision decision = decide(&at->state, &failure, at->left_ms, seed);
			assert_at(at, &decision, seed);
		}
	}
}

/* Full jitter: from zero to the ceiling, evenly; the ceiling doubles and stops at its maximum. */
static void assert_jitter(int attempts, int64_t max_ms, int64_t ceiling_ms)
{
	struct retry_options many = options;
	many.max_attempts = 100;
	many.backoff_max_ms = max_ms;
	struct retry_state state = { .attempts = attempts, .model_count = 1, .model_attempts = attempts };
	struct failure failure = failure_of(REASON_CONNECT, FAILURE_ACTION_SAME);
	struct random random;
	int64_t least = INT64_MAX, most = 0, sum = 0;
	random_init(&random, 3);
	for (int i = 0; i < 20000; i++) {
		struct retry_decision decision = retry_decide(&many, &state, &failure, NOW, NOW + 9000, &random);
		int64_t wait_ms = decision.at_ms - NOW;
		assert_int_equal(decision.step, RETRY_STEP_AGAIN);
		if (wait_ms < least) least = wait_ms;
		if (wait_ms > most) most = wait_ms;
		sum += wait_ms;
	}
	assert_int_equal(least, 0);
	assert_int_equal(most, ceiling_ms);
	assert_in_range(sum / 20000, ceiling_ms * 48 / 100, ceiling_ms * 52 / 100);
}

static void retry_backoff_doubles_up_to_its_maximum(void **state)
{
	(void)state;
	assert_jitter(1, 800, 100);
	assert_jitter(2, 800, 200);
	assert_jitter(3, 800, 400);
	assert_jitter(4, 800, 800);
	assert_jitter(5, 800, 800);
	assert_jitter(90, 800, 800);
	/* A maximum that no doubling meets. */
	assert_jitter(2, 250, 200);
	assert_jitter(3, 250, 250);
	assert_jitter(1, 50, 50);
}

static void retry_backoff_of_zero_is_at_once(void **state)
{
	(void)state;
	struct retry_options none = options;
	none.backoff_ms = 0;
	struct retry_state tried = { .attempts = 2, .model_count = 1, .model_attempts = 2 };
	struct failure failure = failure_of(REASON_CONNECT, FAILURE_ACTION_SAME);
	struct random random;
	random_init(&random, 4);
	struct retry_decision decision = retry_decide(&none, &tried, &failure, NOW, NOW + 9000, &random);
	assert_int_equal(decision.step, RETRY_STEP_AGAIN);
	assert_int_equal(decision.at_ms, NOW);
}

static void retry_same_seed_same_decision(void **state)
{
	(void)state;
	struct retry_state tried = { .attempts = 1, .model_count = 1, .model_attempts = 1 };
	struct failure failure = failure_of(REASON_CONNECT, FAILURE_ACTION_SAME);
	for (uint64_t seed = 0; seed < 100; seed++)
		assert_int_equal(
			decide(&tried, &failure, 9000, seed).at_ms, decide(&tried, &failure, 9000, seed).at_ms);
}

/* Whatever comes, no attempt begins without time to finish, nor sooner than was asked for, nor after the last one. */
static void retry_decide_random_states_keep_the_promises(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 100000; seed++) {
		struct random random;
		random_init(&random, seed);
		size_t models = 1 + (size_t)random_below(&random, 4);
		struct retry_state tried = { .attempts = 1 + (int)random_below(&random, 4),
			.model = (size_t)random_below(&random, models),
			.model_count = models,
			.model_attempts = 1,
			.trimmed = random_below(&random, 2) == 0,
			.went_on = random_below(&random, 2) == 0,
			.asked_fewer = random_below(&random, 2) == 0 };
		tried.model_attempts += (int)random_below(&random, (uint64_t)tried.attempts);
		struct failure failure = failure_of((enum reason)(1 + random_below(&random, REASON_COUNT - 1)),
			(enum failure_action)random_below(&random, FAILURE_ACTION_LATCH + 1));
		failure.retry_after_ms = (int64_t)random_below(&random, 12000) - 1;
		int64_t left_ms = (int64_t)random_below(&random, 12000) - 1000;
		struct retry_decision decision = decide(&tried, &failure, left_ms, seed);
		if (decision.step == RETRY_STEP_END) continue;
		assert_for_seed(seed, tried.attempts < options.max_attempts);
		assert_for_seed(seed, decision.at_ms >= NOW);
		assert_for_seed(seed, decision.at_ms + RETRY_TIME_MIN_MS <= NOW + left_ms);
		assert_for_seed(seed, decision.step != RETRY_STEP_NEXT || tried.model + 1 < models);
		assert_for_seed(seed, decision.step != RETRY_STEP_TRIM || !tried.trimmed);
		assert_for_seed(seed, decision.step != RETRY_STEP_FEWER || !tried.asked_fewer);
		bool is_once = failure.action == FAILURE_ACTION_NEXT_ONCE;
		bool is_only = failure.action == FAILURE_ACTION_NEXT_ONLY || is_once;
		assert_for_seed(seed, !is_only || decision.step == RETRY_STEP_NEXT);
		assert_for_seed(seed, !is_once || !tried.went_on);
		assert_for_seed(
			seed, decision.step != RETRY_STEP_AGAIN || decision.at_ms >= NOW + failure.retry_after_ms);
		assert_for_seed(seed, failure.action != FAILURE_ACTION_END && failure.action != FAILURE_ACTION_LATCH);
	}
}

static void retry_decide_without_failure_or_model_asserts(void **state)
{
	(void)state;
	struct retry_state tried = { .attempts = 1, .model = 1, .model_count = 1 };
	struct failure failure = failure_of(REASON_CONNECT, FAILURE_ACTION_SAME);
	struct failure none = failure_of(REASON_NONE, FAILURE_ACTION_END);
	expect_assert_failure(assert_int_equal(decide(&tried, &failure, 9000, 1).step, RETRY_STEP_END));
	tried.model = 0;
	expect_assert_failure(assert_int_equal(decide(&tried, &none, 9000, 1).step, RETRY_STEP_END));
}

static int64_t first_content_after(int attempts, int64_t left_ms)
{
	struct retry_state tried = { .attempts = attempts, .model_count = 2 };
	return retry_first_content_due(&options, &tried, NOW, NOW + left_ms) - NOW;
}

static void retry_first_content_is_a_share_of_the_time_left(void **state)
{
	(void)state;
	assert_int_equal(first_content_after(0, 6000), 3300);
	assert_int_equal(first_content_after(1, 2000), 1100);
	assert_int_equal(first_content_after(0, 1), 0);
}

static void retry_first_content_is_bounded(void **state)
{
	(void)state;
	assert_int_equal(first_content_after(0, 9700), 3500);
	assert_int_equal(first_content_after(2, 9700), 3500);
}

static void retry_first_content_of_the_last_attempt_has_all_the_time(void **state)
{
	(void)state;
	assert_int_equal(first_content_after(2, 2000), 2000);
	assert_int_equal(first_content_after(7, 2000), 2000);
}

static void retry_first_content_is_never_after_the_deadline(void **state)
{
	(void)state;
	for (int attempts = 0; attempts < 4; attempts++)
		for (int64_t left_ms = -5000; left_ms < 12000; left_ms += 7) {
			int64_t after_ms = first_content_after(attempts, left_ms);
			assert_true(after_ms <= left_ms);
			assert_true(left_ms < 0 || after_ms >= 0);
		}
}

static void retry_first_content_whole_share_is_all_the_time(void **state)
{
	(void)state;
	struct retry_options all = options;
	all.first_content_share = 1;
	struct retry_state tried = { .attempts = 0, .model_count = 1 };
	assert_int_equal(retry_first_content_due(&all, &tried, NOW, NOW + 3000), NOW + 3000);
	all.first_content_share = 0;
	expect_assert_failure(assert_int_equal(retry_first_content_due(&all, &tried, NOW, NOW + 3000), NOW));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(retry_decide_cases),
		cmocka_unit_test(retry_backoff_doubles_up_to_its_maximum),
		cmocka_unit_test(retry_backoff_of_zero_is_at_once),
		cmocka_unit_test(retry_same_seed_same_decision),
		cmocka_unit_test(retry_decide_random_states_keep_the_promises),
		cmocka_unit_test(retry_decide_without_failure_or_model_asserts),
		cmocka_unit_test(retry_first_content_is_a_share_of_the_time_left),
		cmocka_unit_test(retry_first_content_is_bounded),
		cmocka_unit_test(retry_first_content_of_the_last_attempt_has_all_the_time),
		cmocka_unit_test(retry_first_content_is_never_after_the_deadline),
		cmocka_unit_test(retry_first_content_whole_share_is_all_the_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
