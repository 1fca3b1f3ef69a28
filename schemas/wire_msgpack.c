/* msgpack as bytes: see the header. The table is the format's own list of first bytes. */
#include "schemas/wire_msgpack.h"

#include <math.h>
#include <string.h>

#include "common/assertion.h"

/* The head of one value: its first byte and what that byte calls for. */
struct msgpack_head {
	enum wire_kind kind;
	size_t size;    /* of the head: the payload begins here */
	size_t payload; /* bytes of text, binary, extension or number */
	size_t count;   /* items inside, a pair of a map being two */
};

struct msgpack_shape {
	enum wire_kind kind;
	uint8_t length_bytes; /* of the length or count behind the first byte */
	uint8_t payload;      /* fixed payload, the type byte of extensions included */
};

enum { SHAPE_FIRST = 0xc0, SHAPE_LAST = 0xdf };

/* First bytes 0xc0 to 0xdf; WIRE_NONE is the one that the format never uses. */
static const struct msgpack_shape msgpack_shapes[] = {
	{ WIRE_NULL, 0, 0 },
	{ WIRE_NONE, 0, 0 },
	{ WIRE_BOOL, 0, 0 },
	{ WIRE_BOOL, 0, 0 },
	{ WIRE_BINARY, 1, 0 },
	{ WIRE_BINARY, 2, 0 },
	{ WIRE_BINARY, 4, 0 },
	{ WIRE_EXTENSION, 1, 1 },
	{ WIRE_EXTENSION, 2, 1 },
	{ WIRE_EXTENSION, 4, 1 },
	{ WIRE_FLOAT, 0, 4 },
	{ WIRE_FLOAT, 0, 8 },
	{ WIRE_INTEGER, 0, 1 },
	{ WIRE_INTEGER, 0, 2 },
	{ WIRE_INTEGER, 0, 4 },
	{ WIRE_INTEGER, 0, 8 },
	{ WIRE_INTEGER, 0, 1 },
	{ WIRE_INTEGER, 0, 2 },
	{ WIRE_INTEGER, 0, 4 },
	{ WIRE_INTEGER, 0, 8 },
	{ WIRE_EXTENSION, 0, 2 },
	{ WIRE_EXTENSION, 0, 3 },
	{ WIRE_EXTENSION, 0, 5 },
	{ WIRE_EXTENSION, 0, 9 },
	{ WIRE_EXTENSION, 0, 17 },
	{ WIRE_TEXT, 1, 0 },
	{ WIRE_TEXT, 2, 0 },
	{ WIRE_TEXT, 4, 0 },
	{ WIRE_ARRAY, 2, 0 },
	{ WIRE_ARRAY, 4, 0 },
	{ WIRE_MAP, 2, 0 },
	{ WIRE_MAP, 4, 0 },
};

_Static_assert(
	sizeof(msgpack_shapes) / sizeof(msgpack_shapes[0]) == SHAPE_LAST - SHAPE_FIRST + 1, "one row a first byte");

static uint64_t big_endian(const char *at, size_t size)
{
	uint64_t value = 0;
	for (size_t i = 0; i < size; i++)
		value = (value << 8) | (unsigned char)at[i];
	return value;
}

static bool is_container(enum wire_kind kind)
{
	return kind == WIRE_ARRAY || kind == WIRE_MAP;
}

/* First bytes below 0xc0 and above 0xdf hold everything in themselves. */
static struct msgpack_head short_head(unsigned char first)
{
	struct msgpack_head head = { .kind = WIRE_INTEGER, .size = 1 };
	if (first < 0x80 || first > SHAPE_LAST) return head;
	if (first < 0x90) {
		head.kind = WIRE_MAP;
		head.count = 2 * (size_t)(first & 0x0f);
	} else if (first < 0xa0) {
		head.kind = WIRE_ARRAY;
		head.count = first & 0x0f;
	} else {
		head.kind = WIRE_TEXT;
		head.payload = first & 0x1f;
	}
	return head;
}

/* STATUS_INVALID: cut off, or a length that goes beyond the end of `input`, or the byte that is never used. Each item
 * takes a byte at least, so a count is bounded by the bytes that are left, too. */
