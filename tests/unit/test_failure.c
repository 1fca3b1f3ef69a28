/* The failure table, row by row, and its order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "worker/core/failure.h"

#define END FAILURE_ACTION_END
#define SAME FAILURE_ACTION_SAME
#define SAME_ONCE FAILURE_ACTION_SAME_ONCE
#define NEXT FAILURE_ACTION_NEXT
#define NEXT_ONLY FAILURE_ACTION_NEXT_ONLY
#define NEXT_ONCE FAILURE_ACTION_NEXT_ONCE
#define TRIM FAILURE_ACTION_TRIM
#define LATCH FAILURE_ACTION_LATCH

static struct failure_sign sign_of(int http_status)
{
	return (struct failure_sign){
		.http_status = http_status, .retryable = -1, .retry_after_ms = -1, .reset_after_ms = -1
	};
}

static void assert_sign(const struct failure_sign *sign, enum reason reason, enum failure_action action)
{
	struct failure failure = failure_of_sign(sign);
	assert_string_equal(reason_word(failure.reason), reason_word(reason));
	assert_int_equal(failure.action, action);
	assert_true(failure.maybe_sent);
}

static void failure_each_status_has_its_reason_and_action(void **state)
{
	(void)state;
	static const struct {
		int status;
		enum reason reason;
		enum failure_action action;
	} rows[] = {
		{ 300, REASON_UPSTREAM_INVALID, END },
		{ 302, REASON_UPSTREAM_INVALID, END },
		{ 399, REASON_UPSTREAM_INVALID, END },
		{ 400, REASON_BAD_REQUEST, END },
		{ 401, REASON_AUTH, LATCH },
		{ 402, REASON_CREDITS, LATCH },
		{ 403, REASON_NO_PROVIDER, NEXT_ONLY },
		{ 404, REASON_NO_PROVIDER, NEXT_ONLY },
		{ 405, REASON_BAD_REQUEST, END },
		{ 408, REASON_TIMEOUT, NEXT },
		{ 409, REASON_BAD_REQUEST, SAME_ONCE },
		{ 412, REASON_BAD_REQUEST, END },
		{ 413, REASON_CONTEXT_LENGTH, TRIM },
		{ 418, REASON_BAD_REQUEST, END },
		{ 422, REASON_BAD_REQUEST, END },
		{ 429, REASON_RATE_LIMITED, SAME },
		{ 499, REASON_BAD_REQUEST, END },
		{ 500, REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ 501, REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ 502, REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ 503, REASON_OVERLOADED, NEXT },
		{ 504, REASON_TIMEOUT, NEXT },
		{ 520, REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ 521, REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ 522, REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ 523, REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ 524, REASON_TIMEOUT, NEXT },
		{ 525, REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ 526, REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ 527, REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ 529, REASON_OVERLOADED, NEXT },
		{ 530, REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ 599, REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ 200, REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ 101, REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ 999, REASON_UPSTREAM_ERROR, SAME_ONCE },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct failure_sign sign = sign_of(rows[i].status);
		assert_sign(&sign, rows[i].reason, rows[i].action);
		assert_int_equal(failure_of_sign(&sign).http_status, rows[i].status);
		/* The same in an error object of a 200. */
		if (rows[i].status < 300 || rows[i].status > 599) continue;
		sign = sign_of(200);
		sign.code = rows[i].status;
		assert_sign(&sign, rows[i].reason, rows[i].action);
		assert_int_equal(failure_of_sign(&sign).http_status, rows[i].status);
	}
}

