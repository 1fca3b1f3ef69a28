/* What is kept of a partition that was given up, and what becomes of it when the partition is back. */
#include "tests/unit/parked.h"

/* A chat whose partition was given up while its call ran. */
static struct call *open_parked_call(struct support *support)
{
	open_park(support);
	support_take_chat(support, 0, 0, "c");
	struct call *call = support_call(support);
	give_up(support, 0);
	return call;
}

/* The partition is back, and the chat is taken again. */
static void take_again(struct support *support)
{
	come_back(support, 0);
	support_take_chat(support, 0, 0, "c");
}

static void flow_park_reply_is_published_without_a_second_call(void **state)
{
	(void)state;
	struct support support;
	open_park(&support);
	support_chat_done(&support, 0, 0, "c");
	give_up(&support, 0);
	assert_int_equal(support.parked_replies, 1);
	assert_park(&support, 1, 0);
	assert_int_equal(support_gauges(&support).replies, 0);
	support_pass(&support, 1000);
	come_back(&support, 0);
	support_no_batch(&support);
	support_take_chat(&support, 0, 0, "c");
	support_no_call(&support);
	assert_published_one(&support, 0);
	assert_int_equal(support.park_ends[PARK_END_USED], 1);
	assert_park(&support, 0, 0);
	struct flow_partition_gauges gauges;
	assert_int_equal(flow_partition_gauges(support.flow, 0, &gauges), STATUS_OK);
	assert_int_equal(gauges.watermark, 1);
	assert_int_equal(support_gauges(&support).bytes, 0);
	assert_int_equal(support.replies, 1);
	support_close(&support);
}

/* As told when it was made, not when it was published. */
static void flow_park_reply_is_the_one_that_was_made(void **state)
{
	(void)state;
	struct support support;
	open_park(&support);
	support_take_chat(&support, 0, 0, "c");
	struct call *call = support_call(&support);
	support_pass(&support, 700);
	support_answer(&support, call);
	give_up(&support, 0);
	support_pass(&support, 15000);
	take_again(&support);
	struct chat_client_response reply = support_only_reply(&support);
	assert_true(bytes_equal_text(reply.outcome, "answered"));
	assert_true(bytes_equal_text(reply.content, "Hello"));
	assert_int_equal(reply.upstream_ms, 700);
	support_close(&support);
}

static void flow_park_call_that_still_runs_is_waited_for(void **state)
{
	(void)state;
	struct support support;
	struct call *call = open_parked_call(&support);
	assert_int_equal(support.parked_calls, 1);
	assert_park(&support, 1, 1);
	support_no_cancel(&support);
	assert_int_equal(support_gauges(&support).waiting, 0);
	support_pass(&support, 100);
	take_again(&support);
	support_no_call(&support);
	assert_int_equal(support_gauges(&support).waiting, 1);
	assert_park(&support, 0, 0);
	support_answer(&support, call);
	assert_published_one(&support, 0);
	assert_int_equal(support.attempts, 1);
	support_close(&support);
}

static void flow_park_call_that_ends_while_kept_becomes_a_reply(void **state)
{
	(void)state;
	struct support support;
	struct call *call = open_parked_call(&support);
	support_answer(&support, call);
	assert_int_equal(support.attempts, 1);
	assert_park(&support, 1, 0);
	assert_int_equal(support_gauges(&support).in_flight, 0);
	support_no_batch(&support);
	take_again(&support);
	support_no_call(&support);
	assert_published_one(&support, 0);
	support_close(&support);
}

static void flow_park_call_that_fails_while_kept_is_let_go(void **state)
{
	(void)state;
	struct support support;
	struct call *call = open_parked_call(&support);
	support_fail(&support, call, REASON_UPSTREAM_ERROR, FAILURE_ACTION_SAME);
	assert_int_equal(support.step, RETRY_STEP_END);
	assert_int_equal(support.park_ends[PARK_END_FAILED], 1);
	assert_park(&support, 0, 0);
	assert_int_equal(support_gauges(&support).bytes, 0);
	take_again(&support);
	support_answer(&support, support_call(&support));
	assert_published_one(&support, 0);
	support_close(&support);
}

