/* Order within a conversation, independence between conversations. */
#include "tests/unit/flow_support.h"

static void flow_order_second_chat_waits_for_the_reply_of_the_first(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	support_take_chat(&support, 0, 1, "c");
	struct call *first = support_call(&support);
	support_no_call(&support);
	support_answer(&support, first);
	struct call *second = support_call(&support);
	support_answer(&support, second);
	assert_int_equal(support.offsets[0], 0);
	assert_int_equal(support.offsets[1], 1);
	support_close(&support);
}

static void flow_order_conversations_do_not_wait_for_each_other(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	support_take_chat(&support, 0, 1, "d");
	struct call *first = support_call(&support);
	support_answer(&support, support_call(&support));
	assert_int_equal(support.offsets[0], 1);
	support_answer(&support, first);
	support_close(&support);
}

static void flow_order_same_id_in_another_partition_is_another_conversation(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_assign(&support, 1, -1, BYTES_NONE);
	support_take_chat(&support, 0, 0, "c");
	support_take_chat(&support, 1, 0, "c");
	struct call *first = support_call(&support);
	support_answer(&support, support_call(&support));
	support_answer(&support, first);
	support_close(&support);
}

static void flow_order_without_conversation_id_nobody_waits(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_bad(&support, 0, 0, NULL);
	support_take_bad(&support, 0, 1, NULL);
	assert_int_equal(support.replies, 2);
	assert_int_equal(support_gauges(&support).lanes, 0);
	support_close(&support);
}

static void flow_order_switched_off_nobody_waits(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.ordered = false;
	support_begin(&support);
	support_take_chat(&support, 0, 0, "c");
	support_take_chat(&support, 0, 1, "c");
	struct call *first = support_call(&support);
	support_answer(&support, support_call(&support));
	assert_int_equal(support.offsets[0], 1);
	support_answer(&support, first);
	support_close(&support);
}

static void flow_order_rejected_waits_behind_a_running_call(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	struct call *call = support_call(&support);
	support_take_bad(&support, 0, 1, "c");
	support_take_chat(&support, 0, 2, "c");
	support_take_bad(&support, 0, 3, "c");
	assert_int_equal(support.replies, 0);
	support_answer(&support, call);
	assert_int_equal(support.replies, 2);
	support_answer(&support, support_call(&support));
	assert_int_equal(support.replies, 4);
	for (int64_t offset = 0; offset < 4; offset++)
		assert_int_equal(support.offsets[offset], offset);
	support_close(&support);
}

static void flow_order_rejected_whose_time_is_over_stays_rejected(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	struct record late = support_record();
	late.timestamp_ms = SUPPORT_WALL_MS + 5000; /* counts as now; the second record's time ends first */
	support_pass(&support, 5000);
	support_take(&support, &late);
	struct call *call = support_call(&support);
	support_take_bad(&support, 0, 1, "c");
	support_pass(&support, 6000);
	assert_int_equal(support.replies, 0);
	support_answer(&support, call);
	struct batch *batch = support_batch(&support);
	assert_text_equal(support_reply(&support, batch, 1).reason, "decode");
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

/* More rejected chats behind one call than any stack would bear: one ledger's window full, the rest after it moved. */
static void flow_order_chain_of_rejected_chats_does_not_recurse(void **state)
{
	(void)state;
	enum { CHATS = 20000 };
	struct support support;
	support_init(&support);
	support.options.waiting_max = CHATS;
	support.options.bytes_max = SIZE_MAX;
	support.options.batch_replies_max = CHATS;
	support.options.batch_bytes_max = SIZE_MAX;
	support_begin(&support);
	support_take_chat(&support, 0, 0, "c");
	struct call *call = support_call(&support);
	int64_t offset = 1;
	while (offset < CHATS && flow_wants(support.flow, 0))
		support_take_bad(&support, 0, offset++, "c");
	assert_int_equal(offset, LEDGER_WINDOW);
	support_answer(&support, call);
	assert_int_equal(support.replies, LEDGER_WINDOW);
	assert_true(support.stack_high - support.stack_low < 4096);
	support_commit(&support);
	support_take_chat(&support, 0, offset++, "c");
	call = support_call(&support);
	while (offset < CHATS)
		support_take_bad(&support, 0, offset++, "c");
	support_answer(&support, call);
	assert_int_equal(support.replies, CHATS);
	support_commit(&support);
	assert_int_equal(support.committed, CHATS);
	support_close(&support);
}

static void flow_order_replies_keep_it_over_aborted_batches(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.batch_replies_max = 2;
	support_begin(&support);
	for (int64_t offset = 0; offset < 3; offset++)
		support_chat_done(&support, 0, offset, "c");
	support_end_batch(&support, support_batch(&support), BATCH_ABORTED);
	support_chat_done(&support, 0, 3, "c");
	int64_t expected = 0;
	for (int i = 0; i < 4; i++) {
		struct batch *batch = support_batch(&support);
		assert_int_equal(batch->item_count, 2);
		assert_int_equal(support_offset(&support, batch, 0), expected);
		assert_int_equal(support_offset(&support, batch, 1), expected + 1);
		bool is_aborted = i % 2 == 0;
		support_end_batch(&support, batch, is_aborted ? BATCH_ABORTED : BATCH_COMMITTED);
		if (!is_aborted) expected += 2;
	}
	assert_int_equal(support.committed, 4);
	support_close(&support);
}

static void flow_order_lanes_go_with_their_last_chat(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	support_take_chat(&support, 0, 1, "c");
	support_take_chat(&support, 0, 2, "d");
	assert_int_equal(support_gauges(&support).lanes, 2);
	support_answer(&support, support_call(&support));
	support_answer(&support, support_call(&support));
	assert_int_equal(support_gauges(&support).lanes, 1);
	support_answer(&support, support_call(&support));
	assert_int_equal(support_gauges(&support).lanes, 0);
	support_close(&support);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_order_second_chat_waits_for_the_reply_of_the_first),
		cmocka_unit_test(flow_order_conversations_do_not_wait_for_each_other),
		cmocka_unit_test(flow_order_same_id_in_another_partition_is_another_conversation),
		cmocka_unit_test(flow_order_without_conversation_id_nobody_waits),
		cmocka_unit_test(flow_order_switched_off_nobody_waits),
		cmocka_unit_test(flow_order_rejected_waits_behind_a_running_call),
		cmocka_unit_test(flow_order_rejected_whose_time_is_over_stays_rejected),
		cmocka_unit_test(flow_order_chain_of_rejected_chats_does_not_recurse),
		cmocka_unit_test(flow_order_replies_keep_it_over_aborted_batches),
		cmocka_unit_test(flow_order_lanes_go_with_their_last_chat),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
