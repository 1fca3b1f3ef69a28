/* Crash points: named places at which the worker can be made to die as kill -9 would have it.
 *
 * The linker puts them around functions that other files call (--wrap), so the product has no line for them. With
 * CHAT_CRASH=point:n in the environment the n-th passage of that point ends the process by SIGKILL, after one line on
 * standard error; with CHAT_CRASH=point:n:hang the thread that passes stays there for ever instead. CHAT_CRASH=list prints
 * the table. A process has one point at most, so globals say which.
 *
 * CHAT_CLOCK names a file with seconds by which the worker's own code (not its libraries) finds the wall clock set. */
#include <librdkafka/rdkafka.h>

#include <curl/curl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "schemas/chat_request.h"
#include "schemas/chat_response.h"
#include "worker/core/flow.h"
#include "worker/core/ledger.h"
#include "worker/core/openrouter_answer.h"
#include "worker/edge/publisher_state.h"
#include "worker/edge/source.h"
#include "worker/edge/upstream.h"

/* member, word, how often it is passed (chat: for each chat, batch: for each transaction, once: seldom, when something
 * brings it about), the instant */
#define POINT_TABLE(ROW)                                                                                       \
	ROW(POINT_INITIALISING, "initialising", "once", "before the producer fences its predecessor")          \
	ROW(POINT_INITIALISED, "initialised", "once", "after it did")                                          \
	ROW(POINT_SUBSCRIBED, "subscribed", "once", "the consumer has asked for partitions")                   \
	ROW(POINT_LOOKING_UP, "looking-up", "once", "before committed offsets are read")                       \
	ROW(POINT_LOOKED_UP, "looked-up", "once", "after they were read")                                      \
	ROW(POINT_ASSIGNING, "assigning", "once", "before the flow hears of a partition")                      \
	ROW(POINT_ASSIGNED, "assigned", "once", "partitions are assigned to the consumer")                     \
	ROW(POINT_POLLED, "polled", "chat", "a record is out of librdkafka")                                   \
	ROW(POINT_READ, "read", "chat", "it is copied")                                                        \
	ROW(POINT_ENTERED, "entered", "chat", "its offset is in the ledger")                                   \
	ROW(POINT_DECODED, "decoded", "chat", "its bytes have become a request")                               \
	ROW(POINT_TAKEN, "taken", "chat", "the flow has taken it")                                             \
	ROW(POINT_CALLING, "calling", "chat", "the flow has given out an attempt")                             \
	ROW(POINT_HANDED, "handed", "chat", "the pool of threads has it")                                      \
	ROW(POINT_SENDING, "sending", "chat", "libcurl has it")                                                \
	ROW(POINT_HEARING, "hearing", "chat", "a piece of an answer is read")                                  \
	ROW(POINT_HEARD, "heard", "chat", "an attempt has its verdict")                                        \
	ROW(POINT_COLLECTED, "collected", "chat", "results are out of the mailbox")                            \
	ROW(POINT_REPLYING, "replying", "chat", "before a reply is written")                                   \
	ROW(POINT_REPLIED, "replied", "chat", "the reply waits for a batch")                                   \
	ROW(POINT_BATCHED, "batched", "batch", "a batch is made")                                              \
	ROW(POINT_PUT, "put", "batch", "the publisher has it")                                                 \
	ROW(POINT_BEGINNING, "beginning", "batch", "before the transaction begins")                            \
	ROW(POINT_BEGUN, "begun", "batch", "it has begun")                                                     \
	ROW(POINT_PRODUCING, "producing", "chat", "before a record of it")                                     \
	ROW(POINT_PRODUCED, "produced", "batch", "all records are on their way")                               \
	ROW(POINT_SENDING_OFFSETS, "sending-offsets", "batch", "before progress is sent into the transaction") \
	ROW(POINT_SENT_OFFSETS, "sent-offsets", "batch", "the group's coordinator has it")                     \
	ROW(POINT_COMMITTING, "committing", "batch", "before the end of the transaction is asked for")         \
	ROW(POINT_DELIVERED, "delivered", "chat", "a record is known to be stored, inside the transaction")    \
	ROW(POINT_COMMITTED, "committed", "batch", "the transaction has ended, nobody else knows")             \
	ROW(POINT_ABORTING, "aborting", "once", "before a transaction is aborted")                             \
	ROW(POINT_ABORTED, "aborted", "once", "it is aborted")                                                 \
	ROW(POINT_RENEWING, "renewing", "once", "an end is uncertain, the producer is to be made anew")        \
	ROW(POINT_RESOLVING, "resolving", "once", "before the committed progress of that batch is read")       \
	ROW(POINT_RESOLVED, "resolved", "once", "it was read")                                                 \
	ROW(POINT_RETURNED, "returned", "batch", "the batch is back at the flow's side")                       \
	ROW(POINT_ADOPTING, "adopting", "batch", "before the ledger moves on")                                 \
	ROW(POINT_ADOPTED, "adopted", "batch", "the ledger has moved on")                                      \
	ROW(POINT_FINISHED, "finished", "batch", "the chats of the batch are gone")                            \
	ROW(POINT_REVOKING, "revoking", "once", "partitions are to be given up, nothing is done yet")          \
	ROW(POINT_REVOKED, "revoked", "once", "the flow has dropped them")                                     \
	ROW(POINT_UNASSIGNED, "unassigned", "once", "the consumer has given them back")                        \
	ROW(POINT_DRAINING, "draining", "once", "the drain has begun")                                         \
	ROW(POINT_STOPPING, "stopping", "once", "all is published, before the producer is closed")             \
	ROW(POINT_LEAVING, "leaving", "once", "before the group is left")                                      \
	ROW(POINT_LEFT, "left", "once", "it was left")

