/* The failure table: from the sign that was seen to reason and action. Rows are looked at from the top, the first that
 * fits wins: what an error object says in particular comes before its type, its type before the status. */
#include "worker/core/failure.h"

#include "common/assertion.h"

enum sign_kind {
	SIGN_PATTERNS,
	SIGN_REASONS,
	SIGN_CONTEXT,
	SIGN_MODEL,
	SIGN_DAILY_CAP,
	SIGN_TOO_DEAR,
	SIGN_AVAILABILITY, /* `word` is error.availability.code */
	SIGN_TYPE,         /* `word` is the error type */
	SIGN_TYPE_BEGINS,  /* `word` begins the error type */
	SIGN_STATUS,
};

struct failure_row {
	enum sign_kind kind;
	int status_from, status_to; /* of the status that counts, both inclusive; 0, 0 = any */
	const char *word;
	enum reason reason;
	enum failure_action action;
};

/* Short names, so that a row is a line. */
#define END FAILURE_ACTION_END
#define SAME FAILURE_ACTION_SAME
#define SAME_ONCE FAILURE_ACTION_SAME_ONCE
#define NEXT FAILURE_ACTION_NEXT
#define NEXT_ONLY FAILURE_ACTION_NEXT_ONLY
#define NEXT_ONCE FAILURE_ACTION_NEXT_ONCE
#define TRIM FAILURE_ACTION_TRIM
#define FEWER FAILURE_ACTION_FEWER
#define LATCH FAILURE_ACTION_LATCH
#define FLAG(kind, from, to, reason, action)                       \
	{                                                          \
		SIGN_##kind, from, to, "", REASON_##reason, action \
	}
#define CODE(word, reason, action)                                     \
	{                                                              \
		SIGN_AVAILABILITY, 0, 0, word, REASON_##reason, action \
	}
#define TYPE(word, reason, action)                             \
	{                                                      \
		SIGN_TYPE, 0, 0, word, REASON_##reason, action \
	}
#define STATUS(from, to, reason, action)                           \
	{                                                          \
		SIGN_STATUS, from, to, "", REASON_##reason, action \
	}

