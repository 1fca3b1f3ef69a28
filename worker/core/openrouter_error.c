/* Error objects of the upstream: see the header. */
#include "worker/core/openrouter_error.h"

#include <string.h>

#include "common/assertion.h"
#include "worker/core/openrouter_json.h"
#include "worker/core/openrouter_provider.h"

enum { MESSAGE_LOOKED_AT = 2048, RETRY_AFTER_MAX_S = 86400 };

/* What providers write when they give no type; in lower case. */
static const char *const context_phrases[] = {
	"context length",
	"context_length",
	"context window",
	"context size",
	"maximum context",
	"maximum prompt length",
	"prompt is too long",
	"input is too long",
	"input token count",
	"reduce the length of the messages",
};
static const char *const model_phrases[] = {
	"is not a valid model",
	"model not found",
	"model_not_found",
	"no such model",
	"unknown model",
	"has been deprecated",
	"3 items or fewer",
};
static const char *const daily_phrases[] = { "free-models-per-day", "per-day", "requests per day" };

#define HAS_ANY(text, phrases) has_any(text, phrases, sizeof(phrases) / sizeof((phrases)[0]))

static bool has_any(const char *text, const char *const *phrases, size_t count)
{
	ASSERT(text != NULL);
	ASSERT(count > 0);
	for (size_t i = 0; i < count; i++)
		if (strstr(text, phrases[i]) != NULL) return true;
	return false;
}

/* The beginning of `message` in lower case, as a C string. */
static void lower_beginning(struct bytes message, char out_text[static MESSAGE_LOOKED_AT])
{
	ASSERT(out_text != NULL);
	ASSERT(message.size == 0 || message.data != NULL);
	size_t size = message.size < MESSAGE_LOOKED_AT ? message.size : MESSAGE_LOOKED_AT - 1;
	for (size_t i = 0; i < size; i++) {
		char one = message.data[i];
		bool is_upper = one >= 'A' && one <= 'Z';
		out_text[i] = is_upper ? (char)(one + ('a' - 'A')) : one == '\0' ? ' ' : one;
	}
	out_text[size] = '\0';
}

/* "… You requested up to 8192 tokens, but can only afford 1234." 0 = it does not say so. */
static int64_t affordable_tokens(const char *text)
{
	static const char phrase[] = "can only afford ";
	ASSERT(text != NULL);
	const char *at = strstr(text, phrase);
	if (at == NULL) return 0;
	int64_t tokens = 0;
	for (at += sizeof(phrase) - 1; *at >= '0' && *at <= '9'; at++) {
		tokens = tokens * 10 + (*at - '0');
		if (tokens > INT32_MAX) return 0;
		if (at[1] == ',' && at[2] >= '0' && at[2] <= '9') at++;
	}
	ASSERT(tokens >= 0);
	return tokens;
}

static void read_message(struct bytes message, struct failure_sign *sign)
{
	ASSERT(sign != NULL);
	char text[MESSAGE_LOOKED_AT];
	lower_beginning(message, text);
	sign->names_context = sign->names_context || HAS_ANY(text, context_phrases);
	sign->names_model = sign->names_model || HAS_ANY(text, model_phrases);
	sign->names_daily_cap = sign->names_daily_cap || HAS_ANY(text, daily_phrases);
	int64_t affordable = affordable_tokens(text);
	if (affordable > 0) sign->tokens_affordable = affordable;
}

static bool is_status(int64_t number)
{
	return number >= 100 && number <= 999;
}

/* The code is an integer, sometimes in quotes, and sometimes a word. Without one the status may stand beside it. */
static void read_code(yyjson_val *error, struct failure_sign *sign)
{
	ASSERT(yyjson_is_obj(error));
	ASSERT(sign->code == 0);
	yyjson_val *code = yyjson_obj_get(error, "code");
	struct bytes word = openrouter_json_text(code);
	int64_t number = openrouter_json_count(code);
	if (bytes_is_given(word) && bytes_to_int64(word, &number) != STATUS_OK) {
		if (sign->error_type.size == 0) sign->error_type = word;
		number = -1;
	}
	if (!is_status(number)) number = openrouter_json_count(yyjson_obj_get(error, "http_status"));
	if (is_status(number)) sign->code = (int)number;
}

static bool is_list(yyjson_val *value)
{
	return yyjson_arr_size(value) > 0 || yyjson_obj_size(value) > 0;
}

