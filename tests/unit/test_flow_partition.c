/* Partitions that come and go: where reading starts, what a revoked one leaves behind. */
#include "tests/unit/flow_support.h"

static int64_t assign(struct support *support, const struct flow_assignment *assignment)
{
	int64_t start = -1;
	assert_int_equal(flow_assign(support->flow, assignment, &start), STATUS_OK);
	return start;
}

static void flow_assign_without_commit_starts_at_the_log_start(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support_start(&support);
	struct flow_assignment assignment = { .partition = 2, .committed = -1, .log_start = 40, .log_end = 90 };
	assert_int_equal(assign(&support, &assignment), 40);
	support_close(&support);
}

static void flow_assign_without_commit_may_start_at_the_log_end(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.start_from_latest = true;
	support_start(&support);
	struct flow_assignment assignment = { .partition = 2, .committed = -1, .log_start = 40, .log_end = 90 };
	assert_int_equal(assign(&support, &assignment), 90);
	support_close(&support);
}

/* Otherwise what comes while nobody owns the partition would lie before the next owner's start. */
static void flow_assign_at_the_log_end_commits_it_at_once(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.start_from_latest = true;
	support_start(&support);
	struct flow_assignment assignment = { .partition = 2, .committed = -1, .log_start = 40, .log_end = 90 };
	assert_int_equal(assign(&support, &assignment), 90);
	struct batch *batch = support_batch(&support);
	assert_int_equal(batch->item_count, 0);
	assert_int_equal(batch->progress_count, 1);
	assert_int_equal(batch->progress[0].partition, 2);
	assert_int_equal(batch->progress[0].offset, 90);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_no_batch(&support);
	support_close(&support);
}

static void flow_assign_with_commit_starts_there(void **state)
{
	(void)state;
	for (int64_t committed = 40; committed <= 90; committed += 25) {
		struct support support;
		support_init(&support);
		support.options.start_from_latest = true;
		support_start(&support);
		struct flow_assignment assignment = {
			.partition = 2, .committed = committed, .log_start = 40, .log_end = 90
		};
		assert_int_equal(assign(&support, &assignment), committed);
		assert_int_equal(support.notices[FLOW_NOTICE_OFFSETS_LOST], 0);
		support_close(&support);
	}
}

static void flow_assign_with_commit_outside_the_log_is_noticed(void **state)
{
	(void)state;
	static const int64_t outside[] = { 39, 91 };
	for (size_t i = 0; i < 2; i++) {
		struct support support;
		support_init(&support);
		support.options.start_from_latest = true;
		support_start(&support);
		struct flow_assignment assignment = {
			.partition = 2, .committed = outside[i], .log_start = 40, .log_end = 90
		};
		assert_int_equal(assign(&support, &assignment), 40);
		assert_int_equal(support.notices[FLOW_NOTICE_OFFSETS_LOST], 1);
		assert_int_equal(support.notice_partition, 2);
		assert_int_equal(support.notice_offset, outside[i]);
		support_close(&support);
	}
}

/* The text of a partition where 3 is finished and 0, 1, 2 are not. */
static size_t progress_text(char text[static LEDGER_TEXT_MAX])
{
	struct ledger *ledger = ledger_new(0);
	assert_non_null(ledger);
	for (int64_t offset = 0; offset < 4; offset++)
		assert_int_equal(ledger_take(ledger, offset), STATUS_OK);
	ledger_stage(ledger, 3);
	size_t size = ledger_text(ledger, 77, text);
	ledger_free(ledger);
	return size;
}

static void flow_assign_with_progress_skips_what_is_finished(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support_start(&support);
	char text[LEDGER_TEXT_MAX];
	size_t size = progress_text(text);
	assert_int_equal(support_assign(&support, 0, 0, bytes_at(text, size)), 0);
	for (int64_t offset = 0; offset < 5; offset++)
		support_take_chat(&support, 0, offset, NULL);
	assert_int_equal(support.taken, 4);
	assert_int_equal(support.notices[FLOW_NOTICE_SKIPPED], 1);
	assert_int_equal(support.notice_offset, 3);
	assert_int_equal(support.notices[FLOW_NOTICE_PROGRESS_REFUSED], 0);
	support_close(&support);
}

