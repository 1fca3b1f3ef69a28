/* From the bytes of one HTTP response to an answer or a failure.
 *
 * Fed piece by piece by the upstream thread while the response streams in. Understands an event stream, a plain JSON
 * answer (which also comes for errors before the first token, and may be preceded by white space that keeps the
 * connection alive), and error objects in all three places (whole body, event, first choice). Text, tool-call
 * fragments, refusal, reasoning, annotations, images and usage are put together again; partial text of a response that
 * went wrong is dropped.
 *
 * *Content* is what a user waits for: non-blank text, tool calls, refusal, reasoning. Comments and white space are not;
 * the watchdogs of the upstream thread count content (see openrouter_reader_content).
 *
 * Privacy: error.message, metadata and user_id of the upstream never leave this module.
 * Owner: the upstream thread; results live in the arena given at creation. Nothing blocks. Depth and sizes are bounded. */
#ifndef WORKER_CORE_OPENROUTER_ANSWER_H
#define WORKER_CORE_OPENROUTER_ANSWER_H

#include "common/arena.h"
#include "schemas/chat_response.h"
#include "worker/core/failure.h"

struct openrouter_reader;

struct openrouter_limits {
	size_t body_bytes;  /* of one response */
	size_t event_bytes; /* of one event */
	size_t depth;       /* of JSON */
};

/* What an attempt came to: an answer when failure.reason is REASON_NONE, else a failure. */
struct openrouter_result {
	struct chat_answer answer;
	struct failure failure;
	struct bytes
		failed_provider; /* who answered for the model, when it failed: a sane name (openrouter_provider.h), for
	                                 nothing but the next request; BYTES_NONE = not told */
};

/* One for each attempt. NULL when memory is missing. Freed with openrouter_reader_free(), which does not touch the
 * arena. The arena is borrowed. */
NODISCARD struct openrouter_reader *openrouter_reader_new(struct arena *arena, const struct openrouter_limits *limits);
void openrouter_reader_free(struct openrouter_reader *reader);

/* The status line, before the header lines; a later one (after an interim response) makes the reader forget the headers
 * of the earlier. Of the header lines, content-type, retry-after, retry-after-ms, x-ratelimit-reset and
 * x-generation-id are looked at.
 * `now_ms` is wall time, for dates in Retry-After. */
void openrouter_reader_status(struct openrouter_reader *reader, int http_status);
void openrouter_reader_header(struct openrouter_reader *reader, struct bytes name, struct bytes value, int64_t now_ms);

/* A piece of the body. STATUS_TOO_LARGE: a cap was passed; STATUS_NO_MEMORY; STATUS_CLOSED: the response is complete
 * or has failed, the rest is of no interest and the transfer may be dropped at once. */
NODISCARD enum status openrouter_reader_feed(struct openrouter_reader *reader, struct bytes piece);

/* Grows with every piece of content; the caller compares. 0 = none yet. */
uint64_t openrouter_reader_content(const struct openrouter_reader *reader);

/* The end: how the transport ended and whether the request had begun to be sent. Called once. A response that was
 * complete before the transport broke counts as whole: a stream that told its finish_reason or [DONE], a body that is
 * JSON to its end, an error status. An answer that does not fit into the arena is an INTERNAL failure. The verdict's
 * views live in the arena or are static. */
void openrouter_reader_finish(
	struct openrouter_reader *reader, enum transport_end end, bool sent, struct openrouter_result *out_result);

#endif
