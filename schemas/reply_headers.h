/* The headers of a reply: what it is, what of the request's headers comes back, and the trace.
 *
 * For chat_response.c only. Results live in the arena, or are borrowed from request and response. Threads: any. */
#ifndef SCHEMAS_REPLY_HEADERS_H
#define SCHEMAS_REPLY_HEADERS_H

#include "schemas/chat_response.h"

/* Headers of the request that come back are echoed up to this many bytes; longer ones are left out, so that no request
 * can make a reply too large for its topic by its headers. */
enum { REPLY_HEADER_ECHO_MAX = 4096 };

/* STATUS_NO_MEMORY. */
NODISCARD enum status reply_headers_write(const struct chat_response *response,
	const struct chat_reply_address *address, struct arena *arena, struct record_headers *out_headers);

#endif
