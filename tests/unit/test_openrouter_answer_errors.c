/* Responses that are no answers: error objects in their three places, statuses, and answers that lack something. */
#include "openrouter_support.h"

#define DELTA(text) "data: {\"choices\":[{\"index\":0,\"delta\":{" text "}}]}\n\n"
#define FINISH(word) "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" word "\"}]}\n\n"
#define DONE "data: [DONE]\n\n"
#define WHOLE(message, finish) "{\"choices\":[{\"message\":{" message "},\"finish_reason\":" finish "}]}"
#define ERROR(members) "{\"error\":{" members "}}"

#define END FAILURE_ACTION_END
#define SAME FAILURE_ACTION_SAME
#define SAME_ONCE FAILURE_ACTION_SAME_ONCE
#define NEXT FAILURE_ACTION_NEXT
#define NEXT_ONLY FAILURE_ACTION_NEXT_ONLY
#define NEXT_ONCE FAILURE_ACTION_NEXT_ONCE
#define TRIM FAILURE_ACTION_TRIM
#define LATCH FAILURE_ACTION_LATCH

struct row {
	struct response response;
	enum reason reason;
	enum failure_action action;
};

#define ASSERT_ROWS(rows) assert_rows(rows, sizeof(rows) / sizeof((rows)[0]))

static void assert_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		assert_fails(&rows[i].response, rows[i].reason, rows[i].action);
}

/* The same error as a response of its own status, as a 200, as an event before and after text, and in the first choice
 * with partial text, whole and as an event. */
static void assert_error_everywhere(int status, const char *error, enum reason reason, enum failure_action action)
{
	static const struct {
		const char *type, *before, *after;
		bool own_status;
	} places[] = {
		{ "application/json", "{\"error\":", "}", true },
		{ "text/event-stream", "{\"error\":", "}", true },
		{ "text/event-stream", "data: {\"error\":", "}\n\n", true },
		{ "application/json", "\n \n {\"error\":", ",\"user_id\":\"u\"}", false },
		{ "text/event-stream", ": x\n\ndata: {\"error\":", "}\n\n", false },
		{ "text/event-stream",
			DELTA("\"content\":\"Hi\"") FINISH("length") "data: {\"id\":\"gen-1\",\"error\":",
			",\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":null}],\"usage\":{}}\n\n" DONE,
			false },
		{ "application/json",
			"{\"choices\":[{\"message\":{\"content\":\"par\"},\"finish_reason\":\"error\",\"error\":",
			"}]}", false },
		{ "text/event-stream",
			DELTA("\"content\":\"par\"") "data: {\"choices\":[{\"finish_reason\":\"error\",\"error\":",
			"}]}\n\n", false },
	};
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char text[2048];
		int size = snprintf(text, sizeof(text), "%s%s%s", places[i].before, error, places[i].after);
		assert_in_range(size, 1, sizeof(text) - 1);
		const struct response response = { .status = places[i].own_status ? status : 200,
			.type = places[i].type,
			.body = bytes_at(text, (size_t)size) };
		assert_fails(&response, reason, action);
		struct heard heard = hear(&response);
		assert_int_equal(heard.result.failure.http_status, status);
		heard_free(&heard);
	}
}

