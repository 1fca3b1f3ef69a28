/* One deadline a chat bounds everything: what it is, and what it does in each state. */
#include "tests/unit/flow_support.h"

#include <stdio.h>

/* The deadline of a record with this timestamp and `deadline_ms` field (both after the start; INT64_MIN = none), taken
 * at the start: milliseconds after it, the reserve taken off. */
static int64_t deadline_of(int64_t timestamp_ms, int64_t field_ms)
{
	struct support support;
	support_open(&support);
	char json[200], field[60] = "";
	if (field_ms != INT64_MIN)
		snprintf(field, sizeof(field), "\"deadline_ms\":%lld,", (long long)(SUPPORT_WALL_MS + field_ms));
	snprintf(json, sizeof(json), "{\"request_id\":\"r\",%s\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
		field);
	struct record source = support_record();
	source.timestamp_ms = timestamp_ms == INT64_MIN ? -1 : SUPPORT_WALL_MS + timestamp_ms;
	source.value = bytes_of(json);
	support_take(&support, &source);
	int64_t deadline_ms = support.deadline_ms - SUPPORT_MONO_MS;
	struct call *call;
	if (flow_next_call(support.flow, support.now, &call) == STATUS_OK) support_answer(&support, call);
	support_close(&support);
	return deadline_ms;
}

static void flow_deadline_counts_from_the_timestamp(void **state)
{
	(void)state;
	assert_int_equal(deadline_of(0, INT64_MIN), 9700);
	assert_int_equal(deadline_of(-4000, INT64_MIN), 5700);
}

static void flow_deadline_of_timestamp_in_the_future_counts_from_now(void **state)
{
	(void)state;
	assert_int_equal(deadline_of(3600000, INT64_MIN), 9700);
}

static void flow_deadline_without_timestamp_counts_from_now(void **state)
{
	(void)state;
	assert_int_equal(deadline_of(INT64_MIN, INT64_MIN), 9700);
}

static void flow_deadline_of_the_request_may_be_earlier(void **state)
{
	(void)state;
	assert_int_equal(deadline_of(0, 4000), 3700);
}

static void flow_deadline_of_the_request_may_be_later_up_to_the_maximum(void **state)
{
	(void)state;
	assert_int_equal(deadline_of(0, 15000), 14700);
	assert_int_equal(deadline_of(0, 20001), 19700);
	assert_int_equal(deadline_of(-1000, 3600000), 18700);
	/* A clock that is ahead gives no more. */
	assert_int_equal(deadline_of(3600000, 3600000), 19700);
}

static void flow_deadline_of_the_request_in_the_past_is_answered_at_once(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_json(&support, "{\"request_id\":\"r\",\"deadline_ms\":1,"
				    "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}");
	support_no_call(&support);
	assert_text_equal(support_only_reply(&support).reason, "deadline");
	support_close(&support);
}

static void flow_deadline_header_counts_too(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	struct record source = support_record();
	char text[32];
	snprintf(text, sizeof(text), "%lld", (long long)SUPPORT_WALL_MS + 2000);
	struct record_header header = { BYTES_LITERAL("chat-deadline-ms"), bytes_of(text) };
	source.headers = (struct record_headers){ &header, 1 };
	support_take(&support, &source);
	assert_int_equal(support.deadline_ms, SUPPORT_MONO_MS + 1700);
	support_close(&support);
}

static void flow_deadline_nearly_over_is_not_called(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	struct record source = support_record();
	source.timestamp_ms = SUPPORT_WALL_MS - 9700 + RETRY_FIRST_MIN_MS - 1;
	support_take(&support, &source);
	support_no_call(&support);
	struct chat_client_response reply = support_only_reply(&support);
	assert_text_equal(reply.reason, "deadline");
	assert_text_equal(reply.outcome, "fallback");
	assert_int_equal(reply.attempts, 0);
	support_close(&support);
}

static void flow_deadline_just_far_enough_is_called(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	struct record source = support_record();
	source.timestamp_ms = SUPPORT_WALL_MS - 9700 + RETRY_FIRST_MIN_MS;
	support_take(&support, &source);
	support_answer(&support, support_call(&support));
	support_close(&support);
}

