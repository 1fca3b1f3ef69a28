/* Lengths of time as people write them: `250ms`, `60s`, `5m`, `1h`, `1.5s`.
 *
 * Threads: pure functions, any. */
#ifndef REPLAY_DURATION_H
#define REPLAY_DURATION_H

#include <stdint.h>

#include "common/bytes.h"

/* Reads a duration in milliseconds, between 0 and 30 days. A bare number counts in `bare_unit_ms` (1 for
 * milliseconds, 1000 for seconds). Parts of a millisecond are dropped.
 * STATUS_INVALID: not a number with one of the units. STATUS_TOO_LARGE: over 30 days. */
NODISCARD enum status duration_parse(struct bytes text, int64_t bare_unit_ms, int64_t *out_ms);

#endif
