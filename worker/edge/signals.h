/* SIGTERM and SIGINT as a readable descriptor: the first asks for a drain, the second ends the process at once.
 *
 * Both are blocked in the calling thread and all threads it makes afterwards, so signals_open() comes before any
 * thread is started. SIGPIPE is ignored for the whole process.
 *
 * Owner: main or the loop. Thread: the owner's; nothing blocks. */
#ifndef WORKER_EDGE_SIGNALS_H
#define WORKER_EDGE_SIGNALS_H

#include <stdbool.h>

#include "common/status.h"

struct signals {
	int fd;         /* signalfd, owned */
	unsigned count; /* signals taken so far */
};

/* STATUS_IO when there is no descriptor. */
NODISCARD enum status signals_open(struct signals *signals);

/* Closes the descriptor; the signals stay blocked. */
void signals_close(struct signals *signals);

/* Takes what is pending. True when this is the first request to end: drain. At the second one the process ends here
 * with _exit(1). False when nothing is pending. */
bool signals_take(struct signals *signals);

#endif
