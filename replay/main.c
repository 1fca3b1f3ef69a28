/* chat-replay: the tester's side of chat-worker. One row a subcommand. */
#include <stdio.h>
#include <string.h>

#include "replay/command.h"

struct command {
	const char *name;
	enum exit_code (*run)(int argc, char **argv);
	const char *help;
};

static const struct command COMMANDS[] = {
	{ "audit", command_audit, "requests and replies of a cluster: lost, duplicate, out of order, late" },
	{ "demo", command_demo, "sandbox, a real chat-worker and a few chats; exit 0 only if every promise held" },
	{ "sandbox", command_sandbox, "an embedded Kafka and a stand-in OpenRouter, until Ctrl-C" },
	{ "send", command_send, "send one chat and print its reply" },
};

enum { COMMAND_COUNT = sizeof COMMANDS / sizeof COMMANDS[0] };

static void print_help(FILE *stream)
{
	fprintf(stream, "Usage: chat-replay COMMAND [OPTION]...\n\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(stream, "  %-10s%s\n", COMMANDS[i].name, COMMANDS[i].help);
	fprintf(stream, "\nchat-replay COMMAND --help tells more. chat-replay --version prints the version.\n");
}

/* What a command has printed has to arrive, else its exit code would stand for something that nobody read. */
static enum exit_code finish(enum exit_code code)
{
	if (fflush(stdout) == 0 && ferror(stdout) == 0) return code;
	fprintf(stderr, "chat-replay: the output cannot be written\n");
	return code == EXIT_CODE_OK ? EXIT_CODE_FAILED : code;
}

static enum exit_code run(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;
	if (name == NULL) {
		print_help(stderr);
		return EXIT_CODE_USAGE;
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		print_help(stdout);
		return EXIT_CODE_OK;
	}
	if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
		printf("chat-replay %s\n", CHAT_WORKER_VERSION);
		return EXIT_CODE_OK;
	}
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(name, COMMANDS[i].name) == 0) return COMMANDS[i].run(argc - 1, argv + 1);
	}
	fprintf(stderr, "chat-replay: no command '%s'\n\n", name);
	print_help(stderr);
	return EXIT_CODE_USAGE;
}

int main(int argc, char **argv)
{
	return (int)finish(run(argc, argv));
}
