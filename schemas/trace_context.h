/* W3C Trace Context (https://www.w3.org/TR/trace-context/) as far as a reply needs it: the child span of the request's
 * span. Pure; any thread. */
#ifndef SCHEMAS_TRACE_CONTEXT_H
#define SCHEMAS_TRACE_CONTEXT_H

#include "common/bytes.h"

/* A `traceparent` of version 00: 2 + 1 + 32 + 1 + 16 + 1 + 2 characters. */
enum { TRACE_PARENT_SIZE = 55 };

/* Writes the `traceparent` of a child with the parent's trace id and flags and our span id (not 0), as version 00.
 * STATUS_INVALID: the parent is malformed (also upper case, all-zero ids, version ff, a longer version 00). */
NODISCARD enum status trace_context_child(
	struct bytes parent, uint64_t span_id, char out_child[static TRACE_PARENT_SIZE + 1]);

/* Whether a `tracestate` may be passed on: printable ASCII of 1 to 512 bytes. */
bool trace_context_is_state(struct bytes state);

#endif
