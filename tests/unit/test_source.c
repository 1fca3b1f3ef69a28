/* source: records, start offsets and committed progress, against librdkafka's mock cluster.
 *
 * The mock holds no transactions and forgets isolation; what depends on those is tested with a real broker. */
#include "tests/unit/source_member.h"
#include "worker/edge/kafka_group.h"

static void open_refusedProperty_isInvalid(void **state)
{
	struct fixture *fixture = *state;
	struct member member = { 0 };
	const char *item = "isolation.level=read_uncommitted";
	fixture->settings.kafka.properties = (struct settings_list){ &item, 1 };
	const struct source_options options = options_of(fixture, &member);
	assert_int_equal(source_open(&options, &member.source), STATUS_INVALID);
	assert_null(member.source);
	assert_int_equal(source_close(NULL, 0), STATUS_OK);
}

static void open_noBroker_closesInTime(void **state)
{
	struct fixture *fixture = *state;
	fixture->settings.kafka.bootstrap_servers = "127.0.0.1:1";
	struct member *member = open_member(fixture);
	turn(member);
	assert_int_equal(member->served, STATUS_OK);
	assert_false(source_is_connected(member->source));
	assert_false(source_is_joined(member->source));
	assert_false(bytes_is_given(source_group(member->source)));
	assert_int_equal(source_close(member->source, 500), STATUS_OK);
	member->source = NULL;
}

static void assign_nothingCommitted_givesBoundsAndDefaultStart(void **state)
{
	struct fixture *fixture = *state;
	fixture_produce(fixture, 1, "k", "v");
	fixture_produce(fixture, 1, "k", "w");
	struct member *member = open_assigned(fixture);
	assert_int_equal(member->assigned_count, PARTITIONS);
	for (size_t i = 0; i < PARTITIONS; i++) {
		const struct source_partition *row = &member->assigned[i];
		int64_t end = row->partition == 1 ? 2 : 0;
		assert_int_equal(row->committed, -1);
		assert_int_equal(row->log_start, 0);
		assert_int_equal(row->log_end, end);
		assert_int_equal(row->start, 0);
	}
	assert_true(source_is_connected(member->source));
	assert_true(source_is_joined(member->source));
	assert_int_equal(fixture_count(fixture, METRIC_REBALANCES, "assign"), 1);
	close_member(member);
}

static void assign_startFromLatest_beginsAtTheEnd(void **state)
{
	struct fixture *fixture = *state;
	fixture->settings.kafka.start_from = SETTINGS_START_FROM_LATEST;
	fixture_produce(fixture, 0, "k", "old");
	struct member *member = open_assigned(fixture);
	fixture_produce(fixture, 0, "k", "new");
	struct record *record = take(member, 0);
	assert_int_equal(record->offset, 1);
	assert_text_equal(record->value, "new");
	record_free(record);
	close_member(member);
}

/* Without generation or member id brokers would fence nobody. */
static void group_withoutGenerationOrMember_isRefused(void **state)
{
	(void)state;
	const struct {
		int32_t generation;
		const char *member;
		bool usable;
	} rows[] = { { 0, "m", true }, { 7, "m", true }, { -1, "m", false }, { 7, "", false }, { -1, "", false } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		rd_kafka_consumer_group_metadata_t *group =
			rd_kafka_consumer_group_metadata_new_with_genid("g", rows[i].generation, rows[i].member, NULL);
		void *data = NULL;
		size_t size = 0;
		assert_null(rd_kafka_consumer_group_metadata_write(group, &data, &size));
		rd_kafka_consumer_group_metadata_t *opened = kafka_group_open(bytes_at(data, size));
		assert_int_equal(opened != NULL, rows[i].usable);
		if (opened != NULL) rd_kafka_consumer_group_metadata_destroy(opened);
		for (size_t cut = 0; cut < size; cut++)
			assert_null(kafka_group_open(bytes_at(data, cut)));
		rd_kafka_mem_free(NULL, data);
		rd_kafka_consumer_group_metadata_destroy(group);
	}
	assert_null(kafka_group_open(BYTES_NONE));
	assert_null(kafka_group_open(BYTES_LITERAL("nonsense that is long enough")));
}

static void take_records_areWholeCopies(void **state)
{
	struct fixture *fixture = *state;
	fixture_produce(fixture, 2, "key", "value");
	fixture_produce(fixture, 2, NULL, NULL);
	fixture_produce(fixture, 2, "", "");
	struct member *member = open_assigned(fixture);
	struct record *records[] = { take(member, 2), take(member, 2), take(member, 2) };
	struct record *none = NULL;
	assert_int_equal(source_take(member->source, 2, &none), STATUS_EMPTY);
	assert_null(none);
	wait_until(source_log_end(member->source, 2) == 3, turn(member));
	close_member(member);
	/* They outlive the source. */
	assert_int_equal(records[0]->partition, 2);
	assert_int_equal(records[0]->offset, 0);
	assert_int_equal(records[0]->timestamp_ms, 1234567);
	assert_text_equal(records[0]->key, "key");
	assert_text_equal(records[0]->value, "value");
	assert_text_equal(record_headers_last(&records[0]->headers, "name"), "value");
	assert_false(bytes_is_given(records[1]->key));
	assert_false(bytes_is_given(records[1]->value));
	assert_true(bytes_is_given(records[2]->key));
	assert_true(bytes_is_given(records[2]->value));
	assert_int_equal(records[2]->offset, 2);
	for (size_t i = 0; i < 3; i++)
		record_free(records[i]);
}

