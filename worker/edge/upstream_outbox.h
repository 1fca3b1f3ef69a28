/* What an upstream thread has to say to the pool's owner, gathered over a turn and sent in one run, so that a burst wakes
 * the owner once.
 *
 * Owner: one upstream thread. Messages go on whole; none is lost: the mailbox has room for all there can be. */
#ifndef WORKER_EDGE_UPSTREAM_OUTBOX_H
#define WORKER_EDGE_UPSTREAM_OUTBOX_H

#include "common/mailbox.h"
#include "worker/core/call.h"

enum { UPSTREAM_OUTBOX_MAX = 256 };

struct upstream_outbox {
	struct mailbox *done; /* of the pool; borrowed */
	struct call_message *messages[UPSTREAM_OUTBOX_MAX];
	size_t count;
};

/* Sends at once when the outbox is full, else with the next flush. */
void upstream_outbox_put(struct upstream_outbox *outbox, struct call_message *message);
void upstream_outbox_flush(struct upstream_outbox *outbox);

#endif
