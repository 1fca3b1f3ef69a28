/* The look-up thread: see the header.
 *
 * A question is a ticket and a list of partitions. The thread copies it, works without the lock, and leaves its answer
 * only if the ticket is still the newest one; otherwise it begins with the newer question. */
#include "worker/edge/source_lookup.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/assertion.h"
#include "worker/edge/kafka_close.h"

enum { TRY_MS = 1000, PAUSE_MS = 100 };

struct source_lookup {
	struct source_lookup_options options; /* never changes */
	pthread_t thread;
	pthread_mutex_t lock; /* guards everything below */
	pthread_cond_t changed;
	bool stopping;
	uint64_t ticket;
	bool is_asked; /* the newest question has no answer yet */
	int32_t *asked;
	size_t asked_count;
	struct source_partition *found; /* NULL = no answer, or it was taken */
	size_t found_count;
};

struct question {
	uint64_t ticket;
	struct source_partition *rows;
	size_t count;
};

void source_lookup_free_rows(struct source_partition *rows, size_t count)
{
	if (rows == NULL) return;
	for (size_t i = 0; i < count; i++)
		free((void *)(uintptr_t)rows[i].metadata.data);
	free(rows);
}

static void lock(struct source_lookup *lookup)
{
	int result = pthread_mutex_lock(&lookup->lock);
	ASSERT(result == 0);
}

static void unlock(struct source_lookup *lookup)
{
	int result = pthread_mutex_unlock(&lookup->lock);
	ASSERT(result == 0);
}

static bool is_outdated(struct source_lookup *lookup, uint64_t ticket)
{
	lock(lookup);
	bool outdated = lookup->stopping || lookup->ticket != ticket;
	unlock(lookup);
	return outdated;
}

/* Between tries: an error that comes at once must not make the thread spin. */
static void pause_between_tries(struct source_lookup *lookup, uint64_t ticket)
{
	struct timespec end;
	int result = clock_gettime(CLOCK_MONOTONIC, &end);
	ASSERT(result == 0);
	end.tv_nsec += PAUSE_MS * 1000000L;
	if (end.tv_nsec >= 1000000000) {
		end.tv_sec++;
		end.tv_nsec -= 1000000000;
	}
	lock(lookup);
	while (result == 0 && !lookup->stopping && lookup->ticket == ticket)
		result = pthread_cond_timedwait(&lookup->changed, &lookup->lock, &end);
	unlock(lookup);
}

static rd_kafka_resp_err_t first_code(const rd_kafka_topic_partition_list_t *list)
{
	for (int i = 0; i < list->cnt; i++)
		if (list->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR) return list->elems[i].err;
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static void free_metadata(struct batch_progress *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free((void *)(uintptr_t)rows[i].metadata.data);
}

/* Metadata is copied by its size: librdkafka does not end it with NUL. */
static enum status copy_row(const rd_kafka_topic_partition_t *from, struct batch_progress *row)
{
	*row = (struct batch_progress){ .partition = from->partition, .offset = from->offset, .metadata = BYTES_NONE };
	if (from->offset < 0) row->offset = -1;
	if (from->offset < 0 || from->metadata == NULL || from->metadata_size == 0) return STATUS_OK;
	char *copy = malloc(from->metadata_size);
	if (copy == NULL) return STATUS_NO_MEMORY;
	memcpy(copy, from->metadata, from->metadata_size);
	row->metadata = bytes_at(copy, from->metadata_size);
	return STATUS_OK;
}

static enum status copy_rows(
	const rd_kafka_topic_partition_list_t *list, const char *topic, struct batch_progress *rows, size_t count)
{
	struct batch_progress *copies = calloc(count + 1, sizeof(*copies));
	if (copies == NULL) return STATUS_NO_MEMORY;
	enum status status = STATUS_OK;
	for (size_t i = 0; i < count && status == STATUS_OK; i++) {
		const rd_kafka_topic_partition_t *from = rd_kafka_topic_partition_list_find(
			(rd_kafka_topic_partition_list_t *)(uintptr_t)list, topic, rows[i].partition);
		status = from == NULL ? STATUS_IO : copy_row(from, &copies[i]);
	}
	if (status == STATUS_OK)
		memcpy(rows, copies, count * sizeof(*rows));
	else
		free_metadata(copies, count);
	free(copies);
	return status;
}

enum status source_lookup_committed(
	const struct source_lookup_options *options, struct batch_progress *rows, size_t count, int timeout_ms)
{
	if (count == 0) return STATUS_OK;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
	for (size_t i = 0; i < count; i++)
		(void)rd_kafka_topic_partition_list_add(list, options->topic, rows[i].partition);
	/* The result comes first: behind an open transaction it says timed out, while each row looks fine. */
	rd_kafka_resp_err_t code = rd_kafka_committed(options->rk, list, timeout_ms);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR) code = first_code(list);
	enum status status = code == RD_KAFKA_RESP_ERR__TIMED_OUT ? STATUS_TIMEOUT : STATUS_IO;
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR) status = copy_rows(list, options->topic, rows, count);
	rd_kafka_topic_partition_list_destroy(list);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR__TIMED_OUT)
		log_event(options->log, LOG_LEVEL_WARN, "committed offsets cannot be read",
			LOG_FIELDS(log_string("error", rd_kafka_err2name(code))));
	return status;
}

