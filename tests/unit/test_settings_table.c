#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "settings_support.h"

static void set(struct settings_table *table, const char *key, const char *text, enum setting_origin origin)
{
	static const char *const places[] = { "default", "file:1", "NAME in the environment", "--set" };
	const struct setting_source source = { .origin = origin, .place = places[origin] };
	settings_table_set(table, key, bytes_of(text), &source);
}

static void assert_shown(const struct settings_table *table, size_t index, const char *wanted)
{
	struct buffer text;
	buffer_init(&text, 4096);
	settings_table_show(table, index, &text);
	buffer_append_char(&text, '\0');
	assert_string_equal(text.data, wanted);
	buffer_deinit(&text);
}

static void settings_table_fresh_has_defaults(void **state)
{
	(void)state;
	struct settings_table *table = sample_table();
	assert_false(value_at(table, BOOLEAN)->boolean);
	assert_int_equal(value_at(table, NUMBER)->integer, 100);
	assert_true(value_at(table, RATIO)->number == 0.5);
	assert_string_equal(value_at(table, TEXT)->text, "abc");
	assert_int_equal(value_at(table, CHOICE)->choice, 0);
	assert_int_equal(value_at(table, LIST)->list.count, 0);
	assert_int_equal(value_at(table, NUMBER)->origin, SETTING_DEFAULT);
	assert_int_equal(settings_table_error_count(table), 0);
	settings_table_free(table);
	settings_table_free(NULL);
}

static void settings_table_texts_become_values(void **state)
{
	(void)state;
	struct settings_table *table = sample_table();
	set(table, "one.boolean", " true ", SETTING_FLAG);
	set(table, "one.number_ms", "1000", SETTING_FLAG);
	set(table, "one.ratio", "2.5e-1", SETTING_FLAG);
	set(table, "one.text", "a b", SETTING_FLAG);
	set(table, "two.choice", "blue", SETTING_FLAG);
	set(table, "two.list", "a, b ,c", SETTING_FLAG);
	set(table, "two.deep.properties", "x=1,2; y = 3\nz==", SETTING_FLAG);
	assert_int_equal(settings_table_problem_count(table), 0);
	assert_true(value_at(table, BOOLEAN)->boolean);
	assert_int_equal(value_at(table, NUMBER)->integer, 1000);
	assert_true(value_at(table, RATIO)->number == 0.25);
	assert_string_equal(value_at(table, TEXT)->text, "a b");
	assert_int_equal(value_at(table, CHOICE)->choice, 2);
	assert_int_equal(value_at(table, LIST)->list.count, 3);
	assert_string_equal(value_at(table, LIST)->list.items[1], "b");
	assert_string_equal(value_at(table, PROPERTIES)->list.items[0], "x=1,2");
	assert_string_equal(value_at(table, PROPERTIES)->list.items[2], "z==");
	settings_table_free(table);
}

static void settings_table_stronger_origin_wins_in_any_order(void **state)
{
	(void)state;
	struct settings_table *table = sample_table();
	set(table, "one.number_ms", "20", SETTING_ENVIRONMENT);
	set(table, "one.number_ms", "30", SETTING_FILE);
	assert_int_equal(value_at(table, NUMBER)->integer, 20);
	assert_int_equal(value_at(table, NUMBER)->origin, SETTING_ENVIRONMENT);
	set(table, "one.number_ms", "40", SETTING_FLAG);
	set(table, "one.number_ms", "50", SETTING_FLAG);
	assert_int_equal(value_at(table, NUMBER)->integer, 50);
	assert_string_equal(value_at(table, NUMBER)->place, "--set");
	settings_table_free(table);
}

struct mistake {
	const char *key;
	const char *text;
	const char *problem;
};

