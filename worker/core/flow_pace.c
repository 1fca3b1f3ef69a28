/* What is known of how long models take, put to use: which attempts are worth their while. See flow_internal.h and
 * latency.h. */
#include "common/assertion.h"
#include "worker/core/flow_internal.h"

enum {
	HALF_PERMILLE = 500,
};

int64_t flow_pace_needed_ms(const struct flow *flow, size_t model, struct instant now)
{
	ASSERT(model < MODEL_NAMES_COUNT);
	const struct flow_model *known = &flow->guard.models[model];
	/* A model that nobody asks would stay as slow as it was. */
	if (known->asked_ms == 0 || now.mono_ms - known->asked_ms >= FLOW_SLOW_MS) return RETRY_TIME_MIN_MS;
	int64_t whole_ms = latency_quantile(&known->whole, HALF_PERMILLE);
	ASSERT(whole_ms >= -1);
	return whole_ms > RETRY_TIME_MIN_MS ? whole_ms : RETRY_TIME_MIN_MS;
}
