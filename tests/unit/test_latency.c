/* Quantiles are within an eighth of those of the samples themselves, and follow changes. */
#include "worker/core/latency.h"

#include "common/random.h"
#include "tests/unit/assertion_trap.h"

enum { REFERENCE_MAX = 4000 };

/* The same rules with the samples themselves: each a duration and its weight. */
struct reference {
	double weights[REFERENCE_MAX];
	int64_t durations[REFERENCE_MAX];
	size_t count;
	double total;
};

static struct reference reference;

static void begin(struct latency *latency)
{
	latency_init(latency);
	reference = (struct reference){ .count = 0 };
}

static void note(struct latency *latency, int64_t duration_ms)
{
	latency_note(latency, duration_ms);
	assert_true(reference.count < REFERENCE_MAX);
	reference.durations[reference.count] = duration_ms;
	reference.weights[reference.count++] = 1;
	reference.total += 1;
	if (reference.total <= LATENCY_SAMPLES_MAX - 1) return;
	for (size_t i = 0; i < reference.count; i++)
		reference.weights[i] /= 2;
	reference.total /= 2;
}

/* The share of the reference's samples that took no longer. */
static double share_until(int64_t duration_ms)
{
	double sum = 0;
	for (size_t i = 0; i < reference.count; i++)
		if (reference.durations[i] <= duration_ms) sum += reference.weights[i];
	return sum / reference.total;
}

/* What is told is not below the true quantile, and by less than an eighth above it. Halved weights are rounded, hence
 * the little that a share may be off. */
static void check_quantiles(const struct latency *latency)
{
	static const int permilles[] = { 1, 10, 250, 500, 900, 950, 990, 999, 1000 };
	const double rounding = 0.001;
	for (size_t i = 0; i < sizeof(permilles) / sizeof(permilles[0]); i++) {
		int64_t told_ms = latency_quantile(latency, permilles[i]);
		double wanted = permilles[i] / 1000.0;
		assert_true(share_until(told_ms) >= wanted - rounding);
		int64_t bucket_begin_ms = told_ms < 16 ? told_ms : (told_ms + 1) * 8 / 9;
		assert_true(share_until(bucket_begin_ms - 1) < wanted + rounding);
	}
}

static void latency_few_samples_tell_nothing(void **state)
{
	(void)state;
	struct latency latency;
	begin(&latency);
	for (int i = 0; i < LATENCY_SAMPLES_MIN; i++) {
		assert_int_equal(latency_quantile(&latency, 500), -1);
		note(&latency, 7);
	}
	assert_int_equal(latency_quantile(&latency, 1), 7);
	assert_int_equal(latency_quantile(&latency, 1000), 7);
}

static void latency_each_duration_is_told_within_an_eighth(void **state)
{
	(void)state;
	for (int64_t duration_ms = 0; duration_ms <= LATENCY_MAX_MS; duration_ms += 1 + duration_ms / 100) {
		struct latency latency;
		latency_init(&latency);
		for (int i = 0; i < LATENCY_SAMPLES_MIN; i++)
			latency_note(&latency, duration_ms);
		int64_t told_ms = latency_quantile(&latency, 500);
		assert_true(told_ms >= duration_ms);
		assert_true(told_ms <= LATENCY_MAX_MS);
		if (duration_ms < 16)
			assert_int_equal(told_ms, duration_ms);
		else
			assert_true((told_ms - duration_ms) * 8 < duration_ms);
	}
}

static void latency_outside_the_range_counts_as_its_ends(void **state)
{
	(void)state;
	struct latency latency;
	latency_init(&latency);
	for (int i = 0; i < LATENCY_SAMPLES_MIN; i++)
		latency_note(&latency, i % 2 == 0 ? -5 : INT64_MAX);
	assert_int_equal(latency_quantile(&latency, 500), 0);
	assert_int_equal(latency_quantile(&latency, 501), LATENCY_MAX_MS);
	latency_note_at_least(&latency, INT64_MAX);
	assert_int_equal(latency_quantile(&latency, 1000), LATENCY_MAX_MS);
}

static void latency_of_any_samples_agrees_with_the_samples(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		print_message("seed %d\n", (int)seed);
		struct random random;
		random_init(&random, seed);
		struct latency latency;
		begin(&latency);
		size_t count = LATENCY_SAMPLES_MIN + (size_t)random_below(&random, REFERENCE_MAX - LATENCY_SAMPLES_MIN);
		uint64_t scale = UINT64_C(1) << random_below(&random, 20);
		for (size_t i = 0; i < count; i++) {
			note(&latency, (int64_t)random_below(&random, 1 + random_below(&random, scale)));
			if (i + 1 >= LATENCY_SAMPLES_MIN && i % 97 == 0) check_quantiles(&latency);
		}
		check_quantiles(&latency);
	}
}

