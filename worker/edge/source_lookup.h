/* The look-up of what is known of partitions before they are assigned, on a thread of its own.
 *
 * For each partition the committed offset with its metadata (a read_committed consumer waits for an open transaction of
 * the former owner) and the bounds of the log are asked for again and again until all answers are clean; each single
 * question is bounded in time, so the thread ends soon when it is told to.
 *
 * Owner: the source. Threads: all functions from the owner's; the look-up thread itself touches only the handle and,
 * under a lock, what is asked and found. */
#ifndef WORKER_EDGE_SOURCE_LOOKUP_H
#define WORKER_EDGE_SOURCE_LOOKUP_H

#include "common/log.h"
#include "worker/edge/kafka_error.h"
#include "worker/edge/source.h"

struct source_lookup;

/* All borrowed for the look-up's life. */
struct source_lookup_options {
	rd_kafka_t *rk;
	const char *topic;
	struct log *log;
	int wake_fd; /* an eventfd that is written to when an answer is there */
};

/* Starts the thread. STATUS_NO_MEMORY; STATUS_IO: no thread to be had. */
NODISCARD enum status source_lookup_start(
	const struct source_lookup_options *options, struct source_lookup **out_lookup);

/* Ends the thread within `timeout_ms`. STATUS_TIMEOUT: it is left behind and still uses the handle. Accepts NULL. */
NODISCARD enum status source_lookup_stop(struct source_lookup *lookup, int timeout_ms);

/* Asks for these partitions in place of whatever was asked before; an answer to that is thrown away. No partitions:
 * asks for nothing. STATUS_NO_MEMORY. */
NODISCARD enum status source_lookup_ask(struct source_lookup *lookup, const int32_t *partitions, size_t count);

/* The answer to the last question, once. Metadata and rows are freed with source_lookup_free_rows(). STATUS_EMPTY: not
 * there yet. */
NODISCARD enum status source_lookup_take(
	struct source_lookup *lookup, struct source_partition **out_rows, size_t *out_count);

/* Accepts NULL. */
void source_lookup_free_rows(struct source_partition *rows, size_t count);

/* One try of the first half, for others too: committed offsets and metadata of the rows' partitions, each metadata
 * malloc()ed, -1 where nothing is committed. Blocks up to `timeout_ms`. STATUS_TIMEOUT: not known, ask again; STATUS_IO;
 * STATUS_NO_MEMORY. On failure the rows are untouched. */
NODISCARD enum status source_lookup_committed(
	const struct source_lookup_options *options, struct batch_progress *rows, size_t count, int timeout_ms);

#endif
