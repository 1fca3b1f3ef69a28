#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "worker/metrics_table.h"

static bool ends_with(const char *text, const char *end)
{
	size_t size = strlen(text), end_size = strlen(end);
	return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

static void metrics_table_names_follow_the_conventions(void **state)
{
	(void)state;
	const struct metric_descriptor *table = metrics_table_descriptors();
	for (size_t i = 0; i < METRIC_INDEX_COUNT; i++) {
		const struct metric_descriptor *row = &table[i];
		assert_non_null(row->name);
		assert_int_equal(strspn(row->name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(row->name));
		assert_int_equal(ends_with(row->name, "_total"), row->type == METRIC_COUNTER);
		assert_true(ends_with(row->help, "."));
		if (strcmp(row->unit, "seconds") == 0) assert_true(ends_with(row->name, "_seconds"));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(row->name, table[j].name);
	}
}

static void metrics_table_makes_a_registry(void **state)
{
	(void)state;
	struct metrics *metrics = metrics_new(metrics_table_descriptors(), METRIC_INDEX_COUNT);
	assert_non_null(metrics);
	metrics_add_labelled(metrics, METRIC_COST, BYTES_LITERAL("a/b"), 1500000);
	metrics_observe(metrics, METRIC_END_TO_END_DURATION, 81920);
	metrics_set(metrics, METRIC_RETRY_BUDGET, 1500);
	struct buffer text;
	buffer_init(&text, 1048576);
	metrics_write(metrics, METRICS_FORMAT_TEXT, &text);
	buffer_append_char(&text, '\0');
	assert_non_null(strstr(text.data, "\nchat_worker_cost_usd_total{gen_ai_request_model=\"a/b\"} 0.0015\n"));
	assert_non_null(strstr(text.data, "\nchat_worker_end_to_end_duration_seconds_bucket{le=\"81.92\"} 1\n"));
	assert_non_null(strstr(text.data, "\nchat_worker_end_to_end_duration_seconds_bucket{le=\"40.96\"} 0\n"));
	assert_non_null(strstr(text.data, "\nchat_worker_retry_budget 1.5\n"));
	assert_non_null(strstr(text.data, "\nchat_worker_build_info{version=\"" CHAT_WORKER_VERSION "\"} 0\n"));
	buffer_deinit(&text);
	metrics_free(metrics);
}

static void metrics_table_pages_name_every_metric(void **state)
{
	(void)state;
	struct buffer markdown, text;
	buffer_init(&markdown, 1048576);
	buffer_init(&text, 1048576);
	metrics_table_write_markdown(&markdown);
	metrics_table_write_text(&text);
	buffer_append_char(&markdown, '\0');
	buffer_append_char(&text, '\0');
	for (size_t i = 0; i < METRIC_INDEX_COUNT; i++) {
		assert_non_null(strstr(markdown.data, metrics_table_descriptors()[i].name));
		assert_non_null(strstr(text.data, metrics_table_descriptors()[i].name));
	}
	assert_non_null(strstr(markdown.data, "`process_open_fds`"));
	assert_null(strstr(markdown.data, CHAT_WORKER_VERSION));
	buffer_deinit(&markdown);
	buffer_deinit(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(metrics_table_names_follow_the_conventions),
		cmocka_unit_test(metrics_table_makes_a_registry),
		cmocka_unit_test(metrics_table_pages_name_every_metric),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
