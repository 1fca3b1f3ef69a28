/* Memory that lives and dies together: see the header. */
#include "common/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "common/assertion.h"

/* The first chunk holds the arena itself and a small chat; later ones double up to the largest. */
enum { ARENA_CHUNK_FIRST = 4096, ARENA_CHUNK_LARGEST = 65536, ARENA_ALIGNMENT = alignof(max_align_t) };

struct arena_chunk {
	struct arena_chunk *next;
	size_t size; /* of the whole chunk */
};

struct arena {
	struct arena_chunk *chunks; /* the newest first; the oldest holds this struct */
	char *free;
	char *end;
	size_t size;
	size_t size_max;
	size_t chunk_size; /* of the next ordinary chunk */
};

static size_t aligned(size_t size)
{
	return (size + (ARENA_ALIGNMENT - 1)) & ~(size_t)(ARENA_ALIGNMENT - 1);
}

struct arena *arena_new(size_t size_max)
{
	size_t head = aligned(sizeof(struct arena_chunk)) + aligned(sizeof(struct arena));
	/* Half of all memory is no bound either, and leaves room for sums that cannot overflow. */
	if (size_max > SIZE_MAX / 2) size_max = SIZE_MAX / 2;
	if (size_max < head) size_max = head;
	size_t size = size_max < ARENA_CHUNK_FIRST ? size_max : ARENA_CHUNK_FIRST;
	struct arena_chunk *chunk = malloc(size);
	if (chunk == NULL) return NULL;
	*chunk = (struct arena_chunk){ .size = size };

	struct arena *arena = (struct arena *)(void *)((char *)chunk + aligned(sizeof(*chunk)));
	*arena = (struct arena){
		.chunks = chunk,
		.free = (char *)chunk + head,
		.end = (char *)chunk + size,
		.size = size,
		.size_max = size_max,
		.chunk_size = 2 * (size_t)ARENA_CHUNK_FIRST,
	};
	return arena;
}

void arena_free(struct arena *arena)
{
	if (arena == NULL) return;
	struct arena_chunk *chunk = arena->chunks;
	while (chunk != NULL) {
		struct arena_chunk *next = chunk->next;
		free(chunk);
		chunk = next;
	}
}

/* A new chunk with room for `needed` bytes; false when there can be none. */
static bool arena_grow(struct arena *arena, size_t needed)
{
	size_t head = aligned(sizeof(struct arena_chunk));
	size_t size = needed + head > arena->chunk_size ? needed + head : arena->chunk_size;
	size_t left = arena->size_max - arena->size;
	if (size > left) size = left;
	if (size < needed + head) return false;

	struct arena_chunk *chunk = malloc(size);
	if (chunk == NULL) return false;
	*chunk = (struct arena_chunk){ .next = arena->chunks, .size = size };
	arena->chunks = chunk;
	arena->free = (char *)chunk + head;
	arena->end = (char *)chunk + size;
	arena->size += size;
	if (arena->chunk_size < ARENA_CHUNK_LARGEST) arena->chunk_size *= 2;
	return true;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	ASSERT(arena != NULL);
	if (size > arena->size_max) return NULL;
	size_t needed = aligned(size);
	if (needed > (size_t)(arena->end - arena->free) && !arena_grow(arena, needed)) return NULL;
	void *memory = arena->free;
	arena->free += needed;
	return memory;
}

void *arena_calloc(struct arena *arena, size_t count, size_t size)
{
	size_t total;
	if (__builtin_mul_overflow(count, size, &total)) return NULL;
	void *memory = arena_alloc(arena, total);
	if (memory != NULL) memset(memory, 0, total);
	return memory;
}

enum status arena_copy(struct arena *arena, struct bytes view, struct bytes *out_copy)
{
	if (!bytes_is_given(view)) {
		*out_copy = BYTES_NONE;
		return STATUS_OK;
	}
	char *data = arena_alloc(arena, view.size);
	if (data == NULL) return STATUS_NO_MEMORY;
	if (view.size > 0) memcpy(data, view.data, view.size);
	*out_copy = bytes_at(data, view.size);
	return STATUS_OK;
}

size_t arena_size(const struct arena *arena)
{
	return arena->size;
}
