/* One producer and one group-less consumer. */
#include "replay/kafka_client.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/assertion.h"
#include "common/clock.h"

enum { HEADERS_MAX = 64, CLOSE_FLUSH_MS = 1000, ERROR_SIZE = 256, RETRY_MS = 50 };

struct kafka_client {
	rd_kafka_t *producer;                        /* owned */
	rd_kafka_t *consumer;                        /* owned */
	char *reply_topics[KAFKA_CLIENT_TOPICS_MAX]; /* owned */
	size_t reply_topic_count;
	bool is_lost; /* some record was not delivered */
	char problem[KAFKA_CLIENT_PROBLEM_MAX];
};

struct property {
	const char *name;
	const char *value;
};

static const struct property PRODUCER_PROPERTIES[] = {
	{ "partitioner", "murmur2_random" },
	{ "enable.idempotence", "true" },
	{ "linger.ms", "0" },
	{ "message.timeout.ms", "10000" },
};

static const struct property CONSUMER_PROPERTIES[] = {
	{ "group.id", "chat-replay" }, /* never joined, but assigning wants one */
	{ "enable.auto.commit", "false" },
	{ "isolation.level", "read_committed" },
	{ "auto.offset.reset", "earliest" },
	{ "fetch.wait.max.ms", "20" },
};

static enum status set(rd_kafka_conf_t *conf, const char *name, const char *value, char *out_problem)
{
	char error[ERROR_SIZE];
	if (rd_kafka_conf_set(conf, name, value, error, sizeof error) == RD_KAFKA_CONF_OK) return STATUS_OK;
	snprintf(out_problem, KAFKA_CLIENT_PROBLEM_MAX, "property %s: %s", name, error);
	return STATUS_INVALID;
}

static enum status set_text(rd_kafka_conf_t *conf, const char *text, char *out_problem)
{
	char name[128];
	const char *equals = strchr(text, '=');
	if (equals == NULL || (size_t)(equals - text) >= sizeof name) {
		snprintf(out_problem, KAFKA_CLIENT_PROBLEM_MAX, "'%.100s' is not of the form name=value", text);
		return STATUS_INVALID;
	}
	memcpy(name, text, (size_t)(equals - text));
	name[equals - text] = 0;
	return set(conf, name, equals + 1, out_problem);
}

static enum status set_all(rd_kafka_conf_t *conf, const struct kafka_client_options *options,
	const struct property *own, size_t own_count, char *out_problem)
{
	enum status status = set(conf, "bootstrap.servers", options->brokers, out_problem);
	if (status == STATUS_OK) status = set(conf, "client.id", "chat-replay", out_problem);
	if (status == STATUS_OK) status = set(conf, "socket.nagle.disable", "true", out_problem);
	for (size_t i = 0; status == STATUS_OK && i < own_count; i++)
		status = set(conf, own[i].name, own[i].value, out_problem);
	for (size_t i = 0; status == STATUS_OK && i < options->property_count; i++)
		status = set_text(conf, options->properties[i], out_problem);
	return status;
}

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
	const struct property *own = is_producer ? PRODUCER_PROPERTIES : CONSUMER_PROPERTIES;
	size_t own_count =
		is_producer ? sizeof PRODUCER_PROPERTIES / sizeof *own : sizeof CONSUMER_PROPERTIES / sizeof *own;
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	if (conf == NULL) return STATUS_NO_MEMORY;
	rd_kafka_conf_set_log_cb(conf, NULL);
	rd_kafka_conf_set_opaque(conf, client);
	if (is_producer) rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	enum status status = set_all(conf, options, own, own_count, out_problem);
	rd_kafka_t *handle = NULL;
	if (status == STATUS_OK) {
		char error[ERROR_SIZE];
		handle = rd_kafka_new(type, conf, error, sizeof error);
		if (handle == NULL) {
			snprintf(out_problem, KAFKA_CLIENT_PROBLEM_MAX, "%s", error);
			status = STATUS_INVALID;
		}
	}
	if (handle == NULL)
		rd_kafka_conf_destroy(conf);
	else if (is_producer)
		client->producer = handle;
	else
		client->consumer = handle;
	return status;
}

