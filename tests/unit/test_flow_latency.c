/* What the flow notes of how long models take. */
#include "tests/unit/flow_support.h"
#include "worker/core/flow_internal.h"

static const struct flow_model *model_of(const struct support *support, const char *name)
{
	size_t number = model_names_number(&support->flow->guard.names, bytes_of(name));
	return &support->flow->guard.models[number];
}

static struct call *next_chat(struct support *support, int64_t offset)
{
	support_take_chat(support, 0, offset, "c");
	return support_call(support);
}

static void flow_latency_answers_tell_of_first_content_and_the_whole(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	for (int64_t i = 0; i < LATENCY_SAMPLES_MIN; i++) {
		assert_int_equal(latency_quantile(&model_of(&support, "a/one")->whole, 500), -1);
		struct call *call = next_chat(&support, i);
		support_pass(&support, 12);
		call->first_content_ms = support.now.mono_ms - 4;
		support_answer(&support, call);
		support_commit(&support);
	}
	assert_int_equal(latency_quantile(&model_of(&support, "a/one")->first_content, 500), 8);
	assert_int_equal(latency_quantile(&model_of(&support, "a/one")->whole, 500), 12);
	assert_int_equal(model_of(&support, "b/two")->whole.total, 0);
	support_close(&support);
}

static void flow_latency_failure_after_content_tells_of_first_content_only(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	struct call *call = next_chat(&support, 0);
	support_pass(&support, 12);
	call->first_content_ms = support.now.mono_ms - 4;
	support_fail(&support, call, REASON_STREAM_BROKEN, FAILURE_ACTION_END);
	assert_int_equal(model_of(&support, "a/one")->first_content.total, LATENCY_SAMPLE);
	assert_int_equal(model_of(&support, "a/one")->first_content.weights[8], LATENCY_SAMPLE);
	assert_int_equal(model_of(&support, "a/one")->whole.total, 0);
	support_commit(&support);
	support_close(&support);
}

static void flow_latency_error_without_content_tells_nothing(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	struct call *call = next_chat(&support, 0);
	support_pass(&support, 12);
	support_fail(&support, call, REASON_UPSTREAM_ERROR, FAILURE_ACTION_END);
	assert_int_equal(model_of(&support, "a/one")->first_content.total, 0);
	assert_int_equal(model_of(&support, "a/one")->whole.total, 0);
	support_commit(&support);
	support_close(&support);
}

static void flow_latency_attempt_cut_off_took_at_least_so_long(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	struct call *call = next_chat(&support, 0);
	support_pass(&support, 12);
	support_fail_as(&support, call,
		(struct failure){ .reason = REASON_TIMEOUT,
			.action = FAILURE_ACTION_END,
			.retry_after_ms = -1,
			.maybe_sent = true });
	assert_int_equal(model_of(&support, "a/one")->first_content.weights[13], LATENCY_SAMPLE);
	assert_int_equal(model_of(&support, "a/one")->whole.weights[13], LATENCY_SAMPLE);
	support_commit(&support);
	support_close(&support);
}

/* At the deadline the flow waits no longer; the call's own account comes later. */
static void flow_latency_call_nobody_waits_for_counts_when_it_is_back(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	struct call *call = next_chat(&support, 0);
	support_pass(&support, 9700);
	assert_int_equal(support_cancel(&support), call->id);
	assert_int_equal(model_of(&support, "a/one")->whole.total, 0);
	call->first_content_ms = call->started_ms + 9;
	support_fail_as(
		&support, call, (struct failure){ .reason = REASON_TIMEOUT, .retry_after_ms = -1, .maybe_sent = true });
	assert_int_equal(model_of(&support, "a/one")->first_content.weights[9], LATENCY_SAMPLE);
	assert_int_equal(model_of(&support, "a/one")->whole.total, LATENCY_SAMPLE);
	support_commit(&support);
	support_close(&support);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_latency_answers_tell_of_first_content_and_the_whole),
		cmocka_unit_test(flow_latency_failure_after_content_tells_of_first_content_only),
		cmocka_unit_test(flow_latency_error_without_content_tells_nothing),
		cmocka_unit_test(flow_latency_attempt_cut_off_took_at_least_so_long),
		cmocka_unit_test(flow_latency_call_nobody_waits_for_counts_when_it_is_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
