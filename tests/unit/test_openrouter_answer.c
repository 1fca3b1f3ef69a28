/* Answers that are answers: streams and whole bodies put together, and what is told of them. */
#include "openrouter_support.h"

/* One chunk with a delta, and one with a finish reason. */
#define DELTA(text) "data: {\"id\":\"gen-1\",\"model\":\"a/b\",\"choices\":[{\"index\":0,\"delta\":{" text "}}]}\n\n"
#define FINISH(word) \
	"data: {\"id\":\"gen-1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" word "\"}]}\n\n"
#define DONE "data: [DONE]\n\n"
#define WHOLE(message, finish) "{\"choices\":[{\"message\":{" message "},\"finish_reason\":" finish "}]}"

static void answer_stream_of_text_is_put_together(void **state)
{
	(void)state;
	const struct response response = EVENTS(
		": OPENROUTER PROCESSING\n\n"
		"data: {\"id\":\"gen-123\",\"provider\":\"Open AI\",\"model\":\"openai/gpt-4o-mini\",\"object\":"
		"\"chat.completion.chunk\",\"created\":1755863213,\"choices\":[{\"index\":0,\"delta\":{\"role\":"
		"\"assistant\",\"content\":\"\"},\"finish_reason\":null,\"native_finish_reason\":null,\"logprobs\":"
		"null}]}\n\n"
		": \n\n" DELTA("\"content\":\"Hel\"") DELTA("\"content\":\"lo \\ud83d\\ude00\"") DELTA(
			"\"content\":\"!\"") FINISH("stop") "data: "
							    "{\"id\":\"gen-123\",\"choices\":[],\"usage\":{\"prompt_"
							    "tokens\":14,\"completion_tokens\":3,"
							    "\"total_tokens\":17,\"cost\":0.00009993,\"cost_details\":{"
							    "\"upstream_inference_cost\":null}}}\n\n" DONE);
	struct heard heard = hear(&response);
	const struct chat_answer *answer = &heard.result.answer;
	assert_int_equal(heard.result.failure.reason, REASON_NONE);
	assert_int_equal(heard.fed, STATUS_CLOSED);
	assert_bytes(answer->content, "Hello \xf0\x9f\x98\x80!");
	assert_bytes(answer->finish_reason, "stop");
	assert_bytes(answer->model, "openai/gpt-4o-mini");
	assert_bytes(answer->provider, "Open AI");
	assert_bytes(answer->generation_id, "gen-123");
	assert_bytes(answer->usage_json, "{\"prompt_tokens\":14,\"completion_tokens\":3,\"total_tokens\":17,\"cost\":"
					 "0.00009993,\"cost_details\":{\"upstream_inference_cost\":null}}");
	assert_true(answer->cost_usd > 0.000099 && answer->cost_usd < 0.0001);
	assert_int_equal(answer->prompt_tokens, 14);
	assert_int_equal(answer->completion_tokens, 3);
	assert_bytes(answer->tool_calls_json, NULL);
	assert_bytes(answer->refusal, NULL);
	assert_bytes(answer->reasoning, NULL);
	assert_bytes(answer->annotations_json, NULL);
	assert_bytes(answer->images_json, NULL);
	heard_free(&heard);
}

static void answer_whole_body_is_read_like_a_stream(void **state)
{
	(void)state;
	const struct response response = JSON(
		" \n\t\r\n "
		"{\"id\":\"gen-9\",\"provider\":\"P\",\"model\":\"a/b\",\"choices\":[{\"index\":0,\"logprobs\":null,"
		"\"finish_reason\":\"length\",\"message\":{\"role\":\"assistant\",\"content\":\"Hi\",\"refusal\":null,"
		"\"reasoning\":\"Hm\",\"annotations\":[{\"a\":1.10}],\"images\":[{\"i\":[]}],\"tool_calls\":[]}}],"
		"\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"cost\":0}} \n");
	struct heard heard = hear(&response);
	const struct chat_answer *answer = &heard.result.answer;
	assert_int_equal(heard.result.failure.reason, REASON_NONE);
	assert_bytes(answer->content, "Hi");
	assert_bytes(answer->finish_reason, "length");
	assert_bytes(answer->reasoning, "Hm");
	assert_bytes(answer->annotations_json, "[{\"a\":1.10}]");
	assert_bytes(answer->images_json, "[{\"i\":[]}]");
	assert_bytes(answer->tool_calls_json, NULL);
	assert_bytes(answer->generation_id, "gen-9");
	assert_int_equal(answer->completion_tokens, 2);
	assert_true(answer->cost_usd <= 0);
	heard_free(&heard);
}

