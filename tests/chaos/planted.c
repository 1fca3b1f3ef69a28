/* Planted bugs: each breaks one promise of delivery on real Kafka, and the checker has to name the invariant.
 *
 * The linker puts them around functions that other files call (--wrap); CHAT_PLANT=word in the environment chooses one
 * and CHAT_PLANT=list prints them. Nothing is planted otherwise: then the program is the worker, and must be blameless in
 * the very scenes that show the bugs. A process plants one bug at most, so globals say which. */
#include <librdkafka/rdkafka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schemas/chat_response.h"
#include "worker/core/flow.h"
#include "worker/core/ledger.h"
#include "worker/core/openrouter_answer.h"
#include "worker/edge/kafka_watch.h"
#include "worker/edge/publisher_state.h"
#include "worker/edge/signals.h"
#include "worker/edge/upstream.h"

/* member, word, what is wrong */
#define PLANT_TABLE(ROW)                                                                                            \
	ROW(PLANT_COMMIT_FIRST, "commit-first", "progress covers what was read, before it has replies")             \
	ROW(PLANT_OFFSET_PLUS_0, "offset-plus-0", "the last finished offset is committed, not the one after it")    \
	ROW(PLANT_OFFSET_PLUS_2, "offset-plus-2", "the offset committed is one too far")                            \
	ROW(PLANT_NO_TRANSACTION, "no-transaction", "replies first, then plain offsets")                            \
	ROW(PLANT_AUTO_COMMIT, "auto-commit", "librdkafka commits what was read, every 100 ms")                     \
	ROW(PLANT_KEY_IS_REQUEST, "key-is-request-id", "replies have the request id as key")                        \
	ROW(PLANT_NO_ORDER, "no-order", "conversations have no lanes")                                              \
	ROW(PLANT_PRODUCE_AFTER_REVOKE, "produce-after-revoke", "chats of a revoked partition go on")               \
	ROW(PLANT_IGNORE_LOST, "ignore-lost", "chats of a lost partition go on")                                    \
	ROW(PLANT_NO_RULE_E1, "no-rule-e1", "all transactional requests count as answered")                         \
	ROW(PLANT_RETRY_FOREVER, "retry-forever", "no bound of attempts, no budget, no breaker")                    \
	ROW(PLANT_RETRY_402, "retry-402", "a refused account is tried again")                                       \
	ROW(PLANT_TRUNCATED_IS_FINE, "truncated-is-fine", "a stream that breaks off is an answer")                  \
	ROW(PLANT_LEAK_HANDLE, "leak-handle", "a descriptor is left open by each failed attempt")                   \
	ROW(PLANT_KEY_IN_LOG, "key-in-log", "the key is written to standard error")                                 \
	ROW(PLANT_SKIP_DRAIN, "skip-drain", "SIGTERM ends the process at once, with exit code 0")                   \
	ROW(PLANT_NO_GROUP, "no-group-metadata", "progress is sent without the group's identity")                   \
	ROW(PLANT_PROGRESS_FORGOTTEN, "progress-forgotten", "what finished above the watermark is not restored")    \
	ROW(PLANT_UNCERTAIN_IS_ABORTED, "uncertain-is-aborted", "a commit whose answer was lost counts as aborted") \
	ROW(PLANT_DIES_SILENTLY, "dies-silently", "the process ends with exit code 3 after 100 chats")

#define PLANT_MEMBER(member, word, text) member,
enum plant { PLANT_TABLE(PLANT_MEMBER) PLANT_COUNT };
#undef PLANT_MEMBER

struct plant_row {
	const char *word, *text;
};

#define PLANT_ROW(member, word, text) { word, text },
static const struct plant_row rows[] = { PLANT_TABLE(PLANT_ROW) };
#undef PLANT_ROW

enum { PARTITIONS_MAX = 64, GROUP_SIZE_MAX = 256 };

static enum plant chosen = PLANT_COUNT;
static char group_id[GROUP_SIZE_MAX];
static int64_t taken_to[PARTITIONS_MAX]; /* the offset after the last record taken */
static bool is_kept[PARTITIONS_MAX];     /* was to be given up, and was not */
static bool was_lost;
static int chats_taken;
static int handles_left;

