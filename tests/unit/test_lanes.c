/* Lanes: first in, first out within a conversation of a partition, and no conversation waits for another. */
#include "worker/core/lanes.h"

#include <stdio.h>
#include <string.h>

#include "common/random.h"
#include "tests/unit/assertion_trap.h"
#include "tests/unit/jobs.h"

static const struct hash_key key = { .k0 = 1, .k1 = 2 };

static void enter(struct lanes *lanes, struct job *job)
{
	assert_int_equal(lanes_enter(lanes, job), STATUS_OK);
	assert_non_null(job->lane);
}

static void lanes_free_accepts_null(void **state)
{
	(void)state;
	lanes_free(NULL);
}

static void lanes_first_of_a_conversation_is_head(void **state)
{
	(void)state;
	struct lanes *lanes = lanes_new(key);
	struct job *first = job_of(0, 0, BYTES_LITERAL("a")), *second = job_of(0, 1, BYTES_LITERAL("a"));
	struct job *other = job_of(0, 2, BYTES_LITERAL("b"));
	enter(lanes, first);
	enter(lanes, second);
	enter(lanes, other);
	assert_true(lanes_is_head(first));
	assert_false(lanes_is_head(second));
	assert_true(lanes_is_head(other));
	assert_int_equal(lanes_count(lanes), 2);
	assert_ptr_equal(lanes_leave(lanes, first), second);
	assert_true(lanes_is_head(second));
	assert_null(lanes_leave(lanes, second));
	assert_int_equal(lanes_count(lanes), 1);
	assert_null(lanes_leave(lanes, other));
	assert_int_equal(lanes_count(lanes), 0);
	lanes_free(lanes);
	job_free(first);
	job_free(second);
	job_free(other);
}

static void lanes_job_without_lane_waits_for_nobody(void **state)
{
	(void)state;
	struct lanes *lanes = lanes_new(key);
	struct job *job = job_of(0, 0, BYTES_NONE);
	assert_true(lanes_is_head(job));
	assert_null(lanes_leave(lanes, job));
	assert_int_equal(lanes_count(lanes), 0);
	lanes_free(lanes);
	job_free(job);
}

static void lanes_leave_from_the_middle_makes_no_head(void **state)
{
	(void)state;
	struct lanes *lanes = lanes_new(key);
	struct job *jobs[4];
	for (int i = 0; i < 4; i++) {
		jobs[i] = job_of(0, i, BYTES_LITERAL("a"));
		enter(lanes, jobs[i]);
	}
	assert_null(lanes_leave(lanes, jobs[2]));
	assert_null(jobs[2]->lane);
	assert_null(lanes_leave(lanes, jobs[3]));
	assert_ptr_equal(lanes_leave(lanes, jobs[0]), jobs[1]);
	assert_null(lanes_leave(lanes, jobs[0]));
	assert_null(lanes_leave(lanes, jobs[1]));
	lanes_free(lanes);
	for (int i = 0; i < 4; i++)
		job_free(jobs[i]);
}

static void lanes_replace_keeps_the_place(void **state)
{
	(void)state;
	struct lanes *lanes = lanes_new(key);
	struct job *jobs[4];
	for (int i = 0; i < 4; i++)
		jobs[i] = job_of(0, i, BYTES_LITERAL("a"));
	for (int i = 0; i < 3; i++)
		enter(lanes, jobs[i]);
	lanes_replace(jobs[0], jobs[3]);
	assert_null(jobs[0]->lane);
	assert_true(lanes_is_head(jobs[3]));
	assert_false(lanes_is_head(jobs[1]));
	lanes_replace(jobs[1], jobs[0]);
	assert_ptr_equal(lanes_leave(lanes, jobs[3]), jobs[0]);
	assert_ptr_equal(lanes_leave(lanes, jobs[0]), jobs[2]);
	lanes_replace(jobs[0], jobs[1]);
	assert_null(jobs[1]->lane);
	assert_null(lanes_leave(lanes, jobs[2]));
	lanes_free(lanes);
	for (int i = 0; i < 4; i++)
		job_free(jobs[i]);
}

