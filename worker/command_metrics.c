#include "worker/command.h"

#include <string.h>

#include "worker/metrics_table.h"

enum worker_exit command_metrics(const struct command_line *line)
{
	bool is_markdown = line->format != NULL && strcmp(line->format, "md") == 0;
	if (line->format != NULL && !is_markdown && strcmp(line->format, "text") != 0) {
		command_tell_error(line, bytes_of("--format is text or md"));
		return WORKER_EXIT_USAGE;
	}
	struct buffer text;
	buffer_init(&text, 1048576);
	if (is_markdown)
		metrics_table_write_markdown(&text);
	else
		metrics_table_write_text(&text);
	enum worker_exit exit_code = command_print(line, &text);
	buffer_deinit(&text);
	return exit_code;
}
