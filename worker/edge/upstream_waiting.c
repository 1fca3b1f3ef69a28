/* Transfers that wait for a descriptor: see the header. */
#include "worker/edge/upstream_waiting.h"

#include "common/assertion.h"

void upstream_waiting_init(struct upstream_waiting *waiting)
{
	*waiting = (struct upstream_waiting){ 0 };
	list_init(&waiting->list);
}

bool upstream_waiting_is_empty(const struct upstream_waiting *waiting)
{
	return list_is_empty(&waiting->list);
}

void upstream_waiting_put(
	struct upstream_waiting *waiting, struct upstream_transfer *transfer, bool has_tried, int64_t now_ms)
{
	ASSERT(transfer->multi == NULL);
	upstream_transfer_wait(transfer);
	if (upstream_waiting_is_empty(waiting)) waiting->due_ms = now_ms + UPSTREAM_WAITING_MS;
	if (has_tried)
		list_push_front(&waiting->list, &transfer->place);
	else
		list_push_back(&waiting->list, &transfer->place);
}

void upstream_waiting_note_room(struct upstream_waiting *waiting)
{
	waiting->room_count++;
}

size_t upstream_waiting_tries(struct upstream_waiting *waiting, int64_t now_ms, bool *out_is_stuck)
{
	size_t tries = waiting->room_count;
	waiting->room_count = 0;
	*out_is_stuck = tries == 0 && !upstream_waiting_is_empty(waiting) && waiting->due_ms <= now_ms;
	if (tries > 0 || *out_is_stuck) waiting->due_ms = now_ms + UPSTREAM_WAITING_MS;
	return *out_is_stuck ? UPSTREAM_WAITING_TRIES : tries;
}

struct upstream_transfer *upstream_waiting_take(struct upstream_waiting *waiting)
{
	struct list *place = list_pop_front(&waiting->list);
	if (place == NULL) return NULL;
	struct upstream_transfer *transfer = LIST_ELEMENT(place, struct upstream_transfer, place);
	upstream_transfer_go_on(transfer);
	return transfer;
}

int64_t upstream_waiting_due(const struct upstream_waiting *waiting)
{
	if (upstream_waiting_is_empty(waiting)) return INT64_MAX;
	return waiting->room_count > 0 ? INT64_MIN : waiting->due_ms;
}
