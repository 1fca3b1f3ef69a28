/* Order within a conversation: see the header. */
#include "worker/core/lanes.h"

#include <stdlib.h>
#include <string.h>

#include "common/assertion.h"

/* A failed allocation inside uthash leaves the element unadded, which lanes_enter() looks at. */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((element)->is_lost = true)
#include <uthash.h>

struct lane {
	UT_hash_handle hh;
	struct list jobs;
	bool is_lost;
	size_t key_size;
	char key[]; /* partition (4 bytes), then the conversation id */
};

struct lanes {
	struct lane *table;
	struct hash_key hash_key;
};

enum { PARTITION_BYTES = sizeof(int32_t) };

struct lanes *lanes_new(struct hash_key key)
{
	struct lanes *lanes = calloc(1, sizeof(*lanes));
	if (lanes != NULL) lanes->hash_key = key;
	return lanes;
}

void lanes_free(struct lanes *lanes)
{
	if (lanes == NULL) return;
	ASSERT(lanes->table == NULL);
	free(lanes);
}

static struct lane *lane_new(const struct job *job)
{
	struct bytes id = job->request.conversation_id;
	ASSERT(job->record != NULL);
	ASSERT(id.data != NULL);
	struct lane *lane = calloc(1, sizeof(*lane) + PARTITION_BYTES + id.size);
	if (lane == NULL) return NULL;
	list_init(&lane->jobs);
	lane->key_size = PARTITION_BYTES + id.size;
	memcpy(lane->key, &job->record->partition, PARTITION_BYTES);
	memcpy(lane->key + PARTITION_BYTES, id.data, id.size);
	return lane;
}

/* The lane of the job's conversation, made if needed; NULL when memory is missing. */
static struct lane *lanes_find_or_add(struct lanes *lanes, const struct job *job)
{
	struct lane *fresh = lane_new(job);
	if (fresh == NULL) return NULL;
	unsigned hash = (unsigned)hash_keyed(lanes->hash_key, bytes_at(fresh->key, fresh->key_size));
	struct lane *found = NULL;
	HASH_FIND_BYHASHVALUE(hh, lanes->table, fresh->key, fresh->key_size, hash, found);
	if (found != NULL) {
		ASSERT(!found->is_lost);
		ASSERT(!list_is_empty(&found->jobs));
		free(fresh);
		return found;
	}
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, lanes->table, fresh->key, fresh->key_size, hash, fresh);
	if (!fresh->is_lost) return fresh;
	free(fresh);
	return NULL;
}

enum status lanes_enter(struct lanes *lanes, struct job *job)
{
	ASSERT(lanes != NULL);
	ASSERT(job->lane == NULL);
	ASSERT(!list_is_linked(&job->in_lane));
	ASSERT(job->request.conversation_id.size > 0);
	struct lane *lane = lanes_find_or_add(lanes, job);
	if (lane == NULL) return STATUS_NO_MEMORY;
	list_push_back(&lane->jobs, &job->in_lane);
	job->lane = lane;
	return STATUS_OK;
}

bool lanes_is_head(const struct job *job)
{
	ASSERT(job != NULL);
	ASSERT((job->lane != NULL) == list_is_linked(&job->in_lane));
	return job->lane == NULL || list_first(&job->lane->jobs) == &job->in_lane;
}

struct job *lanes_leave(struct lanes *lanes, struct job *job)
{
	struct lane *lane = job->lane;
	if (lane == NULL) return NULL;
	ASSERT(lanes->table != NULL);
	ASSERT(list_is_linked(&job->in_lane));
	bool was_head = lanes_is_head(job);
	list_unlink(&job->in_lane);
	job->lane = NULL;
	struct list *first = list_first(&lane->jobs);
	if (first == NULL) {
		HASH_DELETE(hh, lanes->table, lane);
		free(lane);
		return NULL;
	}
	return was_head ? LIST_ELEMENT(first, struct job, in_lane) : NULL;
}

void lanes_replace(struct job *job, struct job *by)
{
	ASSERT(job != by);
	ASSERT(by->lane == NULL);
	ASSERT(!list_is_linked(&by->in_lane));
	if (job->lane == NULL) return;
	ASSERT(list_is_linked(&job->in_lane));
	list_insert_between(&by->in_lane, &job->in_lane, job->in_lane.next);
	list_unlink(&job->in_lane);
	by->lane = job->lane;
	job->lane = NULL;
}

size_t lanes_count(const struct lanes *lanes)
{
	ASSERT(lanes != NULL);
	return HASH_COUNT(lanes->table);
}
