/* The rules: see the header. */
#include "replay/audit_judge.h"

#include <stdlib.h>

#include "common/assertion.h"
#include "common/hash.h"
#include "common/random.h"
#include "replay/audit_store.h"
#include "replay/partitioner.h"

struct audit_judge {
	struct audit_options options;
	struct hash_key hash;
	struct audit_store *store; /* owned */
	struct audit_lanes *lanes; /* owned */
	int32_t response_partitions;
	struct audit_counts counts;
	size_t found[AUDIT_FINDING_COUNT];
	struct audit_example *examples; /* owned; examples_max for each finding */
};

const char *audit_finding_key(enum audit_finding finding)
{
#define AUDIT_FINDING_KEY(member, key, label) key,
	static const char *const KEYS[] = { AUDIT_FINDING_TABLE(AUDIT_FINDING_KEY) };
#undef AUDIT_FINDING_KEY
	ASSERT((size_t)finding < AUDIT_FINDING_COUNT);
	return KEYS[finding];
}

const char *audit_finding_label(enum audit_finding finding)
{
#define AUDIT_FINDING_LABEL(member, key, label) label,
	static const char *const LABELS[] = { AUDIT_FINDING_TABLE(AUDIT_FINDING_LABEL) };
#undef AUDIT_FINDING_LABEL
	ASSERT((size_t)finding < AUDIT_FINDING_COUNT);
	return LABELS[finding];
}

struct audit_judge *audit_judge_new(const struct audit_options *options)
{
	ASSERT(options->examples_max <= AUDIT_EXAMPLES_MAX);
	struct audit_judge *judge = calloc(1, sizeof *judge);
	if (judge == NULL) return NULL;
	struct random random;
	random_init(&random, options->seed);
	judge->hash = (struct hash_key){ .k0 = random_next(&random), .k1 = random_next(&random) };
	judge->options = *options;
	judge->counts.slowest_ms = -1;
	judge->store = audit_store_new(options->requests_max);
	judge->lanes = audit_lanes_new();
	judge->examples = calloc(AUDIT_FINDING_COUNT * options->examples_max + 1, sizeof *judge->examples);
	if (judge->store != NULL && judge->lanes != NULL && judge->examples != NULL) return judge;
	audit_judge_free(judge);
	return NULL;
}

void audit_judge_free(struct audit_judge *judge)
{
	if (judge == NULL) return;
	audit_store_free(judge->store);
	audit_lanes_free(judge->lanes);
	free(judge->examples);
	free(judge);
}

/* Never 0, which stands for none. */
static uint32_t short_hash(const struct audit_judge *judge, struct bytes id)
{
	if (id.size == 0) return 0;
	uint32_t hash = (uint32_t)hash_keyed(judge->hash, id);
	return hash != 0 ? hash : 1;
}

static void note(struct audit_judge *judge, enum audit_finding finding, const struct audit_example *example)
{
	size_t number = judge->found[finding]++;
	if (number >= judge->options.examples_max) return;
	judge->examples[(size_t)finding * judge->options.examples_max + number] = *example;
}

enum status audit_judge_partition(struct audit_judge *judge, int64_t start, int64_t end)
{
	return audit_store_begin(judge->store, start, end);
}

enum status audit_judge_request(struct audit_judge *judge, const struct audit_request *request)
{
	bool is_outside =
		request->timestamp_ms < judge->options.from_ms || request->timestamp_ms >= judge->options.to_ms;
	const struct audit_entry entry = { .timestamp_ms = request->timestamp_ms,
		.key = short_hash(judge, request->conversation),
		.id = short_hash(judge, request->id),
		.is_outside = is_outside };
	enum status status = audit_store_add(judge->store, request->partition, request->offset, &entry);
	if (status != STATUS_OK) return status;
	if (is_outside)
		judge->counts.outside++;
	else
		judge->counts.requests++;
	return STATUS_OK;
}

void audit_judge_topic(struct audit_judge *judge, int32_t partition_count)
{
	ASSERT(partition_count > 0);
	judge->response_partitions = partition_count;
	audit_lanes_clear(judge->lanes);
}

/* The request at a place that a reply or a dead letter names. STATUS_NOT_FOUND: there is none. STATUS_UNSUPPORTED: it is not
 * among what was read, so nothing can be said. */
