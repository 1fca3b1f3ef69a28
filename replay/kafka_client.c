/* One producer and one group-less consumer. */
#include "replay/kafka_client.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/assertion.h"
#include "replay/kafka_record.h"
#include "replay/kafka_setup.h"

enum { CLOSE_FLUSH_MS = 1000 };

_Static_assert((int)KAFKA_CLIENT_PROBLEM_MAX == (int)KAFKA_PROBLEM_MAX, "both are the buffer of the same sentence");

struct kafka_client {
	rd_kafka_t *producer;                        /* owned */
	rd_kafka_t *consumer;                        /* owned */
	char *reply_topics[KAFKA_CLIENT_TOPICS_MAX]; /* owned */
	size_t reply_topic_count;
	bool is_lost; /* some record was not delivered */
	char problem[KAFKA_CLIENT_PROBLEM_MAX];
};

static const struct kafka_property PRODUCER_PROPERTIES[] = {
	{ "partitioner", "murmur2_random" },
	{ "enable.idempotence", "true" },
	{ "linger.ms", "0" },
	{ "message.timeout.ms", "10000" },
};

static const struct kafka_property CONSUMER_PROPERTIES[] = {
	{ "group.id", "chat-replay" }, /* never joined, but assigning wants one */
	{ "enable.auto.commit", "false" },
	{ "isolation.level", "read_committed" },
	{ "auto.offset.reset", "earliest" },
	{ "fetch.wait.max.ms", "20" },
};

static void note_loss(struct kafka_client *client, const char *text)
{
	client->is_lost = true;
	snprintf(client->problem, sizeof client->problem, "a record was not delivered: %s", text);
}

static void on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message, void *context)
{
	(void)producer;
	if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) note_loss(context, rd_kafka_err2str(message->err));
}

static enum status make_handle(struct kafka_client *client, rd_kafka_type_t type,
	const struct kafka_client_options *options, char *out_problem)
{
	bool is_producer = type == RD_KAFKA_PRODUCER;
	const struct kafka_setup setup = { .brokers = options->brokers,
		.own = is_producer ? PRODUCER_PROPERTIES : CONSUMER_PROPERTIES,
		.own_count = is_producer ? sizeof PRODUCER_PROPERTIES / sizeof PRODUCER_PROPERTIES[0]
					 : sizeof CONSUMER_PROPERTIES / sizeof CONSUMER_PROPERTIES[0],
		.properties = options->properties,
		.property_count = options->property_count };
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	if (conf == NULL) return STATUS_NO_MEMORY;
	rd_kafka_conf_set_opaque(conf, client);
	if (is_producer) rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	return kafka_setup_handle(&setup, type, conf, out_problem, is_producer ? &client->producer : &client->consumer);
}

static enum status add_ends(struct kafka_client *client, const char *topic, int timeout_ms,
	rd_kafka_topic_partition_list_t *list, char *out_problem)
{
	int32_t count = 0;
	enum status status = kafka_setup_partitions(client->producer, topic, timeout_ms, out_problem, &count);
	for (int32_t i = 0; status == STATUS_OK && i < count; i++) {
		int64_t start = 0;
		rd_kafka_topic_partition_t *place = rd_kafka_topic_partition_list_add(list, topic, i);
		status = kafka_setup_bounds(client->consumer, place, timeout_ms, out_problem, &start, &place->offset);
	}
	return status;
}

static enum status assign(struct kafka_client *client, int timeout_ms, char *out_problem)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
	enum status status = list != NULL ? STATUS_OK : STATUS_NO_MEMORY;
	for (size_t i = 0; status == STATUS_OK && i < client->reply_topic_count; i++)
		status = add_ends(client, client->reply_topics[i], timeout_ms, list, out_problem);
	if (status == STATUS_OK && rd_kafka_assign(client->consumer, list) != RD_KAFKA_RESP_ERR_NO_ERROR) {
		snprintf(out_problem, KAFKA_CLIENT_PROBLEM_MAX, "the partitions cannot be assigned");
		status = STATUS_CLOSED;
	}
	if (list != NULL) rd_kafka_topic_partition_list_destroy(list);
	return status;
}

static enum status connect_all(
	struct kafka_client *client, const struct kafka_client_options *options, char *out_problem)
{
	int32_t count = 0;
	int timeout_ms = (int)options->connect_ms;
	enum status status = make_handle(client, RD_KAFKA_PRODUCER, options, out_problem);
	if (status == STATUS_OK) status = make_handle(client, RD_KAFKA_CONSUMER, options, out_problem);
	if (status != STATUS_OK) return status;
	rd_kafka_poll_set_consumer(client->consumer);
	status = kafka_setup_partitions(client->producer, options->request_topic, timeout_ms, out_problem, &count);
	return status == STATUS_OK ? assign(client, timeout_ms, out_problem) : status;
}

