/* Fuzzer of the response reader (libFuzzer, clang): whatever the bytes are, there is exactly one of answer and failure;
 * an answer is well-formed, and the same however its bytes are cut; the reader never takes what the bounds forbid. The
 * first three bytes choose status, type, end, cut and bounds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/assertion.h"
#include "worker/core/openrouter_answer.h"
#include "worker/core/openrouter_json.h"

enum { ARENA_MAX = 16 << 20, HEAD = 3, DEPTH = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	struct arena *arena;
	struct openrouter_result result;
	uint64_t content;
};

static const int statuses[] = { 200, 200, 200, 200, 200, 400, 403, 429, 500, 522, 302, 0 };
static const enum transport_end ends[] = { TRANSPORT_WHOLE, TRANSPORT_WHOLE, TRANSPORT_CUT, TRANSPORT_TIMEOUT,
	TRANSPORT_CLOSED };

static struct run run_once(const uint8_t *head, struct bytes body, size_t step)
{
	const struct openrouter_limits limits = {
		.body_bytes = head[2] & 1 ? 4096 : 1 << 20, .event_bytes = head[2] & 2 ? 1024 : 1 << 19, .depth = DEPTH
	};
	struct run run = { .arena = arena_new(ARENA_MAX) };
	ASSERT(run.arena != NULL);
	struct openrouter_reader *reader = openrouter_reader_new(run.arena, &limits);
	ASSERT(reader != NULL);
	int http_status = statuses[head[0] % (sizeof(statuses) / sizeof(statuses[0]))];
	if (http_status != 0) openrouter_reader_status(reader, http_status);
	if ((head[0] & 0x80) != 0)
		openrouter_reader_header(reader, BYTES_LITERAL("content-type"), BYTES_LITERAL("text/event-stream"), 0);
	enum status status = STATUS_OK;
	for (size_t at = 0; at < body.size && status == STATUS_OK; at += step) {
		size_t size = body.size - at < step ? body.size - at : step;
		char *piece = malloc(size);
		ASSERT(piece != NULL);
		memcpy(piece, body.data + at, size);
		status = openrouter_reader_feed(reader, bytes_at(piece, size));
		free(piece);
		ASSERT(openrouter_reader_content(reader) >= run.content);
		run.content = openrouter_reader_content(reader);
	}
	openrouter_reader_finish(reader, ends[head[1] % (sizeof(ends) / sizeof(ends[0]))], true, &run.result);
	openrouter_reader_free(reader);
	return run;
}

static void check_text(struct bytes text)
{
	ASSERT(bytes_is_utf8(text));
	ASSERT(!bytes_has_nul(text));
}

static void check_json(struct bytes text, bool is_array)
{
	if (!bytes_is_given(text)) return;
	check_text(text);
	struct openrouter_json json;
	yyjson_val *root;
	/* Tool calls are written one level flatter or as deep as they were read, plus the brackets. */
	ASSERT(openrouter_json_open(&json, text, DEPTH + 2, &root) == STATUS_OK);
	ASSERT(is_array ? yyjson_arr_size(root) > 0 : yyjson_is_obj(root));
	openrouter_json_close(&json);
}

static bool is_told(struct bytes finish)
{
	return bytes_equal_text(finish, "stop") || bytes_equal_text(finish, "length") ||
	       bytes_equal_text(finish, "tool_calls") || bytes_equal_text(finish, "content_filter");
}

static void check_answer(const struct chat_answer *answer)
{
	check_text(answer->content);
	check_text(answer->refusal);
	check_text(answer->reasoning);
	check_json(answer->tool_calls_json, true);
	check_json(answer->annotations_json, true);
	check_json(answer->images_json, true);
	check_json(answer->usage_json, false);
	ASSERT(is_told(answer->finish_reason));
	ASSERT(answer->cost_usd >= 0);
	ASSERT(answer->prompt_tokens >= -1);
	ASSERT(answer->completion_tokens >= -1);
	ASSERT(bytes_is_given(answer->tool_calls_json) || bytes_is_given(answer->images_json) ||
		!bytes_is_blank(answer->content) || !bytes_is_blank(answer->refusal));
}

static void check_failure(const struct openrouter_result *result)
{
	ASSERT(result->failure.reason > REASON_NONE && (int)result->failure.reason < (int)REASON_COUNT);
	ASSERT(result->failure.reason != REASON_INTERNAL);
	ASSERT(result->failure.retry_after_ms >= -1);
	ASSERT(!bytes_is_given(result->answer.content));
	ASSERT(!bytes_is_given(result->answer.tool_calls_json));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < HEAD) return 0;
	struct bytes body = bytes_at((const char *)data + HEAD, size - HEAD);
	struct run whole = run_once(data, body, body.size + 1);
	struct run cut = run_once(data, body, 1 + (size_t)(data[1] >> 3));
	if (whole.result.failure.reason == REASON_NONE)
		check_answer(&whole.result.answer);
	else
		check_failure(&whole.result);
	/* A bound on the whole body is met at the end of a piece, so there the cut may matter. */
	bool is_bound = whole.result.failure.reason == REASON_UPSTREAM_INVALID || (data[2] & 3) != 0;
	if (!is_bound) {
		ASSERT(whole.result.failure.reason == cut.result.failure.reason);
		ASSERT(whole.result.failure.action == cut.result.failure.action);
		ASSERT(bytes_equal(whole.result.answer.content, cut.result.answer.content));
		ASSERT(bytes_equal(whole.result.answer.tool_calls_json, cut.result.answer.tool_calls_json));
		ASSERT(bytes_equal(whole.result.answer.usage_json, cut.result.answer.usage_json));
	}
	arena_free(whole.arena);
	arena_free(cut.arena);
	return 0;
}
