/* A model that asked for patience is not called by anybody until its time is over. */
#include <stdio.h>

#include "tests/unit/flow_support.h"

static void open_with_models(struct support *support, size_t count)
{
	support_init(support);
	support->options.model_count = count;
	support_begin(support);
}

static void ask(struct support *support, int64_t offset, int64_t retry_after_ms)
{
	support_take_now(support, offset);
	support_fail_wait(support, support_call(support), retry_after_ms);
}

static void flow_cooling_others_go_to_the_next_model_until_its_time(void **state)
{
	(void)state;
	struct support support;
	open_with_models(&support, 2);
	ask(&support, 0, 60000);
	assert_int_equal(support.step, RETRY_STEP_NEXT);
	support_answer_of(&support, "b/two");
	assert_int_equal(support_guard(&support).cooling, 1);
	assert_int_equal(support_guard(&support).retry_after_ms, 60000);
	for (int64_t offset = 1; offset < 4; offset++) {
		support_take_now(&support, offset);
		support_answer_of(&support, "b/two");
		support_pass(&support, offset == 3 ? 19999 : 20000);
	}
	support_take_now(&support, 4);
	support_answer_of(&support, "b/two");
	support_pass(&support, 1);
	support_take_now(&support, 5);
	support_answer_of(&support, "a/one");
	assert_int_equal(support_guard(&support).cooling, 0);
	support_close(&support);
}

static void flow_cooling_the_one_who_was_told_keeps_its_wait(void **state)
{
	(void)state;
	struct support support;
	open_with_models(&support, 2);
	ask(&support, 0, 2000);
	assert_int_equal(support.step, RETRY_STEP_AGAIN);
	support_take_now(&support, 1);
	support_answer_of(&support, "b/two");
	support_pass(&support, 1999);
	support_no_call(&support);
	support_pass(&support, 1);
	support_answer_of(&support, "a/one");
	assert_int_equal(support.replies, 2);
	support_close(&support);
}

