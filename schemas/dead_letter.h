/* A dead letter: the original record with its bytes, timestamp and headers untouched, plus `dlq-*` text headers that
 * say why it is here (schemas/README.md has the list).
 *
 * Ownership: `*out_record` borrows key, value and header values from the record; header lists and texts made here live
 * in the arena. Threads: any. Nothing blocks. */
#ifndef SCHEMAS_DEAD_LETTER_H
#define SCHEMAS_DEAD_LETTER_H

#include "common/arena.h"
#include "schemas/reason.h"
#include "schemas/record.h"

enum { DEAD_LETTER_MESSAGE_MAX = 512 };

struct dead_letter {
	const struct record *record;
	struct bytes topic;          /* the dead-letter topic */
	struct bytes original_topic; /* where the record was read */
	struct bytes consumer_group;
	struct bytes worker_version;
	enum reason reason;
	struct bytes message; /* our own sentence; cut at DEAD_LETTER_MESSAGE_MAX bytes; BYTES_NONE = the reason's */
	int attempts;
	int64_t failed_at_ms; /* Unix; written as RFC 3339 in UTC with milliseconds */
	bool omit_value;      /* the topic refused it for its size: null value and `dlq-value-omitted: too_large` */
};

/* STATUS_NO_MEMORY: the arena is full. */
NODISCARD enum status dead_letter_write(
	const struct dead_letter *letter, struct arena *arena, struct outgoing *out_record);

#endif
