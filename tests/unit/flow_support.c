/* What the tests of the flow share: see the header. */
#include "tests/unit/flow_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct bytes models[] = { { "a/one", 5 }, { "b/two", 5 }, { "c/three", 7 } };

static void on_taken(void *context, const struct job *job)
{
	struct support *support = context;
	support->taken++;
	support->deadline_ms = job->deadline_ms;
	support->model_count = job->retry.model_count;
	memcpy(support->models, job->models, sizeof(support->models));
}

static void on_attempt(void *context, const struct job *job, const struct call *call, enum retry_step step)
{
	struct support *support = context;
	assert_int_not_equal(job->retry.attempts, 0);
	assert_int_not_equal(call->id, 0);
	support->attempts++;
	support->step = step;
}

static void on_reply(void *context, const struct job *job, const struct chat_response *response)
{
	struct support *support = context;
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	if (support->replies == 0 || here < support->stack_low) support->stack_low = here;
	if (here > support->stack_high) support->stack_high = here;
	if (support->replies < SUPPORT_REPLIES_MAX) support->offsets[support->replies] = response->offset;
	assert_int_equal(response->outcome, job->outcome);
	support->replies++;
}

static void on_committed(void *context, const struct job *job, struct instant now)
{
	struct support *support = context;
	assert_non_null(job->reply);
	assert_int_equal(now.mono_ms, support->now.mono_ms);
	support->committed++;
}

static void on_notice(void *context, enum flow_notice notice, int32_t partition, int64_t offset)
{
	struct support *support = context;
	support->notices[notice]++;
	support->notice_partition = partition;
	support->notice_offset = offset;
}

static void on_breaker(void *context, struct bytes model, enum breaker_state state)
{
	struct support *support = context;
	assert_true(!bytes_is_given(model) || model.size > 0);
	support->breakers[state]++;
}

static void on_cooling(void *context, struct bytes model, int64_t wait_ms)
{
	struct support *support = context;
	assert_true(model.size > 0);
	assert_true(wait_ms > 0);
	support->coolings++;
}

static void on_hedge(void *context, struct bytes model, enum flow_hedge hedge)
{
	struct support *support = context;
	assert_true(model.size > 0);
	support->hedges[hedge]++;
}

static void on_undecided(void *context, struct bytes model, const struct call *call)
{
	struct support *support = context;
	assert_true(model.size > 0);
	assert_int_not_equal(call->id, 0);
	support->undecided++;
}

static void on_account(void *context, enum reason reason)
{
	struct support *support = context;
	assert_int_not_equal(reason, support->account);
	support->accounts++;
	support->account = reason;
}

static void on_parked(void *context, int32_t partition, size_t replies, size_t calls)
{
	struct support *support = context;
	assert_true(partition >= 0);
	assert_true(replies + calls > 0);
	support->parked_replies += replies;
	support->parked_calls += calls;
}

static void on_park_end(void *context, const struct job *job, enum park_end end)
{
	struct support *support = context;
	assert_null(job->partition);
	support->park_ends[end]++;
}

static struct flow_options default_options(struct support *support)
{
	return (struct flow_options){
		.limits = { .record_bytes = 65536, .depth = 32, .messages = 512, .id_bytes = 128 },
		.history = { .messages_max = 512, .bytes_max = 65536 },
		.retry = { .max_attempts = 3,
			.first_content_share = 0.55,
			.first_content_max_ms = 3500,
			.backoff_ms = 100,
			.backoff_max_ms = 800 },
		.budget = { .earned = 200, .max = 50000 },
		.breaker = { .window_ms = 10000,
			.min_calls = 20,
			.failure_ratio = 0.5,
			.open_ms = 1000,
			.open_max_ms = 4000 },
		.models = models,
		.model_count = 2,
		.stall_ms = 2500,
		.deadline_ms = 10000,
		.deadline_max_ms = 20000,
		.publish_reserve_ms = 300,
		.ordered = true,
		.requests_topic = BYTES_LITERAL("chat.requests"),
		.responses_topic = BYTES_LITERAL("chat.responses"),
		.dead_letter_topic = BYTES_LITERAL("chat.requests.dlq"),
		.consumer_group = BYTES_LITERAL("chat-worker"),
		.worker_version = BYTES_LITERAL("1.2.3"),
		.dead_letter_on_rejected = true,
		.fallback_text = BYTES_LITERAL("Later, please."),
		.in_flight_max = 4,
		.waiting_max = 100,
		.bytes_max = 1 << 24,
		.job_bytes_max = 1 << 20,
		.body_bytes_max = 1 << 18,
		.response_bytes_max = 1 << 18,
		.reply_bytes_max = 1 << 18,
		.batch_replies_max = 50,
		.batch_bytes_max = 1 << 20,
		.batch_interval_ms = 20,
		.seed = 7,
		.events = { .context = support,
			.on_taken = on_taken,
			.on_attempt = on_attempt,
			.on_reply = on_reply,
			.on_committed = on_committed,
			.on_breaker = on_breaker,
			.on_cooling = on_cooling,
			.on_hedge = on_hedge,
			.on_undecided = on_undecided,
			.on_account = on_account,
			.on_notice = on_notice,
			.on_parked = on_parked,
			.on_park_end = on_park_end },
	};
}