static void answer_usage_may_ride_on_the_finishing_chunk(void **state)
{
	(void)state;
	const struct response response =
		EVENTS(DELTA("\"content\":\"Hi\"") "data: "
						   "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":"
						   "{\"prompt_tokens\":5}}\n\n"
						   "data: {\"choices\":[],\"usage\":null}\n\n" DONE);
	struct heard heard = hear(&response);
	assert_bytes(heard.result.answer.usage_json, "{\"prompt_tokens\":5}");
	assert_int_equal(heard.result.answer.prompt_tokens, 5);
	assert_int_equal(heard.result.answer.completion_tokens, -1);
	heard_free(&heard);
}

static void answer_last_usage_counts(void **state)
{
	(void)state;
	const struct response response =
		EVENTS(DELTA("\"content\":\"Hi\"") "data: {\"usage\":{\"prompt_tokens\":1,\"cost\":1}}\n\n" FINISH(
			"stop") "data: {\"choices\":[],\"usage\":{\"completion_tokens\":2}}\n\n" DONE);
	struct heard heard = hear(&response);
	assert_bytes(heard.result.answer.usage_json, "{\"completion_tokens\":2}");
	assert_int_equal(heard.result.answer.prompt_tokens, -1);
	assert_int_equal(heard.result.answer.completion_tokens, 2);
	assert_true(heard.result.answer.cost_usd <= 0);
	heard_free(&heard);
}

static void answer_huge_and_odd_numbers_are_kept_and_not_believed(void **state)
{
	(void)state;
	const struct response response = JSON("{\"choices\":[{\"message\":{\"content\":\"Hi\"},\"finish_reason\":"
					      "\"stop\"}],\"created\":1e999999,\"usage\":{"
					      "\"prompt_tokens\":123456789012345678901234567890,\"completion_tokens\":-"
					      "3,\"cost\":1e999,\"x\":-0.0}}");
	struct heard heard = hear(&response);
	assert_int_equal(heard.result.failure.reason, REASON_NONE);
	assert_int_equal(heard.result.answer.prompt_tokens, -1);
	assert_int_equal(heard.result.answer.completion_tokens, -1);
	assert_true(heard.result.answer.cost_usd <= 0);
	assert_bytes(heard.result.answer.usage_json, "{\"prompt_tokens\":123456789012345678901234567890,"
						     "\"completion_tokens\":-3,\"cost\":1e999,\"x\":-0.0}");
	heard_free(&heard);
}

