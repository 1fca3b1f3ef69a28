/* JSON as bytes: see the header. */
#include "schemas/wire_json.h"

#include <string.h>
#include <yyjson.h>

#include "common/assertion.h"

enum {
	NUMBER_SIZE_MAX = 64,   /* characters of a number whose value is asked for, NUL included */
	SHORT_POOL_SIZE = 4096, /* what the JSON library needs to read a text of WIRE_JSON_SHORT_MAX bytes */
};

/* The place of the quote that ends the text whose first character is at `at`, or the end of `text`. `*out_escaped`
 * says whether a backslash is on the way. Linear: a found quote or backslash is kept until it is passed. */
static size_t closing_quote(struct bytes text, size_t at, bool *out_escaped)
{
	*out_escaped = false;
	size_t quote = at;
	bool have_quote = false;
	while (at < text.size) {
		if (!have_quote || quote < at) {
			const char *found = memchr(text.data + at, '"', text.size - at);
			quote = found == NULL ? text.size : (size_t)(found - text.data);
			have_quote = true;
		}
		const char *backslash = quote == at ? NULL : memchr(text.data + at, '\\', quote - at);
		if (backslash == NULL) return quote;
		*out_escaped = true;
		at = (size_t)(backslash - text.data) + 2;
	}
	return text.size;
}

/* Whether the text holds the escape of a NUL character. */
static bool has_escaped_nul(struct bytes inside)
{
	size_t at = 0;
	while (at + 6 <= inside.size) {
		const char *backslash = memchr(inside.data + at, '\\', inside.size - at);
		if (backslash == NULL) return false;
		at = (size_t)(backslash - inside.data);
		if (inside.size - at >= 6 && memcmp(inside.data + at, "\\u0000", 6) == 0) return true;
		at += 2;
	}
	return false;
}

struct json_shape {
	size_t depth; /* deepest nesting */
	bool has_nul;
};

/* Depth and escaped NULs; brackets are only counted, whether they match is the library's business. */
static struct json_shape measure(struct bytes input)
{
	struct json_shape shape = { 0 };
	size_t depth = 0;
	for (size_t at = 0; at < input.size; at++) {
		char one = input.data[at];
		if (one == '"') {
			bool escaped;
			size_t quote = closing_quote(input, at + 1, &escaped);
			struct bytes inside = bytes_at(input.data + at + 1, quote - at - 1);
			if (escaped && has_escaped_nul(inside)) shape.has_nul = true;
			at = quote;
		} else if (one == '{' || one == '[') {
			if (++depth > shape.depth) shape.depth = depth;
		} else if ((one == '}' || one == ']') && depth > 0) {
			depth--;
		}
	}
	return shape;
}

/* STATUS_INVALID: not one JSON value. */
static enum status prove(struct bytes input, yyjson_read_flag flags)
{
	yyjson_read_err wrong;
	/* Without YYJSON_READ_INSITU the library only reads. */
	char *data = (char *)(uintptr_t)input.data;
	yyjson_doc *document = yyjson_read_opts(data, input.size, flags, NULL, &wrong);
	if (document != NULL) {
		yyjson_doc_free(document);
		return STATUS_OK;
	}
	return wrong.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION ? STATUS_NO_MEMORY : STATUS_INVALID;
}

static enum status decode_fault(struct wire_fault *out_fault, const char *detail)
{
	*out_fault = (struct wire_fault){ .reason = REASON_DECODE, .detail = detail };
	return STATUS_INVALID;
}

enum status wire_json_scan(struct bytes input, size_t depth_max, struct wire_fault *out_fault)
{
	ASSERT(bytes_is_given(input));
	*out_fault = (struct wire_fault){ .reason = REASON_NONE };
	struct json_shape shape = measure(input);
	if (shape.depth > (depth_max < WIRE_DEPTH_MAX ? depth_max : WIRE_DEPTH_MAX))
		return decode_fault(out_fault, "The JSON value is nested too deeply.");
	enum status status = prove(input, YYJSON_READ_NUMBER_AS_RAW);
	bool is_utf8 = status != STATUS_INVALID || bytes_is_utf8(input);
	/* Well-formed but for its characters? The flag lets control characters pass, too: the input is rejected anyway. */
	if (!is_utf8) status = prove(input, YYJSON_READ_NUMBER_AS_RAW | YYJSON_READ_ALLOW_INVALID_UNICODE);
	if (status == STATUS_INVALID) return decode_fault(out_fault, "The value is not well-formed JSON.");
	if (status != STATUS_OK) return status;

	const char *broken_rule = NULL;
	if (shape.has_nul) broken_rule = "Text must not hold NUL.";
	if (!is_utf8) broken_rule = "Text must be valid UTF-8.";
	if (broken_rule != NULL) *out_fault = (struct wire_fault){ .reason = REASON_SCHEMA, .detail = broken_rule };
	return STATUS_OK;
}