/* Committed offsets into the question's rows. */
static enum status ask_committed(const struct source_lookup *lookup, struct question *question)
{
	struct batch_progress *rows = calloc(question->count + 1, sizeof(*rows));
	if (rows == NULL) return STATUS_NO_MEMORY;
	for (size_t i = 0; i < question->count; i++)
		rows[i].partition = question->rows[i].partition;
	enum status status = source_lookup_committed(&lookup->options, rows, question->count, TRY_MS);
	for (size_t i = 0; i < question->count && status == STATUS_OK; i++) {
		free((void *)(uintptr_t)question->rows[i].metadata.data);
		question->rows[i].committed = rows[i].offset;
		question->rows[i].metadata = rows[i].metadata;
	}
	free(rows);
	return status;
}

/* librdkafka may say that a partition is not there from what it remembers, without asking. This asks, and what comes back
 * replaces what it remembers. */
static void renew_metadata(const struct source_lookup *lookup)
{
	rd_kafka_topic_t *topic = rd_kafka_topic_new(lookup->options.rk, lookup->options.topic, NULL);
	if (topic == NULL) return;
	const struct rd_kafka_metadata *metadata = NULL;
	if (rd_kafka_metadata(lookup->options.rk, 0, topic, &metadata, TRY_MS) == RD_KAFKA_RESP_ERR_NO_ERROR)
		rd_kafka_metadata_destroy(metadata);
	rd_kafka_topic_destroy(topic);
}

static enum status ask_bounds(struct source_lookup *lookup, const struct question *question)
{
	for (size_t i = 0; i < question->count; i++) {
		struct source_partition *row = &question->rows[i];
		if (row->log_end >= 0) continue; /* known from an earlier try */
		if (is_outdated(lookup, question->ticket)) return STATUS_CLOSED;
		int64_t start = -1, end = -1;
		rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(
			lookup->options.rk, lookup->options.topic, row->partition, &start, &end, TRY_MS);
		if (code == RD_KAFKA_RESP_ERR__TIMED_OUT) return STATUS_TIMEOUT;
		if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
			log_event(lookup->options.log, LOG_LEVEL_WARN, "bounds of the log cannot be read",
				LOG_FIELDS(log_int("partition", row->partition),
					log_string("error", rd_kafka_err2name(code))));
			renew_metadata(lookup);
			return STATUS_IO;
		}
		row->log_start = start;
		row->log_end = end;
	}
	return STATUS_OK;
}

/* Until all is clean or nobody wants to know any more. Committed offsets are read first, so the log's end that is read
 * after them cannot lie before them. */
static void answer(struct source_lookup *lookup, struct question *question)
{
	enum status committed = STATUS_EMPTY, bounds = STATUS_EMPTY;
	while (!is_outdated(lookup, question->ticket)) {
		if (committed != STATUS_OK) committed = ask_committed(lookup, question);
		if (committed == STATUS_OK) bounds = ask_bounds(lookup, question);
		if (bounds == STATUS_OK) break;
		log_event(lookup->options.log, LOG_LEVEL_WARN, "waiting for committed offsets before reading on",
			LOG_FIELDS(log_string("committed", status_text(committed)),
				log_string("bounds", status_text(bounds))));
		pause_between_tries(lookup, question->ticket);
	}
	uint64_t one = 1;
	lock(lookup);
	bool is_wanted = !lookup->stopping && lookup->ticket == question->ticket;
	if (is_wanted) {
		lookup->found = question->rows;
		lookup->found_count = question->count;
		lookup->is_asked = false;
	}
	unlock(lookup);
	if (!is_wanted) source_lookup_free_rows(question->rows, question->count);
	if (is_wanted && write(lookup->options.wake_fd, &one, sizeof(one)) < 0) ASSERT(errno == EAGAIN);
}

