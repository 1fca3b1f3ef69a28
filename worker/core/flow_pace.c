/* What is known of how long models take, put to use: which attempts are worth their while, and how long one may show
 * nothing. See flow_internal.h and latency.h. */
#include "common/assertion.h"
#include "worker/core/flow_internal.h"

enum {
	HALF_PERMILLE = 500,
	MOST_PERMILLE = 950,
};

/* What many models share speaks for none of them: a slow one among quick ones would never be waited for. */
static bool is_known(size_t model)
{
	ASSERT(model < MODEL_NAMES_COUNT);
	return model != MODEL_NAMES_OTHER;
}

int64_t flow_pace_needed_ms(const struct flow *flow, size_t model, struct instant now)
{
	ASSERT(model < MODEL_NAMES_COUNT);
	const struct flow_model *known = &flow->guard.models[model];
	if (!is_known(model)) return RETRY_TIME_MIN_MS;
	/* A model that nobody asks would stay as slow as it was. */
	if (known->asked_ms == 0 || now.mono_ms - known->asked_ms >= FLOW_SLOW_MS) return RETRY_TIME_MIN_MS;
	int64_t whole_ms = latency_quantile(&known->whole, HALF_PERMILLE);
	ASSERT(whole_ms >= -1);
	return whole_ms > RETRY_TIME_MIN_MS ? whole_ms : RETRY_TIME_MIN_MS;
}

/* Nearly all first contents come within this time, if they come; for most models that is sooner than the setting allows. */
static int64_t first_content_max_ms(const struct flow *flow, size_t model)
{
	int64_t max_ms = flow->options.retry.first_content_max_ms;
	int64_t known_ms = latency_quantile(&flow->guard.models[model].first_content, MOST_PERMILLE);
	if (known_ms < 0) return max_ms;
	if (known_ms < FLOW_FIRST_CONTENT_LEAST_MS) known_ms = FLOW_FIRST_CONTENT_LEAST_MS;
	ASSERT(known_ms >= FLOW_FIRST_CONTENT_LEAST_MS);
	return known_ms < max_ms ? known_ms : max_ms;
}

int64_t flow_pace_first_content_due(const struct flow *flow, const struct job *job, size_t model, struct instant now)
{
	ASSERT(model < MODEL_NAMES_COUNT);
	struct retry_options options = flow->options.retry;
	/* Giving the last attempt up early helps nobody. */
	bool is_last = job->retry.attempts + 1 >= options.max_attempts;
	/* When nearly all would have come by now, a second call is the better answer than giving this one up. */
	bool may_have_second = flow_hedge_may(flow, job);
	if (!is_last && !may_have_second && is_known(model))
		options.first_content_max_ms = first_content_max_ms(flow, model);
	int64_t due_ms = retry_first_content_due(&options, &job->retry, now.mono_ms, job->deadline_ms);
	ASSERT(due_ms <= job->deadline_ms);
	return due_ms;
}
