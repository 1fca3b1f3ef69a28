/* What the tests of the wire share: a record out of a literal, and a request read from it. */
#ifndef TESTS_UNIT_CHAT_SUPPORT_H
#define TESTS_UNIT_CHAT_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schemas/chat_request.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* So that bytes with NUL and bytes without read alike in the tests. */
#define BYTES(literal) BYTES_LITERAL(literal)

#define assert_bytes(view, text) assert_bytes_equal(view, bytes_of(text))

static inline void assert_bytes_equal(struct bytes view, struct bytes expected)
{
	if (bytes_equal(view, expected) && bytes_is_given(view) == bytes_is_given(expected)) return;
	fail_msg("got %.*s, expected %.*s", (int)view.size, view.data == NULL ? "" : view.data, (int)expected.size,
		expected.data == NULL ? "" : expected.data);
}

static inline struct chat_limits support_limits(void)
{
	return (struct chat_limits){ .record_bytes = 65536, .depth = 32, .messages = 512, .id_bytes = 128 };
}

/* A record with a key and at most one header. */
struct support_record {
	struct record record;
	struct record_header header;
};

static inline void support_record_init(struct support_record *support, struct bytes value)
{
	*support = (struct support_record){
		.record = { .partition = 1,
			.offset = 2,
			.timestamp_ms = 3,
			.key = BYTES_LITERAL("key-1"),
			.value = value },
	};
}

static inline void support_record_header(struct support_record *support, const char *name, struct bytes value)
{
	support->header = (struct record_header){ .name = bytes_of(name), .value = value };
	support->record.headers = (struct record_headers){ .items = &support->header, .count = 1 };
}

/* The state of a test: an arena, and the last result. */
struct support_read {
	struct arena *arena;
	struct chat_request request;
	struct chat_rejection rejection;
};

static inline void support_read_init(struct support_read *read)
{
	*read = (struct support_read){ .arena = arena_new(1024 * 1024) };
	assert_non_null(read->arena);
}

static inline void support_read_deinit(struct support_read *read)
{
	arena_free(read->arena);
}

static inline enum status support_read_record(struct support_read *read, const struct record *record)
{
	struct chat_limits limits = support_limits();
	return chat_request_read(record, &limits, read->arena, &read->request, &read->rejection);
}

static inline enum status support_read_json(struct support_read *read, const char *json)
{
	struct support_record record;
	support_record_init(&record, bytes_of(json));
	return support_read_record(read, &record.record);
}

#endif
