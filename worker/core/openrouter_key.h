/* What OpenRouter tells of the key: the answer to GET /key, as far as it is of use here.
 *
 * `{"data":{"limit_remaining":12.5, …}}`: what may still be spent under the key's own limit, in US dollars; null when it
 * has none. Pure; any thread. */
#ifndef WORKER_CORE_OPENROUTER_KEY_H
#define WORKER_CORE_OPENROUTER_KEY_H

#include "common/bytes.h"

/* False: the key has no limit, or the body does not tell. A limit that is overdrawn is 0. */
bool openrouter_key_remaining(struct bytes body, double *out_usd);

#endif
