/* Memory is bounded by the options: when a bound is reached no more is read, and when it is left reading goes on. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/flow_support.h"

static void flow_bound_on_waiting_chats_stops_reading(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.waiting_max = 3;
	support_begin(&support);
	for (int64_t offset = 0; offset < 3; offset++) {
		assert_true(flow_wants(support.flow, 0));
		support_take_chat(&support, 0, offset, "c");
	}
	assert_false(flow_wants(support.flow, 0));
	support_answer(&support, support_call(&support));
	assert_true(flow_wants(support.flow, 0));
	support_close(&support);
}

static void flow_bound_on_unpublished_replies_stops_reading(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.waiting_max = 3;
	support_begin(&support);
	for (int64_t offset = 0; offset < 3; offset++)
		support_chat_done(&support, 0, offset, "c");
	assert_int_equal(support_gauges(&support).waiting, 0);
	assert_false(flow_wants(support.flow, 0));
	support_commit(&support);
	assert_true(flow_wants(support.flow, 0));
	support_close(&support);
}

static void flow_bound_on_bytes_stops_reading(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	size_t bytes = support_gauges(&support).bytes;
	assert_in_range(bytes, 4096, 8192);
	support_close(&support);

	support_init(&support);
	support.options.bytes_max = 2 * bytes;
	support_begin(&support);
	support_take_chat(&support, 0, 0, "c");
	assert_true(flow_wants(support.flow, 0));
	support_take_chat(&support, 0, 1, "c");
	assert_false(flow_wants(support.flow, 0));
	/* A reply is no relief until it is committed. */
	support_answer(&support, support_call(&support));
	assert_false(flow_wants(support.flow, 0));
	support_commit(&support);
	assert_true(flow_wants(support.flow, 0));
	support_close(&support);
}

static void flow_bound_on_bytes_counts_calls_until_they_are_back(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	size_t bytes = support_gauges(&support).bytes;
	support_close(&support);

	/* Room for one chat with its call, or for two chats without. */
	support_init(&support);
	support.options.bytes_max = bytes + sizeof(struct call) + 1;
	support_begin(&support);
	support_take_chat(&support, 0, 0, "c");
	assert_true(flow_wants(support.flow, 0));
	struct call *call = support_call(&support);
	assert_false(flow_wants(support.flow, 0));
	support_fail_wait(&support, call, 1000);
	assert_true(flow_wants(support.flow, 0));
	support_close(&support);
}

/* A partition that could fill all the room would stop every other one. */
static void flow_bound_on_waiting_chats_leaves_room_for_a_quiet_partition(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.waiting_max = 10;
	support_begin(&support);
	support_assign(&support, 1, -1, BYTES_NONE);
	int64_t taken = 0;
	while (flow_wants(support.flow, 0))
		support_take_chat(&support, 0, taken++, "c");
	assert_int_equal(taken, 5);
	assert_true(flow_wants(support.flow, 1));
	support_take_chat(&support, 1, 0, "c");
	assert_true(flow_wants(support.flow, 1));
	/* Alone, it may have all of it. */
	flow_revoke(support.flow, 1, support.now);
	while (flow_wants(support.flow, 0))
		support_take_chat(&support, 0, taken++, "c");
	assert_int_equal(taken, 10);
	support_close(&support);
}

static void flow_bound_on_bytes_counts_what_a_chat_grows(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	struct record source = support_record();
	support_take(&support, &source);
	size_t before = support_gauges(&support).bytes;
	struct call *call = support_call(&support);
	static const char text[20000] = "an answer";
	call->result.answer.content = bytes_at(text, sizeof(text));
	flow_call_done(support.flow, call, support.now);
	assert_true(support_gauges(&support).bytes >= before + 20000);
	support_commit(&support);
	assert_int_equal(support_gauges(&support).bytes, 0);
	support_close(&support);
}

static void flow_bound_on_calls_holds_chats_back(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.in_flight_max = 2;
	support_begin(&support);
	support_take_chat(&support, 0, 3, "c");
	support_take_chat(&support, 0, 4, "d");
	support_take_chat(&support, 0, 5, "e");
	struct call *first = support_call(&support), *second = support_call(&support);
	support_no_call(&support);
	assert_int_equal(support_gauges(&support).in_flight, 2);
	assert_int_equal(support_gauges(&support).ready, 1);
	support_answer(&support, first);
	struct call *third = support_call(&support);
	assert_int_equal(support_gauges(&support).ready, 0);
	support_answer(&support, second);
	support_answer(&support, third);
	support_close(&support);
}

