/* The rules of an audit: histories with one thing wrong, and what the judge says of them. */
#include "tests/unit/testing.h"

#include "replay/audit_judge.h"
#include "replay/partitioner.h"

enum { REQUESTS = 10, RESPONSE_PARTITIONS = 12, NOW_MS = 100000, DEADLINE_MS = 10000 };

static struct bytes conversation(int64_t offset)
{
	return offset % 2 == 0 ? BYTES_LITERAL("c0") : BYTES_LITERAL("c1");
}

static struct bytes id_of(int64_t offset)
{
	static const char *const IDS[REQUESTS] = { "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9" };
	return bytes_of(IDS[offset]);
}

/* Requests 0 to 9 of partition 0, one a second; two conversations take turns. */
static struct audit_judge *asked(const struct audit_options *changes)
{
	struct audit_options options = { .requests_topic = "in",
		.deadline_ms = DEADLINE_MS,
		.from_ms = changes != NULL ? changes->from_ms : INT64_MIN,
		.to_ms = changes != NULL ? changes->to_ms : INT64_MAX,
		.requests_max = 1000,
		.examples_max = 3,
		.seed = 1 };
	struct audit_judge *judge = audit_judge_new(&options);
	assert_int_equal(audit_judge_partition(judge, 0, REQUESTS), STATUS_OK);
	assert_int_equal(audit_judge_partition(judge, 5, 5), STATUS_OK);
	for (int64_t i = 0; i < REQUESTS; i++) {
		const struct audit_request request = {
			.offset = i, .timestamp_ms = i * 1000, .id = id_of(i), .conversation = conversation(i)
		};
		assert_int_equal(audit_judge_request(judge, &request), STATUS_OK);
	}
	audit_judge_topic(judge, RESPONSE_PARTITIONS);
	return judge;
}

static struct audit_reply reply_to(int64_t offset)
{
	struct bytes key = conversation(offset);
	return (struct audit_reply){ .place = { "out", partitioner_home(key, RESPONSE_PARTITIONS), 100 + offset },
		.timestamp_ms = offset * 1000 + 500,
		.key = key,
		.is_readable = true,
		.outcome = AUDIT_ANSWERED,
		.id = id_of(offset),
		.conversation = key,
		.source_topic = BYTES_LITERAL("in"),
		.source_partition = 0,
		.source_offset = offset };
}

static void tell(struct audit_judge *judge, const struct audit_reply *reply)
{
	assert_int_equal(audit_judge_reply(judge, reply), STATUS_OK);
}

/* Good replies to all requests but `missing` (-1 = none). */
static void reply_all_but(struct audit_judge *judge, int64_t missing)
{
	for (int64_t i = 0; i < REQUESTS; i++) {
		struct audit_reply reply = reply_to(i);
		if (i != missing) tell(judge, &reply);
	}
}

/* Ends the audit; nothing but `finding` (if that is one) may have been found, `count` times. */
static const struct audit_example *demand_with(
	struct audit_judge *judge, const int64_t *committed, int finding, size_t count)
{
	size_t examples = 0;
	audit_judge_finish(judge, NOW_MS, committed);
	assert_int_equal(audit_judge_is_clean(judge), finding < 0);
	for (int i = 0; i < AUDIT_FINDING_COUNT; i++)
		assert_int_equal(audit_judge_found(judge, (enum audit_finding)i), i == finding ? count : 0);
	return finding < 0 ? NULL : audit_judge_examples(judge, (enum audit_finding)finding, &examples);
}

static const struct audit_example *demand(struct audit_judge *judge, int finding, size_t count)
{
	return demand_with(judge, NULL, finding, count);
}

