/* What is kept of chats whose partition was given up, and how it is used again: see park.h. */
#include "common/assertion.h"
#include "worker/core/flow_internal.h"

static bool is_on(const struct flow *flow)
{
	const struct park_options *options = &flow->options.park;
	ASSERT(options->keep_ms >= 0);
	return options->keep_ms > 0 && options->bytes_max > 0 && !flow->is_draining;
}

/* With its call, whose answer is not known yet. */
static size_t bytes_of_job(const struct flow *flow, const struct job *job)
{
	ASSERT(job->bytes > 0);
	return job->bytes + (job->state == JOB_CALLING ? flow_call_bytes(flow, job) : 0);
}

/* The kept chat ends in another way than by being used. One whose bytes the publisher still borrows lives until its
 * batch is back. */
static void let_go(struct flow *flow, struct job *job, enum park_end end)
{
	const struct flow_events *events = &flow->options.events;
	ASSERT(job->partition == NULL);
	ASSERT(end != PARK_END_USED);
	if (events->on_park_end != NULL) events->on_park_end(events->context, job, end);
	park_remove(flow->park, job);
	if (job->state == JOB_PUBLISHING) return;
	flow_forget(flow, job);
}

/* The oldest go until the bound holds. */
static void shrink(struct flow *flow)
{
	while (park_bytes(flow->park) > flow->options.park.bytes_max) {
		struct job *job = park_oldest(flow->park);
		ASSERT(job != NULL);
		let_go(flow, job, PARK_END_FULL);
	}
}

static bool is_worth_keeping(const struct job *job)
{
	bool is_held = job->state == JOB_CALLING || job->state == JOB_REPLIED || job->state == JOB_PUBLISHING;
	return is_held && job->retry.attempts > 0;
}

/* Out of its partition and its lane; what it counts for there counts no more. */
static void detach(struct flow *flow, struct job *job)
{
	ASSERT(job->partition != NULL);
	ASSERT(job->lane == NULL || job->state == JOB_CALLING);
	if (job->state == JOB_CALLING) {
		flow_stop_waiting(flow, job);
		/* It gets no second call meanwhile. */
		list_unlink(&job->queue);
	}
	if (job->state == JOB_REPLIED) {
		ASSERT(flow->reply_count > 0);
		flow->reply_count--;
		list_unlink(&job->queue);
		job_change(job, JOB_PARKED);
	}
	/* The others of its lane are given up, too. */
	(void)lanes_leave(flow->lanes, job);
	heap_remove(&flow->due, &job->due);
	list_unlink(&job->in_partition);
	job->partition = NULL;
}

bool flow_park_keep(struct flow *flow, struct job *job, struct instant now)
{
	if (!is_on(flow) || !is_worth_keeping(job)) return false;
	if (job->state == JOB_CALLING) flow_hedge_leave(flow, job);
	const struct record *record = job->record;
	struct job *before = park_find(flow->park, record->partition, record->offset);
	if (before != NULL) let_go(flow, before, PARK_END_OTHER_RECORD);
	size_t bytes = bytes_of_job(flow, job);
	int64_t until_ms = now.mono_ms + flow->options.park.keep_ms;
	if (park_put(flow->park, job, bytes, until_ms, job->state == JOB_CALLING) != STATUS_OK) return false;
	detach(flow, job);
	shrink(flow);
	return true;
}

void flow_park_answered(struct flow *flow, struct job *job)
{
	ASSERT(job->parked != NULL);
	ASSERT(job->reply != NULL);
	ASSERT(job->call_id == 0);
	job_change(job, JOB_PARKED);
	park_call_ended(flow->park, job, job->bytes);
	shrink(flow);
}

void flow_park_failed(struct flow *flow, struct job *job)
{
	ASSERT(job->parked != NULL);
	ASSERT(job->call_id == 0);
	job_change(job, JOB_GONE);
	let_go(flow, job, PARK_END_FAILED);
}

