/* Responses read while memory runs out: every allocation, of this project's own code and of the JSON library, is made to
 * fail, alone or with all that follow. */
#include "openrouter_support.h"

#include "common/buffer.h"
#include "tests/unit/failing_json.h"
#include "worker/core/openrouter_mask.h"

#define DELTA(text) "data: {\"choices\":[{\"index\":0,\"delta\":{" text "}}]}\n\n"
#define TAIL \
	"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"cost\":1}}\n\ndata: [DONE]\n\n"

/* How a response is read: how long its pieces are, and what it comes to with all the memory it wants. */
struct reading {
	struct bytes body;
	size_t step;
	bool goes_on; /* what follows the allocation that fails, fails too */
	const struct openrouter_result *expected;
};

static void read_whole(const struct reading *reading, struct arena *arena, struct openrouter_result *out_result)
{
	struct openrouter_reader *reader = openrouter_reader_new(arena, &support_limits);
	if (reader == NULL) return;
	struct bytes body = reading->body;
	size_t step = reading->step;
	enum status status = STATUS_OK;
	openrouter_reader_status(reader, 200);
	for (size_t at = 0; at < body.size && status == STATUS_OK; at += step)
		status = openrouter_reader_feed(
			reader, bytes_at(body.data + at, body.size - at < step ? body.size - at : step));
	openrouter_reader_finish(reader, TRANSPORT_WHOLE, true, out_result);
	openrouter_reader_free(reader);
}

/* With the allocation number `failing` refused. False when the run did not come that far. */
static bool read_short_of_memory(const struct reading *reading, long failing)
{
	failing_memory = (struct failing_memory){ .until_failure = -1 };
	struct arena *arena = arena_new(1 << 20);
	assert_non_null(arena);
	struct openrouter_result result = { .failure = { .reason = REASON_INTERNAL } };
	failing_memory.until_failure = failing;
	failing_memory.goes_on = reading->goes_on;
	read_whole(reading, arena, &result);
	bool was_refused = failing_memory.refused > 0;
	failing_memory.until_failure = -1;
	failing_memory.goes_on = false;
	/* A whole answer or none: nothing is silently left out. */
	if (result.failure.reason == REASON_NONE)
		assert_same_result(&result, reading->expected);
	else
		assert_int_equal(result.failure.reason, REASON_INTERNAL);
	if (!was_refused) assert_int_equal(result.failure.reason, REASON_NONE);
	arena_free(arena);
	if (failing_memory.living != 0) fail_msg("allocation %ld: %ld living", failing, failing_memory.living);
	return was_refused;
}

static void assert_sweep(struct bytes body, size_t step)
{
	const struct response response = { .status = 200, .body = body };
	struct heard whole = hear(&response);
	assert_int_equal(whole.result.failure.reason, REASON_NONE);
	for (int goes_on = 0; goes_on < 2; goes_on++) {
		const struct reading reading = {
			.body = body, .step = step, .goes_on = goes_on == 1, .expected = &whole.result
		};
		long failing = 0;
		while (read_short_of_memory(&reading, failing))
			assert_in_range(++failing, 1, 200);
		assert_in_range(failing, 3, 200);
	}
	heard_free(&whole);
}

static void memory_runs_out_in_a_stream(void **state)
{
	(void)state;
	static const char stream[] = DELTA("\"content\":\"Hello\",\"reasoning\":\"Hm\"") DELTA(
		"\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"},\"x\":"
		"\"\\u0000y\"}]") DELTA("\"refusal\":\"r\",\"annotations\":[{\"a\":1}],\"images\":[{}]") TAIL;
	assert_sweep(bytes_of(stream), SIZE_MAX / 2);
	assert_sweep(bytes_of(stream), 7);
}

static void memory_runs_out_in_a_whole_body(void **state)
{
	(void)state;
	static const char body[] = "{\"choices\":[{\"message\":{\"content\":\"Hi\",\"tool_calls\":[{\"id\":\"c\"}]},"
				   "\"finish_reason\":\"stop\"}],\"usage\":{\"cost\":1}}";
	assert_sweep(bytes_of(body), SIZE_MAX / 2);
	assert_sweep(bytes_of(body), 11);
}

static void memory_runs_out_in_a_large_answer(void **state)
{
	(void)state;
	struct buffer text;
	buffer_init(&text, 1 << 18);
	buffer_append_text(&text, "data: {\"choices\":[{\"delta\":{\"content\":\"");
	for (int i = 0; i < 100000; i++)
		buffer_append_char(&text, 'x');
	buffer_append_text(&text, "\"}}]}\n\n" TAIL);
	assert_sweep(buffer_bytes(&text), SIZE_MAX / 2);
	assert_sweep(buffer_bytes(&text), 4096);
	buffer_deinit(&text);
}

/* With the allocation number `failing` refused. False when the run did not come that far. */
static bool mask_short_of_memory(const struct redaction *redaction, long failing, bool goes_on)
{
	struct chat_answer answer = { .content = BYTES_LITERAL("Hello sk-canary"),
		.reasoning = BYTES_LITERAL("sk-canary"),
		.tool_calls_json = BYTES_LITERAL("[{\"id\":\"sk-canary\"}]"),
		.usage_json = BYTES_LITERAL("{\"cost\":1}") };
	struct arena *arena = arena_new(1 << 20);
	assert_non_null(arena);
	bool has_found = false;
	failing_memory = (struct failing_memory){ .until_failure = failing, .goes_on = goes_on };
	enum status status = openrouter_mask_answer(redaction, arena, &answer, &has_found);
	bool was_refused = failing_memory.refused > 0;
	failing_memory = (struct failing_memory){ .until_failure = -1 };
	assert_int_equal(status, was_refused ? STATUS_NO_MEMORY : STATUS_OK);
	assert_int_equal(has_found, status == STATUS_OK);
	if (status == STATUS_OK) {
		assert_bytes(answer.content, "Hello ****");
		assert_bytes(answer.reasoning, "****");
		assert_bytes(answer.tool_calls_json, "[{\"id\":\"****\"}]");
		assert_bytes(answer.usage_json, "{\"cost\":1}");
	}
	arena_free(arena);
	return was_refused;
}

/* A key that could not be masked is told: the answer must not go on. */
static void memory_runs_out_while_a_key_is_masked(void **state)
{
	(void)state;
	struct redaction *redaction = redaction_new();
	assert_non_null(redaction);
	assert_int_equal(redaction_add(redaction, BYTES_LITERAL("sk-canary")), STATUS_OK);
	for (int goes_on = 0; goes_on < 2; goes_on++) {
		long failing = 0;
		while (mask_short_of_memory(redaction, failing, goes_on == 1))
			assert_in_range(++failing, 1, 200);
		assert_in_range(failing, 3, 200);
	}
	redaction_free(redaction);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_runs_out_in_a_stream),
		cmocka_unit_test(memory_runs_out_in_a_whole_body),
		cmocka_unit_test(memory_runs_out_in_a_large_answer),
		cmocka_unit_test(memory_runs_out_while_a_key_is_masked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
