/* The subcommands of chat-replay and what their exit codes mean.
 *
 * Each command gets its own arguments (`argv[0]` is the command's name), parses them with replay/options.h, and
 * returns the process's exit code. stdout is data, stderr is talk. */
#ifndef REPLAY_COMMAND_H
#define REPLAY_COMMAND_H

enum exit_code {
	EXIT_CODE_OK = 0,
	EXIT_CODE_FAILED = 1,   /* a promise did not hold, no reply came, something broke */
	EXIT_CODE_USAGE = 2,    /* unknown option, missing argument */
	EXIT_CODE_CONNECT = 3,  /* the broker could not be reached or has no such topic */
	EXIT_CODE_FILE = 4,     /* a file could not be read or holds something else */
	EXIT_CODE_MISMATCH = 5, /* what was compared differs */
	EXIT_CODE_CONFIG = 78,  /* missing key, wrong property */
	EXIT_CODE_INTERRUPTED = 130
};

/* Whether each request of a cluster has exactly one reply, in order and in time; EXIT_CODE_MISMATCH when not. */
enum exit_code command_audit(int argc, char **argv);

/* Sandbox, a real chat-worker process, a few chats; EXIT_CODE_OK only when every promise held. */
enum exit_code command_demo(int argc, char **argv);

/* Kafka and OpenRouter of its own until a signal. */
enum exit_code command_sandbox(int argc, char **argv);

/* One chat, and its reply. */
enum exit_code command_send(int argc, char **argv);

#endif