static void latency_change_is_followed_within_its_window(void **state)
{
	(void)state;
	struct latency latency;
	latency_init(&latency);
	for (int i = 0; i < 100000; i++)
		latency_note(&latency, 10);
	int needed = 0;
	for (; latency_quantile(&latency, 500) == 10; needed++)
		latency_note(&latency, 1000);
	assert_true(needed <= LATENCY_SAMPLES_MAX);
	for (int i = 0; i < 4 * LATENCY_SAMPLES_MAX; i++)
		latency_note(&latency, 1000);
	assert_true(latency_quantile(&latency, 50) > 1000);
}

/* Of as many at 10 and at 14 ms, those that were ended after 12 ms would have taken 14; those that were ended after 3 ms
 * change nothing. */
static void latency_cut_off_samples_count_as_what_is_longer(void **state)
{
	(void)state;
	struct latency latency;
	latency_init(&latency);
	for (int i = 0; i < 10; i++) {
		latency_note(&latency, 10);
		latency_note(&latency, 14);
	}
	assert_int_equal(latency_quantile(&latency, 500), 10);
	for (int i = 0; i < 20; i++)
		latency_note_at_least(&latency, 12);
	assert_int_equal(latency_quantile(&latency, 250), 10);
	assert_int_equal(latency_quantile(&latency, 251), 14);
	for (int i = 0; i < 20; i++)
		latency_note_at_least(&latency, 3);
	assert_int_equal(latency_quantile(&latency, 250), 10);
	assert_int_equal(latency_quantile(&latency, 251), 14);
	assert_int_equal(latency_quantile(&latency, 1000), 14);
}

static void latency_cut_off_beyond_all_samples_goes_one_bucket_further(void **state)
{
	(void)state;
	struct latency latency;
	latency_init(&latency);
	for (int i = 0; i < LATENCY_SAMPLES_MIN; i++)
		latency_note(&latency, 10);
	latency_note_at_least(&latency, 10);
	assert_int_equal(latency_quantile(&latency, 1000), 11);
}

/* All that is slower than the 95th hundredth is cut off there, for ever: what was too short must find the true value. */
static void latency_limit_made_of_it_climbs_to_the_true_quantile(void **state)
{
	(void)state;
	struct latency latency;
	struct random random;
	latency_init(&latency);
	random_init(&random, 11);
	for (int i = 0; i < LATENCY_SAMPLES_MIN; i++)
		latency_note(&latency, 100);
	for (int i = 0; i < 20000; i++) {
		int64_t limit_ms = latency_quantile(&latency, 950);
		int64_t duration_ms = 500 + (int64_t)random_below(&random, 1000);
		if (duration_ms > limit_ms)
			latency_note_at_least(&latency, limit_ms);
		else
			latency_note(&latency, duration_ms);
	}
	int64_t limit_ms = latency_quantile(&latency, 950);
	assert_true(limit_ms > 1300);
	assert_true(limit_ms < 1700);
}

static void latency_never_overflows_with_samples_cut_off_anywhere(void **state)
{
	(void)state;
	struct latency latency;
	struct random random;
	latency_init(&latency);
	random_init(&random, 12);
	for (int i = 0; i < 100000; i++) {
		int64_t duration_ms = (int64_t)random_below(&random, UINT64_C(1) << random_below(&random, 25));
		if (random_below(&random, 2) == 0)
			latency_note(&latency, duration_ms);
		else
			latency_note_at_least(&latency, duration_ms);
		uint32_t total = 0;
		for (unsigned bucket = 0; bucket < LATENCY_BUCKETS; bucket++)
			total += latency.weights[bucket];
		assert_int_equal(total, latency.total);
		assert_true(total < LATENCY_SAMPLES_MAX * LATENCY_SAMPLE);
	}
}

static void latency_quantile_outside_its_range_is_an_error(void **state)
{
	(void)state;
	struct latency latency;
	latency_init(&latency);
	expect_assert_failure((void)latency_quantile(&latency, 0));
	expect_assert_failure((void)latency_quantile(&latency, 1001));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(latency_few_samples_tell_nothing),
		cmocka_unit_test(latency_each_duration_is_told_within_an_eighth),
		cmocka_unit_test(latency_outside_the_range_counts_as_its_ends),
		cmocka_unit_test(latency_of_any_samples_agrees_with_the_samples),
		cmocka_unit_test(latency_change_is_followed_within_its_window),
		cmocka_unit_test(latency_cut_off_samples_count_as_what_is_longer),
		cmocka_unit_test(latency_cut_off_beyond_all_samples_goes_one_bucket_further),
		cmocka_unit_test(latency_limit_made_of_it_climbs_to_the_true_quantile),
		cmocka_unit_test(latency_never_overflows_with_samples_cut_off_anywhere),
		cmocka_unit_test(latency_quantile_outside_its_range_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
