/* The parts of an answer while it comes in: fed with the chunks of a stream, or with one whole answer, and asked for
 * the verdict at the end.
 *
 * Only the first choice counts (one is asked for). Text is kept without NUL characters. What goes into headers of
 * replies (model, provider, id) is kept only when it is short printable ASCII.
 *
 * Owner: whoever embeds it; one thread. The verdict's views live in the arena given at init. */
#ifndef WORKER_CORE_OPENROUTER_PARTS_H
#define WORKER_CORE_OPENROUTER_PARTS_H

#include "schemas/chat_response.h"
#include "worker/core/failure.h"
#include "worker/core/openrouter_tools.h"

/* Bytes of model, provider and id. */
enum { OPENROUTER_NAME_MAX = 256 };

/* The four that are ever told; unknown words of the upstream count as STOP. */
enum openrouter_finish {
	OPENROUTER_FINISH_NONE,
	OPENROUTER_FINISH_STOP,
	OPENROUTER_FINISH_LENGTH,
	OPENROUTER_FINISH_TOOL_CALLS,
	OPENROUTER_FINISH_CONTENT_FILTER,
};

struct openrouter_parts {
	struct arena *arena; /* borrowed */
	struct buffer content, refusal, reasoning;
	struct buffer tool_calls, annotations, images; /* members of JSON arrays */
	struct buffer usage;                           /* a JSON object, or empty */
	struct openrouter_tools tools;                 /* fragments, until the verdict */
	struct bytes id, model, provider;              /* in the arena */
	double cost_usd;
	int64_t prompt_tokens, completion_tokens; /* -1 = not told */
	uint64_t content_count;                   /* pieces of content so far, see openrouter_reader_content() */
	enum openrouter_finish finish;
	bool has_choice;
	bool has_content;   /* content was a text at least once, perhaps an empty one */
	bool has_reasoning; /* also when it came without text */
};

/* `size_max` bounds each part. */
void openrouter_parts_init(struct openrouter_parts *parts, struct arena *arena, size_t size_max);
void openrouter_parts_deinit(struct openrouter_parts *parts);

/* One chunk or answer that tells no error. STATUS_INVALID: not what the format allows; STATUS_TOO_LARGE: a bound was
 * passed; STATUS_NO_MEMORY. After a failure the parts are of no use. */
NODISCARD enum status openrouter_parts_add(struct openrouter_parts *parts, yyjson_val *root);

/* An answer: STATUS_OK and `*out_answer`, whose views live in the arena or are static; its generation_id is the id of the
 * chunks as it came, which need not be one. Not an answer: STATUS_EMPTY and `*out_defect`. Or STATUS_NO_MEMORY,
 * STATUS_TOO_LARGE. Called once, at the end. */
NODISCARD enum status openrouter_parts_verdict(
	struct openrouter_parts *parts, struct chat_answer *out_answer, enum answer_defect *out_defect);

/* Fit for a header: printable ASCII, 1 to OPENROUTER_NAME_MAX bytes, no space at the ends. */
bool openrouter_name_is_safe(struct bytes name);

#endif
