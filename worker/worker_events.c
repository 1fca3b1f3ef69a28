/* What the flow tells, as log lines and metrics: see the header. */
#include "worker/worker_events.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/assertion.h"
#include "common/hash.h"
#include "worker/metrics_table.h"

/* Money is counted in nano-dollars, what is left of it in millionths (worker/metrics_table.h). */
static const double NANO = 1e9, MICRO = 1e6;

static struct bytes used_model(const struct job *job)
{
	return job->retry.model_count == 0 ? BYTES_NONE : job->models[job->retry.model];
}

/* A hash that is the same in all processes, so lines of one conversation can be found, but not its id. */
static struct bytes hashed(struct bytes id, char out_text[static 17])
{
	struct hash_key key = { 0 };
	snprintf(out_text, 17, "%016" PRIx64, hash_keyed(key, id));
	return bytes_at(out_text, 16);
}

static void on_taken(void *context, const struct job *job)
{
	struct worker_events *events = context;
	metric_add(events->consumed, 1);
	if (job->request.key_mismatch) metrics_add(events->metrics, METRIC_KEY_MISMATCH, 1);
	if (job->request.unknown_fields > 0)
		metrics_add(events->metrics, METRIC_UNKNOWN_FIELDS, (int64_t)job->request.unknown_fields);
}

static const char *step_word(enum retry_step step)
{
	switch (step) {
	case RETRY_STEP_END:
		return "give up";
	case RETRY_STEP_AGAIN:
		return "same model again";
	case RETRY_STEP_NEXT:
		return "next model";
	case RETRY_STEP_TRIM:
		return "shorter history";
	case RETRY_STEP_FEWER:
		return "fewer tokens";
	}
	ASSERT_UNREACHABLE();
}

static void log_attempt(
	const struct worker_events *events, const struct job *job, const struct call *call, enum retry_step step)
{
	const struct failure *failure = &call->result.failure;
	enum log_level level = failure->reason == REASON_NONE ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
	if (!log_is_on(events->log, level)) return;
	log_event(events->log, level, failure->reason == REASON_NONE ? "attempt answered" : "attempt failed",
		LOG_FIELDS(log_text("request_id", job->request.request_id),
			log_int("partition", job->record->partition), log_int("offset", job->record->offset),
			log_int("attempt", job->retry.attempts), log_text("model", used_model(job)),
			log_string("reason", reason_word(failure->reason)), log_int("status", failure->http_status),
			log_string("next", step_word(step)), log_int("ms", call->ended_ms - call->started_ms)));
}

static void count_answer(const struct worker_events *events, const struct call *call, struct bytes model)
{
	const struct chat_answer *answer = &call->result.answer;
	struct bytes input[] = { model, BYTES_LITERAL(""), BYTES_LITERAL("input") };
	struct bytes output[] = { model, BYTES_LITERAL(""), BYTES_LITERAL("output") };
	struct metrics *metrics = events->metrics;
	if (answer->prompt_tokens >= 0)
		metric_observe(metrics_series(metrics, METRIC_TOKEN_USAGE, input, 3), answer->prompt_tokens);
	if (answer->completion_tokens >= 0)
		metric_observe(metrics_series(metrics, METRIC_TOKEN_USAGE, output, 3), answer->completion_tokens);
	if (answer->cost_usd > 0)
		metrics_add_labelled(metrics, METRIC_COST, model, (int64_t)(answer->cost_usd * NANO + 0.5));
}

/* `error`: what ended it, empty for an answer. */
static void count_attempt(
	const struct worker_events *events, const struct call *call, struct bytes model, struct bytes error)
{
	const struct failure *failure = &call->result.failure;
	struct bytes labels[] = { model, error };
	metric_observe(metrics_series(events->metrics, METRIC_OPERATION_DURATION, labels, 2),
		call->ended_ms - call->started_ms);
	if (call->first_content_ms > 0)
		metric_observe(metrics_series(events->metrics, METRIC_TIME_TO_FIRST_CHUNK, labels, 2),
			call->first_content_ms - call->started_ms);
	if (failure->reason == REASON_NONE) {
		count_answer(events, call, model);
		metrics_add_labelled(events->metrics, METRIC_UPSTREAM_ATTEMPTS, BYTES_LITERAL("200"), 1);
	} else if (failure->http_status > 0) {
		char status[8];
		snprintf(status, sizeof(status), "%d", failure->http_status % 1000);
		metrics_add_labelled(events->metrics, METRIC_UPSTREAM_ATTEMPTS, bytes_of(status), 1);
	} else {
		metrics_add_labelled(events->metrics, METRIC_UPSTREAM_ATTEMPTS, error, 1);
	}
}

