/* The two clocks: see the header. */
#include "common/clock.h"

#include <time.h>

#include "common/assertion.h"

static int64_t clock_read_ns(clockid_t id)
{
	struct timespec time;
	int result = clock_gettime(id, &time);
	ASSERT(result == 0);
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

struct instant clock_now(void)
{
	return (struct instant){
		.mono_ms = clock_read_ns(CLOCK_MONOTONIC) / 1000000,
		.wall_ms = clock_read_ns(CLOCK_REALTIME) / 1000000,
	};
}

int64_t clock_mono_ns(void)
{
	return clock_read_ns(CLOCK_MONOTONIC);
}

int64_t clock_boot_ms(void)
{
	return clock_read_ns(CLOCK_BOOTTIME) / 1000000;
}

int64_t clock_mono_of_wall(struct instant now, int64_t wall_ms)
{
	int64_t ahead, mono_ms;
	if (__builtin_sub_overflow(wall_ms, now.wall_ms, &ahead)) return wall_ms < 0 ? INT64_MIN : INT64_MAX;
	if (__builtin_add_overflow(now.mono_ms, ahead, &mono_ms)) return ahead < 0 ? INT64_MIN : INT64_MAX;
	return mono_ms;
}
