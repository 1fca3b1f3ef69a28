/* The demo's promises: a good reply is praised, and each thing that is wrong is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "replay/demo_case.h"
#include "replay/standin_body.h"

enum { TEXT_MAX = 4096, COMPLAINTS_MAX = 65536 };

/* A good reply to a row, with the texts that it points into. */
struct good {
	char id[DEMO_ID_SIZE];
	struct buffer content;
	struct buffer calls;
	struct record_header header;
	struct record record;
	struct chat_client_response response;
};

static size_t row_called(const char *title)
{
	for (size_t i = 0; i < DEMO_CASE_COUNT; i++)
		if (strcmp(DEMO_CASES[i].title, title) == 0) return i;
	fail_msg("no row %s", title);
	return 0;
}

static void make_calls(const struct demo_case *row, struct buffer *out)
{
	struct buffer arguments;
	buffer_init(&arguments, TEXT_MAX);
	standin_tool_arguments(bytes_of(row->text), &arguments);
	buffer_append_text(out, "[{\"id\":\"");
	standin_call_id(bytes_of(row->text), bytes_of(row->model), out);
	buffer_append_text(out, "\",\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"arguments\":");
	buffer_append_json_string(out, buffer_bytes(&arguments));
	buffer_append_text(out, "}}]");
	buffer_deinit(&arguments);
}

static void good_init(struct good *good, size_t index)
{
	const struct demo_case *row = &DEMO_CASES[index];
	bool is_tool_call = row->tools_json != NULL, is_answered = strcmp(row->outcome, "answered") == 0;
	demo_case_id(index, good->id);
	buffer_init(&good->content, TEXT_MAX);
	buffer_init(&good->calls, TEXT_MAX);
	if (is_tool_call)
		make_calls(row, &good->calls);
	else if (is_answered)
		standin_answer_text(bytes_of(row->text), bytes_of(row->model), &good->content);
	else
		buffer_append_text(&good->content, "Sorry.");
	good->header = (struct record_header){ BYTES_LITERAL("correlation-id"), bytes_of(good->id) };
	good->record = (struct record){ .key = bytes_of(row->conversation), .headers = { &good->header, 1 } };
	good->response =
		(struct chat_client_response){ .request_id = row->raw != NULL ? BYTES_NONE : bytes_of(good->id),
			.conversation_id = bytes_of(row->conversation),
			.outcome = bytes_of(row->outcome),
			.reason = bytes_of(row->reason),
			.model = bytes_of(row->model),
			.attempts = row->attempts_min,
			.content = is_tool_call ? BYTES_NONE : buffer_bytes(&good->content),
			.tool_calls_json = is_tool_call ? buffer_bytes(&good->calls) : BYTES_NONE,
			.finish_reason = is_tool_call ? BYTES_LITERAL("tool_calls") : BYTES_LITERAL("stop"),
			.prompt_tokens = row->history_json != NULL ? (int64_t)(strlen(row->text) + 25) / 4 + 12 : 9,
			.received_ms = 1000,
			.replied_ms = 10900 };
}

static void good_deinit(struct good *good)
{
	buffer_deinit(&good->content);
	buffer_deinit(&good->calls);
}

/* How many complaints there are, and that the first names `word` (NULL: there are none). */
static void assert_complaint(size_t index, const struct good *good, const char *word)
{
	struct buffer broken;
	buffer_init(&broken, COMPLAINTS_MAX);
	demo_case_check(index, &good->record, &good->response, &broken);
	if (word == NULL)
		assert_int_equal(broken.size, 0);
	else
		assert_true(bytes_starts_with(buffer_bytes(&broken), bytes_of(word)));
	buffer_deinit(&broken);
}

static void case_good_replies_have_no_complaint(void **state)
{
	(void)state;
	for (size_t i = 0; i < DEMO_CASE_COUNT; i++) {
		struct good good;
		good_init(&good, i);
		assert_complaint(i, &good, NULL);
		good_deinit(&good);
	}
}

static void case_every_wrong_field_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < DEMO_CASE_COUNT; i++) {
		struct good good;
		good_init(&good, i);
		struct good bad = good;
		bad.record.key = BYTES_LITERAL("x");
		assert_complaint(i, &bad, "record key: wanted demo-");
		bad = good;
		bad.response.request_id = BYTES_LITERAL("x");
		assert_complaint(i, &bad, "request_id: wanted ");
		bad = good;
		bad.response.conversation_id = BYTES_NONE;
		assert_complaint(i, &bad, "conversation_id: wanted demo-");
		bad = good;
		bad.response.outcome = BYTES_LITERAL("x");
		assert_complaint(i, &bad, "outcome: wanted ");
		bad = good;
		bad.response.reason = BYTES_LITERAL("x");
		assert_complaint(i, &bad, "reason: wanted ");
		bad = good;
		bad.response.model = BYTES_LITERAL("x");
		assert_complaint(i, &bad, "model: wanted ");
		bad = good;
		bad.response.attempts = 9;
		assert_complaint(i, &bad, "attempts: wanted ");
		good_deinit(&good);
	}
}

