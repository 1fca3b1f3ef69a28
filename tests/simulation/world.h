/* The simulated world: a Kafka with one group, the members of the group (each a flow), and an upstream.
 *
 * Everything happens at a virtual millisecond and is drawn from one seed. What is checked all the time, by number of the
 * promise in ARCHITECTURE.md:
 *   1 every request has exactly one committed reply at the end, never two at any time
 *   2 no call is started for a request whose reply is committed
 *   3 replies of a conversation are committed in the order of its requests
 *   4 every reply is made by the chat's deadline, or at once when it is taken later
 *   5 a rejected request has its dead letter, with its bytes, in the same commit
 *   7 a member that drains is idle in time
 *   8 bounds hold
 *   9 an upstream that fails is asked little more often than there are chats: the retries of a member stay within their
 *     budget, also through outages of the whole upstream; and a model that asked a member for patience is not called by
 *     it before the time is over
 *  10 a call that has finished, or that still runs, is not made again when its partition comes back to the same process
 *     with the chat still open, as long as the bounds on what is kept hold; and chats wait for no slot of a kept call
 *  11 second calls (hedging, in most seeds): one a chat at most, within their share of the chats, none while draining;
 *     once one of both has shown content the other is cancelled; every second call is told as won or lost. And no call
 *     whatever goes to a model whose breaker is open
 *  12 a member that stood still for about a session begins no call until it has heard from its group: that all is lost, or
 *     that its heartbeats are taken
 * and within SETTLING_MS after the faults have stopped, that everything is answered and all progress is committed: a run
 * that is stuck, or too slow, breaks promise 1. */
#ifndef SIMULATION_WORLD_H
#define SIMULATION_WORLD_H

#include "common/random.h"
#include "worker/core/flow.h"
#include "worker/core/ledger.h"

enum {
	PARTITIONS = 4,
	MEMBERS = 3,
	REQUESTS_MAX = 128, /* per partition */
	CONVERSATIONS = 12,
	CALLS_MAX = 6, /* in flight, per member */
	WAITING_MAX = 24,
	MODELS = 2,
	OUTAGES = 3, /* of the whole upstream */
	SESSION_MS = 6000,
	HEARTBEAT_MS = 1000,
	BUDGET_EARNED = 200,
	BUDGET_MAX = 4000,
	DEADLINE_MS = 10000,
	RESERVE_MS = 300,
	METADATA_MAX = LEDGER_TEXT_MAX,
};

struct request {
	bool exists; /* false: a gap in the offsets */
	bool is_bad; /* not readable */
	int conversation;
	int64_t timestamp_ms; /* virtual */
	int replies;          /* committed */
	int dead_letters;     /* committed */
};

struct partition {
	struct request requests[REQUESTS_MAX];
	int64_t end;
	int incarnation;   /* goes up when the topic is made anew */
	int owner;         /* member, -1 = none yet */
	int former;        /* the owner before all was lost */
	bool is_given;     /* the owner knows */
	int64_t committed; /* -1 = nothing */
	char metadata[METADATA_MAX];
	size_t metadata_size;
	int pending; /* member whose transaction holds offsets of this partition; -1 = none */
	int64_t last_reply[CONVERSATIONS];
};

/* A call under way. */
struct running {
	struct call *call; /* NULL = free */
	int64_t ends_ms;
	int64_t content_ms; /* when the first content comes, in time, so only the deadline bounds it; 0 = none comes */
	bool is_told;       /* that content has begun */
	bool is_cancelled;
	bool is_kept;                /* its partition was given up, and has not come back to its chat */
	const struct outage *outage; /* it began in; NULL = none */
};

/* What a member has asked the upstream for one request. */
enum asked { ASKED_NEVER, ASKED_SENT, ASKED_UNSENT };

/* When every call fails, in one way. */
struct outage {
	int64_t from_ms, until_ms;
	bool is_refused; /* connections; else everything is answered 503 */
};

enum transaction_phase { TRANSACTION_NONE, TRANSACTION_BEFORE_OFFSETS, TRANSACTION_PENDING, TRANSACTION_ENDED };

