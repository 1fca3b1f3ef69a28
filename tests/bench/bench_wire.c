/* How long one chat takes on the wire: read a request of about 1 KiB, write its reply; in both codings. Then the same
 * with requests of nearly 1 MiB, among them those that grow most when they become JSON.
 *
 *   bench_wire [ROUNDS]     prints microseconds of CPU a chat */
#include <inttypes.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buffer.h"
#include "schemas/chat_request.h"
#include "schemas/chat_response.h"

enum {
	ROUNDS_DEFAULT = 100000,
	ROUNDS_LARGE = 20,
	MESSAGES = 7,
	LARGE = 1000 * 1000,
	ARENA_MAX = 16 * 1024 * 1024,
	REPLY_MAX = 4 * 1024 * 1024
};

static const struct chat_limits limits = { .record_bytes = 1024 * 1024, .depth = 32, .messages = 512, .id_bytes = 128 };

static const char turn[] = "Each of the turns of this conversation says about as much as people say to one another "
			   "in a chat: a sentence or two, \"quotes\" included.";

static void put_text(msgpack_packer *packer, const char *text)
{
	msgpack_pack_str_with_body(packer, text, strlen(text));
}

static void make_msgpack(msgpack_sbuffer *out)
{
	msgpack_packer packer;
	msgpack_packer_init(&packer, out, msgpack_sbuffer_write);
	msgpack_pack_map(&packer, 5);
	put_text(&packer, "request_id");
	put_text(&packer, "0b1b8f2e-6f0e-4f6f-9d39-2f7c1d0d6d11");
	put_text(&packer, "conversation_id");
	put_text(&packer, "conversation-000017");
	put_text(&packer, "temperature");
	msgpack_pack_double(&packer, 0.7);
	put_text(&packer, "top_p");
	msgpack_pack_double(&packer, 0.95);
	put_text(&packer, "messages");
	msgpack_pack_array(&packer, MESSAGES);
	for (int i = 0; i < MESSAGES; i++) {
		msgpack_pack_map(&packer, 2);
		put_text(&packer, "role");
		put_text(&packer, i % 2 == 0 ? "user" : "assistant");
		put_text(&packer, "content");
		put_text(&packer, turn);
	}
}

static void make_json(struct buffer *out)
{
	buffer_append_text(out,
		"{\"request_id\":\"0b1b8f2e-6f0e-4f6f-9d39-2f7c1d0d6d11\","
		"\"conversation_id\":\"conversation-000017\",\"temperature\":0.7,\"top_p\":0.95,\"messages\":[");
	for (int i = 0; i < MESSAGES; i++) {
		buffer_append_format(
			out, "%s{\"role\":\"%s\",\"content\":", i == 0 ? "" : ",", i % 2 == 0 ? "user" : "assistant");
		buffer_append_json_string(out, bytes_of(turn));
		buffer_append_char(out, '}');
	}
	buffer_append_text(out, "]}");
}

/* A request whose one message is a text of LARGE times `one`, or, with `one` 0, whose metadata is an array of nulls. */
static void make_large(msgpack_sbuffer *out, char one)
{
	char *text = malloc(LARGE);
	if (text == NULL) exit(1);
	memset(text, one, LARGE);
	msgpack_packer packer;
	msgpack_packer_init(&packer, out, msgpack_sbuffer_write);
	msgpack_pack_map(&packer, 3);
	put_text(&packer, "request_id");
	put_text(&packer, "r-1");
	put_text(&packer, "metadata");
	msgpack_pack_map(&packer, 1);
	put_text(&packer, "x");
	msgpack_pack_array(&packer, one == 0 ? LARGE : 0);
	for (int i = 0; one == 0 && i < LARGE; i++)
		msgpack_pack_nil(&packer);
	put_text(&packer, "messages");
	msgpack_pack_array(&packer, 1);
	msgpack_pack_map(&packer, 2);
	put_text(&packer, "role");
	put_text(&packer, "user");
	put_text(&packer, "content");
	msgpack_pack_str_with_body(&packer, one == 0 ? "x" : text, one == 0 ? 1 : LARGE);
	free(text);
}

