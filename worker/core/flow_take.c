/* Records in: the ledger, reading the request, its deadline, models and place behind its conversation. */
#include "common/assertion.h"
#include "worker/core/flow_internal.h"

/* A partition may take as much as is left free for the others: a busy one ends up with half of the room, two with a third
 * each, and there is always some for one that was quiet. */
static bool has_share(const struct flow *flow, const struct flow_partition_state *partition)
{
	ASSERT(partition->waiting <= flow->waiting);
	if (flow->waiting >= flow->options.waiting_max) return false;
	if (flow->partition_count <= 1) return true;
	return partition->waiting < flow->options.waiting_max - flow->waiting;
}

bool flow_wants(const struct flow *flow, int32_t id)
{
	const struct flow_partition_state *partition = flow_partition(flow, id);
	if (partition == NULL || flow->is_draining) return false;
	if (partition->held != NULL) return false;
	if (!has_share(flow, partition)) return false;
	/* What is kept of partitions that are gone has a bound of its own. */
	if (flow->bytes + flow->call_bytes - park_bytes(flow->park) >= flow->options.bytes_max) return false;
	/* Replies that cannot be published pile up, too. */
	if (flow->reply_count >= flow->options.waiting_max) return false;
	return ledger_has_room(partition->ledger);
}

static bool is_allowed(const struct flow_options *options, struct bytes model)
{
	ASSERT(options->allowed_models != NULL || options->allowed_model_count == 0);
	if (options->allowed_model_count == 0) return true;
	for (size_t i = 0; i < options->allowed_model_count; i++)
		if (bytes_match_glob(model, options->allowed_models[i])) return true;
	return false;
}

static void add_model(struct job *job, struct bytes model)
{
	ASSERT(model.size > 0);
	ASSERT(job->retry.model_count <= JOB_MODELS_MAX);
	for (size_t i = 0; i < job->retry.model_count; i++)
		if (bytes_equal(job->models[i], model)) return;
	if (job->retry.model_count == JOB_MODELS_MAX) return;
	job->models[job->retry.model_count++] = model;
}

/* The models to try: the request's list in place of the settings', the request's model in place of the first one. */
static void choose_models(const struct flow_options *options, struct job *job)
{
	const struct chat_request *request = &job->request;
	bool has_model = bytes_is_given(request->model);
	ASSERT(job->retry.model_count == 0);
	ASSERT(request->model_count < CHAT_MODELS_MAX);
	if (has_model) add_model(job, request->model);
	for (size_t i = 0; i < request->model_count; i++)
		add_model(job, request->models[i]);
	for (size_t i = 0; i < job->retry.model_count; i++) {
		if (is_allowed(options, job->models[i])) continue;
		job->rejection.reason = REASON_MODEL_NOT_ALLOWED;
		return;
	}
	if (request->model_count > 0) return;
	for (size_t i = has_model ? 1 : 0; i < options->model_count; i++)
		add_model(job, options->models[i]);
	ASSERT(job->retry.model_count > 0);
}

static void set_deadline(const struct flow_options *options, struct job *job, struct instant now)
{
	int64_t base_ms = job->record->timestamp_ms;
	/* A producer whose clock is ahead does not get more time. */
	if (base_ms < 0 || base_ms > now.wall_ms) base_ms = now.wall_ms;
	ASSERT(base_ms <= now.wall_ms);
	ASSERT(job->request.deadline_ms >= 0);
	int64_t deadline_ms = base_ms + options->deadline_ms;
	if (job->request.deadline_ms > 0) {
		int64_t latest_ms = base_ms + options->deadline_max_ms;
		deadline_ms = job->request.deadline_ms < latest_ms ? job->request.deadline_ms : latest_ms;
	}
	job->deadline_ms = clock_mono_of_wall(now, deadline_ms - options->publish_reserve_ms);
}

static void read_request(struct flow *flow, struct job *job)
{
	ASSERT(job->state == JOB_NEW);
	enum status status =
		chat_request_read(job->record, &flow->options.limits, job->arena, &job->request, &job->rejection);
	switch (status) {
	case STATUS_OK:
		job->rejection = (struct chat_rejection){ .reason = REASON_NONE };
		choose_models(&flow->options, job);
		job->message_count =
			history_trim(job->request.messages, job->request.message_count, &flow->options.history);
		ASSERT(job->message_count > 0);
		ASSERT(job->message_count <= job->request.message_count);
		return;
	case STATUS_INVALID:
		ASSERT(job->rejection.reason != REASON_NONE);
		return;
	case STATUS_NO_MEMORY:
		job->rejection = (struct chat_rejection){ .reason = REASON_INTERNAL };
		return;
	case STATUS_FULL:
	case STATUS_EMPTY:
	case STATUS_NOT_FOUND:
	case STATUS_TOO_LARGE:
	case STATUS_UNSUPPORTED:
	case STATUS_DENIED:
	case STATUS_TIMEOUT:
	case STATUS_CLOSED:
	case STATUS_BUSY:
	case STATUS_IO:
	case STATUS_FATAL:
		break;
	}
	ASSERT_UNREACHABLE();
}

