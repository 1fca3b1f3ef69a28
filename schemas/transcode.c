/* msgpack as JSON and JSON as msgpack: see the header. Recursion is bounded by the depth that was proved before. */
#include "schemas/transcode.h"

#include <inttypes.h>
#include <msgpack.h>
#include <stdio.h>
#include <yyjson.h>

#include "common/assertion.h"
#include "schemas/wire_msgpack.h"

enum { NUMBER_POOL_SIZE = 1024 }; /* what the JSON library needs to write one number */

static void append_integer(const struct wire_value *value, struct buffer *out_json)
{
	int64_t integer;
	if (wire_integer(value, &integer) == STATUS_OK)
		buffer_append_int(out_json, integer);
	else
		buffer_append_format(out_json, "%" PRIu64, wire_msgpack_unsigned(value->whole));
}

/* The JSON library knows how to write the shortest digits. */
static void append_float(const struct wire_value *value, struct buffer *out_json)
{
	char pool[NUMBER_POOL_SIZE];
	yyjson_alc allocator;
	bool pooled = yyjson_alc_pool_init(&allocator, pool, sizeof(pool));
	ASSERT(pooled);
	yyjson_val number = { 0 };
	number.tag = YYJSON_TYPE_NUM | YYJSON_SUBTYPE_REAL;
	number.uni.f64 = wire_msgpack_number(value->whole);
	size_t size;
	const char *text = yyjson_val_write_opts(&number, YYJSON_WRITE_NOFLAG, &allocator, &size, NULL);
	ASSERT(text != NULL);
	buffer_append(out_json, bytes_at(text, size));
}

static void append_scalar(const struct wire_value *value, struct buffer *out_json)
{
	switch (value->kind) {
	case WIRE_NULL:
		buffer_append(out_json, BYTES_LITERAL("null"));
		return;
	case WIRE_BOOL:
		buffer_append_text(out_json, wire_truth(value) ? "true" : "false");
		return;
	case WIRE_INTEGER:
		append_integer(value, out_json);
		return;
	case WIRE_FLOAT:
		append_float(value, out_json);
		return;
	case WIRE_TEXT:
		buffer_append_json_string(out_json, value->inside);
		return;
	case WIRE_ARRAY:
	case WIRE_MAP:
	case WIRE_BINARY:
	case WIRE_EXTENSION:
	case WIRE_NONE:
		break;
	}
	ASSERT_UNREACHABLE();
}

static struct bytes behind(struct bytes rest, struct bytes value)
{
	return bytes_at(value.data + value.size, rest.size - value.size);
}

static enum status append_first(struct bytes *rest, struct buffer *out_json, size_t depth);

/* What is inside an array, or a map, where every second comma is a colon. */
static enum status append_items(
	const struct wire_value *container, struct bytes *rest, struct buffer *out_json, size_t depth)
{
	bool is_map = container->kind == WIRE_MAP;
	buffer_append_char(out_json, is_map ? '{' : '[');
	for (size_t i = 0; i < container->count; i++) {
		if (i > 0) buffer_append_char(out_json, is_map && i % 2 == 1 ? ':' : ',');
		enum status status = append_first(rest, out_json, depth + 1);
		if (status != STATUS_OK) return status;
	}
	buffer_append_char(out_json, is_map ? '}' : ']');
	return STATUS_OK;
}

/* Appends the value at the start of `*rest` and moves that behind it. Each byte is looked at once, however deep. */
static enum status append_first(struct bytes *rest, struct buffer *out_json, size_t depth)
{
	ASSERT(depth <= WIRE_DEPTH_MAX);
	struct wire_value value;
	wire_msgpack_head(*rest, &value);
	*rest = behind(*rest, value.whole);
	if (value.kind == WIRE_BINARY || value.kind == WIRE_EXTENSION) return STATUS_UNSUPPORTED;
	if (value.kind == WIRE_ARRAY || value.kind == WIRE_MAP) return append_items(&value, rest, out_json, depth);
	append_scalar(&value, out_json);
	return STATUS_OK;
}

