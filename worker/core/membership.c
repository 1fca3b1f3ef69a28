/* Doubt after a standstill: see the header. */
#include "worker/core/membership.h"

#include "common/assertion.h"

bool membership_turn(struct membership *membership, int64_t now_ms, uint64_t heartbeats)
{
	ASSERT(membership->standstill_ms >= 0);
	ASSERT(now_ms >= membership->turned_ms);
	bool is_first = membership->turned_ms == 0;
	int64_t away_ms = now_ms - membership->turned_ms;
	bool was_doubted = membership_is_doubted(membership);
	bool was_emptied = membership->is_empty;
	membership->turned_ms = now_ms;
	membership->is_empty = false;
	if (membership->standstill_ms == 0 || is_first || was_emptied) return false;
	if (away_ms > membership->standstill_ms) {
		membership->state = MEMBERSHIP_STOOD_STILL;
		return !was_doubted;
	}
	if (membership->state == MEMBERSHIP_STOOD_STILL) {
		membership->state = MEMBERSHIP_DOUBTED;
		membership->certain_at = heartbeats + MEMBERSHIP_HEARTBEATS;
	} else if (membership->state == MEMBERSHIP_DOUBTED && heartbeats >= membership->certain_at) {
		membership->state = MEMBERSHIP_SURE;
	}
	return false;
}

void membership_emptied(struct membership *membership)
{
	ASSERT(membership->turned_ms >= 0);
	membership->state = MEMBERSHIP_SURE;
	membership->is_empty = true;
}

bool membership_is_doubted(const struct membership *membership)
{
	ASSERT(membership->state <= MEMBERSHIP_DOUBTED);
	return membership->state != MEMBERSHIP_SURE;
}
