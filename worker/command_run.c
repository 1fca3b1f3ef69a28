#include "worker/command.h"

#include <string.h>
#include <unistd.h>

#include "worker/edge/secret.h"

/* What is too short to be masked cannot be helped. */
static void redact(struct log *log, struct bytes secret)
{
	enum status status = log_redact(log, secret);
	(void)status;
}

/* The key and every secret among the settings: whatever text they turn up in, they are masked. */
static void redact_secrets(struct log *log, const struct settings *settings, const struct secret *secret)
{
	const struct settings_list *const lists[] = { &settings->kafka.properties, &settings->kafka.consumer_properties,
		&settings->kafka.producer_properties };
	redact(log, secret_bytes(secret));
	redact(log, bytes_of(settings->openrouter.proxy));
	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
		for (size_t j = 0; j < lists[i]->count; j++) {
			const char *item = lists[i]->items[j];
			size_t size = strcspn(item, "=");
			if (redaction_name_is_secret(bytes_at(item, size)) && item[size] == '=')
				redact(log, bytes_of(item + size + 1));
		}
	}
}

static void log_warnings(struct log *log, const struct settings *settings)
{
	for (size_t i = 0; i < settings_table_problem_count(settings->table); i++)
		log_event(log, LOG_LEVEL_WARN, "doubtful setting",
			LOG_FIELDS(log_string("text", settings_table_problem(settings->table, i)->text)));
}

static enum worker_exit serve(const struct settings *settings, struct secret *secret)
{
	const struct log_options options = {
		.fd = STDERR_FILENO,
		.level = settings->log.level,
		.format = settings->log.format,
	};
	struct log *log = log_new(&options);
	if (log == NULL) return WORKER_EXIT_FAILED;
	redact_secrets(log, settings, secret);
	log_warnings(log, settings);
	enum worker_exit exit_code = worker_run(settings, secret, log);
	log_free(log);
	return exit_code;
}

/* Settings and key are both looked at before giving up, so that one start tells all that is wrong. */
enum worker_exit command_run(const struct command_line *line)
{
	enum status settings_status;
	struct settings *settings = command_settings(line, &settings_status);
	if (settings == NULL) return WORKER_EXIT_FAILED;
	settings_check_host(settings);
	bool is_good = settings_status == STATUS_OK && settings_table_error_count(settings->table) == 0;
	if (!is_good) command_tell_problems(line, settings);

	struct secret *secret = NULL;
	struct buffer problem;
	buffer_init(&problem, 1024);
	bool has_key = secret_read(&secret, &problem) == STATUS_OK;
	if (!has_key) command_tell_error(line, buffer_bytes(&problem));
	buffer_deinit(&problem);

	enum worker_exit exit_code = is_good && has_key ? serve(settings, secret) : WORKER_EXIT_CONFIG;
	secret_free(secret);
	settings_free(settings);
	return exit_code;
}
