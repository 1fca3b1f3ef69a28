/* An answer that holds the key loses it, wherever it stands and in however many pieces it came. */
#include "worker/core/openrouter_mask.h"

#include "tests/unit/openrouter_support.h"

#define KEY "sk-or-v1-canary0123"

/* The answer of one response, masked. */
struct masked {
	struct heard heard;
	struct chat_answer answer; /* as masked; its views are in the arena */
	bool has_found;
};

static struct redaction *redaction_of(const char *secret)
{
	struct redaction *redaction = redaction_new();
	assert_non_null(redaction);
	assert_int_equal(redaction_add(redaction, bytes_of(secret)), STATUS_OK);
	return redaction;
}

static void mask(struct masked *masked, const char *secret)
{
	struct redaction *redaction = redaction_of(secret);
	masked->answer = masked->heard.result.answer;
	assert_int_equal(masked->heard.result.failure.reason, REASON_NONE);
	assert_int_equal(
		openrouter_mask_answer(redaction, masked->heard.arena, &masked->answer, &masked->has_found), STATUS_OK);
	redaction_free(redaction);
}

static struct masked masked_of(const char *body, const char *secret)
{
	struct response response = { .status = 200, .type = "text/event-stream", .body = bytes_of(body) };
	if (body[0] == '{') response.type = "application/json";
	struct masked masked = { .heard = hear_pieces(&response, 0, response.body.size) };
	mask(&masked, secret);
	return masked;
}

static void masked_free(struct masked *masked)
{
	arena_free(masked->heard.arena);
}

#define ANSWER(message) "{\"id\":\"gen-1\",\"model\":\"m\",\"choices\":[{\"message\":{" message "}}]}"

static void mask_answer_without_the_key_left_as_it_is(void **state)
{
	(void)state;
	struct response response = JSON(ANSWER("\"content\":\"Hello\",\"images\":[{\"a\":1}]"));
	struct masked masked = { .heard = hear_pieces(&response, 0, response.body.size) };
	struct chat_answer before = masked.heard.result.answer;
	mask(&masked, KEY);
	assert_false(masked.has_found);
	assert_ptr_equal(masked.answer.content.data, before.content.data);
	assert_ptr_equal(masked.answer.images_json.data, before.images_json.data);
	masked_free(&masked);
}

static void mask_text_members_masked(void **state)
{
	(void)state;
	struct masked masked =
		masked_of("{\"id\":\"gen-" KEY "\",\"model\":\"m/" KEY "\",\"provider\":\"" KEY
			  "\",\"choices\":[{\"finish_reason\":\"" KEY "\",\"message\":{\"content\":\"Bearer " KEY
			  "!\",\"refusal\":\"" KEY " " KEY "\",\"reasoning\":\"so: " KEY "\"}}]}",
			KEY);
	assert_true(masked.has_found);
	assert_bytes(masked.answer.content, "Bearer ****!");
	assert_bytes(masked.answer.refusal, "**** ****");
	assert_bytes(masked.answer.reasoning, "so: ****");
	assert_bytes(masked.answer.model, "m/****");
	assert_bytes(masked.answer.provider, "****");
	assert_bytes(masked.answer.generation_id, "gen-****");
	assert_bytes(masked.answer.finish_reason, "stop");
	masked_free(&masked);
}

static void mask_json_members_masked_and_still_json(void **state)
{
	(void)state;
	struct masked masked = masked_of("{\"usage\":{\"prompt_tokens\":7,\"" KEY "\":{\"a\":[1.50,true,\"x" KEY
					 "\"]}},\"choices\":[{\"message\":{"
					 "\"content\":null,\"tool_calls\":[{\"id\":\"" KEY
					 "\",\"type\":\"function\",\"function\":{\"name\":\"" KEY
					 "\",\"arguments\":\"{\\\"k\\\":\\\"" KEY
					 "\\\"}\"}}],\"annotations\":[{\"url\":\"https://a/?k=" KEY
					 "\"}],\"images\":[{\"image_url\":{\"url\":\"data:" KEY "\"}}]}}]}",
		KEY);
	assert_true(masked.has_found);
	assert_bytes(masked.answer.usage_json, "{\"prompt_tokens\":7,\"****\":{\"a\":[1.50,true,\"x****\"]}}");
	assert_bytes(masked.answer.tool_calls_json,
		"[{\"id\":\"****\",\"type\":\"function\",\"function\":{\"name\":\"****\",\"arguments\":"
		"\"{\\\"k\\\":\\\"****\\\"}\"}}]");
	assert_bytes(masked.answer.annotations_json, "[{\"url\":\"https://a/?k=****\"}]");
	assert_bytes(masked.answer.images_json, "[{\"image_url\":{\"url\":\"data:****\"}}]");
	assert_int_equal(masked.answer.prompt_tokens, 7);
	masked_free(&masked);
}

