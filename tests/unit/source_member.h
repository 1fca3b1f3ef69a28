/* A member of a group on the mock cluster that notes what it is told; for the tests of the source. */
#ifndef TESTS_UNIT_SOURCE_MEMBER_H
#define TESTS_UNIT_SOURCE_MEMBER_H

#include <stdlib.h>

#include "tests/unit/kafka_fixture.h"
#include "worker/edge/source.h"

enum { SEEN_MAX = 64, METADATA_SIZE = 4000, FAILED_CLOSE_MS = 2000 };

/* A member of the group that notes what it is told; there until the test is over. */
struct member {
	struct source *source; /* NULL: closed */
	int64_t start;         /* what on_assign sets; -1 = leaves it */
	struct source_partition assigned[SEEN_MAX];
	char metadata[METADATA_SIZE + 1]; /* of the last partition that had some */
	size_t assigned_count;
	size_t revoked_count;
	size_t lost_count;
	bool had_group_at_revoke;
	bool says_no; /* to may_revoke() */
	long asked_count;
	enum status served;
	struct member *next; /* of the fixture's members */
};

static inline void on_assign(void *context, struct source_partition *partitions, size_t count)
{
	struct member *member = context;
	for (size_t i = 0; i < count; i++) {
		if (member->start >= 0) partitions[i].start = member->start;
		assert_true(member->assigned_count < SEEN_MAX);
		member->assigned[member->assigned_count++] = partitions[i];
		if (partitions[i].metadata.size != METADATA_SIZE) continue;
		memcpy(member->metadata, partitions[i].metadata.data, METADATA_SIZE);
	}
}

static inline void on_revoke(void *context, const int32_t *partitions, size_t count, bool lost)
{
	struct member *member = context;
	assert_non_null(partitions);
	assert_true(count > 0);
	member->revoked_count += count;
	if (lost) member->lost_count += count;
	member->had_group_at_revoke = bytes_is_given(source_group(member->source));
}

static inline bool may_revoke(void *context)
{
	struct member *member = context;
	member->asked_count++;
	return !member->says_no;
}

static inline struct source_options options_of(struct fixture *fixture, struct member *member)
{
	return (struct source_options){
		.settings = &fixture->settings,
		.log = fixture->log,
		.metrics = fixture->metrics,
		.events = { .context = member,
			.on_assign = on_assign,
			.may_revoke = may_revoke,
			.on_revoke = on_revoke },
	};
}

static inline struct member *open_member(struct fixture *fixture)
{
	struct member *member = calloc(1, sizeof(*member));
	assert_non_null(member);
	member->start = -1;
	member->next = fixture->members;
	fixture->members = member;
	const struct source_options options = options_of(fixture, member);
	assert_int_equal(source_open(&options, &member->source), STATUS_OK);
	return member;
}

static inline void close_member(struct member *member)
{
	struct source *source = member->source;
	assert_int_equal(source_close(source, WAIT_MS), STATUS_OK);
	member->source = NULL;
}

/* A test that failed leaves members open, and the next one must not meet their threads. */
static inline int members_stop(void **state)
{
	struct fixture *fixture = *state;
	while (fixture->members != NULL) {
		struct member *member = fixture->members;
		fixture->members = member->next;
		enum status closed = source_close(member->source, FAILED_CLOSE_MS);
		if (closed == STATUS_OK) free(member);
	}
	return fixture_stop(state);
}

static inline size_t owned(const struct member *member)
{
	size_t count;
	(void)source_partitions(member->source, &count);
	return count;
}

/* One turn of a loop like the worker's. */
static inline void turn(struct member *member)
{
	fixture_turn(source_fd(member->source));
	member->served = source_serve(member->source);
}

static inline void turn_both(struct member *one, struct member *other)
{
	turn(one);
	turn(other);
}

static inline struct member *open_assigned(struct fixture *fixture)
{
	struct member *member = open_member(fixture);
	wait_until(owned(member) == PARTITIONS, turn(member));
	assert_int_equal(member->served, STATUS_OK);
	return member;
}

static inline struct record *take(struct member *member, int32_t partition)
{
	struct record *record = NULL;
	enum status status = STATUS_EMPTY;
	wait_until((status = source_take(member->source, partition, &record)) != STATUS_EMPTY, turn(member));
	assert_int_equal(status, STATUS_OK);
	return record;
}

#define mock_test(function) cmocka_unit_test_setup_teardown(function, fixture_start, members_stop)

#endif
