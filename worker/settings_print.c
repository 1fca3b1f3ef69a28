/* What is in force; the reference pages are in worker/settings_reference.c. */
#include "worker/settings_print.h"

#include <string.h>

#define SECTION_NAME(section, ROWS) #section,

const char *const *settings_print_sections(void)
{
	static const char *const sections[] = { SETTINGS_SECTIONS(SECTION_NAME) NULL };
	return sections;
}

bool settings_print_in_section(const struct setting_row *row, const char *section)
{
	size_t size = strlen(section);
	return strncmp(row->key, section, size) == 0 && row->key[size] == '.';
}

/* On one line: control characters as JSON writes them. */
static void append_one_line(struct buffer *text, struct bytes value)
{
	size_t start = text->size;
	buffer_append_json_string(text, value);
	if (buffer_status(text) != STATUS_OK) return;
	memmove(text->data + start, text->data + start + 1, text->size - start - 2);
	buffer_truncate(text, text->size - 2);
}

void settings_print_text(const struct settings *settings, struct buffer *out_text)
{
	struct buffer value;
	buffer_init(&value, 16777216);
	for (size_t i = 0; i < settings_table_count(settings->table); i++) {
		buffer_clear(&value);
		settings_table_show(settings->table, i, &value);
		buffer_append_format(out_text, "%s = ", settings_table_row(settings->table, i)->key);
		append_one_line(out_text, buffer_bytes(&value));
		buffer_append_format(out_text, "  # %s\n", settings_table_value(settings->table, i)->place);
	}
	buffer_deinit(&value);
}

/* libconfig's strings know the escapes \" \\ \n \r \t \f and \xNN. */
static void append_string(struct buffer *text, struct bytes value)
{
	buffer_append_char(text, '"');
	for (size_t i = 0; i < value.size; i++) {
		unsigned char one = (unsigned char)value.data[i];
		if (one == '"' || one == '\\')
			buffer_append_format(text, "\\%c", one);
		else if (one < ' ')
			buffer_append_format(text, "\\x%02x", one);
		else
			buffer_append_char(text, (char)one);
	}
	buffer_append_char(text, '"');
}

static void append_list(struct buffer *text, const struct setting_row *row, const struct settings_list *list)
{
	buffer_append_text(text, "[");
	for (size_t i = 0; i < list->count; i++) {
		size_t size = strcspn(list->items[i], "=");
		bool is_masked = row->type == SETTING_PROPERTIES && list->items[i][size] == '=' &&
				 settings_property_is_secret(bytes_at(list->items[i], size));
		struct buffer item;
		buffer_init(&item, strlen(list->items[i]) + 8);
		buffer_append(&item, is_masked ? bytes_at(list->items[i], size) : bytes_of(list->items[i]));
		if (is_masked) buffer_append_text(&item, "=****");
		buffer_append_text(text, i == 0 ? " " : ", ");
		append_string(text, buffer_bytes(&item));
		buffer_deinit(&item);
	}
	buffer_append_text(text, list->count == 0 ? "]" : " ]");
}

static void append_float(struct buffer *text, double number)
{
	size_t start = text->size;
	buffer_append_format(text, "%.15g", number);
	bool has_point = false;
	for (size_t i = start; i < text->size; i++)
		has_point = has_point || strchr(".eE", text->data[i]) != NULL;
	if (!has_point) buffer_append_text(text, ".0");
}

static void append_value(
	struct buffer *text, const struct settings *settings, const struct setting_row *row, size_t index)
{
	const struct setting_value *value = settings_table_value(settings->table, index);
	struct buffer shown;
	buffer_init(&shown, 16777216);
	settings_table_show(settings->table, index, &shown);
	switch (row->type) {
	case SETTING_BOOL:
		buffer_append(text, buffer_bytes(&shown));
		break;
	case SETTING_INT:
		buffer_append(text, buffer_bytes(&shown));
		if (value->integer > INT32_MAX) buffer_append_char(text, 'L');
		break;
	case SETTING_FLOAT:
		append_float(text, value->number);
		break;
	case SETTING_TEXT:
	case SETTING_CHOICE:
		append_string(text, buffer_bytes(&shown));
		break;
	case SETTING_LIST:
	case SETTING_PROPERTIES:
		append_list(text, row, &value->list);
		break;
	}
	buffer_deinit(&shown);
}

/* `prefix` ends in a dot; rows of deeper groups are left to their own call. */
static void print_group(const struct settings *settings, const char *prefix, const char *indent, struct buffer *text)
{
	size_t size = strlen(prefix);
	for (size_t i = 0; i < settings_table_count(settings->table); i++) {
		const struct setting_row *row = settings_table_row(settings->table, i);
		if (strncmp(row->key, prefix, size) != 0 || strchr(row->key + size, '.') != NULL) continue;
		const struct setting_value *value = settings_table_value(settings->table, i);
		bool is_hidden = row->is_secret && value->text[0] != '\0';
		buffer_append_format(text, "%s%s%s = ", indent, is_hidden ? "# " : "", row->key + size);
		append_value(text, settings, row, i);
		buffer_append_format(text, "; # %s\n", value->place);
	}
}

void settings_print_libconfig(const struct settings *settings, struct buffer *out_text)
{
	for (const char *const *section = settings_print_sections(); *section != NULL; section++) {
		char prefix[64];
		size_t size = strlen(*section);
		memcpy(prefix, *section, size);
		memcpy(prefix + size, ".", 2);
		buffer_append_format(out_text, "%s: {\n", *section);
		print_group(settings, prefix, "\t", out_text);
		if (strcmp(*section, "fallback") == 0) {
			buffer_append_text(out_text, "\ttexts: {\n");
			print_group(settings, "fallback.texts.", "\t\t", out_text);
			buffer_append_text(out_text, "\t};\n");
		}
		buffer_append_text(out_text, "};\n");
	}
}
