/* A growing run of bytes with a ceiling.
 *
 * Encoders append without looking and ask once at the end: the first append that would pass `size_max`, or that
 * memory is missing for, makes the buffer *failed*; every later append does nothing and buffer_status() says why.
 * A failed buffer holds what was appended before the failure.
 *
 * Owner: whoever embeds it. Thread: its owner's. Nothing blocks. */
#ifndef COMMON_BUFFER_H
#define COMMON_BUFFER_H

#include "common/bytes.h"

struct buffer {
	char *data; /* owned */
	size_t size;
	size_t capacity;
	size_t size_max; /* ceiling of `size` */
	enum status status;
};

/* Empty; allocates nothing yet. */
void buffer_init(struct buffer *buffer, size_t size_max);

/* Safe on a buffer that was only initialised, and twice. */
void buffer_deinit(struct buffer *buffer);

/* Empty again and no longer failed; keeps the memory for the next use. */
void buffer_clear(struct buffer *buffer);

void buffer_append(struct buffer *buffer, struct bytes piece);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_append_char(struct buffer *buffer, char one);
void buffer_append_int(struct buffer *buffer, int64_t value);
PRINTF_LIKE(2, 3) void buffer_append_format(struct buffer *buffer, const char *format, ...);

/* `text` as a JSON string with its quotes: control characters, quote and backslash escaped, everything else as it
 * is (so valid UTF-8 in gives valid JSON out). */
void buffer_append_json_string(struct buffer *buffer, struct bytes text);

/* Makes the buffer failed because of something that should have been appended and is not: STATUS_NO_MEMORY or
 * STATUS_TOO_LARGE. A buffer that has failed before keeps its reason. */
void buffer_fail(struct buffer *buffer, enum status why);

/* Drops all but the first `size` bytes; `size` must not be more than there is. */
void buffer_truncate(struct buffer *buffer, size_t size);

/* STATUS_OK, STATUS_TOO_LARGE or STATUS_NO_MEMORY. */
NODISCARD enum status buffer_status(const struct buffer *buffer);

/* Borrowed until the next append or deinit. */
struct bytes buffer_bytes(const struct buffer *buffer);

/* Moves the memory out: the caller frees `*out_data` with free(); the buffer is empty afterwards. STATUS_OK only if
 * nothing failed. An empty buffer gives a non-NULL pointer of size 0. */
NODISCARD enum status buffer_take(struct buffer *buffer, char **out_data, size_t *out_size);

#endif
