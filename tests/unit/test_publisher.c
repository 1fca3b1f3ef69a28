/* publisher: every end of a transaction, with injected errors. */
#include "tests/unit/publisher_bench.h"
#include "worker/edge/publisher_state.h"

static void commit_records_arriveWhole(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	make_ready(bench);
	run_to(bench, 3, BATCH_COMMITTED);
	rd_kafka_t *reader = open_reader(bench);
	for (int i = 0; i < 3; i++) {
		char expected[32];
		(void)snprintf(expected, sizeof(expected), "value-%d", i);
		rd_kafka_message_t *message = read_one(reader);
		assert_text_equal(bytes_at(message->payload, message->len), expected);
		assert_text_equal(bytes_at(message->key, message->key_len), "conversation");
		/* murmur2 of the key, as Java's partitioner has it, over two partitions. */
		assert_int_equal(message->partition,
			rd_kafka_msg_partitioner_murmur2(NULL, message->key, message->key_len, 2, NULL, NULL));
		rd_kafka_timestamp_type_t type;
		assert_int_equal(rd_kafka_message_timestamp(message, &type), 1234567);
		rd_kafka_headers_t *headers = NULL;
		const void *value = NULL;
		size_t size = 0;
		assert_int_equal(rd_kafka_message_headers(message, &headers), RD_KAFKA_RESP_ERR_NO_ERROR);
		assert_int_equal(rd_kafka_header_cnt(headers), 2);
		assert_int_equal(rd_kafka_header_get_last(headers, "correlation-id", &value, &size), 0);
		assert_text_equal(bytes_at(value, size), "abc");
		rd_kafka_message_destroy(message);
	}
	rd_kafka_consumer_close(reader);
	rd_kafka_destroy(reader);
	assert_int_equal(count_of(bench, METRIC_COMMITS, "committed"), 1);
	close_bench(bench);
}

static void commit_nullAndEmptyValue_stayDifferent(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	make_ready(bench);
	struct batch *batch = make_batch(bench, bench->topic, 2);
	bench->records[0].value = BYTES_NONE;
	bench->records[1].value = BYTES_LITERAL("");
	run(bench, batch);
	assert_int_equal(batch->end, BATCH_COMMITTED);
	free_batch(bench, batch);
	rd_kafka_t *reader = open_reader(bench);
	rd_kafka_message_t *message = read_one(reader);
	assert_null(message->payload);
	rd_kafka_message_destroy(message);
	message = read_one(reader);
	assert_non_null(message->payload);
	assert_int_equal(message->len, 0);
	rd_kafka_message_destroy(message);
	rd_kafka_consumer_close(reader);
	rd_kafka_destroy(reader);
	close_bench(bench);
}

static void commit_progressAlone_isCommitted(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	make_ready(bench);
	run_to(bench, 0, BATCH_COMMITTED);
	close_bench(bench);
}

static void put_secondBatch_isBusy(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	make_ready(bench);
	struct batch *batch = make_batch(bench, bench->topic, 1);
	struct batch *other = batch_new(1, 1);
	assert_int_equal(publisher_wait(bench->publisher, 0), STATUS_OK);
	assert_int_equal(publisher_put(bench->publisher, batch), STATUS_OK);
	assert_int_equal(publisher_put(bench->publisher, other), STATUS_BUSY);
	assert_int_equal(publisher_wait(bench->publisher, WAIT_MS), STATUS_OK);
	/* Back, but not taken yet. */
	assert_int_equal(publisher_put(bench->publisher, other), STATUS_BUSY);
	struct batch *back = NULL;
	assert_int_equal(publisher_take(bench->publisher, &back), STATUS_OK);
	free_batch(bench, back);
	batch_free(other);
	close_bench(bench);
}

/* Nothing may be written on behalf of a member that is none. */
static void run_withoutIdentity_isAbortedUnsent(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	make_ready(bench);
	rd_kafka_consumer_group_metadata_destroy(bench->group);
	bench->group = rd_kafka_consumer_group_metadata_new_with_genid("group", -1, "", NULL);
	run_to(bench, 2, BATCH_ABORTED);
	assert_int_equal(stored(bench), 0);
	close_bench(bench);
}

static void run_staleGeneration_isAbortedThenGood(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	make_ready(bench);
	rd_kafka_mock_push_request_errors(
		bench->fixture->cluster, API_TXN_OFFSET_COMMIT, 1, RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION);
	run_to(bench, 2, BATCH_ABORTED);
	run_to(bench, 2, BATCH_COMMITTED);
	assert_int_equal(count_of(bench, METRIC_COMMITS, "aborted"), 1);
	assert_int_equal(count_of(bench, METRIC_PRODUCER_RESTARTS, "fatal"), 0);
	close_bench(bench);
}

