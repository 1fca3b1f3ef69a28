/* Values on the wire, read where they lie: one way to look at msgpack and at JSON.
 *
 * Reading has two steps. wire_open() proves, without trusting any declared length, that the input is one whole value
 * in its coding and that nesting stays within the limit; it takes no memory for msgpack and only the JSON library's
 * own, which is given back at once. After that a value is a view of its encoded bytes, and looking inside costs
 * nothing but walking them: no tree is built, so a record never takes more memory than its bytes.
 *
 * msgpack-c is not asked to decode: it believes declared lengths, nests 32 levels whatever it is told, and makes a
 * tree of 24 bytes a value. tests/unit/test_wire_msgpack.c holds the scan against it as a judge.
 *
 * Ownership: values and cursors borrow the input. Threads: any, nothing is shared. Nothing blocks. */
#ifndef SCHEMAS_WIRE_H
#define SCHEMAS_WIRE_H

#include "common/arena.h"
#include "common/bytes.h"
#include "schemas/coding.h"
#include "schemas/reason.h"

/* The deepest nesting that can be allowed at all; the limit of the settings lies below it. */
enum { WIRE_DEPTH_MAX = 128 };

/* So many keys that are on no list one map may bring: repeats among them have to be found in bounded time. */
enum { WIRE_UNKNOWN_MAX = 64 };

enum wire_kind {
	WIRE_NONE, /* no value at all: the kind of a zeroed struct */
	WIRE_NULL,
	WIRE_BOOL,
	WIRE_INTEGER, /* written without fraction or exponent; may be too large for int64_t */
	WIRE_FLOAT,
	WIRE_TEXT,
	WIRE_BINARY,    /* msgpack only */
	WIRE_EXTENSION, /* msgpack only; never in an opened value without a fault */
	WIRE_ARRAY,
	WIRE_MAP
};

struct wire_value {
	enum chat_coding coding;
	enum wire_kind kind;
	bool has_escapes;    /* JSON text that holds a backslash: `inside` is not yet the text */
	size_t count;        /* msgpack arrays and maps: items inside, a pair of a map being two */
	struct bytes whole;  /* the encoded value */
	struct bytes inside; /* of text: what is between the quotes; of arrays and maps: the encoded items */
};

/* Why an input is not what it should be: REASON_DECODE or REASON_SCHEMA, and a static sentence. */
struct wire_fault {
	enum reason reason; /* REASON_NONE = no fault */
	const char *detail;
};

/* Where a walk through an array or a map is. */
struct wire_cursor {
	enum chat_coding coding;
	size_t left;       /* msgpack: items to come */
	struct bytes rest; /* not yet walked */
};

/* What wire_collect() met besides the keys it was asked for. */
struct wire_found {
	size_t unknown; /* keys that are on no list */
	bool repeated;  /* some key is there twice */
	bool crowded;   /* more than WIRE_UNKNOWN_MAX unknown keys: the walk ended there */
};

/* Checks all of `input` and gives its one value.
 * STATUS_OK: the value may be walked. `*out_fault` is zeroed, or says which rule for all values is broken (text that
 * is not UTF-8 or holds NUL, an extension type, NaN or infinity, a map key that is not text): the request is then a
 * rejected one, but its ids can still be looked for.
 * STATUS_INVALID: not a value of this coding; `*out_fault` says why. STATUS_NO_MEMORY. */
NODISCARD enum status wire_open(enum chat_coding coding, struct bytes input, size_t depth_max,
	struct wire_value *out_value, struct wire_fault *out_fault);

/* A walk through an array, or through a map, where keys and values take turns. */
struct wire_cursor wire_items(const struct wire_value *container);

/* Whether there was a next item; it is then in `*out_item`. */
bool wire_next(struct wire_cursor *cursor, struct wire_value *out_item);

/* How many items an array has, or `most` if there are more. */
size_t wire_count(const struct wire_value *array, size_t most);

/* True for a value that is there and is not null. */
bool wire_is_given(const struct wire_value *value);

/* The value of a WIRE_BOOL. */
bool wire_truth(const struct wire_value *value);

/* The value of a WIRE_INTEGER. STATUS_INVALID: it does not fit. */
NODISCARD enum status wire_integer(const struct wire_value *value, int64_t *out_integer);

/* The value of a WIRE_INTEGER or WIRE_FLOAT. STATUS_INVALID: too large for a double, or written with 64 or more
 * characters. */
NODISCARD enum status wire_number(const struct wire_value *value, double *out_number);

/* The characters of a WIRE_TEXT: a view of the input, or of the arena where escapes had to be undone.
 * STATUS_NO_MEMORY. */
NODISCARD enum status wire_text(const struct wire_value *value, struct arena *arena, struct bytes *out_text);

/* Walks `map` once and puts the value of each key of `names` into the slot of the same number (a zeroed one when the
 * key is not there; the first one when it is there twice). Takes no memory. */
void wire_collect(const struct wire_value *map, const struct bytes *names, size_t name_count,
	struct wire_value *out_slots, struct wire_found *out_found);

#endif
