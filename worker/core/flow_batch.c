/* Batches: what is ready goes out with the progress it makes, and comes back committed or not. */
#include <stdlib.h>
#include <string.h>

#include "common/assertion.h"
#include "worker/core/flow_internal.h"

static size_t record_bytes(const struct outgoing *record)
{
	ASSERT(record != NULL);
	ASSERT(record->headers.items != NULL || record->headers.count == 0);
	size_t bytes = record->key.size + record->value.size;
	for (size_t i = 0; i < record->headers.count; i++)
		bytes += record->headers.items[i].name.size + record->headers.items[i].value.size;
	return bytes;
}

static size_t job_bytes(const struct job *job)
{
	ASSERT(job->state == JOB_REPLIED);
	return record_bytes(job->reply) + (job->dead_letter == NULL ? 0 : record_bytes(job->dead_letter));
}

static void add_item(struct batch *batch, struct job *job, struct outgoing *record)
{
	ASSERT(record->topic.size > 0);
	ASSERT(record == job->reply || record == job->dead_letter);
	batch->items[batch->item_count++] = (struct batch_item){ .record = record, .owner = job };
}

static void add_job(struct flow *flow, struct batch *batch, struct job *job, int64_t now_ms)
{
	ASSERT(job->partition != NULL);
	ASSERT(flow->reply_count > 0);
	list_unlink(&job->queue);
	flow->reply_count--;
	job_change(job, JOB_PUBLISHING);
	list_push_back(&flow->publishing, &job->queue);
	add_item(batch, job, job->reply);
	if (job->dead_letter != NULL) add_item(batch, job, job->dead_letter);
	ledger_stage(job->partition->ledger, job->record->offset);
	flow_mark_dirty(flow, job->partition, now_ms);
}

static void add_jobs(struct flow *flow, struct batch *batch, int64_t now_ms)
{
	size_t bytes = 0;
	struct list *node;
	for (size_t count = 0; count < flow->options.batch_replies_max; count++) {
		node = list_first(&flow->replies);
		if (node == NULL) return;
		struct job *job = LIST_ELEMENT(node, struct job, queue);
		bytes += job_bytes(job);
		/* The first one always goes, whatever its size. */
		if (count > 0 && bytes > flow->options.batch_bytes_max) return;
		add_job(flow, batch, job, now_ms);
	}
}

static enum status add_progress_row(const struct flow_partition_state *partition, struct batch *batch)
{
	char text[LEDGER_TEXT_MAX];
	size_t size = ledger_text(partition->ledger, batch->commit_id, text);
	ASSERT(size > 0);
	ASSERT(size <= sizeof(text));
	char *copy = malloc(size);
	if (copy == NULL) return STATUS_NO_MEMORY;
	memcpy(copy, text, size);
	batch->progress[batch->progress_count++] = (struct batch_progress){
		.partition = partition->id,
		.offset = ledger_offset(partition->ledger),
		.metadata = bytes_at(copy, size),
	};
	return STATUS_OK;
}

static enum status add_progress(struct flow *flow, struct batch *batch)
{
	for (size_t i = 0; i < flow->partition_capacity; i++) {
		struct flow_partition_state *partition = flow->partitions[i];
		if (partition == NULL || !partition->is_dirty) continue;
		ASSERT(!partition->in_batch);
		ASSERT(batch->progress_count < flow->partition_count);
		enum status status = add_progress_row(partition, batch);
		if (status != STATUS_OK) return status;
		partition->in_batch = true;
	}
	return STATUS_OK;
}

/* The batch has all its rows: nothing is dirty any more. */
static void clear_dirt(struct flow *flow)
{
	for (size_t i = 0; i < flow->partition_capacity; i++)
		if (flow->partitions[i] != NULL) flow->partitions[i]->is_dirty = false;
	ASSERT(flow->batch != NULL);
	flow->dirty_since_ms = 0;
}

static bool is_time(const struct flow *flow, int64_t now_ms)
{
	ASSERT(flow->options.batch_interval_ms >= 0);
	if (flow->batch != NULL || now_ms < flow->batch_not_before_ms) return false;
	if (now_ms < flow->batch_began_ms + flow->options.batch_interval_ms) return false;
	if (flow->reply_count > 0) return true;
	return flow->dirty_since_ms != 0 && now_ms >= flow->dirty_since_ms + FLOW_PROGRESS_INTERVAL_MS;
}