static void flow_park_call_that_fails_once_its_chat_is_back_is_tried_again(void **state)
{
	(void)state;
	struct support support;
	struct call *call = open_parked_call(&support);
	take_again(&support);
	support_fail(&support, call, REASON_UPSTREAM_ERROR, FAILURE_ACTION_NEXT);
	assert_int_equal(support.step, RETRY_STEP_NEXT);
	support_answer(&support, support_call(&support));
	assert_published_one(&support, 0);
	support_close(&support);
}

static void flow_park_call_is_bounded_by_the_deadline_when_its_chat_is_back(void **state)
{
	(void)state;
	struct support support;
	struct call *call = open_parked_call(&support);
	support_pass(&support, 9000);
	take_again(&support);
	support_pass(&support, 700);
	assert_int_equal(support_cancel(&support), call->id);
	struct chat_client_response reply = support_only_reply(&support);
	assert_true(bytes_equal_text(reply.outcome, "fallback"));
	assert_true(bytes_equal_text(reply.reason, "timeout"));
	support_answer(&support, call);
	support_close(&support);
}

static void flow_park_call_that_runs_beyond_the_deadline_is_not_waited_for(void **state)
{
	(void)state;
	struct support support;
	struct call *call = open_parked_call(&support);
	support_pass(&support, 20000);
	take_again(&support);
	assert_int_equal(support.park_ends[PARK_END_LATE], 1);
	assert_int_equal(support_cancel(&support), call->id);
	assert_true(bytes_equal_text(support_only_reply(&support).reason, "deadline"));
	support_answer(&support, call);
	assert_int_equal(support.notices[FLOW_NOTICE_STALE_RESULT], 1);
	support_close(&support);
}

static void flow_park_what_was_finished_elsewhere_is_not_published(void **state)
{
	(void)state;
	struct support other;
	open_park(&other);
	support_take_chat(&other, 0, 0, "open");
	struct call *open_call = support_call(&other);
	support_chat_done(&other, 0, 1, "c");
	struct batch *batch = support_batch(&other);
	const struct batch_progress *row = support_progress(batch, 0);
	assert_int_equal(row->offset, 0);

	struct support support;
	open_park(&support);
	support_chat_done(&support, 0, 0, "open");
	support_chat_done(&support, 0, 1, "c");
	give_up(&support, 0);
	assert_park(&support, 2, 0);
	assert_int_equal(support_assign(&support, 0, row->offset, row->metadata), 0);
	assert_int_equal(support.park_ends[PARK_END_FINISHED], 1);
	support_take_chat(&support, 0, 0, "open");
	support_take_chat(&support, 0, 1, "c");
	assert_int_equal(support.notices[FLOW_NOTICE_SKIPPED], 1);
	assert_published_one(&support, 0);
	flow_hurry(support.flow);
	support_no_batch(&support);
	support_close(&support);

	support_end_batch(&other, batch, BATCH_COMMITTED);
	support_answer(&other, open_call);
	support_close(&other);
}

static void flow_park_below_the_committed_offset_is_let_go(void **state)
{
	(void)state;
	struct support support;
	open_park(&support);
	support_chat_done(&support, 0, 0, "a");
	support_chat_done(&support, 0, 1, "b");
	give_up(&support, 0);
	assert_int_equal(support_assign(&support, 0, 1, BYTES_NONE), 1);
	assert_int_equal(support.park_ends[PARK_END_FINISHED], 1);
	assert_park(&support, 1, 0);
	support_take_chat(&support, 0, 1, "b");
	assert_published_one(&support, 1);
	support_close(&support);
}

static void take_other(struct support *support, int64_t timestamp_ms, const char *key)
{
	struct record source = support_record();
	source.timestamp_ms = timestamp_ms;
	source.key = bytes_of(key);
	support_take(support, &source);
}

