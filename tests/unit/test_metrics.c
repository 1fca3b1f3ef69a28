#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <pthread.h>

#include <cmocka.h>

#include "common/metrics.h"
#include "common/process_metrics.h"

enum { PLAIN, LEVEL, TIME, REASONS, LAG, PAIRS };

static const struct metric_descriptor descriptors[] = {
	[PLAIN] = { .name = "plain_total",
		.type = METRIC_COUNTER,
		.unit = "",
		.constant_labels = "",
		.scale = 1,
		.help = "Plain." },
	[LEVEL] = { .name = "level_seconds",
		.type = METRIC_GAUGE,
		.unit = "seconds",
		.constant_labels = "a=\"b\"",
		.scale = 1e-3,
		.help = "Level." },
	[TIME] = { .name = "time_seconds",
		.type = METRIC_HISTOGRAM,
		.unit = "seconds",
		.constant_labels = "",
		.scale = 1e-3,
		.bucket_first = 10,
		.bucket_factor = 2,
		.bucket_count = 3,
		.help = "Time." },
	[REASONS] = { .name = "reasons_total",
		.type = METRIC_COUNTER,
		.unit = "",
		.constant_labels = "",
		.labels = { "reason" },
		.scale = 1,
		.values_max = 3,
		.help = "Reasons." },
	[LAG] = { .name = "lag",
		.type = METRIC_GAUGE,
		.unit = "",
		.constant_labels = "",
		.labels = { "topic", "partition" },
		.scale = 1,
		.help = "Lag." },
	[PAIRS] = { .name = "pairs_total",
		.type = METRIC_COUNTER,
		.unit = "",
		.constant_labels = "",
		.labels = { "a", "b" },
		.scale = 1,
		.values_max = 100,
		.series_max = 4,
		.help = "Pairs." },
};

static struct metrics *new_metrics(void)
{
	struct metrics *metrics = metrics_new(descriptors, sizeof descriptors / sizeof descriptors[0]);
	assert_non_null(metrics);
	return metrics;
}

static char *write_all(struct metrics *metrics, enum metrics_format format)
{
	struct buffer text;
	buffer_init(&text, 1048576);
	metrics_write(metrics, format, &text);
	buffer_append_char(&text, '\0');
	char *data;
	size_t size;
	assert_int_equal(buffer_take(&text, &data, &size), STATUS_OK);
	return data;
}

static void assert_written(struct metrics *metrics, const char *wanted)
{
	char *text = write_all(metrics, METRICS_FORMAT_TEXT);
	if (strstr(text, wanted) == NULL) fail_msg("not found: %s\nin:\n%s", wanted, text);
	free(text);
}

static void assert_not_written(struct metrics *metrics, const char *unwanted)
{
	char *text = write_all(metrics, METRICS_FORMAT_TEXT);
	assert_null(strstr(text, unwanted));
	free(text);
}

static struct metric_series *series(struct metrics *metrics, size_t index, const char *a, const char *b)
{
	const struct bytes values[2] = { bytes_of(a), bytes_of(b) };
	return metrics_series(metrics, index, values, b == NULL ? 1 : 2);
}

static void metrics_fresh_registry_writes_zeros(void **state)
{
	(void)state;
	struct metrics *metrics = new_metrics();
	char *text = write_all(metrics, METRICS_FORMAT_TEXT);
	assert_string_equal(text, "# HELP plain_total Plain.\n# TYPE plain_total counter\nplain_total 0\n"
				  "# HELP level_seconds Level.\n# TYPE level_seconds gauge\nlevel_seconds{a=\"b\"} 0\n"
				  "# HELP time_seconds Time.\n# TYPE time_seconds histogram\n"
				  "time_seconds_bucket{le=\"0.01\"} 0\ntime_seconds_bucket{le=\"0.02\"} 0\n"
				  "time_seconds_bucket{le=\"0.04\"} 0\ntime_seconds_bucket{le=\"+Inf\"} 0\n"
				  "time_seconds_sum 0\ntime_seconds_count 0\n");
	free(text);
	metrics_free(metrics);
}

static void metrics_openmetrics_family_unit_and_end_written(void **state)
{
	(void)state;
	struct metrics *metrics = new_metrics();
	char *text = write_all(metrics, METRICS_FORMAT_OPENMETRICS);
	assert_non_null(strstr(text, "# TYPE plain counter\nplain_total 0\n"));
	assert_non_null(strstr(text, "# UNIT level_seconds seconds\n"));
	assert_string_equal(text + strlen(text) - 6, "# EOF\n");
	free(text);
	metrics_free(metrics);
}

