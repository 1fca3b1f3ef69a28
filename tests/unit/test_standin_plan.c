/* Plans: what is sent, when, and how it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <yyjson.h>

#include "replay/standin_plan.h"

static const char BODY[] =
	"{\"model\":\"m/1\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Hello there\"}]}";
static const char PLAIN_BODY[] = "{\"model\":\"m/1\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello there\"}]}";

static struct standin_serving serving_of(enum behaviour behaviour)
{
	return (struct standin_serving){ .behaviour = behaviour,
		.status = 200,
		.retry_after_s = -1,
		.timing = { .ttft_ms = -1, .latency_ms = -1, .deltas = 4 },
		.keepalive_ms = 700,
		.number = 5,
		.wall_ms = 1764000000000 };
}

static void make(const char *body, const struct standin_serving *serving, struct standin_plan *out_plan)
{
	struct standin_request request;
	const char *problem = NULL;
	assert_int_equal(standin_request_read(bytes_of(body), &request, &problem), STATUS_OK);
	assert_int_equal(standin_plan_init(out_plan, &request, serving), STATUS_OK);
	standin_request_deinit(&request);
}

static size_t count_of(const struct standin_plan *plan, const char *word)
{
	size_t count = 0;
	struct bytes body = buffer_bytes(&plan->body);
	for (size_t i = 0; i + strlen(word) <= body.size; i++)
		if (memcmp(body.data + i, word, strlen(word)) == 0) count++;
	return count;
}

/* Every `data:` line but [DONE] is JSON. */
static void assert_events_are_json(const struct standin_plan *plan)
{
	struct bytes rest = buffer_bytes(&plan->body);
	while (rest.size > 0) {
		const char *end = memmem(rest.data, rest.size, "\n\n", 2);
		assert_non_null(end);
		struct bytes event = bytes_at(rest.data, (size_t)(end - rest.data));
		rest = bytes_at(end + 2, rest.size - event.size - 2);
		if (event.data[0] == ':' || bytes_equal_text(event, "data: [DONE]")) continue;
		assert_true(bytes_starts_with(event, BYTES_LITERAL("data: {")));
		yyjson_doc *document = yyjson_read(event.data + 6, event.size - 6, 0);
		assert_non_null(document);
		yyjson_doc_free(document);
	}
}

static void plan_stream_is_comment_deltas_finish_usage_done(void **state)
{
	(void)state;
	struct standin_plan plan;
	struct standin_serving serving = serving_of(BEHAVIOUR_ANSWER);
	make(BODY, &serving, &plan);
	assert_int_equal(plan.status, 200);
	assert_string_equal(plan.content_type, "text/event-stream");
	assert_string_equal(plan.generation_id, "gen-1764000000-standin0000000000000005");
	assert_true(bytes_starts_with(buffer_bytes(&plan.body), BYTES_LITERAL(": OPENROUTER PROCESSING\n\ndata: {")));
	assert_int_equal(count_of(&plan, "\"finish_reason\":null"), 4);
	assert_int_equal(count_of(&plan, "\"finish_reason\":\"stop\""), 1);
	assert_int_equal(count_of(&plan, "\"choices\":[],\"usage\":{"), 1);
	assert_int_equal(count_of(&plan, "data: [DONE]\n\n"), 1);
	assert_int_equal(count_of(&plan, plan.generation_id), 6);
	assert_int_equal(plan.ending, STANDIN_ENDS);
	assert_events_are_json(&plan);
	standin_plan_deinit(&plan);
}

static void plan_without_times_is_due_at_once(void **state)
{
	(void)state;
	struct standin_plan plan;
	struct standin_serving serving = serving_of(BEHAVIOUR_ANSWER);
	make(BODY, &serving, &plan);
	assert_int_equal(standin_plan_first_ms(&plan), 0);
	assert_int_equal(plan.mark_count, 1);
	assert_int_equal(standin_plan_due(&plan, 0), plan.body.size);
	assert_int_equal(standin_plan_next_ms(&plan, plan.body.size), INT64_MAX);
	standin_plan_deinit(&plan);
}

