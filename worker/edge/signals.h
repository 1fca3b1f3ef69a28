/* SIGTERM and SIGINT as a readable descriptor: the first asks for a drain, the second ends the process at once. SIGHUP too,
 * when there is something to read again; otherwise it ends the process as it always does.
 *
 * All are blocked in the calling thread and all threads it makes afterwards, so signals_open() comes before any
 * thread is started. SIGPIPE is ignored for the whole process.
 *
 * Owner: main or the loop. Thread: the owner's; nothing blocks. */
#ifndef WORKER_EDGE_SIGNALS_H
#define WORKER_EDGE_SIGNALS_H

#include <stdbool.h>

#include "common/status.h"

struct signals {
	int fd;         /* signalfd, owned */
	unsigned count; /* requests to end so far */
	bool has_hangup;
};

/* STATUS_IO when there is no descriptor. */
NODISCARD enum status signals_open(struct signals *signals, bool takes_hangup);

/* Closes the descriptor; the signals stay blocked. */
void signals_close(struct signals *signals);

/* Takes what is pending. True when this is the first request to end: drain. At the second one the process ends here
 * with _exit(1). False when nothing is pending. */
bool signals_take(struct signals *signals);

/* Was there a SIGHUP among what signals_take() took since this was last asked? */
bool signals_take_hangup(struct signals *signals);

#endif
