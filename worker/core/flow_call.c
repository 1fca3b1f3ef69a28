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

static void write_body(const struct flow *flow, const struct job *job, struct call *call)
{
	const struct flow_options *options = &flow->options;
	ASSERT(job->retry.model < job->retry.model_count);
	struct openrouter_body body = {
		.request = &job->request,
		.messages = job->request.messages,
		.message_count = job->message_count,
		.model = job->models[job->retry.model],
		.system_prompt = options->system_prompt,
		.temperature = options->temperature,
		.max_tokens = options->max_tokens,
		.tokens_max = job->tokens_max,
		.provider = options->provider,
		.ignored = job->ignored,
		.ignored_count = job->ignored_count,
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

static struct flow_slot *slot_of(const struct flow *flow, uint64_t id)
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

/* Gives the call to a free slot and the job to the call. */
static void start(struct flow *flow, struct job *job, struct call *call, struct instant now)
{
	struct flow_slot *slot = LIST_ELEMENT(list_pop_front(&flow->free_slots), struct flow_slot, link);
	ASSERT(slot->id == 0);
	ASSERT(slot == slot_of(flow, call->id));
	ASSERT(job->call_id == 0);
	ASSERT(flow->ready_count > 0);
	slot->id = call->id;
	slot->job = job;
	slot->bytes = sizeof(*call) + call->body.capacity + arena_size(call->arena);
	flow->call_bytes += slot->bytes;
	flow->in_flight++;

	call->deadline_ms = job->deadline_ms;
	call->first_content_due_ms = flow_pace_first_content_due(flow, job, flow_guard_number(flow, job), now);
	call->stall_ms = flow->options.stall_ms;
	call->on_new_connection = doubts_connections(job);
	job->call_id = call->id;
	job->call_ms = now.mono_ms;
	job->retry.attempts++;
	job->retry.model_attempts++;
	if (job->first_call_ms == 0) job->first_call_ms = now.mono_ms;
	flow_guard_began(flow, job, slot, now);
	list_unlink(&job->queue);
	flow->ready_count--;
	job_change(job, JOB_CALLING);
}

/* A call for the job; NULL when memory is missing. */
static struct call *make_call(struct flow *flow, const struct job *job)
{
	ASSERT(job->state == JOB_READY);
	struct call *call = call_new(next_id(flow), flow->options.body_bytes_max, flow->options.response_bytes_max);
	if (call == NULL) return NULL;
	write_body(flow, job, call);
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
	struct job *job;
	while (!list_is_empty(&flow->free_slots) && (job = next_ready(flow, now)) != NULL) {
		struct call *call = make_call(flow, job);
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
	flow_check(flow);
	return STATUS_EMPTY;
}

size_t flow_call_bytes(const struct flow *flow, const struct job *job)
{
	const struct flow_slot *slot = slot_of(flow, job->call_id);
	ASSERT(slot->id == job->call_id);
	ASSERT(slot->job == job);
	return slot->bytes;
}

void flow_drop_call(struct flow *flow, struct job *job)
{
	struct flow_slot *slot = slot_of(flow, job->call_id);
	ASSERT(slot->id == job->call_id);
	ASSERT(slot->job == job);
	ASSERT(!slot->wants_cancel);
	slot->job = NULL;
	slot->wants_cancel = true;
	flow->cancelled++;
	list_push_back(&flow->cancels, &slot->link);
	job->call_id = 0;
}

void flow_time_out_call(struct flow *flow, struct job *job, struct instant now)
{
	ASSERT(job->state == JOB_CALLING);
	ASSERT(now.mono_ms >= job->call_ms);
	job->failure = (struct failure){ .reason = REASON_TIMEOUT, .action = FAILURE_ACTION_END, .maybe_sent = true };
	flow_guard_ended(flow, slot_of(flow, job->call_id), &job->failure, now);
	flow_drop_call(flow, job);
	/* The call's own account comes too late for the reply. */
	job->requests_sent++;
	job->upstream_ms += now.mono_ms - job->call_ms;
	flow_reply_failure(flow, job, now);
}

enum status flow_next_cancel(struct flow *flow, uint64_t *out_id)
{
	struct list *node = list_pop_front(&flow->cancels);
	if (node == NULL) return STATUS_EMPTY;
	struct flow_slot *slot = LIST_ELEMENT(node, struct flow_slot, link);
	ASSERT(slot->wants_cancel);
	ASSERT(slot->job == NULL);
	ASSERT(slot->id != 0);
	*out_id = slot->id;
	flow_check(flow);
	return STATUS_OK;
}

/* What the attempt tells of how long its model takes, whoever waits for it. One that was cut off would have taken longer. */
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

/* Frees the slot of a call that came back and returns the job that waits for it, if one does. */
static struct job *end_call(struct flow *flow, struct call *call, struct instant now)
{
	struct flow_slot *slot = slot_of(flow, call->id);
	ASSERT(slot->id == call->id);
	struct job *job = slot->job;
	ASSERT((job == NULL) == slot->wants_cancel);
	ASSERT(flow->call_bytes >= slot->bytes);
	flow->call_bytes -= slot->bytes;
	note_times(flow, slot, call);
	settle_too_dear(flow, job, &call->result.failure);
	flow_guard_weigh(flow, slot, &call->result.failure);
	flow_cooling_note(flow, slot, &call->result.failure, now);
	flow_guard_ended(flow, slot, job == NULL ? NULL : &call->result.failure, now);
	list_unlink(&slot->link);
	*slot = (struct flow_slot){ 0 };
	list_init(&slot->link);
	/* At the end: ids of the near past stay unused for long. */
	list_push_back(&flow->free_slots, &slot->link);
	ASSERT(flow->in_flight > 0);
	flow->in_flight--;
	if (job == NULL) {
		ASSERT(flow->cancelled > 0);
		flow->cancelled--;
		return NULL;
	}
	ASSERT(job->state == JOB_CALLING);
	ASSERT(job->call_id == call->id);
	job->call_id = 0;
	ASSERT(call->requests_sent >= 0);
	job->requests_sent += call->requests_sent;
	if (call->ended_ms > call->started_ms) job->upstream_ms += call->ended_ms - call->started_ms;
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
		flow_guard_probed(flow, call->result.failure.reason == REASON_NONE, now);
		call_free(call);
		return;
	}
	struct job *job = end_call(flow, call, now);
	if (job == NULL) {
		flow_notice(flow, FLOW_NOTICE_STALE_RESULT, -1, -1);
	} else if (call->result.failure.reason == REASON_NONE) {
		job->failure = (struct failure){ .reason = REASON_NONE };
		tell_attempt(flow, job, call, RETRY_STEP_END);
		flow_reply_answer(flow, job, &call->result.answer, call, now);
	} else if (job->parked != NULL) {
		job->failure = call->result.failure;
		tell_attempt(flow, job, call, RETRY_STEP_END);
		flow_park_failed(flow, job);
	} else {
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