static void flow_deadline_while_calling_cancels_the_call(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	support_pass(&support, 100);
	struct call *call = support_call(&support);
	assert_int_equal(flow_due(support.flow), SUPPORT_MONO_MS + 9700);
	support_pass(&support, 9599);
	support_no_cancel(&support);
	support_pass(&support, 1);
	assert_int_equal(support_cancel(&support), call->id);
	support_no_cancel(&support);
	struct chat_client_response reply = support_only_reply(&support);
	assert_text_equal(reply.reason, "timeout");
	/* The call's own account has not come; it was under way all the same. */
	assert_int_equal(reply.attempts, 1);
	assert_int_equal(reply.upstream_ms, 9600);
	support_answer(&support, call);
	support_close(&support);
}

static void flow_deadline_late_result_is_stale_and_frees_its_slot(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.in_flight_max = 1;
	support_begin(&support);
	support_take_chat(&support, 0, 0, "c");
	struct call *call = support_call(&support);
	support_pass(&support, 9700);
	support_take_chat(&support, 0, 1, "d");
	support_pass(&support, 1);
	assert_int_equal(support_gauges(&support).in_flight, 1);
	support_answer(&support, call);
	assert_int_equal(support.notices[FLOW_NOTICE_STALE_RESULT], 1);
	assert_int_equal(support_gauges(&support).in_flight, 0);
	assert_int_equal(support.replies, 2); /* the second chat's time is over, too: same timestamp */
	assert_int_equal(support.attempts, 0);
	/* The cancel that nobody asked for yet went with the call. */
	support_no_cancel(&support);
	support_close(&support);
}

static void flow_deadline_in_back_off_tells_the_last_failure(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	support_fail_wait(&support, support_call(&support), 3000);
	assert_int_equal(flow_due(support.flow), SUPPORT_MONO_MS + 3000);
	/* A loop that was away until after the deadline. */
	support_pass(&support, 9700);
	struct chat_client_response reply = support_only_reply(&support);
	assert_text_equal(reply.reason, "rate_limited");
	assert_int_equal(reply.http_status, 429);
	support_close(&support);
}

static void flow_deadline_without_slot_is_deadline(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.in_flight_max = 1;
	support.options.deadline_max_ms = 60000;
	support_begin(&support);
	char json[200];
	snprintf(json, sizeof(json),
		"{\"request_id\":\"r\",\"deadline_ms\":%lld,\"conversation_id\":\"long\","
		"\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}",
		(long long)SUPPORT_WALL_MS + 50000);
	support_take_json(&support, json);
	struct call *call = support_call(&support);
	support_take_chat(&support, 0, 1, "d");
	support_no_call(&support);
	support_pass(&support, 9699);
	assert_int_equal(support.replies, 0);
	support_pass(&support, 1);
	assert_int_equal(support.replies, 1);
	assert_text_equal(support_only_reply(&support).reason, "deadline");
	support_answer(&support, call);
	support_close(&support);
}

