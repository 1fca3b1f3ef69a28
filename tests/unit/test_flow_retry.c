/* What follows an attempt that failed: again, the next model, a shorter history, or the end. */
#include "tests/unit/flow_support.h"

static void flow_retry_same_model_after_its_back_off(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	support_fail(&support, support_call(&support), REASON_CONNECT, FAILURE_ACTION_SAME);
	assert_int_equal(support.step, RETRY_STEP_AGAIN);
	int64_t due_ms = flow_due(support.flow);
	assert_in_range(due_ms, SUPPORT_MONO_MS + 1, SUPPORT_MONO_MS + 100);
	support_pass(&support, due_ms - SUPPORT_MONO_MS - 1);
	support_no_call(&support);
	support_pass(&support, 1);
	support_answer_of(&support, "a/one");
	assert_text_equal(support_only_reply(&support).outcome, "answered");
	support_close(&support);
}

static void flow_retry_wait_that_fits_is_kept(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	support_fail_wait(&support, support_call(&support), 2000);
	assert_int_equal(flow_due(support.flow), SUPPORT_MONO_MS + 2000);
	support_pass(&support, 1999);
	support_no_call(&support);
	support_pass(&support, 1);
	support_answer_of(&support, "a/one");
	support_close(&support);
}

static void flow_retry_wait_that_does_not_fit_is_the_next_model_at_once(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	support_fail_wait(&support, support_call(&support), 8201);
	assert_int_equal(support.step, RETRY_STEP_NEXT);
	support_answer_of(&support, "b/two");
	support_close(&support);
}

static void flow_retry_next_model_at_once(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	support_fail(&support, support_call(&support), REASON_OVERLOADED, FAILURE_ACTION_NEXT);
	support_answer_of(&support, "b/two");
	assert_int_equal(support_only_reply(&support).attempts, 2);
	support_close(&support);
}

/* One that may have ended because of its connection is not repeated on another old one. */
static void flow_retry_after_silence_takes_a_new_connection(void **state)
{
	(void)state;
	static const struct {
		enum reason reason;
		int http_status;
		bool on_new_connection;
	} cases[] = {
		{ REASON_TIMEOUT, 0, true },
		{ REASON_STREAM_BROKEN, 0, true },
		{ REASON_TIMEOUT, 408, false },
		{ REASON_OVERLOADED, 503, false },
		{ REASON_CONNECT, 0, false },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct support support;
		support_open(&support);
		support_take_chat(&support, 0, 0, "c");
		struct call *call = support_call(&support);
		assert_false(call->on_new_connection);
		support_fail_as(&support, call,
			(struct failure){ .reason = cases[i].reason,
				.action = FAILURE_ACTION_NEXT,
				.http_status = cases[i].http_status,
				.retry_after_ms = -1,
				.maybe_sent = true });
		call = support_call(&support);
		assert_int_equal(call->on_new_connection, cases[i].on_new_connection);
		support_answer(&support, call);
		support_close(&support);
	}
}

static void flow_retry_goes_before_those_who_have_not_been_called(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.in_flight_max = 1;
	support_begin(&support);
	support_take_chat(&support, 0, 0, "c");
	struct call *call = support_call(&support);
	support_take_chat(&support, 0, 1, "d");
	support_fail(&support, call, REASON_OVERLOADED, FAILURE_ACTION_NEXT);
	support_answer_of(&support, "b/two");
	support_answer(&support, support_call(&support));
	assert_int_equal(support.offsets[0], 0);
	support_close(&support);
}

static void flow_retry_refusal_asks_another_model_once(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.model_count = 3;
	support_begin(&support);
	support_take_chat(&support, 0, 0, "c");
	support_fail(&support, support_call(&support), REASON_MODERATED, FAILURE_ACTION_NEXT_ONCE);
	struct call *call = support_call_of(&support, "b/two");
	support_fail(&support, call, REASON_REFUSED, FAILURE_ACTION_NEXT_ONCE);
	support_no_call(&support);
	struct chat_client_response reply = support_only_reply(&support);
	assert_text_equal(reply.reason, "refused");
	assert_int_equal(reply.attempts, 2);
	support_close(&support);
}

