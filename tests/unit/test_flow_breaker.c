/* No call is made of what keeps failing: chats go on to another model, or get their fallback at once. */
#include "tests/unit/flow_support.h"

#include <stdio.h>

static const struct failure overloaded = {
	.reason = REASON_OVERLOADED,
	.action = FAILURE_ACTION_NEXT_ONLY,
	.http_status = 503,
	.retry_after_ms = -1,
	.maybe_sent = true,
};

static void open_with(struct support *support, size_t models, int64_t min_calls)
{
	support_init(support);
	support->options.model_count = models;
	support->options.in_flight_max = 16;
	support->options.breaker.min_calls = min_calls;
	support_begin(support);
}

/* A chat of a conversation of its own. */
static void take(struct support *support, int64_t offset)
{
	char conversation[24];
	snprintf(conversation, sizeof(conversation), "c%d", (int)offset);
	support_take_chat(support, 0, offset, conversation);
}

/* So many chats whose only model fails. */
static void fail_all(struct support *support, int64_t from, int count)
{
	for (int64_t offset = from; offset < from + count; offset++) {
		take(support, offset);
		support_fail_as(support, support_call(support), overloaded);
	}
	support_commit(support);
}

static void assert_breakers(const struct support *support, size_t closed, size_t open, size_t half_open)
{
	struct flow_guard_gauges gauges = support_guard(support);
	assert_int_equal(gauges.breakers[BREAKER_CLOSED], closed);
	assert_int_equal(gauges.breakers[BREAKER_OPEN], open);
	assert_int_equal(gauges.breakers[BREAKER_HALF_OPEN], half_open);
}

static void flow_breaker_open_one_gives_the_fallback_in_the_same_step(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, 1, 3);
	fail_all(&support, 0, 3);
	assert_breakers(&support, 1, 1, 0);
	take(&support, 3);
	support_no_call(&support);
	assert_int_equal(support_gauges(&support).waiting, 0);
	struct chat_client_response reply = support_only_reply(&support);
	assert_text_equal(reply.outcome, "fallback");
	assert_text_equal(reply.reason, "breaker_open");
	assert_int_equal(reply.attempts, 0);
	assert_int_equal(support.breakers[BREAKER_OPEN], 1);
	support_close(&support);
}

static void flow_breaker_whole_conversation_is_answered_in_one_step(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, 1, 3);
	fail_all(&support, 0, 3);
	for (int64_t offset = 3; offset < 50; offset++)
		support_take_chat(&support, 0, offset, "one");
	assert_int_equal(support.replies, 50);
	support_close(&support);
}

static void flow_breaker_open_one_moves_chats_to_the_next_model(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, 2, 3);
	for (int64_t offset = 0; offset < 3; offset++) {
		take(&support, offset);
		support_fail_as(&support, support_call(&support), overloaded);
		support_answer(&support, support_call(&support));
	}
	assert_breakers(&support, 2, 1, 0);
	take(&support, 3);
	support_answer_of(&support, "b/two");
	struct batch *batch = support_batch(&support);
	assert_int_equal(support_reply(&support, batch, 3).attempts, 1);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

/* Those who wait for a call when it opens, in line or in their back-off, do not wait on. */
static void flow_breaker_opening_answers_those_who_wait(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.model_count = 1;
	support.options.in_flight_max = 3;
	support.options.breaker.min_calls = 3;
	support_begin(&support);
	for (int64_t offset = 0; offset < 6; offset++)
		take(&support, offset);
	struct call *calls[3] = { support_call(&support), support_call(&support), support_call(&support) };
	support_fail_wait(&support, calls[0], 5000);
	assert_int_equal(support.step, RETRY_STEP_AGAIN);
	support_fail_as(&support, calls[1], overloaded);
	assert_int_equal(support.replies, 1);
	support_fail_as(&support, calls[2], overloaded);
	assert_int_equal(support.replies, 6);
	struct batch *batch = support_batch(&support);
	for (size_t i = 0; i < 6; i++) {
		struct chat_client_response reply = support_reply(&support, batch, i);
		/* One that was called tells what happened to it. */
		const char *reason = reply.offset == 0  ? "rate_limited"
				     : reply.offset < 3 ? "overloaded"
							: "breaker_open";
		assert_text_equal(reply.reason, reason);
	}
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_no_call(&support);
	support_close(&support);
}

