/* One HTTP exchange of the stand-in: from the first header to the last byte. Private to the stand-in.
 *
 * An exchange gathers its body, is decided once (what is served, and when), waits for its first byte, and is played
 * back. While it waits, its connection is suspended and its node is in the desk's heap; whoever takes the node out
 * calls exchange_wake().
 *
 * Owner and thread: all of this is the stand-in loop's; only the counters are read by others. Nothing blocks. */
#ifndef REPLAY_STANDIN_EXCHANGE_H
#define REPLAY_STANDIN_EXCHANGE_H

#include <microhttpd.h>
#include <stdatomic.h>

#include "common/clock.h"
#include "common/heap.h"
#include "common/random.h"
#include "replay/standin.h"
#include "replay/standin_journal.h"
#include "replay/standin_seen.h"

/* What all exchanges of one stand-in share. */
struct standin_desk {
	struct standin_options options; /* `key` is owned by the stand-in, `listen` and `journal` are not used here */
	struct heap waiting;            /* exchanges by the time they go on */
	struct standin_seen *seen;
	struct standin_journal *journal; /* NULL = none */
	struct random random;
	struct instant now; /* of this turn of the loop */
	size_t open;        /* chat requests that are being served */
	bool is_closing;    /* who wakes now closes its connection */
	atomic_uint_fast64_t requests;
	atomic_uint_fast64_t answers;
	atomic_uint_fast64_t waiting_count;
};

/* libmicrohttpd's callbacks; `desk` is a struct standin_desk. */
enum MHD_Result exchange_handle(void *desk, struct MHD_Connection *connection, const char *url, const char *method,
	const char *version, const char *upload, size_t *upload_size, void **exchange);
void exchange_completed(
	void *desk, struct MHD_Connection *connection, void **exchange, enum MHD_RequestTerminationCode how);

/* The exchange of `node`, which was just taken out of the heap, goes on. */
void exchange_wake(struct standin_desk *desk, struct heap_node *node);

#endif
