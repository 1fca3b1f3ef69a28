/* `chat-replay demo --live`: one question to the real OpenRouter, by way of a real chat-worker.
 *
 * Kafka is the sandbox's; the worker has its own default address of the model service. The key is the user's own: it
 * goes from this process's environment into the worker's, and nowhere else. The call costs what the model costs.
 *
 * Threads: the main one. Blocks until the reply is there or its time is over. */
#ifndef REPLAY_DEMO_LIVE_H
#define REPLAY_DEMO_LIVE_H

#include "replay/command.h"

#define DEMO_LIVE_MODEL "openai/gpt-4o-mini"

struct demo_live_options {
	const char *question; /* NULL = the demo with the stand-in is wanted */
	const char *model;
	const char *worker; /* path of chat-worker; NULL = look for it */
};

/* Asks, prints the answer on stdout, and how it came on stderr. EXIT_CODE_CONFIG without OPENROUTER_API_KEY. */
enum exit_code demo_live(const struct demo_live_options *options);

#endif