static void flow_bound_on_calls_counts_those_nobody_waits_for(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.in_flight_max = 1;
	support_begin(&support);
	support_take_chat(&support, 0, 0, "c");
	struct call *call = support_call(&support);
	flow_revoke(support.flow, 0, support.now);
	support_assign(&support, 0, -1, BYTES_NONE);
	support_take_chat(&support, 0, 0, "c");
	(void)support_cancel(&support);
	support_no_call(&support);
	support_answer(&support, call);
	support_answer(&support, support_call(&support));
	support_close(&support);
}

/* One chat open at 0, everything above it finished up to the end of the ledger's window. */
static struct call *fill_window(struct support *support)
{
	support_init(support);
	support->options.waiting_max = LEDGER_WINDOW * 2;
	support->options.bytes_max = SIZE_MAX;
	support->options.batch_replies_max = LEDGER_WINDOW;
	support->options.batch_bytes_max = SIZE_MAX;
	support_begin(support);
	support_take_chat(support, 0, 0, "slow");
	struct call *call = support_call(support);
	support_take_bad(support, 0, LEDGER_WINDOW - 1, "c");
	support_commit(support);
	return call;
}

static void flow_bound_of_the_window_stops_reading(void **state)
{
	(void)state;
	struct support support;
	struct call *call = fill_window(&support);
	struct flow_partition_gauges gauges;
	assert_int_equal(flow_partition_gauges(support.flow, 0, &gauges), STATUS_OK);
	assert_int_equal(gauges.finished_above, LEDGER_WINDOW - 1);
	assert_false(flow_wants(support.flow, 0));
	support_answer(&support, call);
	assert_false(flow_wants(support.flow, 0));
	support_commit(&support);
	assert_true(flow_wants(support.flow, 0));
	support_close(&support);
}

