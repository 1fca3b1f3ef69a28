/* The bodies that the stand-in serves, in the shapes that OpenRouter's have.
 *
 * The content of an answer depends on nothing but the last user text and the model, so a test can say what is to
 * come. Ids, times and the cut into deltas are not part of the content.
 *
 * Threads: pure functions, any. Buffers collect failures themselves (common/buffer.h). */
#ifndef REPLAY_STANDIN_BODY_H
#define REPLAY_STANDIN_BODY_H

#include "common/buffer.h"

/* What stays the same in all chunks of one answer. */
struct standin_identity {
	struct bytes generation_id;
	struct bytes model;
	int64_t created_s;       /* Unix */
	struct bytes chunk_head; /* what standin_append_chunk_head() makes of the others; only for chunks */
};

enum standin_kind { STANDIN_TEXT, STANDIN_TOOL_CALL, STANDIN_REFUSAL, STANDIN_NOTHING };

/* One answer's content. Views are borrowed. */
struct standin_content {
	enum standin_kind kind;
	struct bytes text;      /* the answer, the refusal, or the arguments of the tool call (JSON text) */
	struct bytes tool_name; /* STANDIN_TOOL_CALL only, as is the next */
	struct bytes call_id;
	int64_t prompt_tokens;
	int64_t completion_tokens;
};

/* The answer's text: what the user wrote (without `[[...]]`, at most 120 bytes of it), who answers, a few words. */
void standin_answer_text(struct bytes user_text, struct bytes model, struct buffer *out_text);

/* The arguments of the tool call: `{"question":"..."}` with what the user wrote, as above. */
void standin_tool_arguments(struct bytes user_text, struct buffer *out_text);

/* The id of the tool call: `call_` and 16 hexadecimal digits. */
void standin_call_id(struct bytes user_text, struct bytes model, struct buffer *out_text);

/* Server-sent events. All chunks of an answer begin alike: `data: `, the identity, and `choices` up to its bracket; it is
 * made once and kept in the identity. A delta carries one `piece` of the content's text; the first delta of a tool call is its head,
 * with an empty piece. */
void standin_append_comment(struct buffer *out);
void standin_append_chunk_head(const struct standin_identity *identity, struct buffer *out);
void standin_append_delta(const struct standin_identity *identity, const struct standin_content *content, bool is_head,
	struct bytes piece, struct buffer *out);
void standin_append_finish(
	const struct standin_identity *identity, const struct standin_content *content, struct buffer *out);
void standin_append_stream_error(const struct standin_identity *identity, struct buffer *out);

/* The whole answer as one JSON object, for requests without `stream`. */
void standin_append_completion(
	const struct standin_identity *identity, const struct standin_content *content, struct buffer *out);

/* The JSON error object of an HTTP status, or of a failure behind a 200. `error_type` BYTES_NONE: the usual one of
 * that status. `user_text` is quoted where OpenRouter does so (moderation). Statuses of the edge (520 to 530) come as
 * an HTML page, see standin_status_is_html(). */
void standin_append_error(int status, struct bytes error_type, struct bytes user_text, struct buffer *out);
bool standin_status_is_html(int status);
void standin_append_html(int status, struct buffer *out);

#endif
