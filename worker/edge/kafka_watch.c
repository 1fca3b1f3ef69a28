/* Counting requests and answers: see the header. */
#include "worker/edge/kafka_watch.h"

#include <threads.h>

#include "common/assertion.h"

#define WATCH_NAME "chat-watch"

/* librdkafka tells of an answer in the broker's thread, where it arrives, and for requests whose answer another thread
 * handles a second time there (seen with 2.0.2 for ApiKeys 24, 25, 26 and 28, not for 0; the correlation id is not told).
 * Each thread therefore knows what it is, and only the first telling counts. Not state of the program: a mark of the
 * thread that librdkafka made. */
static thread_local bool is_broker_thread;

/* Kafka's numbers of requests, from its protocol guide. */
enum {
	API_PRODUCE = 0,
	API_JOIN_GROUP = 11,
	API_HEARTBEAT = 12,
	API_ADD_PARTITIONS_TO_TXN = 24,
	API_ADD_OFFSETS_TO_TXN = 25,
	API_END_TXN = 26,
	API_TXN_OFFSET_COMMIT = 28,
};

void kafka_watch_init(struct kafka_watch *watch)
{
	atomic_init(&watch->unanswered, 0);
	atomic_init(&watch->has_answered, false);
	atomic_init(&watch->has_answered_join, false);
	atomic_init(&watch->heartbeats, 0);
	atomic_init(&watch->has_heard_heartbeat, false);
	atomic_init(&watch->is_joining, false);
	watch->has_begun = false;
}

static bool is_transactional(int16_t api_key)
{
	return api_key == API_PRODUCE || api_key == API_ADD_PARTITIONS_TO_TXN || api_key == API_ADD_OFFSETS_TO_TXN ||
	       api_key == API_END_TXN || api_key == API_TXN_OFFSET_COMMIT;
}

/* Many parameters: the signatures are librdkafka's. */
static rd_kafka_resp_err_t on_request_sent(rd_kafka_t *rk, int socket, const char *broker, int32_t broker_id,
	int16_t api_key, int16_t api_version, int32_t correlation_id, size_t size, void *opaque)
{
	(void)rk, (void)socket, (void)broker, (void)broker_id, (void)api_version, (void)correlation_id, (void)size;
	struct kafka_watch *watch = opaque;
	if (is_transactional(api_key)) atomic_fetch_add(&watch->unanswered, 1);
	if (api_key == API_JOIN_GROUP) atomic_store(&watch->is_joining, true);
	if (api_key == API_HEARTBEAT && atomic_exchange(&watch->has_heard_heartbeat, false))
		atomic_fetch_add(&watch->heartbeats, 1);
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_response_received(rd_kafka_t *rk, int socket, const char *broker, int32_t broker_id,
	int16_t api_key, int16_t api_version, int32_t correlation_id, size_t size, int64_t round_trip_us,
	rd_kafka_resp_err_t code, void *opaque)
{
	(void)rk, (void)socket, (void)broker, (void)broker_id, (void)api_version, (void)correlation_id, (void)size;
	(void)round_trip_us;
	struct kafka_watch *watch = opaque;
	/* With a code nothing has come from the broker: the connection broke, or the wait was given up. */
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR || !is_broker_thread) return RD_KAFKA_RESP_ERR_NO_ERROR;
	if (is_transactional(api_key)) atomic_fetch_sub(&watch->unanswered, 1);
	if (api_key == API_JOIN_GROUP) atomic_store(&watch->has_answered_join, true);
	if (api_key == API_HEARTBEAT) atomic_store(&watch->has_heard_heartbeat, true);
	if (!atomic_load_explicit(&watch->has_answered, memory_order_relaxed)) atomic_store(&watch->has_answered, true);
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_thread_start(
	rd_kafka_t *rk, rd_kafka_thread_type_t type, const char *thread_name, void *opaque)
{
	(void)rk, (void)thread_name, (void)opaque;
	is_broker_thread = type == RD_KAFKA_THREAD_BROKER;
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_new(
	rd_kafka_t *rk, const rd_kafka_conf_t *conf, void *opaque, char *out_error, size_t error_size)
{
	(void)conf, (void)out_error, (void)error_size;
	struct kafka_watch *watch = opaque;
	watch->has_begun = true;
	rd_kafka_resp_err_t code = rd_kafka_interceptor_add_on_request_sent(rk, WATCH_NAME, on_request_sent, opaque);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return code;
	code = rd_kafka_interceptor_add_on_thread_start(rk, WATCH_NAME, on_thread_start, opaque);
	if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return code;
	return rd_kafka_interceptor_add_on_response_received(rk, WATCH_NAME, on_response_received, opaque);
}

enum status kafka_watch_open(struct kafka_watch *watch, rd_kafka_type_t type, rd_kafka_conf_t *conf,
	struct kafka_conf_error *out_error, rd_kafka_t **out_handle)
{
	ASSERT(watch != NULL);
	ASSERT(conf != NULL);
	kafka_watch_init(watch);
	rd_kafka_t *handle = NULL;
	rd_kafka_resp_err_t code = rd_kafka_conf_interceptor_add_on_new(conf, WATCH_NAME, on_new, watch);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
		handle = rd_kafka_new(type, conf, out_error->text, sizeof(out_error->text));
		code = handle == NULL ? rd_kafka_last_error() : RD_KAFKA_RESP_ERR_NO_ERROR;
	}
	if (handle == NULL) {
		if (!watch->has_begun) rd_kafka_conf_destroy(conf);
		return code == RD_KAFKA_RESP_ERR__INVALID_ARG ? STATUS_INVALID : STATUS_IO;
	}
	*out_handle = handle;
	return STATUS_OK;
}

long long kafka_watch_unanswered(const struct kafka_watch *watch)
{
	return atomic_load(&watch->unanswered);
}