enum status transcode_to_json(const struct wire_value *value, struct buffer *out_json)
{
	struct bytes rest = value->whole;
	if (value->coding == CHAT_CODING_MSGPACK) return append_first(&rest, out_json, 0);
	buffer_append(out_json, rest);
	return STATUS_OK;
}

int transcode_append(void *data, const char *piece, size_t size)
{
	struct buffer *buffer = data;
	buffer_append(buffer, bytes_at(piece, size));
	return 0;
}

static void pack_text(yyjson_val *value, msgpack_packer *packer)
{
	msgpack_pack_str_with_body(packer, yyjson_get_str(value), yyjson_get_len(value));
}

static void pack_number(yyjson_val *value, msgpack_packer *packer)
{
	if (yyjson_is_uint(value))
		msgpack_pack_uint64(packer, yyjson_get_uint(value));
	else if (yyjson_is_sint(value))
		msgpack_pack_int64(packer, yyjson_get_sint(value));
	else
		msgpack_pack_double(packer, yyjson_get_real(value));
}

static bool pack_value(yyjson_val *value, msgpack_packer *packer, size_t depth);

static bool pack_map(yyjson_val *map, msgpack_packer *packer, size_t depth)
{
	yyjson_val *key;
	yyjson_obj_iter items;
	yyjson_obj_iter_init(map, &items);
	msgpack_pack_map(packer, yyjson_obj_size(map));
	while ((key = yyjson_obj_iter_next(&items)) != NULL) {
		pack_text(key, packer);
		if (!pack_value(yyjson_obj_iter_get_val(key), packer, depth + 1)) return false;
	}
	return true;
}

static bool pack_array(yyjson_val *array, msgpack_packer *packer, size_t depth)
{
	yyjson_val *item;
	yyjson_arr_iter items;
	yyjson_arr_iter_init(array, &items);
	msgpack_pack_array(packer, yyjson_arr_size(array));
	while ((item = yyjson_arr_iter_next(&items)) != NULL)
		if (!pack_value(item, packer, depth + 1)) return false;
	return true;
}

/* False when the nesting is too deep. */
static bool pack_value(yyjson_val *value, msgpack_packer *packer, size_t depth)
{
	switch (yyjson_get_type(value)) {
	case YYJSON_TYPE_OBJ:
		return depth < WIRE_DEPTH_MAX && pack_map(value, packer, depth);
	case YYJSON_TYPE_ARR:
		return depth < WIRE_DEPTH_MAX && pack_array(value, packer, depth);
	case YYJSON_TYPE_STR:
		pack_text(value, packer);
		return true;
	case YYJSON_TYPE_NUM:
		pack_number(value, packer);
		return true;
	case YYJSON_TYPE_BOOL:
		if (yyjson_get_bool(value))
			msgpack_pack_true(packer);
		else
			msgpack_pack_false(packer);
		return true;
	default:
		msgpack_pack_nil(packer);
		return true;
	}
}

enum status transcode_to_msgpack(struct bytes json, struct buffer *out_msgpack)
{
	if (json.size == 0) return STATUS_INVALID;
	yyjson_read_err wrong;
	/* Without YYJSON_READ_INSITU the library only reads. */
	char *data = (char *)(uintptr_t)json.data;
	yyjson_doc *document = yyjson_read_opts(data, json.size, YYJSON_READ_NOFLAG, NULL, &wrong);
	if (document == NULL)
		return wrong.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION ? STATUS_NO_MEMORY : STATUS_INVALID;

	size_t before = out_msgpack->size;
	msgpack_packer packer;
	msgpack_packer_init(&packer, out_msgpack, transcode_append);
	bool fits = pack_value(yyjson_doc_get_root(document), &packer, 0);
	yyjson_doc_free(document);
	if (fits) return STATUS_OK;
	buffer_truncate(out_msgpack, before);
	return STATUS_INVALID;
}