static const struct failure_row sign_rows[] = {
	/* A guardrail knows patterns and stays as it is; moderation is the model's own and the next may have none. */
	FLAG(PATTERNS, 403, 403, MODERATED, END),
	FLAG(REASONS, 403, 403, MODERATED, NEXT_ONCE),

	CODE("model_not_found", MODEL_UNAVAILABLE, NEXT_ONLY),
	CODE("wrong_endpoint", MODEL_UNAVAILABLE, NEXT_ONLY),
	CODE("model_deprecated", MODEL_UNAVAILABLE, NEXT_ONLY),
	CODE("free_variant_ended", MODEL_UNAVAILABLE, NEXT_ONLY),
	CODE("no_endpoints", NO_PROVIDER, NEXT_ONLY),
	CODE("model_unavailable_upstream", NO_PROVIDER, NEXT_ONLY),
	CODE("region_restricted", NO_PROVIDER, NEXT_ONLY),
	CODE("privacy_restricted", NO_PROVIDER, NEXT_ONLY),
	CODE("constraint_filtered", NO_PROVIDER, NEXT_ONLY),
	CODE("capacity_exhausted", RATE_LIMITED, SAME),
	CODE("temporarily_unavailable", OVERLOADED, NEXT),

	/* What only the message tells. Statuses that speak for themselves (401 to 404, 429, 503) are left out. */
	FLAG(CONTEXT, 200, 400, CONTEXT_LENGTH, TRIM),
	FLAG(CONTEXT, 413, 422, CONTEXT_LENGTH, TRIM),
	FLAG(CONTEXT, 500, 502, CONTEXT_LENGTH, TRIM),
	FLAG(MODEL, 400, 400, MODEL_UNAVAILABLE, NEXT_ONLY),
	FLAG(MODEL, 404, 404, MODEL_UNAVAILABLE, NEXT_ONLY),
	FLAG(DAILY_CAP, 429, 429, RATE_LIMITED, NEXT_ONLY),
	/* There is credit, but not for as many tokens as the answer might have. */
	FLAG(TOO_DEAR, 402, 402, CREDITS, FEWER),

	TYPE("rate_limit_exceeded", RATE_LIMITED, SAME),
	TYPE("provider_overloaded", OVERLOADED, NEXT),
	TYPE("provider_unavailable", UPSTREAM_ERROR, SAME_ONCE),
	TYPE("timeout", TIMEOUT, NEXT),
	TYPE("server", UPSTREAM_ERROR, SAME_ONCE),
	TYPE("server_error", UPSTREAM_ERROR, SAME_ONCE),
	TYPE("unmapped", UPSTREAM_ERROR, SAME_ONCE),
	TYPE("context_length_exceeded", CONTEXT_LENGTH, TRIM),
	TYPE("token_limit_exceeded", CONTEXT_LENGTH, TRIM),
	TYPE("payload_too_large", CONTEXT_LENGTH, TRIM),
	/* The whole budget of output went without an answer, as when reasoning eats it. */
	TYPE("max_tokens_exceeded", EMPTY_ANSWER, NEXT_ONLY),
	TYPE("string_too_long", BAD_REQUEST, END),
	TYPE("authentication", AUTH, LATCH),
	TYPE("payment_required", CREDITS, LATCH),
	TYPE("permission_denied", NO_PROVIDER, NEXT_ONLY),
	TYPE("not_found", NO_PROVIDER, NEXT_ONLY),
	TYPE("invalid_request", BAD_REQUEST, END),
	TYPE("invalid_prompt", BAD_REQUEST, END),
	TYPE("precondition_failed", BAD_REQUEST, END),
	TYPE("unprocessable", BAD_REQUEST, END),
	TYPE("content_policy_violation", REFUSED, NEXT_ONCE),
	TYPE("refusal", REFUSED, NEXT_ONCE),
	{ SIGN_TYPE_BEGINS, 0, 0, "image_", REASON_BAD_REQUEST, END },
	{ SIGN_TYPE_BEGINS, 0, 0, "invalid_image", REASON_BAD_REQUEST, END },

	STATUS(401, 401, AUTH, LATCH),
	STATUS(402, 402, CREDITS, LATCH),
	STATUS(403, 404, NO_PROVIDER, NEXT_ONLY),
	STATUS(408, 408, TIMEOUT, NEXT),
	STATUS(409, 409, BAD_REQUEST, SAME_ONCE),
	STATUS(413, 413, CONTEXT_LENGTH, TRIM),
	STATUS(429, 429, RATE_LIMITED, SAME),
	STATUS(503, 503, OVERLOADED, NEXT),
	STATUS(504, 504, TIMEOUT, NEXT),
	STATUS(524, 524, TIMEOUT, NEXT),
	STATUS(529, 529, OVERLOADED, NEXT),

	/* Whole classes last. */
	STATUS(300, 399, UPSTREAM_INVALID, END),
	STATUS(400, 499, BAD_REQUEST, END),
	STATUS(0, 0, UPSTREAM_ERROR, SAME_ONCE),
};

static const struct failure transport_rows[] = {
	[TRANSPORT_DNS] = { .reason = REASON_DNS, .action = SAME, .breaks_edge = true },
	[TRANSPORT_CONNECT] = { .reason = REASON_CONNECT, .action = SAME, .breaks_edge = true },
	[TRANSPORT_TLS] = { .reason = REASON_TLS, .action = SAME, .breaks_edge = true },
	[TRANSPORT_CERTIFICATE] = { .reason = REASON_TLS, .action = END, .breaks_edge = true },
	[TRANSPORT_TIMEOUT] = { .reason = REASON_TIMEOUT, .action = NEXT },
	[TRANSPORT_CLOSED] = { .reason = REASON_STREAM_BROKEN, .action = SAME_ONCE },
	[TRANSPORT_CUT] = { .reason = REASON_STREAM_BROKEN, .action = SAME_ONCE },
	[TRANSPORT_TOO_LARGE] = { .reason = REASON_UPSTREAM_INVALID, .action = NEXT },
	[TRANSPORT_REPEATED] = { .reason = REASON_STREAM_BROKEN, .action = SAME_ONCE },
	[TRANSPORT_CANCELLED] = { .reason = REASON_TIMEOUT, .action = END },
	[TRANSPORT_INTERNAL] = { .reason = REASON_INTERNAL, .action = END },
};

static const struct failure defect_rows[] = {
	[ANSWER_DEFECT_INVALID] = { .reason = REASON_UPSTREAM_INVALID, .action = SAME_ONCE },
	[ANSWER_DEFECT_NO_CHOICES] = { .reason = REASON_EMPTY_ANSWER, .action = SAME_ONCE },
	[ANSWER_DEFECT_BLANK] = { .reason = REASON_EMPTY_ANSWER, .action = NEXT },
	[ANSWER_DEFECT_REASONING] = { .reason = REASON_EMPTY_ANSWER, .action = NEXT_ONLY },
	[ANSWER_DEFECT_FILTERED] = { .reason = REASON_REFUSED, .action = NEXT_ONCE },
	[ANSWER_DEFECT_BROKEN] = { .reason = REASON_STREAM_BROKEN, .action = SAME_ONCE },
};