static void judge_one_reply_each_is_clean(void **state)
{
	(void)state;
	struct audit_judge *judge = asked(NULL);
	reply_all_but(judge, -1);
	(void)demand(judge, -1, 0);
	const struct audit_counts *counts = audit_judge_counts(judge);
	assert_int_equal(counts->requests, REQUESTS);
	assert_int_equal(counts->answered, REQUESTS);
	assert_int_equal(counts->outcomes[AUDIT_ANSWERED], REQUESTS);
	assert_int_equal(counts->slowest_ms, 500);
	assert_true(counts->bytes > 0);
	audit_judge_free(judge);
}

static void judge_missing_reply_is_lost(void **state)
{
	(void)state;
	struct audit_judge *judge = asked(NULL);
	reply_all_but(judge, 4);
	const struct audit_example *example = demand(judge, AUDIT_LOST, 1);
	assert_string_equal(example->request.topic, "in");
	assert_int_equal(example->request.offset, 4);
	assert_null(example->record.topic);
	audit_judge_free(judge);
}

static void judge_missing_reply_to_a_young_request_is_pending(void **state)
{
	(void)state;
	struct audit_judge *judge = asked(NULL);
	reply_all_but(judge, 9);
	audit_judge_finish(judge, 9000 + DEADLINE_MS - 1, NULL);
	assert_true(audit_judge_is_clean(judge));
	assert_int_equal(audit_judge_counts(judge)->pending, 1);
	audit_judge_free(judge);
}

/* By its own clock, which is ahead of ours, it is younger than nothing. */
static void judge_without_a_deadline_nothing_is_pending(void **state)
{
	(void)state;
	const struct audit_options options = { .requests_topic = "in", .to_ms = INT64_MAX, .requests_max = 1 };
	const struct audit_request request = { .timestamp_ms = NOW_MS + 1, .id = id_of(0) };
	struct audit_judge *judge = audit_judge_new(&options);
	assert_int_equal(audit_judge_partition(judge, 0, 1), STATUS_OK);
	assert_int_equal(audit_judge_request(judge, &request), STATUS_OK);
	(void)demand(judge, AUDIT_LOST, 1);
	assert_int_equal(audit_judge_counts(judge)->pending, 0);
	audit_judge_free(judge);
}

static void judge_missing_reply_at_the_deadline_is_lost(void **state)
{
	(void)state;
	struct audit_judge *judge = asked(NULL);
	reply_all_but(judge, 9);
	audit_judge_finish(judge, 9000 + DEADLINE_MS, NULL);
	assert_int_equal(audit_judge_found(judge, AUDIT_LOST), 1);
	audit_judge_free(judge);
}

static void judge_what_the_group_has_not_finished_is_open(void **state)
{
	(void)state;
	const int64_t behind[] = { 4, -1 }, before[] = { 5, -1 };
	struct audit_judge *judge = asked(NULL);
	reply_all_but(judge, 4);
	(void)demand_with(judge, behind, -1, 0);
	assert_int_equal(audit_judge_counts(judge)->open, 1);
	audit_judge_free(judge);
	judge = asked(NULL);
	reply_all_but(judge, 4);
	(void)demand_with(judge, before, AUDIT_LOST, 1);
	audit_judge_free(judge);
}

static void judge_second_reply_is_a_duplicate(void **state)
{
	(void)state;
	struct audit_judge *judge = asked(NULL);
	reply_all_but(judge, -1);
	struct audit_reply again = reply_to(9);
	again.place.offset = 200;
	again.timestamp_ms = 99000;
	tell(judge, &again);
	const struct audit_example *example = demand(judge, AUDIT_DUPLICATE, 1);
	assert_int_equal(example->request.offset, 9);
	assert_int_equal(example->record.offset, 200);
	assert_int_equal(audit_judge_counts(judge)->answered, REQUESTS);
	audit_judge_free(judge);
}

static void judge_later_request_first_is_out_of_order(void **state)
{
	(void)state;
	static const int64_t ORDER[REQUESTS] = { 0, 1, 4, 3, 2, 5, 6, 7, 8, 9 };
	struct audit_judge *judge = asked(NULL);
	for (size_t i = 0; i < REQUESTS; i++) {
		struct audit_reply reply = reply_to(ORDER[i]);
		tell(judge, &reply);
	}
	assert_int_equal(demand(judge, AUDIT_DISORDERED, 1)->request.offset, 2);
	audit_judge_free(judge);
}