/* Before main(). */
__attribute__((constructor)) static void choose(void)
{
	const char *wanted = getenv("CHAT_PLANT");
	if (wanted == NULL) return;
	bool is_list = strcmp(wanted, "list") == 0;
	for (size_t i = 0; i < PLANT_COUNT; i++) {
		if (is_list) printf("%s\t%s\n", rows[i].word, rows[i].text);
		if (strcmp(rows[i].word, wanted) == 0) chosen = (enum plant)i;
	}
	if (is_list) exit(0);
	if (chosen != PLANT_COUNT) return;
	fprintf(stderr, "CHAT_PLANT=%s: no such plant\n", wanted);
	exit(2);
}

static bool is(enum plant plant)
{
	return chosen == plant;
}

static bool is_small(int32_t partition)
{
	return partition >= 0 && partition < PARTITIONS_MAX;
}

/* The types are those of the headers, so a wrapper that no longer fits does not compile. */
#define WRAP(function) __typeof__(function) __real_##function, __wrap_##function;

/* Settings */

WRAP(rd_kafka_conf_set)
rd_kafka_conf_res_t __wrap_rd_kafka_conf_set(
	rd_kafka_conf_t *conf, const char *name, const char *value, char *text, size_t size)
{
	if (strcmp(name, "group.id") == 0) snprintf(group_id, sizeof(group_id), "%s", value);
	if (is(PLANT_NO_TRANSACTION) && strcmp(name, "transactional.id") == 0) return RD_KAFKA_CONF_OK;
	bool is_automatic = strcmp(name, "enable.auto.commit") == 0 || strcmp(name, "enable.auto.offset.store") == 0;
	if (!is(PLANT_AUTO_COMMIT) || !is_automatic) return __real_rd_kafka_conf_set(conf, name, value, text, size);
	(void)__real_rd_kafka_conf_set(conf, "auto.commit.interval.ms", "100", text, size);
	return __real_rd_kafka_conf_set(conf, name, "true", text, size);
}

WRAP(flow_new)
struct flow *__wrap_flow_new(const struct flow_options *given)
{
	struct flow_options options = *given;
	if (is(PLANT_NO_ORDER)) options.ordered = false;
	if (is(PLANT_RETRY_FOREVER)) {
		options.retry.max_attempts = 1000000;
		options.retry.backoff_ms = 1;
		options.retry.backoff_max_ms = 1;
		options.budget.max = options.budget.earned = 1000000000;
		options.breaker.min_calls = 1000000000;
	}
	return __real_flow_new(&options);
}

/* The model service */

WRAP(upstream_start)
enum status __wrap_upstream_start(const struct upstream_options *options, struct upstream **out_upstream)
{
	if (is(PLANT_KEY_IN_LOG)) dprintf(STDERR_FILENO, "> Authorization: Bearer %s\n", options->bearer);
	return __real_upstream_start(options, out_upstream);
}

WRAP(failure_of_sign)
struct failure __wrap_failure_of_sign(const struct failure_sign *sign)
{
	struct failure failure = __real_failure_of_sign(sign);
	if (is(PLANT_LEAK_HANDLE)) handles_left += dup(STDERR_FILENO) >= 0;
	if (is(PLANT_RETRY_FOREVER)) failure.action = FAILURE_ACTION_SAME;
	if (is(PLANT_RETRY_402) && failure.http_status == 402) {
		failure.action = FAILURE_ACTION_SAME;
		failure.reason = REASON_OVERLOADED;
	}
	return failure;
}

WRAP(openrouter_reader_finish)
void __wrap_openrouter_reader_finish(
	struct openrouter_reader *reader, enum transport_end end, bool sent, struct openrouter_result *out_result)
{
	if (is(PLANT_TRUNCATED_IS_FINE) && end != TRANSPORT_WHOLE) {
		enum status fed = openrouter_reader_feed(reader, bytes_of("\n\ndata: [DONE]\n\n"));
		(void)fed;
	}
	__real_openrouter_reader_finish(reader, end, sent, out_result);
}

/* Replies and progress */

WRAP(flow_take)
enum status __wrap_flow_take(struct flow *flow, struct record *record, struct instant now)
{
	if (is_small(record->partition)) taken_to[record->partition] = record->offset + 1;
	if (is(PLANT_DIES_SILENTLY) && ++chats_taken == 100) _exit(3);
	return __real_flow_take(flow, record, now);
}

WRAP(chat_response_write)
enum status __wrap_chat_response_write(const struct chat_response *response, const struct chat_reply_address *address,
	size_t value_max, struct arena *arena, struct outgoing *out_record)
{
	enum status status = __real_chat_response_write(response, address, value_max, arena, out_record);
	if (is(PLANT_KEY_IS_REQUEST) && status == STATUS_OK) out_record->key = response->request_id;
	return status;
}

