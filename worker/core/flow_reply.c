/* Replies and dead letters: made once, kept on the job until their batch is committed. */
#include "common/assertion.h"
#include "schemas/dead_letter.h"
#include "worker/core/flow_internal.h"

/* A record key that stands in for an unreadable conversation id may be of any size; a reply that carries it could be
 * refused by every topic, for ever. */
static struct bytes addressable(const struct flow *flow, struct bytes id)
{
	return id.size <= flow->options.limits.id_bytes ? id : BYTES_NONE;
}

/* What all replies of a job have in common. */
static struct chat_response describe(const struct flow *flow, const struct job *job, struct instant now)
{
	const struct record *record = job->record;
	ASSERT(job->requests_sent >= 0);
	ASSERT(job->call_id == 0);
	ASSERT(job->hedge_id == 0);
	int64_t until_ms = job->first_call_ms != 0 ? job->first_call_ms : now.mono_ms;
	ASSERT(until_ms >= job->taken_ms);
	return (struct chat_response){
		.coding = job->request.coding,
		.request_id = job->request.request_id,
		.conversation_id = addressable(flow, job->request.conversation_id),
		.attempts = job->requests_sent,
		.received_ms = record->timestamp_ms >= 0 ? record->timestamp_ms : now.wall_ms,
		.replied_ms = now.wall_ms,
		.waited_ms = until_ms - job->taken_ms,
		.upstream_ms = job->first_call_ms != 0 ? job->upstream_ms : -1,
		.first_token_ms = -1,
		.topic = flow->options.requests_topic,
		.partition = record->partition,
		.offset = record->offset,
	};
}

/* The topic the request names, if it is on the list. */
static struct bytes reply_topic(struct flow *flow, const struct job *job)
{
	const struct flow_options *options = &flow->options;
	ASSERT(options->responses_topic.size > 0);
	struct bytes wanted = record_headers_last(&job->record->headers, "reply-to");
	if (!bytes_is_given(wanted)) wanted = record_headers_last(&job->record->headers, "kafka_replyTopic");
	if (!bytes_is_given(wanted) || bytes_equal(wanted, options->responses_topic)) return options->responses_topic;
	for (size_t i = 0; i < options->reply_topic_count; i++)
		if (bytes_equal(wanted, options->reply_topics[i])) return options->reply_topics[i];
	flow_notice(flow, FLOW_NOTICE_REPLY_TO_REFUSED, job->record->partition, job->record->offset);
	return options->responses_topic;
}

static enum status write_reply(
	struct flow *flow, struct job *job, const struct chat_response *response, struct bytes topic)
{
	ASSERT(topic.size > 0);
	struct outgoing *reply = arena_calloc(job->arena, 1, sizeof(*reply));
	if (reply == NULL) return STATUS_NO_MEMORY;
	static const struct record_headers nothing = { .count = 0 };
	struct chat_reply_address address = {
		.topic = topic,
		.request_headers = job->has_bare_reply ? &nothing : &job->record->headers,
		.span_id = random_next(&flow->random) | 1,
	};
	enum status status = chat_response_write(response, &address, flow->options.reply_bytes_max, job->arena, reply);
	if (status != STATUS_OK) return status;
	/* The record key stands in where the request had no conversation id that could be read. */
	if (!bytes_is_given(reply->key)) reply->key = addressable(flow, job->record->key);
	ASSERT(!reply->is_dead_letter);
	ASSERT(reply->value.size <= flow->options.reply_bytes_max);
	job->reply = reply;
	job->outcome = response->outcome;
	return STATUS_OK;
}

static struct bytes fallback_text(const struct flow *flow, enum reason reason)
{
	ASSERT(reason != REASON_NONE);
	struct bytes text = flow->options.fallback_texts[reason];
	return bytes_is_given(text) ? text : flow->options.fallback_text;
}

static enum chat_outcome outcome_of(enum reason reason)
{
	switch (reason_class(reason)) {
	case REASON_CLASS_NONE:
		return CHAT_OUTCOME_ANSWERED;
	case REASON_CLASS_REJECTED:
		return CHAT_OUTCOME_REJECTED;
	case REASON_CLASS_FALLBACK:
		return CHAT_OUTCOME_FALLBACK;
	}
	ASSERT_UNREACHABLE();
}

