/* What the flow tells, as log lines and metrics.
 *
 * Each event is logged once, with the chat's request id and place, at the level of its consequence: answered is debug, an
 * attempt that is followed by another is info, a fallback or rejection is a warning. Never message text, header values or
 * the key; conversation ids only hashed.
 *
 * Owner: the worker; thread: the flow's. */
#ifndef WORKER_WORKER_EVENTS_H
#define WORKER_WORKER_EVENTS_H

#include "common/log.h"
#include "common/metrics.h"
#include "worker/core/flow.h"
#include "worker/edge/source.h"
#include "worker/settings.h"

struct worker_events {
	struct log *log;
	struct metrics *metrics;
	struct bytes requests_topic;
	struct metric_series *consumed; /* resolved once: on the path of every chat */
	struct metric_series *sent;
	struct metric_series *outcomes[3];
	struct metric_series *processed;
};

void worker_events_init(
	struct worker_events *events, const struct settings *settings, struct log *log, struct metrics *metrics);

/* The table to put into the flow's options; borrows `events`. */
struct flow_events worker_events_table(struct worker_events *events);

/* Sets the gauges that show the state of flow and source; about once a second. */
void worker_events_gauges(
	struct worker_events *events, const struct flow *flow, const struct source *source, int64_t mono_ms);

/* Takes the gauges of a partition that was given up out of the exposition. */
void worker_events_forget_partition(struct worker_events *events, int32_t partition);

#endif
