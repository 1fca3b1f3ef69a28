/* Batches: room as asked for, texts that go with them, records that do not. */
#include "worker/core/batch.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/assertion_trap.h"

/* The address sanitizer judges what is freed and what is not; here it is only called. */
static struct bytes owned(const char *text)
{
	char *copy = strdup(text);
	assert_non_null(copy);
	return bytes_of(copy);
}

static void batch_free_accepts_null(void **state)
{
	(void)state;
	batch_free(NULL);
}

static void batch_new_is_empty_and_pending(void **state)
{
	(void)state;
	struct batch *batch = batch_new(3, 2);
	assert_non_null(batch);
	assert_int_equal(batch->item_count, 0);
	assert_int_equal(batch->progress_count, 0);
	assert_int_equal(batch->end, BATCH_PENDING);
	assert_null(batch->found);
	assert_false(bytes_is_given(batch->group));
	batch_free(batch);
}

static void batch_has_the_room_it_was_asked_for(void **state)
{
	(void)state;
	struct outgoing record = { .topic = BYTES_LITERAL("chat.responses") };
	struct batch *batch = batch_new(1000, 64);
	for (size_t i = 0; i < 1000; i++)
		batch->items[batch->item_count++] = (struct batch_item){ .record = &record, .owner = &record };
	for (int32_t i = 0; i < 64; i++)
		batch->progress[batch->progress_count++] =
			(struct batch_progress){ .partition = i, .offset = i * 10, .metadata = owned("text") };
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(batch->items[i].fault, BATCH_ITEM_FINE);
	batch_free(batch);
}

static void batch_of_nothing_is_a_batch(void **state)
{
	(void)state;
	struct batch *batch = batch_new(0, 0);
	assert_non_null(batch);
	assert_non_null(batch->items);
	assert_non_null(batch->progress);
	assert_int_equal(batch_make_found(batch), STATUS_OK);
	assert_non_null(batch->found);
	batch_free(batch);
}

static void batch_make_found_has_a_row_for_each_partition(void **state)
{
	(void)state;
	struct batch *batch = batch_new(0, 3);
	static const int32_t partitions[] = { 7, 0, 4 };
	for (size_t i = 0; i < 3; i++)
		batch->progress[batch->progress_count++] = (struct batch_progress){
			.partition = partitions[i], .offset = 100, .metadata = owned("progress")
		};
	assert_int_equal(batch_make_found(batch), STATUS_OK);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(batch->found[i].partition, partitions[i]);
		assert_int_equal(batch->found[i].offset, -1);
		assert_false(bytes_is_given(batch->found[i].metadata));
	}
	batch_free(batch);
}

static void batch_free_frees_all_texts_it_owns(void **state)
{
	(void)state;
	struct batch *batch = batch_new(1, 2);
	batch->group = owned("group identity");
	batch->progress[0] = (struct batch_progress){ .partition = 0, .metadata = owned("a") };
	batch->progress[1] = (struct batch_progress){ .partition = 1, .metadata = BYTES_NONE };
	batch->progress_count = 2;
	assert_int_equal(batch_make_found(batch), STATUS_OK);
	batch->found[0].metadata = owned("b");
	batch->found[1].metadata = owned("c");
	batch_free(batch);
}

static void batch_free_leaves_the_records(void **state)
{
	(void)state;
	struct outgoing record = { .topic = BYTES_LITERAL("chat.responses"), .value = BYTES_LITERAL("reply") };
	struct batch *batch = batch_new(1, 0);
	batch->items[batch->item_count++] = (struct batch_item){ .record = &record };
	batch_free(batch);
	assert_text_equal(record.value, "reply");
}

static void batch_misuse_asserts(void **state)
{
	(void)state;
	expect_assert_failure(assert_null(batch_new(SIZE_MAX, 0)));
	expect_assert_failure(assert_null(batch_new(0, SIZE_MAX)));
	struct batch *batch = batch_new(0, 0);
	assert_int_equal(batch_make_found(batch), STATUS_OK);
	expect_assert_failure(assert_int_equal(batch_make_found(batch), STATUS_OK));
	batch_free(batch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batch_free_accepts_null),
		cmocka_unit_test(batch_new_is_empty_and_pending),
		cmocka_unit_test(batch_has_the_room_it_was_asked_for),
		cmocka_unit_test(batch_of_nothing_is_a_batch),
		cmocka_unit_test(batch_make_found_has_a_row_for_each_partition),
		cmocka_unit_test(batch_free_frees_all_texts_it_owns),
		cmocka_unit_test(batch_free_leaves_the_records),
		cmocka_unit_test(batch_misuse_asserts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