static void flow_assign_with_untrusted_progress_answers_again(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support_start(&support);
	char text[LEDGER_TEXT_MAX];
	size_t size = progress_text(text);
	text[size - 1] = text[size - 1] == '0' ? '1' : '0';
	assert_int_equal(support_assign(&support, 0, 0, bytes_at(text, size)), 0);
	assert_int_equal(support.notices[FLOW_NOTICE_PROGRESS_REFUSED], 1);
	for (int64_t offset = 0; offset < 5; offset++)
		support_take_chat(&support, 0, offset, NULL);
	assert_int_equal(support.taken, 5);
	support_close(&support);
}

static void flow_assign_progress_beside_a_lost_offset_is_not_looked_at(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support_start(&support);
	char text[LEDGER_TEXT_MAX];
	struct flow_assignment assignment = {
		.committed = 0, .metadata = bytes_at(text, progress_text(text)), .log_start = 3, .log_end = 9
	};
	assert_int_equal(assign(&support, &assignment), 3);
	assert_int_equal(support.notices[FLOW_NOTICE_PROGRESS_REFUSED], 0);
	support_take_chat(&support, 0, 3, "c");
	assert_int_equal(support.taken, 1);
	support_close(&support);
}

static void flow_assign_of_impossible_partition_is_refused(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support_start(&support);
	int64_t start = 7;
	struct flow_assignment assignment = { .partition = 100000, .committed = -1, .log_end = 9 };
	assert_int_equal(flow_assign(support.flow, &assignment, &start), STATUS_NO_MEMORY);
	assignment.partition = -1;
	assert_int_equal(flow_assign(support.flow, &assignment, &start), STATUS_NO_MEMORY);
	assert_int_equal(start, 7);
	assert_int_equal(support_gauges(&support).partitions, 0);
	support_close(&support);
}

static void flow_revoke_of_unknown_partition_does_nothing(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	flow_revoke(support.flow, 5, support.now);
	flow_revoke(support.flow, -1, support.now);
	flow_revoke(support.flow, 99999, support.now);
	assert_int_equal(support_gauges(&support).partitions, 1);
	support_close(&support);
}

/* The states a chat may be in when its partition goes. */
enum stage { STAGE_WAITING, STAGE_READY, STAGE_CALLING, STAGE_BACKOFF, STAGE_REPLIED, STAGE_PUBLISHING };

/* Brings a chat of partition 0 there; what is under way comes back by the out-parameters. */
static void bring_to(struct support *support, enum stage stage, struct call **out_call, struct batch **out_batch)
{
	*out_call = NULL;
	*out_batch = NULL;
	support_take_chat(support, 0, 0, "c");
	switch (stage) {
	case STAGE_READY:
		return;
	case STAGE_CALLING:
		*out_call = support_call(support);
		return;
	case STAGE_WAITING:
		*out_call = support_call(support);
		support_take_chat(support, 0, 1, "c");
		support_take_bad(support, 0, 2, "c");
		return;
	case STAGE_BACKOFF:
		support_fail_wait(support, support_call(support), 3000);
		return;
	case STAGE_REPLIED:
		support_answer(support, support_call(support));
		return;
	case STAGE_PUBLISHING:
		support_answer(support, support_call(support));
		*out_batch = support_batch(support);
		return;
	}
}

static void assert_nothing_left(struct support *support)
{
	struct flow_gauges gauges = support_gauges(support);
	assert_int_equal(gauges.waiting, 0);
	assert_int_equal(gauges.ready, 0);
	assert_int_equal(gauges.replies, 0);
	assert_int_equal(gauges.lanes, 0);
	assert_true(gauges.oldest_overdue_ms == INT64_MAX);
}

/* The same offsets again, as another owner's: all of them are worked on, and the batch is of them alone. */
static void assert_fresh(struct support *support)
{
	assert_int_equal(support_assign(support, 0, -1, BYTES_NONE), 0);
	long taken = support->taken;
	support_chat_done(support, 0, 0, "c");
	assert_int_equal(support->taken, taken + 1);
	struct batch *batch = support_batch(support);
	assert_int_equal(batch->item_count, 1);
	assert_int_equal(support_offset(support, batch, 0), 0);
	assert_int_equal(batch->progress_count, 1);
	assert_int_equal(batch->progress[0].offset, 1);
	support_end_batch(support, batch, BATCH_COMMITTED);
	struct flow_partition_gauges gauges;
	assert_int_equal(flow_partition_gauges(support->flow, 0, &gauges), STATUS_OK);
	assert_int_equal(gauges.watermark, 1);
}

