/* kafka_conf: our properties, the operator's, and those nobody may touch. */
#include "worker/edge/kafka_conf.h"

#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/kafka_fixture.h"

static struct settings some_settings(void)
{
	struct settings settings;
	fixture_fill_settings(&settings, "127.0.0.1:1");
	return settings;
}

static rd_kafka_conf_t *make(const struct settings *settings, enum kafka_conf_kind kind)
{
	static struct kafka_owner owner;
	rd_kafka_conf_t *conf = NULL;
	struct kafka_conf_error error = { "" };
	enum status status = kafka_conf_new(settings, kind, &owner, &conf, &error);
	if (status != STATUS_OK) fail_msg("%s", error.text);
	return conf;
}

static void assert_property(const rd_kafka_conf_t *conf, const char *name, const char *expected)
{
	char value[256] = "";
	size_t size = sizeof(value);
	assert_int_equal(rd_kafka_conf_get(conf, name, value, &size), RD_KAFKA_CONF_OK);
	assert_string_equal(value, expected);
}

static void new_consumer_keepsThePromise(void **state)
{
	(void)state;
	struct settings settings = some_settings();
	settings.kafka.group_instance_id = "pod-1";
	rd_kafka_conf_t *conf = make(&settings, KAFKA_CONF_CONSUMER);
	assert_property(conf, "bootstrap.servers", "127.0.0.1:1");
	assert_property(conf, "group.id", "group");
	assert_property(conf, "group.instance.id", "pod-1");
	assert_property(conf, "session.timeout.ms", "4000");
	assert_property(conf, "heartbeat.interval.ms", "100");
	assert_property(conf, "max.poll.interval.ms", "30000");
	assert_property(conf, "enable.auto.commit", "false");
	assert_property(conf, "enable.auto.offset.store", "false");
	assert_property(conf, "isolation.level", "read_committed");
	assert_property(conf, "partition.assignment.strategy", "cooperative-sticky");
	assert_property(conf, "auto.offset.reset", "error");
	assert_property(conf, "socket.nagle.disable", "true");
	rd_kafka_conf_destroy(conf);
}

static void new_transactionalProducer_hasIdAndTime(void **state)
{
	(void)state;
	struct settings settings = some_settings();
	rd_kafka_conf_t *conf = make(&settings, KAFKA_CONF_PRODUCER);
	assert_property(conf, "transactional.id", "test-id");
	assert_property(conf, "enable.idempotence", "true");
	assert_property(conf, "partitioner", "murmur2_random");
	assert_property(conf, "retry.backoff.ms", "10");
	assert_int_equal(kafka_conf_number(conf, "transaction.timeout.ms"), 10000);
	rd_kafka_conf_destroy(conf);
}

static void new_plainProducer_hasNoTransactionalId(void **state)
{
	(void)state;
	struct settings settings = some_settings();
	settings.kafka.delivery = SETTINGS_DELIVERY_AT_LEAST_ONCE;
	rd_kafka_conf_t *conf = make(&settings, KAFKA_CONF_PRODUCER);
	char value[64] = "";
	size_t size = sizeof(value);
	rd_kafka_conf_res_t result = rd_kafka_conf_get(conf, "transactional.id", value, &size);
	assert_true(result == RD_KAFKA_CONF_UNKNOWN || value[0] == '\0');
	assert_property(conf, "enable.idempotence", "true");
	rd_kafka_conf_destroy(conf);
}

static void new_messageSizes_coverTheLimits(void **state)
{
	(void)state;
	struct settings settings = some_settings();
	settings.limits.record_bytes = 5000000;
	rd_kafka_conf_t *conf = make(&settings, KAFKA_CONF_PLAIN);
	assert_true(kafka_conf_number(conf, "message.max.bytes") >= 10000000);
	rd_kafka_conf_destroy(conf);
	settings.limits.record_bytes = 900000000;
	conf = make(&settings, KAFKA_CONF_PLAIN);
	assert_int_equal(kafka_conf_number(conf, "message.max.bytes"), 1000000000);
	rd_kafka_conf_destroy(conf);
}

