/* The generator gives the published sequence, and its ranges are kept and filled evenly. */
#include "common/random.h"

#include "tests/unit/testing.h"

/* The first outputs of SplitMix64 as its authors' program prints them. */
static void random_next_known_seeds_give_published_sequence(void **state)
{
	(void)state;
	static const uint64_t expected[] = { 6457827717110365317ULL, 3203168211198807973ULL, 9817491932198370423ULL,
		4593380528125082431ULL, 16408922859458223821ULL };
	struct random random;
	random_init(&random, 1234567);
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		assert_true(random_next(&random) == expected[i]);
	random_init(&random, 0);
	assert_true(random_next(&random) == 0xe220a8397b1dcdafULL);
	assert_true(random_next(&random) == 0x6e789e6aa1b965f4ULL);
}

static void random_same_seed_same_sequence(void **state)
{
	(void)state;
	struct random a, b, c;
	random_init(&a, 99);
	random_init(&b, 99);
	random_init(&c, 100);
	int same = 0;
	for (int i = 0; i < 1000; i++) {
		uint64_t value = random_next(&a);
		assert_true(value == random_next(&b));
		same += value == random_next(&c);
	}
	assert_int_equal(same, 0);
}

static void random_below_stays_below(void **state)
{
	(void)state;
	static const uint64_t bounds[] = { 1, 2, 3, 7, 10, 255, 256, 1000003, (uint64_t)1 << 32,
		((uint64_t)1 << 63) + 1, UINT64_MAX };
	struct random random;
	random_init(&random, 5);
	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++)
		for (int round = 0; round < 2000; round++)
			assert_true(random_below(&random, bounds[i]) < bounds[i]);
}

static void random_below_zero_and_one_give_zero(void **state)
{
	(void)state;
	struct random random;
	random_init(&random, 6);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(random_below(&random, 0), 0);
		assert_int_equal(random_below(&random, 1), 0);
	}
}

/* Chi-square over ten cells: 9 degrees of freedom pass 40 once in a hundred thousand sequences, and this one is fixed. */
static void random_below_is_even(void **state)
{
	(void)state;
	enum { CELLS = 10, DRAWS = 100000 };
	int counts[CELLS] = { 0 };
	struct random random;
	random_init(&random, 7);
	for (int i = 0; i < DRAWS; i++)
		counts[random_below(&random, CELLS)]++;
	double sum = 0;
	for (int i = 0; i < CELLS; i++) {
		double off = counts[i] - DRAWS / (double)CELLS;
		sum += off * off / (DRAWS / (double)CELLS);
	}
	assert_true(sum < 40);
}

/* With a plain remainder, two thirds of all draws would fall into the lower half of this bound. */
static void random_below_large_bound_has_no_bias(void **state)
{
	(void)state;
	const uint64_t bound = UINT64_MAX / 4 * 3;
	struct random random;
	random_init(&random, 8);
	int low = 0;
	for (int i = 0; i < 20000; i++)
		low += random_below(&random, bound) < bound / 2;
	assert_in_range(low, 9600, 10400);
}

static void random_unit_is_in_range_and_even(void **state)
{
	(void)state;
	struct random random;
	random_init(&random, 9);
	int quarters[4] = { 0 };
	for (int i = 0; i < 40000; i++) {
		double value = random_unit(&random);
		assert_true(value >= 0 && value < 1);
		quarters[(int)(value * 4)]++;
	}
	for (int i = 0; i < 4; i++)
		assert_in_range(quarters[i], 9600, 10400);
}

static void random_system_seed_differs_each_time(void **state)
{
	(void)state;
	uint64_t seeds[16];
	for (int i = 0; i < 16; i++) {
		seeds[i] = random_system_seed();
		for (int k = 0; k < i; k++)
			assert_true(seeds[i] != seeds[k]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_next_known_seeds_give_published_sequence),
		cmocka_unit_test(random_same_seed_same_sequence),
		cmocka_unit_test(random_below_stays_below),
		cmocka_unit_test(random_below_zero_and_one_give_zero),
		cmocka_unit_test(random_below_is_even),
		cmocka_unit_test(random_below_large_bound_has_no_bias),
		cmocka_unit_test(random_unit_is_in_range_and_even),
		cmocka_unit_test(random_system_seed_differs_each_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
