/* What is known of how long models take: which retries are worth their while, and how long an attempt may show nothing. */
#include <stdio.h>

#include "tests/unit/flow_support.h"
#include "worker/core/latency.h"
#include "worker/core/model_names.h"

enum { LEFT_MS = 9700 };

static void open_with(struct support *support, size_t models, int attempts)
{
	support_init(support);
	support->options.model_count = models;
	support->options.retry.max_attempts = attempts;
	support->options.retry.backoff_ms = 0;
	support_begin(support);
}

/* A chat of now, for these models; "" = those of the settings. */
static void take(struct support *support, int64_t offset, const char *list)
{
	char json[256], key[24];
	snprintf(key, sizeof(key), "k%d", (int)offset);
	snprintf(json, sizeof(json),
		"{\"request_id\":\"r\",%s%s%s\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
		list[0] == '\0' ? "" : "\"models\":[", list, list[0] == '\0' ? "" : "],");
	struct record record = support_record();
	record.offset = offset;
	record.key = bytes_of(key);
	record.value = bytes_of(json);
	record.timestamp_ms = support->now.wall_ms;
	support_take(support, &record);
}

/* So many answers of one model that it is known: each with its first content after `first_ms`, whole after `whole_ms`. */
static int64_t teach(struct support *support, int64_t offset, const char *list, int64_t first_ms, int64_t whole_ms)
{
	for (int i = 0; i < LATENCY_SAMPLES_MIN; i++) {
		take(support, offset, list);
		struct call *call = support_call(support);
		call->started_ms = support->now.mono_ms - whole_ms;
		call->first_content_ms = call->started_ms + first_ms;
		support_answer(support, call);
		support_commit(support);
		offset++;
	}
	return offset;
}

/* A chat of the settings' models whose first attempt fails when so much time is left; the call that follows. */
static struct call *fail_late(struct support *support, int64_t offset, int64_t left_ms, enum failure_action action)
{
	take(support, offset, "");
	struct call *call = support_call(support);
	support_assert_model(call, "a/one");
	support_pass(support, LEFT_MS - left_ms);
	support_fail(support, call, REASON_OVERLOADED, action);
	if (support->step == RETRY_STEP_END) {
		support_no_call(support);
		support_commit(support);
		return NULL;
	}
	return support_call(support);
}

static void assert_step(struct support *support, int64_t offset, int64_t left_ms, const char *wanted)
{
	struct call *call = fail_late(support, offset, left_ms, FAILURE_ACTION_NEXT);
	if (wanted == NULL) {
		assert_null(call);
		return;
	}
	assert_non_null(call);
	support_assert_model(call, wanted);
	support_answer(support, call);
	support_commit(support);
}

static void flow_pace_retry_needs_what_half_of_the_answers_took(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, 2, 3);
	int64_t offset = teach(&support, 0, "\"b/two\"", 100, 4000);
	/* 4000 ms is told as the end of its bucket. */
	assert_step(&support, offset++, 4095, "b/two");
	offset = teach(&support, offset, "\"b/two\"", 100, 4000);
	/* Nothing is known of the first model, so it is asked again in the place of one that is too slow. */
	assert_step(&support, offset++, 4094, "a/one");
	assert_step(&support, offset++, 1500, "a/one");
	assert_step(&support, offset++, 1499, NULL);
	support_close(&support);
}

static void flow_pace_next_model_that_can_finish_is_taken(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, 3, 3);
	int64_t offset = teach(&support, 0, "\"b/two\"", 100, 6000);
	offset = teach(&support, offset, "\"c/three\"", 100, 2000);
	struct call *call = fail_late(&support, offset++, 3000, FAILURE_ACTION_NEXT_ONLY);
	assert_non_null(call);
	support_assert_model(call, "c/three");
	support_answer(&support, call);
	support_commit(&support);
	assert_null(fail_late(&support, offset++, 1600, FAILURE_ACTION_NEXT_ONLY));
	support_close(&support);
}

static void flow_pace_same_model_that_is_too_slow_is_left(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, 2, 3);
	int64_t offset = teach(&support, 0, "\"a/one\"", 100, 6000);
	struct call *call = fail_late(&support, offset++, 5000, FAILURE_ACTION_SAME);
	assert_non_null(call);
	assert_int_equal(support.step, RETRY_STEP_NEXT);
	support_assert_model(call, "b/two");
	support_answer(&support, call);
	support_close(&support);
}

