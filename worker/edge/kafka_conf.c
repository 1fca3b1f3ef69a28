/* Properties of our librdkafka handles: see the header. */
#include "worker/edge/kafka_conf.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "common/assertion.h"

enum { NAME_SIZE_MAX = 128, HOST_SIZE_MAX = 256, ENVELOPE_BYTES = 65536 };
enum { MESSAGE_BYTES_MAX = 1000000000 }; /* librdkafka's own bound of message.max.bytes */
enum { FETCH_BYTES = 4194304 };

/* kinds that a row is for, as a set */
enum { FOR_CONSUMER = 1, FOR_PRODUCER = 2, FOR_PLAIN = 4, FOR_BOTH = 3, FOR_ALL = 7 };

struct fixed_property {
	unsigned kinds;
	bool is_optional; /* not known to every librdkafka that we build with */
	const char *name;
	const char *value;
};

static const struct fixed_property FIXED[] = {
	{ FOR_ALL, false, "client.id", "chat-worker" }, /* short: before 2.5.0 long ones crash */
	{ FOR_ALL, false, "socket.nagle.disable", "true" },
	{ FOR_ALL, false, "socket.keepalive.enable", "true" },
	{ FOR_ALL, false, "reconnect.backoff.max.ms", "2000" },
	{ FOR_ALL, true, "enable.metrics.push", "false" },
	{ FOR_CONSUMER, false, "enable.auto.commit", "false" },
	{ FOR_CONSUMER, false, "enable.auto.offset.store", "false" },
	{ FOR_CONSUMER, false, "isolation.level", "read_committed" },
	{ FOR_CONSUMER, false, "partition.assignment.strategy", "cooperative-sticky" },
	{ FOR_CONSUMER, false, "auto.offset.reset", "error" },
	{ FOR_CONSUMER, false, "enable.partition.eof", "true" },
	{ FOR_CONSUMER, false, "fetch.wait.max.ms", "50" },
	{ FOR_CONSUMER, false, "fetch.error.backoff.ms", "100" },
	/* With detached queues these count for each partition. */
	{ FOR_CONSUMER, false, "queued.min.messages", "10000" },
	{ FOR_CONSUMER, false, "queued.max.messages.kbytes", "1024" },
	{ FOR_CONSUMER, true, "fetch.queue.backoff.ms", "50" },
	{ FOR_CONSUMER, true, "group.protocol", "classic" },
	{ FOR_PRODUCER, false, "enable.idempotence", "true" },
	{ FOR_PRODUCER, false, "partitioner", "murmur2_random" }, /* as Java's clients */
	{ FOR_PRODUCER, false, "linger.ms", "1" },
	/* The default of 100 ms is what every transaction would wait that begins right after another one. */
	{ FOR_PRODUCER, false, "retry.backoff.ms", "10" },
	{ FOR_PRODUCER, true, "retry.backoff.max.ms", "100" },
	/* How long a missing topic may still turn up; well below the transaction's time. */
	{ FOR_PRODUCER, false, "topic.metadata.propagation.max.ms", "3000" },
};

struct refused_property {
	unsigned kinds;
	const char *name;
	const char *why;
};

#define WHY_PROMISE "is not to be changed: the delivery promise depends on it"

static const struct refused_property REFUSED[] = {
	{ FOR_BOTH, "enable.auto.commit", WHY_PROMISE },
	{ FOR_BOTH, "auto.commit.enable", WHY_PROMISE },
	{ FOR_BOTH, "enable.auto.offset.store", WHY_PROMISE },
	{ FOR_BOTH, "isolation.level", WHY_PROMISE },
	{ FOR_BOTH, "partition.assignment.strategy", WHY_PROMISE },
	{ FOR_BOTH, "group.protocol", WHY_PROMISE },
	{ FOR_BOTH, "auto.offset.reset", "has a setting of its own: kafka.start_from" },
	{ FOR_BOTH, "group.id", "has a setting of its own: kafka.group_id" },
	{ FOR_BOTH, "group.instance.id", "has a setting of its own: kafka.group_instance_id" },
	{ FOR_BOTH, "session.timeout.ms", "has a setting of its own: kafka.session_timeout_ms" },
	{ FOR_BOTH, "heartbeat.interval.ms", "has a setting of its own: kafka.heartbeat_interval_ms" },
	{ FOR_BOTH, "max.poll.interval.ms", "has a setting of its own: kafka.max_poll_interval_ms" },
	{ FOR_BOTH, "transactional.id", "has a setting of its own: kafka.transactional_id" },
	{ FOR_BOTH, "enable.idempotence", WHY_PROMISE },
	{ FOR_BOTH, "acks", WHY_PROMISE },
	{ FOR_BOTH, "request.required.acks", WHY_PROMISE },
	{ FOR_BOTH, "partitioner", WHY_PROMISE },
	{ FOR_BOTH, "delivery.report.only.error", WHY_PROMISE },
	{ FOR_ALL, "log.queue", WHY_PROMISE },
};

