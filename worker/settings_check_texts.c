#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "common/json_text.h"
#include "common/url.h"
#include "worker/edge/admin_address.h"
#include "worker/settings_check.h"

static bool holds_only(struct bytes text, bool (*is_good)(unsigned char one))
{
	for (size_t i = 0; i < text.size; i++) {
		if (!is_good((unsigned char)text.data[i])) return false;
	}
	return true;
}

static bool is_word(unsigned char one)
{
	return (one >= '0' && one <= '9') || (one >= 'a' && one <= 'z') || (one >= 'A' && one <= 'Z') || one == '.' ||
	       one == '_' || one == '-';
}

/* May stand in the value of an HTTP header. */
static bool is_header(unsigned char one)
{
	return one >= ' ' && one < 0x7f;
}

static bool is_graphic(unsigned char one)
{
	return one > ' ' && one < 0x7f;
}

static bool is_topic(const char *text)
{
	struct bytes name = bytes_of(text);
	return name.size > 0 && name.size <= 249 && holds_only(name, is_word) && strcmp(text, ".") != 0 &&
	       strcmp(text, "..") != 0;
}

static void check_topic(struct settings *settings, const char *key, const char *topic)
{
	if (!is_topic(topic))
		settings_table_error(settings->table, key,
			"must be 1 to 249 letters, digits, dots, dashes and underscores, as Kafka's topics are");
}

static void check_topics(struct settings *settings)
{
	const struct settings_kafka *kafka = &settings->kafka;
	check_topic(settings, "kafka.requests_topic", kafka->requests_topic);
	check_topic(settings, "kafka.responses_topic", kafka->responses_topic);
	check_topic(settings, "kafka.dead_letter_topic", kafka->dead_letter_topic);
	if (strcmp(kafka->responses_topic, kafka->requests_topic) == 0)
		settings_table_error(settings->table, "kafka.responses_topic",
			"is also kafka.requests_topic: the worker would answer its own replies");
	if (strcmp(kafka->dead_letter_topic, kafka->requests_topic) == 0)
		settings_table_error(settings->table, "kafka.dead_letter_topic",
			"is also kafka.requests_topic: dead letters would come back for ever");
	for (size_t i = 0; i < kafka->reply_topics.count; i++) {
		check_topic(settings, "kafka.reply_topics", kafka->reply_topics.items[i]);
		if (strcmp(kafka->reply_topics.items[i], kafka->requests_topic) == 0)
			settings_table_error(settings->table, "kafka.reply_topics",
				"item %zu is also kafka.requests_topic: the worker would answer its own replies",
				i + 1);
	}
}

/* `host`, `host:port` or `protocol://host:port`. */
static bool is_broker(struct bytes text)
{
	for (size_t i = 0; i + 3 <= text.size; i++) {
		if (!bytes_equal_text(bytes_at(text.data + i, 3), "://")) continue;
		text = bytes_at(text.data + i + 3, text.size - i - 3);
		break;
	}
	char copy[512];
	struct url url;
	const char *problem;
	int size = snprintf(copy, sizeof copy, "http://%.*s", (int)text.size, text.data);
	return text.size > 0 && size > 0 && (size_t)size < sizeof copy && memchr(text.data, '/', text.size) == NULL &&
	       url_parse(bytes_of(copy), &url, &problem) == STATUS_OK;
}

static void check_brokers(struct settings *settings)
{
	const char *key = "kafka.bootstrap_servers";
	struct bytes rest = bytes_of(settings->kafka.bootstrap_servers);
	for (size_t number = 1; rest.size > 0; number++) {
		const char *comma = memchr(rest.data, ',', rest.size);
		size_t size = comma == NULL ? rest.size : (size_t)(comma - rest.data);
		if (!is_broker(bytes_trim(bytes_at(rest.data, size))))
			settings_table_error(settings->table, key, "broker %zu must have the form host:port", number);
		rest = comma == NULL ? BYTES_NONE : bytes_at(comma + 1, rest.size - size - 1);
	}
}

static void check_base_url(struct settings *settings)
{
	const char *key = "openrouter.base_url";
	struct url url;
	const char *problem;
	if (url_parse(bytes_of(settings->openrouter.base_url), &url, &problem) != STATUS_OK)
		settings_table_error(settings->table, key, "%s", problem);
	else if (!url.is_https && !url.is_loopback && !settings->openrouter.insecure_http)
		settings_table_error(settings->table, key,
			"must begin with https:// (http is for this host itself, or with openrouter.insecure_http)");
	else if (!url.is_https && !url.is_loopback)
		settings_table_warn(settings->table, "openrouter.insecure_http",
			"the key and all chats go over the network in plain text");
}

