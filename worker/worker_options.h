/* From settings to the options of the flow and of the upstream: the core knows nothing of settings.
 *
 * Owner: the worker, for its whole life; the options' views point into here and into the settings. */
#ifndef WORKER_WORKER_OPTIONS_H
#define WORKER_WORKER_OPTIONS_H

#include "worker/core/flow.h"
#include "worker/edge/upstream.h"
#include "worker/settings.h"

struct worker_options {
	struct flow_options flow;         /* without events and seed */
	struct upstream_options upstream; /* without bearer and log */
	struct bytes *lists;              /* owned: the items of all list settings */
	char temperature[32];
	char max_tokens[32];
};

/* STATUS_NO_MEMORY. */
NODISCARD enum status worker_options_init(struct worker_options *options, const struct settings *settings);
void worker_options_deinit(struct worker_options *options);

#endif