#define POINT_MEMBER(member, word, pace, text) member,
enum point { POINT_TABLE(POINT_MEMBER) POINT_COUNT };
#undef POINT_MEMBER

struct point_row {
	const char *word, *pace, *text;
};

#define POINT_ROW(member, word, pace, text) { word, pace, text },
static const struct point_row rows[] = { POINT_TABLE(POINT_ROW) };
#undef POINT_ROW

static enum point chosen = POINT_COUNT;
static long passage;
static bool hangs;
static atomic_long passed;

static void print_table(void)
{
	for (size_t i = 0; i < POINT_COUNT; i++)
		printf("%s\t%s\t%s\n", rows[i].word, rows[i].pace, rows[i].text);
}

/* Before main(). */
__attribute__((constructor)) static void choose(void)
{
	const char *wanted = getenv("CHAT_CRASH");
	if (wanted == NULL) return;
	if (strcmp(wanted, "list") == 0) {
		print_table();
		exit(0);
	}
	const char *colon = strchr(wanted, ':');
	size_t size = colon == NULL ? strlen(wanted) : (size_t)(colon - wanted);
	char *rest = NULL;
	passage = colon == NULL ? 1 : strtol(colon + 1, &rest, 10);
	hangs = rest != NULL && strcmp(rest, ":hang") == 0;
	for (size_t i = 0; i < POINT_COUNT; i++)
		if (strlen(rows[i].word) == size && strncmp(rows[i].word, wanted, size) == 0) chosen = (enum point)i;
	if (chosen != POINT_COUNT && passage > 0 && (hangs || rest == NULL || *rest == '\0')) return;
	fprintf(stderr, "CHAT_CRASH=%s: no such point\n", wanted);
	exit(2);
}