static void settings_table_mistakes_told_and_value_kept(void **state)
{
	(void)state;
	static const struct mistake mistakes[] = {
		{ "one.boolean", "yes", "file:1: one.boolean: must be true or false" },
		{ "one.boolean", "", "one.boolean: must be true or false" },
		{ "one.number_ms", "9", "one.number_ms: 9 is too small, the least is 10 ms" },
		{ "one.number_ms", "1001", "one.number_ms: 1001 is too large, the most is 1000 ms" },
		{ "one.number_ms", "-9223372036854775808", "is too small" },
		{ "one.number_ms", "99999999999999999999", "one.number_ms: must be a whole number from 10 to 1000 ms" },
		{ "one.number_ms", "1e2", "must be a whole number" },
		{ "one.number_ms", "0x10", "must be a whole number" },
		{ "one.number_ms", "", "must be a whole number" },
		{ "one.ratio", "1.5", "one.ratio: 1.5 is too large" },
		{ "one.ratio", "nan", "one.ratio: must be a number from 0 to 1" },
		{ "one.ratio", "inf", "must be a number" },
		{ "one.ratio", "0,5", "must be a number" },
		{ "one.ratio", "0.5x", "must be a number" },
		{ "one.ratio", "1e999", "must be a number" },
		{ "one.text", "", "one.text: must not be empty" },
		{ "one.text", "123456789012345678901", "one.text: is too long, the most is 20 bytes" },
		{ "one.text", "\xff", "one.text: must be UTF-8" },
		{ "two.choice", "Red", "two.choice: must be one of red, green, blue" },
		{ "two.choice", "", "two.choice: must be one of" },
		{ "two.list", "a,b,c,d", "two.list: has 4 items, the most is 3" },
		{ "two.list", "a,,b", "two.list: item 2 is empty" },
		{ "two.list", ",", "two.list: item 1 is empty" },
		{ "two.list", "a,\xff", "two.list: item 2 must be UTF-8 without NUL" },
		{ "two.deep.properties", "abc", "two.deep.properties: item 1 must have the form name=value" },
		{ "two.deep.properties", "a=1;=2", "item 2 must have the form name=value" },
	};
	for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
		struct settings_table *table = sample_table();
		set(table, mistakes[i].key, mistakes[i].text, SETTING_FILE);
		assert_problem(table, mistakes[i].problem);
		assert_int_equal(settings_table_error_count(table), 1);
		size_t index = settings_table_find(table, mistakes[i].key);
		assert_int_equal(value_at(table, index)->origin, SETTING_DEFAULT);
		settings_table_free(table);
	}
}

static void settings_table_given_text_never_quoted(void **state)
{
	(void)state;
	static const char *const keys[] = { "one.boolean", "one.number_ms", "one.ratio", "two.choice",
		"two.deep.properties" };
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		struct settings_table *table = sample_table();
		set(table, keys[i], "sk-canary", SETTING_ENVIRONMENT);
		assert_int_equal(settings_table_error_count(table), 1);
		assert_false(has_problem(table, "canary"));
		settings_table_free(table);
	}
}

static void settings_table_unknown_key_suggests_nearest(void **state)
{
	(void)state;
	struct settings_table *table = sample_table();
	set(table, "one.numbr_ms", "1", SETTING_FLAG);
	assert_problem(table, "--set: one.numbr_ms: unknown setting, did you mean one.number_ms?");
	set(table, "number_ms", "1", SETTING_FLAG);
	assert_problem(table, "number_ms: unknown setting, did you mean one.number_ms?");
	set(table, "two.dep", "1", SETTING_FLAG);
	assert_problem(table, "two.dep: unknown setting, did you mean two.deep?");
	set(table, "two.deep", "1", SETTING_FLAG);
	assert_problem(table, "two.deep: is a group of settings, not a setting");
	set(table, "entirely.different", "1", SETTING_FLAG);
	assert_problem(table, "entirely.different: unknown setting");
	assert_false(has_problem(table, "entirely.different: unknown setting,"));
	settings_table_free(table);
}

static void settings_table_secrets_masked_when_shown(void **state)
{
	(void)state;
	struct settings_table *table = sample_table();
	assert_shown(table, SECRET, "");
	set(table, "two.password", "sk-canary", SETTING_FLAG);
	set(table, "two.deep.properties", "a=1;sasl.password=sk-canary;b=2", SETTING_FLAG);
	assert_string_equal(value_at(table, SECRET)->text, "sk-canary");
	assert_shown(table, SECRET, "****");
	assert_shown(table, PROPERTIES, "a=1;sasl.password=****;b=2");
	assert_shown(table, CHOICE, "red");
	assert_shown(table, RATIO, "0.5");
	settings_table_free(table);
}

static void settings_table_environment_read_and_secrets_wiped(void **state)
{
	(void)state;
	char number[] = "X_ONE_NUMBER_MS=77", password[] = "X_TWO_PASSWORD=sk-canary", other[] = "PATH=/bin";
	char unknown[] = "X_ONE_NUMBR=1", service[] = "X_SERVICE_HOST=10.0.0.1", port[] = "X_PORT=tcp://10.0.0.1:1";
	char ignored[] = "X_CONFIG=/etc/x", bare[] = "X_NOTHING";
	char *environment[] = { number, password, other, unknown, service, port, ignored, bare, NULL };
	struct settings_table *table = sample_table();
	settings_table_set_environment(table, "X_", environment, "X_CONFIG");
	assert_int_equal(value_at(table, NUMBER)->integer, 77);
	assert_string_equal(value_at(table, NUMBER)->place, "X_ONE_NUMBER_MS in the environment");
	assert_string_equal(value_at(table, SECRET)->text, "sk-canary");
	assert_string_equal(password, "X_TWO_PASSWORD=");
	assert_int_equal(settings_table_error_count(table), 0);
	assert_int_equal(settings_table_problem_count(table), 1);
	assert_true(settings_table_problem(table, 0)->is_warning);
	assert_problem(table, "X_ONE_NUMBR in the environment: names no setting");
	settings_table_free(table);
}

