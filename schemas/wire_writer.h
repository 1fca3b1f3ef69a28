/* Writes values in either coding: the caller says once what there is, and gets msgpack or JSON.
 *
 * Nothing fails on the way: the buffer remembers, and buffer_status() of `out` tells at the end. Maps are announced
 * with their number of pairs, because msgpack writes it first; the writer does not check the number.
 *
 * Owner of `out`: whoever called wire_writer_init(), by buffer_deinit(). Threads: any. Nothing blocks. */
#ifndef SCHEMAS_WIRE_WRITER_H
#define SCHEMAS_WIRE_WRITER_H

#include "common/buffer.h"
#include "schemas/coding.h"

struct wire_writer {
	enum chat_coding coding;
	struct buffer out;
};

void wire_writer_init(struct wire_writer *writer, enum chat_coding coding, size_t size_max);

/* The start of a map of `pairs` pairs, and its end. */
void wire_writer_map(struct wire_writer *writer, size_t pairs);
void wire_writer_end_map(struct wire_writer *writer);

/* A key, before its value. `key` needs no escapes. */
void wire_writer_key(struct wire_writer *writer, const char *key);

/* Text that is valid UTF-8; null for BYTES_NONE. */
void wire_writer_text(struct wire_writer *writer, struct bytes text);

void wire_writer_integer(struct wire_writer *writer, int64_t value);
void wire_writer_bool(struct wire_writer *writer, bool value);
void wire_writer_null(struct wire_writer *writer);

/* A JSON text as a value; null for BYTES_NONE. Into JSON it goes as it is; into msgpack it is transcoded, and one
 * that is not well-formed becomes null, so that the reply stays readable. One that memory is missing for makes
 * `out` failed: it must not be taken for one that is not there. */
void wire_writer_json(struct wire_writer *writer, struct bytes json);

#endif
