#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/settings.h"

enum { FLAGS_MAX = 12 };

struct flags {
	struct settings_flag items[FLAGS_MAX];
	size_t count;
};

static void add(struct flags *flags, const char *key, const char *value)
{
	assert_true(flags->count < FLAGS_MAX);
	flags->items[flags->count++] = (struct settings_flag){ .name = "--set", .key = key, .value = value };
}

static void add_required(struct flags *flags)
{
	add(flags, "kafka.bootstrap_servers", "kafka-1:9092,kafka-2:9092");
	add(flags, "openrouter.models", "a/b,c/d");
}

static struct settings *load(const struct flags *flags, enum status wanted)
{
	struct settings *settings = settings_new();
	assert_non_null(settings);
	const struct settings_sources sources = { .flags = flags->items, .flag_count = flags->count };
	enum status status = settings_load(settings, &sources);
	for (size_t i = 0; status != wanted && i < settings_table_problem_count(settings->table); i++)
		print_message("problem: %s\n", settings_table_problem(settings->table, i)->text);
	assert_int_equal(status, wanted);
	return settings;
}

static void assert_problem(const struct settings *settings, const char *part, bool is_warning)
{
	for (size_t i = 0; i < settings_table_problem_count(settings->table); i++) {
		const struct settings_problem *problem = settings_table_problem(settings->table, i);
		if (strstr(problem->text, part) != NULL && problem->is_warning == is_warning) return;
		print_message("problem: %s\n", problem->text);
	}
	fail_msg("no problem with: %s", part);
}

static void settings_defaults_fit_together(void **state)
{
	(void)state;
	struct flags flags = { .count = 0 };
	add_required(&flags);
	struct settings *settings = load(&flags, STATUS_OK);
	assert_int_equal(settings_table_problem_count(settings->table), 0);
	assert_string_equal(settings->kafka.requests_topic, "chat.requests");
	assert_int_equal(settings->kafka.delivery, SETTINGS_DELIVERY_EXACTLY_ONCE);
	assert_int_equal(settings->openrouter.models.count, 2);
	assert_string_equal(settings->openrouter.models.items[1], "c/d");
	assert_int_equal(settings->chat.deadline_ms, 10000);
	assert_true(settings->retry.first_content_share == 0.55);
	assert_false(settings->openrouter.insecure_http);
	assert_int_equal(settings->log.level, LOG_LEVEL_INFO);
	assert_int_equal(settings->log.format, LOG_FORMAT_AUTO);
	settings_free(settings);
	settings_free(NULL);
}

static void settings_new_is_usable_without_loading(void **state)
{
	(void)state;
	struct settings *settings = settings_new();
	assert_string_equal(settings->kafka.bootstrap_servers, "");
	assert_string_equal(settings->fallback_texts[REASON_TIMEOUT], settings->fallback.text);
	assert_int_equal(settings->chat.deadline_max_ms, settings->chat.deadline_ms);
	settings_free(settings);
}

static void settings_required_missing_told(void **state)
{
	(void)state;
	const struct flags flags = { .count = 0 };
	struct settings *settings = load(&flags, STATUS_INVALID);
	assert_problem(settings, "kafka.bootstrap_servers: is required", false);
	assert_problem(settings, "CHAT_WORKER_OPENROUTER_MODELS", false);
	settings_free(settings);
}

static void settings_choices_fit_their_enums(void **state)
{
	(void)state;
	struct flags flags = { .count = 0 };
	add_required(&flags);
	add(&flags, "kafka.delivery", "at_least_once");
	add(&flags, "kafka.start_from", "latest");
	add(&flags, "openrouter.http_version", "1.1");
	add(&flags, "chat.ordering", "none");
	add(&flags, "log.level", "debug");
	add(&flags, "log.format", "json");
	struct settings *settings = load(&flags, STATUS_OK);
	assert_int_equal(settings->kafka.delivery, SETTINGS_DELIVERY_AT_LEAST_ONCE);
	assert_int_equal(settings->kafka.start_from, SETTINGS_START_FROM_LATEST);
	assert_int_equal(settings->openrouter.http_version, SETTINGS_HTTP_VERSION_1_1);
	assert_int_equal(settings->chat.ordering, SETTINGS_ORDERING_NONE);
	assert_int_equal(settings->log.level, LOG_LEVEL_DEBUG);
	assert_int_equal(settings->log.format, LOG_FORMAT_JSON);
	settings_free(settings);
}

