/* Rows and checks of the demo. */
#include "replay/demo_case.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <yyjson.h>

#include "replay/standin_body.h"

#define HISTORY_USER "My name is Ada."
#define HISTORY_ASSISTANT "Hello Ada."

enum { DEADLINE_MS = 10000, SCRATCH_MAX = 4096 };

static void want(const char *what, struct bytes wanted, struct bytes got, struct buffer *out_broken)
{
	if (bytes_equal(wanted, got)) return;
	buffer_append_format(out_broken, "%s: wanted %.*s, got %.*s\n", what, wanted.size > 0 ? (int)wanted.size : 1,
		wanted.size > 0 ? wanted.data : "-", got.size > 0 ? (int)got.size : 1, got.size > 0 ? got.data : "-");
}

static void want_number(const char *what, int64_t least, int64_t most, int64_t got, struct buffer *out_broken)
{
	if (got >= least && got <= most) return;
	if (least == most) {
		buffer_append_format(out_broken, "%s: wanted %" PRId64 ", got %" PRId64 "\n", what, least, got);
		return;
	}
	buffer_append_format(
		out_broken, "%s: wanted %" PRId64 " to %" PRId64 ", got %" PRId64 "\n", what, least, most, got);
}

static void check_answer(
	const struct demo_case *row, const struct chat_client_response *response, struct buffer *out_broken)
{
	struct buffer wanted;
	buffer_init(&wanted, SCRATCH_MAX);
	standin_answer_text(bytes_of(row->text), bytes_of(row->model), &wanted);
	want("content", buffer_bytes(&wanted), response->content, out_broken);
	want("finish_reason", BYTES_LITERAL("stop"), response->finish_reason, out_broken);
	buffer_deinit(&wanted);
}

/* The stand-in counts tokens over all messages, so its count tells whether the history was there. */
static void check_history(
	const struct demo_case *row, const struct chat_client_response *response, struct buffer *out_broken)
{
	size_t bytes = strlen(row->text) + strlen(HISTORY_USER) + strlen(HISTORY_ASSISTANT);
	int64_t tokens = (int64_t)bytes / 4 + 4 * 3;
	check_answer(row, response, out_broken);
	want_number("usage.prompt_tokens", tokens, tokens, response->prompt_tokens, out_broken);
}

static void check_in_time(
	const struct demo_case *row, const struct chat_client_response *response, struct buffer *out_broken)
{
	(void)row;
	want_number("replied after ms", 0, DEADLINE_MS, response->replied_ms - response->received_ms, out_broken);
	want_number("bytes of fallback text", 1, SCRATCH_MAX, (int64_t)response->content.size, out_broken);
}

static struct bytes text_at(yyjson_val *object, const char *key)
{
	yyjson_val *value = yyjson_obj_get(object, key);
	return bytes_at(yyjson_get_str(value), yyjson_get_len(value));
}

static void check_tool_call(
	const struct demo_case *row, const struct chat_client_response *response, struct buffer *out_broken)
{
	struct buffer wanted;
	struct bytes json = response->tool_calls_json;
	yyjson_doc *document = json.size > 0 ? yyjson_read(json.data, json.size, 0) : NULL;
	yyjson_val *call = yyjson_arr_get_first(yyjson_doc_get_root(document));
	yyjson_val *function = yyjson_obj_get(call, "function");
	buffer_init(&wanted, SCRATCH_MAX);
	standin_call_id(bytes_of(row->text), bytes_of(row->model), &wanted);
	want("tool call's id", buffer_bytes(&wanted), text_at(call, "id"), out_broken);
	buffer_clear(&wanted);
	standin_tool_arguments(bytes_of(row->text), &wanted);
	want("tool call's name", BYTES_LITERAL("get_weather"), text_at(function, "name"), out_broken);
	want("tool call's arguments", buffer_bytes(&wanted), text_at(function, "arguments"), out_broken);
	want("finish_reason", BYTES_LITERAL("tool_calls"), response->finish_reason, out_broken);
	buffer_deinit(&wanted);
	yyjson_doc_free(document);
}

