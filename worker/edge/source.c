/* The consumer's life: made, served, closed. See the header and source_state.h. */
#include "worker/edge/source.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/assertion.h"
#include "common/clock.h"
#include "worker/edge/kafka_close.h"
#include "worker/edge/kafka_error.h"
#include "worker/edge/source_state.h"

enum { CLOSE_POLL_MS = 50, CLOSE_MIN_MS = 1000, EVENTS_PER_SERVE = 1000, STEP_MIN_MS = 100 };
enum { VERSION_CLOSE_BEFORE_ASSIGN = 0x020300ff }; /* librdkafka 2.3.0 */

static enum status make_conf(struct source *source, rd_kafka_conf_t **out_conf)
{
	struct kafka_conf_error error = { "" };
	rd_kafka_conf_t *conf = NULL;
	enum status status = kafka_conf_new(source->settings, KAFKA_CONF_CONSUMER, &source->owner, &conf, &error);
	if (status != STATUS_OK) {
		log_event(source->log, LOG_LEVEL_ERROR, "the consumer's configuration was refused",
			LOG_FIELDS(log_string("reason", error.text)));
		return status;
	}
	rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_ERROR);
	*out_conf = conf;
	return STATUS_OK;
}

static enum status make_handle(struct source *source)
{
	static const uint64_t one = 1;
	rd_kafka_conf_t *conf = NULL;
	enum status status = make_conf(source, &conf);
	if (status != STATUS_OK) return status;
	struct kafka_conf_error error = { "" };
	status = kafka_watch_open(&source->watch, RD_KAFKA_CONSUMER, conf, &error, &source->rk);
	if (status != STATUS_OK) {
		log_event(source->log, LOG_LEVEL_ERROR, "the consumer cannot be made",
			LOG_FIELDS(log_string("reason", error.text)));
		return status;
	}
	(void)rd_kafka_poll_set_consumer(source->rk);
	source->queue = rd_kafka_queue_get_consumer(source->rk);
	ASSERT(source->queue != NULL);
	rd_kafka_queue_io_event_enable(source->queue, source->fd, &one, sizeof(one));
	return STATUS_OK;
}

static enum status start_lookup(struct source *source)
{
	source->lookup_options = (struct source_lookup_options){
		.rk = source->rk,
		.topic = source->settings->kafka.requests_topic,
		.log = source->log,
		.wake_fd = source->fd,
	};
	return source_lookup_start(&source->lookup_options, &source->lookup);
}

static enum status subscribe(struct source *source)
{
	rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
	(void)rd_kafka_topic_partition_list_add(topics, source->settings->kafka.requests_topic, RD_KAFKA_PARTITION_UA);
	rd_kafka_resp_err_t code = rd_kafka_subscribe(source->rk, topics);
	rd_kafka_topic_partition_list_destroy(topics);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return STATUS_OK;
	log_event(source->log, LOG_LEVEL_ERROR, "cannot subscribe",
		LOG_FIELDS(log_string("topic", source->settings->kafka.requests_topic),
			log_string("error", rd_kafka_err2name(code))));
	return STATUS_INVALID;
}

static void free_source(struct source *source)
{
	if (source->fd >= 0) close(source->fd);
	free((void *)(uintptr_t)source->group.data);
	free(source->headers);
	free(source->partitions);
	free(source->slots);
	free(source);
}

static struct source *source_new(const struct source_options *options)
{
	struct source *source = calloc(1, sizeof(*source));
	if (source == NULL) return NULL;
	source->settings = options->settings;
	source->log = options->log;
	source->metrics = options->metrics;
	source->callbacks = options->events;
	source->owner = (struct kafka_owner){ .log = options->log, .context = source };
	kafka_watch_init(&source->watch);
	atomic_init(&source->is_joined, false);
	atomic_init(&source->is_rejoining, false);
	source->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return source;
}

