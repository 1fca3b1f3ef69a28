/* Transfers of one upstream thread that wait for a descriptor, in their order.
 *
 * A process may have fewer descriptors than calls. A transfer that gets none is no failed attempt: it waits here, tells
 * nobody, and tries again when another has ended, or after a moment, since descriptors are used elsewhere, too. Those
 * that come later wait behind it. Its watchdog goes on: at the call's deadline it ends.
 *
 * Owner and thread: the upstream thread that embeds it. Nothing blocks or allocates. */
#ifndef WORKER_EDGE_UPSTREAM_WAITING_H
#define WORKER_EDGE_UPSTREAM_WAITING_H

#include "worker/edge/upstream_transfer.h"

enum {
	UPSTREAM_WAITING_MS = 20,   /* between two tries without a sign that there is room */
	UPSTREAM_WAITING_TRIES = 4, /* at once then */
};

struct upstream_waiting {
	struct list list;  /* of struct upstream_transfer, by `place`; all are WAITING */
	int64_t due_ms;    /* of the next tries without a sign */
	size_t room_count; /* transfers that have ended since the last tries */
};

void upstream_waiting_init(struct upstream_waiting *waiting);

bool upstream_waiting_is_empty(const struct upstream_waiting *waiting);

/* RUNNING and in no multi handle → WAITING, behind all others, or before them when it has tried. */
void upstream_waiting_put(
	struct upstream_waiting *waiting, struct upstream_transfer *transfer, bool has_tried, int64_t now_ms);

/* A transfer has ended: its connection is free, or closed. */
void upstream_waiting_note_room(struct upstream_waiting *waiting);

/* How many may try now. `*out_is_stuck`: some wait, and nothing has ended for a while. */
size_t upstream_waiting_tries(struct upstream_waiting *waiting, int64_t now_ms, bool *out_is_stuck);

/* The first, RUNNING again; the caller adds it to a multi handle. NULL when there is none. */
struct upstream_transfer *upstream_waiting_take(struct upstream_waiting *waiting);

/* When to look again at the latest: INT64_MIN = at once, INT64_MAX = never, for nobody waits. */
int64_t upstream_waiting_due(const struct upstream_waiting *waiting);

#endif