static void plan_latency_alone_comes_all_at_its_end(void **state)
{
	(void)state;
	struct standin_plan plan;
	struct standin_serving serving = serving_of(BEHAVIOUR_ANSWER);
	serving.timing.latency_ms = 500;
	make(BODY, &serving, &plan);
	assert_int_equal(standin_plan_first_ms(&plan), 500);
	assert_int_equal(standin_plan_due(&plan, 499), 0);
	assert_int_equal(standin_plan_due(&plan, 500), plan.body.size);
	standin_plan_deinit(&plan);
}

static void plan_deltas_are_spread_from_first_to_last(void **state)
{
	(void)state;
	struct standin_plan plan;
	struct standin_serving serving = serving_of(BEHAVIOUR_ANSWER);
	serving.timing.ttft_ms = 100;
	serving.timing.latency_ms = 400;
	make(BODY, &serving, &plan);
	assert_int_equal(plan.mark_count, 4);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(plan.marks[i].due_ms, 100 + 100 * (int64_t)i);
		assert_int_equal(standin_plan_due(&plan, plan.marks[i].due_ms), plan.marks[i].end);
		size_t before = i > 0 ? plan.marks[i - 1].end : 0;
		assert_int_equal(standin_plan_due(&plan, plan.marks[i].due_ms - 1), before);
		assert_int_equal(standin_plan_next_ms(&plan, before), plan.marks[i].due_ms);
	}
	assert_int_equal(plan.marks[3].end, plan.body.size);
	standin_plan_deinit(&plan);
}

static void plan_tps_spreads_where_no_latency_is_given(void **state)
{
	(void)state;
	struct standin_plan plan;
	struct standin_serving serving = serving_of(BEHAVIOUR_ANSWER);
	serving.timing.ttft_ms = 100;
	serving.timing.tps = 10;
	make(BODY, &serving, &plan);
	assert_int_equal(plan.marks[0].due_ms, 100);
	assert_int_equal(plan.marks[plan.mark_count - 1].due_ms, 500);
	standin_plan_deinit(&plan);
}

static void plan_latency_before_ttft_is_the_ttft(void **state)
{
	(void)state;
	struct standin_plan plan;
	struct standin_serving serving = serving_of(BEHAVIOUR_ANSWER);
	serving.timing.ttft_ms = 300;
	serving.timing.latency_ms = 100;
	make(BODY, &serving, &plan);
	assert_int_equal(plan.mark_count, 1);
	assert_int_equal(plan.marks[0].due_ms, 300);
	standin_plan_deinit(&plan);
}

static void plan_shift_moves_all_times(void **state)
{
	(void)state;
	struct standin_plan plan;
	struct standin_serving serving = serving_of(BEHAVIOUR_ANSWER);
	serving.shift_ms = 33;
	make(BODY, &serving, &plan);
	assert_int_equal(standin_plan_first_ms(&plan), 33);
	standin_plan_deinit(&plan);
}

static void plan_long_wait_begins_with_a_keepalive(void **state)
{
	(void)state;
	struct standin_plan plan;
	struct standin_serving serving = serving_of(BEHAVIOUR_ANSWER);
	serving.timing.latency_ms = 2000;
	make(BODY, &serving, &plan);
	assert_int_equal(standin_plan_first_ms(&plan), 700);
	assert_true(bytes_equal_text(plan.keepalive, ": OPENROUTER PROCESSING\n\n"));
	standin_plan_deinit(&plan);
	serving.keepalive_ms = 0;
	make(BODY, &serving, &plan);
	assert_int_equal(standin_plan_first_ms(&plan), 2000);
	standin_plan_deinit(&plan);
}

/* Appends the contents of all deltas to `out`. */
static void join_contents(const struct standin_plan *plan, struct buffer *out)
{
	static const char MARK[] = "\"content\":\"";
	struct bytes body = buffer_bytes(&plan->body);
	const char *end = body.data + body.size, *at = body.data;
	while ((at = memmem(at, (size_t)(end - at), MARK, sizeof MARK - 1)) != NULL) {
		at += sizeof MARK - 1;
		const char *quote = memchr(at, '"', (size_t)(end - at));
		buffer_append(out, bytes_at(at, (size_t)(quote - at)));
	}
}

/* Characters of one, two, three and four bytes. */
#define WIDE_TEXT "k\xc3\xa4se \xf0\x9f\xa7\x80 \xe6\xbc\xa2\xe5\xad\x97"