enum status source_open(const struct source_options *options, struct source **out_source)
{
	ASSERT(options->metrics != NULL);
	ASSERT(options->events.on_assign != NULL);
	ASSERT(options->events.on_revoke != NULL);
	struct source *source = source_new(options);
	if (source == NULL) return STATUS_NO_MEMORY;
	enum status status = source->fd < 0 ? STATUS_IO : make_handle(source);
	if (status == STATUS_OK) status = start_lookup(source);
	if (status == STATUS_OK) status = subscribe(source);
	if (status != STATUS_OK) {
		/* Told in the log already; the caller only hears why it could not be opened. */
		enum status closed = source_close(source, CLOSE_MIN_MS);
		(void)closed;
		return status;
	}
	*out_source = source;
	return STATUS_OK;
}

int source_fd(const struct source *source)
{
	return source->fd;
}

static void go_fatal(struct source *source)
{
	char text[256] = "";
	rd_kafka_resp_err_t code = rd_kafka_fatal_error(source->rk, text, sizeof(text));
	log_event(source->log, LOG_LEVEL_ERROR, "the consumer cannot go on",
		LOG_FIELDS(log_string("reason", rd_kafka_err2name(code)), log_string("text", text)));
	source->is_fatal = true;
}

static void on_error(struct source *source, rd_kafka_event_t *event)
{
	rd_kafka_resp_err_t code = rd_kafka_event_error(event);
	if (code == RD_KAFKA_RESP_ERR__FATAL || rd_kafka_event_error_is_fatal(event)) {
		go_fatal(source);
		return;
	}
	if (code == RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED) {
		/* librdkafka has left the group already, though its revoke may not say that it is a loss. */
		source->is_revoke_lost = true;
		source_drop_group(source);
	}
	log_event(source->log, LOG_LEVEL_WARN, "consumer error",
		LOG_FIELDS(log_string("error", rd_kafka_err2name(code)),
			log_string("text", rd_kafka_event_error_string(event))));
}

/* A record here would be read out of its turn, and the ledger would take those before it for a gap. */
static void on_stray_record(struct source *source)
{
	log_event(source->log, LOG_LEVEL_ERROR, "the consumer cannot go on",
		LOG_FIELDS(log_string("reason", "a record outside its partition's queue")));
	source->is_fatal = true;
}

static void serve_event(struct source *source, rd_kafka_event_t *event)
{
	switch (rd_kafka_event_type(event)) {
	case RD_KAFKA_EVENT_REBALANCE:
		source_on_rebalance(source, rd_kafka_event_error(event), rd_kafka_event_topic_partition_list(event));
		break;
	case RD_KAFKA_EVENT_ERROR:
		on_error(source, event);
		break;
	case RD_KAFKA_EVENT_FETCH:
		on_stray_record(source);
		break;
	default: /* what we did not ask for */
		break;
	}
}

static void drain_fd(const struct source *source)
{
	uint64_t counter;
	ssize_t got;
	do
		got = read(source->fd, &counter, sizeof(counter));
	while (got < 0 && errno == EINTR);
}

/* True when there was one. */
static bool serve_next(struct source *source, int timeout_ms)
{
	rd_kafka_event_t *event = rd_kafka_queue_poll(source->queue, timeout_ms);
	if (event == NULL) return false;
	serve_event(source, event);
	rd_kafka_event_destroy(event);
	return true;
}

/* librdkafka waits by the wall clock (seen with 2.0.2). When that is set back its thread sleeps on for as long, sends no
 * heartbeat, and the group goes on without this member. A question wakes it; the answer is of no interest. Threads that
 * wait before they connect to a broker again hear no question: see is_asleep(). */
static void wake_after_step(struct source *source, struct instant now)
{
	struct instant before = source->served;
	source->served = now;
	int64_t ahead_ms = (now.wall_ms - before.wall_ms) - (now.mono_ms - before.mono_ms);
	if (before.mono_ms == 0 || llabs(ahead_ms) < STEP_MIN_MS) return;
	log_event(source->log, LOG_LEVEL_WARN, "the wall clock was set", LOG_FIELDS(log_int("ahead_ms", ahead_ms)));
	rd_kafka_mem_free(source->rk, rd_kafka_memberid(source->rk));
	int64_t limit_ms = source->settings->kafka.max_poll_interval_ms;
	if (ahead_ms < -limit_ms && source->awake_by_ms == 0) source->awake_by_ms = now.mono_ms + limit_ms;
}

