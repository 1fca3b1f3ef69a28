/* Attempts: starting them, hearing how they ended, deciding what comes next. */
#include "common/assertion.h"
#include "worker/core/flow_internal.h"
#include "worker/core/openrouter_body.h"

static void make_ready(struct flow *flow, struct job *job)
{
	ASSERT(job->retry.model < job->retry.model_count);
	ASSERT(job->message_count > 0);
	job_change(job, JOB_READY);
	flow->ready_count++;
	ASSERT(flow->ready_count <= flow->waiting);
	flow_set_due(flow, job, job->deadline_ms);
}

/* The model that the job wants has to cool first. */
static void wait_to_cool(struct flow *flow, struct job *job)
{
	ASSERT(job->failure.reason != REASON_NONE);
	ASSERT(job->backoff_ms <= job->deadline_ms);
	if (job->state != JOB_BACKOFF) job_change(job, JOB_BACKOFF);
	flow_set_due(flow, job, job->backoff_ms);
}

/* A head gets no call when it was turned down, when its time is over, or when there is nobody to call. */
static enum flow_choice choose_for_head(struct flow *flow, struct job *job, struct instant now)
{
	ASSERT(job->retry.attempts == 0);
	if (job->rejection.reason != REASON_NONE) {
		job->failure = (struct failure){ .reason = job->rejection.reason, .action = FAILURE_ACTION_END };
		return FLOW_CHOICE_NONE;
	}
	if (job->deadline_ms - now.mono_ms >= RETRY_FIRST_MIN_MS) return flow_guard_choose(flow, job, now);
	job->failure = (struct failure){ .reason = REASON_DEADLINE, .action = FAILURE_ACTION_END };
	return FLOW_CHOICE_NONE;
}

void flow_begin_heads(struct flow *flow, struct instant now)
{
	flow_guard_sweep(flow, now);
	struct list *node;
	while ((node = list_pop_front(&flow->heads)) != NULL) {
		struct job *job = LIST_ELEMENT(node, struct job, queue);
		ASSERT(job->state == JOB_WAITING);
		ASSERT(lanes_is_head(job));
		if (flow_park_resume(flow, job, now)) continue;
		switch (choose_for_head(flow, job, now)) {
		case FLOW_CHOICE_CALL:
			make_ready(flow, job);
			list_push_back(&flow->ready, &job->queue);
			break;
		case FLOW_CHOICE_WAIT:
			wait_to_cool(flow, job);
			break;
		case FLOW_CHOICE_NONE:
			flow_reply_failure(flow, job, now);
			break;
		}
	}
}

void flow_call_again(struct flow *flow, struct job *job, struct instant now)
{
	ASSERT(job->state == JOB_BACKOFF);
	ASSERT(job->failure.reason != REASON_NONE);
	switch (flow_guard_choose(flow, job, now)) {
	case FLOW_CHOICE_CALL:
		make_ready(flow, job);
		list_push_front(&flow->ready, &job->queue);
		return;
	case FLOW_CHOICE_WAIT:
		wait_to_cool(flow, job);
		return;
	case FLOW_CHOICE_NONE:
		flow_reply_failure(flow, job, now);
		return;
	}
	ASSERT_UNREACHABLE();
}

static void write_body(const struct flow *flow, const struct job *job, size_t choice, struct call *call)
{
	const struct flow_options *options = &flow->options;
	ASSERT(choice < job->retry.model_count);
	struct openrouter_body body = {
		.request = &job->request,
		.messages = job->request.messages,
		.message_count = job->message_count,
		.model = job->models[choice],
		.system_prompt = options->system_prompt,
		.temperature = options->temperature,
		.max_tokens = options->max_tokens,
		.tokens_max = job->tokens_max,
		.provider = options->provider,
		.ignored = job->ignored,
		.ignored_count = choice == job->retry.model ? job->ignored_count : 0,
	};
	openrouter_body_write(&body, &call->body);
}

/* Slots are found again by the id: the serial number makes it unique, the rest is the slot. */
static uint64_t next_id(struct flow *flow)
{
	struct flow_slot *slot = LIST_ELEMENT(list_first(&flow->free_slots), struct flow_slot, link);
	ASSERT(slot >= flow->slots);
	ASSERT((size_t)(slot - flow->slots) < flow->options.in_flight_max);
	flow->call_serial++;
	return flow->call_serial * flow->options.in_flight_max + (uint64_t)(slot - flow->slots);
}

struct flow_slot *flow_slot_of(const struct flow *flow, uint64_t id)
{
	ASSERT(id != 0);
	return &flow->slots[id % flow->options.in_flight_max];
}

/* Nothing came back, or not all of it: the connection may have been the reason, and those beside it may be no better. */
static bool doubts_connections(const struct job *job)
{
	ASSERT(job->retry.attempts >= 0);
	if (job->retry.attempts == 0 || job->failure.http_status != 0) return false;
	return job->failure.reason == REASON_TIMEOUT || job->failure.reason == REASON_STREAM_BROKEN;
}

