#include "worker/command.h"

#include <stdio.h>
#include <unistd.h>

const struct command *command_table(void)
{
	static const struct command commands[] = {
		{ "run", "", "serve until SIGTERM (the default)", 0, command_run },
		{ "check", "[--no-environment] [--deny-warnings]",
			"check the settings, and unless told not to: key, brokers, topics",
			COMMAND_OPTION_NO_ENVIRONMENT | COMMAND_OPTION_DENY_WARNINGS, command_check },
		{ "config", "[--format=text|libconfig|md|man|json-schema]",
			"print the settings and where they come from", COMMAND_OPTION_FORMAT, command_config },
		{ "healthcheck", "", "ask the worker on this host whether it is ready", 0, command_healthcheck },
		{ "metrics", "[--format=text|md]", "print the table of metrics", COMMAND_OPTION_FORMAT,
			command_metrics },
		{ "version", "[--json]", "print versions of the program and its libraries", COMMAND_OPTION_JSON,
			command_version },
		{ "completion", "bash|zsh|fish", "print a completion script for the shell", COMMAND_OPTION_SHELL,
			command_completion },
		{ NULL, NULL, NULL, 0, NULL },
	};
	return commands;
}

struct settings *command_settings(const struct command_line *line, enum status *out_status)
{
	struct settings *settings = settings_new();
	if (settings == NULL) return NULL;
	const struct settings_sources sources = {
		.file = line->file,
		.environment = environ,
		.flags = line->flags,
		.flag_count = line->flag_count,
	};
	*out_status = settings_load(settings, &sources);
	return settings;
}

static void write_masked(FILE *stream, const struct redaction *redaction, struct bytes text)
{
	struct buffer masked;
	buffer_init(&masked, text.size + 65536);
	redaction_apply(redaction, text, &masked);
	(void)fwrite(masked.data == NULL ? "" : masked.data, 1, masked.size, stream);
	buffer_deinit(&masked);
}

static void tell(const struct command_line *line, const char *kind, struct bytes text)
{
	struct buffer message;
	buffer_init(&message, text.size + 64);
	buffer_append_format(&message, "chat-worker: %s: ", kind);
	buffer_append(&message, text);
	buffer_append_char(&message, '\n');
	write_masked(stderr, line->redaction, buffer_bytes(&message));
	buffer_deinit(&message);
}

void command_tell_error(const struct command_line *line, struct bytes text)
{
	tell(line, "error", text);
}

void command_tell_problems(const struct command_line *line, const struct settings *settings)
{
	for (size_t i = 0; i < settings_table_problem_count(settings->table); i++) {
		const struct settings_problem *problem = settings_table_problem(settings->table, i);
		tell(line, problem->is_warning ? "warning" : "error", bytes_of(problem->text));
	}
}

enum worker_exit command_print(const struct command_line *line, const struct buffer *text)
{
	if (buffer_status(text) != STATUS_OK) return WORKER_EXIT_FAILED;
	write_masked(stdout, line->redaction, buffer_bytes(text));
	return fflush(stdout) == 0 && ferror(stdout) == 0 ? WORKER_EXIT_OK : WORKER_EXIT_FAILED;
}