static void new_givenProperties_laterWins(void **state)
{
	(void)state;
	struct settings settings = some_settings();
	const char *common[] = { "fetch.wait.max.ms=11", "linger.ms=3" };
	const char *consumer[] = { "fetch.wait.max.ms=12" };
	const char *producer[] = { "linger.ms=4", "transaction.timeout.ms=3000" };
	settings.kafka.properties = (struct settings_list){ common, 2 };
	settings.kafka.consumer_properties = (struct settings_list){ consumer, 1 };
	settings.kafka.producer_properties = (struct settings_list){ producer, 2 };
	rd_kafka_conf_t *conf = make(&settings, KAFKA_CONF_CONSUMER);
	assert_int_equal(kafka_conf_number(conf, "fetch.wait.max.ms"), 12);
	assert_int_equal(kafka_conf_number(conf, "linger.ms"), 3);
	rd_kafka_conf_destroy(conf);
	conf = make(&settings, KAFKA_CONF_PRODUCER);
	assert_int_equal(kafka_conf_number(conf, "linger.ms"), 4);
	assert_int_equal(kafka_conf_number(conf, "transaction.timeout.ms"), 3000);
	/* The handle takes it as well: the message's time is not left above the transaction's. */
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
	assert_non_null(rk);
	rd_kafka_destroy(rk);
}

static void assert_refused(const char *item, const char *named)
{
	struct settings settings = some_settings();
	struct kafka_owner owner = { NULL, NULL };
	struct kafka_conf_error error = { "" };
	rd_kafka_conf_t *conf = NULL;
	settings.kafka.properties = (struct settings_list){ &item, 1 };
	assert_int_equal(kafka_conf_new(&settings, KAFKA_CONF_CONSUMER, &owner, &conf, &error), STATUS_INVALID);
	assert_null(conf);
	if (strstr(error.text, named) == NULL) fail_msg("%s: %s", item, error.text);
	assert_int_equal(kafka_conf_new(&settings, KAFKA_CONF_PRODUCER, &owner, &conf, NULL), STATUS_INVALID);
}

static void new_forbiddenProperties_areRefusedByName(void **state)
{
	(void)state;
	assert_refused("isolation.level=read_uncommitted", "isolation.level");
	assert_refused("enable.auto.commit=true", "enable.auto.commit");
	assert_refused("auto.commit.enable=true", "auto.commit.enable");
	assert_refused("enable.auto.offset.store=true", "enable.auto.offset.store");
	assert_refused("enable.idempotence=false", "enable.idempotence");
	assert_refused("partitioner=random", "partitioner");
	assert_refused("acks=1", "acks");
	assert_refused("request.required.acks=0", "request.required.acks");
	assert_refused("delivery.report.only.error=true", "delivery.report.only.error");
	assert_refused("partition.assignment.strategy=range", "partition.assignment.strategy");
	assert_refused("auto.offset.reset=latest", "kafka.start_from");
	assert_refused("group.id=other", "kafka.group_id");
	assert_refused("transactional.id=other", "kafka.transactional_id");
}

static void new_wrongProperties_areRefusedWithReason(void **state)
{
	(void)state;
	assert_refused("no.such.property=1", "no.such.property");
	assert_refused("fetch.wait.max.ms=soon", "fetch.wait.max.ms");
	assert_refused("nothing", "name=value");
	assert_refused("=1", "name=value");
}

