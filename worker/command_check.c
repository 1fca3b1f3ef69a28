#include "worker/command.h"

#include "worker/edge/kafka_probe.h"
#include "worker/edge/secret.h"

enum { CHECK_BROKERS_MS = 1500 };

static void add_problem(struct settings *settings, const char *place, const struct buffer *problem)
{
	settings_table_error_at(settings->table, place, "%.*s", (int)problem->size, problem->data);
}

static void check_properties(struct settings *settings)
{
	struct buffer problem;
	buffer_init(&problem, 1024);
	if (kafka_probe_properties(settings, &problem) != STATUS_OK)
		add_problem(settings, "kafka.properties", &problem);
	buffer_deinit(&problem);
}

static void check_key(struct settings *settings)
{
	struct secret *secret = NULL;
	struct buffer problem;
	buffer_init(&problem, 1024);
	if (secret_read(&secret, &problem) != STATUS_OK) add_problem(settings, "environment", &problem);
	buffer_deinit(&problem);
	secret_free(secret);
}

static void check_brokers(struct settings *settings)
{
	struct buffer problem;
	buffer_init(&problem, 4096);
	enum status status = kafka_probe_brokers(settings, CHECK_BROKERS_MS, &problem);
	if (status != STATUS_OK)
		settings_table_error(
			settings->table, "kafka.bootstrap_servers", "%.*s", (int)problem.size, problem.data);
	buffer_deinit(&problem);
}

/* Brokers are asked only when everything else is good: the settings may be what keeps us from reaching them. */
static void check_environment(struct settings *settings)
{
	settings_check_host(settings);
	check_key(settings);
	if (settings_table_error_count(settings->table) == 0) check_brokers(settings);
}

enum worker_exit command_check(const struct command_line *line)
{
	enum status status;
	struct settings *settings = command_settings(line, &status);
	if (settings == NULL) return WORKER_EXIT_FAILED;
	if (status == STATUS_OK) check_properties(settings);
	if ((line->options & COMMAND_OPTION_NO_ENVIRONMENT) == 0) check_environment(settings);
	command_tell_problems(line, settings);
	size_t error_count = settings_table_error_count(settings->table);
	if ((line->options & COMMAND_OPTION_DENY_WARNINGS) != 0)
		error_count += settings_table_problem_count(settings->table);
	settings_free(settings);
	if (error_count > 0) return WORKER_EXIT_CONFIG;

	struct buffer text;
	buffer_init(&text, 64);
	buffer_append_text(&text, "the configuration is good\n");
	enum worker_exit exit_code = command_print(line, &text);
	buffer_deinit(&text);
	return exit_code;
}
