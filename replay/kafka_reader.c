/* One consumer without a membership. */
#include "replay/kafka_reader.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/assertion.h"
#include "common/clock.h"
#include "replay/kafka_record.h"
#include "replay/kafka_setup.h"

_Static_assert((int)KAFKA_READER_PROBLEM_MAX == (int)KAFKA_PROBLEM_MAX, "both are the buffer of the same sentence");

enum { POLL_MS = 200, READ_STALL_MS = 30000 };

struct kafka_reader {
	rd_kafka_t *consumer; /* owned */
	int timeout_ms;
};

struct progress {
	int64_t next; /* offset; what comes again is not given again */
	bool is_at_end;
};

/* One topic while it is read. */
struct reading {
	struct kafka_reader *reader;
	const char *topic;
	const struct kafka_range *ranges;
	size_t count;
	const struct kafka_visitor *visitor;
	size_t left;               /* partitions that are not at their end */
	struct progress *progress; /* of each partition */
	int64_t heard_ms;          /* monotonic: of the last progress */
};

static const struct kafka_property PROPERTIES[] = {
	{ "enable.auto.commit", "false" }, { "isolation.level", "read_committed" }, { "auto.offset.reset", "earliest" },
	{ "enable.partition.eof", "true" }, /* behind the last record there may be marks of transactions */
	{ "fetch.wait.max.ms", "100" },
	{ "group.id", "chat-replay" }, /* never joined, but assigning wants one; the last one counts */
};

enum status kafka_reader_open(const struct kafka_reader_options *options,
	char out_problem[static KAFKA_READER_PROBLEM_MAX], struct kafka_reader **out_reader)
{
	enum { COUNT = sizeof PROPERTIES / sizeof PROPERTIES[0] };
	struct kafka_property own[COUNT];
	for (size_t i = 0; i < COUNT; i++)
		own[i] = PROPERTIES[i];
	if (options->group != NULL) own[COUNT - 1].value = options->group;
	const struct kafka_setup setup = { .brokers = options->brokers,
		.own = own,
		.own_count = COUNT,
		.properties = options->properties,
		.property_count = options->property_count };
	snprintf(out_problem, KAFKA_PROBLEM_MAX, "out of memory");
	struct kafka_reader *reader = calloc(1, sizeof *reader);
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	if (reader == NULL || conf == NULL) {
		if (conf != NULL) rd_kafka_conf_destroy(conf);
		free(reader);
		return STATUS_NO_MEMORY;
	}
	reader->timeout_ms = (int)options->connect_ms;
	enum status status = kafka_setup_handle(&setup, RD_KAFKA_CONSUMER, conf, out_problem, &reader->consumer);
	if (status != STATUS_OK) {
		free(reader);
		return status;
	}
	rd_kafka_poll_set_consumer(reader->consumer);
	*out_reader = reader;
	return STATUS_OK;
}

void kafka_reader_close(struct kafka_reader *reader)
{
	if (reader == NULL) return;
	(void)rd_kafka_consumer_close(reader->consumer);
	rd_kafka_destroy(reader->consumer);
	free(reader);
}

static rd_kafka_topic_partition_list_t *list_all(const char *topic, size_t count)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
	for (size_t i = 0; i < count; i++)
		(void)rd_kafka_topic_partition_list_add(list, topic, (int32_t)i);
	return list;
}

