#include "worker/edge/kafka_probe.h"

#include <string.h>

#include "worker/edge/kafka_conf.h"

static void tell(enum status status, const char *text, struct buffer *out_problem)
{
	buffer_append_text(out_problem, text[0] == '\0' ? status_text(status) : text);
}

enum status kafka_probe_properties(const struct settings *settings, struct buffer *out_problem)
{
	static const enum kafka_conf_kind kinds[] = { KAFKA_CONF_CONSUMER, KAFKA_CONF_PRODUCER };
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		struct kafka_owner owner = { .log = NULL };
		struct kafka_conf_error error = { "" };
		rd_kafka_conf_t *conf = NULL;
		enum status status = kafka_conf_new(settings, kinds[i], &owner, &conf, &error);
		if (status != STATUS_OK) {
			tell(status, error.text, out_problem);
			return status;
		}
		rd_kafka_conf_destroy(conf);
	}
	return STATUS_OK;
}

static bool has_topic(const struct rd_kafka_metadata *metadata, const char *name)
{
	for (int i = 0; i < metadata->topic_cnt; i++) {
		if (strcmp(metadata->topics[i].topic, name) == 0)
			return metadata->topics[i].err == RD_KAFKA_RESP_ERR_NO_ERROR;
	}
	return false;
}

static void look_for(const struct rd_kafka_metadata *metadata, const char *name, struct buffer *out_missing)
{
	if (has_topic(metadata, name)) return;
	buffer_append_format(out_missing, "%s%s", out_missing->size == 0 ? "" : ", ", name);
}

static enum status check_topics(
	const struct rd_kafka_metadata *metadata, const struct settings *settings, struct buffer *out_problem)
{
	struct buffer missing;
	buffer_init(&missing, 4096);
	look_for(metadata, settings->kafka.requests_topic, &missing);
	look_for(metadata, settings->kafka.responses_topic, &missing);
	if (settings->kafka.dead_letter_on.count > 0) look_for(metadata, settings->kafka.dead_letter_topic, &missing);
	for (size_t i = 0; i < settings->kafka.reply_topics.count; i++)
		look_for(metadata, settings->kafka.reply_topics.items[i], &missing);
	bool is_missing = missing.size > 0;
	if (is_missing)
		buffer_append_format(out_problem, "the brokers do not have or do not show these topics: %.*s",
			(int)missing.size, missing.data);
	buffer_deinit(&missing);
	return is_missing ? STATUS_NOT_FOUND : STATUS_OK;
}

static enum status new_handle(
	const struct settings *settings, struct kafka_owner *owner, rd_kafka_t **out_handle, struct buffer *out_problem)
{
	struct kafka_conf_error error = { "" };
	rd_kafka_conf_t *conf = NULL;
	enum status status = kafka_conf_new(settings, KAFKA_CONF_PLAIN, owner, &conf, &error);
	if (status == STATUS_OK) {
		*out_handle = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error.text, sizeof error.text);
		if (*out_handle != NULL) return STATUS_OK;
		rd_kafka_conf_destroy(conf);
		status = STATUS_INVALID;
	}
	tell(status, error.text, out_problem);
	return status;
}

enum status kafka_probe_brokers(const struct settings *settings, int timeout_ms, struct buffer *out_problem)
{
	struct kafka_owner owner = { .log = NULL };
	rd_kafka_t *handle = NULL;
	enum status status = new_handle(settings, &owner, &handle, out_problem);
	if (status != STATUS_OK) return status;
	const struct rd_kafka_metadata *metadata = NULL;
	rd_kafka_resp_err_t code = rd_kafka_metadata(handle, 1, NULL, &metadata, timeout_ms);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
		status = check_topics(metadata, settings, out_problem);
		rd_kafka_metadata_destroy(metadata);
	} else {
		status = STATUS_TIMEOUT;
		buffer_append_format(
			out_problem, "no broker answered within %d ms: %s", timeout_ms, rd_kafka_err2str(code));
	}
	rd_kafka_destroy(handle);
	return status;
}

const char *kafka_probe_version(void)
{
	return rd_kafka_version_str();
}

void kafka_probe_features(char *out_text, size_t size)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	out_text[0] = '\0';
	if (rd_kafka_conf_get(conf, "builtin.features", out_text, &size) != RD_KAFKA_CONF_OK) out_text[0] = '\0';
	rd_kafka_conf_destroy(conf);
}
