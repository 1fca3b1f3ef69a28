/* Jobs: what they own, and which changes of state there are. */
#include "worker/core/job.h"

#include <string.h>

#include "tests/unit/assertion_trap.h"
#include "tests/unit/jobs.h"

enum { STATES = JOB_GONE + 1 };

/* Which state may follow which: the rows in words, apart from the table in job.h. */
static const char *const followers[STATES] = {
	[JOB_NEW] = "waiting ready replied",
	[JOB_WAITING] = "ready backoff replied gone",
	[JOB_READY] = "calling backoff replied gone",
	[JOB_CALLING] = "backoff replied parked gone",
	[JOB_BACKOFF] = "ready replied gone",
	[JOB_REPLIED] = "publishing parked gone",
	[JOB_PUBLISHING] = "replied parked done gone",
	[JOB_PARKED] = "replied gone",
	[JOB_DONE] = "",
	[JOB_GONE] = "",
};

static bool may_follow(enum job_state from, enum job_state to)
{
	const char *at = followers[from];
	size_t size = strlen(job_state_word(to));
	while (at != NULL && *at != '\0') {
		if (strncmp(at, job_state_word(to), size) == 0 && (at[size] == ' ' || at[size] == '\0')) return true;
		at = strchr(at, ' ');
		if (at != NULL) at++;
	}
	return false;
}

static void job_state_words_differ(void **state)
{
	(void)state;
	for (int a = 0; a < STATES; a++)
		for (int b = 0; b < a; b++)
			assert_string_not_equal(job_state_word((enum job_state)a), job_state_word((enum job_state)b));
	volatile int outside = STATES;
	expect_assert_failure(assert_null(job_state_word((enum job_state)outside)));
	outside = -1;
	expect_assert_failure(assert_null(job_state_word((enum job_state)outside)));
}

static void try_change(struct job *job, enum job_state from, enum job_state to)
{
	job->state = from;
	if (may_follow(from, to)) {
		job_change(job, to);
		assert_int_equal(job->state, to);
	} else {
		expect_assert_failure(job_change(job, to));
		assert_int_equal(job->state, from);
	}
}

static void job_change_follows_the_table_and_nothing_else(void **state)
{
	(void)state;
	struct job *job = job_of(0, 0, BYTES_NONE);
	for (int from = 0; from < STATES; from++)
		for (int to = 0; to < STATES; to++)
			try_change(job, (enum job_state)from, (enum job_state)to);
	job_free(job);
}

/* From every state that is not an end, an end can be reached; no state but the first cannot be reached. */
static void job_states_form_one_way_through(void **state)
{
	(void)state;
	bool reached[STATES] = { [JOB_NEW] = true };
	for (int round = 0; round < STATES; round++)
		for (int from = 0; from < STATES; from++)
			for (int to = 0; to < STATES; to++)
				if (reached[from] && may_follow((enum job_state)from, (enum job_state)to))
					reached[to] = true;
	for (int i = 0; i < STATES; i++)
		assert_true(reached[i]);
}

static void job_new_takes_the_record_over(void **state)
{
	(void)state;
	struct record source = { .partition = 3, .offset = 99, .value = BYTES_LITERAL("value") };
	struct record *record = record_new(&source);
	struct record *kept = record;
	struct job *job = job_new(&record, 10000);
	assert_non_null(job);
	assert_null(record);
	assert_ptr_equal(job->record, kept);
	assert_int_equal(job->state, JOB_NEW);
	assert_int_equal(job->call_id, 0);
	assert_null(job->lane);
	assert_null(job->partition);
	assert_non_null(arena_alloc(job->arena, 100));
	assert_null(arena_alloc(job->arena, 10000));
	job_free(job);
}

static void job_new_is_on_no_list_and_in_no_heap(void **state)
{
	(void)state;
	struct job *job = job_of(0, 0, BYTES_NONE);
	assert_false(list_is_linked(&job->queue));
	assert_false(list_is_linked(&job->in_lane));
	assert_false(list_is_linked(&job->in_partition));
	assert_false(heap_node_is_in(&job->due));
	job_free(job);
}

static void job_new_without_record_asserts(void **state)
{
	(void)state;
	struct record *record = NULL;
	expect_assert_failure(assert_null(job_new(&record, 10000)));
}

static void job_free_accepts_null(void **state)
{
	(void)state;
	job_free(NULL);
}

static void job_free_of_one_in_use_asserts(void **state)
{
	(void)state;
	struct list head;
	struct heap heap;
	struct job *job = job_of(0, 0, BYTES_NONE);
	struct list *const links[] = { &job->queue, &job->in_lane, &job->in_partition };
	list_init(&head);
	for (size_t i = 0; i < 3; i++) {
		list_push_back(&head, links[i]);
		expect_assert_failure(job_free(job));
		list_unlink(links[i]);
	}
	heap_init(&heap, 1);
	assert_int_equal(heap_set(&heap, &job->due, 1), STATUS_OK);
	expect_assert_failure(job_free(job));
	heap_remove(&heap, &job->due);
	heap_deinit(&heap);
	job_free(job);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(job_state_words_differ),
		cmocka_unit_test(job_change_follows_the_table_and_nothing_else),
		cmocka_unit_test(job_states_form_one_way_through),
		cmocka_unit_test(job_new_takes_the_record_over),
		cmocka_unit_test(job_new_is_on_no_list_and_in_no_heap),
		cmocka_unit_test(job_new_without_record_asserts),
		cmocka_unit_test(job_free_accepts_null),
		cmocka_unit_test(job_free_of_one_in_use_asserts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
