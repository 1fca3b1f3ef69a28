/* How much is kept, for how long, and what kept calls may not take from chats that are here. */
#include "tests/unit/flow_support.h"

enum { KEEP_MS = 60000 };

static void open_park(struct support *support, struct park_options park)
{
	support_init(support);
	support->options.park = park;
	support->options.in_flight_max = 2;
	support_begin(support);
}

static void open_usual(struct support *support)
{
	open_park(support, (struct park_options){ .keep_ms = KEEP_MS, .bytes_max = 1 << 20 });
}

/* What one chat with its reply takes. */
static size_t bytes_of_one(void)
{
	struct support support;
	open_usual(&support);
	support_chat_done(&support, 0, 0, "c");
	size_t bytes = support_gauges(&support).bytes;
	support_close(&support);
	return bytes;
}

static void assert_off(struct park_options park)
{
	struct support support;
	open_park(&support, park);
	support_chat_done(&support, 0, 0, "c");
	support_take_chat(&support, 0, 1, "d");
	struct call *call = support_call(&support);
	flow_revoke(support.flow, 0, support.now);
	assert_int_equal(support_gauges(&support).parked, 0);
	assert_int_equal(support_gauges(&support).bytes, 0);
	assert_int_equal(support_cancel(&support), call->id);
	support_answer(&support, call);
	support_close(&support);
}

static void flow_park_of_no_time_or_no_bytes_keeps_nothing(void **state)
{
	(void)state;
	assert_off((struct park_options){ .keep_ms = 0, .bytes_max = 1 << 20 });
	assert_off((struct park_options){ .keep_ms = KEEP_MS, .bytes_max = 0 });
}

static void flow_park_time_that_is_over_gives_up(void **state)
{
	(void)state;
	struct support support;
	open_usual(&support);
	support_chat_done(&support, 0, 0, "c");
	flow_revoke(support.flow, 0, support.now);
	assert_true(flow_due(support.flow) == support.now.mono_ms + KEEP_MS);
	support_pass(&support, KEEP_MS - 1);
	assert_int_equal(support_gauges(&support).parked, 1);
	support_pass(&support, 1);
	assert_int_equal(support.park_ends[PARK_END_EXPIRED], 1);
	assert_int_equal(support_gauges(&support).bytes, 0);
	assert_true(flow_due(support.flow) == INT64_MAX);
	assert_int_equal(support_assign(&support, 0, -1, BYTES_NONE), 0);
	support_take_chat(&support, 0, 0, "c");
	assert_true(bytes_equal_text(support_only_reply(&support).reason, "deadline"));
	support_close(&support);
}

static void flow_park_time_counts_from_the_first_loss(void **state)
{
	(void)state;
	struct support support;
	open_usual(&support);
	support_chat_done(&support, 0, 0, "c");
	flow_revoke(support.flow, 0, support.now);
	support_pass(&support, KEEP_MS / 2);
	/* Back, but its record was not taken. */
	assert_int_equal(support_assign(&support, 0, -1, BYTES_NONE), 0);
	flow_revoke(support.flow, 0, support.now);
	support_pass(&support, KEEP_MS / 2);
	assert_int_equal(support.park_ends[PARK_END_EXPIRED], 1);
	support_close(&support);
}

