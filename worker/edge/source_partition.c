/* Partitions of the source: their queues and the records in them. See source_state.h. */
#include <stdlib.h>

#include "common/assertion.h"
#include "worker/edge/source_state.h"
#include "worker/metrics_table.h"

enum { PARTITIONS_MAX = 1 << 20, HEADERS_FIRST = 16 };

struct source_slot *source_slot_find(const struct source *source, int32_t partition)
{
	if (partition < 0 || (size_t)partition >= source->slot_count) return NULL;
	return &source->slots[partition];
}

enum status source_slot_reserve(struct source *source, int32_t partition)
{
	if (partition < 0 || partition >= PARTITIONS_MAX) return STATUS_INVALID;
	size_t count = (size_t)partition + 1;
	if (count <= source->slot_count) return STATUS_OK;
	int32_t *partitions = realloc(source->partitions, count * sizeof(*partitions));
	if (partitions == NULL) return STATUS_NO_MEMORY;
	source->partitions = partitions;
	struct source_slot *slots = realloc(source->slots, count * sizeof(*slots));
	if (slots == NULL) return STATUS_NO_MEMORY;
	for (size_t i = source->slot_count; i < count; i++)
		slots[i] = (struct source_slot){ .state = SOURCE_SLOT_FREE, .end = -1 };
	source->slots = slots;
	source->slot_count = count;
	return STATUS_OK;
}

void source_slot_open(struct source *source, int32_t partition)
{
	static const uint64_t one = 1;
	struct source_slot *slot = source_slot_find(source, partition);
	ASSERT(slot != NULL);
	ASSERT(slot->queue == NULL);
	slot->queue = rd_kafka_queue_get_partition(source->rk, source->settings->kafka.requests_topic, partition);
	ASSERT(slot->queue != NULL);
	/* Forwarding that the application has set is left alone when fetching starts. */
	rd_kafka_queue_forward(slot->queue, NULL);
	rd_kafka_queue_io_event_enable(slot->queue, source->fd, &one, sizeof(one));
	slot->state = SOURCE_SLOT_OWNED;
	slot->needs_restart = false;
}

void source_slot_close(struct source *source, int32_t partition)
{
	struct source_slot *slot = source_slot_find(source, partition);
	ASSERT(slot != NULL);
	if (slot->held != NULL) rd_kafka_message_destroy(slot->held);
	if (slot->queue != NULL) {
		rd_kafka_queue_io_event_enable(slot->queue, -1, NULL, 0);
		rd_kafka_queue_destroy(slot->queue);
	}
	*slot = (struct source_slot){ .state = SOURCE_SLOT_FREE, .end = -1 };
}

void source_list_partitions(struct source *source)
{
	source->partition_count = 0;
	for (size_t i = 0; i < source->slot_count; i++)
		if (source->slots[i].state == SOURCE_SLOT_OWNED)
			source->partitions[source->partition_count++] = (int32_t)i;
	metrics_set(source->metrics, METRIC_ASSIGNED_PARTITIONS, (int64_t)source->partition_count);
}

static void note_error(struct source *source, struct source_slot *slot, const rd_kafka_message_t *message)
{
	if (message->err != RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
		log_event(source->log, LOG_LEVEL_WARN, "partition cannot be read",
			LOG_FIELDS(log_int("partition", message->partition),
				log_string("error", rd_kafka_err2name(message->err))));
		return;
	}
	log_event(source->log, LOG_LEVEL_ERROR, "offset is gone from the log, looking the partition up anew",
		LOG_FIELDS(log_int("partition", message->partition), log_int("offset", message->offset)));
	metrics_add(source->metrics, METRIC_OFFSETS_LOST, 1);
	slot->needs_restart = true;
	source->needs_restart = true;
}