static void assert_revoked(enum stage stage)
{
	struct support support;
	support_open(&support);
	struct call *call;
	struct batch *batch;
	bring_to(&support, stage, &call, &batch);
	flow_revoke(support.flow, 0, support.now);
	assert_nothing_left(&support);
	support_no_call(&support);
	if (call != NULL) {
		assert_int_equal(support_cancel(&support), call->id);
		support_answer(&support, call);
		assert_int_equal(support.notices[FLOW_NOTICE_STALE_RESULT], 1);
	}
	support_no_cancel(&support);
	if (batch != NULL) support_end_batch(&support, batch, BATCH_ABORTED);
	assert_int_equal(support_gauges(&support).bytes, 0);
	flow_hurry(support.flow);
	support_no_batch(&support);
	assert_true(flow_is_idle(support.flow));
	support_pass(&support, 2000);
	assert_fresh(&support);
	support_close(&support);
}

static void flow_revoke_of_waiting_chats_drops_them(void **state)
{
	(void)state;
	assert_revoked(STAGE_WAITING);
}

static void flow_revoke_of_ready_chat_drops_it(void **state)
{
	(void)state;
	assert_revoked(STAGE_READY);
}

static void flow_revoke_of_chat_being_called_cancels_the_call(void **state)
{
	(void)state;
	assert_revoked(STAGE_CALLING);
}

static void flow_revoke_of_chat_in_back_off_drops_it(void **state)
{
	(void)state;
	assert_revoked(STAGE_BACKOFF);
}

static void flow_revoke_of_replied_chat_drops_its_reply(void **state)
{
	(void)state;
	assert_revoked(STAGE_REPLIED);
}

static void flow_revoke_of_publishing_chat_waits_for_the_batch_only(void **state)
{
	(void)state;
	assert_revoked(STAGE_PUBLISHING);
}

/* The partition is back before the old batch is: nothing of it may touch the new ledger. */
static void assert_reassigned(enum batch_end end)
{
	struct support support;
	support_open(&support);
	support_chat_done(&support, 0, 0, "c");
	support_chat_done(&support, 0, 1, "d");
	struct batch *batch = support_batch(&support);
	flow_revoke(support.flow, 0, support.now);
	assert_int_equal(support_assign(&support, 0, -1, BYTES_NONE), 0);
	support_take_chat(&support, 0, 0, "c");
	support_take_chat(&support, 0, 1, "d");
	batch->items[0].fault = end == BATCH_ABORTED ? BATCH_ITEM_TOO_LARGE : BATCH_ITEM_FINE;
	support_end_batch(&support, batch, end);
	assert_int_equal(support.notices[FLOW_NOTICE_REPLY_REFUSED], 0);
	assert_int_equal(support_gauges(&support).waiting, 2);
	struct flow_partition_gauges gauges;
	assert_int_equal(flow_partition_gauges(support.flow, 0, &gauges), STATUS_OK);
	assert_int_equal(gauges.watermark, 0);
	assert_int_equal(gauges.finished_above, 0);
	struct call *first = support_call(&support);
	support_answer(&support, support_call(&support));
	batch = support_batch(&support);
	assert_int_equal(batch->item_count, 1);
	assert_int_equal(support_offset(&support, batch, 0), 1);
	assert_int_equal(batch->progress[0].offset, 0);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_answer(&support, first);
	support_close(&support);
}

static void flow_revoke_and_assign_under_a_committed_batch_leaves_the_new_ledger(void **state)
{
	(void)state;
	assert_reassigned(BATCH_COMMITTED);
}

static void flow_revoke_and_assign_under_an_aborted_batch_leaves_the_new_ledger(void **state)
{
	(void)state;
	assert_reassigned(BATCH_ABORTED);
}

static void flow_revoke_and_assign_under_a_published_batch_leaves_the_new_ledger(void **state)
{
	(void)state;
	assert_reassigned(BATCH_PUBLISHED);
}

static void flow_revoke_of_one_partition_leaves_the_others(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_assign(&support, 1, -1, BYTES_NONE);
	support_chat_done(&support, 0, 0, "c");
	support_chat_done(&support, 1, 0, "c");
	support_take_chat(&support, 1, 1, "c");
	struct batch *batch = support_batch(&support);
	flow_revoke(support.flow, 0, support.now);
	support_end_batch(&support, batch, BATCH_ABORTED);
	batch = support_batch(&support);
	assert_int_equal(batch->item_count, 1);
	assert_int_equal(batch->progress_count, 1);
	assert_int_equal(batch->progress[0].partition, 1);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	assert_int_equal(support_gauges(&support).waiting, 1);
	support_close(&support);
}

