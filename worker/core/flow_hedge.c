/* Hedging: a second call for an attempt that has shown nothing for long.
 *
 * An attempt has one call, or two at most: the job's call_id and hedge_id. While both run, either may be either. The
 * first content decides: the other call is overtaken, that is cancelled, and stays hedge_id until it is back, so that
 * the reply can tell how many requests were sent. The end of the attempt waits for neither.
 *
 * An overtaken call says nothing to the breakers: it was not late by its own clocks. A model that always hangs is
 * found out by the attempts that get no second call, which are most of them. */
#include "common/assertion.h"
#include "worker/core/flow_internal.h"

const char *flow_hedge_word(enum flow_hedge hedge)
{
#define FLOW_HEDGE_CASE(member, word) \
	case member:                  \
		return word;
	switch (hedge) {
		FLOW_HEDGE_TABLE(FLOW_HEDGE_CASE)
	}
#undef FLOW_HEDGE_CASE
	ASSERT_UNREACHABLE();
}

void flow_hedge_init(struct flow *flow)
{
	const struct flow_hedge_options *options = &flow->options.hedge;
	ASSERT(options->max_share >= 0 && options->max_share <= 1);
	ASSERT(options->delay_min_ms >= 0);
	ASSERT(options->delay_ms >= 0);
	list_init(&flow->hedges.due);
	flow->hedges.saved = 0;
}

static void tell(const struct flow *flow, struct bytes model, enum flow_hedge hedge)
{
	ASSERT(model.size > 0);
	const struct flow_events *events = &flow->options.events;
	if (events->on_hedge != NULL) events->on_hedge(events->context, model, hedge);
}

void flow_hedge_tell(struct flow *flow, struct flow_slot *slot, enum flow_hedge what)
{
	ASSERT(what == FLOW_HEDGE_WON || what == FLOW_HEDGE_LOST);
	if (!slot->is_second || slot->is_told) return;
	ASSERT(slot->model < MODEL_NAMES_COUNT);
	slot->is_told = true;
	tell(flow, model_names_text(&flow->guard.names, slot->model), what);
}

/* Each chat that is called earns a share of a second call. */
static void earn(struct flow *flow)
{
	struct flow_hedges *hedges = &flow->hedges;
	hedges->saved += (int64_t)(flow->options.hedge.max_share * FLOW_HEDGE_COST);
	if (hedges->saved > FLOW_HEDGE_SAVED_MAX) hedges->saved = FLOW_HEDGE_SAVED_MAX;
	ASSERT(hedges->saved >= 0);
}

/* How long an attempt at this model may show nothing. */
static int64_t patience_ms(const struct flow *flow, size_t number)
{
	const struct flow_hedge_options *options = &flow->options.hedge;
	ASSERT(number < MODEL_NAMES_COUNT);
	int64_t known_ms = latency_quantile(&flow->guard.models[number].first_content, FLOW_HEDGE_PERMILLE);
	int64_t delay_ms = known_ms < 0 ? options->delay_ms : known_ms;
	return delay_ms > options->delay_min_ms ? delay_ms : options->delay_min_ms;
}

bool flow_hedge_may(const struct flow *flow, const struct job *job)
{
	ASSERT(job->hedge_id == 0);
	return flow->options.hedge.enabled && !job->was_hedged;
}

void flow_hedge_began(struct flow *flow, struct job *job, struct call *call, struct instant now)
{
	ASSERT(job->state == JOB_CALLING);
	ASSERT(job->hedge_id == 0);
	if (!flow->options.hedge.enabled) return;
	if (job->retry.attempts == 1) earn(flow);
	int64_t due_ms = now.mono_ms + patience_ms(flow, flow_slot_of(flow, call->id)->model);
	/* By then the attempt is over, and it is the next one's turn. */
	if (!flow_hedge_may(flow, job) || due_ms >= call->first_content_due_ms) return;
	call->tells_content = true;
	flow_set_due(flow, job, due_ms);
}

