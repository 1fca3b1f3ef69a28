/* Composes bodies: chunks, completions, errors. */
#include "replay/standin_body.h"

#include <inttypes.h>

#include "common/assertion.h"
#include "common/hash.h"

enum { ECHO_BYTES_MAX = 120, FILLER_WORDS = 12 };

static const double COST_OF_TOKEN_USD = 0.0000025;

static uint64_t digest(struct bytes text, struct bytes model)
{
	struct hash_key key = { .k0 = 0x7374616e64, .k1 = 0 };
	key.k1 = hash_keyed(key, model);
	return hash_keyed(key, text);
}

/* What a person wrote: without scripts, not more than ECHO_BYTES_MAX bytes, no code point cut. */
static void append_echo(struct bytes text, struct buffer *out)
{
	size_t written = 0, depth = 0;
	for (size_t i = 0; i < text.size; i++) {
		bool opens = i + 1 < text.size && text.data[i] == '[' && text.data[i + 1] == '[';
		bool closes = i > 0 && depth > 0 && text.data[i - 1] == ']' && text.data[i] == ']';
		bool starts_character = ((unsigned char)text.data[i] & 0xC0) != 0x80;
		if (opens) depth = 1;
		if (written + 4 > ECHO_BYTES_MAX && starts_character) return;
		if (depth == 0 && (written > 0 || text.data[i] != ' ')) {
			buffer_append_char(out, text.data[i]);
			written++;
		}
		if (closes) depth = 0;
	}
}

void standin_answer_text(struct bytes user_text, struct bytes model, struct buffer *out_text)
{
	static const char *const WORDS[] = { "river", "lantern", "copper", "meadow", "signal", "harbour", "violet",
		"pebble", "thunder", "paper", "orchard", "compass", "winter", "needle", "garden", "falcon" };
	uint64_t bits = digest(user_text, model);
	buffer_append_text(out_text, "You wrote: ");
	append_echo(user_text, out_text);
	buffer_append_text(out_text, " | ");
	buffer_append(out_text, model);
	buffer_append_text(out_text, " answers:");
	for (int i = 0; i < FILLER_WORDS; i++, bits >>= 4) {
		buffer_append_char(out_text, ' ');
		buffer_append_text(out_text, WORDS[bits & 15]);
	}
	buffer_append_char(out_text, '.');
}

void standin_tool_arguments(struct bytes user_text, struct buffer *out_text)
{
	struct buffer echo;
	buffer_init(&echo, 2 * ECHO_BYTES_MAX);
	append_echo(user_text, &echo);
	buffer_append_text(out_text, "{\"question\":");
	buffer_append_json_string(out_text, buffer_bytes(&echo));
	buffer_append_char(out_text, '}');
	buffer_deinit(&echo);
}

void standin_call_id(struct bytes user_text, struct bytes model, struct buffer *out_text)
{
	buffer_append_format(out_text, "call_%016" PRIx64, digest(user_text, model));
}

/* The members that all chunks and completions begin with, up to the opening bracket of `choices`. */
static void append_head(const struct standin_identity *identity, const char *object, struct buffer *out)
{
	buffer_append_text(out, "{\"id\":");
	buffer_append_json_string(out, identity->generation_id);
	buffer_append_text(out, ",\"provider\":\"Stand-in\",\"model\":");
	buffer_append_json_string(out, identity->model);
	buffer_append_text(out, ",\"object\":\"");
	buffer_append_text(out, object);
	buffer_append_text(out, "\",\"created\":");
	buffer_append_int(out, identity->created_s);
	buffer_append_text(out, ",\"choices\":[");
}

static void append_usage(const struct standin_content *content, struct buffer *out)
{
	int64_t total = content->prompt_tokens + content->completion_tokens;
	buffer_append_text(out, ",\"usage\":{\"prompt_tokens\":");
	buffer_append_int(out, content->prompt_tokens);
	buffer_append_text(out, ",\"completion_tokens\":");
	buffer_append_int(out, content->completion_tokens);
	buffer_append_text(out, ",\"total_tokens\":");
	buffer_append_int(out, total);
	buffer_append_format(out, ",\"cost\":%.7f,\"is_byok\":false", (double)total * COST_OF_TOKEN_USD);
	buffer_append_text(out, ",\"prompt_tokens_details\":{\"cached_tokens\":0}"
				",\"completion_tokens_details\":{\"reasoning_tokens\":0}}");
}

static const char *finish_reason_of(enum standin_kind kind)
{
	return kind == STANDIN_TOOL_CALL ? "tool_calls" : "stop";
}

void standin_append_chunk_head(const struct standin_identity *identity, struct buffer *out)
{
	buffer_append_text(out, "data: ");
	append_head(identity, "chat.completion.chunk", out);
}

void standin_append_comment(struct buffer *out)
{
	buffer_append_text(out, ": OPENROUTER PROCESSING\n\n");
}

static void append_tool_call(const struct standin_content *content, struct bytes arguments, struct buffer *out)
{
	buffer_append_text(out, "\"id\":");
	buffer_append_json_string(out, content->call_id);
	buffer_append_text(out, ",\"type\":\"function\",\"function\":{\"name\":");
	buffer_append_json_string(out, content->tool_name);
	buffer_append_text(out, ",\"arguments\":");
	buffer_append_json_string(out, arguments);
	buffer_append_char(out, '}');
}

static void append_tool_delta(
	const struct standin_content *content, bool is_head, struct bytes piece, struct buffer *out)
{
	buffer_append_text(out, "\"content\":null,\"tool_calls\":[{\"index\":0,");
	if (is_head) {
		append_tool_call(content, piece, out);
	} else {
		buffer_append_text(out, "\"function\":{\"arguments\":");
		buffer_append_json_string(out, piece);
		buffer_append_char(out, '}');
	}
	buffer_append_text(out, "}]");
}

