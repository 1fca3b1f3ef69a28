/* Memory runs out at every place on the way of a chat, for a moment, for a while or for good: nothing is lost, nothing
 * leaks, and the only assertion that may end the process is the documented one about replies (flow_reply.c). */
#include "tests/unit/flow_support.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/attributes.h"
#include "tests/unit/failing_memory.h"

enum {
	ALLOCATIONS_MAX = 500,
	TURNS_MAX = 200,
	RECORDS = 4,
	/* Exit codes of a run. */
	RUN_WELL = 0,
	RUN_SPARED = 10, /* no allocation was refused */
	RUN_ASSERTED = 11,
	RUN_ASSERTED_ELSEWHERE = 12,
	RUN_LOST = 13,
	RUN_LEAKED = 14,
};

NORETURN void __wrap_assertion_failed(const char *fact, const char *file, int line);

/* A run is a process of its own, so that an assertion may end it. */
NORETURN void __wrap_assertion_failed(const char *fact, const char *file, int line)
{
	bool is_documented = strstr(file, "flow_reply.c") != NULL && strcmp(fact, "status == STATUS_OK") == 0;
	if (!is_documented) fprintf(stderr, "%s:%d: %s\n", file, line, fact);
	_exit(is_documented ? RUN_ASSERTED : RUN_ASSERTED_ELSEWHERE);
}

/* What is refused after the first allocation that is. */
enum shortage { SHORTAGE_ONCE, SHORTAGE_A_WHILE, SHORTAGE_FOR_GOOD };

/* What the runs count; no assertions of cmocka here, they would jump out of the run. */
struct run {
	struct support support;
	int replies[RECORDS]; /* committed, by offset */
	int64_t position;     /* of the reader */
	int64_t committed;    /* offset */
	size_t dead_letters;
};

static void count_committed(void *context, const struct job *job, struct instant now)
{
	struct run *run = context;
	(void)now;
	run->replies[job->record->offset]++;
	if (job->dead_letter != NULL) run->dead_letters++;
}

static void memory_is_back(void)
{
	failing_memory.until_failure = -1;
	failing_memory.goes_on = false;
}

/* Chats of two conversations; the third record is unreadable. */
static struct record *next_record(int64_t offset)
{
	struct record source = support_record();
	source.offset = offset;
	if (offset == 3) source.key = BYTES_LITERAL("another");
	if (offset == 2) source.value = BYTES_LITERAL("junk");
	failing_memory.is_paused = true;
	struct record *record = record_new(&source);
	failing_memory.is_paused = false;
	return record;
}

static void take_some(struct run *run)
{
	while (run->position < RECORDS && flow_wants(run->support.flow, 0)) {
		struct record *record = next_record(run->position);
		if (flow_take(run->support.flow, record, run->support.now) != STATUS_OK) {
			record_free(record);
			return;
		}
		run->position++;
	}
}

static void call_some(struct run *run)
{
	struct call *call;
	while (flow_next_call(run->support.flow, run->support.now, &call) == STATUS_OK) {
		call->requests_sent = 1;
		call->result.failure = (struct failure){ .reason = REASON_NONE, .retry_after_ms = -1 };
		call->result.answer = (struct chat_answer){ .content = BYTES_LITERAL("Hello") };
		flow_call_done(run->support.flow, call, run->support.now);
	}
}

/* The first batch is aborted, the others are committed. */
static void publish_some(struct run *run, int turn)
{
	struct batch *batch;
	if (flow_next_batch(run->support.flow, run->support.now, &batch) != STATUS_OK) return;
	batch->end = turn == 0 ? BATCH_ABORTED : BATCH_COMMITTED;
	if (batch->end == BATCH_COMMITTED && batch->progress_count == 1) run->committed = batch->progress[0].offset;
	flow_batch_done(run->support.flow, batch, run->support.now);
}

static int verdict(const struct run *run)
{
	for (int i = 0; i < RECORDS; i++)
		if (run->replies[i] != 1) return RUN_LOST;
	if (run->committed != RECORDS || run->dead_letters != 1) return RUN_LOST;
	if (failing_memory.living != 0) return RUN_LEAKED;
	return failing_memory.refused == 0 ? RUN_SPARED : RUN_WELL;
}

/* What is committed has its one reply, whatever became of the rest. */
static int verdict_for_good(const struct run *run)
{
	for (int i = 0; i < RECORDS; i++)
		if (run->replies[i] > 1 || (i < run->committed && run->replies[i] == 0)) return RUN_LOST;
	if (failing_memory.living != 0) return RUN_LEAKED;
	return failing_memory.refused == 0 ? RUN_SPARED : RUN_WELL;
}

