/* Kept chats whose batch was under way when their partition was given up. */
#include "tests/unit/parked.h"

static void assert_batch_over_while_kept(enum batch_end end, size_t kept)
{
	struct support support;
	open_park(&support);
	support_chat_done(&support, 0, 0, "c");
	struct batch *batch = support_batch(&support);
	flow_revoke(support.flow, 0, support.now);
	assert_park(&support, 1, 0);
	support_end_batch(&support, batch, end);
	assert_park(&support, kept, 0);
	flow_hurry(support.flow);
	support_no_batch(&support);
	come_back(&support, 0);
	support_take_chat(&support, 0, 0, "c");
	if (kept > 0) {
		support_no_call(&support);
		assert_int_equal(support.park_ends[PARK_END_USED], 1);
	} else {
		assert_int_equal(support.park_ends[PARK_END_FINISHED], 1);
		support_answer(&support, support_call(&support));
	}
	assert_published_one(&support, 0);
	support_close(&support);
}

static void flow_park_batch_under_way_that_is_aborted_leaves_its_replies_kept(void **state)
{
	(void)state;
	assert_batch_over_while_kept(BATCH_ABORTED, 1);
}

static void flow_park_batch_under_way_that_is_committed_leaves_nothing(void **state)
{
	(void)state;
	assert_batch_over_while_kept(BATCH_COMMITTED, 0);
}

/* At least once: the reply is out, the progress is not; the same reply again, and no second call. */
static void flow_park_batch_under_way_without_its_progress_leaves_its_replies_kept(void **state)
{
	(void)state;
	assert_batch_over_while_kept(BATCH_PUBLISHED, 1);
}

/* The partition is back sooner than the batch. */
static struct batch *back_under_batch(struct support *support)
{
	open_park(support);
	support_chat_done(support, 0, 0, "c");
	struct batch *batch = support_batch(support);
	flow_revoke(support->flow, 0, support->now);
	come_back(support, 0);
	support_take_chat(support, 0, 0, "c");
	assert_int_equal(support->park_ends[PARK_END_USED], 1);
	assert_int_equal(support_gauges(support).waiting, 0);
	return batch;
}

static void flow_park_chat_back_under_an_aborted_batch_is_published_by_the_next(void **state)
{
	(void)state;
	struct support support;
	struct batch *batch = back_under_batch(&support);
	support_chat_done(&support, 0, 1, "c");
	support_chat_done(&support, 0, 2, "d");
	support_end_batch(&support, batch, BATCH_ABORTED);
	assert_published(&support, (const int64_t[]){ 0, 1, 2 }, 3);
	support_close(&support);
}

static void flow_park_chat_back_under_a_stored_batch_is_finished(void **state)
{
	(void)state;
	struct support support;
	struct batch *batch = back_under_batch(&support);
	support_chat_done(&support, 0, 1, "c");
	support_end_batch(&support, batch, BATCH_PUBLISHED);
	struct flow_partition_gauges gauges;
	assert_int_equal(flow_partition_gauges(support.flow, 0, &gauges), STATUS_OK);
	assert_int_equal(gauges.watermark, 1);
	batch = support_batch(&support);
	assert_int_equal(batch->item_count, 1);
	assert_int_equal(support_offset(&support, batch, 0), 1);
	assert_int_equal(batch->progress[0].offset, 2);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

/* The first one cost nothing, so it is not kept but made again, after the batch that has both; it stays the first. */
static void flow_park_chat_back_under_its_batch_overtakes_no_reply_made_since(void **state)
{
	(void)state;
	struct support support;
	open_park(&support);
	support_pass(&support, 9800);
	support_take_chat(&support, 0, 0, "c");
	struct record source = support_record();
	source.offset = 1;
	source.timestamp_ms = support.now.wall_ms;
	support_take(&support, &source);
	support_answer(&support, support_call(&support));
	struct batch *batch = support_batch(&support);
	assert_int_equal(batch->item_count, 2);
	flow_revoke(support.flow, 0, support.now);
	assert_park(&support, 1, 0);
	come_back(&support, 0);
	support_take_chat(&support, 0, 0, "c");
	support_take(&support, &source);
	support_end_batch(&support, batch, BATCH_ABORTED);
	support_no_call(&support);
	assert_published(&support, (const int64_t[]){ 0, 1 }, 2);
	support_close(&support);
}

static void flow_park_chat_back_under_its_batch_is_published_by_a_drain(void **state)
{
	(void)state;
	struct support support;
	struct batch *batch = back_under_batch(&support);
	support_take_chat(&support, 0, 1, "c");
	flow_drain(support.flow, support.now.mono_ms + 100);
	support_pass(&support, 200);
	support_end_batch(&support, batch, BATCH_ABORTED);
	assert_published_one(&support, 0);
	assert_true(flow_is_idle(support.flow));
	support_close(&support);
}

/* Given up, back, given up again, all under one batch. */
static void flow_park_chat_that_comes_and_goes_under_a_batch_is_kept_once(void **state)
{
	(void)state;
	struct support support;
	open_park(&support);
	support_chat_done(&support, 0, 0, "c");
	struct batch *batch = support_batch(&support);
	for (int i = 0; i < 3; i++) {
		flow_revoke(support.flow, 0, support.now);
		assert_park(&support, 1, 0);
		come_back(&support, 0);
		support_take_chat(&support, 0, 0, "c");
		assert_park(&support, 0, 0);
	}
	support_end_batch(&support, batch, BATCH_ABORTED);
	assert_published_one(&support, 0);
	assert_int_equal(support_gauges(&support).bytes, 0);
	support_close(&support);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_park_batch_under_way_that_is_aborted_leaves_its_replies_kept),
		cmocka_unit_test(flow_park_batch_under_way_that_is_committed_leaves_nothing),
		cmocka_unit_test(flow_park_batch_under_way_without_its_progress_leaves_its_replies_kept),
		cmocka_unit_test(flow_park_chat_back_under_an_aborted_batch_is_published_by_the_next),
		cmocka_unit_test(flow_park_chat_back_under_a_stored_batch_is_finished),
		cmocka_unit_test(flow_park_chat_back_under_its_batch_overtakes_no_reply_made_since),
		cmocka_unit_test(flow_park_chat_back_under_its_batch_is_published_by_a_drain),
		cmocka_unit_test(flow_park_chat_that_comes_and_goes_under_a_batch_is_kept_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
