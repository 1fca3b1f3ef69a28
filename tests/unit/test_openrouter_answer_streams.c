/* Streams that are cut: at every byte, by the transport, and by the bounds. */
#include "openrouter_support.h"

#include "common/buffer.h"

#define DELTA(text) "data: {\"choices\":[{\"index\":0,\"delta\":{" text "}}]}\n\n"
#define FINISH(word) "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" word "\"}]}\n\n"
#define DONE "data: [DONE]\n\n"

/* In the manner of a recording: comments, a role, text, reasoning, two tool calls, usage, the end. */
static const struct response recorded = EVENTS(
	": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n"
	"data: {\"id\":\"gen-17\",\"provider\":\"Google AI Studio\",\"model\":\"google/gemini-2.5-flash\",\"object\":"
	"\"chat.completion.chunk\",\"created\":1755863213,\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
	"\"content\":\"\",\"reasoning\":\"Se\"},\"finish_reason\":null,\"native_finish_reason\":null,\"logprobs\":null}"
	"]}\n\n"
	": \n\n" DELTA("\"content\":\"Gr\\u00fc\xc3\x9f\",\"reasoning\":\"e\"") DELTA("\"content\":\"e "
										      "\xf0\x9f\x98\x80\"")
		DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":"
		      "\"look\","
		      "\"arguments\":\"\"},\"extra_content\":{\"google\":{\"thought_signature\":\"s\"}}}]")
			DELTA("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"q\\\":\"}}]") DELTA(
				"\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"1}\"}}]")
				DELTA("\"tool_calls\":[{\"index\":1,\"id\":\"c2\",\"type\":\"function\",\"function\":{"
				      "\"name\":\"go\",\"arguments\":"
				      "\"{}\"}}],\"annotations\":[{\"url\":\"u\"}]") "data: "
										     "{\"id\":\"gen-17\",\"choices\":[{"
										     "\"index\":0,\"delta\":{},"
										     "\"finish_reason\":\"tool_calls\","
										     "\"native_finish_reason\":"
										     "\"STOP\"}]}\r\n\r\n"
										     "data: "
										     "{\"id\":\"gen-17\",\"choices\":[]"
										     ",\r\ndata: "
										     "\"usage\":{\"prompt_tokens\":7,"
										     "\"completion_tokens\":9,\"cost\":"
										     "0.1}}\n\n" DONE);

/* Where the event with the finish reason is complete. */
static size_t finish_at(void)
{
	const char *place = strstr(recorded.body.data, "\"native_finish_reason\":\"STOP\"}]}");
	assert_non_null(place);
	return (size_t)(place - recorded.body.data) + strlen("\"native_finish_reason\":\"STOP\"}]}");
}

static void streams_recorded_is_answered_whole(void **state)
{
	(void)state;
	struct heard heard = hear(&recorded);
	assert_int_equal(heard.result.failure.reason, REASON_NONE);
	assert_bytes(heard.result.answer.content, "Gr\xc3\xbc\xc3\x9f"
						  "e \xf0\x9f\x98\x80");
	assert_bytes(heard.result.answer.reasoning, "See");
	assert_bytes(heard.result.answer.tool_calls_json,
		"[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"look\",\"arguments\":\"{\\\"q\\\":1}\"}"
		","
		"\"extra_content\":{\"google\":{\"thought_signature\":\"s\"}}},"
		"{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"go\",\"arguments\":\"{}\"}}]");
	assert_bytes(heard.result.answer.usage_json, "{\"prompt_tokens\":7,\"completion_tokens\":9,\"cost\":0.1}");
	heard_free(&heard);
}

static void streams_same_result_however_the_pieces_fall(void **state)
{
	(void)state;
	struct heard whole = hear(&recorded);
	for (size_t size = 1; size < 40; size++) {
		struct heard heard = hear_pieces(&recorded, 0, size);
		assert_same_result(&heard.result, &whole.result);
		assert_int_equal(heard.content, whole.content);
		heard_free(&heard);
	}
	for (size_t cut = 1; cut < recorded.body.size; cut++) {
		struct heard heard = hear_pieces(&recorded, cut, SIZE_MAX);
		assert_same_result(&heard.result, &whole.result);
		assert_int_equal(heard.fed, STATUS_CLOSED);
		heard_free(&heard);
	}
	heard_free(&whole);
}

