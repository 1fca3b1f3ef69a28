/* What stands before a call: the retry budget of the process and of each model. */
#include "common/assertion.h"
#include "worker/core/flow_internal.h"

void flow_guard_init(struct flow *flow)
{
	struct flow_guard *guard = &flow->guard;
	const struct flow_options *options = &flow->options;
	ASSERT(guard->names.count == 0);
	for (size_t i = 0; i < options->model_count; i++)
		(void)model_names_number(&guard->names, options->models[i]);
	/* Whatever the clock says at the start, the floor's first retry is ready. */
	retry_budget_init(&guard->budget, &options->budget, INT64_MIN);
	for (size_t i = 0; i < MODEL_NAMES_COUNT; i++)
		retry_budget_init(&guard->models[i].budget, &options->budget, INT64_MIN);
	ASSERT(guard->names.count <= options->model_count);
}

static struct flow_model *model_of(struct flow *flow, const struct job *job)
{
	ASSERT(job->retry.model < job->retry.model_count);
	size_t number = model_names_number(&flow->guard.names, job->models[job->retry.model]);
	ASSERT(number < MODEL_NAMES_COUNT);
	return &flow->guard.models[number];
}

void flow_guard_began(struct flow *flow, const struct job *job)
{
	ASSERT(job->retry.attempts > 0);
	ASSERT(job->retry.model_attempts > 0);
	const struct retry_budget_options *options = &flow->options.budget;
	if (job->retry.attempts == 1) retry_budget_earn(&flow->guard.budget, options);
	if (job->retry.model_attempts == 1) retry_budget_earn(&model_of(flow, job)->budget, options);
}

bool flow_guard_spend(struct flow *flow, const struct job *job, struct instant now)
{
	ASSERT(job->failure.reason != REASON_NONE);
	ASSERT(job->retry.attempts > 0);
	struct retry_budget *whole = &flow->guard.budget;
	/* The model that failed pays: it has earned from all chats that it was asked for. */
	struct retry_budget *own = &model_of(flow, job)->budget;
	int64_t cost = job->failure.maybe_sent ? RETRY_BUDGET_COST : RETRY_BUDGET_COST_UNSENT;
	if (!retry_budget_has(whole, cost, now.mono_ms) || !retry_budget_has(own, cost, now.mono_ms)) return false;
	retry_budget_spend(whole, cost, now.mono_ms);
	retry_budget_spend(own, cost, now.mono_ms);
	return true;
}
