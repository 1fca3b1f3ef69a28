/* Second calls: when they are made, which of both counts, and what the other is worth. */
#include "tests/unit/flow_support.h"
#include "worker/core/flow_internal.h"

/* Until nothing is known of a model. */
enum { DELAY_MS = 2000, DELAY_MIN_MS = 500 };

static const struct failure overloaded = {
	.reason = REASON_OVERLOADED,
	.action = FAILURE_ACTION_NEXT,
	.http_status = 503,
	.retry_after_ms = -1,
	.maybe_sent = true,
};

/* As upstream threads end what they are told to cancel. */
static const struct failure cancelled = {
	.reason = REASON_TIMEOUT, .action = FAILURE_ACTION_END, .retry_after_ms = -1, .maybe_sent = true
};

static void init(struct support *support)
{
	support_init(support);
	support->options.hedge = (struct flow_hedge_options){
		.enabled = true, .max_share = 1, .delay_ms = DELAY_MS, .delay_min_ms = DELAY_MIN_MS
	};
}

static void open_hedging(struct support *support)
{
	init(support);
	support_begin(support);
}

static struct call *first_call(struct support *support)
{
	support_take_chat(support, 0, 0, "c");
	return support_call(support);
}

static struct call *second_call(struct support *support)
{
	support_pass(support, DELAY_MS);
	return support_call(support);
}

/* A chat whose first call has shown nothing for so long that it has both. */
static void open_with_both(struct support *support, struct call **out_first, struct call **out_second)
{
	open_hedging(support);
	*out_first = first_call(support);
	*out_second = second_call(support);
}

static void tell_content(struct support *support, struct call *call)
{
	assert_true(call->tells_content);
	call->first_content_ms = support->now.mono_ms;
	flow_content_begun(support->flow, call->id, support->now);
}

/* All that was started is told as won or lost, and no call is left. */
static void close_hedging(struct support *support)
{
	assert_int_equal(support->hedges[FLOW_HEDGE_STARTED],
		support->hedges[FLOW_HEDGE_WON] + support->hedges[FLOW_HEDGE_LOST]);
	assert_int_equal(support_gauges(support).in_flight, 0);
	support_close(support);
}

static void flow_hedge_is_off_by_default(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	struct call *first = first_call(&support);
	assert_false(first->tells_content);
	support_pass(&support, 3400);
	support_no_call(&support);
	support_answer(&support, first);
	support_commit(&support);
	close_hedging(&support);
}

static void flow_hedge_late_content_gets_one_second_call_of_the_next_model(void **state)
{
	(void)state;
	struct support support;
	open_hedging(&support);
	struct call *first = first_call(&support);
	support_assert_model(first, "a/one");
	support_pass(&support, DELAY_MS - 1);
	support_no_call(&support);
	assert_int_equal(flow_due(support.flow) - support.now.mono_ms, 1);
	support_pass(&support, 1);
	struct call *second = support_call_of(&support, "b/two");
	assert_int_equal(second->deadline_ms, first->deadline_ms);
	/* The first one's connection may be the reason. */
	assert_false(first->on_new_connection);
	assert_true(second->on_new_connection);
	assert_true(second->first_content_due_ms > first->first_content_due_ms);
	assert_int_equal(support_gauges(&support).in_flight, 2);
	support_pass(&support, 4000);
	support_no_call(&support);
	assert_int_equal(support.hedges[FLOW_HEDGE_STARTED], 1);
	support_answer(&support, second);
	assert_int_equal(support_cancel(&support), first->id);
	support_fail_as(&support, first, cancelled);
	support_commit(&support);
	close_hedging(&support);
}

/* It is part of the attempt, which is not the chat's last: some time is left for another. */
static void flow_hedge_second_call_has_the_share_of_its_attempt(void **state)
{
	(void)state;
	struct support support;
	init(&support);
	support.options.retry.max_attempts = 2;
	support.options.retry.first_content_max_ms = 9000;
	support_begin(&support);
	struct call *first = first_call(&support);
	struct call *second = second_call(&support);
	assert_int_equal(second->first_content_due_ms - support.now.mono_ms, 7700 * 55 / 100);
	support_answer(&support, second);
	support_answer(&support, first);
	support_commit(&support);
	close_hedging(&support);
}