#undef END
#undef SAME
#undef SAME_ONCE
#undef NEXT
#undef NEXT_ONLY
#undef NEXT_ONCE
#undef TRIM
#undef LATCH
#undef FLAG
#undef CODE
#undef TYPE
#undef STATUS

enum {
	SIGN_ROW_COUNT = sizeof(sign_rows) / sizeof(sign_rows[0]),
	TRANSPORT_ROW_COUNT = sizeof(transport_rows) / sizeof(transport_rows[0]),
	DEFECT_ROW_COUNT = sizeof(defect_rows) / sizeof(defect_rows[0]),
};
_Static_assert((int)TRANSPORT_ROW_COUNT == (int)TRANSPORT_INTERNAL + 1, "one row an end");
_Static_assert((int)DEFECT_ROW_COUNT == (int)ANSWER_DEFECT_BROKEN + 1, "one row a defect");

/* A code that could be an HTTP status replaces that of the response. */
static int status_that_counts(const struct failure_sign *sign)
{
	ASSERT(sign != NULL);
	return sign->code >= 300 && sign->code <= 599 ? sign->code : sign->http_status;
}

static bool row_names(const struct failure_row *row, const struct failure_sign *sign)
{
	ASSERT(row != NULL);
	ASSERT(sign != NULL);
	switch (row->kind) {
	case SIGN_PATTERNS:
		return sign->has_patterns;
	case SIGN_REASONS:
		return sign->has_reasons;
	case SIGN_CONTEXT:
		return sign->names_context;
	case SIGN_MODEL:
		return sign->names_model;
	case SIGN_DAILY_CAP:
		return sign->names_daily_cap;
	case SIGN_TOO_DEAR:
		return sign->tokens_affordable >= FAILURE_TOKENS_MIN;
	case SIGN_AVAILABILITY:
		return bytes_equal_text(sign->availability, row->word);
	case SIGN_TYPE:
		return bytes_equal_text(sign->error_type, row->word);
	case SIGN_TYPE_BEGINS:
		return bytes_starts_with(sign->error_type, bytes_of(row->word));
	case SIGN_STATUS:
		return true;
	}
	ASSERT_UNREACHABLE();
}

static bool row_fits(const struct failure_row *row, const struct failure_sign *sign, int status)
{
	ASSERT(row->status_from <= row->status_to);
	bool any_status = row->status_from == 0 && row->status_to == 0;
	return (any_status || (status >= row->status_from && status <= row->status_to)) && row_names(row, sign);
}

/* Cloudflare's own statuses for trouble with the origin; only as the status of the response itself, since inside an
 * error object they speak of a provider behind it. */
static bool is_edge_status(const struct failure_sign *sign)
{
	ASSERT(sign->code >= 0);
	int status = sign->http_status;
	return sign->code == 0 && ((status >= 520 && status <= 527 && status != 524) || status == 530);
}

/* `error.availability.retryable` has the last word about the same model. */
static enum failure_action action_allowed(enum failure_action action, enum reason reason, int retryable)
{
	ASSERT(reason != REASON_NONE);
	bool is_content = reason == REASON_MODERATED || reason == REASON_REFUSED;
	switch (action) {
	case FAILURE_ACTION_SAME:
	case FAILURE_ACTION_SAME_ONCE:
		return retryable == 0 ? FAILURE_ACTION_NEXT_ONLY : action;
	case FAILURE_ACTION_NEXT:
		if (retryable == 0) return FAILURE_ACTION_NEXT_ONLY;
		return retryable == 1 ? FAILURE_ACTION_SAME_ONCE : action;
	case FAILURE_ACTION_NEXT_ONLY:
	case FAILURE_ACTION_NEXT_ONCE:
	case FAILURE_ACTION_END:
		return retryable == 1 && !is_content ? FAILURE_ACTION_SAME_ONCE : action;
	case FAILURE_ACTION_TRIM:
	case FAILURE_ACTION_FEWER:
	case FAILURE_ACTION_LATCH:
		return action;
	}
	ASSERT_UNREACHABLE();
}

