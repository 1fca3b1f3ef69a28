/* source: how members leave their group, against librdkafka's mock cluster. */
#include "tests/unit/source_member.h"

static void close_duringLookup_isBoundedAndSilent(void **state)
{
	struct fixture *fixture = *state;
	rd_kafka_resp_err_t errors[1000];
	for (size_t i = 0; i < 1000; i++)
		errors[i] = RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
	rd_kafka_mock_push_request_errors_array(fixture->cluster, API_OFFSET_FETCH, 1000, errors);
	struct member *member = open_member(fixture);
	wait_until(source_is_joined(member->source), turn(member));
	assert_int_equal(owned(member), 0);
	int64_t began_ms = clock_now().mono_ms;
	close_member(member);
	assert_true(clock_now().mono_ms - began_ms < WAIT_MS);
	assert_int_equal(member->assigned_count, 0);
	assert_int_equal(member->revoked_count, 0);
}

static void close_assigned_revokesWithIdentity(void **state)
{
	struct fixture *fixture = *state;
	struct member *member = open_assigned(fixture);
	close_member(member);
	assert_int_equal(member->revoked_count, PARTITIONS);
	assert_int_equal(member->lost_count, 0);
	assert_true(member->had_group_at_revoke);
}

static void close_ownerSaysNo_isNotAsked(void **state)
{
	struct fixture *fixture = *state;
	struct member *member = open_assigned(fixture);
	member->says_no = true;
	close_member(member);
	assert_int_equal(member->asked_count, 0);
	assert_int_equal(member->revoked_count, PARTITIONS);
	assert_int_equal(member->lost_count, 0);
}

/* One that has joined and was given nothing yet, as happens whenever the others have to give something up first. */
static void close_joinedWithoutPartitions_isClean(void **state)
{
	struct fixture *fixture = *state;
	struct member *one = open_assigned(fixture);
	one->says_no = true;
	struct member *other = open_member(fixture);
	wait_until(source_is_joined(other->source), turn_both(one, other));
	assert_int_equal(owned(other), 0);
	close_member(other);
	assert_int_equal(other->revoked_count, 0);
	one->says_no = false;
	wait_until(owned(one) == PARTITIONS, turn(one));
	assert_int_equal(one->lost_count, 0);
	close_member(one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mock_test(close_duringLookup_isBoundedAndSilent),
		mock_test(close_assigned_revokesWithIdentity),
		mock_test(close_ownerSaysNo_isNotAsked),
		mock_test(close_joinedWithoutPartitions_isClean),
	};
	cmocka_set_test_filter(getenv("ONLY"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
