/* The body of a chat completion request, as JSON text.
 *
 * Deterministic: fixed order of keys, the same input gives the same bytes, so a response cache can recognise a repeat.
 * Always `"stream":true` (a closed stream stops the bill at most providers, a plain request runs on); the reply is put
 * together again by openrouter_answer. The caller's tools, messages and options are passed on as they are.
 *
 * A repeat differs from the first attempt at the same model and history only when it leaves out providers that failed, or asks for fewer
 * tokens because more are too dear.
 *
 * Order: model, messages, stream, temperature, max_tokens or max_completion_tokens, provider, then the request's
 * options in their own order. Usage is not asked for: it always comes. Pure; any thread. */
#ifndef WORKER_CORE_OPENROUTER_BODY_H
#define WORKER_CORE_OPENROUTER_BODY_H

#include "common/buffer.h"
#include "schemas/chat_request.h"

struct openrouter_body {
	const struct chat_request *request;
	const struct chat_message *messages; /* trimmed */
	size_t message_count;
	struct bytes model;
	struct bytes system_prompt;  /* put first when the request has no system or developer message; may be empty */
	struct bytes temperature;    /* JSON number text used when the request gives none; BYTES_NONE = leave it out */
	struct bytes max_tokens;     /* likewise; not used when the request gives either form */
	int64_t tokens_max;          /* goes in place of all of these, in the form that would be sent; 0 = does not */
	struct bytes provider;       /* JSON object text used when the request gives none */
	const struct bytes *ignored; /* providers that a repeat leaves out, when the object that is sent allows it
	                                (openrouter_provider.h) */
	size_t ignored_count;        /* 0 for every other attempt */
};

/* How many tokens of output the request asks for, or the setting when it does not; INT64_MAX = no bound is sent. */
int64_t openrouter_body_tokens(const struct chat_request *request, struct bytes setting);

/* The object that is sent in `provider`: the request's, else the setting; empty = none. */
struct bytes openrouter_body_provider(const struct chat_request *request, struct bytes setting);

/* Appends to `out_body`; buffer_status() tells whether it fits. */
void openrouter_body_write(const struct openrouter_body *body, struct buffer *out_body);

#endif
