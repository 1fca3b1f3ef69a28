/* Intrusive doubly linked lists: the node sits in the element, so linking never allocates.
 *
 * A list is a head node; an unlinked node points to itself or is zeroed. An element is on at most one list per node.
 * Owner and thread: those of the elements. All operations take constant time. */
#ifndef COMMON_LIST_H
#define COMMON_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "common/assertion.h"

struct list {
	struct list *next;
	struct list *previous;
};

/* The element that `node` is the member `member` of; `node` must not be the head. */
#define LIST_ELEMENT(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

/* Walks all nodes of `head`; the body must not unlink `node` (take from the front for that). */
#define LIST_EACH(node, head) for (struct list *node = (head)->next; node != (head); node = node->next)

/* For heads and for fresh nodes. */
static inline void list_init(struct list *node)
{
	node->next = node;
	node->previous = node;
}

static inline bool list_is_empty(const struct list *head)
{
	return head->next == head;
}

/* True for a node that is on some list; a zeroed node is on none. */
static inline bool list_is_linked(const struct list *node)
{
	return node->next != NULL && node->next != node;
}

static inline void list_insert_between(struct list *node, struct list *previous, struct list *next)
{
	ASSERT(!list_is_linked(node));
	node->next = next;
	node->previous = previous;
	previous->next = node;
	next->previous = node;
}

static inline void list_push_front(struct list *head, struct list *node)
{
	list_insert_between(node, head, head->next);
}

static inline void list_push_back(struct list *head, struct list *node)
{
	list_insert_between(node, head->previous, head);
}

/* Leaves `node` unlinked; unlinking an unlinked node does nothing. */
static inline void list_unlink(struct list *node)
{
	if (!list_is_linked(node)) return;
	node->previous->next = node->next;
	node->next->previous = node->previous;
	list_init(node);
}

/* The first node, still linked; NULL when empty. */
static inline struct list *list_first(const struct list *head)
{
	return list_is_empty(head) ? NULL : head->next;
}

/* Unlinks and returns the first node; NULL when empty. */
static inline struct list *list_pop_front(struct list *head)
{
	struct list *node = list_first(head);
	if (node != NULL) list_unlink(node);
	return node;
}

#endif
