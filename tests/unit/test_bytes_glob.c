/* Globs: a table of what settings say, and random ones against the plain recursive definition. */
#include <string.h>

#include "common/bytes.h"
#include "common/random.h"
#include "tests/unit/testing.h"

struct glob_case {
	const char *view, *pattern;
	bool matches;
};

static const struct glob_case glob_cases[] = {
	{ "", "", true },
	{ "", "*", true },
	{ "", "**", true },
	{ "", "?", false },
	{ "", "a", false },
	{ "a", "", false },
	{ "a", "a", true },
	{ "a", "?", true },
	{ "a", "*", true },
	{ "a", "*?", true },
	{ "a", "?*", true },
	{ "a", "??", false },
	{ "a", "A", false },
	{ "a/b", "*", true },
	{ "a/b", "a*b", true },
	{ "openai/gpt-4o", "openai/*", true },
	{ "openai/gpt-4o", "*/gpt-4o", true },
	{ "openai/gpt-4o", "*gpt*", true },
	{ "openai/gpt-4o", "openai/gpt-4?", true },
	{ "openai/gpt-4o", "openai/gpt-4", false },
	{ "openai/gpt-4o-mini", "openai/gpt-4o", false },
	{ "openai/gpt-4o:free", "*:free", true },
	{ "openai/gpt-4o:freed", "*:free", false },
	{ "aaab", "*ab", true },
	{ "ababab", "*ab*ab", true },
	{ "ababa", "*ab*ab", false },
	{ "mississippi", "m*iss*ip*", true },
	{ "mississippi", "m*iss*ipx*", false },
	{ "a*b", "a*b", true },
	{ "a?b", "a?b", true },
	{ "[a]", "[a]", true },
	{ "a", "[a]", false },
	{ "a\\b", "a\\b", true },
	{ "\xc3\xa4", "?", false },
	{ "\xc3\xa4", "??", true },
};

static void bytes_glob_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(glob_cases) / sizeof(glob_cases[0]); i++) {
		const struct glob_case *at = &glob_cases[i];
		if (bytes_match_glob(bytes_of(at->view), bytes_of(at->pattern)) != at->matches)
			fail_msg("'%s' and '%s'", at->view, at->pattern);
	}
}

static void bytes_glob_not_given_is_empty(void **state)
{
	(void)state;
	assert_true(bytes_match_glob(BYTES_NONE, BYTES_NONE));
	assert_true(bytes_match_glob(BYTES_NONE, BYTES_LITERAL("*")));
	assert_false(bytes_match_glob(BYTES_NONE, BYTES_LITERAL("a")));
}

static void bytes_glob_nul_is_a_byte_as_any(void **state)
{
	(void)state;
	assert_true(bytes_match_glob(BYTES_LITERAL("a\0b"), BYTES_LITERAL("a?b")));
	assert_true(bytes_match_glob(BYTES_LITERAL("a\0b"), BYTES_LITERAL("a\0*")));
	assert_false(bytes_match_glob(BYTES_LITERAL("a\0b"), BYTES_LITERAL("a")));
}

/* With one stack frame or one retry per star this would not end. */
static void bytes_glob_hostile_pattern_ends(void **state)
{
	(void)state;
	char view[4000], pattern[2000];
	memset(view, 'a', sizeof(view));
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = i % 2 == 0 ? '*' : 'a';
	pattern[sizeof(pattern) - 1] = 'b';
	assert_false(bytes_match_glob(bytes_at(view, sizeof(view)), bytes_at(pattern, sizeof(pattern))));
}

/* The definition: a star is nothing, or one byte and a star. */
static bool defined_match(const char *view, const char *pattern)
{
	if (*pattern == '\0') return *view == '\0';
	if (*pattern == '*')
		return defined_match(view, pattern + 1) || (*view != '\0' && defined_match(view + 1, pattern));
	return *view != '\0' && (*pattern == '?' || *pattern == *view) && defined_match(view + 1, pattern + 1);
}

static void fill(struct random *random, char *text, size_t size_max, const char *alphabet)
{
	size_t size = (size_t)random_below(random, size_max);
	for (size_t i = 0; i < size; i++)
		text[i] = alphabet[random_below(random, strlen(alphabet))];
	text[size] = '\0';
}

static void bytes_glob_random_patterns_agree_with_definition(void **state)
{
	(void)state;
	struct random random;
	int matches = 0;
	random_init(&random, 41);
	for (int i = 0; i < 200000; i++) {
		char view[10], pattern[8];
		fill(&random, view, sizeof(view), "ab");
		fill(&random, pattern, sizeof(pattern), "ab?**");
		bool expected = defined_match(view, pattern);
		if (bytes_match_glob(bytes_of(view), bytes_of(pattern)) != expected)
			fail_msg("'%s' '%s'", view, pattern);
		matches += expected;
	}
	assert_in_range(matches, 20000, 180000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_glob_cases),
		cmocka_unit_test(bytes_glob_not_given_is_empty),
		cmocka_unit_test(bytes_glob_nul_is_a_byte_as_any),
		cmocka_unit_test(bytes_glob_hostile_pattern_ends),
		cmocka_unit_test(bytes_glob_random_patterns_agree_with_definition),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
