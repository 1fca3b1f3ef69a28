/* What is kept of chats whose partition was given up: see the header. */
#include "worker/core/park.h"

#include <stdlib.h>

#include "common/assertion.h"

/* A failed allocation inside uthash leaves the element unadded, which park_put() looks at. */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((element)->is_lost = true)
#include <uthash.h>

/* Without padding, so that its bytes can be hashed. */
struct park_key {
	int64_t offset;
	int64_t partition;
};

struct park_entry {
	UT_hash_handle hh;
	struct park_key key;
	struct job *job;
	struct list by_age;
	struct list by_call; /* linked while its call runs */
	size_t bytes;
	int64_t until_ms;
	bool is_lost;
};

struct park {
	struct park_entry *table;
	struct hash_key hash_key;
	struct list by_age;
	struct list by_call;
	size_t calls;
	size_t bytes;
};

const char *park_end_word(enum park_end end)
{
#define PARK_END_WORD(member, word) word,
	static const char *const words[] = { PARK_END_TABLE(PARK_END_WORD) };
#undef PARK_END_WORD
	ASSERT((int)end >= 0);
	ASSERT((int)end < (int)PARK_END_COUNT);
	return words[end];
}

/* What holds between all calls. */
static void check(const struct park *park)
{
	ASSERT(list_is_empty(&park->by_age) == (HASH_COUNT(park->table) == 0));
	ASSERT(list_is_empty(&park->by_call) == (park->calls == 0));
	ASSERT(park->calls <= HASH_COUNT(park->table));
	ASSERT(park->bytes > 0 || list_is_empty(&park->by_age));
}

struct park *park_new(struct hash_key key)
{
	struct park *park = calloc(1, sizeof(*park));
	if (park == NULL) return NULL;
	park->hash_key = key;
	list_init(&park->by_age);
	list_init(&park->by_call);
	check(park);
	return park;
}

void park_free(struct park *park)
{
	if (park == NULL) return;
	ASSERT(park->table == NULL);
	ASSERT(park->bytes == 0);
	free(park);
}

static unsigned hash_of(const struct park *park, const struct park_key *key)
{
	return (unsigned)hash_keyed(park->hash_key, bytes_at((const char *)key, sizeof(*key)));
}

static struct park_entry *find(const struct park *park, int32_t partition, int64_t offset)
{
	ASSERT(partition >= 0);
	ASSERT(offset >= 0);
	struct park_key key = { .offset = offset, .partition = partition };
	struct park_entry *entry = NULL;
	HASH_FIND_BYHASHVALUE(hh, park->table, &key, sizeof(key), hash_of(park, &key), entry);
	ASSERT(entry == NULL || entry->job->parked == entry);
	return entry;
}

/* The newest is kept the longest, so the list is in the order of both. */
static bool is_newest(const struct park *park, int64_t until_ms)
{
	if (list_is_empty(&park->by_age)) return true;
	return LIST_ELEMENT(park->by_age.previous, struct park_entry, by_age)->until_ms <= until_ms;
}

enum status park_put(struct park *park, struct job *job, size_t bytes, int64_t until_ms, bool is_calling)
{
	ASSERT(job->parked == NULL);
	ASSERT(bytes > 0);
	ASSERT(is_newest(park, until_ms));
	ASSERT(find(park, job->record->partition, job->record->offset) == NULL);
	struct park_entry *entry = calloc(1, sizeof(*entry));
	if (entry == NULL) return STATUS_NO_MEMORY;
	entry->key = (struct park_key){ .offset = job->record->offset, .partition = job->record->partition };
	HASH_ADD_BYHASHVALUE(hh, park->table, key, sizeof(entry->key), hash_of(park, &entry->key), entry);
	if (entry->is_lost) {
		free(entry);
		return STATUS_NO_MEMORY;
	}
	entry->job = job;
	entry->bytes = bytes;
	entry->until_ms = until_ms;
	job->parked = entry;
	list_push_back(&park->by_age, &entry->by_age);
	if (is_calling) {
		list_push_back(&park->by_call, &entry->by_call);
		park->calls++;
	}
	park->bytes += bytes;
	check(park);
	return STATUS_OK;
}

static void end_call(struct park *park, struct park_entry *entry)
{
	if (!list_is_linked(&entry->by_call)) return;
	ASSERT(park->calls > 0);
	list_unlink(&entry->by_call);
	park->calls--;
}

void park_call_ended(struct park *park, struct job *job, size_t bytes)
{
	struct park_entry *entry = job->parked;
	ASSERT(entry != NULL);
	ASSERT(list_is_linked(&entry->by_call));
	ASSERT(park->bytes >= entry->bytes);
	ASSERT(bytes > 0);
	end_call(park, entry);
	park->bytes += bytes - entry->bytes;
	entry->bytes = bytes;
	check(park);
}

void park_remove(struct park *park, struct job *job)
{
	struct park_entry *entry = job->parked;
	ASSERT(entry != NULL);
	ASSERT(entry->job == job);
	ASSERT(park->bytes >= entry->bytes);
	end_call(park, entry);
	list_unlink(&entry->by_age);
	park->bytes -= entry->bytes;
	job->parked = NULL;
	HASH_DELETE(hh, park->table, entry);
	free(entry);
	check(park);
}

struct job *park_find(const struct park *park, int32_t partition, int64_t offset)
{
	struct park_entry *entry = find(park, partition, offset);
	return entry == NULL ? NULL : entry->job;
}

struct job *park_oldest(const struct park *park)
{
	struct list *node = list_first(&park->by_age);
	return node == NULL ? NULL : LIST_ELEMENT(node, struct park_entry, by_age)->job;
}

struct job *park_oldest_call(const struct park *park)
{
	struct list *node = list_first(&park->by_call);
	return node == NULL ? NULL : LIST_ELEMENT(node, struct park_entry, by_call)->job;
}

struct job *park_next(const struct park *park, const struct job *job)
{
	ASSERT(job->parked != NULL);
	struct list *node = job->parked->by_age.next;
	return node == &park->by_age ? NULL : LIST_ELEMENT(node, struct park_entry, by_age)->job;
}

int64_t park_due(const struct park *park)
{
	struct job *job = park_oldest(park);
	return job == NULL ? INT64_MAX : job->parked->until_ms;
}

size_t park_count(const struct park *park)
{
	return HASH_COUNT(park->table);
}

size_t park_calls(const struct park *park)
{
	return park->calls;
}

size_t park_bytes(const struct park *park)
{
	return park->bytes;
}
