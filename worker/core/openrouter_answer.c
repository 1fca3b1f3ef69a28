/* One response of the upstream: see the header. This file finds out what kind of body comes, splits it, and gives the
 * verdict; openrouter_parts collects, openrouter_error reads error objects. */
#include "worker/core/openrouter_answer.h"

#include <stdlib.h>

#include "common/assertion.h"
#include "worker/core/openrouter_error.h"
#include "worker/core/openrouter_json.h"
#include "worker/core/openrouter_parts.h"
#include "worker/core/openrouter_provider.h"
#include "worker/core/sse.h"

enum body_kind {
	BODY_UNKNOWN, /* nothing but white space so far */
	BODY_JSON,    /* or something that is neither; read as a whole at the end */
	BODY_EVENTS,
};

struct openrouter_reader {
	struct arena *arena;
	struct openrouter_limits limits;
	int http_status; /* 0 = none yet */
	bool is_event_type;
	int64_t retry_after_ms; /* -1 = none */
	bool retry_after_is_fine;
	int64_t reset_after_ms; /* -1 = none */
	int64_t now_ms;         /* wall time of the latest header; 0 = none came */
	struct bytes header_id; /* X-Generation-Id, in the arena */

	enum body_kind kind;
	size_t body_size;
	size_t mark_size;  /* bytes of a byte-order mark seen */
	enum status ended; /* what feed answers from now on; STATUS_OK = goes on */
	bool is_done;      /* [DONE] */
	bool tells_error;  /* an error object was the end of it */
	bool is_tail;      /* reading what the stream left without its empty line */
	struct failure failure;
	struct bytes failed_provider; /* in the arena */
	struct sse sse;
	struct buffer body;
	struct openrouter_parts parts;
};

struct openrouter_reader *openrouter_reader_new(struct arena *arena, const struct openrouter_limits *limits)
{
	ASSERT(arena != NULL);
	ASSERT(limits->body_bytes > 0 && limits->event_bytes > 0 && limits->depth > 0);
	struct openrouter_reader *reader = malloc(sizeof(*reader));
	if (reader == NULL) return NULL;
	*reader = (struct openrouter_reader){
		.arena = arena, .limits = *limits, .retry_after_ms = -1, .reset_after_ms = -1
	};
	sse_init(&reader->sse, limits->event_bytes);
	buffer_init(&reader->body, limits->body_bytes);
	openrouter_parts_init(&reader->parts, arena, limits->body_bytes);
	return reader;
}

void openrouter_reader_free(struct openrouter_reader *reader)
{
	if (reader == NULL) return;
	sse_deinit(&reader->sse);
	buffer_deinit(&reader->body);
	openrouter_parts_deinit(&reader->parts);
	free(reader);
}

void openrouter_reader_status(struct openrouter_reader *reader, int http_status)
{
	ASSERT(reader != NULL);
	ASSERT(http_status >= 0);
	ASSERT(reader->body_size == 0);
	/* Headers of an interim response (1xx) are not those of the answer. */
	reader->http_status = http_status;
	reader->is_event_type = false;
	reader->retry_after_ms = -1;
	reader->retry_after_is_fine = false;
	reader->reset_after_ms = -1;
	reader->header_id = BYTES_NONE;
}

/* The media type without its parameters. */
static bool is_event_stream(struct bytes value)
{
	ASSERT(bytes_is_given(value));
	size_t size = 0;
	while (size < value.size && value.data[size] != ';')
		size++;
	return bytes_equal_ignoring_case(bytes_trim(bytes_at(value.data, size)), BYTES_LITERAL("text/event-stream"));
}

static void header_retry_after(struct openrouter_reader *reader, struct bytes value, bool in_ms, int64_t now_ms)
{
	ASSERT(reader->retry_after_ms >= -1);
	ASSERT(now_ms >= 0);
	int64_t wait_ms = failure_retry_after(value, in_ms, now_ms);
	if (wait_ms < 0 || (reader->retry_after_is_fine && !in_ms)) return;
	reader->retry_after_ms = wait_ms;
	reader->retry_after_is_fine = in_ms;
}