static void errors_are_found_in_all_places(void **state)
{
	(void)state;
	assert_error_everywhere(400, "{\"code\":400,\"message\":\"m\",\"metadata\":null}", REASON_BAD_REQUEST, END);
	assert_error_everywhere(401, "{\"code\":401,\"message\":\"No auth\"}", REASON_AUTH, LATCH);
	assert_error_everywhere(402, "{\"code\":\"402\",\"message\":\"m\"}", REASON_CREDITS, LATCH);
	assert_error_everywhere(403, "{\"code\":403,\"metadata\":{\"reasons\":[\"violence\"],\"flagged_input\":\"x\"}}",
		REASON_MODERATED, NEXT_ONCE);
	assert_error_everywhere(403, "{\"code\":403,\"metadata\":{\"patterns\":[\"p\"]}}", REASON_MODERATED, END);
	assert_error_everywhere(
		404, "{\"code\":404,\"message\":\"No endpoints found\"}", REASON_NO_PROVIDER, NEXT_ONLY);
	assert_error_everywhere(408, "{\"code\":408}", REASON_TIMEOUT, NEXT);
	assert_error_everywhere(413, "{\"code\":413}", REASON_CONTEXT_LENGTH, TRIM);
	assert_error_everywhere(
		429, "{\"code\":429,\"metadata\":{\"error_type\":\"rate_limit_exceeded\"}}", REASON_RATE_LIMITED, SAME);
	assert_error_everywhere(
		500, "{\"code\":500,\"metadata\":{\"error_type\":\"unmapped\"}}", REASON_UPSTREAM_ERROR, SAME_ONCE);
	assert_error_everywhere(502, "{\"code\":502,\"message\":\"x\"}", REASON_UPSTREAM_ERROR, SAME_ONCE);
	assert_error_everywhere(503, "{\"code\":503}", REASON_OVERLOADED, NEXT);
	assert_error_everywhere(
		400, "{\"code\":400,\"metadata\":{\"error_type\":\"refusal\"}}", REASON_REFUSED, NEXT_ONCE);
	/* Without a code, beside the availability. */
	assert_error_everywhere(429,
		"{\"error_type\":\"rate_limit_exceeded\",\"http_status\":429,\"availability\":{\"code\":\"capacity_"
		"exhausted\","
		"\"retryable\":true,\"retry_after\":40}}",
		REASON_RATE_LIMITED, SAME);
	assert_error_everywhere(404,
		"{\"http_status\":404,\"availability\":{\"code\":\"model_deprecated\",\"retryable\":false}}",
		REASON_MODEL_UNAVAILABLE, NEXT_ONLY);
}

static void errors_of_odd_shapes_are_errors(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{ JSON("{\"error\":{}}"), REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ JSON("{\"error\":\"Rate limit\"}"), REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ JSON(ERROR("\"code\":\"server_error\"")), REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ JSON(ERROR("\"code\":\"authentication\"")), REASON_AUTH, LATCH },
		{ JSON(ERROR("\"code\":1e2,\"message\":7,\"metadata\":[]")), REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ JSON(ERROR("\"code\":99999999999999999999")), REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ JSON(ERROR("\"code\":-429")), REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ JSON("{\"error\":{\"code\":429},\"choices\":[]}"), REASON_RATE_LIMITED, SAME },
		{ JSON(WHOLE("\"content\":\"partial\"", "\"error\"")), REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ EVENTS(DELTA("\"content\":\"Hi\"") FINISH("error") DONE), REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ ERROR_JSON(429, ERROR("\"code\":1302")), REASON_RATE_LIMITED, SAME },
		{ ERROR_JSON(502, ERROR("\"code\":429")), REASON_RATE_LIMITED, SAME },
	};
	ASSERT_ROWS(rows);
	/* Null is none. */
	const struct response fine =
		JSON("{\"error\":null,\"choices\":[{\"error\":null,\"message\":{\"content\":\"x\"},"
		     "\"finish_reason\":\"stop\"}]}");
	assert_answers(&fine, "x", "stop");
}

