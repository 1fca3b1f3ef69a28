/* Every allocation of every module here fails once, and once from there on: the module says so, leaks nothing, and works
 * again when there is memory. */
#include <stdio.h>
#include <string.h>

#include "common/arena.h"
#include "common/buffer.h"
#include "common/heap.h"
#include "common/mailbox.h"
#include "tests/unit/failing_memory.h"
#include "tests/unit/jobs.h"
#include "tests/unit/testing.h"
#include "worker/core/batch.h"
#include "worker/core/call.h"
#include "worker/core/lanes.h"
#include "worker/core/ledger.h"
#include "worker/core/park.h"

/* Does its work and undoes it; false when it was told of missing memory. Checks by itself what must hold then. */
typedef bool scenario(void);

enum { ALLOCATIONS_MAX = 2000 };

/* Runs `play` with its first allocation failing, then its second, … until it no longer meets a failure. */
static void sweep(scenario *play, bool goes_on)
{
	for (long at = 0; at < ALLOCATIONS_MAX; at++) {
		failing_memory = (struct failing_memory){ .until_failure = at, .goes_on = goes_on };
		bool went_well = play();
		bool was_refused = failing_memory.refused > 0;
		if (failing_memory.living != 0) fail_msg("allocation %ld: %ld living", at, failing_memory.living);
		if (went_well == was_refused) fail_msg("allocation %ld: went well: %d", at, went_well);
		failing_memory = (struct failing_memory){ .until_failure = -1 };
		if (!was_refused) {
			assert_true(at > 0);
			return;
		}
	}
	fail_msg("more than %d allocations", ALLOCATIONS_MAX);
}

static void sweep_both(scenario *play)
{
	sweep(play, false);
	sweep(play, true);
}

static bool play_arena(void)
{
	struct arena *arena = arena_new(1 << 20);
	if (arena == NULL) return false;
	bool is_well = true;
	for (int i = 0; i < 60; i++) {
		struct bytes copy = BYTES_LITERAL("before");
		size_t size_before = arena_size(arena);
		char *memory = arena_calloc(arena, 1, 3000);
		if (memory == NULL) assert_int_equal(arena_size(arena), size_before);
		if (arena_copy(arena, BYTES_LITERAL("some text"), &copy) != STATUS_OK) {
			assert_text_equal(copy, "before");
			is_well = false;
		}
		if (memory == NULL) is_well = false;
	}
	arena_free(arena);
	return is_well;
}

static bool play_buffer(void)
{
	struct buffer buffer;
	buffer_init(&buffer, 100000);
	for (int i = 0; i < 300; i++) {
		buffer_append_text(&buffer, "0123456789");
		buffer_append_json_string(&buffer, BYTES_LITERAL("a\nb\x01"));
		buffer_append_format(&buffer, "%08d", i);
	}
	enum status status = buffer_status(&buffer);
	assert_true(status == STATUS_OK || status == STATUS_NO_MEMORY);
	struct bytes kept = buffer_bytes(&buffer);
	assert_true(kept.size >= 10 || status == STATUS_NO_MEMORY);
	if (kept.size >= 10) assert_memory_equal(kept.data, "0123456789", 10);
	buffer_deinit(&buffer);
	return status == STATUS_OK;
}

static bool play_buffer_take(void)
{
	struct buffer buffer;
	char *data = NULL;
	size_t size = 7;
	buffer_init(&buffer, 10);
	enum status status = buffer_take(&buffer, &data, &size);
	if (status == STATUS_OK)
		free(data);
	else
		assert_true(status == STATUS_NO_MEMORY && data == NULL && size == 7);
	buffer_deinit(&buffer);
	return status == STATUS_OK;
}