void openrouter_reader_header(struct openrouter_reader *reader, struct bytes name, struct bytes value, int64_t now_ms)
{
	ASSERT(reader != NULL);
	reader->now_ms = now_ms;
	if (!bytes_is_given(value)) return;
	if (bytes_equal_ignoring_case(name, BYTES_LITERAL("content-type"))) {
		reader->is_event_type = is_event_stream(value);
	} else if (bytes_equal_ignoring_case(name, BYTES_LITERAL("retry-after"))) {
		header_retry_after(reader, value, false, now_ms);
	} else if (bytes_equal_ignoring_case(name, BYTES_LITERAL("retry-after-ms"))) {
		header_retry_after(reader, value, true, now_ms);
	} else if (bytes_equal_ignoring_case(name, BYTES_LITERAL("x-ratelimit-reset"))) {
		reader->reset_after_ms = failure_rate_limit_reset(value, now_ms);
	} else if (bytes_equal_ignoring_case(name, BYTES_LITERAL("x-generation-id"))) {
		struct bytes id = bytes_trim(value);
		if (!openrouter_name_is_safe(id)) return;
		/* Without memory the id is lost, which the answer can do without. */
		if (arena_copy(reader->arena, id, &reader->header_id) != STATUS_OK) reader->header_id = BYTES_NONE;
	}
}

static enum status reader_fail(struct openrouter_reader *reader, struct failure failure)
{
	ASSERT(failure.reason != REASON_NONE);
	ASSERT(reader->failure.reason == REASON_NONE);
	reader->failure = failure;
	return STATUS_CLOSED;
}

static struct failure_sign reader_sign(const struct openrouter_reader *reader)
{
	ASSERT(reader->retry_after_ms >= -1);
	return (struct failure_sign){
		.http_status = reader->http_status,
		.retryable = -1,
		.retry_after_ms = reader->retry_after_ms,
		.reset_after_ms = reader->reset_after_ms,
	};
}

static bool is_success(const struct openrouter_reader *reader)
{
	ASSERT(reader != NULL);
	return reader->http_status >= 200 && reader->http_status <= 299;
}

/* The stream has said all that an answer needs. */
static bool is_complete(const struct openrouter_reader *reader)
{
	ASSERT(reader != NULL);
	return reader->is_done || reader->parts.finish != OPENROUTER_FINISH_NONE;
}

/* A bound or the memory ended the collecting: what is there is not the answer. */
static enum status reader_give_up(struct openrouter_reader *reader, enum status status)
{
	ASSERT(reader != NULL);
	ASSERT(status == STATUS_TOO_LARGE || status == STATUS_NO_MEMORY);
	enum transport_end end = status == STATUS_TOO_LARGE ? TRANSPORT_TOO_LARGE : TRANSPORT_INTERNAL;
	(void)reader_fail(reader, failure_of_transport(end, true));
	return status;
}

static enum status reader_take_value(struct openrouter_reader *reader, yyjson_val *root)
{
	ASSERT(root != NULL);
	ASSERT(!reader->tells_error);
	struct failure_sign sign = reader_sign(reader);
	if (!openrouter_error_read(root, reader->now_ms, &sign)) return openrouter_parts_add(&reader->parts, root);
	reader->tells_error = true;
	struct bytes provider = openrouter_error_provider(root);
	/* Without memory the name is lost: the repeat is made without it. */
	if (provider.size > 0 && arena_copy(reader->arena, provider, &reader->failed_provider) != STATUS_OK)
		reader->failed_provider = BYTES_NONE;
	return reader_fail(reader, failure_of_sign(&sign));
}

/* One JSON text: an event, or the whole body. */
static enum status reader_take(struct openrouter_reader *reader, struct bytes text)
{
	ASSERT(reader->failure.reason == REASON_NONE);
	ASSERT(reader->kind != BODY_UNKNOWN);
	UNINITIALIZED struct openrouter_json json;
	yyjson_val *root = NULL;
	enum status status = openrouter_json_open(&json, text, reader->limits.depth, &root);
	if (status == STATUS_OK) status = reader_take_value(reader, root);
	openrouter_json_close(&json);
	if (status == STATUS_OK || status == STATUS_CLOSED) return status;
	if (status != STATUS_INVALID) return reader_give_up(reader, status);
	if (reader->is_tail && is_complete(reader)) return STATUS_OK;
	return reader_fail(reader, failure_of_defect(ANSWER_DEFECT_INVALID));
}

static enum status reader_event(void *context, struct bytes data)
{
	ASSERT(context != NULL);
	ASSERT(bytes_is_given(data));
	struct openrouter_reader *reader = context;
	struct bytes text = bytes_trim(data);
	if (text.size == 0) return STATUS_OK;
	if (bytes_equal(text, BYTES_LITERAL("[DONE]"))) {
		reader->is_done = true;
		return STATUS_CLOSED;
	}
	return reader_take(reader, text);
}

