/* One producer after the other. See publisher_state.h. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "common/assertion.h"
#include "common/clock.h"
#include "worker/edge/publisher_state.h"
#include "worker/metrics_table.h"

enum {
	METADATA_MS = 1000,
	BACKOFF_FIRST_MS = 500,
	BACKOFF_MAX_MS = 30000,
	TWIN_WINDOW_MS = 60000, /* fenced twice within this: another process does it */
};

static const char *restart_word(enum publisher_reason reason)
{
#define ROW(member, word) \
	case member:      \
		return word;
	switch (reason) {
		PUBLISHER_REASON_TABLE(ROW)
	}
#undef ROW
	ASSERT_UNREACHABLE();
}

bool publisher_is_stopping(const struct publisher *publisher)
{
	watchdog_beat(publisher->pulse);
	return atomic_load(&publisher->is_stopping);
}

bool publisher_pause(const struct publisher *publisher, int64_t pause_ms)
{
	struct pollfd stop = { .fd = publisher->stop_fd, .events = POLLIN };
	int64_t end_ms = clock_now().mono_ms + pause_ms;
	for (int64_t left = pause_ms; left > 0 && !publisher_is_stopping(publisher);
		left = end_ms - clock_now().mono_ms) {
		watchdog_rest(publisher->pulse); /* stuck_ms may be less than the pause */
		(void)poll(&stop, 1, (int)left);
	}
	return publisher_is_stopping(publisher);
}

static enum status make_conf(struct publisher *publisher, rd_kafka_conf_t **out_conf)
{
	struct kafka_conf_error error = { "" };
	rd_kafka_conf_t *conf = NULL;
	enum status status = kafka_conf_new(publisher->settings, KAFKA_CONF_PRODUCER, &publisher->owner, &conf, &error);
	if (status != STATUS_OK) {
		log_event(publisher->log, LOG_LEVEL_ERROR, "the producer's configuration was refused",
			LOG_FIELDS(log_string("reason", error.text)));
		return status;
	}
	/* Without this callback flush() would wake only every 10 ms. */
	rd_kafka_conf_set_dr_msg_cb(conf, publisher_on_delivery);
	publisher->transaction_ms =
		kafka_conf_number(conf, publisher->is_transactional ? "transaction.timeout.ms" : "message.timeout.ms");
	*out_conf = conf;
	return STATUS_OK;
}

static const char *topic_name(const struct publisher *publisher, size_t index)
{
	const struct settings *settings = publisher->settings;
	if (index == 0) return settings->kafka.responses_topic;
	if (index == 1) return settings->kafka.dead_letter_topic;
	return settings->kafka.reply_topics.items[index - 2];
}

static enum status open_topics(struct publisher *publisher)
{
	size_t count = 2 + publisher->settings->kafka.reply_topics.count;
	publisher->topics = calloc(count, sizeof(*publisher->topics));
	if (publisher->topics == NULL) return STATUS_NO_MEMORY;
	publisher->topic_count = count;
	for (size_t i = 0; i < count; i++)
		publisher->topics[i] = rd_kafka_topic_new(publisher->rk, topic_name(publisher, i), NULL);
	return STATUS_OK;
}

enum status publisher_session_open(struct publisher *publisher)
{
	ASSERT(publisher->rk == NULL);
	rd_kafka_conf_t *conf = NULL;
	enum status status = make_conf(publisher, &conf);
	if (status != STATUS_OK) return status;
	struct kafka_conf_error error = { "" };
	status = kafka_watch_open(&publisher->watch, RD_KAFKA_PRODUCER, conf, &error, &publisher->rk);
	if (status != STATUS_OK) {
		log_event(publisher->log, LOG_LEVEL_ERROR, "the producer cannot be made",
			LOG_FIELDS(log_string("reason", error.text)));
		return status;
	}
	return open_topics(publisher);
}

void publisher_session_close(struct publisher *publisher)
{
	atomic_store(&publisher->is_ready, false);
	for (size_t i = 0; i < publisher->topic_count; i++)
		if (publisher->topics[i] != NULL) rd_kafka_topic_destroy(publisher->topics[i]);
	free(publisher->topics);
	publisher->topics = NULL;
	publisher->topic_count = 0;
	/* Waits for threads that may be asking for the name of a broker, for as long as the resolver does. */
	watchdog_rest(publisher->pulse);
	if (publisher->rk != NULL) rd_kafka_destroy(publisher->rk);
	publisher->rk = NULL;
	publisher->undelivered = 0;
}

/* STATUS_IO: no broker has answered. `out_code` is what it says of the topic. */
static enum status ask_topic(const struct publisher *publisher, rd_kafka_topic_t *topic, rd_kafka_resp_err_t *out_code)
{
	const struct rd_kafka_metadata *metadata = NULL;
	*out_code = rd_kafka_metadata(publisher->rk, 0, topic, &metadata, METADATA_MS);
	if (*out_code != RD_KAFKA_RESP_ERR_NO_ERROR) return STATUS_IO;
	if (metadata->topic_cnt > 0) *out_code = metadata->topics[0].err;
	rd_kafka_metadata_destroy(metadata);
	return STATUS_OK;
}

/* Without transactions there is nothing to initialise, but a broker must be there. */
static enum status reach_broker(const struct publisher *publisher)
{
	rd_kafka_resp_err_t code;
	while (!publisher_is_stopping(publisher))
		if (ask_topic(publisher, publisher->topics[0], &code) == STATUS_OK) return STATUS_OK;
	return STATUS_CLOSED;
}

