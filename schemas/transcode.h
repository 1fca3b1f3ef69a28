/* From one coding to the other: msgpack values as JSON text, JSON texts as msgpack.
 *
 * Deterministic: keys keep their order, no white space is added, numbers take their shortest form that reads back as
 * the same number; so the same bytes always give the same bytes.
 *
 * Threads: any. Nothing blocks. */
#ifndef SCHEMAS_TRANSCODE_H
#define SCHEMAS_TRANSCODE_H

#include "common/buffer.h"
#include "schemas/wire.h"

/* Appends an opened value (wire.h) as JSON: JSON byte for byte, msgpack transcoded.
 * STATUS_UNSUPPORTED: the value holds binary data, which JSON cannot; something may have been appended. Whether all
 * did fit is for buffer_status() to say. */
NODISCARD enum status transcode_to_json(const struct wire_value *value, struct buffer *out_json);

/* Appends the JSON text `json` as msgpack. Any text may be given: one that is not JSON, or nests deeper than
 * WIRE_DEPTH_MAX, is STATUS_INVALID and appends nothing. STATUS_NO_MEMORY. */
NODISCARD enum status transcode_to_msgpack(struct bytes json, struct buffer *out_msgpack);

/* For msgpack-c's packer: `data` is a struct buffer. Always 0, the buffer remembers what went wrong. */
int transcode_append(void *data, const char *piece, size_t size);

#endif
