/* What a Kafka handle has sent and what has been answered, seen by interceptors.
 *
 * For rule E1 (see publisher.h) the requests that belong to transactions are counted: Produce, AddPartitionsToTxn,
 * AddOffsetsToTxn, EndTxn, TxnOffsetCommit. A request counts from when all its bytes have left for the broker until its
 * answer has come; one whose connection broke stays unanswered for the handle's life. In normal life the count is 0
 * whenever a transaction has ended, because librdkafka itself waits for every one of these answers.
 *
 * Owner: whoever owns the handle; the watch must outlive it. Threads: librdkafka's broker threads count, any thread
 * reads. Nothing blocks. */
#ifndef WORKER_EDGE_KAFKA_WATCH_H
#define WORKER_EDGE_KAFKA_WATCH_H

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>

#include "worker/edge/kafka_conf.h"

struct kafka_watch {
	atomic_llong unanswered;         /* transactional requests */
	atomic_bool has_answered;        /* any request was answered */
	atomic_bool has_answered_join;   /* a JoinGroup was answered */
	atomic_ullong heartbeats;        /* sent, each after its predecessor was answered */
	atomic_bool has_heard_heartbeat; /* the last one was answered */
	atomic_bool is_joining;          /* a JoinGroup was sent; whoever learns of the assignment sets it back */
	bool has_begun;                  /* librdkafka has begun to make the handle; the maker's thread only */
};

/* Everything 0; before the handle is made. */
void kafka_watch_init(struct kafka_watch *watch);

/* Makes the handle, counted. Takes `conf` in any case; initialises the watch. STATUS_INVALID: librdkafka refused a
 * property, such as a file of certificates that cannot be read. STATUS_IO: it could not have what it needs. `out_error` says
 * why.
 *
 * When a handle cannot be made after it was begun, librdkafka (seen with 2.0.2) has freed the interceptors of `conf`, and
 * rd_kafka_conf_destroy() would free them again. What is left of `conf`, some kilobytes, is then left behind. */
NODISCARD enum status kafka_watch_open(struct kafka_watch *watch, rd_kafka_type_t type, rd_kafka_conf_t *conf,
	struct kafka_conf_error *out_error, rd_kafka_t **out_handle);

/* Transactional requests that were sent and not answered; never negative. */
long long kafka_watch_unanswered(const struct kafka_watch *watch);

#endif
