/* librdkafka's errors as actions: see the header. */
#include "worker/edge/kafka_error.h"

#include "common/assertion.h"

/* What a new handle, or waiting, cannot mend: an operator has to. */
static bool is_denied(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
	       code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
	       code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED ||
	       code == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED ||
	       code == RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM ||
	       code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED || code == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
	       code == RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION || code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE ||
	       code == RD_KAFKA_RESP_ERR__NOT_CONFIGURED;
}

bool kafka_error_is_fenced(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
	       code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
}

/* The producer's state is beyond repair: only a new one can go on. */
static bool needs_renewal(rd_kafka_resp_err_t code)
{
	return kafka_error_is_fenced(code) || code == RD_KAFKA_RESP_ERR__FATAL || code == RD_KAFKA_RESP_ERR__STATE ||
	       code == RD_KAFKA_RESP_ERR__DESTROY || code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID ||
	       code == RD_KAFKA_RESP_ERR_INVALID_TXN_STATE || code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING ||
	       code == RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER ||
	       code == RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER;
}

static bool is_passing(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR__TIMED_OUT || code == RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE ||
	       code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
	       code == RD_KAFKA_RESP_ERR__RESOLVE || code == RD_KAFKA_RESP_ERR__WAIT_COORD ||
	       code == RD_KAFKA_RESP_ERR__WAIT_CACHE || code == RD_KAFKA_RESP_ERR__RETRY ||
	       code == RD_KAFKA_RESP_ERR__QUEUE_FULL || code == RD_KAFKA_RESP_ERR__IN_PROGRESS ||
	       code == RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS || code == RD_KAFKA_RESP_ERR__CONFLICT ||
	       code == RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT || code == RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION ||
	       code == RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS ||
	       code == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE || code == RD_KAFKA_RESP_ERR_NOT_COORDINATOR ||
	       code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE || code == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
	       code == RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT || code == RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS;
}

enum kafka_action kafka_error_action(rd_kafka_resp_err_t code)
{
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return KAFKA_ACTION_NONE;
	if (is_denied(code)) return KAFKA_ACTION_STOP;
	if (needs_renewal(code)) return KAFKA_ACTION_RENEW;
	if (is_passing(code)) return KAFKA_ACTION_AGAIN;
	return KAFKA_ACTION_ABORT;
}

/* The flags of the error come before its code: only they know the state of the transaction. */
static enum kafka_action action_of(const rd_kafka_error_t *error)
{
	enum kafka_action by_code = kafka_error_action(rd_kafka_error_code(error));
	if (rd_kafka_error_is_fatal(error))
		return by_code == KAFKA_ACTION_STOP ? KAFKA_ACTION_STOP : KAFKA_ACTION_RENEW;
	if (rd_kafka_error_txn_requires_abort(error)) return KAFKA_ACTION_ABORT;
	if (rd_kafka_error_is_retriable(error)) return KAFKA_ACTION_AGAIN;
	return by_code;
}

enum kafka_action kafka_error_take(rd_kafka_error_t *error, rd_kafka_resp_err_t *out_code, const char **out_name)
{
	ASSERT(out_code != NULL);
	ASSERT(out_name != NULL);
	*out_code = RD_KAFKA_RESP_ERR_NO_ERROR;
	*out_name = rd_kafka_err2name(RD_KAFKA_RESP_ERR_NO_ERROR);
	if (error == NULL) return KAFKA_ACTION_NONE;
	*out_code = rd_kafka_error_code(error);
	*out_name = rd_kafka_err2name(*out_code);
	enum kafka_action action = action_of(error);
	rd_kafka_error_destroy(error);
	return action;
}
