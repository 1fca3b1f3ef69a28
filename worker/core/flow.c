/* The flow's life, its partitions, time and drain: see flow.h and flow_internal.h. */
#include <stdlib.h>

#include "common/assertion.h"
#include "worker/core/flow_internal.h"

const char *flow_notice_word(enum flow_notice notice)
{
#define FLOW_NOTICE_CASE(member, word) \
	case member:                   \
		return word;
	switch (notice) {
		FLOW_NOTICE_TABLE(FLOW_NOTICE_CASE)
	}
#undef FLOW_NOTICE_CASE
	ASSERT_UNREACHABLE();
}

static void init_slots(struct flow *flow)
{
	ASSERT(flow->slots != NULL);
	ASSERT(list_is_empty(&flow->free_slots));
	for (size_t i = 0; i < flow->options.in_flight_max; i++) {
		flow->slots[i] = (struct flow_slot){ 0 };
		list_init(&flow->slots[i].link);
		list_push_back(&flow->free_slots, &flow->slots[i].link);
	}
}

struct flow *flow_new(const struct flow_options *options)
{
	ASSERT(options != NULL);
	ASSERT(options->model_count > 0);
	ASSERT(options->in_flight_max > 0);
	ASSERT(options->waiting_max > 0);
	ASSERT(options->batch_replies_max > 0);
	ASSERT(options->retry.max_attempts > 0);
	ASSERT(options->deadline_ms > 0);
	ASSERT(bytes_is_given(options->fallback_text));
	struct flow *flow = calloc(1, sizeof(*flow));
	if (flow == NULL) return NULL;
	flow->options = *options;
	random_init(&flow->random, options->seed);
	struct hash_key key = { .k0 = random_next(&flow->random), .k1 = random_next(&flow->random) };
	list_init(&flow->heads);
	list_init(&flow->ready);
	list_init(&flow->replies);
	list_init(&flow->publishing);
	list_init(&flow->free_slots);
	list_init(&flow->cancels);
	/* Every job without a reply is in the heap once, and there are never more jobs than records in memory. */
	heap_init(&flow->due, SIZE_MAX / sizeof(void *) / 2);
	flow->abort_backoff_ms = FLOW_ABORT_BACKOFF_MS;
	flow->held_due_ms = INT64_MAX;
	flow->membership.standstill_ms = options->standstill_ms;
	flow_guard_init(flow);
	flow_hedge_init(flow);

	flow->lanes = lanes_new(key);
	flow->park = park_new(key);
	flow->slots = calloc(options->in_flight_max, sizeof(struct flow_slot));
	if (flow->lanes == NULL || flow->park == NULL || flow->slots == NULL) {
		flow_free(flow);
		return NULL;
	}
	init_slots(flow);
	flow_check(flow);
	return flow;
}

void flow_free(struct flow *flow)
{
	if (flow == NULL) return;
	flow->is_draining = true; /* nothing is kept any more */
	if (flow->park != NULL) flow_park_empty(flow);
	for (size_t i = 0; i < flow->partition_capacity; i++)
		if (flow->partitions[i] != NULL) flow_revoke(flow, (int32_t)i, (struct instant){ 0 });
	struct list *node;
	while ((node = list_first(&flow->publishing)) != NULL)
		flow_forget(flow, LIST_ELEMENT(node, struct job, queue));
	ASSERT(flow->partition_count == 0);
	ASSERT(flow->waiting == 0);
	ASSERT(flow->reply_count == 0);
	ASSERT(flow->bytes == 0);
	lanes_free(flow->lanes);
	park_free(flow->park);
	heap_deinit(&flow->due);
	free(flow->partitions);
	free(flow->slots);
	free(flow);
}

struct flow_partition_state *flow_partition(const struct flow *flow, int32_t id)
{
	ASSERT(flow != NULL);
	if (id < 0 || (size_t)id >= flow->partition_capacity) return NULL;
	struct flow_partition_state *partition = flow->partitions[id];
	ASSERT(partition == NULL || partition->id == id);
	return partition;
}

void flow_notice(struct flow *flow, enum flow_notice notice, int32_t partition, int64_t offset)
{
	const struct flow_events *events = &flow->options.events;
	if (events->on_notice != NULL) events->on_notice(events->context, notice, partition, offset);
}

void flow_set_due(struct flow *flow, struct job *job, int64_t due_ms)
{
	ASSERT(job->state != JOB_REPLIED);
	ASSERT(job->state != JOB_PUBLISHING);
	enum status status = heap_set(&flow->due, &job->due, due_ms);
	/* A job enters the heap in flow_take(), which can fail; later it only moves, which cannot. */
	ASSERT(status == STATUS_OK);
}