struct member {
	struct world *world;
	struct flow *flow;      /* NULL = dead */
	int generation;         /* as it believes */
	bool is_zombie;         /* out of the group without knowing */
	int64_t still_until_ms; /* it stands still; then it is a zombie that does not know for how long */
	int64_t zombie_ms;      /* since when it is one */
	int64_t told_ms;        /* when a zombie hears of it; a dead one comes back */
	int64_t position[PARTITIONS];
	bool has[PARTITIONS];      /* as it believes */
	bool revoking[PARTITIONS]; /* asked to give it up once the batch is back */
	struct running calls[CALLS_MAX];
	int64_t started_ms;
	char asked[PARTITIONS][REQUESTS_MAX];    /* enum asked, by this owner */
	bool finished[PARTITIONS][REQUESTS_MAX]; /* a call for it was answered, by this process */
	int64_t firsts;                          /* first attempts */
	int64_t spent;                           /* thousandths of retries */
	int64_t cooled_until_ms[MODELS];         /* as its models have asked */
	bool hedged[PARTITIONS][REQUESTS_MAX];
	int64_t hedges;         /* second calls */
	int64_t hedges_running; /* … not told as won or lost */
	bool is_open[MODELS];   /* breakers, as they were told */
	bool is_edge_open;
	uint64_t probe; /* of the account, under way; 0 = none */
	int64_t probe_ends_ms;
	struct batch *batch;
	int batch_generation;
	enum transaction_phase phase;
	int64_t phase_ms;        /* when the next phase comes */
	enum batch_end answer;   /* what the member will be told */
	bool truth;              /* committed, if the offsets are accepted */
	int64_t drains_until_ms; /* 0 = not draining */
};

/* When no broker answers. Longer than the session: everybody loses all partitions. */
struct blackout {
	int64_t from_ms, until_ms;
	bool has_lost, is_over;
};

struct world {
	uint64_t seed;
	struct random random;
	int64_t now_ms;
	int64_t calm_ms; /* no faults and no new requests from here on */
	int generation;
	int64_t faults_due_ms;
	int64_t input_due_ms;
	int hedge_percent; /* share of the chats that may have a second call; 0 = no hedging */
	struct outage outages[OUTAGES];
	struct blackout blackout;
	struct park_options park;
	struct partition partitions[PARTITIONS];
	struct member members[MEMBERS];
	uint64_t trace; /* hash of all that happened */
	long events;    /* told, see world_tell() */
	int broken;     /* promise; 0 = none */
	char why[200];
	bool is_loud;
	long calls, hedges, replies, aborts, uncertain, rebalances, crashes, outage_calls;
	long coolings, fewer_calls,
		ignoring_calls; /* asked for patience; calls with fewer tokens, without some provider */
	long parked[PARK_END_COUNT];
};

/* Notes a broken promise; the first one counts. */
PRINTF_LIKE(3, 4) void world_break(struct world *world, int promise, const char *format, ...);
/* An event: whatever happens to a record, a call, a transaction, a partition or a member. It goes into the trace hash, and on
 * stdout when the world is loud. Conversions: %d, %lld, %zu, %s. */
PRINTF_LIKE(2, 3) void world_tell(struct world *world, const char *format, ...);
/* Goes into the trace hash only. */
void world_fold_bytes(struct world *world, struct bytes bytes);
struct instant world_instant(const struct world *world);
int64_t world_draw(struct world *world, int64_t from, int64_t to); /* uniform, both ends included */
bool world_chance(struct world *world, int percent);

/* kafka.c */
void kafka_init(struct world *world);
void kafka_add_request(struct world *world);
/* The transaction reaches its offsets: accepted, or fenced. */
void kafka_offsets(struct world *world, int index);
/* Its truth takes effect. */
void kafka_end(struct world *world, int index);
/* What a batch's partitions have committed now. */
void kafka_fill_found(const struct world *world, struct batch *batch);
bool kafka_has_all_progress(const struct world *world);
/* … and the progress of each partition is its whole log. */
void kafka_check_all_answered(struct world *world);
void kafka_draw_blackout(struct world *world);
bool kafka_is_down(const struct world *world);
/* Every good record says in its text which incarnation of the topic it is of: is it of this one? */
bool kafka_has(const struct partition *partition, const struct record *record);
/* The topic is deleted and made again: other records at the same offsets. Everybody has lost it. */
void kafka_make_anew(struct world *world, int partition);

/* member.c */
void member_start(struct world *world, int index);
void member_kill(struct world *world, int index);
void member_turn(struct world *world, int index);
int64_t member_due(const struct world *world, int index);
void member_assign(struct world *world, int index, int partition);
void member_revoke(struct world *world, int index, int partition, bool waits);
void member_drain(struct world *world, int index);

/* The number of the model that the call is for, 0 … MODELS - 1. */
int member_model_of(const struct call *call);

/* Which request the call is for. */
void member_request_of(const struct call *call, int *out_partition, long long *out_offset);

/* check.c: breaks the world where a promise is broken. */
/* A call that the member has just begun. */
void check_call(struct world *world, struct member *member, const struct call *call);
void check_overtaken(struct world *world, const struct member *member);
void check_bounds(struct world *world, int index);

/* upstream.c */
void upstream_draw_outages(struct world *world);
void upstream_begin(struct world *world, struct running *running, struct call *call);
void upstream_end(struct world *world, struct running *running);

#endif
