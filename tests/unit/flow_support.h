/* What the tests of the flow share: a flow with options that a test may change, a clock that only moves when told, the
 * two hand-overs (calls and batches) carried by hand, and an account of what the flow told.
 *
 * A test begins with support_open() (partition 0, read from offset 0), or with support_init(), its changes to
 * `options`, and support_begin() or support_start(). It ends with support_close(). Failures end the test where they happen. */
#ifndef TESTS_UNIT_FLOW_SUPPORT_H
#define TESTS_UNIT_FLOW_SUPPORT_H

#include "schemas/chat_client.h"
#include "tests/unit/testing.h"
#include "worker/core/flow.h"
#include "worker/core/ledger.h"

enum {
	SUPPORT_NOTICES = FLOW_NOTICE_STOOD_STILL + 1,
	SUPPORT_HEDGES = FLOW_HEDGE_DRAINING + 1,
	SUPPORT_REPLIES_MAX = 64
};

/* When the clocks begin. */
#define SUPPORT_MONO_MS INT64_C(1000000)
#define SUPPORT_WALL_MS INT64_C(1700000000000)

/* JSON of a chat with these fields, each with a comma behind it. */
#define SUPPORT_CHAT_WITH(fields) \
	"{\"request_id\":\"r\"," fields "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}"

struct support {
	struct flow_options options;
	struct flow *flow;
	struct instant now;
	struct arena *arena; /* of what support_reply() read */

	long notices[SUPPORT_NOTICES];
	long breakers[BREAKER_STATE_COUNT]; /* changes to each state that were told */
	long coolings;                      /* models that were told to cool */
	long hedges[SUPPORT_HEDGES];        /* what was told of second calls */
	long undecided;
	long accounts;            /* changes of the account that were told */
	enum reason account;      /* the latest of them */
	int32_t notice_partition; /* of the last one */
	int64_t notice_offset;
	size_t parked_replies, parked_calls; /* told as kept */
	long park_ends[PARK_END_COUNT];
	long taken, attempts, replies, committed;
	enum retry_step step;                     /* after the last attempt */
	int64_t offsets[SUPPORT_REPLIES_MAX];     /* of the first replies made, in their order */
	struct bytes models[CHAT_MODELS_MAX + 4]; /* of the last record taken; borrowed from it or the options */
	size_t model_count;
	int64_t deadline_ms;             /* of the last record taken */
	uintptr_t stack_low, stack_high; /* between these all replies were told */
};

void support_init(struct support *support);
void support_start(struct support *support);
/* Starts, and assigns partition 0, read from offset 0. */
void support_begin(struct support *support);
void support_open(struct support *support);
void support_close(struct support *support);

/* Assigns the partition and returns where reading starts. */
int64_t support_assign(struct support *support, int32_t partition, int64_t committed, struct bytes metadata);

/* Both clocks move on, and what is due is done. */
void support_pass(struct support *support, int64_t ms);

/* A good chat at partition 0, offset 0, timestamp of the start, key "c". */
struct record support_record(void);
void support_take(struct support *support, const struct record *source);
void support_take_chat(struct support *support, int32_t partition, int64_t offset, const char *conversation);
void support_take_bad(struct support *support, int32_t partition, int64_t offset, const char *conversation);
/* A chat of now at partition 0, in a conversation of its own. */
void support_take_now(struct support *support, int64_t offset);
/* Partition 0, offset 0. */
void support_take_json(struct support *support, const char *json);

/* The call is for this model. */
void support_assert_model(const struct call *call, const char *model);
/* The next call; there must be one (for this model) / none. */
struct call *support_call(struct support *support);
struct call *support_call_of(struct support *support, const char *model);
void support_no_call(struct support *support);
/* Ends a call now, one HTTP request having been sent when it was handed over. */
void support_answer(struct support *support, struct call *call);
/* The next call, which must be for this model. */
void support_answer_of(struct support *support, const char *model);
void support_fail(struct support *support, struct call *call, enum reason reason, enum failure_action action);
void support_fail_as(struct support *support, struct call *call, struct failure failure);
void support_fail_wait(struct support *support, struct call *call, int64_t retry_after_ms);
/* A chat that is taken, called and answered. */
void support_chat_done(struct support *support, int32_t partition, int64_t offset, const char *conversation);
/* The id of the next cancelled call; there must be one / none. */
uint64_t support_cancel(struct support *support);
void support_no_cancel(struct support *support);

/* The next batch without waiting for its interval; there must be one / none, now. */
struct batch *support_batch(struct support *support);
void support_no_batch(struct support *support);
void support_end_batch(struct support *support, struct batch *batch, enum batch_end end);
/* One batch, from making to committed. */
void support_commit(struct support *support);

/* What a batch carries. */
struct chat_client_response support_reply(struct support *support, const struct batch *batch, size_t item);
int64_t support_offset(struct support *support, const struct batch *batch, size_t item);
struct bytes support_header(const struct outgoing *record, const char *name);
const struct batch_progress *support_progress(const struct batch *batch, int32_t partition);
/* The only reply of the flow that is ready, read; its batch is committed. */
struct chat_client_response support_only_reply(struct support *support);

struct flow_gauges support_gauges(const struct support *support);
struct flow_guard_gauges support_guard(const struct support *support);
bool support_contains(struct bytes view, const char *text);

#endif
