/* Ending a librdkafka handle in bounded time.
 *
 * Destroying a handle waits for its threads, and known bugs can make that last for ever. So it is done on a thread of its
 * own, and left behind when it takes too long: the process is about to end. */
#ifndef WORKER_EDGE_KAFKA_CLOSE_H
#define WORKER_EDGE_KAFKA_CLOSE_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>

#include "common/bytes.h"

/* Destroys `rk` without leaving its group (that is done before, or not at all). Blocks up to `timeout_ms`.
 * STATUS_TIMEOUT: it still goes on, and what callbacks of the handle use must never be freed. Without memory for a
 * thread it is done here, for as long as it takes. */
NODISCARD enum status kafka_close(rd_kafka_t *rk, int timeout_ms);

/* Joins `thread` within `timeout_ms`; detaches it and gives STATUS_TIMEOUT when it does not end. */
NODISCARD enum status kafka_close_thread(pthread_t thread, int timeout_ms);

#endif