static void run_passingErrors_areRepeated(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	make_ready(bench);
	rd_kafka_mock_push_request_errors(
		bench->fixture->cluster, API_ADD_PARTITIONS, 1, RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS);
	rd_kafka_mock_push_request_errors(
		bench->fixture->cluster, API_TXN_OFFSET_COMMIT, 1, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS);
	rd_kafka_mock_push_request_errors(
		bench->fixture->cluster, API_END_TXN, 1, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS);
	run_to(bench, 2, BATCH_COMMITTED);
	close_bench(bench);
}

static void assert_renewed(struct bench *bench, const char *reason)
{
	struct batch *batch = make_batch(bench, bench->topic, 2);
	run(bench, batch);
	assert_int_equal(batch->end, BATCH_UNCERTAIN);
	assert_non_null(batch->found);
	assert_int_equal(batch->found[0].partition, 1);
	/* The mock has forgotten the transactional offset. */
	assert_false(bytes_is_given(batch->found[0].metadata));
	free_batch(bench, batch);
	assert_int_equal(count_of(bench, METRIC_PRODUCER_RESTARTS, reason), 1);
}

static void run_fenced_isUncertainThenGood(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	make_ready(bench);
	rd_kafka_mock_push_request_errors(
		bench->fixture->cluster, API_END_TXN, 1, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH);
	assert_renewed(bench, "fenced");
	assert_int_equal(count_of(bench, METRIC_COMMITS, "uncertain"), 1);
	run_to(bench, 2, BATCH_COMMITTED);
	close_bench(bench);
}

static void run_fencedAgainSoon_isATwin(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	make_ready(bench);
	for (int i = 0; i < 2; i++) {
		rd_kafka_mock_push_request_errors(
			bench->fixture->cluster, API_END_TXN, 1, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH);
		run_to(bench, 1, BATCH_UNCERTAIN);
	}
	assert_int_equal(count_of(bench, METRIC_PRODUCER_RESTARTS, "fenced"), 1);
	assert_int_equal(count_of(bench, METRIC_PRODUCER_RESTARTS, "twin"), 1);
	run_to(bench, 1, BATCH_COMMITTED);
	close_bench(bench);
}

/* Rule E1: librdkafka sends EndTxn again and is answered, but the first copy never was. */
static void run_endTxnDisconnected_isUncertain(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	make_ready(bench);
	rd_kafka_mock_push_request_errors(bench->fixture->cluster, API_END_TXN, 1, RD_KAFKA_RESP_ERR__TRANSPORT);
	assert_renewed(bench, "unanswered");
	run_to(bench, 2, BATCH_COMMITTED);
	close_bench(bench);
}

/* The same for the other requests of a transaction. */
static void run_produceDisconnected_isUncertain(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	make_ready(bench);
	rd_kafka_mock_push_request_errors(bench->fixture->cluster, API_PRODUCE, 1, RD_KAFKA_RESP_ERR__TRANSPORT);
	assert_renewed(bench, "unanswered");
	close_bench(bench);
}

/* Fenced by a twin while there was nothing to do: the next batch gets a new producer first, and is not lost. */
static void run_fatalWhileIdle_isRenewedFirst(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	make_ready(bench);
	run_to(bench, 1, BATCH_COMMITTED);
	/* Its thread waits for work and leaves the producer where it is. */
	assert_int_equal(rd_kafka_test_fatal_error(bench->publisher->rk, RD_KAFKA_RESP_ERR__FENCED, "a test"), 0);
	run_to(bench, 2, BATCH_COMMITTED);
	assert_int_equal(count_of(bench, METRIC_PRODUCER_RESTARTS, "fenced"), 1);
	assert_int_equal(count_of(bench, METRIC_COMMITS, "uncertain"), 0);
	close_bench(bench);
}

