/* Records as one allocation. */
#include "chat_support.h"

#include "schemas/record.h"

static void record_new_copies_everything(void **state)
{
	(void)state;
	char key[] = "key", value[] = "val\0ue", name[] = "name", content[] = "content";
	struct record_header headers[] = {
		{ bytes_at(name, 4), bytes_at(content, 7) },
		{ BYTES("null"), BYTES_NONE },
		{ BYTES("empty"), BYTES("") },
	};
	struct record source = {
		.partition = 7,
		.offset = 1LL << 40,
		.timestamp_ms = 1700000000000,
		.key = bytes_at(key, 3),
		.value = bytes_at(value, 6),
		.headers = { .items = headers, .count = COUNT(headers) },
	};
	struct record *copy = record_new(&source);
	assert_non_null(copy);
	memset(key, 'x', sizeof(key));
	memset(value, 'x', sizeof(value));
	memset(name, 'x', sizeof(name));
	memset(content, 'x', sizeof(content));

	assert_int_equal(copy->partition, 7);
	assert_int_equal(copy->offset, 1LL << 40);
	assert_int_equal(copy->timestamp_ms, 1700000000000);
	assert_bytes(copy->key, "key");
	assert_bytes_equal(copy->value, BYTES("val\0ue"));
	assert_int_equal(copy->headers.count, 3);
	assert_bytes(copy->headers.items[0].name, "name");
	assert_bytes(copy->headers.items[0].value, "content");
	assert_false(bytes_is_given(copy->headers.items[1].value));
	assert_bytes(copy->headers.items[2].value, "");
	assert_true(copy->size >= sizeof(*copy) + 3 * sizeof(struct record_header) + 3 + 6);
	record_free(copy);
}

static struct record whole(const struct record_header *headers, size_t count)
{
	return (struct record){
		.partition = 7,
		.offset = 9,
		.timestamp_ms = 5,
		.key = BYTES("key"),
		.value = BYTES("value"),
		.headers = { .items = headers, .count = count },
	};
}

static void assert_other(const struct record *a, const struct record *b)
{
	assert_false(record_is_same(a, b));
	assert_false(record_is_same(b, a));
}

static void record_is_same_only_when_every_byte_is(void **state)
{
	(void)state;
	const struct record_header headers[] = { { BYTES("name"), BYTES("content") }, { BYTES("n"), BYTES_NONE } };
	const struct record_header renamed[] = { { BYTES("Name"), BYTES("content") }, { BYTES("n"), BYTES_NONE } };
	const struct record_header emptied[] = { { BYTES("name"), BYTES("content") }, { BYTES("n"), BYTES("") } };
	struct record source = whole(headers, 2);
	struct record *copy = record_new(&source);
	assert_true(record_is_same(&source, copy));
	struct record others[] = { source, source, source, source, source, source, source, whole(renamed, 2),
		whole(emptied, 2), whole(headers, 1) };
	others[0].partition++;
	others[1].offset++;
	others[2].timestamp_ms++;
	others[3].key = BYTES("kex");
	others[4].value = BYTES("valuf");
	others[5].value = BYTES_NONE;
	others[6].key = BYTES_NONE;
	for (size_t i = 0; i < COUNT(others); i++)
		assert_other(&others[i], copy);
	struct record null_value = source, empty_value = source;
	null_value.value = BYTES_NONE;
	empty_value.value = BYTES("");
	assert_other(&null_value, &empty_value);
	assert_true(record_is_same(&null_value, &null_value));
	record_free(copy);
}

static void record_new_null_and_empty_stay_different(void **state)
{
	(void)state;
	struct record null_source = { .key = BYTES_NONE, .value = BYTES_NONE };
	struct record empty_source = { .key = BYTES(""), .value = BYTES("") };
	struct record *null_copy = record_new(&null_source);
	struct record *empty_copy = record_new(&empty_source);
	assert_non_null(null_copy);
	assert_non_null(empty_copy);
	assert_false(bytes_is_given(null_copy->key));
	assert_false(bytes_is_given(null_copy->value));
	assert_true(bytes_is_given(empty_copy->key));
	assert_true(bytes_is_given(empty_copy->value));
	record_free(null_copy);
	record_free(empty_copy);
	record_free(NULL);
}

static void record_new_impossible_size_gives_null(void **state)
{
	(void)state;
	struct record source = { .value = { .data = "x", .size = SIZE_MAX - 8 } };
	assert_null(record_new(&source));
	struct record many = { .headers = { .items = NULL, .count = SIZE_MAX / 2 } };
	assert_null(record_new(&many));
}

static void record_headers_last_takes_the_last_of_a_name(void **state)
{
	(void)state;
	struct record_header items[] = {
		{ BYTES("a"), BYTES("1") },
		{ BYTES("b"), BYTES("2") },
		{ BYTES("a"), BYTES("3") },
		{ BYTES("c"), BYTES_NONE },
	};
	struct record_headers headers = { .items = items, .count = COUNT(items) };
	assert_bytes(record_headers_last(&headers, "a"), "3");
	assert_bytes(record_headers_last(&headers, "b"), "2");
	assert_false(bytes_is_given(record_headers_last(&headers, "A")));
	assert_false(bytes_is_given(record_headers_last(&headers, "c")));
}

static void record_headers_find_tells_null_from_missing(void **state)
{
	(void)state;
	struct record_header items[] = { { BYTES("c"), BYTES_NONE } };
	struct record_headers headers = { .items = items, .count = 1 };
	struct record_headers none = { .items = NULL, .count = 0 };
	assert_ptr_equal(record_headers_find(&headers, "c"), &items[0]);
	assert_null(record_headers_find(&headers, "d"));
	assert_null(record_headers_find(&none, "c"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(record_new_copies_everything),
		cmocka_unit_test(record_is_same_only_when_every_byte_is),
		cmocka_unit_test(record_new_null_and_empty_stay_different),
		cmocka_unit_test(record_new_impossible_size_gives_null),
		cmocka_unit_test(record_headers_last_takes_the_last_of_a_name),
		cmocka_unit_test(record_headers_find_tells_null_from_missing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