static void lanes_come_back_after_they_went(void **state)
{
	(void)state;
	struct lanes *lanes = lanes_new(key);
	struct job *job = job_of(0, 0, BYTES_LITERAL("a"));
	for (int i = 0; i < 3; i++) {
		enter(lanes, job);
		assert_int_equal(lanes_count(lanes), 1);
		assert_null(lanes_leave(lanes, job));
		assert_int_equal(lanes_count(lanes), 0);
	}
	lanes_free(lanes);
	job_free(job);
}

/* Ids that are alike, ids with NUL, the same id in another partition: each a lane of its own. */
static void lanes_keys_are_exact(void **state)
{
	(void)state;
	static const struct {
		int32_t partition;
		struct bytes id;
	} keys[] = {
		{ 0, { "a", 1 } },
		{ 1, { "a", 1 } },
		{ 0x61, { "a", 1 } },
		{ 0, { "aa", 2 } },
		{ 0, { "a\0", 2 } },
		{ 0, { "\0a", 2 } },
		{ 0, { "\0", 1 } },
		{ 0, { "A", 1 } },
		{ INT32_MAX, { "a", 1 } },
	};
	enum { KEYS = sizeof(keys) / sizeof(keys[0]) };
	struct lanes *lanes = lanes_new(key);
	struct job *jobs[KEYS];
	for (size_t i = 0; i < KEYS; i++) {
		jobs[i] = job_of(keys[i].partition, (int64_t)i, keys[i].id);
		enter(lanes, jobs[i]);
		assert_true(lanes_is_head(jobs[i]));
		assert_int_equal(lanes_count(lanes), i + 1);
	}
	for (size_t i = 0; i < KEYS; i++) {
		assert_null(lanes_leave(lanes, jobs[i]));
		job_free(jobs[i]);
	}
	lanes_free(lanes);
}

/* The job's id is borrowed by the job; the lane has its own copy, since it outlives its first job. */
static void lanes_outlive_their_first_job(void **state)
{
	(void)state;
	struct lanes *lanes = lanes_new(key);
	char id[] = "conversation";
	struct job *first = job_of(0, 0, bytes_of(id)), *second = job_of(0, 1, BYTES_LITERAL("conversation"));
	enter(lanes, first);
	enter(lanes, second);
	assert_ptr_equal(lanes_leave(lanes, first), second);
	job_free(first);
	memset(id, 'x', sizeof(id));
	struct job *third = job_of(0, 2, BYTES_LITERAL("conversation"));
	enter(lanes, third);
	assert_false(lanes_is_head(third));
	assert_ptr_equal(lanes_leave(lanes, second), third);
	assert_null(lanes_leave(lanes, third));
	lanes_free(lanes);
	job_free(second);
	job_free(third);
}

static void lanes_misuse_asserts(void **state)
{
	(void)state;
	struct lanes *lanes = lanes_new(key);
	struct job *job = job_of(0, 0, BYTES_LITERAL("a")), *nameless = job_of(0, 1, BYTES_LITERAL(""));
	expect_assert_failure(assert_int_equal(lanes_enter(lanes, nameless), STATUS_OK));
	enter(lanes, job);
	expect_assert_failure(assert_int_equal(lanes_enter(lanes, job), STATUS_OK));
	expect_assert_failure(lanes_free(lanes));
	assert_null(lanes_leave(lanes, job));
	lanes_free(lanes);
	job_free(job);
	job_free(nameless);
}

enum { JOBS = 200, CONVERSATIONS = 12, PARTITIONS = 2 };

struct crowd {
	struct lanes *lanes;
	struct job *jobs[JOBS];
	char ids[CONVERSATIONS][8];
	size_t order[JOBS]; /* jobs inside, in the order in which they came */
	size_t count;
};

static bool same_lane(const struct job *a, const struct job *b)
{
	return a->record->partition == b->record->partition &&
	       bytes_equal(a->request.conversation_id, b->request.conversation_id);
}

/* The place in `order` of the first job in the lane of `job`. */
static size_t first_place(const struct crowd *crowd, const struct job *job)
{
	size_t place = 0;
	while (place < crowd->count && !same_lane(crowd->jobs[crowd->order[place]], job))
		place++;
	return place;
}

