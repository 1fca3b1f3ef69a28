#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/random.h"
#include "common/settings_file.h"
#include "settings_support.h"

/* libconfig 1.5 loses the text under way at some syntax errors; a file is read once in the life of a process. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfig.so";
}

/* The table after reading a file with this text. */
static struct settings_table *read_bytes(struct bytes text, char path[static 32])
{
	(void)snprintf(path, 32, "/tmp/chat-worker-test-XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text.data, text.size), (ssize_t)text.size);
	assert_int_equal(close(fd), 0);
	struct settings_table *table = sample_table();
	enum status status = settings_file_read(table, path);
	assert_true(status == STATUS_OK || settings_table_error_count(table) > 0);
	(void)unlink(path);
	return table;
}

static void settings_file_values_and_places_read(void **state)
{
	(void)state;
	char path[32], place[64];
	struct settings_table *table = read_bytes(BYTES_LITERAL("# comment\n"
								"one: {\n"
								"  boolean = true;\n"
								"  number_ms = 500L;\n"
								"  ratio = 1;\n"
								"  text = \"a\\\"b\" \"c\";\n"
								"};\n"
								"two = { choice = \"green\"; list = [\"a\", \"b\"];\n"
								"  deep: { properties = (\"x=1\"); }; };\n"),
		path);
	assert_int_equal(settings_table_problem_count(table), 0);
	assert_true(value_at(table, BOOLEAN)->boolean);
	assert_int_equal(value_at(table, NUMBER)->integer, 500);
	assert_true(value_at(table, RATIO)->number == 1.0);
	assert_string_equal(value_at(table, TEXT)->text, "a\"bc");
	assert_int_equal(value_at(table, CHOICE)->choice, 1);
	assert_int_equal(value_at(table, LIST)->list.count, 2);
	assert_string_equal(value_at(table, PROPERTIES)->list.items[0], "x=1");
	(void)snprintf(place, sizeof place, "%s:4", path);
	assert_string_equal(value_at(table, NUMBER)->place, place);
	settings_table_free(table);
}

struct mistake {
	const char *text;
	unsigned line;
	const char *problem;
};

static void settings_file_mistakes_told_with_line(void **state)
{
	(void)state;
	static const struct mistake mistakes[] = {
		{ "one: { numbr_ms = 5; };", 1, "one.numbr_ms: unknown setting, did you mean one.number_ms?" },
		{ "\n\nont: { };", 3, "ont: unknown setting, did you mean one?" },
		{ "one = 5;", 1, "one: is a group of settings" },
		{ "one:\n{\n number_ms = \"500\";\n};", 3, "one.number_ms: must be a whole number, is a text" },
		{ "one: { number_ms = 5.0; };", 1,
			"one.number_ms: must be a whole number, is a number with a fraction" },
		{ "one: { number_ms = [1]; };", 1, "one.number_ms: must be a whole number, is a list" },
		{ "one: { number_ms = { a = 1; }; };", 1, "one.number_ms: must be a whole number, is a group" },
		{ "one: { number_ms = true; };", 1, "one.number_ms: must be a whole number, is true or false" },
		{ "one: { boolean = \"true\"; };", 1, "one.boolean: must be true or false, is a text" },
		{ "one: { boolean = 1; };", 1, "one.boolean: must be true or false, is a whole number" },
		{ "one: { text = 5; };", 1, "one.text: must be a text, is a whole number" },
		{ "one: { ratio = \"0.5\"; };", 1, "one.ratio: must be a number, is a text" },
		{ "two: { choice = \"Green\"; };", 1, "two.choice: must be one of red, green, blue" },
		{ "two: { list = \"a\"; };", 1, "two.list: must be a list of texts, is a text" },
		{ "two: { list = [1, 2]; };", 1, "two.list: must be a list of texts, is a list of something else" },
		{ "two: { list = (\"a\", 1); };", 1, "two.list: must be a list of texts" },
		{ "two: { list = [\"a\", \"\"]; };", 1, "two.list: item 2 is empty" },
		{ "two: { deep: { properties = [\"a\"]; }; };", 1, "two.deep.properties: item 1 must have the form" },
		{ "one: { number_ms = 5; };", 1, "one.number_ms: 5 is too small" },
		{ "one: { number_ms = 9999999999; };", 1, "one.number_ms: 9999999999 is too large" },
		{ "one: {\n number_ms = 4294967396; };", 2, "one.number_ms: 4294967396 is too large" },
		{ "one: {\n number_ms = 99999999999999999999; };", 2, "a number is too large" },
		{ "one: {\n number_ms = 99999999999999999999L; };", 2, "a number is too large" },
		{ "one: { number_ms = 5000000000L; };", 1, "one.number_ms: 5000000000 is too large" },
		{ "one: {\n boolean = ;\n};", 2, "syntax error" },
		{ "one: { boolean = true;", 1, "syntax error" },
		{ "one: { boolean = true; boolean = false; };", 1, "" },
		{ "\n@include \"other.conf\"\n", 2, "@include is not offered" },
		{ "{\"one\": {}}", 1, "syntax error" },
	};
	for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
		char path[32], wanted[256];
		struct settings_table *table = read_bytes(bytes_of(mistakes[i].text), path);
		(void)snprintf(wanted, sizeof wanted, "%s:%u: %s", path, mistakes[i].line, mistakes[i].problem);
		assert_problem(table, wanted);
		settings_table_free(table);
	}
}

