/* What stands before a call: retry budgets, the breakers of the models and of the way to the upstream, the account. */
#include "common/assertion.h"
#include "worker/core/flow_internal.h"
#include "worker/core/openrouter_key.h"

void flow_guard_init(struct flow *flow)
{
	struct flow_guard *guard = &flow->guard;
	const struct flow_options *options = &flow->options;
	ASSERT(guard->names.count == 0);
	for (size_t i = 0; i < options->model_count; i++)
		(void)model_names_number(&guard->names, options->models[i]);
	ASSERT(guard->names.count <= options->model_count);
	/* Whatever the clock says at the start, the floor's first retry is ready. */
	retry_budget_init(&guard->budget, &options->budget, INT64_MIN);
	breaker_init(&guard->edge);
	for (size_t i = 0; i < MODEL_NAMES_COUNT; i++) {
		retry_budget_init(&guard->models[i].budget, &options->budget, INT64_MIN);
		breaker_init(&guard->models[i].breaker);
		latency_init(&guard->models[i].first_content);
		latency_init(&guard->models[i].whole);
	}
}

/* Of the `model`th of the job's models. */
static size_t number_of(struct flow *flow, const struct job *job, size_t model)
{
	ASSERT(model < job->retry.model_count);
	size_t number = model_names_number(&flow->guard.names, job->models[model]);
	ASSERT(number < MODEL_NAMES_COUNT);
	return number;
}

size_t flow_guard_number(struct flow *flow, const struct job *job)
{
	return number_of(flow, job, job->retry.model);
}

void flow_guard_change_model(struct job *job, size_t model)
{
	ASSERT(model > job->retry.model);
	ASSERT(model < job->retry.model_count);
	job->retry.model = model;
	job->retry.model_attempts = 0;
	job->ignored_count = 0;
}

/* Would an attempt that begins then probably end in time? A first attempt is made in any case: it is the chat's only chance,
 * and shows whether the model is still slow. */
static bool has_time(const struct flow *flow, const struct job *job, size_t number, int64_t from_ms, struct instant now)
{
	ASSERT(from_ms >= now.mono_ms);
	if (job->retry.attempts == 0) return true;
	int64_t needed_ms = flow_pace_needed_ms(flow, number, now) + (from_ms > now.mono_ms ? FLOW_LATE_MS : 0);
	return job->deadline_ms - from_ms >= needed_ms;
}

/* When a call of the job's `model`th may be made, as far as is known: now, when it has cooled, or INT64_MAX: its breaker or
 * what stands before all calls is shut, or it is too slow for the time left. */
static int64_t open_from(struct flow *flow, const struct job *job, size_t model, struct instant now)
{
	bool is_shut = account_is_refused(&flow->guard.account) || !breaker_admits(&flow->guard.edge, now.mono_ms);
	size_t number = number_of(flow, job, model);
	if (is_shut || !breaker_admits(&flow->guard.models[number].breaker, now.mono_ms)) return INT64_MAX;
	int64_t from_ms = flow_cooling_until(flow, number);
	if (from_ms < now.mono_ms) from_ms = now.mono_ms;
	return has_time(flow, job, number, from_ms, now) ? from_ms : INT64_MAX;
}

/* The one of the job's models from `from` on that may be called first, in their order when several may; model_count = none.
 * Those behind one that is open now are not looked at. */
static size_t first_open(
	struct flow *flow, const struct job *job, size_t from, struct instant now, int64_t *out_from_ms)
{
	ASSERT(from <= job->retry.model_count);
	size_t first = job->retry.model_count;
	*out_from_ms = INT64_MAX;
	for (size_t model = from; model < job->retry.model_count; model++) {
		int64_t from_ms = open_from(flow, job, model, now);
		ASSERT(from_ms >= now.mono_ms);
		if (from_ms >= *out_from_ms) continue;
		first = model;
		*out_from_ms = from_ms;
		if (from_ms == now.mono_ms) break;
	}
	return first;
}

/* What a chat is told that was never called for. */
static struct failure nobody(const struct flow *flow, bool is_cooling)
{
	enum reason refused = flow->guard.account.refusal.reason;
	ASSERT(refused == REASON_NONE || !is_cooling);
	enum reason reason = is_cooling ? REASON_RATE_LIMITED : REASON_BREAKER_OPEN;
	return (struct failure){ .reason = refused == REASON_NONE ? reason : refused, .action = FAILURE_ACTION_END };
}

