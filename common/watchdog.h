/* Notices a thread that is stuck, so that the process can end and be replaced instead of standing there for ever.
 *
 * Each watched thread has a pulse. It beats once a turn, and rests before it waits without a time limit. The watchdog's
 * own thread looks at all pulses in equal pauses; one that neither rests nor has beaten for so many looks in a row is
 * stuck, and the callback is told its name, once. Looks are counted, not time: a process that was stopped or a machine
 * that slept has missed its beats and its looks alike, so nobody is blamed for it.
 *
 * Owner: whoever started it; it outlives the watched threads. Threads: pulses are beaten by their own thread only and
 * never block; pulses are added by one thread. */
#ifndef COMMON_WATCHDOG_H
#define COMMON_WATCHDOG_H

#include <stdatomic.h>
#include <stdbool.h>

#include "common/status.h"

struct watchdog;

enum { WATCHDOG_PULSES_MAX = 128 };

struct watchdog_pulse {
	atomic_uint beats;
	atomic_bool is_resting;
	/* The watchdog's. */
	const char *name; /* static */
	unsigned seen;    /* beats at the last look */
	int silent;       /* looks since a beat was seen */
};

struct watchdog_options {
	int look_ms;   /* pause between looks */
	int looks_max; /* silent ones in a row that mean stuck; at least 2 */
	/* On the watchdog's thread. `silent_ms` is about how long nothing was heard. */
	void (*on_stuck)(void *context, const char *name, int silent_ms);
	void *context;
};

/* STATUS_NO_MEMORY; STATUS_IO: no thread or descriptor. */
NODISCARD enum status watchdog_start(const struct watchdog_options *options, struct watchdog **out_watchdog);

/* Joins the thread; waits for no look. Accepts NULL. */
void watchdog_stop(struct watchdog *watchdog);

/* A new pulse, resting, owned by the watchdog. NULL without a watchdog, or beyond the bound: such a thread is not
 * watched. */
struct watchdog_pulse *watchdog_add(struct watchdog *watchdog, const char *name);

/* One look at all pulses; what the thread does after each pause, and tests without it. */
void watchdog_look(struct watchdog *watchdog);

/* Both accept NULL. */
void watchdog_beat(struct watchdog_pulse *pulse);
void watchdog_rest(struct watchdog_pulse *pulse);

#endif
