#include "worker/command.h"

#include <string.h>

static const char long_options[] = "--config --set --log-format --no-environment --deny-warnings --format --json "
				   "--verbose --quiet --help --version";

static void append_commands(struct buffer *text)
{
	for (const struct command *command = command_table(); command->name != NULL; command++)
		buffer_append_format(text, "%s ", command->name);
}

static void append_keys(struct buffer *text)
{
	struct settings *settings = settings_new();
	for (size_t i = 0; settings != NULL && i < settings_table_count(settings->table); i++)
		buffer_append_format(text, "%s= ", settings_table_row(settings->table, i)->key);
	settings_free(settings);
}

static void print_bash(struct buffer *text)
{
	buffer_append_text(text, "_chat_worker() {\n\tlocal words=\"");
	append_commands(text);
	buffer_append_format(text,
		"%s\"\n\tcase \"$3\" in\n\t-c|--config) COMPREPLY=($(compgen -f -- \"$2\")); return ;;\n"
		"\t--log-format) words=\"text logfmt json\" ;;\n\t--set) words=\"",
		long_options);
	append_keys(text);
	buffer_append_text(text,
		"\"; compopt -o nospace ;;\n\tesac\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"$2\"))\n}\n"
		"complete -F _chat_worker chat-worker\n");
}

static void print_zsh(struct buffer *text)
{
	buffer_append_text(text, "#compdef chat-worker\nautoload -U +X bashcompinit && bashcompinit\n");
	print_bash(text);
}

static void print_fish(struct buffer *text)
{
	buffer_append_text(text, "complete -c chat-worker -f -a '");
	append_commands(text);
	buffer_append_text(
		text, "'\ncomplete -c chat-worker -s c -l config -r -F\ncomplete -c chat-worker -l set -x -a '");
	append_keys(text);
	buffer_append_text(text, "'\ncomplete -c chat-worker -l log-format -x -a 'text logfmt json'\n");
	static const char *const plain[] = { "no-environment", "deny-warnings", "json", "verbose", "quiet", "help",
		"version" };
	for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
		buffer_append_format(text, "complete -c chat-worker -l %s\n", plain[i]);
}

enum worker_exit command_completion(const struct command_line *line)
{
	static const struct {
		const char *name;
		void (*print)(struct buffer *text);
	} shells[] = { { "bash", print_bash }, { "zsh", print_zsh }, { "fish", print_fish } };
	for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++) {
		if (line->operand == NULL || strcmp(shells[i].name, line->operand) != 0) continue;
		struct buffer text;
		buffer_init(&text, 65536);
		shells[i].print(&text);
		enum worker_exit exit_code = command_print(line, &text);
		buffer_deinit(&text);
		return exit_code;
	}
	command_tell_error(line, bytes_of("completion is for bash, zsh or fish"));
	return WORKER_EXIT_USAGE;
}
