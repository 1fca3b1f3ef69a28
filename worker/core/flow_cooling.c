/* Models that asked for patience: see flow_internal.h.
 *
 * A response may say how long its model wants to be left alone. Until then no chat calls it: each goes on to its next model,
 * waits when there is none and the wait leaves time for an attempt, and else gets its fallback at once. Nothing is tried in
 * between: what the service said is believed. After ten minutes one looks again all the same: a header that is wrong by its unit must
 * not take a model away for a day, and one call in ten minutes hurts nobody. */
#include "common/assertion.h"
#include "worker/core/flow_internal.h"

enum { COOLING_MAX_MS = 600000 };

int64_t flow_cooling_until(const struct flow *flow, size_t model)
{
	ASSERT(model < MODEL_NAMES_COUNT);
	return flow->guard.models[model].cooled_until_ms;
}

static void tell(const struct flow *flow, size_t model, int64_t wait_ms)
{
	ASSERT(wait_ms > 0);
	const struct flow_events *events = &flow->options.events;
	struct bytes name = model_names_text(&flow->guard.names, model);
	if (events->on_cooling != NULL) events->on_cooling(events->context, name, wait_ms);
}

void flow_cooling_note(
	struct flow *flow, const struct flow_slot *slot, const struct failure *failure, struct instant now)
{
	ASSERT(slot->model < MODEL_NAMES_COUNT);
	if (failure->reason == REASON_NONE || failure->retry_after_ms <= 0) return;
	struct flow_guard *guard = &flow->guard;
	int64_t until_ms = now.mono_ms + failure->retry_after_ms;
	ASSERT(until_ms > now.mono_ms);
	if (until_ms > now.mono_ms + COOLING_MAX_MS) until_ms = now.mono_ms + COOLING_MAX_MS;
	if (until_ms > guard->retry_after_until_ms) guard->retry_after_until_ms = until_ms;
	/* With preferences of its own a chat speaks for itself: other providers may well have time. And a number that many models
	 * share speaks for none of them. */
	bool is_of_all = !slot->has_own_provider && slot->model != MODEL_NAMES_OTHER;
	if (!is_of_all || failure_blame(failure) != FAILURE_BLAME_MODEL) return;
	struct flow_model *model = &guard->models[slot->model];
	bool is_news = model->cooled_until_ms <= now.mono_ms;
	if (until_ms > model->cooled_until_ms) model->cooled_until_ms = until_ms;
	if (is_news) tell(flow, slot->model, until_ms - now.mono_ms);
}

size_t flow_cooling_count(const struct flow *flow, int64_t now_mono_ms)
{
	size_t count = 0;
	for (size_t i = 0; i < MODEL_NAMES_COUNT; i++)
		if (flow_cooling_until(flow, i) > now_mono_ms) count++;
	ASSERT(count <= flow->guard.names.count);
	return count;
}