/* A partition that is not read holds up nobody, and loses nothing. */
static void take_fullPartition_othersFlow(void **state)
{
	struct fixture *fixture = *state;
	for (int i = 0; i < 20; i++) {
		fixture_produce(fixture, 0, "k", "zero");
		fixture_produce(fixture, 1, "k", "one");
	}
	struct member *member = open_assigned(fixture);
	for (int64_t i = 0; i < 20; i++) {
		struct record *record = take(member, 1);
		assert_int_equal(record->offset, i);
		record_free(record);
	}
	for (int64_t i = 0; i < 20; i++) {
		struct record *record = take(member, 0);
		assert_int_equal(record->offset, i);
		assert_text_equal(record->value, "zero");
		record_free(record);
	}
	close_member(member);
}

static void fd_newRecord_wakes(void **state)
{
	struct fixture *fixture = *state;
	struct member *member = open_assigned(fixture);
	struct record *record = NULL;
	struct pollfd ready = { .fd = source_fd(member->source), .events = POLLIN };
	/* Everything served and taken: from here on only the record can make it readable for good. */
	turn(member);
	assert_int_equal(source_take(member->source, 3, &record), STATUS_EMPTY);
	fixture_produce(fixture, 3, "k", "v");
	while (record == NULL) {
		assert_int_equal(poll(&ready, 1, WAIT_MS), 1);
		assert_int_equal(source_serve(member->source), STATUS_OK);
		(void)!source_take(member->source, 3, &record);
	}
	record_free(record);
	close_member(member);
}

static void take_end_isToldOnceAndHidesNoRecord(void **state)
{
	struct fixture *fixture = *state;
	fixture_produce(fixture, 3, "k", "v");
	struct member *member = open_assigned(fixture);
	int64_t end = -1;
	record_free(take(member, 3));
	struct record *record = NULL;
	wait_until(source_take_end(member->source, 3, &end),
		(turn(member), assert_int_equal(source_take(member->source, 3, &record), STATUS_EMPTY)));
	assert_int_equal(end, 1);
	assert_false(source_take_end(member->source, 3, &end));
	/* More comes while the news of the end may lie in the queue before it. */
	for (int i = 1; i <= 5; i++) {
		fixture_produce(fixture, 3, "k", "v");
		record = take(member, 3);
		assert_int_equal(record->offset, i);
		record_free(record);
	}
	assert_false(source_take_end(member->source, PARTITIONS + 1, &end));
	assert_false(source_take_end(member->source, -1, &end));
	close_member(member);
}

static char *long_metadata(void)
{
	char *text = malloc(METADATA_SIZE);
	assert_non_null(text);
	for (size_t i = 0; i < METADATA_SIZE; i++)
		text[i] = (char)('A' + i % 26);
	return text;
}

static void commit_metadata_comesBackWhole(void **state)
{
	struct fixture *fixture = *state;
	for (int i = 0; i < 5; i++)
		fixture_produce(fixture, 1, "k", "v");
	struct member *member = open_assigned(fixture);
	char *text = long_metadata();
	struct batch_progress row = { .partition = 1, .offset = 3, .metadata = bytes_at(text, METADATA_SIZE) };
	assert_int_equal(source_commit(member->source, &row, 1, WAIT_MS), STATUS_OK);
	struct batch_progress found[] = { { .partition = 1 }, { .partition = 2 } };
	assert_int_equal(source_committed(member->source, found, 2, WAIT_MS), STATUS_OK);
	assert_int_equal(found[0].offset, 3);
	assert_bytes_equal(found[0].metadata, row.metadata);
	assert_int_equal(found[1].offset, -1);
	assert_false(bytes_is_given(found[1].metadata));
	free((void *)(uintptr_t)found[0].metadata.data);
	close_member(member);

	/* The next owner is given the same, and begins there. */
	member = open_assigned(fixture);
	struct record *record = take(member, 1);
	assert_int_equal(record->offset, 3);
	record_free(record);
	assert_memory_equal(member->metadata, text, METADATA_SIZE);
	free(text);
	close_member(member);
}

