/* What the flow tells as it happens, for logs and metrics. It never asks anything: leaving all of it out changes nothing.
 *
 * Called on the flow's thread in the middle of its work: must not call the flow back. Views are borrowed for the call. */
#ifndef WORKER_CORE_FLOW_EVENTS_H
#define WORKER_CORE_FLOW_EVENTS_H

#include "common/clock.h"
#include "worker/core/breaker.h"
#include "worker/core/call.h"
#include "worker/core/job.h"
#include "worker/core/park.h"

/* Something rare about a partition, a batch or a result. member, word */
#define FLOW_NOTICE_TABLE(ROW)                                              \
	ROW(FLOW_NOTICE_SKIPPED, "finished already")                        \
	ROW(FLOW_NOTICE_PROGRESS_REFUSED, "stored progress not trusted")    \
	ROW(FLOW_NOTICE_OFFSETS_LOST, "committed offset is not in the log") \
	ROW(FLOW_NOTICE_STALE_RESULT, "result of a call nobody waits for")  \
	ROW(FLOW_NOTICE_TAKE_FAILED, "no memory for a record")              \
	ROW(FLOW_NOTICE_REPLY_REFUSED, "topic refused a reply")             \
	ROW(FLOW_NOTICE_DEAD_LETTER_REFUSED, "topic refused a dead letter") \
	ROW(FLOW_NOTICE_DEAD_LETTER_DROPPED, "dead letter given up")        \
	ROW(FLOW_NOTICE_REPLY_TO_REFUSED, "reply topic is not on the list") \
	ROW(FLOW_NOTICE_STOOD_STILL, "stood still for about a session")

#define FLOW_NOTICE_MEMBER(member, word) member,
enum flow_notice { FLOW_NOTICE_TABLE(FLOW_NOTICE_MEMBER) };
#undef FLOW_NOTICE_MEMBER

const char *flow_notice_word(enum flow_notice notice);

/* What becomes of second calls (hedging): each that is started is told as won or lost later. member, word */
#define FLOW_HEDGE_TABLE(ROW)                                                                             \
	ROW(FLOW_HEDGE_STARTED, "started")                                                                \
	ROW(FLOW_HEDGE_WON, "won")             /* its content came first */                               \
	ROW(FLOW_HEDGE_LOST, "lost")           /* anything else */                                        \
	ROW(FLOW_HEDGE_NO_SHARE, "no_share")   /* not made: more chats than allowed would have one … */ \
	ROW(FLOW_HEDGE_NO_BUDGET, "no_budget") /* … nothing is left of the budget of retries */         \
	ROW(FLOW_HEDGE_NO_MODEL, "no_model")   /* … none may be called now, or could answer in time */  \
	ROW(FLOW_HEDGE_NO_SLOT, "no_slot")     /* … all calls that may run are running */               \
	ROW(FLOW_HEDGE_NO_TIME, "no_time")     /* … too little is left before the deadline */           \
	ROW(FLOW_HEDGE_NO_MEMORY, "no_memory")                                                            \
	ROW(FLOW_HEDGE_DRAINING, "draining")

#define FLOW_HEDGE_MEMBER(member, word) member,
enum flow_hedge { FLOW_HEDGE_TABLE(FLOW_HEDGE_MEMBER) };
#undef FLOW_HEDGE_MEMBER

const char *flow_hedge_word(enum flow_hedge hedge);

/* Any may be NULL. */
struct flow_events {
	void *context;
	/* A record was read into a job (valid or rejected). */
	void (*on_taken)(void *context, const struct job *job);
	/* An attempt ended for a chat that still waits for it, or is kept. `step`: what comes next when it failed. */
	void (*on_attempt)(void *context, const struct job *job, const struct call *call, enum retry_step step);
	/* Something about a second call to this model. */
	void (*on_hedge)(void *context, struct bytes model, enum flow_hedge hedge);
	/* A call of a hedged attempt came back that did not decide it: it had been overtaken, or failed while the other
	 * went on. on_attempt is not called for it, and its chat may be gone. */
	void (*on_undecided)(void *context, struct bytes model, const struct call *call);
	/* The reply was made: job->outcome, failure, rejection and times say how. */
	void (*on_reply)(void *context, const struct job *job, const struct chat_response *response);
	/* The reply is committed. */
	void (*on_committed)(void *context, const struct job *job, struct instant now);
	/* A breaker has changed: that of a model, or of the way to the whole upstream (BYTES_NONE). */
	void (*on_breaker)(void *context, struct bytes model, enum breaker_state state);
	/* A model asked to be left alone for so long; what it asks for while it is changes nothing that is told. */
	void (*on_cooling)(void *context, struct bytes model, int64_t wait_ms);
	/* The account is refused from now on, for this reason, or works again (REASON_NONE). */
	void (*on_account)(void *context, enum reason reason);
	/* What may still be spent under the key's own limit, in US dollars; not told when it has none. */
	void (*on_credit)(void *context, double remaining_usd);
	/* A partition was given up, and so many of its replies and calls are kept. Not told when there are none. */
	void (*on_parked)(void *context, int32_t partition, size_t replies, size_t calls);
	/* A kept chat is used, or ends in another way. */
	void (*on_park_end)(void *context, const struct job *job, enum park_end end);
	void (*on_notice)(void *context, enum flow_notice notice, int32_t partition, int64_t offset);
};

#endif
