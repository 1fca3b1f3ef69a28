/* The caller's side of the wire: makes requests and reads replies, for chat-replay and tests. The worker uses none of
 * this.
 *
 * Ownership: what is given is borrowed for the call; views in results point into the arena, or into the value that was
 * read. Threads: any, nothing is shared. Nothing blocks. */
#ifndef SCHEMAS_CHAT_CLIENT_H
#define SCHEMAS_CHAT_CLIENT_H

#include "common/arena.h"
#include "common/buffer.h"
#include "schemas/coding.h"

/* One request. BYTES_NONE leaves a field out. */
struct chat_client_request {
	enum chat_coding coding;
	struct bytes request_id;
	struct bytes conversation_id;
	struct bytes model;
	struct bytes system;       /* becomes the first message */
	struct bytes history_json; /* JSON array of messages, put before `text` */
	struct bytes text;         /* the new user turn */
	struct bytes tools_json;   /* JSON array */
	int64_t deadline_ms;       /* Unix; 0 leaves it out */
};

/* Appends the value of a request record to `out_value`. Texts must be UTF-8.
 * STATUS_INVALID: history or tools are not a JSON array, or a text is not UTF-8. STATUS_NO_MEMORY. STATUS_TOO_LARGE:
 * the buffer's bound. */
NODISCARD enum status chat_client_request_write(const struct chat_client_request *request, struct buffer *out_value);

/* One reply. BYTES_NONE where the reply has null or nothing. */
struct chat_client_response {
	struct bytes json; /* the whole reply as JSON */
	struct bytes request_id;
	struct bytes conversation_id;
	struct bytes outcome; /* answered, fallback, rejected */
	struct bytes content;
	struct bytes refusal;
	struct bytes tool_calls_json;
	struct bytes finish_reason;
	struct bytes model;
	struct bytes provider;
	struct bytes generation_id;
	struct bytes reason;  /* error.reason */
	struct bytes message; /* error.message */
	int64_t http_status;  /* 0 = none */
	int64_t attempts;
	int64_t prompt_tokens; /* from usage, -1 = not given */
	int64_t received_ms;   /* Unix, as the next */
	int64_t replied_ms;
	int64_t upstream_ms; /* -1 = null */
	int64_t partition;   /* of the request, as the next; -1 = not given */
	int64_t offset;
};

/* Reads a reply in either coding; `content_type` is the record's header, BYTES_NONE without one.
 * STATUS_INVALID: not a map, not well-formed, or a field of the wrong type. STATUS_UNSUPPORTED: another content type.
 * STATUS_NO_MEMORY: the arena is full. */
NODISCARD enum status chat_client_response_read(
	struct bytes value, struct bytes content_type, struct arena *arena, struct chat_client_response *out_response);

#endif