static void run_deniedTransactionalId_backsOffAndGoesOn(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	rd_kafka_mock_push_request_errors(bench->fixture->cluster, API_INIT_PRODUCER_ID, 1,
		RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
	make_ready(bench);
	run_to(bench, 1, BATCH_COMMITTED);
	close_bench(bench);
}

static void run_oneTooLarge_isTheOneAtFault(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	make_ready(bench);
	struct batch *batch = make_batch(bench, bench->topic, 3);
	/* Larger than message.max.bytes: refused before it is sent. */
	size_t size = 1000000;
	char *large = calloc(1, size);
	assert_non_null(large);
	bench->records[1].value = bytes_at(large, size);
	run(bench, batch);
	assert_int_equal(batch->end, BATCH_ABORTED);
	assert_int_equal(batch->items[0].fault, BATCH_ITEM_FINE);
	assert_int_equal(batch->items[1].fault, BATCH_ITEM_TOO_LARGE);
	assert_int_equal(batch->items[2].fault, BATCH_ITEM_FINE);
	free(large);
	bench->records[1].value = BYTES_LITERAL("smaller");
	run(bench, batch);
	assert_int_equal(batch->end, BATCH_COMMITTED);
	assert_int_equal(batch->items[1].fault, BATCH_ITEM_FINE);
	free_batch(bench, batch);
	close_bench(bench);
}

/* One request with three records was too large: alone, each of them is not. */
static void run_requestTooLarge_goesOneByOne(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	make_ready(bench);
	rd_kafka_mock_push_request_errors(
		bench->fixture->cluster, API_PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	run_to(bench, 3, BATCH_COMMITTED);
	close_bench(bench);
}

static void run_tooLargeAlone_isAtFault(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	make_ready(bench);
	rd_kafka_mock_push_request_errors(bench->fixture->cluster, API_PRODUCE, 2, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
		RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	struct batch *batch = make_batch(bench, bench->topic, 3);
	run(bench, batch);
	assert_int_equal(batch->end, BATCH_ABORTED);
	assert_int_equal(batch->items[0].fault, BATCH_ITEM_TOO_LARGE);
	assert_int_equal(batch->items[1].fault, BATCH_ITEM_FINE);
	assert_int_equal(batch->items[2].fault, BATCH_ITEM_FINE);
	free_batch(bench, batch);
	run_to(bench, 3, BATCH_COMMITTED);
	close_bench(bench);
}

static void run_missingTopic_isAtFault(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	rd_kafka_mock_topic_set_error(bench->fixture->cluster, "missing", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
	make_ready(bench);
	struct batch *batch = make_batch(bench, "missing", 2);
	run(bench, batch);
	assert_int_equal(batch->end, BATCH_ABORTED);
	assert_int_equal(batch->items[0].fault, BATCH_ITEM_NO_TOPIC);
	free_batch(bench, batch);
	run_to(bench, 2, BATCH_COMMITTED);
	close_bench(bench);
}

static void run_topicDenied_isAtFault(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	make_ready(bench);
	rd_kafka_mock_push_request_errors(
		bench->fixture->cluster, API_PRODUCE, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
	struct batch *batch = make_batch(bench, bench->topic, 1);
	run(bench, batch);
	assert_int_equal(batch->end, BATCH_ABORTED);
	assert_int_equal(batch->items[0].fault, BATCH_ITEM_NO_TOPIC);
	free_batch(bench, batch);
	close_bench(bench);
}

static void start_refusedProperty_isInvalid(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	const char *item = "acks=1";
	bench->settings.kafka.producer_properties = (struct settings_list){ &item, 1 };
	const struct publisher_options options = {
		.settings = &bench->settings,
		.source = bench->source,
		.metrics = bench->metrics,
	};
	assert_int_equal(publisher_start(&options, &bench->publisher), STATUS_INVALID);
	assert_null(bench->publisher);
	close_bench(bench);
}

/* The batch that waits for a broker is abandoned with the publisher. */
static void stop_noBroker_isBounded(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	bench->settings.kafka.bootstrap_servers = "127.0.0.1:1";
	start_bench(bench);
	struct batch *batch = make_batch(bench, bench->topic, 2);
	assert_int_equal(publisher_put(bench->publisher, batch), STATUS_OK);
	assert_int_equal(publisher_wait(bench->publisher, 10), STATUS_TIMEOUT);
	assert_false(publisher_is_ready(bench->publisher));
	close_bench(bench);
	free_batch(bench, NULL);
}

static void stop_batchNotTaken_freesIt(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	make_ready(bench);
	struct batch *batch = make_batch(bench, bench->topic, 2);
	assert_int_equal(publisher_put(bench->publisher, batch), STATUS_OK);
	assert_int_equal(publisher_wait(bench->publisher, WAIT_MS), STATUS_OK);
	close_bench(bench);
	free_batch(bench, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commit_records_arriveWhole),
		cmocka_unit_test(commit_nullAndEmptyValue_stayDifferent),
		cmocka_unit_test(commit_progressAlone_isCommitted),
		cmocka_unit_test(put_secondBatch_isBusy),
		cmocka_unit_test(run_withoutIdentity_isAbortedUnsent),
		cmocka_unit_test(run_staleGeneration_isAbortedThenGood),
		cmocka_unit_test(run_passingErrors_areRepeated),
		cmocka_unit_test(run_fenced_isUncertainThenGood),
		cmocka_unit_test(run_fencedAgainSoon_isATwin),
		cmocka_unit_test(run_endTxnDisconnected_isUncertain),
		cmocka_unit_test(run_produceDisconnected_isUncertain),
		cmocka_unit_test(run_fatalWhileIdle_isRenewedFirst),
		cmocka_unit_test(run_deniedTransactionalId_backsOffAndGoesOn),
		cmocka_unit_test(run_oneTooLarge_isTheOneAtFault),
		cmocka_unit_test(run_requestTooLarge_goesOneByOne),
		cmocka_unit_test(run_tooLargeAlone_isAtFault),
		cmocka_unit_test(run_missingTopic_isAtFault),
		cmocka_unit_test(run_topicDenied_isAtFault),
		cmocka_unit_test(start_refusedProperty_isInvalid),
		cmocka_unit_test(stop_noBroker_isBounded),
		cmocka_unit_test(stop_batchNotTaken_freesIt),
	};
	cmocka_set_test_filter(getenv("ONLY"));
	return cmocka_run_group_tests(tests, start_shared, stop_shared);
}
