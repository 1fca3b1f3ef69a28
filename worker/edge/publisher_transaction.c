/* A batch as one transaction. See publisher_state.h, and the publisher's header for rule E1. */
#include <string.h>

#include "common/assertion.h"
#include "common/clock.h"
#include "worker/edge/kafka_group.h"
#include "worker/edge/publisher_state.h"

enum { ABORT_MS = 3000, FOUND_MS = 1000, FOUND_PAUSE_MS = 100 };

/* One run of a batch through the producer. */
struct run {
	struct publisher *publisher;
	struct batch *batch;
	int64_t deadline_ms; /* monotonic; the broker would abort the transaction at about that time */
	bool is_careful;
};

static int call_ms(int64_t deadline_ms)
{
	int64_t left = deadline_ms - clock_now().mono_ms;
	return left < 1 ? 1 : left < PUBLISHER_CALL_MS ? (int)left : PUBLISHER_CALL_MS;
}

static bool may_go_on(const struct run *run, int64_t deadline_ms)
{
	return clock_now().mono_ms < deadline_ms && !publisher_is_stopping(run->publisher);
}

/* Takes the error of one step and notes it. */
static enum kafka_action note(const struct run *run, const char *step, rd_kafka_error_t *error)
{
	rd_kafka_resp_err_t code;
	const char *name;
	enum kafka_action action = kafka_error_take(error, &code, &name);
	if (action == KAFKA_ACTION_NONE || action == KAFKA_ACTION_AGAIN) return action;
	publisher_note_failure(run->publisher, step, name, code);
	return action;
}

static enum kafka_action timed_out(const struct run *run, const char *step, enum kafka_action action)
{
	publisher_note_failure(run->publisher, step, "timeout", RD_KAFKA_RESP_ERR__TIMED_OUT);
	return action;
}

static enum kafka_action begin(const struct run *run)
{
	return note(run, "begin", rd_kafka_begin_transaction(run->publisher->rk));
}

static enum kafka_action produce(const struct run *run)
{
	enum status status = publisher_produce(run->publisher, run->batch, run->is_careful, run->deadline_ms);
	return status == STATUS_OK ? KAFKA_ACTION_NONE : KAFKA_ACTION_ABORT;
}

/* Metadata is borrowed: librdkafka copies the list, and ours is given back without its texts. */
static rd_kafka_topic_partition_list_t *list_progress(const struct run *run)
{
	const struct batch *batch = run->batch;
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)batch->progress_count);
	for (size_t i = 0; i < batch->progress_count; i++) {
		rd_kafka_topic_partition_t *row = rd_kafka_topic_partition_list_add(
			list, run->publisher->settings->kafka.requests_topic, batch->progress[i].partition);
		row->offset = batch->progress[i].offset;
		row->metadata = (void *)(uintptr_t)batch->progress[i].metadata.data;
		row->metadata_size = batch->progress[i].metadata.size;
	}
	return list;
}

static void free_list(rd_kafka_topic_partition_list_t *list)
{
	for (int i = 0; i < list->cnt; i++) {
		list->elems[i].metadata = NULL;
		list->elems[i].metadata_size = 0;
	}
	rd_kafka_topic_partition_list_destroy(list);
}

/* Right after the records, without waiting for them: both chains of requests then overlap. */
static enum kafka_action send_offsets(const struct run *run, const rd_kafka_consumer_group_metadata_t *group)
{
	if (run->batch->progress_count == 0) return KAFKA_ACTION_NONE;
	rd_kafka_topic_partition_list_t *list = list_progress(run);
	enum kafka_action action = KAFKA_ACTION_AGAIN;
	while (action == KAFKA_ACTION_AGAIN && may_go_on(run, run->deadline_ms)) {
		/* Not resumable, so it gets all the time there is rather than slices of it: as long as a property says. */
		watchdog_rest(run->publisher->pulse);
		int64_t left = run->deadline_ms - clock_now().mono_ms;
		action = note(run, "send offsets",
			rd_kafka_send_offsets_to_transaction(
				run->publisher->rk, list, group, left > 1 ? (int)left : 1));
	}
	free_list(list);
	return action == KAFKA_ACTION_AGAIN ? timed_out(run, "send offsets", KAFKA_ACTION_ABORT) : action;
}

/* Once the commit was asked for, giving up leaves open what became of it. */
static enum kafka_action commit(const struct run *run)
{
	enum kafka_action action = KAFKA_ACTION_AGAIN;
	while (action == KAFKA_ACTION_AGAIN && may_go_on(run, run->deadline_ms))
		action =
			note(run, "commit", rd_kafka_commit_transaction(run->publisher->rk, call_ms(run->deadline_ms)));
	return action == KAFKA_ACTION_AGAIN ? timed_out(run, "commit", KAFKA_ACTION_RENEW) : action;
}

