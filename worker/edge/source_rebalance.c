/* Rebalances of the source, on the owner's thread. See source_state.h for pending and owned. */
#include <stdlib.h>

#include "common/assertion.h"
#include "worker/edge/kafka_group.h"
#include "worker/edge/source_state.h"
#include "worker/metrics_table.h"

void source_drop_group(struct source *source)
{
	free((void *)(uintptr_t)source->group.data);
	source->group = BYTES_NONE;
}

/* The rebalances still serve until the group is left. */
static bool is_closing(const struct source *source)
{
	return source->lookup == NULL;
}

static void capture_group(struct source *source)
{
	/* Once the group is left nobody answers librdkafka's question, which has no time limit; nothing is committed any more. */
	if (is_closing(source)) return;
	source_drop_group(source);
	source->group = kafka_group_capture(source->rk);
	if (!bytes_is_given(source->group))
		log_event(source->log, LOG_LEVEL_WARN, "the group gave no usable identity, nothing is committed",
			LOG_NO_FIELDS);
}

static void count_rebalance(const struct source *source, const char *type, int partitions)
{
	metrics_add_labelled(source->metrics, METRIC_REBALANCES, bytes_of(type), 1);
	log_event(source->log, LOG_LEVEL_INFO, "rebalance",
		LOG_FIELDS(log_string("type", type), log_int("partitions", partitions)));
}

/* Logs and destroys; true when there was none. */
static bool went_well(const struct source *source, rd_kafka_error_t *error, const char *call)
{
	if (error == NULL) return true;
	log_event(source->log, LOG_LEVEL_ERROR, "librdkafka refused a change of the assignment",
		LOG_FIELDS(log_string("call", call), log_string("error", rd_kafka_error_name(error))));
	rd_kafka_error_destroy(error);
	return false;
}

/* The partitions in one state, for the caller to free; NULL when memory is missing. */
static int32_t *list_state(const struct source *source, enum source_slot_state state, size_t *out_count)
{
	size_t count = 0;
	int32_t *list = calloc(source->slot_count + 1, sizeof(*list));
	for (size_t i = 0; i < source->slot_count && list != NULL; i++)
		if (source->slots[i].state == state) list[count++] = (int32_t)i;
	*out_count = count;
	return list;
}

/* Without memory the process cannot keep its word to the group: better to end and begin anew. */
static void give_up(struct source *source, const char *why)
{
	log_event(source->log, LOG_LEVEL_ERROR, "the consumer cannot go on", LOG_FIELDS(log_string("reason", why)));
	source->is_fatal = true;
}

/* Asks for all that is pending, the newest and what may be left of earlier events. */
static void ask_pending(struct source *source)
{
	if (is_closing(source)) return; /* nothing is assigned any more */
	size_t count;
	int32_t *pending = list_state(source, SOURCE_SLOT_PENDING, &count);
	enum status status = pending == NULL ? STATUS_NO_MEMORY : source_lookup_ask(source->lookup, pending, count);
	free(pending);
	if (status != STATUS_OK) give_up(source, status_text(status));
}

static void assign_nothing(struct source *source)
{
	rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);
	(void)went_well(source, rd_kafka_incremental_assign(source->rk, none), "assign");
	rd_kafka_topic_partition_list_destroy(none);
}

static void on_assign(struct source *source, const rd_kafka_topic_partition_list_t *list)
{
	source->is_revoke_lost = false;
	capture_group(source);
	atomic_store(&source->is_joined, true);
	atomic_store(&source->is_rejoining, false);
	atomic_store(&source->watch.is_joining, false);
	count_rebalance(source, "assign", list->cnt);
	for (int i = 0; i < list->cnt; i++) {
		enum status status = source_slot_reserve(source, list->elems[i].partition);
		if (status != STATUS_OK) {
			give_up(source, status_text(status));
			return;
		}
		struct source_slot *slot = source_slot_find(source, list->elems[i].partition);
		if (slot->state == SOURCE_SLOT_FREE) slot->state = SOURCE_SLOT_PENDING;
	}
	if (list->cnt > 0) {
		source->has_pending = true;
		ask_pending(source);
	} else if (!source->has_pending) {
		assign_nothing(source);
	}
}

