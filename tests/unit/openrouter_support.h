/* For the tests of openrouter_answer: a response as a value, fed whole, cut in two or byte by byte, and its verdict. */
#ifndef TESTS_UNIT_OPENROUTER_SUPPORT_H
#define TESTS_UNIT_OPENROUTER_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "worker/core/openrouter_answer.h"

static const struct openrouter_limits support_limits = { .body_bytes = 1 << 20, .event_bytes = 1 << 18, .depth = 32 };

struct response {
	int status;               /* 0 = none came; the default of the macros is 200 */
	const char *type;         /* content-type; NULL = none */
	const char *name, *value; /* one more header; NULL = none */
	struct bytes body;
	enum transport_end end;
	bool unsent;
	const struct openrouter_limits *limits; /* NULL = support_limits */
};

#define EVENTS(text)                                                                    \
	{                                                                               \
		.status = 200, .type = "text/event-stream", .body = BYTES_LITERAL(text) \
	}
#define JSON(text)                                                                     \
	{                                                                              \
		.status = 200, .type = "application/json", .body = BYTES_LITERAL(text) \
	}
#define ERROR_JSON(code, text)                                                            \
	{                                                                                 \
		.status = (code), .type = "application/json", .body = BYTES_LITERAL(text) \
	}

struct heard {
	struct arena *arena;
	struct openrouter_result result;
	uint64_t content;
	enum status fed; /* what the last feed said */
};

/* Feeds pieces of `piece_size` bytes, but the first of `first_size` when that is not 0. */
static inline struct heard hear_pieces(const struct response *response, size_t first_size, size_t piece_size)
{
	struct heard heard = { .arena = arena_new(1 << 22) };
	assert_non_null(heard.arena);
	struct openrouter_reader *reader =
		openrouter_reader_new(heard.arena, response->limits == NULL ? &support_limits : response->limits);
	assert_non_null(reader);
	if (response->status != 0) openrouter_reader_status(reader, response->status);
	if (response->type != NULL)
		openrouter_reader_header(reader, BYTES_LITERAL("Content-Type"), bytes_of(response->type), 0);
	if (response->name != NULL)
		openrouter_reader_header(reader, bytes_of(response->name), bytes_of(response->value), 784111777000);
	size_t size = first_size == 0 ? piece_size : first_size;
	for (size_t at = 0; at < response->body.size && heard.fed == STATUS_OK; size = piece_size) {
		if (size > response->body.size - at) size = response->body.size - at;
		heard.fed = openrouter_reader_feed(reader, bytes_at(response->body.data + at, size));
		at += size;
	}
	heard.content = openrouter_reader_content(reader);
	openrouter_reader_finish(reader, response->end, !response->unsent, &heard.result);
	openrouter_reader_free(reader);
	return heard;
}

static inline struct heard hear(const struct response *response)
{
	return hear_pieces(response, 0, SIZE_MAX);
}

static inline void heard_free(struct heard *heard)
{
	arena_free(heard->arena);
}

static inline void assert_bytes(struct bytes actual, const char *expected)
{
	if (expected == NULL) {
		assert_false(bytes_is_given(actual));
		return;
	}
	assert_true(bytes_is_given(actual));
	char text[4096];
	assert_true(actual.size < sizeof(text));
	memcpy(text, actual.data, actual.size);
	text[actual.size] = '\0';
	assert_string_equal(text, expected);
}

static inline void assert_same_bytes(struct bytes a, struct bytes b)
{
	assert_int_equal(bytes_is_given(a), bytes_is_given(b));
	assert_true(bytes_equal(a, b));
}

static inline void assert_same_failure(const struct failure *a, const struct failure *b)
{
	assert_int_equal(a->reason, b->reason);
	assert_int_equal(a->action, b->action);
	assert_int_equal(a->http_status, b->http_status);
	assert_int_equal(a->retry_after_ms, b->retry_after_ms);
	assert_int_equal(a->tokens_max, b->tokens_max);
	assert_int_equal(a->maybe_sent, b->maybe_sent);
	assert_int_equal(a->breaks_edge, b->breaks_edge);
}

static inline void assert_same_result(const struct openrouter_result *a, const struct openrouter_result *b)
{
	assert_same_failure(&a->failure, &b->failure);
	assert_same_bytes(a->answer.content, b->answer.content);
	assert_same_bytes(a->answer.tool_calls_json, b->answer.tool_calls_json);
	assert_same_bytes(a->answer.refusal, b->answer.refusal);
	assert_same_bytes(a->answer.reasoning, b->answer.reasoning);
	assert_same_bytes(a->answer.annotations_json, b->answer.annotations_json);
	assert_same_bytes(a->answer.images_json, b->answer.images_json);
	assert_same_bytes(a->answer.finish_reason, b->answer.finish_reason);
	assert_same_bytes(a->answer.model, b->answer.model);
	assert_same_bytes(a->answer.provider, b->answer.provider);
	assert_same_bytes(a->answer.generation_id, b->answer.generation_id);
	assert_same_bytes(a->answer.usage_json, b->answer.usage_json);
	assert_true(a->answer.cost_usd >= b->answer.cost_usd && a->answer.cost_usd <= b->answer.cost_usd);
	assert_int_equal(a->answer.prompt_tokens, b->answer.prompt_tokens);
	assert_int_equal(a->answer.completion_tokens, b->answer.completion_tokens);
}

/* The response fails with this reason and action, and nothing of an answer is left. */
static inline void assert_fails(const struct response *response, enum reason reason, enum failure_action action)
{
	struct heard heard = hear(response);
	assert_string_equal(reason_word(heard.result.failure.reason), reason_word(reason));
	assert_int_equal(heard.result.failure.action, action);
	assert_false(bytes_is_given(heard.result.answer.content));
	assert_false(bytes_is_given(heard.result.answer.tool_calls_json));
	heard_free(&heard);
}

/* The response is an answer with this text (NULL = null) and finish reason. */
static inline void assert_answers(const struct response *response, const char *content, const char *finish_reason)
{
	struct heard heard = hear(response);
	assert_string_equal(reason_word(heard.result.failure.reason), "");
	assert_bytes(heard.result.answer.content, content);
	assert_bytes(heard.result.answer.finish_reason, finish_reason);
	heard_free(&heard);
}

#endif
