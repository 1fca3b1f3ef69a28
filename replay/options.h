/* Command-line options from one table a command, which is also its --help.
 *
 * A row names an option and the member of the command's own struct that it fills. Options are `--name value`,
 * `--name=value`, `-x value` or flags without a value; `--` ends them; everything else is an operand.
 *
 * Ownership: texts are borrowed from argv. Threads: the main one. Messages go to stderr, help to stdout. */
#ifndef REPLAY_OPTIONS_H
#define REPLAY_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

enum option_kind {
	OPTION_FLAG,    /* bool: set to true */
	OPTION_TEXT,    /* const char * */
	OPTION_NUMBER,  /* int64_t, 0 or more */
	OPTION_MS,      /* int64_t: a duration, a bare number counts milliseconds */
	OPTION_SECONDS, /* int64_t in milliseconds: a duration, a bare number counts seconds */
	OPTION_LIST     /* struct option_list: may be given several times */
};

enum { OPTION_LIST_MAX = 32 };

struct option_list {
	const char *items[OPTION_LIST_MAX];
	size_t count;
};

struct option_row {
	const char *name; /* without the dashes */
	char letter;      /* 0 = none */
	enum option_kind kind;
	size_t offset;        /* of the member in the command's struct */
	const char *argument; /* as --help names it; NULL for flags */
	const char *help;
};

struct option_table {
	const char *command;
	const char *operands; /* as the usage line shows them, "" for none */
	const char *purpose;  /* first paragraph of --help */
	const char *epilogue; /* last paragraph of --help, may be NULL */
	const struct option_row *rows;
	size_t count;
	size_t operands_max;
};

/* Fills `target` and moves the operands to the front of argv[1..]; their number goes to `*out_operands`.
 * STATUS_CLOSED: --help was asked and printed, nothing else is to be done. STATUS_INVALID: a usage error, already
 * explained on stderr; `target` may be half filled. */
NODISCARD enum status options_parse(
	const struct option_table *table, int argc, char **argv, void *target, size_t *out_operands);

#endif
