/* Dead letters. */
#include "chat_support.h"

#include "schemas/dead_letter.h"

enum { ARENA_MAX = 65536 };

static const struct record_header original_headers[] = {
	{ { .data = "a", .size = 1 }, { .data = "\0\xff", .size = 2 } },
	{ { .data = "a", .size = 1 }, { .data = NULL, .size = 0 } },
};

static struct record sample_record(void)
{
	return (struct record){
		.partition = 5,
		.offset = 77,
		.timestamp_ms = 1700000000123,
		.key = BYTES("k\xff"),
		.value = BYTES("\xc1\0rubbish"),
		.headers = { .items = original_headers, .count = COUNT(original_headers) },
	};
}

static struct dead_letter sample_letter(const struct record *record)
{
	return (struct dead_letter){
		.record = record,
		.topic = BYTES("chat.requests.dlq"),
		.original_topic = BYTES("chat.requests"),
		.consumer_group = BYTES("group-1"),
		.worker_version = BYTES("1.2.3"),
		.reason = REASON_DECODE,
		.message = BYTES("It is cut off."),
		.attempts = 0,
		.failed_at_ms = 1700000001007,
	};
}

static void dead_letter_write_keeps_the_original_and_adds_why(void **state)
{
	(void)state;
	static const char *const expected[][2] = {
		{ "dlq-reason", "decode" },
		{ "dlq-message", "It is cut off." },
		{ "dlq-original-topic", "chat.requests" },
		{ "dlq-original-partition", "5" },
		{ "dlq-original-offset", "77" },
		{ "dlq-original-timestamp", "1700000000123" },
		{ "dlq-consumer-group", "group-1" },
		{ "dlq-attempts", "0" },
		{ "dlq-failed-at", "2023-11-14T22:13:21.007Z" },
		{ "dlq-worker-version", "1.2.3" },
	};
	struct arena *arena = arena_new(ARENA_MAX);
	struct record record = sample_record();
	struct dead_letter letter = sample_letter(&record);
	struct outgoing outgoing;
	assert_int_equal(dead_letter_write(&letter, arena, &outgoing), STATUS_OK);
	assert_bytes(outgoing.topic, "chat.requests.dlq");
	assert_bytes_equal(outgoing.key, record.key);
	assert_bytes_equal(outgoing.value, record.value);
	assert_int_equal(outgoing.timestamp_ms, 1700000000123);
	assert_true(outgoing.is_dead_letter);
	assert_int_equal(outgoing.headers.count, 2 + COUNT(expected));
	assert_bytes_equal(outgoing.headers.items[0].value, BYTES("\0\xff"));
	assert_false(bytes_is_given(outgoing.headers.items[1].value));
	for (size_t i = 0; i < COUNT(expected); i++) {
		assert_bytes(outgoing.headers.items[2 + i].name, expected[i][0]);
		assert_bytes(outgoing.headers.items[2 + i].value, expected[i][1]);
	}
	arena_free(arena);
}

static void dead_letter_write_omitted_value_is_null_and_said(void **state)
{
	(void)state;
	struct arena *arena = arena_new(ARENA_MAX);
	struct record record = sample_record();
	struct dead_letter letter = sample_letter(&record);
	struct outgoing outgoing;
	letter.omit_value = true;
	assert_int_equal(dead_letter_write(&letter, arena, &outgoing), STATUS_OK);
	assert_false(bytes_is_given(outgoing.value));
	assert_bytes_equal(outgoing.key, record.key);
	assert_bytes(record_headers_last(&outgoing.headers, "dlq-value-omitted"), "too_large");
	arena_free(arena);
}