void support_init(struct support *support)
{
	*support = (struct support){
		.now = { .mono_ms = SUPPORT_MONO_MS, .wall_ms = SUPPORT_WALL_MS },
		.arena = arena_new(1 << 22),
	};
	assert_non_null(support->arena);
	support->options = default_options(support);
}

void support_start(struct support *support)
{
	support->flow = flow_new(&support->options);
	assert_non_null(support->flow);
}

void support_begin(struct support *support)
{
	support_start(support);
	assert_int_equal(support_assign(support, 0, -1, BYTES_NONE), 0);
}

void support_open(struct support *support)
{
	support_init(support);
	support_begin(support);
}

void support_close(struct support *support)
{
	flow_free(support->flow);
	arena_free(support->arena);
}

int64_t support_assign(struct support *support, int32_t partition, int64_t committed, struct bytes metadata)
{
	struct flow_assignment assignment = {
		.partition = partition, .committed = committed, .metadata = metadata, .log_end = 1000000
	};
	int64_t start = -1;
	assert_int_equal(flow_assign(support->flow, &assignment, &start), STATUS_OK);
	return start;
}

void support_pass(struct support *support, int64_t ms)
{
	support->now.mono_ms += ms;
	support->now.wall_ms += ms;
	flow_tick(support->flow, support->now);
}

struct record support_record(void)
{
	return (struct record){
		.timestamp_ms = SUPPORT_WALL_MS,
		.key = BYTES_LITERAL("c"),
		.value =
			BYTES_LITERAL("{\"request_id\":\"r-1\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}"),
	};
}

void support_take(struct support *support, const struct record *source)
{
	struct record *record = record_new(source);
	assert_non_null(record);
	assert_int_equal(flow_take(support->flow, record, support->now), STATUS_OK);
}

void support_take_chat(struct support *support, int32_t partition, int64_t offset, const char *conversation)
{
	struct record source = support_record();
	source.partition = partition;
	source.offset = offset;
	source.key = bytes_of(conversation);
	support_take(support, &source);
}

void support_take_bad(struct support *support, int32_t partition, int64_t offset, const char *conversation)
{
	struct record source = support_record();
	source.partition = partition;
	source.offset = offset;
	source.key = bytes_of(conversation);
	source.value = BYTES_LITERAL("{\"request_id\":\"r-1\"");
	support_take(support, &source);
}

void support_take_now(struct support *support, int64_t offset)
{
	char key[24];
	snprintf(key, sizeof(key), "k%d", (int)offset);
	struct record source = support_record();
	source.offset = offset;
	source.key = bytes_of(key);
	source.timestamp_ms = support->now.wall_ms;
	support_take(support, &source);
}

void support_take_json(struct support *support, const char *json)
{
	struct record source = support_record();
	source.value = bytes_of(json);
	support_take(support, &source);
}

struct call *support_call(struct support *support)
{
	struct call *call = NULL;
	assert_int_equal(flow_next_call(support->flow, support->now, &call), STATUS_OK);
	assert_non_null(call);
	call->started_ms = support->now.mono_ms;
	call->requests_sent = 1;
	return call;
}

void support_assert_model(const struct call *call, const char *model)
{
	char text[100];
	snprintf(text, sizeof(text), "{\"model\":\"%s\",", model);
	if (!bytes_starts_with(buffer_bytes(&call->body), bytes_of(text))) fail_msg("not for %s", model);
}

struct call *support_call_of(struct support *support, const char *model)
{
	struct call *call = support_call(support);
	support_assert_model(call, model);
	return call;
}

void support_no_call(struct support *support)
{
	struct call *call = NULL;
	assert_int_equal(flow_next_call(support->flow, support->now, &call), STATUS_EMPTY);
	assert_null(call);
}