void flow_mark_dirty(struct flow *flow, struct flow_partition_state *partition, int64_t now_ms)
{
	ASSERT(partition != NULL);
	ASSERT(now_ms != 0);
	partition->is_dirty = true;
	if (flow->dirty_since_ms == 0) flow->dirty_since_ms = now_ms;
}

void flow_stop_waiting(struct flow *flow, struct job *job)
{
	ASSERT(flow->waiting > 0);
	ASSERT(job->partition->waiting > 0);
	flow->waiting--;
	job->partition->waiting--;
}

void flow_forget(struct flow *flow, struct job *job)
{
	ASSERT(flow->bytes >= job->bytes);
	ASSERT(job->parked == NULL);
	ASSERT((job->call_id != 0) == (job->state == JOB_CALLING));
	ASSERT(job->hedge_id == 0 || job->state == JOB_CALLING);
	if (job->call_id != 0) flow_drop_call(flow, job);
	struct job *next = lanes_leave(flow->lanes, job);
	/* Only whole lanes are forgotten, front to back, or jobs that have left theirs. */
	ASSERT(next == NULL || next->state == JOB_WAITING);
	switch (job->state) {
	case JOB_READY:
		ASSERT(flow->ready_count > 0);
		flow->ready_count--;
		flow_stop_waiting(flow, job);
		break;
	case JOB_CALLING:
		/* A kept chat does not count as waiting. */
		if (job->partition != NULL) flow_stop_waiting(flow, job);
		break;
	case JOB_NEW:
	case JOB_WAITING:
	case JOB_BACKOFF:
		flow_stop_waiting(flow, job);
		break;
	case JOB_REPLIED:
		ASSERT(flow->reply_count > 0);
		flow->reply_count--;
		break;
	case JOB_PUBLISHING:
	case JOB_PARKED:
	case JOB_DONE:
	case JOB_GONE:
		break;
	}
	list_unlink(&job->queue);
	list_unlink(&job->in_partition);
	heap_remove(&flow->due, &job->due);
	flow->bytes -= job->bytes;
	job_free(job);
}

static enum status make_room(struct flow *flow, int32_t id)
{
	if (id < 0 || id >= FLOW_PARTITIONS_MAX) return STATUS_NO_MEMORY;
	if ((size_t)id < flow->partition_capacity) return STATUS_OK;
	size_t capacity = (size_t)id + 16;
	struct flow_partition_state **partitions =
		realloc(flow->partitions, capacity * sizeof(struct flow_partition_state *));
	if (partitions == NULL) return STATUS_NO_MEMORY;
	for (size_t i = flow->partition_capacity; i < capacity; i++)
		partitions[i] = NULL;
	ASSERT((size_t)id < capacity);
	flow->partitions = partitions;
	flow->partition_capacity = capacity;
	return STATUS_OK;
}

/* Where reading begins, before what is finished above it is looked at. */
static int64_t start_of(struct flow *flow, const struct flow_assignment *assignment, bool *out_is_committed)
{
	ASSERT(out_is_committed != NULL);
	*out_is_committed = false;
	if (assignment->committed < 0)
		return flow->options.start_from_latest ? assignment->log_end : assignment->log_start;
	if (assignment->committed < assignment->log_start || assignment->committed > assignment->log_end) {
		flow_notice(flow, FLOW_NOTICE_OFFSETS_LOST, assignment->partition, assignment->committed);
		return assignment->log_start;
	}
	*out_is_committed = true;
	return assignment->committed;
}

enum status flow_assign(struct flow *flow, const struct flow_assignment *assignment, int64_t *out_start)
{
	ASSERT(assignment != NULL);
	ASSERT(out_start != NULL);
	ASSERT(flow_partition(flow, assignment->partition) == NULL);
	enum status status = make_room(flow, assignment->partition);
	if (status != STATUS_OK) return status;
	struct flow_partition_state *partition = calloc(1, sizeof(*partition));
	if (partition == NULL) return STATUS_NO_MEMORY;

	bool is_committed;
	int64_t start = start_of(flow, assignment, &is_committed);
	partition->id = assignment->partition;
	list_init(&partition->jobs);
	partition->ledger = ledger_new(start);
	if (partition->ledger == NULL) {
		free(partition);
		return STATUS_NO_MEMORY;
	}
	bool has_text = is_committed && assignment->metadata.size > 0;
	if (has_text && ledger_restore(partition->ledger, assignment->metadata, assignment->log_end) != STATUS_OK)
		flow_notice(flow, FLOW_NOTICE_PROGRESS_REFUSED, assignment->partition, start);