static void assert_other_record(int64_t timestamp_ms, const char *key)
{
	struct support support;
	open_park(&support);
	support_chat_done(&support, 0, 0, "c");
	give_up(&support, 0);
	come_back(&support, 0);
	take_other(&support, timestamp_ms, key);
	assert_int_equal(support.park_ends[PARK_END_OTHER_RECORD], 1);
	assert_park(&support, 0, 0);
	support_answer(&support, support_call(&support));
	assert_published_one(&support, 0);
	support_close(&support);
}

static void flow_park_reply_of_another_record_is_not_used(void **state)
{
	(void)state;
	assert_other_record(SUPPORT_WALL_MS + 1, "c");
	assert_other_record(SUPPORT_WALL_MS, "d");
}

static void flow_park_order_of_a_conversation_stays(void **state)
{
	(void)state;
	struct support support;
	open_park(&support);
	support_chat_done(&support, 0, 0, "c");
	support_chat_done(&support, 0, 1, "c");
	support_take_chat(&support, 0, 2, "c");
	struct call *call = support_call(&support);
	support_take_chat(&support, 0, 3, "c");
	give_up(&support, 0);
	assert_park(&support, 3, 1);
	come_back(&support, 0);
	for (int64_t offset = 0; offset < 4; offset++)
		support_take_chat(&support, 0, offset, "c");
	support_no_call(&support);
	support_answer(&support, call);
	support_answer(&support, support_call(&support));
	assert_published(&support, (const int64_t[]){ 0, 1, 2, 3 }, 4);
	support_close(&support);
}

static void flow_park_of_a_chat_that_was_not_taken_again_stays(void **state)
{
	(void)state;
	struct support support;
	open_park(&support);
	support_chat_done(&support, 0, 0, "a");
	support_chat_done(&support, 0, 1, "b");
	give_up(&support, 0);
	come_back(&support, 0);
	support_take_chat(&support, 0, 0, "a");
	flow_revoke(support.flow, 0, support.now);
	assert_park(&support, 2, 0);
	come_back(&support, 0);
	support_take_chat(&support, 0, 0, "a");
	support_take_chat(&support, 0, 1, "b");
	support_no_call(&support);
	assert_published(&support, (const int64_t[]){ 0, 1 }, 2);
	support_close(&support);
}

static void flow_park_chat_without_a_call_is_not_kept(void **state)
{
	(void)state;
	struct support support;
	open_park(&support);
	support_take_bad(&support, 0, 0, "bad");
	support_take_chat(&support, 0, 1, "c");
	support_take_chat(&support, 0, 2, "c");
	give_up(&support, 0);
	assert_park(&support, 0, 0);
	assert_int_equal(support.parked_replies + support.parked_calls, 0);
	assert_int_equal(support_gauges(&support).bytes, 0);
	support_close(&support);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_park_reply_is_published_without_a_second_call),
		cmocka_unit_test(flow_park_reply_is_the_one_that_was_made),
		cmocka_unit_test(flow_park_call_that_still_runs_is_waited_for),
		cmocka_unit_test(flow_park_call_that_ends_while_kept_becomes_a_reply),
		cmocka_unit_test(flow_park_call_that_fails_while_kept_is_let_go),
		cmocka_unit_test(flow_park_call_that_fails_once_its_chat_is_back_is_tried_again),
		cmocka_unit_test(flow_park_call_is_bounded_by_the_deadline_when_its_chat_is_back),
		cmocka_unit_test(flow_park_call_that_runs_beyond_the_deadline_is_not_waited_for),
		cmocka_unit_test(flow_park_what_was_finished_elsewhere_is_not_published),
		cmocka_unit_test(flow_park_below_the_committed_offset_is_let_go),
		cmocka_unit_test(flow_park_reply_of_another_record_is_not_used),
		cmocka_unit_test(flow_park_order_of_a_conversation_stays),
		cmocka_unit_test(flow_park_of_a_chat_that_was_not_taken_again_stays),
		cmocka_unit_test(flow_park_chat_without_a_call_is_not_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