static void plan_content_is_whole_however_it_is_cut(void **state)
{
	(void)state;
	static const char WIDE_BODY[] =
		"{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"" WIDE_TEXT "\"}]}";
	struct standin_serving serving = serving_of(BEHAVIOUR_ANSWER);
	for (int64_t deltas = 1; deltas <= 400; deltas += 7) {
		struct standin_plan plan;
		struct buffer content;
		buffer_init(&content, 4096);
		serving.timing.deltas = deltas;
		make(WIDE_BODY, &serving, &plan);
		assert_events_are_json(&plan); /* so no character is cut */
		join_contents(&plan, &content);
		assert_true(bytes_starts_with(
			buffer_bytes(&content), BYTES_LITERAL("You wrote: " WIDE_TEXT " | m answers: ")));
		assert_int_equal(content.data[content.size - 1], '.');
		buffer_deinit(&content);
		standin_plan_deinit(&plan);
	}
}

static void plan_plain_answer_is_one_json_object(void **state)
{
	(void)state;
	struct standin_plan plan;
	struct standin_serving serving = serving_of(BEHAVIOUR_ANSWER);
	make(PLAIN_BODY, &serving, &plan);
	assert_string_equal(plan.content_type, "application/json");
	assert_true(bytes_equal_text(plan.keepalive, "\n         "));
	yyjson_doc *document = yyjson_read(plan.body.data, plan.body.size, 0);
	assert_non_null(document);
	yyjson_doc_free(document);
	standin_plan_deinit(&plan);
}

static void plan_stall_has_a_comment_and_no_end(void **state)
{
	(void)state;
	struct standin_plan plan;
	struct standin_serving serving = serving_of(BEHAVIOUR_STALL);
	make(BODY, &serving, &plan);
	assert_int_equal(plan.ending, STANDIN_STALLS);
	assert_int_equal(count_of(&plan, "data:"), 0);
	assert_int_equal(standin_plan_first_ms(&plan), 0);
	standin_plan_deinit(&plan);
	make(PLAIN_BODY, &serving, &plan);
	assert_int_equal(plan.ending, STANDIN_STALLS);
	assert_int_equal(plan.body.size, 0);
	assert_int_equal(standin_plan_first_ms(&plan), 700);
	standin_plan_deinit(&plan);
}

static void plan_hang_sends_nothing(void **state)
{
	(void)state;
	struct standin_plan plan;
	struct standin_serving serving = serving_of(BEHAVIOUR_HANG);
	make(BODY, &serving, &plan);
	assert_int_equal(plan.ending, STANDIN_HANGS);
	assert_int_equal(standin_plan_first_ms(&plan), STANDIN_WAIT_MAX_MS);
	standin_plan_deinit(&plan);
}

static void plan_cut_is_half_an_answer(void **state)
{
	(void)state;
	struct standin_plan plan;
	struct standin_serving serving = serving_of(BEHAVIOUR_CUT);
	make(BODY, &serving, &plan);
	assert_int_equal(plan.ending, STANDIN_BREAKS);
	assert_int_equal(count_of(&plan, "\"finish_reason\":null"), 2);
	assert_int_equal(count_of(&plan, "[DONE]"), 0);
	standin_plan_deinit(&plan);
	make(PLAIN_BODY, &serving, &plan);
	assert_int_equal(plan.ending, STANDIN_BREAKS);
	assert_null(yyjson_read(plan.body.data, plan.body.size, 0));
	standin_plan_deinit(&plan);
}

static void plan_error_is_half_an_answer_and_an_error(void **state)
{
	(void)state;
	struct standin_plan plan;
	struct standin_serving serving = serving_of(BEHAVIOUR_ERROR);
	make(BODY, &serving, &plan);
	assert_int_equal(plan.status, 200);
	assert_int_equal(count_of(&plan, "\"finish_reason\":null"), 2);
	assert_int_equal(count_of(&plan, "\"error\":{\"code\":502"), 1);
	assert_int_equal(count_of(&plan, "[DONE]"), 0);
	assert_events_are_json(&plan);
	standin_plan_deinit(&plan);
}

