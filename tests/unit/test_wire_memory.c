/* The wire while memory runs out, once or for good, at every place: what is read is what is there, or the caller is told
 * of missing memory; a good request is never rejected for it, and no reply goes out with a part left out. */
#include "chat_support.h"

#include <glob.h>

#include "schemas/chat_client.h"
#include "schemas/chat_response.h"
#include "schemas/dead_letter.h"
#include "schemas/wire.h"
#include "tests/unit/failing_json.h"

enum {
	ALLOCATIONS_MAX = 5000,
	FILE_SIZE_MAX = 1 << 21,
	ARENA_MAX = 1 << 22,
	ARENA_STEP = 16,
	SMALL_REQUEST = 4096,
	REPLY_MAX = 1 << 16
};

/* Does its work and undoes it; false when it was told of missing memory. Checks by itself what must hold then. */
typedef bool scenario(const void *context);

/* With the first allocation refused, then with the second, …, until a run no longer comes to a refusal. */
static void sweep(scenario *play, const void *context, bool goes_on)
{
	for (long at = 0; at < ALLOCATIONS_MAX; at++) {
		failing_memory = (struct failing_memory){ .until_failure = at, .goes_on = goes_on };
		bool went_well = play(context);
		bool was_refused = failing_memory.refused > 0;
		long living = failing_memory.living;
		failing_memory = (struct failing_memory){ .until_failure = -1 };
		if (living != 0) fail_msg("allocation %ld: %ld living", at, living);
		/* To go well all the same is allowed: what is wrong with a request may be plain before it is copied. */
		if (!was_refused && !went_well) fail_msg("allocation %ld: missed without a reason", at);
		if (!was_refused) return;
	}
	fail_msg("more than %d allocations", ALLOCATIONS_MAX);
}

static void sweep_both(scenario *play, const void *context)
{
	sweep(play, context, false);
	sweep(play, context, true);
}

/* With an arena of no size, then of a little more, …, until the first that is enough: every place that asks it for memory
 * is refused once. `arena_max` is a member of the context. */
static void sweep_arenas(scenario *play, const void *context, size_t *arena_max)
{
	bool went_well = false;
	for (*arena_max = 0; !went_well && *arena_max < ARENA_MAX; *arena_max += ARENA_STEP)
		went_well = play(context);
	assert_true(went_well);
	*arena_max = ARENA_MAX;
}

/* A record, and what is read from it with all the memory it wants. */
struct known_request {
	size_t arena_max;
	struct support_record source;
	struct chat_request request;
	struct chat_rejection rejection;
	enum status status;
};

static void assert_same_message(const struct chat_message *a, const struct chat_message *b)
{
	assert_int_equal(a->role, b->role);
	assert_int_equal(a->has_tool_calls, b->has_tool_calls);
	assert_bytes_equal(a->tool_call_id, b->tool_call_id);
	assert_bytes_equal(a->json, b->json);
}

static void assert_same_request(const struct chat_request *a, const struct chat_request *b)
{
	assert_int_equal(a->coding, b->coding);
	assert_bytes_equal(a->request_id, b->request_id);
	assert_bytes_equal(a->conversation_id, b->conversation_id);
	assert_int_equal(a->message_count, b->message_count);
	for (size_t i = 0; i < a->message_count; i++)
		assert_same_message(&a->messages[i], &b->messages[i]);
	assert_int_equal(a->deadline_ms, b->deadline_ms);
	assert_bytes_equal(a->model, b->model);
	assert_int_equal(a->model_count, b->model_count);
	for (size_t i = 0; i < a->model_count; i++)
		assert_bytes_equal(a->models[i], b->models[i]);
	assert_bytes_equal(a->temperature, b->temperature);
	assert_bytes_equal(a->max_tokens, b->max_tokens);
	assert_bytes_equal(a->max_completion_tokens, b->max_completion_tokens);
	assert_bytes_equal(a->provider, b->provider);
	assert_bytes_equal(a->options, b->options);
	assert_int_equal(a->unknown_fields, b->unknown_fields);
	assert_int_equal(a->key_mismatch, b->key_mismatch);
}

/* Missing, the record's key where that stands in for it, or right. */
static void assert_address(const struct chat_request *request, const struct known_request *known)
{
	struct bytes id = request->conversation_id;
	if (bytes_is_given(request->request_id)) assert_bytes_equal(request->request_id, known->request.request_id);
	if (!bytes_equal(id, known->source.record.key)) assert_bytes_equal(id, known->request.conversation_id);
}

static bool play_request(const void *context)
{
	const struct known_request *known = context;
	struct arena *arena = arena_new(known->arena_max);
	if (arena == NULL) return false;
	struct chat_limits limits = support_limits();
	struct chat_request request;
	struct chat_rejection rejection;
	enum status status = chat_request_read(&known->source.record, &limits, arena, &request, &rejection);
	if (status == STATUS_NO_MEMORY) {
		assert_address(&request, known);
	} else {
		assert_int_equal(status, known->status);
		assert_same_request(&request, &known->request);
		assert_int_equal(rejection.reason, known->rejection.reason);
		assert_bytes_equal(rejection.detail, known->rejection.detail);
	}
	arena_free(arena);
	return status != STATUS_NO_MEMORY;
}

