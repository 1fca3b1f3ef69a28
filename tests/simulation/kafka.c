/* The scripted Kafka: logs with gaps, committed progress, transactions with fencing by generation. */
#include <stdio.h>
#include <string.h>

#include "common/assertion.h"
#include "world.h"

void kafka_init(struct world *world)
{
	for (int p = 0; p < PARTITIONS; p++) {
		struct partition *partition = &world->partitions[p];
		partition->owner = -1;
		partition->former = -1;
		partition->committed = -1;
		partition->pending = -1;
		for (int c = 0; c < CONVERSATIONS; c++)
			partition->last_reply[c] = -1;
	}
}

void kafka_add_request(struct world *world)
{
	struct partition *partition = &world->partitions[random_below(&world->random, PARTITIONS)];
	if (partition->end >= REQUESTS_MAX - 4) return;
	/* Transaction markers and the like take offsets, too. */
	if (world_chance(world, 15)) partition->end += world_draw(world, 1, 3);
	world_tell(world, "request %lld", (long long)partition->end);
	partition->requests[partition->end++] = (struct request){
		.exists = true,
		.is_bad = world_chance(world, 10),
		.conversation = (int)random_below(&world->random, CONVERSATIONS),
		.timestamp_ms = world->now_ms,
	};
}

void kafka_offsets(struct world *world, int index)
{
	struct member *member = &world->members[index];
	ASSERT(member->phase == TRANSACTION_BEFORE_OFFSETS);
	member->phase = TRANSACTION_PENDING;
	/* The broker checks the generation when the offsets come, and only then. */
	if (member->is_zombie || member->batch_generation != world->generation) {
		member->truth = false;
		member->answer = BATCH_ABORTED;
		world_tell(world, "fenced member %d", index);
		return;
	}
	for (size_t i = 0; i < member->batch->progress_count; i++)
		world->partitions[member->batch->progress[i].partition].pending = index;
	world_tell(world, "offsets of member %d", index);
}

bool kafka_has(const struct partition *partition, const struct record *record)
{
	char mark[64];
	snprintf(mark, sizeof(mark), "at:%d/%lld/%d ", record->partition, (long long)record->offset,
		partition->incarnation);
	return memmem(record->value.data, record->value.size, mark, strlen(mark)) != NULL;
}

static void commit_reply(struct world *world, struct partition *partition, const struct job *job)
{
	int p = job->record->partition;
	int64_t offset = job->record->offset;
	struct request *request = &partition->requests[offset];
	request->replies++;
	world->replies++;
	world_tell(world, "reply %d/%lld", p, (long long)offset);
	if (!request->is_bad && !kafka_has(partition, job->record))
		world_break(world, 1, "reply to another record than that at %d/%lld", p, (long long)offset);
	if (request->replies > 1) world_break(world, 1, "request %d/%lld has two replies", p, (long long)offset);
	int64_t *last = &partition->last_reply[request->conversation];
	if (request->replies == 1 && !request->is_bad && *last >= offset)
		world_break(world, 3, "reply to %d/%lld came after the one to %lld", p, (long long)offset,
			(long long)*last);
	if (*last < offset && !request->is_bad) *last = offset;
}

static void commit_items(struct world *world, const struct batch *batch)
{
	for (size_t i = 0; i < batch->item_count; i++) {
		const struct job *job = batch->items[i].owner;
		world_fold_bytes(world, batch->items[i].record->value);
		int p = job->record->partition;
		struct partition *partition = &world->partitions[p];
		if (!batch->items[i].record->is_dead_letter)
			commit_reply(world, partition, job);
		else if (bytes_equal(batch->items[i].record->value, job->record->value))
			partition->requests[job->record->offset].dead_letters++;
	}
	for (size_t i = 0; i < batch->item_count; i++) {
		const struct job *job = batch->items[i].owner;
		const struct request *request =
			&world->partitions[job->record->partition].requests[job->record->offset];
		if (request->is_bad && request->dead_letters != request->replies)
			world_break(world, 5, "bad request %d/%lld without its dead letter", job->record->partition,
				(long long)job->record->offset);
	}
}

