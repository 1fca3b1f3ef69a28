/* A batch at_least_once: records first, then plain offsets. See publisher_state.h. */
#include "common/assertion.h"
#include "common/clock.h"
#include "worker/edge/publisher_state.h"

enum { SETTLE_MS = 1000, OFFSETS_MS = 5000 };

/* Serves delivery reports until there are none to come, or until the time is over. */
static void settle(const struct publisher *publisher, int64_t deadline_ms)
{
	while (publisher->undelivered > 0 && clock_now().mono_ms < deadline_ms && !publisher_is_stopping(publisher))
		(void)rd_kafka_flush(publisher->rk, PUBLISHER_CALL_MS);
}

/* After this nothing of the batch is borrowed. */
static enum status take_back(struct publisher *publisher)
{
	if (publisher->undelivered > 0) {
		publisher_note_failure(publisher, "delivery", "timeout", RD_KAFKA_RESP_ERR__TIMED_OUT);
		(void)rd_kafka_purge(publisher->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
		settle(publisher, clock_now().mono_ms + SETTLE_MS);
	}
	if (publisher_is_stopping(publisher) && publisher->undelivered > 0) return STATUS_CLOSED;
	if (publisher->undelivered > 0) return publisher_session_renew(publisher, PUBLISHER_REASON_TIMEOUT);
	if (publisher_session_is_broken(publisher)) return publisher_session_renew(publisher, PUBLISHER_REASON_FATAL);
	if (publisher->refused_topics > 0) publisher_session_warm(publisher);
	return STATUS_OK;
}

static enum batch_end commit_progress(struct publisher *publisher, const struct batch *batch)
{
	if (batch->progress_count == 0) return BATCH_COMMITTED;
	/* Without an identity the membership has ended, and the progress is another one's to write. */
	if (!bytes_is_given(batch->group)) return BATCH_PUBLISHED;
	enum status status = source_commit(publisher->source, batch->progress, batch->progress_count, OFFSETS_MS);
	return status == STATUS_OK ? BATCH_COMMITTED : BATCH_PUBLISHED;
}

static enum status run_once(struct publisher *publisher, struct batch *batch, bool is_careful)
{
	int64_t deadline_ms = clock_now().mono_ms + publisher->transaction_ms + SETTLE_MS;
	publisher_forget_failure(publisher);
	enum status produced = publisher_produce(publisher, batch, is_careful, deadline_ms);
	settle(publisher, deadline_ms);
	bool is_delivered = produced == STATUS_OK && publisher->undelivered == 0 && publisher->failed == 0;
	if (!is_delivered) {
		batch->end = BATCH_ABORTED;
		return take_back(publisher);
	}
	batch->end = commit_progress(publisher, batch);
	return STATUS_OK;
}

enum status publisher_run_plain(struct publisher *publisher, struct batch *batch)
{
	ASSERT(publisher->rk != NULL);
	enum status status = run_once(publisher, batch, false);
	if (status == STATUS_OK && batch->end == BATCH_ABORTED && publisher_must_be_careful(publisher))
		status = run_once(publisher, batch, true);
	return status;
}
