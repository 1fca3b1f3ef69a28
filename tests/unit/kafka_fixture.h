/* librdkafka's mock cluster with settings that point to it, for the tests of the Kafka edge.
 *
 * The cluster has one broker and the topics `requests` (4 partitions) and `responses` (2). Waiting is always for a
 * condition; a condition that does not come within WAIT_MS fails the test. */
#ifndef TESTS_UNIT_KAFKA_FIXTURE_H
#define TESTS_UNIT_KAFKA_FIXTURE_H

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "tests/unit/testing.h"
#include "worker/metrics_table.h"
#include "worker/settings.h"

enum { WAIT_MS = 20000, TURN_MS = 20, PARTITIONS = 4 };

/* Kafka's numbers of requests. */
enum {
	API_PRODUCE = 0,
	API_FETCH = 1,
	API_OFFSET_COMMIT = 8,
	API_OFFSET_FETCH = 9,
	API_HEARTBEAT = 12,
	API_INIT_PRODUCER_ID = 22,
	API_ADD_PARTITIONS = 24,
	API_END_TXN = 26,
	API_TXN_OFFSET_COMMIT = 28,
};

struct member;

struct fixture {
	rd_kafka_t *host;
	rd_kafka_mock_cluster_t *cluster;
	rd_kafka_t *producer;
	struct settings settings; /* filled by hand: no table behind it */
	struct metrics *metrics;
	struct log *log;        /* errors only, unless the environment says VERBOSE */
	struct member *members; /* of tests that open some, see source_member.h */
};

static inline rd_kafka_conf_t *fixture_conf(const char *bootstrap)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char text[128];
	assert_int_equal(rd_kafka_conf_set(conf, "socket.nagle.disable", "true", text, sizeof(text)), 0);
	if (bootstrap != NULL)
		assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, text, sizeof(text)), 0);
	return conf;
}

static inline void fixture_fill_settings(struct settings *settings, const char *bootstrap)
{
	memset(settings, 0, sizeof(*settings));
	settings->kafka.bootstrap_servers = bootstrap;
	settings->kafka.group_id = "group";
	settings->kafka.requests_topic = "requests";
	settings->kafka.responses_topic = "responses";
	settings->kafka.dead_letter_topic = "responses";
	settings->kafka.transactional_id = "test-id";
	settings->kafka.group_instance_id = "";
	settings->kafka.delivery = SETTINGS_DELIVERY_EXACTLY_ONCE;
	/* Above 3 s, for which the mock of librdkafka 2.0.2 keeps the first member waiting. */
	settings->kafka.session_timeout_ms = 4000;
	settings->kafka.heartbeat_interval_ms = 100;
	settings->kafka.max_poll_interval_ms = 30000;
	settings->limits.record_bytes = 65536;
	settings->openrouter.response_max_bytes = 65536;
}

static inline int fixture_start(void **state)
{
	static struct fixture fixture;
	fixture.host = rd_kafka_new(RD_KAFKA_PRODUCER, fixture_conf(NULL), NULL, 0);
	assert_non_null(fixture.host);
	fixture.cluster = rd_kafka_mock_cluster_new(fixture.host, 1);
	assert_non_null(fixture.cluster);
#if RD_KAFKA_VERSION >= 0x020800ff
	/* No 3 s of waiting for the first member; older mocks cannot be told. */
	rd_kafka_mock_group_initial_rebalance_delay_ms(fixture.cluster, 0);
#endif
	assert_int_equal(rd_kafka_mock_topic_create(fixture.cluster, "requests", PARTITIONS, 1), 0);
	assert_int_equal(rd_kafka_mock_topic_create(fixture.cluster, "responses", 2, 1), 0);
	const char *bootstrap = rd_kafka_mock_cluster_bootstraps(fixture.cluster);
	fixture.producer = rd_kafka_new(RD_KAFKA_PRODUCER, fixture_conf(bootstrap), NULL, 0);
	assert_non_null(fixture.producer);
	fixture_fill_settings(&fixture.settings, bootstrap);
	fixture.metrics = metrics_new(metrics_table_descriptors(), METRIC_INDEX_COUNT);
	assert_non_null(fixture.metrics);
	const struct log_options options = {
		.fd = 2,
		.level = getenv("VERBOSE") == NULL ? LOG_LEVEL_ERROR : LOG_LEVEL_DEBUG,
		.format = LOG_FORMAT_TEXT,
	};
	fixture.log = log_new(&options);
	assert_non_null(fixture.log);
	fixture.members = NULL;
	*state = &fixture;
	return 0;
}

static inline int fixture_stop(void **state)
{
	struct fixture *fixture = *state;
	rd_kafka_destroy(fixture->producer);
	rd_kafka_mock_cluster_destroy(fixture->cluster);
	rd_kafka_destroy(fixture->host);
	metrics_free(fixture->metrics);
	log_free(fixture->log);
	return 0;
}

/* One record with a header `name: value`; returns when it is stored. */
static inline void fixture_produce(struct fixture *fixture, int32_t partition, const char *key, const char *value)
{
	size_t key_size = key == NULL ? 0 : strlen(key);
	size_t value_size = value == NULL ? 0 : strlen(value);
	rd_kafka_resp_err_t code = rd_kafka_producev(fixture->producer, RD_KAFKA_V_TOPIC("requests"),
		RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_KEY((void *)(uintptr_t)key, key_size),
		RD_KAFKA_V_VALUE((void *)(uintptr_t)value, value_size), RD_KAFKA_V_TIMESTAMP(1234567),
		RD_KAFKA_V_HEADER("name", "value", 5), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
	assert_int_equal(code, RD_KAFKA_RESP_ERR_NO_ERROR);
	assert_int_equal(rd_kafka_flush(fixture->producer, WAIT_MS), 0);
}

static inline int64_t fixture_count(const struct fixture *fixture, size_t metric, const char *label)
{
	struct bytes value = bytes_of(label);
	return metric_value(metrics_series(fixture->metrics, metric, &value, 1));
}

/* Waits for the descriptor, but never long, so that a loop around it can look at its condition again. */
static inline void fixture_turn(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	(void)poll(&ready, 1, TURN_MS);
}

/* A loop that runs `step` until `condition`. */
#define wait_until(condition, step)                                                                 \
	do {                                                                                        \
		int64_t end_ms_ = clock_now().mono_ms + WAIT_MS;                                    \
		while (!(condition)) {                                                              \
			if (clock_now().mono_ms > end_ms_) fail_msg("not in time: %s", #condition); \
			step;                                                                       \
		}                                                                                   \
	} while (0)

#endif
