/* The client and the sandbox's Kafka, held against each other in one process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "replay/kafka_client.h"
#include "replay/mock_kafka.h"

enum { WAIT_MS = 10000, CONNECT_MS = 5000 };

static const struct mock_topic TOPICS[] = { { "in", 12 }, { "out", 3 }, { "other", 1 } };

static int start_mock(void **state)
{
	struct mock_kafka *mock = NULL;
	assert_int_equal(mock_kafka_start(TOPICS, 3, &mock), STATUS_OK);
	*state = mock;
	return 0;
}

static int stop_mock(void **state)
{
	mock_kafka_stop(*state);
	return 0;
}

/* A client that writes to `requests` and reads `first` and, when given, `second`. */
static struct kafka_client *open_client(void **state, const char *requests, const char *first, const char *second)
{
	char problem[KAFKA_CLIENT_PROBLEM_MAX];
	struct kafka_client *client = NULL;
	const struct kafka_client_options options = { .brokers = mock_kafka_bootstraps(*state),
		.request_topic = requests,
		.reply_topics = { first, second },
		.reply_topic_count = second != NULL ? 2 : 1,
		.connect_ms = CONNECT_MS };
	enum status status = kafka_client_open(&options, problem, &client);
	if (status != STATUS_OK) fail_msg("%s: %s", status_text(status), problem);
	return client;
}

static void send_one(struct kafka_client *client, const char *topic, struct bytes key, struct bytes value)
{
	const struct record_header headers[] = { { BYTES_LITERAL("a"), BYTES_LITERAL("1") },
		{ BYTES_LITERAL("null"), BYTES_NONE }, { BYTES_LITERAL("a"), BYTES_LITERAL("2") } };
	const struct outgoing record = {
		.topic = bytes_of(topic), .key = key, .value = value, .headers = { headers, 3 }
	};
	assert_int_equal(kafka_client_send(client, &record), STATUS_OK);
}

static struct record *receive(struct kafka_client *client, size_t *out_topic)
{
	struct record *record = NULL;
	for (int waited_ms = 0; waited_ms < WAIT_MS; waited_ms += 100) {
		enum status status = kafka_client_receive(client, 100, &record, out_topic);
		if (status == STATUS_OK) return record;
		assert_int_equal(status, STATUS_EMPTY);
	}
	fail_msg("nothing came");
	return NULL;
}

static void client_receives_what_was_sent(void **state)
{
	struct kafka_client *client = open_client(state, "in", "in", NULL);
	size_t topic = 9;
	send_one(client, "in", BYTES_LITERAL("key"), BYTES_LITERAL("v\0lue"));
	struct record *record = receive(client, &topic);
	assert_int_equal(topic, 0);
	assert_true(bytes_equal_text(record->key, "key"));
	assert_true(bytes_equal(record->value, BYTES_LITERAL("v\0lue")));
	assert_int_equal(record->offset, 0);
	assert_true(record->timestamp_ms > 1600000000000);
	assert_int_equal(record->headers.count, 3);
	assert_true(bytes_equal_text(record->headers.items[0].value, "1"));
	assert_false(bytes_is_given(record->headers.items[1].value));
	assert_true(bytes_equal_text(record_headers_last(&record->headers, "a"), "2"));
	record_free(record);
	kafka_client_close(client);
}

/* Values of Java's partitioner: (murmur2(key) & 0x7fffffff) % 12. */
static void client_partitions_as_java_does(void **state)
{
	static const struct {
		const char *key;
		int32_t partition;
	} ROWS[] = { { "a", 4 }, { "conv-2", 10 }, { "demo-1", 1 } };
	struct kafka_client *client = open_client(state, "in", "in", NULL);
	for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
		size_t topic = 0;
		send_one(client, "in", bytes_of(ROWS[i].key), BYTES_LITERAL("x"));
		struct record *record = receive(client, &topic);
		assert_int_equal(record->partition, ROWS[i].partition);
		record_free(record);
	}
	kafka_client_close(client);
}

