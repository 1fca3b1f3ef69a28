/* The provider that failed is left out of the repeat at the same model, and of nothing else. */
#include "tests/unit/flow_support.h"

static struct failure failure_with(enum reason reason, enum failure_action action)
{
	return (struct failure){ .reason = reason, .action = action, .retry_after_ms = -1, .maybe_sent = true };
}

static void fail_of(struct support *support, struct call *call, const char *provider, struct failure failure)
{
	call->result.failed_provider = bytes_of(provider);
	support_fail_as(support, call, failure);
	support_pass(support, 800);
}

static const struct failure broken = {
	.reason = REASON_UPSTREAM_ERROR, .action = FAILURE_ACTION_SAME, .retry_after_ms = -1, .maybe_sent = true
};

static void open_with(struct support *support, const char *fields)
{
	support_init(support);
	support->options.retry.max_attempts = 8;
	support_begin(support);
	support_take_json(support, fields);
}

/* The repeat of a first attempt that failed at azure. */
static struct call *open_repeat(struct support *support, const char *fields)
{
	open_with(support, fields);
	fail_of(support, support_call(support), "azure", broken);
	return support_call(support);
}

static void assert_provider(const struct call *call, const char *wanted)
{
	if (wanted == NULL) {
		assert_false(support_contains(buffer_bytes(&call->body), "\"provider\""));
		return;
	}
	if (!support_contains(buffer_bytes(&call->body), wanted))
		fail_msg("%.*s", (int)call->body.size, call->body.data);
}

static void flow_ignore_failed_provider_is_left_out_of_the_repeat(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, SUPPORT_CHAT_WITH(""));
	struct call *call = support_call(&support);
	assert_provider(call, NULL);
	fail_of(&support, call, "Amazon Bedrock", broken);
	call = support_call(&support);
	assert_provider(call, ",\"provider\":{\"ignore\":[\"Amazon Bedrock\",\"amazon-bedrock\"]}");
	fail_of(&support, call, "azure", broken);
	call = support_call(&support);
	assert_provider(call, "{\"ignore\":[\"Amazon Bedrock\",\"amazon-bedrock\",\"azure\"]}");
	support_answer(&support, call);
	assert_text_equal(support_only_reply(&support).outcome, "answered");
	support_close(&support);
}

static void flow_ignore_preferences_of_the_caller_are_kept(void **state)
{
	(void)state;
	struct support support;
	struct call *call =
		open_repeat(&support, SUPPORT_CHAT_WITH("\"provider\":{ \"sort\":\"price\", \"ignore\":[\"groq\"]},"));
	assert_provider(call, "\"provider\":{ \"sort\":\"price\", \"ignore\":[\"groq\",\"azure\"]}");
	support_answer(&support, call);
	support_close(&support);
}

static void flow_ignore_preferences_of_the_settings_are_kept(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.provider = BYTES_LITERAL("{\"zdr\":true}");
	support_begin(&support);
	support_take_json(&support, SUPPORT_CHAT_WITH(""));
	fail_of(&support, support_call(&support), "azure", broken);
	struct call *call = support_call(&support);
	assert_provider(call, "\"provider\":{\"zdr\":true,\"ignore\":[\"azure\"]}");
	support_answer(&support, call);
	support_close(&support);
}

static void flow_ignore_closed_list_of_the_caller_is_believed(void **state)
{
	(void)state;
	struct support support;
	struct call *call = open_repeat(&support, SUPPORT_CHAT_WITH("\"provider\":{\"only\":[\"azure\",\"groq\"]},"));
	assert_provider(call, "\"provider\":{\"only\":[\"azure\",\"groq\"]}");
	assert_false(support_contains(buffer_bytes(&call->body), "ignore"));
	support_answer(&support, call);
	support_close(&support);
}

static void flow_ignore_next_model_begins_without(void **state)
{
	(void)state;
	struct support support;
	struct call *call = open_repeat(&support, SUPPORT_CHAT_WITH(""));
	assert_provider(call, "azure");
	fail_of(&support, call, "groq", failure_with(REASON_OVERLOADED, FAILURE_ACTION_NEXT));
	call = support_call(&support);
	support_assert_model(call, "b/two");
	assert_provider(call, NULL);
	support_answer(&support, call);
	support_close(&support);
}

static void flow_ignore_only_those_to_blame(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, SUPPORT_CHAT_WITH(""));
	fail_of(&support, support_call(&support), "azure", failure_with(REASON_BAD_REQUEST, FAILURE_ACTION_SAME_ONCE));
	struct call *call = support_call(&support);
	assert_provider(call, NULL);
	struct failure edge = broken;
	edge.breaks_edge = true;
	fail_of(&support, call, "azure", edge);
	call = support_call(&support);
	assert_provider(call, NULL);
	fail_of(&support, call, NULL, broken);
	call = support_call(&support);
	assert_provider(call, NULL);
	support_answer(&support, call);
	support_close(&support);
}

