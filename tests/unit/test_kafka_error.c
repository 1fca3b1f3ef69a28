/* kafka_error: every kind of error asks for one thing to do. */
#include "worker/edge/kafka_error.h"

#include "tests/unit/testing.h"

static void action_eachKindOfCode_isWhatHelps(void **state)
{
	(void)state;
	const struct {
		rd_kafka_resp_err_t code;
		enum kafka_action action;
	} rows[] = {
		{ RD_KAFKA_RESP_ERR_NO_ERROR, KAFKA_ACTION_NONE },
		{ RD_KAFKA_RESP_ERR__TIMED_OUT, KAFKA_ACTION_AGAIN },
		{ RD_KAFKA_RESP_ERR__TRANSPORT, KAFKA_ACTION_AGAIN },
		{ RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, KAFKA_ACTION_AGAIN },
		{ RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, KAFKA_ACTION_AGAIN },
		{ RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, KAFKA_ACTION_AGAIN },
		{ RD_KAFKA_RESP_ERR_NOT_COORDINATOR, KAFKA_ACTION_AGAIN },
		{ RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, KAFKA_ACTION_AGAIN },
		{ RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE, KAFKA_ACTION_AGAIN },
		{ RD_KAFKA_RESP_ERR__RESOLVE, KAFKA_ACTION_AGAIN },
		{ RD_KAFKA_RESP_ERR__WAIT_COORD, KAFKA_ACTION_AGAIN },
		{ RD_KAFKA_RESP_ERR__WAIT_CACHE, KAFKA_ACTION_AGAIN },
		{ RD_KAFKA_RESP_ERR__RETRY, KAFKA_ACTION_AGAIN },
		{ RD_KAFKA_RESP_ERR__QUEUE_FULL, KAFKA_ACTION_AGAIN },
		{ RD_KAFKA_RESP_ERR__IN_PROGRESS, KAFKA_ACTION_AGAIN },
		{ RD_KAFKA_RESP_ERR__PREV_IN_PROGRESS, KAFKA_ACTION_AGAIN },
		{ RD_KAFKA_RESP_ERR__CONFLICT, KAFKA_ACTION_AGAIN },
		{ RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, KAFKA_ACTION_AGAIN },
		{ RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION, KAFKA_ACTION_AGAIN },
		{ RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, KAFKA_ACTION_AGAIN },
		{ RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, KAFKA_ACTION_AGAIN },
		{ RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT, KAFKA_ACTION_AGAIN },
		{ RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, KAFKA_ACTION_ABORT },
		{ RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, KAFKA_ACTION_ABORT },
		{ RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE, KAFKA_ACTION_ABORT },
		{ RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, KAFKA_ACTION_ABORT },
		{ RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, KAFKA_ACTION_ABORT },
		{ RD_KAFKA_RESP_ERR__FENCED, KAFKA_ACTION_RENEW },
		{ RD_KAFKA_RESP_ERR__FATAL, KAFKA_ACTION_RENEW },
		{ RD_KAFKA_RESP_ERR__STATE, KAFKA_ACTION_RENEW },
		{ RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, KAFKA_ACTION_RENEW },
		{ RD_KAFKA_RESP_ERR_PRODUCER_FENCED, KAFKA_ACTION_RENEW },
		{ RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, KAFKA_ACTION_RENEW },
		{ RD_KAFKA_RESP_ERR__DESTROY, KAFKA_ACTION_RENEW },
		{ RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, KAFKA_ACTION_RENEW },
		{ RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING, KAFKA_ACTION_RENEW },
		{ RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, KAFKA_ACTION_RENEW },
		{ RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER, KAFKA_ACTION_RENEW },
		{ RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, KAFKA_ACTION_STOP },
		{ RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, KAFKA_ACTION_STOP },
		{ RD_KAFKA_RESP_ERR__AUTHENTICATION, KAFKA_ACTION_STOP },
		{ RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, KAFKA_ACTION_STOP },
		{ RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, KAFKA_ACTION_STOP },
		{ RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, KAFKA_ACTION_STOP },
		{ RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, KAFKA_ACTION_STOP },
		{ RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM, KAFKA_ACTION_STOP },
		{ RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, KAFKA_ACTION_STOP },
		{ RD_KAFKA_RESP_ERR__NOT_CONFIGURED, KAFKA_ACTION_STOP },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (kafka_error_action(rows[i].code) != rows[i].action)
			fail_msg("%s: %d", rd_kafka_err2name(rows[i].code), (int)kafka_error_action(rows[i].code));
}

static void action_unknownCode_isAbort(void **state)
{
	(void)state;
	assert_int_equal(kafka_error_action((rd_kafka_resp_err_t)30000), KAFKA_ACTION_ABORT);
}

static void fenced_itsCodes_areTold(void **state)
{
	(void)state;
	assert_true(kafka_error_is_fenced(RD_KAFKA_RESP_ERR__FENCED));
	assert_true(kafka_error_is_fenced(RD_KAFKA_RESP_ERR_PRODUCER_FENCED));
	assert_true(kafka_error_is_fenced(RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH));
	assert_false(kafka_error_is_fenced(RD_KAFKA_RESP_ERR_NO_ERROR));
	assert_false(kafka_error_is_fenced(RD_KAFKA_RESP_ERR__FATAL));
}

static void take_null_isNone(void **state)
{
	(void)state;
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__FATAL;
	const char *name = NULL;
	assert_int_equal(kafka_error_take(NULL, &code, &name), KAFKA_ACTION_NONE);
	assert_int_equal(code, RD_KAFKA_RESP_ERR_NO_ERROR);
	assert_non_null(name);
}

static void take_plainError_isDestroyedAndNamed(void **state)
{
	(void)state;
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
	const char *name = NULL;
	rd_kafka_error_t *error = rd_kafka_error_new(RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, "%s", "old");
	assert_int_equal(kafka_error_take(error, &code, &name), KAFKA_ACTION_ABORT);
	assert_int_equal(code, RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION);
	assert_string_equal(name, "ILLEGAL_GENERATION");
}

/* A real error of the library with its flags: a transactional call on a producer without transactional id. */
static void take_libraryError_fitsItsCode(void **state)
{
	(void)state;
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), NULL, 0);
	assert_non_null(rk);
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
	const char *name = NULL;
	enum kafka_action action = kafka_error_take(rd_kafka_begin_transaction(rk), &code, &name);
	assert_int_equal(code, RD_KAFKA_RESP_ERR__NOT_CONFIGURED);
	assert_int_equal(action, KAFKA_ACTION_STOP);
	rd_kafka_destroy(rk);
}

/* The flag of the error counts, not what its code alone would mean. */
static void take_fatalError_isRenew(void **state)
{
	(void)state;
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	assert_int_equal(rd_kafka_conf_set(conf, "transactional.id", "id", NULL, 0), RD_KAFKA_CONF_OK);
	rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
	assert_non_null(rk);
	assert_int_equal(rd_kafka_test_fatal_error(rk, RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, "test"),
		RD_KAFKA_RESP_ERR_NO_ERROR);
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
	const char *name = NULL;
	enum kafka_action action = kafka_error_take(rd_kafka_begin_transaction(rk), &code, &name);
	assert_int_equal(action, KAFKA_ACTION_RENEW);
	assert_int_not_equal(code, RD_KAFKA_RESP_ERR_NO_ERROR);
	rd_kafka_destroy(rk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(action_eachKindOfCode_isWhatHelps),
		cmocka_unit_test(action_unknownCode_isAbort),
		cmocka_unit_test(fenced_itsCodes_areTold),
		cmocka_unit_test(take_null_isNone),
		cmocka_unit_test(take_plainError_isDestroyedAndNamed),
		cmocka_unit_test(take_libraryError_fitsItsCode),
		cmocka_unit_test(take_fatalError_isRenew),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
