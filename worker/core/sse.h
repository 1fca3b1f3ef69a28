/* Splits a server-sent event stream into the data of its events.
 *
 * Follows the WHATWG algorithm (HTML, §9.2.6): lines end in LF, CR or CRLF, also across pieces; a leading byte-order
 * mark is dropped; lines that start with a colon are comments; several `data` lines are joined with LF; an event ends
 * with an empty line; `event`, `id`, `retry` and unknown fields are ignored. One deviation: data left without its empty
 * line when the stream ends whole is still given by sse_finish(), since gateways forget it.
 *
 * Owner: whoever embeds it; one thread. Memory: one event at most, bounded by the size given at sse_init(). */
#ifndef WORKER_CORE_SSE_H
#define WORKER_CORE_SSE_H

#include "common/buffer.h"

struct sse {
	struct buffer line;
	struct buffer data;
	bool has_data;
	bool after_cr;
	bool began;
};

/* Called with the data of each event, borrowed for the call. Anything but STATUS_OK stops the feeding and is returned. */
typedef enum status (*sse_event_fn)(void *context, struct bytes data);

void sse_init(struct sse *sse, size_t event_size_max);
void sse_deinit(struct sse *sse);

/* STATUS_TOO_LARGE when an event or line passes the bound, STATUS_NO_MEMORY, or what `on_event` returned. */
NODISCARD enum status sse_feed(struct sse *sse, struct bytes piece, sse_event_fn on_event, void *context);
NODISCARD enum status sse_finish(struct sse *sse, sse_event_fn on_event, void *context);

#endif
