#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/json_text.h"
#include "worker/settings_print.h"

typedef void print_function(const struct settings *settings, struct buffer *out_text);

static char *print(print_function *function, const struct settings *settings)
{
	struct buffer text;
	buffer_init(&text, 1048576);
	function(settings, &text);
	buffer_append_char(&text, '\0');
	char *data;
	size_t size;
	assert_int_equal(buffer_take(&text, &data, &size), STATUS_OK);
	return data;
}

static struct settings *load(const struct settings_flag *flags, size_t count)
{
	struct settings *settings = settings_new();
	const struct settings_sources sources = { .flags = flags, .flag_count = count };
	assert_int_equal(settings_load(settings, &sources), STATUS_OK);
	return settings;
}

static const struct settings_flag flags[] = {
	{ "--set", "kafka.bootstrap_servers", "a:1", false },
	{ "--set", "openrouter.models", "m/1,m/2", false },
	{ "--set", "openrouter.proxy", "http://user:sk-canary@proxy:1", false },
	{ "-X", "kafka.properties", "sasl.password=sk-canary", true },
	{ "-X", "kafka.properties", "debug=all", true },
	{ "--set", "chat.system_prompt", "line 1\nline \"2\"\\ \x01 ü", false },
	{ "--set", "worker.max_bytes", "5000000000", false },
	{ "--set", "retry.budget_ratio", "2", false },
};

static void settings_print_text_shows_value_and_origin(void **state)
{
	(void)state;
	struct settings *settings = load(flags, sizeof flags / sizeof flags[0]);
	char *text = print(settings_print_text, settings);
	assert_non_null(strstr(text, "openrouter.models = m/1,m/2  # --set\n"));
	assert_non_null(strstr(text, "kafka.group_id = chat-worker  # default\n"));
	assert_non_null(strstr(text, "kafka.properties = sasl.password=****;debug=all  # -X\n"));
	assert_non_null(strstr(text, "openrouter.proxy = ****  # --set\n"));
	assert_null(strstr(text, "canary"));
	free(text);
	settings_free(settings);
}

static struct settings *load_text(const char *text)
{
	char path[] = "/tmp/chat-worker-test-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(close(fd), 0);
	struct settings *settings = settings_new();
	const struct settings_sources sources = { .file = path };
	enum status status = settings_load(settings, &sources);
	for (size_t i = 0; i < settings_table_problem_count(settings->table); i++)
		print_message("problem: %s\n", settings_table_problem(settings->table, i)->text);
	assert_int_equal(status, STATUS_OK);
	(void)unlink(path);
	return settings;
}

/* What is printed as a file is read back to the same values, but for masked secrets. */
static void settings_print_libconfig_reads_back_the_same(void **state)
{
	(void)state;
	struct settings *first = load(flags, sizeof flags / sizeof flags[0]);
	char *text = print(settings_print_libconfig, first);
	assert_null(strstr(text, "canary"));
	struct settings *second = load_text(text);
	for (size_t i = 0; i < settings_table_count(first->table); i++) {
		if (settings_table_row(first->table, i)->is_secret) continue;
		struct buffer a, b;
		buffer_init(&a, 4096);
		buffer_init(&b, 4096);
		settings_table_show(first->table, i, &a);
		settings_table_show(second->table, i, &b);
		assert_true(bytes_equal(buffer_bytes(&a), buffer_bytes(&b)));
		buffer_deinit(&a);
		buffer_deinit(&b);
	}
	assert_string_equal(second->chat.system_prompt, "line 1\nline \"2\"\\ \x01 ü");
	assert_int_equal(second->worker.max_bytes, 5000000000);
	free(text);
	settings_free(first);
	settings_free(second);
}

static void settings_print_reference_names_every_setting(void **state)
{
	(void)state;
	struct settings *settings = settings_new();
	char *markdown = print(settings_print_markdown, settings);
	char *man = print(settings_print_man, settings);
	for (size_t i = 0; i < settings_table_count(settings->table); i++) {
		char wanted[256];
		const char *key = settings_table_row(settings->table, i)->key;
		(void)snprintf(wanted, sizeof wanted, "| `%s` |", key);
		assert_non_null(strstr(markdown, wanted));
		(void)snprintf(wanted, sizeof wanted, ".B %s\n", key);
		assert_non_null(strstr(man, wanted));
	}
	free(markdown);
	free(man);
	settings_free(settings);
}

static void settings_print_json_schema_is_json(void **state)
{
	(void)state;
	struct settings *settings = settings_new();
	char *text = print(settings_print_json_schema, settings);
	assert_true(json_text_is_object(bytes_of(text)));
	assert_non_null(strstr(text, "\"enum\": [\"exactly_once\", \"at_least_once\"]"));
	assert_non_null(strstr(text, "\"model_unavailable\""));
	free(text);
	settings_free(settings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_print_text_shows_value_and_origin),
		cmocka_unit_test(settings_print_libconfig_reads_back_the_same),
		cmocka_unit_test(settings_print_reference_names_every_setting),
		cmocka_unit_test(settings_print_json_schema_is_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
