/* What the stand-in reads from a request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "replay/standin_request.h"

static struct standin_request read_body(const char *body)
{
	struct standin_request request;
	const char *problem = NULL;
	assert_int_equal(standin_request_read(bytes_of(body), &request, &problem), STATUS_OK);
	return request;
}

static void request_fields_are_read(void **state)
{
	(void)state;
	struct standin_request request = read_body(
		"{\"model\":\"a/b\",\"stream\":true,\"messages\":[{\"role\":\"system\",\"content\":\"12345\"},"
		"{\"role\":\"user\",\"content\":\"first\"},{\"role\":\"assistant\",\"content\":null},"
		"{\"role\":\"user\",\"content\":\"second\"},{\"role\":\"tool\",\"content\":\"result\"}],"
		"\"tools\":[{\"function\":{\"name\":\"f\"}}]}");
	assert_true(request.is_stream);
	assert_true(bytes_equal_text(request.model, "a/b"));
	assert_true(bytes_equal_text(request.text, "second"));
	assert_true(bytes_equal_text(request.tool_name, "f"));
	assert_int_equal(request.message_count, 5);
	assert_int_equal(request.content_bytes, 22);
	standin_request_deinit(&request);
	standin_request_deinit(&request);
}

static void request_parts_give_their_last_text(void **state)
{
	(void)state;
	struct standin_request request = read_body(
		"{\"model\":\"a\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\"},"
		"{\"type\":\"image_url\",\"image_url\":{}},{\"type\":\"text\",\"text\":\"y\"},{\"type\":\"file\"}]}]}");
	assert_false(request.is_stream);
	assert_true(bytes_equal_text(request.text, "y"));
	assert_false(bytes_is_given(request.tool_name));
	standin_request_deinit(&request);
}

static void request_without_user_message_has_no_text(void **state)
{
	(void)state;
	struct standin_request request =
		read_body("{\"model\":\"a\",\"messages\":[{\"role\":\"system\",\"content\":\"x\"}, 5]}");
	assert_int_equal(request.text.size, 0);
	assert_int_equal(request.message_count, 2);
	standin_request_deinit(&request);
}

static void request_mistakes_are_told(void **state)
{
	(void)state;
	static const struct {
		const char *body, *problem;
	} ROWS[] = { { "", "The body is not a JSON object." }, { "{\"model\":", "The body is not a JSON object." },
		{ "[1]", "The body is not a JSON object." }, { "{}", "No model was given." },
		{ "{\"model\":5,\"messages\":[1]}", "No model was given." },
		{ "{\"model\":\"\",\"messages\":[1]}", "No model was given." },
		{ "{\"model\":\"a\"}", "No messages were given." },
		{ "{\"model\":\"a\",\"messages\":{}}", "No messages were given." },
		{ "{\"model\":\"a\",\"messages\":[]}", "No messages were given." } };
	for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
		struct standin_request request;
		const char *problem = NULL;
		assert_int_equal(standin_request_read(bytes_of(ROWS[i].body), &request, &problem), STATUS_INVALID);
		assert_string_equal(problem, ROWS[i].problem);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_fields_are_read),
		cmocka_unit_test(request_parts_give_their_last_text),
		cmocka_unit_test(request_without_user_message_has_no_text),
		cmocka_unit_test(request_mistakes_are_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
