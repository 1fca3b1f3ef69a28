/* The end of the work: what is finished, what is left to the next owner, and when it is over. */
#include "tests/unit/flow_support.h"

/* Drains for five seconds. */
static void drain(struct support *support)
{
	flow_drain(support->flow, support->now.mono_ms + 5000);
}

static void flow_drain_of_nothing_is_idle_at_once(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	assert_true(flow_is_idle(support.flow));
	drain(&support);
	assert_true(flow_is_idle(support.flow));
	assert_true(flow_due(support.flow) == INT64_MAX);
	support_close(&support);
}

static void flow_drain_reads_no_more(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	assert_true(flow_wants(support.flow, 0));
	drain(&support);
	assert_false(flow_wants(support.flow, 0));
	support_assign(&support, 1, -1, BYTES_NONE);
	assert_false(flow_wants(support.flow, 1));
	support_close(&support);
}

static void flow_drain_leaves_ready_and_waiting_chats(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	support_take_chat(&support, 0, 1, "c");
	support_take_bad(&support, 0, 2, "c");
	drain(&support);
	support_no_call(&support);
	assert_true(flow_is_idle(support.flow));
	assert_int_equal(support.replies, 0);
	flow_hurry(support.flow);
	support_no_batch(&support);
	support_close(&support);
}

static void flow_drain_lets_a_call_finish_and_publishes_it(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	struct call *call = support_call(&support);
	support_take_chat(&support, 0, 1, "c");
	drain(&support);
	assert_false(flow_is_idle(support.flow));
	assert_int_equal(flow_due(support.flow), SUPPORT_MONO_MS + 5000);
	support_pass(&support, 4999);
	support_no_cancel(&support);
	support_answer(&support, call);
	support_no_call(&support);
	assert_false(flow_is_idle(support.flow));
	struct batch *batch = support_batch(&support);
	assert_int_equal(batch->item_count, 1);
	assert_int_equal(batch->progress[0].offset, 1);
	assert_false(flow_is_idle(support.flow));
	support_end_batch(&support, batch, BATCH_COMMITTED);
	assert_true(flow_is_idle(support.flow));
	support_close(&support);
}

static void flow_drain_retries_what_was_called(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	support_fail_wait(&support, support_call(&support), 1000);
	drain(&support);
	support_pass(&support, 1000);
	support_answer(&support, support_call(&support));
	support_commit(&support);
	assert_int_equal(support.committed, 1);
	assert_true(flow_is_idle(support.flow));
	support_close(&support);
}

static void flow_drain_keeps_a_retry_that_waits_for_a_slot(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	support_fail(&support, support_call(&support), REASON_OVERLOADED, FAILURE_ACTION_NEXT);
	assert_int_equal(support_gauges(&support).ready, 1);
	drain(&support);
	support_answer(&support, support_call(&support));
	assert_int_equal(support.replies, 1);
	support_close(&support);
}

static void flow_drain_publishes_replies_that_are_ready(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_chat_done(&support, 0, 0, "c");
	drain(&support);
	assert_false(flow_is_idle(support.flow));
	support_commit(&support);
	assert_true(flow_is_idle(support.flow));
	support_close(&support);
}

static void flow_drain_waits_for_the_batch_under_way(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_chat_done(&support, 0, 0, "c");
	struct batch *batch = support_batch(&support);
	drain(&support);
	assert_false(flow_is_idle(support.flow));
	support_end_batch(&support, batch, BATCH_ABORTED);
	assert_false(flow_is_idle(support.flow));
	support_commit(&support);
	assert_true(flow_is_idle(support.flow));
	support_close(&support);
}

static void flow_drain_deadline_leaves_calls_and_back_offs(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	support_fail_wait(&support, support_call(&support), 6000);
	support_take_chat(&support, 0, 1, "d");
	struct call *call = support_call(&support);
	support_chat_done(&support, 0, 2, "e");
	drain(&support);
	support_pass(&support, 5000);
	assert_int_equal(support_cancel(&support), call->id);
	assert_int_equal(support_gauges(&support).waiting, 0);
	assert_int_equal(support.replies, 1);
	/* The call is still out. */
	support_commit(&support);
	assert_false(flow_is_idle(support.flow));
	support_answer(&support, call);
	assert_true(flow_is_idle(support.flow));
	assert_int_equal(support.committed, 1);
	support_close(&support);
}

static void flow_drain_leaves_the_progress_of_what_it_left(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	struct call *call = support_call(&support);
	support_chat_done(&support, 0, 1, "d");
	drain(&support);
	support_pass(&support, 5000);
	struct batch *batch = support_batch(&support);
	assert_int_equal(batch->progress[0].offset, 0);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_answer(&support, call);
	support_close(&support);
}

static void flow_drain_twice_keeps_the_first_deadline(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	struct call *call = support_call(&support);
	drain(&support);
	flow_drain(support.flow, SUPPORT_MONO_MS + 1);
	assert_int_equal(flow_due(support.flow), SUPPORT_MONO_MS + 5000);
	support_answer(&support, call);
	support_close(&support);
}

static void flow_drain_still_keeps_deadlines(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	struct record source = support_record();
	source.timestamp_ms -= 8000;
	support_take(&support, &source);
	struct call *call = support_call(&support);
	drain(&support);
	support_pass(&support, 1700);
	assert_int_equal(support_cancel(&support), call->id);
	assert_text_equal(support_only_reply(&support).reason, "timeout");
	support_answer(&support, call);
	assert_true(flow_is_idle(support.flow));
	support_close(&support);
}

static void flow_drain_revoked_meanwhile_is_idle(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	struct call *call = support_call(&support);
	drain(&support);
	flow_revoke(support.flow, 0, support.now);
	support_answer(&support, call);
	assert_true(flow_is_idle(support.flow));
	support_pass(&support, 6000);
	support_close(&support);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_drain_of_nothing_is_idle_at_once),
		cmocka_unit_test(flow_drain_reads_no_more),
		cmocka_unit_test(flow_drain_leaves_ready_and_waiting_chats),
		cmocka_unit_test(flow_drain_lets_a_call_finish_and_publishes_it),
		cmocka_unit_test(flow_drain_retries_what_was_called),
		cmocka_unit_test(flow_drain_keeps_a_retry_that_waits_for_a_slot),
		cmocka_unit_test(flow_drain_publishes_replies_that_are_ready),
		cmocka_unit_test(flow_drain_waits_for_the_batch_under_way),
		cmocka_unit_test(flow_drain_deadline_leaves_calls_and_back_offs),
		cmocka_unit_test(flow_drain_leaves_the_progress_of_what_it_left),
		cmocka_unit_test(flow_drain_twice_keeps_the_first_deadline),
		cmocka_unit_test(flow_drain_still_keeps_deadlines),
		cmocka_unit_test(flow_drain_revoked_meanwhile_is_idle),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