static void flow_hedge_content_in_time_gets_none(void **state)
{
	(void)state;
	struct support support;
	open_hedging(&support);
	struct call *first = first_call(&support);
	support_pass(&support, DELAY_MS - 1);
	tell_content(&support, first);
	support_pass(&support, 4000);
	support_no_call(&support);
	support_answer(&support, first);
	support_commit(&support);
	assert_int_equal(support.hedges[FLOW_HEDGE_STARTED], 0);
	close_hedging(&support);
}

static void flow_hedge_second_to_speak_first_wins_and_both_are_counted(void **state)
{
	(void)state;
	struct support support;
	struct call *first, *second;
	open_with_both(&support, &first, &second);
	support_pass(&support, 300);
	tell_content(&support, second);
	assert_int_equal(support_cancel(&support), first->id);
	assert_int_equal(support.hedges[FLOW_HEDGE_WON], 1);
	support_fail_as(&support, first, cancelled);
	support_pass(&support, 200);
	support_answer(&support, second);
	assert_int_equal(support.undecided, 1);
	assert_int_equal(support.attempts, 1);
	struct chat_client_response reply = support_only_reply(&support);
	assert_text_equal(reply.outcome, "answered");
	assert_int_equal(reply.attempts, 2);
	/* From the first call's start to the answer. */
	assert_int_equal(reply.upstream_ms, DELAY_MS + 500);
	assert_int_equal(support.notices[FLOW_NOTICE_STALE_RESULT], 0);
	close_hedging(&support);
}

static void flow_hedge_first_to_speak_first_wins_and_the_second_is_lost(void **state)
{
	(void)state;
	struct support support;
	struct call *first, *second;
	open_with_both(&support, &first, &second);
	tell_content(&support, first);
	assert_int_equal(support_cancel(&support), second->id);
	assert_int_equal(support.hedges[FLOW_HEDGE_LOST], 1);
	/* A word of content that was on its way. */
	tell_content(&support, second);
	support_no_cancel(&support);
	/* Cancelled before it was sent. */
	second->requests_sent = 0;
	support_fail_as(&support, second, cancelled);
	support_answer(&support, first);
	assert_int_equal(support_only_reply(&support).attempts, 1);
	close_hedging(&support);
}

static void flow_hedge_overtaken_call_is_not_waited_for(void **state)
{
	(void)state;
	struct support support;
	struct call *first, *second;
	open_with_both(&support, &first, &second);
	tell_content(&support, second);
	support_answer(&support, second);
	struct chat_client_response reply = support_only_reply(&support);
	assert_int_equal(reply.attempts, 2);
	assert_int_equal(support_cancel(&support), first->id);
	support_no_cancel(&support);
	assert_int_equal(support.undecided, 0);
	/* Its chat is gone. */
	support_answer(&support, first);
	assert_int_equal(support.undecided, 1);
	assert_int_equal(support.notices[FLOW_NOTICE_STALE_RESULT], 0);
	close_hedging(&support);
}

static void flow_hedge_answer_that_comes_at_once_wins_without_a_word_before(void **state)
{
	(void)state;
	struct support support;
	struct call *first, *second;
	open_with_both(&support, &first, &second);
	support_answer(&support, first);
	assert_int_equal(support.hedges[FLOW_HEDGE_LOST], 1);
	assert_int_equal(support_cancel(&support), second->id);
	support_fail_as(&support, second, cancelled);
	assert_int_equal(support_only_reply(&support).attempts, 2);
	close_hedging(&support);
}

static void flow_hedge_one_fails_and_the_other_goes_on(void **state)
{
	(void)state;
	for (int which = 0; which < 2; which++) {
		struct support support;
		struct call *calls[2];
		open_with_both(&support, &calls[0], &calls[1]);
		support_fail_as(&support, calls[which], overloaded);
		support_no_call(&support);
		support_no_cancel(&support);
		assert_int_equal(support.attempts, 0);
		assert_int_equal(support.undecided, 1);
		tell_content(&support, calls[1 - which]);
		support_no_cancel(&support);
		support_answer(&support, calls[1 - which]);
		assert_int_equal(support.hedges[which == 0 ? FLOW_HEDGE_WON : FLOW_HEDGE_LOST], 1);
		struct chat_client_response reply = support_only_reply(&support);
		assert_text_equal(reply.outcome, "answered");
		assert_int_equal(reply.attempts, 2);
		close_hedging(&support);
	}
}

