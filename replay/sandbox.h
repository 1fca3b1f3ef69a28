/* Kafka and OpenRouter of one's own in this process: what `chat-replay sandbox` runs, and `demo` builds on.
 *
 * The topics are those of the worker's default settings. Requests and replies have as many partitions as a small
 * production topic, so that order and partitioning are seen to work.
 *
 * Owner: whoever started it. Threads: those of its parts; the functions are for one thread. */
#ifndef REPLAY_SANDBOX_H
#define REPLAY_SANDBOX_H

#include "replay/mock_kafka.h"
#include "replay/standin.h"

#define SANDBOX_REQUESTS_TOPIC "chat.requests"
#define SANDBOX_RESPONSES_TOPIC "chat.responses"
#define SANDBOX_DEAD_LETTER_TOPIC "chat.requests.dlq"

enum { SANDBOX_PARTITIONS = 12, SANDBOX_DEAD_LETTER_PARTITIONS = 3 };

struct sandbox {
	struct mock_kafka *kafka;   /* owned; NULL when not wanted */
	struct standin *openrouter; /* owned; NULL when not wanted */
};

/* Starts what is wanted; `openrouter` NULL = no stand-in. Failures are told on stderr. Stop with sandbox_stop(), also
 * after a failure. */
NODISCARD enum status sandbox_start(struct sandbox *sandbox, bool with_kafka, const struct standin_options *openrouter);

/* Safe on a zeroed sandbox. */
void sandbox_stop(struct sandbox *sandbox);

#endif
