/* chat-worker: chats from Kafka to a model service and the answers back. See `chat-worker --help`. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "worker/command.h"
#include "worker/edge/secret.h"

static void print_help(FILE *stream)
{
	(void)fputs("usage: chat-worker [COMMAND] [OPTIONS]\n\ncommands:\n", stream);
	for (const struct command *command = command_table(); command->name != NULL; command++)
		(void)fprintf(stream, "  %s %s\n      %s\n", command->name, command->synopsis, command->help);
	(void)fprintf(stream, "\noptions:\n%s", command_line_help());
	(void)fputs(
		"\nThe key of the model service comes from OPENROUTER_API_KEY or the file OPENROUTER_API_KEY_FILE.\n"
		"exit codes: 0 ok, 1 failed, 2 usage, 70 internal, 78 configuration\n",
		stream);
}

static const struct command *find_command(const char *name)
{
	const struct command *command = command_table();
	if (name[0] == '\0') return command;
	while (command->name != NULL && strcmp(command->name, name) != 0)
		command++;
	return command->name == NULL ? NULL : command;
}

static enum worker_exit tell_usage(const char *problem)
{
	(void)fprintf(stderr, "chat-worker: %s\n", problem);
	return WORKER_EXIT_USAGE;
}

static enum worker_exit dispatch(const struct command_line *line)
{
	if (line->wants_help) {
		print_help(stdout);
		return WORKER_EXIT_OK;
	}
	if (line->wants_version) return command_version(line);
	const struct command *command = find_command(line->command);
	if (command == NULL) return tell_usage("there is no such command (try --help)");
	if ((line->options & ~command->options) != 0)
		return tell_usage("this command does not take that option or word (try --help)");
	return command->run(line);
}

/* Where one of the first three descriptors is closed, a socket would take its place and get what is meant for people. */
static void fill_standard_descriptors(void)
{
	int fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO)
		fd = open("/dev/null", O_RDWR);
	if (fd >= 0) (void)close(fd);
}

/* The soft limit is low for the sake of programs that use select(); none of our libraries does. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
	fill_standard_descriptors();
	raise_descriptor_limit();
	secret_harden_process();
	(void)signal(SIGPIPE, SIG_IGN);
	struct command_line line;
	struct buffer problem;
	buffer_init(&problem, 1024);
	enum status status = command_line_parse(&line, argc, argv, &problem);
	buffer_append_char(&problem, '\0');
	enum worker_exit exit_code =
		status == STATUS_OK ? dispatch(&line) : tell_usage(problem.data == NULL ? "" : problem.data);
	buffer_deinit(&problem);
	command_line_deinit(&line);
	return (int)exit_code;
}