/* Base64, digits and escapes; one level deeper inside the arguments of a call. */
static void mask_encoded_key_masked(void **state)
{
	(void)state;
	struct masked masked = masked_of(ANSWER("\"content\":\"c2stb3ItdjEtY2FuYXJ5MDEyMw== "
						"736b2d6f722d76312d63616e61727930313233\""),
		KEY);
	assert_bytes(masked.answer.content, "****w== ****");
	masked_free(&masked);
	masked = masked_of(ANSWER("\"content\":\"\\u0073k-or-v1-can\\u0061ry0123\""), KEY);
	assert_bytes(masked.answer.content, "****");
	masked_free(&masked);
	masked = masked_of(
		ANSWER("\"tool_calls\":[{\"function\":{\"arguments\":\"{\\\"k\\\":\\\"a\\\\\\\"bcdef\\\"}\"}}]"),
		"a\"bcdef");
	assert_bytes(masked.answer.tool_calls_json, "[{\"function\":{\"arguments\":\"{\\\"k\\\":\\\"****\\\"}\"}}]");
	masked_free(&masked);
}

/* A key whose beginning could be the end of an escape, and one that is a number. */
static void mask_key_that_looks_like_json_leaves_json(void **state)
{
	(void)state;
	struct masked masked =
		masked_of(ANSWER("\"content\":\"\",\"images\":[{\"a\":\"\\nbcdefg nbcdefg\"}]"), "nbcdefg");
	assert_bytes(masked.answer.images_json, "[{\"a\":\"\\nbcdefg ****\"}]");
	masked_free(&masked);
	masked = masked_of(ANSWER("\"content\":\"\",\"images\":[{\"a\":1234567,\"b\":12345678}]"), "1234567");
	assert_bytes(masked.answer.images_json, "[{\"a\":\"****\",\"b\":\"****8\"}]");
	masked_free(&masked);
	masked = masked_of(ANSWER("\"content\":\"\",\"images\":[{\"a\":1,\"b\":2}]"), "\"a\":1,\"b\"");
	assert_bytes(masked.answer.images_json, "[{\"a\":1,\"b\":2}]");
	masked_free(&masked);
}

static struct masked masked_stream(const char *member, size_t cut)
{
	char body[2048];
	snprintf(body, sizeof(body),
		"data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",%s%.*s\"}}]}\n\n"
		"data: {\"choices\":[{\"delta\":{%s%s\"},\"finish_reason\":\"stop\"}]}\n\n"
		"data: [DONE]\n\n",
		member, (int)cut, KEY, member, &KEY[cut]);
	return masked_of(body, KEY);
}

static void mask_key_split_over_two_events_masked(void **state)
{
	(void)state;
	for (size_t cut = 0; cut <= strlen(KEY); cut++) {
		struct masked masked = masked_stream("\"content\":\"I \",\"reasoning\":\"", cut);
		assert_bytes(masked.answer.reasoning, "****");
		masked_free(&masked);
		masked = masked_stream("\"content\":\"", cut);
		assert_bytes(masked.answer.content, "****");
		masked_free(&masked);
	}
}

static void mask_key_split_over_fragments_of_a_call_masked(void **state)
{
	(void)state;
	for (size_t cut = 1; cut < strlen(KEY); cut++) {
		char body[2048];
		snprintf(body, sizeof(body),
			"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{"
			"\"name\":\"%.*s\",\"arguments\":\"{%.*s\"}}]}}]}\n\n"
			"data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{"
			"\"name\":\"%s\",\"arguments\":\"%s}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\n",
			(int)cut, KEY, (int)cut, KEY, &KEY[cut], &KEY[cut]);
		struct masked masked = masked_of(body, KEY);
		assert_bytes(masked.answer.tool_calls_json, "[{\"id\":\"c\",\"type\":\"function\",\"function\":{"
							    "\"name\":\"****\",\"arguments\":\"{****}\"}}]");
		masked_free(&masked);
	}
}

static void mask_without_memory_says_so(void **state)
{
	(void)state;
	struct redaction *redaction = redaction_of(KEY);
	struct arena *arena = arena_new(64);
	assert_non_null(arena);
	while (arena_alloc(arena, 1) != NULL)
		continue;
	bool has_found = false;
	struct chat_answer answer = { .content = BYTES_LITERAL("the key is " KEY) };
	assert_int_equal(openrouter_mask_answer(redaction, arena, &answer, &has_found), STATUS_NO_MEMORY);
	answer = (struct chat_answer){ .images_json = BYTES_LITERAL("[\"" KEY "\"]") };
	assert_int_equal(openrouter_mask_answer(redaction, arena, &answer, &has_found), STATUS_NO_MEMORY);
	arena_free(arena);
	redaction_free(redaction);
}

static void mask_json_that_is_none_left_out(void **state)
{
	(void)state;
	struct redaction *redaction = redaction_of(KEY);
	struct arena *arena = arena_new(1 << 16);
	bool has_found = true;
	struct chat_answer answer = { .usage_json = BYTES_LITERAL("{\"a\":" KEY) };
	assert_int_equal(openrouter_mask_answer(redaction, arena, &answer, &has_found), STATUS_OK);
	assert_false(bytes_is_given(answer.usage_json));
	assert_false(has_found);
	arena_free(arena);
	redaction_free(redaction);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mask_answer_without_the_key_left_as_it_is),
		cmocka_unit_test(mask_text_members_masked),
		cmocka_unit_test(mask_json_members_masked_and_still_json),
		cmocka_unit_test(mask_encoded_key_masked),
		cmocka_unit_test(mask_key_that_looks_like_json_leaves_json),
		cmocka_unit_test(mask_key_split_over_two_events_masked),
		cmocka_unit_test(mask_key_split_over_fragments_of_a_call_masked),
		cmocka_unit_test(mask_without_memory_says_so),
		cmocka_unit_test(mask_json_that_is_none_left_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