static void judge_conversations_and_topics_have_orders_of_their_own(void **state)
{
	(void)state;
	struct audit_judge *judge = asked(NULL);
	for (int64_t i = 1; i < REQUESTS; i += 2) {
		struct audit_reply reply = reply_to(i);
		tell(judge, &reply);
	}
	for (int64_t i = 4; i < REQUESTS; i += 2) {
		struct audit_reply reply = reply_to(i);
		tell(judge, &reply);
	}
	audit_judge_topic(judge, RESPONSE_PARTITIONS);
	for (int64_t i = 0; i < 4; i += 2) {
		struct audit_reply reply = reply_to(i);
		tell(judge, &reply);
	}
	(void)demand(judge, -1, 0);
	audit_judge_free(judge);
}

/* Tells all replies, one of them as it is given, and demands the finding. */
static void demand_of(const struct audit_reply *changed, int finding)
{
	struct audit_judge *judge = asked(NULL);
	for (int64_t i = 0; i < REQUESTS; i++) {
		struct audit_reply reply = i == changed->source_offset ? *changed : reply_to(i);
		tell(judge, &reply);
	}
	(void)demand(judge, finding, 1);
	audit_judge_free(judge);
}

static void judge_reply_after_the_deadline_is_late(void **state)
{
	(void)state;
	struct audit_reply reply = reply_to(3);
	reply.timestamp_ms = 3000 + DEADLINE_MS;
	demand_of(&reply, -1);
	reply.timestamp_ms++;
	demand_of(&reply, AUDIT_LATE);
}

static void judge_wrong_key_is_misplaced(void **state)
{
	(void)state;
	struct audit_reply reply = reply_to(9);
	reply.key = BYTES_LITERAL("c2");
	reply.place.partition = partitioner_home(reply.key, RESPONSE_PARTITIONS);
	demand_of(&reply, AUDIT_MISPLACED);
	reply.key = BYTES_NONE;
	demand_of(&reply, AUDIT_MISPLACED);
}

static void judge_wrong_partition_is_misplaced(void **state)
{
	(void)state;
	struct audit_reply reply = reply_to(9);
	reply.place.partition = (reply.place.partition + 1) % RESPONSE_PARTITIONS;
	demand_of(&reply, AUDIT_MISPLACED);
}

static void judge_order_across_partitions_of_replies_is_none(void **state)
{
	(void)state;
	struct audit_judge *judge = asked(NULL);
	reply_all_but(judge, 4);
	struct audit_reply reply = reply_to(4);
	reply.place.partition = (reply.place.partition + 1) % RESPONSE_PARTITIONS;
	tell(judge, &reply);
	(void)demand(judge, AUDIT_MISPLACED, 1);
	audit_judge_free(judge);
}

static void judge_rejected_reply_needs_the_key_that_it_names(void **state)
{
	(void)state;
	struct audit_reply reply = reply_to(9);
	reply.outcome = AUDIT_REJECTED;
	reply.key = reply.conversation = BYTES_LITERAL("record key");
	reply.place.partition = partitioner_home(reply.key, RESPONSE_PARTITIONS);
	demand_of(&reply, -1);
	reply.conversation = BYTES_NONE;
	demand_of(&reply, -1);
	reply.conversation = BYTES_LITERAL("another");
	demand_of(&reply, AUDIT_MISPLACED);
}

static void judge_other_request_id_is_misnamed(void **state)
{
	(void)state;
	struct audit_reply reply = reply_to(9);
	reply.id = BYTES_LITERAL("r8");
	demand_of(&reply, AUDIT_MISNAMED);
	reply.id = BYTES_NONE;
	demand_of(&reply, -1);
}

