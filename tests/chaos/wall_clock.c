/* The wall clock of the whole process, libraries included, as a test sets it: chat-worker-clock has these functions in the
 * place of the C library's. CHAT_WALL_CLOCK names a file with one int64_t, in the machine's order: seconds by which the
 * clock is ahead. It can be written at any moment; no clock but this process's is set.
 *
 * librdkafka's waits end when that clock has come to their end, as the kernel has it for absolute times: a step forward
 * ends them, one back prolongs them. Parameters have the names of the C library's headers. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

enum { SECOND_NS = 1000000000, LOOK_NS = 10000000 };

static const _Atomic int64_t *ahead;

/* Before main(), and before any other thread. */
__attribute__((constructor)) static void open_clock(void)
{
	const char *name = getenv("CHAT_WALL_CLOCK");
	int fd = name == NULL ? -1 : open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0) return;
	void *memory = mmap(NULL, sizeof(*ahead), PROT_READ, MAP_SHARED, fd, 0);
	(void)close(fd);
	if (memory != MAP_FAILED) ahead = memory;
}

static int64_t ahead_s(void)
{
	return ahead == NULL ? 0 : atomic_load(ahead);
}

int clock_gettime(clockid_t clock_id, struct timespec *tp)
{
	int result = (int)syscall(SYS_clock_gettime, clock_id, tp);
	if (result == 0 && (clock_id == CLOCK_REALTIME || clock_id == CLOCK_REALTIME_COARSE)) tp->tv_sec += ahead_s();
	return result;
}

int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	(void)tz;
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	*tv = (struct timeval){ .tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000 };
	return 0;
}

time_t time(time_t *timer)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	if (timer != NULL) *timer = now.tv_sec;
	return now.tv_sec;
}

int timespec_get(struct timespec *ts, int base)
{
	(void)clock_gettime(CLOCK_REALTIME, ts);
	return base;
}

static int64_t left_ns(const struct timespec *end)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (end->tv_sec - now.tv_sec) * SECOND_NS + end->tv_nsec - now.tv_nsec;
}

/* The monotonic time of the next look at the wall clock, or of the wait's end when that is sooner. */
static struct timespec next_look(int64_t left)
{
	struct timespec look;
	(void)clock_gettime(CLOCK_MONOTONIC, &look);
	look.tv_nsec += left < LOOK_NS ? left : LOOK_NS;
	look.tv_sec += look.tv_nsec / SECOND_NS;
	look.tv_nsec %= SECOND_NS;
	return look;
}

/* glibc's conditions and mutexes of C11 are those of POSIX. */
int cnd_timedwait(cnd_t *restrict cond, mtx_t *restrict mutex, const struct timespec *restrict time_point)
{
	for (int64_t left = left_ns(time_point); left > 0; left = left_ns(time_point)) {
		struct timespec look = next_look(left);
		if (pthread_cond_clockwait((void *)cond, (void *)mutex, CLOCK_MONOTONIC, &look) == 0)
			return thrd_success;
	}
	return thrd_timedout;
}

int pthread_timedjoin_np(pthread_t th, void **thread_return, const struct timespec *abstime)
{
	int64_t left = left_ns(abstime);
	int result = pthread_tryjoin_np(th, thread_return);
	for (; result != 0 && left > 0; left = left_ns(abstime)) {
		struct timespec look = next_look(left);
		result = pthread_clockjoin_np(th, thread_return, CLOCK_MONOTONIC, &look);
		if (result == 0) break;
	}
	return result;
}