static void flow_bound_of_the_window_holds_a_record_until_it_moved(void **state)
{
	(void)state;
	struct support support;
	struct call *call = fill_window(&support);
	long taken = support.taken;
	/* It was read before flow_wants() could tell. */
	support_take_chat(&support, 0, LEDGER_WINDOW + 4, "c");
	assert_int_equal(support.taken, taken);
	assert_false(flow_wants(support.flow, 0));
	support_answer(&support, call);
	struct batch *batch = support_batch(&support);
	support_end_batch(&support, batch, BATCH_ABORTED);
	assert_int_equal(support.taken, taken);
	support_commit(&support);
	assert_int_equal(support.taken, taken + 1);
	assert_true(flow_wants(support.flow, 0));
	support_answer(&support, support_call(&support));
	batch = support_batch(&support);
	assert_int_equal(support_offset(&support, batch, 0), LEDGER_WINDOW + 4);
	assert_int_equal(batch->progress[0].offset, LEDGER_WINDOW + 5);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_bound_of_the_window_forgets_a_held_record_of_a_revoked_partition(void **state)
{
	(void)state;
	struct support support;
	struct call *call = fill_window(&support);
	support_take_chat(&support, 0, LEDGER_WINDOW, "c");
	flow_revoke(support.flow, 0, support.now);
	support_answer(&support, call);
	assert_int_equal(support_assign(&support, 0, LEDGER_WINDOW, BYTES_NONE), LEDGER_WINDOW);
	assert_true(flow_wants(support.flow, 0));
	support_chat_done(&support, 0, LEDGER_WINDOW, "c");
	support_commit(&support);
	support_close(&support);
}

static void flow_bound_of_the_window_forgets_a_held_record_when_it_drains(void **state)
{
	(void)state;
	struct support support;
	struct call *call = fill_window(&support);
	long taken = support.taken;
	support_take_chat(&support, 0, LEDGER_WINDOW, "c");
	flow_drain(support.flow, support.now.mono_ms + 5000);
	support_answer(&support, call);
	support_commit(&support);
	assert_int_equal(support.taken, taken);
	assert_true(flow_is_idle(support.flow));
	support_close(&support);
}

static void flow_gauges_count_each_state(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.in_flight_max = 2;
	support_begin(&support);
	support_assign(&support, 1, -1, BYTES_NONE);
	support_chat_done(&support, 0, 0, "c");
	support_take_chat(&support, 0, 1, "c");
	support_take_chat(&support, 0, 2, "c");
	support_take_chat(&support, 0, 3, "d");
	support_take_chat(&support, 1, 0, "c");
	struct call *first = support_call(&support), *second = support_call(&support);
	struct flow_gauges gauges = support_gauges(&support);
	assert_int_equal(gauges.partitions, 2);
	assert_int_equal(gauges.in_flight, 2);
	assert_int_equal(gauges.waiting, 4);
	assert_int_equal(gauges.ready, 1);
	assert_int_equal(gauges.replies, 1);
	assert_int_equal(gauges.lanes, 3);
	assert_true(gauges.bytes >= 5 * sizeof(struct job));
	support_answer(&support, first);
	support_answer(&support, second);
	support_close(&support);
}

/* A key that no topic takes would have the reply refused for ever, and every other one with it. */
static void flow_rejected_with_a_huge_key_is_replied_to_without_it(void **state)
{
	(void)state;
	static char key[100000];
	memset(key, 'k', sizeof(key));
	struct support support;
	support_open(&support);
	struct record source = support_record();
	source.key = bytes_at(key, sizeof(key));
	source.value = BYTES_LITERAL("{");
	support_take(&support, &source);
	struct batch *batch = support_batch(&support);
	assert_int_equal(batch->item_count, 2);
	assert_false(bytes_is_given(batch->items[0].record->key));
	assert_true(batch->items[0].record->value.size < 4096);
	/* The dead letter is the original, whatever it is. */
	assert_int_equal(batch->items[1].record->key.size, sizeof(key));
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

/* What a request has echoed can be larger than what the topic takes; the reply would be refused for ever with it. */
static void flow_reply_refused_twice_goes_without_its_echoes(void **state)
{
	(void)state;
	static char large[4096];
	memset(large, 'x', sizeof(large));
	const struct record_header headers[] = { { BYTES_LITERAL("correlation-id"), bytes_at(large, sizeof(large)) },
		{ BYTES_LITERAL("kafka_replyPartition"), bytes_at(large, sizeof(large)) } };
	struct support support;
	support_open(&support);
	struct record source = support_record();
	source.headers = (struct record_headers){ headers, 2 };
	support_take(&support, &source);
	support_answer(&support, support_call(&support));
	struct batch *batch = support_batch(&support);
	assert_int_equal(support_header(batch->items[0].record, "correlation-id").size, 4096);
	batch->items[0].fault = BATCH_ITEM_TOO_LARGE;
	support_end_batch(&support, batch, BATCH_ABORTED);
	batch = support_batch(&support);
	assert_int_equal(support_header(batch->items[0].record, "correlation-id").size, 4096);
	batch->items[0].fault = BATCH_ITEM_TOO_LARGE;
	support_end_batch(&support, batch, BATCH_ABORTED);
	batch = support_batch(&support);
	struct chat_client_response reply = support_reply(&support, batch, 0);
	assert_text_equal(reply.reason, "reply_too_large");
	assert_bytes_equal(support_header(batch->items[0].record, "correlation-id"), reply.request_id);
	assert_false(bytes_is_given(record_headers_last(&batch->items[0].record->headers, "kafka_replyPartition")));
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_rejected_with_many_headers_keeps_them_in_its_dead_letter(void **state)
{
	(void)state;
	enum { HEADERS = 50000 };
	struct record_header *headers = calloc(HEADERS, sizeof(*headers));
	assert_non_null(headers);
	for (int i = 0; i < HEADERS; i++)
		headers[i] = (struct record_header){ .name = BYTES_LITERAL("h"), .value = BYTES_LITERAL("v") };
	struct support support;
	support_open(&support);
	struct record source = support_record();
	source.value = BYTES_LITERAL("{");
	source.headers = (struct record_headers){ .items = headers, .count = HEADERS };
	support_take(&support, &source);
	free(headers);
	struct batch *batch = support_batch(&support);
	assert_int_equal(batch->item_count, 2);
	assert_true(batch->items[1].record->headers.count > HEADERS);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_rejected_with_a_huge_key_is_replied_to_without_it),
		cmocka_unit_test(flow_reply_refused_twice_goes_without_its_echoes),
		cmocka_unit_test(flow_rejected_with_many_headers_keeps_them_in_its_dead_letter),
		cmocka_unit_test(flow_bound_on_waiting_chats_stops_reading),
		cmocka_unit_test(flow_bound_on_unpublished_replies_stops_reading),
		cmocka_unit_test(flow_bound_on_bytes_stops_reading),
		cmocka_unit_test(flow_bound_on_waiting_chats_leaves_room_for_a_quiet_partition),
		cmocka_unit_test(flow_bound_on_bytes_counts_calls_until_they_are_back),
		cmocka_unit_test(flow_bound_on_bytes_counts_what_a_chat_grows),
		cmocka_unit_test(flow_bound_on_calls_holds_chats_back),
		cmocka_unit_test(flow_bound_on_calls_counts_those_nobody_waits_for),
		cmocka_unit_test(flow_bound_of_the_window_stops_reading),
		cmocka_unit_test(flow_bound_of_the_window_holds_a_record_until_it_moved),
		cmocka_unit_test(flow_bound_of_the_window_forgets_a_held_record_of_a_revoked_partition),
		cmocka_unit_test(flow_bound_of_the_window_forgets_a_held_record_when_it_drains),
		cmocka_unit_test(flow_gauges_count_each_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
