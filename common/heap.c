/* A binary heap of due times: see the header. */
#include "common/heap.h"

#include <stdlib.h>

#include "common/assertion.h"

enum { HEAP_CAPACITY_FIRST = 64 };

void heap_init(struct heap *heap, size_t count_max)
{
	*heap = (struct heap){ .count_max = count_max };
}

void heap_deinit(struct heap *heap)
{
	free(heap->nodes);
	*heap = (struct heap){ .count_max = heap->count_max };
}

void heap_node_init(struct heap_node *node)
{
	*node = (struct heap_node){ 0 };
}

bool heap_node_is_in(const struct heap_node *node)
{
	return node->place != 0;
}

/* Places are 1-based, so that a zeroed node is in no heap. */
static struct heap_node *node_at(const struct heap *heap, size_t place)
{
	return heap->nodes[place - 1];
}

static void put_at(struct heap *heap, size_t place, struct heap_node *node)
{
	heap->nodes[place - 1] = node;
	node->place = place;
}

static void sift_up(struct heap *heap, struct heap_node *node)
{
	size_t place = node->place;
	while (place > 1 && node_at(heap, place / 2)->due > node->due) {
		put_at(heap, place, node_at(heap, place / 2));
		place /= 2;
	}
	put_at(heap, place, node);
}

static void sift_down(struct heap *heap, struct heap_node *node)
{
	size_t place = node->place;
	for (;;) {
		size_t child = place * 2;
		if (child > heap->count) break;
		if (child < heap->count && node_at(heap, child + 1)->due < node_at(heap, child)->due) child++;
		if (node_at(heap, child)->due >= node->due) break;
		put_at(heap, place, node_at(heap, child));
		place = child;
	}
	put_at(heap, place, node);
}

static enum status heap_reserve(struct heap *heap)
{
	if (heap->count < heap->capacity) return STATUS_OK;
	if (heap->count >= heap->count_max) return STATUS_FULL;
	size_t capacity = heap->capacity == 0 ? HEAP_CAPACITY_FIRST : heap->capacity * 2;
	if (capacity > heap->count_max) capacity = heap->count_max;
	struct heap_node **nodes = realloc(heap->nodes, capacity * sizeof(struct heap_node *));
	if (nodes == NULL) return STATUS_NO_MEMORY;
	heap->nodes = nodes;
	heap->capacity = capacity;
	return STATUS_OK;
}

enum status heap_set(struct heap *heap, struct heap_node *node, int64_t due)
{
	if (!heap_node_is_in(node)) {
		enum status status = heap_reserve(heap);
		if (status != STATUS_OK) return status;
		heap->count++;
		put_at(heap, heap->count, node);
	}
	ASSERT(node->place <= heap->count);
	ASSERT(node_at(heap, node->place) == node);
	node->due = due;
	sift_up(heap, node);
	sift_down(heap, node);
	return STATUS_OK;
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
	if (!heap_node_is_in(node)) return;
	ASSERT(node->place <= heap->count);
	ASSERT(node_at(heap, node->place) == node);
	struct heap_node *last = node_at(heap, heap->count);
	size_t place = node->place;
	heap->count--;
	node->place = 0;
	if (last == node) return;
	put_at(heap, place, last);
	sift_up(heap, last);
	sift_down(heap, last);
}

struct heap_node *heap_first(const struct heap *heap)
{
	return heap->count == 0 ? NULL : node_at(heap, 1);
}

struct heap_node *heap_take_due(struct heap *heap, int64_t now)
{
	struct heap_node *first = heap_first(heap);
	if (first == NULL || first->due > now) return NULL;
	heap_remove(heap, first);
	return first;
}
