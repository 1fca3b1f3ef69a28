/* Responses read while memory runs out: every allocation of this project's own code is made to fail once. */
#include "openrouter_support.h"

#include "common/buffer.h"

#define DELTA(text) "data: {\"choices\":[{\"index\":0,\"delta\":{" text "}}]}\n\n"
#define TAIL \
	"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"cost\":1}}\n\ndata: [DONE]\n\n"

/* How many allocations succeed before one fails; below 0 all do. The linker puts these in the place of the C library's. */
static int allocations_left = -1;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static bool is_refused(void)
{
	if (allocations_left < 0) return false;
	return allocations_left-- == 0;
}

void *__wrap_malloc(size_t size)
{
	return is_refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return is_refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
	return is_refused() ? NULL : __real_realloc(memory, size);
}

/* Reads `body` with the allocation number `failing` refused. False when the run did not come that far. */
static bool read_short_of_memory(struct bytes body, size_t step, int failing, const struct openrouter_result *expected)
{
	struct arena *arena = arena_new(1 << 20);
	assert_non_null(arena);
	allocations_left = failing;
	struct openrouter_reader *reader = openrouter_reader_new(arena, &support_limits);
	struct openrouter_result result = { .failure = { .reason = REASON_INTERNAL } };
	if (reader != NULL) {
		openrouter_reader_status(reader, 200);
		enum status status = STATUS_OK;
		for (size_t at = 0; at < body.size && status == STATUS_OK; at += step)
			status = openrouter_reader_feed(
				reader, bytes_at(body.data + at, body.size - at < step ? body.size - at : step));
		openrouter_reader_finish(reader, TRANSPORT_WHOLE, true, &result);
	}
	bool was_refused = allocations_left < 0;
	allocations_left = -1;
	openrouter_reader_free(reader);
	/* A whole answer or none: nothing is silently left out. */
	if (result.failure.reason == REASON_NONE)
		assert_same_result(&result, expected);
	else
		assert_int_equal(result.failure.reason, REASON_INTERNAL);
	if (!was_refused) assert_int_equal(result.failure.reason, REASON_NONE);
	arena_free(arena);
	return was_refused;
}

static void assert_sweep(struct bytes body, size_t step)
{
	const struct response response = { .status = 200, .body = body };
	struct heard whole = hear(&response);
	assert_int_equal(whole.result.failure.reason, REASON_NONE);
	int failing = 0;
	while (read_short_of_memory(body, step, failing, &whole.result))
		assert_in_range(++failing, 1, 200);
	assert_in_range(failing, 3, 200);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_runs_out_in_a_stream),
		cmocka_unit_test(memory_runs_out_in_a_whole_body),
		cmocka_unit_test(memory_runs_out_in_a_large_answer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
