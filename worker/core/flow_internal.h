/* What the files of the flow share; nobody else includes it.
 *
 * flow.c        life, partitions, time, drain          flow_call.c   attempts: starting, ending, deciding
 * flow_take.c   records in                             flow_reply.c  replies and dead letters
 * flow_batch.c  batches out and back                    flow_check.c  what holds between calls
 * flow_guard.c  may a call be made?                    flow_ignore.c  providers that a repeat leaves out
 * flow_cooling.c  models that asked for patience         flow_pace.c  how long models take
 * flow_park.c   what is kept of partitions given up    flow_hedge.c  second calls
 *
 * Where a job is, by state: WAITING in its lane, and on `heads` when its turn has come; READY on `ready`; CALLING in
 * `slots`, and on `hedges.due` when its second call is due; BACKOFF in `due` until the back-off ends, or the model that
 * it waits for has cooled; REPLIED on `replies`; PUBLISHING on `publishing`. From WAITING to BACKOFF its deadline (or
 * the end of the back-off, or the time of a second call) is in `due`. A kept chat (job->parked) is CALLING or PUBLISHING
 * as above, or PARKED, with its reply, in the park alone; it is in no lane, not in `due`, and counts for nothing but its
 * bytes. `replies` is sorted by the replies' numbers, in order in each conversation. */
#ifndef WORKER_CORE_FLOW_INTERNAL_H
#define WORKER_CORE_FLOW_INTERNAL_H

#include "worker/core/account.h"
#include "worker/core/flow.h"
#include "worker/core/flow_hedge.h"
#include "worker/core/flow_slot.h"
#include "worker/core/lanes.h"
#include "worker/core/latency.h"
#include "worker/core/ledger.h"
#include "worker/core/membership.h"
#include "worker/core/model_names.h"
#include "worker/core/park.h"

enum {
	FLOW_PARTITIONS_MAX = 100000,     /* ids beyond this are refused: Kafka itself does not go so far per topic */
	FLOW_PROGRESS_INTERVAL_MS = 1000, /* progress without replies (gaps, skipped records) is committed so often */
	FLOW_ABORT_BACKOFF_MS = 50,       /* before the batch after an aborted one; doubled up to … */
	FLOW_ABORT_BACKOFF_MAX_MS = 2000,
	FLOW_MEMORY_BACKOFF_MS = 50,        /* before what memory was missing for is tried again */
	FLOW_LATE_MS = 20,                  /* what is to be done at a time is done by then */
	FLOW_SLOW_MS = 30000,               /* that a model is slow is believed for so long after it was asked */
	FLOW_FIRST_CONTENT_LEAST_MS = 1500, /* the first content is not expected sooner, however fast the model was */
	FLOW_ALONE_MS = 600000, /* a model that nobody else could serve is not asked for others for so long */
};

struct flow_partition_state {
	int32_t id;
	struct ledger *ledger;
	struct list jobs;    /* of the partition, through in_partition, in the order they were taken */
	size_t waiting;      /* jobs without a reply */
	struct record *held; /* read, but beyond the ledger's window; waits for it to move */
	int64_t passed;      /* all before it was given or is no request; 0 = not known */
	bool is_dirty;       /* progress that is not committed yet */
	bool in_batch;       /* has a row in the batch under way */
};

/* What is known of one model, by its number. */
struct flow_model {
	struct retry_budget budget;
	struct breaker breaker;
	int64_t asked_ms;        /* a call of it began last; 0 = never */
	int64_t cooled_until_ms; /* it asked to be left alone until then */
	int64_t alone_until_ms;  /* no repeat leaves out a provider of it before */

	/* Of its attempts. What ended by itself with a failure says nothing. */
	struct latency first_content; /* until the first content; at least until the end of those it never came in */
	struct latency whole;         /* until the end of a whole answer; at least until it was given up */
};

/* What stands before a call. */
struct flow_guard {
	struct model_names names;
	struct flow_model models[MODEL_NAMES_COUNT];
	struct retry_budget budget; /* of the process */
	struct breaker edge;        /* of the way to the upstream */
	struct account account;
	uint64_t key;        /* the number of the present one */
	uint64_t probe_id;   /* of the probe under way; 0 = none */
	bool is_look;        /* it only looks what the key may still spend */
	int64_t look_due_ms; /* when the next look is to begin, unless the account is refused; 0 = nobody looks */
	bool has_stopped;    /* something was shut just now; flow_begin_heads() looks at the chats that wait for it */
	int64_t retry_after_until_ms; /* the upstream asked to be left alone until then */
};