/* Beside good replies to all requests. */
static void demand_beside(const struct audit_reply *extra, int finding)
{
	struct audit_judge *judge = asked(NULL);
	reply_all_but(judge, -1);
	tell(judge, extra);
	(void)demand(judge, finding, 1);
	if (finding < 0) assert_int_equal(audit_judge_counts(judge)->others, 1);
	audit_judge_free(judge);
}

static void judge_reply_to_nothing_is_unasked(void **state)
{
	(void)state;
	struct audit_reply reply = reply_to(9);
	reply.source_partition = 2;
	demand_beside(&reply, AUDIT_UNASKED);
}

static void judge_replies_to_what_was_not_read_are_not_judged(void **state)
{
	(void)state;
	struct audit_reply newer = reply_to(9), older = reply_to(9), foreign = reply_to(9);
	newer.source_offset = REQUESTS;
	older.source_partition = 1;
	older.source_offset = 4;
	foreign.source_topic = BYTES_LITERAL("other");
	demand_beside(&newer, -1);
	demand_beside(&older, -1);
	demand_beside(&foreign, -1);
}

static void judge_what_is_no_reply_is_unreadable(void **state)
{
	(void)state;
	const struct audit_reply reply = { .place = { "out", 3, 7 } };
	demand_beside(&reply, AUDIT_UNREADABLE);
}

static void judge_gap_in_the_requests_is_no_request(void **state)
{
	(void)state;
	struct audit_options options = {
		.requests_topic = "in", .to_ms = INT64_MAX, .requests_max = 9, .examples_max = 9
	};
	struct audit_judge *judge = audit_judge_new(&options);
	const struct audit_request request = { .offset = 7, .conversation = BYTES_LITERAL("c1") };
	assert_int_equal(audit_judge_partition(judge, 0, REQUESTS), STATUS_OK);
	assert_int_equal(audit_judge_request(judge, &request), STATUS_OK);
	audit_judge_topic(judge, RESPONSE_PARTITIONS);
	struct audit_reply reply = reply_to(7), stray = reply_to(9);
	tell(judge, &reply);
	tell(judge, &stray);
	assert_int_equal(demand(judge, AUDIT_UNASKED, 1)->request.offset, 9);
	audit_judge_free(judge);
}

static void judge_span_of_time_is_all_that_is_judged(void **state)
{
	(void)state;
	const struct audit_options options = { .from_ms = 3000, .to_ms = 6000 };
	struct audit_judge *judge = asked(&options);
	for (int64_t i = 4; i < REQUESTS; i++) {
		struct audit_reply reply = reply_to(i);
		if (i != 7) tell(judge, &reply);
		if (i == 8) tell(judge, &reply);
	}
	assert_int_equal(demand(judge, AUDIT_LOST, 1)->request.offset, 3);
	assert_int_equal(audit_judge_counts(judge)->requests, 3);
	assert_int_equal(audit_judge_counts(judge)->outside, 7);
	audit_judge_free(judge);
}

static void judge_dead_letters_are_one_for_a_request(void **state)
{
	(void)state;
	struct audit_judge *judge = asked(NULL);
	for (int64_t i = 0; i < REQUESTS; i++) {
		struct audit_reply reply = reply_to(i);
		if (i < 3) reply.outcome = AUDIT_REJECTED;
		tell(judge, &reply);
	}
	struct audit_letter letter = {
		.place = { "dlq", 0, 0 }, .is_readable = true, .source_topic = BYTES_LITERAL("in"), .source_offset = 1
	};
	audit_judge_letter(judge, &letter);
	letter.source_offset = 2;
	audit_judge_letter(judge, &letter);
	letter.place.offset = 5;
	audit_judge_letter(judge, &letter);
	assert_int_equal(demand(judge, AUDIT_LETTER_DUPLICATE, 1)->record.offset, 5);
	assert_int_equal(audit_judge_counts(judge)->letters, 3);
	assert_int_equal(audit_judge_counts(judge)->unlettered, 1);
	audit_judge_free(judge);
}

