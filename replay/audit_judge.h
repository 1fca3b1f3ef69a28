/* The rules of an audit: what is wrong between the requests and the replies that two topics hold.
 *
 * First all requests are told, partition by partition in the order of their offsets; then the replies of one response topic
 * after the other, each partition in its order; then dead letters, in any order; then the verdict is asked for. The judge
 * knows nothing of Kafka and looks at no clock.
 *
 * A lane is a conversation within one partition of the requests, named by the key of its replies; within one
 * partition of these their order counts. A reply without a key stands in no lane. Ids are compared by hashes of 32 bits,
 * lanes by 64 bits, keyed by `seed`.
 *
 * Ownership: what is told is borrowed for the call, names of topics until the end. Threads: one. Nothing blocks. */
#ifndef REPLAY_AUDIT_JUDGE_H
#define REPLAY_AUDIT_JUDGE_H

#include "common/bytes.h"

/* What can be wrong: member, key in JSON, label for people. */
#define AUDIT_FINDING_TABLE(ROW)                                                          \
	ROW(AUDIT_LOST, "lost", "lost (no reply)")                                        \
	ROW(AUDIT_DUPLICATE, "duplicate", "duplicate")                                    \
	ROW(AUDIT_DISORDERED, "out_of_order", "out of order")                             \
	ROW(AUDIT_LATE, "late", "late")                                                   \
	ROW(AUDIT_MISPLACED, "misplaced", "wrong key or partition")                       \
	ROW(AUDIT_MISNAMED, "misnamed", "names another request_id")                       \
	ROW(AUDIT_UNASKED, "unasked", "reply without a request")                          \
	ROW(AUDIT_UNREADABLE, "unreadable", "not a reply")                                \
	ROW(AUDIT_LETTER_DUPLICATE, "dead_letter_duplicate", "dead letter twice")         \
	ROW(AUDIT_LETTER_UNASKED, "dead_letter_unasked", "dead letter without a request") \
	ROW(AUDIT_LETTER_UNREADABLE, "dead_letter_unreadable", "not a dead letter")

enum audit_finding {
#define AUDIT_FINDING_MEMBER(member, key, label) member,
	AUDIT_FINDING_TABLE(AUDIT_FINDING_MEMBER)
#undef AUDIT_FINDING_MEMBER
		AUDIT_FINDING_COUNT
};

const char *audit_finding_key(enum audit_finding finding);
const char *audit_finding_label(enum audit_finding finding);

enum audit_outcome { AUDIT_ANSWERED, AUDIT_FALLBACK, AUDIT_REJECTED, AUDIT_OUTCOME_COUNT };

struct audit_options {
	const char *requests_topic;
	int64_t deadline_ms; /* a later reply is late, a younger request without one is pending; 0 = neither */
	int64_t from_ms;     /* only requests with timestamps in [from_ms, to_ms) are judged, Unix */
	int64_t to_ms;
	size_t requests_max;
	size_t examples_max; /* of each finding, at most AUDIT_EXAMPLES_MAX */
	uint64_t seed;
};

enum { AUDIT_EXAMPLES_MAX = 100 };

/* A place in a topic; topic NULL = none. */
struct audit_place {
	const char *topic;
	int32_t partition;
	int64_t offset;
};

struct audit_request {
	int32_t partition;
	int64_t offset;
	int64_t timestamp_ms;      /* -1 = none */
	struct bytes id;           /* BYTES_NONE = not to be read */
	struct bytes conversation; /* of the body, else the record's key; BYTES_NONE = neither */
};

struct audit_reply {
	struct audit_place place;
	int64_t timestamp_ms;
	struct bytes key;
	bool is_readable; /* all below is only known when it is */
	enum audit_outcome outcome;
	struct bytes id;           /* BYTES_NONE = null */
	struct bytes conversation; /* BYTES_NONE = null */
	struct bytes source_topic;
	int32_t source_partition;
	int64_t source_offset;
};

struct audit_letter {
	struct audit_place place;
	bool is_readable; /* all below is only known when it is */
	struct bytes source_topic;
	int32_t source_partition;
	int64_t source_offset;
};

/* One thing that is wrong. */
struct audit_example {
	struct audit_place request; /* topic NULL = none */
	struct audit_place record;  /* reply or dead letter; topic NULL = none */
	int64_t after_ms;           /* from request to reply; -1 = does not matter */
};

struct audit_counts {
	size_t requests;                      /* judged */
	size_t answered;                      /* … with a reply, whatever its outcome */
	size_t pending;                       /* … without one, but younger than the deadline */
	size_t open;                          /* … without one, and the group has not finished them yet */
	size_t outside;                       /* requests that are not in the span of time */
	size_t replies;                       /* read */
	size_t outcomes[AUDIT_OUTCOME_COUNT]; /* of those to judged requests */
	size_t others;      /* replies to requests of other topics, or that lie before or behind what was read */
	size_t letters;     /* dead letters read */
	size_t unlettered;  /* rejected requests without a dead letter */
	int64_t slowest_ms; /* -1 = no reply has a time */
	size_t bytes;       /* memory of the audit */
};

struct audit_judge;

/* NULL when memory is missing. */
NODISCARD struct audit_judge *audit_judge_new(const struct audit_options *options);

/* Accepts NULL. */
void audit_judge_free(struct audit_judge *judge);

/* Begins the next partition of the requests (0, 1, 2, …), of which [start, end) is read. STATUS_NO_MEMORY. */
NODISCARD enum status audit_judge_partition(struct audit_judge *judge, int64_t start, int64_t end);

/* STATUS_FULL: more than `requests_max`. STATUS_NO_MEMORY. */
NODISCARD enum status audit_judge_request(struct audit_judge *judge, const struct audit_request *request);

/* Begins a response topic, which has so many partitions. */
void audit_judge_topic(struct audit_judge *judge, int32_t partition_count);

/* STATUS_NO_MEMORY. */
NODISCARD enum status audit_judge_reply(struct audit_judge *judge, const struct audit_reply *reply);

void audit_judge_letter(struct audit_judge *judge, const struct audit_letter *letter);

/* Looks for requests without a reply. `now_ms` is the Unix time when the ends of the replies were asked for; `committed` has
 * the group's offset of each partition, -1 for none, or is NULL. Once. */
void audit_judge_finish(struct audit_judge *judge, int64_t now_ms, const int64_t *committed);

const struct audit_counts *audit_judge_counts(const struct audit_judge *judge);

/* How often, and the first of them. */
size_t audit_judge_found(const struct audit_judge *judge, enum audit_finding finding);
const struct audit_example *audit_judge_examples(
	const struct audit_judge *judge, enum audit_finding finding, size_t *out_count);

/* Nothing is wrong. */
bool audit_judge_is_clean(const struct audit_judge *judge);

#endif
