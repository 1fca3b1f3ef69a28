/* The consumer: requests in, membership of the group, committed progress.
 *
 * Cooperative-sticky group member. Each assigned partition's queue is detached from the consumer's queue, so a partition
 * that is full is simply not read; there is no pause and no resume (a pause survives a reassignment and loses records).
 * Records are copied out and librdkafka's messages destroyed at once, because one held message pins its whole fetch
 * buffer.
 *
 * Rebalances are served inside source_serve(), on the owner's thread:
 *   ASSIGN  a look-up thread reads the committed offsets and metadata (read_committed, so an open transaction of the
 *           former owner is waited for) and the log's bounds; when they are there, on_assign() names the start offsets and
 *           the partitions are assigned. The owner never blocks for it.
 *   REVOKE  the partitions are not read any more; may_revoke() is asked in each source_serve() until it says yes, so that
 *           what is finished can be committed a last time while the owner goes on; then on_revoke(lost = false), and they
 *           are given up.
 *   LOST    on_revoke(lost = true): nothing may be committed any more.
 * The identity of the member (group metadata) is captured at every rebalance event, checked (generation >= 0, member id
 * not empty) and handed out by source_group() until the next one or until the assignment is lost. It is never fetched at
 * commit time: librdkafka may then give an identity that brokers accept without fencing.
 *
 * An offset that is gone from the log while it is read: error log, offsets_lost_total, on from the log's start. The source
 * also keeps rebalances_total and assigned_partitions.
 *
 * Threads: one owner (the flow's loop) for everything, except where "any thread" is said. */
#ifndef WORKER_EDGE_SOURCE_H
#define WORKER_EDGE_SOURCE_H

#include "common/bytes.h"
#include "common/log.h"
#include "common/metrics.h"
#include "schemas/record.h"
#include "worker/core/batch.h"
#include "worker/settings.h"

struct source;

/* What is known of a partition when it is assigned. */
struct source_partition {
	int32_t partition;
	int64_t committed;     /* -1 = nothing committed */
	struct bytes metadata; /* borrowed for the call; BYTES_NONE = none */
	int64_t log_start;
	int64_t log_end;
	int64_t start; /* where reading begins: preset to `committed`, or by kafka.start_from; on_assign may change it */
};

struct source_events {
	void *context;
	/* May set `start` of each, 0 or more. Must not call back into the source, except source_group(). */
	void (*on_assign)(void *context, struct source_partition *partitions, size_t count);
	/* May the partitions of a revoke be given up now? Asked first when the revoke comes, and again until it is true,
	 * which must be soon: the whole group waits. Not asked when they are lost, nor while closing. NULL: always. */
	bool (*may_revoke)(void *context);
	/* Must not call back into the source, except source_group(). */
	void (*on_revoke)(void *context, const int32_t *partitions, size_t count, bool lost);
};

struct source_options {
	const struct settings *settings; /* kafka.*; borrowed for the source's life */
	struct log *log;
	struct metrics *metrics;
	struct source_events events;
};

/* Creates the consumer and subscribes. Does not wait for brokers. STATUS_INVALID: librdkafka refused a property (logged
 * with its reason). */
NODISCARD enum status source_open(const struct source_options *options, struct source **out_source);

/* Leaves the group and closes, within `timeout_ms` and a second or two; revokes by on_revoke first. When librdkafka does
 * not end in time it is left behind with the source's memory: STATUS_TIMEOUT, logged, and the process has to end without
 * freeing what it was given. Accepts NULL. */
NODISCARD enum status source_close(struct source *source, int timeout_ms);

/* Readable when something may be there to serve or to take. Drained by source_serve(). */
int source_fd(const struct source *source);

/* Serves events until there are none, without blocking (but see on_revoke). STATUS_FATAL: the consumer cannot go on
 * (for example fenced as a static member, or still asleep when the wall clock was set back); close it and end the
 * process. */
NODISCARD enum status source_serve(struct source *source);

/* The next record of an assigned partition. STATUS_EMPTY: none now. STATUS_NOT_FOUND: the partition is not assigned.
 * STATUS_NO_MEMORY: the record stays and is given next time. The caller owns the record. */
NODISCARD enum status source_take(struct source *source, int32_t partition, struct record **out_record);

/* Whether the end of the partition's log was reached since the last call, and where it lies: there is nothing more to take
 * before it, although the last record may lie well before it (marks of transactions, and what was taken back with them,
 * are never given). Ask when source_take() says STATUS_EMPTY. */
bool source_take_end(struct source *source, int32_t partition, int64_t *out_end);

/* Assigned partitions, for walking; borrowed until the next source_serve(). */
const int32_t *source_partitions(const struct source *source, size_t *out_count);

/* The captured identity as opaque bytes, borrowed until the next source_serve(); BYTES_NONE when there is none that may
 * be used: then nothing may be committed. */
struct bytes source_group(const struct source *source);

/* A broker has answered since the start, and the group was joined. Any thread. */
bool source_is_connected(const struct source *source);
bool source_is_joined(const struct source *source);

/* How many heartbeats have been sent, each after its predecessor was answered: when the next one leaves, librdkafka has
 * taken note of that answer, and what it had to say about it is there for source_serve(). Any thread. */
uint64_t source_heartbeats(const struct source *source);

/* The end of the partition's log as last told by a fetch; -1 = not known yet. For the lag. */
int64_t source_log_end(const struct source *source, int32_t partition);

/* Any thread; blocks up to `timeout_ms`. Reads the committed offset and metadata of each row's partition into the row
 * (metadata malloc()ed). STATUS_TIMEOUT: not known, for example behind an open transaction; ask again. STATUS_IO. */
NODISCARD enum status source_committed(
	struct source *source, struct batch_progress *rows, size_t count, int timeout_ms);

/* Any thread; blocks up to `timeout_ms`. Plain offset commit with metadata, for at_least_once. STATUS_BUSY: not a member,
 * or a rebalance is going on (as far as it is known: one that others began is learnt from the answer); STATUS_IO
 * otherwise. */
NODISCARD enum status source_commit(
	struct source *source, const struct batch_progress *rows, size_t count, int timeout_ms);

#endif
