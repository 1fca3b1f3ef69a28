/* What is kept: found by partition and offset, oldest first, bytes and calls counted. */
#include "worker/core/park.h"

#include <string.h>

#include "common/random.h"
#include "tests/unit/assertion_trap.h"
#include "tests/unit/jobs.h"

static const struct hash_key key = { .k0 = 1, .k1 = 2 };

static void put(struct park *park, struct job *job, size_t bytes, int64_t until_ms, bool is_calling)
{
	assert_int_equal(park_put(park, job, bytes, until_ms, is_calling), STATUS_OK);
	assert_non_null(job->parked);
}

static void take_out(struct park *park, struct job *job)
{
	park_remove(park, job);
	assert_null(job->parked);
	job_free(job);
}

static void park_words_differ(void **state)
{
	(void)state;
	for (int a = 0; a < (int)PARK_END_COUNT; a++)
		for (int b = 0; b < a; b++)
			assert_string_not_equal(park_end_word((enum park_end)a), park_end_word((enum park_end)b));
	volatile int outside = PARK_END_COUNT;
	expect_assert_failure(assert_null(park_end_word((enum park_end)outside)));
}

static void park_empty_has_nothing(void **state)
{
	(void)state;
	struct park *park = park_new(key);
	assert_null(park_find(park, 0, 0));
	assert_null(park_oldest(park));
	assert_null(park_oldest_call(park));
	assert_true(park_due(park) == INT64_MAX);
	assert_int_equal(park_count(park), 0);
	park_free(park);
	park_free(NULL);
}

static void park_finds_by_partition_and_offset(void **state)
{
	(void)state;
	struct park *park = park_new(key);
	struct job *a = job_of(0, 7, BYTES_NONE), *b = job_of(1, 7, BYTES_NONE), *c = job_of(7, 0, BYTES_NONE);
	put(park, a, 10, 100, false);
	put(park, b, 10, 100, false);
	put(park, c, 10, 100, false);
	assert_ptr_equal(park_find(park, 0, 7), a);
	assert_ptr_equal(park_find(park, 1, 7), b);
	assert_ptr_equal(park_find(park, 7, 0), c);
	assert_null(park_find(park, 7, 7));
	take_out(park, b);
	assert_null(park_find(park, 1, 7));
	take_out(park, a);
	take_out(park, c);
	park_free(park);
}

static void park_walks_from_the_oldest_on(void **state)
{
	(void)state;
	struct park *park = park_new(key);
	struct job *jobs[3];
	for (int i = 0; i < 3; i++)
		put(park, jobs[i] = job_of(0, 9 - i, BYTES_NONE), 10, 100 + i, false);
	assert_ptr_equal(park_oldest(park), jobs[0]);
	assert_ptr_equal(park_next(park, jobs[0]), jobs[1]);
	assert_null(park_next(park, jobs[2]));
	assert_int_equal(park_due(park), 100);
	take_out(park, jobs[0]);
	assert_ptr_equal(park_oldest(park), jobs[1]);
	assert_int_equal(park_due(park), 101);
	take_out(park, jobs[1]);
	take_out(park, jobs[2]);
	park_free(park);
}

static void park_call_that_ended_is_as_old_as_before(void **state)
{
	(void)state;
	struct park *park = park_new(key);
	struct job *first = job_of(0, 1, BYTES_NONE), *second = job_of(0, 2, BYTES_NONE);
	put(park, first, 10, 100, true);
	put(park, second, 20, 101, true);
	assert_int_equal(park_calls(park), 2);
	assert_int_equal(park_bytes(park), 30);
	assert_ptr_equal(park_oldest_call(park), first);
	park_call_ended(park, first, 3);
	assert_int_equal(park_calls(park), 1);
	assert_int_equal(park_bytes(park), 23);
	assert_ptr_equal(park_oldest_call(park), second);
	assert_ptr_equal(park_oldest(park), first);
	take_out(park, second);
	assert_null(park_oldest_call(park));
	assert_int_equal(park_calls(park), 0);
	take_out(park, first);
	assert_int_equal(park_bytes(park), 0);
	park_free(park);
}

static void park_misuse_asserts(void **state)
{
	(void)state;
	struct park *park = park_new(key);
	struct job *job = job_of(0, 1, BYTES_NONE), *twin = job_of(0, 1, BYTES_NONE), *late = job_of(0, 2, BYTES_NONE);
	expect_assert_failure(park_remove(park, job));
	put(park, job, 10, 100, false);
	volatile enum status status = STATUS_OK;
	expect_assert_failure(status = park_put(park, job, 10, 100, false));
	expect_assert_failure(status = park_put(park, twin, 10, 100, false));
	expect_assert_failure(status = park_put(park, late, 10, 99, false));
	expect_assert_failure(park_call_ended(park, job, 5));
	expect_assert_failure(park_free(park));
	assert_int_equal(status, STATUS_OK);
	take_out(park, job);
	job_free(twin);
	job_free(late);
	park_free(park);
}

enum { PLACES = 40, STEPS = 2000 };

/* Against a plain array, by chance; a failure names its seed. */
static void run_crowd(uint64_t seed)
{
	struct random random;
	random_init(&random, seed);
	struct park *park = park_new(key);
	struct job *jobs[PLACES] = { NULL };
	size_t bytes[PLACES] = { 0 }, count = 0, total = 0;
	for (int64_t step = 0; step < STEPS; step++) {
		size_t at = (size_t)random_below(&random, PLACES);
		if (jobs[at] == NULL) {
			jobs[at] = job_of((int32_t)(at % 3), (int64_t)at, BYTES_NONE);
			bytes[at] = 1 + (size_t)random_below(&random, 99);
			put(park, jobs[at], bytes[at], step, false);
			total += bytes[at];
			count++;
		} else {
			take_out(park, jobs[at]);
			jobs[at] = NULL;
			total -= bytes[at];
			count--;
		}
		at = (size_t)random_below(&random, PLACES);
		if (park_find(park, (int32_t)(at % 3), (int64_t)at) != jobs[at] || park_count(park) != count ||
			park_bytes(park) != total)
			fail_msg("seed %llu, step %lld", (unsigned long long)seed, (long long)step);
	}
	while (park_oldest(park) != NULL)
		take_out(park, park_oldest(park));
	park_free(park);
}

static void park_random_crowds_agree_with_a_plain_array(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++)
		run_crowd(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(park_words_differ),
		cmocka_unit_test(park_empty_has_nothing),
		cmocka_unit_test(park_finds_by_partition_and_offset),
		cmocka_unit_test(park_walks_from_the_oldest_on),
		cmocka_unit_test(park_call_that_ended_is_as_old_as_before),
		cmocka_unit_test(park_misuse_asserts),
		cmocka_unit_test(park_random_crowds_agree_with_a_plain_array),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