/* Events are known by their type, and without it by how a stream can begin; a brace begins JSON, whatever the type,
 * and an angle bracket a page that is neither. */
static enum body_kind kind_of_first(const struct openrouter_reader *reader, char first)
{
	ASSERT(reader->kind == BODY_UNKNOWN);
	if (first == '{' || first == '<') return BODY_JSON;
	if (reader->is_event_type) return BODY_EVENTS;
	return first == ':' || first == 'd' || first == 'e' || first == 'i' || first == 'r' ? BODY_EVENTS : BODY_JSON;
}

static const char byte_order_mark[] = { '\xef', '\xbb', '\xbf' };

/* Leaves out the white space before the body, and a byte-order mark at its very beginning. */
static struct bytes reader_skip_white(struct openrouter_reader *reader, struct bytes piece)
{
	ASSERT(reader->kind == BODY_UNKNOWN);
	ASSERT(reader->mark_size <= sizeof(byte_order_mark));
	size_t at = 0;
	while (at < piece.size && reader->body_size + at == reader->mark_size &&
		reader->mark_size < sizeof(byte_order_mark) && piece.data[at] == byte_order_mark[reader->mark_size]) {
		reader->mark_size++;
		at++;
	}
	while (at < piece.size &&
		(piece.data[at] == ' ' || piece.data[at] == '\n' || piece.data[at] == '\r' || piece.data[at] == '\t'))
		at++;
	return bytes_at(piece.data + at, piece.size - at);
}

static enum status reader_body(struct openrouter_reader *reader, struct bytes piece)
{
	ASSERT(reader->kind == BODY_JSON);
	ASSERT(piece.size > 0);
	buffer_append(&reader->body, piece);
	if (is_success(reader) && !bytes_is_blank(piece)) reader->parts.content_count++;
	return buffer_status(&reader->body);
}

static void reader_begin(struct openrouter_reader *reader, char first)
{
	ASSERT(reader->body.size == 0);
	ASSERT(reader->kind == BODY_UNKNOWN);
	bool is_torn = reader->mark_size != 0 && reader->mark_size != sizeof(byte_order_mark);
	reader->kind = is_torn ? BODY_JSON : kind_of_first(reader, first);
	/* Half a mark is no white space, and spoils the text as it should. */
	if (is_torn) buffer_append(&reader->body, bytes_at(byte_order_mark, reader->mark_size));
}

static enum status reader_feed(struct openrouter_reader *reader, struct bytes piece)
{
	ASSERT(reader->ended == STATUS_OK);
	ASSERT(reader->body_size <= reader->limits.body_bytes);
	if (piece.size > reader->limits.body_bytes - reader->body_size) return STATUS_TOO_LARGE;
	struct bytes rest = reader->kind == BODY_UNKNOWN ? reader_skip_white(reader, piece) : piece;
	reader->body_size += piece.size;
	if (rest.size == 0) return STATUS_OK;
	if (reader->kind == BODY_UNKNOWN) reader_begin(reader, rest.data[0]);
	return reader->kind == BODY_EVENTS ? sse_feed(&reader->sse, rest, reader_event, reader)
					   : reader_body(reader, rest);
}

enum status openrouter_reader_feed(struct openrouter_reader *reader, struct bytes piece)
{
	ASSERT(reader != NULL);
	if (reader->ended == STATUS_OK) reader->ended = reader_feed(reader, piece);
	return reader->ended;
}

uint64_t openrouter_reader_content(const struct openrouter_reader *reader)
{
	ASSERT(reader != NULL);
	return reader->parts.content_count;
}

/* The end of a stream: STATUS_OK when there is an answer to look at. */
static enum status finish_events(struct openrouter_reader *reader, bool is_whole)
{
	ASSERT(reader->kind == BODY_EVENTS);
	ASSERT(!reader->is_tail);
	enum status status = reader->ended;
	if (status == STATUS_OK && is_whole) {
		reader->is_tail = true;
		status = sse_finish(&reader->sse, reader_event, reader);
	}
	/* Whatever came behind its end: the answer was complete before. */
	if (reader->failure.reason == REASON_NONE && is_complete(reader)) return STATUS_OK;
	return status == STATUS_OK ? STATUS_EMPTY : status;
}