static void new_badSecret_isNotInTheError(void **state)
{
	(void)state;
	struct settings settings = some_settings();
	struct kafka_owner owner = { NULL, NULL };
	struct kafka_conf_error error = { "" };
	rd_kafka_conf_t *conf = NULL;
	/* An unknown property that sounds like a secret: its value stays out of the sentence. */
	const char *item = "sasl.password.typo=hunter2hunter2";
	settings.kafka.properties = (struct settings_list){ &item, 1 };
	assert_int_equal(kafka_conf_new(&settings, KAFKA_CONF_CONSUMER, &owner, &conf, &error), STATUS_INVALID);
	assert_null(strstr(error.text, "hunter2"));
	assert_non_null(strstr(error.text, "sasl.password.typo"));
}

/* What librdkafka says goes to our log, with the secret of a property masked. */
static void log_librdkafkaLine_isOursAndMasked(void **state)
{
	(void)state;
	int pipe_fds[2];
	assert_int_equal(pipe(pipe_fds), 0);
	const struct log_options options = { .fd = pipe_fds[1], .level = LOG_LEVEL_DEBUG, .format = LOG_FORMAT_LOGFMT };
	struct log *log = log_new(&options);
	assert_non_null(log);
	struct settings settings = some_settings();
	const char *items[] = { "sasl.password=hunter2hunter2", "client.id=hunter2hunter2" };
	settings.kafka.properties = (struct settings_list){ items, 2 };
	struct kafka_owner owner = { .log = log };
	rd_kafka_conf_t *conf = NULL;
	assert_int_equal(kafka_conf_new(&settings, KAFKA_CONF_PLAIN, &owner, &conf, NULL), STATUS_OK);
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
	assert_non_null(rk);
	/* Port 1 refuses; the line names the client by its id. */
	struct pollfd readable = { .fd = pipe_fds[0], .events = POLLIN };
	assert_int_equal(poll(&readable, 1, WAIT_MS), 1);
	rd_kafka_destroy(rk);
	log_free(log);
	char text[8192] = "";
	assert_true(read(pipe_fds[0], text, sizeof(text) - 1) > 0);
	assert_non_null(strstr(text, "librdkafka"));
	assert_null(strstr(text, "hunter2"));
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void transactionalId_notGiven_isGroupAndHost(void **state)
{
	(void)state;
	struct settings settings = some_settings();
	settings.kafka.transactional_id = "";
	char id[KAFKA_CONF_ID_SIZE] = "", host[256] = "", expected[300];
	assert_int_equal(gethostname(host, sizeof(host) - 1), 0);
	(void)snprintf(expected, sizeof(expected), "group-%s", host);
	kafka_conf_transactional_id(&settings, id, sizeof(id));
	assert_string_equal(id, expected);
	kafka_conf_transactional_id(&settings, id, 4);
	assert_string_equal(id, "gro");
	settings.kafka.transactional_id = "mine";
	kafka_conf_transactional_id(&settings, id, sizeof(id));
	assert_string_equal(id, "mine");
}

static void number_notANumber_isMinusOne(void **state)
{
	(void)state;
	struct settings settings = some_settings();
	rd_kafka_conf_t *conf = make(&settings, KAFKA_CONF_PLAIN);
	assert_int_equal(kafka_conf_number(conf, "client.id"), -1);
	assert_int_equal(kafka_conf_number(conf, "no.such.property"), -1);
	rd_kafka_conf_destroy(conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_consumer_keepsThePromise),
		cmocka_unit_test(new_transactionalProducer_hasIdAndTime),
		cmocka_unit_test(new_plainProducer_hasNoTransactionalId),
		cmocka_unit_test(new_messageSizes_coverTheLimits),
		cmocka_unit_test(new_givenProperties_laterWins),
		cmocka_unit_test(new_forbiddenProperties_areRefusedByName),
		cmocka_unit_test(new_wrongProperties_areRefusedWithReason),
		cmocka_unit_test(new_badSecret_isNotInTheError),
		cmocka_unit_test(log_librdkafkaLine_isOursAndMasked),
		cmocka_unit_test(transactionalId_notGiven_isGroupAndHost),
		cmocka_unit_test(number_notANumber_isMinusOne),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
