/* The producer: one batch at a time, begin to commit, on a thread of its own.
 *
 * exactly_once: begin, produce everything, send offsets with the batch's group identity, commit. It ends *committed*,
 * *aborted*, or *uncertain*: after a time-out, a fatal error, fencing, or when rule E1 holds it is not known which of
 * both. Then the producer is destroyed and made anew with the same transactional id (which fences the old one, and aborts
 * what it left open), the committed progress of the batch's partitions is read back into `batch->found`, and the batch is
 * given back as uncertain; comparing the commit id is the flow's business.
 * Rule E1: librdkafka speaks no KIP-890 (EndTxn v5), so a delayed copy of a transactional request could take effect in
 * a later transaction. Interceptors count requests sent and answered for ApiKeys 0 (Produce), 24 (AddPartitionsToTxn),
 * 25 (AddOffsetsToTxn), 26 (EndTxn), 28 (TxnOffsetCommit); if one is unanswered when a transaction ends, the end counts
 * as uncertain.
 * at_least_once: an idempotent producer; every delivery report is waited for, then the progress is committed through the
 * consumer. Ends committed, published (progress not stored) or aborted.
 *
 * Values are not copied: librdkafka borrows them from the batch until its delivery report, and a batch is given back
 * only after all of them. The thread decides nothing and logs what went wrong once.
 *
 * Threads: all functions from one owner (the flow's loop). */
#ifndef WORKER_EDGE_PUBLISHER_H
#define WORKER_EDGE_PUBLISHER_H

#include "common/log.h"
#include "common/metrics.h"
#include "common/watchdog.h"
#include "worker/core/batch.h"
#include "worker/edge/source.h"
#include "worker/settings.h"

struct publisher;

struct publisher_options {
	const struct settings *settings; /* kafka.*, publish.*; borrowed for the publisher's life */
	struct source *source;           /* for committed progress; outlives the publisher */
	struct log *log;
	struct metrics *metrics;
	struct watchdog *watchdog; /* outlives the publisher; NULL = nobody watches the thread */
};

/* Makes the producer and starts the thread, which then initialises transactions and warms the topics' metadata, trying
 * again until it can. STATUS_INVALID: librdkafka refused a property (logged). STATUS_NO_MEMORY, STATUS_IO. */
NODISCARD enum status publisher_start(const struct publisher_options *options, struct publisher **out_publisher);

/* Ends the thread within about `timeout_ms` and destroys the producer. A batch that has not been taken is abandoned, or
 * finished, and freed. When librdkafka does not end in time its thread is left behind, with what the batch borrows still
 * in use: STATUS_TIMEOUT, and the process has to end without freeing what it was given. Accepts NULL. */
NODISCARD enum status publisher_stop(struct publisher *publisher, int timeout_ms);

/* Hands a batch over until publisher_take() gives it back. STATUS_BUSY: one is under way. Never blocks. */
NODISCARD enum status publisher_put(struct publisher *publisher, struct batch *batch);

/* Readable when the batch has come back. */
int publisher_fd(const struct publisher *publisher);

/* The batch, with its end set. STATUS_EMPTY: none has come back. */
NODISCARD enum status publisher_take(struct publisher *publisher, struct batch **out_batch);

/* Waits up to `timeout_ms` for the batch under way to come back (then publisher_take() has it). For a rebalance only.
 * STATUS_TIMEOUT, or STATUS_OK also when none is under way. */
NODISCARD enum status publisher_wait(struct publisher *publisher, int timeout_ms);

/* Transactions are initialised, batches can be carried out. Any thread. */
bool publisher_is_ready(const struct publisher *publisher);

#endif
