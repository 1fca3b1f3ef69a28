/* Another key while the worker runs.
 *
 * The file of the key is read again on SIGHUP, and while the service refuses the account: at once, then every second.
 * Another key is masked in the log, given to the upstream pool and told to the flow, which probes the account at once. A
 * file that cannot be read, or that holds no key, changes nothing and is told. Without a file nothing is ever read.
 *
 * Owner: the loop; its thread. Reading the file blocks: a few hundred bytes of a mounted secret. */
#ifndef WORKER_WORKER_KEY_H
#define WORKER_WORKER_KEY_H

#include "common/clock.h"
#include "common/log.h"
#include "worker/core/flow.h"
#include "worker/edge/secret.h"
#include "worker/edge/upstream.h"

enum { WORKER_KEY_INTERVAL_MS = 1000 };

/* The first four are borrowed and outlive it; all else begins as zero. */
struct worker_key {
	struct secret *secret;
	struct log *log;
	struct flow *flow;
	struct upstream *upstream;
	bool is_pending;  /* read, but a thread of the pool had no room for it yet */
	enum status last; /* of the last reading */
	int64_t due_ms;   /* monotonic: when to look again; 0 = at once */
};

/* Reads it again, as asked by somebody: also tells when nothing has changed. */
void worker_key_read(struct worker_key *key, struct instant now);

/* Once a turn of the loop. */
void worker_key_tick(struct worker_key *key, struct instant now);

#endif
