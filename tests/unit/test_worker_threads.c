/* The trial of threads: as many as will be needed, all at once, and none is left. */
#include "worker/worker_threads.h"

#include <errno.h>
#include <pthread.h>

#include "tests/unit/testing.h"

static struct {
	size_t allowed;
	size_t made;
	size_t joined;
} threads;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);
int __real_pthread_join(pthread_t thread, void **out_result);
int __wrap_pthread_join(pthread_t thread, void **out_result);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
	if (threads.made == threads.allowed) return EAGAIN;
	int result = __real_pthread_create(thread, attributes, run, argument);
	if (result == 0) threads.made++;
	return result;
}

int __wrap_pthread_join(pthread_t thread, void **out_result)
{
	threads.joined++;
	return __real_pthread_join(thread, out_result);
}

static struct settings with(const char *brokers, int64_t count)
{
	struct settings settings = { 0 };
	settings.kafka.bootstrap_servers = brokers;
	settings.worker.threads = count;
	return settings;
}

static enum status probe(const struct settings *settings, size_t allowed)
{
	const struct log_options options = { .level = LOG_LEVEL_ERROR, .format = LOG_FORMAT_JSON, .fd = -1 };
	struct log *log = log_new(&options);
	assert_non_null(log);
	threads.allowed = allowed;
	threads.made = threads.joined = 0;
	enum status status = worker_threads_probe(settings, log);
	log_free(log);
	return status;
}

static void threads_needed_are_one_more_of_each_client_for_each_broker(void **state)
{
	(void)state;
	struct settings one = with("a:9092", 2);
	struct settings three = with("a:9092,b:9092,c:9092", 2);
	struct settings more = with("a:9092", 5);
	size_t needed = worker_threads_needed(&one);
	assert_int_equal(worker_threads_needed(&three), needed + 4);
	assert_int_equal(worker_threads_needed(&more), needed + 3);
}

static void threads_that_can_be_had_are_made_and_ended(void **state)
{
	(void)state;
	struct settings settings = with("a:9092", 2);
	assert_int_equal(probe(&settings, SIZE_MAX), STATUS_OK);
	assert_int_equal(threads.made, worker_threads_needed(&settings));
	assert_int_equal(threads.joined, threads.made);
}

static void threads_too_few_are_refused_and_ended(void **state)
{
	(void)state;
	struct settings settings = with("a:9092", 2);
	size_t needed = worker_threads_needed(&settings);
	for (size_t allowed = 0; allowed < needed; allowed++) {
		assert_int_equal(probe(&settings, allowed), STATUS_IO);
		assert_int_equal(threads.made, allowed);
		assert_int_equal(threads.joined, allowed);
	}
	assert_int_equal(probe(&settings, needed), STATUS_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_needed_are_one_more_of_each_client_for_each_broker),
		cmocka_unit_test(threads_that_can_be_had_are_made_and_ended),
		cmocka_unit_test(threads_too_few_are_refused_and_ended),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
