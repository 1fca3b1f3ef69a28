/* Second calls: what stands before them. */
#include <stdio.h>

#include "tests/unit/flow_support.h"
#include "worker/core/flow_internal.h"

enum { DELAY_MS = 2000, DELAY_MIN_MS = 500, FIRST_CONTENT_MAX_MS = 3500 };

static const struct failure overloaded = {
	.reason = REASON_OVERLOADED,
	.action = FAILURE_ACTION_END,
	.http_status = 503,
	.retry_after_ms = -1,
	.maybe_sent = true,
};

static void init(struct support *support)
{
	support_init(support);
	support->options.in_flight_max = 64;
	support->options.hedge = (struct flow_hedge_options){
		.enabled = true, .max_share = 1, .delay_ms = DELAY_MS, .delay_min_ms = DELAY_MIN_MS
	};
}

static struct call *call_chat(struct support *support, int64_t offset)
{
	support_take_now(support, offset);
	return support_call(support);
}

/* A chat that gets a second call as soon as it may. */
static void call_both(struct support *support, struct call **out_first, struct call **out_second)
{
	*out_first = call_chat(support, 0);
	support_pass(support, DELAY_MS);
	*out_second = support_call(support);
}

static struct call *call_model(struct support *support, int64_t offset, const char *model)
{
	char value[200];
	(void)snprintf(value, sizeof(value),
		"{\"request_id\":\"r\",\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}", model);
	struct record source = support_record();
	source.offset = offset;
	source.key = BYTES_LITERAL("other");
	source.timestamp_ms = support->now.wall_ms;
	source.value = bytes_of(value);
	support_take(support, &source);
	return support_call(support);
}

/* So many chats whose first content comes after this time, each. */
static void learn(struct support *support, int64_t first_content_ms)
{
	for (int64_t i = 0; i < LATENCY_SAMPLES_MIN; i++) {
		struct call *call = call_chat(support, i);
		support_pass(support, first_content_ms);
		call->first_content_ms = support->now.mono_ms;
		if (call->tells_content) flow_content_begun(support->flow, call->id, support->now);
		support_answer(support, call);
		support_commit(support);
	}
}

/* The clock of its second call has run out, and none is made for this reason. */
static void assert_refused(struct support *support, enum flow_hedge reason)
{
	support_pass(support, DELAY_MS);
	support_no_call(support);
	assert_int_equal(support->hedges[FLOW_HEDGE_STARTED], 0);
	assert_int_equal(support->hedges[reason], 1);
	/* It is not asked for again. */
	support_pass(support, 1000);
	support_no_call(support);
	assert_int_equal(support->hedges[reason], 1);
}

static void end_with(struct support *support, struct call *call)
{
	support_answer(support, call);
	support_commit(support);
	support_close(support);
}

static void flow_hedge_share_of_the_chats_is_a_bound_from_the_first_chat_on(void **state)
{
	(void)state;
	struct support support;
	init(&support);
	support.options.hedge.max_share = 0.05;
	support_begin(&support);
	for (int64_t i = 0; i < 100; i++) {
		struct call *first = call_chat(&support, i);
		support_pass(&support, DELAY_MS);
		struct call *second;
		bool is_second = flow_next_call(support.flow, support.now, &second) == STATUS_OK;
		assert_int_equal(is_second, (i + 1) % 20 == 0);
		assert_true(support.hedges[FLOW_HEDGE_STARTED] * 20 <= i + 1);
		support_answer(&support, first);
		if (is_second) support_fail_as(&support, second, overloaded);
		support_commit(&support);
	}
	assert_int_equal(support.hedges[FLOW_HEDGE_STARTED], 5);
	assert_int_equal(support.hedges[FLOW_HEDGE_NO_SHARE], 95);
	support_close(&support);
}

static void flow_hedge_calm_times_save_up_twenty_at_most(void **state)
{
	(void)state;
	struct support support;
	init(&support);
	support.options.hedge.max_share = 0.5;
	support.options.waiting_max = 1000;
	support_begin(&support);
	for (int64_t i = 0; i < 200; i++) {
		support_answer(&support, call_chat(&support, i));
		support_commit(&support);
	}
	struct call *calls[64];
	for (int64_t i = 0; i < 30; i++)
		calls[i] = call_chat(&support, 200 + i);
	support_pass(&support, DELAY_MS);
	int seconds = 0;
	while (flow_next_call(support.flow, support.now, &calls[30 + seconds]) == STATUS_OK)
		seconds++;
	assert_int_equal(seconds, 20);
	for (int i = 0; i < 30 + seconds; i++)
		support_answer(&support, calls[i]);
	support_commit(&support);
	support_close(&support);
}

