/* Memory that lives and dies together: one arena per chat, everything of the chat inside.
 *
 * Allocation moves a pointer through chunks; nothing is freed singly. The arena has a ceiling given at creation, so
 * no chat can take more than its share. A request that passes the ceiling, or that the system refuses, gives NULL,
 * and the arena stays usable.
 *
 * Owner: whoever called arena_new(); it moves between threads only as a whole. Nothing blocks. */
#ifndef COMMON_ARENA_H
#define COMMON_ARENA_H

#include "common/bytes.h"

struct arena;

/* `size_max` bounds the bytes taken from the system by this arena, its own few dozen bytes included, which it always
 * takes. NULL when memory is missing. */
NODISCARD struct arena *arena_new(size_t size_max);

/* Accepts NULL. */
void arena_free(struct arena *arena);

/* Aligned for any type, contents undefined. `size` 0 gives a valid pointer. NULL at the ceiling or without memory. */
NODISCARD void *arena_alloc(struct arena *arena, size_t size);

/* `count` zeroed elements; NULL also when the product overflows. */
NODISCARD void *arena_calloc(struct arena *arena, size_t count, size_t size);

/* Copies `view` into the arena. BYTES_NONE stays BYTES_NONE. STATUS_NO_MEMORY at the ceiling or without memory. */
NODISCARD enum status arena_copy(struct arena *arena, struct bytes view, struct bytes *out_copy);

/* Bytes taken from the system so far, for the accounts of memory. */
size_t arena_size(const struct arena *arena);

#endif
