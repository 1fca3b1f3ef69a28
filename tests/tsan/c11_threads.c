/* C11 threads on top of POSIX threads, for the thread sanitizer only.
 *
 * librdkafka uses <threads.h>; the sanitizer follows pthread calls and knows nothing of thrd_create() or mtx_lock(), so a
 * thread it did not see begin crashes it, and locks it does not see look like races. These definitions take the place of
 * the C library's in programs of the tsan preset. The types of <threads.h> are larger than or as large as the POSIX
 * ones in glibc, which is asserted. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

_Static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t), "a mutex fits");
_Static_assert(sizeof(cnd_t) >= sizeof(pthread_cond_t), "a condition fits");

struct start {
	thrd_start_t function;
	void *context;
};

static void *run(void *context)
{
	struct start start = *(struct start *)context;
	free(context);
	return (void *)(intptr_t)start.function(start.context);
}

int thrd_create(thrd_t *thread, thrd_start_t function, void *context)
{
	struct start *start = malloc(sizeof(*start));
	if (start == NULL) return thrd_nomem;
	*start = (struct start){ .function = function, .context = context };
	if (pthread_create(thread, NULL, run, start) == 0) return thrd_success;
	free(start);
	return thrd_error;
}

int thrd_join(thrd_t thread, int *out_result)
{
	void *result;
	if (pthread_join(thread, &result) != 0) return thrd_error;
	if (out_result != NULL) *out_result = (int)(intptr_t)result;
	return thrd_success;
}

static pthread_mutex_t *mutex_of(mtx_t *mutex)
{
	return (pthread_mutex_t *)(void *)mutex;
}

static pthread_cond_t *condition_of(cnd_t *condition)
{
	return (pthread_cond_t *)(void *)condition;
}

static int result_of(int error)
{
	return error == 0 ? thrd_success : thrd_error;
}

int mtx_init(mtx_t *mutex, int type)
{
	pthread_mutexattr_t attributes;
	pthread_mutexattr_init(&attributes);
	if ((type & mtx_recursive) != 0) pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
	int error = pthread_mutex_init(mutex_of(mutex), &attributes);
	pthread_mutexattr_destroy(&attributes);
	return result_of(error);
}

int mtx_lock(mtx_t *mutex)
{
	return result_of(pthread_mutex_lock(mutex_of(mutex)));
}

int mtx_trylock(mtx_t *mutex)
{
	int error = pthread_mutex_trylock(mutex_of(mutex));
	return error == EBUSY ? thrd_busy : result_of(error);
}

int mtx_unlock(mtx_t *mutex)
{
	return result_of(pthread_mutex_unlock(mutex_of(mutex)));
}

void mtx_destroy(mtx_t *mutex)
{
	pthread_mutex_destroy(mutex_of(mutex));
}

int cnd_init(cnd_t *condition)
{
	return result_of(pthread_cond_init(condition_of(condition), NULL));
}

int cnd_signal(cnd_t *condition)
{
	return result_of(pthread_cond_signal(condition_of(condition)));
}

int cnd_broadcast(cnd_t *condition)
{
	return result_of(pthread_cond_broadcast(condition_of(condition)));
}

int cnd_wait(cnd_t *condition, mtx_t *mutex)
{
	return result_of(pthread_cond_wait(condition_of(condition), mutex_of(mutex)));
}

int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until)
{
	int error = pthread_cond_timedwait(condition_of(condition), mutex_of(mutex), until);
	return error == ETIMEDOUT ? thrd_timedout : result_of(error);
}

void cnd_destroy(cnd_t *condition)
{
	pthread_cond_destroy(condition_of(condition));
}