enum status kafka_client_open(const struct kafka_client_options *options,
	char out_problem[static KAFKA_CLIENT_PROBLEM_MAX], struct kafka_client **out_client)
{
	ASSERT(options->reply_topic_count <= KAFKA_CLIENT_TOPICS_MAX);
	struct kafka_client *client = calloc(1, sizeof *client);
	snprintf(out_problem, KAFKA_CLIENT_PROBLEM_MAX, "out of memory");
	if (client == NULL) return STATUS_NO_MEMORY;
	enum status status = STATUS_OK;
	for (size_t i = 0; i < options->reply_topic_count && status == STATUS_OK; i++) {
		client->reply_topics[i] = strdup(options->reply_topics[i]);
		if (client->reply_topics[i] == NULL)
			status = STATUS_NO_MEMORY;
		else
			client->reply_topic_count++;
	}
	if (status == STATUS_OK) status = connect_all(client, options, out_problem);
	if (status == STATUS_OK)
		*out_client = client;
	else
		kafka_client_close(client);
	return status;
}

void kafka_client_close(struct kafka_client *client)
{
	if (client == NULL) return;
	if (client->consumer != NULL) {
		(void)rd_kafka_consumer_close(client->consumer);
		rd_kafka_destroy(client->consumer);
	}
	if (client->producer != NULL) {
		(void)rd_kafka_flush(client->producer, CLOSE_FLUSH_MS);
		(void)rd_kafka_purge(client->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
		rd_kafka_destroy(client->producer);
	}
	for (size_t i = 0; i < client->reply_topic_count; i++)
		free(client->reply_topics[i]);
	free(client);
}

/* NULL when there are none or memory is missing. */
static rd_kafka_headers_t *copy_headers(const struct record_headers *headers)
{
	rd_kafka_headers_t *copies = headers->count > 0 ? rd_kafka_headers_new(headers->count) : NULL;
	for (size_t i = 0; copies != NULL && i < headers->count; i++) {
		const struct record_header *item = &headers->items[i];
		(void)rd_kafka_header_add(copies, item->name.data, (ssize_t)item->name.size, item->value.data,
			bytes_is_given(item->value) ? (ssize_t)item->value.size : 0);
	}
	return copies;
}

/* librdkafka's arguments are not const, although it copies (RD_KAFKA_MSG_F_COPY). */
static void *without_const(const char *data)
{
	return (void *)(uintptr_t)data;
}

enum status kafka_client_send(struct kafka_client *client, const struct outgoing *record)
{
	char topic[256];
	ASSERT(record->topic.size < sizeof topic);
	memcpy(topic, record->topic.data, record->topic.size);
	topic[record->topic.size] = 0;
	rd_kafka_headers_t *headers = copy_headers(&record->headers);
	rd_kafka_resp_err_t error = rd_kafka_producev(client->producer, RD_KAFKA_V_TOPIC(topic),
		RD_KAFKA_V_KEY(without_const(record->key.data), record->key.size),
		RD_KAFKA_V_VALUE(without_const(record->value.data), record->value.size),
		RD_KAFKA_V_TIMESTAMP(record->timestamp_ms), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
		RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
	(void)rd_kafka_poll(client->producer, 0);
	if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return STATUS_OK;
	if (headers != NULL) rd_kafka_headers_destroy(headers);
	note_loss(client, rd_kafka_err2str(error));
	return STATUS_IO;
}

static struct record *copy_record(const rd_kafka_message_t *message)
{
	struct record_header items[KAFKA_RECORD_HEADERS_MAX];
	struct record view = kafka_record_view(message, items);
	return record_new(&view);
}

static size_t topic_index(const struct kafka_client *client, const rd_kafka_message_t *message)
{
	size_t i = 0;
	while (i + 1 < client->reply_topic_count &&
		strcmp(client->reply_topics[i], rd_kafka_topic_name(message->rkt)) != 0)
		i++;
	return i;
}

enum status kafka_client_receive(
	struct kafka_client *client, int wait_ms, struct record **out_record, size_t *out_topic)
{
	(void)rd_kafka_poll(client->producer, 0);
	if (client->is_lost) return STATUS_IO;
	rd_kafka_message_t *message = rd_kafka_consumer_poll(client->consumer, wait_ms);
	if (message == NULL) return STATUS_EMPTY;
	enum status status = STATUS_EMPTY;
	if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
		struct record *record = copy_record(message);
		status = record != NULL ? STATUS_OK : STATUS_NO_MEMORY;
		if (record != NULL) {
			*out_topic = topic_index(client, message);
			*out_record = record;
		}
	}
	rd_kafka_message_destroy(message);
	return status;
}

const char *kafka_client_problem(const struct kafka_client *client)
{
	return client->problem;
}
