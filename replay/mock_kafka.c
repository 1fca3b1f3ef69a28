/* librdkafka's mock cluster behind a small face. */
#include "replay/mock_kafka.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/assertion.h"

enum { MOCK_BROKERS = 1, MOCK_GROUP_DELAY_MS = 100 };

struct mock_kafka {
	rd_kafka_t *host; /* owned: the handle that the cluster lives in */
	rd_kafka_mock_cluster_t *cluster;
};

#if RD_KAFKA_VERSION >= 0x02060000
static void shorten_group_delay(rd_kafka_mock_cluster_t *cluster)
{
	rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, MOCK_GROUP_DELAY_MS);
}
#else
static void shorten_group_delay(rd_kafka_mock_cluster_t *cluster)
{
	(void)cluster; /* fixed at 3 s */
}
#endif

/* Without Nagle's algorithm off, each answer of the cluster waits 40 ms for a delayed acknowledgement. */
static rd_kafka_t *make_host(char *error, size_t error_size)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	if (conf == NULL) return NULL;
	rd_kafka_conf_set_log_cb(conf, NULL);
	if (rd_kafka_conf_set(conf, "socket.nagle.disable", "true", error, error_size) != RD_KAFKA_CONF_OK) {
		rd_kafka_conf_destroy(conf);
		return NULL;
	}
	rd_kafka_t *host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, error_size);
	if (host == NULL) rd_kafka_conf_destroy(conf);
	return host;
}

static enum status make_topics(struct mock_kafka *mock, const struct mock_topic *topics, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		ASSERT(topics[i].partitions >= 1 && topics[i].partitions <= MOCK_PARTITIONS_MAX);
		rd_kafka_resp_err_t error =
			rd_kafka_mock_topic_create(mock->cluster, topics[i].name, topics[i].partitions, MOCK_BROKERS);
		if (error == RD_KAFKA_RESP_ERR_NO_ERROR) continue;
		fprintf(stderr, "chat-replay: topic %s: %s\n", topics[i].name, rd_kafka_err2str(error));
		return STATUS_FATAL;
	}
	return STATUS_OK;
}

enum status mock_kafka_start(const struct mock_topic *topics, size_t count, struct mock_kafka **out_mock)
{
	char error[256] = "out of memory";
	struct mock_kafka *mock = calloc(1, sizeof *mock);
	if (mock == NULL) return STATUS_NO_MEMORY;
	mock->host = make_host(error, sizeof error);
	if (mock->host != NULL) mock->cluster = rd_kafka_mock_cluster_new(mock->host, MOCK_BROKERS);
	if (mock->cluster == NULL) {
		fprintf(stderr, "chat-replay: no mock cluster: %s\n", error);
		mock_kafka_stop(mock);
		return STATUS_FATAL;
	}
	shorten_group_delay(mock->cluster);
	enum status status = make_topics(mock, topics, count);
	if (status == STATUS_OK)
		*out_mock = mock;
	else
		mock_kafka_stop(mock);
	return status;
}

void mock_kafka_stop(struct mock_kafka *mock)
{
	if (mock == NULL) return;
	if (mock->cluster != NULL) rd_kafka_mock_cluster_destroy(mock->cluster);
	if (mock->host != NULL) rd_kafka_destroy(mock->host);
	free(mock);
}

const char *mock_kafka_bootstraps(const struct mock_kafka *mock)
{
	return rd_kafka_mock_cluster_bootstraps(mock->cluster);
}
