/* JSON of the upstream: see the header. */
#include "worker/core/openrouter_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/assertion.h"

static const yyjson_read_flag READ_FLAGS = YYJSON_READ_NUMBER_AS_RAW;

/* How many of the eight bytes open an array or object: '[' and '{' differ in one bit. */
static size_t openers_in_word(uint64_t word)
{
	static const uint64_t low_bits = 0x7f7f7f7f7f7f7f7fULL;
	uint64_t other = (word | 0x2020202020202020ULL) ^ 0x7b7b7b7b7b7b7b7bULL;
	uint64_t is_zero = ~(((other & low_bits) + low_bits) | other | low_bits);
	/* One bit a byte; the product adds them up in the highest byte. */
	return (size_t)(((is_zero >> 7) * 0x0101010101010101ULL) >> 56);
}

static size_t count_openers(struct bytes text)
{
	ASSERT(text.size == 0 || text.data != NULL);
	size_t count = 0, at = 0;
	for (uint64_t word; text.size - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, text.data + at, sizeof(word));
		count += openers_in_word(word);
	}
	for (; at < text.size; at++)
		if ((text.data[at] | 0x20) == '{') count++;
	return count;
}

/* The index after the string that begins at `at`, a quote. */
static size_t string_end(struct bytes text, size_t at)
{
	ASSERT(at < text.size);
	ASSERT(text.data[at] == '"');
	for (at++; at < text.size && text.data[at] != '"'; at++)
		if (text.data[at] == '\\') at++;
	return at + 1;
}

bool openrouter_json_is_within(struct bytes text, size_t depth)
{
	ASSERT(text.size == 0 || text.data != NULL);
	/* Most texts have fewer brackets than the bound, wherever they stand. */
	if (count_openers(text) <= depth) return true;
	size_t open = 0;
	ASSERT(text.size > depth);
	for (size_t at = 0; at < text.size;) {
		char one = text.data[at];
		if (one == '"') {
			at = string_end(text, at);
			continue;
		}
		if ((one == '[' || one == '{') && ++open > depth) return false;
		if ((one == ']' || one == '}') && open > 0) open--;
		at++;
	}
	return true;
}

enum status openrouter_json_open(struct openrouter_json *json, struct bytes text, size_t depth, yyjson_val **out_root)
{
	ASSERT(out_root != NULL);
	ASSERT(json != NULL);
	ASSERT(depth > 0);
	json->doc = NULL;
	json->on_heap = yyjson_read_max_memory_usage(text.size, READ_FLAGS) > sizeof(json->scratch);
	if (text.size == 0 || !openrouter_json_is_within(text, depth)) return STATUS_INVALID;

	yyjson_alc pool;
	yyjson_read_err error;
	if (!json->on_heap && !yyjson_alc_pool_init(&pool, json->scratch, sizeof(json->scratch)))
		return STATUS_NO_MEMORY;
	/* The parser takes a mutable text but writes to it only when told to parse in place. */
	json->doc = yyjson_read_opts(
		(char *)(uintptr_t)text.data, text.size, READ_FLAGS, json->on_heap ? NULL : &pool, &error);
	if (json->doc == NULL)
		return error.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION ? STATUS_NO_MEMORY : STATUS_INVALID;
	*out_root = yyjson_doc_get_root(json->doc);
	ASSERT(*out_root != NULL);
	return STATUS_OK;
}

void openrouter_json_close(struct openrouter_json *json)
{
	ASSERT(json != NULL);
	if (json->doc != NULL && json->on_heap) yyjson_doc_free(json->doc);
	json->doc = NULL;
}

struct bytes openrouter_json_text(yyjson_val *value)
{
	if (!yyjson_is_str(value)) return BYTES_NONE;
	return bytes_at(yyjson_get_str(value), yyjson_get_len(value));
}

static struct bytes number_text(yyjson_val *value)
{
	if (!yyjson_is_raw(value)) return BYTES_NONE;
	return bytes_at(yyjson_get_raw(value), yyjson_get_len(value));
}