static void write_file(char *path, const char *text)
{
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(close(fd), 0);
}

static void settings_table_secret_file_read_without_newline(void **state)
{
	(void)state;
	char path[] = "/tmp/chat-worker-test-XXXXXX";
	write_file(path, "sk-canary\n");
	char password[128], text[] = "X_ONE_TEXT_FILE=/tmp/x",
			    missing[] = "X_TWO_DEEP_PROPERTIES_FILE=/nonexistent/file";
	(void)snprintf(password, sizeof password, "X_TWO_PASSWORD_FILE=%s", path);
	char *environment[] = { password, text, missing, NULL };
	struct settings_table *table = sample_table();
	settings_table_set_environment(table, "X_", environment, "X_CONFIG");
	assert_string_equal(value_at(table, SECRET)->text, "sk-canary");
	assert_problem(table, "X_ONE_TEXT_FILE in the environment: names no setting");
	assert_problem(
		table, "X_TWO_DEEP_PROPERTIES_FILE in the environment: two.deep.properties: cannot open the file");
	settings_table_free(table);
	(void)unlink(path);
}

static void settings_table_secret_file_that_is_a_directory_is_told(void **state)
{
	(void)state;
	char password[] = "X_TWO_PASSWORD_FILE=/tmp";
	char *environment[] = { password, NULL };
	struct settings_table *table = sample_table();
	settings_table_set_environment(table, "X_", environment, "X_CONFIG");
	assert_problem(table, "X_TWO_PASSWORD_FILE in the environment: two.password: cannot read the file");
	assert_int_equal(value_at(table, SECRET)->origin, SETTING_DEFAULT);
	settings_table_free(table);
}

static void settings_table_problems_bounded(void **state)
{
	(void)state;
	struct settings_table *table = sample_table();
	for (int i = 0; i < 1000; i++)
		set(table, "no.such", "1", SETTING_FLAG);
	assert_int_equal(settings_table_problem_count(table), SETTINGS_PROBLEMS_MAX);
	assert_int_equal(settings_table_error_count(table), 1000);
	assert_problem(table, "more problems follow");
	settings_table_free(table);
}

static void settings_table_own_problems_have_places(void **state)
{
	(void)state;
	struct settings_table *table = sample_table();
	settings_table_error(table, "one.text", "is %s", "odd");
	assert_problem(table, "one.text: is odd");
	set(table, "one.text", "x", SETTING_FILE);
	settings_table_warn(table, "one.text", "is odd again");
	assert_problem(table, "file:1: one.text: is odd again");
	assert_int_equal(settings_table_error_count(table), 1);
	assert_int_equal(settings_table_problem_count(table), 2);
	settings_table_free(table);
}

static void settings_table_huge_values_bounded(void **state)
{
	(void)state;
	struct settings_table *table = sample_table();
	char *large = malloc(3000000);
	assert_non_null(large);
	memset(large, ',', 2999999);
	large[2999999] = '\0';
	set(table, "two.list", large, SETTING_FLAG);
	assert_int_equal(settings_table_error_count(table), 1);
	free(large);
	settings_table_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_table_fresh_has_defaults),
		cmocka_unit_test(settings_table_texts_become_values),
		cmocka_unit_test(settings_table_stronger_origin_wins_in_any_order),
		cmocka_unit_test(settings_table_mistakes_told_and_value_kept),
		cmocka_unit_test(settings_table_given_text_never_quoted),
		cmocka_unit_test(settings_table_unknown_key_suggests_nearest),
		cmocka_unit_test(settings_table_secrets_masked_when_shown),
		cmocka_unit_test(settings_table_environment_read_and_secrets_wiped),
		cmocka_unit_test(settings_table_secret_file_read_without_newline),
		cmocka_unit_test(settings_table_secret_file_that_is_a_directory_is_told),
		cmocka_unit_test(settings_table_problems_bounded),
		cmocka_unit_test(settings_table_own_problems_have_places),
		cmocka_unit_test(settings_table_huge_values_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
