/* Batches: what they carry, when they are made, and how they end. */
#include "tests/unit/flow_support.h"

#include <stdlib.h>
#include <string.h>

static struct bytes copied(struct bytes text)
{
	char *copy = malloc(text.size);
	assert_non_null(copy);
	memcpy(copy, text.data, text.size);
	return bytes_at(copy, text.size);
}

static void flow_batch_without_anything_is_none(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_no_batch(&support);
	assert_true(flow_due(support.flow) == INT64_MAX);
	support_close(&support);
}

static void flow_batch_carries_replies_and_progress(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_chat_done(&support, 0, 0, "c");
	support_chat_done(&support, 0, 1, "d");
	struct batch *batch = support_batch(&support);
	assert_int_equal(batch->item_count, 2);
	assert_int_equal(batch->progress_count, 1);
	assert_int_equal(batch->progress[0].offset, 2);
	uint64_t commit_id = 0;
	assert_int_equal(ledger_text_commit_id(batch->progress[0].metadata, &commit_id), STATUS_OK);
	assert_true(commit_id == batch->commit_id && commit_id != 0);
	assert_int_equal(batch->end, BATCH_PENDING);
	assert_int_equal(support.committed, 0);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	assert_int_equal(support.committed, 2);
	assert_int_equal(support_gauges(&support).bytes, 0);
	support_no_batch(&support);
	support_close(&support);
}

static void flow_batch_is_one_at_a_time(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_chat_done(&support, 0, 0, "c");
	struct batch *batch = support_batch(&support);
	support_chat_done(&support, 0, 1, "c");
	support_pass(&support, 1000);
	support_no_batch(&support);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_commit(&support);
	support_close(&support);
}

static void flow_batch_replies_are_bounded(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.batch_replies_max = 2;
	support_begin(&support);
	for (int64_t offset = 0; offset < 5; offset++)
		support_take_bad(&support, 0, offset, "c");
	static const size_t items[] = { 4, 4, 2 }; /* each with its dead letter */
	for (size_t i = 0; i < 3; i++) {
		struct batch *batch = support_batch(&support);
		assert_int_equal(batch->item_count, items[i]);
		support_end_batch(&support, batch, BATCH_COMMITTED);
	}
	support_close(&support);
}

static size_t size_of(const struct outgoing *record)
{
	size_t size = record->key.size + record->value.size;
	for (size_t i = 0; i < record->headers.count; i++)
		size += record->headers.items[i].name.size + record->headers.items[i].value.size;
	return size;
}

/* How many of three equal replies one batch takes. */
static size_t taken_within(size_t bytes_max, size_t *out_size)
{
	struct support support;
	support_init(&support);
	support.options.batch_bytes_max = bytes_max;
	support_begin(&support);
	for (int64_t offset = 0; offset < 3; offset++)
		support_chat_done(&support, 0, offset, "c");
	struct batch *batch = support_batch(&support);
	size_t count = batch->item_count;
	*out_size = size_of(batch->items[0].record);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
	return count;
}

static void flow_batch_bytes_are_bounded(void **state)
{
	(void)state;
	size_t size = 0;
	assert_int_equal(taken_within(SIZE_MAX, &size), 3);
	assert_int_equal(taken_within(2 * size, &size), 2);
	assert_int_equal(taken_within(2 * size - 1, &size), 1);
}

static void flow_batch_takes_one_reply_of_any_size(void **state)
{
	(void)state;
	size_t size = 0;
	assert_int_equal(taken_within(1, &size), 1);
}

