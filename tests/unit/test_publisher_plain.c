/* publisher at_least_once: no transactions, plain offset commits. */
#include "tests/unit/publisher_bench.h"

static void run_as_nobody(struct bench *bench, size_t count)
{
	struct batch *batch = make_batch(bench, bench->topic, count);
	free((void *)(uintptr_t)batch->group.data);
	batch->group = BYTES_NONE;
	run(bench, batch);
	assert_int_equal(batch->end, BATCH_PUBLISHED);
	free_batch(bench, batch);
}

/* at_least_once: the replies are stored, the progress waits for a membership. */
static void plain_notAMember_isPublished(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	bench->settings.kafka.delivery = SETTINGS_DELIVERY_AT_LEAST_ONCE;
	make_ready(bench);
	run_as_nobody(bench, 3);
	assert_int_equal(stored(bench), 3);
	assert_int_equal(count_of(bench, METRIC_COMMITS, "published"), 1);
	close_bench(bench);
}

static void plain_member_isCommittedWithMetadata(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	bench->settings.kafka.delivery = SETTINGS_DELIVERY_AT_LEAST_ONCE;
	make_ready(bench);
	run_to(bench, 3, BATCH_COMMITTED);
	struct batch_progress found = { .partition = 1 };
	assert_int_equal(source_committed(bench->source, &found, 1, WAIT_MS), STATUS_OK);
	assert_int_equal(found.offset, 5);
	assert_text_equal(found.metadata, "progress");
	free((void *)(uintptr_t)found.metadata.data);
	run_to(bench, 0, BATCH_COMMITTED);
	close_bench(bench);
}

static void plain_refusedRecord_isAbortedThenGood(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	bench->settings.kafka.delivery = SETTINGS_DELIVERY_AT_LEAST_ONCE;
	make_ready(bench);
	rd_kafka_mock_push_request_errors(
		bench->fixture->cluster, API_PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	struct batch *batch = make_batch(bench, bench->topic, 1);
	run(bench, batch);
	assert_int_equal(batch->end, BATCH_ABORTED);
	assert_int_equal(batch->items[0].fault, BATCH_ITEM_TOO_LARGE);
	free_batch(bench, batch);
	run_to(bench, 1, BATCH_COMMITTED);
	close_bench(bench);
}

static void plain_topicDenied_isAtFaultUntilAllowed(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	bench->settings.kafka.delivery = SETTINGS_DELIVERY_AT_LEAST_ONCE;
	make_ready(bench);
	rd_kafka_mock_push_request_errors(
		bench->fixture->cluster, API_PRODUCE, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
	struct batch *batch = make_batch(bench, bench->topic, 1);
	run(bench, batch);
	assert_int_equal(batch->end, BATCH_ABORTED);
	assert_int_equal(batch->items[0].fault, BATCH_ITEM_NO_TOPIC);
	wait_until(batch->end == BATCH_COMMITTED, run(bench, batch));
	assert_int_equal(batch->items[0].fault, BATCH_ITEM_FINE);
	free_batch(bench, batch);
	close_bench(bench);
}

/* No broker any more: the records come back unsent, within their time. */
static void plain_brokerGone_isAborted(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	bench->settings.kafka.delivery = SETTINGS_DELIVERY_AT_LEAST_ONCE;
	const char *item = "message.timeout.ms=500";
	bench->settings.kafka.producer_properties = (struct settings_list){ &item, 1 };
	make_ready(bench);
	assert_int_equal(rd_kafka_mock_broker_set_down(bench->fixture->cluster, 1), 0);
	run_to(bench, 2, BATCH_ABORTED);
	assert_int_equal(rd_kafka_mock_broker_set_up(bench->fixture->cluster, 1), 0);
	close_bench(bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_notAMember_isPublished),
		cmocka_unit_test(plain_member_isCommittedWithMetadata),
		cmocka_unit_test(plain_refusedRecord_isAbortedThenGood),
		cmocka_unit_test(plain_topicDenied_isAtFaultUntilAllowed),
		cmocka_unit_test(plain_brokerGone_isAborted),
	};
	cmocka_set_test_filter(getenv("ONLY"));
	return cmocka_run_group_tests(tests, start_shared, stop_shared);
}