static void sweep_request(struct bytes value, const char *content_type)
{
	struct support_read read;
	support_read_init(&read);
	struct known_request known = { .arena_max = ARENA_MAX };
	support_record_init(&known.source, value);
	support_record_header(&known.source, "content-type", bytes_of(content_type));
	known.status = support_read_record(&read, &known.source.record);
	assert_int_not_equal(known.status, STATUS_NO_MEMORY);
	known.request = read.request;
	known.rejection = read.rejection;
	sweep_both(play_request, &known);
	/* The large ones have the same places, only more often. */
	if (value.size <= SMALL_REQUEST) sweep_arenas(play_request, &known, &known.arena_max);
	support_read_deinit(&read);
}

static struct bytes file_bytes(const char *path, char *data)
{
	FILE *file = fopen(path, "rb");
	if (file == NULL) fail_msg("%s cannot be read; the tests run in the project's root", path);
	size_t size = fread(data, 1, FILE_SIZE_MAX, file);
	assert_true(size < FILE_SIZE_MAX);
	fclose(file);
	return bytes_at(data, size);
}

static void sweep_vectors(const char *pattern, const char *content_type)
{
	static char data[FILE_SIZE_MAX];
	glob_t paths;
	assert_int_equal(glob(pattern, 0, NULL, &paths), 0);
	for (size_t i = 0; i < paths.gl_pathc; i++)
		sweep_request(file_bytes(paths.gl_pathv[i], data), content_type);
	globfree(&paths);
}

static void request_without_memory_is_read_as_it_is_or_not(void **state)
{
	(void)state;
	sweep_vectors("schemas/vectors/request/*.json", "application/json");
	sweep_vectors("schemas/vectors/request/*.msgpack", "application/vnd.msgpack");
}

/* What the flow relies on when a record comes while nothing is left: the look at msgpack always works. */
static void wire_open_of_msgpack_takes_no_memory(void **state)
{
	(void)state;
	static char data[FILE_SIZE_MAX];
	struct bytes input = file_bytes("schemas/vectors/request/valid.everything.msgpack", data);
	struct wire_value value;
	struct wire_fault fault;
	failing_memory = (struct failing_memory){ .until_failure = 0, .goes_on = true };
	enum status status = wire_open(CHAT_CODING_MSGPACK, input, 32, &value, &fault);
	long refused = failing_memory.refused;
	failing_memory = (struct failing_memory){ .until_failure = -1 };
	assert_int_equal(refused, 0);
	assert_int_equal(status, STATUS_OK);
	assert_int_equal(value.kind, WIRE_MAP);
}

static bool play_wire_text(const void *context)
{
	(void)context;
	struct arena *arena = arena_new(ARENA_MAX);
	if (arena == NULL) return false;
	struct wire_value value;
	struct wire_fault fault;
	struct bytes text = BYTES_LITERAL("before");
	enum status status = wire_open(CHAT_CODING_JSON, BYTES_LITERAL("\"a\\u0062\\n\""), 1, &value, &fault);
	if (status == STATUS_OK) status = wire_text(&value, arena, &text);
	assert_true(status == STATUS_OK || status == STATUS_NO_MEMORY);
	assert_bytes(text, status == STATUS_OK ? "ab\n" : "before");
	arena_free(arena);
	return status == STATUS_OK;
}

static void wire_text_without_memory_is_told(void **state)
{
	(void)state;
	sweep_both(play_wire_text, NULL);
}

/* Every part is there, some of it not clean, so that it has to be copied and mended. */
static struct chat_response full_reply(enum chat_coding coding)
{
	return (struct chat_response){
		.coding = coding,
		.request_id = BYTES("r-1"),
		.conversation_id = BYTES("c-1"),
		.outcome = CHAT_OUTCOME_ANSWERED,
		.answer = {
			.content = BYTES("Hello \xff"),
			.tool_calls_json = BYTES("[{\"id\":\"call-1\"}]"),
			.refusal = BYTES("No."),
			.reasoning = BYTES("Hm."),
			.annotations_json = BYTES("[{}]"),
			.images_json = BYTES("[[]]"),
			.finish_reason = BYTES("stop"),
			.model = BYTES("vendor/model"),
			.provider = BYTES("V\0"),
			.generation_id = BYTES("gen-1"),
			.usage_json = BYTES("{\"cost\":1}"),
		},
		.attempts = 2,
		.received_ms = 1700000000000,
		.replied_ms = 1700000001234,
		.upstream_ms = 1200,
		.first_token_ms = 300,
		.topic = BYTES("chat.requests"),
		.offset = 42,
	};
}