static void flow_hedge_is_paid_for_like_a_retry(void **state)
{
	(void)state;
	struct support support;
	init(&support);
	support.options.budget = (struct retry_budget_options){ .earned = 0, .max = 1000 };
	support_begin(&support);
	struct call *calls[] = { call_chat(&support, 0), call_chat(&support, 1), call_chat(&support, 2) };
	support_pass(&support, DELAY_MS);
	/* One is saved up, one a second is always there. */
	struct call *seconds[] = { support_call(&support), support_call(&support) };
	support_no_call(&support);
	assert_int_equal(support.hedges[FLOW_HEDGE_NO_BUDGET], 1);
	assert_int_equal(support_guard(&support).retry_budget, 0);
	for (int i = 0; i < 3; i++)
		support_answer(&support, calls[i]);
	for (int i = 0; i < 2; i++)
		support_fail_as(&support, seconds[i], overloaded);
	support_commit(&support);
	support_close(&support);
}

static void flow_hedge_open_breaker_leaves_the_same_model_or_none(void **state)
{
	(void)state;
	struct support support;
	init(&support);
	support.options.breaker = (struct breaker_options){
		.window_ms = 10000, .min_calls = 1, .failure_ratio = 0.5, .open_ms = 60000, .open_max_ms = 60000
	};
	support_begin(&support);
	support_fail_as(&support, call_model(&support, 0, "b/two"), overloaded);
	struct call *calls[] = { call_chat(&support, 1), NULL };
	support_pass(&support, DELAY_MS);
	calls[1] = support_call(&support);
	support_assert_model(calls[1], "a/one");
	support.hedges[FLOW_HEDGE_STARTED] = 0;
	struct call *third = call_chat(&support, 2);
	support_fail_as(&support, calls[0], overloaded);
	support_fail_as(&support, calls[1], overloaded);
	assert_refused(&support, FLOW_HEDGE_NO_MODEL);
	end_with(&support, third);
}

static void flow_hedge_overtaken_call_says_nothing_to_the_breaker(void **state)
{
	(void)state;
	struct support support;
	init(&support);
	support.options.breaker.min_calls = 1;
	support_begin(&support);
	struct call *first, *second;
	call_both(&support, &first, &second);
	flow_content_begun(support.flow, second->id, support.now);
	support_fail_as(&support, first, overloaded);
	support_answer(&support, second);
	assert_int_equal(support.breakers[BREAKER_OPEN], 0);
	support_commit(&support);
	support_close(&support);
}

static void flow_hedge_both_late_at_the_deadline_is_said_to_both_breakers(void **state)
{
	(void)state;
	struct support support;
	init(&support);
	support.options.breaker.min_calls = 1;
	support_begin(&support);
	struct call *first, *second;
	call_both(&support, &first, &second);
	support_pass(&support, 7700);
	assert_int_equal(support.breakers[BREAKER_OPEN], 2);
	support_answer(&support, first);
	end_with(&support, second);
}

static void flow_hedge_takes_no_slot_that_a_chat_waits_for(void **state)
{
	(void)state;
	struct support support;
	init(&support);
	support.options.in_flight_max = 2;
	support_begin(&support);
	struct call *first = call_chat(&support, 0);
	support_pass(&support, DELAY_MS);
	struct call *other = call_chat(&support, 1);
	assert_true(other->first_content_due_ms > first->first_content_due_ms);
	support_no_call(&support);
	assert_int_equal(support.hedges[FLOW_HEDGE_NO_SLOT], 1);
	support_answer(&support, other);
	end_with(&support, first);
}

static void flow_hedge_without_time_is_not_made(void **state)
{
	(void)state;
	struct support support;
	init(&support);
	support.options.retry.first_content_share = 1;
	support.options.deadline_ms = 3000 + support.options.publish_reserve_ms;
	support_begin(&support);
	struct call *first = call_chat(&support, 0);
	support_pass(&support, DELAY_MS);
	support_no_call(&support);
	assert_int_equal(support.hedges[FLOW_HEDGE_NO_TIME], 1);
	end_with(&support, first);
}

/* Half of the next model's answers take 9 s, so one that begins after 2 s of 10 is not in time. */
static void flow_hedge_next_model_that_would_be_late_is_passed_over(void **state)
{
	(void)state;
	struct support support;
	init(&support);
	support_begin(&support);
	for (int64_t i = 0; i < LATENCY_SAMPLES_MIN; i++) {
		struct call *call = call_model(&support, i, "b/two");
		call->first_content_ms = support.now.mono_ms + 100;
		support_pass(&support, 100);
		flow_content_begun(support.flow, call->id, support.now);
		support_pass(&support, 8900);
		support_answer(&support, call);
		support_commit(&support);
	}
	struct call *first = call_chat(&support, LATENCY_SAMPLES_MIN);
	support_pass(&support, DELAY_MS);
	struct call *second = support_call(&support);
	support_assert_model(second, "a/one");
	support_fail_as(&support, second, overloaded);
	end_with(&support, first);
}