static void pass(enum point point)
{
	if (point != chosen || atomic_fetch_add(&passed, 1) + 1 != passage) return;
	dprintf(STDERR_FILENO, "{\"event\":\"crash point\",\"point\":\"%s\",\"passage\":%ld}\n", rows[point].word,
		passage);
	if (!hangs) kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

/* The types are those of the headers, so a wrapper that no longer fits does not compile. */
#define WRAP(function) __typeof__(function) __real_##function, __wrap_##function;

/* Starting */

WRAP(rd_kafka_init_transactions)
rd_kafka_error_t *__wrap_rd_kafka_init_transactions(rd_kafka_t *rk, int timeout_ms)
{
	pass(POINT_INITIALISING);
	rd_kafka_error_t *error = __real_rd_kafka_init_transactions(rk, timeout_ms);
	if (error == NULL) pass(POINT_INITIALISED);
	return error;
}

WRAP(rd_kafka_subscribe)
rd_kafka_resp_err_t __wrap_rd_kafka_subscribe(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *topics)
{
	rd_kafka_resp_err_t code = __real_rd_kafka_subscribe(rk, topics);
	pass(POINT_SUBSCRIBED);
	return code;
}

WRAP(rd_kafka_committed)
rd_kafka_resp_err_t __wrap_rd_kafka_committed(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list, int timeout_ms)
{
	pass(POINT_LOOKING_UP);
	rd_kafka_resp_err_t code = __real_rd_kafka_committed(rk, list, timeout_ms);
	if (code == RD_KAFKA_RESP_ERR_NO_ERROR) pass(POINT_LOOKED_UP);
	return code;
}

WRAP(flow_assign)
enum status __wrap_flow_assign(struct flow *flow, const struct flow_assignment *assignment, int64_t *out_start)
{
	pass(POINT_ASSIGNING);
	return __real_flow_assign(flow, assignment, out_start);
}

WRAP(rd_kafka_incremental_assign)
rd_kafka_error_t *__wrap_rd_kafka_incremental_assign(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_error_t *error = __real_rd_kafka_incremental_assign(rk, list);
	if (list->cnt > 0) pass(POINT_ASSIGNED);
	return error;
}

/* Reading */

WRAP(rd_kafka_consume_queue)
rd_kafka_message_t *__wrap_rd_kafka_consume_queue(rd_kafka_queue_t *queue, int timeout_ms)
{
	rd_kafka_message_t *message = __real_rd_kafka_consume_queue(queue, timeout_ms);
	if (message != NULL) pass(POINT_POLLED);
	return message;
}

WRAP(source_take)
enum status __wrap_source_take(struct source *source, int32_t partition, struct record **out_record)
{
	enum status status = __real_source_take(source, partition, out_record);
	if (status == STATUS_OK) pass(POINT_READ);
	return status;
}

WRAP(ledger_take)
enum status __wrap_ledger_take(struct ledger *ledger, int64_t offset)
{
	enum status status = __real_ledger_take(ledger, offset);
	pass(POINT_ENTERED);
	return status;
}

WRAP(chat_request_read)
enum status __wrap_chat_request_read(const struct record *record, const struct chat_limits *limits, struct arena *arena,
	struct chat_request *out_request, struct chat_rejection *out_rejection)
{
	enum status status = __real_chat_request_read(record, limits, arena, out_request, out_rejection);
	pass(POINT_DECODED);
	return status;
}

WRAP(flow_take)
enum status __wrap_flow_take(struct flow *flow, struct record *record, struct instant now)
{
	enum status status = __real_flow_take(flow, record, now);
	pass(POINT_TAKEN);
	return status;
}

/* Calling */

WRAP(flow_next_call)
enum status __wrap_flow_next_call(struct flow *flow, struct instant now, struct call **out_call)
{
	enum status status = __real_flow_next_call(flow, now, out_call);
	if (status == STATUS_OK) pass(POINT_CALLING);
	return status;
}

WRAP(upstream_put)
enum status __wrap_upstream_put(struct upstream *upstream, struct call *call)
{
	enum status status = __real_upstream_put(upstream, call);
	pass(POINT_HANDED);
	return status;
}

WRAP(curl_multi_add_handle)
CURLMcode __wrap_curl_multi_add_handle(CURLM *multi, CURL *easy)
{
	CURLMcode code = __real_curl_multi_add_handle(multi, easy);
	pass(POINT_SENDING);
	return code;
}

WRAP(openrouter_reader_feed)
enum status __wrap_openrouter_reader_feed(struct openrouter_reader *reader, struct bytes piece)
{
	enum status status = __real_openrouter_reader_feed(reader, piece);
	pass(POINT_HEARING);
	return status;
}

WRAP(openrouter_reader_finish)
void __wrap_openrouter_reader_finish(
	struct openrouter_reader *reader, enum transport_end end, bool sent, struct openrouter_result *out_result)
{
	__real_openrouter_reader_finish(reader, end, sent, out_result);
	pass(POINT_HEARD);
}

WRAP(upstream_take)
size_t __wrap_upstream_take(struct upstream *upstream, struct upstream_event *out_events, size_t count_max)
{
	size_t count = __real_upstream_take(upstream, out_events, count_max);
	for (size_t i = 0; i < count; i++)
		if (out_events[i].call != NULL) pass(POINT_COLLECTED);
	return count;
}

WRAP(chat_response_write)
enum status __wrap_chat_response_write(const struct chat_response *response, const struct chat_reply_address *address,
	size_t value_max, struct arena *arena, struct outgoing *out_record)
{
	pass(POINT_REPLYING);
	return __real_chat_response_write(response, address, value_max, arena, out_record);
}

WRAP(flow_call_done)
void __wrap_flow_call_done(struct flow *flow, struct call *call, struct instant now)
{
	__real_flow_call_done(flow, call, now);
	pass(POINT_REPLIED);
}

/* Publishing */

WRAP(flow_next_batch)
enum status __wrap_flow_next_batch(struct flow *flow, struct instant now, struct batch **out_batch)
{
	enum status status = __real_flow_next_batch(flow, now, out_batch);
	if (status == STATUS_OK) pass(POINT_BATCHED);
	return status;
}

WRAP(publisher_put)
enum status __wrap_publisher_put(struct publisher *publisher, struct batch *batch)
{
	enum status status = __real_publisher_put(publisher, batch);
	pass(POINT_PUT);
	return status;
}

WRAP(rd_kafka_begin_transaction)
rd_kafka_error_t *__wrap_rd_kafka_begin_transaction(rd_kafka_t *rk)
{
	pass(POINT_BEGINNING);
	rd_kafka_error_t *error = __real_rd_kafka_begin_transaction(rk);
	pass(POINT_BEGUN);
	return error;
}

/* Made for each record just before it is produced; rd_kafka_producev() itself cannot be passed on. */
WRAP(rd_kafka_headers_new)
rd_kafka_headers_t *__wrap_rd_kafka_headers_new(size_t initial_count)
{
	pass(POINT_PRODUCING);
	return __real_rd_kafka_headers_new(initial_count);
}

WRAP(publisher_produce)
enum status __wrap_publisher_produce(
	struct publisher *publisher, struct batch *batch, bool careful, int64_t deadline_ms)
{
	enum status status = __real_publisher_produce(publisher, batch, careful, deadline_ms);
	pass(POINT_PRODUCED);
	return status;
}

WRAP(rd_kafka_send_offsets_to_transaction)
rd_kafka_error_t *__wrap_rd_kafka_send_offsets_to_transaction(rd_kafka_t *rk,
	const rd_kafka_topic_partition_list_t *offsets, const rd_kafka_consumer_group_metadata_t *group, int timeout_ms)
{
	pass(POINT_SENDING_OFFSETS);
	rd_kafka_error_t *error = __real_rd_kafka_send_offsets_to_transaction(rk, offsets, group, timeout_ms);
	if (error == NULL) pass(POINT_SENT_OFFSETS);
	return error;
}

WRAP(rd_kafka_commit_transaction)
rd_kafka_error_t *__wrap_rd_kafka_commit_transaction(rd_kafka_t *rk, int timeout_ms)
{
	pass(POINT_COMMITTING);
	rd_kafka_error_t *error = __real_rd_kafka_commit_transaction(rk, timeout_ms);
	if (error == NULL) pass(POINT_COMMITTED);
	return error;
}

WRAP(publisher_on_delivery)
void __wrap_publisher_on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
	pass(POINT_DELIVERED);
	__real_publisher_on_delivery(rk, message, opaque);
}