static enum status write_reply(enum chat_coding coding, struct arena *arena, struct outgoing *out_record)
{
	static const struct record_header header = { { .data = "traceparent", .size = 11 },
		{ .data = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", .size = 55 } };
	const struct record_headers headers = { .items = &header, .count = 1 };
	const struct chat_reply_address address = {
		.topic = BYTES("chat.responses"), .request_headers = &headers, .span_id = 7
	};
	struct chat_response reply = full_reply(coding);
	return chat_response_write(&reply, &address, REPLY_MAX, arena, out_record);
}

static void assert_same_outgoing(const struct outgoing *a, const struct outgoing *b)
{
	assert_bytes_equal(a->topic, b->topic);
	assert_bytes_equal(a->key, b->key);
	assert_bytes_equal(a->value, b->value);
	assert_int_equal(a->timestamp_ms, b->timestamp_ms);
	assert_int_equal(a->is_dead_letter, b->is_dead_letter);
	assert_int_equal(a->headers.count, b->headers.count);
	for (size_t i = 0; i < a->headers.count; i++) {
		assert_bytes_equal(a->headers.items[i].name, b->headers.items[i].name);
		assert_bytes_equal(a->headers.items[i].value, b->headers.items[i].value);
	}
}

/* A way to make a record that goes out, and what it makes with all the memory it wants. */
struct known_outgoing {
	enum status (*write)(enum chat_coding coding, struct arena *arena, struct outgoing *out_record);
	enum chat_coding coding;
	size_t arena_max;
	struct outgoing record;
};

static bool play_outgoing(const void *context)
{
	const struct known_outgoing *known = context;
	struct arena *arena = arena_new(known->arena_max);
	if (arena == NULL) return false;
	struct outgoing record = { .timestamp_ms = -7 };
	enum status status = known->write(known->coding, arena, &record);
	if (status == STATUS_OK) {
		assert_same_outgoing(&record, &known->record);
	} else {
		assert_int_equal(status, STATUS_NO_MEMORY);
		assert_int_equal(record.timestamp_ms, -7);
	}
	arena_free(arena);
	return status == STATUS_OK;
}

static void sweep_outgoing(struct known_outgoing known)
{
	struct arena *arena = arena_new(ARENA_MAX);
	assert_non_null(arena);
	assert_int_equal(known.write(known.coding, arena, &known.record), STATUS_OK);
	known.arena_max = ARENA_MAX;
	sweep_both(play_outgoing, &known);
	sweep_arenas(play_outgoing, &known, &known.arena_max);
	arena_free(arena);
}

static void reply_without_memory_is_whole_or_none(void **state)
{
	(void)state;
	sweep_outgoing((struct known_outgoing){ .write = write_reply, .coding = CHAT_CODING_JSON });
	sweep_outgoing((struct known_outgoing){ .write = write_reply, .coding = CHAT_CODING_MSGPACK });
}

static enum status write_letter(enum chat_coding coding, struct arena *arena, struct outgoing *out_record)
{
	(void)coding;
	static const struct record_header header = { { .data = "a", .size = 1 }, { .data = NULL, .size = 0 } };
	const struct record record = { .partition = 5,
		.offset = 77,
		.timestamp_ms = 1700000000123,
		.value = BYTES("rubbish"),
		.headers = { .items = &header, .count = 1 } };
	const struct dead_letter letter = { .record = &record,
		.topic = BYTES("chat.requests.dlq"),
		.original_topic = BYTES("chat.requests"),
		.consumer_group = BYTES("group-1"),
		.worker_version = BYTES("1.2.3"),
		.reason = REASON_DECODE,
		.failed_at_ms = 1700000001007 };
	return dead_letter_write(&letter, arena, out_record);
}

static void dead_letter_without_memory_is_whole_or_none(void **state)
{
	(void)state;
	sweep_outgoing((struct known_outgoing){ .write = write_letter });
}

/* The caller's side reads what the worker wrote. */
static bool play_client(const void *context)
{
	const struct known_outgoing *known = context;
	struct arena *arena = arena_new(ARENA_MAX);
	if (arena == NULL) return false;
	struct chat_client_response reply;
	enum status status = chat_client_response_read(known->record.value, BYTES_NONE, arena, &reply);
	if (status == STATUS_OK) {
		assert_bytes(reply.request_id, "r-1");
		assert_bytes(reply.content, "Hello ?");
		assert_bytes(reply.tool_calls_json, "[{\"id\":\"call-1\"}]");
		assert_int_equal(reply.offset, 42);
	} else {
		assert_int_equal(status, STATUS_NO_MEMORY);
	}
	arena_free(arena);
	return status == STATUS_OK;
}

static void client_without_memory_is_told(void **state)
{
	(void)state;
	for (int coding = 0; coding < 2; coding++) {
		struct known_outgoing known = { .coding = (enum chat_coding)coding };
		struct arena *arena = arena_new(ARENA_MAX);
		assert_non_null(arena);
		assert_int_equal(write_reply(known.coding, arena, &known.record), STATUS_OK);
		sweep_both(play_client, &known);
		arena_free(arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_without_memory_is_read_as_it_is_or_not),
		cmocka_unit_test(wire_open_of_msgpack_takes_no_memory),
		cmocka_unit_test(wire_text_without_memory_is_told),
		cmocka_unit_test(reply_without_memory_is_whole_or_none),
		cmocka_unit_test(dead_letter_without_memory_is_whole_or_none),
		cmocka_unit_test(client_without_memory_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
