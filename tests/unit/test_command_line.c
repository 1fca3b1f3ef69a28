#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/command_line.h"

enum { WORDS_MAX = 16 };

/* Splits at blanks; "chat-worker" comes first. */
static enum status parse(struct command_line *line, const char *text, struct buffer *problem)
{
	static char copy[512];
	char *argv[WORDS_MAX + 1] = { copy };
	(void)strcpy(copy, "chat-worker ");
	(void)strncat(copy, text, sizeof copy - 32);
	int argc = 0;
	for (char *word = strtok(copy, " "); word != NULL && argc < WORDS_MAX; word = strtok(NULL, " "))
		argv[argc++] = word;
	argv[argc] = NULL;
	return command_line_parse(line, argc, argv, problem);
}

static void assert_refused(const char *text, const char *wanted)
{
	struct command_line line;
	struct buffer problem;
	buffer_init(&problem, 1024);
	assert_int_equal(parse(&line, text, &problem), STATUS_INVALID);
	buffer_append_char(&problem, '\0');
	assert_non_null(strstr(problem.data, wanted));
	assert_null(strstr(problem.data, "canary"));
	buffer_deinit(&problem);
	command_line_deinit(&line);
}

static void parse_good(struct command_line *line, const char *text)
{
	struct buffer problem;
	buffer_init(&problem, 1024);
	assert_int_equal(parse(line, text, &problem), STATUS_OK);
	assert_int_equal(problem.size, 0);
	buffer_deinit(&problem);
}

static void command_line_empty_is_no_command(void **state)
{
	(void)state;
	struct command_line line;
	parse_good(&line, "");
	assert_string_equal(line.command, "");
	assert_null(line.file);
	assert_int_equal(line.flag_count, 0);
	command_line_deinit(&line);
}

static void command_line_options_in_any_place(void **state)
{
	(void)state;
	struct command_line line;
	parse_good(
		&line, "-X a=b=c check --set k.l=v=w --deny-warnings -c f.conf -v --no-environment --log-format json");
	assert_string_equal(line.command, "check");
	assert_string_equal(line.file, "f.conf");
	assert_int_equal(line.options, COMMAND_OPTION_DENY_WARNINGS | COMMAND_OPTION_NO_ENVIRONMENT);
	assert_int_equal(line.flag_count, 4);
	assert_string_equal(line.flags[0].key, "kafka.properties");
	assert_string_equal(line.flags[0].value, "a=b=c");
	assert_true(line.flags[0].appends);
	assert_string_equal(line.flags[1].key, "k.l");
	assert_string_equal(line.flags[1].value, "v=w");
	assert_string_equal(line.flags[2].key, "log.level");
	assert_string_equal(line.flags[2].value, "debug");
	assert_string_equal(line.flags[3].value, "json");
	command_line_deinit(&line);
}

static void command_line_quiet_is_a_level(void **state)
{
	(void)state;
	struct command_line line;
	parse_good(&line, "run -q");
	assert_int_equal(line.flag_count, 1);
	assert_string_equal(line.flags[0].name, "-q");
	assert_string_equal(line.flags[0].key, "log.level");
	assert_string_equal(line.flags[0].value, "warn");
	command_line_deinit(&line);
}

static void command_line_help_and_version_noted(void **state)
{
	(void)state;
	struct command_line line;
	parse_good(&line, "run --help");
	assert_true(line.wants_help);
	command_line_deinit(&line);
	parse_good(&line, "--version");
	assert_true(line.wants_version);
	command_line_deinit(&line);
	parse_good(&line, "completion bash");
	assert_string_equal(line.operand, "bash");
	command_line_deinit(&line);
}

static void command_line_file_named_by_environment(void **state)
{
	(void)state;
	assert_int_equal(setenv(SETTINGS_FILE_VARIABLE, "/etc/x.conf", 1), 0);
	struct command_line line;
	parse_good(&line, "run");
	assert_string_equal(line.file, "/etc/x.conf");
	command_line_deinit(&line);
	parse_good(&line, "-c other.conf run");
	assert_string_equal(line.file, "other.conf");
	command_line_deinit(&line);
	assert_int_equal(unsetenv(SETTINGS_FILE_VARIABLE), 0);
}

static void command_line_mistakes_told_without_values(void **state)
{
	(void)state;
	assert_refused("--nonsense", "--nonsense is not an option here");
	assert_refused("--key=sk-canary", "--key is not an option here");
	assert_refused("-z", "-z is not an option here");
	assert_refused("--set sk-canary", "--set must have the form");
	assert_refused("--set =sk-canary", "--set must have the form");
	assert_refused("run --set", "--set needs a value");
	assert_refused("-c", "-c needs a value");
	assert_refused("run a sk-canary", "too many words");
	assert_refused("--json=sk-canary", "--json");
}

static void command_line_too_many_flags_refused(void **state)
{
	(void)state;
	static char *argv[2 * COMMAND_FLAGS_MAX + 8];
	int argc = 0;
	char name[] = "chat-worker", set[] = "--set", value[] = "a.b=c";
	argv[argc++] = name;
	for (int i = 0; i <= COMMAND_FLAGS_MAX; i++) {
		argv[argc++] = set;
		argv[argc++] = value;
	}
	struct command_line line;
	struct buffer problem;
	buffer_init(&problem, 1024);
	assert_int_equal(command_line_parse(&line, argc, argv, &problem), STATUS_FULL);
	buffer_deinit(&problem);
	command_line_deinit(&line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(command_line_empty_is_no_command),
		cmocka_unit_test(command_line_options_in_any_place),
		cmocka_unit_test(command_line_quiet_is_a_level),
		cmocka_unit_test(command_line_help_and_version_noted),
		cmocka_unit_test(command_line_file_named_by_environment),
		cmocka_unit_test(command_line_mistakes_told_without_values),
		cmocka_unit_test(command_line_too_many_flags_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
