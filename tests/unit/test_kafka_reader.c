/* The reader, against the sandbox's Kafka; what transactions do to it is tested on a real one. */
#include "tests/unit/testing.h"

#include <stdlib.h>
#include <string.h>

#include "replay/kafka_client.h"
#include "replay/kafka_reader.h"
#include "replay/mock_kafka.h"

enum { CONNECT_MS = 10000, PARTITIONS = 3 };

static const struct mock_topic TOPICS[] = { { "in", PARTITIONS }, { "empty", 1 } };

static int start_mock(void **state)
{
	struct mock_kafka *mock = NULL;
	assert_int_equal(mock_kafka_start(TOPICS, 2, &mock), STATUS_OK);
	*state = mock;
	return 0;
}

static int stop_mock(void **state)
{
	mock_kafka_stop(*state);
	return 0;
}

/* What a visitor saw. */
struct seen {
	size_t count;
	int64_t next[PARTITIONS];
	size_t stop_at; /* 0 = never */
};

static enum status see(void *context, const struct record *record)
{
	struct seen *seen = context;
	assert_int_equal(record->offset, seen->next[record->partition]);
	seen->next[record->partition]++;
	seen->count++;
	assert_text_equal(record_headers_last(&record->headers, "name"), "value");
	return seen->count == seen->stop_at ? STATUS_FULL : STATUS_OK;
}

/* Sends so many records with keys of their own and waits until they are stored. */
static void send_many(const char *brokers, size_t count)
{
	char problem[KAFKA_CLIENT_PROBLEM_MAX];
	struct kafka_client *client = NULL;
	const struct kafka_client_options options = { .brokers = brokers,
		.request_topic = "in",
		.reply_topics = { "in" },
		.reply_topic_count = 1,
		.connect_ms = CONNECT_MS };
	const struct record_header header = { BYTES_LITERAL("name"), BYTES_LITERAL("value") };
	assert_int_equal(kafka_client_open(&options, problem, &client), STATUS_OK);
	for (size_t i = 0; i < count; i++) {
		const struct outgoing record = { .topic = BYTES_LITERAL("in"),
			.key = bytes_at((const char *)&i, sizeof i),
			.value = BYTES_LITERAL("v"),
			.headers = { &header, 1 } };
		assert_int_equal(kafka_client_send(client, &record), STATUS_OK);
	}
	for (size_t i = 0; i < count;) {
		size_t topic = 0;
		struct record *record = NULL;
		enum status status = kafka_client_receive(client, CONNECT_MS, &record, &topic);
		assert_true(status == STATUS_OK || status == STATUS_EMPTY);
		if (status == STATUS_OK) i++;
		record_free(record);
	}
	kafka_client_close(client);
}

static struct kafka_reader *open_reader(const char *brokers)
{
	char problem[KAFKA_READER_PROBLEM_MAX];
	struct kafka_reader *reader = NULL;
	const struct kafka_reader_options options = { .brokers = brokers, .connect_ms = CONNECT_MS };
	assert_int_equal(kafka_reader_open(&options, problem, &reader), STATUS_OK);
	return reader;
}

static enum status read_in(struct kafka_reader *reader, struct seen *seen)
{
	char problem[KAFKA_READER_PROBLEM_MAX];
	struct kafka_range *ranges = NULL;
	size_t count = 0;
	assert_int_equal(kafka_reader_ranges(reader, "in", 0, problem, &ranges, &count), STATUS_OK);
	assert_int_equal(count, PARTITIONS);
	const struct kafka_visitor visitor = { seen, see };
	enum status status = kafka_reader_read(reader, "in", ranges, count, &visitor, problem);
	free(ranges);
	return status;
}

