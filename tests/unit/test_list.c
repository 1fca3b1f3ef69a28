/* Lists: order, constant states of nodes, and random operations against an array. */
#include "common/list.h"

#include "common/random.h"
#include "tests/unit/assertion_trap.h"

struct item {
	int number;
	struct list link;
	struct list other;
};

static int number_of(struct list *node)
{
	return LIST_ELEMENT(node, struct item, link)->number;
}

static void assert_order(struct list *head, const int *numbers, size_t count)
{
	size_t at = 0;
	LIST_EACH(node, head)
	{
		assert_true(at < count);
		assert_int_equal(number_of(node), numbers[at++]);
		assert_ptr_equal(node->next->previous, node);
		assert_ptr_equal(node->previous->next, node);
	}
	assert_int_equal(at, count);
	assert_int_equal(list_is_empty(head), count == 0);
}

static void list_fresh_head_is_empty(void **state)
{
	(void)state;
	struct list head;
	list_init(&head);
	assert_true(list_is_empty(&head));
	assert_null(list_first(&head));
	assert_null(list_pop_front(&head));
	assert_order(&head, NULL, 0);
}

static void list_node_zeroed_or_fresh_is_unlinked(void **state)
{
	(void)state;
	struct list zeroed = { 0 }, fresh;
	list_init(&fresh);
	assert_false(list_is_linked(&zeroed));
	assert_false(list_is_linked(&fresh));
	list_unlink(&zeroed);
	list_unlink(&fresh);
	assert_false(list_is_linked(&zeroed));
	assert_false(list_is_linked(&fresh));
}

static void list_push_front_and_back_keep_order(void **state)
{
	(void)state;
	struct list head;
	struct item items[4] = { { .number = 0 }, { .number = 1 }, { .number = 2 }, { .number = 3 } };
	list_init(&head);
	list_push_back(&head, &items[2].link);
	list_push_back(&head, &items[3].link);
	list_push_front(&head, &items[1].link);
	list_push_front(&head, &items[0].link);
	assert_order(&head, (const int[]){ 0, 1, 2, 3 }, 4);
	assert_ptr_equal(list_first(&head), &items[0].link);
	assert_true(list_is_linked(&items[0].link));
}

static void list_pop_front_gives_all_in_order_and_unlinks(void **state)
{
	(void)state;
	struct list head;
	struct item items[3] = { { .number = 0 }, { .number = 1 }, { .number = 2 } };
	list_init(&head);
	for (int i = 0; i < 3; i++)
		list_push_back(&head, &items[i].link);
	for (int i = 0; i < 3; i++) {
		assert_ptr_equal(list_pop_front(&head), &items[i].link);
		assert_false(list_is_linked(&items[i].link));
	}
	assert_true(list_is_empty(&head));
}

static void list_unlink_from_anywhere_keeps_the_rest(void **state)
{
	(void)state;
	static const int rests[3][2] = { { 1, 2 }, { 0, 2 }, { 0, 1 } };
	for (int gone = 0; gone < 3; gone++) {
		struct list head;
		struct item items[3] = { { .number = 0 }, { .number = 1 }, { .number = 2 } };
		list_init(&head);
		for (int i = 0; i < 3; i++)
			list_push_back(&head, &items[i].link);
		list_unlink(&items[gone].link);
		list_unlink(&items[gone].link);
		assert_order(&head, rests[gone], 2);
		list_push_back(&head, &items[gone].link);
		assert_order(&head, (const int[]){ rests[gone][0], rests[gone][1], gone }, 3);
	}
}

static void list_element_on_two_lists_by_two_nodes(void **state)
{
	(void)state;
	struct list first, second;
	struct item item = { .number = 7 };
	list_init(&first);
	list_init(&second);
	list_push_back(&first, &item.link);
	list_push_back(&second, &item.other);
	list_unlink(&item.link);
	assert_true(list_is_empty(&first));
	assert_ptr_equal(LIST_ELEMENT(list_first(&second), struct item, other), &item);
}

static void list_push_of_linked_node_asserts(void **state)
{
	(void)state;
	struct list head;
	struct item items[2] = { { .number = 0 }, { .number = 1 } };
	list_init(&head);
	list_push_back(&head, &items[0].link);
	list_push_back(&head, &items[1].link);
	expect_assert_failure(list_push_back(&head, &items[0].link));
	expect_assert_failure(list_push_front(&head, &items[1].link));
	assert_order(&head, (const int[]){ 0, 1 }, 2);
}

enum { MODEL_ITEMS = 12 };

struct model {
	int numbers[MODEL_ITEMS];
	size_t count;
};

static void model_insert(struct model *model, size_t at, int number)
{
	for (size_t i = model->count; i > at; i--)
		model->numbers[i] = model->numbers[i - 1];
	model->numbers[at] = number;
	model->count++;
}

static void model_remove(struct model *model, int number)
{
	size_t kept = 0;
	for (size_t i = 0; i < model->count; i++)
		if (model->numbers[i] != number) model->numbers[kept++] = model->numbers[i];
	model->count = kept;
}

static void list_random_operations_agree_with_array(void **state)
{
	(void)state;
	struct list head;
	struct item items[MODEL_ITEMS] = { 0 };
	struct model model = { .count = 0 };
	struct random random;
	random_init(&random, 21);
	list_init(&head);
	for (int i = 0; i < MODEL_ITEMS; i++)
		items[i].number = i;
	for (int step = 0; step < 20000; step++) {
		int pick = (int)random_below(&random, MODEL_ITEMS);
		struct list *node = &items[pick].link;
		if (list_is_linked(node)) {
			list_unlink(node);
			model_remove(&model, pick);
		} else if (random_below(&random, 2) == 0) {
			list_push_front(&head, node);
			model_insert(&model, 0, pick);
		} else {
			list_push_back(&head, node);
			model_insert(&model, model.count, pick);
		}
		assert_order(&head, model.numbers, model.count);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(list_fresh_head_is_empty),
		cmocka_unit_test(list_node_zeroed_or_fresh_is_unlinked),
		cmocka_unit_test(list_push_front_and_back_keep_order),
		cmocka_unit_test(list_pop_front_gives_all_in_order_and_unlinks),
		cmocka_unit_test(list_unlink_from_anywhere_keeps_the_rest),
		cmocka_unit_test(list_element_on_two_lists_by_two_nodes),
		cmocka_unit_test(list_push_of_linked_node_asserts),
		cmocka_unit_test(list_random_operations_agree_with_array),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
