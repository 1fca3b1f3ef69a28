/* What the parts of the request's reader share: where results go, the scratch for JSON text, and how to reject.
 *
 * For chat_request.c and chat_messages.c only. One reader for one record, on the caller's stack; everything that
 * outlives the call is in the arena. Threads: any. Nothing blocks. */
#ifndef SCHEMAS_CHAT_READER_H
#define SCHEMAS_CHAT_READER_H

#include "common/buffer.h"
#include "schemas/chat_request.h"
#include "schemas/wire.h"

struct chat_reader {
	const struct chat_limits *limits; /* borrowed */
	struct arena *arena;              /* borrowed */
	struct buffer scratch;            /* JSON text that is being made; its owner is chat_request_read() */
	struct chat_request *request;
	struct chat_rejection *rejection;
};

/* Sets the rejection and returns STATUS_INVALID, or STATUS_NO_MEMORY when the sentence does not fit into the arena.
 * The format may print names from our tables and numbers, never input. */
NODISCARD PRINTF_LIKE(3, 4) enum status
	chat_reject(struct chat_reader *reader, enum reason reason, const char *format, ...);

/* Moves the scratch's text into the arena and empties the scratch. STATUS_NO_MEMORY. */
NODISCARD enum status chat_keep_scratch(struct chat_reader *reader, struct bytes *out_json);

/* The JSON text of a value: a view of the input where it is JSON, a text in the arena where it is msgpack.
 * STATUS_UNSUPPORTED: binary data inside. STATUS_NO_MEMORY. */
NODISCARD enum status chat_json_of(struct chat_reader *reader, const struct wire_value *value, struct bytes *out_json);

/* Reads the field `messages` into the request: array, count, and each message's rules.
 * STATUS_INVALID: rejected. STATUS_NO_MEMORY. */
NODISCARD enum status chat_messages_read(struct chat_reader *reader, const struct wire_value *messages);

#endif