static void flow_hedge_both_fail_as_one_attempt_and_there_is_no_third(void **state)
{
	(void)state;
	struct support support;
	init(&support);
	support.options.model_count = 3;
	support.options.retry.max_attempts = 2;
	support_begin(&support);
	struct call *first = first_call(&support);
	struct call *second = second_call(&support);
	support_fail_as(&support, first, overloaded);
	support_fail_as(&support, second, overloaded);
	assert_int_equal(support.attempts, 1);
	assert_int_equal(support.step, RETRY_STEP_NEXT);
	/* Both models of the attempt have failed. */
	struct call *third = support_call_of(&support, "c/three");
	assert_false(third->tells_content);
	support_pass(&support, 3000);
	support_no_call(&support);
	support_fail_as(&support, third, overloaded);
	struct chat_client_response reply = support_only_reply(&support);
	assert_text_equal(reply.reason, "overloaded");
	assert_int_equal(reply.attempts, 3);
	close_hedging(&support);
}

static void flow_hedge_winner_that_breaks_off_is_a_failed_attempt_of_its_model(void **state)
{
	(void)state;
	struct support support;
	struct call *first, *second;
	open_with_both(&support, &first, &second);
	tell_content(&support, second);
	support_fail(&support, second, REASON_STREAM_BROKEN, FAILURE_ACTION_SAME_ONCE);
	assert_int_equal(support.step, RETRY_STEP_AGAIN);
	assert_int_equal(support_cancel(&support), first->id);
	support_fail_as(&support, first, cancelled);
	support_pass(&support, 100);
	struct call *third = support_call_of(&support, "b/two");
	support_answer(&support, third);
	assert_int_equal(support_only_reply(&support).attempts, 3);
	close_hedging(&support);
}

static void flow_hedge_later_attempt_may_have_it_too(void **state)
{
	(void)state;
	struct support support;
	open_hedging(&support);
	support_fail_as(&support, first_call(&support), overloaded);
	struct call *first = support_call_of(&support, "b/two");
	/* No model comes after it: the same again. */
	struct call *second = second_call(&support);
	support_assert_model(second, "b/two");
	support_answer(&support, first);
	support_fail_as(&support, second, cancelled);
	support_commit(&support);
	close_hedging(&support);
}

static void flow_hedge_deadline_ends_both(void **state)
{
	(void)state;
	struct support support;
	struct call *first, *second;
	open_with_both(&support, &first, &second);
	support_pass(&support, 7700);
	uint64_t ids[] = { support_cancel(&support), support_cancel(&support) };
	assert_true((ids[0] == first->id && ids[1] == second->id) || (ids[0] == second->id && ids[1] == first->id));
	struct chat_client_response reply = support_only_reply(&support);
	assert_text_equal(reply.reason, "timeout");
	assert_int_equal(reply.attempts, 2);
	assert_int_equal(reply.upstream_ms, 9700);
	support_fail_as(&support, first, cancelled);
	support_answer(&support, second);
	assert_int_equal(support.notices[FLOW_NOTICE_STALE_RESULT], 2);
	close_hedging(&support);
}

static void flow_hedge_partition_given_up_ends_both(void **state)
{
	(void)state;
	struct support support;
	struct call *first, *second;
	open_with_both(&support, &first, &second);
	tell_content(&support, second);
	flow_revoke(support.flow, 0, support.now);
	support_cancel(&support);
	support_cancel(&support);
	support_no_cancel(&support);
	support_answer(&support, second);
	support_answer(&support, first);
	assert_int_equal(support.replies, 0);
	close_hedging(&support);
}

static void open_keeping(struct support *support)
{
	init(support);
	support->options.park = (struct park_options){ .keep_ms = 60000, .bytes_max = 1 << 20 };
	support_begin(support);
}

static void come_back(struct support *support)
{
	support_pass(support, 100);
	support_assign(support, 0, -1, BYTES_NONE);
	support_take_chat(support, 0, 0, "c");
	support_no_call(support);
}

static void flow_hedge_kept_chat_keeps_the_call_that_has_spoken_else_the_first(void **state)
{
	(void)state;
	for (int has_spoken = 0; has_spoken < 2; has_spoken++) {
		struct support support;
		open_keeping(&support);
		struct call *calls[2] = { first_call(&support) };
		calls[1] = second_call(&support);
		if (has_spoken == 1) tell_content(&support, calls[1]);
		flow_revoke(support.flow, 0, support.now);
		struct call *kept = calls[has_spoken];
		struct call *other = calls[1 - has_spoken];
		assert_int_equal(support_cancel(&support), other->id);
		support_no_cancel(&support);
		support_fail_as(&support, other, cancelled);
		come_back(&support);
		support_answer(&support, kept);
		struct chat_client_response reply = support_only_reply(&support);
		assert_text_equal(reply.outcome, "answered");
		assert_int_equal(reply.attempts, 2);
		assert_int_equal(support_gauges(&support).bytes, 0);
		close_hedging(&support);
	}
}