static void reader_reads_all_partitions_to_their_ends_and_again(void **state)
{
	const char *brokers = mock_kafka_bootstraps(*state);
	send_many(brokers, 500);
	struct kafka_reader *reader = open_reader(brokers);
	for (int i = 0; i < 2; i++) {
		struct seen seen = { 0 };
		assert_int_equal(read_in(reader, &seen), STATUS_OK);
		assert_int_equal(seen.count, 500);
	}
	kafka_reader_close(reader);
}

static void reader_ends_where_the_visitor_does(void **state)
{
	struct kafka_reader *reader = open_reader(mock_kafka_bootstraps(*state));
	struct seen seen = { .stop_at = 3 };
	assert_int_equal(read_in(reader, &seen), STATUS_FULL);
	assert_int_equal(seen.count, 3);
	kafka_reader_close(reader);
}

static void reader_reads_nothing_beyond_a_range(void **state)
{
	char problem[KAFKA_READER_PROBLEM_MAX];
	struct kafka_reader *reader = open_reader(mock_kafka_bootstraps(*state));
	struct seen seen = { .next = { 0, 2, 0 } };
	const struct kafka_range ranges[PARTITIONS] = { { 0, 0, 0 }, { 0, 2, 5 }, { 0, 0, 1 } };
	const struct kafka_visitor visitor = { &seen, see };
	assert_int_equal(kafka_reader_read(reader, "in", ranges, PARTITIONS, &visitor, problem), STATUS_OK);
	assert_int_equal(seen.count, 4);
	assert_int_equal(seen.next[1], 5);
	kafka_reader_close(reader);
}

static void reader_of_an_empty_topic_is_done_at_once(void **state)
{
	char problem[KAFKA_READER_PROBLEM_MAX];
	struct kafka_reader *reader = open_reader(mock_kafka_bootstraps(*state));
	struct kafka_range *ranges = NULL;
	size_t count = 0;
	struct seen seen = { 0 };
	const struct kafka_visitor visitor = { &seen, see };
	assert_int_equal(kafka_reader_ranges(reader, "empty", 0, problem, &ranges, &count), STATUS_OK);
	assert_int_equal(kafka_reader_read(reader, "empty", ranges, count, &visitor, problem), STATUS_OK);
	assert_int_equal(seen.count, 0);
	free(ranges);
	kafka_reader_close(reader);
}

static void reader_without_broker_is_closed(void **state)
{
	(void)state;
	char problem[KAFKA_READER_PROBLEM_MAX];
	struct kafka_reader *reader = NULL;
	struct kafka_range *ranges = NULL;
	size_t count = 0;
	const struct kafka_reader_options options = { .brokers = "127.0.0.1:1", .connect_ms = 500 };
	assert_int_equal(kafka_reader_open(&options, problem, &reader), STATUS_OK);
	assert_int_equal(kafka_reader_ranges(reader, "in", 0, problem, &ranges, &count), STATUS_CLOSED);
	assert_non_null(strstr(problem, "no broker answers"));
	kafka_reader_close(reader);
}

static void reader_with_a_wrong_property_is_invalid(void **state)
{
	char problem[KAFKA_READER_PROBLEM_MAX];
	const char *property = "no.such=1";
	struct kafka_reader *reader = NULL;
	const struct kafka_reader_options options = { .brokers = mock_kafka_bootstraps(*state),
		.properties = &property,
		.property_count = 1,
		.connect_ms = CONNECT_MS };
	assert_int_equal(kafka_reader_open(&options, problem, &reader), STATUS_INVALID);
	assert_non_null(strstr(problem, "no.such"));
	kafka_reader_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reader_reads_all_partitions_to_their_ends_and_again),
		cmocka_unit_test(reader_ends_where_the_visitor_does),
		cmocka_unit_test(reader_reads_nothing_beyond_a_range),
		cmocka_unit_test(reader_of_an_empty_topic_is_done_at_once),
		cmocka_unit_test(reader_without_broker_is_closed),
		cmocka_unit_test(reader_with_a_wrong_property_is_invalid),
	};
	return cmocka_run_group_tests(tests, start_mock, stop_mock);
}
