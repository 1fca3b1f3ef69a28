/* publisher: every end of a batch, against librdkafka's mock cluster with injected errors.
 *
 * The mock drops transactional offsets and hides nothing that was aborted; what depends on those is tested with a real
 * broker. Cluster and source are shared, because joining a group takes the mock seconds; each test has a publisher, a
 * topic and metrics of its own. */
#include "worker/edge/publisher.h"

#include "tests/unit/kafka_fixture.h"

enum { ITEMS_MAX = 8 };

struct shared {
	struct fixture *fixture;
	struct source *source;
	int topics;
};

struct bench {
	struct fixture *fixture;
	struct source *source;
	struct publisher *publisher;
	struct settings settings;
	struct metrics *metrics;
	char topic[32];
	struct outgoing records[ITEMS_MAX];
	char *values[ITEMS_MAX]; /* freed as soon as the batch is back: what is borrowed too long is found */
	rd_kafka_consumer_group_metadata_t *group;
};

static void on_assign(void *context, struct source_partition *partitions, size_t count)
{
	(void)context, (void)partitions, (void)count;
}

static void on_revoke(void *context, const int32_t *partitions, size_t count, bool lost)
{
	(void)context, (void)partitions, (void)count, (void)lost;
}

static void serve(struct source *source)
{
	fixture_turn(source_fd(source));
	assert_int_equal(source_serve(source), STATUS_OK);
}

static size_t owned(const struct source *source)
{
	size_t count;
	(void)source_partitions(source, &count);
	return count;
}

static int start_shared(void **state)
{
	static struct shared shared;
	assert_int_equal(fixture_start((void **)&shared.fixture), 0);
	const struct source_options source = {
		.settings = &shared.fixture->settings,
		.log = shared.fixture->log,
		.metrics = shared.fixture->metrics,
		.events = { .on_assign = on_assign, .on_revoke = on_revoke },
	};
	assert_int_equal(source_open(&source, &shared.source), STATUS_OK);
	wait_until(owned(shared.source) == PARTITIONS, serve(shared.source));
	*state = &shared;
	return 0;
}

static int stop_shared(void **state)
{
	struct shared *shared = *state;
	source_close(shared->source, WAIT_MS);
	return fixture_stop((void **)&shared->fixture);
}

/* What a test may change before it starts its publisher. */
static struct bench prepare_bench(void **state)
{
	struct shared *shared = *state;
	struct bench bench = { .fixture = shared->fixture, .source = shared->source };
	bench.settings = shared->fixture->settings;
	(void)snprintf(bench.topic, sizeof(bench.topic), "responses-%d", ++shared->topics);
	assert_int_equal(rd_kafka_mock_topic_create(shared->fixture->cluster, bench.topic, 2, 1), 0);
	bench.metrics = metrics_new(metrics_table_descriptors(), METRIC_INDEX_COUNT);
	assert_non_null(bench.metrics);
	bench.group = rd_kafka_consumer_group_metadata_new_with_genid("group", 1, "member", NULL);
	return bench;
}

static void start_bench(struct bench *bench)
{
	bench->settings.kafka.responses_topic = bench->topic;
	bench->settings.kafka.dead_letter_topic = bench->topic;
	const struct publisher_options publisher = {
		.settings = &bench->settings,
		.source = bench->source,
		.log = bench->fixture->log,
		.metrics = bench->metrics,
	};
	assert_int_equal(publisher_start(&publisher, &bench->publisher), STATUS_OK);
}

static void close_bench(struct bench *bench)
{
	publisher_stop(bench->publisher, WAIT_MS);
	metrics_free(bench->metrics);
	rd_kafka_consumer_group_metadata_destroy(bench->group);
}

static int64_t count_of(const struct bench *bench, size_t metric, const char *label)
{
	struct bytes value = bytes_of(label);
	return metric_value(metrics_series(bench->metrics, metric, &value, 1));
}

static char *copy(const char *text)
{
	char *made = strdup(text);
	assert_non_null(made);
	return made;
}

/* A batch of `count` replies of one conversation, with the progress of one partition. */
static struct batch *make_batch(struct bench *bench, const char *topic, size_t count)
{
	static const struct record_header headers[] = {
		{ { "correlation-id", 14 }, { "abc", 3 } },
		{ { "nothing", 7 }, { NULL, 0 } },
	};
	struct batch *batch = batch_new(ITEMS_MAX, 1);
	assert_non_null(batch);
	for (size_t i = 0; i < count; i++) {
		char text[32];
		(void)snprintf(text, sizeof(text), "value-%zu", i);
		bench->values[i] = copy(text);
		bench->records[i] = (struct outgoing){
			.topic = bytes_of(topic),
			.key = BYTES_LITERAL("conversation"),
			.value = bytes_of(bench->values[i]),
			.timestamp_ms = 1234567,
			.headers = { headers, 2 },
		};
		batch->items[batch->item_count++] = (struct batch_item){ .record = &bench->records[i] };
	}
	batch->commit_id = 7;
	batch->progress[batch->progress_count++] =
		(struct batch_progress){ .partition = 1, .offset = 5, .metadata = bytes_of(copy("progress")) };
	void *data = NULL;
	size_t size = 0;
	assert_null(rd_kafka_consumer_group_metadata_write(bench->group, &data, &size));
	char *group = malloc(size);
	assert_non_null(group);
	memcpy(group, data, size);
	rd_kafka_mem_free(NULL, data);
	batch->group = bytes_at(group, size);
	return batch;
}