static void on_attempt(void *context, const struct job *job, const struct call *call, enum retry_step step)
{
	struct worker_events *events = context;
	struct bytes reason = bytes_of(reason_word(call->result.failure.reason));
	count_attempt(events, call, used_model(job), reason);
	if (step != RETRY_STEP_END) metrics_add_labelled(events->metrics, METRIC_UPSTREAM_RETRIES, reason, 1);
	log_attempt(events, job, call, step);
}

static void on_hedge(void *context, struct bytes model, enum flow_hedge hedge)
{
	struct worker_events *events = context;
	struct bytes word = bytes_of(flow_hedge_word(hedge));
	metrics_add_labelled(events->metrics, METRIC_HEDGES, word, 1);
	log_event(events->log, LOG_LEVEL_DEBUG, "second call",
		LOG_FIELDS(log_text("model", model), log_text("result", word)));
}

/* What it cost is counted, although its chat has no use for it. A cancelled call ends as a time-out without status. */
static void on_undecided(void *context, struct bytes model, const struct call *call)
{
	struct worker_events *events = context;
	const struct failure *failure = &call->result.failure;
	bool is_cancelled = failure->reason == REASON_TIMEOUT && failure->action == FAILURE_ACTION_END;
	struct bytes error = is_cancelled ? BYTES_LITERAL("cancelled") : bytes_of(reason_word(failure->reason));
	count_attempt(events, call, model, error);
	log_event(events->log, LOG_LEVEL_DEBUG, "attempt had a better one beside it",
		LOG_FIELDS(log_text("model", model), log_text("reason", error), log_int("status", failure->http_status),
			log_int("ms", call->ended_ms - call->started_ms)));
}

static enum log_level reply_level(enum chat_outcome outcome)
{
	switch (outcome) {
	case CHAT_OUTCOME_ANSWERED:
		return LOG_LEVEL_DEBUG;
	case CHAT_OUTCOME_FALLBACK:
	case CHAT_OUTCOME_REJECTED:
		return LOG_LEVEL_WARN;
	}
	ASSERT_UNREACHABLE();
}

static void log_reply(const struct worker_events *events, const struct job *job, const struct chat_response *response)
{
	enum log_level level = reply_level(response->outcome);
	if (!log_is_on(events->log, level)) return;
	char conversation[17];
	log_event(events->log, level, chat_outcome_word(response->outcome),
		LOG_FIELDS(log_text("request_id", response->request_id),
			log_text("conversation", hashed(response->conversation_id, conversation)),
			log_int("partition", response->partition), log_int("offset", response->offset),
			log_string("reason", reason_word(response->reason)), log_text("detail", response->detail),
			log_int("attempts", response->attempts), log_text("model", response->answer.model),
			log_text("generation_id", response->answer.generation_id),
			log_int("waited_ms", response->waited_ms), log_int("upstream_ms", response->upstream_ms),
			log_bool("dead_letter", job->dead_letter != NULL)));
}

static void on_reply(void *context, const struct job *job, const struct chat_response *response)
{
	struct worker_events *events = context;
	metrics_observe(events->metrics, METRIC_QUEUE_WAIT, response->waited_ms);
	log_reply(events, job, response);
}

/* Not when the reply is made: it may be made anew, or never be stored. */
static void count_reply(const struct worker_events *events, const struct job *job)
{
	struct bytes reason = bytes_of(reason_word(job->failure.reason));
	metric_add(events->outcomes[job->outcome], 1);
	if (job->outcome == CHAT_OUTCOME_FALLBACK) metrics_add_labelled(events->metrics, METRIC_FALLBACKS, reason, 1);
	if (job->dead_letter != NULL) metrics_add_labelled(events->metrics, METRIC_DLQ_MESSAGES, reason, 1);
}

static void on_committed(void *context, const struct job *job, struct instant now)
{
	struct worker_events *events = context;
	count_reply(events, job);
	metric_add(events->sent, job->dead_letter == NULL ? 1 : 2);
	metric_observe(events->processed, now.mono_ms - job->taken_ms);
	if (job->record->timestamp_ms >= 0)
		metrics_observe(events->metrics, METRIC_END_TO_END_DURATION, now.wall_ms - job->record->timestamp_ms);
	metrics_set(events->metrics, METRIC_LAST_PROGRESS, now.wall_ms);
}

