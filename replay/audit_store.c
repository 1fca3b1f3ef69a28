/* Requests in chunks, lanes in a table with open addressing. */
#include "replay/audit_store.h"

#include <stdlib.h>
#include <string.h>

#include "common/assertion.h"

enum { CHUNK = 1024, LANES_FIRST = 1024 };

_Static_assert(sizeof(struct audit_entry) == AUDIT_ENTRY_SIZE, "so many bytes are promised");

struct partition {
	int64_t start, end;
	struct audit_entry **chunks; /* owned, each of CHUNK entries */
	size_t chunk_count;
	size_t chunk_capacity;
	size_t count;
};

struct audit_store {
	struct partition *partitions; /* owned */
	size_t partition_count;
	size_t entries;
	size_t entries_max;
	size_t size;
};

int64_t audit_entry_offset(const struct audit_entry *entry)
{
	return (int64_t)entry->offset_high << 32 | (int64_t)entry->offset_low;
}

struct audit_store *audit_store_new(size_t entries_max)
{
	struct audit_store *store = calloc(1, sizeof *store);
	if (store != NULL) store->entries_max = entries_max;
	return store;
}

void audit_store_free(struct audit_store *store)
{
	if (store == NULL) return;
	for (size_t i = 0; i < store->partition_count; i++) {
		for (size_t j = 0; j < store->partitions[i].chunk_count; j++)
			free(store->partitions[i].chunks[j]);
		free(store->partitions[i].chunks);
	}
	free(store->partitions);
	free(store);
}

enum status audit_store_begin(struct audit_store *store, int64_t start, int64_t end)
{
	size_t count = store->partition_count + 1;
	struct partition *partitions = realloc(store->partitions, count * sizeof *partitions);
	if (partitions == NULL) return STATUS_NO_MEMORY;
	store->partitions = partitions;
	partitions[store->partition_count++] = (struct partition){ .start = start, .end = end };
	store->size += sizeof *partitions;
	return STATUS_OK;
}

static struct partition *partition_of(const struct audit_store *store, int32_t id)
{
	return id >= 0 && (size_t)id < store->partition_count ? &store->partitions[id] : NULL;
}

static enum status add_chunk(struct audit_store *store, struct partition *partition)
{
	if (partition->chunk_count == partition->chunk_capacity) {
		size_t capacity = partition->chunk_capacity == 0 ? 4 : partition->chunk_capacity * 2;
		struct audit_entry **chunks = realloc(partition->chunks, capacity * sizeof(struct audit_entry *));
		if (chunks == NULL) return STATUS_NO_MEMORY;
		partition->chunks = chunks;
		partition->chunk_capacity = capacity;
	}
	struct audit_entry *chunk = malloc(CHUNK * sizeof *chunk);
	if (chunk == NULL) return STATUS_NO_MEMORY;
	partition->chunks[partition->chunk_count++] = chunk;
	store->size += CHUNK * sizeof *chunk + sizeof(struct audit_entry *);
	return STATUS_OK;
}

static struct audit_entry *entry_at(const struct partition *partition, size_t index)
{
	ASSERT(index < partition->count);
	return &partition->chunks[index / CHUNK][index % CHUNK];
}

enum status audit_store_add(struct audit_store *store, int32_t id, int64_t offset, const struct audit_entry *entry)
{
	struct partition *partition = partition_of(store, id);
	ASSERT(partition != NULL);
	ASSERT(offset >= 0 && offset >> 48 == 0);
	ASSERT(partition->count == 0 || audit_entry_offset(entry_at(partition, partition->count - 1)) < offset);
	if (store->entries == store->entries_max) return STATUS_FULL;
	if (partition->count == partition->chunk_count * CHUNK) {
		enum status status = add_chunk(store, partition);
		if (status != STATUS_OK) return status;
	}
	partition->count++;
	store->entries++;
	struct audit_entry *slot = entry_at(partition, partition->count - 1);
	*slot = *entry;
	slot->offset_low = (uint32_t)((uint64_t)offset & UINT32_MAX);
	slot->offset_high = (unsigned)((uint64_t)offset >> 32) & UINT16_MAX;
	return STATUS_OK;
}

