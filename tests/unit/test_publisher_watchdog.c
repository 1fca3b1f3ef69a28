/* The watchdog blames no publisher for the end of a producer, which may have to wait for the names of brokers. */
#include "common/watchdog.h"
#include "tests/unit/publisher_bench.h"

enum { NEVER_MS = 100 * 1000 * 1000, LOOKS_MAX = 5 };

static struct watchdog *watchdog;
static int destroyed;
static atomic_int stuck;

/* Longer than the watchdog has patience. Its own thread never looks. */
void __real_rd_kafka_destroy(rd_kafka_t *rk);
void __wrap_rd_kafka_destroy(rd_kafka_t *rk);
void __wrap_rd_kafka_destroy(rd_kafka_t *rk)
{
	for (int i = 0; i <= LOOKS_MAX && watchdog != NULL; i++)
		watchdog_look(watchdog);
	destroyed++;
	__real_rd_kafka_destroy(rk);
}

static void on_stuck(void *context, const char *name, int silent_ms)
{
	(void)context, (void)name, (void)silent_ms;
	atomic_fetch_add(&stuck, 1);
}

static void stop_producerThatEndsSlowly_isNotStuck(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	const struct watchdog_options options = { .look_ms = NEVER_MS, .looks_max = LOOKS_MAX, .on_stuck = on_stuck };
	assert_int_equal(watchdog_start(&options, &watchdog), STATUS_OK);
	const struct publisher_options given = {
		.settings = &bench->settings,
		.source = bench->source,
		.log = bench->fixture->log,
		.metrics = bench->metrics,
		.watchdog = watchdog,
	};
	assert_int_equal(publisher_start(&given, &bench->publisher), STATUS_OK);
	int before = destroyed;
	assert_int_equal(publisher_stop(bench->publisher, WAIT_MS), STATUS_OK);
	bench->publisher = NULL;
	assert_int_equal(destroyed, before + 1);
	assert_int_equal(atomic_load(&stuck), 0);
	watchdog_stop(watchdog);
	watchdog = NULL;
	close_bench(bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stop_producerThatEndsSlowly_isNotStuck),
	};
	return cmocka_run_group_tests(tests, start_shared, stop_shared);
}