static enum status read_head(struct bytes input, struct msgpack_head *out_head)
{
	if (input.size == 0) return STATUS_INVALID;
	unsigned char first = (unsigned char)input.data[0];
	struct msgpack_head head = { .size = 1 };
	if (first < SHAPE_FIRST || first > SHAPE_LAST) {
		head = short_head(first);
	} else {
		const struct msgpack_shape *shape = &msgpack_shapes[first - SHAPE_FIRST];
		if (shape->kind == WIRE_NONE || input.size - 1 < shape->length_bytes) return STATUS_INVALID;
		size_t length = (size_t)big_endian(input.data + 1, shape->length_bytes);
		head.kind = shape->kind;
		head.size += shape->length_bytes;
		if (is_container(shape->kind))
			head.count = shape->kind == WIRE_MAP ? 2 * length : length;
		else
			head.payload = length + shape->payload;
	}
	size_t left = input.size - head.size;
	if (head.payload > left || head.count > left) return STATUS_INVALID;
	*out_head = head;
	return STATUS_OK;
}

/* A walk over all values, nested ones included. */
struct msgpack_scan {
	struct bytes rest;
	size_t depth_max;
	size_t depth;
	size_t left[WIRE_DEPTH_MAX]; /* items to come on each open level */
	bool is_map[WIRE_DEPTH_MAX];
	const char *broken_rule;
};

static double float_of(const char *payload, size_t size)
{
	uint64_t bits = big_endian(payload, size);
	if (size == sizeof(double)) {
		double number;
		memcpy(&number, &bits, sizeof(number));
		return number;
	}
	uint32_t half = (uint32_t)bits;
	float number;
	memcpy(&number, &half, sizeof(number));
	return (double)number;
}

/* The rule for all values that this one breaks, or NULL. */
static const char *rule_broken_by(const struct msgpack_head *head, const char *payload, bool is_key)
{
	if (is_key && head->kind != WIRE_TEXT) return "Map keys must be text.";
	switch (head->kind) {
	case WIRE_TEXT:
		if (!bytes_is_utf8(bytes_at(payload, head->payload))) return "Text must be valid UTF-8.";
		return bytes_has_nul(bytes_at(payload, head->payload)) ? "Text must not hold NUL." : NULL;
	case WIRE_FLOAT:
		return isfinite(float_of(payload, head->payload)) ? NULL : "Numbers must be finite.";
	case WIRE_EXTENSION:
		return "Extension types are not part of the contract.";
	case WIRE_NONE:
	case WIRE_NULL:
	case WIRE_BOOL:
	case WIRE_INTEGER:
	case WIRE_BINARY:
	case WIRE_ARRAY:
	case WIRE_MAP:
		return NULL;
	}
	ASSERT_UNREACHABLE();
}

/* Takes one item off its level and closes the levels that are complete now. */
static void scan_finish_item(struct msgpack_scan *scan)
{
	while (scan->depth > 0 && scan->left[scan->depth - 1] == 0)
		scan->depth--;
}

/* One value, without the items inside. NULL, or why the input is not msgpack. */
static const char *scan_step(struct msgpack_scan *scan)
{
	bool is_key = false;
	if (scan->depth > 0) {
		size_t level = scan->depth - 1;
		is_key = scan->is_map[level] && scan->left[level] % 2 == 0;
		scan->left[level]--;
	}
	struct msgpack_head head;
	if (read_head(scan->rest, &head) != STATUS_OK)
		return "The msgpack value is cut off or declares a wrong length.";
	const char *payload = scan->rest.data + head.size;
	if (scan->broken_rule == NULL) scan->broken_rule = rule_broken_by(&head, payload, is_key);
	scan->rest = bytes_at(payload + head.payload, scan->rest.size - head.size - head.payload);

	if (is_container(head.kind)) {
		if (scan->depth == scan->depth_max) return "The msgpack value is nested too deeply.";
		scan->left[scan->depth] = head.count;
		scan->is_map[scan->depth] = head.kind == WIRE_MAP;
		scan->depth++;
	}
	scan_finish_item(scan);
	return NULL;
}

