/* Records in: where reading starts, what is skipped, models, what the request asks for. */
#include "tests/unit/flow_support.h"

#include <stdio.h>
#include <string.h>

#define MESSAGES "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]"

static void flow_take_good_chat_becomes_a_call(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_json(&support, "{\"request_id\":\"r\",\"temperature\":0.5,\"max_tokens\":9," MESSAGES "}");
	struct call *call = support_call(&support);
	assert_text_equal(buffer_bytes(&call->body),
		"{\"model\":\"a/one\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"stream\":true,"
		"\"temperature\":0.5,\"max_tokens\":9}");
	assert_int_equal(call->stall_ms, 2500);
	assert_int_equal(call->deadline_ms, SUPPORT_MONO_MS + 9700);
	assert_int_equal(call->first_content_due_ms, SUPPORT_MONO_MS + 3500);
	support_answer(&support, call);
	support_close(&support);
}

static void flow_take_settings_stand_in_for_what_the_request_leaves_out(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.temperature = BYTES_LITERAL("0.7");
	support.options.max_tokens = BYTES_LITERAL("512");
	support.options.provider = BYTES_LITERAL("{\"sort\":\"price\"}");
	support.options.system_prompt = BYTES_LITERAL("Be kind.");
	support_begin(&support);
	support_take_chat(&support, 0, 0, "c");
	struct call *call = support_call(&support);
	assert_text_equal(buffer_bytes(&call->body),
		"{\"model\":\"a/one\",\"messages\":[{\"role\":\"system\",\"content\":\"Be kind.\"},"
		"{\"role\":\"user\",\"content\":\"Hi\"}],\"stream\":true,\"temperature\":0.7,\"max_tokens\":512,"
		"\"provider\":{\"sort\":\"price\"}}");
	support_answer(&support, call);
	support_close(&support);
}

static void flow_take_long_history_is_trimmed(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.history.messages_max = 1;
	support_begin(&support);
	support_take_json(&support, "{\"request_id\":\"r\",\"messages\":[{\"role\":\"user\",\"content\":\"old\"},"
				    "{\"role\":\"assistant\",\"content\":\"older\"},"
				    "{\"role\":\"user\",\"content\":\"new\"}]}");
	struct call *call = support_call(&support);
	assert_false(support_contains(buffer_bytes(&call->body), "old"));
	assert_true(support_contains(buffer_bytes(&call->body), "new"));
	support_answer(&support, call);
	support_close(&support);
}

/* Takes a request with these fields under these globs; `wanted` is the list of models to try, NULL = rejected. */
static void assert_models(const char *fields, const char *globs, const char *wanted)
{
	struct support support;
	support_init(&support);
	struct bytes allowed = bytes_of(globs);
	support.options.allowed_models = &allowed;
	support.options.allowed_model_count = globs == NULL ? 0 : 1;
	support_begin(&support);
	char json[400], seen[200] = "";
	snprintf(json, sizeof(json), "{\"request_id\":\"r\",%s" MESSAGES "}", fields);
	support_take_json(&support, json);
	if (wanted == NULL) {
		assert_text_equal(support_only_reply(&support).reason, "model_not_allowed");
		support_close(&support);
		return;
	}
	for (size_t i = 0; i < support.model_count; i++)
		snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s%.*s", i == 0 ? "" : " ",
			(int)support.models[i].size, support.models[i].data);
	assert_string_equal(seen, wanted);
	support_answer(&support, support_call(&support));
	support_close(&support);
}

static void flow_take_without_model_tries_those_of_the_settings(void **state)
{
	(void)state;
	assert_models("", NULL, "a/one b/two");
}

static void flow_take_model_replaces_the_first_of_the_settings(void **state)
{
	(void)state;
	assert_models("\"model\":\"x/y\",", NULL, "x/y b/two");
	assert_models("\"model\":\"b/two\",", NULL, "b/two");
}

static void flow_take_models_replace_the_settings(void **state)
{
	(void)state;
	assert_models("\"models\":[\"x/1\",\"x/2\",\"x/3\"],", NULL, "x/1 x/2 x/3");
	assert_models("\"model\":\"x/2\",\"models\":[\"x/1\",\"x/2\"],", NULL, "x/2 x/1");
}

static void flow_take_allowed_models_are_globs(void **state)
{
	(void)state;
	assert_models("\"model\":\"x/free\",", "x/*", "x/free b/two");
	assert_models("\"model\":\"y/free\",", "x/*", NULL);
	assert_models("\"model\":\"x/free:online\",", "x/????", NULL);
}

static void flow_take_each_of_models_must_be_allowed(void **state)
{
	(void)state;
	assert_models("\"models\":[\"x/1\",\"y/2\"],", "x/*", NULL);
}

static void flow_take_models_of_the_settings_need_no_leave(void **state)
{
	(void)state;
	assert_models("", "x/*", "a/one b/two");
}

static void flow_take_same_offset_again_is_skipped(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 4, "c");
	support_take_chat(&support, 0, 4, "c");
	support_take_chat(&support, 0, 2, "c");
	assert_int_equal(support.notices[FLOW_NOTICE_SKIPPED], 2);
	assert_int_equal(support.notice_offset, 2);
	assert_int_equal(support.taken, 1);
	assert_int_equal(support_gauges(&support).waiting, 1);
	support_close(&support);
}

static void flow_take_of_unknown_partition_leaves_the_record(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	struct record source = support_record();
	source.partition = 3;
	struct record *record = record_new(&source);
	assert_int_equal(flow_take(support.flow, record, support.now), STATUS_NOT_FOUND);
	assert_bytes_equal(record->value, source.value);
	record_free(record);
	assert_false(flow_wants(support.flow, 3));
	assert_false(flow_wants(support.flow, -1));
	support_close(&support);
}

