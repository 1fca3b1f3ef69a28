/* The reference pages of the settings: Markdown, manual page, JSON Schema. */
#include <string.h>

#include "worker/settings_print.h"

static const char *type_word(const struct setting_row *row)
{
	static const char *const words[] = { "true or false", "integer", "number", "text", "choice", "list",
		"properties" };
	return words[row->type];
}

static bool has_range(const struct setting_row *row)
{
	return row->type == SETTING_INT || row->type == SETTING_FLOAT;
}

/* "1000 … 3600000 ms", or the choices. */
static void append_range(const struct setting_row *row, const char *between, struct buffer *text)
{
	if (has_range(row))
		buffer_append_format(text, "%.15g %s %.15g%s%s", row->min, between, row->max,
			row->unit[0] == '\0' ? "" : " ", row->unit);
	for (const char *one = row->choices; *one != '\0'; one++) {
		if (*one == '|')
			buffer_append_text(text, ", ");
		else
			buffer_append_char(text, *one);
	}
}

static void print_markdown_section(const struct settings *settings, const char *section, struct buffer *text)
{
	buffer_append_format(
		text, "\n## %s\n\n| setting | type | default | range | what |\n|---|---|---|---|---|\n", section);
	for (size_t i = 0; i < settings_table_count(settings->table); i++) {
		const struct setting_row *row = settings_table_row(settings->table, i);
		if (!settings_print_in_section(row, section)) continue;
		buffer_append_format(
			text, "| `%s` | %s%s | ", row->key, type_word(row), row->is_secret ? ", secret" : "");
		if (row->default_text[0] != '\0') buffer_append_format(text, "`%s`", row->default_text);
		buffer_append_text(text, " | ");
		append_range(row, "…", text);
		buffer_append_format(text, " | %s |\n", row->help);
	}
}

void settings_print_markdown(const struct settings *settings, struct buffer *out_text)
{
	buffer_append_text(out_text,
		"# Configuration\n\n"
		"Printed by `chat-worker config --format=md`.\n\n"
		"A setting is taken from the strongest place that names it: flag (`--set key=value`), then "
		"environment, then\n"
		"file (`-c FILE`, or the file that `CHAT_WORKER_CONFIG` names; libconfig), then the default. The name "
		"in the\n"
		"environment is `CHAT_WORKER_` and the key in upper case with underscores for dots:\n"
		"`kafka.group_id` is `CHAT_WORKER_KAFKA_GROUP_ID`. Lists are separated by commas, properties by "
		"semicolons or\n"
		"newlines. Secrets and properties can also be in a file that `<NAME>_FILE` names. `chat-worker check` "
		"says\n"
		"what is wrong, with setting, file and line; `chat-worker config` shows what is in force and where it "
		"comes\n"
		"from.\n\n"
		"The key of the model service is no setting: it comes from `OPENROUTER_API_KEY`, or from the file "
		"that\n"
		"`OPENROUTER_API_KEY_FILE` names.\n\n"
		"```\n"
		"kafka: { bootstrap_servers = \"kafka-1:9092,kafka-2:9092\"; };\n"
		"openrouter: { models = [ \"openai/gpt-4o-mini\", \"mistralai/mistral-small\" ]; };\n"
		"```\n");
	for (const char *const *section = settings_print_sections(); *section != NULL; section++)
		print_markdown_section(settings, *section, out_text);
}

/* Backslashes and dashes mean something to roff. */
static void append_roff(struct buffer *text, const char *plain)
{
	for (const char *one = plain; *one != '\0'; one++) {
		if (*one == '\\')
			buffer_append_text(text, "\\e");
		else if (*one == '-')
			buffer_append_text(text, "\\-");
		else
			buffer_append_char(text, *one);
	}
}

void settings_print_man(const struct settings *settings, struct buffer *out_text)
{
	buffer_append_text(out_text,
		".TH CHAT\\-WORKER.CONF 5 \"\" \"chat\\-worker " CHAT_WORKER_VERSION "\"\n"
		".SH NAME\nchat\\-worker.conf \\- settings of chat\\-worker(8)\n"
		".SH DESCRIPTION\nA libconfig(3) file of groups. Stronger than the file are the environment\n"
		"(CHAT_WORKER_ and the key in upper case, underscores for dots) and\n.B \\-\\-set key=value\n"
		"on the command line.\n.SH SETTINGS\n");
	for (size_t i = 0; i < settings_table_count(settings->table); i++) {
		const struct setting_row *row = settings_table_row(settings->table, i);
		buffer_append_format(out_text, ".TP\n.B %s\n", row->key);
		append_roff(out_text, row->help);
		buffer_append_format(out_text, "\nType: %s", type_word(row));
		if (row->default_text[0] != '\0') {
			buffer_append_text(out_text, "; default ");
			append_roff(out_text, row->default_text);
		}
		if (has_range(row) || row->choices[0] != '\0') buffer_append_text(out_text, "; ");
		append_range(row, "to", out_text);
		buffer_append_text(out_text, ".\n");
	}
}

