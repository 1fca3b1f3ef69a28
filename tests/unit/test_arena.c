/* Arenas: alignment, no overlap, a ceiling that is never passed and that a refusal does not spoil. */
#include "common/arena.h"

#include <stdalign.h>
#include <string.h>

#include "common/random.h"
#include "tests/unit/assertion_trap.h"

static bool is_aligned(const void *memory)
{
	return (uintptr_t)memory % alignof(max_align_t) == 0;
}

static void arena_free_accepts_null(void **state)
{
	(void)state;
	arena_free(NULL);
}

static void arena_alloc_without_arena_asserts(void **state)
{
	(void)state;
	expect_assert_failure(assert_null(arena_alloc(NULL, 1)));
}

static void arena_every_size_is_aligned(void **state)
{
	(void)state;
	struct arena *arena = arena_new(1 << 20);
	for (size_t size = 0; size < 300; size++) {
		char *memory = arena_alloc(arena, size);
		assert_non_null(memory);
		assert_true(is_aligned(memory));
		memset(memory, 0xff, size);
	}
	arena_free(arena);
}

static void arena_size_zero_gives_valid_pointers(void **state)
{
	(void)state;
	struct arena *arena = arena_new(4096);
	size_t before = arena_size(arena);
	for (int i = 0; i < 10000; i++)
		assert_non_null(arena_alloc(arena, 0));
	assert_non_null(arena_calloc(arena, 0, 100));
	assert_non_null(arena_calloc(arena, 100, 0));
	assert_int_equal(arena_size(arena), before);
	arena_free(arena);
}

/* Whatever the ceiling, what is taken from the system stays within it, and what is left is used. */
static void arena_ceiling_is_never_passed(void **state)
{
	(void)state;
	for (size_t ceiling = 128; ceiling < 40000; ceiling += 1 + ceiling / 13) {
		struct arena *arena = arena_new(ceiling);
		size_t given = 0;
		assert_true(arena_size(arena) <= ceiling);
		while (arena_alloc(arena, 48) != NULL)
			given += 48;
		assert_true(arena_size(arena) <= ceiling);
		assert_true(given + 48 + 256 > ceiling - ceiling / 16);
		arena_free(arena);
	}
}

static void arena_tiny_ceiling_refuses_politely(void **state)
{
	(void)state;
	for (size_t ceiling = 0; ceiling < 64; ceiling++) {
		struct arena *arena = arena_new(ceiling);
		assert_non_null(arena);
		assert_true(arena_size(arena) <= 64);
		assert_null(arena_alloc(arena, 65));
		assert_non_null(arena_alloc(arena, 0));
		arena_free(arena);
	}
}

static void arena_refusal_leaves_it_usable(void **state)
{
	(void)state;
	struct arena *arena = arena_new(10000);
	struct bytes copy;
	assert_null(arena_alloc(arena, 10001));
	assert_null(arena_alloc(arena, 9999));
	assert_non_null(arena_alloc(arena, 100));
	assert_int_equal(arena_copy(arena, BYTES_LITERAL("still here"), &copy), STATUS_OK);
	assert_text_equal(copy, "still here");
	assert_non_null(arena_alloc(arena, 5000));
	assert_null(arena_alloc(arena, 5000));
	assert_non_null(arena_alloc(arena, 10));
	assert_true(arena_size(arena) <= 10000);
	arena_free(arena);
}

static void arena_absurd_sizes_are_refused(void **state)
{
	(void)state;
	struct arena *arena = arena_new(SIZE_MAX);
	for (size_t less = 0; less < 200; less++) {
		assert_null(arena_alloc(arena, SIZE_MAX - less));
		assert_null(arena_alloc(arena, SIZE_MAX / 2 - less));
	}
	assert_null(arena_calloc(arena, SIZE_MAX, 2));
	assert_null(arena_calloc(arena, 2, SIZE_MAX));
	assert_null(arena_calloc(arena, (size_t)1 << 32, (size_t)1 << 32));
	assert_null(arena_calloc(arena, SIZE_MAX / 16 + 2, 16));
	assert_non_null(arena_alloc(arena, 10));
	arena_free(arena);
}