	flow->partitions[assignment->partition] = partition;
	flow->partition_count++;
	flow_park_assigned(flow, partition);
	/* Where the end is now is where the next owner has to go on, also if nothing comes while this one lives. */
	if (assignment->committed < 0 && flow->options.start_from_latest)
		flow_mark_dirty(flow, partition, INT64_MIN / 2);
	*out_start = ledger_watermark(partition->ledger);
	ASSERT(*out_start == start);
	flow_check(flow);
	return STATUS_OK;
}

/* A job whose bytes the publisher still borrows outlives its partition until the batch is back. True: it is kept. */
static bool give_up(struct flow *flow, struct job *job, struct instant now)
{
	if (flow_park_keep(flow, job, now)) return true;
	if (job->state != JOB_PUBLISHING) {
		flow_forget(flow, job);
		return false;
	}
	ASSERT(flow->batch != NULL);
	ASSERT(job->reply != NULL);
	list_unlink(&job->in_partition);
	job->partition = NULL;
	return false;
}

static void give_up_all(struct flow *flow, struct flow_partition_state *partition, struct instant now)
{
	const struct flow_events *events = &flow->options.events;
	size_t replies = 0, calls = 0;
	struct list *node;
	while ((node = list_first(&partition->jobs)) != NULL) {
		struct job *job = LIST_ELEMENT(node, struct job, in_partition);
		bool is_calling = job->state == JOB_CALLING;
		ASSERT(job->partition == partition);
		if (!give_up(flow, job, now)) continue;
		if (is_calling)
			calls++;
		else
			replies++;
	}
	if (replies + calls == 0 || events->on_parked == NULL) return;
	events->on_parked(events->context, partition->id, replies, calls);
}

void flow_revoke(struct flow *flow, int32_t id, struct instant now)
{
	struct flow_partition_state *partition = flow_partition(flow, id);
	if (partition == NULL) return;
	give_up_all(flow, partition, now);
	ASSERT(flow->partition_count > 0);
	record_free(partition->held);
	ledger_free(partition->ledger);
	free(partition);
	flow->partitions[id] = NULL;
	flow->partition_count--;
	if (flow->partition_count == 0) membership_emptied(&flow->membership);
	flow_check(flow);
}

void flow_turn(struct flow *flow, int64_t boot_ms, uint64_t heartbeats)
{
	ASSERT(flow != NULL);
	ASSERT(boot_ms > 0);
	if (membership_turn(&flow->membership, boot_ms, heartbeats)) flow_notice(flow, FLOW_NOTICE_STOOD_STILL, -1, -1);
}

/* The deadline of a job that has no reply yet, or another clock of its. */
static void on_deadline(struct flow *flow, struct job *job, struct instant now)
{
	ASSERT(!heap_node_is_in(&job->due));
	ASSERT(job->reply == NULL);
	switch (job->state) {
	case JOB_WAITING:
		/* Its turn has not come; when it does, flow_begin_heads() sees that the time is over. */
		return;
	case JOB_CALLING:
		if (job->deadline_ms > now.mono_ms)
			flow_hedge_due(flow, job);
		else
			flow_time_out_call(flow, job, now);
		return;
	case JOB_BACKOFF:
		if (job->deadline_ms > now.mono_ms)
			flow_call_again(flow, job, now);
		else
			flow_reply_failure(flow, job, now);
		return;
	case JOB_READY:
		flow_reply_unstarted(flow, job, now);
		return;
	case JOB_NEW:
	case JOB_REPLIED:
	case JOB_PUBLISHING:
	case JOB_PARKED:
	case JOB_DONE:
	case JOB_GONE:
		break;
	}
	ASSERT_UNREACHABLE();
}

/* The end of the drain: what is still being called is left to the next owner. */
static void leave_all(struct flow *flow)
{
	for (size_t i = 0; i < flow->partition_capacity; i++) {
		if (flow->partitions[i] == NULL) continue;
		struct list *node = flow->partitions[i]->jobs.next;
		while (node != &flow->partitions[i]->jobs) {
			struct job *job = LIST_ELEMENT(node, struct job, in_partition);
			node = node->next;
			ASSERT(job->partition == flow->partitions[i]);
			bool has_reply = job->state == JOB_REPLIED || job->state == JOB_PUBLISHING;
			if (!has_reply) flow_forget(flow, job);
		}
	}
	ASSERT(flow->waiting == 0);
	ASSERT(flow->due.count == 0);
}