static void plan_status_is_json_with_retry_after(void **state)
{
	(void)state;
	struct standin_plan plan;
	struct standin_serving serving = serving_of(BEHAVIOUR_STATUS);
	serving.status = 429;
	serving.retry_after_s = 3;
	serving.timing.latency_ms = 5000;
	make(BODY, &serving, &plan);
	assert_int_equal(plan.status, 429);
	assert_int_equal(plan.retry_after_s, 3);
	assert_int_equal(standin_plan_first_ms(&plan), 0);
	assert_int_equal(count_of(&plan, "\"error_type\":\"rate_limit_exceeded\""), 1);
	standin_plan_deinit(&plan);
	serving.error_type = BYTES_LITERAL("other");
	make(BODY, &serving, &plan);
	assert_int_equal(count_of(&plan, "\"error_type\":\"other\""), 1);
	standin_plan_deinit(&plan);
}

static void plan_edge_status_is_html(void **state)
{
	(void)state;
	struct standin_plan plan;
	struct standin_serving serving = serving_of(BEHAVIOUR_STATUS);
	serving.status = 524;
	make(BODY, &serving, &plan);
	assert_int_equal(plan.status, 524);
	assert_string_equal(plan.content_type, "text/html; charset=UTF-8");
	standin_plan_deinit(&plan);
}

static void plan_tool_call_names_the_first_tool(void **state)
{
	(void)state;
	struct standin_plan plan;
	struct standin_serving serving = serving_of(BEHAVIOUR_TOOL);
	make(BODY, &serving, &plan);
	assert_int_equal(count_of(&plan, "\"name\":\"lookup\""), 1);
	assert_int_equal(count_of(&plan, "\"finish_reason\":\"tool_calls\""), 1);
	assert_events_are_json(&plan);
	standin_plan_deinit(&plan);
	make("{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
	     "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f1\"}},{\"function\":{\"name\":\"f2\"}}]}",
		&serving, &plan);
	assert_int_equal(count_of(&plan, "\"name\":\"f1\""), 1);
	standin_plan_deinit(&plan);
}

static void plan_empty_has_no_delta(void **state)
{
	(void)state;
	struct standin_plan plan;
	struct standin_serving serving = serving_of(BEHAVIOUR_EMPTY);
	make(BODY, &serving, &plan);
	assert_int_equal(count_of(&plan, "\"finish_reason\":null"), 0);
	assert_int_equal(count_of(&plan, "\"completion_tokens\":0"), 1);
	standin_plan_deinit(&plan);
}

static void plan_error_without_request_is_json(void **state)
{
	(void)state;
	struct standin_plan plan;
	assert_int_equal(standin_plan_init_error(&plan, 404, "a \"quoted\" word"), STATUS_OK);
	assert_int_equal(plan.status, 404);
	assert_int_equal(standin_plan_due(&plan, 0), plan.body.size);
	assert_true(bytes_equal_text(
		buffer_bytes(&plan.body), "{\"error\":{\"code\":404,\"message\":\"a \\\"quoted\\\" word\"}}"));
	standin_plan_deinit(&plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plan_stream_is_comment_deltas_finish_usage_done),
		cmocka_unit_test(plan_without_times_is_due_at_once),
		cmocka_unit_test(plan_latency_alone_comes_all_at_its_end),
		cmocka_unit_test(plan_deltas_are_spread_from_first_to_last),
		cmocka_unit_test(plan_tps_spreads_where_no_latency_is_given),
		cmocka_unit_test(plan_latency_before_ttft_is_the_ttft),
		cmocka_unit_test(plan_shift_moves_all_times),
		cmocka_unit_test(plan_long_wait_begins_with_a_keepalive),
		cmocka_unit_test(plan_content_is_whole_however_it_is_cut),
		cmocka_unit_test(plan_plain_answer_is_one_json_object),
		cmocka_unit_test(plan_stall_has_a_comment_and_no_end),
		cmocka_unit_test(plan_hang_sends_nothing),
		cmocka_unit_test(plan_cut_is_half_an_answer),
		cmocka_unit_test(plan_error_is_half_an_answer_and_an_error),
		cmocka_unit_test(plan_status_is_json_with_retry_after),
		cmocka_unit_test(plan_edge_status_is_html),
		cmocka_unit_test(plan_tool_call_names_the_first_tool),
		cmocka_unit_test(plan_empty_has_no_delta),
		cmocka_unit_test(plan_error_without_request_is_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