/* Its limit is not what nearly all keep to, but what the settings allow: by then a second call runs beside it. */
static void flow_hedge_attempt_with_a_second_call_to_come_is_not_cut_short(void **state)
{
	(void)state;
	struct support support;
	init(&support);
	support_begin(&support);
	learn(&support, 1900);
	struct call *first = call_chat(&support, 100);
	assert_int_equal(first->first_content_due_ms - support.now.mono_ms, FIRST_CONTENT_MAX_MS);
	support_pass(&support, 1919);
	struct call *second = support_call(&support);
	support_answer(&support, second);
	end_with(&support, first);
}

static void flow_hedge_is_not_made_while_draining(void **state)
{
	(void)state;
	struct support support;
	init(&support);
	support_begin(&support);
	struct call *first = call_chat(&support, 0);
	flow_drain(support.flow, support.now.mono_ms + 20000);
	assert_refused(&support, FLOW_HEDGE_DRAINING);
	end_with(&support, first);
}

static void flow_hedge_is_not_made_while_the_account_is_refused(void **state)
{
	(void)state;
	struct support support;
	init(&support);
	support_begin(&support);
	struct call *first = call_chat(&support, 0);
	support_fail(&support, call_chat(&support, 1), REASON_AUTH, FAILURE_ACTION_LATCH);
	assert_refused(&support, FLOW_HEDGE_NO_MODEL);
	end_with(&support, first);
}

static void flow_hedge_delay_is_what_95_of_100_first_contents_keep_to(void **state)
{
	(void)state;
	static const struct {
		int64_t usual_ms, delay_ms;
	} rows[] = { { 1000, 1023 }, { 1900, 1919 }, { 14, DELAY_MIN_MS }, { 499, 511 } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct support support;
		init(&support);
		support_begin(&support);
		learn(&support, rows[i].usual_ms);
		struct call *first = call_chat(&support, 100);
		assert_int_equal(support_gauges(&support).oldest_overdue_ms - support.now.mono_ms, rows[i].delay_ms);
		support_pass(&support, rows[i].delay_ms);
		struct call *second = support_call(&support);
		support_answer(&support, second);
		support_answer(&support, first);
		support_commit(&support);
		support_close(&support);
	}
}

/* The attempt's own clock comes first: the next attempt is the better second call. */
static void flow_hedge_delay_beyond_the_attempts_clock_makes_none(void **state)
{
	(void)state;
	struct support support;
	init(&support);
	support.options.hedge.delay_ms = FIRST_CONTENT_MAX_MS;
	support_begin(&support);
	struct call *first = call_chat(&support, 0);
	assert_int_equal(first->first_content_due_ms - support.now.mono_ms, FIRST_CONTENT_MAX_MS);
	assert_false(first->tells_content);
	support_pass(&support, FIRST_CONTENT_MAX_MS);
	support_no_call(&support);
	end_with(&support, first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_hedge_share_of_the_chats_is_a_bound_from_the_first_chat_on),
		cmocka_unit_test(flow_hedge_calm_times_save_up_twenty_at_most),
		cmocka_unit_test(flow_hedge_is_paid_for_like_a_retry),
		cmocka_unit_test(flow_hedge_open_breaker_leaves_the_same_model_or_none),
		cmocka_unit_test(flow_hedge_overtaken_call_says_nothing_to_the_breaker),
		cmocka_unit_test(flow_hedge_both_late_at_the_deadline_is_said_to_both_breakers),
		cmocka_unit_test(flow_hedge_takes_no_slot_that_a_chat_waits_for),
		cmocka_unit_test(flow_hedge_without_time_is_not_made),
		cmocka_unit_test(flow_hedge_next_model_that_would_be_late_is_passed_over),
		cmocka_unit_test(flow_hedge_attempt_with_a_second_call_to_come_is_not_cut_short),
		cmocka_unit_test(flow_hedge_is_not_made_while_draining),
		cmocka_unit_test(flow_hedge_is_not_made_while_the_account_is_refused),
		cmocka_unit_test(flow_hedge_delay_is_what_95_of_100_first_contents_keep_to),
		cmocka_unit_test(flow_hedge_delay_beyond_the_attempts_clock_makes_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