/* The level and the counter of a notice; METRIC_INDEX_COUNT = none. */
static enum log_level notice_level(enum flow_notice notice, enum metric_index *out_counter)
{
	*out_counter = METRIC_INDEX_COUNT;
	switch (notice) {
	case FLOW_NOTICE_SKIPPED:
		*out_counter = METRIC_SKIPPED_FINISHED;
		return LOG_LEVEL_DEBUG;
	case FLOW_NOTICE_STALE_RESULT:
		*out_counter = METRIC_STALE_RESULTS;
		return LOG_LEVEL_DEBUG;
	case FLOW_NOTICE_REPLY_TO_REFUSED:
		*out_counter = METRIC_REPLY_TO_REFUSED;
		return LOG_LEVEL_WARN;
	case FLOW_NOTICE_OFFSETS_LOST:
		*out_counter = METRIC_OFFSETS_LOST;
		return LOG_LEVEL_ERROR;
	case FLOW_NOTICE_PROGRESS_REFUSED:
	case FLOW_NOTICE_TAKE_FAILED:
	case FLOW_NOTICE_DEAD_LETTER_DROPPED:
		return LOG_LEVEL_ERROR;
	case FLOW_NOTICE_STOOD_STILL:
	case FLOW_NOTICE_REPLY_REFUSED:
	case FLOW_NOTICE_DEAD_LETTER_REFUSED:
		return LOG_LEVEL_WARN;
	}
	ASSERT_UNREACHABLE();
}

static void on_breaker(void *context, struct bytes model, enum breaker_state state)
{
	struct worker_events *events = context;
	enum log_level level = state == BREAKER_OPEN ? LOG_LEVEL_WARN : LOG_LEVEL_INFO;
	log_event(events->log, level, "breaker",
		LOG_FIELDS(log_text("model", bytes_is_given(model) ? model : BYTES_LITERAL("all")),
			log_string("state", breaker_state_word(state))));
}

static void on_cooling(void *context, struct bytes model, int64_t wait_ms)
{
	struct worker_events *events = context;
	log_event(events->log, LOG_LEVEL_INFO, "model asked for patience",
		LOG_FIELDS(log_text("model", model), log_int("wait_ms", wait_ms),
			log_string("next", "no calls of it until then")));
}

static void on_account(void *context, enum reason reason)
{
	struct worker_events *events = context;
	if (reason == REASON_NONE)
		log_event(events->log, LOG_LEVEL_INFO, "account works again", LOG_NO_FIELDS);
	else
		log_event(events->log, LOG_LEVEL_ERROR, "account refused",
			LOG_FIELDS(log_string("reason", reason_word(reason)),
				log_string("next", "no calls until the key works")));
}

static void on_credit(void *context, double remaining_usd)
{
	const struct worker_events *events = context;
	struct bytes limit = BYTES_LITERAL("key");
	ASSERT(remaining_usd >= 0);
	metric_set(
		metrics_series(events->metrics, METRIC_LIMIT_REMAINING, &limit, 1), (int64_t)(remaining_usd * MICRO));
}

static void on_notice(void *context, enum flow_notice notice, int32_t partition, int64_t offset)
{
	struct worker_events *events = context;
	enum metric_index counter;
	enum log_level level = notice_level(notice, &counter);
	if (counter != METRIC_INDEX_COUNT) metrics_add(events->metrics, counter, 1);
	log_event(events->log, level, flow_notice_word(notice),
		LOG_FIELDS(log_int("partition", partition), log_int("offset", offset)));
}

static void on_parked(void *context, int32_t partition, size_t replies, size_t calls)
{
	const struct worker_events *events = context;
	log_event(events->log, LOG_LEVEL_INFO, "kept in case the partition comes back",
		LOG_FIELDS(log_int("partition", partition), log_int("replies", (int64_t)replies),
			log_int("calls", (int64_t)calls)));
}

static void on_park_end(void *context, const struct job *job, enum park_end end)
{
	const struct worker_events *events = context;
	struct bytes word = bytes_of(park_end_word(end));
	if (end == PARK_END_USED)
		metrics_add(events->metrics, METRIC_REUSED_RESULTS, 1);
	else
		metrics_add_labelled(events->metrics, METRIC_PARKED_DROPPED, word, 1);
	log_event(events->log, LOG_LEVEL_DEBUG, "kept chat ends",
		LOG_FIELDS(log_text("request_id", job->request.request_id),
			log_int("partition", job->record->partition), log_int("offset", job->record->offset),
			log_text("how", word)));
}

static struct metric_series *outcome_series(struct metrics *metrics, enum chat_outcome outcome)
{
	struct bytes word = bytes_of(chat_outcome_word(outcome));
	return metrics_series(metrics, METRIC_REQUESTS, &word, 1);
}

