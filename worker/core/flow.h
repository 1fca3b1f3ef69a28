/* The behaviour of the worker as a state machine without I/O, clock or threads.
 *
 * What happened goes in, what to do now is asked for; time and randomness are arguments. The loop in worker/worker.c
 * carries things between it and Kafka and the upstream; the simulation drives the same code with a scripted Kafka, a
 * scripted upstream and virtual time.
 *
 * The way of a chat: flow_take() enters its record in the ledger, reads the request and puts it behind its conversation;
 * at the head of its lane it waits for a call slot; flow_next_call() gives the attempt to start; flow_call_done() decides
 * between answer, another attempt and fallback (an attempt that shows nothing for long may get a second call: see
 * flow_hedge_options); the reply is made and waits in one queue for all; flow_next_batch() takes
 * what is ready together with the progress it makes; flow_batch_done() adopts it, or puts the same replies back in front.
 *
 * What holds, always:
 *   - a record taken gets one reply made, and that reply is in one batch at a time, until one is known to be committed;
 *   - the progress in a batch covers exactly what is committed already and what the batch itself carries;
 *   - replies of a conversation enter batches in the order of its requests;
 *   - nothing of a partition that was given up enters a batch that is made later; what is kept of it (park.h) may, once the
 *     partition was assigned anew and its record was taken again;
 *   - no call is made of a model whose breaker is open, nor of any while that of the way to the upstream is; a chat goes on to
 *     its next model then, and gets its fallback at once when none is left;
 *   - no call is made of a model that asked for patience, until its time is over; a chat goes on to its next model then, or
 *     waits when none is left and the wait leaves time for an attempt, or gets its fallback at once;
 *   - a chat gets one second call at most, never while draining; the content that comes first decides which of the two
 *     calls counts, and the other is cancelled;
 *   - after a standstill of the loop no call is made, repeats and second calls neither, until the group is known to go on with
 *     this process (membership.h); chats wait, and have their deadlines as ever;
 *   - once a call was refused because of the account, none is made until a probe says that the account works;
 *   - a reply is made by the chat's deadline less the publish reserve; only a chat whose predecessors in the same
 *     conversation have later deadlines of their own waits for them: order goes before time there;
 *   - memory is bounded by the options: when a bound is reached, flow_wants() turns false.
 *
 * Ownership: a record is taken over by flow_take(), a call is handed over by flow_next_call() and comes back with
 * flow_call_done(), a batch likewise. Threads: one owner. Nothing blocks. */
#ifndef WORKER_CORE_FLOW_H
#define WORKER_CORE_FLOW_H

#include "common/clock.h"
#include "schemas/record.h"
#include "worker/core/batch.h"
#include "worker/core/breaker.h"
#include "worker/core/call.h"
#include "worker/core/flow_events.h"
#include "worker/core/history.h"
#include "worker/core/retry.h"
#include "worker/core/retry_budget.h"

struct flow;

/* Hedging: when an attempt has shown no content for long, a second call is started for the same chat, to the next model
 * if it has one that may be called, else to the same. It is part of the attempt: the first content of both wins, the
 * other call is cancelled; when one fails, the other goes on; when both do, the later failure is that of the attempt. It
 * is paid for like a retry, and takes a call slot that no chat waits for. */
struct flow_hedge_options {
	bool enabled;
	double max_share;     /* of the chats that were called so far, which may have had a second call */
	int64_t delay_ms;     /* without content, while too little is known of the model; then 95 of 100 of its first
	                         contents come within the delay … */
	int64_t delay_min_ms; /* … which is never shorter than this */
};

/* Views are borrowed for the life of the flow. */
struct flow_options {
	struct chat_limits limits;
	struct history_limits history;
	struct retry_options retry;
	struct retry_budget_options budget; /* of the process, and of each model */
	struct breaker_options breaker;     /* of each model, and of the whole upstream */
	struct flow_hedge_options hedge;

