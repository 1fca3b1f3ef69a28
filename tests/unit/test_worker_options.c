/* Settings as options of the flow and of the upstream: what is translated on the way, and lists that keep their place. */
#include "worker/worker_options.h"

#include "tests/unit/testing.h"

enum { FLAGS_MAX = 4 };

/* Options of the required settings and `key` = `value`. The settings are the caller's to free. */
static struct settings *make(const char *key, const char *value, struct worker_options *out_options)
{
	const struct settings_flag flags[FLAGS_MAX] = {
		{ .name = "--set", .key = "kafka.bootstrap_servers", .value = "kafka:9092" },
		{ .name = "--set", .key = "openrouter.models", .value = "a/b,c/d" },
		{ .name = "--set", .key = "openrouter.allowed_models", .value = "a/b,c/d,e/f" },
		{ .name = "--set", .key = key, .value = value },
	};
	struct settings *settings = settings_new();
	assert_non_null(settings);
	const struct settings_sources sources = { .flags = flags, .flag_count = FLAGS_MAX };
	assert_int_equal(settings_load(settings, &sources), STATUS_OK);
	assert_int_equal(worker_options_init(out_options, settings), STATUS_OK);
	return settings;
}

static void worker_options_each_http_version_is_its_own(void **state)
{
	(void)state;
	static const struct {
		const char *word;
		enum upstream_http http;
	} rows[] = { { "auto", UPSTREAM_HTTP_AUTO }, { "1.1", UPSTREAM_HTTP_1_1 }, { "2", UPSTREAM_HTTP_2 } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct worker_options options;
		struct settings *settings = make("openrouter.http_version", rows[i].word, &options);
		assert_int_equal(options.upstream.http, rows[i].http);
		worker_options_deinit(&options);
		settings_free(settings);
	}
}

static void worker_options_temperature_only_when_set(void **state)
{
	(void)state;
	struct worker_options options;
	struct settings *settings = make("openrouter.temperature", "0.25", &options);
	assert_text_equal(options.flow.temperature, "0.25");
	worker_options_deinit(&options);
	settings_free(settings);

	settings = make("openrouter.max_tokens", "77", &options);
	assert_false(bytes_is_given(options.flow.temperature));
	assert_text_equal(options.flow.max_tokens, "77");
	worker_options_deinit(&options);
	settings_free(settings);
}

static void worker_options_lists_keep_their_items(void **state)
{
	(void)state;
	struct worker_options options;
	struct settings *settings = make("kafka.reply_topics", "one,two", &options);
	assert_int_equal(options.flow.model_count, 2);
	assert_text_equal(options.flow.models[1], "c/d");
	assert_int_equal(options.flow.allowed_model_count, 3);
	assert_text_equal(options.flow.allowed_models[0], "a/b");
	assert_text_equal(options.flow.allowed_models[2], "e/f");
	assert_int_equal(options.flow.reply_topic_count, 2);
	assert_text_equal(options.flow.reply_topics[1], "two");
	worker_options_deinit(&options);
	settings_free(settings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(worker_options_each_http_version_is_its_own),
		cmocka_unit_test(worker_options_temperature_only_when_set),
		cmocka_unit_test(worker_options_lists_keep_their_items),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
