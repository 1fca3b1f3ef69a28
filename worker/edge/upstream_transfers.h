/* The transfers of one upstream thread: made when they are needed, kept for the next call, found by the call's id.
 *
 * Ids are found in buckets without a hash: they come from a counter. The clocks are one heap with an entry for each
 * transfer that is not free. Content puts a clock off without touching the heap; when the entry comes up too early, it
 * is moved then. So a delta costs nothing here.
 *
 * Owner and thread: the upstream thread that embeds it. Nothing blocks. At most `count_max` transfers exist. */
#ifndef WORKER_EDGE_UPSTREAM_TRANSFERS_H
#define WORKER_EDGE_UPSTREAM_TRANSFERS_H

#include "common/heap.h"
#include "worker/edge/upstream_transfer.h"

struct upstream_transfers {
	struct list free;     /* the last used first: its memory is warm */
	struct list *buckets; /* owned; by id */
	size_t bucket_count;  /* a power of two */
	uint64_t id_step;     /* ids of one thread are so far apart */
	size_t count;
	size_t count_max;
	struct heap watchdogs; /* of those that are not free */
};

/* `id_step` is the distance of ids that come to this thread, see upstream_thread.h. STATUS_NO_MEMORY. */
NODISCARD enum status upstream_transfers_init(struct upstream_transfers *table, size_t count_max, uint64_t id_step);

/* All transfers are free. Safe on a zeroed table. */
void upstream_transfers_deinit(struct upstream_transfers *table);

/* A free one, out of the list; NULL when there is none and upstream_transfers_may_grow() decides. */
struct upstream_transfer *upstream_transfers_take(struct upstream_transfers *table);
bool upstream_transfers_may_grow(const struct upstream_transfers *table);

/* Enters one that has just begun: to be found by its id, and watched. STATUS_NO_MEMORY: it is not entered. */
NODISCARD enum status upstream_transfers_enter(struct upstream_transfers *table, struct upstream_transfer *transfer);

/* Its state has changed, and its clock with it. */
void upstream_transfers_watch(struct upstream_transfers *table, struct upstream_transfer *transfer);

/* Its call goes back: no longer found by its id. */
void upstream_transfers_forget(struct upstream_transfer *transfer);

/* One that is FREE becomes free to be taken. */
void upstream_transfers_put(struct upstream_transfers *table, struct upstream_transfer *transfer);

/* NULL when no call with this id is under way. */
struct upstream_transfer *upstream_transfers_find(const struct upstream_transfers *table, uint64_t id);

/* The next one whose clock has run out at `now_ms`; NULL when there is none. Entries that content has put off are
 * moved on the way. */
struct upstream_transfer *upstream_transfers_overdue(struct upstream_transfers *table, int64_t now_ms);

/* INT64_MAX when there is none. */
int64_t upstream_transfers_due(const struct upstream_transfers *table);

#endif
