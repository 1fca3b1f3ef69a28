/* What to do after a failed attempt: again, another model, a shorter history, fewer tokens, or give up.
 *
 * One layer of retries for everything. Each answer depends on what the failure allows (failure.h), on how often this chat
 * and this model were tried, and on the time that is left: an attempt that cannot finish is not begun. A wait asked for by
 * the upstream is kept when it fits into the time left; else the next model is asked at once.
 *
 * Pure; times are milliseconds of the monotonic clock, randomness is an argument. */
#ifndef WORKER_CORE_RETRY_H
#define WORKER_CORE_RETRY_H

#include "common/random.h"
#include "worker/core/failure.h"

enum {
	RETRY_TIME_MIN_MS = 1500, /* less time left than this is not worth another attempt */
	RETRY_FIRST_MIN_MS = 200, /* … not even a first one */
};

struct retry_options {
	int max_attempts;             /* a chat, first one included */
	double first_content_share;   /* of the time left, until the first content of an attempt that is not the last */
	int64_t first_content_max_ms; /* bounds that share */
	int64_t backoff_ms;           /* doubled for each attempt, full jitter */
	int64_t backoff_max_ms;
};

/* What a chat has tried. */
struct retry_state {
	int attempts;
	size_t model; /* index of the model in use */
	size_t model_count;
	int model_attempts; /* with the model in use */
	bool trimmed;       /* the history was halved */
	bool went_on;       /* to another model because of FAILURE_ACTION_NEXT_ONCE */
	bool asked_fewer;   /* tokens */
};

enum retry_step {
	RETRY_STEP_END,   /* no further attempt */
	RETRY_STEP_AGAIN, /* the same model */
	RETRY_STEP_NEXT,  /* the next model */
	RETRY_STEP_TRIM,  /* the same model with half the history */
	RETRY_STEP_FEWER, /* the same model, asked for fewer tokens */
};

struct retry_decision {
	enum retry_step step;
	int64_t at_ms; /* when; unless END */
};

/* `now_ms` < `deadline_ms` is not required. */
struct retry_decision retry_decide(const struct retry_options *options, const struct retry_state *state,
	const struct failure *failure, int64_t now_ms, int64_t deadline_ms, struct random *random);

/* An attempt beginning now must show content by this time, at most `deadline_ms`. */
int64_t retry_first_content_due(
	const struct retry_options *options, const struct retry_state *state, int64_t now_ms, int64_t deadline_ms);

#endif