/* How many partitions a topic has. Asking also saves the first produce the wait for metadata. */
static enum status count_partitions(
	struct kafka_client *client, const char *topic, int timeout_ms, char *out_problem, int32_t *out_count)
{
	const rd_kafka_metadata_t *metadata = NULL;
	rd_kafka_topic_t *handle = rd_kafka_topic_new(client->producer, topic, NULL);
	if (handle == NULL) return STATUS_NO_MEMORY;
	rd_kafka_resp_err_t error = rd_kafka_metadata(client->producer, 0, handle, &metadata, timeout_ms);
	rd_kafka_topic_destroy(handle);
	if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
		snprintf(out_problem, KAFKA_CLIENT_PROBLEM_MAX, "no broker answers: %s", rd_kafka_err2str(error));
		return STATUS_CLOSED;
	}
	enum status status = STATUS_NOT_FOUND;
	if (metadata->topic_cnt == 1 && metadata->topics[0].partition_cnt > 0) {
		*out_count = metadata->topics[0].partition_cnt;
		status = STATUS_OK;
	} else {
		snprintf(out_problem, KAFKA_CLIENT_PROBLEM_MAX, "there is no topic %s", topic);
	}
	rd_kafka_metadata_destroy(metadata);
	return status;
}

/* A topic that was just made is known before its partitions have leaders. */
static bool is_passing(rd_kafka_resp_err_t error)
{
	return error == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION || error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
	       error == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE || error == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
	       error == RD_KAFKA_RESP_ERR__WAIT_CACHE;
}

static rd_kafka_resp_err_t find_end(
	struct kafka_client *client, const char *topic, int32_t partition, int timeout_ms, int64_t *out_end)
{
	int64_t until_ms = clock_now().mono_ms + timeout_ms;
	for (;;) {
		int64_t low = 0;
		rd_kafka_resp_err_t error =
			rd_kafka_query_watermark_offsets(client->consumer, topic, partition, &low, out_end, timeout_ms);
		if (!is_passing(error) || clock_now().mono_ms >= until_ms) return error;
		(void)rd_kafka_poll(client->producer, RETRY_MS);
	}
}

static enum status add_ends(struct kafka_client *client, const char *topic, int timeout_ms,
	rd_kafka_topic_partition_list_t *list, char *out_problem)
{
	int32_t count = 0;
	enum status status = count_partitions(client, topic, timeout_ms, out_problem, &count);
	for (int32_t i = 0; status == STATUS_OK && i < count; i++) {
		int64_t end = 0;
		rd_kafka_resp_err_t error = find_end(client, topic, i, timeout_ms, &end);
		if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
			snprintf(out_problem, KAFKA_CLIENT_PROBLEM_MAX, "%s [%d]: %s", topic, (int)i,
				rd_kafka_err2str(error));
			return STATUS_CLOSED;
		}
		rd_kafka_topic_partition_list_add(list, topic, i)->offset = end;
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
	status = count_partitions(client, options->request_topic, timeout_ms, out_problem, &count);
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

static size_t read_headers(const rd_kafka_message_t *message, struct record_header items[static HEADERS_MAX])
{
	rd_kafka_headers_t *headers = NULL;
	size_t count = 0;
	if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return 0;
	for (; count < HEADERS_MAX; count++) {
		const char *name = NULL;
		const void *value = NULL;
		size_t size = 0;
		if (rd_kafka_header_get_all(headers, count, &name, &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR) break;
		items[count] = (struct record_header){ .name = bytes_of(name), .value = bytes_at(value, size) };
	}
	return count;
}

static struct record *copy_record(const rd_kafka_message_t *message)
{
	struct record_header items[HEADERS_MAX];
	rd_kafka_timestamp_type_t type;
	struct record source = { .partition = message->partition,
		.offset = message->offset,
		.timestamp_ms = rd_kafka_message_timestamp(message, &type),
		.key = bytes_at(message->key, message->key_len),
		.value = bytes_at(message->payload, message->len) };
	source.headers = (struct record_headers){ .items = items, .count = read_headers(message, items) };
	return record_new(&source);
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
