/* Dead letters: see the header. */
#include "schemas/dead_letter.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/assertion.h"

enum { HEADERS_ADDED_MAX = 11, TEXT_SIZE_MAX = 64, MS_PER_S = 1000 };

/* A list that is being filled; a failure is remembered and asked for at the end. */
struct letter_headers {
	struct record_header *items;
	size_t count;
	size_t count_max;
	struct arena *arena;
	enum status status;
};

static void add(struct letter_headers *headers, const char *name, struct bytes value)
{
	ASSERT(headers->count < headers->count_max);
	headers->items[headers->count++] = (struct record_header){ .name = bytes_of(name), .value = value };
}

PRINTF_LIKE(3, 4) static void add_text(struct letter_headers *headers, const char *name, const char *format, ...)
{
	char text[TEXT_SIZE_MAX];
	va_list arguments;
	va_start(arguments, format);
	int size = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	ASSERT(size > 0 && (size_t)size < sizeof(text));

	struct bytes copy;
	enum status status = arena_copy(headers->arena, bytes_at(text, (size_t)size), &copy);
	if (status == STATUS_OK)
		add(headers, name, copy);
	else
		headers->status = status;
}

/* At most DEAD_LETTER_MESSAGE_MAX bytes, not ending within a character. */
static struct bytes cut_message(struct bytes message)
{
	if (message.size <= DEAD_LETTER_MESSAGE_MAX) return message;
	size_t size = DEAD_LETTER_MESSAGE_MAX;
	while (size > 0 && ((unsigned char)message.data[size] & 0xc0) == 0x80)
		size--;
	return bytes_at(message.data, size);
}

static void add_time(struct letter_headers *headers, const char *name, int64_t wall_ms)
{
	int64_t seconds = wall_ms / MS_PER_S;
	int64_t milliseconds = wall_ms % MS_PER_S;
	if (milliseconds < 0) {
		milliseconds += MS_PER_S;
		seconds--;
	}
	time_t whole = (time_t)seconds;
	struct tm parts;
	char text[TEXT_SIZE_MAX];
	if (gmtime_r(&whole, &parts) == NULL || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts) == 0) return;
	add_text(headers, name, "%.32s.%03dZ", text, (int)milliseconds);
}

static void add_all(struct letter_headers *headers, const struct dead_letter *letter)
{
	const struct record *record = letter->record;
	struct bytes message = letter->message;
	if (!bytes_is_given(message)) message = bytes_of(reason_message(letter->reason));
	add(headers, "dlq-reason", bytes_of(reason_word(letter->reason)));
	add(headers, "dlq-message", cut_message(message));
	add(headers, "dlq-original-topic", letter->original_topic);
	add_text(headers, "dlq-original-partition", "%" PRId32, record->partition);
	add_text(headers, "dlq-original-offset", "%" PRId64, record->offset);
	add_text(headers, "dlq-original-timestamp", "%" PRId64, record->timestamp_ms);
	add(headers, "dlq-consumer-group", letter->consumer_group);
	add_text(headers, "dlq-attempts", "%d", letter->attempts);
	add_time(headers, "dlq-failed-at", letter->failed_at_ms);
	add(headers, "dlq-worker-version", letter->worker_version);
	if (letter->omit_value) add(headers, "dlq-value-omitted", BYTES_LITERAL("too_large"));
}

enum status dead_letter_write(const struct dead_letter *letter, struct arena *arena, struct outgoing *out_record)
{
	ASSERT(letter->reason != REASON_NONE);
	const struct record *record = letter->record;
	struct letter_headers headers = {
		.count_max = record->headers.count + HEADERS_ADDED_MAX,
		.arena = arena,
		.status = STATUS_OK,
	};
	headers.items = arena_calloc(arena, headers.count_max, sizeof(*headers.items));
	if (headers.items == NULL) return STATUS_NO_MEMORY;
	if (record->headers.count > 0)
		memcpy(headers.items, record->headers.items, record->headers.count * sizeof(*headers.items));
	headers.count = record->headers.count;
	add_all(&headers, letter);
	if (headers.status != STATUS_OK) return headers.status;

	*out_record = (struct outgoing){
		.topic = letter->topic,
		.key = record->key,
		.value = letter->omit_value ? BYTES_NONE : record->value,
		.timestamp_ms = record->timestamp_ms > 0 ? record->timestamp_ms : 0,
		.headers = { .items = headers.items, .count = headers.count },
		.is_dead_letter = true,
	};
	return STATUS_OK;
}
