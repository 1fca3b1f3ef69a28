/* Every allocation behind log, metrics and settings fails once, and once from there on: whoever asked is told, or loses a
 * line of log at most; values are right or refused, never wrong; nothing leaks. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/redaction.h"
#include "tests/unit/failing_memory.h"
#include "worker/settings.h"
#include "worker/settings_print.h"

/* Does its work and undoes it, and checks by itself what must hold whatever was refused. */
typedef void scenario(void);

enum { ALLOCATIONS_MAX = 5000 };

static void sweep(scenario *play, bool goes_on)
{
	for (long at = 0; at < ALLOCATIONS_MAX; at++) {
		failing_memory = (struct failing_memory){ .until_failure = at, .goes_on = goes_on };
		play();
		bool was_refused = failing_memory.refused > 0;
		if (failing_memory.living != 0) fail_msg("allocation %ld: %ld living", at, failing_memory.living);
		failing_memory = (struct failing_memory){ .until_failure = -1 };
		if (was_refused) continue;
		assert_true(at > 0);
		return;
	}
	fail_msg("more than %d allocations", ALLOCATIONS_MAX);
}

static void sweep_both(scenario *play)
{
	sweep(play, false);
	sweep(play, true);
}

static bool nothing_was_refused(void)
{
	return failing_memory.refused == 0;
}

static void play_redaction(void)
{
	struct redaction *redaction = redaction_new();
	if (redaction == NULL) return;
	enum status status = redaction_add(redaction, BYTES_LITERAL("sk-canary \"x\""));
	assert_int_equal(status == STATUS_OK, nothing_was_refused());
	struct buffer text;
	buffer_init(&text, 1000);
	redaction_apply(redaction, BYTES_LITERAL("a sk-canary \"x\" b"), &text);
	bool is_masked = buffer_status(&text) == STATUS_OK && status == STATUS_OK;
	if (is_masked) assert_true(bytes_equal_text(buffer_bytes(&text), "a **** b"));
	buffer_deinit(&text);
	redaction_free(redaction);
}

static void play_log(void)
{
	int ends[2];
	assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
	const struct log_options options = { .fd = ends[1], .level = LOG_LEVEL_INFO, .format = LOG_FORMAT_JSON };
	struct log *log = log_new(&options);
	if (log != NULL) {
		bool is_known = log_redact(log, BYTES_LITERAL("sk-canary")) == STATUS_OK;
		log_event(log, LOG_LEVEL_INFO, "event",
			LOG_FIELDS(log_string("text", "with sk-canary"), log_int("n", 1)));
		char text[1000] = "";
		ssize_t size = read(ends[0], text, sizeof text - 1);
		assert_int_equal(size > 0, log_dropped(log) == 0);
		if (is_known) assert_null(strstr(text, "canary"));
		if (size > 0) assert_int_equal(text[size - 1], '\n');
		log_free(log);
	}
	assert_int_equal(close(ends[0]) + close(ends[1]), 0);
}

static void play_metrics(void)
{
	static const struct metric_descriptor descriptors[] = {
		{ .name = "a_total",
			.type = METRIC_COUNTER,
			.unit = "",
			.constant_labels = "",
			.scale = 1,
			.help = "A." },
		{ .name = "b_total",
			.type = METRIC_COUNTER,
			.unit = "",
			.constant_labels = "",
			.labels = { "x" },
			.scale = 1,
			.help = "B." },
	};
	struct metrics *metrics = metrics_new(descriptors, 2);
	assert_int_equal(metrics != NULL, nothing_was_refused());
	if (metrics == NULL) return;
	metrics_add(metrics, 0, 1);
	metrics_add_labelled(metrics, 1, BYTES_LITERAL("one"), 1);
	metrics_add_labelled(metrics, 1, BYTES_LITERAL("two"), 1);
	struct buffer text;
	buffer_init(&text, 10000);
	metrics_write(metrics, METRICS_FORMAT_TEXT, &text);
	assert_int_equal(buffer_status(&text) == STATUS_OK || !nothing_was_refused(), true);
	buffer_deinit(&text);
	metrics_free(metrics);
}

static const struct settings_flag flags[] = {
	{ "--set", "kafka.bootstrap_servers", "a:1", false },
	{ "--set", "openrouter.models", "m/1,m/2", false },
	{ "-X", "kafka.properties", "debug=all", true },
	{ "--set", "kafka.consumer_properties", "debug=none;a=1", false },
};

static void play_settings(void)
{
	struct settings *settings = settings_new();
	assert_int_equal(settings != NULL, nothing_was_refused());
	if (settings == NULL) return;
	char variable[] = "CHAT_WORKER_KAFKA_GROUP_ID=team";
	char *environment[] = { variable, NULL };
	const struct settings_sources sources = {
		.environment = environment, .flags = flags, .flag_count = sizeof flags / sizeof flags[0]
	};
	enum status status = settings_load(settings, &sources);
	if (status == STATUS_OK) {
		assert_string_equal(settings->kafka.bootstrap_servers, "a:1");
		assert_int_equal(settings->openrouter.models.count, 2);
		assert_int_equal(settings->kafka.properties.count, 1);
		assert_int_equal(settings->kafka.consumer_properties.count, 1);
		assert_string_equal(settings->openrouter.base_url, "https://openrouter.ai/api/v1");
		assert_non_null(strstr(settings->kafka.transactional_id, "team"));
	}
	assert_true(status == STATUS_OK || !nothing_was_refused());
	settings_free(settings);
}

static void play_settings_page(void)
{
	struct settings *settings = settings_new();
	if (settings == NULL) return;
	struct buffer text;
	buffer_init(&text, 1000000);
	settings_print_libconfig(settings, &text);
	settings_print_text(settings, &text);
	settings_print_markdown(settings, &text);
	assert_true(buffer_status(&text) == STATUS_OK || !nothing_was_refused());
	buffer_deinit(&text);
	settings_free(settings);
}

static void redaction_without_memory_survived(void **state)
{
	(void)state;
	sweep_both(play_redaction);
}

static void log_without_memory_loses_lines_only(void **state)
{
	(void)state;
	sweep_both(play_log);
}

static void metrics_without_memory_survived(void **state)
{
	(void)state;
	sweep_both(play_metrics);
}

static void settings_without_memory_right_or_refused(void **state)
{
	(void)state;
	sweep_both(play_settings);
}

static void settings_page_without_memory_survived(void **state)
{
	(void)state;
	sweep_both(play_settings_page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(redaction_without_memory_survived),
		cmocka_unit_test(log_without_memory_loses_lines_only),
		cmocka_unit_test(metrics_without_memory_survived),
		cmocka_unit_test(settings_without_memory_right_or_refused),
		cmocka_unit_test(settings_page_without_memory_survived),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
