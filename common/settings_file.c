#include "common/settings_file.h"

#include <errno.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/settings_scan.h"

enum {
	SETTINGS_FILE_MAX = 1048576, /* bytes */
	SETTINGS_KEY_MAX = 256,
	SETTINGS_DEPTH_MAX = 8,
	SETTINGS_LIST_MAX = 4096, /* items, before the row's own limit */
};

/* Where the walk through the file is. */
struct walk {
	struct settings_table *table;
	const char *path;
	char place[512];
	struct setting_source source;
};

static void set_place(struct walk *walk, const config_setting_t *setting)
{
	(void)snprintf(walk->place, sizeof walk->place, "%.400s:%u", walk->path, config_setting_source_line(setting));
	walk->source = (struct setting_source){ .origin = SETTING_FILE, .place = walk->place };
}

static const char *type_name(const config_setting_t *setting)
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_GROUP:
		return "a group";
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return "a whole number";
	case CONFIG_TYPE_FLOAT:
		return "a number with a fraction";
	case CONFIG_TYPE_STRING:
		return "a text";
	case CONFIG_TYPE_BOOL:
		return "true or false";
	default:
		return "a list";
	}
}

/* Items are borrowed from the file's tree. */
static void set_list(struct walk *walk, const char *key, const config_setting_t *setting)
{
	int count = config_setting_length(setting);
	const char **items = count > SETTINGS_LIST_MAX ? NULL : calloc((size_t)count + 1, sizeof *items);
	bool are_texts = items != NULL;
	for (int i = 0; i < count && are_texts; i++) {
		items[i] = config_setting_get_string_elem(setting, i);
		are_texts = items[i] != NULL;
	}
	const struct settings_list list = { .items = items, .count = (size_t)count };
	if (are_texts)
		settings_table_set_list(walk->table, key, &list, &walk->source);
	else
		settings_table_wrong_type(walk->table, key,
			items == NULL ? "a list that is too long" : "a list of something else", &walk->source);
	free(items);
}

static void set_number(struct walk *walk, const char *key, const config_setting_t *setting)
{
	char text[64];
	if (config_setting_type(setting) == CONFIG_TYPE_FLOAT)
		(void)snprintf(text, sizeof text, "%.17g", config_setting_get_float(setting));
	else
		(void)snprintf(text, sizeof text, "%lld", config_setting_get_int64(setting));
	settings_table_set(walk->table, key, bytes_of(text), &walk->source);
}

/* Does the file's type fit the row's? Whole numbers are numbers too. */
static bool fits(enum setting_type type, int given)
{
	switch (type) {
	case SETTING_BOOL:
		return given == CONFIG_TYPE_BOOL;
	case SETTING_INT:
		return given == CONFIG_TYPE_INT || given == CONFIG_TYPE_INT64;
	case SETTING_FLOAT:
		return given == CONFIG_TYPE_INT || given == CONFIG_TYPE_INT64 || given == CONFIG_TYPE_FLOAT;
	case SETTING_TEXT:
	case SETTING_CHOICE:
		return given == CONFIG_TYPE_STRING;
	case SETTING_LIST:
	case SETTING_PROPERTIES:
		return given == CONFIG_TYPE_ARRAY || given == CONFIG_TYPE_LIST;
	}
	return false;
}

static void set_value(struct walk *walk, const char *key, const config_setting_t *setting)
{
	size_t index = settings_table_find(walk->table, key);
	int type = config_setting_type(setting);
	bool is_known = index < settings_table_count(walk->table);
	if (!is_known || !fits(settings_table_row(walk->table, index)->type, type))
		settings_table_wrong_type(walk->table, key, type_name(setting), &walk->source);
	else if (type == CONFIG_TYPE_ARRAY || type == CONFIG_TYPE_LIST)
		set_list(walk, key, setting);
	else if (type == CONFIG_TYPE_STRING)
		settings_table_set(walk->table, key, bytes_of(config_setting_get_string(setting)), &walk->source);
	else if (type == CONFIG_TYPE_BOOL)
		settings_table_set(walk->table, key, bytes_of(config_setting_get_bool(setting) != 0 ? "true" : "false"),
			&walk->source);
	else
		set_number(walk, key, setting);
}

