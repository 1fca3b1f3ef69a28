/* The transfers of one upstream thread: see the header. */
#include "worker/edge/upstream_transfers.h"

#include <stdlib.h>

#include "common/assertion.h"

enum status upstream_transfers_init(struct upstream_transfers *table, size_t count_max, uint64_t id_step)
{
	ASSERT(count_max > 0);
	ASSERT(id_step > 0);
	size_t bucket_count = 64;
	while (bucket_count < count_max / id_step)
		bucket_count *= 2;
	struct list *buckets = calloc(bucket_count, sizeof(*buckets));
	if (buckets == NULL) return STATUS_NO_MEMORY;
	for (size_t i = 0; i < bucket_count; i++)
		list_init(&buckets[i]);
	*table = (struct upstream_transfers){
		.buckets = buckets, .bucket_count = bucket_count, .id_step = id_step, .count_max = count_max
	};
	list_init(&table->free);
	heap_init(&table->watchdogs, count_max);
	return STATUS_OK;
}

void upstream_transfers_deinit(struct upstream_transfers *table)
{
	if (table->buckets == NULL) return;
	for (struct upstream_transfer *transfer; (transfer = upstream_transfers_take(table)) != NULL;) {
		upstream_transfer_free(transfer);
		table->count--;
	}
	ASSERT(table->count == 0);
	heap_deinit(&table->watchdogs);
	free(table->buckets);
	table->buckets = NULL;
}

struct upstream_transfer *upstream_transfers_take(struct upstream_transfers *table)
{
	struct list *place = list_pop_front(&table->free);
	return place == NULL ? NULL : LIST_ELEMENT(place, struct upstream_transfer, place);
}

bool upstream_transfers_may_grow(const struct upstream_transfers *table)
{
	return table->count < table->count_max;
}

/* Ids come from a counter, so dividing spreads them better than any hash. */
static struct list *bucket_of(const struct upstream_transfers *table, uint64_t id)
{
	return &table->buckets[(id / table->id_step) & (table->bucket_count - 1)];
}

enum status upstream_transfers_enter(struct upstream_transfers *table, struct upstream_transfer *transfer)
{
	enum status status = heap_set(&table->watchdogs, &transfer->watchdog, upstream_transfer_due(transfer));
	if (status != STATUS_OK) return status;
	list_push_front(bucket_of(table, transfer->call->id), &transfer->bucket);
	return STATUS_OK;
}

void upstream_transfers_watch(struct upstream_transfers *table, struct upstream_transfer *transfer)
{
	ASSERT(heap_node_is_in(&transfer->watchdog));
	enum status status = heap_set(&table->watchdogs, &transfer->watchdog, upstream_transfer_due(transfer));
	ASSERT(status == STATUS_OK);
}

void upstream_transfers_forget(struct upstream_transfer *transfer)
{
	list_unlink(&transfer->bucket);
}

void upstream_transfers_put(struct upstream_transfers *table, struct upstream_transfer *transfer)
{
	ASSERT(transfer->state == UPSTREAM_TRANSFER_FREE);
	ASSERT(!list_is_linked(&transfer->bucket));
	heap_remove(&table->watchdogs, &transfer->watchdog);
	list_push_front(&table->free, &transfer->place);
}

struct upstream_transfer *upstream_transfers_find(const struct upstream_transfers *table, uint64_t id)
{
	LIST_EACH(node, bucket_of(table, id))
	{
		struct upstream_transfer *transfer = LIST_ELEMENT(node, struct upstream_transfer, bucket);
		if (transfer->call->id == id) return transfer;
	}
	return NULL;
}

struct upstream_transfer *upstream_transfers_overdue(struct upstream_transfers *table, int64_t now_ms)
{
	for (;;) {
		struct heap_node *node = heap_first(&table->watchdogs);
		if (node == NULL || node->due > now_ms) return NULL;
		struct upstream_transfer *transfer = HEAP_ELEMENT(node, struct upstream_transfer, watchdog);
		int64_t due = upstream_transfer_due(transfer);
		if (due <= now_ms) return transfer;
		enum status status = heap_set(&table->watchdogs, node, due);
		ASSERT(status == STATUS_OK);
	}
}

int64_t upstream_transfers_due(const struct upstream_transfers *table)
{
	const struct heap_node *node = heap_first(&table->watchdogs);
	return node == NULL ? INT64_MAX : node->due;
}
