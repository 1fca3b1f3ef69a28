/* Whether the process may have the threads it needs, asked before any of them is made.
 *
 * Under a limit (pids.max of a container, RLIMIT_NPROC) librdkafka cannot be relied on to say so: when one of its threads
 * cannot be made it reports that, or aborts, or waits for ever, depending on which it is (seen with 2.0.2). */
#ifndef WORKER_WORKER_THREADS_H
#define WORKER_WORKER_THREADS_H

#include "common/log.h"
#include "worker/settings.h"

/* Threads beside the caller's that the worker has once it has started, before it knows more brokers than it was told. */
size_t worker_threads_needed(const struct settings *settings);

/* Makes so many at once, and ends them again: some milliseconds. STATUS_IO: they cannot be had; told with how many can. */
NODISCARD enum status worker_threads_probe(const struct settings *settings, struct log *log);

#endif
