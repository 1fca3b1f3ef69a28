/* A small settings table for tests, and looking for problems in it. */
#ifndef TESTS_UNIT_SETTINGS_SUPPORT_H
#define TESTS_UNIT_SETTINGS_SUPPORT_H

#include <string.h>

#include "common/settings_table.h"
#include "tests/unit/testing.h"

enum { BOOLEAN, NUMBER, RATIO, TEXT, SECRET, CHOICE, LIST, PROPERTIES, SAMPLE_COUNT };

static const struct setting_row sample_rows[SAMPLE_COUNT] = {
	[BOOLEAN] = { "one.boolean", SETTING_BOOL, "false", 0, 0, "", "", false, "Help." },
	[NUMBER] = { "one.number_ms", SETTING_INT, "100", 10, 1000, "ms", "", false, "Help." },
	[RATIO] = { "one.ratio", SETTING_FLOAT, "0.5", 0, 1, "", "", false, "Help." },
	[TEXT] = { "one.text", SETTING_TEXT, "abc", 1, 20, "", "", false, "Help." },
	[SECRET] = { "two.password", SETTING_TEXT, "", 0, 100, "", "", true, "Help." },
	[CHOICE] = { "two.choice", SETTING_CHOICE, "red", 0, 0, "", "red|green|blue", false, "Help." },
	[LIST] = { "two.list", SETTING_LIST, "", 0, 3, "", "", false, "Help." },
	[PROPERTIES] = { "two.deep.properties", SETTING_PROPERTIES, "", 0, 3, "", "", false, "Help." },
};

static inline struct settings_table *sample_table(void)
{
	struct settings_table *table = settings_table_new(sample_rows, SAMPLE_COUNT);
	assert_non_null(table);
	return table;
}

static inline const struct setting_value *value_at(const struct settings_table *table, size_t index)
{
	return settings_table_value(table, index);
}

static inline bool has_problem(const struct settings_table *table, const char *part)
{
	for (size_t i = 0; i < settings_table_problem_count(table); i++) {
		if (strstr(settings_table_problem(table, i)->text, part) != NULL) return true;
	}
	return false;
}

static inline void assert_problem(const struct settings_table *table, const char *part)
{
	if (has_problem(table, part)) return;
	for (size_t i = 0; i < settings_table_problem_count(table); i++)
		print_message("problem: %s\n", settings_table_problem(table, i)->text);
	fail_msg("no problem with: %s", part);
}

#endif