static void settings_dependent_values_resolved(void **state)
{
	(void)state;
	struct flags flags = { .count = 0 };
	add_required(&flags);
	add(&flags, "chat.deadline_ms", "8000");
	add(&flags, "fallback.text", "later");
	add(&flags, "fallback.texts.timeout", "too slow");
	add(&flags, "kafka.group_id", "team");
	add(&flags, "openrouter.base_url", "https://example.com/api/v1//");
	struct settings *settings = load(&flags, STATUS_OK);
	assert_int_equal(settings->chat.deadline_max_ms, 8000);
	assert_string_equal(settings->fallback_texts[REASON_TIMEOUT], "too slow");
	assert_string_equal(settings->fallback_texts[REASON_CREDITS], "later");
	assert_string_equal(settings->fallback_texts[REASON_NONE], "later");
	assert_string_equal(settings->openrouter.base_url, "https://example.com/api/v1");
	char host[256] = "", id[300];
	assert_int_equal(gethostname(host, sizeof host - 1), 0);
	(void)snprintf(id, sizeof id, "team-%s", host);
	assert_string_equal(settings->kafka.transactional_id, id);
	settings_free(settings);
}

static void settings_every_reason_has_a_text_setting(void **state)
{
	(void)state;
	for (size_t i = 1; i < REASON_COUNT; i++) {
		char key[128];
		(void)snprintf(key, sizeof key, "fallback.texts.%s", reason_word((enum reason)i));
		struct flags flags = { .count = 0 };
		add_required(&flags);
		add(&flags, key, "own text");
		struct settings *settings = load(&flags, STATUS_OK);
		for (size_t j = 0; j < REASON_COUNT; j++)
			assert_int_equal(strcmp(settings->fallback_texts[j], "own text") == 0, i == j);
		settings_free(settings);
	}
}

static void settings_property_flags_add_up_and_win(void **state)
{
	(void)state;
	struct flags flags = { .count = 0 };
	add_required(&flags);
	add(&flags, "kafka.consumer_properties", "fetch.min.bytes=1;debug=all");
	add(&flags, "kafka.producer_properties", "linger.ms=5");
	char environment_text[] = "CHAT_WORKER_KAFKA_PROPERTIES=a=1";
	char *environment[] = { environment_text, NULL };
	flags.items[flags.count++] = (struct settings_flag){ "-X", "kafka.properties", "b=2", true };
	flags.items[flags.count++] = (struct settings_flag){ "-X", "kafka.properties", "debug=broker", true };
	struct settings *settings = settings_new();
	const struct settings_sources sources = {
		.environment = environment, .flags = flags.items, .flag_count = flags.count
	};
	assert_int_equal(settings_load(settings, &sources), STATUS_OK);
	assert_int_equal(settings->kafka.properties.count, 3);
	assert_string_equal(settings->kafka.properties.items[0], "a=1");
	assert_string_equal(settings->kafka.properties.items[2], "debug=broker");
	assert_int_equal(settings->kafka.consumer_properties.count, 1);
	assert_string_equal(settings->kafka.consumer_properties.items[0], "fetch.min.bytes=1");
	assert_int_equal(settings->kafka.producer_properties.count, 1);
	settings_free(settings);
}

struct mistake {
	const char *key;
	const char *value;
	const char *problem;
};

