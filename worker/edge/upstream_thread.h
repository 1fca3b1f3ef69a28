/* One thread of the pool: a loop that waits for sockets, orders and clocks, and runs the attempts it was given.
 *
 * A turn of the loop: wait → pass socket events to libcurl → let those try again that wait for a descriptor → take
 * orders → run libcurl's timers → give back what has ended → end what is overdue, or give it back when it has its
 * verdict → tell of those whose content has begun. Some hundreds of events and orders are taken in one turn, and calls go
 * back in one run, so a burst wakes each side once.
 * Without orders and transfers the thread sleeps without a time limit.
 *
 * Two mailboxes connect it to the pool: its own for orders, and one for all threads for the calls that come back and
 * what is said of them (struct call_message). */
#ifndef WORKER_EDGE_UPSTREAM_THREAD_H
#define WORKER_EDGE_UPSTREAM_THREAD_H

#include "common/mailbox.h"
#include "common/watchdog.h"
#include "worker/edge/upstream_headers.h"

struct upstream_thread;

enum upstream_order_kind { UPSTREAM_ORDER_CHAT, UPSTREAM_ORDER_KEY, UPSTREAM_ORDER_CANCEL, UPSTREAM_ORDER_HEADERS };

struct upstream_thread_options {
	const struct upstream_setup *setup; /* borrowed for the thread's life */
	struct mailbox *done;               /* likewise; has room for two messages of every call of the pool */
	struct watchdog_pulse *pulse;       /* likewise; NULL = not watched */
	struct upstream_headers *headers;   /* the thread's own, from its start on; the caller's still on failure */
	size_t in_flight_max;               /* calls that may be inside at once */
	size_t connection_max;              /* open at once; calls that want more wait for one another */
	uint64_t id_step;                   /* ids that come to this thread are so far apart */
};

/* STATUS_NO_MEMORY; STATUS_IO: no thread or descriptor. The new thread has all signals blocked. */
NODISCARD enum status upstream_thread_start(
	const struct upstream_thread_options *options, struct upstream_thread **out_thread);

/* Ends all transfers at once, frees the calls that are inside, joins the thread. Accepts NULL. Blocks for the join,
 * which waits for nothing outside the process. */
void upstream_thread_stop(struct upstream_thread *thread);

/* Hands an order over; `call` goes with it (NULL for CANCEL). STATUS_FULL, STATUS_NO_MEMORY: nothing was handed over.
 * Any one thread; never blocks. */
NODISCARD enum status upstream_thread_put(
	struct upstream_thread *thread, enum upstream_order_kind kind, struct call *call, uint64_t id);

/* Hands other headers over, for all that is put after them. Otherwise as upstream_thread_put(). */
NODISCARD enum status upstream_thread_put_headers(struct upstream_thread *thread, struct upstream_headers *headers);

#endif