/* False when memory is missing for good before there is anything to lose. */
static bool begin(struct run *run, enum shortage shortage)
{
	int64_t start;
	struct flow_assignment assignment = { .committed = -1, .log_end = 100 };
	while ((run->support.flow = flow_new(&run->support.options)) == NULL) {
		if (shortage == SHORTAGE_FOR_GOOD) return false;
		memory_is_back();
	}
	while (flow_assign(run->support.flow, &assignment, &start) != STATUS_OK) {
		if (shortage == SHORTAGE_FOR_GOOD) return false;
		memory_is_back();
	}
	return true;
}

static void play_turns(struct run *run, enum shortage shortage)
{
	for (int turn = 0; turn < TURNS_MAX; turn++) {
		if (turn == 5 && shortage != SHORTAGE_FOR_GOOD) memory_is_back();
		flow_tick(run->support.flow, run->support.now);
		take_some(run);
		call_some(run);
		publish_some(run, turn);
		run->support.now.mono_ms += 25;
		run->support.now.wall_ms += 25;
	}
}

/* With the n-th allocation refused. */
static int play(struct run *run, long at, enum shortage shortage)
{
	failing_memory = (struct failing_memory){ .until_failure = at, .goes_on = shortage != SHORTAGE_ONCE };
	if (begin(run, shortage)) play_turns(run, shortage);
	flow_free(run->support.flow);
	return shortage == SHORTAGE_FOR_GOOD ? verdict_for_good(run) : verdict(run);
}

static int play_apart(struct run *run, long at, enum shortage shortage)
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) _exit(play(run, at, shortage));
	int result;
	assert_int_equal(waitpid(child, &result, 0), child);
	assert_true(WIFEXITED(result));
	return WEXITSTATUS(result);
}

static void sweep(enum shortage shortage)
{
	static struct run run;
	memset(&run, 0, sizeof(run));
	support_init(&run.support);
	run.support.options.events = (struct flow_events){ .context = &run, .on_committed = count_committed };
	int well = 0, asserted = 0;
	for (long at = 0; at < ALLOCATIONS_MAX; at++) {
		int code = play_apart(&run, at, shortage);
		if (code == RUN_SPARED) break;
		if (code != RUN_WELL && code != RUN_ASSERTED) fail_msg("allocation %ld: %d", at, code);
		if (code == RUN_WELL) well++;
		if (code == RUN_ASSERTED) asserted++;
		assert_true(at + 1 < ALLOCATIONS_MAX);
	}
	assert_true(well > 20);
	assert_true(asserted > 0);
	arena_free(run.support.arena);
}

static void flow_memory_missing_once_anywhere_loses_nothing(void **state)
{
	(void)state;
	sweep(SHORTAGE_ONCE);
}

static void flow_memory_missing_for_a_while_from_anywhere_loses_nothing(void **state)
{
	(void)state;
	sweep(SHORTAGE_A_WHILE);
}

static void flow_memory_missing_for_good_from_anywhere_commits_only_what_is_answered(void **state)
{
	(void)state;
	sweep(SHORTAGE_FOR_GOOD);
}

static void begin_refusing(long after)
{
	failing_memory.refused = 0;
	failing_memory.until_failure = after;
	failing_memory.goes_on = true;
}

static void end_refusing(void)
{
	assert_true(failing_memory.refused > 0);
	memory_is_back();
}

static void flow_memory_missing_for_a_record_leaves_it_with_the_caller(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	for (long after = 0; after < 2; after++) {
		struct record *record = next_record(0);
		begin_refusing(after);
		enum status status = flow_take(support.flow, record, support.now);
		end_refusing();
		assert_int_equal(status, STATUS_NO_MEMORY);
		assert_int_equal(record->offset, 0);
		record_free(record);
		assert_int_equal(support_gauges(&support).waiting, 0);
	}
	support_chat_done(&support, 0, 0, "c");
	support_commit(&support);
	support_close(&support);
}

static void flow_memory_missing_for_a_lane_keeps_a_rejection(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "b");
	struct record *record = next_record(1);
	struct record source = *record;
	record_free(record);
	source.value = BYTES_LITERAL("junk");
	source.key = BYTES_LITERAL("c");
	source.headers = (struct record_headers){ 0 };
	record = record_new(&source);
	begin_refusing(2); /* the arena and the job are there, the lane is not */
	failing_memory.goes_on = false;
	enum status status = flow_take(support.flow, record, support.now);
	end_refusing();
	assert_int_equal(status, STATUS_OK);
	assert_int_equal(support_gauges(&support).lanes, 1);
	struct batch *batch = support_batch(&support);
	assert_int_equal(batch->item_count, 2);
	assert_text_equal(support_reply(&support, batch, 0).reason, "decode");
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_memory_missing_for_a_call_is_asked_for_again(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "c");
	for (long after = 0; after < 2; after++) {
		begin_refusing(after);
		support_no_call(&support);
		end_refusing();
		assert_int_equal(support_gauges(&support).ready, 1);
	}
	support_answer(&support, support_call(&support));
	assert_text_equal(support_only_reply(&support).outcome, "answered");
	support_close(&support);
}

