/* The heap against the simplest thing that does the same: a search through all nodes. */
#include "common/heap.h"

#include <string.h>

#include "common/random.h"
#include "tests/unit/assertion_trap.h"

enum { NODES = 300 };

struct task {
	int number;
	struct heap_node node;
};

static void heap_fresh_is_empty(void **state)
{
	(void)state;
	struct heap heap;
	heap_init(&heap, 10);
	assert_null(heap_first(&heap));
	assert_null(heap_take_due(&heap, INT64_MAX));
	heap_deinit(&heap);
	heap_deinit(&heap);
}

static void heap_zeroed_and_fresh_nodes_are_in_no_heap(void **state)
{
	(void)state;
	struct heap heap;
	struct heap_node zeroed = { 0 }, fresh;
	heap_node_init(&fresh);
	assert_false(heap_node_is_in(&zeroed));
	assert_false(heap_node_is_in(&fresh));
	heap_init(&heap, 10);
	heap_remove(&heap, &fresh);
	assert_false(heap_node_is_in(&fresh));
	heap_deinit(&heap);
}

static void heap_takes_in_order_of_due_times(void **state)
{
	(void)state;
	static const int64_t dues[] = { 50, -3, INT64_MAX, 7, 7, INT64_MIN, 0 };
	static const int64_t sorted[] = { INT64_MIN, -3, 0, 7, 7, 50, INT64_MAX };
	enum { COUNT = sizeof(dues) / sizeof(dues[0]) };
	struct heap heap;
	struct heap_node nodes[COUNT] = { 0 };
	heap_init(&heap, COUNT);
	for (size_t i = 0; i < COUNT; i++)
		assert_int_equal(heap_set(&heap, &nodes[i], dues[i]), STATUS_OK);
	for (size_t i = 0; i < COUNT; i++) {
		struct heap_node *node = heap_take_due(&heap, INT64_MAX);
		assert_non_null(node);
		assert_true(node->due == sorted[i]);
		assert_false(heap_node_is_in(node));
	}
	assert_null(heap_first(&heap));
	heap_deinit(&heap);
}

static void heap_take_due_takes_at_the_time_and_not_before(void **state)
{
	(void)state;
	struct heap heap;
	struct task task = { .number = 9 };
	heap_init(&heap, 1);
	assert_int_equal(heap_set(&heap, &task.node, 100), STATUS_OK);
	assert_null(heap_take_due(&heap, 99));
	assert_true(heap_node_is_in(&task.node));
	struct heap_node *node = heap_take_due(&heap, 100);
	assert_ptr_equal(node, &task.node);
	assert_int_equal(HEAP_ELEMENT(node, struct task, node)->number, 9);
	assert_null(heap_take_due(&heap, 100));
	heap_deinit(&heap);
}