static void settings_file_all_mistakes_told_at_once(void **state)
{
	(void)state;
	char path[32];
	struct settings_table *table = read_bytes(
		BYTES_LITERAL("one: { boolean = 1;\n number_ms = 5;\n nothing = 1; };\ntwo: { choice = \"x\"; };"),
		path);
	assert_int_equal(settings_table_error_count(table), 4);
	settings_table_free(table);
}

static void settings_file_unreadable_told(void **state)
{
	(void)state;
	struct settings_table *table = sample_table();
	assert_int_equal(settings_file_read(table, "/nonexistent/file.conf"), STATUS_INVALID);
	assert_problem(table, "/nonexistent/file.conf: cannot be opened: No such file or directory");
	assert_int_equal(settings_file_read(table, "/tmp"), STATUS_INVALID);
	assert_problem(table, "/tmp: cannot be read");
	assert_int_equal(settings_file_read(table, "/dev/zero"), STATUS_INVALID);
	assert_problem(table, "/dev/zero: cannot be read: too large");
	assert_int_equal(settings_table_error_count(table), 3);
	settings_table_free(table);
}

static void settings_file_odd_bytes_refused(void **state)
{
	(void)state;
	char path[32];
	struct settings_table *table = read_bytes(BYTES_LITERAL("one: {\0};"), path);
	assert_problem(table, ":1: there is a NUL byte");
	settings_table_free(table);
	table = read_bytes(BYTES_LITERAL("one: { text = \"\xff\"; };"), path);
	assert_problem(table, "one.text: must be UTF-8");
	settings_table_free(table);
}

static void settings_file_empty_changes_nothing(void **state)
{
	(void)state;
	char path[32];
	struct settings_table *table = read_bytes(BYTES_LITERAL(""), path);
	assert_int_equal(settings_table_problem_count(table), 0);
	assert_int_equal(value_at(table, NUMBER)->origin, SETTING_DEFAULT);
	settings_table_free(table);
}

/* Far deeper than any group that exists. */
static void settings_file_deep_nesting_survived(void **state)
{
	(void)state;
	char path[32];
	struct buffer text;
	buffer_init(&text, 100000);
	for (int i = 0; i < 3000; i++)
		buffer_append_text(&text, "one: { ");
	for (int i = 0; i < 3000; i++)
		buffer_append_text(&text, "}; ");
	struct settings_table *table = read_bytes(buffer_bytes(&text), path);
	assert_true(settings_table_error_count(table) > 0);
	settings_table_free(table);
	buffer_deinit(&text);
}

/* Whatever is in the file: it is read or told, never more. */
static void settings_file_mutilated_survived(void **state)
{
	(void)state;
	static const char good[] =
		"one: { boolean = true; number_ms = 0x1F4; /* c */ ratio = 1.5e-1; text = \"a\\\"b\"; };\n"
		"two = { choice = \"green\"; list = [\"a\", \"b\"]; deep: { properties = (\"x=1\"); }; };\n";
	static const char pieces[] = "{}[]();:=,\"\\@#/*+-.eEL0x19\n\t \xff";
	struct random random;
	random_init(&random, 1);
	for (int round = 0; round < 2000; round++) {
		char text[sizeof good], path[32];
		memcpy(text, good, sizeof good);
		for (uint64_t edits = 1 + random_below(&random, 6); edits > 0; edits--)
			text[random_below(&random, sizeof good - 1)] = pieces[random_below(&random, sizeof pieces - 1)];
		settings_table_free(read_bytes(bytes_at(text, random_below(&random, sizeof good)), path));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_file_values_and_places_read),
		cmocka_unit_test(settings_file_mistakes_told_with_line),
		cmocka_unit_test(settings_file_all_mistakes_told_at_once),
		cmocka_unit_test(settings_file_unreadable_told),
		cmocka_unit_test(settings_file_odd_bytes_refused),
		cmocka_unit_test(settings_file_empty_changes_nothing),
		cmocka_unit_test(settings_file_deep_nesting_survived),
		cmocka_unit_test(settings_file_mutilated_survived),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