static void assert_truncated(size_t size, enum transport_end end, struct bytes calls)
{
	struct response response = recorded;
	response.body.size = size;
	response.end = end;
	struct heard heard = hear_pieces(&response, 0, 97);
	/* An event counts with its empty line; a stream that ended by itself may lack it. */
	size_t needed = finish_at() + (end == TRANSPORT_WHOLE ? 0 : 3);
	assert_int_equal(heard.result.failure.reason == REASON_NONE, size >= needed);
	if (size >= needed) assert_same_bytes(heard.result.answer.tool_calls_json, calls);
	if (size >= needed) assert_bytes(heard.result.answer.finish_reason, "tool_calls");
	if (size < needed) assert_false(bytes_is_given(heard.result.answer.content));
	if (size < needed) assert_int_not_equal(heard.result.failure.action, FAILURE_ACTION_END);
	heard_free(&heard);
}

static void streams_truncated_are_answers_only_behind_their_finish(void **state)
{
	(void)state;
	static const enum transport_end ends[] = { TRANSPORT_WHOLE, TRANSPORT_CUT, TRANSPORT_CLOSED,
		TRANSPORT_TIMEOUT };
	struct heard whole = hear(&recorded);
	for (size_t size = 0; size <= recorded.body.size; size++)
		for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
			assert_truncated(size, ends[i], whole.result.answer.tool_calls_json);
	heard_free(&whole);
}

static void streams_broken_are_told_by_how_they_ended(void **state)
{
	(void)state;
	struct response response = EVENTS(DELTA("\"content\":\"Hi\""));
	assert_fails(&response, REASON_STREAM_BROKEN, FAILURE_ACTION_SAME_ONCE);
	response.end = TRANSPORT_CUT;
	assert_fails(&response, REASON_STREAM_BROKEN, FAILURE_ACTION_SAME_ONCE);
	response.end = TRANSPORT_CLOSED;
	assert_fails(&response, REASON_STREAM_BROKEN, FAILURE_ACTION_SAME_ONCE);
	response.end = TRANSPORT_TIMEOUT;
	assert_fails(&response, REASON_TIMEOUT, FAILURE_ACTION_NEXT);
	response.end = TRANSPORT_CANCELLED;
	assert_fails(&response, REASON_TIMEOUT, FAILURE_ACTION_END);
	response.end = TRANSPORT_TOO_LARGE;
	assert_fails(&response, REASON_UPSTREAM_INVALID, FAILURE_ACTION_NEXT);
	response.end = TRANSPORT_INTERNAL;
	assert_fails(&response, REASON_INTERNAL, FAILURE_ACTION_END);

	const struct response silent = EVENTS(": x\n\n: y\n\n");
	assert_fails(&silent, REASON_STREAM_BROKEN, FAILURE_ACTION_SAME_ONCE);
	const struct response nothing = EVENTS("");
	assert_fails(&nothing, REASON_STREAM_BROKEN, FAILURE_ACTION_SAME_ONCE);
}

static void streams_end_without_finish_or_without_done(void **state)
{
	(void)state;
	const struct response done = EVENTS(DELTA("\"content\":\"Hi\"") DONE);
	assert_answers(&done, "Hi", "stop");
	const struct response finished = EVENTS(DELTA("\"content\":\"Hi\"") FINISH("length"));
	assert_answers(&finished, "Hi", "length");
	const struct response calls = EVENTS(DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"c\"}]") DONE);
	assert_answers(&calls, NULL, "tool_calls");
	/* The last line without its end, and junk in its place. */
	const struct response tail = EVENTS(DELTA("\"content\":\"Hi\"") "data: [DONE]");
	assert_answers(&tail, "Hi", "stop");
	const struct response torn = EVENTS(DELTA("\"content\":\"Hi\"") FINISH("stop") "data: [DO");
	assert_answers(&torn, "Hi", "stop");
	const struct response lost = EVENTS(DELTA("\"content\":\"Hi\"") "data: [DO");
	assert_fails(&lost, REASON_UPSTREAM_INVALID, FAILURE_ACTION_SAME_ONCE);
}