static void flow_revoke_takes_its_progress_out_of_the_next_batch(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 7, "c");
	flow_revoke(support.flow, 0, support.now);
	flow_hurry(support.flow);
	support_no_batch(&support);
	assert_true(flow_due(support.flow) == INT64_MAX);
	support_close(&support);
}

static void flow_partition_gauges_follow_its_ledger(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	struct flow_partition_gauges gauges;
	assert_int_equal(flow_partition_gauges(support.flow, 0, &gauges), STATUS_OK);
	assert_int_equal(gauges.watermark, 0);
	assert_int_equal(gauges.oldest_taken_ms, 0);
	support_pass(&support, 5);
	support_take_chat(&support, 0, 0, "c");
	struct call *first = support_call(&support);
	support_pass(&support, 5);
	support_chat_done(&support, 0, 1, "d");
	support_commit(&support);
	assert_int_equal(flow_partition_gauges(support.flow, 0, &gauges), STATUS_OK);
	assert_int_equal(gauges.watermark, 0);
	assert_int_equal(gauges.finished_above, 1);
	assert_int_equal(gauges.oldest_taken_ms, SUPPORT_MONO_MS + 5);
	support_answer(&support, first);
	support_commit(&support);
	assert_int_equal(flow_partition_gauges(support.flow, 0, &gauges), STATUS_OK);
	assert_int_equal(gauges.watermark, 2);
	assert_int_equal(gauges.finished_above, 0);
	assert_int_equal(gauges.oldest_taken_ms, 0);
	assert_int_equal(flow_partition_gauges(support.flow, 1, &gauges), STATUS_NOT_FOUND);
	support_close(&support);
}

static void flow_free_gives_up_whatever_is_there(void **state)
{
	(void)state;
	for (int stage = STAGE_WAITING; stage <= STAGE_PUBLISHING; stage++) {
		struct support support;
		support_open(&support);
		struct call *call;
		struct batch *batch;
		bring_to(&support, (enum stage)stage, &call, &batch);
		support_close(&support);
		call_free(call);
		batch_free(batch);
	}
	flow_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_assign_without_commit_starts_at_the_log_start),
		cmocka_unit_test(flow_assign_without_commit_may_start_at_the_log_end),
		cmocka_unit_test(flow_assign_at_the_log_end_commits_it_at_once),
		cmocka_unit_test(flow_assign_with_commit_starts_there),
		cmocka_unit_test(flow_assign_with_commit_outside_the_log_is_noticed),
		cmocka_unit_test(flow_assign_with_progress_skips_what_is_finished),
		cmocka_unit_test(flow_assign_with_untrusted_progress_answers_again),
		cmocka_unit_test(flow_assign_progress_beside_a_lost_offset_is_not_looked_at),
		cmocka_unit_test(flow_assign_of_impossible_partition_is_refused),
		cmocka_unit_test(flow_revoke_of_unknown_partition_does_nothing),
		cmocka_unit_test(flow_revoke_of_waiting_chats_drops_them),
		cmocka_unit_test(flow_revoke_of_ready_chat_drops_it),
		cmocka_unit_test(flow_revoke_of_chat_being_called_cancels_the_call),
		cmocka_unit_test(flow_revoke_of_chat_in_back_off_drops_it),
		cmocka_unit_test(flow_revoke_of_replied_chat_drops_its_reply),
		cmocka_unit_test(flow_revoke_of_publishing_chat_waits_for_the_batch_only),
		cmocka_unit_test(flow_revoke_and_assign_under_a_committed_batch_leaves_the_new_ledger),
		cmocka_unit_test(flow_revoke_and_assign_under_an_aborted_batch_leaves_the_new_ledger),
		cmocka_unit_test(flow_revoke_and_assign_under_a_published_batch_leaves_the_new_ledger),
		cmocka_unit_test(flow_revoke_of_one_partition_leaves_the_others),
		cmocka_unit_test(flow_revoke_takes_its_progress_out_of_the_next_batch),
		cmocka_unit_test(flow_partition_gauges_follow_its_ledger),
		cmocka_unit_test(flow_free_gives_up_whatever_is_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