int64_t openrouter_json_count(yyjson_val *value)
{
	int64_t count;
	if (bytes_to_int64(number_text(value), &count) != STATUS_OK) return -1;
	return count < 0 ? -1 : count;
}

double openrouter_json_amount(yyjson_val *value)
{
	char text[64];
	struct bytes number = number_text(value);
	if (number.size == 0 || number.size >= sizeof(text)) return 0;
	ASSERT(number.data != NULL);
	memcpy(text, number.data, number.size);
	text[number.size] = '\0';
	double amount = strtod(text, NULL);
	if (!isfinite(amount) || amount < 0) return 0;
	return amount < OPENROUTER_AMOUNT_MAX ? amount : OPENROUTER_AMOUNT_MAX;
}

void openrouter_json_append_text(struct buffer *buffer, struct bytes text)
{
	ASSERT(buffer != NULL);
	ASSERT(text.size == 0 || text.data != NULL);
	while (text.size > 0) {
		const char *nul = memchr(text.data, '\0', text.size);
		size_t plain = nul == NULL ? text.size : (size_t)(nul - text.data);
		ASSERT(plain <= text.size);
		buffer_append(buffer, bytes_at(text.data, plain));
		if (nul == NULL) return;
		text = bytes_at(nul + 1, text.size - plain - 1);
	}
}

void openrouter_json_append_string(struct buffer *buffer, struct bytes text)
{
	ASSERT(buffer != NULL);
	if (!bytes_has_nul(text)) {
		buffer_append_json_string(buffer, text);
		return;
	}
	struct buffer without;
	buffer_init(&without, text.size);
	openrouter_json_append_text(&without, text);
	ASSERT(without.size < text.size);
	buffer_append_json_string(buffer, buffer_bytes(&without));
	if (buffer_status(&without) != STATUS_OK && buffer->status == STATUS_OK) buffer->status = STATUS_NO_MEMORY;
	buffer_deinit(&without);
}

static void append_array(struct buffer *buffer, yyjson_val *array)
{
	ASSERT(buffer != NULL);
	ASSERT(yyjson_is_arr(array));
	size_t index, count;
	yyjson_val *member;
	yyjson_arr_foreach(array, index, count, member)
	{
		if (index > 0) buffer_append_char(buffer, ',');
		openrouter_json_append(buffer, member);
	}
}

static void append_object(struct buffer *buffer, yyjson_val *object)
{
	ASSERT(buffer != NULL);
	ASSERT(yyjson_is_obj(object));
	size_t index, count;
	yyjson_val *key, *member;
	yyjson_obj_foreach(object, index, count, key, member)
	{
		if (index > 0) buffer_append_char(buffer, ',');
		openrouter_json_append_string(buffer, openrouter_json_text(key));
		buffer_append_char(buffer, ':');
		openrouter_json_append(buffer, member);
	}
}

void openrouter_json_append(struct buffer *buffer, yyjson_val *value)
{
	ASSERT(buffer != NULL);
	ASSERT(value != NULL);
	if (yyjson_is_str(value)) {
		openrouter_json_append_string(buffer, openrouter_json_text(value));
	} else if (yyjson_is_raw(value)) {
		buffer_append(buffer, number_text(value));
	} else if (yyjson_is_obj(value)) {
		buffer_append_char(buffer, '{');
		append_object(buffer, value);
		buffer_append_char(buffer, '}');
	} else if (yyjson_is_arr(value)) {
		buffer_append_char(buffer, '[');
		append_array(buffer, value);
		buffer_append_char(buffer, ']');
	} else {
		buffer_append_text(buffer, yyjson_is_true(value) ? "true" : yyjson_is_false(value) ? "false" : "null");
	}
}

void openrouter_json_append_members(struct buffer *buffer, yyjson_val *array)
{
	ASSERT(buffer != NULL);
	ASSERT(buffer->size <= buffer->size_max);
	if (!yyjson_is_arr(array) || yyjson_arr_size(array) == 0) return;
	if (buffer->size > 0) buffer_append_char(buffer, ',');
	append_array(buffer, array);
}