static void flow_deadline_too_near_when_a_slot_comes_free_is_not_called(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.in_flight_max = 1;
	support_begin(&support);
	support_take_chat(&support, 0, 0, "c");
	struct call *call = support_call(&support);
	support_take_chat(&support, 0, 1, "d");
	support_pass(&support, 9700 - RETRY_FIRST_MIN_MS + 1);
	support_answer(&support, call);
	support_no_call(&support);
	struct batch *batch = support_batch(&support);
	assert_text_equal(support_reply(&support, batch, 1).reason, "deadline");
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_deadline_of_retry_without_slot_tells_the_last_failure(void **state)
{
	(void)state;
	struct support support;
	support_init(&support);
	support.options.in_flight_max = 1;
	support_begin(&support);
	support_take_chat(&support, 0, 0, "c");
	support_fail_wait(&support, support_call(&support), 500);
	support_take_chat(&support, 0, 1, "d");
	struct call *call = support_call(&support);
	support_pass(&support, 9700);
	struct batch *batch = support_batch(&support);
	assert_int_equal(batch->item_count, 2);
	for (size_t i = 0; i < 2; i++) {
		struct chat_client_response reply = support_reply(&support, batch, i);
		assert_text_equal(reply.reason, reply.offset == 0 ? "rate_limited" : "timeout");
	}
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_answer(&support, call);
	support_close(&support);
}

static void flow_deadline_behind_its_conversation_waits_for_its_turn(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_pass(&support, 5000);
	struct record source = support_record();
	source.timestamp_ms = support.now.wall_ms;
	support_take(&support, &source);
	struct call *call = support_call(&support);
	support_take_chat(&support, 0, 1, "c");
	support_pass(&support, 4700);
	/* Its deadline is over, its predecessor's is not. */
	assert_int_equal(support.replies, 0);
	assert_int_equal(flow_due(support.flow), SUPPORT_MONO_MS + 5000 + 9700);
	support_answer(&support, call);
	struct batch *batch = support_batch(&support);
	assert_text_equal(support_reply(&support, batch, 0).outcome, "answered");
	assert_text_equal(support_reply(&support, batch, 1).reason, "deadline");
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_deadline_does_not_move_with_the_wall_clock(void **state)
{
	(void)state;
	for (int64_t step_ms = -86400000; step_ms <= 86400000; step_ms += 172800000) {
		struct support support;
		support_open(&support);
		support_take_chat(&support, 0, 0, "c");
		struct call *call = support_call(&support);
		assert_int_equal(call->deadline_ms, SUPPORT_MONO_MS + 9700);
		support.now.wall_ms += step_ms;
		support_pass(&support, 9699);
		assert_int_equal(support.replies, 0);
		support_pass(&support, 1);
		assert_int_equal(support.replies, 1);
		assert_int_equal(support_only_reply(&support).received_ms, SUPPORT_WALL_MS);
		support_answer(&support, call);
		support_close(&support);
	}
}

static void flow_deadline_gauge_is_the_earliest(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	assert_true(support_gauges(&support).oldest_overdue_ms == INT64_MAX);
	support_take_chat(&support, 0, 0, "c");
	struct record older = support_record();
	older.offset = 1;
	older.key = BYTES_LITERAL("d");
	older.timestamp_ms -= 1000;
	support_take(&support, &older);
	assert_int_equal(support_gauges(&support).oldest_overdue_ms, SUPPORT_MONO_MS + 8700);
	assert_int_equal(flow_due(support.flow), SUPPORT_MONO_MS + 8700);
	support_close(&support);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_deadline_counts_from_the_timestamp),
		cmocka_unit_test(flow_deadline_of_timestamp_in_the_future_counts_from_now),
		cmocka_unit_test(flow_deadline_without_timestamp_counts_from_now),
		cmocka_unit_test(flow_deadline_of_the_request_may_be_earlier),
		cmocka_unit_test(flow_deadline_of_the_request_may_be_later_up_to_the_maximum),
		cmocka_unit_test(flow_deadline_of_the_request_in_the_past_is_answered_at_once),
		cmocka_unit_test(flow_deadline_header_counts_too),
		cmocka_unit_test(flow_deadline_nearly_over_is_not_called),
		cmocka_unit_test(flow_deadline_just_far_enough_is_called),
		cmocka_unit_test(flow_deadline_while_calling_cancels_the_call),
		cmocka_unit_test(flow_deadline_late_result_is_stale_and_frees_its_slot),
		cmocka_unit_test(flow_deadline_in_back_off_tells_the_last_failure),
		cmocka_unit_test(flow_deadline_without_slot_is_deadline),
		cmocka_unit_test(flow_deadline_too_near_when_a_slot_comes_free_is_not_called),
		cmocka_unit_test(flow_deadline_of_retry_without_slot_tells_the_last_failure),
		cmocka_unit_test(flow_deadline_behind_its_conversation_waits_for_its_turn),
		cmocka_unit_test(flow_deadline_does_not_move_with_the_wall_clock),
		cmocka_unit_test(flow_deadline_gauge_is_the_earliest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
