/* Points in time as people write them: `-1h` (before now), `@2026-01-31`, `@2026-01-31T12:00Z`, `@2026-01-31T12:00:30Z`,
 * `beginning`, `end` (now).
 *
 * Threads: pure functions, any. */
#ifndef REPLAY_MOMENT_H
#define REPLAY_MOMENT_H

#include <stdint.h>

#include "common/bytes.h"

/* Reads a point in time as Unix milliseconds; `beginning` is 0. Dates are in UTC, of the years 1970 to 9999.
 * STATUS_INVALID: none of the forms above, or no such date. STATUS_TOO_LARGE: more than 30 days before now. */
NODISCARD enum status moment_parse(struct bytes text, int64_t now_ms, int64_t *out_ms);

#endif