bool audit_store_range(const struct audit_store *store, int32_t id, int64_t *out_start, int64_t *out_end)
{
	const struct partition *partition = partition_of(store, id);
	if (partition == NULL) return false;
	*out_start = partition->start;
	*out_end = partition->end;
	return true;
}

struct audit_entry *audit_store_find(const struct audit_store *store, int32_t id, int64_t offset)
{
	const struct partition *partition = partition_of(store, id);
	if (partition == NULL) return NULL;
	size_t low = 0, high = partition->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct audit_entry *entry = entry_at(partition, middle);
		int64_t found = audit_entry_offset(entry);
		if (found == offset) return entry;
		if (found < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

size_t audit_store_partitions(const struct audit_store *store)
{
	return store->partition_count;
}

size_t audit_store_count(const struct audit_store *store, int32_t id)
{
	const struct partition *partition = partition_of(store, id);
	return partition != NULL ? partition->count : 0;
}

struct audit_entry *audit_store_at(const struct audit_store *store, int32_t id, size_t index)
{
	const struct partition *partition = partition_of(store, id);
	ASSERT(partition != NULL);
	return entry_at(partition, index);
}

size_t audit_store_size(const struct audit_store *store)
{
	return store->size;
}

struct lane {
	uint64_t name; /* 0 = free */
	int64_t offset;
};

struct audit_lanes {
	struct lane *table; /* owned; capacity is a power of two */
	size_t capacity;
	size_t count;
};

struct audit_lanes *audit_lanes_new(void)
{
	struct audit_lanes *lanes = calloc(1, sizeof *lanes);
	if (lanes == NULL) return NULL;
	lanes->capacity = LANES_FIRST;
	lanes->table = calloc(lanes->capacity, sizeof *lanes->table);
	if (lanes->table != NULL) return lanes;
	free(lanes);
	return NULL;
}

void audit_lanes_free(struct audit_lanes *lanes)
{
	if (lanes == NULL) return;
	free(lanes->table);
	free(lanes);
}

/* Where `name` is, or where it would be. There is always a free place. */
static struct lane *place_of(struct lane *table, size_t capacity, uint64_t name)
{
	size_t at = (size_t)name & (capacity - 1);
	while (table[at].name != 0 && table[at].name != name)
		at = (at + 1) & (capacity - 1);
	return &table[at];
}

static enum status grow(struct audit_lanes *lanes)
{
	size_t capacity = lanes->capacity * 2;
	struct lane *table = calloc(capacity, sizeof *table);
	if (table == NULL) return STATUS_NO_MEMORY;
	for (size_t i = 0; i < lanes->capacity; i++)
		if (lanes->table[i].name != 0) *place_of(table, capacity, lanes->table[i].name) = lanes->table[i];
	free(lanes->table);
	lanes->table = table;
	lanes->capacity = capacity;
	return STATUS_OK;
}

enum status audit_lanes_step(struct audit_lanes *lanes, uint64_t name, int64_t offset, int64_t *out_before)
{
	if (name == 0) name = 1;
	struct lane *lane = place_of(lanes->table, lanes->capacity, name);
	int64_t before = lane->name != 0 ? lane->offset : -1;
	if (lane->name == 0) {
		if (lanes->count + 1 > lanes->capacity / 4 * 3) {
			enum status status = grow(lanes);
			if (status != STATUS_OK) return status;
			lane = place_of(lanes->table, lanes->capacity, name);
		}
		lanes->count++;
	}
	*lane = (struct lane){ .name = name, .offset = offset };
	*out_before = before;
	return STATUS_OK;
}

void audit_lanes_clear(struct audit_lanes *lanes)
{
	memset(lanes->table, 0, lanes->capacity * sizeof *lanes->table);
	lanes->count = 0;
}

size_t audit_lanes_count(const struct audit_lanes *lanes)
{
	return lanes->count;
}

size_t audit_lanes_size(const struct audit_lanes *lanes)
{
	return lanes->capacity * sizeof *lanes->table;
}