static void commit_progress(struct world *world, const struct batch *batch)
{
	for (size_t i = 0; i < batch->progress_count; i++) {
		const struct batch_progress *row = &batch->progress[i];
		struct partition *partition = &world->partitions[row->partition];
		if (row->offset < partition->committed)
			world_break(world, 1, "committed offset of %d goes back", row->partition);
		partition->committed = row->offset;
		world_fold_bytes(world, row->metadata);
		ASSERT(row->metadata.size <= METADATA_MAX);
		memcpy(partition->metadata, row->metadata.data, row->metadata.size);
		partition->metadata_size = row->metadata.size;
	}
}

void kafka_end(struct world *world, int index)
{
	struct member *member = &world->members[index];
	ASSERT(member->phase == TRANSACTION_PENDING);
	member->phase = TRANSACTION_ENDED;
	world_tell(world, "transaction of member %d ends %d", index, (int)member->truth);
	if (member->truth) {
		commit_items(world, member->batch);
		commit_progress(world, member->batch);
	}
	for (int p = 0; p < PARTITIONS; p++)
		if (world->partitions[p].pending == index) world->partitions[p].pending = -1;
}

void kafka_fill_found(const struct world *world, struct batch *batch)
{
	enum status status = batch_make_found(batch);
	ASSERT(status == STATUS_OK);
	for (size_t i = 0; i < batch->progress_count; i++) {
		const struct partition *partition = &world->partitions[batch->found[i].partition];
		batch->found[i].offset = partition->committed;
		if (partition->metadata_size == 0) continue;
		char *copy = strndup(partition->metadata, partition->metadata_size);
		ASSERT(copy != NULL);
		batch->found[i].metadata = bytes_at(copy, partition->metadata_size);
	}
}

bool kafka_has_all_progress(const struct world *world)
{
	for (int p = 0; p < PARTITIONS; p++)
		if (world->partitions[p].end > 0 && world->partitions[p].committed < world->partitions[p].end)
			return false;
	return true;
}

void kafka_check_all_answered(struct world *world)
{
	for (int p = 0; p < PARTITIONS; p++)
		for (int64_t offset = 0; offset < world->partitions[p].end; offset++) {
			const struct request *request = &world->partitions[p].requests[offset];
			if (!request->exists || request->replies == 1) continue;
			world_break(world, 1, "request %d/%lld has %d replies at the end", p, (long long)offset,
				request->replies);
		}
	for (int p = 0; p < PARTITIONS; p++) {
		const struct partition *partition = &world->partitions[p];
		if (partition->end > 0 && partition->committed != partition->end)
			world_break(world, 1, "progress of %d is %lld of %lld at the end", p,
				(long long)partition->committed, (long long)partition->end);
	}
}

void kafka_draw_blackout(struct world *world)
{
	struct blackout *blackout = &world->blackout;
	bool is_long = world_chance(world, 70);
	blackout->from_ms = world->now_ms + world_draw(world, 1000, 12000);
	blackout->until_ms = blackout->from_ms + (is_long ? world_draw(world, SESSION_MS + 500, 15000)
							  : world_draw(world, 300, SESSION_MS - 500));
	if (!world_chance(world, 75)) *blackout = (struct blackout){ .from_ms = INT64_MAX, .is_over = true };
}

bool kafka_is_down(const struct world *world)
{
	return !world->blackout.is_over && world->now_ms >= world->blackout.from_ms;
}

/* What was under way for the old topic goes with it. */
static void abort_transactions(struct world *world, int p)
{
	for (int m = 0; m < MEMBERS; m++) {
		struct member *member = &world->members[m];
		if (world->partitions[p].pending != m) continue;
		ASSERT(member->phase == TRANSACTION_PENDING);
		member->truth = false;
		if (member->answer == BATCH_COMMITTED) member->answer = BATCH_ABORTED;
	}
}

void kafka_make_anew(struct world *world, int p)
{
	struct partition *partition = &world->partitions[p];
	ASSERT(partition->owner == -1);
	abort_transactions(world, p);
	world_tell(world, "topic of %d made anew", p);
	*partition = (struct partition){
		.incarnation = partition->incarnation + 1,
		.owner = -1,
		.former = partition->former,
		.committed = -1,
		.pending = partition->pending,
	};
	for (int c = 0; c < CONVERSATIONS; c++)
		partition->last_reply[c] = -1;
	for (int m = 0; m < MEMBERS; m++)
		memset(world->members[m].finished[p], 0, sizeof(world->members[m].finished[p]));
}