struct flow_slot *flow_occupy(struct flow *flow, struct job *job, struct call *call, size_t choice, struct instant now)
{
	struct flow_slot *slot = LIST_ELEMENT(list_pop_front(&flow->free_slots), struct flow_slot, link);
	ASSERT(slot->id == 0);
	ASSERT(slot == flow_slot_of(flow, call->id));
	slot->id = call->id;
	slot->job = job;
	slot->began_ms = now.mono_ms;
	slot->choice = choice;
	slot->bytes = sizeof(*call) + call->body.capacity + arena_size(call->arena);
	flow->call_bytes += slot->bytes;
	flow->in_flight++;
	call->deadline_ms = job->deadline_ms;
	call->stall_ms = flow->options.stall_ms;
	call->on_new_connection = doubts_connections(job);
	return slot;
}

/* Begins an attempt with this call. */
static void start(struct flow *flow, struct job *job, struct call *call, struct instant now)
{
	ASSERT(job->call_id == 0);
	ASSERT(flow->ready_count > 0);
	struct flow_slot *slot = flow_occupy(flow, job, call, job->retry.model, now);
	call->first_content_due_ms = flow_pace_first_content_due(flow, job, flow_guard_number(flow, job), now);
	ASSERT(call->first_content_due_ms <= call->deadline_ms);
	job->call_id = call->id;
	job->call_ms = now.mono_ms;
	job->retry.attempts++;
	job->retry.model_attempts++;
	if (job->first_call_ms == 0) job->first_call_ms = now.mono_ms;
	flow_guard_began(flow, job, slot, now);
	list_unlink(&job->queue);
	flow->ready_count--;
	job_change(job, JOB_CALLING);
	flow_hedge_began(flow, job, call, now);
}

struct call *flow_make_call(struct flow *flow, const struct job *job, size_t choice)
{
	ASSERT(job->state == JOB_READY || job->state == JOB_CALLING);
	struct call *call = call_new(next_id(flow), flow->options.body_bytes_max, flow->options.response_bytes_max);
	if (call == NULL) return NULL;
	write_body(flow, job, choice, call);
	return call;
}

/* The first in the line is not called now. */
static void leave_line(struct flow *flow, struct job *job, enum flow_choice choice, struct instant now)
{
	ASSERT(job->state == JOB_READY);
	if (choice == FLOW_CHOICE_WAIT) {
		list_unlink(&job->queue);
		ASSERT(flow->ready_count > 0);
		flow->ready_count--;
		wait_to_cool(flow, job);
		return;
	}
	ASSERT(choice == FLOW_CHOICE_NONE);
	flow_reply_failure(flow, job, now);
}

/* The next job to call; those whose time ran out while they waited for a slot, or that nobody is left for, get their
 * replies, and those whose model has to cool wait for it. */
static struct job *next_ready(struct flow *flow, struct instant now)
{
	struct list *node;
	while ((node = list_first(&flow->ready)) != NULL) {
		struct job *job = LIST_ELEMENT(node, struct job, queue);
		ASSERT(job->state == JOB_READY);
		bool has_time = job->deadline_ms - now.mono_ms >= RETRY_FIRST_MIN_MS;
		enum flow_choice choice = has_time ? flow_guard_choose(flow, job, now) : FLOW_CHOICE_NONE;
		if (choice == FLOW_CHOICE_CALL) return job;
		if (has_time)
			leave_line(flow, job, choice, now);
		else
			flow_reply_unstarted(flow, job, now);
		flow_begin_heads(flow, now);
	}
	return NULL;
}

enum status flow_next_call(struct flow *flow, struct instant now, struct call **out_call)
{
	ASSERT(out_call != NULL);
	if (membership_is_doubted(&flow->membership)) return STATUS_EMPTY;
	struct job *job;
	while (!list_is_empty(&flow->free_slots) && (job = next_ready(flow, now)) != NULL) {
		struct call *call = flow_make_call(flow, job, job->retry.model);
		if (call == NULL) return STATUS_EMPTY;
		if (buffer_status(&call->body) == STATUS_OK) {
			start(flow, job, call, now);
			flow_check(flow);
			*out_call = call;
			return STATUS_OK;
		}
		call_free(call);
		job->failure = (struct failure){ .reason = REASON_INTERNAL, .action = FAILURE_ACTION_END };
		flow_reply_failure(flow, job, now);
		flow_begin_heads(flow, now);
	}
	flow_park_yield(flow);
	enum status status = flow_hedge_next(flow, now, out_call);
	flow_check(flow);
	return status;
}