	const struct bytes *models; /* in order of preference; at least one */
	size_t model_count;
	const struct bytes *allowed_models; /* globs; none = any */
	size_t allowed_model_count;
	struct bytes temperature, max_tokens, provider; /* JSON text, BYTES_NONE = none */
	struct bytes system_prompt;
	int64_t stall_ms;

	int64_t deadline_ms;     /* after the record's timestamp, when the request names none */
	int64_t deadline_max_ms; /* the latest a request may name */
	int64_t publish_reserve_ms;
	bool ordered; /* false: every record a lane of its own */

	struct bytes requests_topic, responses_topic, dead_letter_topic;
	const struct bytes *reply_topics; /* what a request may name instead of responses_topic */
	size_t reply_topic_count;
	struct bytes consumer_group, worker_version;
	bool dead_letter_on_rejected, dead_letter_on_fallback;
	bool start_from_latest; /* of a partition without a commit */
	struct bytes fallback_text;
	struct bytes fallback_texts[REASON_COUNT]; /* BYTES_NONE = fallback_text */

	int64_t standstill_ms;                     /* of the loop, after which membership is in doubt; 0 = never */
	int64_t credit_interval_ms;                /* pause between looks at what the key may spend; 0 = none */
	size_t in_flight_max;                      /* calls handed over and not come back */
	size_t waiting_max;                        /* chats taken and not yet answered */
	size_t bytes_max;                          /* memory of all chats and their calls */
	size_t job_bytes_max;                      /* of one */
	size_t body_bytes_max, response_bytes_max; /* of one call */
	size_t reply_bytes_max;
	struct park_options park; /* what is kept of partitions that were given up */
	size_t batch_replies_max, batch_bytes_max;
	int64_t batch_interval_ms;

	uint64_t seed;
	struct flow_events events;
};

/* A partition that is given to this process. */
struct flow_assignment {
	int32_t partition;
	int64_t committed;     /* -1 = none */
	struct bytes metadata; /* beside it; BYTES_NONE = none */
	int64_t log_start, log_end;
};

/* NULL when memory is missing. */
NODISCARD struct flow *flow_new(const struct flow_options *options);

/* All calls and the batch must have come back, except those the caller freed itself. Accepts NULL. */
void flow_free(struct flow *flow);

/* Begins a partition and says where to read from. A committed offset outside the log, or progress that cannot be trusted,
 * is told by an event; in doubt requests are answered again. STATUS_NO_MEMORY: the partition is not begun. */
NODISCARD enum status flow_assign(struct flow *flow, const struct flow_assignment *assignment, int64_t *out_start);

/* Gives a partition up: its part of the batch under way counts for nothing here; finished replies and running calls are
 * kept as park.h says, its other chats are dropped and their calls cancelled. Unknown partitions are ignored. */
void flow_revoke(struct flow *flow, int32_t id, struct instant now);

/* May records of this partition be taken now? */
bool flow_wants(const struct flow *flow, int32_t partition);

/* Takes over `record` on STATUS_OK, also when it is skipped as finished already. STATUS_NO_MEMORY, STATUS_NOT_FOUND (the
 * partition is not assigned): the caller still owns it. Only after flow_wants(). */
NODISCARD enum status flow_take(struct flow *flow, struct record *record, struct instant now);

/* There is nothing more to be read of partition `id` before `end`: what lies there and was not taken is no request, but the
 * mark of a transaction, or was taken back with one. Lets the progress go on to the log's end. */
void flow_pass(struct flow *flow, int32_t id, int64_t end, struct instant now);

/* A turn of the loop is about to begin calls. `boot_ms`: clock_boot_ms(); `heartbeats`: source_heartbeats(), asked before
 * the group was served in this turn. Never called: membership is never in doubt. */
void flow_turn(struct flow *flow, int64_t boot_ms, uint64_t heartbeats);

/* The next attempt to start; hand it to the upstream. STATUS_EMPTY: none now. */
NODISCARD enum status flow_next_call(struct flow *flow, struct instant now, struct call **out_call);

/* The next attempt to drop, by id. STATUS_EMPTY: none. */
NODISCARD enum status flow_next_cancel(struct flow *flow, uint64_t *out_id);