static enum status find_request(const struct audit_judge *judge, struct bytes topic, int32_t partition, int64_t offset,
	struct audit_entry **out_entry)
{
	int64_t start = 0, end = 0;
	if (!bytes_equal_text(topic, judge->options.requests_topic)) return STATUS_UNSUPPORTED;
	if (!audit_store_range(judge->store, partition, &start, &end)) return STATUS_NOT_FOUND;
	if (offset < start || offset >= end) return STATUS_UNSUPPORTED;
	*out_entry = audit_store_find(judge->store, partition, offset);
	return *out_entry != NULL ? STATUS_OK : STATUS_NOT_FOUND;
}

static bool has_right_key(
	const struct audit_judge *judge, const struct audit_reply *reply, const struct audit_entry *entry)
{
	if (short_hash(judge, reply->key) == entry->key) return true;
	/* Of a request that was turned down the worker may have read less than we, or not looked: within its own word the
	 * reply has to be right all the same. */
	if (reply->outcome != AUDIT_REJECTED) return false;
	return !bytes_is_given(reply->conversation) || bytes_equal(reply->conversation, reply->key);
}

static bool is_at_home(const struct audit_judge *judge, const struct audit_reply *reply)
{
	if (reply->key.size == 0) return true;
	return partitioner_home(reply->key, judge->response_partitions) == reply->place.partition;
}

static void judge_first(struct audit_judge *judge, const struct audit_reply *reply, struct audit_entry *entry,
	struct audit_example *example)
{
	judge->counts.answered++;
	judge->counts.outcomes[reply->outcome]++;
	entry->is_rejected = reply->outcome == AUDIT_REJECTED;
	if (entry->timestamp_ms < 0 || reply->timestamp_ms < 0) return;
	int64_t after_ms = reply->timestamp_ms - entry->timestamp_ms;
	if (after_ms > judge->counts.slowest_ms) judge->counts.slowest_ms = after_ms;
	if (judge->options.deadline_ms == 0 || after_ms <= judge->options.deadline_ms) return;
	example->after_ms = after_ms;
	note(judge, AUDIT_LATE, example);
	example->after_ms = -1;
}

static void judge_content(struct audit_judge *judge, const struct audit_reply *reply, struct audit_entry *entry)
{
	struct audit_example example = {
		.request = { judge->options.requests_topic, reply->source_partition, reply->source_offset },
		.record = reply->place,
		.after_ms = -1,
	};
	if (entry->replies == 0)
		judge_first(judge, reply, entry, &example);
	else
		note(judge, AUDIT_DUPLICATE, &example);
	if (entry->replies < AUDIT_REPLIES_MAX) entry->replies++;
	if (!has_right_key(judge, reply, entry) || !is_at_home(judge, reply)) note(judge, AUDIT_MISPLACED, &example);
	uint32_t id = short_hash(judge, reply->id);
	if (id != 0 && entry->id != 0 && id != entry->id) note(judge, AUDIT_MISNAMED, &example);
}

/* Compares with the reply before it in its lane. */
static enum status judge_order(struct audit_judge *judge, const struct audit_reply *reply, bool is_outside)
{
	if (reply->key.size == 0) return STATUS_OK;
	/* Replies in two partitions have no order among each other; that they are in two is a finding of its own. */
	struct hash_key key = { judge->hash.k0 ^ (uint64_t)reply->source_partition,
		judge->hash.k1 ^ (uint64_t)reply->place.partition };
	int64_t before = -1;
	enum status status = audit_lanes_step(judge->lanes, hash_keyed(key, reply->key), reply->source_offset, &before);
	if (status != STATUS_OK || is_outside || before <= reply->source_offset) return status;
	const struct audit_example example = {
		.request = { judge->options.requests_topic, reply->source_partition, reply->source_offset },
		.record = reply->place,
		.after_ms = -1,
	};
	note(judge, AUDIT_DISORDERED, &example);
	return STATUS_OK;
}