/* Nearly always at one of the ends. */
void flow_queue_reply(struct flow *flow, struct job *job)
{
	ASSERT(job->reply != NULL);
	ASSERT(job->reply_number != 0);
	job_change(job, JOB_REPLIED);
	flow->reply_count++;
	struct list *first = list_first(&flow->replies);
	struct list *before = flow->replies.previous;
	if (first != NULL && LIST_ELEMENT(first, struct job, queue)->reply_number > job->reply_number)
		before = &flow->replies;
	while (before != &flow->replies && LIST_ELEMENT(before, struct job, queue)->reply_number > job->reply_number)
		before = before->previous;
	list_insert_between(&job->queue, before, before->next);
}

/* Puts the jobs of a batch that is not committed back into the queue: in front, but for those whose partition was away in
 * the meantime. */
static void requeue(struct flow *flow)
{
	while (!list_is_empty(&flow->publishing)) {
		struct job *job = LIST_ELEMENT(flow->publishing.previous, struct job, queue);
		ASSERT(job->state == JOB_PUBLISHING);
		if (job->parked != NULL) {
			flow_park_batch_over(flow, job, false);
			continue;
		}
		if (job->partition == NULL) {
			job_change(job, JOB_GONE);
			flow_forget(flow, job);
			continue;
		}
		list_unlink(&job->queue);
		flow_queue_reply(flow, job);
	}
	ASSERT(list_is_empty(&flow->publishing));
}

static void unstage(struct flow *flow, int64_t now_ms)
{
	for (size_t i = 0; i < flow->partition_capacity; i++) {
		struct flow_partition_state *partition = flow->partitions[i];
		if (partition == NULL || !partition->in_batch) continue;
		ASSERT(partition->ledger != NULL);
		partition->in_batch = false;
		ledger_unstage(partition->ledger);
		flow_mark_dirty(flow, partition, now_ms);
	}
}

/* A batch that could not be made whole. */
static void take_back(struct flow *flow, struct batch *batch, int64_t now_ms)
{
	flow->batch = NULL;
	requeue(flow);
	unstage(flow, now_ms);
	/* A partition staged but without a row yet is not `in_batch`. */
	for (size_t i = 0; i < flow->partition_capacity; i++)
		if (flow->partitions[i] != NULL) ledger_unstage(flow->partitions[i]->ledger);
	batch_free(batch);
	flow->batch_not_before_ms = now_ms + FLOW_MEMORY_BACKOFF_MS;
	flow_check(flow);
}

enum status flow_next_batch(struct flow *flow, struct instant now, struct batch **out_batch)
{
	if (!is_time(flow, now.mono_ms)) return STATUS_EMPTY;
	size_t replies = flow->options.batch_replies_max;
	if (flow->reply_count < replies) replies = flow->reply_count;
	struct batch *batch = batch_new(replies * 2, flow->partition_count);
	if (batch == NULL) {
		flow->batch_not_before_ms = now.mono_ms + FLOW_MEMORY_BACKOFF_MS;
		return STATUS_NO_MEMORY;
	}
	batch->commit_id = random_next(&flow->random) | 1;
	ASSERT(list_is_empty(&flow->publishing));
	flow->batch = batch;
	add_jobs(flow, batch, now.mono_ms);
	if (add_progress(flow, batch) != STATUS_OK) {
		take_back(flow, batch, now.mono_ms);
		return STATUS_NO_MEMORY;
	}
	clear_dirt(flow);
	if (batch->progress_count == 0) {
		/* Its partitions were given up since they became dirty. */
		ASSERT(batch->item_count == 0);
		flow->batch = NULL;
		batch_free(batch);
		flow_check(flow);
		return STATUS_EMPTY;
	}
	ASSERT(batch->item_count <= replies * 2);
	ASSERT(batch->progress_count <= flow->partition_count);
	flow->batch_began_ms = now.mono_ms;
	flow_check(flow);
	*out_batch = batch;
	return STATUS_OK;
}

void flow_hurry(struct flow *flow)
{
	ASSERT(flow != NULL);
	flow->batch_began_ms = INT64_MIN / 2;
	flow->batch_not_before_ms = INT64_MIN / 2;
	if (flow->dirty_since_ms != 0) flow->dirty_since_ms = INT64_MIN / 2;
}