static void flow_hedge_kept_chat_gets_no_second_call(void **state)
{
	(void)state;
	for (int is_due = 0; is_due < 2; is_due++) {
		struct support support;
		open_keeping(&support);
		struct call *first = first_call(&support);
		if (is_due) support_pass(&support, DELAY_MS);
		flow_revoke(support.flow, 0, support.now);
		support_pass(&support, DELAY_MS);
		support_no_call(&support);
		tell_content(&support, first);
		support_answer(&support, first);
		come_back(&support);
		assert_int_equal(support_only_reply(&support).attempts, 1);
		assert_int_equal(support.hedges[FLOW_HEDGE_STARTED], 0);
		close_hedging(&support);
	}
}

static void flow_hedge_call_that_ends_when_it_is_due_gets_none(void **state)
{
	(void)state;
	for (int fails = 0; fails < 2; fails++) {
		struct support support;
		open_hedging(&support);
		struct call *first = first_call(&support);
		support_pass(&support, DELAY_MS);
		if (fails)
			support_fail(&support, first, REASON_BAD_REQUEST, FAILURE_ACTION_END);
		else
			support_answer(&support, first);
		support_no_call(&support);
		support_commit(&support);
		close_hedging(&support);
	}
}

static void flow_hedge_second_that_cannot_be_handed_over_changes_nothing(void **state)
{
	(void)state;
	struct support support;
	struct call *first, *second;
	open_with_both(&support, &first, &second);
	second->requests_sent = 0;
	flow_call_refused(support.flow, second, support.now);
	support_answer(&support, first);
	assert_int_equal(support_only_reply(&support).attempts, 1);
	close_hedging(&support);
}

static void flow_hedge_content_of_unknown_calls_is_ignored(void **state)
{
	(void)state;
	struct support support;
	open_hedging(&support);
	struct call *first = first_call(&support);
	uint64_t id = first->id;
	flow_content_begun(support.flow, id + 1, support.now);
	flow_content_begun(support.flow, id + support.options.in_flight_max, support.now);
	support_answer(&support, first);
	flow_content_begun(support.flow, id, support.now);
	support_commit(&support);
	close_hedging(&support);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_hedge_is_off_by_default),
		cmocka_unit_test(flow_hedge_late_content_gets_one_second_call_of_the_next_model),
		cmocka_unit_test(flow_hedge_second_call_has_the_share_of_its_attempt),
		cmocka_unit_test(flow_hedge_content_in_time_gets_none),
		cmocka_unit_test(flow_hedge_second_to_speak_first_wins_and_both_are_counted),
		cmocka_unit_test(flow_hedge_first_to_speak_first_wins_and_the_second_is_lost),
		cmocka_unit_test(flow_hedge_overtaken_call_is_not_waited_for),
		cmocka_unit_test(flow_hedge_answer_that_comes_at_once_wins_without_a_word_before),
		cmocka_unit_test(flow_hedge_one_fails_and_the_other_goes_on),
		cmocka_unit_test(flow_hedge_both_fail_as_one_attempt_and_there_is_no_third),
		cmocka_unit_test(flow_hedge_winner_that_breaks_off_is_a_failed_attempt_of_its_model),
		cmocka_unit_test(flow_hedge_later_attempt_may_have_it_too),
		cmocka_unit_test(flow_hedge_deadline_ends_both),
		cmocka_unit_test(flow_hedge_partition_given_up_ends_both),
		cmocka_unit_test(flow_hedge_kept_chat_keeps_the_call_that_has_spoken_else_the_first),
		cmocka_unit_test(flow_hedge_kept_chat_gets_no_second_call),
		cmocka_unit_test(flow_hedge_call_that_ends_when_it_is_due_gets_none),
		cmocka_unit_test(flow_hedge_second_that_cannot_be_handed_over_changes_nothing),
		cmocka_unit_test(flow_hedge_content_of_unknown_calls_is_ignored),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