WRAP(rd_kafka_abort_transaction)
rd_kafka_error_t *__wrap_rd_kafka_abort_transaction(rd_kafka_t *rk, int timeout_ms)
{
	pass(POINT_ABORTING);
	rd_kafka_error_t *error = __real_rd_kafka_abort_transaction(rk, timeout_ms);
	if (error == NULL) pass(POINT_ABORTED);
	return error;
}

WRAP(publisher_session_renew)
enum status __wrap_publisher_session_renew(struct publisher *publisher, enum publisher_reason reason)
{
	pass(POINT_RENEWING);
	return __real_publisher_session_renew(publisher, reason);
}

WRAP(source_committed)
enum status __wrap_source_committed(
	struct source *source, struct batch_progress *progress, size_t count, int timeout_ms)
{
	pass(POINT_RESOLVING);
	enum status status = __real_source_committed(source, progress, count, timeout_ms);
	if (status == STATUS_OK) pass(POINT_RESOLVED);
	return status;
}

WRAP(publisher_take)
enum status __wrap_publisher_take(struct publisher *publisher, struct batch **out_batch)
{
	enum status status = __real_publisher_take(publisher, out_batch);
	if (status == STATUS_OK) pass(POINT_RETURNED);
	return status;
}

WRAP(ledger_adopt)
void __wrap_ledger_adopt(struct ledger *ledger)
{
	pass(POINT_ADOPTING);
	__real_ledger_adopt(ledger);
	pass(POINT_ADOPTED);
}

