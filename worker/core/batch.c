/* One transaction's worth of work: see the header. */
#include "worker/core/batch.h"

#include <stdlib.h>

#include "common/assertion.h"

struct batch *batch_new(size_t item_count_max, size_t progress_count_max)
{
	ASSERT(item_count_max < SIZE_MAX / sizeof(struct batch_item));
	ASSERT(progress_count_max < SIZE_MAX / sizeof(struct batch_progress));
	struct batch *batch = calloc(1, sizeof(*batch));
	if (batch == NULL) return NULL;
	/* One more than asked for: calloc() of nothing may give NULL. */
	batch->items = calloc(item_count_max + 1, sizeof(struct batch_item));
	batch->progress = calloc(progress_count_max + 1, sizeof(struct batch_progress));
	if (batch->items == NULL || batch->progress == NULL) {
		batch_free(batch);
		return NULL;
	}
	return batch;
}

static void free_progress(struct batch_progress *progress, size_t count)
{
	if (progress == NULL) return;
	for (size_t i = 0; i < count; i++)
		free((void *)(uintptr_t)progress[i].metadata.data);
	free(progress);
}

void batch_free(struct batch *batch)
{
	if (batch == NULL) return;
	ASSERT(batch->items != NULL || batch->item_count == 0);
	ASSERT(batch->progress != NULL || batch->progress_count == 0);
	free_progress(batch->progress, batch->progress_count);
	free_progress(batch->found, batch->progress_count);
	free((void *)(uintptr_t)batch->group.data);
	free(batch->items);
	free(batch);
}

enum status batch_make_found(struct batch *batch)
{
	ASSERT(batch != NULL);
	ASSERT(batch->progress != NULL);
	ASSERT(batch->found == NULL);
	struct batch_progress *found = calloc(batch->progress_count + 1, sizeof(struct batch_progress));
	if (found == NULL) return STATUS_NO_MEMORY;
	for (size_t i = 0; i < batch->progress_count; i++)
		found[i] = (struct batch_progress){ .partition = batch->progress[i].partition, .offset = -1 };
	batch->found = found;
	return STATUS_OK;
}