/* Recursion is bounded: only groups that the table knows are entered. */
static void walk_group(struct walk *walk, const config_setting_t *group, const char *prefix, int depth)
{
	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
		char key[SETTINGS_KEY_MAX];
		(void)snprintf(
			key, sizeof key, "%s%s%s", prefix, prefix[0] == '\0' ? "" : ".", config_setting_name(setting));
		set_place(walk, setting);
		bool is_group = config_setting_is_group(setting) == CONFIG_TRUE;
		if (is_group && depth < SETTINGS_DEPTH_MAX && settings_table_has_group(walk->table, key))
			walk_group(walk, setting, key, depth + 1);
		else
			set_value(walk, key, setting);
	}
}

static enum status read_text(struct settings_table *table, const char *path, const char *text)
{
	config_t config;
	config_init(&config);
	struct walk walk = { .table = table, .path = path };
	bool is_good = config_read_string(&config, text) == CONFIG_TRUE;
	if (is_good) {
		walk_group(&walk, config_root_setting(&config), "", 0);
	} else {
		(void)snprintf(walk.place, sizeof walk.place, "%.400s:%d", path, config_error_line(&config));
		settings_table_error_at(table, walk.place, "%s", config_error_text(&config));
	}
	config_destroy(&config);
	return is_good ? STATUS_OK : STATUS_INVALID;
}

static enum status check_and_read(struct settings_table *table, const char *path, struct bytes text)
{
	struct buffer safe;
	buffer_init(&safe, 2 * SETTINGS_FILE_MAX);
	unsigned line = 0;
	const char *problem = "";
	enum status status = settings_scan(text, &safe, &line, &problem);
	buffer_append_char(&safe, '\0');
	char place[512];
	(void)snprintf(place, sizeof place, "%.400s:%u", path, line);
	if (status != STATUS_OK)
		settings_table_error_at(table, place, "%s", problem);
	else if (buffer_status(&safe) != STATUS_OK)
		settings_table_error_at(table, path, "cannot be read: %s", status_text(buffer_status(&safe)));
	else
		status = read_text(table, path, safe.data);
	if (safe.data != NULL) explicit_bzero(safe.data, safe.capacity);
	bool is_good = status == STATUS_OK && buffer_status(&safe) == STATUS_OK;
	buffer_deinit(&safe);
	return is_good ? STATUS_OK : STATUS_INVALID;
}

static enum status read_all(FILE *file, struct buffer *out_text)
{
	char piece[4096];
	size_t size;
	while ((size = fread(piece, 1, sizeof piece, file)) > 0 && out_text->status == STATUS_OK)
		buffer_append(out_text, bytes_at(piece, size));
	return ferror(file) != 0 ? STATUS_IO : buffer_status(out_text);
}

enum status settings_file_read(struct settings_table *table, const char *path)
{
	FILE *file = fopen(path, "re");
	if (file == NULL) {
		settings_table_error_at(table, path, "cannot be opened: %s", strerror(errno));
		return STATUS_INVALID;
	}
	struct buffer text;
	buffer_init(&text, SETTINGS_FILE_MAX);
	enum status status = read_all(file, &text);
	(void)fclose(file);
	if (status == STATUS_OK)
		status = check_and_read(table, path, buffer_bytes(&text));
	else
		settings_table_error_at(table, path, "cannot be read: %s", status_text(status));
	if (text.data != NULL) explicit_bzero(text.data, text.capacity);
	buffer_deinit(&text);
	return status == STATUS_OK ? STATUS_OK : STATUS_INVALID;
}
