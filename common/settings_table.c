/* Values with their origins, and the problems found; how a value is read is common/settings_value.h. */
#include "common/settings_table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/arena.h"
#include "common/assertion.h"
#include "common/nearest.h"
#include "common/settings_value.h"

enum {
	SETTINGS_MEMORY_MAX = 16777216, /* bytes of all values and problems */
	SETTINGS_PROBLEM_SIZE = 1024,   /* bytes of one problem */
};

struct settings_table {
	const struct setting_row *rows;
	size_t count;
	struct setting_value *values;
	struct arena *arena;
	struct settings_problem problems[SETTINGS_PROBLEMS_MAX];
	size_t problem_count;
	size_t error_count;
};

static const char *copy_text(struct settings_table *table, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = arena_alloc(table->arena, size);
	return copy == NULL ? "out of memory" : memcpy(copy, text, size);
}

static void add_problem(struct settings_table *table, bool is_warning, const char *text)
{
	if (!is_warning) table->error_count++;
	if (table->problem_count == SETTINGS_PROBLEMS_MAX) return;
	bool is_last = table->problem_count == SETTINGS_PROBLEMS_MAX - 1;
	table->problems[table->problem_count++] = (struct settings_problem){
		.is_warning = is_warning && !is_last,
		.text = is_last ? "more problems follow, they are left out" : copy_text(table, text),
	};
}

static enum status set_defaults(struct settings_table *table)
{
	struct buffer problem;
	buffer_init(&problem, SETTINGS_PROBLEM_SIZE);
	enum status status = STATUS_OK;
	for (size_t i = 0; i < table->count && status == STATUS_OK; i++) {
		const struct setting_row *row = &table->rows[i];
		struct setting_value value = { .origin = SETTING_DEFAULT, .place = "default" };
		status = settings_value_read(row, bytes_of(row->default_text), table->arena, &value, &problem);
		ASSERT(status != STATUS_INVALID);
		table->values[i] = value;
	}
	buffer_deinit(&problem);
	return status;
}

struct settings_table *settings_table_new(const struct setting_row *rows, size_t count)
{
	struct settings_table *table = calloc(1, sizeof *table);
	if (table == NULL) return NULL;
	table->rows = rows;
	table->arena = arena_new(SETTINGS_MEMORY_MAX);
	table->values = calloc(count, sizeof *table->values);
	if (table->arena == NULL || table->values == NULL) {
		settings_table_free(table);
		return NULL;
	}
	table->count = count;
	if (set_defaults(table) == STATUS_OK) return table;
	settings_table_free(table);
	return NULL;
}

void settings_table_free(struct settings_table *table)
{
	if (table == NULL) return;
	for (size_t i = 0; i < table->count; i++)
		settings_value_wipe(&table->rows[i], &table->values[i]);
	free(table->values);
	arena_free(table->arena);
	free(table);
}

size_t settings_table_find(const struct settings_table *table, const char *key)
{
	size_t index = 0;
	while (index < table->count && strcmp(table->rows[index].key, key) != 0)
		index++;
	return index;
}

bool settings_table_has_group(const struct settings_table *table, const char *key)
{
	size_t size = strlen(key);
	for (size_t i = 0; i < table->count; i++) {
		if (strncmp(table->rows[i].key, key, size) == 0 && table->rows[i].key[size] == '.') return true;
	}
	return false;
}

/* The row or group that `key` may be a slip for, or the row that has it as its last part; "" when there is none. */
static struct bytes find_nearest(const struct settings_table *table, const char *key)
{
	struct bytes word = bytes_of(key), best = BYTES_LITERAL("");
	size_t best_distance = SIZE_MAX;
	for (size_t i = 0; i < table->count; i++) {
		const char *name = table->rows[i].key;
		const char *last_dot = strrchr(name, '.');
		if (last_dot != NULL && strcmp(last_dot + 1, key) == 0) return bytes_of(name);
		for (const char *end = strchr(name, '.');; end = strchr(end + 1, '.')) {
			struct bytes candidate = end == NULL ? bytes_of(name) : bytes_at(name, (size_t)(end - name));
			size_t distance = nearest_distance(word, candidate);
			if (distance < best_distance) {
				best_distance = distance;
				best = candidate;
			}
			if (end == NULL) break;
		}
	}
	return nearest_is_slip(best_distance, word.size) ? best : BYTES_LITERAL("");
}

static void tell_unknown(struct settings_table *table, const char *key, const struct setting_source *source)
{
	struct bytes nearest = find_nearest(table, key);
	if (settings_table_has_group(table, key))
		settings_table_error_at(table, source->place, "%.100s: is a group of settings, not a setting", key);
	else if (nearest.size > 0)
		settings_table_error_at(table, source->place, "%.100s: unknown setting, did you mean %.*s?", key,
			(int)nearest.size, nearest.data);
	else
		settings_table_error_at(table, source->place, "%.100s: unknown setting", key);
}