static void case_answers_are_compared_word_for_word(void **state)
{
	(void)state;
	static const char *const TITLES[] = { "answered", "first turn", "second turn", "retried", "second model" };
	for (size_t i = 0; i < sizeof TITLES / sizeof TITLES[0]; i++) {
		size_t index = row_called(TITLES[i]);
		struct good good;
		good_init(&good, index);
		good.response.content.size--;
		assert_complaint(index, &good, "content: wanted You wrote: ");
		good.response.content.size++;
		good.response.finish_reason = BYTES_LITERAL("length");
		assert_complaint(index, &good, "finish_reason: wanted stop");
		good_deinit(&good);
	}
}

static void case_missing_history_is_noticed(void **state)
{
	(void)state;
	size_t index = row_called("second turn");
	struct good good;
	good_init(&good, index);
	good.response.prompt_tokens = 8;
	assert_complaint(index, &good, "usage.prompt_tokens: wanted ");
	good_deinit(&good);
	assert_string_equal(DEMO_CASES[index].after, "first turn");
	assert_string_equal(DEMO_CASES[index].conversation, DEMO_CASES[row_called("first turn")].conversation);
}

static void case_late_or_silent_fallback_is_noticed(void **state)
{
	(void)state;
	size_t index = row_called("fallback");
	struct good good;
	good_init(&good, index);
	good.response.replied_ms = 11001;
	assert_complaint(index, &good, "replied after ms: wanted 0 to 10000, got 10001");
	good.response.replied_ms = 2000;
	good.response.content = BYTES_NONE;
	assert_complaint(index, &good, "bytes of fallback text");
	good_deinit(&good);
}

static void case_changed_tool_call_is_noticed(void **state)
{
	(void)state;
	size_t index = row_called("tool call");
	static const char *const CALLS[] = { "", "[]", "[{\"id\":5}]", "{}", "[" };
	struct good good;
	good_init(&good, index);
	for (size_t i = 0; i < sizeof CALLS / sizeof CALLS[0]; i++) {
		good.response.tool_calls_json = bytes_of(CALLS[i]);
		assert_complaint(index, &good, "tool call's id: wanted call_");
	}
	good_deinit(&good);
}

static void case_dead_letter_has_to_be_the_same_bytes(void **state)
{
	(void)state;
	size_t index = row_called("rejected");
	const struct demo_case *row = &DEMO_CASES[index];
	struct record_header header = { BYTES_LITERAL("dlq-reason"), bytes_of(row->reason) };
	struct record record = {
		.key = bytes_of(row->conversation), .value = bytes_of(row->raw), .headers = { &header, 1 }
	};
	struct buffer broken;
	buffer_init(&broken, COMPLAINTS_MAX);
	demo_case_check_dead_letter(index, &record, &broken);
	assert_int_equal(broken.size, 0);
	record.value.size--;
	demo_case_check_dead_letter(index, &record, &broken);
	assert_true(bytes_starts_with(buffer_bytes(&broken), BYTES_LITERAL("dead letter's bytes")));
	buffer_clear(&broken);
	record.value.size++;
	header.value = BYTES_LITERAL("schema");
	demo_case_check_dead_letter(index, &record, &broken);
	assert_true(bytes_starts_with(buffer_bytes(&broken), BYTES_LITERAL("dlq-reason: wanted decode, got schema")));
	buffer_clear(&broken);
	demo_case_check_dead_letter(row_called("answered"), &record, &broken);
	assert_true(bytes_equal_text(buffer_bytes(&broken), "dead letter: wanted none\n"));
	buffer_deinit(&broken);
}

static void case_records_are_found_by_their_correlation_id(void **state)
{
	(void)state;
	for (size_t i = 0; i < DEMO_CASE_COUNT; i++) {
		struct good good;
		good_init(&good, i);
		assert_int_equal(demo_case_find(&good.record), i);
		good.header.value = BYTES_LITERAL("another");
		assert_int_equal(demo_case_find(&good.record), DEMO_CASE_COUNT);
		good_deinit(&good);
	}
}

static void case_requests_can_be_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < DEMO_CASE_COUNT; i++) {
		struct buffer value;
		buffer_init(&value, COMPLAINTS_MAX);
		assert_int_equal(demo_case_encode(i, &value), STATUS_OK);
		bool is_raw = DEMO_CASES[i].raw != NULL;
		/* A msgpack map of 2 to 15 pairs, or the raw bytes. */
		if (is_raw)
			assert_true(bytes_equal_text(buffer_bytes(&value), DEMO_CASES[i].raw));
		else
			assert_int_equal((unsigned char)value.data[0] & 0xF0, 0x80);
		buffer_deinit(&value);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(case_good_replies_have_no_complaint),
		cmocka_unit_test(case_every_wrong_field_is_named),
		cmocka_unit_test(case_answers_are_compared_word_for_word),
		cmocka_unit_test(case_missing_history_is_noticed),
		cmocka_unit_test(case_late_or_silent_fallback_is_noticed),
		cmocka_unit_test(case_changed_tool_call_is_noticed),
		cmocka_unit_test(case_dead_letter_has_to_be_the_same_bytes),
		cmocka_unit_test(case_records_are_found_by_their_correlation_id),
		cmocka_unit_test(case_requests_can_be_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
