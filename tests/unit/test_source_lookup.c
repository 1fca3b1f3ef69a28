/* The look-up of partitions, with a client that believes the topic does not exist. */
#include "worker/edge/source_lookup.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/unit/kafka_fixture.h"
#include "worker/edge/kafka_conf.h"

static rd_kafka_t *open_client(struct fixture *fixture, struct kafka_owner *owner)
{
	struct kafka_conf_error error;
	rd_kafka_conf_t *conf = NULL;
	assert_int_equal(kafka_conf_new(&fixture->settings, KAFKA_CONF_CONSUMER, owner, &conf, &error), STATUS_OK);
	rd_kafka_t *client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, NULL, 0);
	assert_non_null(client);
	return client;
}

static rd_kafka_resp_err_t ask_client(rd_kafka_t *client)
{
	int64_t start, end;
	return rd_kafka_query_watermark_offsets(client, "requests", 0, &start, &end, 1000);
}

static void lookup_topic_missing_while_broker_started_is_found_later(void **state)
{
	struct fixture *fixture = *state;
	struct kafka_owner owner = { .log = fixture->log };
	rd_kafka_t *client = open_client(fixture, &owner);
	rd_kafka_mock_topic_set_error(fixture->cluster, "requests", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
	int64_t end_ms = clock_now().mono_ms + WAIT_MS;
	while (ask_client(client) != RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
		assert_true(clock_now().mono_ms < end_ms);
	rd_kafka_mock_topic_set_error(fixture->cluster, "requests", RD_KAFKA_RESP_ERR_NO_ERROR);

	struct pollfd wake = { .fd = eventfd(0, EFD_NONBLOCK), .events = POLLIN };
	struct source_lookup_options options = {
		.rk = client, .topic = "requests", .log = fixture->log, .wake_fd = wake.fd
	};
	struct source_lookup *lookup = NULL;
	assert_int_equal(source_lookup_start(&options, &lookup), STATUS_OK);
	const int32_t partitions[] = { 0, 3 };
	assert_int_equal(source_lookup_ask(lookup, partitions, 2), STATUS_OK);
	assert_int_equal(poll(&wake, 1, WAIT_MS), 1);
	struct source_partition *rows = NULL;
	size_t count = 0;
	assert_int_equal(source_lookup_take(lookup, &rows, &count), STATUS_OK);
	assert_int_equal(count, 2);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(rows[i].partition, partitions[i]);
		assert_int_equal(rows[i].log_start, 0);
		assert_int_equal(rows[i].log_end, 0);
		assert_int_equal(rows[i].committed, -1);
	}
	source_lookup_free_rows(rows, count);
	assert_int_equal(source_lookup_stop(lookup, WAIT_MS), STATUS_OK);
	rd_kafka_destroy(client);
	close(wake.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			lookup_topic_missing_while_broker_started_is_found_later, fixture_start, fixture_stop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