void support_answer(struct support *support, struct call *call)
{
	call->ended_ms = support->now.mono_ms;
	call->result.failure = (struct failure){ .reason = REASON_NONE, .retry_after_ms = -1 };
	call->result.answer = (struct chat_answer){
		.content = BYTES_LITERAL("Hello"),
		.finish_reason = BYTES_LITERAL("stop"),
		.model = BYTES_LITERAL("a/one-2026"),
		.provider = BYTES_LITERAL("Someone"),
		.generation_id = BYTES_LITERAL("gen-1"),
		.usage_json = BYTES_LITERAL("{\"prompt_tokens\":3}"),
		.prompt_tokens = 3,
		.completion_tokens = -1,
	};
	flow_call_done(support->flow, call, support->now);
}

void support_answer_of(struct support *support, const char *model)
{
	support_answer(support, support_call_of(support, model));
}

void support_fail_as(struct support *support, struct call *call, struct failure failure)
{
	call->ended_ms = support->now.mono_ms;
	call->result.failure = failure;
	flow_call_done(support->flow, call, support->now);
}

void support_fail(struct support *support, struct call *call, enum reason reason, enum failure_action action)
{
	support_fail_as(support, call, (struct failure){ .reason = reason, .action = action, .retry_after_ms = -1 });
}

void support_fail_wait(struct support *support, struct call *call, int64_t retry_after_ms)
{
	support_fail_as(support, call,
		(struct failure){ .reason = REASON_RATE_LIMITED,
			.action = FAILURE_ACTION_SAME,
			.http_status = 429,
			.retry_after_ms = retry_after_ms });
}

void support_chat_done(struct support *support, int32_t partition, int64_t offset, const char *conversation)
{
	support_take_chat(support, partition, offset, conversation);
	support_answer(support, support_call(support));
}

uint64_t support_cancel(struct support *support)
{
	uint64_t id = 0;
	assert_int_equal(flow_next_cancel(support->flow, &id), STATUS_OK);
	assert_int_not_equal(id, 0);
	return id;
}

void support_no_cancel(struct support *support)
{
	uint64_t id = 0;
	assert_int_equal(flow_next_cancel(support->flow, &id), STATUS_EMPTY);
}

struct batch *support_batch(struct support *support)
{
	struct batch *batch = NULL;
	flow_hurry(support->flow);
	assert_int_equal(flow_next_batch(support->flow, support->now, &batch), STATUS_OK);
	assert_non_null(batch);
	return batch;
}

void support_no_batch(struct support *support)
{
	struct batch *batch = NULL;
	assert_int_equal(flow_next_batch(support->flow, support->now, &batch), STATUS_EMPTY);
	assert_null(batch);
}

void support_end_batch(struct support *support, struct batch *batch, enum batch_end end)
{
	batch->end = end;
	flow_batch_done(support->flow, batch, support->now);
}

void support_commit(struct support *support)
{
	support_end_batch(support, support_batch(support), BATCH_COMMITTED);
}

struct chat_client_response support_reply(struct support *support, const struct batch *batch, size_t item)
{
	struct chat_client_response response;
	assert_true(item < batch->item_count);
	const struct outgoing *record = batch->items[item].record;
	assert_false(record->is_dead_letter);
	struct bytes value;
	assert_int_equal(arena_copy(support->arena, record->value, &value), STATUS_OK);
	assert_int_equal(chat_client_response_read(value, record_headers_last(&record->headers, "content-type"),
				 support->arena, &response),
		STATUS_OK);
	return response;
}

int64_t support_offset(struct support *support, const struct batch *batch, size_t item)
{
	return support_reply(support, batch, item).offset;
}

struct bytes support_header(const struct outgoing *record, const char *name)
{
	return record_headers_last(&record->headers, name);
}

const struct batch_progress *support_progress(const struct batch *batch, int32_t partition)
{
	for (size_t i = 0; i < batch->progress_count; i++)
		if (batch->progress[i].partition == partition) return &batch->progress[i];
	return NULL;
}

struct chat_client_response support_only_reply(struct support *support)
{
	struct batch *batch = support_batch(support);
	size_t replies = 0;
	for (size_t i = 0; i < batch->item_count; i++)
		if (!batch->items[i].record->is_dead_letter) replies++;
	assert_int_equal(replies, 1);
	struct chat_client_response response = support_reply(support, batch, 0);
	support_end_batch(support, batch, BATCH_COMMITTED);
	return response;
}

struct flow_gauges support_gauges(const struct support *support)
{
	struct flow_gauges gauges;
	flow_gauges(support->flow, &gauges);
	return gauges;
}

struct flow_guard_gauges support_guard(const struct support *support)
{
	struct flow_guard_gauges gauges;
	flow_guard_gauges(support->flow, support->now.mono_ms, &gauges);
	return gauges;
}

bool support_contains(struct bytes view, const char *text)
{
	return view.size > 0 && memmem(view.data, view.size, text, strlen(text)) != NULL;
}
