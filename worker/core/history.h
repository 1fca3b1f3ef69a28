/* Keeps a conversation within bounds by leaving out its oldest turns.
 *
 * A turn is a user message and all that follows it up to the next one. Old turns go whole, so that no answer stays
 * without its question. Never left out: system and developer messages; of the newest turn its user message and its last
 * message; and one half of a tool group (an assistant message with tool calls and the tool messages that answer it stay
 * or go together; a group may pass the limits by itself). When only the newest turn is left and it is still too long,
 * what lies between its user message and its end goes, oldest first. The limits count the request's own messages.
 *
 * Pure; any thread. */
#ifndef WORKER_CORE_HISTORY_H
#define WORKER_CORE_HISTORY_H

#include "schemas/chat_request.h"

struct history_limits {
	size_t messages_max;
	size_t bytes_max; /* of the messages' JSON */
};

/* Moves the messages to keep to the front of `messages`, in their order, and returns how many they are. */
size_t history_trim(struct chat_message *messages, size_t count, const struct history_limits *limits);

/* The same with the limits that halve what is there: half the bytes of what may be left out at all. Returns `count` when
 * nothing can be left out. */
size_t history_halve(struct chat_message *messages, size_t count);

#endif