static bool play_heap(void)
{
	struct heap heap;
	struct heap_node nodes[300] = { 0 };
	bool is_well = true;
	size_t entered = 0;
	heap_init(&heap, 300);
	for (size_t i = 0; i < 300; i++) {
		enum status status = heap_set(&heap, &nodes[i], (int64_t)(i * 7 % 300));
		assert_true(status == STATUS_OK || status == STATUS_NO_MEMORY);
		assert_int_equal(heap_node_is_in(&nodes[i]), status == STATUS_OK);
		if (status == STATUS_OK) entered++;
		if (status != STATUS_OK) is_well = false;
	}
	int64_t last = -1;
	for (struct heap_node *node; (node = heap_take_due(&heap, 1000)) != NULL; entered--) {
		assert_true(node->due >= last);
		last = node->due;
	}
	assert_int_equal(entered, 0);
	heap_deinit(&heap);
	return is_well;
}

static bool play_mailbox(void)
{
	struct mailbox *mailbox = mailbox_new(1000);
	if (mailbox == NULL) return false;
	int numbers[300];
	void *messages[300];
	size_t put = 0;
	for (size_t i = 0; i < 300; i++) {
		enum status status = mailbox_put(mailbox, &numbers[put]);
		assert_true(status == STATUS_OK || status == STATUS_NO_MEMORY);
		if (status == STATUS_OK) put++;
	}
	assert_int_equal(mailbox_take(mailbox, messages, 300), put);
	for (size_t i = 0; i < put; i++)
		assert_ptr_equal(messages[i], &numbers[i]);
	mailbox_free(mailbox);
	return put == 300;
}

static bool play_ledger(void)
{
	char text[LEDGER_TEXT_MAX];
	struct ledger *ledger = ledger_new(5), *next = ledger_new(5);
	bool is_well = ledger != NULL && next != NULL;
	if (is_well) {
		assert_int_equal(ledger_take(ledger, 5), STATUS_OK);
		assert_int_equal(ledger_take(ledger, 6), STATUS_OK);
		ledger_stage(ledger, 6);
		size_t size = ledger_text(ledger, 1, text);
		assert_int_equal(ledger_restore(next, bytes_at(text, size), 10), STATUS_OK);
	}
	ledger_free(ledger);
	ledger_free(next);
	return is_well;
}

static bool play_job(void)
{
	struct record source = { .value = BYTES_LITERAL("value") };
	struct record *record = record_new(&source);
	if (record == NULL) return false;
	struct record *kept = record;
	struct job *job = job_new(&record, 10000);
	if (job == NULL) {
		assert_ptr_equal(record, kept);
		record_free(record);
		return false;
	}
	assert_null(record);
	job_free(job);
	return true;
}

enum { LANE_JOBS = 400 };

/* Enough lanes for the table to grow more than once; each third job follows another one in its lane. */
static bool play_lanes(void)
{
	static struct job *jobs[LANE_JOBS];
	static char ids[LANE_JOBS][16];
	struct lanes *lanes = lanes_new((struct hash_key){ .k0 = 1, .k1 = 2 });
	if (lanes == NULL) return false;
	bool is_well = true;
	size_t heads = 0;
	for (size_t i = 0; i < LANE_JOBS; i++) {
		snprintf(ids[i], sizeof(ids[i]), "c%zu", i - (i % 3 == 2));
		failing_memory.is_paused = true;
		jobs[i] = job_of(0, (int64_t)i, bytes_of(ids[i]));
		failing_memory.is_paused = false;
		enum status status = lanes_enter(lanes, jobs[i]);
		assert_true(status == STATUS_OK || status == STATUS_NO_MEMORY);
		assert_int_equal(jobs[i]->lane != NULL, status == STATUS_OK);
		if (status != STATUS_OK)
			is_well = false;
		else if (lanes_is_head(jobs[i]))
			heads++;
		assert_int_equal(lanes_count(lanes), heads);
	}
	for (size_t i = 0; i < LANE_JOBS; i++) {
		if (jobs[i]->lane != NULL && lanes_leave(lanes, jobs[i]) == NULL) heads--;
		assert_int_equal(lanes_count(lanes), heads);
		job_free(jobs[i]);
	}
	lanes_free(lanes);
	return is_well;
}

