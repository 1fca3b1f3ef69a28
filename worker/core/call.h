/* One attempt at the upstream: made by the flow, run by an upstream thread, given back to the flow.
 *
 * A call is handed over whole, both ways, and every call that was handed over comes back exactly once, also when it
 * was cancelled. Before that it may be told, once, that its content has begun to come. Whoever has it owns it. Times
 * are milliseconds of the monotonic clock unless they say otherwise. */
#ifndef WORKER_CORE_CALL_H
#define WORKER_CORE_CALL_H

#include "common/arena.h"
#include "common/buffer.h"
#include "worker/core/openrouter_answer.h"

/* What the upstream says of a call. Part of the call, so that saying it takes no memory. */
struct call_message {
	struct call *call;
	bool is_end; /* the call itself comes back with it; else its content has begun, and only `id` may be looked at */
};

struct call {
	/* Set by the flow. */
	uint64_t id; /* never 0, never used twice */
	struct buffer body;
	int64_t first_content_due_ms; /* no content by then → TIMEOUT */
	int64_t deadline_ms;          /* not ended by then → TIMEOUT */
	int64_t stall_ms;             /* longest pause between pieces of content */
	bool on_new_connection; /* none that was used before: the call before this one may have ended, or be silent, because of it */
	bool tells_content; /* wants to be told when its content begins */

	/* Set by the upstream thread. */
	struct arena *arena; /* owned; holds what `result` points at */
	struct openrouter_result result;
	int requests_sent; /* HTTP requests that began to be sent */
	int64_t started_ms;
	int64_t first_content_ms; /* 0 = none came */
	int64_t ended_ms;
	struct call_message content_begun, end;
};

/* NULL when memory is missing. `body_max` bounds the body, `result_max` the arena. */
NODISCARD struct call *call_new(uint64_t id, size_t body_max, size_t result_max);

/* Accepts NULL. */
void call_free(struct call *call);

#endif
