/* A hash table over digests of text and place; its insertion order is its age. */
#include "replay/standin_seen.h"

#include <stdlib.h>
#include <string.h>

#include "common/assertion.h"
#include "common/hash.h"

/* Half of every key is a keyed digest already; uthash's own function is not needed. */
#define HASH_FUNCTION(key, size, out_hash) (out_hash) = seen_fold(key, size)
/* A failed allocation inside uthash leaves the entry unadded. */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(entry) ((entry)->is_lost = true)
#include "uthash.h"

struct entry {
	struct {
		uint64_t text;
		uint64_t place;
	} key;
	int64_t count;
	bool is_lost; /* there was no memory to add it */
	UT_hash_handle hh;
};

static unsigned seen_fold(const void *key, size_t size)
{
	uint64_t words[2];
	ASSERT(size == sizeof words);
	memcpy(words, key, sizeof words);
	return (unsigned)(words[0] ^ words[0] >> 32 ^ words[1]);
}

struct standin_seen {
	struct entry *entries; /* owned, oldest first */
	size_t count_max;
};

struct standin_seen *standin_seen_new(size_t count_max)
{
	ASSERT(count_max > 0);
	struct standin_seen *seen = calloc(1, sizeof *seen);
	if (seen != NULL) seen->count_max = count_max;
	return seen;
}

static void forget(struct standin_seen *seen, struct entry *entry)
{
	HASH_DEL(seen->entries, entry);
	free(entry);
}

void standin_seen_free(struct standin_seen *seen)
{
	if (seen == NULL) return;
	while (seen->entries != NULL)
		forget(seen, seen->entries);
	free(seen);
}

int64_t standin_seen_count(struct standin_seen *seen, struct bytes text, size_t place)
{
	const struct hash_key key = { .k0 = 0x73747564, .k1 = 0x73656564 };
	struct entry wanted = { .key = { .text = hash_keyed(key, text), .place = place } };
	struct entry *entry = NULL;
	HASH_FIND(hh, seen->entries, &wanted.key, sizeof wanted.key, entry);
	if (entry != NULL) return entry->count++;
	if (HASH_COUNT(seen->entries) >= seen->count_max) forget(seen, seen->entries);
	entry = calloc(1, sizeof *entry);
	if (entry == NULL) return 0;
	entry->key = wanted.key;
	entry->count = 1;
	HASH_ADD(hh, seen->entries, key, sizeof entry->key, entry);
	if (entry->is_lost) free(entry);
	return 0;
}
