/* A refused account stops all calls at once, is probed, and works again without a restart. */
#include "tests/unit/flow_support.h"

static const struct failure refused = {
	.reason = REASON_AUTH,
	.action = FAILURE_ACTION_LATCH,
	.http_status = 401,
	.retry_after_ms = -1,
	.maybe_sent = true,
};

/* The probe that is due now, as it would come back. */
static struct call *take_probe(struct support *support)
{
	uint64_t id = 0;
	int64_t deadline_ms = 0;
	assert_int_equal(flow_next_probe(support->flow, support->now, &id, &deadline_ms), STATUS_OK);
	assert_int_equal(deadline_ms, support->now.mono_ms + 5000);
	struct call *call = call_new(id, 0, 1 << 12);
	assert_non_null(call);
	return call;
}

static void assert_no_probe(struct support *support)
{
	uint64_t id;
	int64_t deadline_ms;
	assert_int_equal(flow_next_probe(support->flow, support->now, &id, &deadline_ms), STATUS_EMPTY);
}

static void end_probe(struct support *support, struct call *probe, enum reason reason)
{
	probe->result.failure = (struct failure){ .reason = reason, .action = FAILURE_ACTION_LATCH };
	flow_call_done(support->flow, probe, support->now);
}

static void refuse(struct support *support)
{
	support_take_chat(support, 0, 0, "c");
	support_fail_as(support, support_call(support), refused);
	support_commit(support);
}

static void flow_account_refused_one_stops_every_call(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	assert_false(flow_account_is_refused(support.flow));
	refuse(&support);
	assert_true(flow_account_is_refused(support.flow));
	support_take_chat(&support, 0, 1, "d");
	support_no_call(&support);
	struct chat_client_response reply = support_only_reply(&support);
	assert_text_equal(reply.outcome, "fallback");
	assert_text_equal(reply.reason, "auth");
	assert_int_equal(reply.attempts, 0);
	assert_int_equal(support.accounts, 1);
	support_close(&support);
}

/* Chats in line and in their back-off do not wait on; those that are being called may end. */
static void flow_account_refusal_answers_those_who_wait(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.in_flight_max = 3;
	support_begin(&support);
	static const char *const conversations[] = { "a", "b", "c", "d", "e" };
	for (int64_t offset = 0; offset < 5; offset++)
		support_take_chat(&support, 0, offset, conversations[offset]);
	struct call *calls[3] = { support_call(&support), support_call(&support), support_call(&support) };
	support_fail_wait(&support, calls[0], 2000);
	assert_int_equal(support.replies, 0);
	support_fail_as(&support, calls[1], refused);
	assert_int_equal(support.replies, 4);
	support_no_call(&support);
	support_answer(&support, calls[2]);
	struct batch *batch = support_batch(&support);
	static const char *const reasons[] = { "rate_limited", "auth", "", "auth", "auth" };
	for (size_t i = 0; i < 5; i++) {
		struct chat_client_response reply = support_reply(&support, batch, i);
		if (reply.offset != 2) assert_text_equal(reply.reason, reasons[reply.offset]);
	}
	support_end_batch(&support, batch, BATCH_COMMITTED);
	/* An answer to a call of before proves nothing. */
	assert_true(flow_account_is_refused(support.flow));
	support_close(&support);
}

static void flow_account_failure_of_another_kind_is_not_tried_again(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	support_take_chat(&support, 0, 1, "d");
	struct call *first = support_call(&support), *second = support_call(&support);
	support_fail_as(&support, first, refused);
	support_fail(&support, second, REASON_OVERLOADED, FAILURE_ACTION_NEXT);
	assert_int_equal(support.step, RETRY_STEP_END);
	assert_int_equal(support.replies, 2);
	support_no_call(&support);
	support_close(&support);
}

static void flow_account_good_probe_lets_calls_through_again(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	assert_no_probe(&support);
	refuse(&support);
	assert_no_probe(&support);
	assert_int_equal(flow_due(support.flow), support.now.mono_ms + 1000);
	support_pass(&support, 1000);
	struct call *probe = take_probe(&support);
	assert_no_probe(&support);
	assert_true(flow_due(support.flow) == INT64_MAX);
	end_probe(&support, probe, REASON_NONE);
	assert_false(flow_account_is_refused(support.flow));
	assert_int_equal(support.accounts, 2);
	assert_int_equal(support.account, REASON_NONE);
	support_chat_done(&support, 0, 1, "c");
	support_close(&support);
}

static void flow_account_bad_probe_is_followed_by_another(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	refuse(&support);
	support_pass(&support, 1000);
	for (int i = 0; i < 3; i++) {
		end_probe(&support, take_probe(&support), i == 1 ? REASON_CONNECT : REASON_AUTH);
		assert_int_equal(flow_due(support.flow), support.now.mono_ms + 30000);
		support_pass(&support, 29999);
		assert_no_probe(&support);
		support_pass(&support, 1);
	}
	/* One that could not be handed over is a bad one. */
	call_free(take_probe(&support));
	flow_probe_refused(support.flow, support.now);
	assert_int_equal(flow_due(support.flow), support.now.mono_ms + 30000);
	assert_int_equal(support.accounts, 1);
	support_close(&support);
}