static void judge_dead_letter_of_nothing_is_told(void **state)
{
	(void)state;
	struct audit_letter letter = { .place = { "dlq", 0, 0 } };
	struct audit_judge *judge = asked(NULL);
	reply_all_but(judge, -1);
	audit_judge_letter(judge, &letter);
	(void)demand(judge, AUDIT_LETTER_UNREADABLE, 1);
	audit_judge_free(judge);
	judge = asked(NULL);
	reply_all_but(judge, -1);
	letter.is_readable = true;
	letter.source_topic = BYTES_LITERAL("in");
	letter.source_partition = 9;
	audit_judge_letter(judge, &letter);
	(void)demand(judge, AUDIT_LETTER_UNASKED, 1);
	audit_judge_free(judge);
}

static void judge_examples_are_bounded_and_the_count_is_not(void **state)
{
	(void)state;
	size_t count = 0;
	struct audit_judge *judge = asked(NULL);
	audit_judge_finish(judge, NOW_MS, NULL);
	const struct audit_example *examples = audit_judge_examples(judge, AUDIT_LOST, &count);
	assert_int_equal(audit_judge_found(judge, AUDIT_LOST), REQUESTS);
	assert_int_equal(count, 3);
	assert_int_equal(examples[2].request.offset, 2);
	audit_judge_free(judge);
}

static void judge_more_requests_than_allowed_is_full(void **state)
{
	(void)state;
	const struct audit_options options = { .requests_topic = "in", .to_ms = INT64_MAX, .requests_max = 1 };
	struct audit_request request = { .offset = 0 };
	struct audit_judge *judge = audit_judge_new(&options);
	assert_int_equal(audit_judge_partition(judge, 0, 9), STATUS_OK);
	assert_int_equal(audit_judge_request(judge, &request), STATUS_OK);
	request.offset = 1;
	assert_int_equal(audit_judge_request(judge, &request), STATUS_FULL);
	audit_judge_free(judge);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(judge_one_reply_each_is_clean),
		cmocka_unit_test(judge_missing_reply_is_lost),
		cmocka_unit_test(judge_missing_reply_to_a_young_request_is_pending),
		cmocka_unit_test(judge_without_a_deadline_nothing_is_pending),
		cmocka_unit_test(judge_missing_reply_at_the_deadline_is_lost),
		cmocka_unit_test(judge_what_the_group_has_not_finished_is_open),
		cmocka_unit_test(judge_second_reply_is_a_duplicate),
		cmocka_unit_test(judge_later_request_first_is_out_of_order),
		cmocka_unit_test(judge_conversations_and_topics_have_orders_of_their_own),
		cmocka_unit_test(judge_reply_after_the_deadline_is_late),
		cmocka_unit_test(judge_wrong_key_is_misplaced),
		cmocka_unit_test(judge_wrong_partition_is_misplaced),
		cmocka_unit_test(judge_order_across_partitions_of_replies_is_none),
		cmocka_unit_test(judge_rejected_reply_needs_the_key_that_it_names),
		cmocka_unit_test(judge_other_request_id_is_misnamed),
		cmocka_unit_test(judge_reply_to_nothing_is_unasked),
		cmocka_unit_test(judge_replies_to_what_was_not_read_are_not_judged),
		cmocka_unit_test(judge_what_is_no_reply_is_unreadable),
		cmocka_unit_test(judge_gap_in_the_requests_is_no_request),
		cmocka_unit_test(judge_span_of_time_is_all_that_is_judged),
		cmocka_unit_test(judge_dead_letters_are_one_for_a_request),
		cmocka_unit_test(judge_dead_letter_of_nothing_is_told),
		cmocka_unit_test(judge_examples_are_bounded_and_the_count_is_not),
		cmocka_unit_test(judge_more_requests_than_allowed_is_full),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