static void dead_letter_write_tombstone_without_timestamp_or_headers(void **state)
{
	(void)state;
	struct arena *arena = arena_new(ARENA_MAX);
	struct record record = { .timestamp_ms = -1, .key = BYTES_NONE, .value = BYTES_NONE };
	struct dead_letter letter = sample_letter(&record);
	struct outgoing outgoing;
	assert_int_equal(dead_letter_write(&letter, arena, &outgoing), STATUS_OK);
	assert_false(bytes_is_given(outgoing.key));
	assert_false(bytes_is_given(outgoing.value));
	assert_int_equal(outgoing.timestamp_ms, 0);
	assert_int_equal(outgoing.headers.count, 10);
	assert_bytes(record_headers_last(&outgoing.headers, "dlq-original-timestamp"), "-1");
	assert_null(record_headers_find(&outgoing.headers, "dlq-value-omitted"));
	arena_free(arena);
}

static struct bytes message_of(struct arena *arena, struct bytes message)
{
	struct record record = sample_record();
	struct dead_letter letter = sample_letter(&record);
	struct outgoing outgoing;
	letter.message = message;
	assert_int_equal(dead_letter_write(&letter, arena, &outgoing), STATUS_OK);
	return record_headers_last(&outgoing.headers, "dlq-message");
}

static void dead_letter_write_message_is_cut_between_characters(void **state)
{
	(void)state;
	struct arena *arena = arena_new(ARENA_MAX);
	char text[DEAD_LETTER_MESSAGE_MAX + 2];
	memset(text, 'x', sizeof(text));
	assert_int_equal(message_of(arena, bytes_at(text, DEAD_LETTER_MESSAGE_MAX)).size, DEAD_LETTER_MESSAGE_MAX);
	assert_int_equal(message_of(arena, bytes_at(text, DEAD_LETTER_MESSAGE_MAX + 1)).size, DEAD_LETTER_MESSAGE_MAX);
	text[DEAD_LETTER_MESSAGE_MAX - 1] = '\xc3';
	text[DEAD_LETTER_MESSAGE_MAX] = '\xa9';
	assert_int_equal(
		message_of(arena, bytes_at(text, DEAD_LETTER_MESSAGE_MAX + 2)).size, DEAD_LETTER_MESSAGE_MAX - 1);
	assert_bytes(message_of(arena, BYTES_NONE), reason_message(REASON_DECODE));
	arena_free(arena);
}

static void dead_letter_write_time_is_rfc_3339(void **state)
{
	(void)state;
	static const struct {
		int64_t wall_ms;
		const char *text;
	} rows[] = {
		{ 0, "1970-01-01T00:00:00.000Z" },
		{ 1709210096789, "2024-02-29T12:34:56.789Z" },
		{ -1, "1969-12-31T23:59:59.999Z" },
		{ 253402300799999, "9999-12-31T23:59:59.999Z" },
	};
	struct record record = sample_record();
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct arena *arena = arena_new(ARENA_MAX);
		struct dead_letter letter = sample_letter(&record);
		struct outgoing outgoing;
		letter.failed_at_ms = rows[i].wall_ms;
		assert_int_equal(dead_letter_write(&letter, arena, &outgoing), STATUS_OK);
		assert_bytes(record_headers_last(&outgoing.headers, "dlq-failed-at"), rows[i].text);
		arena_free(arena);
	}
}

static void dead_letter_write_small_arena_is_no_memory(void **state)
{
	(void)state;
	static struct record_header many[400];
	for (size_t i = 0; i < COUNT(many); i++)
		many[i] = (struct record_header){ .name = BYTES("n"), .value = BYTES("v") };
	struct record record = { .value = BYTES("x"), .headers = { .items = many, .count = COUNT(many) } };
	struct dead_letter letter = sample_letter(&record);
	struct outgoing outgoing;
	struct arena *arena = arena_new(4096);
	assert_int_equal(dead_letter_write(&letter, arena, &outgoing), STATUS_NO_MEMORY);
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dead_letter_write_keeps_the_original_and_adds_why),
		cmocka_unit_test(dead_letter_write_omitted_value_is_null_and_said),
		cmocka_unit_test(dead_letter_write_tombstone_without_timestamp_or_headers),
		cmocka_unit_test(dead_letter_write_message_is_cut_between_characters),
		cmocka_unit_test(dead_letter_write_time_is_rfc_3339),
		cmocka_unit_test(dead_letter_write_small_arena_is_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
