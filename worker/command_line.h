/* The command line: options in any place, one command word, and nothing that is not known.
 *
 * Which command takes which option is checked by main against the table of commands; here it is only noted. Options
 * that stand for settings (-X, --set, -v, -q, --log-format) become flags for settings_load(), in their order.
 *
 * Owner: main. Pointers are borrowed from argv and the environment, except where owned is said. One thread: getopt keeps
 * its place in variables of the C library. */
#ifndef WORKER_COMMAND_LINE_H
#define WORKER_COMMAND_LINE_H

#include <stdbool.h>

#include "common/buffer.h"
#include "common/redaction.h"
#include "worker/settings.h"

enum { COMMAND_FLAGS_MAX = 256 }; /* settings given on the command line */

/* Options of single commands, as a set. */
enum command_option {
	COMMAND_OPTION_NO_ENVIRONMENT = 1,
	COMMAND_OPTION_DENY_WARNINGS = 2,
	COMMAND_OPTION_FORMAT = 4,
	COMMAND_OPTION_JSON = 8,
	COMMAND_OPTION_SHELL = 16, /* takes an operand */
};

struct command_line {
	const char *command; /* "" when none was given */
	const char *file;    /* -c, else the environment's; NULL = none */
	const char *format;  /* --format; NULL = not given */
	const char *operand; /* NULL = none */
	unsigned options;    /* set of those given */
	bool wants_help;
	bool wants_version;
	struct settings_flag flags[COMMAND_FLAGS_MAX];
	size_t flag_count;
	struct redaction *redaction;   /* owned: masks the key in whatever is printed, should it be in a wrong place */
	char *keys[COMMAND_FLAGS_MAX]; /* owned: keys of --set, apart from their values */
};

/* STATUS_INVALID: `out_problem` says which argument is wrong; an argument's value is not quoted. STATUS_FULL: too many
 * --set and -X. STATUS_NO_MEMORY. */
NODISCARD enum status command_line_parse(struct command_line *line, int argc, char **argv, struct buffer *out_problem);

void command_line_deinit(struct command_line *line);

/* The common options, for `--help`; static. */
const char *command_line_help(void);

#endif
