/* The subcommands of chat-worker and what they share.
 *
 * stdout is data, stderr is talk. Owner of everything here: main, for its whole life. One thread. */
#ifndef WORKER_COMMAND_H
#define WORKER_COMMAND_H

#include "worker/command_line.h"
#include "worker/settings.h"
#include "worker/worker.h"

struct command {
	const char *name;
	const char *synopsis; /* its own options */
	const char *help;     /* one line */
	unsigned options;     /* set of enum command_option that it takes, besides the common ones */
	enum worker_exit (*run)(const struct command_line *line);
};

/* All of them, ended by a row without a name; static. The first one is the default. */
const struct command *command_table(void);

/* The bodies, one file each. They talk to stderr themselves and give the exit code: CONFIG for whatever is wrong with
 * settings, key or brokers, USAGE for the command line, FAILED for everything else. `run` blocks until the service has
 * ended, `check` for up to two seconds (brokers), `healthcheck` likewise; the others do not block. */
enum worker_exit command_run(const struct command_line *line);
enum worker_exit command_check(const struct command_line *line);
enum worker_exit command_config(const struct command_line *line);
enum worker_exit command_healthcheck(const struct command_line *line);
enum worker_exit command_metrics(const struct command_line *line);
enum worker_exit command_version(const struct command_line *line);
enum worker_exit command_completion(const struct command_line *line);

/* Settings from file, environment and flags. NULL without memory. `out_status` is settings_load()'s. The caller frees. */
NODISCARD struct settings *command_settings(const struct command_line *line, enum status *out_status);

/* What follows masks the key of the model service wherever it turns up. */

/* Writes the problems of the settings to stderr, one line each. */
void command_tell_problems(const struct command_line *line, const struct settings *settings);

/* Writes "chat-worker: error: TEXT" to stderr. */
void command_tell_error(const struct command_line *line, struct bytes text);

/* Writes to stdout. FAILED when it cannot be written. */
enum worker_exit command_print(const struct command_line *line, const struct buffer *text);

#endif
