/* A binary heap of due times: the earliest first, removal from the middle in O(log n).
 *
 * Intrusive: the element embeds a `struct heap_node`, which knows its place, so entering never searches. The heap
 * itself is an array of pointers that grows up to the ceiling given at heap_init().
 *
 * Owner: whoever embeds it. Thread: its owner's. Times are plain integers of any one unit. */
#ifndef COMMON_HEAP_H
#define COMMON_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

struct heap_node {
	int64_t due;
	size_t place; /* 1-based position; 0 = in no heap */
};

struct heap {
	struct heap_node **nodes; /* owned array of borrowed nodes */
	size_t count;
	size_t capacity;
	size_t count_max;
};

/* The element that `node` is the member `member` of. */
#define HEAP_ELEMENT(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

void heap_init(struct heap *heap, size_t count_max);

/* Forgets all nodes (they keep a stale place and must not be used with a heap again before heap_node_init). */
void heap_deinit(struct heap *heap);

void heap_node_init(struct heap_node *node);
bool heap_node_is_in(const struct heap_node *node);

/* Enters `node`, or moves it when it is already in this heap. STATUS_FULL at the ceiling, STATUS_NO_MEMORY. Moving
 * never fails. */
NODISCARD enum status heap_set(struct heap *heap, struct heap_node *node, int64_t due);

/* Does nothing for a node that is in no heap. */
void heap_remove(struct heap *heap, struct heap_node *node);

/* The earliest node, still in; NULL when empty. */
struct heap_node *heap_first(const struct heap *heap);

/* Takes out and returns the earliest node if it is due at `now` or before; NULL otherwise. */
struct heap_node *heap_take_due(struct heap *heap, int64_t now);

#endif