static void streams_complete_before_the_transport_broke_are_answers(void **state)
{
	(void)state;
	static const enum transport_end ends[] = { TRANSPORT_CUT, TRANSPORT_CLOSED, TRANSPORT_TIMEOUT,
		TRANSPORT_CANCELLED };
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct response stream = EVENTS(DELTA("\"content\":\"Hi\"") FINISH("stop") "data: {\"usa");
		stream.end = ends[i];
		assert_answers(&stream, "Hi", "stop");
		struct response whole =
			JSON("{\"choices\":[{\"message\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}");
		whole.end = ends[i];
		assert_answers(&whole, "Hi", "stop");
		struct response error = JSON("{\"error\":{\"code\":429}}");
		error.end = ends[i];
		assert_fails(&error, REASON_RATE_LIMITED, FAILURE_ACTION_SAME);
	}
	struct response cut = JSON("{\"choices\":[{\"message\":{\"content\":\"Hi\"}");
	cut.end = TRANSPORT_CUT;
	assert_fails(&cut, REASON_STREAM_BROKEN, FAILURE_ACTION_SAME_ONCE);
	cut.end = TRANSPORT_TIMEOUT;
	assert_fails(&cut, REASON_TIMEOUT, FAILURE_ACTION_NEXT);
}

static void streams_without_any_response_are_the_transports(void **state)
{
	(void)state;
	struct response response = { .end = TRANSPORT_CONNECT, .unsent = true };
	assert_fails(&response, REASON_CONNECT, FAILURE_ACTION_SAME);
	response.end = TRANSPORT_DNS;
	assert_fails(&response, REASON_DNS, FAILURE_ACTION_SAME);
	response.end = TRANSPORT_CLOSED;
	response.unsent = false;
	assert_fails(&response, REASON_STREAM_BROKEN, FAILURE_ACTION_SAME_ONCE);
	response.end = TRANSPORT_WHOLE;
	assert_fails(&response, REASON_UPSTREAM_INVALID, FAILURE_ACTION_SAME_ONCE);
}

static void streams_are_of_no_interest_behind_their_end(void **state)
{
	(void)state;
	struct arena *arena = arena_new(1 << 16);
	struct openrouter_reader *reader = openrouter_reader_new(arena, &support_limits);
	openrouter_reader_status(reader, 200);
	struct bytes stream = BYTES_LITERAL(DELTA("\"content\":\"Hi\"") DONE DELTA("\"content\":\" there\""));
	assert_int_equal(openrouter_reader_feed(reader, stream), STATUS_CLOSED);
	assert_int_equal(openrouter_reader_feed(reader, stream), STATUS_CLOSED);
	struct openrouter_result result;
	openrouter_reader_finish(reader, TRANSPORT_CUT, true, &result);
	assert_bytes(result.answer.content, "Hi");
	openrouter_reader_free(reader);
	arena_free(arena);
}

static void streams_interim_headers_are_forgotten(void **state)
{
	(void)state;
	struct arena *arena = arena_new(1 << 16);
	struct openrouter_reader *reader = openrouter_reader_new(arena, &support_limits);
	openrouter_reader_status(reader, 103);
	openrouter_reader_header(reader, BYTES_LITERAL("retry-after"), BYTES_LITERAL("7"), 0);
	openrouter_reader_status(reader, 503);
	struct openrouter_result result;
	openrouter_reader_finish(reader, TRANSPORT_WHOLE, true, &result);
	assert_int_equal(result.failure.reason, REASON_OVERLOADED);
	assert_int_equal(result.failure.retry_after_ms, -1);
	openrouter_reader_free(reader);
	arena_free(arena);
}

static void streams_over_a_bound_are_given_up(void **state)
{
	(void)state;
	struct openrouter_limits limits = support_limits;
	struct response response = recorded;
	response.limits = &limits;
	/* The body, at the bound and one below; the end of the last piece is what counts. */
	limits.body_bytes = recorded.body.size;
	assert_answers(&response,
		"Gr\xc3\xbc\xc3\x9f"
		"e \xf0\x9f\x98\x80",
		"tool_calls");
	limits.body_bytes = finish_at() - 1;
	for (size_t size = 1; size < 200; size += 13) {
		struct heard heard = hear_pieces(&response, 0, size);
		assert_int_equal(heard.fed, STATUS_TOO_LARGE);
		assert_int_equal(heard.result.failure.reason, REASON_UPSTREAM_INVALID);
		assert_int_equal(heard.result.failure.action, FAILURE_ACTION_NEXT);
		heard_free(&heard);
	}
	/* An event. */
	limits = support_limits;
	limits.event_bytes = 200;
	assert_fails(&response, REASON_UPSTREAM_INVALID, FAILURE_ACTION_NEXT);
	/* White space is bounded too. */
	limits.body_bytes = 7;
	struct response white = JSON("        ");
	white.limits = &limits;
	assert_fails(&white, REASON_UPSTREAM_INVALID, FAILURE_ACTION_NEXT);
	/* An error's status stands, however long its page is. */
	struct response page = ERROR_JSON(503, "<html>                    </html>");
	page.limits = &limits;
	assert_fails(&page, REASON_OVERLOADED, FAILURE_ACTION_NEXT);
}