enum flow_choice flow_guard_choose(struct flow *flow, struct job *job, struct instant now)
{
	ASSERT(job->rejection.reason == REASON_NONE);
	int64_t from_ms;
	size_t model = first_open(flow, job, job->retry.model, now, &from_ms);
	if (from_ms <= now.mono_ms) {
		if (model != job->retry.model) flow_guard_change_model(job, model);
		return FLOW_CHOICE_CALL;
	}
	if (job->retry.attempts == 0) job->failure = nobody(flow, from_ms != INT64_MAX);
	ASSERT(job->failure.reason != REASON_NONE);
	if (from_ms > job->deadline_ms - RETRY_TIME_MIN_MS) return FLOW_CHOICE_NONE;
	job->backoff_ms = from_ms;
	return FLOW_CHOICE_WAIT;
}

/* The same model again, as soon as it may be called; else the next one; else nothing. */
static struct retry_decision decide_again(
	struct flow *flow, const struct job *job, struct retry_decision again, bool has_next, struct instant now)
{
	ASSERT(again.step == RETRY_STEP_AGAIN);
	int64_t from_ms = open_from(flow, job, job->retry.model, now);
	ASSERT(from_ms >= now.mono_ms);
	bool is_later = from_ms > again.at_ms;
	if (is_later) again.at_ms = from_ms;
	bool fits = from_ms != INT64_MAX && has_time(flow, job, flow_guard_number(flow, job), again.at_ms, now);
	if (fits && !(is_later && has_next)) return again;
	return (struct retry_decision){ .step = has_next ? RETRY_STEP_NEXT : RETRY_STEP_END, .at_ms = now.mono_ms };
}

struct retry_decision flow_guard_decide(struct flow *flow, const struct job *job, struct instant now)
{
	ASSERT(job->retry.model < job->retry.model_count);
	struct retry_state state = job->retry;
	int64_t from_ms;
	(void)first_open(flow, job, job->retry.model + 1, now, &from_ms);
	bool has_next = from_ms <= now.mono_ms;
	/* A model that cools soon is better than none. */
	bool has_later = !has_next && from_ms != INT64_MAX;
	if (!has_next) state.model_count = state.model + 1;
	const struct retry_options *options = &flow->options.retry;
	struct retry_decision decision =
		retry_decide(options, &state, &job->failure, now.mono_ms, job->deadline_ms, &flow->random);
	if (decision.step == RETRY_STEP_AGAIN) decision = decide_again(flow, job, decision, has_next, now);
	if (decision.step != RETRY_STEP_END || !has_later) return decision;
	ASSERT(job->retry.model + 1 < job->retry.model_count);
	decision = retry_decide(options, &job->retry, &job->failure, now.mono_ms, job->deadline_ms, &flow->random);
	/* That this model would be repeated is of no use when it may not be called: the next one is all there is. */
	bool goes_on = decision.step == RETRY_STEP_NEXT || decision.step == RETRY_STEP_AGAIN;
	return (struct retry_decision){ .step = goes_on ? RETRY_STEP_NEXT : RETRY_STEP_END, .at_ms = now.mono_ms };
}

static void tell_breaker(const struct flow *flow, struct bytes model, enum breaker_state state)
{
	const struct flow_events *events = &flow->options.events;
	if (events->on_breaker != NULL) events->on_breaker(events->context, model, state);
}

static struct breaker_pass enter(struct flow *flow, struct breaker *breaker, struct bytes model, struct instant now)
{
	enum breaker_state before = breaker->state;
	struct breaker_pass pass = breaker_enter(breaker, now.mono_ms);
	ASSERT(breaker->state != BREAKER_OPEN);
	if (breaker->state != before) tell_breaker(flow, model, breaker->state);
	return pass;
}

static void enter_both(struct flow *flow, const struct job *job, struct flow_slot *slot, struct instant now)
{
	struct flow_guard *guard = &flow->guard;
	ASSERT(slot->model < MODEL_NAMES_COUNT);
	struct flow_model *model = &guard->models[slot->model];
	slot->edge_pass = enter(flow, &guard->edge, BYTES_NONE, now);
	slot->model_pass = enter(flow, &model->breaker, model_names_text(&guard->names, slot->model), now);
	slot->has_passes = true;
	slot->has_own_provider = job->request.provider.size > 0;
	slot->key = guard->key;
	model->asked_ms = now.mono_ms;
}