static void flow_account_probes_are_no_calls(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	refuse(&support);
	support_pass(&support, 1000);
	struct call *probe = take_probe(&support);
	assert_int_equal(support_gauges(&support).in_flight, 0);
	assert_true(flow_is_idle(support.flow));
	end_probe(&support, probe, REASON_NONE);
	assert_int_equal(support.notices[FLOW_NOTICE_STALE_RESULT], 0);
	support_close(&support);
}

static void flow_account_is_not_probed_while_draining(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	refuse(&support);
	flow_drain(support.flow, support.now.mono_ms + 5000);
	support_pass(&support, 1000);
	assert_no_probe(&support);
	assert_true(flow_due(support.flow) == INT64_MAX);
	support_close(&support);
}

/* No model is to blame for the account. */
static void flow_account_refusals_open_no_breaker(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.breaker.min_calls = 2;
	support_begin(&support);
	static const char *const conversations[] = { "a", "b", "c", "d" };
	struct call *calls[4];
	for (int i = 0; i < 4; i++) {
		support_take_chat(&support, 0, i, conversations[i]);
		calls[i] = support_call(&support);
	}
	for (int i = 0; i < 4; i++)
		support_fail_as(&support, calls[i], refused);
	assert_int_equal(support_guard(&support).breakers[BREAKER_OPEN], 0);
	assert_int_equal(support.accounts, 1);
	support_close(&support);
}

static void on_credit(void *context, double remaining_usd)
{
	*(double *)context = remaining_usd;
}

/* Looks each minute, which neither a failure nor an answer without a limit turns into anything. */
static void flow_account_that_works_is_asked_for_its_credit(void **state)
{
	(void)state;
	struct support support;
	double usd = -1;
	support_init(&support);
	support.options.credit_interval_ms = 60000;
	support.options.events = (struct flow_events){ .context = &usd, .on_credit = on_credit };
	support_start(&support);
	assert_no_probe(&support);
	support_pass(&support, 59999);
	assert_no_probe(&support);
	support_pass(&support, 1);
	assert_true(flow_due(support.flow) <= support.now.mono_ms);
	struct call *look = take_probe(&support);
	assert_no_probe(&support);
	end_probe(&support, look, REASON_CONNECT);
	assert_false(flow_account_is_refused(support.flow));
	assert_true(usd == -1);
	support_pass(&support, 60000);
	look = take_probe(&support);
	buffer_init(&look->body, 1000);
	buffer_append_text(&look->body, "{\"data\":{\"limit_remaining\":2.5}}");
	end_probe(&support, look, REASON_NONE);
	assert_true(usd == 2.5);
	support_close(&support);
}

static void flow_account_with_another_key_is_probed_at_once(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	refuse(&support);
	support_pass(&support, 1000);
	struct call *probe = take_probe(&support);
	flow_key_changed(support.flow, support.now);
	assert_no_probe(&support);
	end_probe(&support, probe, REASON_AUTH);
	assert_int_equal(flow_due(support.flow), support.now.mono_ms);
	end_probe(&support, take_probe(&support), REASON_NONE);
	assert_false(flow_account_is_refused(support.flow));
	support_chat_done(&support, 0, 1, "c");
	support_close(&support);
}

/* The chat gets the other key; an answer with the former one is as good as any. */
static void flow_account_refusal_of_a_former_key_is_tried_again(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	support_take_chat(&support, 0, 1, "d");
	struct call *first = support_call(&support), *second = support_call(&support);
	flow_key_changed(support.flow, support.now);
	support_fail_as(&support, first, refused);
	assert_int_equal(support.replies, 0);
	assert_int_equal(support.accounts, 0);
	assert_false(flow_account_is_refused(support.flow));
	support_answer(&support, second);
	assert_int_equal(support.replies, 1);
	support_pass(&support, 1000);
	struct call *again = support_call(&support);
	support_fail_as(&support, again, refused);
	assert_true(flow_account_is_refused(support.flow));
	assert_int_equal(support.replies, 2);
	support_close(&support);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_account_refused_one_stops_every_call),
		cmocka_unit_test(flow_account_refusal_answers_those_who_wait),
		cmocka_unit_test(flow_account_failure_of_another_kind_is_not_tried_again),
		cmocka_unit_test(flow_account_good_probe_lets_calls_through_again),
		cmocka_unit_test(flow_account_bad_probe_is_followed_by_another),
		cmocka_unit_test(flow_account_probes_are_no_calls),
		cmocka_unit_test(flow_account_is_not_probed_while_draining),
		cmocka_unit_test(flow_account_refusals_open_no_breaker),
		cmocka_unit_test(flow_account_that_works_is_asked_for_its_credit),
		cmocka_unit_test(flow_account_with_another_key_is_probed_at_once),
		cmocka_unit_test(flow_account_refusal_of_a_former_key_is_tried_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
