/* The worker: carries what happens between Kafka, the model service and the flow, until it is told to end.
 *
 * One turn of the loop: wait (Kafka, calls that came back, the batch that came back, signals, or the next due time);
 * then serve the group, hear results, let time pass, take records, start and drop calls, hand over a batch. Every step
 * drains what is there, so a wake-up is paid once for many chats.
 *
 * Thread: main, which becomes the flow's thread. The upstream threads, the publisher's and the admin's are started and
 * joined in here; they are met through mailboxes and atomics only. */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include "common/log.h"
#include "worker/edge/secret.h"
#include "worker/settings.h"

/* Exit codes, for all subcommands. */
enum worker_exit {
	WORKER_EXIT_OK = 0,
	WORKER_EXIT_FAILED = 1,
	WORKER_EXIT_USAGE = 2,
	WORKER_EXIT_INTERNAL = 70,
	WORKER_EXIT_CONFIG = 78,
};

/* Serves until SIGTERM or SIGINT, then drains. Everything is borrowed for the call; the key may be read again meanwhile
 * (worker/worker_key.h). Blocks. */
enum worker_exit worker_run(const struct settings *settings, struct secret *secret, struct log *log);

#endif