static enum status reserve_headers(struct source *source, size_t count)
{
	if (count <= source->header_capacity) return STATUS_OK;
	size_t capacity = count < HEADERS_FIRST ? HEADERS_FIRST : count;
	struct record_header *headers = realloc(source->headers, capacity * sizeof(*headers));
	if (headers == NULL) return STATUS_NO_MEMORY;
	source->headers = headers;
	source->header_capacity = capacity;
	return STATUS_OK;
}

/* The message's headers into the scratch; they point into the message. */
static enum status read_headers(
	struct source *source, const rd_kafka_message_t *message, struct record_headers *out_headers)
{
	*out_headers = (struct record_headers){ .items = NULL, .count = 0 };
	rd_kafka_headers_t *headers = NULL;
	if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return STATUS_OK;
	size_t count = rd_kafka_header_cnt(headers);
	enum status status = reserve_headers(source, count);
	if (status != STATUS_OK) return status;
	for (size_t i = 0; i < count; i++) {
		const char *name = NULL;
		const void *value = NULL;
		size_t size = 0;
		rd_kafka_resp_err_t code = rd_kafka_header_get_all(headers, i, &name, &value, &size);
		ASSERT(code == RD_KAFKA_RESP_ERR_NO_ERROR);
		source->headers[i] =
			(struct record_header){ bytes_of(name), value == NULL ? BYTES_NONE : bytes_at(value, size) };
	}
	*out_headers = (struct record_headers){ .items = source->headers, .count = count };
	return STATUS_OK;
}

static struct record *copy_message(struct source *source, const rd_kafka_message_t *message)
{
	rd_kafka_timestamp_type_t type;
	struct record record = {
		.partition = message->partition,
		.offset = message->offset,
		.timestamp_ms = rd_kafka_message_timestamp(message, &type),
		.key = message->key == NULL ? BYTES_NONE : bytes_at(message->key, message->key_len),
		.value = message->payload == NULL ? BYTES_NONE : bytes_at(message->payload, message->len),
	};
	if (read_headers(source, message, &record.headers) != STATUS_OK) return NULL;
	return record_new(&record);
}

/* The next message that is not only the news of the log's end, which must not hide what comes behind it. */
static rd_kafka_message_t *next_message(struct source_slot *slot)
{
	rd_kafka_message_t *message = rd_kafka_consume_queue(slot->queue, 0);
	while (message != NULL && message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		slot->end = message->offset;
		rd_kafka_message_destroy(message);
		message = rd_kafka_consume_queue(slot->queue, 0);
	}
	return message;
}

bool source_take_end(struct source *source, int32_t partition, int64_t *out_end)
{
	struct source_slot *slot = source_slot_find(source, partition);
	if (slot == NULL || slot->state != SOURCE_SLOT_OWNED || slot->end < 0) return false;
	*out_end = slot->end;
	slot->end = -1;
	return true;
}

enum status source_take(struct source *source, int32_t partition, struct record **out_record)
{
	struct source_slot *slot = source_slot_find(source, partition);
	if (slot == NULL || slot->state != SOURCE_SLOT_OWNED) return STATUS_NOT_FOUND;
	rd_kafka_message_t *message = slot->held;
	slot->held = NULL;
	if (message == NULL) message = next_message(slot);
	if (message == NULL) return STATUS_EMPTY;
	if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
		note_error(source, slot, message);
		rd_kafka_message_destroy(message);
		return STATUS_EMPTY;
	}
	ASSERT(message->partition == partition);
	struct record *record = copy_message(source, message);
	if (record == NULL) {
		slot->held = message;
		return STATUS_NO_MEMORY;
	}
	rd_kafka_message_destroy(message);
	*out_record = record;
	return STATUS_OK;
}

int64_t source_log_end(const struct source *source, int32_t partition)
{
	int64_t start = -1, end = -1;
	rd_kafka_resp_err_t code = rd_kafka_get_watermark_offsets(
		source->rk, source->settings->kafka.requests_topic, partition, &start, &end);
	return code == RD_KAFKA_RESP_ERR_NO_ERROR && end >= 0 ? end : -1;
}
