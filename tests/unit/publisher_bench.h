/* A publisher with its source on librdkafka's mock cluster, for the tests of the publisher.
 *
 * The mock drops transactional offsets and hides nothing that was aborted; what depends on those is tested with a real
 * broker. Cluster and source are shared, because joining a group takes the mock seconds; each test has a publisher, a
 * topic and metrics of its own. */
#ifndef TESTS_UNIT_PUBLISHER_BENCH_H
#define TESTS_UNIT_PUBLISHER_BENCH_H

#include "tests/unit/kafka_fixture.h"
#include "worker/edge/publisher.h"

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

static inline void on_assign(void *context, struct source_partition *partitions, size_t count)
{
	(void)context, (void)partitions, (void)count;
}

static inline void on_revoke(void *context, const int32_t *partitions, size_t count, bool lost)
{
	(void)context, (void)partitions, (void)count, (void)lost;
}

static inline void serve(struct source *source)
{
	fixture_turn(source_fd(source));
	assert_int_equal(source_serve(source), STATUS_OK);
}

static inline size_t owned(const struct source *source)
{
	size_t count;
	(void)source_partitions(source, &count);
	return count;
}

static inline int start_shared(void **state)
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

static inline int stop_shared(void **state)
{
	struct shared *shared = *state;
	assert_int_equal(source_close(shared->source, WAIT_MS), STATUS_OK);
	return fixture_stop((void **)&shared->fixture);
}

/* What a test may change before it starts its publisher. */
static inline struct bench prepare_bench(void **state)
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

static inline void start_bench(struct bench *bench)
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

static inline void close_bench(struct bench *bench)
{
	assert_int_equal(publisher_stop(bench->publisher, WAIT_MS), STATUS_OK);
	metrics_free(bench->metrics);
	rd_kafka_consumer_group_metadata_destroy(bench->group);
}

static inline int64_t count_of(const struct bench *bench, size_t metric, const char *label)
{
	struct bytes value = bytes_of(label);
	return metric_value(metrics_series(bench->metrics, metric, &value, 1));
}

static inline char *copy(const char *text)
{
	char *made = strdup(text);
	assert_non_null(made);
	return made;
}

/* A batch of `count` replies of one conversation, with the progress of one partition. */
static inline struct batch *make_batch(struct bench *bench, const char *topic, size_t count)
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

static inline void free_batch(struct bench *bench, struct batch *batch)
{
	batch_free(batch);
	for (size_t i = 0; i < ITEMS_MAX; i++) {
		free(bench->values[i]);
		bench->values[i] = NULL;
	}
}

static inline void run(struct bench *bench, struct batch *batch)
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

static inline void run_to(struct bench *bench, size_t count, enum batch_end end)
{
	struct batch *batch = make_batch(bench, bench->topic, count);
	run(bench, batch);
	assert_int_equal(batch->end, end);
	free_batch(bench, batch);
}

static inline void wait_ready(struct bench *bench)
{
	wait_until(publisher_is_ready(bench->publisher), fixture_turn(publisher_fd(bench->publisher)));
}

static inline void make_ready(struct bench *bench)
{
	start_bench(bench);
	wait_ready(bench);
}

static inline rd_kafka_t *open_reader(const struct bench *bench)
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

static inline rd_kafka_message_t *read_one(rd_kafka_t *reader)
{
	rd_kafka_message_t *message = NULL;
	wait_until(message != NULL && message->err == RD_KAFKA_RESP_ERR_NO_ERROR, {
		if (message != NULL) rd_kafka_message_destroy(message);
		message = rd_kafka_consumer_poll(reader, TURN_MS);
	});
	return message;
}

/* How many records the topic holds, as the mock tells it. */
static inline int64_t stored(const struct bench *bench)
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

#endif
