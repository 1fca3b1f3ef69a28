/* A growing run of bytes with a ceiling: see the header. */
#include "common/buffer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/assertion.h"

enum { BUFFER_CAPACITY_FIRST = 256 };

void buffer_init(struct buffer *buffer, size_t size_max)
{
	/* Half of all memory is no bound either, and leaves room for sums that cannot overflow. */
	if (size_max > SIZE_MAX / 2) size_max = SIZE_MAX / 2;
	*buffer = (struct buffer){ .size_max = size_max, .status = STATUS_OK };
}

void buffer_deinit(struct buffer *buffer)
{
	free(buffer->data);
	buffer_init(buffer, buffer->size_max);
}

void buffer_clear(struct buffer *buffer)
{
	buffer->size = 0;
	buffer->status = STATUS_OK;
}

void buffer_fail(struct buffer *buffer, enum status why)
{
	ASSERT(why == STATUS_NO_MEMORY || why == STATUS_TOO_LARGE);
	if (buffer->status == STATUS_OK) buffer->status = why;
}

/* Makes room for `more` bytes and the NUL that vsnprintf() puts behind them; false, with the status set, when there can
 * be none. */
static bool buffer_reserve(struct buffer *buffer, size_t more)
{
	if (buffer->status != STATUS_OK) return false;
	if (more > buffer->size_max - buffer->size) {
		buffer->status = STATUS_TOO_LARGE;
		return false;
	}
	size_t needed = buffer->size + more;
	if (needed < buffer->capacity) return true;

	size_t capacity = buffer->capacity == 0 ? BUFFER_CAPACITY_FIRST : buffer->capacity;
	while (capacity <= needed)
		capacity *= 2;
	if (capacity > buffer->size_max + 1) capacity = buffer->size_max + 1;
	char *data = realloc(buffer->data, capacity);
	if (data == NULL) {
		buffer->status = STATUS_NO_MEMORY;
		return false;
	}
	buffer->data = data;
	buffer->capacity = capacity;
	return true;
}

void buffer_append(struct buffer *buffer, struct bytes piece)
{
	if (piece.size == 0 || !buffer_reserve(buffer, piece.size)) return;
	memcpy(buffer->data + buffer->size, piece.data, piece.size);
	buffer->size += piece.size;
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
	buffer_append(buffer, bytes_of(text));
}

void buffer_append_char(struct buffer *buffer, char one)
{
	buffer_append(buffer, bytes_at(&one, 1));
}

void buffer_append_int(struct buffer *buffer, int64_t value)
{
	char text[24];
	int size = snprintf(text, sizeof(text), "%" PRId64, value);
	ASSERT(size > 0 && (size_t)size < sizeof(text));
	buffer_append(buffer, bytes_at(text, (size_t)size));
}

void buffer_append_format(struct buffer *buffer, const char *format, ...)
{
	va_list arguments, again;
	va_start(arguments, format);
	va_copy(again, arguments);
	int size = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	ASSERT(size >= 0);
	if (buffer_reserve(buffer, (size_t)size)) {
		vsnprintf(buffer->data + buffer->size, (size_t)size + 1, format, again);
		buffer->size += (size_t)size;
	}
	va_end(again);
}

/* The escape of one character, in one append: text that is all escapes must not be many times dearer. */
static void append_escaped(struct buffer *buffer, unsigned char one)
{
	static const char digits[] = "0123456789abcdef";
	static const char shorts[] = { ['"'] = '"', ['\\'] = '\\', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't' };
	const char brief[] = { '\\', one < sizeof(shorts) ? shorts[one] : '\0' };
	const char full[] = { '\\', 'u', '0', '0', digits[one >> 4], digits[one & 15] };
	if (brief[1] != '\0')
		buffer_append(buffer, bytes_at(brief, sizeof(brief)));
	else
		buffer_append(buffer, bytes_at(full, sizeof(full)));
}

void buffer_append_json_string(struct buffer *buffer, struct bytes text)
{
	buffer_append_char(buffer, '"');
	size_t plain = 0; /* start of the run that needs no escape */
	for (size_t i = 0; i < text.size; i++) {
		unsigned char one = (unsigned char)text.data[i];
		if (one >= 0x20 && one != '"' && one != '\\') continue;
		if (i > plain) buffer_append(buffer, bytes_at(text.data + plain, i - plain));
		append_escaped(buffer, one);
		plain = i + 1;
	}
	if (plain < text.size) buffer_append(buffer, bytes_at(text.data + plain, text.size - plain));
	buffer_append_char(buffer, '"');
}

void buffer_truncate(struct buffer *buffer, size_t size)
{
	ASSERT(size <= buffer->size);
	buffer->size = size;
}

enum status buffer_status(const struct buffer *buffer)
{
	return buffer->status;
}

struct bytes buffer_bytes(const struct buffer *buffer)
{
	return bytes_at(buffer->size == 0 ? "" : buffer->data, buffer->size);
}

enum status buffer_take(struct buffer *buffer, char **out_data, size_t *out_size)
{
	if (buffer->status != STATUS_OK) return buffer->status;
	if (buffer->data == NULL) {
		buffer->data = malloc(1);
		if (buffer->data == NULL) return STATUS_NO_MEMORY;
	}
	*out_data = buffer->data;
	*out_size = buffer->size;
	buffer_init(buffer, buffer->size_max);
	return STATUS_OK;
}