const struct demo_case DEMO_CASES[DEMO_CASE_COUNT] = {
	{ .title = "answered",
		.conversation = "demo-1",
		.text = "What does a stand-in say?",
		.outcome = "answered",
		.attempts_min = 1,
		.attempts_max = 1,
		.model = DEMO_FIRST_MODEL,
		.check = check_answer },
	{ .title = "first turn",
		.conversation = "demo-2",
		.text = HISTORY_USER " [[latency 700]]",
		.outcome = "answered",
		.attempts_min = 1,
		.attempts_max = 1,
		.model = DEMO_FIRST_MODEL,
		.check = check_answer },
	{ .title = "second turn",
		.conversation = "demo-2",
		.text = "What is my name?",
		.history_json = "[{\"role\":\"user\",\"content\":\"" HISTORY_USER
				"\"},{\"role\":\"assistant\",\"content\":\"" HISTORY_ASSISTANT "\"}]",
		.outcome = "answered",
		.attempts_min = 1,
		.attempts_max = 1,
		.model = DEMO_FIRST_MODEL,
		.after = "first turn",
		.check = check_history },
	/* Without Retry-After, which would send the chats beside it to the second model for that time. */
	{ .title = "retried",
		.conversation = "demo-3",
		.text = "Do not give up. [[429 once]]",
		.outcome = "answered",
		.attempts_min = 2,
		.attempts_max = 2,
		.model = DEMO_FIRST_MODEL,
		.check = check_answer },
	{ .title = "second model",
		.conversation = "demo-4",
		.text = "Ask somebody else. [[503 model " DEMO_FIRST_MODEL "]]",
		.outcome = "answered",
		.attempts_min = 2,
		.attempts_max = 3,
		.model = DEMO_SECOND_MODEL,
		.check = check_answer },
	{ .title = "fallback",
		.conversation = "demo-5",
		.text = "Say nothing at all. [[stall]]",
		.outcome = "fallback",
		.reason = "timeout",
		.attempts_min = 1,
		.attempts_max = 3,
		.check = check_in_time },
	{ .title = "rejected",
		.conversation = "demo-6",
		.text = "(bytes that are neither msgpack nor JSON)",
		.raw = "\xc1 no chat at all",
		.outcome = "rejected",
		.reason = "decode",
		.wants_dead_letter = true },
	{ .title = "tool call",
		.conversation = "demo-7",
		.text = "How is the weather in Paris? [[tool]]",
		.tools_json = "[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":{\"type\":"
			      "\"object\","
			      "\"properties\":{\"question\":{\"type\":\"string\"}}}}}]",
		.outcome = "answered",
		.attempts_min = 1,
		.attempts_max = 1,
		.model = DEMO_FIRST_MODEL,
		.check = check_tool_call },
};

void demo_case_id(size_t index, char out_id[static DEMO_ID_SIZE])
{
	snprintf(out_id, DEMO_ID_SIZE, "demo-chat-%zu", index + 1);
}

size_t demo_case_find(const struct record *record)
{
	struct bytes found = record_headers_last(&record->headers, "correlation-id");
	for (size_t i = 0; i < DEMO_CASE_COUNT; i++) {
		char id[DEMO_ID_SIZE];
		demo_case_id(i, id);
		if (bytes_equal_text(found, id)) return i;
	}
	return DEMO_CASE_COUNT;
}

enum status demo_case_encode(size_t index, struct buffer *out_value)
{
	const struct demo_case *row = &DEMO_CASES[index];
	char id[DEMO_ID_SIZE];
	demo_case_id(index, id);
	if (row->raw != NULL) {
		buffer_append_text(out_value, row->raw);
		return buffer_status(out_value);
	}
	const struct chat_client_request request = { .coding = CHAT_CODING_MSGPACK,
		.request_id = bytes_of(id),
		.conversation_id = bytes_of(row->conversation),
		.history_json = bytes_of(row->history_json),
		.text = bytes_of(row->text),
		.tools_json = bytes_of(row->tools_json) };
	return chat_client_request_write(&request, out_value);
}

void demo_case_check(size_t index, const struct record *record, const struct chat_client_response *response,
	struct buffer *out_broken)
{
	const struct demo_case *row = &DEMO_CASES[index];
	char id[DEMO_ID_SIZE];
	demo_case_id(index, id);
	want("record key", bytes_of(row->conversation), record->key, out_broken);
	want("request_id", row->raw != NULL ? BYTES_NONE : bytes_of(id), response->request_id, out_broken);
	want("conversation_id", bytes_of(row->conversation), response->conversation_id, out_broken);
	want("outcome", bytes_of(row->outcome), response->outcome, out_broken);
	want("reason", bytes_of(row->reason), response->reason, out_broken);
	want("model", bytes_of(row->model), response->model, out_broken);
	want_number("attempts", row->attempts_min, row->attempts_max, response->attempts, out_broken);
	if (row->check != NULL) row->check(row, response, out_broken);
}

void demo_case_check_dead_letter(size_t index, const struct record *record, struct buffer *out_broken)
{
	const struct demo_case *row = &DEMO_CASES[index];
	if (!row->wants_dead_letter) {
		buffer_append_text(out_broken, "dead letter: wanted none\n");
		return;
	}
	want("dead letter's bytes", bytes_of(row->raw), record->value, out_broken);
	want("dead letter's key", bytes_of(row->conversation), record->key, out_broken);
	want("dlq-reason", bytes_of(row->reason), record_headers_last(&record->headers, "dlq-reason"), out_broken);
}
