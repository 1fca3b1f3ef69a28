/* Both clocks are what POSIX calls them, and the conversion between them is plain arithmetic that saturates. */
#include "common/clock.h"

#include <time.h>

#include "common/random.h"
#include "tests/unit/testing.h"

static int64_t posix_ms(clockid_t id)
{
	struct timespec time;
	assert_int_equal(clock_gettime(id, &time), 0);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void clock_now_lies_between_two_readings(void **state)
{
	(void)state;
	int64_t mono_before = posix_ms(CLOCK_MONOTONIC);
	int64_t mono_ns = clock_mono_ns();
	struct instant now = clock_now();
	int64_t mono_after = posix_ms(CLOCK_MONOTONIC);
	assert_true(mono_before <= now.mono_ms && now.mono_ms <= mono_after);
	assert_true(mono_before <= mono_ns / 1000000 && mono_ns / 1000000 <= now.mono_ms);
	/* The wall clock may step between two readings, but not out of this century. */
	assert_true(now.wall_ms > 1577836800000 && now.wall_ms < 4102444800000);
}

static void clock_mono_never_goes_back(void **state)
{
	(void)state;
	int64_t last = clock_mono_ns();
	for (int i = 0; i < 10000; i++) {
		int64_t next = clock_mono_ns();
		assert_true(next >= last);
		last = next;
	}
}

static void clock_boot_lies_between_two_readings(void **state)
{
	(void)state;
	int64_t before_ms = posix_ms(CLOCK_BOOTTIME);
	int64_t boot_ms = clock_boot_ms();
	assert_true(before_ms <= boot_ms && boot_ms <= posix_ms(CLOCK_BOOTTIME));
}

static void clock_mono_of_wall_keeps_distances(void **state)
{
	(void)state;
	struct instant now = { .mono_ms = 5000, .wall_ms = 1700000000000 };
	assert_int_equal(clock_mono_of_wall(now, 1700000000000), 5000);
	assert_int_equal(clock_mono_of_wall(now, 1700000010000), 15000);
	assert_int_equal(clock_mono_of_wall(now, 1699999999999), 4999);
	assert_true(clock_mono_of_wall(now, 0) == 5000 - 1700000000000);
	assert_true(clock_mono_of_wall(now, -1) == 5000 - 1700000000001);
}

static void clock_mono_of_wall_borders_saturate(void **state)
{
	(void)state;
	struct instant now = { .mono_ms = 5000, .wall_ms = 1000 };
	assert_true(clock_mono_of_wall(now, INT64_MAX) == INT64_MAX);
	assert_true(clock_mono_of_wall(now, INT64_MAX - 4000) == INT64_MAX);
	assert_true(clock_mono_of_wall(now, INT64_MAX - 4001) == INT64_MAX - 1);
	assert_true(clock_mono_of_wall(now, INT64_MIN) == INT64_MIN);

	struct instant before_1970 = { .mono_ms = 0, .wall_ms = -1000 };
	assert_true(clock_mono_of_wall(before_1970, INT64_MAX) == INT64_MAX);
	assert_true(clock_mono_of_wall(before_1970, INT64_MIN) == INT64_MIN + 1000);

	struct instant strange = { .mono_ms = -5000, .wall_ms = 0 };
	assert_true(clock_mono_of_wall(strange, INT64_MIN) == INT64_MIN);
	assert_true(clock_mono_of_wall(strange, INT64_MIN + 5000) == INT64_MIN);
	assert_true(clock_mono_of_wall(strange, INT64_MIN + 5001) == INT64_MIN + 1);
}

static void clock_mono_of_wall_later_is_never_earlier(void **state)
{
	(void)state;
	struct random random;
	random_init(&random, 11);
	for (int i = 0; i < 100000; i++) {
		struct instant now = { .mono_ms = (int64_t)random_below(&random, 1000000000),
			.wall_ms = (int64_t)random_below(&random, 4000000000000) };
		int64_t wall_a = (int64_t)random_next(&random), wall_b = (int64_t)random_next(&random);
		int64_t mono_a = clock_mono_of_wall(now, wall_a), mono_b = clock_mono_of_wall(now, wall_b);
		assert_true(wall_a < wall_b ? mono_a <= mono_b : mono_a >= mono_b);
	}
}

static void clock_earlier_is_the_smaller_one_and_never_comes_last(void **state)
{
	(void)state;
	assert_int_equal(clock_earlier(3, 4), 3);
	assert_int_equal(clock_earlier(4, 3), 3);
	assert_int_equal(clock_earlier(INT64_MAX, 4), 4);
	assert_true(clock_earlier(INT64_MAX, INT64_MAX) == INT64_MAX);
	assert_true(clock_earlier(INT64_MIN, INT64_MAX) == INT64_MIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clock_now_lies_between_two_readings),
		cmocka_unit_test(clock_mono_never_goes_back),
		cmocka_unit_test(clock_boot_lies_between_two_readings),
		cmocka_unit_test(clock_mono_of_wall_keeps_distances),
		cmocka_unit_test(clock_mono_of_wall_borders_saturate),
		cmocka_unit_test(clock_mono_of_wall_later_is_never_earlier),
		cmocka_unit_test(clock_earlier_is_the_smaller_one_and_never_comes_last),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
