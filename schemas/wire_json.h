/* JSON as bytes: the proof that a text is JSON, and the step from one value to the next.
 *
 * The proof is yyjson's (strict: no comments, no trailing commas, no NaN); only what a view of the text cannot tell
 * afterwards is looked for here: depth, before the library sees the text, and escaped NUL characters.
 *
 * Used by wire.c only. Borrowed views; no blocking; any thread. */
#ifndef SCHEMAS_WIRE_JSON_H
#define SCHEMAS_WIRE_JSON_H

#include "schemas/wire.h"

/* As wire_msgpack_scan(). STATUS_NO_MEMORY when the JSON library got none. Its memory is freed before the return. */
NODISCARD enum status wire_json_scan(struct bytes input, size_t depth_max, struct wire_fault *out_fault);

/* The value at the start of `input`, white space and separators before it skipped; false when there is none. */
bool wire_json_first(struct bytes input, struct wire_value *out_value);

/* As wire_number() and wire_text(), for JSON. */
NODISCARD enum status wire_json_number(struct bytes whole, double *out_number);
NODISCARD enum status wire_json_text(struct bytes whole, struct arena *arena, struct bytes *out_text);

/* The same for a text of at most WIRE_JSON_SHORT_MAX bytes, quotes included; takes no memory. Returns the bytes written
 * to `out_text`. */
enum { WIRE_JSON_SHORT_MAX = 256 };
size_t wire_json_short_text(struct bytes whole, char out_text[static WIRE_JSON_SHORT_MAX]);

#endif