static void metrics_counter_and_gauge_scaled(void **state)
{
	(void)state;
	struct metrics *metrics = new_metrics();
	metrics_add(metrics, PLAIN, 2);
	metrics_add(metrics, PLAIN, 40);
	metrics_set(metrics, LEVEL, 1500);
	assert_written(metrics, "\nplain_total 42\n");
	assert_written(metrics, "\nlevel_seconds{a=\"b\"} 1.5\n");
	metrics_add(metrics, LEVEL, -2000);
	assert_written(metrics, "\nlevel_seconds{a=\"b\"} -0.5\n");
	metrics_free(metrics);
}

static void metrics_histogram_bounds_are_inclusive(void **state)
{
	(void)state;
	struct metrics *metrics = new_metrics();
	static const int64_t values[] = { -5, 0, 10, 11, 20, 40, 41, 100000 };
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
		metrics_observe(metrics, TIME, values[i]);
	assert_written(metrics, "time_seconds_bucket{le=\"0.01\"} 3\ntime_seconds_bucket{le=\"0.02\"} 5\n"
				"time_seconds_bucket{le=\"0.04\"} 6\ntime_seconds_bucket{le=\"+Inf\"} 8\n"
				"time_seconds_sum 100.122\ntime_seconds_count 8\n");
	assert_int_equal(metric_value(metrics_series(metrics, TIME, NULL, 0)), 8);
	metrics_free(metrics);
}

static void metrics_labels_found_again_and_escaped(void **state)
{
	(void)state;
	struct metrics *metrics = new_metrics();
	struct metric_series *first = series(metrics, REASONS, "a\"b\\c\nd", NULL);
	metric_add(first, 1);
	assert_ptr_equal(series(metrics, REASONS, "a\"b\\c\nd", NULL), first);
	assert_ptr_not_equal(series(metrics, REASONS, "other", NULL), first);
	assert_written(metrics, "reasons_total{reason=\"a\\\"b\\\\c\\nd\"} 1\n");
	assert_int_equal(metric_value(first), 1);
	metrics_free(metrics);
}

static void metrics_series_of_unequal_splits_differ(void **state)
{
	(void)state;
	struct metrics *metrics = new_metrics();
	assert_ptr_not_equal(series(metrics, LAG, "ab", "c"), series(metrics, LAG, "a", "bc"));
	metrics_free(metrics);
}

static void metrics_label_values_beyond_bound_become_other(void **state)
{
	(void)state;
	struct metrics *metrics = new_metrics();
	char name[16];
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof name, "r%d", i);
		metrics_add_labelled(metrics, REASONS, bytes_of(name), 1);
	}
	assert_written(metrics, "reasons_total{reason=\"r2\"} 1\n");
	assert_not_written(metrics, "r3");
	assert_written(metrics, "reasons_total{reason=\"_OTHER\"} 997\n");
	metrics_free(metrics);
}

/* A known value goes on being told apart when the other label overflows. */
static void metrics_one_label_overflows_other_stays(void **state)
{
	(void)state;
	static const struct metric_descriptor descriptor = { .name = "x_total",
		.type = METRIC_COUNTER,
		.unit = "",
		.constant_labels = "",
		.labels = { "model", "error" },
		.scale = 1,
		.values_max = 2,
		.help = "" };
	struct metrics *metrics = metrics_new(&descriptor, 1);
	(void)series(metrics, 0, "m1", "timeout");
	(void)series(metrics, 0, "m2", "timeout");
	metric_add(series(metrics, 0, "m3", "timeout"), 1);
	metric_add(series(metrics, 0, "m4", "timeout"), 1);
	assert_written(metrics, "x_total{model=\"_OTHER\",error=\"timeout\"} 2\n");
	metrics_free(metrics);
}

static void metrics_series_beyond_bound_share_one(void **state)
{
	(void)state;
	struct metrics *metrics = new_metrics();
	char name[16];
	for (int i = 0; i < 10; i++) {
		(void)snprintf(name, sizeof name, "v%d", i);
		metric_add(series(metrics, PAIRS, name, name), 1);
	}
	assert_written(metrics, "pairs_total{a=\"v3\",b=\"v3\"} 1\n");
	assert_not_written(metrics, "v4");
	assert_written(metrics, "pairs_total{a=\"_OTHER\",b=\"_OTHER\"} 6\n");
	metrics_free(metrics);
}