WRAP(ledger_restore)
enum status __wrap_ledger_restore(struct ledger *ledger, struct bytes text, int64_t log_end)
{
	return is(PLANT_PROGRESS_FORGOTTEN) ? STATUS_OK : __real_ledger_restore(ledger, text, log_end);
}

WRAP(ledger_text_commit_id)
enum status __wrap_ledger_text_commit_id(struct bytes text, uint64_t *out_commit_id)
{
	if (is(PLANT_UNCERTAIN_IS_ABORTED)) return STATUS_INVALID;
	return __real_ledger_text_commit_id(text, out_commit_id);
}

/* Transactions */

WRAP(kafka_watch_unanswered)
long long __wrap_kafka_watch_unanswered(const struct kafka_watch *watch)
{
	return is(PLANT_NO_RULE_E1) ? 0 : __real_kafka_watch_unanswered(watch);
}

WRAP(rd_kafka_init_transactions)
rd_kafka_error_t *__wrap_rd_kafka_init_transactions(rd_kafka_t *rk, int timeout_ms)
{
	return is(PLANT_NO_TRANSACTION) ? NULL : __real_rd_kafka_init_transactions(rk, timeout_ms);
}

WRAP(publisher_run_transaction)
enum status __wrap_publisher_run_transaction(struct publisher *publisher, struct batch *batch)
{
	if (is(PLANT_NO_TRANSACTION)) return publisher_run_plain(publisher, batch);
	return __real_publisher_run_transaction(publisher, batch);
}

/* The list is the caller's own and is not looked at afterwards; its texts are borrowed. */
static void bend(rd_kafka_topic_partition_t *row)
{
	if (is(PLANT_OFFSET_PLUS_0) && row->offset > 0) row->offset--;
	if (is(PLANT_OFFSET_PLUS_2)) row->offset++;
	if (!is(PLANT_COMMIT_FIRST) || !is_small(row->partition)) return;
	row->offset = taken_to[row->partition];
	row->metadata = NULL;
	row->metadata_size = 0;
}

WRAP(rd_kafka_send_offsets_to_transaction)
rd_kafka_error_t *__wrap_rd_kafka_send_offsets_to_transaction(rd_kafka_t *rk,
	const rd_kafka_topic_partition_list_t *offsets, const rd_kafka_consumer_group_metadata_t *group, int timeout_ms)
{
	for (int i = 0; i < offsets->cnt; i++)
		bend(&offsets->elems[i]);
	if (!is(PLANT_NO_GROUP)) return __real_rd_kafka_send_offsets_to_transaction(rk, offsets, group, timeout_ms);
	rd_kafka_consumer_group_metadata_t *nobody = rd_kafka_consumer_group_metadata_new(group_id);
	rd_kafka_error_t *error = __real_rd_kafka_send_offsets_to_transaction(rk, offsets, nobody, timeout_ms);
	rd_kafka_consumer_group_metadata_destroy(nobody);
	return error;
}

/* Giving up */

WRAP(rd_kafka_assignment_lost)
int __wrap_rd_kafka_assignment_lost(rd_kafka_t *rk)
{
	int is_lost = __real_rd_kafka_assignment_lost(rk);
	was_lost = is_lost == 1;
	return is_lost;
}

WRAP(flow_revoke)
void __wrap_flow_revoke(struct flow *flow, int32_t id, struct instant now)
{
	bool keeps = is(PLANT_PRODUCE_AFTER_REVOKE) || (is(PLANT_IGNORE_LOST) && was_lost);
	if (keeps && is_small(id))
		is_kept[id] = true;
	else
		__real_flow_revoke(flow, id, now);
}

WRAP(flow_assign)
enum status __wrap_flow_assign(struct flow *flow, const struct flow_assignment *assignment, int64_t *out_start)
{
	if (is_small(assignment->partition) && is_kept[assignment->partition]) {
		is_kept[assignment->partition] = false;
		__real_flow_revoke(flow, assignment->partition, clock_now());
	}
	return __real_flow_assign(flow, assignment, out_start);
}

WRAP(signals_take)
bool __wrap_signals_take(struct signals *signals)
{
	bool is_asked = __real_signals_take(signals);
	if (is(PLANT_SKIP_DRAIN) && is_asked) _exit(0);
	return is_asked;
}
