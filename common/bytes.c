/* Views of bytes: see the header. */
#include "common/bytes.h"

#include <string.h>

#include "common/assertion.h"

struct bytes bytes_of(const char *text)
{
	if (text == NULL) return BYTES_NONE;
	return bytes_at(text, strlen(text));
}

struct bytes bytes_at(const char *data, size_t size)
{
	ASSERT(data != NULL || size == 0);
	return (struct bytes){ .data = data, .size = size };
}

bool bytes_is_given(struct bytes view)
{
	return view.data != NULL;
}

bool bytes_equal(struct bytes a, struct bytes b)
{
	if (a.size != b.size) return false;
	return a.size == 0 || memcmp(a.data, b.data, a.size) == 0;
}

bool bytes_equal_text(struct bytes a, const char *text)
{
	return bytes_equal(a, bytes_of(text));
}

static char ascii_lower(char one)
{
	return (one >= 'A' && one <= 'Z') ? (char)(one + ('a' - 'A')) : one;
}

bool bytes_equal_ignoring_case(struct bytes a, struct bytes b)
{
	if (a.size != b.size) return false;
	for (size_t i = 0; i < a.size; i++)
		if (ascii_lower(a.data[i]) != ascii_lower(b.data[i])) return false;
	return true;
}

bool bytes_starts_with(struct bytes view, struct bytes prefix)
{
	if (view.size < prefix.size) return false;
	return prefix.size == 0 || memcmp(view.data, prefix.data, prefix.size) == 0;
}

static bool is_ascii_space(char one)
{
	return one == ' ' || one == '\t' || one == '\r' || one == '\n';
}

struct bytes bytes_trim(struct bytes view)
{
	while (view.size > 0 && is_ascii_space(view.data[0])) {
		view.data++;
		view.size--;
	}
	while (view.size > 0 && is_ascii_space(view.data[view.size - 1]))
		view.size--;
	return view;
}

/* Length of the well-formed sequence at `at` and its code point; 0 when there is none. */
static size_t utf8_decode(const unsigned char *at, size_t left, uint32_t *out_point)
{
	unsigned char first = at[0];
	if (first < 0x80) {
		*out_point = first;
		return 1;
	}
	size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
	if (first < 0xc2 || first > 0xf4 || left < size) return 0;

	uint32_t point = first & (0x7fU >> size);
	for (size_t i = 1; i < size; i++) {
		if ((at[i] & 0xc0) != 0x80) return 0;
		point = (point << 6) | (at[i] & 0x3fU);
	}
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	if (point < smallest[size] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return 0;
	*out_point = point;
	return size;
}

bool bytes_is_utf8(struct bytes view)
{
	const unsigned char *at = (const unsigned char *)view.data;
	size_t left = view.size;
	while (left > 0) {
		/* Most text is ASCII: eight bytes at a time. */
		uint64_t eight;
		if (left >= sizeof(eight)) {
			memcpy(&eight, at, sizeof(eight));
			if ((eight & 0x8080808080808080ULL) == 0) {
				at += sizeof(eight);
				left -= sizeof(eight);
				continue;
			}
		}
		uint32_t point;
		size_t size = utf8_decode(at, left, &point);
		if (size == 0) return false;
		at += size;
		left -= size;
	}
	return true;
}

bool bytes_has_nul(struct bytes view)
{
	return view.size > 0 && memchr(view.data, '\0', view.size) != NULL;
}

static bool is_blank_point(uint32_t point)
{
	if ((point >= 0x09 && point <= 0x0d) || point == 0x20 || point == 0x85 || point == 0xa0) return true;
	if (point >= 0x2000 && point <= 0x200d) return true;
	switch (point) {
	case 0x1680:
	case 0x2028:
	case 0x2029:
	case 0x202f:
	case 0x205f:
	case 0x2060:
	case 0x3000:
	case 0xfeff:
		return true;
	default:
		return false;
	}
}

bool bytes_is_blank(struct bytes view)
{
	const unsigned char *at = (const unsigned char *)view.data;
	size_t left = view.size;
	while (left > 0) {
		uint32_t point;
		size_t size = utf8_decode(at, left, &point);
		if (size == 0 || !is_blank_point(point)) return false;
		at += size;
		left -= size;
	}
	return true;
}

enum status bytes_to_int64(struct bytes view, int64_t *out_value)
{
	bool negative = view.size > 0 && view.data[0] == '-';
	size_t i = negative ? 1 : 0;
	if (i == view.size) return STATUS_INVALID;

	/* Collected below zero, where the range is larger by one. */
	int64_t value = 0;
	for (; i < view.size; i++) {
		char digit = view.data[i];
		if (digit < '0' || digit > '9') return STATUS_INVALID;
		if (__builtin_mul_overflow(value, 10, &value)) return STATUS_INVALID;
		if (__builtin_sub_overflow(value, digit - '0', &value)) return STATUS_INVALID;
	}
	if (!negative && value == INT64_MIN) return STATUS_INVALID;
	*out_value = negative ? value : -value;
	return STATUS_OK;
}

bool bytes_match_glob(struct bytes view, struct bytes pattern)
{
	size_t at = 0, in = 0;
	size_t star = SIZE_MAX, star_at = 0;
	while (at < view.size) {
		if (in < pattern.size && pattern.data[in] == '*') {
			star = in++;
			star_at = at;
		} else if (in < pattern.size && (pattern.data[in] == '?' || pattern.data[in] == view.data[at])) {
			in++;
			at++;
		} else if (star != SIZE_MAX) {
			in = star + 1;
			at = ++star_at;
		} else {
			return false;
		}
	}
	while (in < pattern.size && pattern.data[in] == '*')
		in++;
	return in == pattern.size;
}