static void errors_are_told_apart_by_message(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{ ERROR_JSON(400, ERROR("\"message\":\"This endpoint's Maximum Context Length is 4096 tokens\"")),
			REASON_CONTEXT_LENGTH, TRIM },
		{ ERROR_JSON(
			  400, ERROR("\"message\":\"Provider returned error\",\"metadata\":{\"raw\":\"{\\\"message\\\":"
				     "\\\"prompt is too long: 9 tokens\\\"}\"}")),
			REASON_CONTEXT_LENGTH, TRIM },
		{ JSON(ERROR("\"message\":\"exceeds the context window\"")), REASON_CONTEXT_LENGTH, TRIM },
		{ ERROR_JSON(400, ERROR("\"message\":\"foo/bar is not a valid model ID\",\"code\":400")),
			REASON_MODEL_UNAVAILABLE, NEXT_ONLY },
		{ ERROR_JSON(400, ERROR("\"message\":\"'models' array must have 3 items or fewer.\"")),
			REASON_MODEL_UNAVAILABLE, NEXT_ONLY },
		{ ERROR_JSON(404, ERROR("\"message\":\"foo has been deprecated\"")), REASON_MODEL_UNAVAILABLE,
			NEXT_ONLY },
		{ ERROR_JSON(429, ERROR("\"message\":\"Rate limit exceeded: free-models-per-day\"")),
			REASON_RATE_LIMITED, NEXT_ONLY },
		{ ERROR_JSON(429, ERROR("\"message\":\"Rate limit exceeded: tokens in context length\"")),
			REASON_RATE_LIMITED, SAME },
		{ ERROR_JSON(400, ERROR("\"message\":\"temperature: too many tokens\"")), REASON_BAD_REQUEST, END },
	};
	ASSERT_ROWS(rows);
}

static void errors_with_long_messages_are_looked_at_to_a_bound(void **state)
{
	(void)state;
	char text[8192];
	int size = snprintf(text, sizeof(text), "{\"error\":{\"message\":\"%05000d context length\"}}", 1);
	struct response response = { .status = 400, .body = bytes_at(text, (size_t)size) };
	assert_fails(&response, REASON_BAD_REQUEST, END);
	size = snprintf(text, sizeof(text), "{\"error\":{\"message\":\"context length %05000d\"}}", 1);
	response.body = bytes_at(text, (size_t)size);
	assert_fails(&response, REASON_CONTEXT_LENGTH, TRIM);
}

static void errors_without_an_object_are_judged_by_status(void **state)
{
	(void)state;
	static const char *const bodies[] = { "", " \n ", "error code: 1015", "<html><body>Bad gateway</body></html>",
		"{\"detail\":\"x\"}", "[1]", "{\"error\"", "null", "\xff\xfe", WHOLE("\"content\":\"x\"", "\"stop\""),
		DELTA("\"content\":\"x\"") FINISH("stop") DONE };
	static const enum transport_end ends[] = { TRANSPORT_WHOLE, TRANSPORT_CUT, TRANSPORT_TIMEOUT,
		TRANSPORT_CLOSED };
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		for (size_t j = 0; j < sizeof(ends) / sizeof(ends[0]); j++) {
			struct response response = {
				.status = 522, .type = "text/html", .body = bytes_of(bodies[i]), .end = ends[j]
			};
			assert_fails(&response, REASON_UPSTREAM_ERROR, SAME_ONCE);
			response.status = 429;
			assert_fails(&response, REASON_RATE_LIMITED, SAME);
			response.status = 302;
			assert_fails(&response, REASON_UPSTREAM_INVALID, END);
			response.type = "text/event-stream";
			response.status = 401;
			assert_fails(&response, REASON_AUTH, LATCH);
		}
	}
	struct response edge = { .status = 522, .body = BYTES_LITERAL("<html>") };
	struct heard heard = hear(&edge);
	assert_true(heard.result.failure.breaks_edge);
	assert_int_equal(heard.result.failure.http_status, 522);
	heard_free(&heard);
}

static void assert_wait(const struct response *response, int64_t expected_ms)
{
	struct heard heard = hear(response);
	assert_int_equal(heard.result.failure.retry_after_ms, expected_ms);
	heard_free(&heard);
}

static void errors_carry_the_wait_of_header_or_object(void **state)
{
	(void)state;
	struct response response = ERROR_JSON(429, ERROR("\"code\":429"));
	assert_wait(&response, -1);
	response.name = "RETRY-AFTER";
	response.value = "2";
	assert_wait(&response, 2000);
	response.value = "Sun, 06 Nov 1994 08:49:47 GMT";
	assert_wait(&response, 10000);
	response.value = "soon";
	assert_wait(&response, -1);
	response.name = "retry-after-ms";
	response.value = "1250";
	assert_wait(&response, 1250);

	response.body = BYTES_LITERAL(ERROR("\"availability\":{\"retry_after\":40.5}"));
	assert_wait(&response, 1250);
	response.name = NULL;
	assert_wait(&response, 40500);
	response.body = BYTES_LITERAL(ERROR("\"availability\":{\"retry_after\":1e300}"));
	assert_wait(&response, 86400000);
	response.body = BYTES_LITERAL(ERROR("\"availability\":{\"retry_after\":-1}"));
	assert_wait(&response, -1);
	response.body = BYTES_LITERAL(ERROR("\"availability\":{\"retry_after\":null}"));
	assert_wait(&response, -1);
}