static void flow_cooling_only_model_is_waited_for_when_it_fits(void **state)
{
	(void)state;
	struct support support;
	open_with_models(&support, 1);
	ask(&support, 0, 3000);
	support_take_now(&support, 1);
	support_pass(&support, 1000);
	support_take_now(&support, 2);
	support_no_call(&support);
	assert_int_equal(support.replies, 0);
	support_pass(&support, 1999);
	support_no_call(&support);
	support_pass(&support, 1);
	for (int i = 0; i < 3; i++)
		support_answer(&support, support_call(&support));
	struct batch *batch = support_batch(&support);
	assert_int_equal(batch->item_count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_text_equal(support_reply(&support, batch, i).outcome, "answered");
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_cooling_all_models_is_a_fallback_at_once(void **state)
{
	(void)state;
	struct support support;
	open_with_models(&support, 1);
	ask(&support, 0, 8201);
	assert_int_equal(support.step, RETRY_STEP_END);
	assert_int_equal(support.replies, 1);
	support_commit(&support);
	support_take_now(&support, 1);
	support_no_call(&support);
	struct chat_client_response reply = support_only_reply(&support);
	assert_text_equal(reply.outcome, "fallback");
	assert_text_equal(reply.reason, "rate_limited");
	assert_int_equal(reply.attempts, 0);
	/* As soon as the wait leaves time for an attempt, it is kept. */
	support_pass(&support, 1);
	support_take_now(&support, 2);
	assert_int_equal(support.replies, 2);
	support_pass(&support, 8200);
	support_answer(&support, support_call(&support));
	support_close(&support);
}

static void flow_cooling_first_of_several_to_cool_is_waited_for(void **state)
{
	(void)state;
	struct support support;
	open_with_models(&support, 2);
	ask(&support, 0, 30000);
	support_fail_wait(&support, support_call(&support), 4000);
	assert_int_equal(support_guard(&support).cooling, 2);
	support_take_now(&support, 1);
	support_no_call(&support);
	support_pass(&support, 4000);
	struct call *first = support_call(&support), *second = support_call(&support);
	support_assert_model(first, "b/two");
	support_assert_model(second, "b/two");
	support_answer(&support, first);
	support_answer(&support, second);
	support_close(&support);
}

static void flow_cooling_longer_wait_counts_whoever_asked_first(void **state)
{
	(void)state;
	struct support support;
	open_with_models(&support, 1);
	support_take_now(&support, 0);
	support_take_now(&support, 1);
	struct call *first = support_call(&support), *second = support_call(&support);
	support_fail_wait(&support, first, 5000);
	support_fail_wait(&support, second, 1000);
	assert_int_equal(support.step, RETRY_STEP_AGAIN);
	assert_int_equal(support.coolings, 1);
	support_pass(&support, 4999);
	support_no_call(&support);
	support_pass(&support, 1);
	support_answer(&support, support_call(&support));
	support_answer(&support, support_call(&support));
	support_close(&support);
}

/* Those in line were admitted before; they leave it when their turn comes. */
static void flow_cooling_those_in_line_wait_or_go_on(void **state)
{
	(void)state;
	for (size_t models = 1; models <= 2; models++) {
		struct support support;
		support_init(&support);
		support.options.model_count = models;
		support.options.in_flight_max = 1;
		support_begin(&support);
		support_take_now(&support, 0);
		struct call *call = support_call(&support);
		support_take_now(&support, 1);
		support_take_now(&support, 2);
		support_fail_wait(&support, call, 2000);
		if (models == 1) {
			support_no_call(&support);
			assert_int_equal(support_gauges(&support).ready, 0);
		}
		for (int i = 0; i < 3; i++) {
			if (models == 1 && i == 0) support_pass(&support, 2000);
			if (models == 2 && i == 2) support_pass(&support, 2000);
			support_answer_of(&support, models == 1 || i == 2 ? "a/one" : "b/two");
		}
		assert_int_equal(support.replies, 3);
		support_close(&support);
	}
}

static void flow_cooling_wait_that_grows_too_long_ends(void **state)
{
	(void)state;
	struct support support;
	open_with_models(&support, 1);
	support_take_now(&support, 0);
	support_take_now(&support, 1);
	struct call *first = support_call(&support), *second = support_call(&support);
	support_fail_wait(&support, first, 2000);
	support_take_now(&support, 2);
	support_pass(&support, 1000);
	support_fail_wait(&support, second, 30000);
	assert_int_equal(support.replies, 1);
	support_pass(&support, 1000);
	support_no_call(&support);
	assert_int_equal(support.replies, 3);
	struct batch *batch = support_batch(&support);
	for (size_t i = 0; i < 3; i++)
		assert_text_equal(support_reply(&support, batch, i).reason, "rate_limited");
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_cooling_next_model_that_cools_soon_is_waited_for(void **state)
{
	(void)state;
	struct support support;
	open_with_models(&support, 2);
	support_take_now(&support, 0);
	struct call *call = support_call(&support);
	support_fail(&support, call, REASON_OVERLOADED, FAILURE_ACTION_NEXT);
	call = support_call_of(&support, "b/two");
	support_fail_wait(&support, call, 1000);

	support_take_now(&support, 1);
	call = support_call_of(&support, "a/one");
	support_fail(&support, call, REASON_MODEL_UNAVAILABLE, FAILURE_ACTION_NEXT_ONLY);
	assert_int_equal(support.step, RETRY_STEP_NEXT);
	support_no_call(&support);
	support_pass(&support, 1000);
	for (int i = 0; i < 2; i++) {
		support_answer_of(&support, "b/two");
	}
	support_close(&support);
}

/* The model itself is shut then, so that what would be a repeat of it is a wait for the other one. */
static void flow_cooling_next_model_is_waited_for_when_this_one_is_shut(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.breaker.min_calls = 2;
	support_begin(&support);
	support_take_now(&support, 0);
	support_fail(&support, support_call(&support), REASON_OVERLOADED, FAILURE_ACTION_NEXT);
	support_fail_wait(&support, support_call(&support), 1000);

	support_take_now(&support, 1);
	support_fail(&support, support_call(&support), REASON_UPSTREAM_ERROR, FAILURE_ACTION_SAME_ONCE);
	assert_int_equal(support.breakers[BREAKER_OPEN], 1);
	assert_int_equal(support.step, RETRY_STEP_NEXT);
	support_no_call(&support);
	support_pass(&support, 1000);
	for (int i = 0; i < 2; i++) {
		support_answer_of(&support, "b/two");
	}
	support_close(&support);
}

static void flow_cooling_preferences_of_one_chat_say_nothing_about_others(void **state)
{
	(void)state;
	struct support support;
	open_with_models(&support, 2);
	support_take_json(&support, "{\"request_id\":\"r\",\"provider\":{\"only\":[\"azure\"]},\"messages\":["
				    "{\"role\":\"user\",\"content\":\"Hi\"}]}");
	support_fail_wait(&support, support_call(&support), 60000);
	assert_int_equal(support.step, RETRY_STEP_NEXT);
	support_answer_of(&support, "b/two");
	assert_int_equal(support_guard(&support).cooling, 0);
	support_take_now(&support, 1);
	support_answer_of(&support, "a/one");
	support_close(&support);
}

static void flow_cooling_endless_wait_is_doubted_after_ten_minutes(void **state)
{
	(void)state;
	struct support support;
	open_with_models(&support, 1);
	ask(&support, 0, 86400000);
	assert_int_equal(support_guard(&support).retry_after_ms, 600000);
	support_pass(&support, 599999);
	support_take_now(&support, 1);
	support_no_call(&support);
	support_pass(&support, 1);
	support_take_now(&support, 2);
	support_answer(&support, support_call(&support));
	support_close(&support);
}

static void flow_cooling_daily_cap_cools(void **state)
{
	(void)state;
	struct support support;
	open_with_models(&support, 2);
	support_take_now(&support, 0);
	struct failure_sign sign = {
		.http_status = 429, .retryable = -1, .retry_after_ms = -1, .reset_after_ms = -1, .names_daily_cap = true
	};
	support_fail_as(&support, support_call(&support), failure_of_sign(&sign));
	support_answer_of(&support, "b/two");
	support_pass(&support, FAILURE_DAILY_CAP_MS - 1);
	support_take_now(&support, 1);
	support_answer_of(&support, "b/two");
	support_pass(&support, 1);
	support_take_now(&support, 2);
	support_answer_of(&support, "a/one");
	support_close(&support);
}

static void flow_cooling_only_failures_of_the_model_cool(void **state)
{
	(void)state;
	static const struct failure others[] = {
		{ .reason = REASON_BAD_REQUEST,
			.action = FAILURE_ACTION_END,
			.http_status = 400,
			.retry_after_ms = 60000 },
		{ .reason = REASON_UPSTREAM_ERROR,
			.action = FAILURE_ACTION_END,
			.retry_after_ms = 60000,
			.breaks_edge = true },
		{ .reason = REASON_OVERLOADED, .action = FAILURE_ACTION_END, .http_status = 503, .retry_after_ms = 0 },
		{ .reason = REASON_OVERLOADED, .action = FAILURE_ACTION_END, .http_status = 503, .retry_after_ms = -1 },
	};
	struct support support;
	open_with_models(&support, 1);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		support_take_now(&support, (int64_t)i);
		support_fail_as(&support, support_call(&support), others[i]);
		assert_int_equal(support_guard(&support).cooling, 0);
	}
	assert_int_equal(support.coolings, 0);
	support_close(&support);
}

/* What was asked is true, whether anybody waits for the answer or not. */
static void flow_cooling_result_that_nobody_waits_for_is_heard(void **state)
{
	(void)state;
	struct support support;
	open_with_models(&support, 2);
	support_take_now(&support, 0);
	struct call *call = support_call(&support);
	flow_revoke(support.flow, 0, support.now);
	(void)support_cancel(&support);
	support_fail_wait(&support, call, 60000);
	assert_int_equal(support_guard(&support).cooling, 1);
	support_close(&support);
}

static void flow_cooling_models_without_a_number_of_their_own_are_called(void **state)
{
	(void)state;
	struct support support;
	open_with_models(&support, 2);
	char json[200];
	for (int i = 0; i < 40; i++) {
		struct record record = support_record();
		snprintf(json, sizeof(json),
			"{\"request_id\":\"r\",\"models\":[\"m/"
			"%d\"],\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
			i);
		record.offset = i;
		record.value = bytes_of(json);
		support_take(&support, &record);
		support_fail_wait(&support, support_call(&support), 60000);
	}
	assert_int_equal(support_guard(&support).cooling, 30);
	support_close(&support);
}

static void flow_cooling_drain_leaves_those_who_were_never_called(void **state)
{
	(void)state;
	struct support support;
	open_with_models(&support, 1);
	ask(&support, 0, 3000);
	support_take_now(&support, 1);
	flow_drain(support.flow, support.now.mono_ms + 5000);
	assert_int_equal(support_gauges(&support).waiting, 1);
	support_pass(&support, 3000);
	support_answer(&support, support_call(&support));
	support_no_call(&support);
	support_commit(&support);
	assert_true(flow_is_idle(support.flow));
	assert_int_equal(support.replies, 1);
	support_close(&support);
}

static void flow_cooling_later_chats_of_a_conversation_stay_behind(void **state)
{
	(void)state;
	struct support support;
	open_with_models(&support, 1);
	ask(&support, 0, 2000);
	support_take_chat(&support, 0, 1, "same");
	support_take_chat(&support, 0, 2, "same");
	support_pass(&support, 2000);
	struct call *calls[2] = { support_call(&support), support_call(&support) };
	support_no_call(&support);
	support_answer(&support, calls[0]);
	support_answer(&support, calls[1]);
	support_answer(&support, support_call(&support));
	assert_int_equal(support.offsets[2], 2);
	support_close(&support);
}

/* A breaker that opens meanwhile ends the wait at once. */
static void flow_cooling_wait_for_a_model_that_is_shut_ends(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.model_count = 1;
	support.options.breaker.min_calls = 2;
	support.options.retry.max_attempts = 1;
	support_begin(&support);
	support_take_now(&support, 0);
	support_take_now(&support, 1);
	struct call *first = support_call(&support), *second = support_call(&support);
	support_fail_wait(&support, first, 3000);
	support_take_now(&support, 2);
	assert_int_equal(support.replies, 1);
	support_fail(&support, second, REASON_OVERLOADED, FAILURE_ACTION_NEXT);
	support_no_call(&support);
	assert_int_equal(support.replies, 3);
	struct batch *batch = support_batch(&support);
	assert_int_equal(support_offset(&support, batch, 2), 2);
	assert_text_equal(support_reply(&support, batch, 2).reason, "breaker_open");
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_cooling_others_go_to_the_next_model_until_its_time),
		cmocka_unit_test(flow_cooling_the_one_who_was_told_keeps_its_wait),
		cmocka_unit_test(flow_cooling_only_model_is_waited_for_when_it_fits),
		cmocka_unit_test(flow_cooling_all_models_is_a_fallback_at_once),
		cmocka_unit_test(flow_cooling_first_of_several_to_cool_is_waited_for),
		cmocka_unit_test(flow_cooling_longer_wait_counts_whoever_asked_first),
		cmocka_unit_test(flow_cooling_those_in_line_wait_or_go_on),
		cmocka_unit_test(flow_cooling_wait_that_grows_too_long_ends),
		cmocka_unit_test(flow_cooling_next_model_that_cools_soon_is_waited_for),
		cmocka_unit_test(flow_cooling_next_model_is_waited_for_when_this_one_is_shut),
		cmocka_unit_test(flow_cooling_preferences_of_one_chat_say_nothing_about_others),
		cmocka_unit_test(flow_cooling_endless_wait_is_doubted_after_ten_minutes),
		cmocka_unit_test(flow_cooling_daily_cap_cools),
		cmocka_unit_test(flow_cooling_only_failures_of_the_model_cool),
		cmocka_unit_test(flow_cooling_result_that_nobody_waits_for_is_heard),
		cmocka_unit_test(flow_cooling_models_without_a_number_of_their_own_are_called),
		cmocka_unit_test(flow_cooling_drain_leaves_those_who_were_never_called),
		cmocka_unit_test(flow_cooling_later_chats_of_a_conversation_stay_behind),
		cmocka_unit_test(flow_cooling_wait_for_a_model_that_is_shut_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