void flow_guard_began(struct flow *flow, const struct job *job, struct flow_slot *slot, struct instant now)
{
	ASSERT(job->retry.attempts > 0);
	ASSERT(job->retry.model_attempts > 0);
	ASSERT(!slot->has_passes);
	struct flow_guard *guard = &flow->guard;
	slot->model = flow_guard_number(flow, job);
	struct flow_model *model = &guard->models[slot->model];
	if (job->retry.attempts == 1) retry_budget_earn(&guard->budget, &flow->options.budget);
	if (job->retry.model_attempts == 1) retry_budget_earn(&model->budget, &flow->options.budget);
	enter_both(flow, job, slot, now);
}

size_t flow_guard_second_choice(struct flow *flow, const struct job *job, struct instant now)
{
	ASSERT(job->retry.attempts > 0);
	ASSERT(job->retry.model < job->retry.model_count);
	int64_t from_ms;
	size_t model = first_open(flow, job, job->retry.model + 1, now, &from_ms);
	if (from_ms <= now.mono_ms) return model;
	return open_from(flow, job, job->retry.model, now) <= now.mono_ms ? job->retry.model : job->retry.model_count;
}

void flow_guard_began_second(struct flow *flow, const struct job *job, struct flow_slot *slot, struct instant now)
{
	ASSERT(slot->is_second);
	ASSERT(!slot->has_passes);
	slot->model = number_of(flow, job, slot->choice);
	enter_both(flow, job, slot, now);
}

void flow_guard_weigh(const struct flow *flow, const struct flow_slot *slot, struct failure *failure)
{
	ASSERT(slot->key <= flow->guard.key);
	ASSERT(failure != NULL);
	if (failure->action == FAILURE_ACTION_LATCH && slot->key != flow->guard.key)
		failure->action = FAILURE_ACTION_SAME;
}

static void leave(struct flow *flow, struct breaker *breaker, struct breaker_pass pass, enum breaker_verdict verdict,
	struct bytes model, struct instant now)
{
	bool changed = breaker_leave(breaker, &flow->options.breaker, pass, verdict, now.mono_ms, &flow->random);
	if (!changed) return;
	ASSERT(breaker->state != BREAKER_HALF_OPEN);
	if (breaker->state == BREAKER_OPEN) flow->guard.has_stopped = true;
	tell_breaker(flow, model, breaker->state);
}

/* A time-out says something only when the attempt had time. */
static bool had_time(const struct flow *flow, const struct flow_slot *slot, struct instant now)
{
	int64_t enough_ms = flow->options.retry.first_content_max_ms;
	if (enough_ms > RETRY_TIME_MIN_MS) enough_ms = RETRY_TIME_MIN_MS;
	ASSERT(slot->job != NULL);
	ASSERT(slot->began_ms <= now.mono_ms);
	return now.mono_ms - slot->began_ms >= enough_ms;
}

static enum breaker_verdict model_verdict(
	const struct flow *flow, const struct flow_slot *slot, const struct failure *failure, struct instant now)
{
	if (failure->reason == REASON_NONE) return BREAKER_GOOD;
	if (failure_blame(failure) != FAILURE_BLAME_MODEL) return BREAKER_NOTHING;
	bool is_late = failure->reason == REASON_TIMEOUT && failure->http_status == 0;
	return is_late && !had_time(flow, slot, now) ? BREAKER_NOTHING : BREAKER_FAILED;
}

/* A response is a response; an attempt that ended without any says nothing about the way there. */
static enum breaker_verdict edge_verdict(const struct failure *failure)
{
	if (failure->reason == REASON_NONE) return BREAKER_GOOD;
	if (failure_blame(failure) == FAILURE_BLAME_EDGE) return BREAKER_FAILED;
	ASSERT(!failure->breaks_edge);
	bool is_silent = failure->reason == REASON_TIMEOUT || failure->reason == REASON_STREAM_BROKEN;
	return failure->http_status > 0 || (failure->maybe_sent && !is_silent) ? BREAKER_GOOD : BREAKER_NOTHING;
}