/* The first error of a question about many partitions. */
static rd_kafka_resp_err_t first_error(const rd_kafka_topic_partition_list_t *list, rd_kafka_resp_err_t error)
{
	for (int i = 0; i < list->cnt && error == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
		error = list->elems[i].err;
	return error;
}

static enum status complain(char *out_problem, const char *topic, const char *what, rd_kafka_resp_err_t error)
{
	snprintf(out_problem, KAFKA_PROBLEM_MAX, "%s: %s: %s", topic, what, rd_kafka_err2str(error));
	return STATUS_CLOSED;
}

static enum status find_bounds(
	struct kafka_reader *reader, const char *topic, struct kafka_range *ranges, size_t count, char *out_problem)
{
	enum status status = STATUS_OK;
	rd_kafka_topic_partition_list_t *list = list_all(topic, count);
	for (size_t i = 0; i < count && status == STATUS_OK; i++) {
		struct kafka_range *range = &ranges[i];
		status = kafka_setup_bounds(reader->consumer, &list->elems[i], reader->timeout_ms, out_problem,
			&range->log_start, &range->end);
		range->start = range->log_start;
	}
	rd_kafka_topic_partition_list_destroy(list);
	return status;
}

/* Moves the starts to the first records that are not older. */
static enum status skip_older(struct kafka_reader *reader, const char *topic, int64_t from_ms,
	struct kafka_range *ranges, size_t count, char *out_problem)
{
	rd_kafka_topic_partition_list_t *list = list_all(topic, count);
	for (size_t i = 0; i < count; i++)
		list->elems[i].offset = from_ms;
	rd_kafka_resp_err_t error = rd_kafka_offsets_for_times(reader->consumer, list, reader->timeout_ms);
	error = first_error(list, error);
	for (size_t i = 0; i < count && error == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
		int64_t offset = list->elems[i].offset;
		bool is_known = offset >= 0 && offset < ranges[i].end;
		ranges[i].start = is_known ? offset : ranges[i].end;
	}
	rd_kafka_topic_partition_list_destroy(list);
	if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return STATUS_OK;
	return complain(out_problem, topic, "offsets by time cannot be read", error);
}

enum status kafka_reader_ranges(struct kafka_reader *reader, const char *topic, int64_t from_ms,
	char out_problem[static KAFKA_READER_PROBLEM_MAX], struct kafka_range **out_ranges, size_t *out_count)
{
	int32_t count = 0;
	enum status status = kafka_setup_partitions(reader->consumer, topic, reader->timeout_ms, out_problem, &count);
	if (status != STATUS_OK) return status;
	struct kafka_range *ranges = calloc((size_t)count, sizeof *ranges);
	if (ranges == NULL) return STATUS_NO_MEMORY;
	status = find_bounds(reader, topic, ranges, (size_t)count, out_problem);
	if (status == STATUS_OK && from_ms > 0)
		status = skip_older(reader, topic, from_ms, ranges, (size_t)count, out_problem);
	if (status != STATUS_OK) {
		free(ranges);
		return status;
	}
	*out_ranges = ranges;
	*out_count = (size_t)count;
	return STATUS_OK;
}

enum status kafka_reader_committed(struct kafka_reader *reader, const char *topic, size_t count,
	char out_problem[static KAFKA_READER_PROBLEM_MAX], int64_t *out_offsets)
{
	rd_kafka_topic_partition_list_t *list = list_all(topic, count);
	rd_kafka_resp_err_t error = rd_kafka_committed(reader->consumer, list, reader->timeout_ms);
	error = first_error(list, error);
	for (size_t i = 0; i < count && error == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
		out_offsets[i] = list->elems[i].offset >= 0 ? list->elems[i].offset : -1;
	rd_kafka_topic_partition_list_destroy(list);
	if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return STATUS_OK;
	return complain(out_problem, topic, "the group's progress cannot be read", error);
}

static void end_partition(struct reading *reading, size_t partition)
{
	reading->progress[partition].is_at_end = true;
	reading->left--;
}

static enum status visit(struct reading *reading, const rd_kafka_message_t *message)
{
	struct record_header items[KAFKA_RECORD_HEADERS_MAX];
	const struct kafka_range *range = &reading->ranges[message->partition];
	if (message->offset + 1 >= range->end) end_partition(reading, (size_t)message->partition);
	if (message->offset >= range->end || message->offset < reading->progress[message->partition].next)
		return STATUS_OK;
	reading->progress[message->partition].next = message->offset + 1;
	struct record view = kafka_record_view(message, items);
	return reading->visitor->visit(reading->visitor->context, &view);
}

static enum status take(struct reading *reading, const rd_kafka_message_t *message)
{
	bool is_record = message->err == RD_KAFKA_RESP_ERR_NO_ERROR;
	bool is_end = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
	/* Other errors pass by themselves, or nothing comes any more. */
	if (!is_record && !is_end) return STATUS_OK;
	ASSERT(message->partition >= 0 && (size_t)message->partition < reading->count);
	if (reading->progress[message->partition].is_at_end) return STATUS_OK;
	reading->heard_ms = clock_now().mono_ms;
	if (is_record) return visit(reading, message);
	/* Control records and aborted ones lie before the end, too: this is how one learns that nothing else does. */
	if (message->offset >= reading->ranges[message->partition].end)
		end_partition(reading, (size_t)message->partition);
	return STATUS_OK;
}

static enum status assign(struct reading *reading, char *out_problem)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)reading->count);
	for (size_t i = 0; i < reading->count; i++) {
		const struct kafka_range *range = &reading->ranges[i];
		reading->progress[i].is_at_end = range->start >= range->end;
		if (reading->progress[i].is_at_end) continue;
		reading->left++;
		rd_kafka_topic_partition_list_add(list, reading->topic, (int32_t)i)->offset = range->start;
	}
	rd_kafka_resp_err_t error = rd_kafka_assign(reading->reader->consumer, list);
	rd_kafka_topic_partition_list_destroy(list);
	if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return STATUS_OK;
	return complain(out_problem, reading->topic, "the partitions cannot be assigned", error);
}

static enum status read_all(struct reading *reading, char *out_problem)
{
	enum status status = STATUS_OK;
	reading->heard_ms = clock_now().mono_ms;
	while (reading->left > 0 && status == STATUS_OK) {
		rd_kafka_message_t *message = rd_kafka_consumer_poll(reading->reader->consumer, POLL_MS);
		if (message != NULL) {
			status = take(reading, message);
			rd_kafka_message_destroy(message);
		}
		if (status != STATUS_OK || clock_now().mono_ms - reading->heard_ms <= READ_STALL_MS) continue;
		snprintf(out_problem, KAFKA_PROBLEM_MAX, "%s cannot be read to its end: nothing came for %d s",
			reading->topic, (int)READ_STALL_MS / 1000);
		status = STATUS_TIMEOUT;
	}
	return status;
}

enum status kafka_reader_read(struct kafka_reader *reader, const char *topic, const struct kafka_range *ranges,
	size_t count, const struct kafka_visitor *visitor, char out_problem[static KAFKA_READER_PROBLEM_MAX])
{
	ASSERT(visitor->visit != NULL);
	struct reading reading = {
		.reader = reader, .topic = topic, .ranges = ranges, .count = count, .visitor = visitor
	};
	snprintf(out_problem, KAFKA_PROBLEM_MAX, "out of memory");
	reading.progress = calloc(count + 1, sizeof *reading.progress);
	if (reading.progress == NULL) return STATUS_NO_MEMORY;
	enum status status = assign(&reading, out_problem);
	if (status == STATUS_OK) status = read_all(&reading, out_problem);
	(void)rd_kafka_assign(reader->consumer, NULL);
	free(reading.progress);
	return status;
}