#define CAP                                                                                                      \
	ERROR("\"code\":429,\"message\":\"Rate limit exceeded: free-models-per-day\",\"metadata\":{\"headers\":" \
	      "{\"X-RateLimit-Remaining\":\"0\",\"X-RateLimit-Reset\":%s}}")

/* The wait that a 429 with this header (NULL = none) and this body comes to. */
static int64_t wait_of(const char *header, const char *reset)
{
	char body[512];
	int size = snprintf(body, sizeof(body), CAP, reset);
	struct arena *arena = arena_new(1 << 16);
	struct openrouter_reader *reader = openrouter_reader_new(arena, &support_limits);
	assert_non_null(reader);
	openrouter_reader_status(reader, 429);
	openrouter_reader_header(
		reader, BYTES_LITERAL("content-type"), BYTES_LITERAL("application/json"), 1700000000000);
	if (header != NULL)
		openrouter_reader_header(reader, BYTES_LITERAL("X-RateLimit-Reset"), bytes_of(header), 1700000000000);
	enum status fed = openrouter_reader_feed(reader, bytes_at(body, (size_t)size));
	assert_int_equal(fed, STATUS_OK);
	struct openrouter_result result;
	openrouter_reader_finish(reader, TRANSPORT_WHOLE, true, &result);
	assert_int_equal(result.failure.reason, REASON_RATE_LIMITED);
	assert_int_equal(result.failure.action, NEXT_ONLY);
	openrouter_reader_free(reader);
	arena_free(arena);
	return result.failure.retry_after_ms;
}

static void errors_of_a_daily_cap_tell_when_it_ends(void **state)
{
	(void)state;
	assert_int_equal(wait_of(NULL, "\"1700003600000\""), 3600000);
	assert_int_equal(wait_of(NULL, "1700003600000"), 3600000);
	assert_int_equal(wait_of("1700001800000", "\"1700003600000\""), 1800000);
	assert_int_equal(wait_of("soon", "\"1700003600000\""), 3600000);
	assert_int_equal(wait_of(NULL, "null"), FAILURE_DAILY_CAP_MS);
	assert_int_equal(wait_of(NULL, "{}"), FAILURE_DAILY_CAP_MS);
}

static void errors_milliseconds_header_goes_before_seconds(void **state)
{
	(void)state;
	for (int order = 0; order < 2; order++) {
		struct arena *arena = arena_new(1 << 16);
		struct openrouter_reader *reader = openrouter_reader_new(arena, &support_limits);
		openrouter_reader_status(reader, 429);
		struct bytes seconds = BYTES_LITERAL("retry-after"), fine = BYTES_LITERAL("retry-after-ms");
		openrouter_reader_header(reader, order == 0 ? seconds : fine, BYTES_LITERAL("1"), 0);
		openrouter_reader_header(reader, order == 0 ? fine : seconds, BYTES_LITERAL("1"), 0);
		struct openrouter_result result;
		openrouter_reader_finish(reader, TRANSPORT_WHOLE, true, &result);
		assert_int_equal(result.failure.retry_after_ms, 1);
		openrouter_reader_free(reader);
		arena_free(arena);
	}
}

