/* The owner's side of the publisher, and the loop of its thread. See publisher_state.h. */
#include "worker/edge/publisher.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/assertion.h"
#include "common/clock.h"
#include "worker/edge/kafka_close.h"
#include "worker/edge/publisher_state.h"
#include "worker/metrics_table.h"

enum { IDLE_POLL_MS = 500 };

static const char *end_word(enum batch_end end)
{
	switch (end) {
	case BATCH_PENDING:
		return "pending";
	case BATCH_COMMITTED:
		return "committed";
	case BATCH_PUBLISHED:
		return "published";
	case BATCH_ABORTED:
		return "aborted";
	case BATCH_UNCERTAIN:
		return "uncertain";
	}
	ASSERT_UNREACHABLE();
}

/* The topic of the first record that was at fault. */
static struct bytes faulty_topic(const struct batch *batch)
{
	for (size_t i = 0; i < batch->item_count; i++)
		if (batch->items[i].fault != BATCH_ITEM_FINE) return batch->items[i].record->topic;
	return BYTES_NONE;
}

static void tell_end(struct publisher *publisher, const struct batch *batch)
{
	metrics_add_labelled(publisher->metrics, METRIC_COMMITS, bytes_of(end_word(batch->end)), 1);
	if (batch->end == BATCH_COMMITTED) {
		metrics_observe(publisher->metrics, METRIC_COMMIT_DURATION, batch->took_ms);
		return;
	}
	const struct publisher_failure *failure = &publisher->failure;
	log_event(publisher->log, LOG_LEVEL_WARN, "batch was not committed",
		LOG_FIELDS(log_string("end", end_word(batch->end)),
			log_string("step", failure->step == NULL ? "" : failure->step),
			log_string("error", failure->name == NULL ? "" : failure->name),
			log_text("topic", faulty_topic(batch)), log_int("records", (int64_t)batch->item_count),
			log_int("ms", batch->took_ms)));
}

static enum status carry_out(struct publisher *publisher, struct batch *batch)
{
	int64_t began_ms = clock_now().mono_ms;
	enum status status = publisher->is_transactional ? publisher_run_transaction(publisher, batch)
							 : publisher_run_plain(publisher, batch);
	if (status != STATUS_OK) return status;
	ASSERT(publisher->undelivered == 0);
	ASSERT(batch->end != BATCH_PENDING);
	batch->took_ms = clock_now().mono_ms - began_ms;
	tell_end(publisher, batch);
	if (batch->end == BATCH_COMMITTED) publisher->backoff_ms = 0;
	return STATUS_OK;
}

/* The next batch; NULL when the publisher stops. Meanwhile librdkafka's callbacks are served. */
static struct batch *next_batch(struct publisher *publisher)
{
	void *batch = NULL;
	while (!publisher_is_stopping(publisher)) {
		if (mailbox_take(publisher->work, &batch, 1) == 1) return batch;
		struct pollfd fds[] = {
			{ .fd = mailbox_fd(publisher->work), .events = POLLIN },
			{ .fd = publisher->stop_fd, .events = POLLIN },
		};
		(void)poll(fds, sizeof(fds) / sizeof(fds[0]), IDLE_POLL_MS);
		(void)rd_kafka_poll(publisher->rk, 0);
	}
	return NULL;
}

static enum status run_batch(struct publisher *publisher, struct batch *batch)
{
	publisher_forget_failure(publisher);
	if (publisher_session_is_broken(publisher)) {
		char text[8];
		rd_kafka_resp_err_t code = rd_kafka_fatal_error(publisher->rk, text, sizeof(text));
		publisher_note_failure(publisher, "idle", rd_kafka_err2name(code), code);
		enum status status = publisher_session_renew(
			publisher, kafka_error_is_fenced(code) ? PUBLISHER_REASON_FENCED : PUBLISHER_REASON_FATAL);
		if (status != STATUS_OK) return status;
	}
	return carry_out(publisher, batch);
}

static void *run(void *argument)
{
	struct publisher *publisher = argument;
	enum status status = publisher_session_connect(publisher);
	while (status == STATUS_OK) {
		struct batch *batch = next_batch(publisher);
		if (batch == NULL) break;
		status = run_batch(publisher, batch);
		/* An abandoned batch has no taker; librdkafka must let go of it first. */
		if (status != STATUS_OK) publisher_session_close(publisher);
		if (status != STATUS_OK || mailbox_put(publisher->done, batch) != STATUS_OK) batch_free(batch);
	}
	publisher_session_close(publisher);
	watchdog_rest(publisher->pulse);
	return NULL;
}