static void tell_account(const struct flow *flow, enum reason reason)
{
	ASSERT(reason == flow->guard.account.refusal.reason);
	const struct flow_events *events = &flow->options.events;
	if (events->on_account != NULL) events->on_account(events->context, reason);
}

/* What a failure says beyond model and edge. */
static void note_failure(struct flow *flow, const struct failure *failure, struct instant now)
{
	struct flow_guard *guard = &flow->guard;
	ASSERT(failure->reason != REASON_NONE);
	if (failure->action == FAILURE_ACTION_LATCH && account_refuse(&guard->account, failure, now.mono_ms)) {
		guard->has_stopped = true;
		tell_account(flow, failure->reason);
	}
}

void flow_guard_ended(struct flow *flow, struct flow_slot *slot, const struct failure *failure, struct instant now)
{
	if (!slot->has_passes) return;
	ASSERT(slot->id != 0);
	ASSERT(slot->model < MODEL_NAMES_COUNT);
	struct flow_guard *guard = &flow->guard;
	bool is_told = failure != NULL;
	enum breaker_verdict of_model = is_told ? model_verdict(flow, slot, failure, now) : BREAKER_NOTHING;
	enum breaker_verdict of_edge = is_told ? edge_verdict(failure) : BREAKER_NOTHING;
	struct bytes name = model_names_text(&guard->names, slot->model);
	slot->has_passes = false;
	leave(flow, &guard->models[slot->model].breaker, slot->model_pass, of_model, name, now);
	leave(flow, &guard->edge, slot->edge_pass, of_edge, BYTES_NONE, now);
	if (is_told && failure->reason != REASON_NONE) note_failure(flow, failure, now);
}

static int64_t look_due(const struct flow *flow)
{
	const struct flow_guard *guard = &flow->guard;
	ASSERT(flow->options.credit_interval_ms >= 0);
	bool is_off = guard->look_due_ms == 0 || account_is_refused(&guard->account);
	return is_off ? INT64_MAX : guard->look_due_ms;
}

int64_t flow_guard_probe_due(const struct flow *flow)
{
	ASSERT(flow->guard.probe_id != 0 || !flow->guard.is_look);
	if (flow->is_draining || flow->guard.probe_id != 0) return INT64_MAX;
	return clock_earlier(account_probe_due(&flow->guard.account), look_due(flow));
}

enum status flow_next_probe(struct flow *flow, struct instant now, uint64_t *out_id, int64_t *out_deadline_ms)
{
	struct flow_guard *guard = &flow->guard;
	int64_t interval_ms = flow->options.credit_interval_ms;
	if (guard->look_due_ms == 0 && interval_ms > 0) guard->look_due_ms = now.mono_ms + interval_ms;
	if (flow_guard_probe_due(flow) > now.mono_ms) return STATUS_EMPTY;
	guard->is_look = !account_is_refused(&guard->account);
	if (guard->is_look)
		guard->look_due_ms = now.mono_ms + interval_ms;
	else
		account_probe(&guard->account, now.mono_ms);
	/* Unlike the id of any call: the serial number is its own. */
	guard->probe_id = ++flow->call_serial * flow->options.in_flight_max;
	*out_id = guard->probe_id;
	*out_deadline_ms = now.mono_ms + ACCOUNT_PROBE_TIMEOUT_MS;
	ASSERT(flow_guard_probe_due(flow) == INT64_MAX);
	return STATUS_OK;
}

static void tell_credit(const struct flow *flow, const struct call *call)
{
	const struct flow_events *events = &flow->options.events;
	double remaining_usd = 0;
	ASSERT(call->result.failure.reason == REASON_NONE);
	bool is_whole = buffer_status(&call->body) == STATUS_OK;
	if (events->on_credit == NULL || !is_whole) return;
	if (!openrouter_key_remaining(buffer_bytes(&call->body), &remaining_usd)) return;
	ASSERT(remaining_usd >= 0);
	events->on_credit(events->context, remaining_usd);
}

void flow_guard_probed(struct flow *flow, const struct call *call, struct instant now)
{
	struct flow_guard *guard = &flow->guard;
	ASSERT(guard->probe_id != 0);
	bool is_good = call != NULL && call->result.failure.reason == REASON_NONE;
	bool was_look = guard->is_look;
	guard->probe_id = 0;
	guard->is_look = false;
	if (is_good) tell_credit(flow, call);
	if (was_look) return;
	if (account_probe_done(&guard->account, is_good, now.mono_ms)) tell_account(flow, REASON_NONE);
	ASSERT(is_good != account_is_refused(&guard->account));
}

