/* Calls: bounds as given, nothing set that the flow or the upstream has to set. */
#include "worker/core/call.h"

#include "tests/unit/assertion_trap.h"

static void call_free_accepts_null(void **state)
{
	(void)state;
	call_free(NULL);
}

static void call_new_is_zero_but_for_its_id(void **state)
{
	(void)state;
	struct call *call = call_new(77, 100, 10000);
	assert_non_null(call);
	assert_int_equal(call->id, 77);
	assert_int_equal(buffer_bytes(&call->body).size, 0);
	assert_int_equal(call->first_content_due_ms, 0);
	assert_int_equal(call->deadline_ms, 0);
	assert_int_equal(call->stall_ms, 0);
	assert_int_equal(call->requests_sent, 0);
	assert_int_equal(call->started_ms, 0);
	assert_int_equal(call->first_content_ms, 0);
	assert_int_equal(call->ended_ms, 0);
	assert_int_equal(call->result.failure.reason, REASON_NONE);
	call_free(call);
}

static void call_body_is_bounded(void **state)
{
	(void)state;
	struct call *call = call_new(1, 5, 10000);
	buffer_append_text(&call->body, "12345");
	assert_int_equal(buffer_status(&call->body), STATUS_OK);
	buffer_append_text(&call->body, "6");
	assert_int_equal(buffer_status(&call->body), STATUS_TOO_LARGE);
	call_free(call);
}

static void call_result_is_bounded(void **state)
{
	(void)state;
	struct call *call = call_new(1, 5, 10000);
	assert_non_null(arena_alloc(call->arena, 5000));
	assert_null(arena_alloc(call->arena, 5000));
	assert_true(arena_size(call->arena) <= 10000);
	call_free(call);
}

static void call_without_id_asserts(void **state)
{
	(void)state;
	expect_assert_failure(assert_null(call_new(0, 5, 10000)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(call_free_accepts_null),
		cmocka_unit_test(call_new_is_zero_but_for_its_id),
		cmocka_unit_test(call_body_is_bounded),
		cmocka_unit_test(call_result_is_bounded),
		cmocka_unit_test(call_without_id_asserts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