static unsigned set_of(enum kafka_conf_kind kind)
{
	switch (kind) {
	case KAFKA_CONF_CONSUMER:
		return FOR_CONSUMER;
	case KAFKA_CONF_PRODUCER:
		return FOR_PRODUCER;
	case KAFKA_CONF_PLAIN:
		return FOR_PLAIN;
	}
	ASSERT_UNREACHABLE();
}

/* Any thread of librdkafka. */
static void write_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	const struct kafka_owner *owner = rd_kafka_opaque(rk);
	if (owner == NULL || owner->log == NULL) return;
	/* A broker that is away is an error to librdkafka; to us it is something to wait for. */
	enum log_level ours = level < LOG_ERR        ? LOG_LEVEL_ERROR
			      : level <= LOG_WARNING ? LOG_LEVEL_WARN
			      : level <= LOG_INFO    ? LOG_LEVEL_INFO
						     : LOG_LEVEL_DEBUG;
	log_event(owner->log, ours, "librdkafka",
		LOG_FIELDS(log_string("client", rd_kafka_type(rk) == RD_KAFKA_CONSUMER ? "consumer" : "producer"),
			log_string("facility", facility), log_string("text", text)));
}

static enum status refuse(struct kafka_conf_error *out_error, const char *name, const char *why)
{
	if (out_error != NULL)
		(void)snprintf(out_error->text, sizeof(out_error->text), "librdkafka property %s %s", name, why);
	return STATUS_INVALID;
}

/* What librdkafka says about a bad value may quote it, so it is not passed on for secrets. */
static enum status set(rd_kafka_conf_t *conf, const char *name, const char *value, struct kafka_conf_error *out_error)
{
	char text[KAFKA_CONF_ERROR_SIZE] = "";
	if (rd_kafka_conf_set(conf, name, value, text, sizeof(text)) == RD_KAFKA_CONF_OK) return STATUS_OK;
	if (settings_property_is_secret(bytes_of(name))) return refuse(out_error, name, "is refused by librdkafka");
	char why[KAFKA_CONF_ERROR_SIZE + 32];
	(void)snprintf(why, sizeof(why), "is refused: %s", text);
	return refuse(out_error, name, why);
}

static enum status set_number(
	rd_kafka_conf_t *conf, const char *name, int64_t number, struct kafka_conf_error *out_error)
{
	char text[24];
	(void)snprintf(text, sizeof(text), "%lld", (long long)number);
	return set(conf, name, text, out_error);
}

static enum status set_fixed(rd_kafka_conf_t *conf, unsigned kinds, struct kafka_conf_error *out_error)
{
	for (size_t i = 0; i < sizeof(FIXED) / sizeof(FIXED[0]); i++) {
		const struct fixed_property *row = &FIXED[i];
		if ((row->kinds & kinds) == 0) continue;
		enum status status = set(conf, row->name, row->value, row->is_optional ? NULL : out_error);
		if (status != STATUS_OK && !row->is_optional) return status;
	}
	return STATUS_OK;
}

/* Room for the largest reply and the largest dead letter; what a topic refuses all the same comes back as a fault. */
static int64_t message_max_bytes(const struct settings *settings)
{
	int64_t largest = settings->limits.record_bytes > settings->openrouter.response_max_bytes
				  ? settings->limits.record_bytes
				  : settings->openrouter.response_max_bytes;
	if (largest >= MESSAGE_BYTES_MAX / 2) return MESSAGE_BYTES_MAX;
	return largest * 2 + ENVELOPE_BYTES;
}

static enum status set_common(
	rd_kafka_conf_t *conf, const struct settings *settings, struct kafka_conf_error *out_error)
{
	enum status status = set(conf, "bootstrap.servers", settings->kafka.bootstrap_servers, out_error);
	if (status != STATUS_OK) return status;
	return set_number(conf, "message.max.bytes", message_max_bytes(settings), out_error);
}

/* What one answer to a fetch may hold: the default of 50 MB would be most of a small pod's memory. Never less than one
 * record. */
static int64_t fetch_max_bytes(const struct settings *settings)
{
	int64_t largest = message_max_bytes(settings);
	return largest > FETCH_BYTES ? largest : FETCH_BYTES;
}

static enum status set_consumer(
	rd_kafka_conf_t *conf, const struct settings *settings, struct kafka_conf_error *out_error)
{
	const struct {
		const char *name;
		int64_t number;
	} numbers[] = {
		{ "session.timeout.ms", settings->kafka.session_timeout_ms },
		{ "heartbeat.interval.ms", settings->kafka.heartbeat_interval_ms },
		{ "max.poll.interval.ms", settings->kafka.max_poll_interval_ms },
		{ "fetch.max.bytes", fetch_max_bytes(settings) },
	};
	enum status status = set(conf, "group.id", settings->kafka.group_id, out_error);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && status == STATUS_OK; i++)
		status = set_number(conf, numbers[i].name, numbers[i].number, out_error);
	if (status != STATUS_OK || *settings->kafka.group_instance_id == '\0') return status;
	return set(conf, "group.instance.id", settings->kafka.group_instance_id, out_error);
}

