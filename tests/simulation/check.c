/* What is checked of a member in every turn: see world.h. */
#include "world.h"

/* The budget of retries, counted again: max + earned by first attempts + one a second. */
static void check_budget(struct world *world, struct member *member, char *asked)
{
	if (*asked == ASKED_NEVER)
		member->firsts++;
	else
		member->spent += *asked == ASKED_UNSENT ? RETRY_BUDGET_COST_UNSENT : RETRY_BUDGET_COST;
	*asked = ASKED_SENT;
	int64_t seconds = (world->now_ms - member->started_ms) / 1000 + 1;
	if (member->spent > BUDGET_MAX + BUDGET_EARNED * member->firsts + RETRY_BUDGET_COST * seconds)
		world_break(world, 9, "%lld thousandths of retries after %lld chats in %lld s",
			(long long)member->spent, (long long)member->firsts, (long long)seconds);
}

/* The other call that runs for the same request; NULL = none. */
static const struct running *running_beside(const struct member *member, const struct call *call)
{
	int p, other_p;
	long long offset, other_offset;
	member_request_of(call, &p, &offset);
	for (int i = 0; i < CALLS_MAX; i++) {
		const struct running *running = &member->calls[i];
		if (running->call == NULL || running->call == call || running->is_cancelled) continue;
		member_request_of(running->call, &other_p, &other_offset);
		if (p == other_p && offset == other_offset) return running;
	}
	return NULL;
}

static void check_second(struct world *world, struct member *member, int p, long long offset)
{
	world->hedges++;
	member->hedges++;
	if (member->hedged[p][offset]) world_break(world, 11, "another second call for %d/%lld", p, offset);
	if (member->hedges * 100 > member->firsts * world->hedge_percent)
		world_break(world, 11, "%lld second calls for %lld chats", (long long)member->hedges,
			(long long)member->firsts);
	if (member->drains_until_ms != 0) world_break(world, 11, "a second call while draining");
	member->hedged[p][offset] = true;
}

static void check_breakers(struct world *world, const struct member *member, const struct call *call)
{
	int model = member_model_of(call);
	if (member->is_open[model]) world_break(world, 11, "a call of model %d, whose breaker is open", model);
	if (member->is_edge_open) world_break(world, 11, "a call while the way to the upstream is shut");
}

void check_call(struct world *world, struct member *member, const struct call *call)
{
	int p;
	long long offset;
	member_request_of(call, &p, &offset);
	if (!member->is_zombie && world->partitions[p].requests[offset].replies > 0)
		world_break(world, 2, "call for %d/%lld, which is replied to", p, offset);
	if (member->is_zombie && member->still_until_ms != 0)
		world_break(world, 12, "call for %d/%lld by one who stood still", p, offset);
	if (member->finished[p][offset]) world_break(world, 10, "call for %d/%lld, whose answer is here", p, offset);
	const struct running *beside = running_beside(member, call);
	if (beside != NULL && beside->is_kept)
		world_break(world, 10, "call for %d/%lld, which is being called", p, offset);
	else if (beside != NULL)
		check_second(world, member, p, offset);
	check_breakers(world, member, call);
	check_budget(world, member, &member->asked[p][offset]);
	int model = member_model_of(call);
	if (world->now_ms < member->cooled_until_ms[model])
		world_break(world, 9, "call for %d/%lld of model %d, which asked for %lld ms more", p, offset, model,
			(long long)(member->cooled_until_ms[model] - world->now_ms));
}

void check_overtaken(struct world *world, const struct member *member)
{
	for (int i = 0; i < CALLS_MAX; i++) {
		const struct running *running = &member->calls[i];
		if (running->call == NULL || running->is_cancelled || !running->is_told) continue;
		if (running_beside(member, running->call) != NULL)
			world_break(world, 11, "a call goes on beside one that has shown content");
	}
}

/* Chats that find no free slot have one of the park's in prospect, each. */
static void check_slots(struct world *world, const struct member *member, const struct flow_gauges *gauges)
{
	size_t cancelled = 0;
	for (int i = 0; i < CALLS_MAX; i++)
		if (member->calls[i].call != NULL && member->calls[i].is_cancelled) cancelled++;
	bool is_full = gauges->in_flight == CALLS_MAX && gauges->ready > cancelled;
	if (is_full && gauges->parked_calls > 0)
		world_break(world, 10, "%zu chats wait for slots that the park holds", gauges->ready);
}

void check_bounds(struct world *world, int index)
{
	struct flow_gauges gauges;
	flow_gauges(world->members[index].flow, &gauges);
	check_slots(world, &world->members[index], &gauges);
	if (gauges.parked_bytes > world->park.bytes_max)
		world_break(world, 8, "member %d keeps %zu bytes", index, gauges.parked_bytes);
	if (gauges.waiting > WAITING_MAX || gauges.in_flight > CALLS_MAX)
		world_break(
			world, 8, "member %d has %zu waiting, %zu in flight", index, gauges.waiting, gauges.in_flight);
}
