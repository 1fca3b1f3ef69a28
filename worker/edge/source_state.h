/* The inside of the source, shared by source.c, source_rebalance.c and source_partition.c; nobody else includes it.
 *
 * One event descriptor is written by the consumer's queue, every partition's queue and the look-up thread. A partition is
 * *pending* from the event that assigns it until its look-up has answered, then *owned* until it is revoked. librdkafka
 * waits with the next rebalance until the pending one is answered with an assign, so there is one look-up at a time;
 * should a revoke come all the same (closing does that), its partitions leave the pending ones. Between a revoke in order and
 * the owner's yes to it a partition is *leaving*: not read, and not given up yet; librdkafka waits with all else for that. */
#ifndef WORKER_EDGE_SOURCE_STATE_H
#define WORKER_EDGE_SOURCE_STATE_H

#include "worker/edge/kafka_conf.h"
#include "worker/edge/kafka_watch.h"
#include "worker/edge/source.h"
#include "worker/edge/source_lookup.h"

enum source_slot_state { SOURCE_SLOT_FREE, SOURCE_SLOT_PENDING, SOURCE_SLOT_OWNED, SOURCE_SLOT_LEAVING };

/* One partition of the topic; the index in the table is its number. */
struct source_slot {
	enum source_slot_state state;
	rd_kafka_queue_t *queue;  /* owned while OWNED or LEAVING */
	rd_kafka_message_t *held; /* owned; could not be copied and is given next time */
	int64_t end;              /* all before it was given; -1 = not known, or told */
	bool needs_restart;       /* its offset is gone from the log */
};

struct source {
	/* Never change. */
	const struct settings *settings;
	struct log *log;
	struct metrics *metrics;
	struct source_events callbacks;
	struct kafka_owner owner;
	rd_kafka_t *rk;
	rd_kafka_queue_t *queue; /* the consumer's: rebalances and errors */
	struct source_lookup_options lookup_options;
	struct source_lookup *lookup;
	int fd;

	/* The owner thread's. */
	struct source_slot *slots;
	size_t slot_count;
	int32_t *partitions; /* owned ones, ascending; room for slot_count */
	size_t partition_count;
	struct record_header *headers; /* scratch for one record */
	size_t header_capacity;
	struct bytes group;  /* owned copy */
	bool is_revoke_lost; /* the poll interval was exceeded: the next revoke is a loss */
	bool has_pending;    /* an assign event waits for its look-up */
	bool has_leaving;    /* a revoke event waits for the owner's yes */
	bool needs_restart;  /* so does one of the slots */
	bool is_fatal;
	struct instant served; /* when this was last served; all 0 = not yet */
	int64_t awake_by_ms;   /* monotonic: a member by then, or librdkafka sleeps; 0 = the clock was not set back */

	/* Any thread. */
	struct kafka_watch watch;
	atomic_bool is_joined;
	atomic_bool is_rejoining; /* between giving partitions up and the next assignment */
};

/* source_partition.c */

/* NULL when the partition is not known. */
struct source_slot *source_slot_find(const struct source *source, int32_t partition);

/* Makes room for the partition. STATUS_NO_MEMORY; STATUS_INVALID for a number that is not a partition's. */
NODISCARD enum status source_slot_reserve(struct source *source, int32_t partition);

/* Detaches the partition's queue and wakes the owner by it; before the partition is assigned, so that nothing can go to
 * the consumer's queue. */
void source_slot_open(struct source *source, int32_t partition);

/* Lets go of the queue. Makes the slot free. */
void source_slot_close(struct source *source, int32_t partition);

/* Fills source->partitions from the slots. */
void source_list_partitions(struct source *source);

/* source_rebalance.c */

/* Where an offset is gone from the log, whatever was known of the partition is void: records may have been deleted, or
 * the log may have become another one (topic made anew, log cut short) whose offsets mean other records. It is given up as
 * lost and looked up again. */
void source_restart_partitions(struct source *source);

void source_on_rebalance(struct source *source, rd_kafka_resp_err_t code, const rd_kafka_topic_partition_list_t *list);

/* Gives up what is leaving, if there is any and the owner agrees, or is not asked: lost, or closing. */
void source_finish_revoke(struct source *source);

/* Assigns what the look-up has answered, if it has. */
void source_finish_assign(struct source *source);

/* Everything is given up as lost, without a word to librdkafka: after a fatal error. */
void source_lose_all(struct source *source);

void source_drop_group(struct source *source);

#endif