static const struct mistake mistakes[] = {
	/* clocks that do not nest */
	{ "openrouter.connect_timeout_ms", "3500",
		"openrouter.connect_timeout_ms: 3500 must be less than openrouter.first_token_timeout_ms (3500, "
		"default)" },
	{ "openrouter.first_token_timeout_ms", "10000", "must be less than chat.deadline_ms" },
	{ "openrouter.stall_timeout_ms", "20000",
		"openrouter.stall_timeout_ms: 20000 must be less than chat.deadline_ms" },
	{ "chat.publish_reserve_ms", "10000", "chat.publish_reserve_ms: 10000 must be less than chat.deadline_ms" },
	{ "chat.deadline_ms", "25000", "chat.deadline_ms: 25000 must be less than worker.drain_ms" },
	{ "worker.drain_ms", "9000",
		"--set: worker.drain_ms: 9000 must be more than chat.deadline_ms (10000, default)" },
	{ "worker.stuck_ms", "1499", "worker.stuck_ms: 1499 must be 0 or at least 1500" },
	{ "worker.grace_ms", "25000", "worker.grace_ms: 25000 must be more than worker.drain_ms" },
	{ "kafka.heartbeat_interval_ms", "10000", "must be less than kafka.session_timeout_ms" },
	{ "kafka.session_timeout_ms", "30001", "must not be more than kafka.max_poll_interval_ms" },
	{ "kafka.max_poll_interval_ms", "5999",
		"kafka.max_poll_interval_ms: 5999 must not be less than kafka.session_timeout_ms" },
	{ "retry.backoff_ms", "801", "must not be more than retry.backoff_max_ms" },
	{ "retry.backoff_max_ms", "10000", "must be less than chat.deadline_ms" },
	{ "breaker.open_ms", "60001", "must not be more than breaker.open_max_ms" },
	{ "hedge.delay_min_ms", "2001", "hedge.delay_min_ms: 2001 must not be more than hedge.delay_ms" },
	{ "hedge.max_share", "1.01", "hedge.max_share" },
	{ "chat.deadline_max_ms", "5000", "chat.deadline_max_ms: 5000 must not be less than chat.deadline_ms" },
	/* bounds that do not fit */
	{ "worker.max_bytes", "1048576", "worker.max_bytes: 1048576 must be more than limits.record_bytes" },
	{ "worker.max_waiting", "999", "worker.max_waiting: 999 must not be less than worker.max_in_flight" },
	{ "openrouter.temperature", "-0.5", "openrouter.temperature: must be from 0 to 2, or -1" },
	/* texts */
	{ "kafka.bootstrap_servers", "kafka:0", "kafka.bootstrap_servers: broker 1 must have the form host:port" },
	{ "kafka.bootstrap_servers", "kafka:9092,,b:1", "broker 2 must have" },
	{ "kafka.bootstrap_servers", "kafka:9092,b c", "broker 2 must have" },
	{ "kafka.bootstrap_servers", "a/b:1", "broker 1 must have" },
	{ "kafka.requests_topic", "a b", "kafka.requests_topic: must be 1 to 249 letters" },
	{ "kafka.responses_topic", "..", "kafka.responses_topic: must be 1 to 249 letters" },
	{ "kafka.responses_topic", "chat.requests", "answer its own replies" },
	{ "kafka.dead_letter_topic", "chat.requests", "dead letters would come back" },
	{ "kafka.reply_topics", "ok,chat.requests", "kafka.reply_topics: item 2 is also" },
	{ "kafka.reply_topics", "a/b", "kafka.reply_topics: must be 1 to 249 letters" },
	{ "kafka.group_id", "a\nb", "kafka.group_id: must be printable ASCII" },
	{ "kafka.dead_letter_on", "answered", "kafka.dead_letter_on: may hold only rejected, fallback" },
	{ "openrouter.base_url", "http://example.com", "openrouter.base_url: must begin with https://" },
	{ "openrouter.base_url", "https://", "openrouter.base_url: has no host" },
	{ "openrouter.base_url", "https://me@x/", "must not hold a user name" },
	{ "openrouter.base_url", "https://x/?a", "must not have a query" },
	{ "openrouter.models", "a b", "openrouter.models: item 1 must be a model name" },
	{ "openrouter.allowed_models", "a/*,\x7f", "openrouter.allowed_models: item 2 must be a model name" },
	{ "openrouter.provider", "{\"sort\":}", "openrouter.provider: must be a JSON object" },
	{ "openrouter.provider", "[]", "openrouter.provider: must be a JSON object" },
	{ "openrouter.app_title", "a\r\nX: y", "openrouter.app_title: must be printable ASCII" },
	{ "openrouter.app_url", "\xc3\xa4", "openrouter.app_url: must be printable ASCII" },
	{ "openrouter.proxy", "proxy:3128", "openrouter.proxy: must be a URL" },
	{ "fallback.text", "", "fallback.text: must not be empty" },
	{ "fallback.text", " \n", "fallback.text: must not be blank" },
	{ "fallback.texts.timeout", "  ", "fallback.texts.timeout: must not be blank" },
	{ "admin.listen", "9464", "admin.listen: must be address:port" },
	{ "admin.listen", "example.com:80", "admin.listen: must be address:port" },
	{ "admin.listen", "127.0.0.1:65536", "admin.listen: must be address:port" },
};

static void settings_mistakes_told_with_setting(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
		struct flags flags = { .count = 0 };
		add_required(&flags);
		add(&flags, mistakes[i].key, mistakes[i].value);
		struct settings *settings = load(&flags, STATUS_INVALID);
		assert_problem(settings, mistakes[i].problem, false);
		settings_free(settings);
	}
}

