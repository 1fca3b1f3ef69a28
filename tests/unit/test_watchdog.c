/* The watchdog, looked through by hand; and once with its own thread. */
#include "common/watchdog.h"

#include <semaphore.h>

#include "tests/unit/no_descriptors.h"

enum { LOOKS = 3, LONG_MS = 3600 * 1000 };

struct told {
	int count;
	int silent_ms;
	const char *name;
	sem_t is_told;
};

static void on_stuck(void *context, const char *name, int silent_ms)
{
	struct told *told = context;
	told->count++;
	told->name = name;
	told->silent_ms = silent_ms;
	sem_post(&told->is_told);
}

/* Its thread does not look within the life of a test; LOOK_MS says otherwise. */
static struct watchdog *start(struct told *told, int look_ms)
{
	*told = (struct told){ .count = 0 };
	sem_init(&told->is_told, 0, 0);
	const struct watchdog_options options = {
		.look_ms = look_ms,
		.looks_max = LOOKS,
		.on_stuck = on_stuck,
		.context = told,
	};
	struct watchdog *watchdog = NULL;
	assert_int_equal(watchdog_start(&options, &watchdog), STATUS_OK);
	return watchdog;
}

static void look(struct watchdog *watchdog, int times)
{
	for (int i = 0; i < times; i++)
		watchdog_look(watchdog);
}

static void watchdog_thread_that_beats_is_not_stuck(void **state)
{
	(void)state;
	struct told told;
	struct watchdog *watchdog = start(&told, LONG_MS);
	struct watchdog_pulse *pulse = watchdog_add(watchdog, "flow");
	for (int i = 0; i < 10 * LOOKS; i++) {
		watchdog_beat(pulse);
		look(watchdog, LOOKS);
	}
	assert_int_equal(told.count, 0);
	watchdog_stop(watchdog);
}

static void watchdog_thread_that_rests_is_not_stuck(void **state)
{
	(void)state;
	struct told told;
	struct watchdog *watchdog = start(&told, LONG_MS);
	struct watchdog_pulse *pulse = watchdog_add(watchdog, "upstream");
	look(watchdog, 10 * LOOKS);
	watchdog_beat(pulse);
	watchdog_rest(pulse);
	look(watchdog, 10 * LOOKS);
	assert_int_equal(told.count, 0);
	watchdog_stop(watchdog);
}

static void watchdog_silent_thread_is_told_once_by_name(void **state)
{
	(void)state;
	struct told told;
	struct watchdog *watchdog = start(&told, LONG_MS);
	struct watchdog_pulse *well = watchdog_add(watchdog, "flow");
	struct watchdog_pulse *stuck = watchdog_add(watchdog, "publisher");
	watchdog_beat(stuck);
	look(watchdog, 1); /* it sees that beat */
	for (int i = 0; i < LOOKS - 1; i++) {
		watchdog_beat(well);
		look(watchdog, 1);
	}
	assert_int_equal(told.count, 0);
	watchdog_beat(well);
	look(watchdog, 1);
	assert_int_equal(told.count, 1);
	assert_string_equal(told.name, "publisher");
	assert_int_equal(told.silent_ms, LOOKS * LONG_MS);
	for (int i = 0; i < 10; i++) {
		watchdog_beat(well);
		look(watchdog, 1);
	}
	assert_int_equal(told.count, 1);
	watchdog_stop(watchdog);
}

static void watchdog_beat_after_silence_begins_the_count_anew(void **state)
{
	(void)state;
	struct told told;
	struct watchdog *watchdog = start(&told, LONG_MS);
	struct watchdog_pulse *pulse = watchdog_add(watchdog, "flow");
	watchdog_beat(pulse);
	look(watchdog, LOOKS);
	assert_int_equal(told.count, 0);
	watchdog_beat(pulse);
	look(watchdog, LOOKS);
	assert_int_equal(told.count, 0);
	look(watchdog, 1);
	assert_int_equal(told.count, 1);
	watchdog_stop(watchdog);
}

static void watchdog_own_thread_looks_by_itself(void **state)
{
	(void)state;
	struct told told;
	struct watchdog *watchdog = start(&told, 1);
	watchdog_beat(watchdog_add(watchdog, "flow"));
	assert_int_equal(sem_wait(&told.is_told), 0);
	watchdog_stop(watchdog);
	assert_string_equal(told.name, "flow");
}

static void watchdog_beyond_the_bound_does_not_watch(void **state)
{
	(void)state;
	struct told told;
	struct watchdog *watchdog = start(&told, LONG_MS);
	for (int i = 0; i < WATCHDOG_PULSES_MAX; i++)
		assert_non_null(watchdog_add(watchdog, "thread"));
	assert_null(watchdog_add(watchdog, "one more"));
	watchdog_stop(watchdog);
}

static void watchdog_without_a_descriptor_is_told(void **state)
{
	(void)state;
	const struct watchdog_options options = { .look_ms = LONG_MS, .looks_max = LOOKS, .on_stuck = on_stuck };
	struct watchdog *watchdog = NULL;
	struct rlimit before = leave_descriptors(0);
	enum status status = watchdog_start(&options, &watchdog);
	allow_descriptors(before);
	assert_int_equal(status, STATUS_IO);
	assert_null(watchdog);
}

static void watchdog_none_is_accepted(void **state)
{
	(void)state;
	assert_null(watchdog_add(NULL, "thread"));
	watchdog_beat(NULL);
	watchdog_rest(NULL);
	watchdog_stop(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(watchdog_thread_that_beats_is_not_stuck),
		cmocka_unit_test(watchdog_thread_that_rests_is_not_stuck),
		cmocka_unit_test(watchdog_silent_thread_is_told_once_by_name),
		cmocka_unit_test(watchdog_beat_after_silence_begins_the_count_anew),
		cmocka_unit_test(watchdog_own_thread_looks_by_itself),
		cmocka_unit_test(watchdog_beyond_the_bound_does_not_watch),
		cmocka_unit_test(watchdog_without_a_descriptor_is_told),
		cmocka_unit_test(watchdog_none_is_accepted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