/* Content of the call with this id has begun to come (call->tells_content). It may have ended since. */
void flow_content_begun(struct flow *flow, uint64_t id, struct instant now);

/* An attempt came back; frees the call. Results nobody waits for any more are counted and dropped. */
void flow_call_done(struct flow *flow, struct call *call, struct instant now);

/* The next probe of the account to start, and until when it must have ended: the account was refused, and no call is made
 * until a probe says that it works; or it is time to look what the key may still spend, which decides nothing. It comes back through flow_call_done() as a call with this id; reason REASON_NONE =
 * it works. STATUS_EMPTY: none now. */
NODISCARD enum status flow_next_probe(
	struct flow *flow, struct instant now, uint64_t *out_id, int64_t *out_deadline_ms);

/* A probe that could not be handed over: as if it had failed. */
void flow_probe_refused(struct flow *flow, struct instant now);

/* Calls and probes from now on carry another key. A refusal of one that was begun before says nothing about it: its chat
 * is asked again. While the account is refused, it is probed at once. */
void flow_key_changed(struct flow *flow, struct instant now);

/* Is the account refused? */
bool flow_account_is_refused(const struct flow *flow);

/* A call that could not be handed over (the upstream is full): as if it had failed inside. */
void flow_call_refused(struct flow *flow, struct call *call, struct instant now);

/* What is ready to be published; hand it to the publisher. STATUS_EMPTY: nothing now (none ready, one is under way, or it
 * is too early). STATUS_NO_MEMORY: later. */
NODISCARD enum status flow_next_batch(struct flow *flow, struct instant now, struct batch **out_batch);

/* The next batch need not wait for its interval (nor for the pause after an aborted one): before a partition goes. */
void flow_hurry(struct flow *flow);

/* A batch came back; frees it. For BATCH_UNCERTAIN, batch->found tells by the commit id which of both it was. */
void flow_batch_done(struct flow *flow, struct batch *batch, struct instant now);

/* Does what is due: deadlines and ends of back-offs. Call once a turn, before the questions above. */
void flow_tick(struct flow *flow, struct instant now);

/* When to come back at the latest, on the monotonic clock; INT64_MAX = nothing is waiting for time. */
int64_t flow_due(const struct flow *flow);

/* Ends the work: chats that were never called are left to the next owner, those being called may go on until
 * `until_ms` (monotonic); then they are left, too. Replies that are ready are still published. */
void flow_drain(struct flow *flow, int64_t until_ms);

/* Nothing is being called, nothing waits to be published, no batch is under way. */
bool flow_is_idle(const struct flow *flow);

/* For gauges; cheap. */
struct flow_gauges {
	size_t in_flight, waiting, ready, replies, lanes, bytes, partitions;
	size_t parked, parked_calls, parked_bytes; /* kept chats, those of them whose calls run; in `bytes` and
	                                              `in_flight`, too */
	bool is_publishing;                        /* a batch is under way */
	int64_t oldest_overdue_ms; /* monotonic: the earliest deadline or end of a back-off that still waits for
	                              flow_tick(); INT64_MAX = none */
};
void flow_gauges(const struct flow *flow, struct flow_gauges *out_gauges);

/* What stands before calls. */
struct flow_guard_gauges {
	size_t breakers[BREAKER_STATE_COUNT]; /* how many are in each state */
	size_t cooling;                       /* models that asked for patience and are not called */
	int64_t retry_budget;                 /* of the process, thousandths of a retry */
	int64_t retry_after_ms;               /* how long the upstream still asks to be left alone; 0 = it does not */
};
void flow_guard_gauges(const struct flow *flow, int64_t now_mono_ms, struct flow_guard_gauges *out_gauges);

struct flow_partition_gauges {
	int64_t watermark;
	size_t finished_above;
	int64_t oldest_taken_ms; /* monotonic; 0 = nothing open */
};
NODISCARD enum status flow_partition_gauges(
	const struct flow *flow, int32_t partition, struct flow_partition_gauges *out_gauges);

#endif