/* The place behind the bracket that closes the array or map at the start of `input`. */
static size_t container_size(struct bytes input)
{
	size_t depth = 0;
	for (size_t at = 0; at < input.size; at++) {
		char one = input.data[at];
		bool escaped;
		if (one == '"')
			at = closing_quote(input, at + 1, &escaped);
		else if (one == '{' || one == '[')
			depth++;
		else if ((one == '}' || one == ']') && --depth == 0)
			return at + 1;
	}
	return input.size;
}

static bool is_between(char one)
{
	return one == ' ' || one == '\n' || one == '\t' || one == '\r' || one == ',' || one == ':';
}

/* Bytes of the number or word at the start of `input`. */
static size_t plain_size(struct bytes input)
{
	size_t size = 0;
	while (size < input.size && !is_between(input.data[size]) && input.data[size] != '}' && input.data[size] != ']')
		size++;
	return size;
}

static enum wire_kind plain_kind(struct bytes whole)
{
	switch (whole.data[0]) {
	case 'n':
		return WIRE_NULL;
	case 't':
	case 'f':
		return WIRE_BOOL;
	default:
		break;
	}
	for (size_t i = 0; i < whole.size; i++)
		if (whole.data[i] == '.' || whole.data[i] == 'e' || whole.data[i] == 'E') return WIRE_FLOAT;
	return WIRE_INTEGER;
}

/* The values that stand between two marks: text, arrays, maps. */
static void marked_value(struct bytes input, size_t size, enum wire_kind kind, struct wire_value *out_value)
{
	ASSERT(size >= 2 && size <= input.size);
	out_value->kind = kind;
	out_value->whole = bytes_at(input.data, size);
	out_value->inside = bytes_at(input.data + 1, size - 2);
}

bool wire_json_first(struct bytes input, struct wire_value *out_value)
{
	while (input.size > 0 && is_between(input.data[0])) {
		input.data++;
		input.size--;
	}
	if (input.size == 0) return false;

	struct wire_value value = { .coding = CHAT_CODING_JSON };
	switch (input.data[0]) {
	case '"':
		marked_value(input, closing_quote(input, 1, &value.has_escapes) + 1, WIRE_TEXT, &value);
		break;
	case '{':
		marked_value(input, container_size(input), WIRE_MAP, &value);
		break;
	case '[':
		marked_value(input, container_size(input), WIRE_ARRAY, &value);
		break;
	default:
		value.whole = bytes_at(input.data, plain_size(input));
		value.kind = plain_kind(value.whole);
		break;
	}
	*out_value = value;
	return true;
}

enum status wire_json_number(struct bytes whole, double *out_number)
{
	char text[NUMBER_SIZE_MAX];
	if (whole.size >= sizeof(text)) return STATUS_INVALID;
	memcpy(text, whole.data, whole.size);
	text[whole.size] = '\0';

	yyjson_val value;
	const char *end = yyjson_read_number(text, &value, YYJSON_READ_NOFLAG, NULL, NULL);
	if (end == NULL) return STATUS_INVALID;
	ASSERT(end == text + whole.size);
	*out_number = yyjson_get_num(&value);
	return STATUS_OK;
}

enum status wire_json_text(struct bytes whole, struct arena *arena, struct bytes *out_text)
{
	char *data = (char *)(uintptr_t)whole.data;
	yyjson_doc *document = yyjson_read_opts(data, whole.size, YYJSON_READ_ALLOW_INVALID_UNICODE, NULL, NULL);
	if (document == NULL) return STATUS_NO_MEMORY;
	yyjson_val *root = yyjson_doc_get_root(document);
	ASSERT(yyjson_is_str(root));
	enum status status = arena_copy(arena, bytes_at(yyjson_get_str(root), yyjson_get_len(root)), out_text);
	yyjson_doc_free(document);
	return status;
}

size_t wire_json_short_text(struct bytes whole, char out_text[static WIRE_JSON_SHORT_MAX])
{
	ASSERT(whole.size <= WIRE_JSON_SHORT_MAX);
	ASSERT(yyjson_read_max_memory_usage(whole.size, YYJSON_READ_ALLOW_INVALID_UNICODE) <= SHORT_POOL_SIZE);
	char pool[SHORT_POOL_SIZE];
	yyjson_alc allocator;
	bool pooled = yyjson_alc_pool_init(&allocator, pool, sizeof(pool));
	ASSERT(pooled);
	char *data = (char *)(uintptr_t)whole.data;
	yyjson_doc *document = yyjson_read_opts(data, whole.size, YYJSON_READ_ALLOW_INVALID_UNICODE, &allocator, NULL);
	yyjson_val *root = yyjson_doc_get_root(document);
	ASSERT(yyjson_is_str(root));
	/* No text is longer than it is written. */
	ASSERT(yyjson_get_len(root) < whole.size);
	memcpy(out_text, yyjson_get_str(root), yyjson_get_len(root));
	return yyjson_get_len(root);
}