/* No member with its partitions when it had the time to become one, since the clock was set back. Brokers that are away all
 * that time look the same; then a new process waits for them as well. */
static bool is_asleep(struct source *source, struct instant now)
{
	if (source->awake_by_ms == 0 || now.mono_ms < source->awake_by_ms) return false;
	source->awake_by_ms = 0;
	return !atomic_load(&source->is_joined) || source->has_pending;
}

static void go_asleep(struct source *source)
{
	log_event(source->log, LOG_LEVEL_ERROR, "the consumer cannot go on",
		LOG_FIELDS(log_string("reason", "no member since the wall clock was set back")));
	source->is_fatal = true;
}

enum status source_serve(struct source *source)
{
	struct instant now = clock_now();
	drain_fd(source);
	wake_after_step(source, now);
	for (int i = 0; i < EVENTS_PER_SERVE && !source->is_fatal; i++)
		if (!serve_next(source, 0)) break;
	if (!source->is_fatal) source_finish_revoke(source);
	if (!source->is_fatal) source_finish_assign(source);
	if (!source->is_fatal && is_asleep(source, now)) go_asleep(source);
	if (!source->is_fatal) source_restart_partitions(source);
	if (!source->is_fatal) return STATUS_OK;
	source_lose_all(source);
	return STATUS_FATAL;
}

const int32_t *source_partitions(const struct source *source, size_t *out_count)
{
	*out_count = source->partition_count;
	return source->partitions;
}

struct bytes source_group(const struct source *source)
{
	return source->group;
}

bool source_is_connected(const struct source *source)
{
	return atomic_load(&source->watch.has_answered);
}

bool source_is_joined(const struct source *source)
{
	return atomic_load(&source->is_joined);
}

uint64_t source_heartbeats(const struct source *source)
{
	return atomic_load(&source->watch.heartbeats);
}

enum status source_committed(struct source *source, struct batch_progress *rows, size_t count, int timeout_ms)
{
	return source_lookup_committed(&source->lookup_options, rows, count, timeout_ms);
}

/* Borrows the metadata: librdkafka copies the list for the request, and ours is given back without its texts. */
static rd_kafka_resp_err_t commit_list(
	const struct source *source, rd_kafka_topic_partition_list_t *list, int timeout_ms)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(source->rk);
	rd_kafka_resp_err_t code = rd_kafka_commit_queue(source->rk, list, queue, NULL, NULL);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
		rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms);
		code = event == NULL ? RD_KAFKA_RESP_ERR__TIMED_OUT : rd_kafka_event_error(event);
		const rd_kafka_topic_partition_list_t *answers =
			event == NULL ? NULL : rd_kafka_event_topic_partition_list(event);
		for (int i = 0; answers != NULL && i < answers->cnt && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
			code = answers->elems[i].err;
		if (event != NULL) rd_kafka_event_destroy(event);
	}
	rd_kafka_queue_destroy(queue);
	return code;
}

static bool is_rebalance(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS || code == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION ||
	       code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID;
}

enum status source_commit(struct source *source, const struct batch_progress *rows, size_t count, int timeout_ms)
{
	/* Before 2.10.0 a commit that meets a rebalance makes librdkafka lose its assignment. */
	if (atomic_load(&source->is_rejoining) || atomic_load(&source->watch.is_joining)) return STATUS_BUSY;
	if (!atomic_load(&source->is_joined)) return STATUS_BUSY;
	if (count == 0) return STATUS_OK;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
	for (size_t i = 0; i < count; i++) {
		rd_kafka_topic_partition_t *row = rd_kafka_topic_partition_list_add(
			list, source->settings->kafka.requests_topic, rows[i].partition);
		row->offset = rows[i].offset;
		row->metadata = (void *)(uintptr_t)rows[i].metadata.data;
		row->metadata_size = rows[i].metadata.size;
	}
	rd_kafka_resp_err_t code = commit_list(source, list, timeout_ms);
	for (int i = 0; i < list->cnt; i++) {
		list->elems[i].metadata = NULL;
		list->elems[i].metadata_size = 0;
	}
	rd_kafka_topic_partition_list_destroy(list);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return STATUS_OK;
	log_event(source->log, LOG_LEVEL_WARN, "offsets could not be committed",
		LOG_FIELDS(log_string("error", rd_kafka_err2name(code))));
	return is_rebalance(code) ? STATUS_BUSY : STATUS_IO;
}