static int64_t wait_told(const struct failure_sign *sign, const struct failure_row *row, int status)
{
	ASSERT(sign->retry_after_ms >= -1);
	ASSERT(sign->reset_after_ms >= -1);
	if (sign->retry_after_ms >= 0 || status != 429) return sign->retry_after_ms;
	if (sign->reset_after_ms > 0) return sign->reset_after_ms;
	return row->kind == SIGN_DAILY_CAP ? FAILURE_DAILY_CAP_MS : -1;
}

struct failure failure_of_sign(const struct failure_sign *sign)
{
	ASSERT(sign != NULL);
	ASSERT(sign->retryable >= -1 && sign->retryable <= 1);
	int status = status_that_counts(sign);
	const struct failure_row *row = sign_rows;
	while (!row_fits(row, sign, status))
		row++;
	ASSERT(row < sign_rows + SIGN_ROW_COUNT);
	ASSERT(row->reason != REASON_NONE);
	return (struct failure){
		.reason = row->reason,
		.action = action_allowed(row->action, row->reason, sign->retryable),
		.http_status = status,
		.retry_after_ms = wait_told(sign, row, status),
		.tokens_max = row->action == FEWER ? sign->tokens_affordable : 0,
		.maybe_sent = true,
		.breaks_edge = is_edge_status(sign),
	};
}

struct failure failure_of_transport(enum transport_end end, bool sent)
{
	ASSERT(end != TRANSPORT_WHOLE);
	ASSERT((int)end > 0 && (int)end < (int)TRANSPORT_ROW_COUNT);
	struct failure failure = transport_rows[end];
	ASSERT(failure.reason != REASON_NONE);
	failure.retry_after_ms = -1;
	/* These end before the request can begin. */
	failure.maybe_sent = sent && end > TRANSPORT_CERTIFICATE;
	if (sent) return failure;

	/* Nothing reached the upstream: a repeat costs nothing, and it is the way there that is broken. */
	bool on_the_way = end == TRANSPORT_TIMEOUT || end == TRANSPORT_CLOSED || end == TRANSPORT_CUT;
	if (on_the_way) {
		failure.action = FAILURE_ACTION_SAME;
		failure.breaks_edge = true;
	}
	if (end == TRANSPORT_CLOSED || end == TRANSPORT_CUT) failure.reason = REASON_CONNECT;
	return failure;
}

struct failure failure_of_defect(enum answer_defect defect)
{
	ASSERT((int)defect >= 0 && (int)defect < (int)DEFECT_ROW_COUNT);
	struct failure failure = defect_rows[defect];
	ASSERT(failure.reason != REASON_NONE);
	failure.retry_after_ms = -1;
	failure.maybe_sent = true;
	return failure;
}

enum failure_blame failure_blame(const struct failure *failure)
{
	ASSERT(failure->reason != REASON_NONE);
	if (failure->breaks_edge) return FAILURE_BLAME_EDGE;
	switch (failure->reason) {
	case REASON_TIMEOUT:
	case REASON_CONNECT:
	case REASON_DNS:
	case REASON_TLS:
	case REASON_RATE_LIMITED:
	case REASON_OVERLOADED:
	case REASON_UPSTREAM_ERROR:
	case REASON_UPSTREAM_INVALID:
	case REASON_STREAM_BROKEN:
		return FAILURE_BLAME_MODEL;
	case REASON_EMPTY_ANSWER:
		/* The request leaves no room for an answer, then. */
		return failure->action == FAILURE_ACTION_NEXT_ONLY ? FAILURE_BLAME_NOBODY : FAILURE_BLAME_MODEL;
	case REASON_NONE:
	case REASON_DECODE:
	case REASON_SCHEMA:
	case REASON_BAD_REQUEST:
	case REASON_TOO_LARGE:
	case REASON_UNSUPPORTED_MEDIA_TYPE:
	case REASON_MODEL_NOT_ALLOWED:
	case REASON_CONTEXT_LENGTH:
	case REASON_NO_PROVIDER:
	case REASON_AUTH:
	case REASON_CREDITS:
	case REASON_MODEL_UNAVAILABLE:
	case REASON_MODERATED:
	case REASON_REFUSED:
	case REASON_DEADLINE:
	case REASON_BREAKER_OPEN:
	case REASON_SHUTDOWN:
	case REASON_REPLY_TOO_LARGE:
	case REASON_INTERNAL:
		return FAILURE_BLAME_NOBODY;
	}
	ASSERT_UNREACHABLE();
}