static void failure_each_type_has_its_reason_and_action(void **state)
{
	(void)state;
	static const struct {
		int status;
		const char *type;
		enum reason reason;
		enum failure_action action;
	} rows[] = {
		{ 400, "invalid_request", REASON_BAD_REQUEST, END },
		{ 400, "invalid_prompt", REASON_BAD_REQUEST, END },
		{ 400, "string_too_long", REASON_BAD_REQUEST, END },
		{ 400, "context_length_exceeded", REASON_CONTEXT_LENGTH, TRIM },
		{ 400, "token_limit_exceeded", REASON_CONTEXT_LENGTH, TRIM },
		{ 400, "max_tokens_exceeded", REASON_EMPTY_ANSWER, NEXT_ONLY },
		{ 400, "content_policy_violation", REASON_REFUSED, NEXT_ONCE },
		{ 400, "refusal", REASON_REFUSED, NEXT_ONCE },
		{ 400, "image_too_large", REASON_BAD_REQUEST, END },
		{ 400, "image_whatever_comes", REASON_BAD_REQUEST, END },
		{ 400, "invalid_image", REASON_BAD_REQUEST, END },
		{ 401, "authentication", REASON_AUTH, LATCH },
		{ 402, "payment_required", REASON_CREDITS, LATCH },
		{ 403, "permission_denied", REASON_NO_PROVIDER, NEXT_ONLY },
		{ 404, "not_found", REASON_NO_PROVIDER, NEXT_ONLY },
		{ 408, "timeout", REASON_TIMEOUT, NEXT },
		{ 412, "precondition_failed", REASON_BAD_REQUEST, END },
		{ 413, "payload_too_large", REASON_CONTEXT_LENGTH, TRIM },
		{ 422, "unprocessable", REASON_BAD_REQUEST, END },
		{ 429, "rate_limit_exceeded", REASON_RATE_LIMITED, SAME },
		{ 500, "server", REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ 500, "server_error", REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ 500, "unmapped", REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ 502, "provider_unavailable", REASON_UPSTREAM_ERROR, SAME_ONCE },
		{ 503, "provider_overloaded", REASON_OVERLOADED, NEXT },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct failure_sign sign = sign_of(rows[i].status);
		sign.error_type = bytes_of(rows[i].type);
		assert_sign(&sign, rows[i].reason, rows[i].action);
		/* The type decides, whatever the status: also inside a 200 without a code. */
		sign.http_status = 200;
		assert_sign(&sign, rows[i].reason, rows[i].action);
		sign.http_status = 418;
		assert_sign(&sign, rows[i].reason, rows[i].action);
	}
}

static void failure_each_availability_code_has_its_reason_and_action(void **state)
{
	(void)state;
	static const struct {
		int status;
		const char *code;
		enum reason reason;
		enum failure_action action;
	} rows[] = {
		{ 400, "model_not_found", REASON_MODEL_UNAVAILABLE, NEXT_ONLY },
		{ 400, "wrong_endpoint", REASON_MODEL_UNAVAILABLE, NEXT_ONLY },
		{ 404, "model_deprecated", REASON_MODEL_UNAVAILABLE, NEXT_ONLY },
		{ 404, "free_variant_ended", REASON_MODEL_UNAVAILABLE, NEXT_ONLY },
		{ 404, "no_endpoints", REASON_NO_PROVIDER, NEXT_ONLY },
		{ 404, "model_unavailable_upstream", REASON_NO_PROVIDER, NEXT_ONLY },
		{ 403, "region_restricted", REASON_NO_PROVIDER, NEXT_ONLY },
		{ 404, "privacy_restricted", REASON_NO_PROVIDER, NEXT_ONLY },
		{ 404, "constraint_filtered", REASON_NO_PROVIDER, NEXT_ONLY },
		{ 429, "capacity_exhausted", REASON_RATE_LIMITED, SAME },
		{ 503, "temporarily_unavailable", REASON_OVERLOADED, NEXT },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct failure_sign sign = sign_of(rows[i].status);
		sign.availability = bytes_of(rows[i].code);
		assert_sign(&sign, rows[i].reason, rows[i].action);
		/* It says more than the type. */
		sign.error_type = BYTES_LITERAL("invalid_request");
		assert_sign(&sign, rows[i].reason, rows[i].action);
	}
}

static void failure_unknown_signs_are_judged_by_status(void **state)
{
	(void)state;
	struct failure_sign sign = sign_of(429);
	sign.error_type = BYTES_LITERAL("brand_new");
	sign.availability = BYTES_LITERAL("brand_new");
	assert_sign(&sign, REASON_RATE_LIMITED, SAME);
	/* A code that is no status says nothing. */
	sign.code = 1302;
	assert_sign(&sign, REASON_RATE_LIMITED, SAME);
	sign.code = 7;
	assert_sign(&sign, REASON_RATE_LIMITED, SAME);
	sign.code = 200;
	assert_sign(&sign, REASON_RATE_LIMITED, SAME);
	/* A prefix is no type. */
	sign = sign_of(400);
	sign.error_type = BYTES_LITERAL("refus");
	assert_sign(&sign, REASON_BAD_REQUEST, END);
	sign.error_type = BYTES_LITERAL("refusal_");
	assert_sign(&sign, REASON_BAD_REQUEST, END);
}

static void failure_code_replaces_the_status(void **state)
{
	(void)state;
	struct failure_sign sign = sign_of(400);
	sign.code = 429;
	assert_sign(&sign, REASON_RATE_LIMITED, SAME);
	assert_int_equal(failure_of_sign(&sign).http_status, 429);
}

