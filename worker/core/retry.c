/* What to do after a failed attempt: see the header. */
#include "worker/core/retry.h"

#include "common/assertion.h"

static int64_t backoff(const struct retry_options *options, int attempts, struct random *random)
{
	ASSERT(attempts > 0);
	ASSERT(options->backoff_ms >= 0);
	int64_t ceiling = options->backoff_ms;
	for (int i = 1; i < attempts && ceiling < options->backoff_max_ms; i++)
		ceiling *= 2;
	if (ceiling > options->backoff_max_ms) ceiling = options->backoff_max_ms;
	ASSERT(ceiling >= 0);
	ASSERT(ceiling <= options->backoff_max_ms);
	return (int64_t)random_below(random, (uint64_t)ceiling + 1);
}

static enum retry_step preferred_step(const struct retry_state *state, const struct failure *failure)
{
	ASSERT(state->model_attempts <= state->attempts);
	bool has_next = state->model + 1 < state->model_count;
	switch (failure->action) {
	case FAILURE_ACTION_END:
	case FAILURE_ACTION_LATCH:
		return RETRY_STEP_END;
	case FAILURE_ACTION_SAME:
		return RETRY_STEP_AGAIN;
	case FAILURE_ACTION_SAME_ONCE:
		if (state->model_attempts <= 1) return RETRY_STEP_AGAIN;
		return has_next ? RETRY_STEP_NEXT : RETRY_STEP_END;
	case FAILURE_ACTION_NEXT:
		return has_next ? RETRY_STEP_NEXT : RETRY_STEP_AGAIN;
	case FAILURE_ACTION_NEXT_ONLY:
		return has_next ? RETRY_STEP_NEXT : RETRY_STEP_END;
	case FAILURE_ACTION_NEXT_ONCE:
		return has_next && !state->went_on ? RETRY_STEP_NEXT : RETRY_STEP_END;
	case FAILURE_ACTION_TRIM:
		return state->trimmed ? RETRY_STEP_END : RETRY_STEP_TRIM;
	case FAILURE_ACTION_FEWER:
		return state->asked_fewer ? RETRY_STEP_END : RETRY_STEP_FEWER;
	}
	ASSERT_UNREACHABLE();
}

struct retry_decision retry_decide(const struct retry_options *options, const struct retry_state *state,
	const struct failure *failure, int64_t now_ms, int64_t deadline_ms, struct random *random)
{
	ASSERT(failure->reason != REASON_NONE);
	ASSERT(state->model < state->model_count);
	ASSERT(state->attempts > 0);
	const struct retry_decision end = { .step = RETRY_STEP_END };
	if (state->attempts >= options->max_attempts) return end;

	struct retry_decision decision = { .step = preferred_step(state, failure), .at_ms = now_ms };
	if (decision.step == RETRY_STEP_END) return end;

	int64_t latest_ms = deadline_ms - RETRY_TIME_MIN_MS;
	if (decision.step == RETRY_STEP_AGAIN) {
		int64_t wait_ms = backoff(options, state->attempts, random);
		if (failure->retry_after_ms > wait_ms) wait_ms = failure->retry_after_ms;
		if (wait_ms > latest_ms - now_ms && state->model + 1 < state->model_count) {
			/* The wait does not fit: another model need not wait. */
			decision.step = RETRY_STEP_NEXT;
			wait_ms = 0;
		}
		decision.at_ms = now_ms + wait_ms;
	}
	ASSERT(decision.at_ms >= now_ms);
	return decision.at_ms > latest_ms ? end : decision;
}

int64_t retry_first_content_due(
	const struct retry_options *options, const struct retry_state *state, int64_t now_ms, int64_t deadline_ms)
{
	ASSERT(options->first_content_share > 0 && options->first_content_share <= 1);
	int64_t left_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
	bool is_last = state->attempts + 1 >= options->max_attempts;
	int64_t share_ms = is_last ? left_ms : (int64_t)((double)left_ms * options->first_content_share);
	if (share_ms > options->first_content_max_ms) share_ms = options->first_content_max_ms;
	ASSERT(share_ms >= 0);
	ASSERT(share_ms <= left_ms);
	int64_t due_ms = now_ms + share_ms;
	return due_ms < deadline_ms ? due_ms : deadline_ms;
}
