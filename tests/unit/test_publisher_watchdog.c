/* The watchdog blames no publisher for calls of librdkafka that may take long: the end of a producer, which waits for names
 * of brokers, and sending offsets, which has as long as a transaction. */
#include "common/watchdog.h"
#include "tests/unit/publisher_bench.h"

enum { NEVER_MS = 100 * 1000 * 1000, LOOKS_MAX = 5 };

static struct watchdog *watchdog;
static int destroyed, offsets_sent;
static atomic_int stuck;

/* Longer than it has patience; its own thread never looks. */
static void look_often(void)
{
	for (int i = 0; i <= LOOKS_MAX && watchdog != NULL; i++)
		watchdog_look(watchdog);
}

void __real_rd_kafka_destroy(rd_kafka_t *rk);
void __wrap_rd_kafka_destroy(rd_kafka_t *rk);
void __wrap_rd_kafka_destroy(rd_kafka_t *rk)
{
	look_often();
	destroyed++;
	__real_rd_kafka_destroy(rk);
}

rd_kafka_error_t *__real_rd_kafka_send_offsets_to_transaction(rd_kafka_t *rk,
	const rd_kafka_topic_partition_list_t *offsets, const rd_kafka_consumer_group_metadata_t *group,
	int timeout_ms);
rd_kafka_error_t *__wrap_rd_kafka_send_offsets_to_transaction(rd_kafka_t *rk,
	const rd_kafka_topic_partition_list_t *offsets, const rd_kafka_consumer_group_metadata_t *group,
	int timeout_ms);
rd_kafka_error_t *__wrap_rd_kafka_send_offsets_to_transaction(rd_kafka_t *rk,
	const rd_kafka_topic_partition_list_t *offsets, const rd_kafka_consumer_group_metadata_t *group, int timeout_ms)
{
	look_often();
	offsets_sent++;
	return __real_rd_kafka_send_offsets_to_transaction(rk, offsets, group, timeout_ms);
}

static void on_stuck(void *context, const char *name, int silent_ms)
{
	(void)context, (void)name, (void)silent_ms;
	atomic_fetch_add(&stuck, 1);
}

static void start_watched(struct bench *bench)
{
	const struct watchdog_options options = { .look_ms = NEVER_MS, .looks_max = LOOKS_MAX, .on_stuck = on_stuck };
	assert_int_equal(watchdog_start(&options, &watchdog), STATUS_OK);
	bench->settings.kafka.responses_topic = bench->topic;
	bench->settings.kafka.dead_letter_topic = bench->topic;
	const struct publisher_options given = {
		.settings = &bench->settings,
		.source = bench->source,
		.log = bench->fixture->log,
		.metrics = bench->metrics,
		.watchdog = watchdog,
	};
	assert_int_equal(publisher_start(&given, &bench->publisher), STATUS_OK);
}

static void stop_watched(struct bench *bench)
{
	close_bench(bench);
	assert_int_equal(atomic_load(&stuck), 0);
	watchdog_stop(watchdog);
	watchdog = NULL;
}

static void stop_producerThatEndsSlowly_isNotStuck(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	start_watched(bench);
	int before = destroyed;
	stop_watched(bench);
	assert_int_equal(destroyed, before + 1);
}

static void run_offsetsThatAreSentSlowly_isNotStuck(void **state)
{
	struct bench made = prepare_bench(state), *bench = &made;
	start_watched(bench);
	wait_until(publisher_is_ready(bench->publisher), serve(bench->source));
	run_to(bench, 1, BATCH_COMMITTED);
	assert_true(offsets_sent > 0);
	stop_watched(bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stop_producerThatEndsSlowly_isNotStuck),
		cmocka_unit_test(run_offsetsThatAreSentSlowly_isNotStuck),
	};
	return cmocka_run_group_tests(tests, start_shared, stop_shared);
}
