/* Settings from environment variables and from the files that `<NAME>_FILE` variables name. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/settings_table.h"

enum { VARIABLE_NAME_MAX = 256, VARIABLE_FILE_MAX = 1048576 };

static char variable_char(char one)
{
	return one == '.' ? '_' : (char)toupper((unsigned char)one);
}

void setting_variable_name(const char *prefix, const char *key, struct buffer *out_name)
{
	buffer_append_text(out_name, prefix);
	for (const char *one = key; *one != '\0'; one++)
		buffer_append_char(out_name, variable_char(*one));
}

/* Is `name` what setting_variable_name() gives? Without allocating, so that no lack of memory hides a setting. */
static bool is_variable_of(const char *prefix, const char *key, struct bytes name)
{
	size_t prefix_size = strlen(prefix), key_size = strlen(key);
	if (name.size != prefix_size + key_size || memcmp(name.data, prefix, prefix_size) != 0) return false;
	for (size_t i = 0; i < key_size; i++) {
		if (name.data[prefix_size + i] != variable_char(key[i])) return false;
	}
	return true;
}

/* The row that a variable of this name is for; the count of rows when there is none. */
static size_t find_row(const struct settings_table *table, const char *prefix, struct bytes name)
{
	size_t index = 0;
	while (index < settings_table_count(table) &&
		!is_variable_of(prefix, settings_table_row(table, index)->key, name))
		index++;
	return index;
}

/* For a service called like the prefix, Kubernetes makes variables such as X_PORT=tcp://… and X_SERVICE_HOST. */
static bool is_of_kubernetes(struct bytes name, const char *value)
{
	char copy[VARIABLE_NAME_MAX];
	if (name.size >= sizeof copy) return false;
	memcpy(copy, name.data, name.size);
	copy[name.size] = '\0';
	return strstr(copy, "_SERVICE_") != NULL || strstr(copy, "_PORT_") != NULL || strstr(value, "://") != NULL;
}

static void set_from_file(
	struct settings_table *table, const char *key, const char *path, const struct setting_source *source)
{
	FILE *file = fopen(path, "re");
	if (file == NULL) {
		settings_table_error_at(table, source->place, "%s: cannot open the file: %s", key, strerror(errno));
		return;
	}
	struct buffer text;
	buffer_init(&text, VARIABLE_FILE_MAX);
	char piece[4096];
	size_t size;
	while ((size = fread(piece, 1, sizeof piece, file)) > 0)
		buffer_append(&text, bytes_at(piece, size));
	bool has_failed = ferror(file) != 0 || buffer_status(&text) != STATUS_OK;
	(void)fclose(file);
	explicit_bzero(piece, sizeof piece);
	struct bytes value = text.size == 0 ? BYTES_LITERAL("") : buffer_bytes(&text);
	if (value.size > 0 && value.data[value.size - 1] == '\n') value.size--;
	if (has_failed)
		settings_table_error_at(table, source->place, "%s: cannot read the file", key);
	else
		settings_table_set(table, key, value, source);
	if (text.data != NULL) explicit_bzero(text.data, text.capacity);
	buffer_deinit(&text);
}

static bool may_be_in_file(const struct setting_row *row)
{
	return row->is_secret || row->type == SETTING_PROPERTIES;
}

static void set_variable(struct settings_table *table, const char *prefix, struct bytes name, const char *value)
{
	char place[VARIABLE_NAME_MAX + 32];
	(void)snprintf(place, sizeof place, "%.*s in the environment", (int)name.size, name.data);
	const struct setting_source source = { .origin = SETTING_ENVIRONMENT, .place = place };
	size_t count = settings_table_count(table);
	size_t index = find_row(table, prefix, name);
	if (index < count) {
		settings_table_set(table, settings_table_row(table, index)->key, bytes_of(value), &source);
		return;
	}
	bool is_file = name.size > 5 && bytes_equal_text(bytes_at(name.data + name.size - 5, 5), "_FILE");
	if (is_file) index = find_row(table, prefix, bytes_at(name.data, name.size - 5));
	if (index < count && may_be_in_file(settings_table_row(table, index)))
		set_from_file(table, settings_table_row(table, index)->key, value, &source);
	else if (!is_of_kubernetes(name, value))
		settings_table_warn_at(table, place, "names no setting");
}

void settings_table_set_environment(
	struct settings_table *table, const char *prefix, char **environment, const char *ignored)
{
	for (char **variable = environment; *variable != NULL; variable++) {
		const char *equals = strchr(*variable, '=');
		if (equals == NULL || strncmp(*variable, prefix, strlen(prefix)) != 0) continue;
		struct bytes name = bytes_at(*variable, (size_t)(equals - *variable));
		bool is_too_long = name.size >= VARIABLE_NAME_MAX;
		if (is_too_long || bytes_equal_text(name, ignored)) continue;
		set_variable(table, prefix, name, equals + 1);
		size_t index = find_row(table, prefix, name);
		bool is_secret =
			index < settings_table_count(table) && may_be_in_file(settings_table_row(table, index));
		if (is_secret) explicit_bzero(*variable + name.size + 1, strlen(equals + 1));
	}
}
