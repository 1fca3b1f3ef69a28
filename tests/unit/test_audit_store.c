/* What an audit remembers. */
#include "tests/unit/testing.h"

#include "common/random.h"
#include "replay/audit_store.h"

static void store_finds_what_was_added_and_nothing_else(void **state)
{
	(void)state;
	enum { COUNT = 5000, STEP = 3 };
	struct audit_store *store = audit_store_new(SIZE_MAX);
	assert_int_equal(audit_store_begin(store, 0, COUNT * STEP), STATUS_OK);
	assert_int_equal(audit_store_begin(store, 7, 9), STATUS_OK);
	for (int64_t i = 0; i < COUNT; i++) {
		const struct audit_entry entry = { .timestamp_ms = i, .key = (uint32_t)i };
		assert_int_equal(audit_store_add(store, 0, i * STEP, &entry), STATUS_OK);
	}
	for (int64_t offset = 0; offset < COUNT * STEP; offset++) {
		struct audit_entry *entry = audit_store_find(store, 0, offset);
		assert_int_equal(entry != NULL, offset % STEP == 0);
		if (entry == NULL) continue;
		assert_int_equal(audit_entry_offset(entry), offset);
		assert_int_equal(entry->timestamp_ms, offset / STEP);
	}
	assert_null(audit_store_find(store, 1, 0));
	assert_null(audit_store_find(store, 2, 0));
	assert_null(audit_store_find(store, -1, 0));
	assert_int_equal(audit_store_partitions(store), 2);
	assert_int_equal(audit_store_count(store, 0), COUNT);
	assert_int_equal(audit_store_count(store, 1), 0);
	assert_int_equal(audit_store_count(store, 2), 0);
	audit_store_free(store);
}

static void store_range_is_that_of_the_partition(void **state)
{
	(void)state;
	int64_t start = 0, end = 0;
	struct audit_store *store = audit_store_new(1);
	assert_false(audit_store_range(store, 0, &start, &end));
	assert_int_equal(audit_store_begin(store, 3, 5), STATUS_OK);
	assert_true(audit_store_range(store, 0, &start, &end));
	assert_int_equal(start, 3);
	assert_int_equal(end, 5);
	audit_store_free(store);
}

static void store_offsets_of_48_bits_are_kept(void **state)
{
	(void)state;
	const int64_t offsets[] = { 0, UINT32_MAX, (int64_t)UINT32_MAX + 1, ((int64_t)1 << 48) - 1 };
	const struct audit_entry entry = { .timestamp_ms = -1 };
	struct audit_store *store = audit_store_new(4);
	assert_int_equal(audit_store_begin(store, 0, INT64_MAX), STATUS_OK);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(audit_store_add(store, 0, offsets[i], &entry), STATUS_OK);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(audit_entry_offset(audit_store_at(store, 0, i)), offsets[i]);
		assert_ptr_equal(audit_store_find(store, 0, offsets[i]), audit_store_at(store, 0, i));
	}
	audit_store_free(store);
}

static void store_at_its_bound_is_full(void **state)
{
	(void)state;
	const struct audit_entry entry = { 0 };
	struct audit_store *store = audit_store_new(2);
	assert_int_equal(audit_store_begin(store, 0, 9), STATUS_OK);
	assert_int_equal(audit_store_begin(store, 0, 9), STATUS_OK);
	assert_int_equal(audit_store_add(store, 0, 0, &entry), STATUS_OK);
	assert_int_equal(audit_store_add(store, 1, 0, &entry), STATUS_OK);
	assert_int_equal(audit_store_add(store, 1, 1, &entry), STATUS_FULL);
	assert_int_equal(audit_store_count(store, 1), 1);
	audit_store_free(store);
}

static void store_takes_24_bytes_a_request(void **state)
{
	(void)state;
	enum { COUNT = 100 * 1024 };
	const struct audit_entry entry = { 0 };
	struct audit_store *store = audit_store_new(SIZE_MAX);
	assert_int_equal(audit_store_begin(store, 0, COUNT), STATUS_OK);
	for (int64_t i = 0; i < COUNT; i++)
		assert_int_equal(audit_store_add(store, 0, i, &entry), STATUS_OK);
	assert_true(audit_store_size(store) < COUNT * 24 + COUNT / 64);
	audit_store_free(store);
}

static void lanes_step_gives_the_offset_before(void **state)
{
	(void)state;
	int64_t before = 0;
	struct audit_lanes *lanes = audit_lanes_new();
	assert_int_equal(audit_lanes_step(lanes, 5, 10, &before), STATUS_OK);
	assert_int_equal(before, -1);
	assert_int_equal(audit_lanes_step(lanes, 5, 8, &before), STATUS_OK);
	assert_int_equal(before, 10);
	assert_int_equal(audit_lanes_step(lanes, 5, 9, &before), STATUS_OK);
	assert_int_equal(before, 8);
	assert_int_equal(audit_lanes_step(lanes, 5 + 1024, 1, &before), STATUS_OK);
	assert_int_equal(before, -1);
	assert_int_equal(audit_lanes_count(lanes), 2);
	audit_lanes_clear(lanes);
	assert_int_equal(audit_lanes_count(lanes), 0);
	assert_int_equal(audit_lanes_step(lanes, 5, 9, &before), STATUS_OK);
	assert_int_equal(before, -1);
	audit_lanes_free(lanes);
}

static void lanes_keep_many_apart_in_43_bytes_each(void **state)
{
	(void)state;
	enum { COUNT = 200000 };
	struct audit_lanes *lanes = audit_lanes_new();
	struct random random;
	int64_t before = 0;
	random_init(&random, 1);
	for (int64_t i = 0; i < COUNT; i++) {
		assert_int_equal(audit_lanes_step(lanes, random_next(&random), i, &before), STATUS_OK);
		assert_int_equal(before, -1);
		if (i > 1000) assert_true(audit_lanes_size(lanes) <= audit_lanes_count(lanes) * 43);
	}
	random_init(&random, 1);
	for (int64_t i = 0; i < COUNT; i++) {
		assert_int_equal(audit_lanes_step(lanes, random_next(&random), i, &before), STATUS_OK);
		assert_int_equal(before, i);
	}
	assert_int_equal(audit_lanes_count(lanes), COUNT);
	audit_lanes_free(lanes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(store_finds_what_was_added_and_nothing_else),
		cmocka_unit_test(store_range_is_that_of_the_partition),
		cmocka_unit_test(store_offsets_of_48_bits_are_kept),
		cmocka_unit_test(store_at_its_bound_is_full),
		cmocka_unit_test(store_takes_24_bytes_a_request),
		cmocka_unit_test(lanes_step_gives_the_offset_before),
		cmocka_unit_test(lanes_keep_many_apart_in_43_bytes_each),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
