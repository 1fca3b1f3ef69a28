/* msgpack as bytes: the scan that proves lengths and depth, and the step from one value to the next.
 *
 * Used by wire.c only. Borrowed views, no memory, no blocking; any thread. */
#ifndef SCHEMAS_WIRE_MSGPACK_H
#define SCHEMAS_WIRE_MSGPACK_H

#include "schemas/wire.h"

/* One linear walk: every declared length fits into the bytes that are left, nesting stays within `depth_max` (cut to
 * WIRE_DEPTH_MAX), and the input is exactly one value. STATUS_OK also when a rule for all values is broken: see
 * wire_open(). STATUS_INVALID: not one whole value. */
NODISCARD enum status wire_msgpack_scan(struct bytes input, size_t depth_max, struct wire_fault *out_fault);

/* The value at the start of `input`, which was scanned. */
void wire_msgpack_first(struct bytes input, struct wire_value *out_value);

/* As wire_msgpack_first(), but of an array or a map only the head is looked at: `whole` is the head, `inside` is all
 * the rest of `input`. For walking everything once, however deeply it is nested. */
void wire_msgpack_head(struct bytes input, struct wire_value *out_value);

/* Numbers of scanned values. wire_msgpack_integer() gives STATUS_INVALID above INT64_MAX. */
NODISCARD enum status wire_msgpack_integer(struct bytes whole, int64_t *out_integer);
double wire_msgpack_number(struct bytes whole);

/* The value of an integer above INT64_MAX. */
uint64_t wire_msgpack_unsigned(struct bytes whole);

#endif