void flow_park_batch_over(struct flow *flow, struct job *job, bool is_stored)
{
	ASSERT(job->parked != NULL);
	ASSERT(job->state == JOB_PUBLISHING);
	if (is_stored) {
		let_go(flow, job, PARK_END_FINISHED);
		return;
	}
	list_unlink(&job->queue);
	job_change(job, JOB_PARKED);
}

void flow_park_assigned(struct flow *flow, const struct flow_partition_state *partition)
{
	ASSERT(partition->ledger != NULL);
	struct job *job = park_oldest(flow->park);
	while (job != NULL) {
		struct job *next = park_next(flow->park, job);
		const struct record *record = job->record;
		if (record->partition == partition->id && ledger_is_done(partition->ledger, record->offset))
			let_go(flow, job, PARK_END_FINISHED);
		job = next;
	}
}

/* What the kept chat is, its partition gets back; `job` goes. */
static void take_place(struct flow *flow, struct job *job, struct job *kept)
{
	ASSERT(kept->partition == NULL);
	ASSERT(job->state == JOB_WAITING);
	ASSERT(lanes_is_head(job));
	kept->partition = job->partition;
	/* What stands before it in its conversation may have been made anew. */
	kept->reply_number = ++flow->reply_number;
	list_insert_between(&kept->in_partition, &job->in_partition, job->in_partition.next);
	kept->deadline_ms = job->deadline_ms;
	if (kept->state == JOB_CALLING) {
		lanes_replace(job, kept);
	} else {
		struct job *next = lanes_leave(flow->lanes, job);
		if (next != NULL) list_push_back(&flow->heads, &next->queue);
	}
	flow_forget(flow, job);
}

static void go_on(struct flow *flow, struct job *kept)
{
	ASSERT(kept->partition != NULL);
	ASSERT(kept->parked == NULL);
	switch (kept->state) {
	case JOB_CALLING:
		flow->waiting++;
		kept->partition->waiting++;
		/* There is room in the heap: the job whose place it took was in it. */
		flow_set_due(flow, kept, kept->deadline_ms);
		return;
	case JOB_PARKED:
		flow_queue_reply(flow, kept);
		return;
	case JOB_PUBLISHING:
		return;
	case JOB_NEW:
	case JOB_WAITING:
	case JOB_READY:
	case JOB_BACKOFF:
	case JOB_REPLIED:
	case JOB_DONE:
	case JOB_GONE:
		break;
	}
	ASSERT_UNREACHABLE();
}

bool flow_park_resume(struct flow *flow, struct job *job, struct instant now)
{
	const struct flow_events *events = &flow->options.events;
	struct job *kept = park_find(flow->park, job->record->partition, job->record->offset);
	if (kept == NULL) return false;
	ASSERT(job->call_id == 0);
	ASSERT(job->reply == NULL);
	if (!record_is_same(kept->record, job->record)) {
		let_go(flow, kept, PARK_END_OTHER_RECORD);
		return false;
	}
	if (kept->state == JOB_CALLING && job->deadline_ms <= now.mono_ms) {
		let_go(flow, kept, PARK_END_LATE);
		return false;
	}
	if (events->on_park_end != NULL) events->on_park_end(events->context, kept, PARK_END_USED);
	park_remove(flow->park, kept);
	take_place(flow, job, kept);
	go_on(flow, kept);
	return true;
}

void flow_park_expire(struct flow *flow, struct instant now)
{
	while (park_due(flow->park) <= now.mono_ms) {
		struct job *job = park_oldest(flow->park);
		ASSERT(job != NULL);
		let_go(flow, job, PARK_END_EXPIRED);
	}
}

void flow_park_yield(struct flow *flow)
{
	if (!list_is_empty(&flow->free_slots)) return;
	struct job *job;
	while (flow->cancelled < flow->ready_count && (job = park_oldest_call(flow->park)) != NULL) {
		ASSERT(job->state == JOB_CALLING);
		let_go(flow, job, PARK_END_YIELDED);
	}
}

void flow_park_empty(struct flow *flow)
{
	struct job *job;
	while ((job = park_oldest(flow->park)) != NULL)
		let_go(flow, job, PARK_END_DRAINED);
	ASSERT(park_count(flow->park) == 0);
}