static void settings_unusual_but_meaningful_taken(void **state)
{
	(void)state;
	static const struct mistake good[] = {
		{ "kafka.session_timeout_ms", "1001", NULL },
		{ "worker.stuck_ms", "0", NULL },
		{ "worker.stuck_ms", "10000", NULL },
		{ "kafka.bootstrap_servers", "SASL_SSL://kafka:9092,[::1]:9092,localhost", NULL },
		{ "openrouter.base_url", "http://127.0.0.1:8080/v1", NULL },
		{ "openrouter.base_url", "http://localhost", NULL },
		{ "openrouter.provider", "{\"sort\":\"latency\"}", NULL },
		{ "openrouter.temperature", "0", NULL },
		{ "kafka.dead_letter_on", "", NULL },
		{ "kafka.dead_letter_on", "rejected,fallback", NULL },
		{ "admin.listen", "", NULL },
		{ "admin.listen", "[::]:0", NULL },
		{ "worker.grace_ms", "25001", NULL },
		{ "retry.max_attempts", "1", NULL },
	};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct flags flags = { .count = 0 };
		add_required(&flags);
		add(&flags, "kafka.heartbeat_interval_ms", "500");
		add(&flags, good[i].key, good[i].value);
		struct settings *settings = load(&flags, STATUS_OK);
		assert_int_equal(settings_table_problem_count(settings->table), 0);
		settings_free(settings);
	}
}

static void settings_doubtful_warned_of(void **state)
{
	(void)state;
	struct flags flags = { .count = 0 };
	add_required(&flags);
	add(&flags, "openrouter.base_url", "http://example.com");
	add(&flags, "openrouter.insecure_http", "true");
	add(&flags, "openrouter.allowed_models", "a/*");
	add(&flags, "kafka.delivery", "at_least_once");
	add(&flags, "kafka.transactional_id", "x");
	add(&flags, "chat.deadline_max_ms", "60000");
	add(&flags, "publish.max_bytes", "65536");
	add(&flags, "hedge.enabled", "true");
	add(&flags, "hedge.delay_ms", "3500");
	add(&flags, "worker.stuck_ms", "9999");
	struct settings *settings = load(&flags, STATUS_OK);
	assert_problem(settings, "hedge.delay_ms: 3500 must be less than openrouter.first_token_timeout_ms", true);
	assert_problem(settings, "openrouter.insecure_http: the key and all chats go over the network", true);
	assert_problem(settings, "openrouter.models: item 2 fits none", true);
	assert_problem(settings, "kafka.transactional_id: is not used", true);
	assert_problem(settings, "chat.deadline_max_ms", true);
	assert_problem(settings, "publish.max_bytes", true);
	assert_problem(settings, "worker.stuck_ms: 9999 is less than closing may take", true);
	settings_free(settings);
}

static void settings_secret_on_command_line_warned_of(void **state)
{
	(void)state;
	struct flags flags = { .count = 0 };
	add_required(&flags);
	add(&flags, "openrouter.proxy", "http://user:canary@proxy:1");
	flags.items[flags.count++] = (struct settings_flag){ "-X", "kafka.properties", "sasl.password=canary", true };
	flags.items[flags.count++] = (struct settings_flag){ "-X", "kafka.properties", "debug=all", true };
	struct settings *settings = load(&flags, STATUS_OK);
	assert_problem(settings, "--set: openrouter.proxy: a secret on the command line", true);
	assert_problem(settings, "-X: kafka.properties: a secret on the command line", true);
	assert_int_equal(settings_table_problem_count(settings->table), 2);
	settings_free(settings);
}

static void settings_unreadable_ca_file_told(void **state)
{
	(void)state;
	struct flags flags = { .count = 0 };
	add_required(&flags);
	add(&flags, "openrouter.ca_file", "/nonexistent/ca.pem");
	struct settings *settings = load(&flags, STATUS_OK);
	settings_check_host(settings);
	assert_problem(settings, "--set: openrouter.ca_file: cannot be opened: No such file", false);
	settings_free(settings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_defaults_fit_together),
		cmocka_unit_test(settings_new_is_usable_without_loading),
		cmocka_unit_test(settings_required_missing_told),
		cmocka_unit_test(settings_choices_fit_their_enums),
		cmocka_unit_test(settings_dependent_values_resolved),
		cmocka_unit_test(settings_every_reason_has_a_text_setting),
		cmocka_unit_test(settings_property_flags_add_up_and_win),
		cmocka_unit_test(settings_mistakes_told_with_setting),
		cmocka_unit_test(settings_unusual_but_meaningful_taken),
		cmocka_unit_test(settings_doubtful_warned_of),
		cmocka_unit_test(settings_secret_on_command_line_warned_of),
		cmocka_unit_test(settings_unreadable_ca_file_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