static void failure_403_is_told_apart(void **state)
{
	(void)state;
	struct failure_sign sign = sign_of(403);
	sign.has_reasons = true;
	assert_sign(&sign, REASON_MODERATED, NEXT_ONCE);
	sign.has_patterns = true;
	assert_sign(&sign, REASON_MODERATED, END);
	sign.error_type = BYTES_LITERAL("permission_denied");
	assert_sign(&sign, REASON_MODERATED, END);
	sign.retryable = 1;
	assert_sign(&sign, REASON_MODERATED, END);
	sign.http_status = 500;
	sign.error_type = BYTES_NONE;
	sign.retryable = -1;
	assert_sign(&sign, REASON_UPSTREAM_ERROR, SAME_ONCE);
}

static void failure_message_signs_count_where_the_status_is_vague(void **state)
{
	(void)state;
	static const int vague[] = { 200, 400, 413, 422, 500, 502 };
	for (size_t i = 0; i < sizeof(vague) / sizeof(vague[0]); i++) {
		struct failure_sign sign = sign_of(vague[i]);
		sign.names_context = true;
		assert_sign(&sign, REASON_CONTEXT_LENGTH, TRIM);
	}
	static const int clear[] = { 401, 402, 403, 404, 429, 503 };
	for (size_t i = 0; i < sizeof(clear) / sizeof(clear[0]); i++) {
		struct failure_sign sign = sign_of(clear[i]);
		struct failure plain = failure_of_sign(&sign);
		sign.names_context = true;
		assert_sign(&sign, plain.reason, plain.action);
	}
	struct failure_sign sign = sign_of(400);
	sign.names_model = true;
	assert_sign(&sign, REASON_MODEL_UNAVAILABLE, NEXT_ONLY);
	sign.http_status = 404;
	assert_sign(&sign, REASON_MODEL_UNAVAILABLE, NEXT_ONLY);
	sign.http_status = 429;
	assert_sign(&sign, REASON_RATE_LIMITED, SAME);
	sign.names_daily_cap = true;
	sign.error_type = BYTES_LITERAL("rate_limit_exceeded");
	assert_sign(&sign, REASON_RATE_LIMITED, NEXT_ONLY);
}

static void failure_too_dear_is_told_with_what_can_be_paid(void **state)
{
	(void)state;
	struct failure_sign sign = sign_of(402);
	assert_int_equal(failure_of_sign(&sign).tokens_max, 0);
	sign.error_type = BYTES_LITERAL("payment_required");
	sign.tokens_affordable = FAILURE_TOKENS_MIN;
	assert_sign(&sign, REASON_CREDITS, FAILURE_ACTION_FEWER);
	assert_int_equal(failure_of_sign(&sign).tokens_max, FAILURE_TOKENS_MIN);
	/* Too few for an answer: there is no credit. */
	sign.tokens_affordable = FAILURE_TOKENS_MIN - 1;
	assert_sign(&sign, REASON_CREDITS, LATCH);
	assert_int_equal(failure_of_sign(&sign).tokens_max, 0);
	sign = sign_of(400);
	sign.tokens_affordable = 1000;
	assert_sign(&sign, REASON_BAD_REQUEST, END);
}

static void failure_retryable_has_the_last_word_about_the_same_model(void **state)
{
	(void)state;
	static const struct {
		int status;
		enum failure_action never, always;
	} rows[] = {
		{ 429, NEXT_ONLY, SAME },
		{ 500, NEXT_ONLY, SAME_ONCE },
		{ 503, NEXT_ONLY, SAME_ONCE },
		{ 404, NEXT_ONLY, SAME_ONCE },
		{ 400, END, SAME_ONCE },
		{ 401, LATCH, LATCH },
		{ 413, TRIM, TRIM },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct failure_sign sign = sign_of(rows[i].status);
		sign.retryable = 0;
		assert_int_equal(failure_of_sign(&sign).action, rows[i].never);
		sign.retryable = 1;
		assert_int_equal(failure_of_sign(&sign).action, rows[i].always);
	}
	struct failure_sign refused = sign_of(400);
	refused.error_type = BYTES_LITERAL("refusal");
	refused.retryable = 1;
	assert_sign(&refused, REASON_REFUSED, NEXT_ONCE);
}

static void failure_edge_is_blamed_for_its_own_statuses_only(void **state)
{
	(void)state;
	for (int status = 500; status <= 599; status++) {
		struct failure_sign sign = sign_of(status);
		bool is_edge = (status >= 520 && status <= 527 && status != 524) || status == 530;
		assert_int_equal(failure_of_sign(&sign).breaks_edge, is_edge);
		/* Told in an error object it is a provider's edge. */
		sign.code = status;
		assert_false(failure_of_sign(&sign).breaks_edge);
	}
}

