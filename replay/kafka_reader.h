/* Reads topics whole, from a beginning to the end they had when they were looked at, and nothing that is not committed.
 *
 * Without a membership: partitions are assigned, nothing is ever committed, so reading disturbs nobody. The end is the last
 * stable offset, so no open transaction can hold a reader up. One topic at a time, its partitions side by side, each in
 * the order of its log.
 *
 * Every failure leaves a sentence for people in `out_problem`. Owner and thread: one. Blocking is bounded by the times
 * given, reading by READ_STALL of the implementation without any progress. */
#ifndef REPLAY_KAFKA_READER_H
#define REPLAY_KAFKA_READER_H

#include "schemas/record.h"

struct kafka_reader;

enum { KAFKA_READER_PROBLEM_MAX = 512 };

struct kafka_reader_options {
	const char *brokers;
	const char *const *properties; /* "name=value", any of librdkafka's */
	size_t property_count;
	const char *group;  /* whose progress kafka_reader_committed() asks for; NULL = none. It is not joined */
	int64_t connect_ms; /* bound of each question to the brokers */
};

/* What is to be read of one partition: [start, end). `log_start` is where its log begins. */
struct kafka_range {
	int64_t log_start;
	int64_t start;
	int64_t end;
};

/* What a topic's records are given to. The record is borrowed for the call. Any other status than STATUS_OK ends the
 * reading with it. */
struct kafka_visitor {
	void *context;
	enum status (*visit)(void *context, const struct record *record);
};

/* Does not wait for brokers. STATUS_INVALID: a property that librdkafka refuses. STATUS_NO_MEMORY.
 * Close with kafka_reader_close(). */
NODISCARD enum status kafka_reader_open(const struct kafka_reader_options *options,
	char out_problem[static KAFKA_READER_PROBLEM_MAX], struct kafka_reader **out_reader);

/* Accepts NULL. */
void kafka_reader_close(struct kafka_reader *reader);

/* All partitions of `topic` as they are now, each from its first record that is not older than `from_ms` (Unix; 0 = from the
 * log's start). The caller frees `*out_ranges` with free().
 * STATUS_CLOSED: no broker answers. STATUS_NOT_FOUND: no such topic. STATUS_NO_MEMORY. */
NODISCARD enum status kafka_reader_ranges(struct kafka_reader *reader, const char *topic, int64_t from_ms,
	char out_problem[static KAFKA_READER_PROBLEM_MAX], struct kafka_range **out_ranges, size_t *out_count);

/* What the group has committed for each of the first `count` partitions, -1 for nothing.
 * STATUS_CLOSED: not to be found out, for example behind a transaction that stays open. STATUS_NO_MEMORY. */
NODISCARD enum status kafka_reader_committed(struct kafka_reader *reader, const char *topic, size_t count,
	char out_problem[static KAFKA_READER_PROBLEM_MAX], int64_t *out_offsets);

/* Reads the ranges of the first `count` partitions. STATUS_TIMEOUT: nothing came for half a minute, though there should be
 * more. STATUS_NO_MEMORY. */
NODISCARD enum status kafka_reader_read(struct kafka_reader *reader, const char *topic,
	const struct kafka_range *ranges, size_t count, const struct kafka_visitor *visitor,
	char out_problem[static KAFKA_READER_PROBLEM_MAX]);

#endif