void flow_cancel_slot(struct flow *flow, struct flow_slot *slot)
{
	ASSERT(slot->id != 0);
	ASSERT(!slot->wants_cancel);
	slot->wants_cancel = true;
	flow->cancelled++;
	list_push_back(&flow->cancels, &slot->link);
}

void flow_drop_slot(struct flow *flow, struct flow_slot *slot)
{
	ASSERT(slot->job != NULL);
	slot->job = NULL;
	flow_hedge_tell(flow, slot, FLOW_HEDGE_LOST);
	if (!slot->wants_cancel) flow_cancel_slot(flow, slot);
}

size_t flow_call_bytes(const struct flow *flow, const struct job *job)
{
	const struct flow_slot *slot = flow_slot_of(flow, job->call_id);
	ASSERT(slot->id == job->call_id);
	ASSERT(slot->job == job);
	ASSERT(job->hedge_id == 0);
	return slot->bytes;
}

void flow_drop_call(struct flow *flow, struct job *job)
{
	ASSERT(job->call_id != 0);
	ASSERT(flow_slot_of(flow, job->call_id)->job == job);
	flow_drop_slot(flow, flow_slot_of(flow, job->call_id));
	if (job->hedge_id != 0) flow_drop_slot(flow, flow_slot_of(flow, job->hedge_id));
	job->call_id = 0;
	job->hedge_id = 0;
	list_unlink(&job->queue);
}

void flow_time_out_call(struct flow *flow, struct job *job, struct instant now)
{
	ASSERT(job->state == JOB_CALLING);
	ASSERT(now.mono_ms >= job->call_ms);
	job->failure = (struct failure){ .reason = REASON_TIMEOUT, .action = FAILURE_ACTION_END, .maybe_sent = true };
	flow_guard_ended(flow, flow_slot_of(flow, job->call_id), &job->failure, now);
	if (job->hedge_id != 0) flow_guard_ended(flow, flow_slot_of(flow, job->hedge_id), &job->failure, now);
	/* The calls' own accounts come too late for the reply. */
	job->requests_sent += job->hedge_id == 0 ? 1 : 2;
	flow_drop_call(flow, job);
	job->upstream_ms += now.mono_ms - job->call_ms;
	flow_reply_failure(flow, job, now);
}

enum status flow_next_cancel(struct flow *flow, uint64_t *out_id)
{
	struct list *node = list_pop_front(&flow->cancels);
	if (node == NULL) return STATUS_EMPTY;
	struct flow_slot *slot = LIST_ELEMENT(node, struct flow_slot, link);
	ASSERT(slot->wants_cancel);
	ASSERT(slot->job == NULL || slot->is_overtaken);
	ASSERT(slot->id != 0);
	*out_id = slot->id;
	flow_check(flow);
	return STATUS_OK;
}

/* What the attempt tells of how long its model takes, whoever waits for it. One that was cut off would have taken
 * longer. */
static void note_times(struct flow *flow, const struct flow_slot *slot, const struct call *call)
{
	ASSERT(slot->model < MODEL_NAMES_COUNT);
	struct flow_model *model = &flow->guard.models[slot->model];
	const struct failure *failure = &call->result.failure;
	int64_t took_ms = call->ended_ms - call->started_ms;
	bool was_cut = failure->reason == REASON_TIMEOUT && failure->http_status == 0 && failure->maybe_sent;
	if (call->first_content_ms > 0)
		latency_note(&model->first_content, call->first_content_ms - call->started_ms);
	else if (was_cut)
		latency_note_at_least(&model->first_content, took_ms);
	if (failure->reason == REASON_NONE)
		latency_note(&model->whole, took_ms);
	else if (was_cut)
		latency_note_at_least(&model->whole, took_ms);
}

/* Whether fewer tokens help depends on what the chat has asked for: when they do not, there is too little credit. */
static void settle_too_dear(const struct flow *flow, const struct job *job, struct failure *failure)
{
	if (job == NULL || failure->action != FAILURE_ACTION_FEWER) return;
	ASSERT(failure->reason != REASON_NONE);
	ASSERT(failure->tokens_max >= FAILURE_TOKENS_MIN);
	bool is_less = failure->tokens_max < openrouter_body_tokens(&job->request, flow->options.max_tokens);
	if (job->retry.asked_fewer || !is_less) failure->action = FAILURE_ACTION_LATCH;
}