static void flow_pace_only_model_that_is_too_slow_ends_the_chat(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, 1, 3);
	int64_t offset = teach(&support, 0, "", 100, 6000);
	struct call *call = fail_late(&support, offset++, 6143, FAILURE_ACTION_SAME);
	assert_non_null(call);
	support_answer(&support, call);
	support_commit(&support);
	offset = teach(&support, offset, "", 100, 6000);
	assert_null(fail_late(&support, offset++, 6142, FAILURE_ACTION_SAME));
	support_close(&support);
}

static void flow_pace_wait_has_to_leave_the_time_as_well(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, 1, 3);
	int64_t offset = teach(&support, 0, "", 100, 6000);
	take(&support, offset, "");
	support_fail_wait(&support, support_call(&support), 3536);
	assert_int_equal(support.step, RETRY_STEP_AGAIN);
	support_pass(&support, 3536);
	support_answer(&support, support_call(&support));
	take(&support, offset + 1, "");
	support_fail_wait(&support, support_call(&support), 3538);
	assert_int_equal(support.step, RETRY_STEP_END);
	support_close(&support);
}

/* A model that takes longer than any chat has would never be seen to have recovered. */
static void flow_pace_first_attempts_are_made_whatever_is_known(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, 1, 3);
	int64_t offset = teach(&support, 0, "", 100, 60000);
	take(&support, offset, "");
	support_pass(&support, LEFT_MS - RETRY_FIRST_MIN_MS);
	struct call *call = support_call(&support);
	support_answer(&support, call);
	support_close(&support);
}

static void flow_pace_slow_model_that_nobody_asked_lately_gets_another_chance(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, 2, 3);
	int64_t offset = teach(&support, 0, "\"b/two\"", 100, 60000);
	struct call *call = fail_late(&support, offset++, 9000, FAILURE_ACTION_NEXT);
	support_assert_model(call, "a/one");
	support_answer(&support, call);
	support_commit(&support);
	support_pass(&support, 30000);
	call = fail_late(&support, offset++, 9000, FAILURE_ACTION_NEXT);
	support_assert_model(call, "b/two");
	support_answer(&support, call);
	support_commit(&support);
	/* … and only that one. */
	call = fail_late(&support, offset++, 9000, FAILURE_ACTION_NEXT);
	support_assert_model(call, "a/one");
	support_answer(&support, call);
	support_close(&support);
}

/* It was decided in time, but then the chat stood in line. */
static void flow_pace_retry_that_stood_in_line_too_long_is_not_begun(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.in_flight_max = 1;
	support.options.retry.backoff_ms = 0;
	support_begin(&support);
	take(&support, 0, "");
	take(&support, 1, "");
	struct call *call = support_call(&support);
	support_pass(&support, 5000);
	support_fail(&support, call, REASON_OVERLOADED, FAILURE_ACTION_NEXT);
	assert_int_equal(support.step, RETRY_STEP_NEXT);
	support_pass(&support, LEFT_MS - 5000 - RETRY_TIME_MIN_MS + 1);
	/* The other one has not been called at all. */
	call = support_call(&support);
	assert_int_equal(support.replies, 1);
	support_answer(&support, call);
	struct batch *batch = support_batch(&support);
	assert_text_equal(support_reply(&support, batch, 0).reason, "overloaded");
	assert_text_equal(support_reply(&support, batch, 1).outcome, "answered");
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static int64_t first_content_after(struct support *support, int64_t offset)
{
	take(support, offset, "");
	struct call *call = support_call(support);
	int64_t after_ms = call->first_content_due_ms - support->now.mono_ms;
	support_answer(support, call);
	support_commit(support);
	return after_ms;
}

static void flow_pace_first_content_is_given_the_time_it_mostly_takes(void **state)
{
	(void)state;
	static const struct {
		int64_t took_ms, wanted_ms;
	} rows[] = { { 100, 1500 }, { 1400, 1500 }, { 2000, 2047 }, { 3000, 3071 }, { 3400, 3500 }, { 9000, 3500 } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct support support;
		open_with(&support, 1, 3);
		assert_int_equal(first_content_after(&support, 0), 3500);
		int64_t offset = teach(&support, 1, "", rows[i].took_ms, rows[i].took_ms + 10);
		assert_int_equal(first_content_after(&support, offset), rows[i].wanted_ms);
		support_close(&support);
	}
}

static void flow_pace_first_content_is_never_given_more_than_the_setting(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.model_count = 1;
	support.options.retry.first_content_max_ms = 800;
	support_begin(&support);
	int64_t offset = teach(&support, 0, "", 100, 200);
	assert_int_equal(first_content_after(&support, offset), 800);
	support_close(&support);
}

static void flow_pace_last_attempt_is_not_given_up_early(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, 1, 2);
	int64_t offset = teach(&support, 0, "", 100, 200);
	take(&support, offset, "");
	struct call *call = support_call(&support);
	assert_int_equal(call->first_content_due_ms - support.now.mono_ms, 1500);
	support_fail(&support, call, REASON_UPSTREAM_ERROR, FAILURE_ACTION_SAME);
	call = support_call(&support);
	assert_int_equal(call->first_content_due_ms - support.now.mono_ms, 3500);
	support_answer(&support, call);
	support_close(&support);
}