static void read_metadata(yyjson_val *metadata, struct failure_sign *sign)
{
	ASSERT(sign->error_type.size == 0);
	ASSERT(!sign->has_reasons);
	ASSERT(!sign->has_patterns);
	sign->error_type = openrouter_json_text(yyjson_obj_get(metadata, "error_type"));
	sign->has_reasons = is_list(yyjson_obj_get(metadata, "reasons"));
	sign->has_patterns = is_list(yyjson_obj_get(metadata, "patterns"));
	read_message(openrouter_json_text(yyjson_obj_get(metadata, "raw")), sign);
}

/* Some errors have the headers of the limit that was reached inside them. */
static void read_headers(yyjson_val *headers, int64_t now_ms, struct failure_sign *sign)
{
	ASSERT(now_ms >= 0);
	ASSERT(sign->reset_after_ms >= -1);
	if (now_ms == 0 || sign->reset_after_ms >= 0) return;
	yyjson_val *reset = yyjson_obj_get(headers, "X-RateLimit-Reset");
	struct bytes text = yyjson_is_raw(reset) ? bytes_at(yyjson_get_raw(reset), yyjson_get_len(reset))
						 : openrouter_json_text(reset);
	if (bytes_is_given(text)) sign->reset_after_ms = failure_rate_limit_reset(text, now_ms);
}

static void read_availability(yyjson_val *availability, struct failure_sign *sign)
{
	ASSERT(sign->retryable == -1);
	ASSERT(sign->retry_after_ms >= -1);
	sign->availability = openrouter_json_text(yyjson_obj_get(availability, "code"));
	yyjson_val *retryable = yyjson_obj_get(availability, "retryable");
	if (yyjson_is_bool(retryable)) sign->retryable = yyjson_get_bool(retryable) ? 1 : 0;

	double wait_s = openrouter_json_amount(yyjson_obj_get(availability, "retry_after"));
	if (wait_s > RETRY_AFTER_MAX_S) wait_s = RETRY_AFTER_MAX_S;
	if (wait_s > 0 && sign->retry_after_ms < 0) sign->retry_after_ms = (int64_t)(wait_s * 1000 + 0.999);
}

static bool is_error(yyjson_val *value)
{
	return yyjson_is_obj(value) || yyjson_is_str(value);
}

static void read_error(yyjson_val *error, int64_t now_ms, struct failure_sign *sign)
{
	ASSERT(is_error(error));
	if (yyjson_is_str(error)) {
		read_message(openrouter_json_text(error), sign);
		return;
	}
	read_metadata(yyjson_obj_get(error, "metadata"), sign);
	read_headers(yyjson_obj_get(yyjson_obj_get(error, "metadata"), "headers"), now_ms, sign);
	if (sign->error_type.size == 0) sign->error_type = openrouter_json_text(yyjson_obj_get(error, "error_type"));
	read_code(error, sign);
	read_availability(yyjson_obj_get(error, "availability"), sign);
	read_message(openrouter_json_text(yyjson_obj_get(error, "message")), sign);
}

/* NULL: there is none. */
static yyjson_val *find_error(yyjson_val *root)
{
	ASSERT(root != NULL);
	yyjson_val *error = yyjson_obj_get(root, "error");
	if (is_error(error)) return error;
	error = yyjson_obj_get(yyjson_arr_get_first(yyjson_obj_get(root, "choices")), "error");
	return is_error(error) ? error : NULL;
}

struct bytes openrouter_error_provider(yyjson_val *root)
{
	ASSERT(root != NULL);
	yyjson_val *error = find_error(root);
	if (yyjson_is_obj(yyjson_obj_get(error, "availability"))) return BYTES_NONE;
	yyjson_val *metadata = yyjson_obj_get(error, "metadata");
	struct bytes name = openrouter_json_text(yyjson_obj_get(metadata, "provider_name"));
	if (name.size == 0) name = openrouter_json_text(yyjson_obj_get(root, "provider"));
	return openrouter_provider_name_is_sane(name) ? name : BYTES_NONE;
}

bool openrouter_error_read(yyjson_val *root, int64_t now_ms, struct failure_sign *sign)
{
	ASSERT(root != NULL);
	ASSERT(sign->code == 0);
	ASSERT(sign != NULL);
	ASSERT(sign->retryable == -1);
	yyjson_val *error = find_error(root);
	if (error != NULL) {
		read_error(error, now_ms, sign);
		return true;
	}
	yyjson_val *choice = yyjson_arr_get_first(yyjson_obj_get(root, "choices"));
	return bytes_equal_text(openrouter_json_text(yyjson_obj_get(choice, "finish_reason")), "error");
}