static void drain(struct mailbox *mailbox)
{
	void *batch = NULL;
	while (mailbox != NULL && mailbox_take(mailbox, &batch, 1) == 1)
		batch_free(batch);
}

static void free_publisher(struct publisher *publisher)
{
	publisher_session_close(publisher);
	drain(publisher->work);
	drain(publisher->done);
	mailbox_free(publisher->work);
	mailbox_free(publisher->done);
	if (publisher->stop_fd >= 0) close(publisher->stop_fd);
	free(publisher);
}

static struct publisher *publisher_new(const struct publisher_options *options)
{
	struct publisher *publisher = calloc(1, sizeof(*publisher));
	if (publisher == NULL) return NULL;
	publisher->settings = options->settings;
	publisher->source = options->source;
	publisher->log = options->log;
	publisher->metrics = options->metrics;
	publisher->pulse = watchdog_add(options->watchdog, "publisher");
	publisher->is_transactional = options->settings->kafka.delivery == SETTINGS_DELIVERY_EXACTLY_ONCE;
	publisher->owner = (struct kafka_owner){ .log = options->log, .context = publisher };
	publisher->work = mailbox_new(1);
	publisher->done = mailbox_new(1);
	publisher->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	kafka_watch_init(&publisher->watch);
	atomic_init(&publisher->is_ready, false);
	atomic_init(&publisher->is_stopping, false);
	return publisher;
}

enum status publisher_start(const struct publisher_options *options, struct publisher **out_publisher)
{
	ASSERT(options->source != NULL);
	ASSERT(options->metrics != NULL);
	struct publisher *publisher = publisher_new(options);
	if (publisher == NULL) return STATUS_NO_MEMORY;
	enum status status = STATUS_OK;
	if (publisher->work == NULL || publisher->done == NULL || publisher->stop_fd < 0) status = STATUS_IO;
	if (status == STATUS_OK) status = publisher_session_open(publisher);
	if (status == STATUS_OK && pthread_create(&publisher->thread, NULL, run, publisher) != 0) status = STATUS_IO;
	if (status != STATUS_OK) {
		free_publisher(publisher);
		return status;
	}
	*out_publisher = publisher;
	return STATUS_OK;
}

enum status publisher_stop(struct publisher *publisher, int timeout_ms)
{
	if (publisher == NULL) return STATUS_OK;
	uint64_t one = 1;
	atomic_store(&publisher->is_stopping, true);
	ssize_t written = write(publisher->stop_fd, &one, sizeof(one));
	ASSERT(written == (ssize_t)sizeof(one));
	if (kafka_close_thread(publisher->thread, timeout_ms) == STATUS_OK) {
		free_publisher(publisher);
		return STATUS_OK;
	}
	/* The thread still uses it: it is left to the end of the process. */
	log_event(publisher->log, LOG_LEVEL_ERROR, "the producer could not be closed in time", LOG_NO_FIELDS);
	return STATUS_TIMEOUT;
}

enum status publisher_put(struct publisher *publisher, struct batch *batch)
{
	ASSERT(batch->end == BATCH_PENDING);
	if (publisher->is_busy) return STATUS_BUSY;
	enum status status = mailbox_put(publisher->work, batch);
	if (status == STATUS_OK) publisher->is_busy = true;
	return status;
}

int publisher_fd(const struct publisher *publisher)
{
	return mailbox_fd(publisher->done);
}

enum status publisher_take(struct publisher *publisher, struct batch **out_batch)
{
	void *batch = NULL;
	if (mailbox_take(publisher->done, &batch, 1) == 0) return STATUS_EMPTY;
	publisher->is_busy = false;
	*out_batch = batch;
	return STATUS_OK;
}

enum status publisher_wait(struct publisher *publisher, int timeout_ms)
{
	if (!publisher->is_busy) return STATUS_OK;
	struct pollfd done = { .fd = mailbox_fd(publisher->done), .events = POLLIN };
	int64_t end_ms = clock_now().mono_ms + timeout_ms;
	for (int64_t left = timeout_ms; left >= 0; left = end_ms - clock_now().mono_ms) {
		if (poll(&done, 1, (int)left) > 0) return STATUS_OK;
		if (left == 0) break;
	}
	return STATUS_TIMEOUT;
}

bool publisher_is_ready(const struct publisher *publisher)
{
	return atomic_load(&publisher->is_ready);
}