static void failure_wait_is_passed_on(void **state)
{
	(void)state;
	struct failure_sign sign = sign_of(429);
	assert_int_equal(failure_of_sign(&sign).retry_after_ms, -1);
	sign.retry_after_ms = 2500;
	assert_int_equal(failure_of_sign(&sign).retry_after_ms, 2500);
}

static void failure_each_transport_end_has_its_reason_and_action(void **state)
{
	(void)state;
	static const struct {
		enum transport_end end;
		bool sent;
		enum reason reason;
		enum failure_action action;
		bool maybe_sent, breaks_edge;
	} rows[] = {
		{ TRANSPORT_DNS, false, REASON_DNS, SAME, false, true },
		{ TRANSPORT_CONNECT, false, REASON_CONNECT, SAME, false, true },
		{ TRANSPORT_TLS, false, REASON_TLS, SAME, false, true },
		{ TRANSPORT_CERTIFICATE, false, REASON_TLS, END, false, true },
		{ TRANSPORT_TIMEOUT, false, REASON_TIMEOUT, SAME, false, true },
		{ TRANSPORT_TIMEOUT, true, REASON_TIMEOUT, NEXT, true, false },
		{ TRANSPORT_CLOSED, false, REASON_CONNECT, SAME, false, true },
		{ TRANSPORT_CLOSED, true, REASON_STREAM_BROKEN, SAME_ONCE, true, false },
		{ TRANSPORT_CUT, true, REASON_STREAM_BROKEN, SAME_ONCE, true, false },
		{ TRANSPORT_TOO_LARGE, true, REASON_UPSTREAM_INVALID, NEXT, true, false },
		{ TRANSPORT_REPEATED, true, REASON_STREAM_BROKEN, SAME_ONCE, true, false },
		{ TRANSPORT_CANCELLED, true, REASON_TIMEOUT, END, true, false },
		{ TRANSPORT_INTERNAL, false, REASON_INTERNAL, END, false, false },
		{ TRANSPORT_INTERNAL, true, REASON_INTERNAL, END, true, false },
		/* Before the request can begin nothing is sent, whoever says so. */
		{ TRANSPORT_TLS, true, REASON_TLS, SAME, false, true },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct failure failure = failure_of_transport(rows[i].end, rows[i].sent);
		assert_string_equal(reason_word(failure.reason), reason_word(rows[i].reason));
		assert_int_equal(failure.action, rows[i].action);
		assert_int_equal(failure.maybe_sent, rows[i].maybe_sent);
		assert_int_equal(failure.breaks_edge, rows[i].breaks_edge);
		assert_int_equal(failure.http_status, 0);
		assert_int_equal(failure.retry_after_ms, -1);
	}
}

static void failure_each_defect_has_its_reason_and_action(void **state)
{
	(void)state;
	static const struct {
		enum answer_defect defect;
		enum reason reason;
		enum failure_action action;
	} rows[] = {
		{ ANSWER_DEFECT_INVALID, REASON_UPSTREAM_INVALID, SAME_ONCE },
		{ ANSWER_DEFECT_NO_CHOICES, REASON_EMPTY_ANSWER, SAME_ONCE },
		{ ANSWER_DEFECT_BLANK, REASON_EMPTY_ANSWER, NEXT },
		{ ANSWER_DEFECT_REASONING, REASON_EMPTY_ANSWER, NEXT_ONLY },
		{ ANSWER_DEFECT_FILTERED, REASON_REFUSED, NEXT_ONCE },
		{ ANSWER_DEFECT_BROKEN, REASON_STREAM_BROKEN, SAME_ONCE },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct failure failure = failure_of_defect(rows[i].defect);
		assert_string_equal(reason_word(failure.reason), reason_word(rows[i].reason));
		assert_int_equal(failure.action, rows[i].action);
		assert_true(failure.maybe_sent);
		assert_false(failure.breaks_edge);
		assert_int_equal(failure.retry_after_ms, -1);
	}
}

