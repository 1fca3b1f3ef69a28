/* Is this process still the member that it takes itself for?
 *
 * Who stood still for about a session (SIGSTOP, a paused machine, no processor) may have been thrown out of its group, and
 * hears of it only after it goes on: until then it believes to own partitions that another one works on. Nothing that it
 * makes of them can be committed, so a call begun meanwhile is wasted. Hence doubt, from the first turn after a standstill
 * until the group has taken a heartbeat that was sent after it, or all partitions were given up, which leaves nothing to
 * doubt.
 *
 * Heartbeats are counted when they are sent, each after its predecessor was answered (source_heartbeats() in
 * worker/edge/source.h). The next one says of an answer only that it came, which may have been before the standstill; the
 * one after that says that a heartbeat sent after it was answered, and that whatever the group had to say with it is
 * waiting to be served, or was.
 *
 * Times are milliseconds of a clock that goes on while the machine sleeps. Plain value; owner: whoever embeds it. Nothing
 * blocks or fails. */
#ifndef WORKER_CORE_MEMBERSHIP_H
#define WORKER_CORE_MEMBERSHIP_H

#include <stdbool.h>
#include <stdint.h>

enum { MEMBERSHIP_HEARTBEATS = 2 }; /* seen from a turn after the standstill on, they end the doubt */

enum membership_state {
	MEMBERSHIP_SURE,
	MEMBERSHIP_STOOD_STILL, /* just now; what is known of heartbeats may be from before */
	MEMBERSHIP_DOUBTED,
};

/* All zero = sure, and never in doubt. */
struct membership {
	int64_t standstill_ms; /* more than this between two turns is a standstill; 0 = nothing is */
	enum membership_state state;
	bool is_empty;       /* all partitions were given up since the last turn */
	int64_t turned_ms;   /* the last turn; 0 = none yet */
	uint64_t certain_at; /* while DOUBTED: so many heartbeats end it */
};

/* Once in each turn of the loop, right before calls are begun, with the heartbeats that were counted before the group was
 * served in that turn. True: doubt begins, which is news. */
bool membership_turn(struct membership *membership, int64_t now_ms, uint64_t heartbeats);

/* The last partition was given up. */
void membership_emptied(struct membership *membership);

bool membership_is_doubted(const struct membership *membership);

#endif
