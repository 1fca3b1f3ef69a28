/* Where keys belong, as the clients of Java and Python say it. */
#include "tests/unit/testing.h"

#include "replay/partitioner.h"

static const struct {
	struct bytes key;
	uint32_t hash;
	int32_t of_twelve;
} ROWS[] = {
	{ { "", 0 }, 0x106e08d9, 9 },
	{ { "a", 1 }, 0xa2d0b27c, 4 },
	{ { "ab", 2 }, 0x12d8262a, 2 },
	{ { "abc", 3 }, 0x1c94221b, 3 },
	{ { "abcd", 4 }, 0xb11ab5f4, 8 },
	{ { "abcde", 5 }, 0x1b897edd, 1 },
	{ { "21", 2 }, 0xc5f2f8ec, 0 },
	{ { "foobar", 6 }, 0xd0e47bbe, 6 },
	{ { "a-little-bit-long-string", 24 }, 0xc53b1da0, 8 },
	{ { "k\xc3\xa4se", 5 }, 0xc034df6d, 1 },
	{ { "\xfa\xfb\xfc\xfd\xfe\xff", 6 }, 0xe38e4357, 11 },
};

static void partitioner_hash_is_that_of_other_clients(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++)
		assert_int_equal(partitioner_murmur2(ROWS[i].key), ROWS[i].hash);
}

static void partitioner_home_is_that_of_other_clients(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
		assert_int_equal(partitioner_home(ROWS[i].key, 12), ROWS[i].of_twelve);
		assert_int_equal(partitioner_home(ROWS[i].key, 1), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(partitioner_hash_is_that_of_other_clients),
		cmocka_unit_test(partitioner_home_is_that_of_other_clients),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