/* Enough for the table to grow more than once. */
static bool play_park(void)
{
	static struct job *jobs[LANE_JOBS];
	struct park *park = park_new((struct hash_key){ .k0 = 1, .k1 = 2 });
	if (park == NULL) return false;
	size_t count = 0;
	for (size_t i = 0; i < LANE_JOBS; i++) {
		failing_memory.is_paused = true;
		jobs[i] = job_of(0, (int64_t)i, BYTES_NONE);
		failing_memory.is_paused = false;
		enum status status = park_put(park, jobs[i], 10, 1, i % 2 == 0);
		assert_true(status == STATUS_OK || status == STATUS_NO_MEMORY);
		assert_int_equal(jobs[i]->parked != NULL, status == STATUS_OK);
		assert_int_equal(park_find(park, 0, (int64_t)i) != NULL, status == STATUS_OK);
		if (status == STATUS_OK) count++;
		assert_int_equal(park_count(park), count);
	}
	for (size_t i = 0; i < LANE_JOBS; i++) {
		if (jobs[i]->parked != NULL) park_remove(park, jobs[i]);
		job_free(jobs[i]);
	}
	assert_int_equal(park_bytes(park), 0);
	park_free(park);
	return count == LANE_JOBS;
}

static bool play_call(void)
{
	struct call *call = call_new(1, 1000, 10000);
	if (call == NULL) return false;
	buffer_append_text(&call->body, "{}");
	bool is_well = buffer_status(&call->body) == STATUS_OK;
	call_free(call);
	return is_well;
}

static bool play_batch(void)
{
	struct batch *batch = batch_new(10, 2);
	if (batch == NULL) return false;
	bool is_well = true;
	for (int32_t i = 0; i < 2; i++) {
		char *text = malloc(10);
		if (text == NULL) is_well = false;
		batch->progress[batch->progress_count++] =
			(struct batch_progress){ .partition = i, .metadata = bytes_at(text, text == NULL ? 0 : 10) };
	}
	enum status status = batch_make_found(batch);
	assert_true(status == STATUS_OK || (status == STATUS_NO_MEMORY && batch->found == NULL));
	batch_free(batch);
	return is_well && status == STATUS_OK;
}

static void allocation_fails_in_arena_is_told(void **state)
{
	(void)state;
	sweep_both(play_arena);
}

static void allocation_fails_in_buffer_is_told(void **state)
{
	(void)state;
	sweep_both(play_buffer);
	sweep_both(play_buffer_take);
}

static void allocation_fails_in_heap_is_told(void **state)
{
	(void)state;
	sweep_both(play_heap);
}

static void allocation_fails_in_mailbox_is_told(void **state)
{
	(void)state;
	sweep_both(play_mailbox);
}

static void allocation_fails_in_ledger_is_told(void **state)
{
	(void)state;
	sweep_both(play_ledger);
}

static void allocation_fails_in_job_is_told(void **state)
{
	(void)state;
	sweep_both(play_job);
}

static void allocation_fails_in_lanes_is_told(void **state)
{
	(void)state;
	sweep_both(play_lanes);
}

static void allocation_fails_in_park_is_told(void **state)
{
	(void)state;
	sweep_both(play_park);
}

static void allocation_fails_in_call_is_told(void **state)
{
	(void)state;
	sweep_both(play_call);
}

static void allocation_fails_in_batch_is_told(void **state)
{
	(void)state;
	sweep_both(play_batch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allocation_fails_in_arena_is_told),
		cmocka_unit_test(allocation_fails_in_buffer_is_told),
		cmocka_unit_test(allocation_fails_in_heap_is_told),
		cmocka_unit_test(allocation_fails_in_mailbox_is_told),
		cmocka_unit_test(allocation_fails_in_ledger_is_told),
		cmocka_unit_test(allocation_fails_in_job_is_told),
		cmocka_unit_test(allocation_fails_in_lanes_is_told),
		cmocka_unit_test(allocation_fails_in_park_is_told),
		cmocka_unit_test(allocation_fails_in_call_is_told),
		cmocka_unit_test(allocation_fails_in_batch_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
