/* What holds between any two calls of the flow's public functions; the cheap part of it, for every build. */
#include "common/assertion.h"
#include "worker/core/flow_internal.h"

static void check_counts(const struct flow *flow)
{
	ASSERT(flow->in_flight <= flow->options.in_flight_max);
	ASSERT(flow->ready_count <= flow->waiting);
	ASSERT(flow->due.count <= flow->waiting);
	ASSERT(lanes_count(flow->lanes) <= flow->waiting);
	ASSERT(flow->partition_count <= flow->partition_capacity);
	ASSERT(flow->partition_count > 0 || flow->waiting + flow->reply_count == 0);
	ASSERT(flow->bytes > 0 || flow->waiting + flow->reply_count == 0);
	ASSERT(flow->bytes + flow->call_bytes >= park_bytes(flow->park));
	ASSERT(park_bytes(flow->park) <= flow->options.park.bytes_max);
	ASSERT(flow->cancelled + park_calls(flow->park) <= flow->in_flight);
	ASSERT(flow->abort_backoff_ms >= FLOW_ABORT_BACKOFF_MS);
	ASSERT(flow->abort_backoff_ms <= FLOW_ABORT_BACKOFF_MAX_MS);
	ASSERT(flow->hedges.saved >= 0);
	ASSERT(flow->hedges.saved <= FLOW_HEDGE_SAVED_MAX);
}

static void check_lists(const struct flow *flow)
{
	ASSERT(list_is_empty(&flow->heads));
	ASSERT(list_is_empty(&flow->ready) == (flow->ready_count == 0));
	ASSERT(list_is_empty(&flow->replies) == (flow->reply_count == 0));
	ASSERT(list_is_empty(&flow->free_slots) == (flow->in_flight == flow->options.in_flight_max));
	ASSERT(list_is_empty(&flow->cancels) || flow->in_flight > 0);
	ASSERT(list_is_empty(&flow->hedges.due) || flow->in_flight > 0);
	ASSERT(list_is_empty(&flow->publishing) || flow->batch != NULL);
}

void flow_check(const struct flow *flow)
{
	check_counts(flow);
	check_lists(flow);
}
