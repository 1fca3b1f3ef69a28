/* A bucket of tokens for retries: see the header. */
#include "worker/core/retry_budget.h"

#include "common/assertion.h"

void retry_budget_init(struct retry_budget *budget, const struct retry_budget_options *options, int64_t now_ms)
{
	ASSERT(options->max >= 0);
	ASSERT(options->earned >= 0);
	*budget = (struct retry_budget){ .tokens = options->max, .floor_ms = now_ms };
}

void retry_budget_earn(struct retry_budget *budget, const struct retry_budget_options *options)
{
	ASSERT(budget->tokens >= 0);
	ASSERT(budget->tokens <= options->max);
	int64_t room = options->max - budget->tokens;
	budget->tokens += options->earned < room ? options->earned : room;
}

bool retry_budget_has(const struct retry_budget *budget, int64_t cost, int64_t now_ms)
{
	ASSERT(cost > 0);
	ASSERT(budget->tokens >= 0);
	return budget->tokens >= cost || now_ms >= budget->floor_ms;
}

void retry_budget_spend(struct retry_budget *budget, int64_t cost, int64_t now_ms)
{
	ASSERT(retry_budget_has(budget, cost, now_ms));
	if (budget->tokens >= cost)
		budget->tokens -= cost;
	else
		budget->floor_ms = now_ms + RETRY_BUDGET_FLOOR_MS;
	ASSERT(budget->tokens >= 0);
}
