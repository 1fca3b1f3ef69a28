/* The parts of bodies that depend on nothing but their arguments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "replay/standin_body.h"

static struct buffer answer_to(const char *text, const char *model)
{
	struct buffer out;
	buffer_init(&out, 4096);
	standin_answer_text(bytes_of(text), bytes_of(model), &out);
	assert_int_equal(buffer_status(&out), STATUS_OK);
	return out;
}

static void assert_starts_with(struct buffer out, const char *start)
{
	assert_true(bytes_starts_with(buffer_bytes(&out), bytes_of(start)));
	buffer_deinit(&out);
}

static void answer_is_a_function_of_text_and_model(void **state)
{
	(void)state;
	struct buffer first = answer_to("a", "m"), again = answer_to("a", "m");
	struct buffer other_text = answer_to("a ", "m"), other_model = answer_to("a", "n");
	assert_true(bytes_equal(buffer_bytes(&first), buffer_bytes(&again)));
	assert_false(bytes_equal(buffer_bytes(&first), buffer_bytes(&other_text)));
	assert_false(bytes_equal(buffer_bytes(&first), buffer_bytes(&other_model)));
	buffer_deinit(&first);
	buffer_deinit(&again);
	buffer_deinit(&other_text);
	buffer_deinit(&other_model);
}

static void answer_leaves_scripts_out(void **state)
{
	(void)state;
	assert_starts_with(answer_to("[[429 once]] Hello [[tool]]there", "m"), "You wrote: Hello there | m answers: ");
	assert_starts_with(answer_to("[[tool]]", "m"), "You wrote:  | m answers: ");
	assert_starts_with(answer_to("open [[ end", "m"), "You wrote: open  | m answers: ");
	assert_starts_with(answer_to("[a] b]]", "m"), "You wrote: [a] b]] | m answers: ");
}

static void answer_echo_is_short_and_cuts_no_character(void **state)
{
	(void)state;
	char text[400] = "";
	for (int i = 0; i < 100; i++)
		strcat(text, "漢");
	struct buffer out = answer_to(text, "m");
	struct bytes answer = buffer_bytes(&out);
	assert_true(bytes_is_utf8(answer));
	const char *bar = memchr(answer.data, '|', answer.size);
	assert_int_equal(bar - answer.data, strlen("You wrote: ") + 117 + 1);
	buffer_deinit(&out);
}

static void tool_arguments_are_json(void **state)
{
	(void)state;
	struct buffer out;
	buffer_init(&out, 4096);
	standin_tool_arguments(BYTES_LITERAL("say \"hi\" [[tool]]"), &out);
	assert_true(bytes_equal_text(buffer_bytes(&out), "{\"question\":\"say \\\"hi\\\" \"}"));
	buffer_deinit(&out);
}

static void call_id_has_its_form(void **state)
{
	(void)state;
	struct buffer out;
	buffer_init(&out, 64);
	standin_call_id(BYTES_LITERAL("a"), BYTES_LITERAL("m"), &out);
	assert_int_equal(out.size, 21);
	assert_memory_equal(out.data, "call_", 5);
	buffer_deinit(&out);
}

static void error_of_unknown_status_is_unmapped(void **state)
{
	(void)state;
	struct buffer out;
	buffer_init(&out, 4096);
	standin_append_error(418, BYTES_NONE, BYTES_NONE, &out);
	assert_true(bytes_equal_text(buffer_bytes(&out), "{\"error\":{\"code\":418,\"message\":\"Something went "
							 "wrong.\",\"metadata\":{\"error_type\":\"unmapped\"}},"
							 "\"user_id\":\"user_standin\"}"));
	buffer_deinit(&out);
}

static void error_of_moderation_quotes_the_user(void **state)
{
	(void)state;
	struct buffer out;
	buffer_init(&out, 4096);
	standin_append_error(403, BYTES_NONE, BYTES_LITERAL("my words"), &out);
	assert_non_null(memmem(out.data, out.size, "\"flagged_input\":\"my words\"", 26));
	buffer_deinit(&out);
}

static void html_is_for_the_statuses_of_the_edge(void **state)
{
	(void)state;
	assert_true(standin_status_is_html(520));
	assert_true(standin_status_is_html(530));
	assert_false(standin_status_is_html(529));
	assert_false(standin_status_is_html(519));
	assert_false(standin_status_is_html(503));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answer_is_a_function_of_text_and_model),
		cmocka_unit_test(answer_leaves_scripts_out),
		cmocka_unit_test(answer_echo_is_short_and_cuts_no_character),
		cmocka_unit_test(tool_arguments_are_json),
		cmocka_unit_test(call_id_has_its_form),
		cmocka_unit_test(error_of_unknown_status_is_unmapped),
		cmocka_unit_test(error_of_moderation_quotes_the_user),
		cmocka_unit_test(html_is_for_the_statuses_of_the_edge),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
