/* A chat on its way: see the header. */
#include "worker/core/job.h"

#include <stdlib.h>

#include "common/assertion.h"

struct job_state_row {
	const char *word;
	unsigned after;
};

#define JOB_TO(member) (1U << (member))
#define JOB_STATE_ROW(member, word, after) { word, after },
static const struct job_state_row job_state_rows[] = { JOB_STATE_TABLE(JOB_STATE_ROW) };
#undef JOB_STATE_ROW

_Static_assert(sizeof(job_state_rows) / sizeof(job_state_rows[0]) == JOB_GONE + 1, "one row a state");

struct job *job_new(struct record **record, size_t arena_max)
{
	ASSERT(*record != NULL);
	struct arena *arena = arena_new(arena_max);
	if (arena == NULL) return NULL;
	struct job *job = calloc(1, sizeof(*job));
	if (job == NULL) {
		arena_free(arena);
		return NULL;
	}
	job->state = JOB_NEW;
	job->arena = arena;
	job->record = *record;
	*record = NULL;
	list_init(&job->queue);
	list_init(&job->in_lane);
	list_init(&job->in_partition);
	heap_node_init(&job->due);
	return job;
}

void job_free(struct job *job)
{
	if (job == NULL) return;
	ASSERT(!list_is_linked(&job->queue));
	ASSERT(!list_is_linked(&job->in_lane));
	ASSERT(!list_is_linked(&job->in_partition));
	ASSERT(!heap_node_is_in(&job->due));
	arena_free(job->arena);
	record_free(job->record);
	free(job);
}

void job_change(struct job *job, enum job_state state)
{
	ASSERT((job_state_rows[job->state].after & JOB_TO(state)) != 0);
	job->state = state;
}

const char *job_state_word(enum job_state state)
{
	ASSERT((int)state >= 0 && state <= JOB_GONE);
	return job_state_rows[state].word;
}