static void answer_finish_reason_is_one_of_four(void **state)
{
	(void)state;
	static const struct {
		struct response response;
		const char *told;
	} rows[] = {
		{ JSON(WHOLE("\"content\":\"x\"", "\"stop\"")), "stop" },
		{ JSON(WHOLE("\"content\":\"x\"", "\"length\"")), "length" },
		{ JSON(WHOLE("\"content\":\"x\"", "\"max_tokens\"")), "length" },
		{ JSON(WHOLE("\"content\":\"x\"", "\"content_filter\"")), "content_filter" },
		{ JSON(WHOLE("\"content\":\"x\"", "\"end_turn\"")), "stop" },
		{ JSON(WHOLE("\"content\":\"x\"", "null")), "stop" },
		{ JSON(WHOLE("\"content\":\"x\"", "\"\"")), "stop" },
		{ JSON(WHOLE("\"content\":\"x\"", "7")), "stop" },
		/* Without a call there is none to be made. */
		{ JSON(WHOLE("\"content\":\"x\"", "\"tool_calls\"")), "stop" },
		{ JSON(WHOLE("\"content\":\"x\"", "\"function_call\"")), "stop" },
		{ JSON(WHOLE("\"content\":\"x\",\"tool_calls\":[{\"id\":\"1\"}]", "\"stop\"")), "tool_calls" },
		{ JSON(WHOLE("\"content\":\"x\",\"tool_calls\":[{\"id\":\"1\"}]", "\"function_call\"")), "tool_calls" },
		/* A call that may be cut is told as such. */
		{ JSON(WHOLE("\"content\":\"x\",\"tool_calls\":[{\"id\":\"1\"}]", "\"length\"")), "length" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_answers(&rows[i].response, "x", rows[i].told);
}

static void answer_content_may_be_parts(void **state)
{
	(void)state;
	const struct response whole =
		JSON(WHOLE("\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image_url\","
			   "\"image_url\":{\"url\":\"u\"}},{\"type\":\"text\",\"text\":\"b\"},"
			   "{\"type\":\"reasoning\",\"text\":\"c\"},{},7]",
			"\"stop\""));
	assert_answers(&whole, "ab", "stop");
	const struct response stream = EVENTS(DELTA("\"content\":[{\"type\":\"text\",\"text\":\"a\"}]")
			DELTA("\"content\":[{\"type\":\"text\",\"text\":\"b\"}]") FINISH("stop") DONE);
	assert_answers(&stream, "ab", "stop");
}

static void answer_refusal_is_an_answer(void **state)
{
	(void)state;
	const struct response stream =
		EVENTS(DELTA("\"content\":null,\"refusal\":\"I \"") DELTA("\"refusal\":\"won't\"") FINISH("stop") DONE);
	struct heard heard = hear(&stream);
	assert_int_equal(heard.result.failure.reason, REASON_NONE);
	assert_bytes(heard.result.answer.refusal, "I won't");
	assert_bytes(heard.result.answer.content, NULL);
	assert_bytes(heard.result.answer.finish_reason, "stop");
	heard_free(&heard);

	const struct response filtered = JSON(WHOLE("\"content\":\"\",\"refusal\":\"No\"", "\"content_filter\""));
	assert_answers(&filtered, "", "content_filter");
}

static void answer_reasoning_annotations_and_images_are_joined(void **state)
{
	(void)state;
	const struct response response = EVENTS(
		DELTA("\"reasoning\":\"Let \",\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"Let \"}]")
			DELTA("\"content\":\"\",\"reasoning\":\"me\"")
				DELTA("\"content\":\"Hi\",\"annotations\":[{\"u\":1},{\"u\":2}]")
					DELTA("\"annotations\":[],\"images\":[{\"url\":\"data:1\"}]")
						DELTA("\"annotations\":[{\"u\":3}],\"images\":[{\"url\":\"data:2\"}]")
							FINISH("stop") DONE);
	struct heard heard = hear(&response);
	assert_int_equal(heard.result.failure.reason, REASON_NONE);
	assert_bytes(heard.result.answer.content, "Hi");
	assert_bytes(heard.result.answer.reasoning, "Let me");
	assert_bytes(heard.result.answer.annotations_json, "[{\"u\":1},{\"u\":2},{\"u\":3}]");
	assert_bytes(heard.result.answer.images_json, "[{\"url\":\"data:1\"},{\"url\":\"data:2\"}]");
	heard_free(&heard);
}

static void answer_image_alone_is_an_answer(void **state)
{
	(void)state;
	const struct response response = JSON(WHOLE("\"content\":\"\",\"images\":[{\"url\":\"data:1\"}]", "\"stop\""));
	assert_answers(&response, "", "stop");
}

static void answer_nul_is_left_out_everywhere(void **state)
{
	(void)state;
	const struct response response = EVENTS(
		DELTA("\"content\":\"\\u0000a\\u0000\\u0000b\\u0000\",\"annotations\":[{\"\\u0000k\":\"\\u0000v\"}]")
			DELTA("\"tool_calls\":[{\"index\":0,\"id\":\"c\\u0000\",\"function\":{\"name\":\"f\\u0000\","
			      "\"arguments\":\"{\\u0000}\"}}]") FINISH("tool_calls") DONE);
	struct heard heard = hear(&response);
	assert_bytes(heard.result.answer.content, "ab");
	assert_bytes(heard.result.answer.annotations_json, "[{\"k\":\"v\"}]");
	assert_bytes(heard.result.answer.tool_calls_json,
		"[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]");
	heard_free(&heard);
}

static void answer_names_are_fit_for_headers_or_left_out(void **state)
{
	(void)state;
	const struct response response =
		JSON("{\"id\":\"gen-1\\r\\nx: y\",\"model\":\"a/\\u00e9\",\"provider\":\" P\",\"choices\":"
		     "[{\"message\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}");
	struct heard heard = hear(&response);
	assert_int_equal(heard.result.failure.reason, REASON_NONE);
	assert_bytes(heard.result.answer.generation_id, NULL);
	assert_bytes(heard.result.answer.model, NULL);
	assert_bytes(heard.result.answer.provider, NULL);
	heard_free(&heard);
}

static void assert_generation(const char *header, const char *body_id, const char *expected)
{
	char text[512];
	int size = snprintf(text, sizeof(text),
		"{\"id\":\"%s\",\"choices\":[{\"message\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}", body_id);
	const struct response response = { .status = 200,
		.name = header == NULL ? NULL : "X-Generation-Id",
		.value = header,
		.body = bytes_at(text, (size_t)size) };
	struct heard heard = hear(&response);
	assert_bytes(heard.result.answer.generation_id, expected);
	heard_free(&heard);
}

static void answer_generation_id_comes_from_body_or_header(void **state)
{
	(void)state;
	assert_generation("gen-header", "gen-body", "gen-body");
	assert_generation("gen-header", "", "gen-header");
	assert_generation(" gen-header ", "chatcmpl-7", "gen-header");
	assert_generation(NULL, "chatcmpl-7", "chatcmpl-7");
	assert_generation(NULL, "", NULL);
	assert_generation("gen\x01", "", NULL);
	assert_generation("gen\x7f", "", NULL);
	assert_generation(NULL, "gen\\u007f", NULL);
}

static void answer_message_in_a_stream_is_taken_once(void **state)
{
	(void)state;
	const struct response alone = EVENTS("data: " WHOLE("\"content\":\"Hi\"", "\"stop\"") "\n\n" DONE);
	assert_answers(&alone, "Hi", "stop");
	const struct response again =
		EVENTS(DELTA("\"content\":\"Hi\"") "data: " WHOLE("\"content\":\"Hi\"", "\"stop\"") "\n\n" DONE);
	assert_answers(&again, "Hi", "stop");
}

static void answer_other_choices_are_left_out(void **state)
{
	(void)state;
	const struct response response = EVENTS(
		"data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"B\"}}]}\n\n" DELTA("\"content\":\"A\"")
			FINISH("stop") DONE);
	assert_answers(&response, "A", "stop");
}

static void answer_kind_is_found_whatever_the_type_says(void **state)
{
	(void)state;
	struct response json = JSON(WHOLE("\"content\":\"x\"", "\"stop\""));
	struct response events = EVENTS(DELTA("\"content\":\"x\"") FINISH("stop") DONE);
	static const char *const types[] = { NULL, "text/event-stream", "TEXT/Event-Stream ; charset=utf-8",
		"application/json", "text/html", "" };
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		json.type = types[i];
		events.type = types[i];
		assert_answers(&json, "x", "stop");
		assert_answers(&events, "x", "stop");
	}
	const struct response marked = JSON("\xef\xbb\xbf " WHOLE("\"content\":\"x\"", "\"stop\""));
	assert_answers(&marked, "x", "stop");
	const struct response comment = { .status = 200,
		.body = BYTES_LITERAL(": hi\r\n\r\nevent: x\r\n" DELTA("\"content\":\"x\"") FINISH("stop") DONE) };
	assert_answers(&comment, "x", "stop");
}

static void answer_content_counts_what_users_wait_for(void **state)
{
	(void)state;
	static const struct {
		struct response response;
		uint64_t count;
	} rows[] = {
		{ EVENTS(": x\n\n" DELTA("\"role\":\"assistant\",\"content\":\"\"")
				  DELTA("\"content\":\" \\n\\u00a0\\u3000\"")),
			0 },
		{ EVENTS(DELTA("\"content\":\"a\"") DELTA("\"content\":\"b\"")), 2 },
		{ EVENTS(DELTA("\"reasoning\":\"a\"")), 1 },
		{ EVENTS(DELTA("\"refusal\":\"a\"")), 1 },
		{ EVENTS(DELTA("\"tool_calls\":[{\"index\":0}]")), 1 },
		{ EVENTS(DELTA("\"tool_calls\":[],\"images\":[]") FINISH("stop") DONE), 0 },
		{ EVENTS(DELTA("\"images\":[{}]")), 1 },
		{ JSON("   \n  "), 0 },
		{ JSON(" {\"a\":1"), 1 },
		{ ERROR_JSON(500, "{\"error\":{}}"), 0 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct heard heard = hear(&rows[i].response);
		assert_int_equal(heard.content, rows[i].count);
		heard_free(&heard);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answer_stream_of_text_is_put_together),
		cmocka_unit_test(answer_whole_body_is_read_like_a_stream),
		cmocka_unit_test(answer_usage_may_ride_on_the_finishing_chunk),
		cmocka_unit_test(answer_last_usage_counts),
		cmocka_unit_test(answer_huge_and_odd_numbers_are_kept_and_not_believed),
		cmocka_unit_test(answer_finish_reason_is_one_of_four),
		cmocka_unit_test(answer_content_may_be_parts),
		cmocka_unit_test(answer_refusal_is_an_answer),
		cmocka_unit_test(answer_reasoning_annotations_and_images_are_joined),
		cmocka_unit_test(answer_image_alone_is_an_answer),
		cmocka_unit_test(answer_nul_is_left_out_everywhere),
		cmocka_unit_test(answer_names_are_fit_for_headers_or_left_out),
		cmocka_unit_test(answer_generation_id_comes_from_body_or_header),
		cmocka_unit_test(answer_message_in_a_stream_is_taken_once),
		cmocka_unit_test(answer_other_choices_are_left_out),
		cmocka_unit_test(answer_kind_is_found_whatever_the_type_says),
		cmocka_unit_test(answer_content_counts_what_users_wait_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
