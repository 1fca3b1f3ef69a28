/* After a standstill of the loop no call begins until the group is known to go on with this member; nothing else waits. */
#include "tests/unit/flow_support.h"

enum { STILL_MS = 5000 };

static void turn(struct support *support, uint64_t heartbeats)
{
	flow_turn(support->flow, support->now.mono_ms, heartbeats);
}

static void open_turning(struct support *support)
{
	support_init(support);
	support->options.standstill_ms = STILL_MS;
	support_start(support);
	support_assign(support, 0, -1, BYTES_NONE);
	turn(support, 10);
}

static void stand_still(struct support *support)
{
	support_pass(support, STILL_MS + 1);
	turn(support, 10);
	assert_int_equal(support->notices[FLOW_NOTICE_STOOD_STILL], 1);
}

/* As an undisturbed member sees it. */
static void become_sure(struct support *support)
{
	for (uint64_t heartbeats = 10; heartbeats <= 12; heartbeats++) {
		support_no_call(support);
		support_pass(support, 1000);
		turn(support, heartbeats);
	}
}

static void flow_standstill_chats_wait_until_the_group_has_taken_heartbeats(void **state)
{
	(void)state;
	struct support support;
	open_turning(&support);
	support_take_chat(&support, 0, 0, "a");
	stand_still(&support);
	support_take_chat(&support, 0, 1, "b");
	become_sure(&support);
	support_answer(&support, support_call(&support));
	support_answer(&support, support_call(&support));
	support_no_call(&support);
	support_close(&support);
}

static void flow_standstill_calls_that_run_go_on(void **state)
{
	(void)state;
	struct support support;
	open_turning(&support);
	support_take_chat(&support, 0, 0, "a");
	struct call *call = support_call(&support);
	stand_still(&support);
	support_no_cancel(&support);
	support_answer(&support, call);
	support_commit(&support);
	assert_int_equal(support.committed, 1);
	support_close(&support);
}

static void flow_standstill_repeat_waits(void **state)
{
	(void)state;
	struct support support;
	open_turning(&support);
	support_take_chat(&support, 0, 0, "a");
	struct call *call = support_call(&support);
	stand_still(&support);
	support_fail(&support, call, REASON_OVERLOADED, FAILURE_ACTION_NEXT);
	support_pass(&support, 500);
	turn(&support, 10);
	support_no_call(&support);
	turn(&support, 12);
	support_answer(&support, support_call(&support));
	support_close(&support);
}

static void flow_standstill_second_call_waits(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.standstill_ms = 1000;
	support.options.hedge =
		(struct flow_hedge_options){ .enabled = true, .max_share = 1, .delay_ms = 2000, .delay_min_ms = 500 };
	support_start(&support);
	support_assign(&support, 0, -1, BYTES_NONE);
	turn(&support, 10);
	support_take_chat(&support, 0, 0, "a");
	struct call *first = support_call(&support);
	support_pass(&support, 2000);
	turn(&support, 10);
	support_no_call(&support);
	turn(&support, 10);
	turn(&support, 12);
	struct call *second = support_call(&support);
	support_answer(&support, second);
	support_fail(&support, first, REASON_TIMEOUT, FAILURE_ACTION_END);
	support_close(&support);
}

static void flow_standstill_deadline_holds(void **state)
{
	(void)state;
	struct support support;
	open_turning(&support);
	support_take_chat(&support, 0, 0, "a");
	stand_still(&support);
	support_pass(&support, flow_due(support.flow) - support.now.mono_ms);
	turn(&support, 10);
	struct chat_client_response reply = support_only_reply(&support);
	assert_text_equal(reply.outcome, "fallback");
	assert_text_equal(reply.reason, "deadline");
	support_close(&support);
}

/* Nothing is begun for the drain's sake: who was never called is dropped at once, who waits for a repeat when it ends. */
static void flow_standstill_drain_ends_without_a_call(void **state)
{
	(void)state;
	struct support support;
	open_turning(&support);
	support_take_chat(&support, 0, 0, "a");
	struct call *call = support_call(&support);
	stand_still(&support);
	support_take_chat(&support, 0, 1, "b");
	support_fail(&support, call, REASON_OVERLOADED, FAILURE_ACTION_NEXT);
	flow_drain(support.flow, support.now.mono_ms + 2000);
	assert_int_equal(support_gauges(&support).waiting, 1);
	support_pass(&support, 1999);
	turn(&support, 10);
	support_no_call(&support);
	assert_false(flow_is_idle(support.flow));
	support_pass(&support, 1);
	assert_true(flow_is_idle(support.flow));
	assert_int_equal(support.replies, 0);
	support_close(&support);
}

static void flow_standstill_loss_ends_the_doubt(void **state)
{
	(void)state;
	struct support support;
	open_turning(&support);
	support_take_chat(&support, 0, 0, "a");
	stand_still(&support);
	flow_revoke(support.flow, 0, support.now);
	support_assign(&support, 1, -1, BYTES_NONE);
	support_take_chat(&support, 1, 0, "a");
	support_answer(&support, support_call(&support));
	support_close(&support);
}

/* Of two partitions one goes in order: nothing is said about the other. */
static void flow_standstill_revoke_of_one_partition_says_nothing(void **state)
{
	(void)state;
	struct support support;
	open_turning(&support);
	support_assign(&support, 1, -1, BYTES_NONE);
	support_take_chat(&support, 0, 0, "a");
	stand_still(&support);
	flow_revoke(support.flow, 1, support.now);
	support_no_call(&support);
	support_close(&support);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_standstill_chats_wait_until_the_group_has_taken_heartbeats),
		cmocka_unit_test(flow_standstill_calls_that_run_go_on),
		cmocka_unit_test(flow_standstill_repeat_waits),
		cmocka_unit_test(flow_standstill_second_call_waits),
		cmocka_unit_test(flow_standstill_deadline_holds),
		cmocka_unit_test(flow_standstill_drain_ends_without_a_call),
		cmocka_unit_test(flow_standstill_loss_ends_the_doubt),
		cmocka_unit_test(flow_standstill_revoke_of_one_partition_says_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
