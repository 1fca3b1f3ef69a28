/* Records as one allocation: see the header. */
#include "schemas/record.h"

#include <stdlib.h>
#include <string.h>

#include "common/assertion.h"

/* Copies a view to `*at` and moves that on. A view that is given stays given, also when it is empty. */
static struct bytes place(char **at, struct bytes view)
{
	if (!bytes_is_given(view)) return BYTES_NONE;
	char *data = *at;
	if (view.size > 0) memcpy(data, view.data, view.size);
	*at += view.size;
	return bytes_at(data, view.size);
}

/* Bytes of the whole allocation, or 0 when they do not fit into size_t. One more byte, so that an empty view at the
 * end still points into it. */
static size_t record_size(const struct record *source)
{
	size_t size = sizeof(*source) + 1;
	size_t list;
	if (__builtin_mul_overflow(source->headers.count, sizeof(struct record_header), &list)) return 0;
	if (__builtin_add_overflow(size, list, &size)) return 0;
	if (__builtin_add_overflow(size, source->key.size, &size)) return 0;
	if (__builtin_add_overflow(size, source->value.size, &size)) return 0;
	for (size_t i = 0; i < source->headers.count; i++) {
		const struct record_header *header = &source->headers.items[i];
		if (__builtin_add_overflow(size, header->name.size, &size)) return 0;
		if (__builtin_add_overflow(size, header->value.size, &size)) return 0;
	}
	return size;
}

struct record *record_new(const struct record *source)
{
	size_t size = record_size(source);
	if (size == 0) return NULL;
	struct record *record = malloc(size);
	if (record == NULL) return NULL;

	struct record_header *headers = (struct record_header *)(void *)(record + 1);
	char *at = (char *)(headers + source->headers.count);
	*record = *source;
	record->size = size;
	record->key = place(&at, source->key);
	record->value = place(&at, source->value);
	record->headers.items = source->headers.count == 0 ? NULL : headers;
	for (size_t i = 0; i < source->headers.count; i++) {
		ASSERT(bytes_is_given(source->headers.items[i].name));
		headers[i].name = place(&at, source->headers.items[i].name);
		headers[i].value = place(&at, source->headers.items[i].value);
	}
	ASSERT(at + 1 == (char *)record + size);
	return record;
}

void record_free(struct record *record)
{
	free(record);
}

/* Unlike bytes_equal(), tells an empty view from none. */
static bool is_same_view(struct bytes a, struct bytes b)
{
	return bytes_is_given(a) == bytes_is_given(b) && bytes_equal(a, b);
}

static bool are_same_headers(const struct record_headers *a, const struct record_headers *b)
{
	if (a->count != b->count) return false;
	for (size_t i = 0; i < a->count; i++) {
		if (!is_same_view(a->items[i].name, b->items[i].name)) return false;
		if (!is_same_view(a->items[i].value, b->items[i].value)) return false;
	}
	return true;
}

bool record_is_same(const struct record *a, const struct record *b)
{
	if (a->partition != b->partition || a->offset != b->offset) return false;
	if (a->timestamp_ms != b->timestamp_ms) return false;
	return is_same_view(a->key, b->key) && is_same_view(a->value, b->value) &&
	       are_same_headers(&a->headers, &b->headers);
}

struct bytes record_headers_last(const struct record_headers *headers, const char *name)
{
	const struct record_header *header = record_headers_find(headers, name);
	return header == NULL ? BYTES_NONE : header->value;
}

const struct record_header *record_headers_find(const struct record_headers *headers, const char *name)
{
	struct bytes wanted = bytes_of(name);
	for (size_t i = headers->count; i > 0; i--)
		if (bytes_equal(headers->items[i - 1].name, wanted)) return &headers->items[i - 1];
	return NULL;
}
