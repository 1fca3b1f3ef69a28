/* How many attempts may be repeats: a bucket of tokens, so that an outage is not answered with a storm of retries.
 *
 * Each first attempt earns a share of a token, each retry costs one, or less when the attempt before it never reached the
 * upstream; the bucket starts full and holds so many at most. An empty bucket still gives one retry a second, so that a
 * worker with little to do is not left without any. Over any time, then: retries ≤ max + ratio × first attempts + one a
 * second. The flow keeps one bucket for the process and one for each model, and a retry needs both.
 *
 * Tokens are counted in thousandths, times in milliseconds of the monotonic clock. Plain value; owner: whoever embeds
 * it. Nothing blocks or fails. */
#ifndef WORKER_CORE_RETRY_BUDGET_H
#define WORKER_CORE_RETRY_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

enum {
	RETRY_BUDGET_COST = 1000,       /* of one retry */
	RETRY_BUDGET_COST_UNSENT = 250, /* … after an attempt of which surely nothing reached the upstream */
	RETRY_BUDGET_FLOOR_MS = 1000,   /* an empty bucket gives one retry in so long */
};

struct retry_budget_options {
	int64_t earned; /* thousandths for each first attempt */
	int64_t max;    /* thousandths */
};

struct retry_budget {
	int64_t tokens;   /* thousandths; 0 ≤ tokens ≤ max */
	int64_t floor_ms; /* from then on an empty bucket gives a retry */
};

/* Full, and the floor's retry ready. */
void retry_budget_init(struct retry_budget *budget, const struct retry_budget_options *options, int64_t now_ms);

/* A first attempt begins. */
void retry_budget_earn(struct retry_budget *budget, const struct retry_budget_options *options);

/* May a retry of this cost be made now? */
bool retry_budget_has(const struct retry_budget *budget, int64_t cost, int64_t now_ms);

/* It is made; only after retry_budget_has() said so. */
void retry_budget_spend(struct retry_budget *budget, int64_t cost, int64_t now_ms);

#endif