static int left_of(int64_t end_ms)
{
	int64_t left = end_ms - clock_now().mono_ms;
	return left > 0 ? (int)left : 0;
}

static bool was_never_assigned(const struct source *source)
{
	return source->slot_count == 0 && !atomic_load(&source->is_joined);
}

/* Before 2.3.0 librdkafka crashes when a cooperative-sticky consumer is destroyed between the answer to its join and its
 * first assignment. */
static bool crashes_when_destroyed(const struct source *source)
{
	return rd_kafka_version() < VERSION_CLOSE_BEFORE_ASSIGN && was_never_assigned(source) &&
	       atomic_load(&source->watch.has_answered_join);
}

/* So one that is about to join is given the time for it. */
static bool should_join_first(const struct source *source)
{
	return rd_kafka_version() < VERSION_CLOSE_BEFORE_ASSIGN && was_never_assigned(source) &&
	       source_is_connected(source);
}

/* Serves until the group is left. An assignment that was waiting for its look-up is answered with nothing, after the
 * revoke that closing brings has had its turn. */
static void leave_group(struct source *source, int64_t end_ms)
{
	source_finish_revoke(source);
	while (should_join_first(source) && left_of(end_ms) > 0)
		(void)serve_next(source, CLOSE_POLL_MS);
	/* A member without partitions leaves only when its subscription ends (seen with 2.0.2): closing waits for an unassign
	 * that never comes, and the group would keep a ghost for the length of a session. */
	if (atomic_load(&source->is_joined) && source->partition_count == 0 && !source->has_pending)
		(void)rd_kafka_unsubscribe(source->rk);
	rd_kafka_error_t *error = rd_kafka_consumer_close_queue(source->rk, source->queue);
	if (error != NULL) {
		rd_kafka_error_destroy(error);
		return;
	}
	while (!rd_kafka_consumer_closed(source->rk) && left_of(end_ms) > 0) {
		if (serve_next(source, CLOSE_POLL_MS) || !source->has_pending) continue;
		source->has_pending = false;
		rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);
		error = rd_kafka_incremental_assign(source->rk, none);
		if (error != NULL) rd_kafka_error_destroy(error);
		rd_kafka_topic_partition_list_destroy(none);
	}
}

/* STATUS_TIMEOUT: something still runs and uses the source. */
static enum status close_handle(struct source *source, int64_t end_ms)
{
	enum status status = source_lookup_stop(source->lookup, left_of(end_ms) + CLOSE_MIN_MS);
	source->lookup = NULL;
	if (source->rk == NULL) return status;
	if (!source->is_fatal && source->queue != NULL) leave_group(source, end_ms);
	/* Asked now: a member without partitions looks the same once it has lost all. */
	bool must_stay = crashes_when_destroyed(source);
	source_lose_all(source);
	rd_kafka_queue_io_event_enable(source->queue, -1, NULL, 0);
	rd_kafka_queue_destroy(source->queue);
	if (status != STATUS_OK || must_stay) return STATUS_TIMEOUT;
	return kafka_close(source->rk, left_of(end_ms) + CLOSE_MIN_MS);
}

enum status source_close(struct source *source, int timeout_ms)
{
	if (source == NULL) return STATUS_OK;
	struct log *log = source->log;
	if (close_handle(source, clock_now().mono_ms + timeout_ms) == STATUS_OK) {
		free_source(source);
		return STATUS_OK;
	}
	/* Its threads may still use it: it is left to the end of the process. */
	log_event(log, LOG_LEVEL_ERROR, "the consumer could not be closed in time", LOG_NO_FIELDS);
	return STATUS_TIMEOUT;
}