/* The end of a body that had to be read as a whole. It may be whole even if the connection broke behind it. */
static enum status finish_body(struct openrouter_reader *reader, bool is_whole)
{
	ASSERT(reader->kind == BODY_JSON);
	enum status status = reader->ended;
	if (status == STATUS_OK) status = reader_take(reader, buffer_bytes(&reader->body));
	if (status != STATUS_CLOSED || is_whole || reader->tells_error) return status;
	reader->failure.reason = REASON_NONE;
	return STATUS_EMPTY;
}

static enum status finish_kind(struct openrouter_reader *reader, bool is_whole)
{
	ASSERT(reader->http_status != 0);
	switch (reader->kind) {
	case BODY_EVENTS:
		return finish_events(reader, is_whole);
	case BODY_JSON:
		return finish_body(reader, is_whole);
	case BODY_UNKNOWN:
		return reader->ended == STATUS_OK ? STATUS_EMPTY : reader->ended;
	}
	ASSERT_UNREACHABLE();
}

/* No answer and no error object: the transport's end, or the lack of an end. */
static struct failure failure_of_end(const struct openrouter_reader *reader, enum transport_end end, bool sent)
{
	ASSERT(reader->failure.reason == REASON_NONE);
	if (end != TRANSPORT_WHOLE) return failure_of_transport(end, sent);
	bool was_stream = reader->is_event_type && reader->kind != BODY_JSON;
	return failure_of_defect(was_stream ? ANSWER_DEFECT_BROKEN : ANSWER_DEFECT_INVALID);
}

static struct failure failure_of_status(const struct openrouter_reader *reader)
{
	ASSERT(reader->http_status != 0);
	ASSERT(!is_success(reader));
	struct failure_sign sign = reader_sign(reader);
	return failure_of_sign(&sign);
}

static void finish_answer(struct openrouter_reader *reader, struct openrouter_result *out_result)
{
	ASSERT(reader->failure.reason == REASON_NONE);
	ASSERT(is_success(reader));
	enum answer_defect defect = ANSWER_DEFECT_BLANK;
	enum status status = openrouter_parts_verdict(&reader->parts, &out_result->answer, &defect);
	if (status == STATUS_EMPTY) {
		out_result->failure = failure_of_defect(defect);
		return;
	}
	if (status != STATUS_OK) {
		out_result->failure = failure_of_transport(TRANSPORT_INTERNAL, true);
		return;
	}
	/* The body's id is the generation's only when it looks like one. */
	struct bytes *id = &out_result->answer.generation_id;
	bool is_generation = bytes_starts_with(*id, BYTES_LITERAL("gen-"));
	if (!is_generation && bytes_is_given(reader->header_id)) *id = reader->header_id;
}

/* Told by the error, else by the chunks before it. */
static struct bytes failed_provider(const struct openrouter_reader *reader)
{
	ASSERT(reader != NULL);
	if (reader->failed_provider.size > 0) return reader->failed_provider;
	struct bytes name = reader->parts.provider;
	ASSERT(name.size <= OPENROUTER_NAME_MAX);
	return openrouter_provider_name_is_sane(name) ? name : BYTES_NONE;
}

void openrouter_reader_finish(
	struct openrouter_reader *reader, enum transport_end end, bool sent, struct openrouter_result *out_result)
{
	ASSERT(reader != NULL);
	ASSERT(out_result != NULL);
	*out_result = (struct openrouter_result){ .answer = { .prompt_tokens = -1, .completion_tokens = -1 } };
	out_result->failure.retry_after_ms = -1;
	bool is_whole = end == TRANSPORT_WHOLE;
	if (reader->ended == STATUS_TOO_LARGE) end = TRANSPORT_TOO_LARGE;
	if (reader->ended == STATUS_NO_MEMORY) end = TRANSPORT_INTERNAL;

	enum status status = reader->http_status == 0 ? STATUS_EMPTY : finish_kind(reader, is_whole);
	if (reader->http_status != 0 && !is_success(reader) && !reader->tells_error)
		out_result->failure = failure_of_status(reader);
	else if (reader->failure.reason != REASON_NONE)
		out_result->failure = reader->failure;
	else if (status == STATUS_OK)
		finish_answer(reader, out_result);
	else
		out_result->failure = failure_of_end(reader, end, sent);
	if (out_result->failure.reason != REASON_NONE) out_result->failed_provider = failed_provider(reader);
}
