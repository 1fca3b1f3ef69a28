/* One chat as a record to send, and one record as a reply: what `send` and `demo` have in common.
 *
 * A call is known by its id. It travels as the request's `correlation-id` header, which a worker echoes byte for byte
 * even when it cannot read the record, so that a reply finds its call whatever became of it.
 *
 * Ownership: everything given is borrowed for the call; what a reply's views point into is the arena.
 * Threads: one, that of the client. Nothing blocks. */
#ifndef REPLAY_CHAT_CALL_H
#define REPLAY_CHAT_CALL_H

#include "replay/kafka_client.h"
#include "schemas/chat_client.h"

enum { CHAT_CALL_ID_SIZE = 32, CHAT_CALL_VALUE_MAX = 64 << 20, CHAT_CALL_ARENA_MAX = 256 << 20 };

/* A new request id: `replay-` and 16 hexadecimal digits. */
void chat_call_make_id(char out_id[static CHAT_CALL_ID_SIZE]);

/* Sends `value` with the key `conversation_id` and the headers content-type, correlation-id and chat-replay-id.
 * Results as kafka_client_send(). */
NODISCARD enum status chat_call_send(struct kafka_client *client, const char *topic, struct bytes id,
	struct bytes conversation_id, enum chat_coding coding, struct bytes value);

/* Whether a record answers the call `id`: by its correlation-id header. */
bool chat_call_is_reply(const struct record *record, struct bytes id);

/* Reads a reply. Results as chat_client_response_read(). */
NODISCARD enum status chat_call_read(
	const struct record *record, struct arena *arena, struct chat_client_response *out_response);

#endif