static void failure_reset_of_the_limit_counts_for_a_429_without_a_wait(void **state)
{
	(void)state;
	struct failure_sign sign = sign_of(429);
	sign.reset_after_ms = 3000;
	assert_int_equal(failure_of_sign(&sign).retry_after_ms, 3000);
	sign.retry_after_ms = 1000;
	assert_int_equal(failure_of_sign(&sign).retry_after_ms, 1000);
	sign.retry_after_ms = -1;
	sign.reset_after_ms = 0;
	assert_int_equal(failure_of_sign(&sign).retry_after_ms, -1);
	sign = sign_of(503);
	sign.reset_after_ms = 3000;
	assert_int_equal(failure_of_sign(&sign).retry_after_ms, -1);
}

static void failure_daily_cap_asks_for_patience_in_any_case(void **state)
{
	(void)state;
	struct failure_sign sign = sign_of(429);
	sign.names_daily_cap = true;
	assert_int_equal(failure_of_sign(&sign).retry_after_ms, FAILURE_DAILY_CAP_MS);
	sign.reset_after_ms = 7200000;
	assert_int_equal(failure_of_sign(&sign).retry_after_ms, 7200000);
	sign.retry_after_ms = 30000;
	assert_int_equal(failure_of_sign(&sign).retry_after_ms, 30000);
}

/* Only what speaks against the model or the way to it may open a breaker. */
static void failure_blame_callers_faults_are_nobodys(void **state)
{
	(void)state;
	for (int status = 300; status <= 599; status++) {
		struct failure_sign sign = { .http_status = status, .retryable = -1, .retry_after_ms = -1 };
		struct failure failure = failure_of_sign(&sign);
		bool is_callers = (status >= 400 && status < 500 && status != 408 && status != 429);
		bool is_edges = (status >= 520 && status <= 527 && status != 524) || status == 530;
		enum failure_blame blame = is_callers ? FAILURE_BLAME_NOBODY
					   : is_edges ? FAILURE_BLAME_EDGE
						      : FAILURE_BLAME_MODEL;
		if (failure_blame(&failure) != blame) fail_msg("status %d", status);
	}
}

static void failure_blame_of_transport_and_defects(void **state)
{
	(void)state;
	for (int end = TRANSPORT_DNS; end <= (int)TRANSPORT_CERTIFICATE; end++) {
		struct failure failure = failure_of_transport((enum transport_end)end, true);
		assert_int_equal(failure_blame(&failure), FAILURE_BLAME_EDGE);
	}
	struct failure failure = failure_of_transport(TRANSPORT_TIMEOUT, true);
	assert_int_equal(failure_blame(&failure), FAILURE_BLAME_MODEL);
	failure = failure_of_transport(TRANSPORT_TIMEOUT, false);
	assert_int_equal(failure_blame(&failure), FAILURE_BLAME_EDGE);
	failure = failure_of_transport(TRANSPORT_INTERNAL, false);
	assert_int_equal(failure_blame(&failure), FAILURE_BLAME_NOBODY);
	failure = failure_of_defect(ANSWER_DEFECT_BLANK);
	assert_int_equal(failure_blame(&failure), FAILURE_BLAME_MODEL);
	/* The request left no room for an answer. */
	failure = failure_of_defect(ANSWER_DEFECT_REASONING);
	assert_int_equal(failure_blame(&failure), FAILURE_BLAME_NOBODY);
	failure = failure_of_defect(ANSWER_DEFECT_FILTERED);
	assert_int_equal(failure_blame(&failure), FAILURE_BLAME_NOBODY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(failure_blame_callers_faults_are_nobodys),
		cmocka_unit_test(failure_blame_of_transport_and_defects),
		cmocka_unit_test(failure_each_status_has_its_reason_and_action),
		cmocka_unit_test(failure_each_type_has_its_reason_and_action),
		cmocka_unit_test(failure_each_availability_code_has_its_reason_and_action),
		cmocka_unit_test(failure_unknown_signs_are_judged_by_status),
		cmocka_unit_test(failure_code_replaces_the_status),
		cmocka_unit_test(failure_403_is_told_apart),
		cmocka_unit_test(failure_message_signs_count_where_the_status_is_vague),
		cmocka_unit_test(failure_too_dear_is_told_with_what_can_be_paid),
		cmocka_unit_test(failure_retryable_has_the_last_word_about_the_same_model),
		cmocka_unit_test(failure_edge_is_blamed_for_its_own_statuses_only),
		cmocka_unit_test(failure_wait_is_passed_on),
		cmocka_unit_test(failure_each_transport_end_has_its_reason_and_action),
		cmocka_unit_test(failure_each_defect_has_its_reason_and_action),
		cmocka_unit_test(failure_reset_of_the_limit_counts_for_a_429_without_a_wait),
		cmocka_unit_test(failure_daily_cap_asks_for_patience_in_any_case),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