static void streams_deeper_than_the_bound_are_invalid(void **state)
{
	(void)state;
	static const size_t depths[] = { 27, 28, 100000 };
	for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
		struct buffer text;
		buffer_init(&text, 1 << 20);
		buffer_append_text(&text, "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\",\"annotations\":");
		for (size_t j = 0; j < depths[i]; j++)
			buffer_append_char(&text, '[');
		for (size_t j = 0; j < depths[i]; j++)
			buffer_append_char(&text, ']');
		buffer_append_text(&text, "}}]}\n\n" FINISH("stop") DONE);
		/* Four levels are around it. */
		struct response response = { .status = 200, .type = "text/event-stream", .body = buffer_bytes(&text) };
		if (depths[i] + 4 <= support_limits.depth)
			assert_answers(&response, "Hi", "stop");
		else
			assert_fails(&response, REASON_UPSTREAM_INVALID, FAILURE_ACTION_SAME_ONCE);
		buffer_deinit(&text);
	}
	/* An unfinished bomb. */
	struct buffer bomb;
	buffer_init(&bomb, 1 << 20);
	buffer_append_char(&bomb, '{');
	for (int j = 0; j < 200000; j++)
		buffer_append_text(&bomb, "\"a\":{");
	struct response response = { .status = 200, .body = buffer_bytes(&bomb) };
	assert_fails(&response, REASON_UPSTREAM_INVALID, FAILURE_ACTION_SAME_ONCE);
	buffer_deinit(&bomb);
}

static void streams_with_a_full_arena_fail_and_stay_clean(void **state)
{
	(void)state;
	struct buffer text;
	buffer_init(&text, 1 << 20);
	buffer_append_text(&text, "{\"choices\":[{\"message\":{\"content\":\"");
	for (int i = 0; i < 20000; i++)
		buffer_append_char(&text, 'x');
	buffer_append_text(&text, "\"},\"finish_reason\":\"stop\"}]}");
	struct arena *arena = arena_new(4096);
	struct openrouter_reader *reader = openrouter_reader_new(arena, &support_limits);
	openrouter_reader_status(reader, 200);
	assert_int_equal(openrouter_reader_feed(reader, buffer_bytes(&text)), STATUS_OK);
	struct openrouter_result result;
	openrouter_reader_finish(reader, TRANSPORT_WHOLE, true, &result);
	assert_int_equal(result.failure.reason, REASON_INTERNAL);
	assert_false(bytes_is_given(result.answer.content));
	openrouter_reader_free(reader);
	arena_free(arena);
	buffer_deinit(&text);
}

static void streams_reader_free_takes_null(void **state)
{
	(void)state;
	openrouter_reader_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_recorded_is_answered_whole),
		cmocka_unit_test(streams_same_result_however_the_pieces_fall),
		cmocka_unit_test(streams_truncated_are_answers_only_behind_their_finish),
		cmocka_unit_test(streams_broken_are_told_by_how_they_ended),
		cmocka_unit_test(streams_end_without_finish_or_without_done),
		cmocka_unit_test(streams_complete_before_the_transport_broke_are_answers),
		cmocka_unit_test(streams_without_any_response_are_the_transports),
		cmocka_unit_test(streams_are_of_no_interest_behind_their_end),
		cmocka_unit_test(streams_interim_headers_are_forgotten),
		cmocka_unit_test(streams_over_a_bound_are_given_up),
		cmocka_unit_test(streams_deeper_than_the_bound_are_invalid),
		cmocka_unit_test(streams_with_a_full_arena_fail_and_stay_clean),
		cmocka_unit_test(streams_reader_free_takes_null),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
