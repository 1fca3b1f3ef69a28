/* Views of bytes: a pointer and a length, borrowed from whoever owns the memory.
 *
 * Text that comes from outside is never a C string here: it may hold NUL, and its end is its length. A view whose
 * `data` is NULL means "not given", which differs from "given and empty" (`data` set, `size` 0).
 *
 * Threads: plain values, any. Nothing here allocates or blocks. */
#ifndef COMMON_BYTES_H
#define COMMON_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

struct bytes {
	const char *data; /* borrowed; NULL = not given */
	size_t size;
};

/* "Not given". */
#define BYTES_NONE ((struct bytes){ .data = NULL, .size = 0 })

/* A view of a string literal. */
#define BYTES_LITERAL(literal) ((struct bytes){ .data = "" literal, .size = sizeof(literal) - 1 })

/* A view of a C string, NULL gives BYTES_NONE. Borrows `text`. */
struct bytes bytes_of(const char *text);

/* A view of the `size` bytes at `data`. */
struct bytes bytes_at(const char *data, size_t size);

bool bytes_is_given(struct bytes view);

/* Not given and empty compare equal to themselves only by size; both have size 0 and so are equal. */
bool bytes_equal(struct bytes a, struct bytes b);
bool bytes_equal_text(struct bytes a, const char *text);

/* ASCII letters compare without case; for header names and content types. */
bool bytes_equal_ignoring_case(struct bytes a, struct bytes b);

bool bytes_starts_with(struct bytes view, struct bytes prefix);

/* Without ASCII space, tab, CR and LF at both ends. */
struct bytes bytes_trim(struct bytes view);

/* Well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing over U+10FFFF). NUL is well-formed. */
bool bytes_is_utf8(struct bytes view);

/* Holds a NUL byte. */
bool bytes_has_nul(struct bytes view);

/* Nothing but Unicode white space (property White_Space) and zero-width spaces U+200B..U+200D, U+2060, U+FEFF. */
bool bytes_is_blank(struct bytes view);

/* A whole decimal integer with an optional minus sign, nothing around it. STATUS_INVALID otherwise or when it does
 * not fit. */
NODISCARD enum status bytes_to_int64(struct bytes view, int64_t *out_value);

/* Case-sensitive match against a glob with `*` (any run of bytes, '/' too) and `?` (one byte). Linear space,
 * worst case size × pattern steps. */
bool bytes_match_glob(struct bytes view, struct bytes pattern);

#endif