static void heap_at_its_ceiling_refuses_new_and_still_moves(void **state)
{
	(void)state;
	struct heap heap;
	struct heap_node nodes[4] = { 0 };
	heap_init(&heap, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(heap_set(&heap, &nodes[i], i), STATUS_OK);
	assert_int_equal(heap_set(&heap, &nodes[3], -1), STATUS_FULL);
	assert_false(heap_node_is_in(&nodes[3]));
	assert_int_equal(heap_set(&heap, &nodes[2], -2), STATUS_OK);
	assert_ptr_equal(heap_first(&heap), &nodes[2]);
	heap_remove(&heap, &nodes[0]);
	assert_int_equal(heap_set(&heap, &nodes[3], -3), STATUS_OK);
	assert_ptr_equal(heap_first(&heap), &nodes[3]);
	heap_deinit(&heap);
}

static void heap_without_room_is_full(void **state)
{
	(void)state;
	struct heap heap;
	struct heap_node node = { 0 };
	heap_init(&heap, 0);
	assert_int_equal(heap_set(&heap, &node, 1), STATUS_FULL);
	heap_deinit(&heap);
}

static void heap_ceiling_is_exact_beyond_the_first_growth(void **state)
{
	(void)state;
	struct heap heap;
	struct heap_node nodes[NODES] = { 0 };
	heap_init(&heap, NODES - 1);
	for (size_t i = 0; i < NODES - 1; i++)
		assert_int_equal(heap_set(&heap, &nodes[i], -(int64_t)i), STATUS_OK);
	assert_int_equal(heap_set(&heap, &nodes[NODES - 1], 0), STATUS_FULL);
	assert_true(heap.capacity <= NODES - 1);
	heap_deinit(&heap);
}

static void heap_node_of_another_heap_asserts(void **state)
{
	(void)state;
	struct heap mine, other;
	struct heap_node node = { 0 }, stranger = { 0 };
	heap_init(&mine, 2);
	heap_init(&other, 2);
	assert_int_equal(heap_set(&mine, &node, 1), STATUS_OK);
	assert_int_equal(heap_set(&other, &stranger, 1), STATUS_OK);
	expect_assert_failure(assert_int_equal(heap_set(&mine, &stranger, 2), STATUS_OK));
	expect_assert_failure(heap_remove(&mine, &stranger));
	heap_deinit(&mine);
	heap_deinit(&other);
}

struct reference {
	int64_t due[NODES];
	bool is_in[NODES];
};

static int64_t reference_earliest(const struct reference *reference)
{
	int64_t earliest = INT64_MAX;
	for (int i = 0; i < NODES; i++)
		if (reference->is_in[i] && reference->due[i] < earliest) earliest = reference->due[i];
	return earliest;
}

static size_t reference_count(const struct reference *reference)
{
	size_t count = 0;
	for (int i = 0; i < NODES; i++)
		count += reference->is_in[i];
	return count;
}

static void assert_agrees(
	uint64_t seed, const struct heap *heap, const struct reference *reference, const struct task *tasks)
{
	const struct heap_node *first = heap_first(heap);
	size_t count = reference_count(reference);
	assert_for_seed(seed, heap->count == count);
	assert_for_seed(seed, (first == NULL) == (count == 0));
	assert_for_seed(seed, first == NULL || first->due == reference_earliest(reference));
	for (int i = 0; i < NODES; i++)
		assert_for_seed(seed, heap_node_is_in(&tasks[i].node) == reference->is_in[i]);
}

static void take_one(uint64_t seed, struct heap *heap, struct reference *reference, int64_t now)
{
	int64_t earliest = reference_earliest(reference);
	bool is_any = reference_count(reference) > 0;
	struct heap_node *node = heap_take_due(heap, now);
	assert_for_seed(seed, (node != NULL) == (is_any && earliest <= now));
	if (node == NULL) return;
	int number = HEAP_ELEMENT(node, struct task, node)->number;
	assert_for_seed(seed, reference->is_in[number]);
	assert_for_seed(seed, reference->due[number] == earliest);
	reference->is_in[number] = false;
}

/* Due times from a small range, so that many are equal. */
static void run_random_sequence(uint64_t seed, int steps)
{
	struct random random;
	struct heap heap;
	struct reference reference = { 0 };
	struct task tasks[NODES] = { 0 };
	random_init(&random, seed);
	heap_init(&heap, NODES);
	for (int i = 0; i < NODES; i++)
		tasks[i].number = i;
	for (int step = 0; step < steps; step++) {
		int pick = (int)random_below(&random, NODES);
		int64_t due = (int64_t)random_below(&random, 200) - 100;
		uint64_t kind = random_below(&random, 10);
		if (kind < 6) {
			assert_for_seed(seed, heap_set(&heap, &tasks[pick].node, due) == STATUS_OK);
			reference.is_in[pick] = true;
			reference.due[pick] = due;
		} else if (kind < 8) {
			heap_remove(&heap, &tasks[pick].node);
			reference.is_in[pick] = false;
		} else {
			take_one(seed, &heap, &reference, due);
		}
		assert_agrees(seed, &heap, &reference, tasks);
	}
	heap_deinit(&heap);
}

static void heap_random_operations_agree_with_search(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++)
		run_random_sequence(seed, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heap_fresh_is_empty),
		cmocka_unit_test(heap_zeroed_and_fresh_nodes_are_in_no_heap),
		cmocka_unit_test(heap_takes_in_order_of_due_times),
		cmocka_unit_test(heap_take_due_takes_at_the_time_and_not_before),
		cmocka_unit_test(heap_at_its_ceiling_refuses_new_and_still_moves),
		cmocka_unit_test(heap_without_room_is_full),
		cmocka_unit_test(heap_ceiling_is_exact_beyond_the_first_growth),
		cmocka_unit_test(heap_node_of_another_heap_asserts),
		cmocka_unit_test(heap_random_operations_agree_with_search),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