static void append_words(struct buffer *text, const char *words, char separator)
{
	buffer_append_char(text, '[');
	for (const char *start = words; *start != '\0';) {
		const char *end = strchr(start, separator);
		size_t size = end == NULL ? strlen(start) : (size_t)(end - start);
		if (start != words) buffer_append_text(text, ", ");
		buffer_append_json_string(text, bytes_at(start, size));
		start += size + (end == NULL ? 0 : 1);
	}
	buffer_append_char(text, ']');
}

static void append_items(struct buffer *text, const struct setting_row *row)
{
	buffer_append_format(
		text, "\"type\": \"array\", \"maxItems\": %.15g, \"items\": {\"type\": \"string\"", row->max);
	if (row->choices[0] != '\0') {
		buffer_append_text(text, ", \"enum\": ");
		append_words(text, row->choices, '|');
	}
	if (row->type == SETTING_PROPERTIES) buffer_append_text(text, ", \"pattern\": \"^[^=]+=\"");
	buffer_append_text(text, "}, \"default\": ");
	append_words(text, row->default_text, row->type == SETTING_PROPERTIES ? ';' : ',');
}

static void append_type(struct buffer *text, const struct setting_row *row)
{
	switch (row->type) {
	case SETTING_BOOL:
		buffer_append_format(text, "\"type\": \"boolean\", \"default\": %s", row->default_text);
		break;
	case SETTING_INT:
	case SETTING_FLOAT:
		buffer_append_format(text, "\"type\": \"%s\", \"minimum\": %.15g, \"maximum\": %.15g, \"default\": %s",
			row->type == SETTING_INT ? "integer" : "number", row->min, row->max, row->default_text);
		break;
	case SETTING_TEXT:
		buffer_append_format(text, "\"type\": \"string\", \"minLength\": %.15g, \"default\": ", row->min);
		buffer_append_json_string(text, bytes_of(row->default_text));
		break;
	case SETTING_CHOICE:
		buffer_append_text(text, "\"type\": \"string\", \"enum\": ");
		append_words(text, row->choices, '|');
		buffer_append_text(text, ", \"default\": ");
		buffer_append_json_string(text, bytes_of(row->default_text));
		break;
	case SETTING_LIST:
	case SETTING_PROPERTIES:
		append_items(text, row);
		break;
	}
}

static void append_description(struct buffer *text, const struct setting_row *row)
{
	buffer_append_text(text, ", \"description\": ");
	buffer_append_json_string(text, bytes_of(row->help));
}

/* The members of the group that `prefix` (ending in a dot) names. */
static void print_members(const struct settings *settings, const char *prefix, struct buffer *text)
{
	size_t size = strlen(prefix);
	bool any = false;
	for (size_t i = 0; i < settings_table_count(settings->table); i++) {
		const struct setting_row *row = settings_table_row(settings->table, i);
		if (strncmp(row->key, prefix, size) != 0 || strchr(row->key + size, '.') != NULL) continue;
		buffer_append_format(text, "%s\n        \"%s\": {", any ? "," : "", row->key + size);
		append_type(text, row);
		append_description(text, row);
		buffer_append_char(text, '}');
		any = true;
	}
}

static void print_section(const struct settings *settings, const char *section, struct buffer *text)
{
	char prefix[64];
	size_t size = strlen(section);
	memcpy(prefix, section, size);
	memcpy(prefix + size, ".", 2);
	buffer_append_format(text,
		"\n    \"%s\": {\n      \"type\": \"object\", \"additionalProperties\": false,\n"
		"      \"properties\": {",
		section);
	print_members(settings, prefix, text);
	if (strcmp(section, "fallback") == 0) {
		buffer_append_text(text,
			",\n        \"texts\": {\"type\": \"object\", \"additionalProperties\": false, "
			"\"properties\": {");
		print_members(settings, "fallback.texts.", text);
		buffer_append_text(text, "}}");
	}
	buffer_append_text(text, "\n      }\n    }");
}

void settings_print_json_schema(const struct settings *settings, struct buffer *out_text)
{
	buffer_append_text(out_text, "{\n  \"$schema\": \"http://json-schema.org/draft-07/schema#\",\n"
				     "  \"title\": \"Settings of chat-worker\",\n"
				     "  \"type\": \"object\", \"additionalProperties\": false,\n  \"properties\": {");
	for (const char *const *section = settings_print_sections(); *section != NULL; section++) {
		if (section != settings_print_sections()) buffer_append_char(out_text, ',');
		print_section(settings, *section, out_text);
	}
	buffer_append_text(out_text, "\n  }\n}\n");
}
