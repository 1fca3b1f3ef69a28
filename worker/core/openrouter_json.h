/* JSON of the upstream: reading it within bounds, and writing parts of it again.
 *
 * Reading: nesting is bounded by a linear scan before the parser sees the text, and small texts (the deltas of a
 * stream) are parsed in memory on the caller's stack, so that an event costs no allocation. Numbers are kept as they
 * are written: what is passed on loses no digit, and a number too large for any type is just text.
 *
 * Writing: compact, in the order it came, without NUL characters in any string (the wire has none).
 *
 * Pure; any thread. Used by the openrouter_* files of this folder only. */
#ifndef WORKER_CORE_OPENROUTER_JSON_H
#define WORKER_CORE_OPENROUTER_JSON_H

#include <yyjson.h>

#include "common/buffer.h"

/* Texts up to about a thirteenth of this are parsed without an allocation. */
enum { OPENROUTER_JSON_SCRATCH = 32 * 1024 };

/* A document and its memory; lives on the stack of whoever reads. All values and strings are borrowed from it. */
struct openrouter_json {
	yyjson_doc *doc; /* NULL = nothing read */
	bool on_heap;
	char scratch[OPENROUTER_JSON_SCRATCH];
};

/* Nesting of arrays and objects is at most `depth`; brackets in strings do not count. For text that is not JSON the
 * result means nothing. */
bool openrouter_json_is_within(struct bytes text, size_t depth);

/* STATUS_INVALID: not one whole JSON text, invalid UTF-8, or deeper than `depth`; STATUS_NO_MEMORY. On any result
 * openrouter_json_close() may follow; it must after STATUS_OK. `json` needs no preparation. */
NODISCARD enum status openrouter_json_open(
	struct openrouter_json *json, struct bytes text, size_t depth, yyjson_val **out_root);
void openrouter_json_close(struct openrouter_json *json);

/* The text of a string value; BYTES_NONE for NULL and every other type. */
struct bytes openrouter_json_text(yyjson_val *value);

/* A whole number that fits; -1 for everything else, negative ones too. */
int64_t openrouter_json_count(yyjson_val *value);

/* US dollars of one answer: more than this is a mistake of the service, and must not overflow what adds them up. */
#define OPENROUTER_AMOUNT_MAX 1e6

/* A finite number not below zero, at most OPENROUTER_AMOUNT_MAX; 0 for everything else. */
double openrouter_json_amount(yyjson_val *value);

/* Appends `text` without its NUL characters. */
void openrouter_json_append_text(struct buffer *buffer, struct bytes text);

/* Appends `text` as a JSON string without its NUL characters. */
void openrouter_json_append_string(struct buffer *buffer, struct bytes text);

/* Appends `value` as JSON. The depth was bounded when it was read. */
void openrouter_json_append(struct buffer *buffer, yyjson_val *value);

/* Appends the members of an array, separated by commas and preceded by one when the buffer is not empty: so pieces of
 * an array from several events become one. Anything but an array adds nothing. */
void openrouter_json_append_members(struct buffer *buffer, yyjson_val *array);

#endif