static void flow_retry_reasoning_only_is_not_asked_again_of_the_same_model(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.model_count = 1;
	support_begin(&support);
	support_take_chat(&support, 0, 0, "c");
	struct failure failure = failure_of_defect(ANSWER_DEFECT_REASONING);
	support_fail(&support, support_call(&support), failure.reason, failure.action);
	support_no_call(&support);
	assert_text_equal(support_only_reply(&support).reason, "empty_answer");
	support_close(&support);
}

#define LONG_CHAT                                                            \
	"{\"request_id\":\"r\",\"messages\":["                               \
	"{\"role\":\"user\",\"content\":\"first question, in more words\"}," \
	"{\"role\":\"assistant\",\"content\":\"first answer\"},"             \
	"{\"role\":\"user\",\"content\":\"second question\"},"               \
	"{\"role\":\"assistant\",\"content\":\"second answer\"},"            \
	"{\"role\":\"user\",\"content\":\"third question\"}]}"

static void flow_retry_too_long_context_halves_the_history_once(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_json(&support, LONG_CHAT);
	struct call *call = support_call(&support);
	assert_true(support_contains(buffer_bytes(&call->body), "first question"));
	support_fail(&support, call, REASON_CONTEXT_LENGTH, FAILURE_ACTION_TRIM);
	assert_int_equal(support.step, RETRY_STEP_TRIM);
	call = support_call_of(&support, "a/one");
	assert_false(support_contains(buffer_bytes(&call->body), "first question"));
	assert_true(support_contains(buffer_bytes(&call->body), "second question"));
	assert_true(support_contains(buffer_bytes(&call->body), "third question"));
	support_fail(&support, call, REASON_CONTEXT_LENGTH, FAILURE_ACTION_TRIM);
	support_no_call(&support);
	struct batch *batch = support_batch(&support);
	struct chat_client_response reply = support_reply(&support, batch, 0);
	assert_text_equal(reply.outcome, "rejected");
	assert_text_equal(reply.reason, "context_length");
	assert_int_equal(reply.attempts, 2);
	assert_true(batch->items[1].record->is_dead_letter);
	assert_text_equal(batch->items[1].record->value, LONG_CHAT);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_retry_too_long_context_that_cannot_be_halved_ends(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	support_fail(&support, support_call(&support), REASON_CONTEXT_LENGTH, FAILURE_ACTION_TRIM);
	support_no_call(&support);
	assert_text_equal(support_only_reply(&support).reason, "context_length");
	support_close(&support);
}

static void flow_retry_latch_ends_the_chat(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	support_fail(&support, support_call(&support), REASON_AUTH, FAILURE_ACTION_LATCH);
	assert_int_equal(support.step, RETRY_STEP_END);
	support_no_call(&support);
	assert_text_equal(support_only_reply(&support).reason, "auth");
	support_close(&support);
}

static void flow_retry_attempts_are_bounded(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	for (int i = 0; i < 3; i++) {
		support_fail(&support, support_call(&support), REASON_CONNECT, FAILURE_ACTION_SAME);
		support_pass(&support, 900);
	}
	support_no_call(&support);
	struct chat_client_response reply = support_only_reply(&support);
	assert_text_equal(reply.reason, "connect");
	assert_int_equal(reply.attempts, 3);
	assert_int_equal(support.attempts, 3);
	support_close(&support);
}

static void flow_retry_without_time_for_it_ends(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	struct call *call = support_call(&support);
	support_pass(&support, 9700 - RETRY_TIME_MIN_MS + 1);
	support_fail(&support, call, REASON_OVERLOADED, FAILURE_ACTION_NEXT);
	support_no_call(&support);
	assert_text_equal(support_only_reply(&support).reason, "overloaded");
	support_close(&support);
}

static void flow_retry_last_attempt_has_all_the_time_for_its_content(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.retry.first_content_max_ms = 60000;
	support.options.retry.max_attempts = 2;
	support_begin(&support);
	support_take_chat(&support, 0, 0, "c");
	struct call *call = support_call(&support);
	assert_int_equal(call->first_content_due_ms, SUPPORT_MONO_MS + 9700 * 55 / 100);
	support_fail(&support, call, REASON_OVERLOADED, FAILURE_ACTION_NEXT);
	call = support_call(&support);
	assert_int_equal(call->first_content_due_ms, call->deadline_ms);
	support_answer(&support, call);
	support_close(&support);
}

static void flow_retry_refused_call_is_tried_again(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	for (int i = 0; i < 3; i++) {
		struct call *call = support_call(&support);
		call->requests_sent = 0;
		flow_call_refused(support.flow, call, support.now);
		support_pass(&support, 900);
	}
	struct chat_client_response reply = support_only_reply(&support);
	assert_text_equal(reply.reason, "internal");
	assert_int_equal(reply.attempts, 0);
	support_close(&support);
}

/* A list for the service to go through by itself would multiply with our own steps. */
static void flow_retry_models_of_a_request_are_steps_and_on_no_attempt(void **state)
{
	(void)state;
	static const char *const wanted[] = { "x/1", "x/2", "x/3" };
	struct support support;
	support_open(&support);
	support_take_json(&support, "{\"request_id\":\"r\",\"models\":[\"x/1\",\"x/2\",\"x/3\"],\"route\":\"fallback\","
				    "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}");
	for (int i = 0; i < 3; i++) {
		struct call *call = support_call_of(&support, wanted[i]);
		assert_false(support_contains(buffer_bytes(&call->body), "\"models\""));
		assert_false(support_contains(buffer_bytes(&call->body), "\"route\""));
		support_fail(&support, call, REASON_OVERLOADED, FAILURE_ACTION_NEXT);
	}
	support_no_call(&support);
	assert_int_equal(support_only_reply(&support).attempts, 3);
	support_close(&support);
}

/* What a response cache goes by: neither the attempt, nor the process, nor chance, nor time is in the body. */
static void flow_retry_body_is_the_same_for_each_attempt_and_process(void **state)
{
	(void)state;
	struct buffer first;
	buffer_init(&first, 4096);
	for (uint64_t seed = 1; seed <= 5; seed++) {
		struct support support;
		support_init(&support);
		support.options.seed = seed;
		support.options.provider = BYTES_LITERAL("{\"sort\":\"latency\"}");
		support.now.mono_ms += (int64_t)seed * 997;
		support_begin(&support);
		support_take_json(&support, "{\"user\":\"u\",\"request_id\":\"r\",\"top_p\":0.5,\"messages\":["
					    "{\"role\":\"user\",\"content\":\"Hi\"}]}");
		for (int attempt = 0; attempt < 3; attempt++) {
			struct call *call = support_call(&support);
			if (first.size == 0) buffer_append(&first, buffer_bytes(&call->body));
			assert_true(bytes_equal(buffer_bytes(&call->body), buffer_bytes(&first)));
			support_fail(&support, call, REASON_CONNECT, FAILURE_ACTION_SAME);
			support_pass(&support, 900);
		}
		assert_text_equal(support_only_reply(&support).reason, "connect");
		support_close(&support);
	}
	buffer_deinit(&first);
}

static void flow_retry_ids_of_calls_never_repeat(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	uint64_t last = 0;
	for (int64_t offset = 0; offset < 50; offset++) {
		support_take_chat(&support, 0, offset, "c");
		struct call *call = support_call(&support);
		assert_true(call->id > last);
		last = call->id;
		support_answer(&support, call);
	}
	support_close(&support);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_retry_same_model_after_its_back_off),
		cmocka_unit_test(flow_retry_wait_that_fits_is_kept),
		cmocka_unit_test(flow_retry_wait_that_does_not_fit_is_the_next_model_at_once),
		cmocka_unit_test(flow_retry_next_model_at_once),
		cmocka_unit_test(flow_retry_after_silence_takes_a_new_connection),
		cmocka_unit_test(flow_retry_goes_before_those_who_have_not_been_called),
		cmocka_unit_test(flow_retry_refusal_asks_another_model_once),
		cmocka_unit_test(flow_retry_reasoning_only_is_not_asked_again_of_the_same_model),
		cmocka_unit_test(flow_retry_too_long_context_halves_the_history_once),
		cmocka_unit_test(flow_retry_too_long_context_that_cannot_be_halved_ends),
		cmocka_unit_test(flow_retry_latch_ends_the_chat),
		cmocka_unit_test(flow_retry_attempts_are_bounded),
		cmocka_unit_test(flow_retry_without_time_for_it_ends),
		cmocka_unit_test(flow_retry_last_attempt_has_all_the_time_for_its_content),
		cmocka_unit_test(flow_retry_refused_call_is_tried_again),
		cmocka_unit_test(flow_retry_models_of_a_request_are_steps_and_on_no_attempt),
		cmocka_unit_test(flow_retry_body_is_the_same_for_each_attempt_and_process),
		cmocka_unit_test(flow_retry_ids_of_calls_never_repeat),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