static double cpu_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void must(enum status status)
{
	if (status == STATUS_OK) return;
	fprintf(stderr, "bench_wire: %s\n", status_text(status));
	exit(1);
}

static void write_reply(const struct chat_request *request, const struct record *record, struct arena *arena)
{
	struct chat_response reply = {
		.coding = request->coding,
		.request_id = request->request_id,
		.conversation_id = request->conversation_id,
		.answer = {
			.content = bytes_of(turn),
			.finish_reason = BYTES_LITERAL("stop"),
			.model = BYTES_LITERAL("vendor/model"),
			.provider = BYTES_LITERAL("Vendor"),
			.generation_id = BYTES_LITERAL("gen-1700000000-abcdefghij"),
			.usage_json = BYTES_LITERAL("{\"prompt_tokens\":120,\"completion_tokens\":34,\"total_tokens\":154,"
						    "\"cost\":0.00012,\"is_byok\":false,"
						    "\"prompt_tokens_details\":{\"cached_tokens\":0}}"),
		},
		.attempts = 1,
		.received_ms = 1700000000000,
		.replied_ms = 1700000000600,
		.upstream_ms = 590,
		.first_token_ms = 200,
		.topic = BYTES_LITERAL("chat.requests"),
		.offset = 123456,
	};
	struct chat_reply_address address = {
		.topic = BYTES_LITERAL("chat.responses"),
		.request_headers = &record->headers,
		.span_id = 1,
	};
	struct outgoing outgoing;
	must(chat_response_write(&reply, &address, REPLY_MAX, arena, &outgoing));
}

static void measure(const char *name, struct bytes value, long rounds)
{
	struct record_header headers[] = {
		{ BYTES_LITERAL("correlation-id"), BYTES_LITERAL("0b1b8f2e") },
		{ BYTES_LITERAL("traceparent"),
			BYTES_LITERAL("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01") },
	};
	struct record record = {
		.key = BYTES_LITERAL("conversation-000017"),
		.value = value,
		.headers = { .items = headers, .count = 2 },
	};
	double read_us = 0, write_us = 0;
	size_t arena_bytes = 0;
	for (long i = 0; i < rounds; i++) {
		struct arena *arena = arena_new(ARENA_MAX);
		if (arena == NULL) exit(1);
		struct chat_request request;
		struct chat_rejection rejection;
		double start_us = cpu_us();
		must(chat_request_read(&record, &limits, arena, &request, &rejection));
		double middle_us = cpu_us();
		write_reply(&request, &record, arena);
		write_us += cpu_us() - middle_us;
		read_us += middle_us - start_us;
		arena_bytes = arena_size(arena);
		arena_free(arena);
	}
	double count = (double)rounds;
	printf("%-8s %5zu bytes: read %.2f us, write %.2f us, together %.2f us; arena %zu bytes\n", name, value.size,
		read_us / count, write_us / count, (read_us + write_us) / count, arena_bytes);
}

static void measure_large(const char *name, char one)
{
	msgpack_sbuffer packed;
	msgpack_sbuffer_init(&packed);
	make_large(&packed, one);
	measure(name, bytes_at(packed.data, packed.size), ROUNDS_LARGE);
	msgpack_sbuffer_destroy(&packed);
}

int main(int argc, char **argv)
{
	long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : ROUNDS_DEFAULT;
	if (rounds < 1) rounds = 1;

	msgpack_sbuffer packed;
	msgpack_sbuffer_init(&packed);
	make_msgpack(&packed);
	measure("msgpack", bytes_at(packed.data, packed.size), rounds);
	msgpack_sbuffer_destroy(&packed);

	struct buffer text;
	buffer_init(&text, REPLY_MAX);
	make_json(&text);
	measure("json", buffer_bytes(&text), rounds);
	buffer_deinit(&text);

	measure_large("letters", 'a');
	measure_large("quotes", '"');
	measure_large("control", '\x01');
	measure_large("nulls", 0);
	return 0;
}
