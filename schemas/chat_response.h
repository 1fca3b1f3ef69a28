/* A reply: from values to the bytes and headers of one record on the response topic.
 *
 * Exactly one is made for each request record. Its shape is the wire contract of schemas/README.md; the reply uses the
 * coding of its request. Fields whose view is BYTES_NONE are null, or left out where the contract says optional.
 *
 * Ownership: everything given is borrowed for the call; results live in the arena. Threads: any. Nothing blocks. */
#ifndef SCHEMAS_CHAT_RESPONSE_H
#define SCHEMAS_CHAT_RESPONSE_H

#include "common/arena.h"
#include "schemas/chat_request.h"
#include "schemas/reason.h"
#include "schemas/record.h"

enum chat_outcome { CHAT_OUTCOME_ANSWERED, CHAT_OUTCOME_FALLBACK, CHAT_OUTCOME_REJECTED };

/* "answered", "fallback", "rejected". */
const char *chat_outcome_word(enum chat_outcome outcome);

/* What a model answered. Members that end in `_json` are JSON texts, well-formed by construction, the others text. */
struct chat_answer {
	struct bytes content; /* BYTES_NONE = null */
	struct bytes tool_calls_json;
	struct bytes refusal;
	struct bytes reasoning;
	struct bytes annotations_json;
	struct bytes images_json;
	struct bytes finish_reason; /* stop, length, tool_calls, content_filter */
	struct bytes model;
	struct bytes provider;
	struct bytes generation_id;
	struct bytes usage_json; /* object */
	double cost_usd;         /* from usage, 0 when not given */
	int64_t prompt_tokens;   /* from usage, -1 when not given */
	int64_t completion_tokens;
};

struct chat_response {
	enum chat_coding coding;
	struct bytes request_id;
	struct bytes conversation_id; /* the record's key as it is; null in the body when it is not clean text */
	enum chat_outcome outcome;
	struct chat_answer answer; /* for fallback and rejected only `content` (the configured text) is given */
	enum reason reason;        /* REASON_NONE exactly when answered */
	struct bytes detail; /* replaces the reason's own sentence in error.message when given; ours, never quoted */
	int http_status;     /* 0 = none */
	int attempts;
	int64_t received_ms; /* Unix */
	int64_t replied_ms;  /* Unix */
	int64_t waited_ms;
	int64_t upstream_ms;    /* -1 = null */
	int64_t first_token_ms; /* -1 = null */
	struct bytes topic;     /* of the request */
	int32_t partition;
	int64_t offset;
};

/* What makes a `struct outgoing` out of a reply besides the reply itself. */
struct chat_reply_address {
	struct bytes topic;                           /* response topic, already decided */
	const struct record_headers *request_headers; /* correlation-id, traceparent, kafka_* … are echoed from here */
	uint64_t span_id;                             /* of the child span in `traceparent`; never 0 */
};

/* Encodes body and headers. `value_max` bounds the body in bytes. Text that is not UTF-8, or that holds NUL, is mended
 * with question marks; a `_json` member that is malformed becomes null in msgpack; of the upstream's text only
 * printable ASCII of at most 256 bytes goes into headers.
 * STATUS_TOO_LARGE: the body would be larger; nothing usable was made (the caller replies `reply_too_large` instead).
 * STATUS_NO_MEMORY: the arena is full. */
NODISCARD enum status chat_response_write(const struct chat_response *response,
	const struct chat_reply_address *address, size_t value_max, struct arena *arena, struct outgoing *out_record);

#endif