/* A first record to a topic that the producer does not know yet waits up to a second. A topic that is not there is told
 * of here, and again by every batch that wants it. */
static void warm_topic(const struct publisher *publisher, rd_kafka_topic_t *topic)
{
	rd_kafka_resp_err_t code;
	enum status status = ask_topic(publisher, topic, &code);
	if (status == STATUS_OK && code == RD_KAFKA_RESP_ERR_NO_ERROR) return;
	log_event(publisher->log, LOG_LEVEL_WARN, "topic cannot be written to yet",
		LOG_FIELDS(
			log_string("topic", rd_kafka_topic_name(topic)), log_string("error", rd_kafka_err2name(code))));
}

/* Back-off doubles from one failure to the next. True when the publisher stops. */
static bool back_off(struct publisher *publisher)
{
	int64_t pause_ms = publisher->backoff_ms;
	publisher->backoff_ms = pause_ms == 0 ? BACKOFF_FIRST_MS : pause_ms * 2;
	if (publisher->backoff_ms > BACKOFF_MAX_MS) publisher->backoff_ms = BACKOFF_MAX_MS;
	return publisher_pause(publisher, pause_ms);
}

/* STATUS_OK; STATUS_CLOSED; STATUS_IO: this producer cannot be used. */
static enum status init_transactions(struct publisher *publisher)
{
	while (!publisher_is_stopping(publisher)) {
		rd_kafka_resp_err_t code;
		const char *name;
		enum kafka_action action =
			kafka_error_take(rd_kafka_init_transactions(publisher->rk, PUBLISHER_CALL_MS), &code, &name);
		if (action == KAFKA_ACTION_NONE) return STATUS_OK;
		log_event(publisher->log, action == KAFKA_ACTION_AGAIN ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
			"transactions cannot be initialised yet", LOG_FIELDS(log_string("error", name)));
		if (action != KAFKA_ACTION_AGAIN) return STATUS_IO;
	}
	return STATUS_CLOSED;
}

/* A producer at hand, made if need be. */
static enum status need_producer(struct publisher *publisher)
{
	while (publisher->rk == NULL || publisher->topics == NULL) {
		publisher_session_close(publisher);
		if (publisher_session_open(publisher) == STATUS_OK) break;
		if (back_off(publisher)) return STATUS_CLOSED;
	}
	return STATUS_OK;
}

void publisher_session_warm(struct publisher *publisher)
{
	for (size_t i = 0; i < publisher->topic_count && !publisher_is_stopping(publisher); i++)
		warm_topic(publisher, publisher->topics[i]);
}

enum status publisher_session_connect(struct publisher *publisher)
{
	enum status status = STATUS_IO;
	while (status != STATUS_OK) {
		if (need_producer(publisher) != STATUS_OK) return STATUS_CLOSED;
		status = publisher->is_transactional ? init_transactions(publisher) : reach_broker(publisher);
		if (status == STATUS_CLOSED) return STATUS_CLOSED;
		if (status == STATUS_OK) break;
		publisher_session_close(publisher);
		if (back_off(publisher)) return STATUS_CLOSED;
	}
	publisher_session_warm(publisher);
	if (publisher_is_stopping(publisher)) return STATUS_CLOSED;
	atomic_store(&publisher->is_ready, true);
	return STATUS_OK;
}

/* Being fenced once is what a long pause of this process looks like too. */
static enum publisher_reason judge_fencing(struct publisher *publisher)
{
	int64_t now_ms = clock_now().mono_ms;
	bool is_twin = publisher->fenced_at_ms != 0 && now_ms - publisher->fenced_at_ms < TWIN_WINDOW_MS;
	publisher->fenced_at_ms = now_ms;
	if (!is_twin) return PUBLISHER_REASON_FENCED;
	char id[KAFKA_CONF_ID_SIZE];
	kafka_conf_transactional_id(publisher->settings, id, sizeof(id));
	log_event(publisher->log, LOG_LEVEL_ERROR, "another process uses the same transactional id",
		LOG_FIELDS(log_string("transactional_id", id)));
	return PUBLISHER_REASON_TWIN;
}

enum status publisher_session_renew(struct publisher *publisher, enum publisher_reason reason)
{
	if (reason == PUBLISHER_REASON_FENCED) reason = judge_fencing(publisher);
	metrics_add_labelled(publisher->metrics, METRIC_PRODUCER_RESTARTS, bytes_of(restart_word(reason)), 1);
	log_event(publisher->log, LOG_LEVEL_WARN, "producer given up, making a new one",
		LOG_FIELDS(log_string("reason", restart_word(reason)),
			log_string("step", publisher->failure.step == NULL ? "" : publisher->failure.step),
			log_string("error", publisher->failure.name == NULL ? "" : publisher->failure.name)));
	publisher_session_close(publisher);
	bool must_wait = reason == PUBLISHER_REASON_TWIN || reason == PUBLISHER_REASON_DENIED;
	if (!must_wait) publisher->backoff_ms = 0;
	if (must_wait && publisher->backoff_ms == 0) publisher->backoff_ms = BACKOFF_FIRST_MS;
	if (must_wait && back_off(publisher)) return STATUS_CLOSED;
	return publisher_session_connect(publisher);
}

bool publisher_session_is_broken(const struct publisher *publisher)
{
	char text[8];
	return rd_kafka_fatal_error(publisher->rk, text, sizeof(text)) != RD_KAFKA_RESP_ERR_NO_ERROR;
}