void worker_events_init(
	struct worker_events *events, const struct settings *settings, struct log *log, struct metrics *metrics)
{
	struct bytes requests = bytes_of(settings->kafka.requests_topic);
	struct bytes responses = bytes_of(settings->kafka.responses_topic);
	struct bytes consumed[] = { requests, BYTES_LITERAL(""), BYTES_LITERAL("poll") };
	struct bytes sent[] = { responses, BYTES_LITERAL(""), BYTES_LITERAL("send") };
	*events = (struct worker_events){
		.log = log,
		.metrics = metrics,
		.requests_topic = requests,
		.consumed = metrics_series(metrics, METRIC_CONSUMED_MESSAGES, consumed, 3),
		.sent = metrics_series(metrics, METRIC_SENT_MESSAGES, sent, 3),
		.processed = metrics_series(metrics, METRIC_PROCESS_DURATION, consumed, 2),
	};
	for (int i = 0; i <= (int)CHAT_OUTCOME_REJECTED; i++)
		events->outcomes[i] = outcome_series(metrics, (enum chat_outcome)i);
	metrics_set(metrics, METRIC_BUILD_INFO, 1);
	metrics_set(metrics, METRIC_INFLIGHT_LIMIT, settings->worker.max_in_flight);
}

struct flow_events worker_events_table(struct worker_events *events)
{
	return (struct flow_events){
		.context = events,
		.on_taken = on_taken,
		.on_attempt = on_attempt,
		.on_hedge = on_hedge,
		.on_undecided = on_undecided,
		.on_reply = on_reply,
		.on_committed = on_committed,
		.on_breaker = on_breaker,
		.on_cooling = on_cooling,
		.on_account = on_account,
		.on_credit = on_credit,
		.on_parked = on_parked,
		.on_park_end = on_park_end,
		.on_notice = on_notice,
	};
}

static struct metric_series *partition_series(struct worker_events *events, enum metric_index index, int32_t partition)
{
	char text[16];
	snprintf(text, sizeof(text), "%" PRId32, partition);
	struct bytes labels[] = { events->requests_topic, bytes_of(text) };
	return metrics_series(events->metrics, index, labels, 2);
}

static void set_partition_gauges(struct worker_events *events, const struct flow *flow, const struct source *source,
	int32_t partition, int64_t mono_ms)
{
	struct flow_partition_gauges gauges;
	if (flow_partition_gauges(flow, partition, &gauges) != STATUS_OK) return;
	int64_t end = source_log_end(source, partition);
	int64_t lag = end > gauges.watermark ? end - gauges.watermark : 0;
	int64_t oldest_ms = gauges.oldest_taken_ms == 0 ? 0 : mono_ms - gauges.oldest_taken_ms;
	metric_set(partition_series(events, METRIC_CONSUMER_LAG, partition), lag);
	metric_set(
		partition_series(events, METRIC_FINISHED_ABOVE_WATERMARK, partition), (int64_t)gauges.finished_above);
	metric_set(partition_series(events, METRIC_OLDEST_OPEN, partition), oldest_ms);
}

static void set_guard_gauges(struct worker_events *events, const struct flow *flow, int64_t mono_ms)
{
	struct flow_guard_gauges gauges;
	flow_guard_gauges(flow, mono_ms, &gauges);
	metrics_set(events->metrics, METRIC_RETRY_BUDGET, gauges.retry_budget);
	metrics_set(events->metrics, METRIC_RETRY_AFTER, gauges.retry_after_ms);
	metrics_set(events->metrics, METRIC_COOLING_MODELS, (int64_t)gauges.cooling);
	for (int i = 0; i < (int)BREAKER_STATE_COUNT; i++) {
		struct bytes word = bytes_of(breaker_state_word((enum breaker_state)i));
		metric_set(
			metrics_series(events->metrics, METRIC_BREAKER_STATE, &word, 1), (int64_t)gauges.breakers[i]);
	}
}

void worker_events_gauges(
	struct worker_events *events, const struct flow *flow, const struct source *source, int64_t mono_ms)
{
	struct flow_gauges gauges;
	flow_gauges(flow, &gauges);
	metrics_set(events->metrics, METRIC_INFLIGHT, (int64_t)gauges.in_flight);
	metrics_set(events->metrics, METRIC_WAITING, (int64_t)gauges.ready);
	metrics_set(events->metrics, METRIC_PARKED_REPLIES, (int64_t)(gauges.parked - gauges.parked_calls));
	metrics_set(events->metrics, METRIC_PARKED_CALLS, (int64_t)gauges.parked_calls);
	metrics_set(events->metrics, METRIC_PARKED_BYTES, (int64_t)gauges.parked_bytes);
	metrics_set(events->metrics, METRIC_ASSIGNED_PARTITIONS, (int64_t)gauges.partitions);
	set_guard_gauges(events, flow, mono_ms);
	size_t count;
	const int32_t *partitions = source_partitions(source, &count);
	for (size_t i = 0; i < count; i++)
		set_partition_gauges(events, flow, source, partitions[i], mono_ms);
}

void worker_events_forget_partition(struct worker_events *events, int32_t partition)
{
	metric_retire(partition_series(events, METRIC_CONSUMER_LAG, partition));
	metric_retire(partition_series(events, METRIC_FINISHED_ABOVE_WATERMARK, partition));
	metric_retire(partition_series(events, METRIC_OLDEST_OPEN, partition));
}