static void flow_batch_waits_for_its_interval(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_chat_done(&support, 0, 0, "c");
	struct batch *batch;
	assert_int_equal(flow_next_batch(support.flow, support.now, &batch), STATUS_OK);
	support_pass(&support, 5);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_chat_done(&support, 0, 1, "c");
	assert_int_equal(flow_due(support.flow), SUPPORT_MONO_MS + 20);
	support_pass(&support, 14);
	support_no_batch(&support);
	support_pass(&support, 1);
	assert_int_equal(flow_next_batch(support.flow, support.now, &batch), STATUS_OK);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_batch_in_a_hurry_waits_for_nothing(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_chat_done(&support, 0, 0, "c");
	support_end_batch(&support, support_batch(&support), BATCH_ABORTED);
	support_no_batch(&support);
	flow_hurry(support.flow);
	assert_true(flow_due(support.flow) <= support.now.mono_ms);
	struct batch *batch;
	assert_int_equal(flow_next_batch(support.flow, support.now, &batch), STATUS_OK);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_batch_in_a_hurry_takes_progress_alone(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 7, "c");
	support_no_batch(&support);
	struct batch *batch = support_batch(&support);
	assert_int_equal(batch->item_count, 0);
	assert_int_equal(batch->progress[0].offset, 7);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_batch_progress_is_that_of_the_touched_partitions(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_assign(&support, 1, 30, BYTES_NONE);
	support_assign(&support, 40, 5, BYTES_NONE);
	support_chat_done(&support, 40, 5, "c");
	support_chat_done(&support, 0, 0, "c");
	support_take_chat(&support, 1, 30, "c");
	struct batch *batch = support_batch(&support);
	assert_int_equal(batch->progress_count, 2);
	assert_int_equal(support_progress(batch, 0)->offset, 1);
	assert_int_equal(support_progress(batch, 40)->offset, 6);
	assert_null(support_progress(batch, 1));
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_chat_done(&support, 0, 1, "d");
	batch = support_batch(&support);
	assert_int_equal(batch->progress_count, 2 - 1);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_batch_progress_covers_what_it_carries_and_no_more(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	struct call *first = support_call(&support);
	support_chat_done(&support, 0, 1, "d");
	struct batch *batch = support_batch(&support);
	assert_int_equal(batch->progress[0].offset, 0);
	/* Whoever restores this skips the second and not the first. */
	struct support next;
	support_init(&next);
	support_start(&next);
	assert_int_equal(support_assign(&next, 0, 0, batch->progress[0].metadata), 0);
	support_take_chat(&next, 0, 0, "c");
	support_take_chat(&next, 0, 1, "d");
	assert_int_equal(next.taken, 1);
	assert_int_equal(next.notice_offset, 1);
	support_close(&next);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_answer(&support, first);
	support_close(&support);
}

static void flow_batch_aborted_gives_the_same_bytes_again_in_front(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_chat_done(&support, 0, 0, "c");
	support_take_bad(&support, 0, 1, "d");
	struct batch *batch = support_batch(&support);
	struct outgoing *records[3];
	struct bytes values[3];
	uint64_t commit_id = batch->commit_id;
	for (size_t i = 0; i < 3; i++) {
		records[i] = batch->items[i].record;
		values[i] = records[i]->value;
	}
	support_chat_done(&support, 0, 2, "e");
	support_end_batch(&support, batch, BATCH_ABORTED);
	assert_int_equal(support.committed, 0);
	batch = support_batch(&support);
	assert_int_equal(batch->item_count, 4);
	for (size_t i = 0; i < 3; i++) {
		assert_ptr_equal(batch->items[i].record, records[i]);
		assert_bytes_equal(batch->items[i].record->value, values[i]);
	}
	assert_true(batch->commit_id != commit_id);
	assert_int_equal(batch->progress[0].offset, 3);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	assert_int_equal(support.attempts, 2);
	support_close(&support);
}

static void flow_batch_aborted_backs_off_longer_each_time(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_chat_done(&support, 0, 0, "c");
	static const int64_t pauses_ms[] = { 50, 100, 200, 400, 800, 1600, 2000, 2000 };
	struct batch *batch;
	assert_int_equal(flow_next_batch(support.flow, support.now, &batch), STATUS_OK);
	for (size_t i = 0; i < sizeof(pauses_ms) / sizeof(pauses_ms[0]); i++) {
		support_end_batch(&support, batch, BATCH_ABORTED);
		assert_int_equal(flow_due(support.flow), support.now.mono_ms + pauses_ms[i]);
		support_pass(&support, pauses_ms[i] - 1);
		support_no_batch(&support);
		support_pass(&support, 1);
		assert_int_equal(flow_next_batch(support.flow, support.now, &batch), STATUS_OK);
	}
	support_end_batch(&support, batch, BATCH_COMMITTED);
	/* A success begins anew. */
	support_chat_done(&support, 0, 1, "c");
	support_end_batch(&support, support_batch(&support), BATCH_ABORTED);
	assert_int_equal(flow_due(support.flow), support.now.mono_ms + 50);
	support_close(&support);
}

/* Ends a batch as uncertain with its own, another's or no commit found; returns how many replies are committed. */
static long committed_when_found(bool has_text, bool is_own)
{
	struct support support;
	support_open(&support);
	support_chat_done(&support, 0, 0, "c");
	struct batch *batch = support_batch(&support);
	struct batch *other = NULL;
	struct support second;
	support_open(&second);
	second.now.mono_ms += 7;
	support_chat_done(&second, 0, 0, "c");
	support_end_batch(&second, support_batch(&second), BATCH_ABORTED);
	other = support_batch(&second);
	assert_int_equal(batch_make_found(batch), STATUS_OK);
	if (has_text) {
		batch->found[0].offset = 1;
		batch->found[0].metadata = copied(is_own ? batch->progress[0].metadata : other->progress[0].metadata);
	}
	support_end_batch(&second, other, BATCH_COMMITTED);
	support_close(&second);
	support_end_batch(&support, batch, BATCH_UNCERTAIN);
	long committed = support.committed;
	assert_int_equal(support_gauges(&support).replies, committed == 0 ? 1 : 0);
	support_close(&support);
	return committed;
}

static void flow_batch_uncertain_with_its_commit_found_is_committed(void **state)
{
	(void)state;
	assert_int_equal(committed_when_found(true, true), 1);
}

static void flow_batch_uncertain_with_nothing_found_is_aborted(void **state)
{
	(void)state;
	assert_int_equal(committed_when_found(false, false), 0);
}

static void flow_batch_uncertain_with_a_foreign_commit_found_is_aborted(void **state)
{
	(void)state;
	assert_int_equal(committed_when_found(true, false), 0);
}

static void flow_batch_published_keeps_its_progress_for_a_later_one(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_chat_done(&support, 0, 0, "c");
	support_end_batch(&support, support_batch(&support), BATCH_PUBLISHED);
	assert_int_equal(support.committed, 1);
	assert_int_equal(flow_due(support.flow), support.now.mono_ms + 1000);
	support_pass(&support, 1000);
	struct batch *batch;
	assert_int_equal(flow_next_batch(support.flow, support.now, &batch), STATUS_OK);
	assert_int_equal(batch->item_count, 0);
	assert_int_equal(batch->progress[0].offset, 1);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_no_batch(&support);
	assert_true(flow_due(support.flow) == INT64_MAX);
	support_close(&support);
}

/* A batch of a rejected chat whose item has a fault: aborted, and the next batch is returned. */
static struct batch *after_fault(struct support *support, size_t item, enum batch_item_fault fault)
{
	struct batch *batch = support_batch(support);
	batch->items[item].fault = fault;
	support_end_batch(support, batch, BATCH_ABORTED);
	return support_batch(support);
}

static void flow_batch_reply_the_topic_refuses_becomes_reply_too_large_once(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_chat_done(&support, 0, 0, "c");
	struct batch *batch = after_fault(&support, 0, BATCH_ITEM_TOO_LARGE);
	assert_int_equal(support.notices[FLOW_NOTICE_REPLY_REFUSED], 1);
	struct chat_client_response reply = support_reply(&support, batch, 0);
	assert_text_equal(reply.reason, "reply_too_large");
	assert_text_equal(reply.content, "Later, please.");
	assert_int_equal(reply.attempts, 1);
	/* A second time without its echoes; after that nothing smaller can be made. */
	batch->items[0].fault = BATCH_ITEM_TOO_LARGE;
	support_end_batch(&support, batch, BATCH_ABORTED);
	batch = support_batch(&support);
	struct outgoing *record = batch->items[0].record;
	batch->items[0].fault = BATCH_ITEM_TOO_LARGE;
	support_end_batch(&support, batch, BATCH_ABORTED);
	batch = support_batch(&support);
	assert_ptr_equal(batch->items[0].record, record);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_batch_reply_too_large_has_a_dead_letter_when_fallbacks_do(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.dead_letter_on_fallback = true;
	support_begin(&support);
	support_chat_done(&support, 0, 0, "c");
	struct batch *batch = after_fault(&support, 0, BATCH_ITEM_TOO_LARGE);
	assert_int_equal(batch->item_count, 2);
	assert_text_equal(support_header(batch->items[1].record, "dlq-reason"), "reply_too_large");
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_batch_reply_topic_that_is_missing_becomes_the_default(void **state)
{
	(void)state;
	static const struct bytes topic = { "gone", 4 };
	struct support support;
	support_init(&support);
	support.options.reply_topics = &topic;
	support.options.reply_topic_count = 1;
	support_begin(&support);
	struct record source = support_record();
	struct record_header header = { BYTES_LITERAL("reply-to"), BYTES_LITERAL("gone") };
	source.headers = (struct record_headers){ &header, 1 };
	support_take(&support, &source);
	support_answer(&support, support_call(&support));
	struct batch *batch = after_fault(&support, 0, BATCH_ITEM_NO_TOPIC);
	assert_text_equal(batch->items[0].record->topic, "chat.responses");
	assert_text_equal(support_reply(&support, batch, 0).outcome, "answered");
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_batch_dead_letter_the_topic_refuses_goes_without_its_value(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_bad(&support, 0, 0, "c");
	struct batch *batch = after_fault(&support, 1, BATCH_ITEM_TOO_LARGE);
	assert_int_equal(support.notices[FLOW_NOTICE_DEAD_LETTER_REFUSED], 1);
	assert_int_equal(batch->item_count, 2);
	assert_false(bytes_is_given(batch->items[1].record->value));
	assert_text_equal(support_header(batch->items[1].record, "dlq-value-omitted"), "too_large");
	assert_text_equal(support_reply(&support, batch, 0).reason, "decode");
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_batch_dead_letter_refused_twice_is_dropped(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_bad(&support, 0, 0, "c");
	struct batch *batch = after_fault(&support, 1, BATCH_ITEM_TOO_LARGE);
	batch->items[1].fault = BATCH_ITEM_TOO_LARGE;
	support_end_batch(&support, batch, BATCH_ABORTED);
	assert_int_equal(support.notices[FLOW_NOTICE_DEAD_LETTER_DROPPED], 1);
	batch = support_batch(&support);
	assert_int_equal(batch->item_count, 1);
	assert_text_equal(support_reply(&support, batch, 0).reason, "decode");
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_batch_dead_letter_without_topic_is_dropped(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_bad(&support, 0, 0, "c");
	struct batch *batch = after_fault(&support, 1, BATCH_ITEM_NO_TOPIC);
	assert_int_equal(support.notices[FLOW_NOTICE_DEAD_LETTER_DROPPED], 1);
	assert_int_equal(batch->item_count, 1);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_batch_without_anything_is_none),
		cmocka_unit_test(flow_batch_carries_replies_and_progress),
		cmocka_unit_test(flow_batch_is_one_at_a_time),
		cmocka_unit_test(flow_batch_replies_are_bounded),
		cmocka_unit_test(flow_batch_bytes_are_bounded),
		cmocka_unit_test(flow_batch_takes_one_reply_of_any_size),
		cmocka_unit_test(flow_batch_waits_for_its_interval),
		cmocka_unit_test(flow_batch_in_a_hurry_waits_for_nothing),
		cmocka_unit_test(flow_batch_in_a_hurry_takes_progress_alone),
		cmocka_unit_test(flow_batch_progress_is_that_of_the_touched_partitions),
		cmocka_unit_test(flow_batch_progress_covers_what_it_carries_and_no_more),
		cmocka_unit_test(flow_batch_aborted_gives_the_same_bytes_again_in_front),
		cmocka_unit_test(flow_batch_aborted_backs_off_longer_each_time),
		cmocka_unit_test(flow_batch_uncertain_with_its_commit_found_is_committed),
		cmocka_unit_test(flow_batch_uncertain_with_nothing_found_is_aborted),
		cmocka_unit_test(flow_batch_uncertain_with_a_foreign_commit_found_is_aborted),
		cmocka_unit_test(flow_batch_published_keeps_its_progress_for_a_later_one),
		cmocka_unit_test(flow_batch_reply_the_topic_refuses_becomes_reply_too_large_once),
		cmocka_unit_test(flow_batch_reply_too_large_has_a_dead_letter_when_fallbacks_do),
		cmocka_unit_test(flow_batch_reply_topic_that_is_missing_becomes_the_default),
		cmocka_unit_test(flow_batch_dead_letter_the_topic_refuses_goes_without_its_value),
		cmocka_unit_test(flow_batch_dead_letter_refused_twice_is_dropped),
		cmocka_unit_test(flow_batch_dead_letter_without_topic_is_dropped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