static void crowd_enter(struct crowd *crowd, size_t number, uint64_t seed)
{
	assert_for_seed(seed, lanes_enter(crowd->lanes, crowd->jobs[number]) == STATUS_OK);
	crowd->order[crowd->count++] = number;
}

static void crowd_leave(struct crowd *crowd, size_t number, uint64_t seed)
{
	struct job *job = crowd->jobs[number], *expected = NULL;
	size_t place = 0, kept = 0;
	bool was_head = crowd->order[first_place(crowd, job)] == number;
	while (crowd->order[place] != number)
		place++;
	for (size_t i = 0; i < crowd->count; i++)
		if (i != place) crowd->order[kept++] = crowd->order[i];
	crowd->count = kept;
	size_t first = first_place(crowd, job);
	if (was_head && first < crowd->count) expected = crowd->jobs[crowd->order[first]];
	assert_for_seed(seed, lanes_leave(crowd->lanes, job) == expected);
}

static void crowd_check(const struct crowd *crowd, uint64_t seed)
{
	size_t lanes = 0;
	for (size_t i = 0; i < crowd->count; i++) {
		const struct job *job = crowd->jobs[crowd->order[i]];
		bool is_head = first_place(crowd, job) == i;
		assert_for_seed(seed, lanes_is_head(job) == is_head);
		lanes += is_head;
	}
	assert_for_seed(seed, lanes_count(crowd->lanes) == lanes);
}

static void run_crowd(uint64_t seed)
{
	struct random random;
	struct crowd crowd = { .lanes = lanes_new(key) };
	random_init(&random, seed);
	for (size_t i = 0; i < CONVERSATIONS; i++)
		snprintf(crowd.ids[i], sizeof(crowd.ids[i]), "c%zu", i);
	for (size_t i = 0; i < JOBS; i++)
		crowd.jobs[i] = job_of((int32_t)random_below(&random, PARTITIONS), (int64_t)i,
			bytes_of(crowd.ids[random_below(&random, CONVERSATIONS)]));
	for (int step = 0; step < 300; step++) {
		size_t pick = (size_t)random_below(&random, JOBS);
		if (crowd.jobs[pick]->lane == NULL)
			crowd_enter(&crowd, pick, seed);
		else
			crowd_leave(&crowd, pick, seed);
		if (step % 10 == 0) crowd_check(&crowd, seed);
	}
	while (crowd.count > 0)
		crowd_leave(&crowd, crowd.order[random_below(&random, crowd.count)], seed);
	crowd_check(&crowd, seed);
	for (size_t i = 0; i < JOBS; i++)
		job_free(crowd.jobs[i]);
	lanes_free(crowd.lanes);
}

static void lanes_random_crowds_agree_with_a_plain_queue(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++)
		run_crowd(seed);
}

static void lanes_many_conversations_each_a_lane(void **state)
{
	(void)state;
	enum { MANY = 20000 };
	static struct job *jobs[MANY];
	static char ids[MANY][16];
	struct lanes *lanes = lanes_new(key);
	for (size_t i = 0; i < MANY; i++) {
		snprintf(ids[i], sizeof(ids[i]), "conv-%zu", i);
		jobs[i] = job_of(0, (int64_t)i, bytes_of(ids[i]));
		enter(lanes, jobs[i]);
		assert_true(lanes_is_head(jobs[i]));
	}
	assert_int_equal(lanes_count(lanes), MANY);
	for (size_t i = 0; i < MANY; i++) {
		assert_null(lanes_leave(lanes, jobs[i]));
		job_free(jobs[i]);
	}
	lanes_free(lanes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lanes_free_accepts_null),
		cmocka_unit_test(lanes_first_of_a_conversation_is_head),
		cmocka_unit_test(lanes_job_without_lane_waits_for_nobody),
		cmocka_unit_test(lanes_leave_from_the_middle_makes_no_head),
		cmocka_unit_test(lanes_replace_keeps_the_place),
		cmocka_unit_test(lanes_come_back_after_they_went),
		cmocka_unit_test(lanes_keys_are_exact),
		cmocka_unit_test(lanes_outlive_their_first_job),
		cmocka_unit_test(lanes_misuse_asserts),
		cmocka_unit_test(lanes_random_crowds_agree_with_a_plain_queue),
		cmocka_unit_test(lanes_many_conversations_each_a_lane),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