static void client_reads_from_the_end_only(void **state)
{
	size_t topic = 0;
	struct kafka_client *early = open_client(state, "out", "out", NULL);
	send_one(early, "out", BYTES_LITERAL("k"), BYTES_LITERAL("before"));
	record_free(receive(early, &topic));
	struct kafka_client *late = open_client(state, "out", "out", NULL);
	send_one(early, "out", BYTES_LITERAL("k"), BYTES_LITERAL("after"));
	struct record *record = receive(late, &topic);
	assert_true(bytes_equal_text(record->value, "after"));
	record_free(record);
	kafka_client_close(late);
	kafka_client_close(early);
}

static void client_tells_topics_apart(void **state)
{
	struct kafka_client *client = open_client(state, "in", "out", "other");
	size_t topic = 9;
	send_one(client, "other", BYTES_LITERAL("k"), BYTES_LITERAL("1"));
	record_free(receive(client, &topic));
	assert_int_equal(topic, 1);
	send_one(client, "out", BYTES_LITERAL("k"), BYTES_LITERAL("2"));
	record_free(receive(client, &topic));
	assert_int_equal(topic, 0);
	kafka_client_close(client);
}

static void client_with_nothing_there_is_empty(void **state)
{
	struct kafka_client *client = open_client(state, "in", "other", NULL);
	struct record *record = NULL;
	size_t topic = 0;
	assert_int_equal(kafka_client_receive(client, 0, &record, &topic), STATUS_EMPTY);
	assert_null(record);
	assert_string_equal(kafka_client_problem(client), "");
	kafka_client_close(client);
}

static enum status open_status(const char *brokers, const char *property, const char *topic, char *out_problem)
{
	struct kafka_client *client = NULL;
	const struct kafka_client_options options = { .brokers = brokers,
		.properties = &property,
		.property_count = property != NULL ? 1 : 0,
		.request_topic = topic,
		.reply_topics = { "out" },
		.reply_topic_count = 1,
		.connect_ms = 500 };
	enum status status = kafka_client_open(&options, out_problem, &client);
	kafka_client_close(client);
	return status;
}

static void client_without_broker_is_closed(void **state)
{
	char problem[KAFKA_CLIENT_PROBLEM_MAX];
	(void)state;
	assert_int_equal(open_status("127.0.0.1:1", NULL, "in", problem), STATUS_CLOSED);
	assert_non_null(strstr(problem, "no broker answers"));
}

static void client_with_a_wrong_property_is_invalid(void **state)
{
	char problem[KAFKA_CLIENT_PROBLEM_MAX];
	const char *brokers = mock_kafka_bootstraps(*state);
	assert_int_equal(open_status(brokers, "no.such=1", "in", problem), STATUS_INVALID);
	assert_non_null(strstr(problem, "no.such"));
	assert_int_equal(open_status(brokers, "nonsense", "in", problem), STATUS_INVALID);
	assert_non_null(strstr(problem, "name=value"));
	assert_int_equal(open_status(brokers, "linger.ms=soon", "in", problem), STATUS_INVALID);
	assert_int_equal(open_status(brokers, "linger.ms=5", "in", problem), STATUS_OK);
}

static void mock_has_an_address_of_this_host(void **state)
{
	assert_memory_equal(mock_kafka_bootstraps(*state), "127.0.0.1:", 10);
	mock_kafka_stop(NULL);
}

static void mock_topics_may_be_of_any_size(void **state)
{
	(void)state;
	const struct mock_topic large = { "large", 100 };
	struct mock_kafka *mock = NULL;
	assert_int_equal(mock_kafka_start(&large, 1, &mock), STATUS_OK);
	void *other = mock;
	struct kafka_client *client = open_client(&other, "large", "large", NULL);
	size_t topic = 0;
	send_one(client, "large", BYTES_LITERAL("demo-1"), BYTES_LITERAL("x"));
	record_free(receive(client, &topic));
	kafka_client_close(client);
	mock_kafka_stop(mock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(client_receives_what_was_sent),
		cmocka_unit_test(client_partitions_as_java_does),
		cmocka_unit_test(client_reads_from_the_end_only),
		cmocka_unit_test(client_tells_topics_apart),
		cmocka_unit_test(client_with_nothing_there_is_empty),
		cmocka_unit_test(client_without_broker_is_closed),
		cmocka_unit_test(client_with_a_wrong_property_is_invalid),
		cmocka_unit_test(mock_has_an_address_of_this_host),
		cmocka_unit_test(mock_topics_may_be_of_any_size),
	};
	return cmocka_run_group_tests(tests, start_mock, stop_mock);
}