/* Of the list, what is in the state; for the callback. */
static size_t pick(const struct source *source, const rd_kafka_topic_partition_list_t *list,
	enum source_slot_state state, int32_t *out_partitions)
{
	size_t count = 0;
	for (int i = 0; i < list->cnt; i++) {
		const struct source_slot *slot = source_slot_find(source, list->elems[i].partition);
		if (slot != NULL && slot->state == state) out_partitions[count++] = list->elems[i].partition;
	}
	return count;
}

/* Partitions that were never assigned are forgotten without a word: the flow has not heard of them. */
static void forget_pending(struct source *source, const int32_t *partitions, size_t count)
{
	for (size_t i = 0; i < count; i++)
		source_slot_close(source, partitions[i]);
	size_t left;
	int32_t *pending = list_state(source, SOURCE_SLOT_PENDING, &left);
	free(pending);
	source->has_pending = left > 0;
	if (count > 0) ask_pending(source);
}

static void unassign(struct source *source, const int32_t *partitions, size_t count)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
	for (size_t i = 0; i < count; i++) {
		source_slot_close(source, partitions[i]);
		(void)rd_kafka_topic_partition_list_add(list, source->settings->kafka.requests_topic, partitions[i]);
	}
	source_list_partitions(source);
	atomic_store(&source->is_rejoining, true);
	(void)went_well(source, rd_kafka_incremental_unassign(source->rk, list), "unassign");
	rd_kafka_topic_partition_list_destroy(list);
}

static bool is_lost(const struct source *source)
{
	return source->is_revoke_lost || rd_kafka_assignment_lost(source->rk) == 1;
}

static void note_loss(struct source *source)
{
	source_drop_group(source);
	atomic_store(&source->is_joined, false);
}

static bool may_revoke(const struct source *source)
{
	if (is_closing(source) || source->callbacks.may_revoke == NULL) return true;
	return source->callbacks.may_revoke(source->callbacks.context);
}

void source_finish_revoke(struct source *source)
{
	if (!source->has_leaving) return;
	size_t count;
	int32_t *partitions = list_state(source, SOURCE_SLOT_LEAVING, &count);
	if (partitions == NULL) {
		give_up(source, status_text(STATUS_NO_MEMORY));
		return;
	}
	bool lost = is_lost(source);
	if (count > 0 && !lost && !may_revoke(source)) {
		free(partitions);
		return;
	}
	if (lost) note_loss(source);
	source->has_leaving = false;
	if (count > 0) source->callbacks.on_revoke(source->callbacks.context, partitions, count, lost);
	unassign(source, partitions, count);
	free(partitions);
}

static void on_revoke(struct source *source, const rd_kafka_topic_partition_list_t *list)
{
	bool lost = is_lost(source);
	int32_t *partitions = calloc((size_t)list->cnt + 1, sizeof(*partitions));
	if (partitions == NULL) {
		give_up(source, status_text(STATUS_NO_MEMORY));
		return;
	}
	if (lost)
		note_loss(source);
	else
		capture_group(source);
	count_rebalance(source, lost ? "lost" : "revoke", list->cnt);
	forget_pending(source, partitions, pick(source, list, SOURCE_SLOT_PENDING, partitions));
	size_t count = pick(source, list, SOURCE_SLOT_OWNED, partitions);
	for (size_t i = 0; i < count; i++)
		source_slot_find(source, partitions[i])->state = SOURCE_SLOT_LEAVING;
	free(partitions);
	source_list_partitions(source);
	source->has_leaving = true;
	source_finish_revoke(source);
}

