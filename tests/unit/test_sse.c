/* Server-sent events: the rules of the standard, every way to cut a stream, and the bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "worker/core/sse.h"

enum { EVENT_MAX = 64 };

/* Events are noted as "<data>", one behind the other. */
struct notes {
	char text[512];
	size_t size;
	size_t count;
	size_t stop_at; /* the event that answers CLOSED; 0 = none */
	enum status status;
};

static enum status note(void *context, struct bytes data)
{
	struct notes *notes = context;
	assert_true(notes->size + data.size + 3 < sizeof(notes->text));
	notes->text[notes->size++] = '<';
	memcpy(notes->text + notes->size, data.data, data.size);
	notes->size += data.size;
	notes->text[notes->size++] = '>';
	notes->text[notes->size] = '\0';
	notes->count++;
	return notes->count == notes->stop_at ? STATUS_CLOSED : STATUS_OK;
}

/* Feeds from `from` in pieces of `step` bytes, until something else than STATUS_OK comes. */
static void feed(struct sse *sse, struct bytes stream, size_t step, struct notes *notes)
{
	for (size_t at = 0; at < stream.size && notes->status == STATUS_OK; at += step) {
		size_t size = stream.size - at < step ? stream.size - at : step;
		/* Memory of its own, so that a view kept too long is caught. */
		char *piece = test_malloc(size);
		memcpy(piece, stream.data + at, size);
		notes->status = sse_feed(sse, bytes_at(piece, size), note, notes);
		test_free(piece);
	}
}

static struct notes split(struct bytes stream, size_t cut, size_t step, bool is_whole)
{
	struct notes notes = { .status = STATUS_OK };
	struct sse sse;
	sse_init(&sse, EVENT_MAX);
	feed(&sse, bytes_at(stream.data, cut), step, &notes);
	feed(&sse, bytes_at(stream.data + cut, stream.size - cut), step, &notes);
	if (is_whole && notes.status == STATUS_OK) notes.status = sse_finish(&sse, note, &notes);
	sse_deinit(&sse);
	return notes;
}

/* The same events however the stream is cut: at every point, in steps of one, two and three bytes, and all at once. */
static void assert_events_of(struct bytes stream, const char *expected, bool is_whole)
{
	for (size_t step = 1; step <= 4; step++) {
		for (size_t cut = 0; cut <= stream.size; cut++) {
			struct notes notes = split(stream, cut, step == 4 ? stream.size : step, is_whole);
			assert_int_equal(notes.status, STATUS_OK);
			assert_string_equal(notes.text, expected);
		}
	}
}

static void assert_events(const char *stream, const char *expected)
{
	assert_events_of(bytes_of(stream), expected, false);
}

static void sse_one_event_is_given(void **state)
{
	(void)state;
	assert_events("data: one\n\n", "<one>");
	assert_events("data:one\n\n", "<one>");
	assert_events("data:  one\n\n", "< one>");
	assert_events("data: one \n\n", "<one >");
}

static void sse_lines_end_in_each_of_three_ways(void **state)
{
	(void)state;
	assert_events("data: one\n\ndata: two\n\n", "<one><two>");
	assert_events("data: one\r\rdata: two\r\r", "<one><two>");
	assert_events("data: one\r\n\r\ndata: two\r\n\r\n", "<one><two>");
	assert_events("data: one\r\n\rdata: two\n\r\n", "<one><two>");
	assert_events("data: one\n\r\ndata: two\r\r\n", "<one><two>");
	/* CR LF is one end, LF CR are two. */
	assert_events("data: one\n\rdata: two\n\n", "<one><two>");
}

static void sse_several_data_lines_are_joined(void **state)
{
	(void)state;
	assert_events("data: one\ndata: two\n\n", "<one\ntwo>");
	assert_events("data: one\r\ndata:\r\ndata: three\r\n\r\n", "<one\n\nthree>");
	assert_events("data\ndata\n\n", "<\n>");
	assert_events("data: one\n: comment\nid: 7\ndata: two\n\n", "<one\ntwo>");
}

static void sse_empty_data_is_an_event(void **state)
{
	(void)state;
	assert_events("data\n\n", "<>");
	assert_events("data:\n\n", "<>");
	assert_events("data: \n\n", "<>");
}

static void sse_comments_and_other_fields_give_nothing(void **state)
{
	(void)state;
	assert_events(": OPENROUTER PROCESSING\n\n: \n\n:\n\n\n\n", "");
	assert_events("event: ping\nid: 1\nretry: 100\nother: x\n\n", "");
	assert_events("event: ping\ndata: one\n\n", "<one>");
	assert_events("dat: one\ndata2: two\nDATA: three\n data: four\n\n", "");
	assert_events(": one\ndata: two\n\n", "<two>");
}

static void sse_byte_order_mark_is_dropped_at_the_start_only(void **state)
{
	(void)state;
	assert_events("\xef\xbb\xbf"
		      "data: one\n\n",
		"<one>");
	assert_events("\xef\xbb\xbf\ndata: one\n\n", "<one>");
	assert_events("\ndata: one\n\n\xef\xbb\xbf"
		      "data: two\n\n",
		"<one>");
	assert_events("\xef\xbb\xbf\xef\xbb\xbf"
		      "data: one\n\n",
		"");
	assert_events("\xef\xbb"
		      "data: one\n\n",
		"");
}

