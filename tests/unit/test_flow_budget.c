/* Retries of the flow are paid for: by the process, and by the model that failed. */
#include "tests/unit/flow_support.h"

static const struct failure overloaded = {
	.reason = REASON_OVERLOADED,
	.action = FAILURE_ACTION_NEXT,
	.http_status = 503,
	.retry_after_ms = -1,
	.maybe_sent = true,
};

static void open_with(struct support *support, struct retry_budget_options budget)
{
	support_init(support);
	support->options.budget = budget;
	/* Breakers stay out of it. */
	support->options.breaker.min_calls = 1000000;
	support_begin(support);
}

/* A chat whose every attempt is overloaded; how many it made. */
static long fail_chat(struct support *support, int64_t offset)
{
	long before = support->attempts;
	support_take_chat(support, 0, offset, "c");
	struct call *call;
	while (flow_next_call(support->flow, support->now, &call) == STATUS_OK) {
		support_fail_as(support, call, overloaded);
		struct flow_gauges gauges = support_gauges(support);
		bool backs_off = gauges.waiting > gauges.ready;
		if (backs_off) support_pass(support, flow_due(support->flow) - support->now.mono_ms);
	}
	support_commit(support);
	return support->attempts - before;
}

static void flow_budget_empty_bucket_ends_the_chat_with_its_last_reason(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, (struct retry_budget_options){ .earned = 0, .max = 2000 });
	assert_int_equal(fail_chat(&support, 0), 3);
	assert_int_equal(support_guard(&support).retry_budget, 0);
	/* The second's own retry, then none. */
	assert_int_equal(fail_chat(&support, 1), 2);
	support_take_chat(&support, 0, 2, "c");
	support_fail_as(&support, support_call(&support), overloaded);
	assert_int_equal(support.step, RETRY_STEP_END);
	struct chat_client_response reply = support_only_reply(&support);
	assert_text_equal(reply.reason, "overloaded");
	assert_int_equal(reply.attempts, 1);
	support_close(&support);
}

static void flow_budget_gives_one_retry_a_second_when_empty(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, (struct retry_budget_options){ .earned = 0, .max = 0 });
	assert_int_equal(fail_chat(&support, 0), 2);
	assert_int_equal(fail_chat(&support, 1), 1);
	support_pass(&support, 1000);
	assert_int_equal(fail_chat(&support, 2), 2);
	support_close(&support);
}

static void flow_budget_is_earned_by_first_attempts_only(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, (struct retry_budget_options){ .earned = 100, .max = 5000 });
	support_take_chat(&support, 0, 0, "c");
	support_fail_as(&support, support_call(&support), overloaded);
	assert_int_equal(support_guard(&support).retry_budget, 4000);
	support_answer(&support, support_call(&support));
	assert_int_equal(support_guard(&support).retry_budget, 4000);
	support_chat_done(&support, 0, 1, "c");
	assert_int_equal(support_guard(&support).retry_budget, 4100);
	support_close(&support);
}

static void flow_budget_attempt_that_sent_nothing_costs_a_quarter(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, (struct retry_budget_options){ .earned = 0, .max = 5000 });
	support_take_chat(&support, 0, 0, "c");
	support_fail_as(&support, support_call(&support), failure_of_transport(TRANSPORT_CONNECT, false));
	assert_int_equal(support_guard(&support).retry_budget, 4750);
	support_close(&support);
}

/* The end of a chat costs nothing, and neither does a history that cannot be halved. */
static void flow_budget_nothing_is_paid_without_a_retry(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, (struct retry_budget_options){ .earned = 0, .max = 5000 });
	support_take_chat(&support, 0, 0, "c");
	support_fail(&support, support_call(&support), REASON_BAD_REQUEST, FAILURE_ACTION_END);
	support_take_chat(&support, 0, 1, "c");
	support_fail(&support, support_call(&support), REASON_CONTEXT_LENGTH, FAILURE_ACTION_TRIM);
	assert_int_equal(support_guard(&support).retry_budget, 5000);
	support_close(&support);
}

/* Another model's budget is not touched by the one that fails. */
static void flow_budget_model_that_fails_pays_alone(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, (struct retry_budget_options){ .earned = 1000, .max = 1000 });
	const struct failure again = {
		.reason = REASON_RATE_LIMITED, .action = FAILURE_ACTION_SAME, .retry_after_ms = -1, .maybe_sent = true
	};
	/* The process earns with each chat; the model's own bucket and its second's retry go first. */
	static const char *const body =
		"{\"request_id\":\"r\",\"models\":[\"x/bad\"],\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}";
	struct record bad = support_record();
	bad.value = bytes_of(body);
	support_take(&support, &bad);
	for (int i = 0; i < 3; i++) {
		support_fail_as(&support, support_call(&support), again);
		support_pass(&support, 400);
		assert_int_equal(support.step, i < 2 ? RETRY_STEP_AGAIN : RETRY_STEP_END);
	}
	for (int64_t offset = 1; offset < 4; offset++)
		support_chat_done(&support, 0, offset, "good");
	assert_int_equal(support_guard(&support).retry_budget, 1000);
	support_take_chat(&support, 0, 4, "good");
	support_fail_as(&support, support_call(&support), overloaded);
	assert_int_equal(support.step, RETRY_STEP_NEXT);
	support_answer(&support, support_call(&support));
	support_close(&support);
}

/* 1,000 chats of an upstream that only fails: at most a fifth more attempts, what was saved, and one a second. */
static void flow_budget_outage_is_amplified_by_a_fifth_at_most(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, (struct retry_budget_options){ .earned = 200, .max = 50000 });
	int64_t began_ms = support.now.mono_ms;
	long attempts = 0;
	for (int64_t offset = 0; offset < 1000; offset++) {
		/* Each chat's time begins with it. */
		attempts += fail_chat(&support, offset);
		if (support.now.mono_ms - began_ms > 4000) break;
	}
	long chats = support.taken;
	long floor = (support.now.mono_ms - began_ms) / 1000 + 1;
	assert_true(attempts <= chats + chats / 5 + 50 + floor);
	assert_true(attempts > chats);
	support_close(&support);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_budget_empty_bucket_ends_the_chat_with_its_last_reason),
		cmocka_unit_test(flow_budget_gives_one_retry_a_second_when_empty),
		cmocka_unit_test(flow_budget_is_earned_by_first_attempts_only),
		cmocka_unit_test(flow_budget_attempt_that_sent_nothing_costs_a_quarter),
		cmocka_unit_test(flow_budget_nothing_is_paid_without_a_retry),
		cmocka_unit_test(flow_budget_model_that_fails_pays_alone),
		cmocka_unit_test(flow_budget_outage_is_amplified_by_a_fifth_at_most),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
