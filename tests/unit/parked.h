/* What the tests of kept chats share: a flow that keeps, partitions that go and come back, and what is looked at. */
#ifndef TESTS_UNIT_PARKED_H
#define TESTS_UNIT_PARKED_H

#include "tests/unit/flow_support.h"

enum { KEEP_MS = 60000 };

/* With partition 0. */
static inline void open_park(struct support *support)
{
	support_init(support);
	support->options.park = (struct park_options){ .keep_ms = KEEP_MS, .bytes_max = 1 << 20 };
	support_begin(support);
}

static inline void give_up(struct support *support, int32_t partition)
{
	flow_revoke(support->flow, partition, support->now);
	flow_hurry(support->flow);
	support_no_batch(support);
}

/* With nothing committed. */
static inline void come_back(struct support *support, int32_t partition)
{
	assert_int_equal(support_assign(support, partition, -1, BYTES_NONE), 0);
}

/* So many chats are kept, and the calls of so many of them run. */
static inline void assert_park(const struct support *support, size_t chats, size_t calls)
{
	struct flow_gauges gauges = support_gauges(support);
	assert_int_equal(gauges.parked, chats);
	assert_int_equal(gauges.parked_calls, calls);
	assert_int_equal(gauges.parked_bytes > 0, chats > 0);
}

/* The next batch has these offsets of partition 0, in this order, and is committed. */
static inline void assert_published(struct support *support, const int64_t *offsets, size_t count)
{
	struct batch *batch = support_batch(support);
	assert_int_equal(batch->item_count, count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(support_offset(support, batch, i), offsets[i]);
	support_end_batch(support, batch, BATCH_COMMITTED);
}

static inline void assert_published_one(struct support *support, int64_t offset)
{
	assert_published(support, &offset, 1);
}

#endif
