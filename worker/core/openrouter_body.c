/* The body of a chat completion request: see the header. */
#include "worker/core/openrouter_body.h"

#include "common/assertion.h"
#include "worker/core/openrouter_provider.h"

/* `before` and a JSON text; nothing when there is no text. */
static void write_member(struct buffer *out_body, const char *before, struct bytes json)
{
	ASSERT(before != NULL);
	if (json.size == 0) return;
	buffer_append_text(out_body, before);
	buffer_append(out_body, json);
}

static bool has_instructions(const struct openrouter_body *body)
{
	ASSERT(body->messages != NULL);
	for (size_t i = 0; i < body->message_count; i++) {
		enum chat_role role = body->messages[i].role;
		if (role == CHAT_ROLE_SYSTEM || role == CHAT_ROLE_DEVELOPER) return true;
	}
	return false;
}

static void write_messages(const struct openrouter_body *body, struct buffer *out_body)
{
	ASSERT(body->message_count > 0);
	ASSERT(out_body != NULL);
	bool is_first = true;
	buffer_append_text(out_body, ",\"messages\":[");
	if (body->system_prompt.size > 0 && !has_instructions(body)) {
		buffer_append_text(out_body, "{\"role\":\"system\",\"content\":");
		buffer_append_json_string(out_body, body->system_prompt);
		buffer_append_char(out_body, '}');
		is_first = false;
	}
	for (size_t i = 0; i < body->message_count; i++) {
		if (!is_first) buffer_append_char(out_body, ',');
		buffer_append(out_body, body->messages[i].json);
		is_first = false;
	}
	buffer_append_char(out_body, ']');
}

/* One of the two forms: the request's newer one, its older one, else the setting. */
static struct bytes output_limit(const struct chat_request *request, struct bytes setting)
{
	ASSERT(request != NULL);
	if (request->max_completion_tokens.size > 0) return request->max_completion_tokens;
	return request->max_tokens.size > 0 ? request->max_tokens : setting;
}

int64_t openrouter_body_tokens(const struct chat_request *request, struct bytes setting)
{
	int64_t tokens;
	if (bytes_to_int64(output_limit(request, setting), &tokens) != STATUS_OK) return INT64_MAX;
	ASSERT(tokens > 0);
	return tokens;
}

static void write_output_limit(const struct openrouter_body *body, struct buffer *out_body)
{
	ASSERT(body->tokens_max >= 0);
	bool is_new = body->request->max_completion_tokens.size > 0;
	const char *before = is_new ? ",\"max_completion_tokens\":" : ",\"max_tokens\":";
	if (body->tokens_max == 0) {
		write_member(out_body, before, output_limit(body->request, body->max_tokens));
		return;
	}
	buffer_append_text(out_body, before);
	buffer_append_int(out_body, body->tokens_max);
}

struct bytes openrouter_body_provider(const struct chat_request *request, struct bytes setting)
{
	ASSERT(request != NULL);
	return request->provider.size > 0 ? request->provider : setting;
}

static void write_provider(const struct openrouter_body *body, struct buffer *out_body)
{
	struct bytes provider = openrouter_body_provider(body->request, body->provider);
	if (body->ignored_count == 0 || !openrouter_provider_may_ignore(provider)) {
		write_member(out_body, ",\"provider\":", provider);
		return;
	}
	ASSERT(body->ignored != NULL);
	buffer_append_text(out_body, ",\"provider\":");
	openrouter_provider_write(provider, body->ignored, body->ignored_count, out_body);
}

void openrouter_body_write(const struct openrouter_body *body, struct buffer *out_body)
{
	ASSERT(body != NULL);
	ASSERT(out_body != NULL);
	ASSERT(body->request != NULL);
	ASSERT(body->message_count > 0);
	ASSERT(body->model.size > 0);
	const struct chat_request *request = body->request;
	buffer_append_text(out_body, "{\"model\":");
	buffer_append_json_string(out_body, body->model);
	write_messages(body, out_body);
	buffer_append_text(out_body, ",\"stream\":true");
	write_member(out_body,
		",\"temperature\":", request->temperature.size > 0 ? request->temperature : body->temperature);
	write_output_limit(body, out_body);
	write_provider(body, out_body);
	write_member(out_body, ",", request->options);
	buffer_append_char(out_body, '}');
}