static void flow_park_that_is_full_gives_up_the_oldest(void **state)
{
	(void)state;
	struct support support;
	size_t one = bytes_of_one();
	open_park(&support, (struct park_options){ .keep_ms = KEEP_MS, .bytes_max = 2 * one });
	for (int64_t offset = 0; offset < 3; offset++)
		support_chat_done(&support, 0, offset, "c");
	flow_revoke(support.flow, 0, support.now);
	assert_int_equal(support.park_ends[PARK_END_FULL], 1);
	assert_int_equal(support_gauges(&support).parked, 2);
	assert_int_equal(support_gauges(&support).parked_bytes, 2 * one);

	/* The first is called again, and the others wait for it. */
	assert_int_equal(support_assign(&support, 0, -1, BYTES_NONE), 0);
	for (int64_t offset = 0; offset < 3; offset++)
		support_take_chat(&support, 0, offset, "c");
	flow_hurry(support.flow);
	support_no_batch(&support);
	support_answer(&support, support_call(&support));
	support_no_call(&support);
	struct batch *batch = support_batch(&support);
	assert_int_equal(batch->item_count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(support_offset(&support, batch, i), (int64_t)i);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_park_smaller_than_one_chat_keeps_none(void **state)
{
	(void)state;
	struct support support;
	open_park(&support, (struct park_options){ .keep_ms = KEEP_MS, .bytes_max = 100 });
	support_chat_done(&support, 0, 0, "c");
	support_take_chat(&support, 0, 1, "d");
	struct call *call = support_call(&support);
	flow_revoke(support.flow, 0, support.now);
	assert_int_equal(support.park_ends[PARK_END_FULL], 2);
	assert_int_equal(support_gauges(&support).bytes, 0);
	assert_int_equal(support_cancel(&support), call->id);
	support_answer(&support, call);
	support_close(&support);
}

static void flow_park_reply_in_a_batch_that_is_given_up_lives_until_the_batch_is_back(void **state)
{
	(void)state;
	struct support support;
	open_usual(&support);
	support_chat_done(&support, 0, 0, "c");
	struct batch *batch = support_batch(&support);
	flow_revoke(support.flow, 0, support.now);
	support_pass(&support, KEEP_MS);
	assert_int_equal(support.park_ends[PARK_END_EXPIRED], 1);
	assert_int_equal(support_gauges(&support).parked_bytes, 0);
	assert_int_equal(support_offset(&support, batch, 0), 0);
	support_end_batch(&support, batch, BATCH_ABORTED);
	assert_int_equal(support_gauges(&support).bytes, 0);
	support_close(&support);
}

static void flow_park_does_not_count_against_the_bound_on_chats(void **state)
{
	(void)state;
	struct support support;
	size_t one = bytes_of_one();
	support_init(&support);
	support.options.park = (struct park_options){ .keep_ms = KEEP_MS, .bytes_max = 1 << 20 };
	support.options.bytes_max = one;
	support_begin(&support);
	assert_int_equal(support_assign(&support, 1, -1, BYTES_NONE), 0);
	support_take_chat(&support, 1, 0, "d");
	struct call *call = support_call(&support);
	support_chat_done(&support, 0, 0, "c");
	assert_false(flow_wants(support.flow, 1));
	flow_revoke(support.flow, 0, support.now);
	support_answer(&support, call);
	support_commit(&support);
	assert_true(flow_wants(support.flow, 1));
	support_close(&support);
}

static void flow_park_call_yields_its_slot_to_a_chat_that_is_here(void **state)
{
	(void)state;
	struct support support;
	open_usual(&support);
	assert_int_equal(support_assign(&support, 1, -1, BYTES_NONE), 0);
	struct call *calls[2];
	support_take_chat(&support, 0, 0, "c");
	calls[0] = support_call(&support);
	support_take_chat(&support, 0, 1, "d");
	calls[1] = support_call(&support);
	flow_revoke(support.flow, 0, support.now);
	support_no_call(&support);
	support_no_cancel(&support);
	assert_int_equal(support_gauges(&support).parked_calls, 2);

	support_take_chat(&support, 1, 0, "here");
	support_no_call(&support);
	/* The oldest, and one only. */
	assert_int_equal(support_cancel(&support), calls[0]->id);
	support_no_call(&support);
	support_no_cancel(&support);
	assert_int_equal(support.park_ends[PARK_END_YIELDED], 1);
	support_fail(&support, calls[0], REASON_TIMEOUT, FAILURE_ACTION_END);
	support_answer(&support, support_call(&support));
	support_answer(&support, calls[1]);
	assert_int_equal(support_gauges(&support).parked, 1);
	support_close(&support);
}

static void flow_park_drain_gives_up_all(void **state)
{
	(void)state;
	struct support support;
	open_usual(&support);
	support_chat_done(&support, 0, 0, "c");
	support_take_chat(&support, 0, 1, "d");
	struct call *call = support_call(&support);
	flow_revoke(support.flow, 0, support.now);
	flow_drain(support.flow, support.now.mono_ms + 1000);
	assert_int_equal(support.park_ends[PARK_END_DRAINED], 2);
	assert_int_equal(support_cancel(&support), call->id);
	assert_false(flow_is_idle(support.flow));
	support_answer(&support, call);
	assert_true(flow_is_idle(support.flow));
	support_close(&support);
}

static void flow_park_keeps_nothing_while_draining(void **state)
{
	(void)state;
	struct support support;
	open_usual(&support);
	support_chat_done(&support, 0, 0, "c");
	flow_drain(support.flow, support.now.mono_ms + 1000);
	flow_revoke(support.flow, 0, support.now);
	assert_int_equal(support_gauges(&support).parked, 0);
	assert_true(flow_is_idle(support.flow));
	support_close(&support);
}

static void flow_park_free_gives_up_whatever_is_kept(void **state)
{
	(void)state;
	struct support support;
	open_usual(&support);
	support_chat_done(&support, 0, 0, "c");
	struct batch *batch = support_batch(&support);
	support_chat_done(&support, 0, 1, "c");
	support_take_chat(&support, 0, 2, "c");
	struct call *call = support_call(&support);
	flow_revoke(support.flow, 0, support.now);
	assert_int_equal(support_gauges(&support).parked, 3);
	support_close(&support);
	call_free(call);
	batch_free(batch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_park_of_no_time_or_no_bytes_keeps_nothing),
		cmocka_unit_test(flow_park_time_that_is_over_gives_up),
		cmocka_unit_test(flow_park_time_counts_from_the_first_loss),
		cmocka_unit_test(flow_park_that_is_full_gives_up_the_oldest),
		cmocka_unit_test(flow_park_smaller_than_one_chat_keeps_none),
		cmocka_unit_test(flow_park_reply_in_a_batch_that_is_given_up_lives_until_the_batch_is_back),
		cmocka_unit_test(flow_park_does_not_count_against_the_bound_on_chats),
		cmocka_unit_test(flow_park_call_yields_its_slot_to_a_chat_that_is_here),
		cmocka_unit_test(flow_park_drain_gives_up_all),
		cmocka_unit_test(flow_park_keeps_nothing_while_draining),
		cmocka_unit_test(flow_park_free_gives_up_whatever_is_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
