/* The option parser. Messages go to stderr, where nobody looks at them here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "replay/options.h"

struct target {
	bool flag;
	const char *text;
	int64_t number;
	int64_t ms;
	int64_t seconds_ms;
	struct option_list list;
};

#define MEMBER(name) offsetof(struct target, name)

static const struct option_row ROWS[] = {
	{ "flag", 'f', OPTION_FLAG, MEMBER(flag), NULL, "a flag" },
	{ "text", 't', OPTION_TEXT, MEMBER(text), "TEXT", "a text" },
	{ "number", 0, OPTION_NUMBER, MEMBER(number), "N", "a number" },
	{ "delay", 0, OPTION_MS, MEMBER(ms), "MS", "milliseconds" },
	{ "wait", 0, OPTION_SECONDS, MEMBER(seconds_ms), "TIME", "seconds" },
	{ "list", 'X', OPTION_LIST, MEMBER(list), "ITEM", "a list" },
};

static const struct option_table TABLE = { .command = "test",
	.operands = "A B",
	.purpose = "Tests.",
	.rows = ROWS,
	.count = sizeof ROWS / sizeof ROWS[0],
	.operands_max = 2 };

enum { ARGUMENTS_MAX = 80 };

/* Parses the words after the command's name; operands are at argv[1..]. */
static enum status parse(
	const char *const *words, size_t count, struct target *target, char **argv, size_t *out_operands)
{
	assert_true(count + 2 <= ARGUMENTS_MAX);
	argv[0] = (char *)(uintptr_t) "test";
	for (size_t i = 0; i < count; i++)
		argv[i + 1] = (char *)(uintptr_t)words[i];
	argv[count + 1] = NULL;
	*target = (struct target){ .text = "default", .number = 5 };
	return options_parse(&TABLE, (int)count + 1, argv, target, out_operands);
}

static void options_all_kinds_are_set(void **state)
{
	(void)state;
	static const char *const WORDS[] = { "one", "--flag", "-t", "x", "--number=7", "--delay", "250", "--wait", "2",
		"-X", "a=b", "two", "--list=c=d", "--text=y=z" };
	char *argv[ARGUMENTS_MAX];
	struct target target;
	size_t operands = 0;
	assert_int_equal(parse(WORDS, sizeof WORDS / sizeof WORDS[0], &target, argv, &operands), STATUS_OK);
	assert_true(target.flag);
	assert_string_equal(target.text, "y=z");
	assert_int_equal(target.number, 7);
	assert_int_equal(target.ms, 250);
	assert_int_equal(target.seconds_ms, 2000);
	assert_int_equal(target.list.count, 2);
	assert_string_equal(target.list.items[0], "a=b");
	assert_string_equal(target.list.items[1], "c=d");
	assert_int_equal(operands, 2);
	assert_string_equal(argv[1], "one");
	assert_string_equal(argv[2], "two");
}

static void options_without_arguments_keep_defaults(void **state)
{
	(void)state;
	char *argv[ARGUMENTS_MAX];
	struct target target;
	size_t operands = 9;
	assert_int_equal(parse(NULL, 0, &target, argv, &operands), STATUS_OK);
	assert_string_equal(target.text, "default");
	assert_int_equal(target.number, 5);
	assert_int_equal(operands, 0);
}

static void options_after_two_dashes_are_operands(void **state)
{
	(void)state;
	static const char *const WORDS[] = { "-", "--", "--flag" };
	char *argv[ARGUMENTS_MAX];
	struct target target;
	size_t operands = 0;
	assert_int_equal(parse(WORDS, 3, &target, argv, &operands), STATUS_OK);
	assert_false(target.flag);
	assert_int_equal(operands, 2);
	assert_string_equal(argv[1], "-");
	assert_string_equal(argv[2], "--flag");
}

static void options_mistakes_are_invalid(void **state)
{
	(void)state;
	static const char *const LINES[][3] = { { "--unknown" }, { "-z" }, { "--flag=1" }, { "--text" }, { "-t" },
		{ "--number", "x" }, { "--number=-1" }, { "--delay", "soon" }, { "--wait=" }, { "--fla" },
		{ "--flags" }, { "-ft" }, { "a", "b", "c" } };
	for (size_t i = 0; i < sizeof LINES / sizeof LINES[0]; i++) {
		char *argv[ARGUMENTS_MAX];
		struct target target;
		size_t operands = 0, count = 0;
		while (count < 3 && LINES[i][count] != NULL)
			count++;
		assert_int_equal(parse(LINES[i], count, &target, argv, &operands), STATUS_INVALID);
	}
}

static void options_list_at_its_bound_is_invalid(void **state)
{
	(void)state;
	const char *words[2 * (OPTION_LIST_MAX + 1)];
	char *argv[ARGUMENTS_MAX];
	struct target target;
	size_t operands = 0;
	for (size_t i = 0; i <= OPTION_LIST_MAX; i++) {
		words[2 * i] = "-X";
		words[2 * i + 1] = "a";
	}
	assert_int_equal(parse(words, (size_t)2 * OPTION_LIST_MAX, &target, argv, &operands), STATUS_OK);
	assert_int_equal(parse(words, (size_t)2 * OPTION_LIST_MAX + 2, &target, argv, &operands), STATUS_INVALID);
}

static void options_help_ends_the_parsing(void **state)
{
	(void)state;
	static const char *const WORDS[] = { "--help", "--unknown" };
	char *argv[ARGUMENTS_MAX];
	struct target target;
	size_t operands = 0;
	assert_int_equal(parse(WORDS, 2, &target, argv, &operands), STATUS_CLOSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_all_kinds_are_set),
		cmocka_unit_test(options_without_arguments_keep_defaults),
		cmocka_unit_test(options_after_two_dashes_are_operands),
		cmocka_unit_test(options_mistakes_are_invalid),
		cmocka_unit_test(options_list_at_its_bound_is_invalid),
		cmocka_unit_test(options_help_ends_the_parsing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
