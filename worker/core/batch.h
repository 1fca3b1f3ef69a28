/* One transaction's worth of work: replies and dead letters, and the progress of the input that they finish.
 *
 * Made by the flow, carried out whole by the publisher, given back with how it ended. At most one is under way. The
 * records inside are borrowed from jobs that live until the batch has come back; metadata texts belong to the batch. */
#ifndef WORKER_CORE_BATCH_H
#define WORKER_CORE_BATCH_H

#include "common/bytes.h"
#include "schemas/record.h"

/* How a batch ended, as far as the publisher knows. */
enum batch_end {
	BATCH_PENDING,   /* not carried out yet */
	BATCH_COMMITTED, /* replies and progress are stored */
	BATCH_PUBLISHED, /* at_least_once only: replies are stored, progress is not; a later batch carries it */
	BATCH_ABORTED,   /* nothing is stored: the same replies again */
	BATCH_UNCERTAIN, /* one or the other; `found` tells which (see flow_batch_done) */
};

/* Why one record kept its batch from being committed. */
enum batch_item_fault {
	BATCH_ITEM_FINE,
	BATCH_ITEM_TOO_LARGE, /* the topic takes no record of this size */
	BATCH_ITEM_NO_TOPIC,  /* the topic does not exist or may not be written */
};

struct batch_item {
	struct outgoing *record;     /* borrowed */
	void *owner;                 /* the flow's own; opaque to the publisher */
	enum batch_item_fault fault; /* set by the publisher when the batch is aborted */
};

/* Progress of one input partition: what is committed as its offset, and the text beside it. */
struct batch_progress {
	int32_t partition;
	int64_t offset;        /* -1 = nothing is committed (only in `found`) */
	struct bytes metadata; /* `metadata.data` is owned by the batch: malloc()ed; BYTES_NONE = none */
};

struct batch {
	uint64_t commit_id; /* stands in every metadata text of the batch; never 0 */
	struct batch_item *items;
	size_t item_count;
	struct batch_progress *progress;
	size_t progress_count;
	struct bytes
		group; /* the consumer group's identity at the time of making, as source_group() gave it; owned copy */

	/* Set by the publisher. */
	enum batch_end end;
	struct batch_progress *found; /* BATCH_UNCERTAIN: what is committed now for the same partitions; same count */
	int64_t took_ms;
};

/* Empty batch with room for the counts given; NULL when memory is missing. */
NODISCARD struct batch *batch_new(size_t item_count_max, size_t progress_count_max);

/* Frees the batch and the texts it owns, not the records. Accepts NULL. */
void batch_free(struct batch *batch);

/* Room for `found`, one row for each row of progress, partitions filled in. STATUS_NO_MEMORY. */
NODISCARD enum status batch_make_found(struct batch *batch);

#endif