void standin_append_delta(const struct standin_identity *identity, const struct standin_content *content, bool is_head,
	struct bytes piece, struct buffer *out)
{
	buffer_append(out, identity->chunk_head);
	buffer_append_text(out, "{\"index\":0,\"delta\":{\"role\":\"assistant\",");
	switch (content->kind) {
	case STANDIN_TOOL_CALL:
		append_tool_delta(content, is_head, piece, out);
		break;
	case STANDIN_REFUSAL:
		buffer_append_text(out, "\"content\":null,\"refusal\":");
		buffer_append_json_string(out, piece);
		break;
	case STANDIN_TEXT:
	case STANDIN_NOTHING:
		buffer_append_text(out, "\"content\":");
		buffer_append_json_string(out, piece);
		break;
	}
	buffer_append_text(out, "},\"finish_reason\":null,\"native_finish_reason\":null,\"logprobs\":null}]}\n\n");
}

void standin_append_finish(
	const struct standin_identity *identity, const struct standin_content *content, struct buffer *out)
{
	buffer_append(out, identity->chunk_head);
	buffer_append_format(out,
		"{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":\"%s\","
		"\"native_finish_reason\":\"%s\",\"logprobs\":null}]}\n\n",
		finish_reason_of(content->kind), finish_reason_of(content->kind));
	buffer_append(out, identity->chunk_head);
	buffer_append_char(out, ']');
	append_usage(content, out);
	buffer_append_text(out, "}\n\ndata: [DONE]\n\n");
}

void standin_append_stream_error(const struct standin_identity *identity, struct buffer *out)
{
	buffer_append(out, identity->chunk_head);
	buffer_append_text(out,
		"{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":\"error\"}],"
		"\"error\":{\"code\":502,\"message\":\"The provider went away.\","
		"\"metadata\":{\"error_type\":\"provider_unavailable\"}}}\n\n");
}

static void append_message(const struct standin_content *content, struct buffer *out)
{
	buffer_append_text(out, "{\"role\":\"assistant\",\"content\":");
	switch (content->kind) {
	case STANDIN_TEXT:
	case STANDIN_NOTHING:
		buffer_append_json_string(out, content->text);
		buffer_append_text(out, ",\"refusal\":null");
		break;
	case STANDIN_REFUSAL:
		buffer_append_text(out, "null,\"refusal\":");
		buffer_append_json_string(out, content->text);
		break;
	case STANDIN_TOOL_CALL:
		buffer_append_text(out, "null,\"refusal\":null,\"tool_calls\":[{\"index\":0,");
		append_tool_call(content, content->text, out);
		buffer_append_text(out, "}]");
		break;
	}
	buffer_append_text(out, ",\"reasoning\":null}");
}

void standin_append_completion(
	const struct standin_identity *identity, const struct standin_content *content, struct buffer *out)
{
	append_head(identity, "chat.completion", out);
	buffer_append_text(out, "{\"index\":0,\"message\":");
	append_message(content, out);
	buffer_append_format(out, ",\"finish_reason\":\"%s\",\"native_finish_reason\":\"%s\",\"logprobs\":null}]",
		finish_reason_of(content->kind), finish_reason_of(content->kind));
	append_usage(content, out);
	buffer_append_char(out, '}');
}

struct error_row {
	int status;
	const char *error_type;
	const char *message;
};

static const struct error_row ERRORS[] = {
	{ 400, "invalid_request", "The request is not valid." },
	{ 401, "authentication", "No auth credentials found" },
	{ 402, "payment_required", "This request requires more credits." },
	{ 403, "permission_denied", "The input was flagged by moderation." },
	{ 404, "not_found", "No endpoints found for this model." },
	{ 408, "timeout", "The request timed out." },
	{ 413, "payload_too_large", "The request is too large." },
	{ 422, "unprocessable", "The request cannot be processed." },
	{ 429, "rate_limit_exceeded", "Rate limit exceeded" },
	{ 500, "server", "Internal Server Error" },
	{ 502, "provider_unavailable", "The provider returned an error." },
	{ 503, "provider_overloaded", "The provider is overloaded." },
	{ 504, "timeout", "The provider did not answer in time." },
	{ 529, "provider_overloaded", "The provider is overloaded." },
};

void standin_append_error(int status, struct bytes error_type, struct bytes user_text, struct buffer *out)
{
	const char *usual = "unmapped", *message = "Something went wrong.";
	for (size_t i = 0; i < sizeof ERRORS / sizeof ERRORS[0]; i++) {
		if (ERRORS[i].status != status) continue;
		usual = ERRORS[i].error_type;
		message = ERRORS[i].message;
	}
	struct bytes type = bytes_is_given(error_type) ? error_type : bytes_of(usual);
	buffer_append_format(
		out, "{\"error\":{\"code\":%d,\"message\":\"%s\",\"metadata\":{\"error_type\":", status, message);
	buffer_append_json_string(out, type);
	if (status == 403) {
		buffer_append_text(out, ",\"reasons\":[\"harassment\"],\"flagged_input\":");
		buffer_append_json_string(out, user_text);
	}
	buffer_append_text(out, "}},\"user_id\":\"user_standin\"}");
}

bool standin_status_is_html(int status)
{
	return status >= 520 && status <= 530 && status != 529;
}

void standin_append_html(int status, struct buffer *out)
{
	buffer_append_format(out,
		"<!DOCTYPE html>\n<html><head><title>%d</title></head><body><h1>Error %d</h1></body></html>\n", status,
		status);
}