struct flow {
	struct flow_options options;
	struct random random;
	struct flow_partition_state **partitions; /* by id; NULL = not assigned */
	size_t partition_capacity;
	size_t partition_count;

	struct lanes *lanes;
	struct heap due;
	struct list heads; /* became head of their lane just now; flow_begin_heads() empties it */
	struct list ready;
	struct list replies;
	struct flow_slot *slots; /* in_flight_max of them */
	struct list free_slots;
	struct list cancels;
	uint64_t call_serial;
	size_t cancelled; /* slots whose calls are cancelled and have not come back */
	struct flow_guard guard;
	struct park *park;
	struct flow_hedges hedges;
	struct membership membership;

	struct batch *batch; /* under way, owned by the publisher; NULL = none */
	struct list publishing;
	int64_t batch_began_ms;
	int64_t batch_not_before_ms;
	int64_t abort_backoff_ms;
	int64_t dirty_since_ms; /* 0 = no partition is dirty */

	size_t in_flight;
	size_t waiting; /* jobs without a reply */
	size_t ready_count;
	size_t reply_count;
	uint64_t reply_number; /* the last one given */
	size_t bytes;          /* of all jobs */
	size_t call_bytes;     /* of all calls that were handed over */
	int64_t held_due_ms;   /* when held records are tried again that memory was missing for; INT64_MAX = none */
	bool is_draining;
	int64_t drain_until_ms;
};

/* flow.c */
struct flow_partition_state *flow_partition(const struct flow *flow, int32_t id);
void flow_notice(struct flow *flow, enum flow_notice notice, int32_t partition, int64_t offset);
void flow_set_due(struct flow *flow, struct job *job, int64_t due_ms);
void flow_mark_dirty(struct flow *flow, struct flow_partition_state *partition, int64_t now_ms);
/* The job has its reply, or is given up: it does not count as waiting any more. */
void flow_stop_waiting(struct flow *flow, struct job *job);
/* Takes a job that is on its way out of everything and frees it. */
void flow_forget(struct flow *flow, struct job *job);

/* flow_check.c: asserts what holds between calls; ends every public function that changes something. */
void flow_check(const struct flow *flow);

/* flow_take.c */
/* Now that the partition's ledger may have moved: tries its held record again / goes on to where the log was read to. */
void flow_take_held(struct flow *flow, struct flow_partition_state *partition, struct instant now);
void flow_pass_on(struct flow *flow, struct flow_partition_state *partition, struct instant now);
/* All that memory was missing for, when it is time. */
void flow_take_held_again(struct flow *flow, struct instant now);

/* flow_call.c */
/* Begins every job on `heads`: it waits for a call, or its reply is made when it needs none, which may make another job
 * head; hence a list and not recursion. Ends every public function that can make replies. */
void flow_begin_heads(struct flow *flow, struct instant now);
/* The end of a back-off: in front of those who have not waited yet. */
void flow_call_again(struct flow *flow, struct job *job, struct instant now);
/* The job does not wait for its calls any more; they are cancelled. */
void flow_drop_call(struct flow *flow, struct job *job);
/* The job's deadline comes while it is being called: as flow_drop_call(), and the attempt counts. */
void flow_time_out_call(struct flow *flow, struct job *job, struct instant now);

/* flow_pace.c */
/* A retry at the model with this number is worth nothing with less time left. */
int64_t flow_pace_needed_ms(const struct flow *flow, size_t model, struct instant now);
/* An attempt of the job that begins now, at the model with this number, must show content by then. */
int64_t flow_pace_first_content_due(const struct flow *flow, const struct job *job, size_t model, struct instant now);

/* flow_ignore.c */
/* The attempt failed and is followed by another at the same model: its provider is left out there, if it is known, to blame,
 * and the chat's preferences allow it. */
void flow_ignore_failed(struct flow *flow, struct job *job, const struct call *call, struct instant now);
/* A repeat that left providers out was told that nobody serves the model: it is the list that made it fail. The chat is back
 * at the failure before, and may ask the same model again without the list. */
void flow_ignore_take_back(struct flow *flow, struct job *job, const struct failure *before, struct instant now);

/* flow_cooling.c */
/* The model with this number is not called before; the past = it is. */
int64_t flow_cooling_until(const struct flow *flow, size_t model);
/* What a call that has ended, in this slot, says about patience; also when nobody waits for it any more. */
void flow_cooling_note(
	struct flow *flow, const struct flow_slot *slot, const struct failure *failure, struct instant now);
size_t flow_cooling_count(const struct flow *flow, int64_t now_mono_ms);

/* What the job's call holds in memory, as far as known here. */
size_t flow_call_bytes(const struct flow *flow, const struct job *job);