WRAP(flow_batch_done)
void __wrap_flow_batch_done(struct flow *flow, struct batch *batch, struct instant now)
{
	__real_flow_batch_done(flow, batch, now);
	pass(POINT_FINISHED);
}

/* Giving up */

WRAP(rd_kafka_assignment_lost)
int __wrap_rd_kafka_assignment_lost(rd_kafka_t *rk)
{
	int is_lost = __real_rd_kafka_assignment_lost(rk);
	pass(POINT_REVOKING);
	return is_lost;
}

WRAP(rd_kafka_incremental_unassign)
rd_kafka_error_t *__wrap_rd_kafka_incremental_unassign(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *list)
{
	pass(POINT_REVOKED);
	rd_kafka_error_t *error = __real_rd_kafka_incremental_unassign(rk, list);
	pass(POINT_UNASSIGNED);
	return error;
}

WRAP(flow_drain)
void __wrap_flow_drain(struct flow *flow, int64_t until_ms)
{
	__real_flow_drain(flow, until_ms);
	pass(POINT_DRAINING);
}

WRAP(publisher_stop)
enum status __wrap_publisher_stop(struct publisher *publisher, int timeout_ms)
{
	pass(POINT_STOPPING);
	return __real_publisher_stop(publisher, timeout_ms);
}

WRAP(rd_kafka_consumer_close_queue)
rd_kafka_error_t *__wrap_rd_kafka_consumer_close_queue(rd_kafka_t *rk, rd_kafka_queue_t *queue)
{
	pass(POINT_LEAVING);
	return __real_rd_kafka_consumer_close_queue(rk, queue);
}

WRAP(source_close)
enum status __wrap_source_close(struct source *source, int timeout_ms)
{
	enum status status = __real_source_close(source, timeout_ms);
	pass(POINT_LEFT);
	return status;
}

/* The wall clock */

WRAP(clock_gettime)
int __wrap_clock_gettime(clockid_t id, struct timespec *time)
{
	int result = __real_clock_gettime(id, time);
	const char *name = id == CLOCK_REALTIME ? getenv("CHAT_CLOCK") : NULL;
	FILE *file = name == NULL ? NULL : fopen(name, "re");
	if (file == NULL) return result;
	char text[32] = "";
	time->tv_sec += fgets(text, sizeof(text), file) == NULL ? 0 : strtol(text, NULL, 10);
	(void)fclose(file);
	return result;
}
