/* What the stand-in reads from the body of a chat completion request.
 *
 * It looks at little and checks less: sampling, formats and the like are taken as they come, because they change
 * nothing in its answers.
 *
 * Ownership: the request owns the parsed document that its views point into. Threads: any, nothing is shared. */
#ifndef REPLAY_STANDIN_REQUEST_H
#define REPLAY_STANDIN_REQUEST_H

#include "common/bytes.h"

struct yyjson_doc;

struct standin_request {
	struct yyjson_doc *document; /* owned */
	bool is_stream;
	struct bytes model;
	struct bytes text;      /* of the last user message: its content, or its last text part; may be empty */
	struct bytes tool_name; /* of the first tool offered; BYTES_NONE without tools */
	size_t message_count;
	size_t content_bytes; /* of all messages' texts, for the token counts */
};

/* STATUS_INVALID: not JSON, no `model`, no `messages` with at least one element; `*out_problem` is a static sentence
 * then, and nothing is owned. On STATUS_OK free with standin_request_deinit(). */
NODISCARD enum status standin_request_read(
	struct bytes body, struct standin_request *out_request, const char **out_problem);

/* Safe on a zeroed request. */
void standin_request_deinit(struct standin_request *request);

#endif
