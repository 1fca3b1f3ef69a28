/* Where the calls are that were handed over: as many slots as calls may be in flight. For the files of the flow only,
 * like flow_internal.h, which includes it; flow_call.c has the functions.
 *
 * Owner and thread: the flow's. Nothing blocks. */
#ifndef WORKER_CORE_FLOW_SLOT_H
#define WORKER_CORE_FLOW_SLOT_H

#include "common/clock.h"
#include "common/list.h"
#include "worker/core/breaker.h"
#include "worker/core/call.h"
#include "worker/core/job.h"

struct flow;

/* A call that was handed over. */
struct flow_slot {
	uint64_t id;     /* 0 = free */
	struct job *job; /* NULL = nobody waits for it any more */
	size_t bytes;    /* of the call's body and answer, as far as known here */
	int64_t began_ms;
	size_t choice; /* which of its job's models is called */
	bool wants_cancel;
	bool is_second;    /* of a hedged attempt */
	bool is_told;      /* … whose luck was told */
	bool is_overtaken; /* the other call was the first to show content: whatever comes of this one decides nothing */
	struct list link;  /* on `free_slots` or `cancels` */

	/* What the call holds, until it ends or its chat stops waiting. */
	bool has_passes;
	bool has_own_provider; /* the chat brought preferences of its own */
	size_t model;          /* its number */
	struct breaker_pass model_pass, edge_pass;
	uint64_t key; /* the number of the key it carries */
};

/* Nobody waits for what is in the slot; it is cancelled if it was not already. */
void flow_drop_slot(struct flow *flow, struct flow_slot *slot);

/* The slot is cancelled with the next turn. */
void flow_cancel_slot(struct flow *flow, struct flow_slot *slot);

/* Where the call with this id is, or was. */
struct flow_slot *flow_slot_of(const struct flow *flow, uint64_t id);

/* A call of the `choice`th of the job's models; NULL when memory is missing. A slot is free. */
struct call *flow_make_call(struct flow *flow, const struct job *job, size_t choice);

/* Gives the call to a free slot and the job to the call, which gets its deadline. */
struct flow_slot *flow_occupy(struct flow *flow, struct job *job, struct call *call, size_t choice, struct instant now);

#endif