static void metrics_unfit_label_values_become_other(void **state)
{
	(void)state;
	struct metrics *metrics = new_metrics();
	char large[METRIC_LABEL_SIZE_MAX + 2];
	memset(large, 'x', sizeof large - 1);
	large[sizeof large - 1] = '\0';
	metrics_add_labelled(metrics, REASONS, bytes_of(large), 1);
	metrics_add_labelled(metrics, REASONS, BYTES_LITERAL("\xff"), 1);
	assert_written(metrics, "reasons_total{reason=\"_OTHER\"} 2\n");
	metrics_free(metrics);
}

static void metrics_retired_gauge_vanishes_and_comes_back_at_zero(void **state)
{
	(void)state;
	struct metrics *metrics = new_metrics();
	struct metric_series *lag = series(metrics, LAG, "t", "0");
	metric_set(lag, 7);
	assert_written(metrics, "lag{topic=\"t\",partition=\"0\"} 7\n");
	metric_retire(lag);
	assert_not_written(metrics, "lag");
	assert_ptr_equal(series(metrics, LAG, "t", "0"), lag);
	assert_written(metrics, "lag{topic=\"t\",partition=\"0\"} 0\n");
	metrics_free(metrics);
}

static void *add_many(void *context)
{
	struct metrics *metrics = context;
	for (int i = 0; i < 2000; i++) {
		metrics_add(metrics, PLAIN, 1);
		metrics_observe(metrics, TIME, i);
		metrics_add_labelled(metrics, REASONS, i % 2 == 0 ? BYTES_LITERAL("even") : BYTES_LITERAL("odd"), 1);
	}
	return NULL;
}

static void metrics_threads_lose_nothing(void **state)
{
	(void)state;
	struct metrics *metrics = new_metrics();
	pthread_t threads[4];
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, metrics), 0);
	for (int i = 0; i < 20; i++)
		free(write_all(metrics, METRICS_FORMAT_TEXT));
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_written(metrics, "\nplain_total 8000\n");
	assert_written(metrics, "time_seconds_count 8000\n");
	assert_written(metrics, "reasons_total{reason=\"odd\"} 4000\n");
	metrics_free(metrics);
}

static void metrics_full_buffer_reported(void **state)
{
	(void)state;
	struct metrics *metrics = new_metrics();
	struct buffer text;
	buffer_init(&text, 100);
	metrics_write(metrics, METRICS_FORMAT_TEXT, &text);
	assert_int_equal(buffer_status(&text), STATUS_TOO_LARGE);
	buffer_deinit(&text);
	metrics_free(metrics);
	metrics_free(NULL);
}

static double value_of(const char *text, const char *name)
{
	char start[128];
	(void)snprintf(start, sizeof start, "\n%s ", name);
	const char *found = strstr(text, start);
	assert_non_null(found);
	return strtod(found + strlen(start), NULL);
}

static void process_metrics_written_with_likely_values(void **state)
{
	(void)state;
	struct buffer text;
	buffer_init(&text, 65536);
	process_metrics_write(METRICS_FORMAT_TEXT, &text);
	buffer_append_char(&text, '\0');
	assert_int_equal(buffer_status(&text), STATUS_OK);
	assert_true(value_of(text.data, "process_resident_memory_bytes") > 100000);
	assert_true(value_of(text.data, "process_open_fds") >= 3);
	assert_true(value_of(text.data, "process_start_time_seconds") > 1.5e9);
	assert_true(value_of(text.data, "process_threads") >= 1);
	assert_true(value_of(text.data, "process_cpu_seconds_total") >= 0);
	buffer_deinit(&text);
	size_t count;
	assert_non_null(process_metrics_table(&count));
	assert_int_equal(count, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(metrics_fresh_registry_writes_zeros),
		cmocka_unit_test(metrics_openmetrics_family_unit_and_end_written),
		cmocka_unit_test(metrics_counter_and_gauge_scaled),
		cmocka_unit_test(metrics_histogram_bounds_are_inclusive),
		cmocka_unit_test(metrics_labels_found_again_and_escaped),
		cmocka_unit_test(metrics_series_of_unequal_splits_differ),
		cmocka_unit_test(metrics_label_values_beyond_bound_become_other),
		cmocka_unit_test(metrics_one_label_overflows_other_stays),
		cmocka_unit_test(metrics_series_beyond_bound_share_one),
		cmocka_unit_test(metrics_unfit_label_values_become_other),
		cmocka_unit_test(metrics_retired_gauge_vanishes_and_comes_back_at_zero),
		cmocka_unit_test(metrics_threads_lose_nothing),
		cmocka_unit_test(metrics_full_buffer_reported),
		cmocka_unit_test(process_metrics_written_with_likely_values),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