static enum kafka_action abort_transaction(const struct run *run)
{
	int64_t deadline_ms = clock_now().mono_ms + ABORT_MS;
	enum kafka_action action = KAFKA_ACTION_AGAIN;
	while (action == KAFKA_ACTION_AGAIN && may_go_on(run, deadline_ms))
		action = note(run, "abort", rd_kafka_abort_transaction(run->publisher->rk, call_ms(deadline_ms)));
	if (action == KAFKA_ACTION_AGAIN) return timed_out(run, "abort", KAFKA_ACTION_RENEW);
	return action == KAFKA_ACTION_ABORT ? KAFKA_ACTION_RENEW : action;
}

/* The transaction's steps up to its end, without repairing anything. */
static enum kafka_action run_steps(const struct run *run, const rd_kafka_consumer_group_metadata_t *group)
{
	enum kafka_action action = begin(run);
	/* A transaction that did not begin leaves nothing to abort. */
	if (action != KAFKA_ACTION_NONE) return KAFKA_ACTION_RENEW;
	action = produce(run);
	if (action == KAFKA_ACTION_NONE) action = send_offsets(run, group);
	if (action == KAFKA_ACTION_NONE) action = commit(run);
	return action;
}

static enum publisher_reason renewal_reason(const struct publisher *publisher, enum kafka_action action)
{
	if (action == KAFKA_ACTION_NONE) return PUBLISHER_REASON_UNANSWERED;
	if (action == KAFKA_ACTION_STOP) return PUBLISHER_REASON_DENIED;
	rd_kafka_resp_err_t code = publisher->failure.code;
	char text[8];
	rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(publisher->rk, text, sizeof(text));
	if (kafka_error_is_fenced(code) || kafka_error_is_fenced(fatal)) return PUBLISHER_REASON_FENCED;
	return code == RD_KAFKA_RESP_ERR__TIMED_OUT ? PUBLISHER_REASON_TIMEOUT : PUBLISHER_REASON_FATAL;
}

/* What is committed now for the partitions of the batch. */
static enum status read_found(const struct run *run)
{
	struct batch *batch = run->batch;
	while (batch->found == NULL && batch_make_found(batch) != STATUS_OK)
		if (publisher_pause(run->publisher, FOUND_PAUSE_MS)) return STATUS_CLOSED;
	while (source_committed(run->publisher->source, batch->found, batch->progress_count, FOUND_MS) != STATUS_OK)
		if (publisher_pause(run->publisher, FOUND_PAUSE_MS)) return STATUS_CLOSED;
	return STATUS_OK;
}

/* The new producer's first act fences the old one and aborts what it left open; only then can the question what is
 * committed have a lasting answer. */
static enum status resolve(const struct run *run, enum kafka_action action)
{
	enum status status = publisher_session_renew(run->publisher, renewal_reason(run->publisher, action));
	if (status != STATUS_OK) return status;
	run->batch->end = BATCH_UNCERTAIN;
	return read_found(run);
}

static enum status run_once(const struct run *run, const rd_kafka_consumer_group_metadata_t *group)
{
	struct publisher *publisher = run->publisher;
	publisher_forget_failure(publisher);
	enum kafka_action action = run_steps(run, group);
	enum batch_end end = BATCH_COMMITTED;
	if (action == KAFKA_ACTION_ABORT) {
		action = abort_transaction(run);
		end = BATCH_ABORTED;
	}
	bool is_unanswered = kafka_watch_unanswered(&publisher->watch) != 0;
	if (action != KAFKA_ACTION_NONE || is_unanswered || publisher->undelivered > 0) return resolve(run, action);
	run->batch->end = end;
	if (publisher->has_gap) return publisher_session_renew(publisher, PUBLISHER_REASON_GAP);
	if (publisher->refused_topics > 0) publisher_session_warm(publisher);
	return STATUS_OK;
}

enum status publisher_run_transaction(struct publisher *publisher, struct batch *batch)
{
	rd_kafka_consumer_group_metadata_t *group = kafka_group_open(batch->group);
	publisher_forget_failure(publisher);
	if (group == NULL && batch->progress_count > 0) {
		/* The membership ended; with such an identity brokers would accept anything. */
		publisher_note_failure(publisher, "group", "no usable identity", RD_KAFKA_RESP_ERR_NO_ERROR);
		batch->end = BATCH_ABORTED;
		return STATUS_OK;
	}
	struct run run = { .publisher = publisher, .batch = batch };
	run.deadline_ms = clock_now().mono_ms + publisher->transaction_ms;
	enum status status = run_once(&run, group);
	if (status == STATUS_OK && batch->end == BATCH_ABORTED && publisher_must_be_careful(publisher)) {
		run.is_careful = true;
		run.deadline_ms = clock_now().mono_ms + publisher->transaction_ms;
		status = run_once(&run, group);
	}
	if (group != NULL) rd_kafka_consumer_group_metadata_destroy(group);
	return status;
}
