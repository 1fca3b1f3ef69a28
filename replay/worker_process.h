/* A real chat-worker as a child process, with a settings file of its own in a temporary folder.
 *
 * The child ends when this process does, and its log goes to a file in that folder. Secrets reach it by its
 * environment only.
 *
 * Owner and thread: one, the main thread (the child is tied to its life). Blocking is bounded by the times given. */
#ifndef REPLAY_WORKER_PROCESS_H
#define REPLAY_WORKER_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/status.h"

struct worker_process;

enum { WORKER_PATH_MAX = 4096, WORKER_MODELS_MAX = 4 };

struct worker_process_options {
	const char *program; /* path of chat-worker */
	const char *brokers;
	const char *base_url; /* NULL = the worker's own default, the real OpenRouter */
	const char *key;      /* NULL = OPENROUTER_API_KEY of this process's environment goes on as it is */
	const char *models[WORKER_MODELS_MAX];
	int64_t first_token_timeout_ms; /* 0 = the worker's default */
};

/* Where chat-worker is: `given`, or beside this program (also in a build tree), or on PATH.
 * STATUS_NOT_FOUND: no such program can be run. */
NODISCARD enum status worker_process_find(const char *given, char out_path[static WORKER_PATH_MAX]);

/* Writes the settings and starts the program. STATUS_IO: told on stderr. Free with worker_process_free(). */
NODISCARD enum status worker_process_start(
	const struct worker_process_options *options, struct worker_process **out_worker);

/* Waits until /readyz says 200. STATUS_CLOSED: the process has ended. STATUS_TIMEOUT. Both are told on stderr, with
 * the end of the log. */
NODISCARD enum status worker_process_wait_ready(struct worker_process *worker, int64_t timeout_ms);

bool worker_process_is_alive(struct worker_process *worker);

/* SIGTERM, and waits for the end; SIGKILL when that takes too long (STATUS_TIMEOUT). `*out_code` is the exit code, or
 * 128 and the number of the signal that ended it. */
NODISCARD enum status worker_process_stop(struct worker_process *worker, int64_t timeout_ms, int *out_code);

/* SIGKILL; the end is not waited for. */
void worker_process_kill(struct worker_process *worker);

/* Copies the end of the log to stderr. */
void worker_process_print_log(const struct worker_process *worker);

/* The folder with settings and log; borrowed. */
const char *worker_process_folder(const struct worker_process *worker);

/* Kills what still runs and removes the folder. Accepts NULL. */
void worker_process_free(struct worker_process *worker);

#endif