static void enter_lane(struct flow *flow, struct job *job)
{
	bool has_lane = flow->options.ordered && job->request.conversation_id.size > 0;
	bool is_lost = has_lane && lanes_enter(flow->lanes, job) != STATUS_OK;
	/* What was turned down already keeps its reason, and with it its dead letter. */
	if (is_lost && job->rejection.reason == REASON_NONE)
		job->rejection = (struct chat_rejection){ .reason = REASON_INTERNAL };
	job_change(job, JOB_WAITING);
	ASSERT(job->lane != NULL || lanes_is_head(job));
	if (lanes_is_head(job)) list_push_back(&flow->heads, &job->queue);
}

/* The record is to be worked on. */
static void admit(struct flow *flow, struct flow_partition_state *partition, struct job *job, struct instant now)
{
	ASSERT(heap_node_is_in(&job->due));
	ASSERT(job->record->partition == partition->id);
	job->partition = partition;
	job->taken_ms = now.mono_ms;
	list_push_back(&partition->jobs, &job->in_partition);
	flow->waiting++;
	partition->waiting++;

	read_request(flow, job);
	set_deadline(&flow->options, job, now);
	flow_set_due(flow, job, job->deadline_ms);
	job->bytes = sizeof(*job) + job->record->size + arena_size(job->arena);
	flow->bytes += job->bytes;
	const struct flow_events *events = &flow->options.events;
	if (events->on_taken != NULL) events->on_taken(events->context, job);
	enter_lane(flow, job);
}

/* A job that is not needed: the record goes back to the caller, who may keep it. */
static void unmake(struct flow *flow, struct job *job, struct record **out_record)
{
	ASSERT(job->state == JOB_NEW);
	ASSERT(job->partition == NULL);
	*out_record = job->record;
	job->record = NULL;
	heap_remove(&flow->due, &job->due);
	job_free(job);
}

/* What may fail is done before the ledger hears of the record. */
static struct job *prepare(struct flow *flow, struct record **record)
{
	ASSERT(*record != NULL);
	/* What is made of a record grows with its headers, too: reply and dead letter have lists of them. */
	size_t lists = (*record)->headers.count * 4 * sizeof(struct record_header);
	struct job *job = job_new(record, flow->options.job_bytes_max + lists);
	if (job == NULL) return NULL;
	ASSERT(*record == NULL);
	if (heap_set(&flow->due, &job->due, INT64_MAX) == STATUS_OK) return job;
	unmake(flow, job, record);
	ASSERT(*record != NULL);
	return NULL;
}

enum status flow_take(struct flow *flow, struct record *record, struct instant now)
{
	ASSERT(record != NULL);
	struct flow_partition_state *partition = flow_partition(flow, record->partition);
	if (partition == NULL) return STATUS_NOT_FOUND;
	ASSERT(partition->held == NULL);
	int64_t offset = record->offset;
	struct job *job = prepare(flow, &record);
	if (job == NULL) return STATUS_NO_MEMORY;

	int64_t watermark = ledger_watermark(partition->ledger);
	enum status status = ledger_take(partition->ledger, offset);
	if (ledger_watermark(partition->ledger) != watermark) flow_mark_dirty(flow, partition, now.mono_ms);
	if (status == STATUS_OK) {
		admit(flow, partition, job, now);
		flow_begin_heads(flow, now);
		flow_check(flow);
		return STATUS_OK;
	}
	unmake(flow, job, &record);
	if (status == STATUS_FULL) {
		partition->held = record;
		return STATUS_OK;
	}
	ASSERT(status == STATUS_NOT_FOUND);
	flow_notice(flow, FLOW_NOTICE_SKIPPED, partition->id, offset);
	record_free(record);
	flow_check(flow);
	return STATUS_OK;
}

void flow_pass_on(struct flow *flow, struct flow_partition_state *partition, struct instant now)
{
	ASSERT(partition->passed >= 0);
	if (flow->is_draining) return;
	/* What is staged may be committed without this, so it is the offset to commit that counts, not the watermark. */
	int64_t offset = ledger_offset(partition->ledger);
	ASSERT(offset >= 0);
	ledger_pass(partition->ledger, partition->passed);
	if (ledger_offset(partition->ledger) != offset) flow_mark_dirty(flow, partition, now.mono_ms);
}

void flow_pass(struct flow *flow, int32_t id, int64_t end, struct instant now)
{
	struct flow_partition_state *partition = flow_partition(flow, id);
	if (partition == NULL || flow->is_draining) return;
	ASSERT(partition->held == NULL);
	/* It is told once; the window may not reach so far yet. */
	if (end > partition->passed) partition->passed = end;
	flow_pass_on(flow, partition, now);
	flow_check(flow);
}

void flow_take_held(struct flow *flow, struct flow_partition_state *partition, struct instant now)
{
	ASSERT(partition == flow_partition(flow, partition->id));
	struct record *record = partition->held;
	if (record == NULL || flow->is_draining) return;
	partition->held = NULL;
	enum status status = flow_take(flow, record, now);
	if (status == STATUS_OK) return;
	ASSERT(status == STATUS_NO_MEMORY);
	partition->held = record;
	flow->held_due_ms = now.mono_ms + FLOW_MEMORY_BACKOFF_MS;
	flow_notice(flow, FLOW_NOTICE_TAKE_FAILED, partition->id, record->offset);
}

void flow_take_held_again(struct flow *flow, struct instant now)
{
	if (flow->held_due_ms > now.mono_ms) return;
	ASSERT(!flow->is_draining);
	flow->held_due_ms = INT64_MAX;
	for (size_t i = 0; i < flow->partition_capacity; i++)
		if (flow->partitions[i] != NULL) flow_take_held(flow, flow->partitions[i], now);
}
