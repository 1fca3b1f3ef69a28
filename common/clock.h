/* The two clocks, read once per turn of a loop and passed down as an argument.
 *
 * Nothing but the loops reads them: everything below gets `struct instant`, so tests give any time they like.
 * Durations and due times use the monotonic clock only; the wall clock is for record timestamps and logs. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>

struct instant {
	int64_t mono_ms; /* CLOCK_MONOTONIC; never steps */
	int64_t wall_ms; /* CLOCK_REALTIME, Unix milliseconds; may step */
};

/* Any thread; does not block. */
struct instant clock_now(void);

/* CLOCK_MONOTONIC in nanoseconds, for measurements. */
int64_t clock_mono_ns(void);

/* Of two due times; INT64_MAX stands for never. */
static inline int64_t clock_earlier(int64_t a_ms, int64_t b_ms)
{
	return a_ms < b_ms ? a_ms : b_ms;
}

/* CLOCK_BOOTTIME in milliseconds: the monotonic clock, and the time that the machine was suspended. To see that one stood
 * still, whatever the reason. Any thread; does not block. */
int64_t clock_boot_ms(void);

/* `wall_ms` (Unix milliseconds) on the monotonic scale, as seen at `now`; saturates instead of overflowing. */
int64_t clock_mono_of_wall(struct instant now, int64_t wall_ms);

#endif