static void check_proxy(struct settings *settings)
{
	static const char *const schemes[] = { "http://", "https://", "socks4://", "socks4a://", "socks5://",
		"socks5h://" };
	struct bytes proxy = bytes_of(settings->openrouter.proxy);
	bool has_scheme = proxy.size == 0;
	for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
		has_scheme = has_scheme || bytes_starts_with(proxy, bytes_of(schemes[i]));
	if (!has_scheme || !holds_only(proxy, is_graphic))
		settings_table_error(settings->table, "openrouter.proxy", "must be a URL such as http://host:port");
}

static void check_model(struct settings *settings, const char *key, const char *model, size_t number)
{
	struct bytes name = bytes_of(model);
	if (name.size == 0 || name.size > 128 || !holds_only(name, is_graphic))
		settings_table_error(settings->table, key,
			"item %zu must be a model name of 1 to 128 printable ASCII bytes without blanks", number);
}

static bool is_allowed(const struct settings_list *globs, const char *model)
{
	for (size_t i = 0; i < globs->count; i++) {
		if (bytes_match_glob(bytes_of(model), bytes_of(globs->items[i]))) return true;
	}
	return globs->count == 0;
}

static void check_models(struct settings *settings)
{
	const struct settings_list *models = &settings->openrouter.models;
	const struct settings_list *allowed = &settings->openrouter.allowed_models;
	for (size_t i = 0; i < allowed->count; i++)
		check_model(settings, "openrouter.allowed_models", allowed->items[i], i + 1);
	for (size_t i = 0; i < models->count; i++) {
		check_model(settings, "openrouter.models", models->items[i], i + 1);
		if (!is_allowed(allowed, models->items[i]))
			settings_table_warn(settings->table, "openrouter.models",
				"item %zu fits none of openrouter.allowed_models: requests cannot name it", i + 1);
	}
}

static void check_headers(struct settings *settings)
{
	const char *const keys[] = { "openrouter.app_url", "openrouter.app_title", "kafka.group_id",
		"kafka.transactional_id", "kafka.group_instance_id" };
	const char *const texts[] = { settings->openrouter.app_url, settings->openrouter.app_title,
		settings->kafka.group_id, settings->kafka.transactional_id, settings->kafka.group_instance_id };
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		if (!holds_only(bytes_of(texts[i]), is_header))
			settings_table_error(settings->table, keys[i], "must be printable ASCII on one line");
	}
}

static void check_provider(struct settings *settings)
{
	struct bytes provider = bytes_of(settings->openrouter.provider);
	if (provider.size > 0 && !json_text_is_object(provider))
		settings_table_error(settings->table, "openrouter.provider", "must be a JSON object");
}

static void check_fallback(struct settings *settings)
{
	if (bytes_is_blank(bytes_of(settings->fallback.text)))
		settings_table_error(settings->table, "fallback.text", "must not be blank");
	for (size_t i = 0; i < REASON_COUNT; i++) {
		const char *text = settings->fallback_texts[i];
		if (i == REASON_NONE || text[0] == '\0' || !bytes_is_blank(bytes_of(text))) continue;
		char key[128];
		(void)snprintf(key, sizeof key, "fallback.texts.%s", reason_word((enum reason)i));
		settings_table_error(settings->table, key, "must not be blank");
	}
}

static void check_listen(struct settings *settings)
{
	union admin_address address;
	const char *listen = settings->admin.listen;
	if (listen[0] != '\0' && admin_address_parse(listen, &address) != STATUS_OK)
		settings_table_error(settings->table, "admin.listen",
			"must be address:port or [address]:port, with a numeric address and a port from 0 to 65535");
}

void settings_check_texts(struct settings *settings)
{
	check_brokers(settings);
	check_topics(settings);
	check_base_url(settings);
	check_proxy(settings);
	check_models(settings);
	check_headers(settings);
	check_provider(settings);
	check_fallback(settings);
	check_listen(settings);
}

/* Beside the calls: threads, brokers, admin connections and idle connections to the model service. */
enum { OTHER_DESCRIPTORS = 128 };

/* Over HTTP/1.1 every call needs a connection; those that get none wait for one another. */
static void check_descriptors(struct settings *settings)
{
	struct rlimit limit;
	rlim_t needed = (rlim_t)settings->worker.max_in_flight + OTHER_DESCRIPTORS;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) return;
	settings_table_warn(settings->table, "worker.max_in_flight",
		"%" PRId64 " calls at once need more open files than the limit of %" PRIuMAX
		" allows: raise it to %" PRIuMAX " (ulimit -n), or allow fewer calls",
		settings->worker.max_in_flight, (uintmax_t)limit.rlim_cur, (uintmax_t)needed);
}

void settings_check_host(struct settings *settings)
{
	check_descriptors(settings);
	const char *path = settings->openrouter.ca_file;
	FILE *file = path[0] == '\0' ? NULL : fopen(path, "re");
	if (file != NULL)
		(void)fclose(file);
	else if (path[0] != '\0')
		settings_table_error(settings->table, "openrouter.ca_file", "cannot be opened: %s", strerror(errno));
}
