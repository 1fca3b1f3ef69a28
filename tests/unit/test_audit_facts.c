/* What an audit reads of records. */
#include "tests/unit/testing.h"

#include "replay/audit_facts.h"

static struct arena *fresh_arena(void)
{
	struct arena *arena = arena_new(AUDIT_FACTS_ARENA_MAX);
	assert_non_null(arena);
	return arena;
}

static struct record record_of(struct bytes value)
{
	return (struct record){
		.partition = 3, .offset = 7, .timestamp_ms = 5, .key = BYTES_LITERAL("key"), .value = value
	};
}

static void demand_request(struct bytes value, const char *id, const char *conversation)
{
	struct arena *arena = fresh_arena();
	struct record record = record_of(value);
	struct audit_request request;
	assert_int_equal(audit_facts_request(&record, arena, &request), STATUS_OK);
	assert_int_equal(request.partition, 3);
	assert_int_equal(request.offset, 7);
	assert_int_equal(request.timestamp_ms, 5);
	assert_text_equal(request.id, id);
	assert_text_equal(request.conversation, conversation);
	arena_free(arena);
}

static void facts_ids_of_requests_are_read_in_both_codings(void **state)
{
	(void)state;
	demand_request(BYTES_LITERAL("{\"request_id\":\"r\\u0031\",\"conversation_id\":\"c\"}"), "r1", "c");
	/* A map of two pairs. */
	demand_request(BYTES_LITERAL("\x82\xaarequest_id\xa2r1\xaf"
				     "conversation_id\xa1"
				     "c"),
		"r1", "c");
	demand_request(BYTES_LITERAL("{\"request_id\":\"r1\",\"conversation_id\":null}"), "r1", "key");
}

static void facts_key_stands_in_for_what_cannot_be_read(void **state)
{
	(void)state;
	demand_request(BYTES_NONE, NULL, "key");
	demand_request(BYTES_LITERAL(""), NULL, "key");
	demand_request(BYTES_LITERAL("\xc1"), NULL, "key");
	demand_request(BYTES_LITERAL("[1]"), NULL, "key");
	demand_request(BYTES_LITERAL("{\"request_id\":7,\"conversation_id\":\"\"}"), NULL, "key");
	struct record record = record_of(BYTES_NONE);
	struct audit_request request;
	record.key = BYTES_NONE;
	assert_int_equal(audit_facts_request(&record, NULL, &request), STATUS_OK);
	assert_false(bytes_is_given(request.conversation));
}

static const char REPLY[] = "{\"request_id\":\"r1\",\"conversation_id\":\"c\",\"outcome\":\"fallback\","
			    "\"source\":{\"topic\":\"in\",\"partition\":4,\"offset\":123456789012}}";

static void facts_reply_names_its_request(void **state)
{
	(void)state;
	struct arena *arena = fresh_arena();
	struct record record = record_of(bytes_of(REPLY));
	struct audit_reply reply;
	assert_int_equal(audit_facts_reply(&record, "out", arena, &reply), STATUS_OK);
	assert_true(reply.is_readable);
	assert_string_equal(reply.place.topic, "out");
	assert_int_equal(reply.place.partition, 3);
	assert_int_equal(reply.place.offset, 7);
	assert_int_equal(reply.timestamp_ms, 5);
	assert_text_equal(reply.key, "key");
	assert_int_equal(reply.outcome, AUDIT_FALLBACK);
	assert_text_equal(reply.id, "r1");
	assert_text_equal(reply.conversation, "c");
	assert_text_equal(reply.source_topic, "in");
	assert_int_equal(reply.source_partition, 4);
	assert_int_equal(reply.source_offset, 123456789012);
	arena_free(arena);
}

static void facts_what_is_no_reply_is_not_readable(void **state)
{
	(void)state;
	static const char *const VALUES[] = { "", "{", "[]", "{}", "{\"outcome\":\"answered\"}",
		"{\"outcome\":\"answered\",\"source\":[]}", "{\"outcome\":\"answered\",\"source\":{\"topic\":\"in\"}}",
		"{\"outcome\":\"done\",\"source\":{\"topic\":\"in\",\"partition\":1,\"offset\":1}}",
		"{\"outcome\":\"answered\",\"source\":{\"topic\":1,\"partition\":1,\"offset\":1}}",
		"{\"outcome\":\"answered\",\"source\":{\"topic\":\"in\",\"partition\":-1,\"offset\":1}}",
		"{\"outcome\":\"answered\",\"source\":{\"topic\":\"in\",\"partition\":4294967296,\"offset\":1}}",
		"{\"outcome\":\"answered\",\"source\":{\"topic\":\"in\",\"partition\":1,\"offset\":\"1\"}}" };
	for (size_t i = 0; i < sizeof VALUES / sizeof VALUES[0]; i++) {
		struct arena *arena = fresh_arena();
		struct record record = record_of(bytes_of(VALUES[i]));
		struct audit_reply reply;
		assert_int_equal(audit_facts_reply(&record, "out", arena, &reply), STATUS_OK);
		assert_false(reply.is_readable);
		arena_free(arena);
	}
}

static void facts_dead_letter_names_its_request(void **state)
{
	(void)state;
	struct record_header headers[] = { { BYTES_LITERAL("dlq-original-topic"), BYTES_LITERAL("in") },
		{ BYTES_LITERAL("dlq-original-partition"), BYTES_LITERAL("1") },
		{ BYTES_LITERAL("dlq-original-offset"), BYTES_LITERAL("2") },
		{ BYTES_LITERAL("dlq-original-partition"), BYTES_LITERAL("11") } };
	struct record record = record_of(BYTES_NONE);
	struct audit_letter letter;
	record.headers = (struct record_headers){ headers, 4 };
	audit_facts_letter(&record, "dlq", &letter);
	assert_true(letter.is_readable);
	assert_text_equal(letter.source_topic, "in");
	assert_int_equal(letter.source_partition, 11);
	assert_int_equal(letter.source_offset, 2);
	headers[3].value = BYTES_LITERAL("x");
	audit_facts_letter(&record, "dlq", &letter);
	assert_false(letter.is_readable);
	record.headers.count = 2;
	audit_facts_letter(&record, "dlq", &letter);
	assert_false(letter.is_readable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(facts_ids_of_requests_are_read_in_both_codings),
		cmocka_unit_test(facts_key_stands_in_for_what_cannot_be_read),
		cmocka_unit_test(facts_reply_names_its_request),
		cmocka_unit_test(facts_what_is_no_reply_is_not_readable),
		cmocka_unit_test(facts_dead_letter_names_its_request),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