/* Stores what was read, or its problem. */
static void finish(struct settings_table *table, size_t index, enum status status, const struct setting_value *value,
	const struct buffer *problem)
{
	const struct setting_row *row = &table->rows[index];
	if (status == STATUS_OK) {
		if (value->origin < table->values[index].origin) return;
		settings_value_wipe(row, &table->values[index]);
		table->values[index] = *value;
	} else if (status == STATUS_INVALID) {
		settings_table_error_at(table, value->place, "%s: %.*s", row->key, (int)problem->size, problem->data);
	} else {
		settings_table_error_at(table, value->place, "%s: out of memory", row->key);
	}
}

/* `items` NULL: from the text. */
static void set(struct settings_table *table, const char *key, struct bytes text, const struct settings_list *items,
	const struct setting_source *source)
{
	size_t index = settings_table_find(table, key);
	if (index == table->count) {
		tell_unknown(table, key, source);
		return;
	}
	const struct setting_row *row = &table->rows[index];
	struct setting_value value = { .origin = source->origin, .place = copy_text(table, source->place) };
	struct buffer problem;
	buffer_init(&problem, SETTINGS_PROBLEM_SIZE);
	enum status status = items == NULL ? settings_value_read(row, text, table->arena, &value, &problem)
					   : settings_value_read_list(row, items, table->arena, &value, &problem);
	finish(table, index, status, &value, &problem);
	buffer_deinit(&problem);
}

void settings_table_set(
	struct settings_table *table, const char *key, struct bytes text, const struct setting_source *source)
{
	set(table, key, text, NULL, source);
}

void settings_table_set_list(struct settings_table *table, const char *key, const struct settings_list *items,
	const struct setting_source *source)
{
	set(table, key, BYTES_NONE, items, source);
}

void settings_table_wrong_type(
	struct settings_table *table, const char *key, const char *given, const struct setting_source *source)
{
	size_t index = settings_table_find(table, key);
	if (index == table->count)
		tell_unknown(table, key, source);
	else
		settings_table_error_at(table, source->place, "%s: must be %s, is %s", key,
			setting_type_text(table->rows[index].type), given);
}

size_t settings_table_count(const struct settings_table *table)
{
	return table->count;
}

const struct setting_row *settings_table_row(const struct settings_table *table, size_t index)
{
	ASSERT(index < table->count);
	return &table->rows[index];
}

const struct setting_value *settings_table_value(const struct settings_table *table, size_t index)
{
	ASSERT(index < table->count);
	return &table->values[index];
}

void settings_table_show(const struct settings_table *table, size_t index, struct buffer *out_text)
{
	settings_value_show(settings_table_row(table, index), settings_table_value(table, index), out_text);
}

/* `place: key: text`; what is at its default has no place. */
PRINTF_LIKE(4, 0)
static void add_formatted(
	struct settings_table *table, bool is_warning, const char *key, const char *format, va_list arguments)
{
	char text[SETTINGS_PROBLEM_SIZE / 2];
	(void)vsnprintf(text, sizeof text, format, arguments);
	char line[SETTINGS_PROBLEM_SIZE];
	size_t index = settings_table_find(table, key);
	ASSERT(index < table->count);
	const struct setting_value *value = &table->values[index];
	if (value->origin == SETTING_DEFAULT)
		(void)snprintf(line, sizeof line, "%s: %s", key, text);
	else
		(void)snprintf(line, sizeof line, "%s: %s: %s", value->place, key, text);
	add_problem(table, is_warning, line);
}

void settings_table_error(struct settings_table *table, const char *key, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	add_formatted(table, false, key, format, arguments);
	va_end(arguments);
}

void settings_table_warn(struct settings_table *table, const char *key, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	add_formatted(table, true, key, format, arguments);
	va_end(arguments);
}

PRINTF_LIKE(4, 0)
static void add_at(
	struct settings_table *table, bool is_warning, const char *place, const char *format, va_list arguments)
{
	char text[SETTINGS_PROBLEM_SIZE / 2];
	(void)vsnprintf(text, sizeof text, format, arguments);
	char line[SETTINGS_PROBLEM_SIZE];
	(void)snprintf(line, sizeof line, "%.256s: %s", place, text);
	add_problem(table, is_warning, line);
}

void settings_table_error_at(struct settings_table *table, const char *place, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	add_at(table, false, place, format, arguments);
	va_end(arguments);
}

void settings_table_warn_at(struct settings_table *table, const char *place, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	add_at(table, true, place, format, arguments);
	va_end(arguments);
}

size_t settings_table_error_count(const struct settings_table *table)
{
	return table->error_count;
}

size_t settings_table_problem_count(const struct settings_table *table)
{
	return table->problem_count;
}

const struct settings_problem *settings_table_problem(const struct settings_table *table, size_t index)
{
	ASSERT(index < table->problem_count);
	return &table->problems[index];
}
