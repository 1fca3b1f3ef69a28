#include "worker/command_line.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "worker/edge/secret.h"

enum {
	OPTION_SET = 256,
	OPTION_LOG_FORMAT,
	OPTION_NO_ENVIRONMENT,
	OPTION_DENY_WARNINGS,
	OPTION_FORMAT,
	OPTION_JSON,
	OPTION_VERSION
};

enum { NAME_SHOWN_MAX = 40 };

static enum status add_flag(struct command_line *line, const struct settings_flag *flag)
{
	if (line->flag_count == COMMAND_FLAGS_MAX) return STATUS_FULL;
	line->flags[line->flag_count++] = *flag;
	return STATUS_OK;
}

static enum status add_level(struct command_line *line, const char *name, const char *level)
{
	const struct settings_flag flag = { .name = name, .key = "log.level", .value = level };
	return add_flag(line, &flag);
}

/* `key=value`. */
static enum status add_set(struct command_line *line, const char *argument, struct buffer *out_problem)
{
	const char *equals = strchr(argument, '=');
	if (equals == NULL || equals == argument) {
		buffer_append_text(out_problem, "--set must have the form --set key=value");
		return STATUS_INVALID;
	}
	if (line->flag_count == COMMAND_FLAGS_MAX) return STATUS_FULL;
	char *key = strndup(argument, (size_t)(equals - argument));
	if (key == NULL) return STATUS_NO_MEMORY;
	line->keys[line->flag_count] = key;
	const struct settings_flag flag = { .name = "--set", .key = key, .value = equals + 1 };
	return add_flag(line, &flag);
}

static enum status add_property(struct command_line *line, const char *argument)
{
	const struct settings_flag flag = {
		.name = "-X", .key = "kafka.properties", .value = argument, .appends = true
	};
	return add_flag(line, &flag);
}

static enum status add_format(struct command_line *line, const char *argument)
{
	const struct settings_flag flag = { .name = "--log-format", .key = "log.format", .value = argument };
	return add_flag(line, &flag);
}

/* The first characters of a name that may be a secret itself. */
static void tell_name(const struct command_line *line, struct bytes name, struct buffer *out_problem)
{
	struct buffer masked;
	buffer_init(&masked, name.size + 4);
	redaction_apply(line->redaction, name, &masked);
	size_t size = masked.size > NAME_SHOWN_MAX ? NAME_SHOWN_MAX : masked.size;
	if (size > 0) buffer_append(out_problem, bytes_at(masked.data, size));
	buffer_deinit(&masked);
}

/* Names the option but not what it was given, which may be a secret in the wrong place. */
static enum status tell_unknown(const struct command_line *line, int option, char **argv, struct buffer *out_problem)
{
	const char *problem = option == ':' ? "needs a value" : "is not an option here (try --help)";
	if (optopt > 0 && optopt < 256) {
		buffer_append_format(out_problem, "-%c %s", optopt, problem);
		return STATUS_INVALID;
	}
	const char *argument = argv[optind - 1];
	tell_name(line, bytes_at(argument, strcspn(argument, "=")), out_problem);
	buffer_append_format(out_problem, " %s", problem);
	return STATUS_INVALID;
}

static enum status take_option(struct command_line *line, int option, char **argv, struct buffer *out_problem)
{
	switch (option) {
	case 'c':
		line->file = optarg;
		return STATUS_OK;
	case 'X':
		return add_property(line, optarg);
	case 'v':
		return add_level(line, "-v", "debug");
	case 'q':
		return add_level(line, "-q", "warn");
	case 'h':
		line->wants_help = true;
		return STATUS_OK;
	case OPTION_VERSION:
		line->wants_version = true;
		return STATUS_OK;
	case OPTION_SET:
		return add_set(line, optarg, out_problem);
	case OPTION_LOG_FORMAT:
		return add_format(line, optarg);
	case OPTION_FORMAT:
		line->options |= COMMAND_OPTION_FORMAT;
		line->format = optarg;
		return STATUS_OK;
	case OPTION_NO_ENVIRONMENT:
		line->options |= COMMAND_OPTION_NO_ENVIRONMENT;
		return STATUS_OK;
	case OPTION_DENY_WARNINGS:
		line->options |= COMMAND_OPTION_DENY_WARNINGS;
		return STATUS_OK;
	case OPTION_JSON:
		line->options |= COMMAND_OPTION_JSON;
		return STATUS_OK;
	default:
		return tell_unknown(line, option, argv, out_problem);
	}
}

static enum status take_words(struct command_line *line, int argc, char **argv, struct buffer *out_problem)
{
	line->command = optind < argc ? argv[optind] : "";
	if (optind + 1 < argc) {
		line->operand = argv[optind + 1];
		line->options |= COMMAND_OPTION_SHELL;
	}
	if (optind + 2 >= argc) return STATUS_OK;
	buffer_append_text(out_problem, "there are too many words (try --help)");
	return STATUS_INVALID;
}

static enum status know_key(struct command_line *line)
{
	line->redaction = redaction_new();
	return line->redaction == NULL ? STATUS_NO_MEMORY : secret_mask(line->redaction);
}

enum status command_line_parse(struct command_line *line, int argc, char **argv, struct buffer *out_problem)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "set", required_argument, NULL, OPTION_SET },
		{ "log-format", required_argument, NULL, OPTION_LOG_FORMAT },
		{ "no-environment", no_argument, NULL, OPTION_NO_ENVIRONMENT },
		{ "deny-warnings", no_argument, NULL, OPTION_DENY_WARNINGS },
		{ "format", required_argument, NULL, OPTION_FORMAT },
		{ "json", no_argument, NULL, OPTION_JSON },
		{ "verbose", no_argument, NULL, 'v' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, OPTION_VERSION },
		{ NULL, 0, NULL, 0 },
	};
	*line = (struct command_line){ .command = "", .file = getenv(SETTINGS_FILE_VARIABLE) };
	optind = 0; /* begin anew, also when called again */
	enum status status = know_key(line);
	int option;
	while (status == STATUS_OK && (option = getopt_long(argc, argv, ":c:X:vqh", options, NULL)) != -1)
		status = take_option(line, option, argv, out_problem);
	if (status == STATUS_FULL) buffer_append_text(out_problem, "there are too many --set and -X");
	return status == STATUS_OK ? take_words(line, argc, argv, out_problem) : status;
}

void command_line_deinit(struct command_line *line)
{
	for (size_t i = 0; i < line->flag_count; i++)
		free(line->keys[i]);
	redaction_free(line->redaction);
}

const char *command_line_help(void)
{
	return "  -c, --config FILE       settings file (else the one that CHAT_WORKER_CONFIG names)\n"
	       "      --set KEY=VALUE     one setting; stronger than environment and file\n"
	       "  -X NAME=VALUE           one librdkafka property, for consumer and producer\n"
	       "  -v, --verbose           log.level debug\n"
	       "  -q, --quiet             log.level warn\n"
	       "      --log-format FORMAT text, logfmt or json\n"
	       "  -h, --help\n"
	       "      --version\n";
}