void flow_hedge_due(struct flow *flow, struct job *job)
{
	ASSERT(flow->options.hedge.enabled);
	ASSERT(!job->was_hedged);
	flow_set_due(flow, job, job->deadline_ms);
	list_push_back(&flow->hedges.due, &job->queue);
}

/* May this job have a second call, and of which of its models? FLOW_HEDGE_STARTED: yes, and it is paid for. */
static enum flow_hedge admit(struct flow *flow, const struct job *job, struct instant now, size_t *out_choice)
{
	ASSERT(flow->options.hedge.enabled);
	if (flow->is_draining) return FLOW_HEDGE_DRAINING;
	if (list_is_empty(&flow->free_slots)) return FLOW_HEDGE_NO_SLOT;
	if (flow->hedges.saved < FLOW_HEDGE_COST) return FLOW_HEDGE_NO_SHARE;
	if (job->deadline_ms - now.mono_ms < RETRY_TIME_MIN_MS) return FLOW_HEDGE_NO_TIME;
	size_t choice = flow_guard_second_choice(flow, job, now);
	if (choice == job->retry.model_count) return FLOW_HEDGE_NO_MODEL;
	if (!flow_guard_spend_second(flow, job, now)) return FLOW_HEDGE_NO_BUDGET;
	flow->hedges.saved -= FLOW_HEDGE_COST;
	ASSERT(flow->hedges.saved >= 0);
	*out_choice = choice;
	return FLOW_HEDGE_STARTED;
}

/* The second call has the clocks of an attempt that begins now, and is not one of its own. */
static void begin(struct flow *flow, struct job *job, struct call *call, size_t choice, struct instant now)
{
	ASSERT(job->retry.attempts > 0);
	struct flow_slot *slot = flow_occupy(flow, job, call, choice, now);
	struct retry_state state = job->retry;
	state.attempts--;
	call->first_content_due_ms =
		retry_first_content_due(&flow->options.retry, &state, now.mono_ms, job->deadline_ms);
	ASSERT(call->first_content_due_ms <= call->deadline_ms);
	call->tells_content = true;
	/* The connection may be the reason for the silence. */
	call->on_new_connection = true;
	slot->is_second = true;
	job->hedge_id = call->id;
	job->was_hedged = true;
	flow_guard_began_second(flow, job, slot, now);
}

/* NULL: not now, nor later. */
static struct call *make(struct flow *flow, struct job *job, struct instant now)
{
	ASSERT(job->state == JOB_CALLING);
	ASSERT(job->hedge_id == 0);
	ASSERT(!job->was_hedged);
	size_t choice = job->retry.model;
	enum flow_hedge verdict = admit(flow, job, now, &choice);
	struct call *call = NULL;
	if (verdict == FLOW_HEDGE_STARTED) {
		call = flow_make_call(flow, job, choice);
		if (call != NULL && buffer_status(&call->body) != STATUS_OK) {
			call_free(call);
			call = NULL;
		}
		if (call == NULL) verdict = FLOW_HEDGE_NO_MEMORY;
	}
	if (call != NULL) begin(flow, job, call, choice, now);
	tell(flow, job->models[choice], verdict);
	return call;
}

enum status flow_hedge_next(struct flow *flow, struct instant now, struct call **out_call)
{
	struct list *node;
	while ((node = list_pop_front(&flow->hedges.due)) != NULL) {
		struct job *job = LIST_ELEMENT(node, struct job, queue);
		struct call *call = make(flow, job, now);
		if (call == NULL) continue;
		ASSERT(job->hedge_id == call->id);
		*out_call = call;
		return STATUS_OK;
	}
	ASSERT(list_is_empty(&flow->hedges.due));
	return STATUS_EMPTY;
}

/* The slot's call is that of the attempt from now on: what is decided is decided of its model. */
static void follow(struct flow *flow, struct job *job, const struct flow_slot *slot)
{
	ASSERT(slot->job == job);
	ASSERT(slot == flow_slot_of(flow, slot->id));
	if (job->call_id == slot->id) return;
	ASSERT(job->hedge_id == slot->id);
	job->hedge_id = job->call_id;
	job->call_id = slot->id;
	if (slot->choice == job->retry.model) return;
	flow_guard_change_model(job, slot->choice);
	job->retry.model_attempts = 1;
}