/* Frees the slot of a call that came back and returns the job whose attempt ends with it, if one does. */
static struct job *end_call(struct flow *flow, struct call *call, struct instant now)
{
	struct flow_slot *slot = flow_slot_of(flow, call->id);
	ASSERT(slot->id == call->id);
	ASSERT((slot->job == NULL || slot->is_overtaken) == slot->wants_cancel);
	ASSERT(flow->call_bytes >= slot->bytes);
	flow->call_bytes -= slot->bytes;
	note_times(flow, slot, call);
	settle_too_dear(flow, slot->job, &call->result.failure);
	flow_guard_weigh(flow, slot, &call->result.failure);
	flow_cooling_note(flow, slot, &call->result.failure, now);
	flow_guard_ended(flow, slot, slot->job == NULL ? NULL : &call->result.failure, now);
	struct job *job = flow_hedge_ended(flow, slot, call, now);
	if (slot->wants_cancel) {
		ASSERT(flow->cancelled > 0);
		flow->cancelled--;
	}
	list_unlink(&slot->link);
	*slot = (struct flow_slot){ 0 };
	list_init(&slot->link);
	/* At the end: ids of the near past stay unused for long. */
	list_push_back(&flow->free_slots, &slot->link);
	ASSERT(flow->in_flight > 0);
	flow->in_flight--;
	return job;
}

/* Halves the history, once. False when nothing can be left out. */
static bool trim(struct job *job)
{
	ASSERT(!job->retry.trimmed);
	size_t kept = history_halve(job->request.messages, job->message_count);
	ASSERT(kept > 0);
	if (kept == job->message_count) return false;
	job->message_count = kept;
	job->retry.trimmed = true;
	return true;
}

/* For all attempts that follow, whatever their model. */
static void ask_fewer(struct job *job)
{
	ASSERT(!job->retry.asked_fewer);
	ASSERT(job->failure.tokens_max >= FAILURE_TOKENS_MIN);
	job->tokens_max = job->failure.tokens_max;
	job->retry.asked_fewer = true;
}

static void go_on_to_next_model(struct job *job)
{
	flow_guard_change_model(job, job->retry.model + 1);
	ASSERT(job->retry.model_attempts == 0);
	if (job->failure.action == FAILURE_ACTION_NEXT_ONCE) job->retry.went_on = true;
}

static void tell_attempt(const struct flow *flow, const struct job *job, const struct call *call, enum retry_step step)
{
	ASSERT(job->retry.attempts > 0);
	const struct flow_events *events = &flow->options.events;
	if (events->on_attempt != NULL) events->on_attempt(events->context, job, call, step);
}

static void on_failure(struct flow *flow, struct job *job, const struct call *call, struct instant now)
{
	ASSERT(call->result.failure.reason != REASON_NONE);
	struct failure before = job->failure;
	job->failure = call->result.failure;
	if (job->ignored_count > 0 && job->failure.reason == REASON_NO_PROVIDER)
		flow_ignore_take_back(flow, job, &before, now);
	struct retry_decision decision = flow_guard_decide(flow, job, now);
	if (decision.step == RETRY_STEP_TRIM && !trim(job)) decision.step = RETRY_STEP_END;
	if (decision.step != RETRY_STEP_END && !flow_guard_spend(flow, job, now)) decision.step = RETRY_STEP_END;
	tell_attempt(flow, job, call, decision.step);
	if (decision.step == RETRY_STEP_END) {
		flow_reply_failure(flow, job, now);
		return;
	}
	if (decision.step == RETRY_STEP_AGAIN) flow_ignore_failed(flow, job, call, now);
	if (decision.step == RETRY_STEP_FEWER) ask_fewer(job);
	if (decision.step == RETRY_STEP_NEXT) go_on_to_next_model(job);
	job_change(job, JOB_BACKOFF);
	ASSERT(decision.at_ms <= job->deadline_ms);
	job->backoff_ms = decision.at_ms;
	if (decision.at_ms <= now.mono_ms)
		flow_call_again(flow, job, now);
	else
		flow_set_due(flow, job, decision.at_ms < job->deadline_ms ? decision.at_ms : job->deadline_ms);
}

void flow_call_done(struct flow *flow, struct call *call, struct instant now)
{
	if (call->id == flow->guard.probe_id) {
		flow_guard_probed(flow, call, now);
		call_free(call);
		return;
	}
	struct job *job = end_call(flow, call, now);
	if (job != NULL && call->result.failure.reason == REASON_NONE) {
		job->failure = (struct failure){ .reason = REASON_NONE };
		tell_attempt(flow, job, call, RETRY_STEP_END);
		flow_reply_answer(flow, job, &call->result.answer, call, now);
	} else if (job != NULL && job->parked != NULL) {
		job->failure = call->result.failure;
		tell_attempt(flow, job, call, RETRY_STEP_END);
		flow_park_failed(flow, job);
	} else if (job != NULL) {
		on_failure(flow, job, call, now);
	}
	call_free(call);
	flow_begin_heads(flow, now);
	flow_check(flow);
}

void flow_call_refused(struct flow *flow, struct call *call, struct instant now)
{
	ASSERT(call->requests_sent == 0);
	call->result.failure =
		(struct failure){ .reason = REASON_INTERNAL, .action = FAILURE_ACTION_SAME, .retry_after_ms = -1 };
	flow_call_done(flow, call, now);
}