/* Under the lock. `rows` stays NULL when memory is missing; then the question waits. */
static struct question copy_question(const struct source_lookup *lookup)
{
	struct question question = { .ticket = lookup->ticket, .count = lookup->asked_count };
	question.rows = calloc(question.count + 1, sizeof(*question.rows));
	for (size_t i = 0; i < question.count && question.rows != NULL; i++)
		question.rows[i] = (struct source_partition){
			.partition = lookup->asked[i], .committed = -1, .log_start = -1, .log_end = -1, .start = -1
		};
	return question;
}

static void *run(void *argument)
{
	struct source_lookup *lookup = argument;
	for (;;) {
		lock(lookup);
		while (!lookup->stopping && !lookup->is_asked) {
			int result = pthread_cond_wait(&lookup->changed, &lookup->lock);
			ASSERT(result == 0);
		}
		bool stopping = lookup->stopping;
		struct question question = stopping ? (struct question){ 0 } : copy_question(lookup);
		unlock(lookup);
		if (stopping) return NULL;
		if (question.rows == NULL)
			pause_between_tries(lookup, question.ticket);
		else
			answer(lookup, &question);
	}
}

static void init_locks(struct source_lookup *lookup)
{
	pthread_condattr_t attributes;
	int result = pthread_condattr_init(&attributes);
	ASSERT(result == 0);
	result = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	ASSERT(result == 0);
	result = pthread_cond_init(&lookup->changed, &attributes);
	ASSERT(result == 0);
	pthread_condattr_destroy(&attributes);
	result = pthread_mutex_init(&lookup->lock, NULL);
	ASSERT(result == 0);
}

static void free_lookup(struct source_lookup *lookup)
{
	source_lookup_free_rows(lookup->found, lookup->found_count);
	free(lookup->asked);
	pthread_cond_destroy(&lookup->changed);
	pthread_mutex_destroy(&lookup->lock);
	free(lookup);
}

enum status source_lookup_start(const struct source_lookup_options *options, struct source_lookup **out_lookup)
{
	ASSERT(options->rk != NULL);
	ASSERT(options->wake_fd >= 0);
	struct source_lookup *lookup = calloc(1, sizeof(*lookup));
	if (lookup == NULL) return STATUS_NO_MEMORY;
	lookup->options = *options;
	init_locks(lookup);
	if (pthread_create(&lookup->thread, NULL, run, lookup) != 0) {
		free_lookup(lookup);
		return STATUS_IO;
	}
	*out_lookup = lookup;
	return STATUS_OK;
}

enum status source_lookup_ask(struct source_lookup *lookup, const int32_t *partitions, size_t count)
{
	int32_t *copy = calloc(count + 1, sizeof(*copy));
	if (copy == NULL) return STATUS_NO_MEMORY;
	if (count > 0) memcpy(copy, partitions, count * sizeof(*copy));
	lock(lookup);
	free(lookup->asked);
	source_lookup_free_rows(lookup->found, lookup->found_count);
	lookup->asked = copy;
	lookup->asked_count = count;
	lookup->found = NULL;
	lookup->found_count = 0;
	lookup->is_asked = count > 0;
	lookup->ticket++;
	int result = pthread_cond_signal(&lookup->changed);
	ASSERT(result == 0);
	unlock(lookup);
	return STATUS_OK;
}

enum status source_lookup_take(struct source_lookup *lookup, struct source_partition **out_rows, size_t *out_count)
{
	lock(lookup);
	struct source_partition *rows = lookup->found;
	size_t count = lookup->found_count;
	lookup->found = NULL;
	lookup->found_count = 0;
	unlock(lookup);
	if (rows == NULL) return STATUS_EMPTY;
	*out_rows = rows;
	*out_count = count;
	return STATUS_OK;
}

enum status source_lookup_stop(struct source_lookup *lookup, int timeout_ms)
{
	if (lookup == NULL) return STATUS_OK;
	lock(lookup);
	lookup->stopping = true;
	int result = pthread_cond_signal(&lookup->changed);
	ASSERT(result == 0);
	unlock(lookup);
	enum status status = kafka_close_thread(lookup->thread, timeout_ms);
	if (status == STATUS_OK) free_lookup(lookup);
	return status;
}
