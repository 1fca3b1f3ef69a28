/* A chat on its way through the worker: the record, what was read from it, its reply, and where it stands.
 *
 * One state field says where; job_change() is the only place that sets it and refuses what the table does not allow. The
 * lists a job is on follow from its state (flow_internal.h).
 *
 * Owner: the flow, on its thread. All that belongs to a chat lives in the job's arena or hangs on the job, and goes with
 * job_free(). */
#ifndef WORKER_CORE_JOB_H
#define WORKER_CORE_JOB_H

#include "common/arena.h"
#include "common/heap.h"
#include "common/list.h"
#include "schemas/chat_request.h"
#include "schemas/chat_response.h"
#include "worker/core/failure.h"
#include "worker/core/retry.h"

/* member, word, the states it may change to (as a set of JOB_TO bits) */
#define JOB_STATE_TABLE(ROW)                                                                                           \
	ROW(JOB_NEW, "new", JOB_TO(JOB_WAITING) | JOB_TO(JOB_READY) | JOB_TO(JOB_REPLIED))                             \
	ROW(JOB_WAITING, "waiting", JOB_TO(JOB_READY) | JOB_TO(JOB_BACKOFF) | JOB_TO(JOB_REPLIED) | JOB_TO(JOB_GONE))  \
	ROW(JOB_READY, "ready", JOB_TO(JOB_CALLING) | JOB_TO(JOB_BACKOFF) | JOB_TO(JOB_REPLIED) | JOB_TO(JOB_GONE))    \
	ROW(JOB_CALLING, "calling", JOB_TO(JOB_BACKOFF) | JOB_TO(JOB_REPLIED) | JOB_TO(JOB_PARKED) | JOB_TO(JOB_GONE)) \
	ROW(JOB_BACKOFF, "backoff", JOB_TO(JOB_READY) | JOB_TO(JOB_REPLIED) | JOB_TO(JOB_GONE))                        \
	ROW(JOB_REPLIED, "replied", JOB_TO(JOB_PUBLISHING) | JOB_TO(JOB_PARKED) | JOB_TO(JOB_GONE))                    \
	ROW(JOB_PUBLISHING, "publishing",                                                                              \
		JOB_TO(JOB_REPLIED) | JOB_TO(JOB_PARKED) | JOB_TO(JOB_DONE) | JOB_TO(JOB_GONE))                        \
	ROW(JOB_PARKED, "parked", JOB_TO(JOB_REPLIED) | JOB_TO(JOB_GONE))                                              \
	ROW(JOB_DONE, "done", 0)                                                                                       \
	ROW(JOB_GONE, "gone", 0)

#define JOB_STATE_MEMBER(member, word, after) member,
enum job_state { JOB_STATE_TABLE(JOB_STATE_MEMBER) };
#undef JOB_STATE_MEMBER

struct lane;
struct flow_partition_state;
struct park_entry;

enum { JOB_MODELS_MAX = CHAT_MODELS_MAX + 4, JOB_IGNORED_MAX = 4 };

struct job {
	enum job_state state;
	struct list queue;                      /* of the state: ready, replies, batch */
	struct list in_lane;                    /* behind its conversation */
	struct list in_partition;               /* all jobs of the partition */
	struct heap_node due;                   /* deadline or end of back-off, whichever the state waits for first */
	struct lane *lane;                      /* NULL = a lane of its own, or left it */
	struct flow_partition_state *partition; /* NULL = given up */
	struct park_entry *parked;              /* given up, but kept (park.h); NULL = not */

	struct record *record; /* owned */
	struct arena *arena;   /* owned */
	struct chat_request request;
	struct chat_rejection rejection; /* reason REASON_NONE = valid */
	size_t bytes;                    /* counted against the bound on memory */

	struct bytes models[JOB_MODELS_MAX];   /* to be tried, in order; state.model_count of them */
	size_t message_count;                  /* kept of the history */
	struct bytes ignored[JOB_IGNORED_MAX]; /* providers of the model in use that failed, in the arena */
	size_t ignored_count;
	int64_t tokens_max; /* of output, since more are too dear; 0 = as the request says */
	struct retry_state retry;
	struct failure failure; /* the last one */
	uint64_t call_id;       /* of the attempt under way; 0 = none */
	uint64_t hedge_id;      /* its other call, that runs as well, or was overtaken and is not back; 0 = none */
	bool was_hedged;        /* had its second call, in this attempt or an earlier one */

	int64_t deadline_ms;   /* monotonic: reply made by then */
	int64_t backoff_ms;    /* monotonic: end of the back-off, or of the wait for a model that cools */
	int64_t taken_ms;      /* monotonic */
	int64_t first_call_ms; /* monotonic; 0 = none yet */
	int64_t call_ms;       /* monotonic: when the attempt under way was handed over */
	int64_t upstream_ms;   /* spent in attempts so far */
	int requests_sent;     /* HTTP requests that were really sent */

	enum chat_outcome outcome; /* from REPLIED on */
	uint64_t reply_number;     /* the order in which replies were made or came back; 0 = none yet */
	struct outgoing *reply;
	struct outgoing *dead_letter; /* NULL = none, or given up */
	int refusals;                 /* how often a topic refused reply or dead letter */
	bool has_bare_reply; /* the reply goes without what the request has echoed: a topic refused it for its size */
};

/* Takes over `*record` (nulls it) only on success. NULL when memory is missing. `arena_max` bounds the chat's memory. */
NODISCARD struct job *job_new(struct record **record, size_t arena_max);

/* Accepts NULL. The job must be on no list and in no heap. */
void job_free(struct job *job);

/* Asserts that the table allows it. */
void job_change(struct job *job, enum job_state state);

/* Static word for logs. */
const char *job_state_word(enum job_state state);

#endif