enum status wire_msgpack_scan(struct bytes input, size_t depth_max, struct wire_fault *out_fault)
{
	ASSERT(bytes_is_given(input));
	struct msgpack_scan scan;
	scan.rest = input;
	scan.depth_max = depth_max < WIRE_DEPTH_MAX ? depth_max : WIRE_DEPTH_MAX;
	scan.depth = 0;
	scan.broken_rule = NULL;

	const char *wrong;
	do
		wrong = scan_step(&scan);
	while (wrong == NULL && scan.depth > 0);
	if (wrong == NULL && scan.rest.size > 0) wrong = "There are bytes behind the msgpack value.";

	*out_fault = (struct wire_fault){ .reason = REASON_NONE };
	if (wrong != NULL) {
		*out_fault = (struct wire_fault){ .reason = REASON_DECODE, .detail = wrong };
		return STATUS_INVALID;
	}
	if (scan.broken_rule != NULL)
		*out_fault = (struct wire_fault){ .reason = REASON_SCHEMA, .detail = scan.broken_rule };
	return STATUS_OK;
}

/* Whether the value is its first byte: null, booleans, small integers, empty text, array or map. */
static bool is_one_byte(unsigned char first)
{
	if (first < 0x80 || first >= 0xe0 || first == 0xc0) return true;
	return first == 0xc2 || first == 0xc3 || first == 0xa0 || first == 0x80 || first == 0x90;
}

/* Bytes of the value at the start of scanned `input`, all that is inside included. */
static size_t whole_size(struct bytes input)
{
	size_t size = 0;
	for (size_t left = 1; left > 0; left--) {
		ASSERT(size < input.size);
		if (is_one_byte((unsigned char)input.data[size])) {
			size++;
			continue;
		}
		struct msgpack_head head;
		enum status status = read_head(bytes_at(input.data + size, input.size - size), &head);
		ASSERT(status == STATUS_OK);
		size += head.size + head.payload;
		left += head.count;
	}
	return size;
}

void wire_msgpack_head(struct bytes input, struct wire_value *out_value)
{
	struct msgpack_head head;
	enum status status = read_head(input, &head);
	ASSERT(status == STATUS_OK);
	size_t size = head.size + head.payload;
	size_t inside = is_container(head.kind) ? input.size - head.size : head.payload;
	*out_value = (struct wire_value){
		.coding = CHAT_CODING_MSGPACK,
		.kind = head.kind,
		.count = head.count,
		.whole = bytes_at(input.data, size),
		.inside = bytes_at(input.data + head.size, inside),
	};
}

void wire_msgpack_first(struct bytes input, struct wire_value *out_value)
{
	wire_msgpack_head(input, out_value);
	if (!is_container(out_value->kind)) return;
	size_t head = out_value->whole.size;
	size_t size = whole_size(input);
	out_value->whole = bytes_at(input.data, size);
	out_value->inside = bytes_at(input.data + head, size - head);
}

uint64_t wire_msgpack_unsigned(struct bytes whole)
{
	ASSERT(whole.size == 9);
	return big_endian(whole.data + 1, 8);
}

enum status wire_msgpack_integer(struct bytes whole, int64_t *out_integer)
{
	ASSERT(whole.size > 0);
	unsigned char first = (unsigned char)whole.data[0];
	if (whole.size == 1) {
		*out_integer = first < 0x80 ? first : first - 0x100;
		return STATUS_OK;
	}
	size_t size = whole.size - 1;
	uint64_t bits = big_endian(whole.data + 1, size);
	bool is_signed = first >= 0xd0;
	if (!is_signed && bits > INT64_MAX) return STATUS_INVALID;
	unsigned unused_bits = (unsigned)(8 * (sizeof(bits) - size));
	*out_integer = is_signed ? (int64_t)(bits << unused_bits) >> unused_bits : (int64_t)bits;
	return STATUS_OK;
}

double wire_msgpack_number(struct bytes whole)
{
	ASSERT(whole.size > 0);
	unsigned char first = (unsigned char)whole.data[0];
	if (first == 0xca || first == 0xcb) return float_of(whole.data + 1, whole.size - 1);
	int64_t integer;
	if (wire_msgpack_integer(whole, &integer) == STATUS_OK) return (double)integer;
	return (double)wire_msgpack_unsigned(whole);
}
