/* Jobs for tests of what holds jobs: a record with a partition and an offset, a conversation, nothing else. */
#ifndef TESTS_UNIT_JOBS_H
#define TESTS_UNIT_JOBS_H

#include "worker/core/job.h"

enum { JOB_ARENA_MAX = 4096 };

/* NULL when memory is missing. `conversation` is borrowed. */
static inline struct job *job_of(int32_t partition, int64_t offset, struct bytes conversation)
{
	struct record source = { .partition = partition, .offset = offset, .value = BYTES_LITERAL("{}") };
	struct record *record = record_new(&source);
	if (record == NULL) return NULL;
	struct job *job = job_new(&record, JOB_ARENA_MAX);
	if (job == NULL)
		record_free(record);
	else
		job->request.conversation_id = conversation;
	return job;
}

#endif