enum status audit_judge_reply(struct audit_judge *judge, const struct audit_reply *reply)
{
	ASSERT(judge->response_partitions > 0);
	judge->counts.replies++;
	struct audit_example example = { .record = reply->place, .after_ms = -1 };
	if (!reply->is_readable) {
		note(judge, AUDIT_UNREADABLE, &example);
		return STATUS_OK;
	}
	struct audit_entry *entry = NULL;
	enum status status =
		find_request(judge, reply->source_topic, reply->source_partition, reply->source_offset, &entry);
	if (status == STATUS_UNSUPPORTED) {
		judge->counts.others++;
		return STATUS_OK;
	}
	if (status == STATUS_NOT_FOUND) {
		example.request = (struct audit_place){ judge->options.requests_topic, reply->source_partition,
			reply->source_offset };
		note(judge, AUDIT_UNASKED, &example);
		return STATUS_OK;
	}
	if (entry->is_outside)
		judge->counts.others++;
	else
		judge_content(judge, reply, entry);
	return judge_order(judge, reply, entry->is_outside);
}

void audit_judge_letter(struct audit_judge *judge, const struct audit_letter *letter)
{
	judge->counts.letters++;
	struct audit_example example = { .record = letter->place, .after_ms = -1 };
	if (!letter->is_readable) {
		note(judge, AUDIT_LETTER_UNREADABLE, &example);
		return;
	}
	example.request =
		(struct audit_place){ judge->options.requests_topic, letter->source_partition, letter->source_offset };
	struct audit_entry *entry = NULL;
	enum status status =
		find_request(judge, letter->source_topic, letter->source_partition, letter->source_offset, &entry);
	if (status == STATUS_NOT_FOUND) note(judge, AUDIT_LETTER_UNASKED, &example);
	if (status != STATUS_OK) return;
	if (entry->letters > 0 && !entry->is_outside) note(judge, AUDIT_LETTER_DUPLICATE, &example);
	if (entry->letters < AUDIT_LETTERS_MAX) entry->letters++;
}

static void judge_unanswered(struct audit_judge *judge, int32_t partition, const struct audit_entry *entry,
	int64_t now_ms, int64_t committed)
{
	int64_t offset = audit_entry_offset(entry);
	int64_t deadline_ms = judge->options.deadline_ms;
	bool is_young = deadline_ms > 0 && entry->timestamp_ms >= 0 && now_ms - entry->timestamp_ms < deadline_ms;
	if (is_young) {
		judge->counts.pending++;
	} else if (offset >= committed) {
		judge->counts.open++;
	} else {
		const struct audit_example example = {
			.request = { judge->options.requests_topic, partition, offset },
			.after_ms = -1,
		};
		note(judge, AUDIT_LOST, &example);
	}
}

void audit_judge_finish(struct audit_judge *judge, int64_t now_ms, const int64_t *committed)
{
	size_t partitions = audit_store_partitions(judge->store);
	for (size_t i = 0; i < partitions; i++) {
		int32_t partition = (int32_t)i;
		size_t count = audit_store_count(judge->store, partition);
		for (size_t j = 0; j < count; j++) {
			const struct audit_entry *entry = audit_store_at(judge->store, partition, j);
			if (entry->is_outside) continue;
			if (entry->is_rejected && entry->letters == 0) judge->counts.unlettered++;
			if (entry->replies == 0)
				judge_unanswered(
					judge, partition, entry, now_ms, committed != NULL ? committed[i] : INT64_MAX);
		}
	}
	judge->counts.bytes = audit_store_size(judge->store) + audit_lanes_size(judge->lanes);
}

const struct audit_counts *audit_judge_counts(const struct audit_judge *judge)
{
	return &judge->counts;
}

size_t audit_judge_found(const struct audit_judge *judge, enum audit_finding finding)
{
	ASSERT((size_t)finding < AUDIT_FINDING_COUNT);
	return judge->found[finding];
}

const struct audit_example *audit_judge_examples(
	const struct audit_judge *judge, enum audit_finding finding, size_t *out_count)
{
	size_t found = audit_judge_found(judge, finding);
	*out_count = found < judge->options.examples_max ? found : judge->options.examples_max;
	return &judge->examples[(size_t)finding * judge->options.examples_max];
}

bool audit_judge_is_clean(const struct audit_judge *judge)
{
	for (size_t i = 0; i < AUDIT_FINDING_COUNT; i++)
		if (judge->found[i] > 0) return false;
	return true;
}
