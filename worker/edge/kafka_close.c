/* Bounded ends: see the header. */
#include "worker/edge/kafka_close.h"

#include <time.h>

#include "common/assertion.h"

static struct timespec deadline_in(int timeout_ms)
{
	struct timespec end;
	int result = clock_gettime(CLOCK_REALTIME, &end);
	ASSERT(result == 0);
	end.tv_sec += timeout_ms / 1000;
	end.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (end.tv_nsec >= 1000000000) {
		end.tv_sec++;
		end.tv_nsec -= 1000000000;
	}
	return end;
}

/* On the wall clock, which may step: thread sanitizers do not know the monotonic form (pthread_clockjoin_np), so they would
 * not see that the thread has ended. */
enum status kafka_close_thread(pthread_t thread, int timeout_ms)
{
	struct timespec end = deadline_in(timeout_ms > 0 ? timeout_ms : 0);
	if (pthread_timedjoin_np(thread, NULL, &end) == 0) return STATUS_OK;
	(void)pthread_detach(thread);
	return STATUS_TIMEOUT;
}

static void *destroy(void *argument)
{
	rd_kafka_destroy_flags(argument, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	return NULL;
}

enum status kafka_close(rd_kafka_t *rk, int timeout_ms)
{
	ASSERT(rk != NULL);
	pthread_t thread;
	if (pthread_create(&thread, NULL, destroy, rk) != 0) {
		(void)destroy(rk);
		return STATUS_OK;
	}
	return kafka_close_thread(thread, timeout_ms);
}