void flow_tick(struct flow *flow, struct instant now)
{
	if (flow->is_draining && now.mono_ms >= flow->drain_until_ms) leave_all(flow);
	struct heap_node *node;
	while ((node = heap_take_due(&flow->due, now.mono_ms)) != NULL)
		on_deadline(flow, HEAP_ELEMENT(node, struct job, due), now);
	flow_park_expire(flow, now);
	flow_begin_heads(flow, now);
	flow_take_held_again(flow, now);
	flow_check(flow);
}

int64_t flow_due(const struct flow *flow)
{
	int64_t due_ms = clock_earlier(flow->held_due_ms, park_due(flow->park));
	struct heap_node *first = heap_first(&flow->due);
	if (first != NULL) due_ms = clock_earlier(due_ms, first->due);
	if (flow->is_draining && flow->waiting > 0) due_ms = clock_earlier(due_ms, flow->drain_until_ms);
	due_ms = clock_earlier(due_ms, flow_guard_probe_due(flow));
	if (flow->batch != NULL) return due_ms;

	int64_t batch_ms = flow->batch_began_ms + flow->options.batch_interval_ms;
	if (batch_ms < flow->batch_not_before_ms) batch_ms = flow->batch_not_before_ms;
	if (flow->reply_count > 0) return clock_earlier(due_ms, batch_ms);
	if (flow->dirty_since_ms != 0) {
		int64_t dirty_ms = flow->dirty_since_ms + FLOW_PROGRESS_INTERVAL_MS;
		return clock_earlier(due_ms, batch_ms > dirty_ms ? batch_ms : dirty_ms);
	}
	return due_ms;
}

void flow_drain(struct flow *flow, int64_t until_ms)
{
	if (flow->is_draining) return;
	flow->is_draining = true;
	flow->drain_until_ms = until_ms;
	flow_park_empty(flow);
	for (size_t i = 0; i < flow->partition_capacity; i++) {
		if (flow->partitions[i] == NULL) continue;
		struct list *node = flow->partitions[i]->jobs.next;
		while (node != &flow->partitions[i]->jobs) {
			struct job *job = LIST_ELEMENT(node, struct job, in_partition);
			node = node->next;
			ASSERT(job->partition == flow->partitions[i]);
			bool waits = job->state == JOB_READY || job->state == JOB_BACKOFF;
			bool is_untouched = job->state == JOB_WAITING || (waits && job->retry.attempts == 0);
			if (is_untouched) flow_forget(flow, job);
		}
		record_free(flow->partitions[i]->held);
		flow->partitions[i]->held = NULL;
	}
	flow->held_due_ms = INT64_MAX;
	flow_check(flow);
}

bool flow_is_idle(const struct flow *flow)
{
	flow_check(flow);
	return flow->in_flight == 0 && flow->waiting == 0 && flow->reply_count == 0 && flow->batch == NULL;
}

void flow_gauges(const struct flow *flow, struct flow_gauges *out_gauges)
{
	ASSERT(out_gauges != NULL);
	struct heap_node *first = heap_first(&flow->due);
	*out_gauges = (struct flow_gauges){
		.in_flight = flow->in_flight,
		.waiting = flow->waiting,
		.ready = flow->ready_count,
		.replies = flow->reply_count,
		.lanes = lanes_count(flow->lanes),
		.bytes = flow->bytes,
		.partitions = flow->partition_count,
		.is_publishing = flow->batch != NULL,
		.parked = park_count(flow->park),
		.parked_calls = park_calls(flow->park),
		.parked_bytes = park_bytes(flow->park),
		.oldest_overdue_ms = first == NULL ? INT64_MAX : first->due,
	};
}

enum status flow_partition_gauges(const struct flow *flow, int32_t id, struct flow_partition_gauges *out_gauges)
{
	const struct flow_partition_state *partition = flow_partition(flow, id);
	if (partition == NULL) return STATUS_NOT_FOUND;
	ASSERT(out_gauges != NULL);
	struct list *first = list_first(&partition->jobs);
	*out_gauges = (struct flow_partition_gauges){
		.watermark = ledger_watermark(partition->ledger),
		.finished_above = ledger_finished_above(partition->ledger),
		.oldest_taken_ms = first == NULL ? 0 : LIST_ELEMENT(first, struct job, in_partition)->taken_ms,
	};
	return STATUS_OK;
}
