/* A chat request: from the bytes of a record to a checked value.
 *
 * Requests come as a msgpack map or a JSON object (schemas/README.md). Reading has three steps: the coding is found
 * from the content type and the first byte; a linear scan proves that every declared length fits into the bytes that
 * are there and that nesting stays within the limit (schemas/wire.h); then the fields are checked one by one.
 *
 * What the worker has to look at becomes a field; everything the caller wants passed on becomes JSON text that goes
 * into the request to the model as it is. JSON input is passed on byte for byte, msgpack input is transcoded.
 *
 * Ownership: all views point into the arena or into `value`; both must outlive the request.
 * Threads: any, nothing is shared. Nothing blocks. */
#ifndef SCHEMAS_CHAT_REQUEST_H
#define SCHEMAS_CHAT_REQUEST_H

#include "common/arena.h"
#include "common/bytes.h"
#include "schemas/coding.h"
#include "schemas/reason.h"
#include "schemas/record.h"

enum chat_role { CHAT_ROLE_SYSTEM, CHAT_ROLE_DEVELOPER, CHAT_ROLE_USER, CHAT_ROLE_ASSISTANT, CHAT_ROLE_TOOL };

enum { CHAT_MODELS_MAX = 4 }; /* `model` and up to three `models`, without repeats */

struct chat_limits {
	size_t record_bytes; /* value of a record */
	size_t depth;        /* nesting of arrays and maps */
	size_t messages;     /* per request */
	size_t id_bytes;     /* request and conversation ids */
};

struct chat_message {
	enum chat_role role;
	bool has_tool_calls;       /* an assistant turn whose `tool_calls` is a non-empty array */
	struct bytes tool_call_id; /* role tool only, else BYTES_NONE */
	struct bytes json;         /* the message as a JSON object, known fields only, ready for the request body: JSON
	                              that needs no change byte for byte, everything else without white space */
};

struct chat_request {
	enum chat_coding coding; /* also that of the reply */
	struct bytes request_id;
	struct bytes conversation_id; /* body, else record key; BYTES_NONE when there is neither. Text, except in a
	                                 rejected request: there a key of at most id_bytes stays as it is, any bytes */
	struct chat_message *messages;
	size_t message_count;
	int64_t deadline_ms; /* Unix; the earlier of body and `chat-deadline-ms` header; 0 = not given */
	struct bytes model;  /* BYTES_NONE = not given */
	struct bytes models[CHAT_MODELS_MAX - 1];
	size_t model_count;
	struct bytes temperature; /* JSON numbers as text, BYTES_NONE = not given */
	struct bytes max_tokens;
	struct bytes max_completion_tokens;
	struct bytes provider; /* JSON object text, BYTES_NONE = not given */
	struct bytes options; /* every other field that is passed on, as `"key":value,"key":value` in the fixed order of
	                          the field table; empty when there is none. No leading or trailing comma. */
	size_t unknown_fields; /* how many keys were ignored, at the top and in messages */
	bool key_mismatch;     /* a record key that is not empty differs from the body's conversation_id */
};

/* Why a request was turned down: `detail` is one of our own sentences (static or in the arena, at most 512 bytes),
 * which names field and rule but never quotes input. */
struct chat_rejection {
	enum reason reason;
	struct bytes detail;
};

/* Reads the request in `record`. On STATUS_INVALID the request is a rejected one: `*out_rejection` says why, and
 * `*out_request` holds what could still be read of coding, request_id and conversation_id (BYTES_NONE otherwise; the
 * record key counts as conversation_id), so that the reply can be addressed. STATUS_NO_MEMORY: the arena is full;
 * `*out_request` is as for STATUS_INVALID.
 *
 * Reasons: decode, schema, bad_request, too_large, unsupported_media_type. Whether the model is allowed is the
 * worker's business. */
NODISCARD enum status chat_request_read(const struct record *record, const struct chat_limits *limits,
	struct arena *arena, struct chat_request *out_request, struct chat_rejection *out_rejection);

#endif
