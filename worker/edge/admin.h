/* The admin endpoints: /metrics, /healthz, /readyz over HTTP, on a thread of their own.
 *
 * /healthz is about the process alone: its loop makes progress and no chat is long past its deadline. It never looks
 * at brokers, the model service or lag, because restarting the process would not mend those. /readyz says whether the
 * pod may count as up in a rollout: settings, broker, group, not draining, account not refused. Bodies give the
 * reason in one line. GET and HEAD only, other methods 405, other paths 404.
 *
 * The handlers read atomics (`struct admin_health`, the metrics) and nothing else. Connections are bounded in number
 * and time. Owner: the loop. */
#ifndef WORKER_EDGE_ADMIN_H
#define WORKER_EDGE_ADMIN_H

#include <stdatomic.h>

#include "common/bytes.h"
#include "common/metrics.h"

enum {
	ADMIN_CONNECTIONS_MAX = 32,
	ADMIN_TIMEOUT_S = 10,               /* of an idle or slow connection */
	ADMIN_PROGRESS_MAX_MS = 30000,      /* a loop that is silent for longer is stuck */
	ADMIN_PAST_DEADLINE_MAX_MS = 30000, /* a chat that is unanswered this long after its deadline is stuck */
	ADMIN_BODY_MAX = 16777216,          /* bytes of one answer */
};

/* Written by the loop, read by the admin thread; relaxed order is enough. Zeroed at first. */
struct admin_health {
	_Atomic int64_t progress_mono_ms;        /* of the loop's last turn; 0 = has not begun, which is healthy */
	_Atomic int64_t oldest_past_deadline_ms; /* of all open chats; 0 = none is late */
	atomic_bool settings_loaded;
	atomic_bool broker_reached;
	atomic_bool group_joined;
	atomic_bool draining;
	atomic_bool account_refused; /* the account latch: 401 or 402 */
};

struct admin;

struct admin_options {
	const char *listen;                /* "address:port" or "[address]:port"; port 0 takes a free one */
	const struct admin_health *health; /* borrowed until admin_stop() */
	struct metrics *metrics;           /* borrowed until admin_stop() */
};

/* Starts the thread. STATUS_INVALID: `listen` is not an address with a port; STATUS_IO: the address cannot be bound;
 * STATUS_NO_MEMORY. */
NODISCARD enum status admin_start(const struct admin_options *options, struct admin **out_admin);

/* Ends the thread and all connections. Blocks until they are gone (at once, nearly). Accepts NULL. */
void admin_stop(struct admin *admin);

/* The port that is really bound. */
unsigned admin_port(const struct admin *admin);

/* Why the process is not healthy or not ready at `mono_ms`: one static line, or NULL when it is. */
const char *admin_unhealthy(const struct admin_health *health, int64_t mono_ms);
const char *admin_unready(const struct admin_health *health);

#endif