/* A failure that asks for the next model stays with its own when the next is shut, and the other way round. */
static void flow_breaker_shut_model_is_as_good_as_not_there(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, 2, 3);
	/* The second model is asked for alone, and fails. */
	for (int64_t offset = 0; offset < 3; offset++) {
		char conversation[24];
		snprintf(conversation, sizeof(conversation), "c%d", (int)offset);
		struct record source = support_record();
		source.offset = offset;
		source.key = bytes_of(conversation);
		source.value = BYTES_LITERAL("{\"request_id\":\"r\",\"models\":[\"b/"
					     "two\"],\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}");
		support_take(&support, &source);
		support_fail_as(&support, support_call(&support), overloaded);
	}
	assert_breakers(&support, 2, 1, 0);
	take(&support, 3);
	struct call *call = support_call_of(&support, "a/one");
	struct failure next = overloaded;
	next.action = FAILURE_ACTION_NEXT;
	support_fail_as(&support, call, next);
	assert_int_equal(support.step, RETRY_STEP_AGAIN);
	support_pass(&support, 100);
	call = support_call_of(&support, "a/one");
	support_fail_as(&support, call, overloaded);
	assert_int_equal(support.step, RETRY_STEP_END);
	support_close(&support);
}

static void flow_breaker_probes_are_two_real_chats(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, 1, 3);
	fail_all(&support, 0, 3);
	support_pass(&support, 1200);
	assert_breakers(&support, 1, 0, 1);
	for (int64_t offset = 3; offset < 8; offset++)
		take(&support, offset);
	struct call *first = support_call(&support), *second = support_call(&support);
	support_no_call(&support);
	assert_int_equal(support.replies, 3 + 3);
	take(&support, 8);
	assert_int_equal(support.replies, 3 + 4);
	support_answer(&support, first);
	support_answer(&support, second);
	assert_breakers(&support, 2, 0, 0);
	assert_int_equal(support.breakers[BREAKER_HALF_OPEN], 1);
	assert_int_equal(support.breakers[BREAKER_CLOSED], 1);
	for (int64_t offset = 9; offset < 14; offset++)
		take(&support, offset);
	for (int i = 0; i < 5; i++)
		support_answer(&support, support_call(&support));
	support_close(&support);
}

static void flow_breaker_bad_probe_opens_it_again(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, 1, 3);
	fail_all(&support, 0, 3);
	support_pass(&support, 1200);
	take(&support, 3);
	support_fail_as(&support, support_call(&support), overloaded);
	assert_breakers(&support, 1, 1, 0);
	support_pass(&support, 1200);
	take(&support, 4);
	assert_int_equal(support.replies, 5);
	support_pass(&support, 1200);
	take(&support, 5);
	support_answer(&support, support_call(&support));
	support_close(&support);
}

/* A probe whose partition moves away makes room for another. */
static void flow_breaker_probe_that_is_given_up_says_nothing(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, 1, 3);
	support_assign(&support, 1, -1, BYTES_NONE);
	fail_all(&support, 0, 3);
	support_pass(&support, 1200);
	support_take_chat(&support, 1, 0, "p");
	support_take_chat(&support, 1, 1, "q");
	struct call *first = support_call(&support), *second = support_call(&support);
	flow_revoke(support.flow, 1, support.now);
	flow_call_done(support.flow, first, support.now);
	flow_call_done(support.flow, second, support.now);
	take(&support, 3);
	support_answer(&support, support_call(&support));
	take(&support, 4);
	support_answer(&support, support_call(&support));
	assert_breakers(&support, 2, 0, 0);
	support_close(&support);
}

static void flow_breaker_callers_faults_never_open_it(void **state)
{
	(void)state;
	static const enum reason faults[] = { REASON_BAD_REQUEST, REASON_CONTEXT_LENGTH, REASON_MODERATED,
		REASON_REFUSED, REASON_NO_PROVIDER, REASON_MODEL_UNAVAILABLE };
	struct support support;
	open_with(&support, 1, 3);
	for (int64_t offset = 0; offset < 60; offset++) {
		take(&support, offset);
		struct failure fault = overloaded;
		fault.reason = faults[offset % 6];
		fault.action = FAILURE_ACTION_END;
		fault.http_status = 400;
		support_fail_as(&support, support_call(&support), fault);
	}
	assert_breakers(&support, 2, 0, 0);
	support_close(&support);
}

