/* One answer as a plan: all bytes of the body, and when which of them may leave.
 *
 * The plan is made when the request has arrived, and is then only played back: the server asks which bytes are due
 * now and when the next ones are. Between them, keep-alive bytes (SSE comments; white space before a plain JSON
 * answer) go out, as OpenRouter sends them.
 *
 * Ownership: the plan owns its body and marks. Threads: any; time is an argument, in milliseconds since the request
 * arrived. Nothing blocks. */
#ifndef REPLAY_STANDIN_PLAN_H
#define REPLAY_STANDIN_PLAN_H

#include "common/buffer.h"
#include "replay/standin_request.h"
#include "replay/standin_script.h"

enum { STANDIN_DELTAS_MAX = 10000, STANDIN_BODY_MAX = 16 << 20, STANDIN_WAIT_MAX_MS = 60 * 1000 };

/* Milliseconds; -1 where not given. `ttft_ms` alone: everything comes then. `latency_ms` alone: the same. Both: from
 * the first delta to the last they are spread evenly. `tps` spreads them where latency_ms is not given. */
struct standin_timing {
	int64_t ttft_ms;
	int64_t latency_ms;
	int64_t tps;    /* deltas a second; 0 = not given */
	int64_t deltas; /* the text is cut into so many pieces, as far as it has characters */
};

/* What was decided about a request. Views are borrowed for the call of standin_plan_init(). */
struct standin_serving {
	enum behaviour behaviour;
	int status;
	struct bytes error_type;
	int64_t retry_after_s; /* -1 = none */
	struct standin_timing timing;
	int64_t shift_ms;     /* added to all times (jitter) */
	int64_t keepalive_ms; /* pause between keep-alive bytes; 0 = none */
	uint64_t number;      /* of the request; makes the generation id */
	int64_t wall_ms;      /* Unix */
};

enum standin_ending {
	STANDIN_ENDS,   /* the body is complete */
	STANDIN_BREAKS, /* the connection closes in the middle of the body */
	STANDIN_STALLS, /* keep-alive bytes until STANDIN_WAIT_MAX_MS, then it closes */
	STANDIN_HANGS   /* not even a status line until STANDIN_WAIT_MAX_MS, then it closes */
};

struct standin_mark {
	int64_t due_ms;
	size_t end; /* of the body's bytes that are due then */
};

struct standin_plan {
	int status;
	const char *content_type; /* static */
	char generation_id[64];
	int64_t retry_after_s;
	enum standin_ending ending;
	struct buffer body;         /* owned */
	struct standin_mark *marks; /* owned, by time */
	size_t mark_count;
	struct bytes keepalive; /* static; BYTES_NONE = none */
	int64_t keepalive_ms;
};

/* STATUS_NO_MEMORY or STATUS_TOO_LARGE: nothing is owned. Free with standin_plan_deinit(). */
NODISCARD enum status standin_plan_init(
	struct standin_plan *plan, const struct standin_request *request, const struct standin_serving *serving);

/* A plan that needs no request: an error with its JSON body, at once. */
NODISCARD enum status standin_plan_init_error(struct standin_plan *plan, int status, const char *message);

/* Safe on a zeroed plan. */
void standin_plan_deinit(struct standin_plan *plan);

/* When the status line and the headers leave: with the first byte of any kind. */
int64_t standin_plan_first_ms(const struct standin_plan *plan);

/* How many bytes of the body are due at `now_ms`. */
size_t standin_plan_due(const struct standin_plan *plan, int64_t now_ms);

/* When more than the first `sent` bytes are due; INT64_MAX when there are no more. */
int64_t standin_plan_next_ms(const struct standin_plan *plan, size_t sent);

#endif