/* Makes `response` the controlled reply for `reason`. */
static void set_failure(
	const struct flow *flow, const struct job *job, enum reason reason, struct chat_response *response)
{
	ASSERT(reason != REASON_NONE);
	response->outcome = outcome_of(reason);
	ASSERT(response->outcome != CHAT_OUTCOME_ANSWERED);
	response->answer = (struct chat_answer){
		.content = fallback_text(flow, reason),
		.prompt_tokens = -1,
		.completion_tokens = -1,
	};
	response->reason = reason;
	response->detail = reason == job->rejection.reason ? job->rejection.detail : BYTES_NONE;
	response->http_status = reason == job->failure.reason ? job->failure.http_status : 0;
}

static enum status write_dead_letter(struct flow *flow, struct job *job, bool omit_value, struct instant now)
{
	struct outgoing *out = arena_calloc(job->arena, 1, sizeof(*out));
	if (out == NULL) return STATUS_NO_MEMORY;
	enum reason reason = job->failure.reason;
	ASSERT(reason != REASON_NONE);
	struct dead_letter letter = {
		.record = job->record,
		.topic = flow->options.dead_letter_topic,
		.original_topic = flow->options.requests_topic,
		.consumer_group = flow->options.consumer_group,
		.worker_version = flow->options.worker_version,
		.reason = reason,
		.message = bytes_is_given(job->rejection.detail) ? job->rejection.detail
								 : bytes_of(reason_message(reason)),
		.attempts = job->requests_sent,
		.failed_at_ms = now.wall_ms,
		.omit_value = omit_value,
	};
	enum status status = dead_letter_write(&letter, job->arena, out);
	if (status != STATUS_OK) return status;
	ASSERT(out->is_dead_letter);
	job->dead_letter = out;
	return STATUS_OK;
}

static bool wants_dead_letter(const struct flow_options *options, enum chat_outcome outcome)
{
	switch (outcome) {
	case CHAT_OUTCOME_ANSWERED:
		return false;
	case CHAT_OUTCOME_FALLBACK:
		return options->dead_letter_on_fallback;
	case CHAT_OUTCOME_REJECTED:
		return options->dead_letter_on_rejected;
	}
	ASSERT_UNREACHABLE();
}

/* The memory of a chat grew while its reply was made. */
static void recount(struct flow *flow, struct job *job)
{
	size_t bytes = sizeof(*job) + job->record->size + arena_size(job->arena);
	ASSERT(bytes >= job->bytes);
	ASSERT(flow->bytes >= job->bytes);
	flow->bytes += bytes - job->bytes;
	job->bytes = bytes;
}

/* From whatever state to REPLIED; the conversation moves on. */
static void queue_reply(struct flow *flow, struct job *job)
{
	ASSERT(job->reply != NULL);
	ASSERT(lanes_is_head(job));
	if (job->state == JOB_READY) {
		ASSERT(flow->ready_count > 0);
		list_unlink(&job->queue);
		flow->ready_count--;
	}
	heap_remove(&flow->due, &job->due);
	flow_stop_waiting(flow, job);
	job->reply_number = ++flow->reply_number;
	flow_queue_reply(flow, job);

	struct job *next = lanes_leave(flow->lanes, job);
	if (next == NULL) return;
	ASSERT(next->state == JOB_WAITING);
	ASSERT(lanes_is_head(next));
	list_push_back(&flow->heads, &next->queue);
}

static void tell_reply(const struct flow *flow, const struct job *job, const struct chat_response *response)
{
	ASSERT(response->outcome == job->outcome);
	const struct flow_events *events = &flow->options.events;
	if (events->on_reply != NULL) events->on_reply(events->context, job, response);
}

/* Writes the reply; one that is too large for the topic becomes a controlled one that fits. */
static void make(struct flow *flow, struct job *job, struct chat_response *response, struct instant now)
{
	ASSERT(job->reply == NULL);
	struct bytes topic = reply_topic(flow, job);
	bool has_letter = wants_dead_letter(&flow->options, response->outcome);
	enum status status = write_reply(flow, job, response, topic);
	if (status == STATUS_TOO_LARGE) {
		job->failure = (struct failure){ .reason = REASON_REPLY_TOO_LARGE, .action = FAILURE_ACTION_END };
		set_failure(flow, job, REASON_REPLY_TOO_LARGE, response);
		has_letter = has_letter || wants_dead_letter(&flow->options, response->outcome);
		status = write_reply(flow, job, response, topic);
	}
	/* The arena's ceiling covers a record and its replies (prepare() in flow_take.c), so memory itself is missing; the
	 * process ends as librdkafka would end it at its next allocation, and the promises hold as after any crash. */
	ASSERT(status == STATUS_OK);
	if (has_letter) {
		status = write_dead_letter(flow, job, false, now);
		ASSERT(status == STATUS_OK);
	}
	tell_reply(flow, job, response);
	recount(flow, job);
	if (job->parked == NULL)
		queue_reply(flow, job);
	else
		flow_park_answered(flow, job);
}