static void sse_nul_and_any_byte_pass(void **state)
{
	(void)state;
	struct notes notes = split(BYTES_LITERAL("data: a\0b\xff\n\n"), 0, 1, false);
	assert_int_equal(notes.status, STATUS_OK);
	assert_memory_equal(notes.text, "<a\0b\xff>", 6);
}

static void sse_unfinished_event_waits(void **state)
{
	(void)state;
	assert_events("data: one\n\ndata: two\n", "<one>");
	assert_events("data: one\n\ndata: two", "<one>");
	assert_events("data: one\r", "");
}

static void sse_finish_gives_what_lacks_its_empty_line(void **state)
{
	(void)state;
	assert_events_of(BYTES_LITERAL("data: one\n\ndata: two\n"), "<one><two>", true);
	assert_events_of(BYTES_LITERAL("data: one\n\ndata: two"), "<one><two>", true);
	assert_events_of(BYTES_LITERAL("data: one\ndata: two\r"), "<one\ntwo>", true);
	assert_events_of(BYTES_LITERAL("data: one\n\n: comment"), "<one>", true);
	assert_events_of(BYTES_LITERAL("data: one\n\nda"), "<one>", true);
	assert_events_of(BYTES_LITERAL(""), "", true);
}

static void sse_callback_stops_the_feeding(void **state)
{
	(void)state;
	struct notes notes = { .stop_at = 2 };
	struct sse sse;
	sse_init(&sse, EVENT_MAX);
	feed(&sse, BYTES_LITERAL("data: one\n\ndata: two\n\ndata: three\n\n"), 1000, &notes);
	assert_int_equal(notes.status, STATUS_CLOSED);
	assert_string_equal(notes.text, "<one><two>");
	sse_deinit(&sse);
}

/* "data: " and `count` letters and "\n\n". */
static struct bytes long_line(char *memory, size_t count)
{
	memcpy(memory, "data: ", 6);
	memset(memory + 6, 'x', count);
	memcpy(memory + 6 + count, "\n\n", 2);
	return bytes_at(memory, count + 8);
}

static void sse_line_at_the_bound_passes_and_one_more_does_not(void **state)
{
	(void)state;
	char memory[EVENT_MAX * 2];
	for (size_t step = 1; step < EVENT_MAX * 2; step++) {
		struct bytes fits = long_line(memory, EVENT_MAX - 6);
		struct notes notes = split(fits, 0, step, false);
		assert_int_equal(notes.status, STATUS_OK);
		assert_int_equal(notes.size, EVENT_MAX - 6 + 2);

		notes = split(long_line(memory, EVENT_MAX - 5), 0, step, false);
		assert_int_equal(notes.status, STATUS_TOO_LARGE);
		assert_int_equal(notes.count, 0);
	}
}

static void sse_event_of_many_lines_is_bounded(void **state)
{
	(void)state;
	struct bytes stream = BYTES_LITERAL("data: 0123456789012345678901234567890\n"
					    "data: 0123456789012345678901234567890\ndata: 1\n\n");
	for (size_t step = 1; step <= stream.size; step++) {
		struct notes notes = split(stream, 0, step, false);
		assert_int_equal(notes.status, STATUS_TOO_LARGE);
		assert_int_equal(notes.count, 0);
	}
	/* 31 + 1 + 31 + 1 + 0 = 64 */
	struct bytes fits = BYTES_LITERAL("data: 0123456789012345678901234567890\n"
					  "data: 0123456789012345678901234567890\ndata:\n\n");
	assert_int_equal(split(fits, 0, fits.size, false).status, STATUS_OK);
	assert_int_equal(split(fits, 0, 1, false).status, STATUS_OK);
}

static void sse_endless_comment_is_bounded(void **state)
{
	(void)state;
	char memory[EVENT_MAX * 4];
	memset(memory, ':', sizeof(memory));
	struct notes notes = split(bytes_at(memory, sizeof(memory)), 0, 7, false);
	assert_int_equal(notes.status, STATUS_TOO_LARGE);
}

static void sse_is_reusable_after_each_event(void **state)
{
	(void)state;
	struct notes notes = { .status = STATUS_OK };
	struct sse sse;
	sse_init(&sse, EVENT_MAX);
	for (int i = 0; i < 100; i++) {
		notes.size = 0;
		feed(&sse, BYTES_LITERAL("data: 01234567890123456789\ndata: 01234567890123456789\n\n"), 5, &notes);
		assert_int_equal(notes.status, STATUS_OK);
		assert_string_equal(notes.text, "<01234567890123456789\n01234567890123456789>");
	}
	sse_deinit(&sse);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sse_one_event_is_given),
		cmocka_unit_test(sse_lines_end_in_each_of_three_ways),
		cmocka_unit_test(sse_several_data_lines_are_joined),
		cmocka_unit_test(sse_empty_data_is_an_event),
		cmocka_unit_test(sse_comments_and_other_fields_give_nothing),
		cmocka_unit_test(sse_byte_order_mark_is_dropped_at_the_start_only),
		cmocka_unit_test(sse_nul_and_any_byte_pass),
		cmocka_unit_test(sse_unfinished_event_waits),
		cmocka_unit_test(sse_finish_gives_what_lacks_its_empty_line),
		cmocka_unit_test(sse_callback_stops_the_feeding),
		cmocka_unit_test(sse_line_at_the_bound_passes_and_one_more_does_not),
		cmocka_unit_test(sse_event_of_many_lines_is_bounded),
		cmocka_unit_test(sse_endless_comment_is_bounded),
		cmocka_unit_test(sse_is_reusable_after_each_event),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