static void answers_that_lack_something_are_told_apart(void **state)
{
	(void)state;
	static const struct row rows[] = {
		/* No choices. */
		{ JSON("{}"), REASON_EMPTY_ANSWER, SAME_ONCE },
		{ JSON("{\"choices\":null}"), REASON_EMPTY_ANSWER, SAME_ONCE },
		{ JSON("{\"choices\":[]}"), REASON_EMPTY_ANSWER, SAME_ONCE },
		{ EVENTS(DONE), REASON_EMPTY_ANSWER, SAME_ONCE },
		{ EVENTS("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n" DONE), REASON_EMPTY_ANSWER,
			SAME_ONCE },
		/* Blank. */
		{ JSON(WHOLE("\"content\":null", "\"stop\"")), REASON_EMPTY_ANSWER, NEXT },
		{ JSON(WHOLE("\"content\":\"\"", "\"stop\"")), REASON_EMPTY_ANSWER, NEXT },
		{ JSON(WHOLE("\"content\":\" \\n\\t\\u00a0\\u3000\\u200b\\ufeff\\u0000\"", "\"stop\"")),
			REASON_EMPTY_ANSWER, NEXT },
		{ JSON(WHOLE("\"content\":[]", "\"stop\"")), REASON_EMPTY_ANSWER, NEXT },
		{ JSON(WHOLE("\"content\":\"\",\"tool_calls\":[],\"refusal\":\" \",\"images\":[]", "\"stop\"")),
			REASON_EMPTY_ANSWER, NEXT },
		{ JSON("{\"choices\":[{}]}"), REASON_EMPTY_ANSWER, NEXT },
		{ EVENTS(DELTA("\"content\":\" \"") DONE), REASON_EMPTY_ANSWER, NEXT },
		{ EVENTS(DELTA("\"content\":\"\"") FINISH("length") DONE), REASON_EMPTY_ANSWER, NEXT },
		/* Reasoning only. */
		{ JSON(WHOLE("\"content\":\"\",\"reasoning\":\"Hm\"", "\"length\"")), REASON_EMPTY_ANSWER, NEXT_ONLY },
		{ EVENTS(DELTA("\"reasoning\":\"Hm\"") FINISH("stop") DONE), REASON_EMPTY_ANSWER, NEXT_ONLY },
		{ EVENTS(DELTA("\"reasoning_details\":[{\"type\":\"reasoning.encrypted\"}]") FINISH("stop") DONE),
			REASON_EMPTY_ANSWER, NEXT_ONLY },
		/* Filtered. */
		{ JSON(WHOLE("\"content\":null", "\"content_filter\"")), REASON_REFUSED, NEXT_ONCE },
		{ EVENTS(DELTA("\"content\":\" \",\"reasoning\":\"Hm\"") FINISH("content_filter") DONE), REASON_REFUSED,
			NEXT_ONCE },
	};
	ASSERT_ROWS(rows);
}

static void answers_that_are_none_are_invalid(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{ JSON(""), REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ JSON(" \n\t\r\n   "), REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ JSON("\xef\xbb\xbf"), REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ JSON("<!DOCTYPE html><html></html>"), REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ EVENTS("<html></html>"), REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ JSON("error: no"), REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ JSON("{\"choices\":[{\"message\":{\"content\":\"x\"}"), REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ JSON(WHOLE("\"content\":\"x\"", "\"stop\"") "x"), REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ JSON("[]"), REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ JSON("null"), REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ JSON("\"x\""), REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ JSON("{\"choices\":\"x\"}"), REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ JSON("{\"choices\":{}}"), REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ JSON("{\"choices\":[7]}"), REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ JSON("{\"choices\":[{\"message\":7}]}"), REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ JSON("{\"choices\":[{\"delta\":7}]}"), REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ JSON(WHOLE("\"content\":7", "\"stop\"")), REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ JSON(WHOLE("\"content\":\"x\",\"tool_calls\":7", "\"stop\"")), REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ JSON(WHOLE("\"content\":\"\xff\"", "\"stop\"")), REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ JSON(WHOLE("\"content\":\"\\ud83d\"", "\"stop\"")), REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ JSON("\xef\xbb" WHOLE("\"content\":\"x\"", "\"stop\"")), REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ EVENTS("data: nonsense\n\n"), REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ EVENTS("\xef\xbb" DELTA("\"content\":\"x\"") FINISH("stop") DONE), REASON_UPSTREAM_INVALID,
			SAME_ONCE },
		{ EVENTS(DELTA("\"content\":\"x\"") "data: {\"choices\":[{\"delta\"\n\n" FINISH("stop") DONE),
			REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ EVENTS(DELTA("\"content\":\"x\"") FINISH("stop") "data: {{\n\n" DONE), REASON_UPSTREAM_INVALID,
			SAME_ONCE },
		{ EVENTS(DELTA("\"content\":\"\xc3\"") FINISH("stop") DONE), REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ EVENTS(DELTA("\"tool_calls\":[7]") FINISH("stop") DONE), REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ EVENTS("data: null\n\n" DONE), REASON_UPSTREAM_INVALID, SAME_ONCE },
	};
	ASSERT_ROWS(rows);
}

