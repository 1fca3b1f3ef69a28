/* A circuit breaker: see the header. */
#include "worker/core/breaker.h"

#include "common/assertion.h"

const char *breaker_state_word(enum breaker_state state)
{
#define BREAKER_STATE_CASE(member, word) \
	case member:                     \
		return word;
	switch (state) {
		BREAKER_STATE_TABLE(BREAKER_STATE_CASE)
	}
#undef BREAKER_STATE_CASE
	ASSERT_UNREACHABLE();
}

/* The only place that changes the state. */
static void change(struct breaker *breaker, enum breaker_state state)
{
	ASSERT(breaker->state != state);
	ASSERT(breaker->state != BREAKER_CLOSED || state == BREAKER_OPEN);
	breaker->state = state;
	breaker->epoch++;
	breaker->probes = 0;
	breaker->probes_good = 0;
	breaker->failures_in_row = 0;
	for (int i = 0; i < BREAKER_SLICES; i++)
		breaker->slices[i] = (struct breaker_slice){ .number = INT64_MIN };
}

void breaker_init(struct breaker *breaker)
{
	*breaker = (struct breaker){ .state = BREAKER_CLOSED };
	for (int i = 0; i < BREAKER_SLICES; i++)
		breaker->slices[i].number = INT64_MIN;
	ASSERT(breaker->open_ms == 0);
}

enum breaker_state breaker_state_at(const struct breaker *breaker, int64_t now_ms)
{
	ASSERT(breaker->probes >= 0);
	ASSERT(breaker->probes + breaker->probes_good <= BREAKER_PROBES);
	bool is_over = breaker->state == BREAKER_OPEN && now_ms >= breaker->open_until_ms;
	return is_over ? BREAKER_HALF_OPEN : breaker->state;
}

bool breaker_admits(const struct breaker *breaker, int64_t now_ms)
{
	switch (breaker_state_at(breaker, now_ms)) {
	case BREAKER_CLOSED:
		return true;
	case BREAKER_OPEN:
		return false;
	case BREAKER_HALF_OPEN:
		return breaker->probes + breaker->probes_good < BREAKER_PROBES;
	}
	ASSERT_UNREACHABLE();
}

struct breaker_pass breaker_enter(struct breaker *breaker, int64_t now_ms)
{
	ASSERT(breaker_admits(breaker, now_ms));
	if (breaker->state == BREAKER_OPEN) change(breaker, BREAKER_HALF_OPEN);
	if (breaker->state == BREAKER_HALF_OPEN) breaker->probes++;
	ASSERT(breaker->probes <= BREAKER_PROBES);
	return (struct breaker_pass){ .epoch = breaker->epoch };
}

static void open_for_a_while(
	struct breaker *breaker, const struct breaker_options *options, int64_t now_ms, struct random *random)
{
	ASSERT(options->open_ms > 0);
	ASSERT(options->open_max_ms >= options->open_ms);
	int64_t open_ms = breaker->open_ms == 0 ? options->open_ms : 2 * breaker->open_ms;
	if (open_ms > options->open_max_ms) open_ms = options->open_max_ms;
	int64_t jitter_ms = open_ms * BREAKER_JITTER_PERCENT / 100;
	change(breaker, BREAKER_OPEN);
	breaker->open_ms = open_ms;
	breaker->open_until_ms =
		now_ms + open_ms - jitter_ms + (int64_t)random_below(random, 2 * (uint64_t)jitter_ms + 1);
	ASSERT(breaker->open_until_ms > now_ms);
}

static void count(struct breaker *breaker, const struct breaker_options *options, bool failed, int64_t now_ms)
{
	ASSERT(options->window_ms >= BREAKER_SLICES);
	ASSERT(now_ms >= 0);
	int64_t number = now_ms / (options->window_ms / BREAKER_SLICES);
	struct breaker_slice *slice = &breaker->slices[number % BREAKER_SLICES];
	if (slice->number != number) *slice = (struct breaker_slice){ .number = number };
	slice->calls++;
	if (failed) slice->failures++;
	breaker->failures_in_row = failed ? breaker->failures_in_row + 1 : 0;
}

static bool has_failed_too_often(const struct breaker *breaker, const struct breaker_options *options, int64_t now_ms)
{
	ASSERT(options->min_calls > 0);
	ASSERT(options->failure_ratio > 0 && options->failure_ratio <= 1);
	int64_t oldest = now_ms / (options->window_ms / BREAKER_SLICES) - BREAKER_SLICES + 1;
	int64_t calls = 0, failures = 0;
	for (int i = 0; i < BREAKER_SLICES; i++) {
		if (breaker->slices[i].number < oldest) continue;
		calls += breaker->slices[i].calls;
		failures += breaker->slices[i].failures;
	}
	if (calls < options->min_calls) return false;
	bool is_dead = breaker->failures_in_row >= options->min_calls;
	return is_dead || (double)failures >= (double)calls * options->failure_ratio;
}

/* A probe has ended. */
static bool end_probe(struct breaker *breaker, const struct breaker_options *options, enum breaker_verdict verdict,
	int64_t now_ms, struct random *random)
{
	ASSERT(breaker->state == BREAKER_HALF_OPEN);
	ASSERT(breaker->probes > 0);
	breaker->probes--;
	switch (verdict) {
	case BREAKER_NOTHING:
		return false;
	case BREAKER_FAILED:
		open_for_a_while(breaker, options, now_ms, random);
		return true;
	case BREAKER_GOOD:
		if (++breaker->probes_good < BREAKER_PROBES) return false;
		change(breaker, BREAKER_CLOSED);
		breaker->open_ms = 0;
		return true;
	}
	ASSERT_UNREACHABLE();
}

bool breaker_leave(struct breaker *breaker, const struct breaker_options *options, struct breaker_pass pass,
	enum breaker_verdict verdict, int64_t now_ms, struct random *random)
{
	if (pass.epoch != breaker->epoch) return false;
	/* Nobody gets a pass of an open breaker. */
	ASSERT(breaker->state != BREAKER_OPEN);
	if (breaker->state == BREAKER_HALF_OPEN) return end_probe(breaker, options, verdict, now_ms, random);
	if (verdict == BREAKER_NOTHING) return false;
	count(breaker, options, verdict == BREAKER_FAILED, now_ms);
	if (verdict == BREAKER_GOOD || !has_failed_too_often(breaker, options, now_ms)) return false;
	open_for_a_while(breaker, options, now_ms, random);
	return true;
}