static enum status set_producer(
	rd_kafka_conf_t *conf, const struct settings *settings, struct kafka_conf_error *out_error)
{
	switch (settings->kafka.delivery) {
	case SETTINGS_DELIVERY_AT_LEAST_ONCE:
		return set_number(conf, "message.timeout.ms", 10000, out_error);
	case SETTINGS_DELIVERY_EXACTLY_ONCE:
		break;
	}
	char id[KAFKA_CONF_ID_SIZE];
	kafka_conf_transactional_id(settings, id, sizeof(id));
	enum status status = set(conf, "transactional.id", id, out_error);
	if (status != STATUS_OK) return status;
	return set_number(conf, "transaction.timeout.ms", 10000, out_error);
}

static enum status set_kind(rd_kafka_conf_t *conf, const struct settings *settings, enum kafka_conf_kind kind,
	struct kafka_conf_error *out_error)
{
	switch (kind) {
	case KAFKA_CONF_CONSUMER:
		return set_consumer(conf, settings, out_error);
	case KAFKA_CONF_PRODUCER:
		return set_producer(conf, settings, out_error);
	case KAFKA_CONF_PLAIN:
		return STATUS_OK;
	}
	ASSERT_UNREACHABLE();
}

static const char *reason_to_refuse(const char *name, unsigned kinds)
{
	for (size_t i = 0; i < sizeof(REFUSED) / sizeof(REFUSED[0]); i++)
		if ((REFUSED[i].kinds & kinds) != 0 && strcmp(REFUSED[i].name, name) == 0) return REFUSED[i].why;
	return NULL;
}

struct given_conf {
	rd_kafka_conf_t *conf;
	unsigned kinds;
	struct log *log;
	struct kafka_conf_error *out_error;
};

/* One "name=value". */
static enum status set_given(const struct given_conf *given, const char *item)
{
	const char *equals = strchr(item, '=');
	char name[NAME_SIZE_MAX];
	if (equals == NULL || equals == item || (size_t)(equals - item) >= sizeof(name))
		return refuse(given->out_error, "?", "is not of the form name=value");
	memcpy(name, item, (size_t)(equals - item));
	name[equals - item] = '\0';
	const char *why = reason_to_refuse(name, given->kinds);
	if (why != NULL) return refuse(given->out_error, name, why);
	if (settings_property_is_secret(bytes_of(name)) && given->log != NULL) {
		/* Too short to be masked, or masked already: both are fine. */
		enum status redacted = log_redact(given->log, bytes_of(equals + 1));
		(void)redacted;
	}
	return set(given->conf, name, equals + 1, given->out_error);
}

static enum status set_list(const struct given_conf *given, const struct settings_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		enum status status = set_given(given, list->items[i]);
		if (status != STATUS_OK) return status;
	}
	return STATUS_OK;
}

static enum status set_all_given(
	const struct given_conf *given, const struct settings *settings, enum kafka_conf_kind kind)
{
	enum status status = set_list(given, &settings->kafka.properties);
	if (status != STATUS_OK) return status;
	switch (kind) {
	case KAFKA_CONF_CONSUMER:
		return set_list(given, &settings->kafka.consumer_properties);
	case KAFKA_CONF_PRODUCER:
		return set_list(given, &settings->kafka.producer_properties);
	case KAFKA_CONF_PLAIN:
		return STATUS_OK;
	}
	ASSERT_UNREACHABLE();
}

enum status kafka_conf_new(const struct settings *settings, enum kafka_conf_kind kind, struct kafka_owner *owner,
	rd_kafka_conf_t **out_conf, struct kafka_conf_error *out_error)
{
	ASSERT(owner != NULL);
	ASSERT(out_conf != NULL);
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_conf_set_log_cb(conf, write_log);
	rd_kafka_conf_set_opaque(conf, owner);
	const struct given_conf given = { conf, set_of(kind), owner->log, out_error };
	enum status status = set_fixed(conf, given.kinds, out_error);
	if (status == STATUS_OK) status = set_common(conf, settings, out_error);
	if (status == STATUS_OK) status = set_kind(conf, settings, kind, out_error);
	if (status == STATUS_OK) status = set_all_given(&given, settings, kind);
	if (status != STATUS_OK) {
		rd_kafka_conf_destroy(conf);
		return status;
	}
	*out_conf = conf;
	return STATUS_OK;
}

void kafka_conf_transactional_id(const struct settings *settings, char *out_id, size_t size)
{
	ASSERT(size > 0);
	if (*settings->kafka.transactional_id != '\0') {
		(void)snprintf(out_id, size, "%s", settings->kafka.transactional_id);
		return;
	}
	char host[HOST_SIZE_MAX];
	if (gethostname(host, sizeof(host)) != 0) host[0] = '\0';
	host[sizeof(host) - 1] = '\0';
	(void)snprintf(out_id, size, "%s-%s", settings->kafka.group_id, host);
}

int64_t kafka_conf_number(const rd_kafka_conf_t *conf, const char *name)
{
	char text[24];
	size_t size = sizeof(text);
	int64_t number = -1;
	if (rd_kafka_conf_get(conf, name, text, &size) != RD_KAFKA_CONF_OK) return -1;
	return bytes_to_int64(bytes_of(text), &number) == STATUS_OK ? number : -1;
}