static void flow_ignore_list_is_bounded(void **state)
{
	(void)state;
	static const char *const names[] = { "p1", "p2", "p3", "p4", "p5", "p6" };
	struct support support;
	open_with(&support, SUPPORT_CHAT_WITH(""));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		fail_of(&support, support_call(&support), names[i], broken);
	struct call *call = support_call(&support);
	assert_provider(call, "{\"ignore\":[\"p1\",\"p2\",\"p3\",\"p4\"]}");
	support_answer(&support, call);
	support_close(&support);
}

/* The model has one provider only: without it there is nobody, which is no news about the model. */
static void flow_ignore_repeat_that_found_nobody_is_made_without_the_list(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.model_count = 1;
	support_begin(&support);
	support_take_json(&support, SUPPORT_CHAT_WITH(""));
	fail_of(&support, support_call(&support), "azure", broken);
	struct call *call = support_call(&support);
	assert_provider(call, "azure");
	fail_of(&support, call, NULL, failure_with(REASON_NO_PROVIDER, FAILURE_ACTION_NEXT_ONLY));
	assert_int_equal(support.step, RETRY_STEP_AGAIN);
	call = support_call(&support);
	assert_provider(call, NULL);
	fail_of(&support, call, "azure", broken);
	struct chat_client_response reply = support_only_reply(&support);
	assert_text_equal(reply.reason, "upstream_error");
	assert_int_equal(reply.attempts, 3);
	support_close(&support);
}

/* The caller hears of what went wrong, not of the list. */
static void flow_ignore_repeat_that_found_nobody_is_told_as_the_failure_before(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.retry.max_attempts = 2;
	support_begin(&support);
	support_take_json(&support, SUPPORT_CHAT_WITH(""));
	fail_of(&support, support_call(&support), "azure", broken);
	fail_of(&support, support_call(&support), NULL, failure_with(REASON_NO_PROVIDER, FAILURE_ACTION_NEXT_ONLY));
	support_no_call(&support);
	assert_text_equal(support_only_reply(&support).reason, "upstream_error");
	support_close(&support);
}

static void flow_ignore_model_with_one_provider_is_remembered(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, SUPPORT_CHAT_WITH(""));
	fail_of(&support, support_call(&support), "azure", broken);
	fail_of(&support, support_call(&support), NULL, failure_with(REASON_NO_PROVIDER, FAILURE_ACTION_NEXT_ONLY));
	struct call *call = support_call(&support);
	support_assert_model(call, "b/two");
	support_answer(&support, call);
	support_take_chat(&support, 0, 1, "d");
	fail_of(&support, support_call(&support), "azure", broken);
	call = support_call(&support);
	assert_provider(call, NULL);
	support_answer(&support, call);

	support_pass(&support, 600000);
	struct record late = support_record();
	late.offset = 2;
	late.timestamp_ms = support.now.wall_ms;
	support_take(&support, &late);
	fail_of(&support, support_call(&support), "azure", broken);
	call = support_call(&support);
	assert_provider(call, "azure");
	support_answer(&support, call);
	support_close(&support);
}

static void flow_ignore_no_provider_without_a_list_is_itself(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.model_count = 1;
	support_begin(&support);
	support_take_json(&support, SUPPORT_CHAT_WITH(""));
	fail_of(&support, support_call(&support), NULL, failure_with(REASON_NO_PROVIDER, FAILURE_ACTION_NEXT_ONLY));
	support_no_call(&support);
	assert_text_equal(support_only_reply(&support).reason, "no_provider");
	support_close(&support);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_ignore_failed_provider_is_left_out_of_the_repeat),
		cmocka_unit_test(flow_ignore_preferences_of_the_caller_are_kept),
		cmocka_unit_test(flow_ignore_preferences_of_the_settings_are_kept),
		cmocka_unit_test(flow_ignore_closed_list_of_the_caller_is_believed),
		cmocka_unit_test(flow_ignore_next_model_begins_without),
		cmocka_unit_test(flow_ignore_only_those_to_blame),
		cmocka_unit_test(flow_ignore_list_is_bounded),
		cmocka_unit_test(flow_ignore_repeat_that_found_nobody_is_made_without_the_list),
		cmocka_unit_test(flow_ignore_repeat_that_found_nobody_is_told_as_the_failure_before),
		cmocka_unit_test(flow_ignore_model_with_one_provider_is_remembered),
		cmocka_unit_test(flow_ignore_no_provider_without_a_list_is_itself),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