void source_on_rebalance(struct source *source, rd_kafka_resp_err_t code, const rd_kafka_topic_partition_list_t *list)
{
	static const rd_kafka_topic_partition_list_t none = { 0 };
	if (list == NULL) list = &none;
	if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
		on_assign(source, list);
	else
		on_revoke(source, list);
}

static void restart_partition(struct source *source, int32_t partition)
{
	source->callbacks.on_revoke(source->callbacks.context, &partition, 1, true);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	(void)rd_kafka_topic_partition_list_add(list, source->settings->kafka.requests_topic, partition);
	source_slot_close(source, partition);
	if (!went_well(source, rd_kafka_incremental_unassign(source->rk, list), "unassign"))
		give_up(source, "a partition could not be restarted");
	rd_kafka_topic_partition_list_destroy(list);
	source_slot_find(source, partition)->state = SOURCE_SLOT_PENDING;
	source->has_pending = true;
}

void source_restart_partitions(struct source *source)
{
	/* An assign would count as the answer to a rebalance that is still looked up. */
	if (!source->needs_restart || source->has_pending || source->has_leaving) return;
	/* The progress that is looked up must not be older than a batch under way. */
	if (!may_revoke(source)) return;
	source->needs_restart = false;
	for (size_t i = 0; i < source->slot_count; i++)
		if (source->slots[i].needs_restart) restart_partition(source, (int32_t)i);
	source_list_partitions(source);
	if (source->has_pending) ask_pending(source);
}

/* Where reading begins unless the owner of the source says otherwise. */
static void preset_starts(const struct source *source, struct source_partition *rows, size_t count)
{
	bool from_end = source->settings->kafka.start_from == SETTINGS_START_FROM_LATEST;
	for (size_t i = 0; i < count; i++) {
		bool is_in_log = rows[i].committed >= rows[i].log_start && rows[i].committed <= rows[i].log_end;
		rows[i].start = is_in_log ? rows[i].committed : rows[i].log_start;
		if (rows[i].committed < 0 && from_end) rows[i].start = rows[i].log_end;
	}
}

/* Opens the queues first, so that no record can go anywhere else. */
static void assign(struct source *source, const struct source_partition *rows, size_t count)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
	for (size_t i = 0; i < count; i++) {
		ASSERT(rows[i].start >= 0);
		source_slot_open(source, rows[i].partition);
		rd_kafka_topic_partition_list_add(list, source->settings->kafka.requests_topic, rows[i].partition)
			->offset = rows[i].start;
	}
	source_list_partitions(source);
	if (!went_well(source, rd_kafka_incremental_assign(source->rk, list), "assign"))
		give_up(source, "partitions could not be assigned");
	rd_kafka_topic_partition_list_destroy(list);
}

void source_finish_assign(struct source *source)
{
	struct source_partition *rows = NULL;
	size_t count = 0;
	if (!source->has_pending) return;
	if (source_lookup_take(source->lookup, &rows, &count) != STATUS_OK) return;
	source->has_pending = false;
	for (size_t i = 0; i < count; i++)
		ASSERT(source_slot_find(source, rows[i].partition)->state == SOURCE_SLOT_PENDING);
	preset_starts(source, rows, count);
	source->callbacks.on_assign(source->callbacks.context, rows, count);
	assign(source, rows, count);
	source_lookup_free_rows(rows, count);
}

void source_lose_all(struct source *source)
{
	note_loss(source);
	for (size_t i = 0; i < source->slot_count; i++)
		if (source->slots[i].state == SOURCE_SLOT_LEAVING) source->slots[i].state = SOURCE_SLOT_OWNED;
	source->has_leaving = false;
	source_list_partitions(source);
	if (source->partition_count > 0)
		source->callbacks.on_revoke(
			source->callbacks.context, source->partitions, source->partition_count, true);
	for (size_t i = 0; i < source->slot_count; i++)
		source_slot_close(source, (int32_t)i);
	source->has_pending = false;
	source_list_partitions(source);
}