static void flow_take_gap_is_committed_without_replies(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_chat_done(&support, 0, 0, "c");
	support_commit(&support);
	support_take_chat(&support, 0, 7, "c");
	/* The gap alone is no hurry: its second passes first. */
	support_pass(&support, 999);
	support_no_batch(&support);
	assert_int_equal(flow_due(support.flow), support.now.mono_ms + 1);
	support_pass(&support, 1);
	struct batch *batch;
	assert_int_equal(flow_next_batch(support.flow, support.now, &batch), STATUS_OK);
	assert_int_equal(batch->item_count, 0);
	assert_int_equal(support_progress(batch, 0)->offset, 7);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

/* No record comes behind the mark of the last transaction; the progress goes over it all the same. */
static void flow_pass_to_the_logs_end_is_committed(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	flow_pass(support.flow, 3, 10, support.now);
	flow_pass(support.flow, 0, 0, support.now);
	assert_int_equal(flow_due(support.flow), INT64_MAX);
	support_take_chat(&support, 0, 0, "c");
	flow_pass(support.flow, 0, 5, support.now);
	support_answer(&support, support_call(&support));
	struct batch *batch = support_batch(&support);
	assert_int_equal(support_progress(batch, 0)->offset, 5);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	flow_pass(support.flow, 0, 7, support.now);
	support_pass(&support, 1000);
	batch = support_batch(&support);
	assert_int_equal(batch->item_count, 0);
	assert_int_equal(support_progress(batch, 0)->offset, 7);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_no_batch(&support);
	support_close(&support);
}

static void flow_pass_while_a_batch_is_under_way_is_committed_after_it(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_chat_done(&support, 0, 0, "c");
	struct batch *batch = support_batch(&support);
	assert_int_equal(support_progress(batch, 0)->offset, 1);
	flow_pass(support.flow, 0, 4, support.now);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_pass(&support, 1000);
	batch = support_batch(&support);
	assert_int_equal(batch->item_count, 0);
	assert_int_equal(support_progress(batch, 0)->offset, 4);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_no_batch(&support);
	support_close(&support);
}

/* What lies beyond the window is passed as soon as that has moved: nothing may come behind it for a long time. */
static void flow_pass_beyond_the_window_is_done_when_it_moves(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	flow_pass(support.flow, 0, 3 * LEDGER_WINDOW, support.now);
	assert_false(flow_wants(support.flow, 0));
	support_answer(&support, support_call(&support));
	support_commit(&support);
	assert_true(flow_wants(support.flow, 0));
	support_pass(&support, 1000);
	struct batch *batch = support_batch(&support);
	assert_int_equal(batch->item_count, 0);
	assert_int_equal(support_progress(batch, 0)->offset, 3 * LEDGER_WINDOW);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_no_batch(&support);
	support_close(&support);
}

static void flow_take_request_beyond_the_memory_of_a_chat_is_internal(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.job_bytes_max = 20000;
	support_begin(&support);
	static char json[40000];
	int size = snprintf(json, sizeof(json), "{\"request_id\":\"r\",\"messages\":[");
	for (int i = 0; i < 500; i++)
		size += snprintf(json + size, sizeof(json) - (size_t)size,
			"{\"role\":\"user\",\"content\":\"Hi\",\"unknown\":[]},");
	snprintf(json + size - 1, sizeof(json) - (size_t)size + 1, "]}");
	support_take_json(&support, json);
	assert_text_equal(support_only_reply(&support).reason, "internal");
	support_close(&support);
}

static void flow_take_body_beyond_its_bound_is_internal(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.body_bytes_max = 40;
	support_begin(&support);
	support_take_chat(&support, 0, 0, "c");
	support_take_chat(&support, 0, 1, "c");
	support_no_call(&support);
	assert_int_equal(support.replies, 2);
	support_close(&support);
}

static void flow_notice_words_are_all_there(void **state)
{
	(void)state;
	for (int notice = 0; notice < SUPPORT_NOTICES; notice++)
		assert_true(strlen(flow_notice_word((enum flow_notice)notice)) > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_take_good_chat_becomes_a_call),
		cmocka_unit_test(flow_take_settings_stand_in_for_what_the_request_leaves_out),
		cmocka_unit_test(flow_take_long_history_is_trimmed),
		cmocka_unit_test(flow_take_without_model_tries_those_of_the_settings),
		cmocka_unit_test(flow_take_model_replaces_the_first_of_the_settings),
		cmocka_unit_test(flow_take_models_replace_the_settings),
		cmocka_unit_test(flow_take_allowed_models_are_globs),
		cmocka_unit_test(flow_take_each_of_models_must_be_allowed),
		cmocka_unit_test(flow_take_models_of_the_settings_need_no_leave),
		cmocka_unit_test(flow_take_same_offset_again_is_skipped),
		cmocka_unit_test(flow_take_of_unknown_partition_leaves_the_record),
		cmocka_unit_test(flow_take_gap_is_committed_without_replies),
		cmocka_unit_test(flow_pass_to_the_logs_end_is_committed),
		cmocka_unit_test(flow_pass_while_a_batch_is_under_way_is_committed_after_it),
		cmocka_unit_test(flow_pass_beyond_the_window_is_done_when_it_moves),
		cmocka_unit_test(flow_take_request_beyond_the_memory_of_a_chat_is_internal),
		cmocka_unit_test(flow_take_body_beyond_its_bound_is_internal),
		cmocka_unit_test(flow_notice_words_are_all_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