/* flow_batch.c: to REPLIED, and into `replies` at the place that its number gives it. */
void flow_queue_reply(struct flow *flow, struct job *job);

/* flow_park.c */
/* The job's partition is given up. True: it is kept, and out of everything but its slot or batch. */
bool flow_park_keep(struct flow *flow, struct job *job, struct instant now);
/* A kept chat's call has ended: its reply is made / there is none, and the job is gone. */
void flow_park_answered(struct flow *flow, struct job *job);
void flow_park_failed(struct flow *flow, struct job *job);
/* The batch that a kept chat was in is over; `is_stored`: with its progress, so the job is not kept any more. */
void flow_park_batch_over(struct flow *flow, struct job *job, bool is_stored);
/* The partition is back; what is finished in the meantime is not kept any more. */
void flow_park_assigned(struct flow *flow, const struct flow_partition_state *partition);
/* The job, head of its lane, is about to need a call. True: what was kept of it has taken its place, and it is gone. */
bool flow_park_resume(struct flow *flow, struct job *job, struct instant now);
/* What is kept too long. */
void flow_park_expire(struct flow *flow, struct instant now);
/* Makes room for chats that are ready, when there are no free slots. */
void flow_park_yield(struct flow *flow);
/* All of it. */
void flow_park_empty(struct flow *flow);

/* flow_guard.c */
/* What can be done for a job now. */
enum flow_choice {
	FLOW_CHOICE_CALL, /* the job's model may be called now */
	FLOW_CHOICE_WAIT, /* not before job->backoff_ms */
	FLOW_CHOICE_NONE, /* nobody may; job->failure is what the chat is told */
};
/* The job goes on to another of its models. */
void flow_guard_change_model(struct job *job, size_t model);
/* The number of the job's model. */
size_t flow_guard_number(struct flow *flow, const struct job *job);
void flow_guard_init(struct flow *flow);
/* Goes on to the first model from the job's own on that may be called now; when all are cooling, finds out until when. */
enum flow_choice flow_guard_choose(struct flow *flow, struct job *job, struct instant now);
/* What to do after the job's failed attempt, models that may not be called being as good as not there. */
struct retry_decision flow_guard_decide(struct flow *flow, const struct job *job, struct instant now);
/* The job's attempt begins in this slot; it is counted already. */
void flow_guard_began(struct flow *flow, const struct job *job, struct flow_slot *slot, struct instant now);
/* Before that: a refusal of a call that carries a former key becomes a failure to be tried again. */
void flow_guard_weigh(const struct flow *flow, const struct flow_slot *slot, struct failure *failure);
/* Which of the job's models a second call may be made of: the next one that is admitted, else its own; model_count =
 * none. */
size_t flow_guard_second_choice(struct flow *flow, const struct job *job, struct instant now);
/* The job's second call begins in this slot: nothing is earned by it. */
void flow_guard_began_second(struct flow *flow, const struct job *job, struct flow_slot *slot, struct instant now);
/* The slot's call has ended, or its chat waits no longer: with `failure` (reason REASON_NONE = answered), or with
 * nothing that could be learnt from it (NULL). Once is enough, more does no harm. */
void flow_guard_ended(struct flow *flow, struct flow_slot *slot, const struct failure *failure, struct instant now);
/* The probe has ended; NULL: it could not be made. */
void flow_guard_probed(struct flow *flow, const struct call *call, struct instant now);
/* When the next probe is to begin; INT64_MAX = none. */
int64_t flow_guard_probe_due(const struct flow *flow);
/* Gives the chats that wait for a call which will not be made their replies, if something was shut. */
void flow_guard_sweep(struct flow *flow, struct instant now);
/* Pays for a repeat of the job's failed attempt, before its model is changed. False: there is no budget for it. */
bool flow_guard_spend(struct flow *flow, const struct job *job, struct instant now);
/* Pays for the job's second call, like a repeat. */
bool flow_guard_spend_second(struct flow *flow, const struct job *job, struct instant now);

/* flow_reply.c: each makes the reply, queues it, and puts the next job of the lane on `heads`. */
void flow_reply_answer(struct flow *flow, struct job *job, const struct chat_answer *answer, const struct call *call,
	struct instant now);
void flow_reply_failure(struct flow *flow, struct job *job, struct instant now);
/* For a job that is ready and has no time left for a call: tells of the last failure, or of the deadline. */
void flow_reply_unstarted(struct flow *flow, struct job *job, struct instant now);
/* Makes reply or dead letter anew after the topic refused it. */
void flow_reply_refused(
	struct flow *flow, struct job *job, bool is_dead_letter, enum batch_item_fault fault, struct instant now);

#endif