static void commit_refused_saysWhetherToWait(void **state)
{
	struct fixture *fixture = *state;
	struct member *member = open_assigned(fixture);
	const struct batch_progress row = { .partition = 1, .offset = 0 };
	rd_kafka_mock_push_request_errors(
		fixture->cluster, API_OFFSET_COMMIT, 1, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
	assert_int_equal(source_commit(member->source, &row, 1, WAIT_MS), STATUS_IO);
	assert_int_equal(source_commit(member->source, &row, 1, WAIT_MS), STATUS_OK);
	rd_kafka_mock_push_request_errors(fixture->cluster, API_OFFSET_COMMIT, 1, RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION);
	assert_int_equal(source_commit(member->source, &row, 1, WAIT_MS), STATUS_BUSY);
	close_member(member);
}

/* Reads what there is, whatever the partition. */
static void take_all(struct member *member)
{
	struct record *record = NULL;
	for (int32_t partition = 0; partition < PARTITIONS; partition++)
		while (source_take(member->source, partition, &record) == STATUS_OK)
			record_free(record);
	turn(member);
}

/* Records were deleted before they were read: the partition is looked up anew, without a rebalance. Which partitions the
 * refused fetch asks for is librdkafka's affair. */
static void take_offsetGone_looksThePartitionUpAnew(void **state)
{
	struct fixture *fixture = *state;
	fixture_produce(fixture, 1, "k", "v");
	struct member *member = open_assigned(fixture);
	record_free(take(member, 1));
	rd_kafka_mock_push_request_errors(fixture->cluster, API_FETCH, 1, RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE);
	wait_until(member->lost_count > 0 && owned(member) == PARTITIONS, take_all(member));
	assert_int_equal(member->revoked_count, member->lost_count);
	assert_int_equal(member->assigned_count, PARTITIONS + member->lost_count);
	assert_int_equal(
		metric_value(metrics_series(fixture->metrics, METRIC_OFFSETS_LOST, NULL, 0)), member->lost_count);
	for (int32_t partition = 0; partition < PARTITIONS; partition++) {
		fixture_produce(fixture, partition, "k", "v");
		record_free(take(member, partition));
	}
	close_member(member);
}

static void take_readDenied_goesOnWhenAllowed(void **state)
{
	struct fixture *fixture = *state;
	fixture_produce(fixture, 1, "k", "v");
	struct member *member = open_assigned(fixture);
	record_free(take(member, 1));
	rd_kafka_mock_push_request_errors(fixture->cluster, API_FETCH, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
	fixture_produce(fixture, 1, "k", "v");
	struct record *record = take(member, 1);
	assert_int_equal(record->offset, 1);
	record_free(record);
	assert_int_equal(member->lost_count, 0);
	close_member(member);
}

static void assign_explicitStart_isHonoured(void **state)
{
	struct fixture *fixture = *state;
	for (int i = 0; i < 5; i++)
		fixture_produce(fixture, 1, "k", "v");
	struct member *member = open_member(fixture);
	member->start = 0;
	wait_until(owned(member) == PARTITIONS, turn(member));
	const struct batch_progress row = { .partition = 1, .offset = 4 };
	assert_int_equal(source_commit(member->source, &row, 1, WAIT_MS), STATUS_OK);
	close_member(member);
	member = open_member(fixture);
	member->start = 2;
	wait_until(owned(member) == PARTITIONS, turn(member));
	struct record *record = take(member, 1);
	assert_int_equal(record->offset, 2);
	record_free(record);
	close_member(member);
}

static void open_assigned_hasIdentityAndOnlyItsPartitions(void **state)
{
	struct fixture *fixture = *state;
	struct member *member = open_assigned(fixture);
	rd_kafka_consumer_group_metadata_t *opened = kafka_group_open(source_group(member->source));
	assert_non_null(opened);
	rd_kafka_consumer_group_metadata_destroy(opened);
	struct record *record = NULL;
	assert_int_equal(source_take(member->source, PARTITIONS, &record), STATUS_NOT_FOUND);
	assert_int_equal(source_take(member->source, -1, &record), STATUS_NOT_FOUND);
	assert_int_equal(source_log_end(member->source, PARTITIONS + 1), -1);
	close_member(member);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mock_test(open_refusedProperty_isInvalid),
		mock_test(open_noBroker_closesInTime),
		mock_test(assign_nothingCommitted_givesBoundsAndDefaultStart),
		mock_test(assign_startFromLatest_beginsAtTheEnd),
		cmocka_unit_test(group_withoutGenerationOrMember_isRefused),
		mock_test(take_records_areWholeCopies),
		mock_test(take_fullPartition_othersFlow),
		mock_test(fd_newRecord_wakes),
		mock_test(take_end_isToldOnceAndHidesNoRecord),
		mock_test(commit_metadata_comesBackWhole),
		mock_test(commit_refused_saysWhetherToWait),
		mock_test(take_offsetGone_looksThePartitionUpAnew),
		mock_test(take_readDenied_goesOnWhenAllowed),
		mock_test(assign_explicitStart_isHonoured),
		mock_test(open_assigned_hasIdentityAndOnlyItsPartitions),
	};
	cmocka_set_test_filter(getenv("ONLY"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
