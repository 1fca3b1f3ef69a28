/* Kafka records as plain values: what came in, and what is to go out. Knows nothing of librdkafka.
 *
 * A `struct record` is one allocation that holds key, value and headers; it is made by the consumer's side, handed
 * over whole, and freed by whoever has it last. A `struct outgoing` only borrows. */
#ifndef SCHEMAS_RECORD_H
#define SCHEMAS_RECORD_H

#include "common/bytes.h"

struct record_header {
	struct bytes name;  /* never BYTES_NONE */
	struct bytes value; /* BYTES_NONE for a null value */
};

/* Headers of a record in their order; names may repeat. */
struct record_headers {
	const struct record_header *items;
	size_t count;
};

struct record {
	int32_t partition;
	int64_t offset;
	int64_t timestamp_ms; /* Unix; -1 when the record has none */
	struct bytes key;     /* BYTES_NONE for a null key */
	struct bytes value;   /* BYTES_NONE for a tombstone */
	struct record_headers headers;
	size_t size; /* bytes of the whole allocation, for the accounts of memory */
};

/* Copies everything that `source` points at into one new allocation. NULL when memory is missing.
 * The caller frees the result with record_free(). */
NODISCARD struct record *record_new(const struct record *source);

/* Accepts NULL. */
void record_free(struct record *record);

/* The very same record: partition, offset, timestamp, key, value and headers, byte for byte. */
bool record_is_same(const struct record *a, const struct record *b);

/* The value of the last header called `name` (case-sensitive, as Kafka's are); BYTES_NONE when there is none. The
 * last one wins, as in Kafka's own clients (Headers.lastHeader). Borrowed from the record. */
struct bytes record_headers_last(const struct record_headers *headers, const char *name);

/* As record_headers_last(), but tells a header with a null value from no header: NULL when there is none. */
const struct record_header *record_headers_find(const struct record_headers *headers, const char *name);

/* A record to be produced. All pointers are borrowed from the job that made it, until its batch has ended. */
struct outgoing {
	struct bytes topic;
	struct bytes key;
	struct bytes value;   /* BYTES_NONE = null value */
	int64_t timestamp_ms; /* Unix; 0 = now */
	struct record_headers headers;
	bool is_dead_letter;
};

#endif
