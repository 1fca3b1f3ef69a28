/* The inside of the publisher, shared by its files; nobody else includes it.
 *
 *   publisher.c              the owner's side: mailboxes, start, stop; and the thread's loop
 *   publisher_session.c      one producer after the other: made, made ready, given up
 *   publisher_records.c      records into the producer, delivery reports out of it
 *   publisher_transaction.c  a batch as a transaction
 *   publisher_plain.c        a batch at_least_once
 *
 * The thread has one batch or none, and a producer (`rk`) except while it is made anew. */
#ifndef WORKER_EDGE_PUBLISHER_STATE_H
#define WORKER_EDGE_PUBLISHER_STATE_H

#include <pthread.h>

#include "common/mailbox.h"
#include "worker/edge/kafka_conf.h"
#include "worker/edge/kafka_error.h"
#include "worker/edge/kafka_watch.h"
#include "worker/edge/publisher.h"

enum { PUBLISHER_CALL_MS = 500 }; /* the longest single wait inside librdkafka */

/* Why a producer is given up; the label of a metric. */
#define PUBLISHER_REASON_TABLE(ROW)                                                                                    \
	ROW(PUBLISHER_REASON_FATAL, "fatal")           /* librdkafka says it cannot go on */                           \
	ROW(PUBLISHER_REASON_FENCED, "fenced")         /* or the broker timed us out */                                \
	ROW(PUBLISHER_REASON_TWIN, "twin")             /* fenced again soon after a renewal */                         \
	ROW(PUBLISHER_REASON_TIMEOUT, "timeout")       /* no end within the time */                                    \
	ROW(PUBLISHER_REASON_UNANSWERED, "unanswered") /* rule E1 */                                                   \
	ROW(PUBLISHER_REASON_GAP, "gap")               /* records that were not stored left a hole in the numbering */ \
	ROW(PUBLISHER_REASON_DENIED, "denied")         /* configuration or authorisation */

#define PUBLISHER_REASON_MEMBER(member, word) member,
enum publisher_reason { PUBLISHER_REASON_TABLE(PUBLISHER_REASON_MEMBER) };
#undef PUBLISHER_REASON_MEMBER

/* What went wrong in a batch, first thing first; for one line of log. */
struct publisher_failure {
	const char *step; /* static; NULL = nothing went wrong */
	const char *name; /* of the error; static */
	rd_kafka_resp_err_t code;
};

struct publisher {
	/* Never change. */
	const struct settings *settings;
	struct source *source;
	struct log *log;
	struct metrics *metrics;
	struct watchdog_pulse *pulse;
	bool is_transactional;
	int64_t transaction_ms;
	struct kafka_owner owner;
	struct mailbox *work; /* one batch to the thread */
	struct mailbox *done; /* and back */
	int stop_fd;          /* readable from when the thread shall end */
	pthread_t thread;

	/* The owner's. */
	bool is_busy;

	/* Shared. */
	atomic_bool is_ready;
	atomic_bool is_stopping;
	struct kafka_watch watch;

	/* The thread's. */
	rd_kafka_t *rk;
	rd_kafka_topic_t **topics; /* kept so that librdkafka keeps what it knows of them */
	size_t topic_count;
	size_t undelivered;     /* records without delivery report */
	size_t failed;          /* delivery reports with an error, of this batch */
	size_t refused_by_size; /* of those, too large for the topic */
	size_t refused_topics;  /* of those, for a topic that is not there */
	bool has_gap;           /* a record was numbered and not stored: the next ones would be out of order */
	struct publisher_failure failure;
	int64_t fenced_at_ms; /* monotonic; 0 = never */
	int64_t backoff_ms;   /* before the next producer; 0 = none */
};

/* publisher_session.c: the thread's, except publisher_session_open() before it is started. */

/* Makes a producer. STATUS_INVALID: a property was refused; STATUS_NO_MEMORY. Logged. */
NODISCARD enum status publisher_session_open(struct publisher *publisher);

/* Destroys the producer; afterwards nothing borrows from batches. Blocks for as long as librdkafka needs. */
void publisher_session_close(struct publisher *publisher);

/* Initialises transactions and warms metadata, again and again until it is done. STATUS_CLOSED: the publisher stops. */
NODISCARD enum status publisher_session_connect(struct publisher *publisher);

/* Gives the producer up and connects a new one. STATUS_CLOSED: the publisher stops. */
NODISCARD enum status publisher_session_renew(struct publisher *publisher, enum publisher_reason reason);

/* Asks what has become of the topics, so that one that was missing can be used as soon as it is there. */
void publisher_session_warm(struct publisher *publisher);

/* The producer has broken down by itself, between batches. */
bool publisher_session_is_broken(const struct publisher *publisher);

/* Waits, or until the publisher stops; then true. */
bool publisher_pause(const struct publisher *publisher, int64_t pause_ms);
/* Every loop of the thread asks this each time round, so its pulse beats here. */
bool publisher_is_stopping(const struct publisher *publisher);

/* publisher_records.c */

/* The dr_msg_cb. On the publisher's thread, inside librdkafka's calls. */
void publisher_on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque);

/* Hands all records to the producer; with `careful` those whose fault says too large go alone. STATUS_OK; STATUS_IO: one
 * was refused, its fault and the failure are set; STATUS_TIMEOUT. */
NODISCARD enum status publisher_produce(
	struct publisher *publisher, struct batch *batch, bool careful, int64_t deadline_ms);

/* Several records went into one request that was too large: which of them is too large alone is not known yet. */
bool publisher_must_be_careful(const struct publisher *publisher);

/* Before a batch. */
void publisher_forget_failure(struct publisher *publisher);
void publisher_note_failure(struct publisher *publisher, const char *step, const char *name, rd_kafka_resp_err_t code);

/* publisher_transaction.c, publisher_plain.c: carry the batch out and set its end. STATUS_CLOSED: the publisher stops
 * and the batch has no end. */
NODISCARD enum status publisher_run_transaction(struct publisher *publisher, struct batch *batch);
NODISCARD enum status publisher_run_plain(struct publisher *publisher, struct batch *batch);

#endif
