#include "worker/command.h"

#include "worker/edge/kafka_probe.h"
#include "worker/edge/upstream_version.h"

struct version_row {
	const char *name;
	const char *version;
};

static void print_text(const struct version_row *rows, size_t count, struct buffer *text)
{
	for (size_t i = 0; i < count; i++)
		buffer_append_format(text, "%s %s\n", rows[i].name, rows[i].version);
}

static void print_json(const struct version_row *rows, size_t count, struct buffer *text)
{
	for (size_t i = 0; i < count; i++) {
		buffer_append_text(text, i == 0 ? "{" : ", ");
		buffer_append_json_string(text, bytes_of(rows[i].name));
		buffer_append_text(text, ": ");
		buffer_append_json_string(text, bytes_of(rows[i].version));
	}
	buffer_append_text(text, "}\n");
}

enum worker_exit command_version(const struct command_line *line)
{
	char curl[256], features[1024];
	upstream_version(curl, sizeof curl);
	kafka_probe_features(features, sizeof features);
	const struct version_row rows[] = {
		{ "chat-worker", CHAT_WORKER_VERSION },
		{ "compiler", __VERSION__ },
		{ "librdkafka", kafka_probe_version() },
		{ "librdkafka-features", features },
		{ "libcurl", curl },
	};
	struct buffer text;
	buffer_init(&text, 8192);
	if ((line->options & COMMAND_OPTION_JSON) != 0)
		print_json(rows, sizeof rows / sizeof rows[0], &text);
	else
		print_text(rows, sizeof rows / sizeof rows[0], &text);
	enum worker_exit exit_code = command_print(line, &text);
	buffer_deinit(&text);
	return exit_code;
}