/* Attempts that are cut off count as longer, so a limit that has become too short grows again. */
static void flow_pace_first_content_follows_a_model_that_gets_slower(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, 1, 3);
	support.options.breaker.min_calls = 1000000;
	flow_free(support.flow);
	support_begin(&support);
	int64_t offset = teach(&support, 0, "", 100, 200), given_ms = 0;
	for (int i = 0; i < 400 && given_ms < 2500; i++) {
		take(&support, offset++, "");
		struct call *call = support_call(&support);
		given_ms = call->first_content_due_ms - support.now.mono_ms;
		call->started_ms -= given_ms;
		support_fail_as(&support, call,
			(struct failure){ .reason = REASON_TIMEOUT,
				.action = FAILURE_ACTION_END,
				.retry_after_ms = -1,
				.maybe_sent = true });
		support_commit(&support);
	}
	assert_in_range(given_ms, 2500, 3500);
	support_close(&support);
}

static void flow_pace_models_that_share_a_number_are_not_measured_together(void **state)
{
	(void)state;
	struct support support;
	open_with(&support, 1, 3);
	int64_t offset = 0;
	char name[24];
	for (int i = 0; i < MODEL_NAMES_MAX; i++) {
		snprintf(name, sizeof(name), "\"m/%d\"", i);
		take(&support, offset++, name);
		support_answer(&support, support_call(&support));
		support_commit(&support);
	}
	offset = teach(&support, offset, "\"x/quick\"", 100, 6000);
	take(&support, offset, "\"y/slow\"");
	struct call *call = support_call_of(&support, "y/slow");
	assert_int_equal(call->first_content_due_ms - support.now.mono_ms, 3500);
	support_pass(&support, LEFT_MS - RETRY_TIME_MIN_MS);
	support_fail(&support, call, REASON_OVERLOADED, FAILURE_ACTION_SAME);
	assert_int_equal(support.step, RETRY_STEP_AGAIN);
	support_answer(&support, support_call(&support));
	support_close(&support);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_pace_retry_needs_what_half_of_the_answers_took),
		cmocka_unit_test(flow_pace_next_model_that_can_finish_is_taken),
		cmocka_unit_test(flow_pace_same_model_that_is_too_slow_is_left),
		cmocka_unit_test(flow_pace_only_model_that_is_too_slow_ends_the_chat),
		cmocka_unit_test(flow_pace_wait_has_to_leave_the_time_as_well),
		cmocka_unit_test(flow_pace_first_attempts_are_made_whatever_is_known),
		cmocka_unit_test(flow_pace_slow_model_that_nobody_asked_lately_gets_another_chance),
		cmocka_unit_test(flow_pace_retry_that_stood_in_line_too_long_is_not_begun),
		cmocka_unit_test(flow_pace_first_content_is_given_the_time_it_mostly_takes),
		cmocka_unit_test(flow_pace_first_content_is_never_given_more_than_the_setting),
		cmocka_unit_test(flow_pace_last_attempt_is_not_given_up_early),
		cmocka_unit_test(flow_pace_first_content_follows_a_model_that_gets_slower),
		cmocka_unit_test(flow_pace_models_that_share_a_number_are_not_measured_together),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
