/* The request body: the exact bytes, since a response cache hashes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "worker/core/openrouter_body.h"

enum { BODY_MAX = 4096 };

static const struct chat_message user = { .role = CHAT_ROLE_USER,
	.json = BYTES_LITERAL("{\"role\":\"user\",\"content\":\"Hi\"}") };
static const struct chat_message developer = { .role = CHAT_ROLE_DEVELOPER,
	.json = BYTES_LITERAL("{\"role\":\"developer\",\"content\":\"Be brief\"}") };
static const struct chat_message instruction = { .role = CHAT_ROLE_SYSTEM,
	.json = BYTES_LITERAL("{\"role\":\"system\",\"content\":\"Be kind\"}") };

static void assert_body(const struct openrouter_body *body, const char *expected)
{
	struct buffer out;
	buffer_init(&out, BODY_MAX);
	openrouter_body_write(body, &out);
	assert_int_equal(buffer_status(&out), STATUS_OK);
	buffer_append_char(&out, '\0');
	assert_string_equal(out.data, expected);
	buffer_deinit(&out);
}

static struct openrouter_body body_of(
	const struct chat_request *request, const struct chat_message *messages, size_t count)
{
	return (struct openrouter_body){
		.request = request,
		.messages = messages,
		.message_count = count,
		.model = BYTES_LITERAL("a/b"),
	};
}

#define HI "{\"role\":\"user\",\"content\":\"Hi\"}"

static void body_smallest_has_model_messages_and_stream(void **state)
{
	(void)state;
	struct chat_request request = { 0 };
	struct openrouter_body body = body_of(&request, &user, 1);
	assert_body(&body, "{\"model\":\"a/b\",\"messages\":[" HI "],\"stream\":true}");
}

static void body_order_of_keys_is_fixed(void **state)
{
	(void)state;
	struct chat_request request = {
		.temperature = BYTES_LITERAL("0.70"),
		.max_tokens = BYTES_LITERAL("64"),
		.provider = BYTES_LITERAL("{\"sort\":\"latency\"}"),
		.options = BYTES_LITERAL("\"top_p\":0.9,\"tools\":[{\"type\":\"function\"}]"),
	};
	struct openrouter_body body = body_of(&request, &user, 1);
	assert_body(&body,
		"{\"model\":\"a/b\",\"messages\":[" HI "],\"stream\":true,\"temperature\":0.70,\"max_tokens\":64,"
		"\"provider\":{\"sort\":\"latency\"},\"top_p\":0.9,\"tools\":[{\"type\":\"function\"}]}");
}

static void body_settings_fill_in_what_the_request_lacks(void **state)
{
	(void)state;
	struct chat_request request = { 0 };
	struct openrouter_body body = body_of(&request, &user, 1);
	body.temperature = BYTES_LITERAL("0.5");
	body.max_tokens = BYTES_LITERAL("600");
	body.provider = BYTES_LITERAL("{\"zdr\":true}");
	assert_body(&body,
		"{\"model\":\"a/b\",\"messages\":[" HI "],\"stream\":true,\"temperature\":0.5,\"max_tokens\":600,"
		"\"provider\":{\"zdr\":true}}");
}

static void body_request_goes_before_settings(void **state)
{
	(void)state;
	struct chat_request request = {
		.temperature = BYTES_LITERAL("0"), .max_tokens = BYTES_LITERAL("1"), .provider = BYTES_LITERAL("{}")
	};
	struct openrouter_body body = body_of(&request, &user, 1);
	body.temperature = BYTES_LITERAL("0.5");
	body.max_tokens = BYTES_LITERAL("600");
	body.provider = BYTES_LITERAL("{\"zdr\":true}");
	assert_body(&body,
		"{\"model\":\"a/b\",\"messages\":[" HI "],\"stream\":true,\"temperature\":0,\"max_tokens\":1,"
		"\"provider\":{}}");
}

static void body_newer_output_limit_goes_alone(void **state)
{
	(void)state;
	struct chat_request request = { .max_completion_tokens = BYTES_LITERAL("7"), .max_tokens = BYTES_LITERAL("7") };
	struct openrouter_body body = body_of(&request, &user, 1);
	body.max_tokens = BYTES_LITERAL("600");
	assert_body(&body, "{\"model\":\"a/b\",\"messages\":[" HI "],\"stream\":true,\"max_completion_tokens\":7}");
}

static void body_system_prompt_comes_first_when_there_is_no_instruction(void **state)
{
	(void)state;
	struct chat_request request = { 0 };
	struct chat_message messages[] = { user, user };
	struct openrouter_body body = body_of(&request, messages, 2);
	body.system_prompt = BYTES_LITERAL("Say \"yes\"\n\\ \x01 \xc3\xa9");
	assert_body(&body,
		"{\"model\":\"a/b\",\"messages\":[{\"role\":\"system\",\"content\":\"Say \\\"yes\\\"\\n\\\\ \\u0001 "
		"\xc3\xa9\"}," HI "," HI "],\"stream\":true}");
}

static void body_system_prompt_yields_to_an_instruction(void **state)
{
	(void)state;
	struct chat_request request = { 0 };
	struct chat_message with_system[] = { instruction, user };
	struct openrouter_body body = body_of(&request, with_system, 2);
	body.system_prompt = BYTES_LITERAL("Mine");
	assert_body(&body, "{\"model\":\"a/b\",\"messages\":[{\"role\":\"system\",\"content\":\"Be kind\"}," HI
			   "],\"stream\":true}");

	struct chat_message with_developer[] = { user, developer };
	body = body_of(&request, with_developer, 2);
	body.system_prompt = BYTES_LITERAL("Mine");
	assert_body(&body, "{\"model\":\"a/b\",\"messages\":[" HI
			   ",{\"role\":\"developer\",\"content\":\"Be brief\"}],\"stream\":true}");
}

static void body_model_is_escaped(void **state)
{
	(void)state;
	struct chat_request request = { 0 };
	struct openrouter_body body = body_of(&request, &user, 1);
	body.model = BYTES_LITERAL("a/\"b\\");
	assert_body(&body, "{\"model\":\"a/\\\"b\\\\\",\"messages\":[" HI "],\"stream\":true}");
}

static void body_same_input_gives_same_bytes(void **state)
{
	(void)state;
	struct chat_request request = { .options = BYTES_LITERAL("\"seed\":1") };
	struct openrouter_body body = body_of(&request, &user, 1);
	struct buffer first, second;
	buffer_init(&first, BODY_MAX);
	buffer_init(&second, BODY_MAX);
	openrouter_body_write(&body, &first);
	openrouter_body_write(&body, &second);
	assert_true(bytes_equal(buffer_bytes(&first), buffer_bytes(&second)));
	buffer_deinit(&first);
	buffer_deinit(&second);
}

static void body_over_the_bound_is_told_by_the_buffer(void **state)
{
	(void)state;
	struct chat_request request = { 0 };
	struct openrouter_body body = body_of(&request, &user, 1);
	for (size_t bound = 1; bound < 60; bound++) {
		struct buffer out;
		buffer_init(&out, bound);
		openrouter_body_write(&body, &out);
		assert_int_equal(buffer_status(&out), STATUS_TOO_LARGE);
		assert_true(out.size <= bound);
		buffer_deinit(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(body_smallest_has_model_messages_and_stream),
		cmocka_unit_test(body_order_of_keys_is_fixed),
		cmocka_unit_test(body_settings_fill_in_what_the_request_lacks),
		cmocka_unit_test(body_request_goes_before_settings),
		cmocka_unit_test(body_newer_output_limit_goes_alone),
		cmocka_unit_test(body_system_prompt_comes_first_when_there_is_no_instruction),
		cmocka_unit_test(body_system_prompt_yields_to_an_instruction),
		cmocka_unit_test(body_model_is_escaped),
		cmocka_unit_test(body_same_input_gives_same_bytes),
		cmocka_unit_test(body_over_the_bound_is_told_by_the_buffer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