static void assert_no_second_call(long after)
{
	struct support support;
	support_init(&support);
	support.options.hedge = (struct flow_hedge_options){ .enabled = true, .max_share = 1, .delay_ms = 1000 };
	support_begin(&support);
	support_take_chat(&support, 0, 0, "c");
	struct call *call = support_call(&support);
	support_pass(&support, 1000);
	begin_refusing(after);
	struct call *second = NULL;
	enum status status = flow_next_call(support.flow, support.now, &second);
	end_refusing();
	assert_int_equal(status, STATUS_EMPTY);
	assert_int_equal(support.hedges[FLOW_HEDGE_NO_MEMORY], 1);
	support_answer(&support, call);
	support_commit(&support);
	support_close(&support);
}

/* The chat has a call, so it can do without: the call itself is missing, its arena, or room for its body. */
static void flow_memory_missing_for_a_second_call_makes_none(void **state)
{
	(void)state;
	for (long after = 0; after < 3; after++)
		assert_no_second_call(after);
}

static void flow_memory_missing_for_a_batch_puts_all_back(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_assign(&support, 1, -1, BYTES_NONE);
	for (int64_t offset = 0; offset < 3; offset++)
		support_chat_done(&support, (int32_t)(offset % 2), offset, "c");
	for (long after = 0; after < 5; after++) {
		struct batch *batch = NULL;
		flow_hurry(support.flow);
		begin_refusing(after);
		enum status status = flow_next_batch(support.flow, support.now, &batch);
		end_refusing();
		assert_int_equal(status, STATUS_NO_MEMORY);
		assert_null(batch);
		assert_int_equal(support_gauges(&support).replies, 3);
		/* Not at once again: memory needs a moment. */
		assert_int_equal(flow_due(support.flow), support.now.mono_ms + 50);
	}
	struct batch *batch = support_batch(&support);
	assert_int_equal(batch->item_count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(support_offset(&support, batch, i), i);
	assert_int_equal(support_progress(batch, 0)->offset, 3);
	assert_int_equal(support_progress(batch, 1)->offset, 2);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	support_close(&support);
}

static void flow_memory_missing_for_a_held_record_is_tried_again(void **state)
{
	(void)state;
	struct support support;
	support_open(&support);
	support_take_chat(&support, 0, 0, "slow");
	struct call *call = support_call(&support);
	support_take_bad(&support, 0, LEDGER_WINDOW - 1, "c");
	support_commit(&support);
	support_take_chat(&support, 0, LEDGER_WINDOW, "c");
	long taken = support.taken;
	support_answer(&support, call);
	struct batch *batch = support_batch(&support);
	begin_refusing(0);
	support_end_batch(&support, batch, BATCH_COMMITTED);
	end_refusing();
	assert_int_equal(support.notices[FLOW_NOTICE_TAKE_FAILED], 1);
	assert_int_equal(support.notice_offset, LEDGER_WINDOW);
	assert_int_equal(support.taken, taken);
	/* The window has moved, but the record that is held comes first. */
	assert_false(flow_wants(support.flow, 0));
	/* Nothing else is going on that could wake anybody. */
	assert_int_equal(flow_due(support.flow), support.now.mono_ms + 50);
	support_pass(&support, 50);
	assert_int_equal(support.taken, taken + 1);
	assert_true(flow_wants(support.flow, 0));
	support_close(&support);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flow_memory_missing_once_anywhere_loses_nothing),
		cmocka_unit_test(flow_memory_missing_for_a_while_from_anywhere_loses_nothing),
		cmocka_unit_test(flow_memory_missing_for_good_from_anywhere_commits_only_what_is_answered),
		cmocka_unit_test(flow_memory_missing_for_a_record_leaves_it_with_the_caller),
		cmocka_unit_test(flow_memory_missing_for_a_lane_keeps_a_rejection),
		cmocka_unit_test(flow_memory_missing_for_a_call_is_asked_for_again),
		cmocka_unit_test(flow_memory_missing_for_a_second_call_makes_none),
		cmocka_unit_test(flow_memory_missing_for_a_batch_puts_all_back),
		cmocka_unit_test(flow_memory_missing_for_a_held_record_is_tried_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
