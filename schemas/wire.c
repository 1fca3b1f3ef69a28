/* Values of both codings under one look: see the header. */
#include "schemas/wire.h"

#include "common/assertion.h"
#include "schemas/wire_json.h"
#include "schemas/wire_msgpack.h"

enum status wire_open(enum chat_coding coding, struct bytes input, size_t depth_max, struct wire_value *out_value,
	struct wire_fault *out_fault)
{
	if (coding == CHAT_CODING_MSGPACK) {
		enum status status = wire_msgpack_scan(input, depth_max, out_fault);
		if (status == STATUS_OK) wire_msgpack_first(input, out_value);
		return status;
	}
	enum status status = wire_json_scan(input, depth_max, out_fault);
	if (status != STATUS_OK) return status;
	bool found = wire_json_first(input, out_value);
	ASSERT(found);
	return STATUS_OK;
}

struct wire_cursor wire_items(const struct wire_value *container)
{
	ASSERT(container->kind == WIRE_ARRAY || container->kind == WIRE_MAP);
	return (struct wire_cursor){ .coding = container->coding, .left = container->count, .rest = container->inside };
}

bool wire_next(struct wire_cursor *cursor, struct wire_value *out_item)
{
	if (cursor->coding == CHAT_CODING_MSGPACK) {
		if (cursor->left == 0) return false;
		cursor->left--;
		wire_msgpack_first(cursor->rest, out_item);
	} else if (!wire_json_first(cursor->rest, out_item)) {
		return false;
	}
	const char *behind = out_item->whole.data + out_item->whole.size;
	const char *end = cursor->rest.data + cursor->rest.size;
	ASSERT(behind > cursor->rest.data && behind <= end);
	cursor->rest = bytes_at(behind, (size_t)(end - behind));
	return true;
}

size_t wire_count(const struct wire_value *array, size_t most)
{
	ASSERT(array->kind == WIRE_ARRAY);
	if (array->coding == CHAT_CODING_MSGPACK) return array->count < most ? array->count : most;
	struct wire_cursor cursor = wire_items(array);
	struct wire_value item;
	size_t count = 0;
	while (count < most && wire_next(&cursor, &item))
		count++;
	return count;
}

bool wire_is_given(const struct wire_value *value)
{
	return value->kind != WIRE_NONE && value->kind != WIRE_NULL;
}

bool wire_truth(const struct wire_value *value)
{
	ASSERT(value->kind == WIRE_BOOL);
	char first = value->whole.data[0];
	return value->coding == CHAT_CODING_JSON ? first == 't' : (unsigned char)first == 0xc3;
}

enum status wire_integer(const struct wire_value *value, int64_t *out_integer)
{
	ASSERT(value->kind == WIRE_INTEGER);
	if (value->coding == CHAT_CODING_JSON) return bytes_to_int64(value->whole, out_integer);
	return wire_msgpack_integer(value->whole, out_integer);
}

enum status wire_number(const struct wire_value *value, double *out_number)
{
	ASSERT(value->kind == WIRE_INTEGER || value->kind == WIRE_FLOAT);
	if (value->coding == CHAT_CODING_JSON) return wire_json_number(value->whole, out_number);
	*out_number = wire_msgpack_number(value->whole);
	return STATUS_OK;
}

enum status wire_text(const struct wire_value *value, struct arena *arena, struct bytes *out_text)
{
	ASSERT(value->kind == WIRE_TEXT);
	if (value->has_escapes) return wire_json_text(value->whole, arena, out_text);
	*out_text = value->inside;
	return STATUS_OK;
}

static size_t name_index(struct bytes key, const struct bytes *names, size_t name_count)
{
	for (size_t i = 0; i < name_count; i++)
		if (bytes_equal(key, names[i])) return i;
	return name_count;
}

/* For keys that were written with escapes, which nobody does. A character may be written as \uXXXX: no longer key can be
 * one of our names. */
static size_t escaped_name_index(const struct wire_value *key, const struct bytes *names, size_t name_count)
{
	if (key->whole.size > WIRE_JSON_SHORT_MAX) return name_count;
	char text[WIRE_JSON_SHORT_MAX];
	size_t size = wire_json_short_text(key->whole, text);
	return name_index(bytes_at(text, size), names, name_count);
}

static bool is_among(struct bytes key, const struct bytes *keys, size_t count)
{
	return name_index(key, keys, count) < count;
}

void wire_collect(const struct wire_value *map, const struct bytes *names, size_t name_count,
	struct wire_value *out_slots, struct wire_found *out_found)
{
	ASSERT(map->kind == WIRE_MAP);
	struct wire_cursor cursor = wire_items(map);
	struct bytes unknown[WIRE_UNKNOWN_MAX];
	struct wire_value key, value;
	*out_found = (struct wire_found){ 0 };
	for (size_t i = 0; i < name_count; i++)
		out_slots[i] = (struct wire_value){ .kind = WIRE_NONE };

	while (wire_next(&cursor, &key) && wire_next(&cursor, &value)) {
		size_t index = key.has_escapes ? escaped_name_index(&key, names, name_count)
					       : name_index(key.inside, names, name_count);
		if (index < name_count) {
			if (out_slots[index].kind == WIRE_NONE)
				out_slots[index] = value;
			else
				out_found->repeated = true;
			continue;
		}
		if (is_among(key.inside, unknown, out_found->unknown)) out_found->repeated = true;
		if (out_found->unknown == WIRE_UNKNOWN_MAX) {
			out_found->crowded = true;
			return;
		}
		unknown[out_found->unknown++] = key.inside;
	}
}