void flow_probe_refused(struct flow *flow, struct instant now)
{
	flow_guard_probed(flow, NULL, now);
}

void flow_key_changed(struct flow *flow, struct instant now)
{
	flow->guard.key++;
	ASSERT(flow->guard.key > 0);
	account_hurry(&flow->guard.account, now.mono_ms);
}

bool flow_account_is_refused(const struct flow *flow)
{
	return account_is_refused(&flow->guard.account);
}

/* The model that failed pays: it has earned from all chats that it was asked for. */
static bool spend(struct flow *flow, const struct job *job, int64_t cost, struct instant now)
{
	ASSERT(job->retry.attempts > 0);
	struct retry_budget *whole = &flow->guard.budget;
	struct retry_budget *own = &flow->guard.models[flow_guard_number(flow, job)].budget;
	if (!retry_budget_has(whole, cost, now.mono_ms) || !retry_budget_has(own, cost, now.mono_ms)) return false;
	retry_budget_spend(whole, cost, now.mono_ms);
	retry_budget_spend(own, cost, now.mono_ms);
	return true;
}

bool flow_guard_spend(struct flow *flow, const struct job *job, struct instant now)
{
	ASSERT(job->failure.reason != REASON_NONE);
	return spend(flow, job, job->failure.maybe_sent ? RETRY_BUDGET_COST : RETRY_BUDGET_COST_UNSENT, now);
}

bool flow_guard_spend_second(struct flow *flow, const struct job *job, struct instant now)
{
	ASSERT(job->state == JOB_CALLING);
	return spend(flow, job, RETRY_BUDGET_COST, now);
}

/* None of the models that the job has left may be called, nor is one just cooling; job->failure is what the chat is told. */
static bool is_hopeless(struct flow *flow, struct job *job, struct instant now)
{
	ASSERT(job->rejection.reason == REASON_NONE);
	int64_t from_ms;
	(void)first_open(flow, job, job->retry.model, now, &from_ms);
	if (from_ms != INT64_MAX) return false;
	if (job->retry.attempts == 0) job->failure = nobody(flow, false);
	ASSERT(job->failure.reason != REASON_NONE);
	return true;
}

void flow_guard_sweep(struct flow *flow, struct instant now)
{
	if (!flow->guard.has_stopped) return;
	flow->guard.has_stopped = false;
	for (size_t i = 0; i < flow->partition_capacity; i++) {
		if (flow->partitions[i] == NULL) continue;
		struct list *jobs = &flow->partitions[i]->jobs;
		for (struct list *node = jobs->next; node != jobs; node = node->next) {
			struct job *job = LIST_ELEMENT(node, struct job, in_partition);
			ASSERT(job->partition == flow->partitions[i]);
			bool waits = job->state == JOB_READY || job->state == JOB_BACKOFF;
			if (waits && is_hopeless(flow, job, now)) flow_reply_failure(flow, job, now);
		}
	}
	ASSERT(!flow->guard.has_stopped);
}

void flow_guard_gauges(const struct flow *flow, int64_t now_mono_ms, struct flow_guard_gauges *out_gauges)
{
	const struct flow_guard *guard = &flow->guard;
	ASSERT(out_gauges != NULL);
	ASSERT(guard->names.count <= MODEL_NAMES_MAX);
	int64_t left_ms = guard->retry_after_until_ms - now_mono_ms;
	*out_gauges = (struct flow_guard_gauges){
		.cooling = flow_cooling_count(flow, now_mono_ms),
		.retry_budget = guard->budget.tokens,
		.retry_after_ms = left_ms > 0 ? left_ms : 0,
	};
	out_gauges->breakers[breaker_state_at(&guard->edge, now_mono_ms)]++;
	size_t count = guard->names.count < MODEL_NAMES_MAX ? guard->names.count : MODEL_NAMES_COUNT;
	for (size_t i = 0; i < count; i++)
		out_gauges->breakers[breaker_state_at(&guard->models[i].breaker, now_mono_ms)]++;
}