/* An uncertain end: the commit id stands in what is committed now exactly if the batch was. */
static bool found_shows(const struct batch *batch)
{
	ASSERT(batch->found != NULL);
	ASSERT(batch->commit_id != 0);
	ASSERT(batch->progress_count > 0);
	for (size_t i = 0; i < batch->progress_count; i++) {
		uint64_t commit_id;
		if (ledger_text_commit_id(batch->found[i].metadata, &commit_id) != STATUS_OK) continue;
		if (commit_id == batch->commit_id) return true;
	}
	return false;
}

static bool is_stored(const struct batch *batch)
{
	switch (batch->end) {
	case BATCH_COMMITTED:
	case BATCH_PUBLISHED:
		return true;
	case BATCH_ABORTED:
		return false;
	case BATCH_UNCERTAIN:
		return found_shows(batch);
	case BATCH_PENDING:
		break;
	}
	ASSERT_UNREACHABLE();
}

/* A chat that came back under its batch is finished in a ledger that knows nothing of that batch. */
static void settle(struct flow *flow, const struct job *job, struct instant now)
{
	if (job->partition == NULL || job->partition->in_batch) return;
	ASSERT(!ledger_is_done(job->partition->ledger, job->record->offset));
	ledger_stage(job->partition->ledger, job->record->offset);
	ledger_adopt(job->partition->ledger);
	flow_mark_dirty(flow, job->partition, now.mono_ms);
}

static void finish_jobs(struct flow *flow, bool is_progress_stored, struct instant now)
{
	const struct flow_events *events = &flow->options.events;
	struct list *node;
	while ((node = list_first(&flow->publishing)) != NULL) {
		struct job *job = LIST_ELEMENT(node, struct job, queue);
		ASSERT(job->state == JOB_PUBLISHING);
		ASSERT(job->reply != NULL);
		if (events->on_committed != NULL) events->on_committed(events->context, job, now);
		settle(flow, job, now);
		if (job->parked != NULL) flow_park_batch_over(flow, job, is_progress_stored);
		if (job->state != JOB_PUBLISHING) continue;
		job_change(job, JOB_DONE);
		flow_forget(flow, job);
	}
}

static void adopt(struct flow *flow, bool is_progress_stored, struct instant now)
{
	for (size_t i = 0; i < flow->partition_capacity; i++) {
		struct flow_partition_state *partition = flow->partitions[i];
		if (partition == NULL || !partition->in_batch) continue;
		ASSERT(partition->ledger != NULL);
		partition->in_batch = false;
		ledger_adopt(partition->ledger);
		if (!is_progress_stored) flow_mark_dirty(flow, partition, now.mono_ms);
		flow_pass_on(flow, partition, now);
		flow_take_held(flow, partition, now);
	}
}

static void answer_faults(struct flow *flow, const struct batch *batch, struct instant now)
{
	for (size_t i = 0; i < batch->item_count; i++) {
		const struct batch_item *item = &batch->items[i];
		struct job *job = item->owner;
		ASSERT(job->state == JOB_PUBLISHING);
		if (item->fault == BATCH_ITEM_FINE || job->partition == NULL) continue;
		flow_reply_refused(flow, job, item->record->is_dead_letter, item->fault, now);
	}
}

static void back_off(struct flow *flow, int64_t now_ms)
{
	ASSERT(flow->abort_backoff_ms > 0);
	flow->batch_not_before_ms = now_ms + flow->abort_backoff_ms;
	flow->abort_backoff_ms *= 2;
	if (flow->abort_backoff_ms > FLOW_ABORT_BACKOFF_MAX_MS) flow->abort_backoff_ms = FLOW_ABORT_BACKOFF_MAX_MS;
}

void flow_batch_done(struct flow *flow, struct batch *batch, struct instant now)
{
	ASSERT(batch != NULL);
	ASSERT(batch == flow->batch);
	ASSERT(batch->end != BATCH_PENDING);
	flow->batch = NULL;
	if (is_stored(batch)) {
		flow->abort_backoff_ms = FLOW_ABORT_BACKOFF_MS;
		finish_jobs(flow, batch->end != BATCH_PUBLISHED, now);
		adopt(flow, batch->end != BATCH_PUBLISHED, now);
	} else {
		answer_faults(flow, batch, now);
		requeue(flow);
		unstage(flow, now.mono_ms);
		back_off(flow, now.mono_ms);
	}
	batch_free(batch);
	flow_begin_heads(flow, now);
	flow_check(flow);
}
