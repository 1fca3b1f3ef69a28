/* A circuit breaker: stops calls to what keeps failing, and finds out with a few real ones when it works again.
 *
 * Closed, it counts the calls that ended within a sliding window; enough of them, with too large a share failed, open
 * it. So many failures in a row as make enough calls do, too: a busy window would need seconds to turn. Open, it admits
 * nothing for a while. Then it is half open: BREAKER_PROBES calls are admitted at a time; so many good ones close it, one
 * that fails opens it again for twice as long, up to a bound, with ±20 % of jitter.
 *
 * A call gets a pass when it begins and gives it back when it ends. A pass of an earlier state counts for nothing: a
 * slow call that began before the breaker opened says nothing about now.
 *
 * Times are milliseconds of the monotonic clock, randomness is an argument. Plain value; owner: whoever embeds it.
 * Nothing blocks or fails. */
#ifndef WORKER_CORE_BREAKER_H
#define WORKER_CORE_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/random.h"

enum {
	BREAKER_SLICES = 10, /* the window moves on in tenths of itself */
	BREAKER_PROBES = 2,
	BREAKER_JITTER_PERCENT = 20,
};

/* member, word */
#define BREAKER_STATE_TABLE(ROW)      \
	ROW(BREAKER_CLOSED, "closed") \
	ROW(BREAKER_OPEN, "open")     \
	ROW(BREAKER_HALF_OPEN, "half_open")

#define BREAKER_STATE_MEMBER(member, word) member,
enum breaker_state { BREAKER_STATE_TABLE(BREAKER_STATE_MEMBER) };
#undef BREAKER_STATE_MEMBER

enum { BREAKER_STATE_COUNT = BREAKER_HALF_OPEN + 1 };

/* What the end of a call says. */
enum breaker_verdict {
	BREAKER_GOOD,
	BREAKER_FAILED,
	BREAKER_NOTHING, /* cancelled, or the caller's own fault: as if it had not been made */
};

struct breaker_options {
	int64_t window_ms;    /* the past that is judged by; at least BREAKER_SLICES */
	int64_t min_calls;    /* ended in the window, before a judgement; at least 1 */
	double failure_ratio; /* of them failed opens; 0 < ratio ≤ 1 */
	int64_t open_ms;      /* the first time; at least 1 */
	int64_t open_max_ms;  /* the bound of doubling, before jitter; at least open_ms */
};

struct breaker_slice {
	int64_t number; /* of the slice in all time; older than the window = empty */
	int64_t calls;
	int64_t failures;
};

struct breaker {
	enum breaker_state state;
	uint32_t epoch; /* one further with each change of state */
	struct breaker_slice slices[BREAKER_SLICES];
	int64_t failures_in_row;
	int64_t open_ms;       /* of the latest opening, before jitter; 0 = was closed since */
	int64_t open_until_ms; /* while open */
	int probes;            /* under way, while half open */
	int probes_good;
};

/* What a call holds while it runs. */
struct breaker_pass {
	uint32_t epoch;
};

/* Closed, with nothing counted. */
void breaker_init(struct breaker *breaker);

/* Would a call that begins now be admitted? */
bool breaker_admits(const struct breaker *breaker, int64_t now_ms);

/* A call begins; only when breaker_admits() says so. The pass goes to breaker_leave() once, and to nobody else. */
struct breaker_pass breaker_enter(struct breaker *breaker, int64_t now_ms);

/* The call has ended. True: the state has changed by that. */
bool breaker_leave(struct breaker *breaker, const struct breaker_options *options, struct breaker_pass pass,
	enum breaker_verdict verdict, int64_t now_ms, struct random *random);

/* As it stands now: open turns half open with the time, without anybody's doing. */
enum breaker_state breaker_state_at(const struct breaker *breaker, int64_t now_ms);

/* Static word for logs and labels. */
const char *breaker_state_word(enum breaker_state state);

#endif