static void free_batch(struct bench *bench, struct batch *batch)
{
	batch_free(batch);
	for (size_t i = 0; i < ITEMS_MAX; i++) {
		free(bench->values[i]);
		bench->values[i] = NULL;
	}
}

static void run(struct bench *bench, struct batch *batch)
{
	struct batch *back = NULL;
	batch->end = BATCH_PENDING;
	assert_int_equal(source_serve(bench->source), STATUS_OK);
	assert_int_equal(publisher_put(bench->publisher, batch), STATUS_OK);
	assert_int_equal(publisher_wait(bench->publisher, 2 * WAIT_MS), STATUS_OK);
	assert_int_equal(publisher_take(bench->publisher, &back), STATUS_OK);
	assert_ptr_equal(back, batch);
	assert_int_equal(publisher_take(bench->publisher, &back), STATUS_EMPTY);
}

static void run_to(struct bench *bench, size_t count, enum batch_end end)
{
	struct batch *batch = make_batch(bench, bench->topic, count);
	run(bench, batch);
	assert_int_equal(batch->end, end);
	free_batch(bench, batch);
}

static void wait_ready(struct bench *bench)
{
	wait_until(publisher_is_ready(bench->publisher), fixture_turn(publisher_fd(bench->publisher)));
}

static void make_ready(struct bench *bench)
{
	start_bench(bench);
	wait_ready(bench);
}

static rd_kafka_t *open_reader(const struct bench *bench)
{
	rd_kafka_conf_t *conf = fixture_conf(bench->fixture->settings.kafka.bootstrap_servers);
	assert_int_equal(rd_kafka_conf_set(conf, "group.id", "reader", NULL, 0), RD_KAFKA_CONF_OK);
	assert_int_equal(rd_kafka_conf_set(conf, "auto.offset.reset", "earliest", NULL, 0), RD_KAFKA_CONF_OK);
	rd_kafka_t *reader = rd_kafka_new(RD_KAFKA_CONSUMER, conf, NULL, 0);
	assert_non_null(reader);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(2);
	rd_kafka_topic_partition_list_add(list, bench->topic, 0)->offset = 0;
	rd_kafka_topic_partition_list_add(list, bench->topic, 1)->offset = 0;
	assert_int_equal(rd_kafka_assign(reader, list), RD_KAFKA_RESP_ERR_NO_ERROR);
	rd_kafka_topic_partition_list_destroy(list);
	return reader;
}

static rd_kafka_message_t *read_one(rd_kafka_t *reader)
{
	rd_kafka_message_t *message = NULL;
	wait_until(message != NULL && message->err == RD_KAFKA_RESP_ERR_NO_ERROR, {
		if (message != NULL) rd_kafka_message_destroy(message);
		message = rd_kafka_consumer_poll(reader, TURN_MS);
	});
	return message;
}

/* How many records the topic holds, as the mock tells it. */
static int64_t stored(const struct bench *bench)
{
	int64_t sum = 0;
	for (int32_t partition = 0; partition < 2; partition++) {
		int64_t start = 0, end = 0;
		assert_int_equal(rd_kafka_query_watermark_offsets(
					 bench->fixture->producer, bench->topic, partition, &start, &end, WAIT_MS),
			RD_KAFKA_RESP_ERR_NO_ERROR);
		sum += end;
	}
	return sum;
}

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
		cmocka_unit_test(run_deniedTransactionalId_backsOffAndGoesOn),
		cmocka_unit_test(run_oneTooLarge_isTheOneAtFault),
		cmocka_unit_test(run_requestTooLarge_goesOneByOne),
		cmocka_unit_test(run_tooLargeAlone_isAtFault),
		cmocka_unit_test(run_missingTopic_isAtFault),
		cmocka_unit_test(run_topicDenied_isAtFault),
		cmocka_unit_test(start_refusedProperty_isInvalid),
		cmocka_unit_test(stop_noBroker_isBounded),
		cmocka_unit_test(stop_batchNotTaken_freesIt),
		cmocka_unit_test(plain_notAMember_isPublished),
		cmocka_unit_test(plain_member_isCommittedWithMetadata),
		cmocka_unit_test(plain_refusedRecord_isAbortedThenGood),
		cmocka_unit_test(plain_topicDenied_isAtFaultUntilAllowed),
		cmocka_unit_test(plain_brokerGone_isAborted),
	};
	cmocka_set_test_filter(getenv("ONLY"));
	return cmocka_run_group_tests(tests, start_shared, stop_shared);
}