/* The slot's call is the first to show something. */
static void overtake(struct flow *flow, struct job *job, struct flow_slot *slot, struct instant now)
{
	ASSERT(!slot->is_overtaken);
	follow(flow, job, slot);
	flow_hedge_tell(flow, slot, FLOW_HEDGE_WON);
	if (job->hedge_id == 0) return;
	struct flow_slot *other = flow_slot_of(flow, job->hedge_id);
	if (other->is_overtaken) return;
	ASSERT(other->job == job);
	other->is_overtaken = true;
	flow_guard_ended(flow, other, NULL, now);
	flow_hedge_tell(flow, other, FLOW_HEDGE_LOST);
	flow_cancel_slot(flow, other);
}

void flow_content_begun(struct flow *flow, uint64_t id, struct instant now)
{
	struct flow_slot *slot = flow_slot_of(flow, id);
	if (slot->id != id || slot->job == NULL || slot->is_overtaken) return;
	struct job *job = slot->job;
	ASSERT(job->state == JOB_CALLING);
	ASSERT(job->call_id == id || job->hedge_id == id);
	list_unlink(&job->queue);
	if (job->parked == NULL) flow_set_due(flow, job, job->deadline_ms);
	overtake(flow, job, slot, now);
	flow_check(flow);
}

/* It decides nothing. */
static struct job *put_aside(struct flow *flow, const struct flow_slot *slot, const struct call *call)
{
	ASSERT(call->id == slot->id);
	ASSERT(slot->model < MODEL_NAMES_COUNT);
	const struct flow_events *events = &flow->options.events;
	if (events->on_undecided != NULL)
		events->on_undecided(events->context, model_names_text(&flow->guard.names, slot->model), call);
	return NULL;
}

void flow_hedge_leave(struct flow *flow, struct job *job)
{
	ASSERT(job->state == JOB_CALLING);
	if (job->hedge_id == 0) return;
	/* Its own account comes too late for the reply. */
	job->requests_sent++;
	flow_drop_slot(flow, flow_slot_of(flow, job->hedge_id));
	job->hedge_id = 0;
}

/* The attempt is over; its other call has been overtaken. */
static void finish(struct flow *flow, struct job *job, const struct flow_slot *slot, const struct call *call)
{
	ASSERT(job->call_id == call->id);
	int64_t began_ms = slot->is_second ? job->call_ms : call->started_ms;
	if (call->ended_ms > began_ms) job->upstream_ms += call->ended_ms - began_ms;
	job->call_id = 0;
	list_unlink(&job->queue);
	flow_hedge_leave(flow, job);
}

struct job *flow_hedge_ended(struct flow *flow, struct flow_slot *slot, const struct call *call, struct instant now)
{
	struct job *job = slot->job;
	ASSERT(call->requests_sent >= 0);
	if (job == NULL && !slot->is_overtaken) {
		flow_notice(flow, FLOW_NOTICE_STALE_RESULT, -1, -1);
		return NULL;
	}
	if (job == NULL) return put_aside(flow, slot, call);
	ASSERT(job->state == JOB_CALLING);
	job->requests_sent += call->requests_sent;
	if (slot->is_overtaken) {
		ASSERT(job->hedge_id == call->id);
		job->hedge_id = 0;
		return put_aside(flow, slot, call);
	}
	bool is_answer = call->result.failure.reason == REASON_NONE;
	uint64_t other_id = job->call_id == call->id ? job->hedge_id : job->call_id;
	if (!is_answer && other_id != 0 && !flow_slot_of(flow, other_id)->is_overtaken) {
		flow_hedge_tell(flow, slot, FLOW_HEDGE_LOST);
		follow(flow, job, flow_slot_of(flow, other_id));
		job->hedge_id = 0;
		return put_aside(flow, slot, call);
	}
	if (is_answer) overtake(flow, job, slot, now);
	flow_hedge_tell(flow, slot, FLOW_HEDGE_LOST);
	finish(flow, job, slot, call);
	return job;
}