static void arena_calloc_gives_zeros(void **state)
{
	(void)state;
	/* Memory that was used before, so that zeros are no accident. */
	struct arena *arena = arena_new(100000);
	for (int i = 0; i < 10; i++) {
		char *dirt = arena_alloc(arena, 3000);
		assert_non_null(dirt);
		memset(dirt, 0xee, 3000);
		unsigned char *zeros = arena_calloc(arena, 50, 7);
		assert_non_null(zeros);
		for (size_t k = 0; k < 350; k++)
			assert_int_equal(zeros[k], 0);
	}
	arena_free(arena);
}

static void arena_large_requests_get_chunks_of_their_own(void **state)
{
	(void)state;
	struct arena *arena = arena_new(1 << 20);
	static const size_t sizes[] = { 4096, 65536, 65537, 300000, 1, 200000 };
	char *given[6];
	for (size_t i = 0; i < 6; i++) {
		given[i] = arena_alloc(arena, sizes[i]);
		assert_non_null(given[i]);
		memset(given[i], (int)i + 1, sizes[i]);
	}
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(given[i][0], i + 1);
		assert_int_equal(given[i][sizes[i] - 1], i + 1);
	}
	assert_true(arena_size(arena) >= 634000);
	arena_free(arena);
}

static void arena_copy_is_a_copy(void **state)
{
	(void)state;
	struct arena *arena = arena_new(10000);
	char text[] = "a\0b";
	struct bytes copy;
	assert_int_equal(arena_copy(arena, bytes_at(text, 3), &copy), STATUS_OK);
	text[0] = 'x';
	assert_bytes_equal(copy, BYTES_LITERAL("a\0b"));
	arena_free(arena);
}

static void arena_copy_keeps_not_given_and_empty_apart(void **state)
{
	(void)state;
	struct arena *arena = arena_new(10000);
	struct bytes copy = BYTES_LITERAL("before");
	assert_int_equal(arena_copy(arena, BYTES_NONE, &copy), STATUS_OK);
	assert_false(bytes_is_given(copy));
	assert_int_equal(arena_copy(arena, BYTES_LITERAL(""), &copy), STATUS_OK);
	assert_true(bytes_is_given(copy));
	assert_int_equal(copy.size, 0);
	arena_free(arena);
}

static void arena_copy_over_the_ceiling_leaves_the_output(void **state)
{
	(void)state;
	static char large[20000];
	struct arena *arena = arena_new(10000);
	struct bytes copy = BYTES_LITERAL("before");
	assert_int_equal(arena_copy(arena, bytes_at(large, sizeof(large)), &copy), STATUS_NO_MEMORY);
	assert_text_equal(copy, "before");
	arena_free(arena);
}

enum { PIECES = 400 };

/* Every piece is filled with its own pattern; an overlap would show at the end. */
static void fill_and_check(uint64_t seed)
{
	struct random random;
	char *pieces[PIECES];
	size_t sizes[PIECES];
	random_init(&random, seed);
	struct arena *arena = arena_new(1 << 20);
	for (size_t i = 0; i < PIECES; i++) {
		sizes[i] = (size_t)random_below(&random, random_below(&random, 20) == 0 ? 9000 : 200);
		pieces[i] = arena_alloc(arena, sizes[i]);
		assert_for_seed(seed, pieces[i] != NULL && is_aligned(pieces[i]));
		memset(pieces[i], (int)(i % 251), sizes[i]);
	}
	for (size_t i = 0; i < PIECES; i++)
		for (size_t k = 0; k < sizes[i]; k++)
			assert_for_seed(seed, (unsigned char)pieces[i][k] == i % 251);
	arena_free(arena);
}

static void arena_random_pieces_never_overlap(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 30; seed++)
		fill_and_check(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arena_free_accepts_null),
		cmocka_unit_test(arena_alloc_without_arena_asserts),
		cmocka_unit_test(arena_every_size_is_aligned),
		cmocka_unit_test(arena_size_zero_gives_valid_pointers),
		cmocka_unit_test(arena_ceiling_is_never_passed),
		cmocka_unit_test(arena_tiny_ceiling_refuses_politely),
		cmocka_unit_test(arena_refusal_leaves_it_usable),
		cmocka_unit_test(arena_absurd_sizes_are_refused),
		cmocka_unit_test(arena_calloc_gives_zeros),
		cmocka_unit_test(arena_large_requests_get_chunks_of_their_own),
		cmocka_unit_test(arena_copy_is_a_copy),
		cmocka_unit_test(arena_copy_keeps_not_given_and_empty_apart),
		cmocka_unit_test(arena_copy_over_the_ceiling_leaves_the_output),
		cmocka_unit_test(arena_random_pieces_never_overlap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
