/* What the reading of a response and the writing of a request body cost: prints microseconds of CPU a chat. Run by hand in
 * the release build; nothing here is judged. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/assertion.h"
#include "worker/core/openrouter_answer.h"
#include "worker/core/openrouter_body.h"

enum { DELTAS = 20, ROUNDS = 20000, STREAM_MAX = 64 * 1024, ARENA_MAX = 1024 * 1024, BODY_TEXT = 900 };

struct stream {
	struct buffer text;
	size_t ends[DELTAS + 3]; /* of each piece, as it would come from the network */
	size_t count;
};

static double now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void stream_chunk(struct stream *stream, const char *choice, const char *tail)
{
	buffer_append_format(&stream->text,
		"data: {\"id\":\"gen-1755863213-AbCdEfGhIjKlMnOpQrSt\",\"provider\":\"OpenAI\",\"model\":"
		"\"openai/"
		"gpt-4o-mini\",\"object\":\"chat.completion.chunk\",\"created\":1755863213,\"choices\":[%s]%s}\n\n",
		choice, tail);
	stream->ends[stream->count++] = stream->text.size;
}

static void stream_make(struct stream *stream)
{
	*stream = (struct stream){ .count = 0 };
	buffer_init(&stream->text, STREAM_MAX);
	buffer_append_text(&stream->text, ": OPENROUTER PROCESSING\n\n");
	for (int i = 0; i < DELTAS; i++)
		stream_chunk(stream,
			"{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\" and so "
			"on\"},\"finish_reason\":null,"
			"\"native_finish_reason\":null,\"logprobs\":null}",
			"");
	stream_chunk(stream,
		"{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":\"stop\","
		"\"native_finish_reason\":\"stop\",\"logprobs\":null}",
		"");
	stream_chunk(stream, "",
		",\"usage\":{\"prompt_tokens\":14,\"completion_tokens\":163,\"total_tokens\":177,\"cost\":0.00009993,"
		"\"prompt_tokens_details\":{\"cached_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0}"
		"}");
	buffer_append_text(&stream->text, "data: [DONE]\n\n");
	stream->ends[stream->count++] = stream->text.size;
}

/* One response, in `stream->count` pieces or as one. Returns how many bytes of text it gave. */
static size_t read_once(const struct stream *stream, bool in_pieces)
{
	static const struct openrouter_limits limits = { .body_bytes = 2 << 20, .event_bytes = 1 << 20, .depth = 32 };
	struct arena *arena = arena_new(ARENA_MAX);
	ASSERT(arena != NULL);
	struct openrouter_reader *reader = openrouter_reader_new(arena, &limits);
	ASSERT(reader != NULL);
	openrouter_reader_status(reader, 200);
	openrouter_reader_header(reader, BYTES_LITERAL("Content-Type"), BYTES_LITERAL("text/event-stream"), 0);
	size_t at = 0;
	for (size_t i = in_pieces ? 0 : stream->count - 1; i < stream->count; i++) {
		struct bytes piece = bytes_at(stream->text.data + at, stream->ends[i] - at);
		enum status status = openrouter_reader_feed(reader, piece);
		ASSERT(status == STATUS_OK || status == STATUS_CLOSED);
		at = stream->ends[i];
	}
	struct openrouter_result result;
	openrouter_reader_finish(reader, TRANSPORT_WHOLE, true, &result);
	ASSERT(result.failure.reason == REASON_NONE);
	size_t size = result.answer.content.size;
	openrouter_reader_free(reader);
	arena_free(arena);
	return size;
}

static void bench_reader(const struct stream *stream, bool in_pieces)
{
	size_t sum = 0;
	double start_us = now_us();
	for (int i = 0; i < ROUNDS; i++)
		sum += read_once(stream, in_pieces);
	double each_us = (now_us() - start_us) / ROUNDS;
	printf("reader, %d deltas, %zu bytes, %s: %.2f us (%zu bytes of text)\n", DELTAS, stream->text.size,
		in_pieces ? "one piece a delta" : "one piece", each_us, sum / ROUNDS);
}

static void bench_body(void)
{
	char text[BODY_TEXT + 64];
	int size = snprintf(text, sizeof(text), "{\"role\":\"user\",\"content\":\"%0*d\"}", BODY_TEXT, 7);
	ASSERT(size > BODY_TEXT && (size_t)size < sizeof(text));
	struct chat_message message = { .role = CHAT_ROLE_USER, .json = bytes_at(text, (size_t)size) };
	struct chat_request request = { .options = BYTES_LITERAL("\"top_p\":0.9,\"user\":\"u-1\"") };
	struct openrouter_body body = { .request = &request,
		.messages = &message,
		.message_count = 1,
		.model = BYTES_LITERAL("openai/gpt-4o-mini"),
		.system_prompt = BYTES_LITERAL("You are helpful."),
		.max_tokens = BYTES_LITERAL("600") };
	size_t sum = 0;
	double start_us = now_us();
	for (int i = 0; i < ROUNDS; i++) {
		struct buffer out;
		buffer_init(&out, 1 << 20);
		openrouter_body_write(&body, &out);
		ASSERT(buffer_status(&out) == STATUS_OK);
		sum += out.size;
		buffer_deinit(&out);
	}
	printf("body, %zu bytes: %.2f us\n", sum / ROUNDS, (now_us() - start_us) / ROUNDS);
}

int main(void)
{
	struct stream stream;
	stream_make(&stream);
	bench_reader(&stream, true);
	bench_reader(&stream, false);
	bench_body();
	buffer_deinit(&stream.text);
	return 0;
}