static void flow_breaker_unreachable_upstream_shuts_every_model(void **state)
{
	(void)state;
	static const enum transport_end ends[] = { TRANSPORT_DNS, TRANSPORT_CONNECT, TRANSPORT_TLS,
		TRANSPORT_CERTIFICATE };
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct support support;
		open_with(&support, 3, 3);
		for (int64_t offset = 0; offset < 3; offset++)
			take(&support, offset);
		struct call *calls[3] = { support_call(&support), support_call(&support), support_call(&support) };
		for (int call = 0; call < 3; call++)
			support_fail_as(&support, calls[call], failure_of_transport(ends[i], false));
		/* The models are not to blame. */
		assert_breakers(&support, 3, 1, 0);
		take(&support, 3);
		support_no_call(&support);
		assert_int_equal(support.replies, 4);
		struct batch *batch = support_batch(&support);
		assert_text_equal(support_reply(&support, batch, 3).reason, "breaker_open");
		support_end_batch(&support, batch, BATCH_COMMITTED);
		support_close(&support);
	}
}

/* A deadline that comes in the middle of a call counts, but not when the call had no time to begin with. */
static void flow_breaker_deadline_counts_when_the_call_had_time(void **state)
{
	(void)state;
	for (int late = 0; late < 2; late++) {
		struct support support;
		open_with(&support, 1, 3);
		if (late == 1) support_pass(&support, 9700 - RETRY_TIME_MIN_MS + 1);
		for (int64_t offset = 0; offset < 3; offset++)
			take(&support, offset);
		struct call *calls[3] = { support_call(&support), support_call(&support), support_call(&support) };
		support_pass(&support, late == 1 ? RETRY_TIME_MIN_MS - 1 : 9700);
		assert_int_equal(support.replies, 3);
		assert_breakers(&support, late == 1 ? 2 : 1, late == 1 ? 0 : 1, 0);
		for (int call = 0; call < 3; call++)
			(void)support_cancel(&support);
		for (int call = 0; call < 3; call++)
			support_answer(&support, calls[call]);
		support_close(&support);
	}
}

static void flow_breaker_retry_after_is_told(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, 1, 3);
	take(&support, 0);
	support_fail_wait(&support, support_call(&support), 4000);
	assert_int_equal(support_guard(&support).retry_after_ms, 4000);
	support_pass(&support, 1500);
	assert_int_equal(support_guard(&support).retry_after_ms, 2500);
	support_pass(&support, 2501);
	assert_int_equal(support_guard(&support).retry_after_ms, 0);
	support_close(&support);
}

/* 2,000 chats of an upstream that only fails: hardly a call, and no chat waits. */
static void flow_breaker_outage_is_hardly_called(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, 2, 20);
	long calls = 0;
	for (int64_t offset = 0; offset < 2000; offset++) {
		struct record source = support_record();
		source.offset = offset;
		source.timestamp_ms = support.now.wall_ms;
		support_take(&support, &source);
		struct call *call;
		while (flow_next_call(support.flow, support.now, &call) == STATUS_OK) {
			calls++;
			support_fail_as(&support, call, overloaded);
		}
		assert_int_equal(support_gauges(&support).waiting, 0);
		support_commit(&support);
		support_pass(&support, 5);
	}
	/* Until both are open, and two probes of each in every second of the ten. */
	assert_in_range(calls, 40, 40 + 2 * 2 * 10);
	support_close(&support);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_breaker_open_one_gives_the_fallback_in_the_same_step),
		cmocka_unit_test(flow_breaker_whole_conversation_is_answered_in_one_step),
		cmocka_unit_test(flow_breaker_open_one_moves_chats_to_the_next_model),
		cmocka_unit_test(flow_breaker_opening_answers_those_who_wait),
		cmocka_unit_test(flow_breaker_shut_model_is_as_good_as_not_there),
		cmocka_unit_test(flow_breaker_probes_are_two_real_chats),
		cmocka_unit_test(flow_breaker_bad_probe_opens_it_again),
		cmocka_unit_test(flow_breaker_probe_that_is_given_up_says_nothing),
		cmocka_unit_test(flow_breaker_callers_faults_never_open_it),
		cmocka_unit_test(flow_breaker_unreachable_upstream_shuts_every_model),
		cmocka_unit_test(flow_breaker_deadline_counts_when_the_call_had_time),
		cmocka_unit_test(flow_breaker_retry_after_is_told),
		cmocka_unit_test(flow_breaker_outage_is_hardly_called),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
