/* Handles, partitions and bounds: see the header. */
#include "replay/kafka_setup.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"

enum { ERROR_SIZE = 256, NAME_SIZE = 128, RETRY_MS = 50 };

static enum status set(rd_kafka_conf_t *conf, const char *name, const char *value, char *out_problem)
{
	char error[ERROR_SIZE];
	if (rd_kafka_conf_set(conf, name, value, error, sizeof error) == RD_KAFKA_CONF_OK) return STATUS_OK;
	snprintf(out_problem, KAFKA_PROBLEM_MAX, "property %s: %s", name, error);
	return STATUS_INVALID;
}

static enum status set_text(rd_kafka_conf_t *conf, const char *text, char *out_problem)
{
	char name[NAME_SIZE];
	const char *equals = strchr(text, '=');
	if (equals == NULL || (size_t)(equals - text) >= sizeof name) {
		snprintf(out_problem, KAFKA_PROBLEM_MAX, "'%.100s' is not of the form name=value", text);
		return STATUS_INVALID;
	}
	memcpy(name, text, (size_t)(equals - text));
	name[equals - text] = 0;
	return set(conf, name, equals + 1, out_problem);
}

static enum status set_all(rd_kafka_conf_t *conf, const struct kafka_setup *setup, char *out_problem)
{
	enum status status = set(conf, "bootstrap.servers", setup->brokers, out_problem);
	if (status == STATUS_OK) status = set(conf, "client.id", "chat-replay", out_problem);
	if (status == STATUS_OK) status = set(conf, "socket.nagle.disable", "true", out_problem);
	for (size_t i = 0; status == STATUS_OK && i < setup->own_count; i++)
		status = set(conf, setup->own[i].name, setup->own[i].value, out_problem);
	for (size_t i = 0; status == STATUS_OK && i < setup->property_count; i++)
		status = set_text(conf, setup->properties[i], out_problem);
	return status;
}

enum status kafka_setup_handle(const struct kafka_setup *setup, rd_kafka_type_t type, rd_kafka_conf_t *conf,
	char out_problem[static KAFKA_PROBLEM_MAX], rd_kafka_t **out_handle)
{
	rd_kafka_conf_set_log_cb(conf, NULL);
	enum status status = set_all(conf, setup, out_problem);
	rd_kafka_t *handle = NULL;
	if (status == STATUS_OK) {
		char error[ERROR_SIZE];
		handle = rd_kafka_new(type, conf, error, sizeof error);
		if (handle == NULL) {
			snprintf(out_problem, KAFKA_PROBLEM_MAX, "%s", error);
			status = STATUS_INVALID;
		}
	}
	if (handle != NULL)
		*out_handle = handle;
	else
		rd_kafka_conf_destroy(conf);
	return status;
}

enum status kafka_setup_partitions(rd_kafka_t *handle, const char *topic, int timeout_ms,
	char out_problem[static KAFKA_PROBLEM_MAX], int32_t *out_count)
{
	const rd_kafka_metadata_t *metadata = NULL;
	rd_kafka_topic_t *named = rd_kafka_topic_new(handle, topic, NULL);
	if (named == NULL) return STATUS_NO_MEMORY;
	rd_kafka_resp_err_t error = rd_kafka_metadata(handle, 0, named, &metadata, timeout_ms);
	rd_kafka_topic_destroy(named);
	if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
		snprintf(out_problem, KAFKA_PROBLEM_MAX, "no broker answers: %s", rd_kafka_err2str(error));
		return STATUS_CLOSED;
	}
	enum status status = STATUS_NOT_FOUND;
	if (metadata->topic_cnt == 1 && metadata->topics[0].partition_cnt > 0) {
		*out_count = metadata->topics[0].partition_cnt;
		status = STATUS_OK;
	} else {
		snprintf(out_problem, KAFKA_PROBLEM_MAX, "there is no topic %s", topic);
	}
	rd_kafka_metadata_destroy(metadata);
	return status;
}

/* A topic that was just made is known before its partitions have leaders. */
static bool is_passing(rd_kafka_resp_err_t error)
{
	return error == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION || error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
	       error == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE || error == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
	       error == RD_KAFKA_RESP_ERR__WAIT_CACHE;
}

enum status kafka_setup_bounds(rd_kafka_t *handle, const rd_kafka_topic_partition_t *place, int timeout_ms,
	char out_problem[static KAFKA_PROBLEM_MAX], int64_t *out_start, int64_t *out_end)
{
	int64_t until_ms = clock_now().mono_ms + timeout_ms;
	for (;;) {
		rd_kafka_resp_err_t error = rd_kafka_query_watermark_offsets(
			handle, place->topic, place->partition, out_start, out_end, timeout_ms);
		if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return STATUS_OK;
		if (!is_passing(error) || clock_now().mono_ms >= until_ms) {
			snprintf(out_problem, KAFKA_PROBLEM_MAX, "%s [%d]: %s", place->topic, (int)place->partition,
				rd_kafka_err2str(error));
			return STATUS_CLOSED;
		}
		(void)rd_kafka_poll(handle, RETRY_MS);
	}
}
