/* Tokens that are too dear: asked for fewer once, and only then is the account refused. */
#include "tests/unit/flow_support.h"

static struct failure too_dear(int64_t tokens)
{
	return (struct failure){ .reason = REASON_CREDITS,
		.action = FAILURE_ACTION_FEWER,
		.http_status = 402,
		.retry_after_ms = -1,
		.tokens_max = tokens,
		.maybe_sent = true };
}

static void open_with(struct support *support, const char *json)
{
	support_init(support);
	support->options.max_tokens = BYTES_LITERAL("600");
	support_begin(support);
	support_take_json(support, json);
}

static void assert_limit(const struct call *call, const char *wanted)
{
	struct bytes body = buffer_bytes(&call->body);
	if (!support_contains(body, wanted)) fail_msg("%.*s", (int)body.size, body.data);
}

static void flow_fewer_tokens_are_asked_for_and_answered(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, SUPPORT_CHAT_WITH(""));
	struct call *call = support_call(&support);
	assert_limit(call, ",\"max_tokens\":600}");
	support_fail_as(&support, call, too_dear(222));
	assert_int_equal(support.step, RETRY_STEP_FEWER);
	assert_false(flow_account_is_refused(support.flow));
	call = support_call(&support);
	assert_true(bytes_starts_with(buffer_bytes(&call->body), BYTES_LITERAL("{\"model\":\"a/one\"")));
	assert_limit(call, ",\"max_tokens\":222}");
	support_answer(&support, call);
	struct chat_client_response reply = support_only_reply(&support);
	assert_text_equal(reply.outcome, "answered");
	assert_int_equal(reply.attempts, 2);
	assert_int_equal(support.accounts, 0);
	support_close(&support);
}

static void flow_fewer_tokens_in_the_form_of_the_request(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, SUPPORT_CHAT_WITH("\"max_completion_tokens\":5000,\"top_p\":0.5,"));
	support_fail_as(&support, support_call(&support), too_dear(4999));
	struct call *call = support_call(&support);
	assert_limit(call, ",\"max_completion_tokens\":4999,\"top_p\":0.5}");
	assert_false(support_contains(buffer_bytes(&call->body), "\"max_tokens\""));
	/* What is too dear for one model need not be asked of the next. */
	support_fail(&support, call, REASON_OVERLOADED, FAILURE_ACTION_NEXT);
	call = support_call(&support);
	assert_true(bytes_starts_with(buffer_bytes(&call->body), BYTES_LITERAL("{\"model\":\"b/two\"")));
	assert_limit(call, ",\"max_completion_tokens\":4999,");
	support_answer(&support, call);
	support_close(&support);
}

static void flow_fewer_tokens_too_dear_again_refuses_the_account(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, SUPPORT_CHAT_WITH(""));
	support_fail_as(&support, support_call(&support), too_dear(300));
	support_fail_as(&support, support_call(&support), too_dear(200));
	support_no_call(&support);
	assert_true(flow_account_is_refused(support.flow));
	assert_int_equal(support.account, REASON_CREDITS);
	struct chat_client_response reply = support_only_reply(&support);
	assert_text_equal(reply.reason, "credits");
	assert_int_equal(reply.attempts, 2);
	support_close(&support);
}

static void flow_fewer_tokens_that_are_not_fewer_refuse_the_account(void **state)
{
	(void)state;
	static const char *const asked[] = { SUPPORT_CHAT_WITH(""), SUPPORT_CHAT_WITH("\"max_tokens\":500,"),
		SUPPORT_CHAT_WITH("\"max_completion_tokens\":600,") };
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		struct support support;
		open_with(&support, asked[i]);
		support_fail_as(&support, support_call(&support), too_dear(600));
		support_no_call(&support);
		assert_true(flow_account_is_refused(support.flow));
		assert_text_equal(support_only_reply(&support).reason, "credits");
		support_close(&support);
	}
}

static void flow_fewer_tokens_without_a_bound_of_our_own(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_json(&support, SUPPORT_CHAT_WITH(""));
	support_fail_as(&support, support_call(&support), too_dear(30104));
	struct call *call = support_call(&support);
	assert_limit(call, ",\"max_tokens\":30104}");
	support_answer(&support, call);
	support_close(&support);
}

/* Nothing says that the account is bad, so the others are called. */
static void flow_fewer_tokens_without_an_attempt_left_end_the_chat_alone(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.retry.max_attempts = 1;
	support_begin(&support);
	support_take_chat(&support, 0, 0, "c");
	support_fail_as(&support, support_call(&support), too_dear(100));
	assert_false(flow_account_is_refused(support.flow));
	struct chat_client_response reply = support_only_reply(&support);
	assert_text_equal(reply.outcome, "fallback");
	assert_text_equal(reply.reason, "credits");
	support_take_chat(&support, 0, 1, "d");
	support_answer(&support, support_call(&support));
	support_close(&support);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_fewer_tokens_are_asked_for_and_answered),
		cmocka_unit_test(flow_fewer_tokens_in_the_form_of_the_request),
		cmocka_unit_test(flow_fewer_tokens_too_dear_again_refuses_the_account),
		cmocka_unit_test(flow_fewer_tokens_that_are_not_fewer_refuse_the_account),
		cmocka_unit_test(flow_fewer_tokens_without_a_bound_of_our_own),
		cmocka_unit_test(flow_fewer_tokens_without_an_attempt_left_end_the_chat_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
