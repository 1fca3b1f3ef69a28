/* Records into the producer, delivery reports out of it. See publisher_state.h. */
#include <string.h>

#include "common/assertion.h"
#include "common/clock.h"
#include "worker/edge/publisher_state.h"

enum { TOPIC_SIZE_MAX = 256, QUEUE_FULL_POLL_MS = 10 };

void publisher_forget_failure(struct publisher *publisher)
{
	publisher->failure = (struct publisher_failure){ 0 };
	publisher->failed = 0;
	publisher->refused_by_size = 0;
	publisher->refused_topics = 0;
	publisher->has_gap = false;
}

void publisher_note_failure(struct publisher *publisher, const char *step, const char *name, rd_kafka_resp_err_t code)
{
	if (publisher->failure.step != NULL) return;
	publisher->failure = (struct publisher_failure){ .step = step, .name = name, .code = code };
}

/* What one record's error says about the record itself; the rest says something about the broker or the batch. */
static enum batch_item_fault fault_of(rd_kafka_resp_err_t code)
{
	if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || code == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE ||
		code == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE)
		return BATCH_ITEM_TOO_LARGE;
	if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
		code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION || code == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION ||
		code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
		return BATCH_ITEM_NO_TOPIC;
	return BATCH_ITEM_FINE;
}

/* Purged records failed because of another one, so they do not tell why the batch did. */
static bool is_consequence(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR__PURGE_QUEUE || code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
}

static void note_fault(struct publisher *publisher, struct batch_item *item, rd_kafka_resp_err_t code)
{
	publisher->failed++;
	item->fault = fault_of(code);
	if (item->fault == BATCH_ITEM_NO_TOPIC) publisher->refused_topics++;
}

void publisher_on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
	(void)rk;
	struct publisher *publisher = ((struct kafka_owner *)opaque)->context;
	struct batch_item *item = message->_private;
	ASSERT(item != NULL);
	ASSERT(publisher->undelivered > 0);
	publisher->undelivered--;
	if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) return;
	note_fault(publisher, item, message->err);
	if (item->fault == BATCH_ITEM_TOO_LARGE) publisher->refused_by_size++;
	publisher->has_gap = true;
	if (!is_consequence(message->err))
		publisher_note_failure(publisher, "delivery", rd_kafka_err2name(message->err), message->err);
}

bool publisher_must_be_careful(const struct publisher *publisher)
{
	return publisher->refused_by_size > 1;
}

/* librdkafka copies them and takes what is returned. */
static rd_kafka_headers_t *copy_headers(const struct record_headers *headers)
{
	rd_kafka_headers_t *copy = rd_kafka_headers_new(headers->count);
	for (size_t i = 0; i < headers->count; i++) {
		const struct record_header *header = &headers->items[i];
		rd_kafka_resp_err_t code = rd_kafka_header_add(copy, header->name.data, (ssize_t)header->name.size,
			header->value.data, bytes_is_given(header->value) ? (ssize_t)header->value.size : 0);
		ASSERT(code == RD_KAFKA_RESP_ERR_NO_ERROR);
	}
	return copy;
}

/* The value is borrowed until the delivery report; everything else is copied. */
static rd_kafka_resp_err_t produce_once(struct publisher *publisher, struct batch_item *item)
{
	const struct outgoing *record = item->record;
	char topic[TOPIC_SIZE_MAX];
	if (record->topic.size >= sizeof(topic)) return RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
	memcpy(topic, record->topic.data, record->topic.size);
	topic[record->topic.size] = '\0';
	rd_kafka_headers_t *headers = copy_headers(&record->headers);
	rd_kafka_resp_err_t code = rd_kafka_producev(publisher->rk, RD_KAFKA_V_TOPIC(topic),
		RD_KAFKA_V_KEY((void *)(uintptr_t)record->key.data, record->key.size),
		RD_KAFKA_V_VALUE((void *)(uintptr_t)record->value.data, record->value.size),
		RD_KAFKA_V_TIMESTAMP(record->timestamp_ms), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(item),
		RD_KAFKA_V_END);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
		publisher->undelivered++;
	else
		rd_kafka_headers_destroy(headers);
	return code;
}

static enum status produce_item(struct publisher *publisher, struct batch_item *item, int64_t deadline_ms)
{
	rd_kafka_resp_err_t code = produce_once(publisher, item);
	while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && clock_now().mono_ms < deadline_ms) {
		(void)rd_kafka_poll(publisher->rk, QUEUE_FULL_POLL_MS);
		code = produce_once(publisher, item);
	}
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return STATUS_OK;
	/* A record that failed before has its report waiting; it is the better reason. */
	(void)rd_kafka_poll(publisher->rk, 0);
	note_fault(publisher, item, code);
	publisher_note_failure(publisher, "produce", rd_kafka_err2name(code), code);
	return code == RD_KAFKA_RESP_ERR__QUEUE_FULL ? STATUS_TIMEOUT : STATUS_IO;
}

/* Until nothing is on the way, so that the next record begins a request of its own. */
static enum status flush_before(struct publisher *publisher, int64_t deadline_ms)
{
	while (publisher->undelivered > 0 && publisher->failed == 0) {
		if (clock_now().mono_ms >= deadline_ms || publisher_is_stopping(publisher)) return STATUS_TIMEOUT;
		(void)rd_kafka_flush(publisher->rk, PUBLISHER_CALL_MS);
	}
	return publisher->failed == 0 ? STATUS_OK : STATUS_IO;
}

static enum status produce_alone(struct publisher *publisher, struct batch_item *item, int64_t deadline_ms)
{
	enum status status = flush_before(publisher, deadline_ms);
	if (status == STATUS_OK) status = produce_item(publisher, item, deadline_ms);
	return status == STATUS_OK ? flush_before(publisher, deadline_ms) : status;
}

enum status publisher_produce(struct publisher *publisher, struct batch *batch, bool careful, int64_t deadline_ms)
{
	for (size_t i = 0; i < batch->item_count; i++) {
		struct batch_item *item = &batch->items[i];
		bool goes_alone = careful && item->fault == BATCH_ITEM_TOO_LARGE;
		item->fault = BATCH_ITEM_FINE;
		enum status status = goes_alone ? produce_alone(publisher, item, deadline_ms)
						: produce_item(publisher, item, deadline_ms);
		if (status == STATUS_OK) continue;
		/* What was not tried has no fault, whatever an earlier try said. */
		for (size_t j = i + 1; j < batch->item_count; j++)
			batch->items[j].fault = BATCH_ITEM_FINE;
		return status;
	}
	return STATUS_OK;
}
