/* source: rebalances, look-ups that fail and losses, against librdkafka's mock cluster. */
#include "tests/unit/source_member.h"

static void lookup_errors_areAskedAgain(void **state)
{
	struct fixture *fixture = *state;
	rd_kafka_mock_push_request_errors(fixture->cluster, API_OFFSET_FETCH, 3,
		RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
		RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS);
	struct member *member = open_assigned(fixture);
	assert_int_equal(member->assigned_count, PARTITIONS);
	close_member(member);
}

/* Not both at once: who closes in the middle of a rebalance may find librdkafka without an answer (see ARCHITECTURE.md). */
static void close_both(struct member *one, struct member *other)
{
	close_member(other);
	wait_until(owned(one) == PARTITIONS, turn(one));
	close_member(one);
}

static void join_secondMember_takesHalfInOrder(void **state)
{
	struct fixture *fixture = *state;
	struct member *one = open_assigned(fixture);
	struct member *other = open_member(fixture);
	wait_until(owned(one) == PARTITIONS / 2 && owned(other) == PARTITIONS / 2, turn_both(one, other));
	assert_int_equal(one->revoked_count, PARTITIONS / 2);
	assert_int_equal(one->lost_count, 0);
	assert_true(one->had_group_at_revoke);
	assert_int_equal(other->assigned_count, PARTITIONS / 2);
	size_t count;
	const int32_t *partitions = source_partitions(other->source, &count);
	for (size_t i = 0; i < count; i++) {
		struct record *record = NULL;
		assert_int_equal(source_take(one->source, partitions[i], &record), STATUS_NOT_FOUND);
		fixture_produce(fixture, partitions[i], "k", "moved");
		record = take(other, partitions[i]);
		assert_text_equal(record->value, "moved");
		record_free(record);
	}
	close_both(one, other);
}

static void revoke_ownerSaysNo_waitsForItsYes(void **state)
{
	struct fixture *fixture = *state;
	struct member *one = open_assigned(fixture);
	one->says_no = true;
	struct member *other = open_member(fixture);
	wait_until(one->asked_count > 3, turn_both(one, other));
	/* Not read any more, not given up, and the identity to commit with is there. */
	assert_int_equal(owned(one), PARTITIONS / 2);
	assert_int_equal(one->revoked_count, 0);
	assert_int_equal(owned(other), 0);
	assert_true(bytes_is_given(source_group(one->source)));
	one->says_no = false;
	wait_until(owned(other) == PARTITIONS / 2, turn_both(one, other));
	assert_int_equal(one->revoked_count, PARTITIONS / 2);
	assert_int_equal(one->lost_count, 0);
	close_both(one, other);
}

static void heartbeat_unknownMember_losesAndJoinsAgain(void **state)
{
	struct fixture *fixture = *state;
	struct member *member = open_assigned(fixture);
	rd_kafka_mock_push_request_errors(fixture->cluster, API_HEARTBEAT, 1, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID);
	wait_until(member->lost_count == PARTITIONS, turn(member));
	assert_false(member->had_group_at_revoke);
	assert_false(bytes_is_given(source_group(member->source)));
	const struct batch_progress row = { .partition = 1, .offset = 4 };
	assert_int_equal(source_commit(member->source, &row, 1, WAIT_MS), STATUS_BUSY);
	assert_int_equal(fixture_count(fixture, METRIC_REBALANCES, "lost"), 1);
	wait_until(owned(member) == PARTITIONS, turn(member));
	assert_true(bytes_is_given(source_group(member->source)));
	assert_int_equal(member->assigned_count, 2 * PARTITIONS);
	close_member(member);
}

static void heartbeats_ofAMember_areCounted(void **state)
{
	struct fixture *fixture = *state;
	struct member *member = open_assigned(fixture);
	uint64_t before = source_heartbeats(member->source);
	wait_until(source_heartbeats(member->source) >= before + 3, turn(member));
	close_member(member);
}

/* A turn in which a second heartbeat since `before` is heard serves the loss. */
static void turn_heard(struct member *member, uint64_t before)
{
	fixture_turn(source_fd(member->source));
	uint64_t heard = source_heartbeats(member->source);
	assert_int_equal(source_serve(member->source), STATUS_OK);
	assert_true(heard < before + 2 || member->lost_count > 0);
}

/* What the worker's doubt after a standstill rests on (worker/core/membership.h). */
static void heartbeats_twoMoreSeenBeforeServing_lossIsServed(void **state)
{
	struct fixture *fixture = *state;
	struct member *member = open_assigned(fixture);
	wait_until(source_heartbeats(member->source) > 0, turn(member));
	rd_kafka_mock_push_request_errors(fixture->cluster, API_HEARTBEAT, 1, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID);
	uint64_t before = source_heartbeats(member->source);
	wait_until(member->lost_count > 0, turn_heard(member, before));
	close_member(member);
}

static void heartbeat_fencedInstance_isFatal(void **state)
{
	struct fixture *fixture = *state;
	fixture->settings.kafka.group_instance_id = "pod-1";
	struct member *member = open_assigned(fixture);
	rd_kafka_mock_push_request_errors(fixture->cluster, API_HEARTBEAT, 1, RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID);
	wait_until(member->served != STATUS_OK, turn(member));
	assert_int_equal(member->served, STATUS_FATAL);
	assert_int_equal(member->lost_count, PARTITIONS);
	assert_int_equal(owned(member), 0);
	assert_false(bytes_is_given(source_group(member->source)));
	assert_int_equal(source_serve(member->source), STATUS_FATAL);
	assert_int_equal(member->lost_count, PARTITIONS);
	close_member(member);
}

/* The owner is away for longer than the group allows: what it had is lost, whatever the revoke says. */
static void serve_tooLate_isALoss(void **state)
{
	struct fixture *fixture = *state;
	fixture->settings.kafka.max_poll_interval_ms = 4000;
	struct member *member = open_assigned(fixture);
	struct pollfd ready = { .fd = source_fd(member->source), .events = POLLIN };
	turn(member);
	while (member->lost_count == 0) {
		/* librdkafka itself ends the wait, with its event. */
		assert_int_equal(poll(&ready, 1, WAIT_MS), 1);
		assert_int_equal(source_serve(member->source), STATUS_OK);
	}
	assert_int_equal(member->lost_count, PARTITIONS);
	assert_false(member->had_group_at_revoke);
	wait_until(owned(member) == PARTITIONS, turn(member));
	close_member(member);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mock_test(lookup_errors_areAskedAgain),
		mock_test(revoke_ownerSaysNo_waitsForItsYes),
		mock_test(join_secondMember_takesHalfInOrder),
		mock_test(heartbeat_unknownMember_losesAndJoinsAgain),
		mock_test(heartbeats_ofAMember_areCounted),
		mock_test(heartbeats_twoMoreSeenBeforeServing_lossIsServed),
		mock_test(heartbeat_fencedInstance_isFatal),
		mock_test(serve_tooLate_isALoss),
	};
	cmocka_set_test_filter(getenv("ONLY"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
