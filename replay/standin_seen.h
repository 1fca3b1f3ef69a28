/* How often a scripted text was served already: the memory behind `[[429 once]]`.
 *
 * Bounded: at `count_max` texts the oldest is forgotten, and would be served its failures again.
 * Owner and thread: the stand-in's loop. Nothing blocks. */
#ifndef REPLAY_STANDIN_SEEN_H
#define REPLAY_STANDIN_SEEN_H

#include "common/bytes.h"

struct standin_seen;

/* NULL when memory is missing. Free with standin_seen_free(). */
NODISCARD struct standin_seen *standin_seen_new(size_t count_max);

/* Accepts NULL. */
void standin_seen_free(struct standin_seen *seen);

/* Counts one more request with this `text` for the script item at `place`, and returns how many there were before.
 * Without memory it counts nothing and returns 0. */
int64_t standin_seen_count(struct standin_seen *seen, struct bytes text, size_t place);

#endif
