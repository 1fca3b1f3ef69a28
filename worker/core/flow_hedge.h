/* What the flow asks of hedging: second calls for attempts that show nothing for long, see flow.h. For the files of the
 * flow only, like flow_internal.h, which includes it.
 *
 * Owner and thread: the flow's. Nothing blocks or fails. */
#ifndef WORKER_CORE_FLOW_HEDGE_H
#define WORKER_CORE_FLOW_HEDGE_H

#include "common/list.h"
#include "worker/core/flow_events.h"

struct flow;
struct flow_slot;

enum {
	FLOW_HEDGE_COST = 1000000,
	FLOW_HEDGE_SAVED_MAX = 20 * FLOW_HEDGE_COST, /* more is not saved up in calm times for one storm */
	FLOW_HEDGE_PERMILLE = 950,                   /* of first contents come sooner than a second call */
};

/* What second calls have been earned and not been made; FLOW_HEDGE_COST is one. */
struct flow_hedges {
	struct list due; /* jobs that wait for theirs; flow_next_call() empties it */
	int64_t saved;
};

/* With nothing earned. */
void flow_hedge_init(struct flow *flow);

/* May the job's next attempt get a second call, as far as the job goes? */
bool flow_hedge_may(const struct flow *flow, const struct job *job);

/* An attempt of the job has begun: sets the clock of its second call, if it may have one. */
void flow_hedge_began(struct flow *flow, struct job *job, struct call *call, struct instant now);

/* The clock has run out: nothing has come for so long. */
void flow_hedge_due(struct flow *flow, struct job *job);

/* The next second call to start. STATUS_EMPTY: none, and none is due any more. */
NODISCARD enum status flow_hedge_next(struct flow *flow, struct instant now, struct call **out_call);

/* The call of this slot is back. Returns the job whose attempt it decides; NULL: it decides nothing. */
struct job *flow_hedge_ended(struct flow *flow, struct flow_slot *slot, const struct call *call, struct instant now);

/* The job does not wait for its other call any more, if it has one, which is cancelled. */
void flow_hedge_leave(struct flow *flow, struct job *job);

/* What became of the slot's call, if it was a second one and that was not told yet. */
void flow_hedge_tell(struct flow *flow, struct flow_slot *slot, enum flow_hedge what);

#endif
