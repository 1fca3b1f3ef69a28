/* What an audit remembers of each request, and of each conversation: little, because there may be many millions.
 *
 * A request takes AUDIT_ENTRY_SIZE (24) bytes, in chunks of 1,024 for each partition; a conversation 16 bytes in a table that
 * is between three eighths and three quarters full, so 21 to 43 bytes. Ids are kept as hashes only.
 *
 * Owner: the judge. Threads: one. Nothing blocks. */
#ifndef REPLAY_AUDIT_STORE_H
#define REPLAY_AUDIT_STORE_H

#include "common/bytes.h"

enum { AUDIT_ENTRY_SIZE = 24, AUDIT_REPLIES_MAX = 255, AUDIT_LETTERS_MAX = 63 };

/* One request. Offsets of Kafka fit into 48 bits for longer than anybody can write. */
struct audit_entry {
	int64_t timestamp_ms; /* -1 = none */
	uint32_t key;         /* hash of the conversation id; 0 = it has none */
	uint32_t id;          /* hash of the request id; 0 = not to be read */
	uint32_t offset_low;
	unsigned offset_high : 16;
	unsigned replies : 8; /* stays at AUDIT_REPLIES_MAX */
	unsigned letters : 6; /* dead letters; stays at AUDIT_LETTERS_MAX */
	unsigned is_rejected : 1;
	unsigned is_outside : 1; /* not in the span of time that is judged */
};

int64_t audit_entry_offset(const struct audit_entry *entry);

struct audit_store;

/* Takes at most `entries_max` requests. NULL when memory is missing. */
NODISCARD struct audit_store *audit_store_new(size_t entries_max);

/* Accepts NULL. */
void audit_store_free(struct audit_store *store);

/* Begins the next partition (0, 1, 2, …), of which [start, end) is read. STATUS_NO_MEMORY. */
NODISCARD enum status audit_store_begin(struct audit_store *store, int64_t start, int64_t end);

/* Takes the request at `offset`, which is larger than all before it in its partition. STATUS_FULL: the bound is reached.
 * STATUS_NO_MEMORY. */
NODISCARD enum status audit_store_add(
	struct audit_store *store, int32_t id, int64_t offset, const struct audit_entry *entry);

/* What was read of a partition; false when there is no such partition. */
bool audit_store_range(const struct audit_store *store, int32_t id, int64_t *out_start, int64_t *out_end);

/* The request at `offset`; NULL when there is none. Borrowed, may be changed. */
struct audit_entry *audit_store_find(const struct audit_store *store, int32_t id, int64_t offset);

size_t audit_store_partitions(const struct audit_store *store);

/* How many requests a partition has, and the one of that number. */
size_t audit_store_count(const struct audit_store *store, int32_t id);
struct audit_entry *audit_store_at(const struct audit_store *store, int32_t id, size_t index);

/* Bytes taken from the system. */
size_t audit_store_size(const struct audit_store *store);

/* Order: for each lane, which has a hash for a name, the offset of the request that was last replied to. */
struct audit_lanes;

/* NULL when memory is missing. */
NODISCARD struct audit_lanes *audit_lanes_new(void);

/* Accepts NULL. */
void audit_lanes_free(struct audit_lanes *lanes);

/* Keeps `offset` as the last one of the lane `name` and gives the one before it, -1 when there was none. STATUS_NO_MEMORY. */
NODISCARD enum status audit_lanes_step(struct audit_lanes *lanes, uint64_t name, int64_t offset, int64_t *out_before);

/* Forgets all lanes and keeps the memory. */
void audit_lanes_clear(struct audit_lanes *lanes);

size_t audit_lanes_count(const struct audit_lanes *lanes);
size_t audit_lanes_size(const struct audit_lanes *lanes);

#endif