void flow_reply_answer(struct flow *flow, struct job *job, const struct chat_answer *answer, const struct call *call,
	struct instant now)
{
	ASSERT(job->failure.reason == REASON_NONE);
	ASSERT(job->retry.attempts > 0);
	struct chat_response response = describe(flow, job, now);
	response.outcome = CHAT_OUTCOME_ANSWERED;
	response.answer = *answer;
	if (call->first_content_ms > 0) response.first_token_ms = call->first_content_ms - call->started_ms;
	make(flow, job, &response, now);
}

void flow_reply_failure(struct flow *flow, struct job *job, struct instant now)
{
	ASSERT(job->failure.reason != REASON_NONE);
	struct chat_response response = describe(flow, job, now);
	set_failure(flow, job, job->failure.reason, &response);
	make(flow, job, &response, now);
}

void flow_reply_unstarted(struct flow *flow, struct job *job, struct instant now)
{
	ASSERT(job->state == JOB_READY);
	if (job->retry.attempts == 0) job->failure = (struct failure){ .reason = REASON_DEADLINE };
	flow_reply_failure(flow, job, now);
}

static void dead_letter_refused(struct flow *flow, struct job *job, enum batch_item_fault fault, struct instant now)
{
	const struct record *record = job->record;
	ASSERT(job->dead_letter != NULL);
	ASSERT(fault != BATCH_ITEM_FINE);
	bool can_shrink = fault == BATCH_ITEM_TOO_LARGE && bytes_is_given(job->dead_letter->value);
	if (can_shrink && write_dead_letter(flow, job, true, now) == STATUS_OK) {
		flow_notice(flow, FLOW_NOTICE_DEAD_LETTER_REFUSED, record->partition, record->offset);
		return;
	}
	/* The reply never waits for the dead letter. */
	job->dead_letter = NULL;
	flow_notice(flow, FLOW_NOTICE_DEAD_LETTER_DROPPED, record->partition, record->offset);
}

static void reply_refused(struct flow *flow, struct job *job, enum batch_item_fault fault, struct instant now)
{
	ASSERT(job->reply != NULL);
	ASSERT(fault != BATCH_ITEM_FINE);
	flow_notice(flow, FLOW_NOTICE_REPLY_REFUSED, job->record->partition, job->record->offset);
	if (fault == BATCH_ITEM_NO_TOPIC) {
		job->reply->topic = flow->options.responses_topic;
		return;
	}
	/* A topic that refuses even the smallest reply is misconfigured; the default one may not be. */
	if (job->has_bare_reply) {
		job->reply->topic = flow->options.responses_topic;
		return;
	}
	/* Of the controlled reply only what it echoes can be large. */
	job->has_bare_reply = job->failure.reason == REASON_REPLY_TOO_LARGE;
	job->failure = (struct failure){ .reason = REASON_REPLY_TOO_LARGE, .action = FAILURE_ACTION_END };
	struct chat_response response = describe(flow, job, now);
	set_failure(flow, job, REASON_REPLY_TOO_LARGE, &response);
	enum status status = write_reply(flow, job, &response, job->reply->topic);
	ASSERT(status == STATUS_OK);
	if (job->dead_letter != NULL || !wants_dead_letter(&flow->options, response.outcome)) return;
	status = write_dead_letter(flow, job, false, now);
	ASSERT(status == STATUS_OK);
}

void flow_reply_refused(
	struct flow *flow, struct job *job, bool is_dead_letter, enum batch_item_fault fault, struct instant now)
{
	ASSERT(job->state == JOB_REPLIED || job->state == JOB_PUBLISHING);
	job->refusals++;
	if (is_dead_letter)
		dead_letter_refused(flow, job, fault, now);
	else
		reply_refused(flow, job, fault, now);
	recount(flow, job);
}