static void errors_never_carry_texts_of_the_upstream(void **state)
{
	(void)state;
	const struct response response =
		ERROR_JSON(403, ERROR("\"code\":403,\"message\":\"SECRET\",\"metadata\":{\"flagged_input\":\"SECRET\","
				      "\"reasons\":[\"SECRET\"]}"));
	struct heard heard = hear(&response);
	const struct chat_answer empty = { .prompt_tokens = -1, .completion_tokens = -1 };
	const struct openrouter_result expected = { .answer = empty,
		.failure = { .reason = REASON_MODERATED,
			.action = NEXT_ONCE,
			.http_status = 403,
			.retry_after_ms = -1,
			.maybe_sent = true } };
	assert_same_result(&heard.result, &expected);
	heard_free(&heard);
}

#define AFFORD(text)                                                                                                  \
	ERROR_JSON(402, ERROR("\"code\":402,\"message\":\"This request requires more credits, or fewer max_tokens. "  \
			      "You requested up to "                                                                  \
			      "8192 tokens, but can only afford " text " To increase, visit the site\",\"metadata\":" \
			      "{\"provider_name\":null}"))

static void errors_of_credit_tell_how_many_tokens_can_be_paid(void **state)
{
	(void)state;
	static const struct {
		struct response response;
		enum failure_action action;
		int64_t tokens;
	} rows[] = {
		{ AFFORD("3919."), FAILURE_ACTION_FEWER, 3919 },
		{ AFFORD("3,919."), FAILURE_ACTION_FEWER, 3919 },
		{ AFFORD("64"), FAILURE_ACTION_FEWER, 64 },
		{ AFFORD("63."), LATCH, 0 },
		{ AFFORD("0."), LATCH, 0 },
		{ AFFORD("-5."), LATCH, 0 },
		{ AFFORD("much."), LATCH, 0 },
		{ AFFORD("99999999999999999999."), LATCH, 0 },
		{ ERROR_JSON(402, ERROR("\"code\":402,\"message\":\"Insufficient credits\"")), LATCH, 0 },
		{ ERROR_JSON(402, ERROR("\"message\":\"can only afford \"")), LATCH, 0 },
		{ JSON(ERROR("\"code\":402,\"message\":\"You can only afford 500\"")), FAILURE_ACTION_FEWER, 500 },
		{ ERROR_JSON(402, ERROR("\"message\":\"m\",\"metadata\":{\"raw\":\"can only afford 700\"}")),
			FAILURE_ACTION_FEWER, 700 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_fails(&rows[i].response, REASON_CREDITS, rows[i].action);
		struct heard heard = hear(&rows[i].response);
		assert_int_equal(heard.result.failure.tokens_max, rows[i].tokens);
		heard_free(&heard);
	}
}

static void assert_provider(const struct response *response, const char *provider)
{
	struct heard heard = hear(response);
	assert_int_not_equal(heard.result.failure.reason, REASON_NONE);
	assert_bytes(heard.result.failed_provider, provider);
	heard_free(&heard);
}

#define NAMED(name) "\"metadata\":{\"provider_name\":" name "}"
#define CHUNK(members) "data: {\"provider\":\"Groq\"," members "}\n\n"

static void errors_tell_whose_they_are(void **state)
{
	(void)state;
	static const struct {
		struct response response;
		const char *provider;
	} rows[] = {
		{ ERROR_JSON(502, ERROR(NAMED("\"Amazon Bedrock\""))), "Amazon Bedrock" },
		{ JSON("{\"choices\":[{\"error\":{\"code\":502," NAMED("\"Z.AI\"") "}}]}"), "Z.AI" },
		{ EVENTS("data: {\"provider\":\"OpenAI\",\"error\":{\"code\":429},\"choices\":[]}\n\n"), "OpenAI" },
		{ EVENTS("data: {\"provider\":\"OpenAI\",\"error\":{" NAMED("\"Azure\"") "}}\n\n"), "Azure" },
		{ EVENTS(CHUNK("\"choices\":[]") "data: {\"error\":{\"code\":502}}\n\n"), "Groq" },
		{ EVENTS(CHUNK("\"choices\":[{\"delta\":{\"content\":\"x\"}}]")), "Groq" },
		{ EVENTS(CHUNK("\"choices\":[]") DONE), "Groq" },
		{ JSON("{\"provider\":\"Groq\",\"choices\":[]}"), "Groq" },
		/* Nothing that could be something else than a name. */
		{ ERROR_JSON(502, ERROR(NAMED("\"a\\\"b\""))), NULL },
		{ ERROR_JSON(502, ERROR(NAMED("\"a\\u0000\""))), NULL },
		{ ERROR_JSON(
			  502, ERROR(NAMED("\"0123456789012345678901234567890123456789012345678901234567890123x\""))),
			NULL },
		{ ERROR_JSON(502, ERROR(NAMED("null"))), NULL },
		{ ERROR_JSON(502, ERROR(NAMED("7"))), NULL },
		{ ERROR_JSON(502, ERROR("\"code\":502")), NULL },
		{ ERROR_JSON(502, "Bad gateway"), NULL },
		/* All that serve the model, so none of them in particular. */
		{ ERROR_JSON(503, ERROR("\"availability\":{\"affected_providers\":[\"azure\"]}," NAMED("\"Azure\""))),
			NULL },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_provider(&rows[i].response, rows[i].provider);
}

static void errors_that_time_out_in_a_stream_tell_whose_it_was(void **state)
{
	(void)state;
	struct response response = EVENTS(CHUNK("\"choices\":[{\"delta\":{\"content\":\"x\"}}]"));
	response.end = TRANSPORT_TIMEOUT;
	assert_provider(&response, "Groq");
	struct response answer = EVENTS(CHUNK("\"choices\":[{\"delta\":{\"content\":\"x\"}}]") FINISH("stop") DONE);
	struct heard heard = hear(&answer);
	assert_int_equal(heard.result.failure.reason, REASON_NONE);
	assert_bytes(heard.result.failed_provider, NULL);
	assert_bytes(heard.result.answer.provider, "Groq");
	heard_free(&heard);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_are_found_in_all_places),
		cmocka_unit_test(errors_of_odd_shapes_are_errors),
		cmocka_unit_test(errors_are_told_apart_by_message),
		cmocka_unit_test(errors_with_long_messages_are_looked_at_to_a_bound),
		cmocka_unit_test(errors_without_an_object_are_judged_by_status),
		cmocka_unit_test(errors_carry_the_wait_of_header_or_object),
		cmocka_unit_test(errors_of_a_daily_cap_tell_when_it_ends),
		cmocka_unit_test(errors_milliseconds_header_goes_before_seconds),
		cmocka_unit_test(answers_that_lack_something_are_told_apart),
		cmocka_unit_test(answers_that_are_none_are_invalid),
		cmocka_unit_test(errors_of_credit_tell_how_many_tokens_can_be_paid),
		cmocka_unit_test(errors_tell_whose_they_are),
		cmocka_unit_test(errors_that_time_out_in_a_stream_tell_whose_it_was),
		cmocka_unit_test(errors_never_carry_texts_of_the_upstream),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
