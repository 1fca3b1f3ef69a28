#include "worker/command.h"

#include <string.h>

#include "worker/settings_print.h"

enum { CONFIG_TEXT_MAX = 33554432 };

struct config_format {
	const char *name;
	bool is_reference; /* of defaults: nothing is read */
	void (*print)(const struct settings *settings, struct buffer *out_text);
};

static const struct config_format *find_format(const char *name)
{
	static const struct config_format formats[] = {
		{ "text", false, settings_print_text },
		{ "libconfig", false, settings_print_libconfig },
		{ "md", true, settings_print_markdown },
		{ "man", true, settings_print_man },
		{ "json-schema", true, settings_print_json_schema },
	};
	if (name == NULL) return &formats[0];
	for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
		if (strcmp(formats[i].name, name) == 0) return &formats[i];
	}
	return NULL;
}

enum worker_exit command_config(const struct command_line *line)
{
	const struct config_format *format = find_format(line->format);
	if (format == NULL) {
		command_tell_error(line, bytes_of("--format is text, libconfig, md, man or json-schema"));
		return WORKER_EXIT_USAGE;
	}
	enum status status = STATUS_OK;
	struct settings *settings = format->is_reference ? settings_new() : command_settings(line, &status);
	if (settings == NULL) return WORKER_EXIT_FAILED;
	struct buffer text;
	buffer_init(&text, CONFIG_TEXT_MAX);
	format->print(settings, &text);
	enum worker_exit exit_code = command_print(line, &text);
	buffer_deinit(&text);
	if (!format->is_reference) command_tell_problems(line, settings);
	settings_free(settings);
	return status == STATUS_OK ? exit_code : WORKER_EXIT_CONFIG;
}
